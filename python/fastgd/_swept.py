"""Swept: what became of each rate of a sweep, and what to call it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd import _html
from fastgd._door import Array
from fastgd.result import manner_of

if TYPE_CHECKING:
    from fastgd.plot import LearningRateSweep

#: what a rate can come to, as it grows
VERDICTS = ("crawls", "good", "oscillates", "diverges")
#: good is no further above the lowest loss than this share of it, or than that share of the way from the start
_NEAR, _ALL_BUT = 0.01, 3e-4
#: it oscillates if so many steps (or half of all) turn back
_TURNS = 5
#: epochs after which nothing is said to crawl yet
_EARLY = 10
#: rates that a text shows one by one
_SHOWN = 12


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """What became of each learning rate.

    Attributes
    ----------
    lr : ndarray, shape (rates,)
        As given, in the order given.
    loss : ndarray, shape (rates, epochs + 1)
        As `history.loss` of each run: the start, then one an epoch. NaN after a run that diverged.
    status : list of str
        As `FitResult.status` of each run.
    verdict : list of {"crawls", "good", "oscillates", "diverges"}
        Of each run, as it went. "diverges" is the status. "oscillates": five steps (from epoch to epoch), or half of
        all, turned back on the one before, none of them shorter than 1% of the run's longest. Else "good" where the
        last loss lies above `lowest` by no more than 1% of it, or than 0.03% of the way down from the start. Else it
        "crawls", or if the best rate is smaller, "oscillates".
    minimum : float or None
        Of the objective, full batch on a squared loss without l1.
    lr_max : float or None
        The largest stable rate, where there is an exact one: full batch, squared loss, constant schedule, and sgd,
        momentum or nesterov. `engine="rows"` has neither this nor `minimum` where more than 512 rows, or any with l2,
        have more than 512 features.
    engine : {"rows", "gram"}
    standardized : bool
    options : dict
        The request, resolved, as in `FitResult.options`.
    """

    lr: Array
    loss: Array
    status: list[str]
    verdict: list[str]
    minimum: float | None
    lr_max: float | None
    engine: str
    standardized: bool
    options: dict[str, Any] = field(default_factory=dict)
    #: standardising would at least halve the condition number, which advice rests on
    _eased: bool = False

    @property
    def final(self) -> Array:
        """(rates,): the loss after the last epoch; NaN where a run diverged."""
        return np.where(np.array(self.status) == "diverged", np.nan, self.loss[:, -1])

    @property
    def best(self) -> float:
        """Of the good rates, or of all if none is good: of those whose loss ended lowest, to a millionth of its way,
        the one that was soonest. NaN if all diverged.
        """
        at = self._at
        return np.nan if at is None else float(self.lr[at])

    @property
    def _at(self) -> int | None:
        """Where the best rate stands."""
        good = np.where(np.array(self.verdict) == "good", self.final, np.nan)
        return _best(self.loss, good if np.isfinite(good).any() else self.final)

    @property
    def rank(self) -> str:
        """What `best` is called: "best", or where no rate is good "lowest"."""
        return "best" if "good" in self.verdict else "lowest"

    @property
    def lowest(self) -> float:
        """What the losses are measured by: the minimum if it is known, else the lowest at the end of a run."""
        final = self.final
        return self.minimum if self.minimum is not None else float(np.fmin.reduce(final))

    @property
    def advice(self) -> str:
        """What to do where rates from a third of the largest stable one crawled, and the scales are why, else empty."""
        if self.lr_max is None or not self._eased or self.loss.shape[1] <= _EARLY:
            return ""
        final, near = self.final, (self.lr > self.lr_max / 3) & (self.lr < self.lr_max)
        if not np.isfinite(final[near]).any():
            return ""
        short = np.nanmin(final) - self.lowest > goal(self.loss[0, 0], self.lowest)
        return "even near the largest stable rate it crawls; try standardize=True" if short else ""

    def plot(self, ax: Any = None) -> LearningRateSweep:
        """The last loss against the rate: `fastgd.plot.lr_sweep(self, ax=ax)`.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None makes a figure.

        Returns
        -------
        fastgd.plot.LearningRateSweep
        """
        from fastgd import plot

        return plot.lr_sweep(self, ax=ax)

    def _lines(self) -> list[tuple[str, str]]:
        """Rate by rate if they are few, else verdict by verdict."""
        final = self.final
        if len(self.lr) <= _SHOWN:
            rows = [
                (f"{rate:g}", f"{value:.8g}" if np.isfinite(value) else "-")
                for rate, value in zip(self.lr, final, strict=True)
            ]
            wide = max(len(value) for _, value in rows)
            return [(rate, f"{value:<{wide}}  {word}") for (rate, value), word in zip(rows, self.verdict, strict=True)]
        parts = []
        for word in VERDICTS:
            those = np.array(self.verdict) == word
            if those.any():
                number = f"{those.sum()} rate{'' if those.sum() == 1 else 's'}"
                losses = "" if word == "diverges" else f"loss {_span(final[those], 6)}"
                parts.append((word, number, _span(self.lr[those], 3), losses))
        _, left, right, _ = (max(map(len, column)) for column in zip(*parts, strict=True))
        return [(word, f"{number:>{left}}  {span:<{right}}  {losses}".rstrip()) for word, number, span, losses in parts]

    def _facts(self) -> list[tuple[str, str]]:
        """The best rate, and the largest that is stable."""
        found = [("by", manner_of(self.options, standardized=self.standardized))]
        if (at := self._at) is not None:
            least = f"; the minimum is {self.minimum:.8g}" if self.minimum is not None else ""
            found.append((self.rank, f"{self.lr[at]:.6g}, loss {self.final[at]:.8g}{least}"))
        if self.lr_max is not None:
            found.append(("stable", f"below {self.lr_max:.6g}{'; ' if self.advice else ''}{self.advice}"))
        return found

    def _title(self) -> str:
        epochs, rates = self.loss.shape[1] - 1, len(self.lr)
        low, high = self.lr.min(), self.lr.max()
        which = f"{rates} rates from {low:g} to {high:g}" if rates > 1 else f"the rate {low:g}"
        return f"Sweep: {which}, {epochs} epoch{'' if epochs == 1 else 's'}{' each' if rates > 1 else ''}"

    def __repr__(self) -> str:
        rows = self._lines() + self._facts()
        wide = max(len(name) for name, _ in rows)
        return "\n".join([self._title(), *(f"  {name:<{wide}}  {value}" for name, value in rows)])

    def _repr_html_(self) -> str:
        return _html.table(self._title(), self._lines() + self._facts())


def _span(values: Array, digits: int) -> str:
    low, high = f"{values.min():.{digits}g}", f"{values.max():.{digits}g}"
    return low if low == high else f"{low} to {high}"


def verdicts(rates: Array, losses: Array, status: list[str], turns: list[int], minimum: float | None) -> list[str]:
    """What became of each rate, in a word."""
    final = np.where(np.array(status) == "diverged", np.nan, losses[:, -1])
    at = _best(losses, final)
    best = np.inf if at is None else rates[at]
    lowest = float(np.fmin.reduce(final)) if minimum is None else minimum
    many = min(_TURNS, max((losses.shape[1] - 1) // 2, 1))
    found = []
    for i, rate in enumerate(rates):
        if status[i] == "diverged":
            found.append("diverges")
        elif turns[i] >= many:
            found.append("oscillates")
        elif final[i] - lowest <= goal(losses[i, 0], lowest):
            found.append("good")
        else:
            found.append("crawls" if rate <= best else "oscillates")
    return found


def _best(losses: Array, final: Array) -> int | None:
    """Which run came down furthest, to a millionth; of several the one with the smallest sum of losses."""
    if not np.isfinite(final).any():
        return None
    least = np.nanmin(final)
    lowest = final <= least + 1e-6 * (losses[:, 0] - least)
    return int(np.argmin(np.where(lowest, losses.sum(axis=1), np.inf)))


def goal(start: float, lowest: float) -> float:
    """How far above the lowest loss a good rate may end."""
    return float(max(_NEAR * abs(lowest), _ALL_BUT * (start - lowest)))
