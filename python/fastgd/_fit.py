"""Fit: the request is checked here, the work is done elsewhere, and the answer is put into the user's shape."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from fastgd import _core, _door
from fastgd._door import Array, Rows
from fastgd.history import History
from fastgd.result import FitResult


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


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows (n, d), targets (n, K), weights (n,) or None: C order, aligned, finite."""

    X: Rows
    y: Array
    sample_weight: Array | None
    #: y was one-dimensional: answers drop the axis of outputs
    single: bool


@dataclass(frozen=True, eq=False)
class Config:
    """A request in which nothing is left to choose. Choices are (name, all parameters)."""

    loss: tuple[str, dict[str, float]]
    lr: float
    epochs: int
    batch_size: int | None
    shuffle: bool | str
    optimizer: tuple[str, dict[str, float]]
    #: the loss's curvature, where the rule divides each rate by 1 + rate times the curvature of the row
    implicit: float | None
    schedule: tuple[str, dict[str, float]]
    l1: float
    l2: float
    fit_intercept: bool
    coef: Array
    intercept: Array
    tol: float | None
    patience: int
    record: int | str | None
    exact_loss: bool
    tail_average: bool
    validation: Problem | None
    rng: np.random.Generator | None


class Solution(TypedDict):
    """What an engine answers, with outputs as an axis of their own: coef is (K, d), intercept (K,)."""

    coef: Array
    intercept: Array
    loss: float
    status: str
    n_epochs: int
    n_steps: int
    history: dict[str, NDArray[Any]]


Observe = Callable[[int, int, float, Array, Array, float, float], bool]
Solve = Callable[[Problem, Config, Observe | None], Solution]


