"""Bench: every claim about fastgd's speed and memory, each beside what it was measured to be.

fastgd and its peers take turns in one process, and the median of several rounds counts. An answer is checked before any
time is believed: fastgd must give what the NumPy loop gives over the same batches. Ratios are the claim; milliseconds
belong to the machine. A target that is missed is marked; only a wrong answer or a debug build ends the run.

To add a row: a `Row` in `FITS`, a `Case` in `estimators.py`, or a function in `ROWS`.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import estimators
import numpy as np

import page
from fastgd import _core
from page import Claim, Measured
from peers import PEERS
from row import ROUGHLY, Row, blas, check, compare, in_turn

#: data below this many bytes stay in the caches, and how fast memory is read says nothing
CACHED = 1 << 24
#: steps before those that are late, and how many of these
EARLY, LATE = 10_000, 200_000
#: epochs beyond the first that tell what an epoch takes
MORE = 10
#: the same, where a difference of two times is noisy
NOISY = 1.25
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
MiB = 1 << 20


FITS = [
    Row("tiny", 1000, 2, 10, 3, 0.03, seconds=1e-4, against={"NumPy loop": 20, "SGDRegressor": 3.5}),
    Row("line", 100, 1, None, 1000, 0.01, record="step", against={"NumPy loop": 50}),
    Row(
        *("full", 1_000_000, 20, None, 100, 0.05),
        threads=1,
        against={
            "NumPy loop": 100,
            "LinearRegression": 10,
            "normal equations": 2,
            "LinearRegression, intelex": None,
        },
    ),
    Row("rows", 1_000_000, 20, None, 100, 0.05, engine="rows", threads=1, against={"NumPy loop": 3}),
    Row(
        *("mini10", 1_000_000, 10, 32, 10, 0.01),
        against={"NumPy loop": 25, "SGDRegressor": 12, "PyTorch loop": 100},
    ),
    Row("mini100", 200_000, 100, 64, 10, 0.01, against={"NumPy loop": 4, "SGDRegressor": 8}),
    Row("mini1000", 20_000, 1000, 64, 10, 0.01, against={"NumPy loop": 2.5, "SGDRegressor": 5}),
    Row("one10", 1_000_000, 10, 1, 10, 0.005, against={"SGDRegressor": 10}),
    Row("one1", 10_000_000, 1, 1, 1, 0.01, against={"SGDRegressor": 3}),
]
FIT = {row.name: row for row in FITS}


def read(X: Any, y: Any) -> Callable[[], Any]:
    """One plain pass that only sums the same bytes: nothing that reads them on one core can take less."""
    return lambda: (X.sum(), y.sum())


def against_peers(row: Row, rounds: int) -> list[Measured]:
    """fastgd against the peers of a row, and against the time of reading the bytes."""
    X, y = row.data()
    with blas(row.threads):
        result = row.fit(X, y)
    check(row, result)
    works: dict[str, Callable[[], Any]] = {"fastgd": lambda: row.fit(X, y)}
    shares = {}
    for name in row.against:
        peer = PEERS[name]
        if peer.there:
            shares[name] = min(row.epochs, peer.epochs or row.epochs) / row.epochs
            part = replace(row, epochs=round(row.epochs * shares[name]))
            few = X[:1000].copy(), y[:1000].copy()
            peer.fit(*few, replace(part, epochs=1))  # loads its code
            works[name] = functools.partial(checked, name, peer.fit, X, y, part)
    if X.nbytes >= CACHED:
        works["read"] = read(X, y)
    times = in_turn(works, rounds, row.threads)
    seconds, done, first = astuple(times["fastgd"])
    claims = []
    passes = 1 if result.engine == "gram" else row.epochs
    reading = times["read"].seconds * passes if "read" in times else 0.0
    if row.seconds:
        note = f"the first of a turn takes {page.shown(first, 's')}"
        claims.append(Claim("the clock", row.seconds, row.seconds / seconds, 1.0, at_least=True, note=note))
    for name, target in row.against.items():
        if name not in times:
            claims.append(Claim(name, None, None, target, at_least=True, note=f"no {PEERS[name].package}"))
            continue
        theirs = times[name].seconds / shares[name]
        notes = [] if shares[name] == 1 else [f"{shares[name]:.0%} of the epochs, multiplied"]
        if reading and target and theirs / reading < target:
            notes.append(f"reading the bytes alone allows {theirs / reading:.2g}x")
        claims.append(
            Claim(
                name, theirs, theirs / seconds, target, at_least=True, rounds=times[name].rounds, note=", ".join(notes)
            )
        )
    floor = seconds / reading if reading else None
    return [Measured(row.name, row.work, seconds, claims, rounds=done, floor=floor)]


def checked(name: str, fit: Callable[..., Any], X: Any, y: Any, row: Row) -> None:
    coef, _ = fit(X, y, row)
    compare(f"{row.name}: {name} is wrong: its coef", coef, row.truth, ROUGHLY)


def all_cores(row: Row, rounds: int) -> list[Measured]:
    """The same without a limit on anybody's threads; no target."""
    open_row = replace(row, threads=None, against=dict.fromkeys(row.against))
    return [replace(found, work=f"{found.work}, all cores") for found in against_peers(open_row, rounds)]


