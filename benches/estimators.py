"""Estimators: fastgd's SGDRegressor and SGDClassifier against scikit-learn's, and logistic regression against Newton's.

Whole fits of a few epochs, shuffled, with the same rows in the same order: coefficients must agree before any time is
believed.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastgd
from page import Claim, Measured
from row import EXACT, compare, in_turn

#: of each fit
EPOCHS = 10
#: of the largest coefficient, when all are rounded to float32
ROUNDED = 2e-7
#: how much float32 may take beyond float64
NOISE = 1.05
#: by how much fewer of the classes may be right
CLOSE = 0.02
#: what is left of the mean loss above its minimum, relatively
EXCESS = 1e-8


@dataclass(frozen=True)
class Case:
    """A problem with the class that is fitted to it, and how many times as fast as scikit-learn's it must be."""

    name: str
    n: int
    d: int
    kind: str
    least: float
    options: dict[str, Any] = field(default_factory=dict)
    #: nonzeros of a sparse row
    stored: int | None = None

    @property
    def work(self) -> str:
        rows = f"n={self.n:,}, d={self.d:,}" + (f", {self.stored} of them not 0" if self.stored else "")
        return f"{self.kind}({self.options.get('loss', 'squared_error')}), {rows}, {EPOCHS} epochs, shuffled"

    def data(self) -> tuple[Any, Any]:
        """Rows that float32 holds, too, and targets or classes."""
        rng = np.random.default_rng(0)
        if self.stored:
            from scipy import sparse

            # words of a text: a few are frequent, most are rare
            columns = np.minimum(self.d ** rng.random((self.n, self.stored)), self.d - 1).astype(np.int32)
            values = rng.random((self.n, self.stored)).astype(np.float32).astype(np.float64) / self.stored**0.5
            ends = np.arange(0, self.n * self.stored + 1, self.stored, dtype=np.int32)
            X = sparse.csr_matrix((values.ravel(), np.sort(columns).ravel(), ends), shape=(self.n, self.d))
        else:
            X = rng.standard_normal((self.n, self.d)).astype(np.float32).astype(np.float64)
        y = X @ rng.standard_normal(self.d) / self.d**0.5 + 0.3 * rng.standard_normal(self.n)
        return X, (y if self.kind == "SGDRegressor" else (y > np.median(y)).astype(int))

    def model(self, module: Any) -> Any:
        return getattr(module, self.kind)(**self.options, max_iter=EPOCHS, tol=None, random_state=1)


CASES = [
    Case("sgd10", 1_000_000, 10, "SGDRegressor", 10),
    Case("sgd100", 200_000, 100, "SGDRegressor", 8, {"eta0": 0.001}),
    Case("sgdlog", 1_000_000, 20, "SGDClassifier", 8, {"loss": "log_loss"}),
    Case("sgdhinge", 1_000_000, 20, "SGDClassifier", 8, {"loss": "hinge"}),
    # without intercept, whose steps scikit-learn makes smaller where rows are sparse
    Case("sgdtext", 200_000, 100_000, "SGDClassifier", 5, {"loss": "hinge", "fit_intercept": False}, stored=60),
]


def needs_scikit_learn(name: str, work: str) -> list[Measured]:
    """What is told where it is not there; nothing where it is."""
    there = importlib.util.find_spec("sklearn") is not None
    return [] if there else [Measured(name, f"{work}: needs scikit-learn", None, [])]


def against_scikit_learn(case: Case, rounds: int) -> list[Measured]:
    if missing := needs_scikit_learn(case.name, case.work):
        return missing
    from sklearn import linear_model

    X, y = case.data()
    X32 = X.astype(np.float32)
    for rows, tolerance in ((X, EXACT), (X32, ROUNDED)):
        ours = case.model(fastgd).fit(rows, y)
        theirs = case.model(linear_model).fit(rows.astype(np.float64), y)  # of the same numbers
        compare(f"{case.name}: fastgd is wrong: coef", ours.coef_, theirs.coef_, tolerance)
    works: dict[str, Callable[[], Any]] = {
        "fastgd": lambda: case.model(fastgd).fit(X, y),
        "fastgd, f32": lambda: case.model(fastgd).fit(X32, y),
        "scikit-learn": lambda: case.model(linear_model).fit(X, y),
    }
    ours, narrow, theirs = in_turn(works, rounds).values()
    ratio = theirs.seconds / ours.seconds
    claim = Claim("scikit-learn", theirs.seconds, ratio, case.least, at_least=True, rounds=theirs.rounds)
    half = Claim("float64", ours.seconds, narrow.seconds / ours.seconds, NOISE, at_least=False)
    return [
        Measured(case.name, case.work, ours.seconds, [claim], ours.rounds),
        Measured(case.name, f"{case.work}, float32", narrow.seconds, [half], narrow.rounds),
    ]