def fit(
    X: Any,
    y: Any,
    *,
    loss: str | tuple[str, dict[str, float]] = "mse",
    lr: float,
    epochs: int,
    batch_size: int | None = None,
    shuffle: bool | str = True,
    optimizer: str | tuple[str, dict[str, float]] = "sgd",
    schedule: str | tuple[str, dict[str, float]] = "constant",
    l1: float = 0.0,
    l2: float = 0.0,
    fit_intercept: bool = True,
    init: Any = "zeros",
    sample_weight: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    average: bool | str = False,
    tol: float | None = None,
    patience: int = 5,
    record: str | int | None = "epoch",
    exact_loss: bool = False,
    rng: Any = None,
    callback: Callable[[State], bool | None] | None = None,
) -> FitResult:
    r"""Fit a linear model by gradient descent: full batch, mini-batch or one row at a time.

    Minimises, with ``raw = X @ coef + intercept`` and weights s,

    .. math:: \sum_i s_i\, \mathrm{loss}(raw_i, y_i) \big/ \sum_i s_i
              + l_1 \lVert w \rVert_1 + \tfrac{l_2}{2} \lVert w \rVert_2^2

    by ``w -= lr * gradient``, the gradient taken over all rows or over one batch after the other.

    Parameters
    ----------
    X : array-like, shape (n, d), or (n,) for one feature
        Never written to. float32 rows are read as they are; all arithmetic is float64.
    y : array-like, shape (n,) or (n, K)
        With K columns, K models are fitted at once and their losses summed; `coef` is then (K, d).
    loss : str or (str, dict), default "mse"
        A name of `fastgd.losses()`. "mse" is (raw - y)^2 averaged over rows, "half_mse" half of that, "sse" the sum
        over rows. A rate only means something together with one of them.
    lr : float
        The learning rate, > 0, in units of parameter per unit of gradient.
    epochs : int
        At most so many passes over the rows.
    batch_size : int or None, default None
        Rows a step: None all (gradient descent), 1 single rows (stochastic), else mini-batches. A batch's loss is the
        mean over its own rows, however few, of s_i / mean(s) times theirs, mean(s) being that of all rows; with "sse"
        the sum of s_i times theirs. Each step takes the whole penalty, as PyTorch's do: with "sse" it weighs more
        beside a few rows than beside all.
    shuffle : {True, "once", False}, default True
        A fresh permutation each epoch, one for all, or none. A permutation is exactly `rng.permutation(n)`; full batch
        draws none.
    optimizer, schedule : str or (str, dict)
        Names of `fastgd.optimizers()` and `fastgd.schedules()`.
    l1, l2 : float, default 0
        Penalties on the coefficients, never on the intercept. l1 is a proximal step after each update (Parikh and Boyd,
        "Proximal Algorithms", 2014, section 4.2), as long as the rule's steady gain: `lr` for sgd, lr/(1 - beta) for
        momentum, per coordinate lr/(sqrt(v) + eps) for the adaptive rules; so all rules end in one minimum.
    fit_intercept : bool, default True
    init : "zeros", ("normal", std), (coef, intercept) or FitResult
        The start; ("normal", std) draws `rng.normal(0, std, coef.shape)` and leaves the intercept 0.
    sample_weight : array-like, shape (n,), optional
        Finite, >= 0, not all 0.
    X_val, y_val : array-like, shapes (m, d) and (m,) or (m, K), optional
        Validation rows. Their mean loss is recorded, decides with `tol` and `patience` when to stop, full batch too,
        and the epoch's end where it was lowest is returned.
    average : {False, "tail"}, default False
        "tail", in batches: return the mean of every iterate of the epochs after the first half (Polyak and Juditsky,
        "Acceleration of Stochastic Approximation by Averaging", 1992). The history holds the iterates themselves.
    tol : float or None, default None
        None runs all epochs. Full batch: converged when the gradient is at most `tol` times as long as at zero
        coefficients (so never, but by luck, where that is 0). Batched, or with validation rows: when the epoch's
        (validation) loss is not below best - tol |best| for `patience` epochs in a row.
    patience : int, default 5
    record : {"epoch", "step"}, int or None, default "epoch"
        What `history` keeps: every epoch, every update, every k-th update, nothing.
    exact_loss : bool, default False
        Batched: record the exact objective instead of the loss that comes for free (a pass over all rows each time).
        When a run stops does not depend on what is recorded.
    rng : None, int, SeedSequence, BitGenerator or Generator
        As for `numpy.random.default_rng`. A Generator is advanced by just what is used.
    callback : callable, optional
        Called with a `State` after every epoch; True ends the run. Its exceptions come out as they are.

    Returns
    -------
    FitResult

    Warns
    -----
    DivergenceWarning
        If something became infinite, the objective grew a million-fold, a full-batch run ended above its start, or a
        run in batches ended ten times above both its start and the objective at zero. The message says why. `coef` is
        then that of the best epoch, or the start.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong; the message names it, what was given and what is accepted.
    KeyboardInterrupt
        Ctrl-C is looked for every 50 ms.

    Notes
    -----
    The algorithm is Robbins and Monro, "A Stochastic Approximation Method" (1951), in the form of Bottou, Curtis and
    Nocedal, "Optimization Methods for Large-Scale Machine Learning" (2018). `fastgd.reference.fit` is the same in plain
    NumPy. Another thread must not write to X or y meanwhile: the numbers would be wrong.

    Examples
    --------
    >>> import fastgd
    >>> x, y = fastgd.datasets.make_line(n=200, slope=2.0, intercept=1.0, noise=0.1, rng=0)
    >>> result = fastgd.fit(x, y, lr=0.02, epochs=1000)
    >>> print(f"{result.status}: y = {result.coef[0]:.2f} x + {result.intercept:.2f}")
    max_epochs: y = 2.00 x + 1.00
    """
    return run(
        _core.solve,
        X,
        y,
        loss=loss,
        lr=lr,
        epochs=epochs,
        batch_size=batch_size,
        shuffle=shuffle,
        optimizer=optimizer,
        schedule=schedule,
        l1=l1,
        l2=l2,
        fit_intercept=fit_intercept,
        init=init,
        sample_weight=sample_weight,
        X_val=X_val,
        y_val=y_val,
        average=average,
        tol=tol,
        patience=patience,
        record=record,
        exact_loss=exact_loss,
        rng=rng,
        callback=callback,
    )


