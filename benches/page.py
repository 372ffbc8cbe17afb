"""Page: what was measured, as lines to read, as JSON, and as a page of the docs."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastgd


@dataclass(frozen=True)
class Claim:
    """A ratio, and what it should be at least, or at most."""

    against: str
    #: of the other, in the unit of the row; None when it was not measured
    value: float | None
    ratio: float | None
    limit: float | None
    at_least: bool
    rounds: int | None = None
    note: str = ""

    @property
    def target(self) -> str:
        return "" if self.limit is None else f"at {'least' if self.at_least else 'most'} {self.limit:g}x"

    @property
    def reached(self) -> bool | None:
        """None where nothing is claimed, or nothing was measured."""
        if self.limit is None or self.ratio is None:
            return None
        return self.ratio >= self.limit if self.at_least else self.ratio <= self.limit

    @property
    def mark(self) -> str:
        if self.value is None:
            return f"left out: {self.note}"
        verdict = {None: "", True: "reached", False: "MISSED"}[self.reached]
        return f"{verdict} ({self.note})" if self.note else verdict


@dataclass(frozen=True)
class Measured:
    """What fastgd took for a row of the benchmark, and the claims about it."""

    row: str
    work: str
    #: seconds or bytes; None when it was not measured
    value: float | None
    claims: list[Claim]
    rounds: int = 1
    #: times as long as reading the bytes as often as the work does
    floor: float | None = None
    unit: str = "s"


def shown(value: float | None, unit: str) -> str:
    """Three digits and a unit that suits them."""
    if value is None:
        return "-"
    units = {"s": [(1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (0.0, "ns")], "B": [(0.0, "MiB")]}[unit]
    least, name = next((least, name) for least, name in units if value >= least)
    scaled = value / {"ns": 1e-9, "MiB": 1 << 20}.get(name, least)
    return f"{scaled:.{0 if scaled >= 99.95 else 1 if scaled >= 9.995 else 2}f} {name}"


def ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f}x"


def about(rounds: int, cores: int, packages: dict[str, bool]) -> dict[str, Any]:
    """The machine, the versions, the date."""
    names = sorted({name for name, there in packages.items() if there} | {"numpy", "threadpoolctl", "scipy"})
    versions = {"fastgd": fastgd.__version__, "Python": platform.python_version()}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        system = ""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": {
            "processor": processor(),
            "cores": cores,
            "os": " ".join(filter(None, [platform.system(), platform.machine(), system])),
        },
        "blas": np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"],
        "versions": versions,
        "left_out": sorted(name for name, there in packages.items() if not there),
        "threads_limited": "threadpoolctl" in versions,
        "rounds": rounds,
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def said(about: dict[str, Any]) -> Iterator[str]:
    """The circumstances, a sentence each."""
    machine = about["machine"]
    yield f"{machine['processor']}, {machine['cores']} cores, {machine['os']}, {about['date']}"
    yield ", ".join(f"{name} {version}" for name, version in about["versions"].items()) + f", BLAS {about['blas']}"
    if about["left_out"]:
        yield f"left out, not installed: {', '.join(about['left_out'])}"
    if not about["threads_limited"]:
        yield 'threadpoolctl is not installed: BLAS takes as many threads as it likes in rows of "1 thread", too'


def head(about: dict[str, Any]) -> str:
    columns = f"{'':10}{'against':28}{'time':>10}{'ratio':>9}  {'target':16}"
    return "\n".join([*said(about), "", columns.rstrip(), "-" * 86])


def lines(found: Measured) -> str:
    """A row for the eye: its work, fastgd's own time, then one line a claim."""
    extent = "" if found.floor is None else f"  {ratio(found.floor)} the read floor"
    rounds = "" if found.rounds == 1 else f"  {found.rounds} rounds"
    text = [f"{found.row:10}{found.work}"]
    if found.value is not None:
        text.append(f"{'':10}{'fastgd':28}{shown(found.value, found.unit):>10}{'':9}{extent or ''}{rounds}")
    for claim in found.claims:
        value = shown(claim.value, found.unit)
        text.append(f"{'':10}{claim.against:28}{value:>10}{ratio(claim.ratio):>9}  {claim.target:16}{claim.mark}")
    return "\n".join(line.rstrip() for line in [*text, ""])


