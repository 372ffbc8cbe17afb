"""Advice: what the numbers of a diagnosis mean, in sentences, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgd._curvature import Modes
from fastgd._door import Array
from fastgd._request import Problem
from fastgd._statistics import Statistics
from fastgd.insight import Stable, blame, called

#: a condition number beyond which descent is slow, and one beyond which columns go together though they are standardised
ILL, TOGETHER = 100.0, 1000.0
#: a mean is an offset when it is so many standard deviations
_OFF = 10.0
#: entries of an eigenvector that count, beside its largest
_LOUD = 0.2


@dataclass(frozen=True, eq=False)
class Look:
    """All that there is to say something about."""

    problem: Problem
    loss: str
    kinked: bool
    optimizer: str
    batch_size: int | None
    l2: float
    intercept: bool
    standardize: bool
    #: the modes as asked, and where that is another thing standardised
    found: Modes
    other: Modes | None
    statistics: Statistics | None
    stable: Stable
    lr: float | None
    lr_auto: float
    epochs: float
    epochs_is: str
    verdict: str | None
    order: NDArray[np.intp]
    harm: Array
    whole: float
    #: L and the trace of a step's Hessian
    largest: float
    trace: float
    #: the automatic full-batch rate on modes, and its epochs
    epochs_of: Callable[[Modes], tuple[float, float]]

    def name(self, j: int) -> str:
        return called(j, self.problem.names, self.problem.X.shape[1])


def numbered(value: float) -> str:
    """A condition number, as one says it."""
    return f"{value:,.0f}" if 100 <= value < 1e7 else f"{value:.3g}"


def count(epochs: float) -> str:
    """Epochs, three digits of them where they are many."""
    if epochs == np.inf:
        return "no number of epochs"
    if epochs < 1000:
        return f"{epochs:.0f} epoch{'' if epochs == 1 else 's'}"
    return f"about {float(f'{epochs:.3g}'):,.0f} epochs" if epochs < 1e9 else f"about {epochs:.0e} epochs"


def _listed(names: list[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def advise(look: Look) -> Iterator[str]:
    """The sentences, in the order in which one would act."""
    if not len(look.found.values) and not look.found.exact:
        yield "X or y hold numbers that are too large to be squared: divide them by their size first."
        return
    yield from _of_columns(look)
    yield _of_rate(look)
    if not look.standardize:
        yield from _of_scale(look)
    yield from _of_directions(look)
    yield from _of_penalty(look)
    yield from _of_solver(look)


def _of_rate(look: Look) -> str:
    """What the rate does: the given one, else the automatic one."""
    lr, verdict, stable = look.lr, look.verdict, look.stable
    within = "until the loss is within a millionth of its minimum"
    if look.found.least <= np.finfo(float).eps * look.found.zero:
        within = "until the loss has fallen to a millionth"
    auto = f"lr={look.lr_auto:.6g}"
    takes = f"takes {count(look.epochs)} {within}"
    if look.epochs_is == "bound":
        takes = f"takes at least {count(look.epochs)} {within}, if the noise of the batches lets it come there"
    if look.epochs_is == "none":
        takes = "takes a number of epochs that only a run can tell"
    if stable.kind == "none":
        why = f"Loss '{look.loss}' has kinks, and no curvature"
        if look.optimizer not in ("sgd", "momentum", "nesterov", "accelerated"):
            why = f"Rule '{look.optimizer}' steps by its rate whatever the gradient's length"
        return f"{why}: no rate can be called too large beforehand. Begin with the automatic one, {auto}, and watch the loss."
    if verdict is None:
        return f"The automatic rate, {auto}, {takes}."
    rule = "Full-batch steps" if look.batch_size is None else f"Batches of {look.batch_size} rows"
    if look.batch_size == 1:
        rule = "Steps by single rows"
    if verdict == "diverges":
        because = _blamed(look)
        sure = "stable" if stable.kind == "exact" else "sure"
        return f"lr={lr:g} diverges. {rule} are {sure} below {stable.formula} = {stable.limit:.6g}{because}. Use the automatic rate, {auto}."
    if verdict == "oscillates":
        takes = f" It {takes}." if look.epochs_is in ("exact", "estimate") else ""
        near = "is close to the largest stable rate"
        if stable.kind == "bound":
            near = f"is {'beyond' if lr is not None and lr > stable.limit else 'close to'} what is sure to be stable"
        swing = "may swing" if stable.kind == "bound" else "swing"
        return f"lr={lr:g} {near}, {stable.limit:.6g}: steps {swing} from side to side.{takes} Use the automatic rate, {auto}."
    who = _slowest(look)
    if verdict == "crawls" and lr is not None:
        what = f", and {who} is what crawls" if who else ""
        larger = look.lr_auto / lr
        could = f" The automatic rate, {auto}, is {numbered(larger)} times as large." if larger >= 2 else ""
        return f"lr={lr:g} {takes}{what}.{could}"
    return f"lr={lr:g} {takes}."


def _blamed(look: Look) -> str:
    found, of_l2 = look.found, float(look.found.ridge.max())
    largest = found.largest / look.whole - of_l2
    who = blame(found.squares, names=look.problem.names, intercept=look.intercept, largest=largest, of_l2=of_l2)
    return who and f"; what makes that so small is {who}"


def _slowest(look: Look) -> str:
    """The coordinate that moves last, if it is one."""
    found = look.found
    if found.vectors is None or found.condition < ILL:
        return ""
    late = np.flatnonzero(found.excess > 1e-6 * found.yardstick)
    if not len(late):
        return ""
    weights = np.abs(found.vectors[late[-1]])
    return look.name(int(np.argmax(weights))) if weights.max() > 0.9 else ""


def _of_scale(look: Look) -> Iterator[str]:
    """Scales and offsets, and what standardising would bring."""
    found, other, d = look.found, look.other, look.problem.X.shape[1]
    if not found.condition > ILL or other is None:
        return
    worst = int(look.order[0])
    size = np.sqrt(found.squares)
    better = other.condition < found.condition / 4
    cause = f"The condition number{' of the squares' if look.kinked else ''} is {numbered(found.condition)}"
    if better and look.harm[worst] > 4:
        if look.intercept and found.squares[worst] - found.spread[worst] ** 2 > (_OFF * found.spread[worst]) ** 2:
            at = f"{look.statistics.at[worst]:.4g}" if look.statistics is not None else "its mean"
            why = f"{look.name(worst)} lies at {at} +- {found.spread[worst]:.3g}, far from 0, which the intercept has to undo"
        elif look.intercept and size[worst] > 1:
            why = (
                f"{look.name(worst)} has root mean square {size[worst]:.4g} where the intercept has 1, so that the rate "
                f"has to be small for the one and the other crawls"
            )
        elif look.intercept:
            why = f"{look.name(worst)} has root mean square {size[worst]:.4g} where the intercept has 1, and crawls"
        else:
            large, small = int(np.argmax(size)), int(np.argmin(np.where(size > 0, size, np.inf)))
            why = (
                f"{look.name(large)} has root mean square {size[large]:.4g} where {look.name(small)} has "
                f"{size[small]:.4g}, so that the rate has to be small for the one and the other crawls"
            )
        cause += f": {why}"
    if better:
        yield cause + "."
        lr, epochs = look.epochs_of(other)
        then = f"the condition number is {numbered(other.condition)}"
        if epochs == epochs and look.batch_size is None:
            then += f", and lr={lr:.6g} takes {count(epochs)}"
        yield f"Standardise: with standardize=True {then}."
    elif d > 1:
        yield cause + ", and standardising does not mend it."


def _of_columns(look: Look) -> Iterator[str]:
    """What is wrong with the data, whatever the rate."""
    found, problem = look.found, look.problem
    flat = [look.name(j) for j in range(problem.X.shape[1]) if not found.spread[j] > 0]
    if flat:
        does = "is" if len(flat) == 1 else "are"
        what = "what the intercept does already" if look.intercept else "an intercept by another name"
        yield f"{_capital(_listed(flat))} {does} constant: that is {what}. Leave {'it' if len(flat) == 1 else 'them'} out."
    if look.intercept and (problem.y == problem.y[:1]).all():
        yield "y is constant: the intercept alone fits it, and there is nothing else to learn."
    if look.intercept or look.statistics is None:
        return
    d = problem.X.shape[1]
    off = np.abs(look.statistics.at[d:]) > 2 * look.statistics.spread[d:]
    if off.any() and found.least > 0.01 * found.zero:
        yield "There is no intercept, but y is far from 0 in the mean: fit_intercept=True would be worth trying."


def _of_directions(look: Look) -> Iterator[str]:
    """Columns that go together, and rank."""
    at = look.other or look.found  # standardised, but where nothing is gained by that
    if not at.exact:
        return
    d = look.problem.X.shape[1]
    rank = len(at.values) - look.intercept
    live = int((at.spread > 0).sum()) if look.intercept else int((at.squares > 0).sum())
    if rank < live and not look.l2:
        yield (
            f"Of {live} features that vary {rank} are independent: many coefficients reach the minimum, and the start "
            "decides between them. l2 > 0 would make it one."
        )
    if at.condition > TOGETHER and at.vectors is not None:
        weights = np.abs(at.vectors[-1][:d])
        loud = [look.name(int(j)) for j in np.argsort(-weights) if weights[j] > _LOUD * weights.max()]
        together = f"{_listed(loud)} nearly determine each other" if len(loud) > 1 else f"{loud[0]} hardly varies alone"
        yield (
            f"Standardised, the condition number is {numbered(at.condition)}: {together}. Leave one out, add l2, or take "
            "optimizer='accelerated', whose epochs grow with the root of the condition number."
        )


def _of_penalty(look: Look) -> Iterator[str]:
    found = look.found
    if look.l2 and found.ridge.max() > found.largest / look.whole - found.ridge.max():
        yield (
            f"l2={look.l2:g} bends the objective more than the rows do: it holds the coefficients near 0, and it is what "
            "limits the rate."
        )


def _of_solver(look: Look) -> Iterator[str]:
    if look.batch_size is not None and look.largest > 0 and look.batch_size > 2 * (most := look.trace / look.largest):
        rows = f"{max(1, round(most))} row{'' if most < 1.5 else 's'}"
        yield (
            f"Beyond about {rows} (the Hessian's trace over L) larger batches allow no larger rate to speak of: "
            "smaller ones learn more in an epoch."
        )
    if look.epochs_is in ("exact", "estimate") and look.epochs > 1000:
        n, d = look.problem.X.shape
        how = "closed_form solves this at once"
        if n >= 4 * d:
            how = "fit without a rate and epochs needs one pass over the rows, and then steps that cost next to nothing"
        yield f"Or leave the rate out: fastgd.{how}."
