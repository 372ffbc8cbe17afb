"""Request: what an engine is asked for, and the checks of its parts."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from fastgd import _columns, _core, _door
from fastgd._door import Array, Full, Rows
from fastgd._sparse import Csr
from fastgd._standard import Frame
from fastgd.result import FitResult


@dataclass(eq=False)  # not frozen: a call of few steps would spend a tenth of its time on so many fields
class Problem:
    """Rows (n, d) in C or Fortran order or sparse, targets (n, K), weights (n,) or None: aligned, finite
    (X once it is seen).

    Of a loss that couples outputs the targets are (n, 1): the numbers of `classes`.
    """

    X: Rows
    y: Array
    sample_weight: Array | None
    #: y was one-dimensional: answers drop the axis of outputs
    single: bool
    #: the coordinates that the rows are seen in, None as they are
    frame: Frame | None = None
    #: what the columns of X are called, if it was a table
    names: tuple[str, ...] | None = None
    #: X as it was given, if nobody has looked yet whether it is finite
    unseen: Any = None
    #: K, if the loss couples outputs
    classes: int | None = None

    def look(self, threads: int = 1) -> None:
        """Refuse what is not finite, if nobody has yet."""
        if self.unseen is not None and not isinstance(self.X, Csr):
            _door.finite(self.X, "X", self.unseen, threads=threads)

    @property
    def outputs(self) -> int:
        """K"""
        return self.classes or self.y.shape[1]

    def rows(self, part: slice = slice(None), *, name: str = "X", what: str = "this") -> Full:
        """Full rows in the coordinates that they are seen in; `what` needs them."""
        X = self.X.dense(part, name=name, what=what) if isinstance(self.X, Csr) else self.X[part]
        return X if self.frame is None else self.frame.rows(X)


@dataclass(eq=False)  # not frozen, as `Problem`
class Config:
    """A request in which nothing is left to choose, and nothing is changed. Choices are (name, all parameters)."""

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
    #: (d,): coordinate j stands for w_j / penalty_scale_j, and the penalty is that of w; None is all ones
    penalty_scale: Array | None
    #: no coefficient may be negative
    positive: bool
    fit_intercept: bool
    coef: Array
    intercept: Array
    tol: float | None
    #: full batch: converged, too, when the gradient is at most so many times as long as the coefficients
    certificate: float
    #: with it (eps L, L), L the largest curvature: what a gradient owes to rounding
    rounding: tuple[float, float]
    #: by which share of the objective a sound full-batch run may end above its start
    slack: float
    patience: int
    #: where the rate is halved again and again: by which share of it the loss must improve, within how many epochs
    halving: tuple[float, int] | None
    record: int | str | None
    #: updates of an earlier run that this one goes on from: steps to be recorded count them
    steps_before: int
    exact_loss: bool
    #: every second record is dropped whenever there are so many
    most_records: int | None
    tail_average: bool
    validation: Problem | None
    #: for passes over many rows, at most; they change no bit
    threads: int
    #: a generator, or the seed of one that nobody else sees
    rng: np.random.Generator | int | None
    #: somebody else may draw from it, and is to find it where the permutations have left it
    rng_is_shared: bool


class Solution(TypedDict):
    """What an engine answers, with outputs as an axis of their own: coef is (K, d), intercept (K,)."""

    coef: Array
    intercept: Array
    loss: float
    status: str
    n_epochs: int
    n_steps: int
    best_epoch: int
    grad_norm: float
    #: how often the loop halved the rate, and how many of the latest rates in a row gained next to nothing
    halvings: int
    idle: int
    history: dict[str, NDArray[Any]]


Observe = Callable[[int, int, float, Array, Array, float, float], bool]
#: is told, now and then, the epochs done and the loss of the latest
Progress = Callable[[int, float], None]
Solve = Callable[[Problem, Config, Observe | None, Progress | None], Solution]


@functools.cache
def facts_of(loss: str) -> dict[str, Any]:
    """The row of a loss in the engine's table."""
    return _core.losses()[loss]


