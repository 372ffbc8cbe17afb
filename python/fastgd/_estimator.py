"""Estimator: what SGDRegressor and SGDClassifier share. Parameters are checked, rows descended, the outcome kept.

Whatever fails, Ctrl-C included, leaves the estimator as it was.
"""

from __future__ import annotations

import math
import numbers
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.utils import check_array
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from fastgd import _columns, _core
from fastgd._by_fit import by_fit
from fastgd._door import Array
from fastgd._fit import DivergenceWarning
from fastgd._online import Config, Epochs, Outcome, Start, Table, Told, Validation
from fastgd._request import facts_of, make_threads
from fastgd.history import History
from fastgd.insight import blame

#: what random states draw seeds below
SEEDS = 2**31 - 1
#: coefficients and intercepts to begin with, or None, each with what messages call it
Begin = list[tuple[Any, str]]
#: losses of scikit-learn's names, where fastgd has another
_LOSSES = {"squared_error": "half_mse"}
#: which of epsilon's meanings a loss has
_EPSILON = {"huber": "delta", "epsilon_insensitive": "epsilon", "squared_epsilon_insensitive": "epsilon"}
REGRESSION = ("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive")
CLASSIFICATION = ("hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron")
#: a run that ends so many times above the loss at zero and at its start is told of: where slopes know no bound it has
#: diverged, else steps of features that are no size for the rate take long to come back
_ASTRAY = {True: 10.0, False: 1000.0}
_RATES = ("constant", "optimal", "invscaling", "adaptive", "pa1", "pa2", "auto")


def require(held: bool, name: str, value: Any, accepted: str) -> None:
    """Refuse a parameter."""
    if not held:
        raise ValueError(f"{name} must be {accepted}, got {value!r}")


def is_number(value: Any) -> bool:
    """A number that a float64 holds, or an infinity."""
    if not isinstance(value, numbers.Real) or isinstance(value, (bool, np.bool_)):
        return False
    try:
        return not math.isnan(float(value))
    except OverflowError:
        return False


def _is_integer(value: Any, low: int) -> bool:
    whole = isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))
    return whole and low <= int(value) < 2**63


def _integer(value: Any, low: int) -> str:
    """What `_is_integer` accepts, in words."""
    return f"an integer >= {low}" + (" below 2**63" if isinstance(value, numbers.Integral) and int(value) > low else "")


