"""Sweep: the same run at many learning rates, and what became of each."""

from __future__ import annotations

import copy
import inspect
import os
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd import _core, _door, _html
from fastgd._auto import Plan, make_plan
from fastgd._door import Array
from fastgd._fit import fit, resolved
from fastgd._progress import bars
from fastgd._request import Solution, make_problem
from fastgd.insight import stability
from fastgd.result import manner_of

if TYPE_CHECKING:
    from fastgd.plot import LearningRateSweep

#: what a rate can come to, as it grows
VERDICTS = ("crawls", "good", "oscillates", "diverges")
#: good is no further above the lowest loss than this share of it, or than that share of the way from the start
_NEAR, _ALL_BUT = 0.01, 3e-4
#: it oscillates if so many steps (or half of all) turn back, each longer than that share of the longest
_TURNS, _SHORT = 5, 0.01
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
        Of the objective, where the statistics that the rows are reduced to tell it (`engine` is "gram", and no l1).
    lr_max : float or None
        The largest stable rate, where there is an exact one: full batch, squared loss, constant schedule, and sgd,
        momentum or nesterov.
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

    @property
    def final(self) -> Array:
        """(rates,): the loss after the last epoch; NaN where a run diverged."""
        return np.where(np.array(self.status) == "diverged", np.nan, self.loss[:, -1])

    @property
    def best(self) -> float:
        """Of the rates whose loss ended lowest, to a millionth of its way, the one that was soonest; NaN if none is."""
        at = _best(self.loss, self.final)
        return np.nan if at is None else float(self.lr[at])

    @property
    def lowest(self) -> float:
        """What the losses are measured by: the minimum if it is known, else the lowest at the end of a run."""
        final = self.final
        return self.minimum if self.minimum is not None else float(np.fmin.reduce(final))

    @property
    def advice(self) -> str:
        """What to do where even the best of the stable rates crawls, else empty."""
        if self.lr_max is None or self.standardized or not self.best > self.lr_max / 10:
            return ""
        short = np.nanmin(self.final) - self.lowest > goal(self.loss[0, 0], self.lowest)
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
        if np.isfinite(self.best):
            least = f"; the minimum is {self.minimum:.8g}" if self.minimum is not None else ""
            found.append(("best", f"{self.best:.6g}, loss {np.nanmin(self.final):.8g}{least}"))
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


#: options of `fit` that a sweep has no use for, and what it takes instead
_FIXED: dict[str, tuple[tuple[Any, ...], str]] = {
    "tol": ((None, "auto"), "None in a sweep, in which every rate runs all epochs"),
    "record": (("epoch",), '"epoch" in a sweep, which keeps one loss an epoch'),
    "average": ((False, "auto"), "False in a sweep, which shows the iterates' own losses"),
    "callback": ((None,), "None in a sweep"),
}


def sweep(X: Any, y: Any, lr: Any, *, epochs: int, **fit_options: Any) -> Sweep:
    """Run `fastgd.fit` at each of many learning rates, for the losses.

    Parameters
    ----------
    X : array-like, shape (n, d), or (n,) for one feature
    y : array-like, shape (n,) or (n, K)
    lr : array-like, shape (rates,)
        Finite rates > 0 in any order, for example `numpy.logspace(-6, -1, 200)`.
    epochs : int
        Passes over the rows at each rate.
    **fit_options
        As for `fastgd.fit`, but for what makes no sense here: `tol`, `record`, `average` and `callback`. Every rate
        gets the same start and the same batches, with `rng=None` too. A Generator is afterwards where the longest of
        the runs would have left it. `progress` counts the epochs of all rates.

    Returns
    -------
    Sweep
        Its losses and statuses are those of one `fit(X, y, lr=rate, epochs=epochs, ...)` a rate, to rounding. A rate
        that diverges is a status here, not a warning.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong.
    MemoryError
        If there is no memory for the (rates, epochs + 1) losses.
    KeyboardInterrupt
        Ctrl-C is looked for every 50 ms.

    Notes
    -----
    The rows of a squared loss, full batch, are reduced to sufficient statistics once, and all rates iterate on these
    (`engine="rows"` walks the rows every time). Anything else is one run after the other.

    Examples
    --------
    >>> import fastgd
    >>> x, y = fastgd.datasets.load_points()
    >>> fastgd.sweep(x, y, [1e-3, 0.3, 0.9, 1.1], epochs=100, standardize=True)
    Sweep: 4 rates from 0.001 to 1.1, 100 epochs each
      0.001   3765.2887  crawls
      0.3     110.25738  good
      0.9     110.25738  oscillates
      1.1     -          diverges
      by      sgd, full batch, standardised
      best    0.3, loss 110.25738; the minimum is 110.25738
      stable  below 1
    """
    rates, epochs = _rates(lr), _door.integer(epochs, "epochs")
    request = _request(fit_options)
    make_bar = bars() if _door.flag(request.pop("progress"), "progress") else None
    problem = make_problem(X, y, request.pop("sample_weight"))
    losses = _table(len(rates), epochs)
    with np.errstate(all="ignore"):
        plan = make_plan(problem, lr=rates[0], epochs=epochs, **request, shared=True)
        status, turns, rng = [], [], plan.config.rng
        start = end = None if rng is None else copy.deepcopy(rng.bit_generator.state)
        longest = -1
        with nullcontext() if make_bar is None else make_bar(len(rates) * epochs) as told:
            for i, rate in enumerate(rates):
                at = plan.with_rate(float(rate))
                if rng is not None and start is not None:
                    rng.bit_generator.state = start
                shown = None if told is None else lambda epoch, loss, done=i * epochs: told(done + epoch, loss)
                solution = _core.solve(at.work, at.work_config, None, shown)
                if rng is not None and solution["n_steps"] > longest:
                    longest, end = solution["n_steps"], copy.deepcopy(rng.bit_generator.state)
                losses[i] = _by_epoch(solution, epochs)
                status.append(_status(at, solution))
                turns.append(_turns(solution))
            if told is not None:
                told(len(rates) * epochs, solution["loss"])
        if rng is not None and end is not None:
            rng.bit_generator.state = end
        minimum = _minimum(plan, losses[:, -1])
        return Sweep(
            lr=rates,
            loss=losses,
            status=status,
            verdict=_verdicts(rates, losses, status, turns, minimum),
            minimum=minimum,
            lr_max=_lr_max(plan),
            engine=plan.engine,
            standardized=plan.frame is not None,
            options=resolved(plan),
        )