def run(solve: Solve, X: Any, y: Any, *, sample_weight: Any, callback: Any, **request: Any) -> FitResult:
    """Check the request, let `solve` do the work, shape the answer: for the engine and the reference alike."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable or None, got {callback!r}")
    problem = make_problem(X, y, sample_weight)
    config = make_config(problem, **request)
    solution = solve(problem, config, None if callback is None else _observer(callback, problem.single))
    return _finish(problem, config, solution)


def make_problem(X: Any, y: Any, sample_weight: Any = None) -> Problem:
    """The arrays, checked."""
    rows = _door.rows(X)
    targets = _door.targets(y, len(rows))
    weights = _door.weights(sample_weight, len(rows))
    return Problem(rows, targets.reshape(len(rows), -1), weights, single=targets.ndim == 1)


def make_loss(loss: Any, y: Array, *, name: str = "y") -> tuple[str, dict[str, float]]:
    """The loss with all its parameters, once `y` is admissible for it."""
    called, parameters = _core.choose("loss", *_door.choice(loss, "loss"))
    targets = _core.losses()[called]["targets"]
    if targets != "real":
        good = y >= 0 if targets == "non-negative" else np.isin(y, targets)
        if not good.all():
            row = int(np.argmin(good.all(axis=1)))
            raise ValueError(f"{name} must be {targets} for loss '{called}', got {y[row].tolist()} in row {row}")
    return called, parameters


def make_config(
    problem: Problem,
    *,
    loss: Any,
    lr: Any,
    epochs: Any,
    batch_size: Any,
    shuffle: Any,
    optimizer: Any,
    schedule: Any,
    l1: Any,
    l2: Any,
    fit_intercept: Any,
    init: Any,
    tol: Any,
    patience: Any,
    record: Any,
    exact_loss: Any,
    rng: Any,
    X_val: Any,
    y_val: Any,
    average: Any,
) -> Config:
    """The options, checked and resolved."""
    if batch_size is not None and _door.integer(batch_size, "batch_size") >= len(problem.X):
        batch_size = None
    if isinstance(record, str):
        if record not in ("epoch", "step"):
            raise ValueError(f'record must be "epoch", "step", an integer >= 1 or None, got {record!r}')
        record = 1 if record == "step" else record
    elif record is not None:
        record = _door.integer(record, "record")
    shuffle, fit_intercept = _door.shuffling(shuffle), _door.flag(fit_intercept, "fit_intercept")
    drawn = _door.generator(rng) if rng is not None else None
    if drawn is None and ((batch_size is not None and shuffle) or isinstance(init, (tuple, list))):
        drawn = np.random.default_rng()
    lr, epochs = _door.positive(lr, "lr"), _door.integer(epochs, "epochs")
    loss = make_loss(loss, problem.y)
    optimizer = _core.choose("optimizer", *_door.choice(optimizer, "optimizer"))
    checked = {
        "loss": loss,
        "lr": lr,
        "epochs": epochs,
        "batch_size": None if batch_size is None else int(batch_size),
        "shuffle": shuffle,
        "optimizer": optimizer,
        "implicit": _check_use(optimizer[0], loss[0], batch_size, len(problem.X)),
        "schedule": _core.choose("schedule", *_door.choice(schedule, "schedule")),
        "l1": _door.non_negative(l1, "l1"),
        "l2": _door.non_negative(l2, "l2"),
        "fit_intercept": fit_intercept,
        "tol": None if tol is None else _door.non_negative(tol, "tol"),
        "patience": _door.integer(patience, "patience"),
        "record": record,
        "exact_loss": _door.flag(exact_loss, "exact_loss"),
        "validation": _validation(problem, X_val, y_val, loss),
        "tail_average": _tail(average, batch_size, validated=X_val is not None),
    }
    # The start comes last: it may draw, and a request that is refused draws nothing.
    coef, intercept = _start(init, problem, fit_intercept=fit_intercept, rng=drawn)
    return Config(coef=coef, intercept=intercept, rng=drawn, **checked)


def _validation(problem: Problem, X_val: Any, y_val: Any, loss: tuple[str, dict[str, float]]) -> Problem | None:
    """The validation rows, checked: as wide as the others."""
    if X_val is None and y_val is None:
        return None
    if X_val is None or y_val is None:
        raise ValueError(f"X_val and y_val must be given together, got only {'y_val' if X_val is None else 'X_val'}")
    rows = _door.rows(X_val, name="X_val")
    targets = _door.targets(y_val, len(rows), name="y_val", of="X_val")
    d, shape = problem.X.shape[1], problem.y.shape[1:]
    if rows.shape[1] != d:
        raise ValueError(f"X_val must have {d} features as X, got {rows.shape[1]}")
    if targets.reshape(len(rows), -1).shape[1:] != shape or (targets.ndim == 1) != problem.single:
        raise ValueError(f"y_val must have as many outputs as y, got shape {targets.shape}")
    validation = Problem(rows, targets.reshape(len(rows), -1), None, problem.single)
    make_loss(loss, validation.y, name="y_val")
    return validation


def _tail(average: Any, batch_size: int | None, *, validated: bool) -> bool:
    if not (average is False or (isinstance(average, str) and average == "tail")):
        raise ValueError(f'average must be False or "tail", got {average!r}')
    if average and batch_size is None:
        raise ValueError('average must be False full batch, whose last iterate is the best, got "tail"')
    if average and validated:
        raise ValueError('average must be False with validation rows, whose best iterate is returned, got "tail"')
    return bool(average)


def _check_use(optimizer: str, loss: str, batch_size: int | None, n: int) -> float | None:
    """Refuse a rule that is not made for such batches or such a loss; the loss's curvature if the rule needs it."""
    use, facts = _core.optimizers()[optimizer]["use"], _core.losses()[loss]
    if use == "full batch" and batch_size is not None:
        raise ValueError(f"batch_size must be None for optimizer '{optimizer}', which takes all rows, got {batch_size}")
    if use != "single rows":
        return None
    if batch_size != 1 and n > 1:
        raise ValueError(f"batch_size must be 1 for optimizer '{optimizer}', which takes single rows, got {batch_size}")
    if not facts["squared"]:
        raise ValueError(f"loss must be a squared one for optimizer '{optimizer}', got '{loss}'")
    return float(facts["curvature"])


