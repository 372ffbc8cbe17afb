"""Report: what the command line prints and draws."""

from __future__ import annotations

import csv
import io
import json
import re
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgd._file import plain
from fastgd._swept import Sweep
from fastgd.result import FitResult, manner, manner_of
from fastgd.table import Table

#: how one gets the pictures
GET_PLOT = "pip install 'fastgd[plot]'"


def facts(table: Table, result: FitResult, best: FitResult | None) -> dict[str, Any]:
    exact = None if best is None else {name: getattr(best, name) for name in ("coef", "intercept", "loss")}
    names = ("coef", "intercept", "loss", "status", "n_epochs", "n_steps", "lr", "optimizer", "engine", "standardized")
    return {
        "file": table.source,
        "rows": len(table.y),
        "features": table.features,
        "target": table.target,
        **{name: getattr(result, name) for name in names},
        "message": named(result.message, table),
        "loss_start": result.history.loss[0] if len(result.history) else None,
        "closed_form": exact,
        "options": result.options,
    }


def written(predictions: NDArray[np.float64], target: str | None, header: bool) -> str:
    """CSV, one row of the file a line and one output a column, every float exact; a header if the file has one."""
    text = io.StringIO()
    rows = predictions.reshape(len(predictions), -1)
    writer = csv.writer(text, lineterminator="\n")
    if header:
        name, outputs = target or "prediction", rows.shape[1]
        writer.writerow([name] if predictions.ndim == 1 else [f"{name} [{k}]" for k in range(outputs)])
    writer.writerows(rows.tolist())
    return text.getvalue()


def as_json(value: Any) -> str:
    """JSON with every float exact, and those that aren't finite as strings."""
    return json.dumps(plain(value), allow_nan=False)


def named(message: str, table: Table) -> str:
    """Columns of X by the names that they have in the file."""
    return re.sub(r"(?i)(column) (\d+) of X", lambda found: f"{found[1]} {table.features[int(found[2])]!r}", message)


def flagged(message: str) -> str:
    """What Python calls an option, as a flag of the command line; numbers are as they are."""
    message = message.replace("fastgd.fit without", "fastgd fit without").replace(
        "fastgd.closed_form", "fastgd compare"
    )

    def flag(found: re.Match[str]) -> str:
        return f"--{found[1].replace('_', '-')} {found[2].lower() if found[2] in ('True', 'False') else found[2]}"

    message = message.replace("fit_intercept=True", "--fit-intercept")
    return re.sub(r"\b(standardize|optimizer|average)='?([\w.+-]*\w)'?", flag, message)


def title(table: Table) -> str:
    n, d = len(table.y), len(table.features)
    return f"{table.source}: {count(n, 'row')}, {count(d, 'feature')}, target {table.target}"


def count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def summary(table: Table, result: FitResult, best: FitResult | None) -> str:
    history, columns, diverged = result.history, {}, result.status == "diverged"
    if len(history):
        columns["start"] = _on_point(history.coef[0], history.intercept[0], history.loss[0])
    columns["best" if diverged else "end"] = _on_point(result.coef, result.intercept, result.loss)
    if best is not None:
        columns["closed form"] = _on_point(best.coef, best.intercept, best.loss)
    outputs = range(np.size(result.intercept)) if np.ndim(result.intercept) else [None]
    names = [*table.features, "intercept"]
    names = [name if k is None else f"{name} [{k}]" for k in outputs for name in names]
    names.append(f"loss ({result.options['loss'][0]})")
    lines = aligned(["", *names], {heading: [heading, *cells] for heading, cells in columns.items()})
    lines.insert(-1, "")

    done = f"{count(result.n_epochs, 'epoch')}, {count(result.n_steps, 'step')}"
    said = [f"By {manner(result)}: {done}."]
    if diverged:
        said.append("Diverged: shown is the best epoch.")
    else:
        said.append(f"{result.message[0].upper()}{result.message[1:]}.")
        rounding = 1e-20 * np.mean(table.y**2)
        if best is not None and best.loss <= rounding:
            said.append("The closed form's loss is 0 but for rounding.")
        elif best is not None:
            said.append(f"The loss {_beside(result.loss / best.loss)} that of the closed form.")
    return "\n".join([title(table), "", *lines, "", *textwrap.wrap(" ".join(said), 98)])


def sweep_facts(table: Table, found: Sweep) -> dict[str, Any]:
    names = (
        "lr",
        "loss",
        "final",
        "status",
        "verdict",
        "best",
        "minimum",
        "lr_max",
        "engine",
        "standardized",
        "options",
    )
    return {
        "file": table.source,
        "rows": len(table.y),
        "features": table.features,
        "target": table.target,
        **{name: getattr(found, name) for name in names},
    }


def sweep_summary(table: Table, found: Sweep, chosen: str = "") -> str:
    """`chosen` says which of the rates and epochs were not asked for."""
    losses = _pointed([f"{value:.8g}" if np.isfinite(value) else "-" for value in found.final])
    words = [
        f"{word}  <- {found.rank}" if rate == found.best else word
        for rate, word in zip(found.lr, found.verdict, strict=True)
    ]
    rates, heading = [f"{rate:.6g}" for rate in found.lr], f"loss ({found.options['loss'][0]})"
    width = max(map(len, words))
    columns = {"loss": [heading, *losses], "verdict": ["", *(f"{word:<{width}}" for word in words)]}
    lines = aligned(["rate", *rates], columns)
    epochs = found.loss.shape[1] - 1
    how = manner_of(found.options, standardized=found.standardized)
    said = [f"By {how}: {count(epochs, 'epoch')}{' each' if len(found.lr) > 1 else ''}."]
    if chosen:
        said.append(chosen)
    if found.minimum is not None:
        said.append(f"The minimum is {found.minimum:.8g}.")
    if found.lr_max is not None:
        said.append(f"Rates are stable below {found.lr_max:.6g}.")
    if advice := found.advice:
        said.append(f"{advice[0].upper()}{advice[1:]}.")
    return "\n".join([title(table), "", *lines, "", *textwrap.wrap(" ".join(said), 98)])


def _beside(times: float) -> str:
    if times > 2:
        return f"is {times:.3g} times"
    return f"lies {100 * (times - 1):.2g} % above" if times > 1 + 1e-12 else "equals"


def _on_point(coef: Any, intercept: Any, loss: float) -> list[str]:
    """Per output its coefficients and intercept, then the loss: ten digits each, decimal points below each other."""
    values = np.append(np.column_stack([np.atleast_2d(coef), np.atleast_1d(intercept)]), loss)
    return _pointed([f"{value:.10g}" for value in values])


def _pointed(numbers: list[str]) -> list[str]:
    """With their decimal points below each other."""
    halves = [number.partition(".") for number in numbers]
    before, after = (max(len(half[side]) for half in halves) for side in (0, 2))
    return [f"{whole:>{before}}{point or ' '}{rest:<{after}}" for whole, point, rest in halves]


def aligned(names: list[str], columns: dict[str, list[str]]) -> list[str]:
    """Rows of text: names to the left, the other columns to the right."""
    table = [names, *columns.values()]
    widths = [max(map(len, column)) for column in table]
    rows = zip(*table, strict=True)
    return [
        "  ".join(
            f"{cell:<{width}}" if column == 0 else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def picture(path: str | Path, draw: Callable[[Any], Any]) -> None:
    from matplotlib.figure import Figure  # without pyplot: no window system is asked for

    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    draw(figure.subplots())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name in letters that the font lacks
        figure.savefig(path, dpi=150)
