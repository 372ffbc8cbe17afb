"""Sweep: the same run at many learning rates, and what became of each."""

from __future__ import annotations

import copy
import inspect
import os
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd import _core, _door, _html
from fastgd._auto import Plan, make_plan
from fastgd._curvature import is_wide
from fastgd._door import Array
from fastgd._fit import fit, resolved
from fastgd._progress import bars
from fastgd._request import Problem, Progress, Solution, facts_of, make_problem
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
#: numbers of a place and of a path from which the path is watched as it goes, instead of kept
_MANY, _LARGE = 32, 1 << 20
#: epochs after which nothing is said to crawl yet
_EARLY = 10
#: what is left of a column that is no more than that share of it is rounding
_NOTHING = 1e-15
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
        If there is no memory for the (rates, epochs + 1) losses and the path of one run.
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
    outputs = problem.y.shape[1]
    losses = _table(len(rates), epochs, outputs * (problem.X.shape[1] + 1))
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
                losses[i], turned, solution = _run(at, shown)
                if rng is not None and solution["n_steps"] > longest:
                    longest, end = solution["n_steps"], copy.deepcopy(rng.bit_generator.state)
                status.append(_status(at, solution))
                turns.append(turned)
            if told is not None:
                told(len(rates) * epochs, solution["loss"])
        if rng is not None and end is not None:
            rng.bit_generator.state = end
        squares = _squares(problem, plan, request)
        minimum = None if squares is None else _minimum(squares, losses[:, -1])
        found = Sweep(
            lr=rates,
            loss=losses,
            status=status,
            verdict=_verdicts(rates, losses, status, turns, minimum),
            minimum=minimum,
            lr_max=None if squares is None else _lr_max(squares),
            engine=plan.engine,
            standardized=plan.frame is not None,
            options=resolved(plan),
            _eased=squares is not None and plan.frame is None,
        )
        if squares is not None and found.advice and not _eased(squares):  # asked last: it takes a decomposition
            found = replace(found, _eased=False)
        return found


def _rates(lr: Any) -> Array:
    accepted = "lr must be a one-dimensional array-like of finite rates > 0"
    if isinstance(lr, str):
        raise TypeError(f"{accepted}, got {lr!r}")
    values = _door.real_array(lr, "lr")
    entries = lr if isinstance(lr, (list, tuple)) else []
    if values.dtype.kind == "b" or any(isinstance(one, (bool, np.bool_)) for one in entries):
        raise TypeError(f"{accepted}, got True or False")
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


def _looks_on(epochs: int, size: int) -> bool:
    """Whether a path of so many epochs and numbers is too large to be kept, and its steps long enough to be watched."""
    return size >= _MANY and size * epochs > _LARGE


def _table(rates: int, epochs: int, size: int) -> Array:
    """Where the losses go; not more of them, and of a path's numbers, than there is memory, which some systems promise
    all the same."""
    path = 3 * (4 if _looks_on(epochs, size) else size)
    need, there = 8 * (rates + path) * (epochs + 1), np.inf
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        if need < there:
            return np.full((rates, epochs + 1), np.nan)
    except (MemoryError, ValueError):  # too large, or larger than any array
        pass
    raise MemoryError(
        f"no memory for the losses of a sweep: {rates} rate{'' if rates == 1 else 's'} times {epochs + 1}, and the "
        f"path of one, are {need / 1e9:.3g} GB; take fewer rates or epochs"
    )


def _run(plan: Plan, told: Progress | None) -> tuple[Array, int, Solution]:
    """The losses (epochs + 1,) of one rate, NaN where there are none, how many steps turned back, and the end."""
    config = plan.work_config
    losses = np.full(config.epochs + 1, np.nan)
    if _looks_on(config.epochs, config.coef.size):
        turns = _Turns(losses)
        turns.see(np.append(config.coef, config.intercept))
        ends = replace(config, record=2**62)  # of the history just the start and the end
        solution = _core.solve(plan.work, ends, turns, told)
        found = turns.count
    else:
        solution = _core.solve(plan.work, config, None, told)
        found = _turns(solution)
    epoch, first = np.unique(solution["history"]["epoch"], return_index=True)
    new = np.isnan(losses[epoch])
    losses[epoch[new]] = solution["history"]["loss"][first[new]]
    return losses, found, solution


def _status(plan: Plan, solution: Solution) -> str:
    """As `fit` finds it: in the user's units, too."""
    coef, intercept = plan.back(solution["coef"], solution["intercept"])
    finite = np.isfinite(coef).all() and np.isfinite(intercept).all()
    return solution["status"] if finite else "diverged"