def _is_flag(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def in_memory(X: Any, name: str = "X") -> Any:
    """X so that scikit-learn reads it, names of columns included: refused if lazy, a record batch as a table."""
    kind = type(X)
    readable = any(hasattr(kind, way) for way in _columns.READABLE)
    if not readable and (method := _columns.to_call_first(X)) is not None:
        raise TypeError(f"{name} must be in memory, got a lazy {kind.__name__}; call .{method}() first")
    if kind.__name__ == "RecordBatch" and hasattr(kind, "itercolumns"):
        import pyarrow

        return pyarrow.Table.from_batches([X])
    return X


def stored(X: Any) -> Table:
    """Rows as the engine takes them; indices of both arrays of one kind."""
    if not sparse.issparse(X):
        rows: NDArray[Any] = np.require(X, requirements=["C", "A"])
        return rows
    data, indices, indptr = X.data, X.indices, X.indptr
    kind = np.int32 if indices.dtype == indptr.dtype == np.int32 else np.int64
    plain: tuple[Literal["C", "A"], ...] = ("C", "A")
    return (
        np.require(data, requirements=plain),
        np.require(indices, kind, plain),
        np.require(indptr, kind, plain),
        int(X.shape[1]),
    )


@dataclass(frozen=True, eq=False)
class Output:
    """What one output is fitted to: targets (n,), the seed of its shuffles, weights of rows with y > 0 and others.

    With `of_class`, all outputs at once: y numbers the classes, and these are their weights, shape (classes,).
    """

    y: Array
    seed: int
    class_weight: tuple[float, float] = (1.0, 1.0)
    #: (n,) of bool: rows that early stopping keeps back
    held: Any = None
    y_val: Array | None = None
    of_class: Array | None = None

    @property
    def factors(self) -> Array:
        """(n,): of each row's class."""
        if self.of_class is None:
            return np.where(self.y > 0, *self.class_weight)
        return np.asarray(self.of_class[self.y.astype(np.intp)])


@dataclass(frozen=True, eq=False)
class Came:
    """What one output's run came to, or that of all of them at once."""

    coef: Array
    intercept: Any
    n_iter: int
    history: Epochs | History
    #: the arguments of `Start` that go on from here
    iterate: tuple[Array, float, Array, float] | None = None
    outcome: Outcome | None = None
    #: why a run of `fastgd.fit` diverged
    diverged: str = ""


class ByGradient(BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Parameters, fits and predictions of a linear model whose outputs are fitted one by one."""

    #: names that `loss` accepts
    _names: ClassVar[tuple[str, ...]]
    #: the loss for which passive-aggressive rates are made
    _aggressive: ClassVar[str]
    #: whether scores are the share of right signs, else R^2
    _accuracy: ClassVar[bool]
    coef_: Any
    intercept_: Any
    #: sparse rows as scikit-learn treats them: for tests that compare with it
    _as_scikit_learn = False

    def _check_parameters(self) -> None:
        """Refuse what is out of range, as scikit-learn does: at fit."""
        named = {
            "loss": self._names,
            "penalty": ("l2", "l1", "elasticnet", None),
            "learning_rate": _RATES,
        }
        for name, known in named.items():
            value = getattr(self, name)
            accepted = "one of " + ", ".join(repr(one) for one in known)
            require(value is None or isinstance(value, str), name, value, accepted)
            require(value in known, name, value, accepted)
        for name in ("fit_intercept", "shuffle", "early_stopping", "warm_start", "standardize", "positive"):
            require(_is_flag(getattr(self, name)), name, getattr(self, name), "True or False")
        for name in ("max_iter", "n_iter_no_change"):
            value = getattr(self, name)
            require(_is_integer(value, 1), name, value, _integer(value, 1))
        for name in ("alpha", "epsilon"):
            value = getattr(self, name)
            require(is_number(value) and 0 <= value < math.inf, name, value, "a finite number >= 0")
        require(is_number(self.eta0) and 0 < self.eta0 < math.inf, "eta0", self.eta0, "a finite number > 0")
        require(is_number(self.power_t) and math.isfinite(self.power_t), "power_t", self.power_t, "a finite number")
        tol, state = self.tol, self.random_state
        held = tol is None or (is_number(tol) and 0 <= tol < math.inf)
        require(held, "tol", tol, "a finite number >= 0 or None")
        held = state is None or isinstance(state, np.random.RandomState)
        held = held or (isinstance(state, numbers.Integral) and 0 <= int(state) < 2**32)
        require(held, "random_state", state, "an integer in [0, 2**32), a numpy.random.RandomState or None")
        ratio, share = self.l1_ratio, self.validation_fraction
        need = self.penalty == "elasticnet"
        accepted = "a number in [0, 1]" + ("" if need else " or None")
        require((ratio is None and not need) or (is_number(ratio) and 0 <= ratio <= 1), "l1_ratio", ratio, accepted)
        require(is_number(share) and 0 < share < 1, "validation_fraction", share, "a number in (0, 1)")
        average = self.average
        accepted = f"True, False or {_integer(average, 1)}"
        require(_is_flag(average) or _is_integer(average, 1), "average", average, accepted)
        verbose = self.verbose
        require(_is_flag(verbose) or _is_integer(verbose, 0), "verbose", verbose, "an integer >= 0")
        size = self.batch_size
        require(size is None or _is_integer(size, 1), "batch_size", size, f"{_integer(size, 1)} or None")
        if self.learning_rate == "optimal":
            require(self.alpha > 0, "alpha", self.alpha, "> 0 with learning_rate='optimal', which divides by it")
        if self.learning_rate in ("pa1", "pa2"):
            accepted = f"'{self._aggressive}' with learning_rate='{self.learning_rate}'"
            require(self.loss == self._aggressive, "loss", self.loss, accepted)

    @property
    def _by_fit(self) -> bool:
        """Whether the work is for the engine of `fastgd.fit`: whatever goes beyond single rows at named rates."""
        plain = self.batch_size == 1 and self.optimizer == "sgd" and self.learning_rate != "auto"
        return not plain or bool(self.standardize or self.positive) or self.loss == "softmax"

    def _what_asks(self) -> str:
        """The parameters that ask for the engine of `fastgd.fit`, in words."""
        usual = {"batch_size": 1, "optimizer": "sgd", "standardize": False, "positive": False}
        found = [f"{name}={getattr(self, name)!r}" for name, value in usual.items() if getattr(self, name) != value]
        asked = {"learning_rate": "auto", "loss": "softmax"}
        return ", ".join(found + [f"{name}={value!r}" for name, value in asked.items() if getattr(self, name) == value])

    def _loss(self) -> tuple[str, dict[str, float]]:
        """The engine's loss with its parameters."""
        name: str = self.loss
        given = {_EPSILON[name]: float(self.epsilon)} if name in _EPSILON else {}
        if name == "huber" and not self.epsilon:
            raise ValueError("epsilon must be > 0 for loss='huber', got 0: nothing would be left of the loss")
        return _core.choose("loss", _LOSSES.get(name, name), given)

    def _ratio(self) -> float:
        """The share of l1 in the penalty."""
        return {"l1": 1.0, "elasticnet": float(self.l1_ratio or 0)}.get(str(self.penalty), 0.0)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Whatever is raised inside leaves no trace on the estimator, nor on a generator that it was given."""
        before, rng = dict(self.__dict__), self.random_state
        drawn = rng.get_state() if isinstance(rng, np.random.RandomState) else None
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            if drawn is not None:
                rng.set_state(drawn)
            raise

    def _read(self, X: Any, y: Any, *, first: bool, numeric: bool) -> tuple[Any, Any]:
        """X and y as scikit-learn reads them, dense in C order or CSR."""
        kinds = [np.float64, np.float32]
        more = {"y_numeric": True} if numeric else {}
        X, y = validate_data(self, in_memory(X), y, accept_sparse="csr", order="C", dtype=kinds, reset=first, **more)
        if not first and hasattr(self, "coef_") and self.coef_.dtype != X.dtype:
            X = X.astype(self.coef_.dtype)  # batches of a stream are stored as its first
        return X, y

    def _read_weights(self, sample_weight: Any, X: Any) -> Any:
        """Weights (n,) as float64 holding numbers of X's type, or None."""
        if sample_weight is None:
            return None
        n = X.shape[0]
        if isinstance(sample_weight, numbers.Number):
            sample_weight = np.full(n, sample_weight)
        weight = check_array(sample_weight, ensure_2d=False, dtype=np.float64, order="C", input_name="sample_weight")
        if weight.shape != (n,):
            raise ValueError(f"sample_weight must have one entry for each of the {n} rows, got shape {weight.shape}")
        if not weight.any():
            raise ValueError("sample_weight must not be zero for all rows: some weight must be non-zero")
        return weight.astype(np.float64)

    def _penalty_and_rate(self) -> dict[str, Any]:
        """The part of the engine's request that does not depend on the rows."""
        return {
            "loss": self._loss(),
            "margin": self.loss in ("hinge", "perceptron"),
            "alpha": float(self.alpha),
            "l1_ratio": float(self._ratio()),
            "l2": self.penalty in ("l2", "elasticnet"),
            "l1": self.penalty in ("l1", "elasticnet"),
            "learning_rate": self.learning_rate,
            "eta0": float(self.eta0),
            "power_t": float(self.power_t),
            "fit_intercept": bool(self.fit_intercept),
            "tol": None if self.tol is None else float(self.tol),
            "patience": int(self.n_iter_no_change),
            "average": int(self.average),
            "astray": _ASTRAY["squared" in self.loss],
            "as_scikit_learn": self._as_scikit_learn,
        }

    def _descend(
        self,
        X: Any,
        outputs: Sequence[Output],
        weight: Any,
        *,
        start: Begin | None,
        validation: Any = None,
        partial: bool = False,
    ) -> tuple[Any, Any]:
        """Fits each output from `start` or from where the estimator is, and takes over all but the coefficients.

        `validation` are the rows that go with the outputs' `y_val`. Returns coefficients (outputs, d) and intercepts
        (outputs,).
        """
        n, jobs = X.shape[0], getattr(self, "n_jobs", None)
        of_class = outputs[0].of_class
        starts = self._starts(len(outputs) if of_class is None else len(of_class), X.shape[1], X.dtype, start)
        if of_class is not None:
            starts = [Start(np.stack([one.coef for one in starts]), np.array([one.intercept for one in starts]))]
        one = self._one_by_fit if self._by_fit else self._one
        table = X if self._by_fit else stored(X)
        other = None if validation is None else validation if self._by_fit else stored(validation)
        interrupted = threading.Event()
        over = interrupted.is_set if len(outputs) > 1 else None
        begins = zip(outputs, starts, strict=True)
        runs = [(table, output, weight, other, begin, partial, over) for output, begin in begins]
        told_below = warnings.catch_warnings(action="ignore", category=DivergenceWarning)  # in the estimator's words
        with told_below if self._by_fit else nullcontext():
            if len(runs) == 1:
                found = [one(*runs[0])]
            else:
                try:
                    found = Parallel(n_jobs=jobs, require="sharedmem")(delayed(one)(*run) for run in runs)
                except BaseException:  # Ctrl-C reaches this thread alone
                    interrupted.set()
                    raise
        self.n_iter_ = max(came.n_iter for came in found)
        self.t_ = getattr(self, "t_", 1.0) + self.n_iter_ * n
        self.history_ = found[0].history if len(found) == 1 else [came.history for came in found]
        self._iterate = [came.iterate for came in found] if self.average and not self._by_fit else None
        for came in found:
            if came.outcome is not None and came.outcome["astray"] is not None:
                warnings.warn(self._what_went_wrong(came.outcome, X), DivergenceWarning, stacklevel=4)
                break
            if came.diverged:
                told = came.diverged.replace("lr=", "eta0=")
                if self.learning_rate == "optimal":
                    told += "; learning_rate='optimal' begins there by itself: use 'auto', or 'constant' with that eta0"
                warnings.warn(told, DivergenceWarning, stacklevel=4)
                break
            losses = getattr(came.history, "val_loss", None)
            if losses is not None and len(losses) > 1 and losses[0] == np.nanmin(losses):
                warnings.warn(
                    "no epoch was better on the validation rows than the start, whose coefficients these are: the rate "
                    "is too large, or there is nothing to learn; use learning_rate='auto', or 'constant' and another "
                    "eta0",
                    DivergenceWarning,
                    stacklevel=4,
                )
                break
        if not partial and self.tol is not None and self.n_iter_ == self.max_iter:
            sooner = ", or use optimizer='accelerated'" if self.batch_size is None and self.optimizer == "sgd" else ""
            warnings.warn(
                f"all of max_iter={self.max_iter} epochs were run, and tol={self.tol:g} was not met: "
                f"raise max_iter{sooner}",
                ConvergenceWarning,
                stacklevel=4,
            )
        coef = np.vstack([came.coef for came in found]).astype(X.dtype)
        return coef, np.hstack([came.intercept for came in found])

    def _one(
        self,
        table: Table,
        output: Output,
        weight: Any,
        validation: Table | None,
        start: Start,
        partial: bool,
        over: Callable[[], bool] | None,
    ) -> Came:
        """One output's run by single rows, up to the epoch in which all is `over`."""
        config = Config(
            **self._penalty_and_rate(),
            max_iter=1 if partial else int(self.max_iter),
            seed=output.seed if self.shuffle else None,
            class_weight=output.class_weight,
            threads=make_threads(None, table.size if isinstance(table, np.ndarray) else len(table[0])),
        )
        told, n = Told(output.y, weight, output.held), len(output.y)
        against = None
        if output.held is not None:
            against = Validation(table, np.flatnonzero(output.held), output.y, weight, self._accuracy)
            n -= len(against.rows)
        elif validation is not None and output.y_val is not None:
            against = Validation(validation, np.arange(len(output.y_val)), output.y_val, None, self._accuracy)
        with np.errstate(all="ignore"):
            outcome = _core.descend_online(table, told, against, config, start, _observer(bool(self.verbose), over))
        if not outcome["finite"]:
            raise ValueError(
                f"the coefficients left the range of floating-point numbers in epoch {outcome['n_iter']}: centre and "
                "scale the columns of X (StandardScaler, or standardize=True), or lower eta0"
            )
        coef, intercept = outcome["coef"], outcome["intercept"]
        if outcome["averaged"]:
            coef, intercept = outcome["mean_coef"], outcome["mean_intercept"]
        iterate = outcome["coef"], outcome["intercept"], outcome["mean_coef"], outcome["mean_intercept"]
        return Came(coef, intercept, outcome["n_iter"], Epochs.of(outcome, n), iterate=iterate, outcome=outcome)

    def _one_by_fit(
        self,
        X: Any,
        output: Output,
        weight: Any,
        validation: Any,
        start: Start,
        partial: bool,
        over: Callable[[], bool] | None,
    ) -> Came:
        """One output's run by `fastgd.fit`, up to the epoch in which all is `over`."""
        y, against = output.y, None
        factors = output.factors
        if factors.min() < 0 or not factors.any():
            accepted = f"class_weight must be >= 0 and not 0 for all rows with {self._what_asks()}"
            raise ValueError(f"{accepted}, got {self.class_weight!r}")
        if (factors != 1).any():
            weight = factors if weight is None else weight * factors
        if output.held is not None:
            train, against = ~output.held, (X[output.held], y[output.held])
            X, y, weight = X[train], y[train], None if weight is None else weight[train]
        elif validation is not None:
            against = validation, output.y_val
        seen = self.t_ - 1 if partial else None
        init = start.coef, start.intercept
        found = by_fit(self, X, y, weight, init=init, validation=against, seed=output.seed, seen=seen, over=over)
        coef, intercept, diverged = found.coef, found.intercept, ""
        if found.status == "diverged":
            last, high = found.history.coef[-1], _ASTRAY["squared" in self.loss] * max(1.0, found.history.loss[0])
            if partial and self._accuracy and found.history.loss[-1] <= high and np.isfinite(last).all():
                coef, intercept = last, found.history.intercept[-1]  # the first of a stream may be high: more will come
            else:
                diverged = found.message
        return Came(coef, intercept, found.n_epochs, found.history, diverged=diverged)

    def _starts(self, outputs: int, d: int, dtype: Any, start: Begin | None) -> list[Start]:
        """Where each output's run begins: as given, else where the estimator is, else at zero."""
        t = getattr(self, "t_", 1.0)
        kept = self.__dict__.get("_iterate") if start is None and self.average else None
        if kept:
            return [Start(coef, b, mean, mean_b, t) for coef, b, mean, mean_b in kept]
        (coef, name), (intercept, its_name) = start or [
            (self.__dict__.get(name), name) for name in ("coef_", "intercept_")
        ]
        one = outputs == 1
        coef = _vector(coef, [*([(d,)] if one else []), (outputs, d)], dtype, name).reshape(outputs, d)
        intercept = _vector(intercept, [(outputs,), *([()] if one else [])], dtype, its_name).reshape(outputs)
        if self.positive and (coef < 0).any():
            raise ValueError(f"{name} must be >= 0 with positive=True, got {coef.min():g}")
        nothing = np.zeros(d if self.average else 0)
        return [Start(w, float(b), nothing, 0.0, t) for w, b in zip(coef, intercept, strict=True)]

    def _begin(self, coef_init: Any, intercept_init: Any) -> Begin:
        """Forgets what a fit is to forget; where the fit begins."""
        warm = self.warm_start and hasattr(self, "coef_")
        start: list[tuple[Any, str]] = []
        for given, name, kept in ((coef_init, "coef_init", "coef_"), (intercept_init, "intercept_init", "intercept_")):
            of_last = warm and given is None
            start.append((getattr(self, kept), f"{kept}, where warm_start begins,") if of_last else (given, name))
        for name in ("coef_", "intercept_", "t_", "_iterate"):
            self.__dict__.pop(name, None)
        return start

    def _split(self, y: Any, weight: Any, splitter: Any) -> Any:
        """The rows that early stopping keeps back, (n,) of bool; None without."""
        if not self.early_stopping:
            return None
        split = splitter(test_size=self.validation_fraction, random_state=self.random_state)
        _, rows = next(split.split(np.zeros((len(y), 1)), y))
        held = np.zeros(len(y), dtype=bool)
        held[rows] = True
        if not self._accuracy:
            self._tell_of_one(len(rows))
        if weight is not None and not weight[held].any():
            raise ValueError(
                "sample_weight must not be zero on all validation rows, which early_stopping chose: "
                "the weights there are all zero; another random_state chooses others"
            )
        return held

    def _read_validation(self, X: Any, X_val: Any, y_val: Any) -> tuple[Any, Any]:
        """Validation rows of the caller's own, stored as X is."""
        if X_val is None and y_val is None:
            return None, None
        if X_val is None or y_val is None:
            missing = "X_val" if X_val is None else "y_val"
            raise ValueError(f"X_val and y_val must be given together, got no {missing}")
        X_val = in_memory(X_val, "X_val")
        validate_data(self, X_val, reset=False, skip_check_array=True)  # names and number of columns
        rows = check_array(X_val, accept_sparse="csr", order="C", dtype=X.dtype, input_name="X_val", estimator=self)
        if sparse.issparse(rows) != sparse.issparse(X):
            rows = rows.toarray() if sparse.issparse(rows) else type(X)(rows)
        y_val = column_or_1d(y_val, warn=True)
        if len(y_val) != rows.shape[0]:
            raise ValueError(
                f"y_val must have one entry for each of the {rows.shape[0]} rows of X_val, got {len(y_val)}"
            )
        if not self._accuracy:
            y_val = check_array(y_val, ensure_2d=False, dtype=np.float64, input_name="y_val")
            self._tell_of_one(len(y_val))
        return rows, y_val

    def _tell_of_one(self, rows: int) -> None:
        """Warn where the score that should say when to stop has no value."""
        if rows == 1 and not self._by_fit:
            warnings.warn(
                "R^2 of one validation row is not defined, so that nothing stops this run before max_iter: give two "
                "rows or more, or raise validation_fraction",
                UndefinedMetricWarning,
                stacklevel=5,
            )

    def _what_went_wrong(self, outcome: Outcome, X: Any) -> str:
        """Why a run went astray, and what to do."""
        assert outcome["astray"] is not None
        end, _, zero = outcome["astray"]
        name, _ = self._loss()
        if sparse.issparse(X):
            squares = X.astype(np.float64).power(2)
            of_row, of_column = (np.asarray(squares.sum(axis=axis)).ravel() for axis in (1, 0))
        else:  # without a copy of X
            of_row, of_column = (np.einsum(f"ij,ij->{kept}", X, X, dtype=np.float64) for kept in "ij")
        longest, of_column = float(of_row.max()) + bool(self.fit_intercept), of_column / len(of_row)
        names = tuple(self.feature_names_in_) if hasattr(self, "feature_names_in_") else None
        because = blame(of_column, names=names, intercept=self.fit_intercept, largest=of_column.max(), of_l2=0.0)
        because = because and f"; what makes that so small is {because}"
        curvature = facts_of(name)["curvature"]
        limit = 2 / (curvature * longest) if curvature and longest else math.nan
        stable = ""
        if limit == limit:
            stable = f" Steps by single rows of X are sure to be stable at rates below {limit:.2g}{because}."
        number = f"{outcome['n_iter']} epoch{'' if outcome['n_iter'] == 1 else 's'}"
        if self.learning_rate == "optimal":
            lower = "use learning_rate='adaptive' with a small eta0: 'optimal' begins far higher"
        else:
            lower = f"use eta0={limit / 2:.1g}" if limit < self.eta0 else "lower eta0"
        return (
            f"diverged: after {number} the mean loss is {end:.3g}, and {zero:.3g} with all coefficients 0.{stable} "
            f"Centre and scale the features (StandardScaler, or standardize=True), use learning_rate='auto', or {lower}"
        )

    def _scores(self, X: Any) -> Any:
        """X w + b, (n, outputs)."""
        check_is_fitted(self)
        X = validate_data(self, in_memory(X), accept_sparse="csr", reset=False)
        coef: Any = self.coef_ if self.coef_.ndim == 2 else self.coef_.reshape(1, -1)
        raw = X @ coef.T
        return (raw.toarray() if sparse.issparse(raw) else np.asarray(raw)) + self.intercept_

    def sparsify(self) -> Any:
        """Store `coef_` as a SciPy CSR matrix, worth it where most of it is 0; returns the estimator."""
        check_is_fitted(self)
        self.coef_ = sparse.csr_matrix(self.coef_)
        return self

    def densify(self) -> Any:
        """Store `coef_` as an array again; returns the estimator."""
        check_is_fitted(self)
        if sparse.issparse(self.coef_):
            dense = self.coef_.toarray()
            self.coef_ = dense if self._accuracy else dense.ravel()  # a matrix has two dimensions
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _vector(value: Any, shapes: list[tuple[int, ...]], dtype: Any, name: str) -> Any:
    """An own float64 array of one of these shapes, holding numbers of `dtype`."""
    if value is None:
        return np.zeros(shapes[0])
    found = np.array(value.toarray() if sparse.issparse(value) else value, dtype=dtype, order="C")
    if found.shape not in shapes:
        raise ValueError(f"{name} must have shape {' or '.join(map(str, shapes))}, got {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError(f"{name} must be finite")
    return found.astype(np.float64)


def _observer(verbose: bool, over: Callable[[], bool] | None) -> Callable[..., bool] | None:
    """Who looks at each epoch's end, if anybody does."""
    if over is None:
        return _tell if verbose else None

    def look(*shown: Any) -> bool:
        if verbose:
            _tell(*shown)
        return over()

    return look


def _tell(epoch: int, step: int, loss: float, coef: Any, intercept: Any, lr: float, grad_norm: float) -> bool:
    """One line an epoch, for `verbose`."""
    length = float(np.linalg.norm(coef))
    print(f"epoch {epoch}: loss {loss:.6g}, rate {lr:.3g}, |coef| {length:.6g}, intercept {intercept[0]:.6g}")
    return False
