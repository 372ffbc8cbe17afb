"""Animate: the fit as it moves, step by step, beside the loss that falls."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._door import Array
from fastgd._file import write_whole
from fastgd.plot._canvas import (
    COLOURS,
    LARGEST,
    NOTE,
    PATH,
    Display,
    ask_for_matplotlib,
    axes_for,
    checked_data,
    checked_history,
    clock,
    column_of,
    divergence_note,
    drawable,
    keys_of,
    open_frame,
)
from fastgd.plot._film import HELD, gif, images_of, pace, page
from fastgd.plot._lines import fit_line, loss_curve
from fastgd.plot._surfaces import surface_of
from fastgd.result import FitResult

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

#: frames, and how many of the first records have one of their own
_FRAMES, _EARLY = 60, 16
#: a loss that grew so many-fold has left the picture; so many records more are shown, if it grew by less than that
_GONE, _SOME, _FAR = 10.0, 3, 1e6
#: points of a cloud of predictions
_POINTS = 500

#: shows one record
Draw = Callable[[int], None]


@dataclass(frozen=True, eq=False, repr=False)
class Animation(Display):
    """Of `animate`; `ax_` is the left Axes and `right_` the other, `lines_` are those that move.

    Attributes
    ----------
    animation : matplotlib.animation.FuncAnimation
    records_ : list of int
        Which records of the history have a frame.
    """

    right_: Axes
    animation: FuncAnimation
    records_: list[int]
    _show: Draw

    def _repr_html_(self) -> str:
        return page(images_of(self))

    def __repr__(self) -> str:
        return f"Animation: {len(self.records_)} frames, in animation; its axes are ax_ and right_ of figure_"


def animate(
    X: Any,
    y: Any,
    result: FitResult,
    path: str | os.PathLike[str] | None = None,
    ax: Any = None,
    *,
    sample_weight: Any = None,
) -> Animation:
    """A run in motion: the line and the loss surface, with the path on it, as they were at each record.

    With more than one feature, predictions against targets take the place of the line; with more than two parameters
    the loss curve that of the surface.

    Parameters
    ----------
    X : array-like, shape (n, d), or (n,) for one feature
    y : array-like, shape (n,) or (n, K)
    result : FitResult
        With a history.
    path : str or path-like, optional
        Where to save it: a GIF, or a page of HTML with a slider, by its ending `.gif`, `.html` or `.htm`. An existing
        file is replaced, once the new one is whole.
    ax : pair of matplotlib Axes, optional
        Of one figure; None makes one.
    sample_weight : array-like, shape (n,), optional
        The weights of the fit.

    Returns
    -------
    Animation
        A notebook shows it with a slider.

    Raises
    ------
    ImportError, TypeError, ValueError, OSError
        Without matplotlib, if an argument is wrong, or if the file cannot be written.

    Notes
    -----
    At most 60 records have a frame: the first 16, then ever fewer, as ever less moves. A run that diverges is shown
    until its loss has grown tenfold, or for its first four records, and the axes hold all of these.

    Examples
    --------
    >>> import fastgd
    >>> x, y = fastgd.datasets.make_line(rng=0)
    >>> result = fastgd.fit(x, y, lr=0.02, epochs=100)
    >>> fastgd.plot.animate(x, y, result)
    Animation: 58 frames, in animation; its axes are ax_ and right_ of figure_
    """
    rows, targets = checked_data(X, y, result)
    checked_history(result)
    ending = None if path is None else _ending(path)
    left, right = _pair(ax)
    records = _records(result)
    moving = [
        *_on_the_left(left, rows, targets, result, records),
        *_on_the_right(right, X, y, result, sample_weight, records),
    ]

    def show(record: int) -> None:
        for _, draw in moving:
            draw(record)

    figure = left.figure.figure  # of a part of a figure, the whole
    made = Animation(left, figure, [line for line, _ in moving], right, _running(figure, show, records), records, show)
    show(records[-1])
    if path is not None:
        write_whole(path, gif(images_of(made)) if ending == ".gif" else page(images_of(made), whole=True).encode())
    return made


def _ending(path: Any) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a str or path-like, got {path!r}")
    ending = Path(path).suffix.lower()
    if ending not in (".gif", ".html", ".htm"):
        raise ValueError(f"path must end in .gif, .html or .htm, got {os.fspath(path)!r}")
    folder = Path(path).parent
    if not folder.is_dir():  # told before the work
        raise FileNotFoundError(f"path must lie in a folder that exists, got {os.fspath(path)!r}")
    return ending


def _pair(ax: Any) -> tuple[Axes, Axes]:
    if ax is None:
        ask_for_matplotlib()
        from matplotlib import pyplot

        _, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
        return left, right
    if isinstance(ax, (str, bytes)) or not np.iterable(ax) or len(pair := list(ax)) != 2:
        raise TypeError(f"ax must be a pair of matplotlib Axes or None, got {type(ax).__name__}")
    left, right = (axes_for(one) for one in pair)
    if left.figure is not right.figure or left is right:
        raise ValueError("ax must be two different Axes of one figure")
    return left, right


def _records(result: FitResult) -> list[int]:
    """Those that get a frame."""
    loss = np.abs(result.history.loss)
    last = len(loss) - 1
    if result.status == "diverged":
        least = max(loss[0], loss[np.isfinite(loss)].min(initial=np.inf))
        near, seen, drawn = (_before(loss, most) for most in (_GONE * least, _FAR * least, LARGEST))
        last = max(near, min(seen, _SOME), min(drawn, 1))
    if last < _FRAMES:
        return list(range(last + 1))
    later = np.geomspace(_EARLY, last, _FRAMES - _EARLY).round()
    return [int(record) for record in np.unique(np.concatenate([np.arange(_EARLY), later]))]


def _before(loss: Array, most: float) -> int:
    """The last record before the loss first is larger than that."""
    gone = ~(loss <= most)
    return (int(np.argmax(gone)) if gone.any() else len(loss)) - 1


def _reach(targets: Array, rows: Any, result: FitResult, records: list[int]) -> tuple[float, float]:
    """Heights about the targets, and where the predictions begin if that is near; all of them if they diverge."""
    history, away = result.history, result.status == "diverged"
    some = rows[np.unique(np.linspace(0, len(rows) - 1, _POINTS).astype(np.intp))]
    low, high = float(targets.min()), float(targets.max())
    span = (high - low) or abs(high) or 1.0
    with np.errstate(all="ignore"):
        found = np.array(
            [
                np.ravel(some @ np.atleast_2d(history.coef[record]).T + history.intercept[record])
                for record in (records if away else records[:1])
            ]
        )
    found = found[np.abs(found) <= LARGEST]
    if not away:
        found = found.clip(low - 1.2 * span, high + 1.2 * span)
    low, high = min([low, *found]), max([high, *found])
    room = 0.05 * (high - low) if away and high - low > 2 * span else 0.15 * span
    return low - room, high + room


def _on_the_left(
    axes: Axes, rows: Any, targets: Array, result: FitResult, records: list[int]
) -> Iterator[tuple[Line2D, Draw]]:
    """The line among the data of one feature, else predictions against targets."""
    history, (at, unit) = result.history, clock(result)
    outputs: list[int | None] = [None] if targets.ndim == 1 else list(range(targets.shape[1]))

    def title(record: int) -> None:
        last = result.status == "diverged" and record == records[-1]
        axes.set_title(f"{unit} {at[record]}" + (f", {divergence_note(result)}" if last else ""))

    low, high = _reach(targets, rows, result, records)

    if rows.shape[1] == 1:
        before = list(axes.texts)
        fitted = fit_line(rows, targets, result, ax=axes)
        for text in axes.texts:
            if text not in before:  # of the best epoch, which is not the one shown
                text.remove()
        if (legend := axes.get_legend()) is not None and targets.ndim == 1:
            legend.remove()
        axes.set_ylim(low, high)
        ends = fitted.lines_[0].get_xdata()
        for i, (line, k) in enumerate(zip(fitted.lines_, outputs, strict=True)):
            w, b = (column_of(history, (k, j)) for j in (0, "intercept"))
            line.set_label("_line" if k is None else f"output {k}")

            def draw(record: int, line: Line2D = line, w: Array = w, b: Array = b, first: bool = i == 0) -> None:
                with np.errstate(all="ignore"):
                    line.set_ydata(drawable(w[record] * ends + b[record]))
                if first:
                    title(record)

            yield line, draw
        if targets.ndim == 2:
            axes.legend(loc="best")
        return
    some = np.unique(np.linspace(0, len(rows) - 1, _POINTS).astype(np.intp))
    shown, wanted = rows[some], targets[some]
    axes.plot([low, high], [low, high], color=NOTE, lw=1, ls="--", zorder=1)
    room = 0.05 * (np.ptp(wanted) or abs(float(wanted.max())) or 1.0)
    axes.set(xlim=(wanted.min() - room, wanted.max() + room), ylim=(low, high), xlabel="y", ylabel="prediction")
    open_frame(axes)
    for i, k in enumerate(outputs):
        heights = wanted if k is None else wanted[:, k]
        style: dict[str, Any] = {"ls": "", "marker": "o", "ms": 3.5, "mew": 0, "alpha": 0.6}
        colour = COLOURS[0] if k is None else COLOURS[k % len(COLOURS)]
        (line,) = axes.plot(heights, heights, color=colour, label=f"output {k}", **style)

        def cloud(record: int, line: Line2D = line, k: int | None = k, first: bool = i == 0) -> None:
            coef, intercept = history.coef[record], history.intercept[record]
            with np.errstate(all="ignore"):
                raw = shown @ (coef if k is None else coef[k]) + (intercept if k is None else intercept[k])
            line.set_ydata(drawable(raw))
            if first:
                title(record)

        yield line, cloud
    if 1 < len(outputs) <= len(COLOURS):
        axes.legend(loc="upper left")


def _on_the_right(
    axes: Axes, X: Any, y: Any, result: FitResult, weight: Any, records: list[int]
) -> Iterator[tuple[Line2D, Draw]]:
    """The path on the loss surface of two parameters, else the loss: all of it faint, and as far as it got."""
    history, keys = result.history, keys_of(result)
    if len(keys) == 2:
        shown = records[-1] + 1 if result.status == "diverged" else None
        drawn = surface_of(X, y, result, axes, None, weight, shown)
        across, up = (drawable(column_of(history, key)) for key in keys)
        faint, end = drawn.lines_[0], drawn.lines_[2:]
        for line in end:
            line.set_visible(line.get_label() == "minimum")
    else:
        faint = loss_curve(result, ax=axes).lines_[0]
        across, up = drawable(clock(result)[0]), drawable(history.loss)
    if (legend := axes.get_legend()) is not None:
        legend.remove()
    faint.set(alpha=0.25, marker="", label="_all")
    (trail,) = axes.plot([], [], color=PATH, lw=1.6 if len(across) <= 60 else 1.0, zorder=4)
    (head,) = axes.plot([], [], "o", color=PATH, ms=8, mec="white", mew=1.2, zorder=6)

    def draw(record: int) -> None:
        kept = slice(0, record + 1, max(1, record // 2000))
        trail.set_data(across[kept], up[kept])
        head.set_data(across[record : record + 1], up[record : record + 1])
        axes.set_title(f"loss {history.loss[record]:.6g}")

    yield trail, draw
    yield head, lambda record: None


def _running(figure: Figure, show: Draw, records: list[int]) -> FuncAnimation:
    from matplotlib.animation import FuncAnimation

    class Running(FuncAnimation):
        def __del__(self) -> None:
            """Nobody is warned that it was never looked at."""

    options: dict[str, Any] = {"interval": pace(len(records)), "repeat_delay": HELD, "cache_frame_data": False}
    return Running(figure, lambda record: show(record), frames=records, **options)