def late_step(rounds: int) -> list[Measured]:
    """A step on sufficient statistics after the first ten thousand: whether it costs the same on few rows.

    It is a difference of two times, so that many are taken and the statistics' own time does not hide them.
    """
    each = {}
    for n in (FIT["full"].n, 100):
        row = replace(FIT["full"], n=n, record=None, engine="gram")
        X, y = row.data()
        check(row, row.fit(X, y))
        early, late = (replace(row, epochs=EARLY + more) for more in (0, LATE))
        works = {"fastgd, early": functools.partial(early.fit, X, y), "fastgd, late": functools.partial(late.fit, X, y)}
        times = in_turn(works, rounds, row.threads)
        each[n] = (times["fastgd, late"].seconds - times["fastgd, early"].seconds) / LATE
    many, few = each.values()
    claim = Claim("on 100 rows", few, many / few, NOISY, at_least=False)
    return [Measured("full", f"a step, of those after the {EARLY:,}th", many, [claim], rounds)]


def shuffle(rounds: int) -> list[Measured]:
    row = replace(FIT["mini10"], name="shuffle")
    ordered = replace(row, shuffle=False)
    X, y = row.data()
    for one in (row, ordered):
        check(one, one.fit(X, y))
    times = in_turn({"fastgd": lambda: row.fit(X, y), "fastgd, in order": lambda: ordered.fit(X, y)}, rounds)
    shuffled, plain = times.values()
    claim = Claim("in order", plain.seconds, shuffled.seconds / plain.seconds, 2, at_least=False)
    return [Measured("shuffle", row.work, shuffled.seconds, [claim], shuffled.rounds)]


def floor(rounds: int) -> list[Measured]:
    """An epoch against one pass that only reads: what more epochs take, as a call has passes of its own."""
    found = []
    for n, d, limit in ((1_000_000, 10, 3), (200_000, 100, 2), (20_000, 1000, 2)):
        one = Row("floor", n, d, 64, 1, 0.01, shuffle=False)
        many = replace(one, epochs=1 + MORE)
        X, y = one.data()
        for row in (one, many):
            check(row, row.fit(X, y))
        works = {"fastgd": functools.partial(many.fit, X, y), "fastgd, one": functools.partial(one.fit, X, y)}
        times = in_turn(works | {"read": read(X, y)}, rounds)
        (seconds, done, _), (call, _, _), (least, _, _) = (astuple(one) for one in times.values())
        epoch = (seconds - call) / MORE
        claims = [Claim("read floor", least, epoch / least, limit, at_least=False)]
        found.append(Measured("floor", f"{one.work}: an epoch", epoch, claims, done, floor=epoch / least))
        found.append(Measured("floor", f"{one.work}: the whole call", call, [], done, floor=call / least))
    return found


