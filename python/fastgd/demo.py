"""Demo: the main job on real input, three ways, beside the exact answer and the reference."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastgd
from fastgd.report import GET_PLOT, aligned, picture
from fastgd.result import FitResult
from fastgd.table import Table, read

#: table, way, options
_FITS: list[tuple[str, str, dict[str, Any]]] = [
    ("points", "full batch", {"lr": 1e-4, "epochs": 1000}),
    ("points", "batches of 10", {"lr": 1e-4, "epochs": 100, "batch_size": 10}),
    ("points", "single rows", {"lr": 1e-5, "epochs": 100, "batch_size": 1}),
    ("penguins", "full batch", {"lr": 0.1, "epochs": 200}),
    ("penguins", "batches of 32", {"lr": 0.01, "epochs": 100, "batch_size": 32}),
    ("penguins", "single rows", {"lr": 5e-4, "epochs": 100, "batch_size": 1}),
]


def demo(out: Path) -> None:
    """Fit points and penguins, print a table, draw into the folder `out`."""
    points, penguins = read("points"), read("penguins")
    standardised = (penguins.X - penguins.X.mean(axis=0)) / penguins.X.std(axis=0)
    data = {"points": (points.X, points.y), "penguins": (standardised, penguins.y)}
    print("Gradient descent on real data, three ways each, with loss mse and rng=0. The reference is the same")
    print("algorithm in plain NumPy, given the same rows in the same order.\n")
    print("points    100 points about a line: y from x as it is")
    print(f"penguins  {penguins.target} of {len(penguins.y)} penguins from {', '.join(penguins.features)},")
    print("          each feature standardised by hand: (X - mean) / std\n")

    best = {name: fastgd.closed_form(X, y) for name, (X, y) in data.items()}
    found = [fastgd.compare(*data[name], rng=0, **options) for name, _, options in _FITS]
    results = [comparison.result for comparison in found]
    heads = {
        "lr": [f"{result.lr:g}" for result in results],
        "epochs": [str(result.n_epochs) for result in results],
        "start/loss": [f"{result.history.loss[0]:.2f}" for result in results],
        "end/loss": [f"{result.loss:.2f}" for result in results],
        "closed/form": [f"{best[name].loss:.2f}" for name, _, _ in _FITS],
        "difference/from the/reference": [f"{comparison.max_difference:.0e}" for comparison in found],
        "speed: times/the NumPy/reference": [f"{comparison.ratio:.0f}" for comparison in found],
    }
    columns = {head: ["", "", "", *head.split("/")][-3:] + cells for head, cells in heads.items()}
    lines = aligned(["", "", "", *(f"{name:<8}  {way}" for name, way, _ in _FITS)], columns)
    lines.insert(3, "-" * max(map(len, lines)))
    print(*lines, sep="\n")

    first, exact = results[0], best["points"]
    lesson = (
        f"The first row is the answer of many a tutorial, and not the optimum: after {first.n_steps} steps the "
        f"intercept is {first.intercept:.3f} where the optimum has {exact.intercept:.2f}, and the slope is "
        f"{first.coef[0]:.3f} where it has {exact.coef[0]:.3f}."
    )
    print("", *textwrap.wrap(lesson, 98), "", sep="\n")
    _pictures(out, points, best["points"], results)


def _pictures(out: Path, points: Table, best: FitResult, results: list[FitResult]) -> None:
    try:
        import matplotlib  # noqa: F401

        from fastgd import plot
    except ImportError:
        print(f"With matplotlib there are pictures too: {GET_PLOT}")
        return

    def line(ax: Any) -> None:
        plot.fit_line(points.X, points.y, results[0], rounds=[1, 3, 5], ax=ax)

    def losses(ax: Any) -> None:
        for result in results[3:]:
            plot.loss_curve(result, ax=ax)
        ax.legend()

    def valley(ax: Any) -> None:
        path = fastgd.gradient_descent(lambda x: 2 * x, 5.0, lr=0.9, steps=15)
        plot.descent(lambda x: x**2, path, ax=ax)

    pictures: dict[str, tuple[str, Callable[[Any], Any]]] = {
        "points-line.png": ("the fitted line after 1, 3, 5 and 1000 steps", line),
        "points-parameters.png": (
            "where its two parameters are, and where they ought to be",
            lambda ax: plot.parameter_path(results[0], ax=ax, closed_form=best),
        ),
        "points-surface.png": (
            "the path on the surface of the loss",
            lambda ax: plot.loss_surface(points.X, points.y, results[0], ax=ax),
        ),
        "penguins-loss.png": ("the loss of the penguins, three ways", losses),
        "parabola.png": ("x^2 from 5 at a rate of 0.9: it swings, and arrives", valley),
    }
    out.mkdir(parents=True, exist_ok=True)
    print(f"Pictures in {out}{os.sep}")
    for name, (caption, draw) in pictures.items():
        picture(out / name, draw)
        print(f"  {name:<22}  {caption}")
