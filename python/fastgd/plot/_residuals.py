"""Residuals: what a fit left of its targets, and whether that is noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._door import Array
from fastgd.plot._canvas import (
    COLOURS,
    DATA,
    LEGEND,
    NOTE,
    PATH,
    Display,
    axes_for,
    checked_data,
    divergence_note,
    drawable,
    note,
    open_frame,
)
from fastgd.result import FitResult

if TYPE_CHECKING:
    from matplotlib.collections import PathCollection

#: points in one picture, and the fewest that have a trend
_POINTS, _FEW = 5000, 10
#: residuals that are no more than this share of the largest target are rounding
_ROUNDING = 1e-12
#: share of the points that a place of the trend looks at, and places
_WINDOW, _PLACES = 0.5, 60


@dataclass(frozen=True, eq=False, repr=False)
class Residuals(Display):
    """Of `residuals`; `lines_` are the trends, one an output, then the line at zero; `points_` the residuals."""

    points_: list[PathCollection]


def residuals(X: Any, y: Any, result: FitResult, ax: Any = None) -> Residuals:
    """Residuals `y - prediction` against predictions, with their trend: a straight line at zero if all was found.

    Parameters
    ----------
    X : array-like, shape (n, d), or (n,) for one feature
    y : array-like, shape (n,) or (n, K)
        With K columns, each has its colour.
    result : FitResult
    ax : matplotlib Axes, optional
        None makes a figure.

    Returns
    -------
    Residuals

    Raises
    ------
    ImportError, TypeError, ValueError
        Without matplotlib, or if an argument is wrong.

    Notes
    -----
    The trend is a local straight line through the nearest half of the points, weighted by the tricube of the distance
    (Cleveland, "Robust Locally Weighted Regression and Smoothing Scatterplots", 1979, without the robust part). Of
    many rows, 5000 evenly spread ones are shown. Residuals within 1e-12 of the largest target are rounding, and have
    no trend.

    Examples
    --------
    >>> import fastgd
    >>> x, y = fastgd.datasets.load_points()
    >>> display = fastgd.plot.residuals(x, y, fastgd.closed_form(x, y))
    >>> [line.get_label() for line in display.lines_]
    ['trend', '_zero']
    """
    rows, targets = checked_data(X, y, result)
    axes = axes_for(ax)
    some = np.unique(np.linspace(0, len(rows) - 1, _POINTS).astype(np.intp))
    with np.errstate(all="ignore"):
        raw = result.predict(rows[some]).reshape(len(some), -1)
        left = drawable(targets[some].reshape(raw.shape) - raw)
    raw = drawable(raw)
    most = float(np.abs(targets).max())
    rounding = float(np.nanmax(np.abs(left), initial=0.0)) <= _ROUNDING * most
    single, points, lines = targets.ndim == 1, [], []
    alpha = 0.6 if len(some) <= 1000 else 0.25
    for k in range(raw.shape[1]):
        own = DATA if single else COLOURS[k % len(COLOURS)]
        points.append(axes.scatter(raw[:, k], left[:, k], s=16, color=own, alpha=alpha, linewidths=0))
        at, trend = _trend(raw[:, k], left[:, k]) if not rounding else (np.empty(0), np.empty(0))
        label = "trend" if single else f"trend, output {k}"
        lines += axes.plot(at, trend, color=PATH if single else own, lw=2.2, label=label, zorder=3)
    zero = axes.axhline(0.0, color=NOTE, lw=1, ls="--", label="_zero", zorder=2)
    low, high = np.nanmin(left, initial=0.0), np.nanmax(left, initial=0.0)
    if rounding and most:
        axes.set_ylim(-_ROUNDING * most, _ROUNDING * most)
        note(axes, "0 but for rounding", 0.03, 0.95)
    elif high > low:
        axes.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
    if raw.shape[1] <= 10 and any(len(line.get_xdata()) for line in lines):  # type: ignore[arg-type]
        axes.legend(loc="upper left", **LEGEND)
    if len(some) < len(rows):
        note(axes, f"{len(some)} of {len(rows)} rows", 0.97, 0.1 if result.status == "diverged" else 0.04)
    if result.status == "diverged":
        note(axes, f"{divergence_note(result)}; residuals of the best epoch", 0.97, 0.04)
    axes.set(xlabel="prediction", ylabel="residual (y - prediction)")
    open_frame(axes)
    return Residuals(axes, axes.figure, [*lines, zero], points)


def _trend(x: Array, y: Array) -> tuple[Array, Array]:
    """Places along x and the local straight lines' heights there; nothing where the points are few, or at one place."""
    good = np.isfinite(x) & np.isfinite(y)
    order = np.argsort(x[good], kind="stable")
    x, y = x[good][order], y[good][order]
    unit = np.ptp(x) if len(x) else 0.0
    if len(x) < _FEW or not unit > 1e-12 * np.abs(x).max():
        return np.empty(0), np.empty(0)
    near = max(int(_WINDOW * len(x)), _FEW)
    places = np.linspace(x[0], x[-1], _PLACES)
    heights = np.empty(_PLACES)
    for i, place in enumerate(places):
        away = (x - place) / unit
        wide = np.partition(np.abs(away), near - 1)[near - 1] or 1.0
        weight = (1 - np.minimum(np.abs(away) / (1.001 * wide), 1.0) ** 3) ** 3
        weight /= weight.sum()
        mean, middle = weight @ y, weight @ away
        spread = weight @ (away - middle) ** 2
        slope = weight @ ((away - middle) * (y - mean)) / spread if spread > 1e-12 * wide**2 else 0.0
        heights[i] = mean - slope * middle
    return places, heights
