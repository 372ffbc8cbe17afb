"""Advice: what the numbers of a diagnosis mean, in sentences, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgd._curvature import NOTHING, Modes
from fastgd._door import Array
from fastgd._request import Problem
from fastgd._sparse import Csr
from fastgd._statistics import Statistics
from fastgd.insight import Stable, blame, called

#: condition numbers beyond which descent is slow, and beyond which standardised columns go together
ILL, TOGETHER = 100.0, 1000.0
#: one that takes descent in any coordinates too long
_HARD = 1e8
#: a mean is an offset when it is so many standard deviations
_OFF = 10.0
#: entries of an eigenvector that count, beside its largest; and one that is nearly all of it
_LOUD, _ALONE = 0.2, 0.9
#: noise of batches, relative to the minimum, that is worth a word
_HOPS = 1e-3
#: rules whose steps grow with the gradient
_BY_GRADIENT = ("sgd", "momentum", "nesterov", "accelerated", "implicit")


@dataclass(frozen=True, eq=False)
class Asked:
    """What a diagnosis was asked for, checked."""

    problem: Problem
    loss: str
    #: the loss's row in the engine's table
    facts: dict[str, Any]
    optimizer: tuple[str, dict[str, float]]
    implicit: bool
    batch_size: int | None
    lr: float | None
    l2: float
    intercept: bool
    standardize: bool

    @property
    def kinked(self) -> bool:
        return self.facts["curvature"] is None

    @property
    def share(self) -> float:
        """A step's part of the loss: all of it, but in batches of a loss that is a sum over rows."""
        n = len(self.problem.X)
        return (self.batch_size or n) / n if self.facts["reduction"] == "sum" else 1.0


@dataclass(frozen=True, eq=False)
class Look:
    """All that there is to say something about."""

    asked: Asked
    #: the modes as asked, and where that is another thing and worth it standardised
    found: Modes
    other: Modes | None
    statistics: Statistics | None
    whole: float
    #: L and the trace of a step's Hessian
    largest: float
    trace: float
    stable: Stable
    #: the rate up to which nothing speaks against one
    sure: float
    lr_auto: float
    epochs: float
    epochs_is: str
    #: how far above the minimum the noise of batches keeps the loss, relative to it
    noise: float
    verdict: str | None
    #: the columns, those first whose scale does most harm; and the harm of each
    order: NDArray[np.intp]
    harm: Array
    #: the automatic full-batch rate on other modes, and its epochs
    elsewhere: Callable[[Modes], tuple[float, float]]

    def name(self, j: int) -> str:
        problem = self.asked.problem
        return called(j, problem.names, problem.X.shape[1])


def numbered(value: float) -> str:
    """A condition number, as one says it."""
    return f"{value:,.0f}" if 100 <= value < 1e7 else f"{value:.3g}"


def count(epochs: float) -> str:
    """Epochs, three digits of them where they are many."""
    if epochs == np.inf:
        return "more epochs than can be counted"
    if epochs < 1000:
        return f"{epochs:.0f} epoch{'' if epochs == 1 else 's'}"
    return f"about {float(f'{epochs:.3g}'):,.0f} epochs" if epochs < 1e9 else f"about {epochs:.0e} epochs"