def _start(init: Any, problem: Problem, *, fit_intercept: bool, rng: np.random.Generator | None) -> tuple[Array, Array]:
    """The first coefficients (K, d) and intercepts (K,)."""
    outputs, d = problem.y.shape[1], problem.X.shape[1]
    of_coef, of_intercept = ((d,), ()) if problem.single else ((outputs, d), (outputs,))
    accepted = '"zeros", ("normal", std), (coef, intercept) or a FitResult'
    if isinstance(init, FitResult):
        init = (init.coef, init.intercept)
    if isinstance(init, str) and init == "zeros":
        return np.zeros((outputs, d)), np.zeros(outputs)
    if not isinstance(init, (tuple, list)) or len(init) != 2:
        raise ValueError(f"init must be {accepted}, got {init!r}")
    if isinstance(init[0], str):
        if init[0] != "normal":
            raise ValueError(f"init must be {accepted}, got {init!r}")
        std = _door.non_negative(init[1], "std of init")
        assert rng is not None
        return rng.normal(0.0, std, of_coef).reshape(outputs, d), np.zeros(outputs)
    coef = _door.vector(init[0], of_coef, "coef of init")
    intercept = _door.vector(init[1], of_intercept, "intercept of init")
    if not fit_intercept and intercept.any():
        raise ValueError(f"intercept of init must be 0 with fit_intercept=False, got {init[1]!r}")
    return coef.reshape(outputs, d).copy(), intercept.reshape(outputs).copy()


def _observer(callback: Callable[[State], bool | None], single: bool) -> Observe:
    def observe(epoch: int, step: int, loss: float, coef: Array, intercept: Array, lr: float, grad_norm: float) -> bool:
        coef.flags.writeable = False
        intercept.flags.writeable = False
        shown = (coef[0], float(intercept[0])) if single else (coef, intercept)
        answer = callback(State(epoch, step, loss, shown[0], shown[1], lr, grad_norm))
        return isinstance(answer, (bool, np.bool_)) and bool(answer)

    return observe


def _finish(problem: Problem, config: Config, solution: Solution) -> FitResult:
    columns = dict(solution["history"])
    coef: Array = solution["coef"]
    intercept: Any = solution["intercept"]
    if problem.single:
        coef, intercept = coef[0], float(intercept[0])
        columns["coef"], columns["intercept"] = columns["coef"][:, 0], columns["intercept"][:, 0]
    left_out = ("coef", "intercept", "rng", "lr", "optimizer", "implicit", "validation")
    if config.validation is None:
        columns.pop("val_loss", None)
    result = FitResult(
        coef=coef,
        intercept=intercept,
        loss=solution["loss"],
        status=solution["status"],
        message=_message(problem, config, solution),
        n_epochs=solution["n_epochs"],
        n_steps=solution["n_steps"],
        lr=config.lr,
        optimizer=config.optimizer[0],
        engine="rows",
        standardized=False,
        history=History(**columns),
        options={name: value for name, value in vars(config).items() if name not in left_out},
    )
    if result.status == "diverged":
        warnings.warn(result.message, DivergenceWarning, stacklevel=4)
    return result


def _message(problem: Problem, config: Config, solution: Solution) -> str:
    epochs = solution["n_epochs"]
    after = f"after {epochs} epoch{'' if epochs == 1 else 's'}"
    match solution["status"]:
        case "converged" if config.batch_size is None and config.validation is None:
            return f"converged {after}: the gradient is at most tol={config.tol:g} times as long as at zero"
        case "converged":
            which = "loss" if config.validation is None else "validation loss"
            return f"converged {after}: no {which} below best - {config.tol:g} |best| for {config.patience} epochs"
        case "stopped":
            return f"stopped {after}, as the callback asked"
        case "diverged":
            from fastgd.insight import explain_divergence

            return f"diverged {after}: {explain_divergence(problem, config, solution['n_steps'])}"
        case _:
            unmet = "no tol was set" if config.tol is None else f"tol={config.tol:g} was not met"
            return f"ran all of {epochs} epoch{'' if epochs == 1 else 's'}; {unmet}"