def least_at_zero(loss: tuple[str, dict[str, float]]) -> bool:
    """Whether a loss of sides asks for no margin, so that nothing is below all coefficients 0."""
    return loss[0] == "perceptron" or loss[1].get("margin") == 0


@functools.cache
def _use_of(optimizer: str) -> str:
    return str(_core.optimizers()[optimizer]["use"])


#: bytes of X from which a pass over it is worth saving
_LARGE = 1 << 20


def make_problem(X: Any, y: Any, sample_weight: Any = None, *, later: bool = False) -> Problem:
    """The arrays, checked; with `later`, whether a large X is finite may be left to who takes its sums."""
    later = later and sample_weight is None and type(X) is np.ndarray and X.nbytes >= _LARGE
    rows = _door.rows(X, check=not later)
    targets = _door.targets(y, len(rows))
    weights = _door.weights(sample_weight, len(rows))
    if weights is not None and not weights.all():  # whatever a row of weight 0 holds, it does not count
        counted = weights > 0
        first = int(np.argmax(counted))  # as another does, so that every loss is defined for it
        rows = rows.emptied(counted) if isinstance(rows, Csr) else np.where(counted[:, None], rows, rows[first])
        targets = np.where(counted if targets.ndim == 1 else counted[:, None], targets, targets[first])
    one = targets.ndim == 1
    unseen = X if later else None
    return Problem(rows, targets.reshape(len(rows), -1), weights, one, None, _columns.names(X), unseen)


#: so many classes are taken at their word; more than rows beyond it are labels, each of which would have coefficients
_CLASSES = 1000


def make_loss(loss: Any, y: Array, *, name: str = "y", classes: int = 0) -> tuple[str, dict[str, float]]:
    """The loss with all its parameters, once `y` is admissible for it; so many `classes` are known to be there."""
    called, parameters = _core.choose("loss", *_door.choice(loss, "loss"))
    targets = facts_of(called)["targets"]
    if targets == "real":
        return called, parameters
    accepted = targets
    if targets == "class":
        if y.shape[1] != 1:
            raise ValueError(f"{name} must be (n,), a class a row, for loss '{called}', got {y.shape[1]} columns")
        most = max(_CLASSES, len(y), classes)
        good = (y >= 0) & (y == np.floor(y)) & (y < most)
        accepted = f"numbers of classes, 0, 1, 2, ... below {most},"
    else:
        good = y >= 0 if targets == "non-negative" else np.isin(y, targets)
        accepted = ">= 0" if targets == "non-negative" else " or ".join(f"{target:g}" for target in targets)
    if not good.all():
        row = int(np.argmin(good.all(axis=1)))
        raise ValueError(f"{name} must be {accepted} for loss '{called}', got {_told(y[row])} in row {row}")
    return called, parameters


def _told(y: Array) -> str:
    """The targets of a row, in words."""
    return ", ".join(f"{target:g}" for target in y)


def with_classes(problem: Problem, loss: tuple[str, dict[str, float]], coef: Any = None) -> Problem:
    """The problem as its loss sees it: if that couples outputs, with one for each class.

    These are as many as the largest number in y asks for, and no fewer than (K, d) coefficients are for.
    """
    if facts_of(loss[0])["targets"] != "class":
        return problem
    return replace(problem, single=False, classes=max(int(problem.y.max()) + 1, classes_of(coef)))


def classes_of(coef: Any) -> int:
    """How many classes (K, d) coefficients are for; 0 if they are of another shape."""
    shape = () if coef is None else _door.real_array(coef, "coef").shape
    return shape[0] if len(shape) == 2 else 0


