"""Sweep: what became of each learning rate, at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._door import Array, flag
from fastgd._swept import VERDICTS, Sweep, goal
from fastgd.plot._canvas import (
    LEGEND,
    NOTE,
    Display,
    axes_for,
    count,
    drawable,
    loss_label,
    open_frame,
    ramp,
    thin,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

#: of points and names, and of the ground behind them
_INK = dict(zip(VERDICTS, ("#3B6E9E", "#00795A", "#B86E00", "#C1272D"), strict=True))
_GROUND = dict(zip(VERDICTS, ("#E4EDF5", "#D9F0E3", "#FCEBCF", "#F9DEDC"), strict=True))
#: what lies further below the start than this share of it lies at the bottom
_DEEP = 1e-6
#: rates beyond these stand at them: an axis holds no more
_FAR = (1e-200, 1e200)
#: losses that grew so many-fold leave the picture, where all did
_GONE = 1e12
#: names of levels that are closer, in heights of the picture, would cover each other
_CLOSE = 0.05
#: curves in one picture
_CURVES = 9
#: from light to dark as the rate grows
_RATES = ("#B5D3EC", "#08305A")


class LearningRateSweep(Display):
    """Of `lr_sweep`; `lines_` are the rates that did not diverge, then those that did; or one curve a rate."""


def lr_sweep(sweep: Sweep, ax: Any = None, *, curves: bool = False) -> LearningRateSweep:
    """The loss after the last epoch against the learning rate: where it crawls, is good, oscillates and diverges.

    Parameters
    ----------
    sweep : Sweep
    ax : matplotlib Axes, optional
        None makes a figure.
    curves : bool, default False
        Draw the losses against epochs instead, a line for each rate, darker as the rate grows and dashed where it
        diverged; of many rates, nine with the best among them.

    Returns
    -------
    LearningRateSweep

    Raises
    ------
    ImportError, TypeError
        Without matplotlib, or if an argument is wrong.

    Notes
    -----
    Where the minimum is known, what is drawn is how far above it the loss ended, and what is less than a millionth of
    that of the start lies at the bottom. Triangles on the upper edge are rates that diverged; they have no height.

    Examples
    --------
    >>> import fastgd, numpy as np
    >>> x, y = fastgd.datasets.load_points()
    >>> sweep = fastgd.sweep(x, y, np.logspace(-3, 0.5, 50), epochs=100, standardize=True)
    >>> fastgd.plot.lr_sweep(sweep).ax_.get_xlabel()
    'learning rate'
    """
    if not isinstance(sweep, Sweep):
        raise TypeError(f"sweep must be a Sweep, got {type(sweep).__name__}")
    curves, axes = flag(curves, "curves"), axes_for(ax)
    lines = _curves(axes, sweep) if curves else _ends(axes, sweep)
    return LearningRateSweep(axes, axes.figure, lines)


def _ends(axes: Axes, sweep: Sweep) -> list[Line2D]:
    """Where the loss of each rate ended, on a ground that tells what became of it."""
    order = np.argsort(sweep.lr, kind="stable")
    rates, words = np.clip(sweep.lr[order], *_FAR), np.array(sweep.verdict)[order]
    base = sweep.minimum
    start = float(drawable(sweep.loss[0, 0])) - (base or 0.0)
    heights, (low, high), scale = _levels(drawable(sweep.final[order]) - (base or 0.0), start)
    edges = _edges(rates, words, sweep.lr_max)
    axes.set_xscale("log")
    axes.set_yscale(scale)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(low, high))
    _ground(axes, edges, words)
    place = axes.transAxes.inverted().transform
    left, ring, right = np.log([edges[0], np.clip(sweep.best, *_FAR), edges[-1]])
    side = 0.99 if ring - left < 0.35 * (right - left) else 0.01  # where the best rate's name is not
    top, level = 0.0, start if base is None else goal(start + base, base)
    if low < start < high and start:
        _level(axes, start, side, "at the start", NOTE, ":")
        top = place(axes.transData.transform((edges[0], start)))[1]
    if base is not None and low < level < high:
        beside = abs(place(axes.transData.transform((edges[0], level)))[1] - top) < _CLOSE
        _level(axes, level, side, "" if beside else "good is below this", _INK["good"], "--")
    lines = axes.plot(rates, heights, color=NOTE, lw=1, alpha=0.6, zorder=2)
    size = 26 if len(rates) <= 60 else 12
    axes.scatter(rates, heights, s=size, color=[_INK[word] for word in words], linewidths=0, zorder=3)
    away = rates[words == "diverges"]
    style: dict[str, Any] = {"ls": "", "marker": "^", "ms": 5, "color": _INK["diverges"], "zorder": 3}
    style["clip_on"] = not len(away)  # an empty line that is not clipped reaches to infinity
    lines += axes.plot(away, np.ones(len(away)), transform=axes.get_xaxis_transform(), **style)
    if np.isfinite(sweep.best):
        at = int(np.argmax(sweep.lr[order] == sweep.best))
        axes.plot(rates[at], heights[at], "o", ms=11, mfc="none", mec=_INK[words[at]], mew=1.6, zorder=4)
        _tag(axes, f"{sweep.rank}: {sweep.best:.3g}", rates, heights, at)
    if sweep.lr_max is not None and edges[0] < sweep.lr_max < edges[-1]:
        _limit(axes, sweep.lr_max)
    what = "loss" if base is None else "loss above the minimum"
    epochs = count(sweep.loss.shape[1] - 1, "epoch")
    axes.set(xlabel="learning rate", ylabel=f"{what} after {epochs} ({loss_label(sweep.options)})")
    open_frame(axes)
    return lines


def _limit(axes: Axes, lr_max: float) -> None:
    """The largest stable rate, its name half-way up, where diverged rates leave room, or else to the left."""
    axes.axvline(lr_max, color=_INK["diverges"], lw=1.2, zorder=2)
    there = axes.transAxes.inverted().transform(axes.transData.transform((lr_max, 1.0)))[0]
    side, ha = (5, "left") if there < 0.95 else (-5, "right")
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1.0}
    style: dict[str, Any] = {"rotation": 90, "va": "center", "ha": ha, "fontsize": "small", "color": _INK["diverges"]}
    style |= {"textcoords": "offset points", "bbox": box, "zorder": 4}
    axes.annotate(f"stable below {lr_max:.4g}", (lr_max, 0.5), (side, 0), axes.get_xaxis_transform(), **style)


def _levels(heights: Array, start: float) -> tuple[Array, tuple[float, float], str]:
    """Heights that can be drawn, the ends of their axis, with room for the words at the top, and its scale."""
    seen = heights[np.isfinite(heights)]
    most = max([start if np.isfinite(start) else 0.0, *seen])
    if most <= 0:
        return heights, (-0.12, 1.38), "linear"
    least = max(_DEEP * most, min(seen, default=most))
    if least < most / 10:
        span = most / least
        return np.maximum(heights, least), (least / span**0.12, most * span**0.38), "log"
    least = min([most, *seen])
    span = most - least or most
    return heights, (least - 0.12 * span, most + 0.38 * span), "linear"


def _edges(rates: Array, words: Any, lr_max: float | None) -> Array:
    """Where the ground of one verdict ends and that of the next begins: between rates, or at the largest stable one."""
    steps = np.diff(np.log10(rates)) if len(rates) > 1 else np.ones(1)
    between = np.sqrt(rates[1:]) * np.sqrt(rates[:-1])
    changes = np.flatnonzero(words[1:] != words[:-1])
    inner = between[changes]
    if lr_max is not None:
        limit = (words[changes + 1] == "diverges") & (rates[changes] <= lr_max) & (lr_max <= rates[changes + 1])
        inner[limit] = lr_max
    first, last = 10.0 ** (np.clip(steps[[0, -1]], 0.02, 1.0) / 2)
    return np.concatenate([[rates[0] / first], inner, [rates[-1] * last]])


def _ground(axes: Axes, edges: Array, words: Any) -> None:
    """A coloured field for each stretch of one verdict, named where there is room."""
    stretches = words[np.concatenate([[True], words[1:] != words[:-1]])]
    share = np.diff(np.log(edges)) / np.diff(np.log(edges[[0, -1]]))
    for low, high, word, wide in zip(edges, edges[1:], stretches, share, strict=False):
        axes.axvspan(low, high, color=_GROUND[word], lw=0, zorder=0)
        lying = wide > 0.021 * len(word)
        if not lying and wide < 0.025:
            continue
        style: dict[str, Any] = {
            "rotation": 0 if lying else 90,
            "ha": "center",
            "va": "top",
            "color": _INK[word],
            "weight": "bold",
        }
        axes.text(np.sqrt(low) * np.sqrt(high), 0.975, word, transform=axes.get_xaxis_transform(), zorder=5, **style)


def _level(axes: Axes, height: float, side: float, text: str, colour: str, dashes: str) -> None:
    axes.axhline(height, color=colour, ls=dashes, lw=1, zorder=1)
    style: dict[str, Any] = {"textcoords": "offset points", "fontsize": "small", "color": colour, "va": "bottom"}
    style["ha"] = "left" if side < 0.5 else "right"
    axes.annotate(text, (side, height), (0, 2), axes.get_yaxis_transform(), **style)


def _tag(axes: Axes, text: str, x: Array, y: Array, at: int) -> None:
    """A name beside a point, on the side where there is room, and below if the line comes down to it steeply."""
    places = axes.transAxes.inverted().transform(axes.transData.transform(np.column_stack([x, y])))
    right = places[at, 0] < 0.45
    steep = not right and places[max(at - 3, 0), 1] > places[at, 1] + 0.03
    style: dict[str, Any] = {"textcoords": "offset points", "va": "top" if steep else "bottom"}
    offset = (-9, -2) if steep else (0, 11)
    axes.annotate(
        text, (x[at], y[at]), offset, weight="bold", color=NOTE, zorder=5, ha="left" if right else "right", **style
    )


def _curves(axes: Axes, sweep: Sweep) -> list[Line2D]:
    """Losses against epochs, a line for each rate."""
    order = np.argsort(sweep.lr, kind="stable")
    picked = np.linspace(0, len(order) - 1, _CURVES - 1).round().astype(int)
    if np.isfinite(sweep.best):  # instead of one nearby, if they are many
        picked = np.append(picked, np.argmax(sweep.lr[order] == sweep.best))
    some = order[np.unique(picked)]
    lines: list[Line2D] = []
    start = float(drawable(sweep.loss[0, 0]))
    for i, shade in zip(some, ramp(_RATES, len(some)), strict=True):
        loss, away = drawable(sweep.loss[i]), sweep.verdict[i] == "diverges"
        kept = thin(loss)
        style = {"color": _INK["diverges"], "ls": "--", "lw": 1.2} if away else {"color": shade, "lw": 1.6}
        lines += axes.plot(kept, loss[kept], label=f"{sweep.lr[i]:.3g}  {sweep.verdict[i]}", **style)
    seen = sweep.final[some][np.isfinite(sweep.final[some])]
    _, ends, scale = _levels(seen, start if np.isfinite(start) else 1.0)
    gone = drawable(sweep.loss[some])
    gone = gone[(gone > 0) & (gone <= _GONE * start)]
    if not len(seen) and len(gone):  # none came back
        ends, scale = (gone.min() / 2, max(2 * gone.max(), 100 * start)), "log"
    axes.set_yscale(scale)
    axes.set_ylim(*ends)
    if sweep.loss.shape[1] > 60:  # most happens at the beginning
        axes.set_xscale("symlog", linthresh=1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlim(0, sweep.loss.shape[1] - 1)
    whole_numbers(axes, "epoch")
    axes.set_ylabel(f"loss ({loss_label(sweep.options)})")
    columns = min(3, -(-len(some) // 3))
    corner: Any = "upper right" if len(seen) else "lower right"
    axes.legend(title="learning rate", loc=corner, ncols=columns, fontsize="small", **LEGEND)
    return lines