def _rates(lr: Any) -> Array:
    accepted = "lr must be a one-dimensional array-like of finite rates > 0"
    if isinstance(lr, str):
        raise TypeError(f"{accepted}, got {lr!r}")
    values = _door.real_array(lr, "lr")
    if values.ndim != 1 or not len(values):
        given = f"shape {values.shape}" if values.ndim else repr(lr)
        raise ValueError(f"{accepted}, at least one, got {given}")
    rates = np.array(values, dtype=np.float64)
    good = np.isfinite(rates) & (rates > 0)
    if not good.all():
        at = int(np.argmin(good))
        raise ValueError(f"{accepted}, got {values[at]} at index {at}")
    return rates


def _request(given: dict[str, Any]) -> dict[str, Any]:
    """All options of `fit` but the rate and the epochs."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(fit).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in ("lr", "epochs")
    }
    for name in given:
        if name not in defaults:
            raise TypeError(f"sweep() got an unexpected keyword argument {name!r}")
    request = defaults | given
    for name, (accepted, words) in _FIXED.items():
        value = request.pop(name)
        if not any(value is one or (isinstance(value, str) and value == one) for one in accepted):
            raise ValueError(f"{name} must be {words}, got {value!r}")
    return request | {"tol": None, "record": "epoch", "average": False}


def _table(rates: int, epochs: int) -> Array:
    """Where the losses go; not more of them than there is memory, which some systems promise all the same."""
    size, there = 8 * rates * (epochs + 1), np.inf
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        if size < there:
            return np.full((rates, epochs + 1), np.nan)
    except (MemoryError, ValueError):  # too large, or larger than any array
        pass
    raise MemoryError(
        f"no memory for the losses of a sweep: {rates} rates times {epochs + 1} are {size / 1e9:.3g} GB; "
        "take fewer rates or epochs"
    )


def _by_epoch(solution: Solution, epochs: int) -> Array:
    """(epochs + 1,): the first record of each epoch, NaN where there is none."""
    losses = np.full(epochs + 1, np.nan)
    epoch, first = np.unique(solution["history"]["epoch"], return_index=True)
    losses[epoch] = solution["history"]["loss"][first]
    return losses


def _status(plan: Plan, solution: Solution) -> str:
    """As `fit` finds it: in the user's units, too."""
    coef, intercept = plan.back(solution["coef"], solution["intercept"])
    finite = np.isfinite(coef).all() and np.isfinite(intercept).all()
    return solution["status"] if finite else "diverged"


def _turns(solution: Solution) -> int:
    """How many steps from epoch to epoch turned back, both they and the ones before not short."""
    history = solution["history"]
    path = np.hstack([history[name].reshape(len(history["epoch"]), -1) for name in ("coef", "intercept")])
    steps = np.diff(path[np.isfinite(path).all(axis=1)], axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    long = lengths > _SHORT * lengths.max(initial=0.0)
    back = (steps[1:] * steps[:-1]).sum(axis=1) < 0
    return int((back & long[1:] & long[:-1]).sum())


def _verdicts(rates: Array, losses: Array, status: list[str], turns: list[int], minimum: float | None) -> list[str]:
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


def _minimum(plan: Plan, ends: Array) -> float | None:
    """The minimum of the objective, where the statistics tell it; no higher than where a run ended."""
    config = plan.work_config
    if plan.engine != "gram" or config.l1 or config.penalty_scale is None:
        return None
    X, y = plan.work.X, plan.work.y
    if config.l2:
        side = np.diag(np.sqrt(config.l2 / 2) * config.penalty_scale)
        X, y = np.vstack([X, side]), np.vstack([y, np.zeros((len(side), y.shape[1]))])
    try:
        least = float(((y - X @ np.linalg.lstsq(X, y, rcond=None)[0]) ** 2).sum())
    except np.linalg.LinAlgError:  # what is too large for a float64
        return None
    return float(np.fmin(np.fmin.reduce(ends), least)) if np.isfinite(least) else None


def _lr_max(plan: Plan) -> float | None:
    """The largest stable rate on a quadratic, whose largest curvature the statistics tell."""
    config = plan.work_config
    if plan.engine != "gram" or config.schedule[0] != "constant":
        return None
    if config.optimizer[0] not in ("sgd", "momentum", "nesterov"):
        return None
    rounding, largest = config.rounding
    if not 0 < rounding < np.inf:
        return None
    return stability(config.optimizer, None, squared=True, largest=largest, trace=largest).limit