def summary(found: list[Measured]) -> str:
    """How many targets were reached, and which were not and by how much."""
    claims = [(one, claim) for one in found for claim in one.claims]
    reached = [claim.reached for _, claim in claims if claim.reached is not None]
    text = [f"{sum(reached)} of {len(reached)} targets reached"]
    for one, claim in claims:
        if claim.reached is False:
            what = f"{one.row}: {one.work.split(':')[0]}" if one.row in ("f32", "memory", "floor") else one.row
            text.append(f"  missed  {what}, against {claim.against}: {ratio(claim.ratio)}, {claim.target}")
        elif claim.value is None and claim.limit is not None:
            text.append(f"  open    {one.row}, against {claim.against}: {claim.mark}, {claim.target}")
    return "\n".join(text)


def as_json(about: dict[str, Any], found: list[Measured]) -> str:
    rows = [
        asdict(one) | {"claims": [asdict(claim) | {"reached": claim.reached} for claim in one.claims]} for one in found
    ]
    return json.dumps(about | {"rows": rows}, indent=1) + "\n"


def as_page(about: dict[str, Any], found: list[Measured]) -> str:
    """The last run as Markdown, misses in bold."""
    table = [
        "| row | work | fastgd | of the read floor | against | its time | ratio | target | |",
        "| --- | --- | ---: | ---: | --- | ---: | ---: | --- | --- |",
    ]
    for one in found:
        first = [one.row, one.work, shown(one.value, one.unit), ratio(one.floor) if one.floor else ""]
        for claim in one.claims or [Claim("", None, None, None, at_least=True)]:
            value = shown(claim.value, one.unit) if claim.value else ""
            mark = claim.mark.replace("MISSED", "**missed**") if claim.against else ""
            cells = [claim.against, value, ratio(claim.ratio) if claim.ratio else "", claim.target, mark]
            table.append("| " + " | ".join([*first, *cells]) + " |")
            first = [""] * 4
    circumstances = "\n".join(f"- {sentence}" for sentence in said(about))
    return PAGE.format(
        table="\n".join(table), summary=summary(found).splitlines()[0], circumstances=circumstances, **about
    )


PAGE = """# The benchmark

The last run of `make bench`, which wrote this page. {summary}; the ones that were not are here, too.

{circumstances}

{table}

## How it was measured

- fastgd and its peers took turns in one process, on the same data. The median of {rounds} rounds counts, of fewer
  for whoever took several seconds. Whoever takes less than 20 ms is called again and again in a turn for as long, and
  the mean call counts, but for the first. Garbage was not collected meanwhile.
- The ratios are the claim: machines differ, and are shared. Where fastgd is compared with a peer, the ratio is the
  peer's time over fastgd's. Of `shuffle`, `floor`, `f32`, `memory` and the late steps of `full` it is fastgd's over
  the other's, and should be small.
- Whole calls were timed: checks of the arguments, copies and the result are in them. fastgd recorded its loss every
  epoch, as it does by default; the NumPy loop did not, except in `line`.
- Before any time was taken, fastgd's coefficients were held to those of the NumPy loop over the same batches in the
  same order, to 1e-9 of the largest; in float32 to the same ones. For single rows the loop's steps were composed as
  the affine maps that they are, which gives the same numbers sooner. A wrong answer ends the run.
- The NumPy loop is what a textbook writes, vectorised over a batch (`benches/peers.py`). SGDRegressor ran as many
  epochs of single rows, `penalty=None, learning_rate="constant", tol=None`. The normal equations are the honest
  peer for squared losses in full batch.
- "1 thread": one for BLAS and one for fastgd. All other rows leave the threads to whoever runs.
- The read floor is the time of one pass by one thread that only sums the bytes of X and y, in the same run, times
  the passes that the work needs: one on sufficient statistics, else one an epoch. Data that fit into the caches
  have none. In `floor` an epoch is a tenth of what ten more take; a whole call also checks that all is finite, and
  takes the objective at the start and at the end, which are passes too.
- Memory: the peak of resident memory in a process of its own, less that before the fit. In shuffled batches one
  copy of the rows, padded to whole cache lines, and the orders of two epochs are allowed.
"""


def write(path: Path | None, text: Callable[[], str]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text())
        print(f"written: {path}")
