"""Fit: the request is checked, the work is done elsewhere, and the answer is put into the user's shape."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastgd import _core, _door
from fastgd._auto import Plan, make_plan
from fastgd._door import Array
from fastgd._progress import bars
from fastgd._refine import refine, refines
from fastgd._request import Config, Observe, Solution, Solve, least_at_zero, make_problem
from fastgd.history import History
from fastgd.result import FitResult


class ConvergenceWarning(UserWarning):
    """All automatic epochs did not suffice, or rounding leaves the coefficients uncertain."""


class DivergenceWarning(RuntimeWarning):
    """A run diverged: the coefficients are the best that it saw, not a minimum."""


@dataclass(frozen=True)
class State:
    """What a callback is shown after an epoch; the arrays are read-only copies."""

    epoch: int
    step: int
    loss: float
    coef: Array
    intercept: Any
    lr: float
    grad_norm: float


def fit(
    X: Any,
    y: Any,
    *,
    loss: str | tuple[str, dict[str, float]] = "mse",
    lr: float | str = "auto",
    epochs: int | str = "auto",
    batch_size: int | None = None,
    shuffle: bool | str = True,
    optimizer: str | tuple[str, dict[str, float]] = "auto",
    schedule: str | tuple[str, dict[str, float]] = "constant",
    l1: float = 0.0,
    l2: float = 0.0,
    fit_intercept: bool = True,
    standardize: bool | str = "auto",
    init: Any = "zeros",
    sample_weight: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    average: bool | str = "auto",
    tol: float | str | None = "auto",
    patience: int = 5,
    record: str | int | None = "epoch",
    exact_loss: bool = False,
    rng: Any = None,
    engine: str = "auto",
    threads: int | None = None,
    callback: Callable[[State], bool | None] | None = None,
    progress: bool = False,
    positive: bool = False,
) -> FitResult:
    r"""Fit a linear model by gradient descent: full batch, mini-batch or one row at a time.

    Minimises, with ``raw = X @ coef + intercept`` and weights s,

    .. math:: \sum_i s_i\, \mathrm{loss}(raw_i, y_i) \big/ \sum_i s_i
              + l_1 \lVert w \rVert_1 + \tfrac{l_2}{2} \lVert w \rVert_2^2

    by ``w -= lr * gradient``, the gradient taken over all rows or over one batch after the other.

    Parameters
    ----------
    X : array-like, shape (n, d), or (n,) for one feature
        Never written to. float32 rows are read as they are; all arithmetic is float64. Tables of pandas, polars and
        pyarrow are arrays too, here and wherever one is asked for. Sparse matrices and arrays of scipy are taken as
        they are, in CSR with indices of 32 or 64 bits; of other formats, and of rows whose columns are out of order or
        repeated, a sorted CSR copy is made. The model is that of `X.toarray()`.
    y : array-like, shape (n,) or (n, K)
        With K columns, K models are fitted at once and their losses summed; `coef` is then (K, d). For "softmax" the
        number of each row's class, 0 to K-1 (`numpy.unique(labels, return_inverse=True)` numbers labels); K is the
        largest plus 1, or as many as `init` has coefficients for. Beyond 1000 there must be as many rows, else these
        are labels, and refused. `coef` is (K, d), and probabilities are exp(raw_k) / sum_l exp(raw_l).
    loss : str or (str, dict), default "mse"
        A name of `fastgd.losses()`. "mse" is (raw - y)^2 averaged over rows, "half_mse" half of that, "sse" the sum
        over rows. A rate only means something together with one of them.
    lr : float or "auto", default "auto"
        The learning rate, > 0, in units of parameter per unit of gradient. "auto" takes it from the curvature of the
        (standardised) problem: with L the largest eigenvalue of the Hessian and tr its trace, 1/L full batch,
        1 / ((1 + 1/B) L + tr/B) in batches of B, 1 / (tr + 2 L) for implicit steps; momentum and nesterov 1 - beta
        times that; adagrad and rmsprop 0.01, adam 0.001. If the objective grows all the same, the rate is halved and
        the run begun again, as the message then says.
        Losses with kinks (absolute, quantile, epsilon_insensitive, hinge) have no curvature, but over many rows bend by
        about 1/s, s being the mean absolute residual: L and tr are taken at 1/s with the s of the start, in batches at
        2/s.
        As the run goes on, the rate is halved whenever the loss has halved, and whenever it stalls: full batch when in
        30 epochs it has not fallen by `tol |best|`, where it then starts afresh, and from the best state if the loss
        grew; in batches when an epoch gains less than 0.3%. The best state is returned, in batches the average. So the
        steps shrink geometrically, as the minimum asks (Goffin, "On Convergence Rates of Subgradient Optimization
        Methods", 1977; Yang and Lin, "RSG: Beating Subgradient Method without Smoothness and Strong Convexity", 2018).
        For poisson, whose curvature exp(raw) has no bound, L and tr are taken at the largest target.
        The result's `lr` is the first rate, `history.lr` has them all, and the message counts the halvings.
    epochs : int or "auto", default "auto"
        At most so many passes over the rows. "auto" runs until `tol` is met: up to 1,000,000 on sufficient statistics,
        1000 full batch on rows, 100 in batches; whenever 10,000 records are full, every second one is dropped.
    batch_size : int or None, default None
        Rows a step: None all (gradient descent), 1 single rows (stochastic), else mini-batches. A batch's loss is the
        mean over its own rows, however few, of s_i / mean(s) times theirs, mean(s) being that of all rows; with "sse"
        the sum of s_i times theirs. Each step takes the whole penalty, as PyTorch's do: with "sse" it weighs more
        beside a few rows than beside all.
    shuffle : {True, "once", False}, default True
        A fresh permutation each epoch, one for all, or none. A permutation is exactly `rng.permutation(n)`; full batch
        draws none.
    optimizer : str or (str, dict), default "auto"
        A name of `fastgd.optimizers()`. "auto" is sgd; with `lr="auto"` accelerated full batch, and implicit for single
        rows with a squared loss.
    schedule : str or (str, dict), default "constant"
        A name of `fastgd.schedules()`.
    l1, l2 : float, default 0
        Penalties on the coefficients, never on the intercept. l1 is a proximal step after each update (Parikh and Boyd,
        "Proximal Algorithms", 2014, section 4.2), as long as the rule's steady gain: `lr` for sgd, lr/(1 - beta) for
        momentum, per coordinate lr/(sqrt(v) + eps) for the adaptive rules; so all rules end in one minimum (implicit
        steps near it, while `lr |x|^2` is small).
    fit_intercept : bool, default True
        False fits a plane through the origin.
    standardize : bool or "auto", default "auto"
        True iterates on centred and scaled features; the objective is the same, and all that is reported is in the
        user's units, but `grad_norm`. "auto" does so exactly when `lr="auto"`.
    init : "zeros", ("normal", std), (coef, intercept) or FitResult
        The start; ("normal", std) draws `rng.normal(0, std, coef.shape)` and leaves the intercept 0.
    sample_weight : array-like, shape (n,), optional
        Finite, >= 0, not all 0.
    X_val, y_val : array-like, shapes (m, d) and (m,) or (m, K), optional
        Validation rows. Their mean loss is recorded, decides with `tol` and `patience` when to stop, full batch too,
        and the epoch's end where it was lowest is returned.
    average : {False, "tail", "auto"}, default "auto"
        "tail", in batches: return the mean of every iterate of the epochs after the first half (Polyak and Juditsky,
        "Acceleration of Stochastic Approximation by Averaging", 1992). The history holds the iterates themselves.
        "auto" is "tail" in batches with `lr="auto"` and no validation rows.
    tol : float, None or "auto", default "auto"
        None runs all epochs, as "auto" does when `lr` and `epochs` are numbers; else "auto" is 1e-6 full batch on rows,
        1e-4 in batches, and on sufficient statistics what makes the coefficients certain. At an automatic rate, with no
        penalty, these are then descended once more, from zero for as many epochs, on what is left of y: that restores
        the digits of small coefficients and of columns that nearly agree.
        Full batch: converged when the gradient is at most `tol` times as long as at zero coefficients (so never, but by
        luck, where that is 0, or where a loss has kinks: with `lr="auto"` these have converged, too, when `patience`
        rates in a row, each half of the one before, gained no more than `10 tol |best|` each).
        Batched, or with validation rows: when the epoch's (validation) loss is not below `best - tol |best|` for
        `patience` epochs in a row.
    patience : int, default 5
        Epochs, or rates, in a row: see `tol`.
    record : {"epoch", "step"}, int or None, default "epoch"
        What `history` keeps: every epoch, every update, every k-th update, nothing.
    exact_loss : bool, default False
        Batched: record the exact objective instead of the loss that comes for free (a pass over all rows each time).
        When a run stops does not depend on what is recorded.
    rng : None, int, SeedSequence, BitGenerator or Generator
        As for `numpy.random.default_rng`. A Generator is advanced by just what is used.
    engine : {"auto", "rows", "gram"}, default "auto"
        "rows" walks the data at every step. "gram" makes one pass, which reduces the rows to at most d + 1 + K (the
        triangular factor of their QR decomposition, sufficient for squared losses), and iterates on these full batch:
        the same iterates to rounding, at a cost that does not depend on n. "auto" takes it where it can and pays.
        Sparse rows are filled in for it, block by block, up to 1000 features.
    threads : int or None, default None
        Threads of passes over many rows, and of bringing shuffled ones, at most. The bits do not depend on it. None
        takes as many as there are processors (and OMP_NUM_THREADS allows), and one where somebody else is parallel
        already: off the main thread, and in processes that `multiprocessing` started.
    callback : callable, optional
        Called with a `State` after every epoch; True ends the run. Its exceptions come out as they are.
    progress : bool, default False
        Show a bar on standard error, if that is a terminal: epochs done, of `epochs` where that is a number, epochs a
        second and the loss, several times a second. Needs tqdm: ``pip install 'fastgd[progress]'``.
    positive : bool, default False
        No coefficient may be negative; the intercept may. After each update those that are become 0, in one proximal
        step with l1: max(0, w - length l1). A start drawn from ("normal", std) loses its negative ones, too.

    Returns
    -------
    FitResult
        Coefficients, loss, status and history, in the user's units.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong; the message names it, what was given and what is accepted.
    ImportError
        If `progress` is True and tqdm is missing.
    KeyboardInterrupt
        Ctrl-C is looked for every 50 ms.

    Warns
    -----
    ConvergenceWarning
        If `epochs="auto"` and all of them did not suffice, or if rounding leaves the coefficients uncertain.
    DivergenceWarning
        If something became infinite, the objective grew a million-fold, a full-batch run ended above its start, or a
        run in batches ended ten times above both its start and the objective at zero. The message says why. `coef` is
        then that of the best epoch, or the start.

    Notes
    -----
    The algorithm is Robbins and Monro, "A Stochastic Approximation Method" (1951), in the form of Bottou, Curtis and
    Nocedal, "Optimization Methods for Large-Scale Machine Learning" (2018). `fastgd.reference.fit` is the same in plain
    NumPy. Another thread must not write to X or y meanwhile: the numbers would be wrong.

    X is not copied, in C or in Fortran order, but for shuffled batches: rows of up to 256 features are brought together
    in the order of their visits, a few megabytes at a time, and ahead of the steps if `threads` allow two. Rows in
    Fortran order are then copied once in float64, for two or more epochs, at most 2 GiB and only if there is memory for
    it. The bits are the same.

    A pass over sparse rows costs as many operations as they hold numbers, and so does a step of sgd or implicit in
    batches of any size, however many features there are, with l1, l2 and averages too: what such a step does to all
    coefficients alike is caught up with when a row has them (`rust/lazy.rs`). The other rules, `positive=True`, and
    penalties in standardised coordinates touch every coefficient at every step. Centring fills nothing in; where the
    mean of a column is large beside its deviation, it costs about as many digits as the ratio has.

    Examples
    --------
    >>> import fastgd
    >>> x, y = fastgd.datasets.make_line(n=200, slope=2.0, intercept=1.0, noise=0.1, rng=0)
    >>> result = fastgd.fit(x, y, lr=0.02, epochs=1000)
    >>> print(f"{result.status}: y = {result.coef[0]:.2f} x + {result.intercept:.2f}")
    max_epochs: y = 2.00 x + 1.00
    """
    return run(_core.solve, locals())  # all arguments, and nothing else yet


#: an automatic rate is halved at most so often
_HALVINGS = 30


def run(solve: Solve, request: dict[str, Any]) -> FitResult:
    """Check what `fit` was given, let `solve` do the work, shape the answer: for the engine and the reference alike."""
    X, y, sample_weight = request.pop("X"), request.pop("y"), request.pop("sample_weight")
    callback, progress = request.pop("callback"), request.pop("progress")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable or None, got {callback!r}")
    make_bar = bars() if _door.flag(progress, "progress") else None
    handling = None if callback is None else np.geterr()
    problem = make_problem(X, y, sample_weight, later=True)
    with np.errstate(all="ignore"):  # what is too large or too small for a float64 ends in a status
        plan = make_plan(problem, **request)
        rng = plan.config.rng if plan.automatic_lr and not isinstance(plan.config.rng, int) else None
        state = None if rng is None else copy.deepcopy(rng.bit_generator.state)
        halvings = 0
        total = None if plan.automatic_epochs else plan.config.epochs
        with nullcontext() if make_bar is None else make_bar(total) as told:
            while True:
                observe = None if callback is None else _observer(callback, plan, handling)
                solution = solve(plan.work, plan.work_config, observe, told)
                if solution["status"] == "diverged" and not solution["n_steps"]:
                    problem.look(plan.config.threads)
                grew = solution["status"] == "diverged" and solution["n_steps"] > 0
                if not (plan.automatic_lr and grew and halvings < _HALVINGS):
                    break
                halvings += 1
                plan = plan.with_rate(plan.config.lr / 2)
                if rng is not None and state is not None:
                    rng.bit_generator.state = state
            if refines(plan, solution):
                solution = refine(solve, plan, solution, observe, told)
            if told is not None:
                told(solution["n_epochs"], solution["loss"])
        return _finish(plan, solution, halvings)


def _observer(callback: Callable[[State], bool | None], plan: Plan, handling: Any) -> Observe:
    """Shows an iterate in the user's units, to a callback that runs under the user's own `numpy.errstate`."""

    def observe(epoch: int, step: int, loss: float, coef: Array, intercept: Array, lr: float, grad_norm: float) -> bool:
        coef, intercept = plan.back(coef, intercept)
        coef.flags.writeable = False
        intercept.flags.writeable = False
        shown = (coef[0], float(intercept[0])) if plan.problem.single else (coef, intercept)
        with np.errstate(**handling):
            answer = callback(State(epoch, step, loss, shown[0], shown[1], lr, grad_norm))
        return isinstance(answer, (bool, np.bool_)) and bool(answer)

    return observe


def _finish(plan: Plan, solution: Solution, halvings: int) -> FitResult:
    config = plan.config
    columns: dict[str, Any] = dict(solution["history"])
    coef, intercept = plan.back(solution["coef"], solution["intercept"])
    coef, intercept = np.ascontiguousarray(coef), np.ascontiguousarray(intercept)
    beyond = not (_core.finite(coef) and _core.finite(intercept))
    if beyond:
        coef, intercept = config.coef, config.intercept
        solution = {**solution, "loss": np.nan, "status": "diverged"}
    coefs, intercepts = plan.back(columns["coef"], columns["intercept"])
    last: Any = intercept
    if plan.problem.single:
        coef, last, coefs, intercepts = coef[0], float(intercept[0]), coefs[:, 0], intercepts[:, 0]
    columns["coef"], columns["intercept"] = np.ascontiguousarray(coefs), np.ascontiguousarray(intercepts)
    if config.validation is None:
        columns["val_loss"] = None
    message = _message(plan, solution, beyond=beyond and solution["n_steps"] > 0) + _returned(config, solution)
    if least_at_zero(config.loss) and solution["n_steps"] and not np.any(coef):
        message += "; with all coefficients 0 this loss is 0, the least it can be: hinge asks for more"
    if solution["status"] == "max_epochs" and plan.automatic_epochs and _separates(plan, coef, last):
        message += "; every row is on its class's side, so that the minimum is at infinity: l2 > 0 brings it near"
    if halvings:
        message += f"; the automatic rate was too large and was halved {halvings} time{'' if halvings == 1 else 's'}"
    elif solution["halvings"]:
        times = solution["halvings"]
        message += f"; the rate was halved {times} time{'' if times == 1 else 's'}, as a loss with kinks asks for"
    result = _door.made(
        FitResult,
        coef=coef,
        intercept=last,
        loss=solution["loss"],
        status=solution["status"],
        message=message,
        n_epochs=solution["n_epochs"],
        n_steps=solution["n_steps"],
        lr=config.lr,
        optimizer=config.optimizer[0],
        engine=plan.engine,
        standardized=plan.frame is not None,
        features=plan.problem.names,
        target=None,
        history=_door.made(History, **columns),
        options=resolved(plan),
    )
    if result.status == "diverged":
        warnings.warn(result.message, DivergenceWarning, stacklevel=4)
    elif (result.status == "max_epochs" and plan.automatic_epochs and config.tol is not None) or (
        result.status == "converged" and config.certificate and _error(plan, solution) > _CERTAIN
    ):
        warnings.warn(result.message, ConvergenceWarning, stacklevel=4)
    return result


def _separates(plan: Plan, coef: Array, intercept: Any) -> bool:
    """Whether no row is on the wrong side, where larger coefficients would then always be better."""
    problem, config = plan.problem, plan.config
    if config.loss[0] not in ("log_loss", "softmax") or config.l1 or config.l2:
        return False
    d = problem.X.shape[1]
    raw = _core.predict(problem.X, None, coef.reshape(-1, d), np.array(intercept, np.float64).reshape(-1))
    right = (raw > 0) == (problem.y > 0.5) if config.loss[0] == "log_loss" else raw.argmax(axis=1) == problem.y[:, 0]
    return bool(np.all(right))


def _returned(config: Config, solution: Solution) -> str:
    """Which iterate is returned, where it is not the last."""
    if solution["status"] == "diverged":
        return ""
    if config.tail_average:
        return f"; returned is the mean of the iterates after epoch {solution['n_epochs'] // 2}"
    if config.halving and config.batch_size is None and config.validation is None:
        return f"; returned is epoch {solution['best_epoch']}, the best"
    if config.validation is not None:
        return f"; returned is epoch {solution['best_epoch']}, the best on the validation rows"
    return ""


#: a certificate of |g| / mu beyond so much of |w| is told, with a warning
_CERTAIN = 1e-7
#: a condition number from which it is to blame that not all was reached
_HARD = 1e6


def _error(plan: Plan, solution: Solution) -> float:
    """Bound on the error of the coefficients over their length, |g| / (mu |w|), in the coordinates iterated on."""
    if plan.config.validation is not None or not plan.config.certificate:
        return 0.0
    length = np.linalg.norm(solution["coef"] * (plan.work_config.penalty_scale != 0))
    smallest = plan.work_config.certificate / plan.config.certificate
    if length == 0 or smallest == 0:
        return 0.0
    return float(solution["grad_norm"] / smallest / length)


def _iterated(plan: Plan) -> Config:
    """The request in the coordinates that are iterated on, whichever engine did it."""
    return plan.config if plan.frame is None else replace(plan.config, penalty_scale=1 / plan.frame.scale)


#: what a result tells of its request
_OPTIONS = (
    *("loss", "epochs", "batch_size", "shuffle", "optimizer", "schedule", "l1", "l2", "positive", "fit_intercept"),
    *("tol", "patience", "record", "exact_loss"),
)


def resolved(plan: Plan) -> dict[str, Any]:
    """The request as a result tells it."""
    config = plan.config.__dict__
    options = {name: config[name] for name in _OPTIONS}
    options["average"] = "tail" if plan.config.tail_average else False
    return options


def _message(plan: Plan, solution: Solution, *, beyond: bool) -> str:
    config, epochs = plan.config, solution["n_epochs"]
    after = f"after {epochs} epoch{'' if epochs == 1 else 's'}"
    if not epochs and solution["n_steps"]:
        after = "in the first epoch"
    way = "full batch" if config.batch_size is None and config.validation is None else "by the loss"
    match solution["status"]:
        case "converged" if config.certificate and config.validation is None:
            error = _error(plan, solution)
            if error <= _CERTAIN and plan.short:
                return (
                    f"converged {after}: the coefficients are those of one minimum of many ({plan.short}), to rounding"
                )
            if error <= _CERTAIN:
                return f"converged {after}: the coefficients are those of the minimum, to rounding"
            known = f"are known to about {error:.0e} of their size" if error < 0.5 else "are not known"
            return (
                f"converged {after} to rounding, but the coefficients {known} (condition number {plan.condition:.2g})"
            )
        case "converged" if way == "full batch" and config.halving and solution["idle"] >= config.patience:
            return f"converged {after}: the last {config.patience} halvings of the rate brought next to nothing"
        case "converged" if way == "full batch":
            return f"converged {after}: the gradient is at most tol={config.tol:g} times as long as at zero"
        case "converged":
            which = "loss" if config.validation is None else "validation loss"
            return f"converged {after}: no {which} below best - {config.tol:g} |best| for {config.patience} epochs"
        case "stopped":
            return f"stopped {after}, as the callback asked"
        case "diverged" if beyond:
            return f"diverged {after}: in the units of X and y, coefficients are too large for a float64"
        case "diverged":
            from fastgd.insight import explain_divergence

            return f"diverged {after}: {explain_divergence(plan.iterated, _iterated(plan), solution['n_steps'])}"
        case _:
            unmet = "no tol was set" if config.tol is None else f"tol={config.tol:g} was not met"
            if config.certificate:
                unmet = "the coefficients are not certain yet"
            if plan.automatic_lr and config.certificate and (plan.condition or 0.0) > _HARD:
                unmet = f"the condition number {plan.condition:.2g} is too high for the coefficients to be certain"
            return f"ran all of {epochs} epoch{'' if epochs == 1 else 's'}; {unmet}"