def check_validation(
    problem: Problem, X_val: Any, y_val: Any, loss: tuple[str, dict[str, float]], *, classes: int = 0
) -> Problem | None:
    """The validation rows, checked: as wide as the others."""
    if X_val is None and y_val is None:
        return None
    if X_val is None or y_val is None:
        raise ValueError(f"X_val and y_val must be given together, got only {'y_val' if X_val is None else 'X_val'}")
    rows = _door.rows(X_val, name="X_val")
    targets = _door.targets(y_val, len(rows), name="y_val", of="X_val")
    d, shape = problem.X.shape[1], problem.y.shape[1:]
    _door.same_columns(X_val, problem.names, "X_val")
    if rows.shape[1] != d:
        raise ValueError(f"X_val must have {d} features as X, got {rows.shape[1]}")
    if targets.reshape(len(rows), -1).shape[1:] != shape or (targets.ndim == 1) != problem.single:
        raise ValueError(f"y_val must have as many outputs as y, got shape {targets.shape}")
    validation = Problem(rows, targets.reshape(len(rows), -1), None, problem.single)
    make_loss(loss, validation.y, name="y_val", classes=classes)
    return validation


def check_classes(problem: Problem, validation: Problem | None) -> None:
    """Refuse validation rows of a class that there are no coefficients for."""
    if problem.classes and validation is not None and (beyond := validation.y >= problem.classes).any():
        row, most = int(np.argmax(beyond)), problem.classes - 1
        raise ValueError(f"y_val must be classes of y, 0 to {most}, got {_told(validation.y[row])} in row {row}")


def check_use(optimizer: str, loss: str, batch_size: int | None, n: int) -> float | None:
    """Refuse a rule that is not made for such batches or such a loss; the loss's curvature if the rule needs it."""
    use, facts = _use_of(optimizer), facts_of(loss)
    if use == "full batch" and batch_size is not None:
        raise ValueError(f"batch_size must be None for optimizer '{optimizer}', which takes all rows, got {batch_size}")
    if use != "single rows":
        return None
    if batch_size != 1 and n > 1:
        raise ValueError(f"batch_size must be 1 for optimizer '{optimizer}', which takes single rows, got {batch_size}")
    if not facts["squared"]:
        raise ValueError(f"loss must be a squared one for optimizer '{optimizer}', got '{loss}'")
    return float(facts["curvature"])


#: numbers of X from which a second thread is worth asking for
_MANY = 1 << 16


def make_threads(threads: Any, numbers: int) -> int:
    """How many threads a pass over rows of so many `numbers` may take.

    None: as many as the process has processors, and OMP_NUM_THREADS allows; one where somebody else is parallel
    already, that is off the main thread and in processes that `multiprocessing` started.
    """
    if threads is not None:
        return min(_door.integer(threads, "threads"), 1024)
    if numbers < _MANY:
        return 1
    multiprocessing = sys.modules.get("multiprocessing")
    child = multiprocessing is not None and multiprocessing.parent_process() is not None
    if child or threading.current_thread() is not threading.main_thread():
        return 1
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list gives the outermost level first
    limit = int(allowed) if allowed.isascii() and allowed.isdigit() and len(allowed) < 10 else 0
    return min(there, limit) if limit else there


def coef_of(init: Any) -> Any:
    """The coefficients that a start has, if it has any."""
    if isinstance(init, FitResult):
        return init.coef
    given = isinstance(init, (tuple, list)) and len(init) == 2 and not isinstance(init[0], str)
    return init[0] if given else None


def make_start(
    init: Any, problem: Problem, *, fit_intercept: bool, positive: bool, rng: np.random.Generator | int | None
) -> tuple[Array, Array]:
    """The first coefficients (K, d) and intercepts (K,)."""
    outputs, d = problem.outputs, problem.X.shape[1]
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
        assert isinstance(rng, np.random.Generator)
        drawn = rng.normal(0.0, std, of_coef).reshape(outputs, d)
        return np.maximum(drawn, 0.0) if positive else drawn, np.zeros(outputs)
    coef = _door.vector(init[0], of_coef, "coef of init")
    intercept = _door.vector(init[1], of_intercept, "intercept of init")
    if not fit_intercept and intercept.any():
        raise ValueError(f"intercept of init must be 0 with fit_intercept=False, got {init[1]!r}")
    if positive and (coef < 0).any():
        raise ValueError(f"coef of init must be >= 0 with positive=True, got {coef.min():g}")
    return coef.reshape(outputs, d).copy(), intercept.reshape(outputs).copy()
