"""Sweep: the same run at many learning rates, and what became of each."""

from __future__ import annotations

import copy
import inspect
import os
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from fastgd import _core, _door
from fastgd._auto import Plan, make_plan
from fastgd._door import Array
from fastgd._fit import fit, resolved
from fastgd._known import is_eased, lr_max_of, minimum_of, squares_of
from fastgd._progress import bars
from fastgd._request import Progress, Solution, classes_of, coef_of, make_loss, make_problem, with_classes
from fastgd._swept import Sweep, verdicts

#: steps shorter than that share of the longest do not count as turned back
_SHORT = 0.01
#: numbers of a place and of a path from which the path is watched as it goes, instead of kept
_MANY, _LARGE = 32, 1 << 20

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
    coef = coef_of(request["init"])
    loss = make_loss(request["loss"], problem.y, classes=classes_of(coef))
    outputs = with_classes(problem, loss, coef).outputs
    losses = _table(len(rates), epochs, outputs * (problem.X.shape[1] + 1))
    with np.errstate(all="ignore"):
        plan = make_plan(problem, lr=rates[0], epochs=epochs, **request, shared=True)
        status, turns = [], []
        rng = None if isinstance(plan.config.rng, int) else plan.config.rng
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
        squares = squares_of(problem, plan, request)
        minimum = None if squares is None else minimum_of(squares, losses[:, -1])
        found = Sweep(
            lr=rates,
            loss=losses,
            status=status,
            verdict=verdicts(rates, losses, status, turns, minimum),
            minimum=minimum,
            lr_max=None if squares is None else lr_max_of(squares),
            engine=plan.engine,
            standardized=plan.frame is not None,
            options=resolved(plan),
            _eased=squares is not None and plan.frame is None,
        )
        if squares is not None and found.advice and not is_eased(squares):  # asked last: it takes a decomposition
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
