"""Canvas: colours, axes, labels and checks that the pictures share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastgd import _core, _door
from fastgd._door import Array
from fastgd.history import History
from fastgd.result import FitResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D


#: Okabe and Ito, "Color Universal Design" (2008): told apart whatever the reader's colour vision
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
PATH = COLOURS[1]
DATA = "#8A9099"
NOTE = "#404040"

#: from light to dark, what has an order: rounds, depths
ROUNDS = ("#A9CCE8", "#0B3C66")
DEPTHS = ("#F6F9FC", "#6FA8D2")

#: what it covers shines through
LEGEND: dict[str, Any] = {"framealpha": 0.8, "edgecolor": "none"}

#: about as many points of a line as a picture can show
_POINTS = 2000

#: beyond it the margins of an axis overflow
LARGEST = 1e250

#: (output, feature or "intercept"); the output is None when y was one-dimensional
Key = tuple[int | None, int | str]


@dataclass(frozen=True, eq=False, repr=False)
class Display:
    """What was drawn, and where.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
        The one that `ax_` is part of.
    lines_ : list of matplotlib.lines.Line2D
    """

    ax_: Axes
    figure_: Figure | SubFigure
    lines_: list[Line2D]

    def __repr__(self) -> str:
        lines = count(len(self.lines_), "line")
        return f"{type(self).__name__}: {lines} against {self.ax_.get_xlabel() or 'x'}, in ax_ and figure_"


def ask_for_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError("fastgd.plot needs matplotlib: pip install 'fastgd[plot]'") from error


def axes_for(ax: Any) -> Axes:
    ask_for_matplotlib()
    from matplotlib.axes import Axes

    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(layout="constrained")[1]
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be a matplotlib Axes or None, got {type(ax).__name__}")
    return ax


def checked_result(result: Any, name: str = "result") -> FitResult:
    if not isinstance(result, FitResult):
        raise TypeError(f"{name} must be a FitResult, got {type(result).__name__}")
    return result


def checked_history(result: Any) -> History:
    history = checked_result(result).history
    if not len(history):
        made = "of the closed form" if result.engine == "closed_form" else "of a fit with record=None"
        raise ValueError(f"result must have a history, got one {made}")
    return history


def checked_data(X: Any, y: Any, result: Any) -> tuple[_door.Full, Array]:
    """X and y, of the shapes that the result was fitted to."""
    shape = checked_result(result).coef.shape
    name = result.options["loss"][0]
    if _core.losses()[name]["targets"] == "class":
        raise ValueError(
            f"result must be of a loss whose predictions are like y, got {name!r}, which scores classes; "
            "loss_curve and parameter_path draw it"
        )
    rows = _door.full_rows(X)
    targets = _door.targets(y, len(rows))
    if rows.shape[1] != shape[-1]:
        raise ValueError(f"X must have {count(shape[-1], 'feature')} as in the fit, got {rows.shape[1]}")
    if targets.shape[1:] != shape[:-1]:
        accepted = "(n,)" if len(shape) == 1 else f"(n, {shape[0]})"
        raise ValueError(f"y must be {accepted} as in the fit, got shape {targets.shape}")
    return rows, targets


def keys_of(result: FitResult) -> list[Key]:
    """All parameters, in the order of pictures: coefficients, then intercepts."""
    outputs: Iterable[int | None] = [None] if result.coef.ndim == 1 else range(len(result.coef))
    which = [*range(result.coef.shape[-1]), *(["intercept"] if result.options.get("fit_intercept", True) else [])]
    return [(k, j) for j in which for k in outputs]


def column_of(source: Any, key: Key) -> Array:
    """One parameter of a result, or along a history."""
    k, j = key
    values = source.intercept if j == "intercept" else source.coef[..., j]
    return np.asarray(values if k is None else values[..., k])


def label_of(result: FitResult, key: Key) -> str:
    k, j = key
    name = "intercept" if j == "intercept" else "coef"
    several = [] if j == "intercept" or (k is None and result.coef.shape[-1] == 1) else [str(j)]
    at = ([] if k is None else [str(k)]) + several
    return f"{name}[{', '.join(at)}]" if at else name


def thin(values: Array) -> NDArray[np.intp]:
    """Indices of about 2000 points that draw the same line: the start at every scale, each stretch's extremes."""
    n = len(values)
    if n <= _POINTS:
        return np.arange(n)
    size = -(-n // 700)
    stretches = np.nan_to_num(values[: n - n % size]).reshape(-1, size)
    first = np.arange(len(stretches)) * size
    early = np.geomspace(1, n - 1, 600).astype(np.intp)
    return np.unique(np.concatenate([[0, n - 1], early, first + stretches.argmin(1), first + stretches.argmax(1)]))


def drawable(values: Any) -> Array:
    """What an axis can hold; a gap elsewhere."""
    values = np.asarray(values, dtype=np.float64)
    return np.where(np.abs(values) <= LARGEST, values, np.nan)


def clock(result: FitResult) -> tuple[NDArray[np.int64], str]:
    """What a history is drawn against."""
    history = result.history
    by_epoch = result.options.get("record") == "epoch" or np.array_equal(history.epoch, history.step)
    return (history.epoch, "epoch") if by_epoch else (history.step, "step")


def whole_numbers(axes: Axes, unit: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(unit)
    if isinstance(axes.xaxis.get_major_locator(), MaxNLocator):
        axes.locator_params(axis="x", integer=True)
    open_frame(axes)


def open_frame(axes: Axes) -> None:
    for side in ("top", "right"):
        if side in axes.spines:
            axes.spines[side].set_visible(False)


def dots(count: int, most: int = 30) -> dict[str, Any]:
    return {"marker": "o", "ms": 3.5} if count <= most else {}


def ramp(ends: tuple[str, str], count: int) -> list[Any]:
    from matplotlib.colors import to_rgb

    return list(np.linspace(to_rgb(ends[0]), to_rgb(ends[1]), count))


def note(axes: Axes, text: str, x: float, y: float) -> None:
    """A remark in a corner of the picture."""
    sides = "left" if x < 0.5 else "right", "bottom" if y < 0.5 else "top"
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2.0}
    axes.text(
        x, y, text, ha=sides[0], va=sides[1], transform=axes.transAxes, fontsize="small", color=NOTE, bbox=box, zorder=5
    )


def loss_label(options: dict[str, Any]) -> str:
    name, parameters = options["loss"]
    given = "".join(f", {key}={number:g}" for key, number in parameters.items())
    return f"{name}{given}" + (" + penalty" if options["l1"] or options["l2"] else "")


def batch_label(result: FitResult) -> str:
    size = result.options.get("batch_size")
    return "full batch" if size is None else "single rows" if size == 1 else f"batches of {size}"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def divergence_note(result: FitResult) -> str:
    return f"diverged after {count(result.n_epochs, 'epoch')}"