def f32(rounds: int) -> list[Measured]:
    found = []
    for row in FITS:
        X, y = row.data()
        X32, y32 = X.astype(np.float32), y.astype(np.float32)
        with blas(row.threads):
            check(row, row.fit(X, y))
            check(row, row.fit(X32, y32))
        works = {"fastgd": functools.partial(row.fit, X32, y32), "fastgd, f64": functools.partial(row.fit, X, y)}
        half, wide = in_turn(works, rounds, row.threads).values()
        claim = Claim("float64", wide.seconds, half.seconds / wide.seconds, 1.05, at_least=False)
        found.append(Measured("f32", f"{row.name}: {row.work}", half.seconds, [claim], half.rounds))
    return found


#: what is fitted: options, and bytes above the data at most; 192 a row would be a copy in whole cache lines
MEMORY: dict[str, tuple[dict[str, Any], int]] = {
    "full batch, no options": ({}, 64 * MiB),
    "full batch, lr given": ({"lr": 0.05, "epochs": 100}, 64 * MiB),
    "full batch on rows": ({"lr": 0.05, "epochs": 100, "engine": "rows"}, 64 * MiB),
    "B=32, in order": ({"lr": 0.01, "epochs": 2, "batch_size": 32, "shuffle": False}, 64 * MiB),
    "B=32, shuffled": ({"lr": 0.01, "epochs": 2, "batch_size": 32}, 192_000_000 + 16_000_000),
}


def memory(rounds: int) -> list[Measured]:
    """Peak resident memory above the data; shuffled, one copy of the rows and the orders of two epochs are allowed."""
    if not Path("/proc/self/status").exists():
        return [Measured("memory", "only measured on Linux", None, [])]
    found = []
    for case, (options, limit) in MEMORY.items():
        script = Path(__file__).with_name("memory.py")
        run = subprocess.run([sys.executable, script, json.dumps(options)], capture_output=True, text=True, check=False)
        if run.returncode:
            raise SystemExit(run.stderr)
        claim = Claim("what is allowed", limit, int(run.stdout) / limit, 1.0, at_least=False)
        found.append(Measured("memory", f"n=1,000,000, d=20, {case}", int(run.stdout), [claim], 1, unit="B"))
    return found


ROWS: dict[str, list[Callable[[int], list[Measured]]]] = {
    row.name: [functools.partial(against_peers, row)] for row in FITS
}
ROWS["full"] += [functools.partial(all_cores, FIT["full"]), late_step]
ROWS["rows"] += [functools.partial(all_cores, FIT["rows"])]
ROWS |= {"shuffle": [shuffle], "floor": [floor], "f32": [f32], "memory": [memory]}
ROWS |= estimators.ROWS


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="bench", description="fastgd against its peers and its targets")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=5, help="of the large rows; short ones take more")
    parser.add_argument("--json", type=Path, metavar="OUT", help="everything that was measured")
    parser.add_argument("--page", type=Path, metavar="FILE", help="a page in Markdown")
    given = parser.parse_args(words)
    if unknown := [name for name in given.rows if name not in ROWS]:
        parser.error(f"ROW must be of {', '.join(ROWS)}, got {', '.join(unknown)}")
    if given.rounds < 1:
        parser.error(f"--rounds must be >= 1, got {given.rounds}")
    if not _core.release:
        raise SystemExit("bench: this is a debug build, whose times mean nothing; make build")
    about = page.about(given.rounds, CORES, {peer.package: peer.there for peer in PEERS.values()})
    print(page.head(about))
    found: list[Measured] = []
    for name in given.rows or ROWS:
        for measure in ROWS[name]:
            for one in measure(given.rounds):
                print(page.lines(one), flush=True)
                found.append(one)
    print(page.summary(found))
    page.write(given.json, lambda: page.as_json(about, found))
    page.write(given.page, lambda: page.as_page(about, found))


if __name__ == "__main__":
    main()
