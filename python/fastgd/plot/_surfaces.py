"""Surfaces: the function that is descended, with the path on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastgd import _core, _door
from fastgd._descent import Path
from fastgd._door import Array
from fastgd._parts import loss_and_gradient
from fastgd.plot._canvas import (
    COLOURS,
    DEPTHS,
    LARGEST,
    LEGEND,
    PATH,
    Display,
    Key,
    axes_for,
    checked_data,
    checked_history,
    clock,
    column_of,
    dots,
    drawable,
    keys_of,
    label_of,
    open_frame,
    ramp,
    thin,
)
from fastgd.result import FitResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.contour import QuadContourSet
    from matplotlib.lines import Line2D


#: a path that climbs so many times its first height has left the picture
_CLIMB = 10.0
#: heights beyond it are drawn in units of their own
_TALL = 1e200


@dataclass(frozen=True, eq=False, repr=False)
class LossSurface(Display):
    """Of `loss_surface`; `lines_` are the path, its start, its end if it lies inside, and the minimum if known."""

    contour_: QuadContourSet


@dataclass(frozen=True, eq=False, repr=False)
class Descent(Display):
    """Of `descent`; `lines_` are the path, its start, its end if it lies inside, and in one dimension the curve."""

    contour_: QuadContourSet | None


def loss_surface(
    X: Any,
    y: Any,
    result: FitResult,
    ax: Any = None,
    *,
    parameters: tuple[Any, Any] | None = None,
    sample_weight: Any = None,
) -> LossSurface:
    """The objective over two parameters, as a contour, with the recorded path on it.

    Parameters
    ----------
    X : array-like, shape (n, d), or (n,) for one feature
    y : array-like, shape (n,) or (n, K)
    result : FitResult
        Its loss and penalties make the surface.
    ax : matplotlib Axes, optional
        None makes a figure.
    parameters : pair, optional
        Which two, where the model has more: a feature's index or "intercept"; for y of shape (n, K), (output, that).
        The others are held at the result's values.
    sample_weight : array-like, shape (n,), optional
        The weights of the fit.

    Returns
    -------
    LossSurface

    Raises
    ------
    ImportError, TypeError, ValueError
        Without matplotlib, or if an argument is wrong, `result` has no history or the two parameters are not clear.

    Notes
    -----
    A squared loss is a quadratic, known from its minimum and second derivatives: three gradients, whatever the number
    of rows. Any other is evaluated at each of 2500 points. A path that climbs out of the picture is drawn up to there.

    Examples
    --------
    >>> import fastgd
    >>> x, y = fastgd.datasets.make_line(rng=0)
    >>> result = fastgd.fit(x, y, lr=0.02, epochs=100)
    >>> display = fastgd.plot.loss_surface(x, y, result)
    >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
    ('coef', 'intercept')
    """
    return surface_of(X, y, result, ax, parameters, sample_weight)


def surface_of(
    X: Any, y: Any, result: FitResult, ax: Any, parameters: Any, sample_weight: Any, shown: int | None = None
) -> LossSurface:
    """As `loss_surface`; or with just so many records, all of them in the picture however far they climb."""
    rows, targets = checked_data(X, y, result)
    history, keys = checked_history(result), _two(result, parameters)
    value, lowest = _objective(X, y, result, keys, sample_weight)
    axes = axes_for(ax)
    path = np.stack([column_of(history, key) for key in keys], axis=1)[:shown]
    units = [_unit(rows, targets, key) for key in keys]
    lines, contour = _landscape(axes, value, path, lowest, *clock(result), units=units, whole=shown is not None)
    axes.set(xlabel=label_of(result, keys[0]), ylabel=label_of(result, keys[1]))
    return LossSurface(axes, axes.figure, lines, contour)


def descent(fun: Callable[[Any], float], path: Path, ax: Any = None) -> Descent:
    """A function of one or two variables with the path of a descent on it: as a curve, or as a contour.

    Parameters
    ----------
    fun : callable
        Gets a float, or an array of shape (d,) if the path's start was one.
    path : Path
        Of `fastgd.gradient_descent`, with a scalar start or d <= 2.
    ax : matplotlib Axes, optional
        None makes a figure.

    Returns
    -------
    Descent

    Raises
    ------
    ImportError, TypeError, ValueError
        Without matplotlib, or if an argument is wrong or the path has more than two dimensions.

    Notes
    -----
    A path that climbs out of the picture is drawn up to there. Where `fun` raises a ValueError or an ArithmeticError,
    the picture has a gap.

    Examples
    --------
    >>> import fastgd
    >>> path = fastgd.gradient_descent(lambda x: 2 * x, 5.0, lr=0.3, steps=15)
    >>> display = fastgd.plot.descent(lambda x: x**2, path)
    >>> display.lines_[0].get_xdata()[:3]
    array([5. , 2. , 0.8])
    """
    if not callable(fun):
        raise TypeError(f"fun must be callable, got {fun!r}")
    if not isinstance(path, Path):
        raise TypeError(f"path must be the Path of fastgd.gradient_descent, got {type(path).__name__}")
    scalar, x = path.x.ndim == 1, path.x.reshape(len(path.x), -1)
    if x.shape[1] > 2:
        raise ValueError(f"path must have one or two dimensions for a picture, got {x.shape[1]}")
    axes = axes_for(ax)

    def values(points: Array) -> Array:
        found = np.full(len(points), np.nan)
        for i, point in enumerate(points):
            try:
                answer = fun(float(point[0]) if scalar else point.copy())
            except (ValueError, ArithmeticError):  # not defined there
                continue
            number = _door.real_array(answer, "fun(x)")
            if number.size != 1:
                raise ValueError(f"fun(x) must be a number, got shape {number.shape}")
            found[i] = number.item()
        return found

    contour = None
    if x.shape[1] == 2:
        lines, contour = _landscape(axes, values, x, None, np.arange(len(x)), "step")
        axes.set(xlabel="x[0]", ylabel="x[1]")
    else:
        kept = thin(x[:, 0])
        with np.errstate(all="ignore"):
            heights = values(x[kept])
        inside, drawn = _inside(heights)
        before = axes.get_xlim() if axes.has_data() else ()  # several paths share one curve
        grid = np.linspace(*_around(np.append(_around(x[kept[:inside], 0], 0.2), before), 0.0), 400)
        with np.errstate(all="ignore"):
            curve = axes.plot(grid, drawable(values(grid[:, None])), color=COLOURS[0], lw=1.5, zorder=1)
        leaves = None if inside == len(kept) else f"step {kept[inside - 1]}"
        lines = _track(axes, x[kept[:drawn], 0], heights[:drawn], leaves) + curve
        if leaves:
            axes.set_xlim(grid[0], grid[-1])
            axes.set_ylim(*_around(np.append(heights[:inside], curve[0].get_ydata(orig=True)), 0.05))
        axes.set(xlabel="x", ylabel="f(x)")
        axes.legend(loc="best", **LEGEND)
        open_frame(axes)
    return Descent(axes, axes.figure, lines, contour)


def _two(result: FitResult, parameters: Any) -> list[Key]:
    """The two parameters that span a surface."""
    keys = keys_of(result)
    if parameters is None and len(keys) == 2:
        return keys
    one = result.coef.ndim == 1
    names = ", ".join(repr(j if one else (k, j)) for k, j in keys[:4]) + (", ..." if len(keys) > 4 else "")
    wrong = f"parameters must be two different ones of {names}, got {parameters!r}"
    if not isinstance(parameters, (tuple, list)) or len(parameters) != 2:
        raise ValueError(wrong)
    chosen: list[Key] = [(None, given) if one else given for given in parameters]
    if any(key not in keys for key in chosen) or chosen[0] == chosen[1]:
        raise ValueError(wrong)
    return chosen


def _objective(
    X: Any, y: Any, result: FitResult, keys: list[Key], sample_weight: Any
) -> tuple[Callable[[Array], Array], Array | None]:
    """The objective as a function of points (m, 2), and its minimum if that is known."""
    loss, l1, l2 = (result.options[name] for name in ("loss", "l1", "l2"))

    def at(point: Array, y: Any = y, *, bare: bool = False) -> tuple[float, Array]:
        kept = 0.0 if bare else 1.0  # the other parameters
        place = SimpleNamespace(coef=kept * result.coef, intercept=np.array(kept * result.intercept, np.float64))
        for (k, j), number in zip(keys, point, strict=True):
            if j == "intercept":
                place.intercept[() if k is None else k] = number
            else:
                place.coef[j if k is None else (k, j)] = number
        value, *gradient = loss_and_gradient(
            X, y, place.coef, place.intercept, loss=loss, l2=l2, sample_weight=sample_weight
        )
        slope = SimpleNamespace(coef=gradient[0], intercept=gradient[1])
        return value + l1 * float(np.abs(place.coef).sum()), np.array([float(column_of(slope, key)) for key in keys])

    if not _core.losses()[loss[0]]["squared"]:
        return lambda points: np.array([at(point)[0] if np.isfinite(point).all() else np.inf for point in points]), None
    here = np.array([float(column_of(result, key)) for key in keys])
    _, gradient = at(here)
    hessian = np.array([at(side, 0 * np.asarray(y), bare=True)[1] for side in np.eye(2)])  # y has no part in it
    scale = np.sqrt(np.where(np.diag(hessian) > 0, np.diag(hessian), 1.0))
    inverse = np.linalg.pinv(hessian / np.outer(scale, scale), rcond=1e-12)  # a valley without end: its nearest point
    lowest = here - (inverse @ (gradient / scale)) / scale
    sides = np.array([0.0 if j == "intercept" else l1 for _, j in keys])
    bottom = at(lowest)[0] - np.abs(lowest) @ sides

    def value(points: Array) -> Array:
        away = points - lowest
        return np.asarray(bottom + 0.5 * ((away @ hessian) * away).sum(axis=1) + np.abs(points) @ sides)

    return value, None if l1 else lowest


def _landscape(
    axes: Axes,
    value: Callable[[Array], Array],
    path: Array,
    lowest: Array | None,
    at: NDArray[np.integer[Any]],
    unit: str,
    *,
    units: Sequence[float] = (0.0, 0.0),
    whole: bool = False,
) -> tuple[list[Line2D], QuadContourSet]:
    """A contour with a path of shape (records, 2) on it; what moves by far less than `units` rests.

    A path that climbs out leaves the picture, unless it is wanted as a `whole`.
    """
    kept = np.union1d(thin(path[:, 0]), thin(path[:, 1]))
    path = path[kept]
    with np.errstate(all="ignore"):
        if (tall := abs(float(value(path[:1])[0])) / _TALL) > 1:
            high, value = value, lambda points: np.asarray(high(points) / tall)
        inside, drawn = (len(path), len(path)) if whole else _inside(value(path))
        shown = path[:inside] if lowest is None else np.vstack([path[:inside], lowest])
        u, v = (np.linspace(*_around(shown[:, i], 0.15, units[i]), 50 if lowest is None else 200) for i in (0, 1))
        grid = np.stack(np.meshgrid(u, v), axis=-1)
        heights = drawable(value(grid.reshape(-1, 2)).reshape(grid.shape[:2]))
    bottom = np.nanmin(heights) if lowest is None else float(value(lowest[None])[0])
    # Evenly spaced in the root of the height: the rings of a bowl are then equally wide.
    span = max(np.nanmax(heights) - bottom, 1e-9 * abs(bottom)) or 1.0
    levels = bottom + span * np.linspace(0, 1, 15) ** 2
    contour = axes.contourf(u, v, heights, levels=levels, colors=ramp(DEPTHS, 14)[::-1])
    if np.nanmax(heights) > levels[1]:
        axes.contour(u, v, heights, levels=levels[1:], colors="white", linewidths=0.6)
    leaves = None if inside == len(kept) else f"{unit} {at[kept[inside - 1]]}"
    lines = _track(axes, path[:drawn, 0], path[:drawn, 1], leaves)
    if lowest is not None:
        lines += axes.plot(*lowest[:, None], ls="", marker="+", ms=10, mew=2, color="black", zorder=5, label="minimum")
    axes.set(xlim=(u[0], u[-1]), ylim=(v[0], v[-1]))
    axes.legend(loc="best", **LEGEND)
    return lines, contour


def _track(axes: Axes, x: Array, y: Array, leaves: str | None) -> list[Line2D]:
    """A path, its start hollow, its end full; or else a label that says when it left the picture."""
    named = {line.get_label() for line in axes.lines}
    start, end = (f"{'_' if name in named else ''}{name}" for name in ("start", "end"))
    label = f"leaves after {leaves}" if leaves else "_path"
    lines = axes.plot(x, y, color=PATH, zorder=3, label=label, **(dots(len(x), 60) or {"lw": 0.9}))
    lines += axes.plot(x[:1], y[:1], "o", ms=7, mfc="white", mec=PATH, mew=1.6, zorder=4, label=start)
    return lines if leaves else lines + axes.plot(x[-1:], y[-1:], "o", ms=7, color=PATH, zorder=4, label=end)


def _inside(heights: Array) -> tuple[int, int]:
    """How many records of a path fit a picture, and how many to draw so that one sees it leave."""
    if not np.isfinite(heights).any():
        raise ValueError("path must pass where the function is finite, got none such point")
    with np.errstate(all="ignore"):
        scale = np.fmax(heights[0] - np.nanmin(heights), np.abs(heights[0])) or np.abs(heights[:2] - heights[0]).max()
        out = ~(heights <= np.fmin(heights[0] + _CLIMB * scale, LARGEST))
    out[0] = False
    inside = int(np.argmax(out)) if out.any() else len(heights)
    return inside, inside + int(inside < len(heights) and bool(np.abs(heights[inside]) < LARGEST))


def _unit(rows: Any, targets: Array, key: Key) -> float:
    """How large a parameter is by the sizes of its column and of y: far smaller numbers are rounding."""
    j = key[1]
    across = 1.0 if j == "intercept" else float(np.abs(rows[:, j]).max())
    with np.errstate(all="ignore"):
        unit = float(np.abs(targets).max()) / across if across else 0.0
    return unit if unit <= LARGEST else 0.0


def _around(values: Array, margin: float, unit: float = 0.0) -> tuple[float, float]:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    span = high - low
    largest = max(abs(low), abs(high))
    if span <= max(1e-6 * largest, 1e-9 * unit):  # a point: a picture about it as large as its numbers
        span = max(largest, unit) or 1.0
    return low - margin * span, high + margin * span