def logistic(rounds: int) -> list[Measured]:
    """`fastgd.fit` without options to a relative excess of `EXCESS`, against the Newton iterations that reach it."""
    name, n, d = "logistic", 1_000_000, 20
    work = f"log_loss, n={n:,}, d={d}, full batch, to a relative excess of {EXCESS:g}"
    if missing := needs_scikit_learn(name, work):
        return missing
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    y = (X @ np.linspace(-0.5, 0.5, d) + rng.logistic(size=n) > 0).astype(np.float64)

    def loss(coef: Any, intercept: Any) -> float:
        raw = X @ np.ravel(coef) + intercept
        return float(np.mean(np.logaddexp(0, raw) - y * raw))

    def newton(tol: float) -> Any:
        return LogisticRegression(solver="newton-cholesky", C=np.inf, tol=tol).fit(X, y)

    def ours() -> Any:
        return fastgd.fit(X, y, loss="log_loss")

    truth = newton(1e-10)
    least = loss(truth.coef_, truth.intercept_)
    enough = next(tol for tol in (1e-2, 1e-3, 1e-4, 1e-6, 1e-10) if _reaches(newton(tol), loss, least))
    result = ours()
    excess = (loss(result.coef, result.intercept) - least) / least
    if not excess <= EXCESS:
        raise SystemExit(f"bench: {name}: fastgd is wrong: its relative excess is {excess:.2g}")
    works = {"fastgd": ours, "newton-cholesky": functools.partial(newton, enough)}
    our, their = in_turn(works, rounds).values()
    ratio, note = their.seconds / our.seconds, f"tol={enough:g}"
    claim = Claim("newton-cholesky", their.seconds, ratio, 1, at_least=True, rounds=their.rounds, note=note)
    return [Measured(name, work, our.seconds, [claim], our.rounds)]


def softmax(rounds: int) -> list[Measured]:
    """Ten classes by one loss against scikit-learn's one model for each; rows singly, as there, and in batches."""
    n, d, classes, epochs = 50_000, 100, 10, EPOCHS
    name, work = "softmax", f"SGDClassifier(softmax), n={n:,}, d={d}, {classes} classes, {epochs} epochs, shuffled"
    if missing := needs_scikit_learn(name, work):
        return missing
    from sklearn import linear_model

    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    y = np.argmax(X @ rng.standard_normal((d, classes)) + rng.gumbel(size=(n, classes)), axis=1)
    given = {"learning_rate": "constant", "eta0": 0.01, "penalty": None, "max_iter": epochs, "tol": None}
    theirs = linear_model.SGDClassifier(loss="log_loss", random_state=1, **given)
    least = theirs.fit(X, y).score(X, y) - CLOSE
    found = []
    for size, what in ((1, "single rows"), (32, "B=32")):
        ours = fastgd.SGDClassifier(loss="softmax", batch_size=size, random_state=1, **given)
        if not ours.fit(X, y).score(X, y) >= least:
            raise SystemExit(f"bench: {name}: fastgd is wrong: {ours.score(X, y):.3f} of the classes, not {least:.3f}")
        works = {"fastgd": functools.partial(ours.fit, X, y), "scikit-learn": functools.partial(theirs.fit, X, y)}
        our, their = in_turn(works, rounds).values()
        ratio = their.seconds / our.seconds
        claim = Claim("one against all", their.seconds, ratio, 20, at_least=True, rounds=their.rounds)
        found.append(Measured(name, f"{work}, {what}", our.seconds, [claim], our.rounds))
    return found


def _reaches(model: Any, loss: Callable[[Any, Any], float], least: float) -> bool:
    return loss(model.coef_, model.intercept_) <= least * (1 + EXCESS)


ROWS = {case.name: [functools.partial(against_scikit_learn, case)] for case in CASES}
ROWS |= {"softmax": [softmax], "logistic": [logistic]}
