"""Dropped in for scikit-learn's classes: types, shapes and messages, where coefficients are not the question."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning

import fastgd
from fastgd import _estimator

X, Y = fastgd.datasets.make_linear(n=120, coef=(1.0, -2.0, 3.0), rng=0)
LABELS, THREE = np.where(Y > 4.0, "high", "low"), np.digitize(Y, [2.0, 6.0])
KINDS: dict[str, tuple[Any, Any, Any]] = {
    "regressor": (fastgd.SGDRegressor, linear_model.SGDRegressor, Y),
    "two": (fastgd.SGDClassifier, linear_model.SGDClassifier, LABELS),
    "three": (fastgd.SGDClassifier, linear_model.SGDClassifier, THREE),
}
kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("loss", "average"), [("log_loss", False), ("modified_huber", False), ("log_loss", True)])
def test_answers_have_the_types_of_scikit_learns(kind: str, dtype: str, loss: str, average: bool) -> None:
    *makes, y = KINDS[kind]
    options = {"average": average} | ({} if kind == "regressor" else {"loss": loss})
    ours, theirs = (make(random_state=0, **options).fit(X.astype(dtype), y) for make in makes)
    ways = ["predict"] + ["decision_function", "predict_proba", "predict_log_proba"] * (kind != "regressor")
    for way in ways:
        for rows in (X.astype(dtype), X, X.astype("float32"), sparse.csr_matrix(X.astype(dtype))):
            with np.errstate(divide="ignore"):
                found, expected = getattr(ours, way)(rows), getattr(theirs, way)(rows)
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape), way


@kinds
def test_a_model_that_was_stored_sparse_is_the_same_again(kind: str) -> None:
    make, _, y = KINDS[kind]
    model = make(random_state=0, warm_start=True, average=True).fit(X, y)
    coef, said = model.coef_.copy(), model.predict(X)
    found = model.sparsify().predict(sparse.csr_matrix(X))
    assert np.allclose(found, said, rtol=1e-12) if kind == "regressor" else found.tolist() == said.tolist()
    assert sparse.issparse(model.coef_)
    assert model.sparsify().densify() is model.densify()
    assert (model.coef_.shape, model.coef_.tolist()) == (coef.shape, coef.tolist())
    again = model.sparsify().partial_fit(X, y)
    assert again.coef_.shape == coef.shape
    assert model.sparsify().fit(X, y).coef_.shape == coef.shape


@pytest.mark.parametrize(
    ("fit", "sentence"),
    [
        (lambda: fastgd.SGDClassifier().fit(X, ["a"] * 120), "y must hold two classes or more, got one class, 'a'"),
        (
            lambda: fastgd.SGDClassifier().partial_fit(X, THREE, classes=[0, 1]),
            "y must hold labels of classes_, [0 1], got 2 in row ",
        ),
        (
            lambda: fastgd.SGDClassifier().fit(X, LABELS, X_val=X[:2], y_val=["low", "middle"]),
            "y_val must hold labels of classes_, ['high' 'low'], got 'middle' in row 1",
        ),
        (
            lambda: fastgd.SGDRegressor(warm_start=True).fit(X, Y).fit(X[:, :2], Y),
            "coef_, where warm_start begins, must have shape (2,) or (1, 2), got (3,)",
        ),
        (lambda: fastgd.SGDRegressor().fit(X, Y, coef_init=[1, 2]), "coef_init must have shape (3,) or (1, 3), got"),
        (
            lambda: fastgd.SGDClassifier(warm_start=True).fit(X, LABELS).fit(X, THREE),
            "coef_, where warm_start begins, must have shape (3, 3), got (1, 3)",
        ),
        (
            lambda: fastgd.SGDRegressor(batch_size=None, average=True).fit(X, Y),
            "average must be False where a batch is all of the rows (batch_size=None), got True",
        ),
        (
            lambda: fastgd.SGDRegressor(batch_size=500, average=7).fit(X, Y),
            "average must be False where a batch is all of the rows (batch_size=500), got 7",
        ),
        (lambda: fastgd.SGDRegressor().fit(X, Y, X_val=X[:2], y_val=[np.nan, 1]), "Input y_val contains NaN"),
        (lambda: fastgd.SGDRegressor().fit(X, Y, X_val=X[:2], y_val=[np.inf, 1]), "Input y_val contains infinity"),
        (lambda: fastgd.SGDRegressor().fit(X, Y, X_val=X[:2] * np.nan, y_val=[1, 1]), "Input X_val contains NaN"),
        (lambda: fastgd.SGDRegressor().fit(X, Y, X_val=X[:2], y_val=["a", "b"]), "could not convert string to float"),
        (lambda: fastgd.SGDRegressor().fit(X, Y, X_val=X[:, :2], y_val=Y), "X has 2 features, but SGDRegressor is"),
        (
            lambda: fastgd.SGDClassifier().fit(X, LABELS, X_val=X[:2], y_val=np.array([None, "low"], object)),
            "y_val must hold labels of classes_, ['high' 'low'], got None in row 0",
        ),
        (lambda: fastgd.SGDRegressor(tol=np.inf).fit(X, Y), "tol must be a finite number >= 0 or None, got inf"),
        (
            lambda: fastgd.SGDClassifier().partial_fit(X, THREE, classes=[]),
            "classes must hold two labels or more, got []",
        ),
        (
            lambda: fastgd.SGDClassifier().partial_fit(X, THREE, classes=["b", "b"]),
            "classes must hold two labels or more, got ['b']",
        ),
        (
            lambda: fastgd.SGDClassifier(class_weight={0: np.nan}).fit(X, THREE),
            "class_weight must be 'balanced', a dict of a finite number for each class, or None, got {0: nan}",
        ),
        (
            lambda: fastgd.SGDClassifier(class_weight={0: "a"}).fit(X, THREE),
            "class_weight must be 'balanced', a dict of a finite number for each class, or None, got {0: 'a'}",
        ),
        (
            lambda: fastgd.SGDClassifier(class_weight={0: -1}, batch_size=8).fit(X, THREE),
            "class_weight must be >= 0 and not 0 for all rows with batch_size=8, got {0: -1}",
        ),
        (
            lambda: fastgd.SGDClassifier(class_weight={0: 0, 1: 0}, batch_size=8).fit(X, THREE > 0),
            "class_weight must be >= 0 and not 0 for all rows with batch_size=8, got {0: 0, 1: 0}",
        ),
        *(
            (
                lambda name=name: fastgd.SGDRegressor(**{name: 2**70}).fit(X, Y),
                f"{name} must be {'True, False or ' * (name == 'average')}an integer >= 1 below 2**63"
                f"{' or None' * (name == 'batch_size')}, got 1180591620717411303424",
            )
            for name in ("max_iter", "n_iter_no_change", "average", "batch_size")
        ),
        (lambda: fastgd.SGDRegressor(alpha=10**400).fit(X, Y), "alpha must be a finite number >= 0, got 1000"),
        (lambda: fastgd.SGDRegressor(eta0=10**400).fit(X, Y), "eta0 must be a finite number > 0, got 1000"),
        (lambda: fastgd.SGDRegressor(tol=10**400).fit(X, Y), "tol must be a finite number >= 0 or None, got 1000"),
    ],
)
def test_refused(fit: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        fit()


@pytest.mark.parametrize("state", ["x", -1, 2**32, 1.5, True, np.random.default_rng(0), [1, 2]])
@kinds
def test_random_states_that_are_none(kind: str, state: Any) -> None:
    make, _, y = KINDS[kind]
    accepted = "random_state must be an integer in [0, 2**32), a numpy.random.RandomState or None, got "
    if state is True:
        assert np.array_equal(make(random_state=True).fit(X, y).coef_, make(random_state=1).fit(X, y).coef_)
        return
    with pytest.raises(ValueError, match=f"^{re.escape(accepted)}"):
        make(random_state=state).fit(X, y)


@pytest.mark.parametrize("options", [{"early_stopping": True, "validation_fraction": 0.001}, {}])
def test_one_validation_row_has_no_r2_and_that_is_told_once(options: dict[str, Any]) -> None:
    validation = {} if options else {"X_val": X[:1], "y_val": Y[:1]}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fastgd.SGDRegressor(random_state=0, max_iter=20, **options).fit(X, Y, **validation)
    assert [one.category for one in told] == [UndefinedMetricWarning, ConvergenceWarning]
    assert str(told[0].message).startswith("R^2 of one validation row is not defined, so that nothing stops this run")
    assert all(one.filename == __file__ for one in told)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastgd.SGDClassifier(random_state=0).fit(X, LABELS, X_val=X[:1], y_val=LABELS[:1])


@pytest.mark.parametrize("store", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("scale", [1e3, 1e18])
def test_divergence_of_float32_rows_is_told_without_other_warnings(store: Any, scale: float) -> None:
    rows = store((X * scale).astype(np.float32))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        refused = ""
        try:
            fastgd.SGDRegressor(random_state=0, learning_rate="constant", max_iter=5, tol=None).fit(rows, Y)
        except ValueError as error:
            refused = str(error)
    found = {one.category for one in told}
    assert (found == {fastgd.DivergenceWarning} and not refused) or (not found and "left the range" in refused)


def test_full_batch_that_takes_long_is_told_of_the_accelerated_rule() -> None:
    options: dict[str, Any] = {"loss": "log_loss", "learning_rate": "auto", "batch_size": None, "max_iter": 300}
    with pytest.warns(ConvergenceWarning, match="raise max_iter, or use optimizer='accelerated'$"):
        slow = fastgd.SGDClassifier(**options).fit(X, LABELS)
    assert fastgd.SGDClassifier(**options, optimizer="accelerated").fit(X, LABELS).n_iter_ < slow.n_iter_ / 2
    with pytest.warns(ConvergenceWarning, match="raise max_iter$"):
        fastgd.SGDRegressor(max_iter=2).fit(X, Y)


def test_labels_of_several_kinds_are_refused_by_name() -> None:
    for labels in (["a", 1, None, "a"], ["a", 1.5, "b", 2.5]):
        with pytest.raises(TypeError, match=r"y must hold labels of one kind, got .*str"):
            fastgd.SGDClassifier().fit(np.arange(4.0)[:, None], np.array(labels, object))


#: rows that come in many chunks
MANY = np.random.default_rng(0).standard_normal((20_000, 20))
ON_THEIR_WAY: dict[str, dict[str, Any]] = {
    "plain": {},
    "no penalty": {"penalty": None, "learning_rate": "constant", "eta0": 1e-3},
    "l1": {"penalty": "l1"},
    "average": {"average": True},
    "adaptive": {"learning_rate": "adaptive", "eta0": 1e-3, "tol": 1e-2, "n_iter_no_change": 1},
    "in order": {"shuffle": False},
    "scale multiplied out": {"alpha": 3.0},
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("sparse_rows", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("options", ON_THEIR_WAY.values(), ids=ON_THEIR_WAY)
@pytest.mark.parametrize("kind", ["regressor", "two"])
def test_rows_on_their_way_agree_with_scikit_learn_whoever_brings_them(
    kind: str, options: dict[str, Any], sparse_rows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = MANY @ np.linspace(-1, 1, 20) + np.sin(np.arange(len(MANY)))
    X, y = (sparse.csr_matrix(MANY) if sparse_rows else MANY), target if kind == "regressor" else target > 0.3
    given = {"max_iter": 4, "tol": None, "random_state": 3, "fit_intercept": not sparse_rows} | options
    given |= {} if kind == "regressor" else {"loss": "log_loss", "learning_rate": "invscaling", "eta0": 0.01} | options
    ours, theirs = (make(**given).fit(X, y) for make in KINDS[kind][:2])
    apart = np.abs(ours.coef_ - theirs.coef_).max()
    assert apart <= 1e-9 * np.abs(theirs.coef_).max()
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    for threads in (1, 2, 3):
        monkeypatch.setattr(_estimator, "make_threads", lambda *_, threads=threads: threads)
        assert KINDS[kind][0](**given).fit(X, y).coef_.tobytes() == ours.coef_.tobytes()


@pytest.mark.parametrize("options", [{"early_stopping": True}, {"early_stopping": True, "average": True}])
def test_rows_that_are_kept_back_are_so_whoever_brings_the_others(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    y, found = MANY @ np.linspace(-1, 1, 20) > 0.3, []
    for threads in (1, 2, 3):
        monkeypatch.setattr(_estimator, "make_threads", lambda *_, threads=threads: threads)
        model = fastgd.SGDClassifier(max_iter=5, tol=None, random_state=0, **options).fit(MANY, y)
        assert model.score(MANY, y) > 0.9
        found.append(model.coef_.tobytes())
    assert len(set(found)) == 1