class _Turns:
    """Counts the steps from epoch to epoch that turned back, both they and the ones before not short.

    An observer of a run whose path is too large to be kept; it writes down the losses, too.
    """

    def __init__(self, losses: Array) -> None:
        self.losses = losses
        self._lengths, self._back = np.zeros(len(losses)), np.zeros(len(losses), bool)
        self._steps = 0
        self._at: Array | None = None
        self._step: Array | None = None

    def __call__(
        self, epoch: int, step: int, loss: float, coef: Array, intercept: Array, lr: float, grad_norm: float
    ) -> bool:
        self.losses[epoch] = loss
        self.see(np.append(coef, intercept))
        return False

    def see(self, at: Array) -> None:
        """The next place."""
        if not np.isfinite(at).all():
            return
        if self._at is not None:
            step = at - self._at
            self._lengths[self._steps] = np.linalg.norm(step)
            self._back[self._steps] = self._step is not None and step @ self._step < 0
            self._steps, self._step = self._steps + 1, step
        self._at = at

    @property
    def count(self) -> int:
        return _count(self._lengths[: self._steps], self._back[1 : self._steps])


def _count(lengths: Array, back: Any) -> int:
    long = lengths > _SHORT * lengths.max(initial=0.0)
    return int((back & long[1:] & long[:-1]).sum())


def _turns(solution: Solution) -> int:
    """The same of a path that was kept."""
    history = solution["history"]
    path = np.hstack([history[name].reshape(len(history["epoch"]), -1) for name in ("coef", "intercept")])
    steps = np.diff(path[np.isfinite(path).all(axis=1)], axis=0)
    return _count(np.linalg.norm(steps, axis=1), (steps[1:] * steps[:-1]).sum(axis=1) < 0)


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


def _squares(problem: Problem, plan: Plan, request: dict[str, Any]) -> Plan | None:
    """The sum of squares over a few rows that is minimised, whichever engine ran; None where there is none."""
    if plan.engine == "gram":
        return plan
    config = plan.config
    if config.batch_size is not None or not facts_of(config.loss[0])["squared"] or is_wide(problem, config.l2):
        return None
    asked = request | {"engine": "gram", "init": "zeros", "rng": None, "X_val": None, "y_val": None}
    return make_plan(problem, lr=config.lr, epochs=config.epochs, **asked, shared=True)


def _even(plan: Plan) -> tuple[Array, Array]:
    """Rows (X, y) with the same minimum: the intercept taken out of them, all columns of one length.

    Without either, least squares takes what is real along small or nearly constant columns for rounding.
    """
    config = plan.work_config
    assert config.penalty_scale is not None
    X, y = plan.work.X, plan.work.y
    if config.l2:
        side = np.diag(np.sqrt(config.l2 / 2) * config.penalty_scale)
        X, y = np.vstack([X, side]), np.vstack([y, np.zeros((len(side), y.shape[1]))])
    if plan.config.fit_intercept:
        X, ones = X[:, :-1], X[:, -1:] / np.linalg.norm(X[:, -1])
        whole = np.abs(X).max(axis=0, initial=0.0)
        for _ in range(2):  # twice is enough (Kahan)
            X, y = X - ones * (ones.T @ X), y - ones * (ones.T @ y)
        X = np.where(np.abs(X).max(axis=0, initial=0.0) > _NOTHING * whole, X, 0.0)
    largest = np.abs(X).max(axis=0, initial=0.0)
    X = X[:, largest > 0] / largest[largest > 0]
    return X / np.linalg.norm(X, axis=0), y


def _minimum(plan: Plan, ends: Array) -> float | None:
    """The minimum of the objective, no higher than where a run ended; None with l1."""
    if plan.work_config.l1:
        return None
    X, y = _even(plan)
    try:
        least = float(((y - X @ np.linalg.lstsq(X, y, rcond=None)[0]) ** 2).sum())
    except np.linalg.LinAlgError:  # what is too large for a float64
        return None
    return float(np.fmin(np.fmin.reduce(ends), least)) if np.isfinite(least) else None


def _eased(plan: Plan) -> bool:
    """Whether standardising would at least halve the condition number."""
    X, _ = _even(plan)
    if plan.condition is None or not X.size or not np.isfinite(X).all():
        return False
    values = np.linalg.svd(X, compute_uv=False)
    values = values[values > values[0] * max(X.shape) * np.finfo(np.float64).eps] ** 2
    largest, smallest = values[0], values[-1]
    if plan.config.fit_intercept:  # it curves as the mean column does
        largest, smallest = max(largest, 1.0), min(smallest, 1.0)
    return bool(2 * largest / smallest < plan.condition)


def _lr_max(plan: Plan) -> float | None:
    """The largest stable rate on a quadratic, whose largest curvature the statistics tell."""
    config = plan.work_config
    if config.schedule[0] != "constant" or config.optimizer[0] not in ("sgd", "momentum", "nesterov"):
        return None
    rounding, largest = config.rounding
    if not 0 < rounding < np.inf:
        return None
    return stability(config.optimizer, None, squared=True, largest=largest, trace=largest).limit