def _listed(names: list[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def advise(look: Look) -> Iterator[str]:
    """The sentences, in the order in which one would act."""
    if not look.found.known:
        yield "X or y hold numbers that are too large to be squared: divide them by their size first."
        return
    yield from _of_data(look)
    yield _of_rate(look)
    if not look.asked.standardize:
        yield from _of_scale(look)
    yield from _of_directions(look)
    yield from _of_penalty(look)
    if look.noise > _HOPS:
        yield (
            "A constant rate ends in that noise: a schedule that lets the rate fall, or average='tail', comes nearer "
            "to the minimum."
        )
    yield from _of_solver(look)


def _of_data(look: Look) -> Iterator[str]:
    """What is wrong with the data, whatever the rate."""
    found, y, intercept = look.found, look.asked.problem.y, look.asked.intercept
    weight = look.asked.problem.sample_weight
    counted = np.flatnonzero(weight > 0) if weight is not None else np.arange(len(y))
    flat = np.flatnonzero(~(found.spread > 0)) if len(counted) > 1 else np.zeros(0, np.intp)
    X = look.asked.problem.X
    if isinstance(X, Csr):
        high, low = X.extremes()
        nought = [int(j) for j in flat if not high[j] > low[j]]
    else:
        nought = [int(j) for j in flat if not X[counted, j].any()]
    if nought:
        listed, them = _columns(look, nought)
        yield f"{listed} 0 in every row. Leave {them} out."
    if rest := [int(j) for j in flat if j not in nought]:
        what = "what the intercept does already" if intercept else "an intercept by another name"
        listed, them = _columns(look, rest)
        yield f"{listed} constant: that is {what}. Leave {them} out."
    if intercept and len(counted) > 1 and (y[counted] == y[counted[:1]]).all():
        yield "y is constant: the intercept alone fits it, and there is nothing else to learn."
    if not intercept and look.statistics is not None:
        of_y = slice(len(found.squares), None)
        off = np.abs(look.statistics.at[of_y]) > 2 * look.statistics.spread[of_y]
        if off.any() and found.least > 0.01 * found.zero:
            yield "There is no intercept, but y is far from 0 in the mean: fit_intercept=True would be worth trying."


def _columns(look: Look, which: list[int]) -> tuple[str, str]:
    """These columns and their verb, to begin a sentence with; what to call them later."""
    listed, one = _listed([look.name(j) for j in which]), len(which) == 1
    return f"{listed[0].upper()}{listed[1:]} {'is' if one else 'are'}", "it" if one else "them"


def _of_rate(look: Look) -> str:
    """What the rate does: the given one, else the automatic one."""
    asked, stable, takes = look.asked, look.stable, _takes(look)
    lr, auto = asked.lr, f"lr={look.lr_auto:.6g}"
    if stable.kind == "none":
        why = f"Loss '{asked.loss}' has kinks, and no curvature"
        if asked.facts["smooth"]:
            why = f"The curvature of loss '{asked.loss}' has no bound"
        if asked.optimizer[0] not in _BY_GRADIENT:
            why = f"Rule '{asked.optimizer[0]}' steps by its rate whatever the gradient's length"
        begin = f"Begin with the automatic one, {auto}, and watch the loss."
        return f"{why}: no rate can be called too large beforehand. {begin}"
    about = "about " if stable.kind == "estimate" else ""
    use = f"Use the automatic rate, {auto}."
    if look.lr_auto > look.sure * (1 + 1e-9):
        why = f"{about}what is sure to be stable, {stable.limit:.6g}, where some rows are so much longer than others"
        use = f"Use lr={stable.limit / 2:.2g}."
        if lr is None or lr == look.lr_auto:
            return f"The automatic rate, {auto}, is beyond {why}: it may diverge. {use}"
    if lr is None:
        return f"The automatic rate, {auto}, {takes}."
    if look.verdict == "diverges":
        are = "sure to be stable" if stable.kind == "bound" else "stable"
        below = f"Full-batch steps are {are} below {about}{stable.formula} = {stable.limit:.6g}"
        return f"lr={lr:g} diverges. {below}{_because(look)}. {use}"
    if look.verdict == "oscillates" and lr <= look.sure and asked.batch_size is not None:
        return f"lr={lr:g} {takes}. {use}"
    if look.verdict == "oscillates":
        if stable.kind == "bound" or asked.batch_size is not None:
            beyond = f"lr={lr:g} is beyond {about}what is sure to be stable, {stable.limit:.6g}{_because(look)}"
            return f"{beyond}: steps swing from side to side, and may diverge. {use}"
        near = f"close to the largest stable rate, {stable.limit:.6g}"
        return f"lr={lr:g} is {near}: steps swing from side to side. It {takes}. {use}"
    if look.verdict == "good":
        return f"lr={lr:g} {takes}."
    who = _slowest(look)
    times = look.lr_auto / lr
    larger = f"{numbered(times)} times as large" if times < np.inf else "larger beyond all numbers"
    could = f" The automatic rate, {auto}, is {larger}." if times >= 2 else ""
    return f"lr={lr:g} {takes}{f', and {who} is what crawls' if who else ''}.{could}"


def _takes(look: Look) -> str:
    found = look.found
    within = "until the loss is within a millionth of its minimum"
    if found.least <= NOTHING * found.zero:
        within = "until the loss has fallen to a millionth"
    if look.noise > 1e-6:
        keeps = f"keeps the loss about {_percent(look.noise)} above"
        return f"ends in hops about the minimum: the noise of its batches {keeps}"
    if look.epochs_is == "none":
        return "takes a number of epochs that only a run can tell"
    if look.epochs_is == "bound":
        noise = ", if the noise of the batches lets it come there" if look.asked.batch_size is not None else ""
        return f"takes at least {count(look.epochs)} {within}{noise}"
    return f"takes {count(look.epochs)} {within}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 1 else f"{share:.2g} times its size"


def _because(look: Look) -> str:
    found, of_l2 = look.found, float(look.found.ridge.max())
    names, largest = look.asked.problem.names, found.bare / look.whole
    who = blame(found.squares, names=names, intercept=look.asked.intercept, largest=largest, of_l2=of_l2)
    return who and f"; what makes that so small is {who}"


def _slowest(look: Look) -> str:
    """The coordinate that moves last, if it is one."""
    found = look.found
    if found.vectors is None or not found.condition > ILL:
        return ""
    late = np.flatnonzero(found.excess > 1e-6 * found.yardstick)
    weights = np.abs(found.vectors[late[-1]]) if len(late) else np.zeros(1)
    return look.name(int(np.argmax(weights))) if weights.max() > _ALONE else ""


def _of_scale(look: Look) -> Iterator[str]:
    """Scales and offsets, and what standardising would bring."""
    found, other = look.found, look.other
    if other is None:
        return
    cause = f"The condition number{' of the squares' if look.asked.kinked else ''} is {numbered(found.condition)}"
    if not other.condition < found.condition / 4:
        if len(found.squares) > 1 and found.condition > ILL:
            yield f"{cause}, and standardising does not mend it."
        return
    yield f"{cause}{_scale_to_blame(look)}."
    lr, epochs = look.elsewhere(other)
    then = f"the condition number is {numbered(other.condition)}"
    if look.asked.batch_size is None and not np.isnan(epochs):
        then += f", and lr={lr:.6g} takes {count(epochs)}"
    yield f"Standardise: with standardize=True {then}."


def _scale_to_blame(look: Look) -> str:
    found, worst = look.found, int(look.order[0])
    size, spread = np.sqrt(found.squares), found.spread[worst]
    if look.harm[worst] <= 4:
        return ""
    has = f": {look.name(worst)} has root mean square {size[worst]:.4g}"
    crawls = "so that the rate has to be small for the one and the other crawls"
    if look.asked.intercept:
        if found.squares[worst] - spread**2 > (_OFF * spread) ** 2 and look.statistics is not None:
            at = f"{look.statistics.at[worst]:.4g} +- {spread:.3g}"
            return f": {look.name(worst)} lies at {at}, far from 0, which the intercept has to undo"
        return f"{has} where the intercept has 1, {crawls if size[worst] > 1 else 'and crawls'}"
    large, small = int(np.argmax(size)), int(np.argmin(np.where(size > 0, size, np.inf)))
    beside = f"where {look.name(small)} has {size[small]:.4g}"
    return f": {look.name(large)} has root mean square {size[large]:.4g} {beside}, {crawls}"


def _of_directions(look: Look) -> Iterator[str]:
    """Columns that go together, and rank."""
    at = look.other or look.found  # standardised, but where nothing is gained by that
    if not at.exact or at.vectors is None:
        return
    d, intercept = len(at.squares), look.asked.intercept
    rank, live = len(at.values) - intercept, int(((at.spread if intercept else at.squares) > 0).sum())
    if rank < live and not look.asked.l2:
        yield (
            f"Of {live} features that vary {rank} are independent: many coefficients reach the minimum, and the start "
            "decides between them. l2 > 0 would make it one."
        )
    if at.condition > TOGETHER:
        weights = np.abs(at.vectors[-1][:d])
        loud = [look.name(int(j)) for j in np.argsort(-weights) if weights[j] > _LOUD * weights.max()]
        what = f"{_listed(loud)} nearly determine each other" if len(loud) > 1 else f"{loud[0]} hardly varies alone"
        said = f"Standardised, the condition number is {numbered(at.condition)}: {what}. Leave one out, or add l2"
        if look.asked.optimizer[0] != "accelerated" and look.asked.batch_size is None:
            said += ", or take optimizer='accelerated', whose epochs grow with the root of the condition number"
        yield f"{said}."


def _of_penalty(look: Look) -> Iterator[str]:
    if look.asked.l2 and look.found.ridge.max() * look.whole > look.found.bare:
        yield (
            f"l2={look.asked.l2:g} bends the objective more than the rows do: it holds the coefficients near 0, and it "
            "is what limits the rate."
        )


def _of_solver(look: Look) -> Iterator[str]:
    B, (n, d) = look.asked.batch_size, look.asked.problem.X.shape
    useful = look.trace / look.largest if look.largest > 0 else np.inf
    if B is not None and 2 * useful < B:
        rows = f"{max(1, round(useful))} row{'' if useful < 1.5 else 's'} (the Hessian's trace over L)"
        yield (
            f"Beyond about {rows} larger batches allow no larger rate to speak of: smaller ones learn more in an epoch."
        )
    if look.asked.batch_size is None and look.epochs > 1000 and look.verdict != "diverges":
        how = "fit without a rate and epochs needs one pass over the rows, and then steps that cost next to nothing"
        if n < 4 * d or (look.other or look.found).condition > _HARD:
            how = "closed_form solves this at once"
        X = look.asked.problem.X
        if isinstance(X, Csr) and X.is_large:
            how = "fit without a rate takes accelerated steps on standardised features, which fills nothing in"
        yield f"Or leave the rate out: fastgd.{how}."
