"""Auto: what the user left to choose, chosen in one place, and the problem that the engine iterates on.

The formulas of the rates are in `rate`; everything chosen is shown in the result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastgd import _core, _door
from fastgd._curvature import EXACT, curvature
from fastgd._door import Array
from fastgd._request import (
    Config,
    Problem,
    check_classes,
    check_use,
    check_validation,
    classes_of,
    coef_of,
    facts_of,
    make_loss,
    make_start,
    make_threads,
    with_classes,
)
from fastgd._sparse import Csr, is_sparse
from fastgd._standard import Frame, standard
from fastgd._statistics import Moments, Statistics

#: epochs="auto": at most so many
_EPOCHS = {"gram": 1_000_000, "full batch": 1000, "batches": 100}
#: tol="auto": full batch relative to the gradient at zero, in batches to the loss
_TOL = {"gram": 0.0, "full batch": 1e-6, "batches": 1e-4}
#: on sufficient statistics the gradient's length over the smallest curvature bounds the error: to so much of |w|, which
#: costs a tenth more steps than 1e-9 and leaves room for coefficients that are small beside others
_CERTIFICATE = 1e-11
#: where a loss has kinks, the rate is halved when it has not improved by such a share in so many epochs; full batch by
#: tol, where that is a number
_HALVING = {"full batch": (1e-6, 30), "batches": (3e-3, 1)}
#: epochs="auto": records that are kept at most
_RECORDS = 10_000
#: a full-batch run may end above its start by so much of the objective: by rounding where every step descends; rules
#: with momentum or moments, and losses with kinks, hop about their minimum
_ROUNDING, _HOP = 1e-12, 1e-3
#: multiplications from which sufficient statistics are worth their pass, if the epochs are many, too
_HEAVY = 1e8
#: features of sparse rows up to which they are reduced to sufficient statistics, filled in block by block; by "auto"
#: where the square of the features is at most so many times the numbers of a row
_NARROW, _FILLED = 1000, 10_000
#: rates of the rules that step by about the rate whatever the gradient
BY_RATE = {"adagrad": 0.01, "rmsprop": 0.01, "adam": 0.001}


@dataclass(eq=False)  # not frozen, as `Problem`
class Plan:
    """A request in which nothing is left to choose.

    `config` is in the user's words; `work` and `work_config` are what the engine gets, in coordinates of their own.
    """

    problem: Problem
    config: Config
    iterated: Problem
    work: Problem
    work_config: Config
    frame: Frame | None
    engine: str
    automatic_lr: bool
    automatic_epochs: bool
    #: largest over smallest curvature, where it is known
    condition: float | None = None
    #: where many coefficients reach the minimum, the rank in words
    short: str = ""

    def with_rate(self, lr: float) -> Plan:
        """The same at another rate."""
        return replace(self, config=replace(self.config, lr=lr), work_config=replace(self.work_config, lr=lr))

    def back(self, coef: Array, intercept: Array) -> tuple[Array, Array]:
        """The engine's (..., K, d) and (..., K) in the user's units."""
        if self.engine == "gram" and self.config.fit_intercept:
            coef, intercept = coef[..., :-1], coef[..., -1]
        return (coef, intercept) if self.frame is None else self.frame.back(coef, intercept)


def make_plan(
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
    standardize: Any,
    init: Any,
    X_val: Any,
    y_val: Any,
    average: Any,
    tol: Any,
    patience: Any,
    record: Any,
    exact_loss: Any,
    rng: Any,
    engine: Any,
    threads: Any,
    positive: Any,
    shared: bool = False,
) -> Plan:
    """Check the options, choose what is "auto", and put the problem into the coordinates that are iterated on.

    With `shared`, many runs are to share one pass over the rows.
    """
    n, d = problem.X.shape
    if batch_size is not None:
        batch_size = _door.integer(batch_size, "batch_size")
        batch_size = None if batch_size >= n else batch_size
    if isinstance(record, str):
        if record not in ("epoch", "step"):
            raise ValueError(f'record must be "epoch", "step", an integer >= 1 or None, got {record!r}')
        record = 1 if record == "step" else record
    elif record is not None:
        record = _door.integer(record, "record")
    shuffle, fit_intercept = _door.shuffling(shuffle), _door.flag(fit_intercept, "fit_intercept")
    drawn: np.random.Generator | int | None = None
    if isinstance(init, (tuple, list)) or not _door.is_seed(rng):
        drawn = _door.generator(rng)
    elif batch_size is not None and shuffle:
        drawn = _door.seed(rng)

    begun = coef_of(init)
    given = classes_of(begun)
    loss = make_loss(loss, problem.y, classes=given)
    facts = facts_of(loss[0])
    schedule = _core.choose("schedule", *_door.choice(schedule, "schedule"))
    automatic, endless = _is_auto(lr), _is_auto(epochs)
    lr = lr if automatic else _door.positive(lr, "lr", auto=True)
    epochs = epochs if endless else _door.integer(epochs, "epochs", auto=True)
    if endless and schedule[0] in ("linear", "cosine"):
        raise ValueError(f"epochs must be a number for schedule '{schedule[0]}', which ends with them")
    if _is_auto(optimizer):
        optimizer = _automatic_rule(automatic, batch_size, squared=facts["squared"])
    optimizer = _core.choose("optimizer", *_door.choice(optimizer, "optimizer"))
    implicit = check_use(optimizer[0], loss[0], batch_size, n)
    standardize = automatic if _is_auto(standardize) else _door.flag(standardize, "standardize", auto=True)
    heavy = not endless and epochs * problem.X.size > _HEAVY and min(epochs, n) > 4 * (d + problem.y.shape[1] + 1)
    worth = (automatic or endless or heavy or shared) and _narrow(problem, engine, X_val)
    engine = _engine(engine, worth=worth, squared=facts["squared"], batched=batch_size is not None, loss=loss[0])
    way = "gram" if engine == "gram" else "full batch" if batch_size is None else "batches"
    exact, certify = tol, False
    if _is_auto(tol):
        certify = engine == "gram" and (automatic or endless)
        tol = None if not (automatic or endless) else _TOL[way]
    elif tol is not None:
        tol = _door.non_negative(exact, "tol", auto=True)
    validation = check_validation(problem, X_val, y_val, loss, classes=max(n, given))
    problem = with_classes(problem, loss, begun)
    check_classes(problem, validation)
    l1, l2 = _door.non_negative(l1, "l1"), _door.non_negative(l2, "l2")
    positive = _door.flag(positive, "positive")
    patience, exact_loss = _door.integer(patience, "patience"), _door.flag(exact_loss, "exact_loss")
    tail = _tail(average, batch_size, automatic=automatic, validated=validation is not None)
    threads = make_threads(threads, problem.X.size)
    if not isinstance(init, str):
        problem.look(threads)
    # The start comes last: it may draw, and a request that is refused draws nothing.
    coef, intercept = make_start(init, problem, fit_intercept=fit_intercept, positive=positive, rng=drawn)
    config = Config(
        loss=loss,
        lr=np.nan if automatic else lr,
        epochs=_EPOCHS[way] if endless else epochs,
        batch_size=batch_size,
        shuffle=shuffle,
        optimizer=optimizer,
        implicit=implicit,
        schedule=schedule,
        l1=l1,
        l2=l2,
        penalty_scale=None,
        positive=positive,
        fit_intercept=fit_intercept,
        coef=coef,
        intercept=intercept,
        tol=tol,
        certificate=_CERTIFICATE if certify else 0.0,
        rounding=(0.0, 1.0),
        slack=_ROUNDING if optimizer[0] == "sgd" and facts["smooth"] else _HOP,
        patience=patience,
        halving=_halving(way, tol, optimizer[0]) if automatic and not facts["smooth"] else None,
        record=record,
        steps_before=0,
        exact_loss=exact_loss,
        most_records=_RECORDS if endless else None,
        tail_average=tail,
        validation=validation,
        threads=threads,
        rng=drawn,
        rng_is_shared=not _door.is_seed(rng) and (drawn is rng or isinstance(rng, np.random.BitGenerator)),
    )
    return _put(problem, config, standardize=standardize, engine=engine, automatic=automatic, endless=endless)


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def _automatic_rule(automatic: bool, batch_size: int | None, *, squared: bool) -> str:
    """sgd, except where the rate is automatic too: then what needs the fewest epochs, or cannot blow up."""
    if automatic and batch_size is None:
        return "accelerated"
    return "implicit" if automatic and batch_size == 1 and squared else "sgd"


def _halving(way: str, tol: float | None, optimizer: str) -> tuple[float, int] | None:
    if optimizer in BY_RATE:  # a rate that the loss has no part in is no smaller where the loss is
        return None
    share, wait = _HALVING[way]
    return (share if tol is None or way == "batches" else tol), wait


def _engine(asked: Any, *, worth: bool, squared: bool, batched: bool, loss: str) -> str:
    if not isinstance(asked, str) or asked not in ("auto", "rows", "gram"):
        raise ValueError(f'engine must be "auto", "rows" or "gram", got {asked!r}')
    if asked == "gram" and batched:
        raise ValueError('engine must be "rows" or "auto" in batches, got "gram"')
    if asked == "gram" and not squared:
        raise ValueError(f'engine must be "rows" or "auto" for loss \'{loss}\', which is not squared, got "gram"')
    possible = squared and not batched
    return "gram" if asked == "gram" or (asked == "auto" and possible and worth) else "rows"


def _narrow(problem: Problem, engine: Any, X_val: Any) -> bool:
    """Whether statistics are worth it for the features: for full rows always, else while filled-in blocks are small."""
    X = problem.X
    if not isinstance(X, Csr):
        return not is_sparse(X_val)  # which would be filled in
    n, d = X.shape
    if d > _NARROW and isinstance(engine, str) and engine == "gram":
        raise ValueError(
            f'engine must be "rows" or "auto" for a sparse X of more than {_NARROW:,} features, got "gram" for {d:,}'
        )
    return d <= _NARROW and d * d <= _FILLED * (X.size / n + 1) and X_val is None


def _tail(average: Any, batch_size: int | None, *, automatic: bool, validated: bool) -> bool:
    if _is_auto(average):
        return automatic and batch_size is not None and not validated
    if not (average is False or (isinstance(average, str) and average == "tail")):
        raise ValueError(f'average must be False, "tail" or "auto", got {average!r}')
    if average and batch_size is None:
        raise ValueError('average must be False full batch (batch_size None or >= n), got "tail"')
    if average and validated:
        raise ValueError('average must be False with validation rows, whose best iterate is returned, got "tail"')
    return bool(average)


def _put(problem: Problem, config: Config, *, standardize: bool, engine: str, automatic: bool, endless: bool) -> Plan:
    """The problem in the coordinates that the engine iterates on, and the rate that these ask for."""
    facts = facts_of(config.loss[0])
    n, d = problem.X.shape
    weight = n if problem.sample_weight is None else problem.sample_weight.sum()
    curved = facts["curvature"] or (_bend(problem, config) if automatic else 1.0)
    whole = curved * (weight if facts["reduction"] == "sum" else 1.0)  # per mean row
    threads, centre = config.threads, config.fit_intercept
    ridge = config.l2 / whole
    statistics = Statistics.of(problem, threads=threads) if engine == "gram" else None
    exact = automatic and d <= EXACT
    moments = None
    if statistics is None and (standardize or exact):  # of y's columns one will do
        one = problem if problem.y.shape[1] == 1 else replace(problem, y=problem.y[:, :1].copy())
        moments = Moments.of(one, cross=exact, threads=threads)
    columns = statistics or moments
    if columns is None and (automatic or config.coef.any() or config.intercept.any()):
        problem.look(threads)  # from 0 the loss at the start tells
    frame, iterated, work_config, condition, short = None, problem, config, None, ""
    if standardize:
        assert columns is not None
        frame = standard(columns.at[:d], columns.spread[:d], ridge, centre=centre)
        if config.certificate and centre:  # a mean far from 0 costs digits
            frame = replace(frame, shift=columns.at[d:])
        iterated = replace(problem, y=problem.y - frame.shift, frame=frame)
        coef, intercept = frame.into(config.coef, config.intercept)
        held_out = config.validation
        validation = held_out and replace(held_out, y=held_out.y - frame.shift, frame=frame)
        work_config = replace(
            config, coef=coef, intercept=intercept, validation=validation, penalty_scale=1 / frame.scale
        )
    work = iterated
    if statistics is not None:
        work, work_config = _sufficient(problem, statistics, frame, work_config, whole)
        largest, smallest, rank = _spectrum(work.X, work_config)
        if (rank := rank - config.fit_intercept) < d:
            short = f"the rank is {rank} for {d} feature{'' if d == 1 else 's'}"
        rounding = (2 * float(np.finfo(np.float64).eps) * largest, largest or 1.0)
        work_config = replace(work_config, certificate=config.certificate * smallest, rounding=rounding)
        condition = largest / smallest if smallest > 0 else None
    plan = Plan(problem, config, iterated, work, work_config, frame, engine, automatic, endless, condition, short)
    if not automatic:
        return plan
    if statistics is not None:
        return plan.with_rate(of_rule(1 / largest if 0 < largest < np.inf else 1.0, *config.optimizer))
    return plan.with_rate(of_rule(rate(iterated, work_config, moments, whole), *config.optimizer))


def _bend(problem: Problem, config: Config) -> float:
    """What stands for the curvature of a loss with kinks: over many rows, one over the mean absolute residual.

    That is the one at the start, per output. In batches twice as much: there too large a rate costs noise, too.
    Smooth losses without a bound bend as much as they predict: `largest_target`.
    """
    if facts_of(config.loss[0])["smooth"]:
        return largest_target(problem.y)
    absolute = replace(config, loss=("absolute", {}), l1=0.0, l2=0.0)
    total, _, _ = _core.loss_and_gradient(problem, absolute)
    return bend_of(total / problem.y.shape[1], config.batch_size)


def largest_target(y: Array) -> float:
    """What stands for the curvature exp(raw) of a loss of means exp(raw): they begin at 1, and end near targets."""
    return max(1.0, float(y.max()))


def bend_of(residual: float, batch_size: int | None) -> float:
    """That of a mean absolute residual."""
    return (1 if batch_size is None else 2) / (residual if 1e-300 < residual < np.inf else 1.0)


def _sufficient(
    problem: Problem, statistics: Statistics, frame: Frame | None, config: Config, whole: float
) -> tuple[Problem, Config]:
    """The same objective as a sum of squares over a few rows, the intercept a feature that pays no penalty."""
    d, extra = problem.X.shape[1], int(config.fit_intercept)
    X, y = statistics.rows(frame, d, intercept=config.fit_intercept)
    root = np.sqrt(whole / 2 / statistics.weight)
    scale = np.ones(d) if config.penalty_scale is None else config.penalty_scale
    validation = config.validation
    if validation is not None:
        facts = facts_of(config.loss[0])
        of_row = np.sqrt(facts["curvature"] / 2 / (len(validation.X) if facts["reduction"] == "mean" else 1.0))
        ones = np.ones((len(validation.X), extra))
        held_out = of_row * np.hstack([validation.rows(name="X_val", what='engine="gram"'), ones])
        validation = replace(validation, X=held_out, y=of_row * validation.y, frame=None)
    work = Problem(np.ascontiguousarray(root * X), np.ascontiguousarray(root * y), None, problem.single)
    return work, replace(
        config,
        loss=("sse", {}),
        implicit=None if config.implicit is None else 2.0,
        fit_intercept=False,
        coef=np.ascontiguousarray(np.hstack([config.coef, config.intercept[:, None]][: 1 + extra])),
        intercept=np.zeros_like(config.intercept),
        penalty_scale=np.append(scale, np.zeros(extra)),
        validation=validation,
    )


def _spectrum(X: Any, config: Config) -> tuple[float, float, int]:
    """Of the sum of squares over the rows X plus the penalty: largest curvature, smallest that is not 0, rank."""
    assert config.penalty_scale is not None
    of_penalty = config.l2 * config.penalty_scale**2
    if not np.isfinite(X).all():
        return np.inf, 0.0, X.shape[1]
    if config.l2 and len(X) < X.shape[1]:  # bounds; all eigenvalues would cost d^3
        values = np.linalg.svd(X, compute_uv=False)
        return float(2 * values[0] ** 2 + of_penalty.max()), float(of_penalty[of_penalty > 0].min()), X.shape[1]
    stacked = np.vstack([X, np.diag(np.sqrt(of_penalty / 2))]) if config.l2 else X
    values = np.linalg.svd(stacked, compute_uv=False)
    nonzero = values[values > values[0] * max(stacked.shape) * np.finfo(np.float64).eps]
    smallest = float(2 * nonzero[-1] ** 2) if len(nonzero) else 0.0
    return float(2 * values[0] ** 2), smallest, len(nonzero)


def rate(problem: Problem, config: Config, moments: Moments | None, whole: float) -> float:
    """The rate of sgd, or of implicit steps, on rows.

    With L the largest eigenvalue and tr the trace of the mean of x x^T (x with a 1 for the intercept) times the loss's
    curvature: full batch 1/L; in batches of B 1 / ((1 + 1/B) L + tr/B), which suffices for Gaussian rows with a factor
    of about 2 to spare (Needell, Srebro and Ward, "Stochastic Gradient Descent, Weighted Sampling, and the Randomized
    Kaczmarz algorithm", 2016); implicit steps on single rows 1 / (tr + 2 L). `_bend` stands for the curvature of losses
    with kinks.
    """
    with np.errstate(all="ignore"):
        largest, squares = curvature(problem, moments, config.threads, intercept=config.fit_intercept)
    trace = float(squares.sum()) + config.fit_intercept
    scale = 1.0 if config.penalty_scale is None else float(config.penalty_scale.max())
    of_step = whole
    if config.batch_size is not None and facts_of(config.loss[0])["reduction"] == "sum":
        of_step = whole / len(problem.X) * config.batch_size  # of as many rows as make a step
    bend = bent(config.batch_size, config.implicit is not None, largest=of_step * largest, trace=of_step * trace)
    bend += config.l2 and config.l2 * scale * scale
    return 1 / bend if 0 < bend < np.inf else 1.0


def bent(batch_size: int | None, implicit: bool, *, largest: float, trace: float) -> float:
    """One over the rate, as `rate` has it: the curvature of a step, which varies with its rows."""
    if batch_size is None:
        return largest
    return trace + 2 * largest if implicit else (1 + 1 / batch_size) * largest + trace / batch_size


def of_rule(rate: float, optimizer: str, parameters: dict[str, float]) -> float:
    """The rate of another rule than sgd."""
    return BY_RATE.get(optimizer, rate * (1 - parameters.get("beta", 0.0)))
