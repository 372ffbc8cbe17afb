"""Lines: the loss, the fitted line and the parameters of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd import _core, _door
from fastgd._door import Array
from fastgd.plot._canvas import (
    COLOURS,
    DATA,
    LEGEND,
    NOTE,
    PATH,
    ROUNDS,
    Display,
    axes_for,
    batch_label,
    checked_data,
    checked_history,
    checked_result,
    clock,
    column_of,
    count,
    divergence_note,
    dots,
    drawable,
    keys_of,
    label_of,
    loss_label,
    note,
    open_frame,
    ramp,
    thin,
    whole_numbers,
)
from fastgd.result import FitResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.lines import Line2D


#: lines in one picture of parameters, and those that a legend can name
_LINES, _NAMED = 50, 10


class LossCurve(Display):
    """Of `loss_curve`; `lines_` are the curve, and that of the validation rows if there were any."""


@dataclass(frozen=True, eq=False, repr=False)
class FitLine(Display):
    """Of `fit_line`; `lines_` are those of the rounds, then the fitted one, for each output; `points_` the data."""

    points_: list[PathCollection]


class ParameterPath(Display):
    """Of `parameter_path`; `lines_` are one a parameter, then those of the closed form."""


def loss_curve(result: FitResult, ax: Any = None) -> LossCurve:
    """The recorded loss against epochs, or against steps if those were recorded.

    The axis of the loss is logarithmic where it spans more than two decades. Where a loss with kinks falls at once and
    then by ever smaller steps, it shows on a logarithmic scale how far above the lowest it lies. Where anything else
    falls in the first fiftieth of the epochs, these are spread out. Curves that are drawn on the same Axes get colours
    of their own, and labels for its legend.

    Parameters
    ----------
    result : FitResult
    ax : matplotlib Axes, optional
        None makes a figure.

    Returns
    -------
    LossCurve

    Raises
    ------
    ImportError, TypeError, ValueError
        Without matplotlib, or if an argument is wrong, or `result` has no history.

    Examples
    --------
    >>> import fastgd
    >>> x, y = fastgd.datasets.load_points()
    >>> display = fastgd.plot.loss_curve(fastgd.fit(x, y, lr=1e-4, epochs=20))
    >>> display.ax_.get_yscale(), display.ax_.get_ylabel()
    ('linear', 'loss (mse)')
    """
    history, axes = checked_history(result), axes_for(ax)
    at, unit = clock(result)
    loss = drawable(history.loss)
    kept = thin(loss)
    colour = COLOURS[len(axes.lines) % len(COLOURS)]
    lines = axes.plot(at[kept], loss[kept], color=colour, label=batch_label(result), **dots(len(kept)))
    if history.val_loss is not None:
        held_out = drawable(history.val_loss)
        label = f"{batch_label(result)}, validation rows"
        lines += axes.plot(at[kept], held_out[kept], color=colour, linestyle="--", label=label)
        axes.legend(**LEGEND)
    positive = loss[loss > 0]
    if len(positive) and positive.min() < positive.max() / 100:
        if axes.get_yscale() != "function":
            axes.set_yscale("log")
    elif result.status != "diverged" and _bent(loss, 0.5 if _kinked(result) else 0.02):
        _spread(axes, kinked=_kinked(result))
    if axes.get_yscale() == "log" and (loss == 0).any():
        note(axes, f"reaches 0, off the axis, at {unit} {at[loss == 0][0]}", 0.97, 0.95)
    if not np.isfinite(loss).any():
        note(axes, "beyond what a picture can hold", 0.97, 0.95)
    whole_numbers(axes, unit)
    label = f"loss ({loss_label(result.options)})"
    if axes.get_yscale() == "function":
        lowest = _above_lowest(axes)
        label += f" above {lowest:.6g}, the lowest"
    axes.set_ylabel(label)
    if result.status == "diverged":
        last = np.flatnonzero(np.isfinite(loss))[-1:].sum()
        side, ha = (-8, "right") if at[last] > np.mean(axes.get_xlim()) else (8, "left")  # where there is room
        style: dict[str, Any] = {"ha": ha, "va": "center", "fontsize": "small", "color": NOTE}
        axes.annotate(divergence_note(result), (at[last], loss[last]), (side, 0), textcoords="offset points", **style)
    return LossCurve(axes, axes.figure, lines)


def _kinked(result: FitResult) -> bool:
    return not _core.losses()[result.options["loss"][0]]["smooth"]


def _bent(loss: Array, share: float) -> bool:
    """Whether all but 1% of the fall lies in such a first share of many records, so that the rest looks flat."""
    seen = loss[np.isfinite(loss)]
    if len(seen) < 20 or not seen[0] > seen.min():
        return False
    fallen = seen <= seen.min() + 0.01 * (seen[0] - seen.min())
    first = int(np.argmax(fallen))
    return first <= share * len(seen) and first < len(seen) - 10


def _spread(axes: Axes, *, kinked: bool) -> None:
    """Room for what would be a corner."""
    if kinked and axes.get_yscale() == "linear":
        _above_lowest(axes)
    elif not kinked and axes.get_xscale() == "linear":
        axes.set_xscale("symlog", linthresh=1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlim(left=0)


def _above_lowest(axes: Axes) -> float:
    """A logarithmic scale of the distance from the lowest value of the lines, whose ticks tell that distance."""
    values = np.concatenate([np.asarray(line.get_ydata(orig=True), np.float64) for line in axes.lines])
    values = values[np.isfinite(values)]
    lowest, most = values.min(), np.ptp(values)
    above = values[values > lowest] - lowest
    least = max(above.min() / 2, 1e-12 * most)

    def up(height: Any) -> Any:
        return np.log10(np.maximum(np.asarray(height) - lowest, least))

    def back(power: Any) -> Any:
        return lowest + 10.0 ** np.asarray(power)

    axes.set_yscale("function", functions=(up, back))
    ends = int(np.ceil(np.log10(least))), int(np.floor(np.log10(most)))
    powers = range(ends[0], ends[1] + 1, 1 + (ends[1] - ends[0]) // 8)
    axes.set_yticks([lowest + 10.0**power for power in powers], [f"$10^{{{power}}}$" for power in powers])
    axes.set_ylim(lowest + least, lowest + 2 * most)
    return float(lowest)


def fit_line(X: Any, y: Any, result: FitResult, rounds: Iterable[int] | None = None, ax: Any = None) -> FitLine:
    """Data of one feature with the fitted line, and where it lay after some epochs.

    Parameters
    ----------
    X : array-like, shape (n,) or (n, 1)
    y : array-like, shape (n,) or (n, K)
        With K columns, each has its colour.
    result : FitResult
    rounds : iterable of int, optional
        Numbers of finished epochs: the line of the first record with so many is drawn as well.
    ax : matplotlib Axes, optional
        None makes a figure.

    Returns
    -------
    FitLine

    Raises
    ------
    ImportError, TypeError, ValueError
        Without matplotlib, or if an argument is wrong, X has more than one feature or a round was not recorded.

    Examples
    --------
    >>> import fastgd
    >>> x, y = fastgd.datasets.load_points()
    >>> result = fastgd.fit(x, y, lr=1e-4, epochs=20)
    >>> display = fastgd.plot.fit_line(x, y, result, rounds=[1, 3])
    >>> [line.get_label() for line in display.lines_]
    ['after 1 epoch', 'after 3 epochs', 'fitted: 1.479 x + 0.03027']
    """
    rows, targets = checked_data(X, y, result)
    if rows.shape[1] != 1:
        raise ValueError(f"X must have one feature for a line, got {rows.shape[1]}")
    records = [] if rounds is None else _records(result, rounds)
    axes = axes_for(ax)
    x, ends = rows[:, 0].astype(np.float64), np.array([rows.min(), rows.max()], dtype=np.float64)
    if ends[0] == ends[1]:
        ends = ends + np.array([-0.5, 0.5]) * (abs(ends[0]) or 1.0)
    outputs: list[int | None] = [None] if targets.ndim == 1 else list(range(targets.shape[1]))
    some = np.unique(np.linspace(0, len(x) - 1, 5000).astype(np.intp))
    points, lines = [], []
    for k in outputs:
        own = DATA if k is None else COLOURS[k % len(COLOURS)]
        of = "" if k is None else f", output {k}"
        heights = targets[some] if k is None else targets[some, k]
        points.append(axes.scatter(x[some], heights, s=16, color=own, alpha=0.6, linewidths=0))
        shades = ramp(ROUNDS, len(records)) if k is None else [own] * len(records)
        for (epoch, record), shade in zip(records, shades, strict=True):
            w, b = (column_of(result.history, (k, j))[record] for j in (0, "intercept"))
            label = (f"after {count(epoch, 'epoch')}" if epoch else "start") + of
            with np.errstate(all="ignore"):
                heights = drawable(w * ends + b)
            lines += axes.plot(ends, heights, color=shade, lw=1.4, ls="-" if k is None else ":", label=label)
        w, b = (float(column_of(result, (k, j))) for j in (0, "intercept"))
        label = f"fitted: {w:.4g} x {'-' if b < 0 else '+'} {abs(b):.4g}{of}"
        lines += axes.plot(ends, w * ends + b, color=PATH if k is None else own, lw=2, label=label)
    reach = np.concatenate([line.get_ydata(orig=True) for line in lines])
    low, span = targets.min(), np.ptp(targets) or 1.0
    if (outside := np.abs(reach - low - span / 2) > 2 * span).any():  # wild lines must not flatten the data
        inside = np.append(reach[~outside & np.isfinite(reach)], [low, low + span])
        axes.set_ylim(inside.min() - span / 4, inside.max() + span / 4)
        if outside[-2:].all() and result.status != "diverged":
            note(axes, "the fitted line lies outside: is X in the units of the fit?", 0.97, 0.05)
    if len(lines) <= _NAMED:
        rising = np.mean(np.ravel(result.coef)) >= 0
        axes.legend(loc="upper left" if rising else "upper right", **LEGEND)
    if len(some) < len(x):
        note(axes, f"{len(some)} of {len(x)} rows", 0.97, 0.1)
    if result.status == "diverged":
        note(axes, f"{divergence_note(result)}; the line is that of the best epoch", 0.97, 0.05)
    axes.set(xlabel="x", ylabel="y")
    open_frame(axes)
    return FitLine(axes, axes.figure, lines, points)


def parameter_path(result: FitResult, ax: Any = None, *, closed_form: FitResult | None = None) -> ParameterPath:
    """Coefficients and intercept against epochs, or against steps if those were recorded.

    Of many parameters, those that moved furthest.

    Parameters
    ----------
    result : FitResult
    ax : matplotlib Axes, optional
        None makes a figure.
    closed_form : FitResult, optional
        A dashed line in the same colour says where each parameter ought to end.

    Returns
    -------
    ParameterPath

    Raises
    ------
    ImportError, TypeError, ValueError
        Without matplotlib, or if an argument is wrong, or `result` has no history.

    Examples
    --------
    >>> import fastgd
    >>> x, y = fastgd.datasets.load_points()
    >>> result = fastgd.fit(x, y, lr=1e-4, epochs=20)
    >>> display = fastgd.plot.parameter_path(result, closed_form=fastgd.closed_form(x, y))
    >>> [line.get_label() for line in display.lines_[:2]]
    ['coef', 'intercept']
    """
    history = checked_history(result)
    if closed_form is not None and checked_result(closed_form, "closed_form").coef.shape != result.coef.shape:
        raise ValueError(f"closed_form must have coef of shape {result.coef.shape}, got {closed_form.coef.shape}")
    axes = axes_for(ax)
    at, unit = clock(result)
    columns = [(key, drawable(column_of(history, key))) for key in keys_of(result)]
    count = len(columns)
    if count > _LINES:
        furthest = np.argsort([-np.ptp(column[np.isfinite(column)]) for _, column in columns], kind="stable")
        columns = [columns[i] for i in np.sort(furthest[:_LINES])]
        note(axes, f"the {_LINES} of {count} parameters that moved furthest", 0.97, 0.05)
    lines: list[Line2D] = []
    dashed: list[Line2D] = []
    for i, (key, column) in enumerate(columns):
        kept, colour = thin(column), COLOURS[i % len(COLOURS)]
        lines += axes.plot(at[kept], column[kept], color=colour, label=label_of(result, key), **dots(len(kept)))
        if closed_form is not None:
            dashed.append(
                axes.axhline(float(column_of(closed_form, key)), color=colour, ls="--", lw=1, label="closed form")
            )
    if result.status == "diverged":
        size = np.abs(np.array([column for _, column in columns]))
        first = np.nanmax(size[:, :2]) or 1.0
        if np.nanmax(size) > 1e3 * first:
            axes.set_yscale("symlog", linthresh=first)
        note(axes, divergence_note(result), 0.03, 0.95)
    if len(columns) <= _NAMED:
        wide = {"ncols": 2, "fontsize": "small"} if len(columns) > 3 else {}  # lines run above and below it
        axes.legend(handles=lines + dashed[:1], loc="best", **LEGEND | wide)
    whole_numbers(axes, unit)
    axes.set_ylabel("parameter" if len(columns) > 1 else label_of(result, columns[0][0]))
    return ParameterPath(axes, axes.figure, lines + dashed)


def _records(result: FitResult, rounds: Any) -> list[tuple[int, int]]:
    """Each round with its first record."""
    epochs = checked_history(result).epoch
    if isinstance(rounds, str) or not np.iterable(rounds):
        raise TypeError(f"rounds must be an iterable of epochs, got {rounds!r}")
    found = []
    for value in rounds:
        epoch = _door.integer(value, "each of rounds", low=0)
        record = int(np.searchsorted(epochs, epoch))
        if record == len(epochs) or epochs[record] != epoch:
            raise ValueError(f"rounds must be recorded epochs, of {epochs[0]} to {epochs[-1]}, got {epoch}")
        found.append((epoch, record))
    return found
