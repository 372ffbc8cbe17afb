"""The estimators give scikit-learn's coefficients where it is right, and their own where it is wrong."""

from __future__ import annotations

import itertools
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn import linear_model
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, ShuffleSplit, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastgd

SEED = int(os.environ.get("FASTGD_TEST_SEED", "0"))
REGRESSION = ["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"]
CLASSIFICATION = ["hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron"]
OURS = {"regressor": fastgd.SGDRegressor, "two": fastgd.SGDClassifier, "three": fastgd.SGDClassifier}
THEIRS = {"regressor": linear_model.SGDRegressor, "two": linear_model.SGDClassifier}
THEIRS["three"] = linear_model.SGDClassifier
AGGRESSIVE = {"regressor": "epsilon_insensitive", "two": "hinge", "three": "hinge"}


def data(kind, n=120, d=6, seed=SEED):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * np.resize([1.0, 0.5, 2.0, 1.0, 0.1, 1.0], d)
    X[rng.random((n, d)) < 0.5] = 0
    y = X @ rng.standard_normal(d) + 0.5 + 0.3 * rng.standard_normal(n)
    if kind == "two":
        return X, np.where(y > np.quantile(y, 0.4), "yes", "no")
    return X, (y if kind == "regressor" else np.digitize(y, np.quantile(y, [0.4, 0.7])))


X, Y = data("regressor")
SCALED = StandardScaler().fit_transform(X)


def quiet(estimator, *args, fit="fit", **options):
    """The fitted estimator, or the error that came instead; warnings are other tests' concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return getattr(estimator, fit)(*args, **options)
        except ValueError as error:
            return error


def difference(ours, theirs):
    """The largest difference of coefficients and intercepts, relative to the largest of them."""
    if isinstance(theirs, ValueError) or isinstance(ours, ValueError):
        return 0.0 if isinstance(theirs, ValueError) and isinstance(ours, ValueError) else np.inf
    found, expected = (np.append(np.ravel(one.coef_), one.intercept_) for one in (ours, theirs))
    assert ours.coef_.shape == theirs.coef_.shape
    assert ours.coef_.dtype == theirs.coef_.dtype
    assert ours.intercept_.dtype == theirs.intercept_.dtype
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    return np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-300)


def of_the_same_numbers(theirs, rows, y, **more):
    """Fitted on float64 rows of the same numbers, and stored as it stores what it fits on these."""
    found = quiet(theirs, rows.astype(np.float64), y, **more)
    if rows.dtype == np.float32 and not isinstance(found, ValueError):
        short = quiet(clone(theirs).set_params(max_iter=1, tol=None), rows, y, **more)
        found.coef_ = found.coef_.astype(short.coef_.dtype)
        found.intercept_ = found.intercept_.astype(short.intercept_.dtype)
    return found


def parity(estimator):
    """With scikit-learn's way with sparse rows."""
    estimator._as_scikit_learn = True
    return estimator


GRID = list(
    itertools.product(
        [None, "l2", "l1", "elasticnet"],
        ["constant", "optimal", "invscaling", "adaptive", "pa1", "pa2"],
        [False, True, 50],
        [False, True],
        ["dense", "csr"],
        ["float64", "float32"],
    )
)


#: with the first rates of "optimal" these overshoot, and grow the last bit of a sum: with columns in another order
#: scikit-learn differs from itself by more than 1e-9, so that sums must go in its order, too
GROWING = ("squared_error", "squared_epsilon_insensitive", "huber", "squared_hinge", "modified_huber")
NAIVE = os.environ.get("FASTGD_KERNEL") == "naive"


@pytest.mark.parametrize(
    ("kind", "loss"), [(kind, loss) for kind in OURS for loss in REGRESSION + CLASSIFICATION * (kind != "regressor")]
)
def test_coefficients_are_those_of_scikit_learn(kind, loss):
    X, y = data(kind)
    weight = np.random.default_rng(SEED + 1).uniform(0.2, 3.0, len(y))
    number = 0
    for i, (penalty, rate, average, weighted, store, dtype) in enumerate(GRID):
        if (rate in ("pa1", "pa2") and loss != AGGRESSIVE[kind]) or (i + len(loss) + SEED) % 3:
            continue
        if rate == "optimal" and loss in GROWING and not NAIVE:
            continue
        options = {"loss": loss, "penalty": penalty, "learning_rate": rate, "average": average, "random_state": i}
        options |= {"shuffle": i % 5 > 0, "max_iter": 40 if rate == "adaptive" else [3, 20][i % 2], "eta0": 0.02}
        options |= {"tol": [None, 1e-3][i // 2 % 2], "alpha": 1e-3, "n_iter_no_change": 3, "fit_intercept": i % 7 > 0}
        if weighted and kind != "regressor":
            options["class_weight"] = {"no": 2.0, "yes": 0.5} if kind == "two" else "balanced"
        rows = X.astype(dtype) if store == "dense" else sparse.csr_matrix(X.astype(dtype))
        more = {"sample_weight": weight} if weighted else {}
        ours = quiet(parity(OURS[kind](**options)), rows, y, **more)
        theirs = of_the_same_numbers(THEIRS[kind](**options), rows, y, **more)
        assert difference(ours, theirs) <= (1e-9 if dtype == "float64" else 2e-7), (options, store, dtype)
        number += 1
    assert number > 50


@pytest.mark.skipif(NAIVE, reason="it would start itself: this is what its child runs under")
def test_coefficients_are_those_of_scikit_learn_whatever_grows_where_sums_go_in_its_order():
    cases = [(kind, loss) for kind in OURS for loss in GROWING if loss in REGRESSION or kind != "regressor"]
    tests = [f"{__file__}::test_coefficients_are_those_of_scikit_learn[{kind}-{loss}]" for kind, loss in cases]
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    naive = os.environ | {"FASTGD_KERNEL": "naive"}
    run = subprocess.run(words, env=naive, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("store", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("average", [False, True, 150])
@pytest.mark.parametrize("kind", OURS)
def test_partial_fits_go_on_as_there(kind, average, store):
    X, y = data(kind)
    options = {"average": average, "random_state": 3, "penalty": "elasticnet", "alpha": 1e-3}
    ours, theirs = parity(OURS[kind](**options)), THEIRS[kind](**options)
    for k, part in enumerate([slice(0, 50), slice(50, 51), slice(40, 120), slice(0, 120)]):
        more = {"classes": np.unique(y)} if k == 0 and kind != "regressor" else {}
        for one in (ours, theirs):
            quiet(one, store(X[part]), y[part], fit="partial_fit", **more)
        if average is True and kind != "regressor" and k:
            continue  # its intercept begins at 0 again with every batch: the next test
        assert difference(ours, theirs) <= 1e-9
    assert ours.t_ == 1 + 50 + 1 + 80 + 120


@pytest.mark.parametrize("average", [False, True, 150])
@pytest.mark.parametrize("kind", OURS)
def test_a_chain_of_partial_fits_is_a_fit(kind, average):
    rows, y = data(kind)
    options = {"shuffle": False, "average": average, "alpha": 1e-3, "max_iter": 5, "tol": None}
    whole, chain = quiet(OURS[kind](**options), rows, y), OURS[kind](**options)
    for _ in range(5):
        quiet(chain, rows, y, fit="partial_fit", **({} if kind == "regressor" else {"classes": np.unique(y)}))
    assert whole.t_ == chain.t_
    np.testing.assert_allclose(chain.coef_, whole.coef_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(chain.intercept_, whole.intercept_, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", OURS)
def test_starts_and_generators_are_as_there(kind):
    X, y = data(kind)
    d, outputs = X.shape[1], 3 if kind == "three" else 1
    coef = np.arange(outputs * d).reshape(outputs, d) / 10
    coef, intercept = (coef[0] if kind == "regressor" else coef), np.full(outputs, 0.5)
    given = coef.copy(), intercept.copy()
    drawn = []
    found = []
    for one in (OURS, THEIRS):
        rng = np.random.RandomState(SEED % 1000)
        options = {"random_state": rng, "max_iter": 4, "learning_rate": "constant", "warm_start": True}
        estimator = one[kind](**options)
        quiet(estimator, X, y, coef_init=given[0].copy(), intercept_init=given[1].copy())
        quiet(estimator, X, y)
        drawn.append(rng.randint(2**31 - 1, size=5))
        found.append(estimator)
    assert difference(*found) <= 1e-9
    np.testing.assert_array_equal(*drawn)
    ours = quiet(OURS[kind](max_iter=1), X, y, coef_init=coef, intercept_init=intercept)
    assert ours.t_ == 1 + len(y)
    np.testing.assert_array_equal(coef, given[0])
    np.testing.assert_array_equal(intercept, given[1])


@pytest.mark.parametrize("kind", OURS)
def test_early_stopping_stops_where_it_does_there(kind):
    """Without an l2 penalty and log loss scikit-learn's scores are right; here the best epoch is returned."""
    X, y = data(kind, n=300)
    options = {"early_stopping": True, "penalty": None, "random_state": 5, "learning_rate": "constant", "eta0": 0.003}
    ours, theirs = quiet(OURS[kind](**options), X, y), quiet(THEIRS[kind](**options), X, y)
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    for history in ours.history_ if kind == "three" else [ours.history_]:
        assert len(history.val_score) == len(history)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("loss", ["log_loss", "modified_huber"])
@pytest.mark.parametrize("kind", ["two", "three"])
def test_probabilities_are_as_there(kind, loss, dtype):
    X, y = data(kind)
    X = X.astype(dtype)
    options = {"loss": loss, "random_state": 0, "max_iter": 20, "learning_rate": "constant", "tol": None}
    ours, theirs = OURS[kind](**options).fit(X, y), of_the_same_numbers(THEIRS[kind](**options), X, y)
    tol = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-13}
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), **tol)
    exact = {"rtol": 1e-5 if ours.predict_proba(X).dtype == np.float32 else 1e-12, "atol": 0}
    np.testing.assert_allclose(np.exp(ours.predict_log_proba(X)), ours.predict_proba(X), **exact)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), **tol)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.score(X, y) == theirs.score(X, y)


def test_probabilities_far_out_are_no_nan():
    X, y = np.array([[-1.0], [1.0]]), [0, 1]
    for classes in (y, [0, 1, 2, 2]):
        rows = np.resize(X, (len(classes), 1))
        model = quiet(fastgd.SGDClassifier(loss="log_loss", random_state=0), rows, classes)
        far = model.predict_proba([[-1e6], [1e6]])
        assert np.isfinite(far).all()
        np.testing.assert_allclose(far.sum(axis=1), 1)
    binary = quiet(fastgd.SGDClassifier(loss="log_loss", random_state=0), X, y)
    assert np.isfinite(binary.predict_log_proba([[-1e3], [1e3]])).all()
    with pytest.raises(AttributeError):
        _ = fastgd.SGDClassifier().predict_proba


EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "a weight is the length of a step, and not so many steps",
    "check_sample_weight_equivalence_on_sparse_data": "a weight is the length of a step, and not so many steps",
}


@pytest.mark.filterwarnings("ignore")  # what is fitted there need not converge
@parametrize_with_checks(
    [
        fastgd.SGDRegressor(max_iter=5),
        fastgd.SGDClassifier(max_iter=5),
        fastgd.SGDClassifier(max_iter=5, loss="log_loss", average=True),
        fastgd.SGDRegressor(max_iter=20, learning_rate="auto"),
        fastgd.SGDClassifier(max_iter=20, batch_size=4, loss="log_loss", optimizer="momentum", learning_rate="auto"),
        fastgd.SGDClassifier(max_iter=20, loss="softmax", batch_size=8),
    ],
    expected_failed_checks=lambda estimator: EXPECTED,
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


# ---- where scikit-learn is wrong; docs/differences.md names these tests


def test_the_page_of_differences_names_tests_that_there_are():
    here = Path(__file__).parent
    page = (here.parent / "docs" / "differences.md").read_text()
    tests = "".join((here / name).read_text() for name in re.findall(r"`tests/(test_\w+\.py)`", page))
    named = re.findall(r"`(test_\w+)`", page)
    assert len(named) > 15
    assert not [name for name in named if f"\ndef {name}(" not in tests]


def held_out(estimator, X, y):
    """The rows that early stopping keeps back."""
    kind = StratifiedShuffleSplit if hasattr(estimator, "classes_") else ShuffleSplit
    split = kind(test_size=estimator.validation_fraction, random_state=estimator.random_state)
    return next(split.split(X, y))[1]


@pytest.mark.parametrize("kind", ["regressor", "two"])
def test_early_stopping_scores_the_model_itself_and_keeps_the_best(kind):
    X, y = data(kind, n=400)
    options = {"early_stopping": True, "alpha": 0.1, "random_state": 1, "learning_rate": "constant", "eta0": 0.05}
    ours = OURS[kind](**options).fit(X, y)
    rows = held_out(ours, X, y)
    assert ours.score(X[rows], y[rows]) == pytest.approx(ours.history_.val_score.max(), abs=1e-12)
    # epoch by epoch: what is scored is the model that as many epochs of scikit-learn's give
    scores = []
    for epochs in range(1, ours.n_iter_ + 1):
        fewer = quiet(THEIRS[kind](**(options | {"max_iter": epochs, "tol": None})), X, y)
        scores.append(fewer.score(X[rows], y[rows]))
    np.testing.assert_allclose(ours.history_.val_score, scores, rtol=1e-9)


def test_early_stopping_of_log_loss_counts_both_classes():
    X, y = data("two", n=400)
    model = fastgd.SGDClassifier(loss="log_loss", early_stopping=True, random_state=0).fit(in_unit_scale(X), y)
    rows = held_out(model, X, y)
    share = np.mean(y[rows] == "yes")
    assert model.history_.val_score.max() > max(share, 1 - share)
    assert model.score(in_unit_scale(X)[rows], y[rows]) == pytest.approx(model.history_.val_score.max())


def in_unit_scale(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


@pytest.mark.parametrize("penalty", ["l2", None])
@pytest.mark.parametrize("kind", OURS)
def test_sparse_and_dense_rows_give_the_same_model(kind, penalty):
    X, y = data(kind)
    options = {"penalty": penalty, "random_state": 2, "average": kind == "two", "alpha": 1e-2}
    dense, csr = (quiet(OURS[kind](**options), rows, y) for rows in (X, sparse.csr_matrix(X)))
    assert difference(csr, dense) <= 1e-9
    theirs = quiet(THEIRS[kind](**options), sparse.csr_matrix(X), y)
    assert np.abs(theirs.intercept_ - dense.intercept_).max() > 1e-3  # its intercept steps by a hundredth


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sparse_rows_may_lie_anyhow(dtype):
    """Indices of 64 bits, in any order, in two parts, rows with nothing in them; CSC is turned."""
    rng = np.random.default_rng(SEED)
    plain = sparse.csr_matrix(np.where(np.arange(len(X))[:, None] % 20 > 0, X, 0).astype(dtype))
    plain.data *= np.asarray(2, dtype)  # so that halves are exact
    expected = fastgd.SGDRegressor(random_state=0, max_iter=7, tol=None).fit(plain, Y)
    longer = plain.copy()
    longer.indices, longer.indptr = longer.indices.astype(np.int64), longer.indptr.astype(np.int64)
    turned = plain.copy()
    for i in range(turned.shape[0]):
        part = slice(*turned.indptr[i : i + 2])
        order = rng.permutation(part.stop - part.start)
        turned.indices[part], turned.data[part] = turned.indices[part][order], turned.data[part][order]
    twice = sparse.csr_matrix(
        (np.repeat(plain.data / 2, 2), np.repeat(plain.indices, 2), plain.indptr * 2), shape=plain.shape
    )
    assert not (plain.getnnz(axis=1) > 0).all()
    for rows in (longer, turned, twice, plain.tocsc(), sparse.csr_array(plain)):
        found = fastgd.SGDRegressor(random_state=0, max_iter=7, tol=None).fit(rows, Y)
        np.testing.assert_allclose(found.coef_, expected.coef_, rtol=0, atol=1e-12 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("n", [5, 12, 40])
@pytest.mark.parametrize("power", [-1.0, -0.3])
def test_l2_may_leave_nothing_of_coefficients(power, n):
    """Rates that grow, until a step of l2 is as long as the coefficients."""
    rng = np.random.default_rng(SEED)
    rows, y = rng.uniform(0.5, 1.0, (n, 3)), np.ones(n)
    options = {"eta0": 0.05, "alpha": 1.0, "learning_rate": "invscaling", "power_t": power, "shuffle": False}
    options |= {"max_iter": 1, "tol": None, "loss": "epsilon_insensitive"}
    ours, theirs = (quiet(model(**options), rows, y) for model in (fastgd.SGDRegressor, linear_model.SGDRegressor))
    assert difference(ours, theirs) <= 1e-9


def test_a_huge_row_does_not_keep_a_run_from_its_end():
    rng = np.random.default_rng(SEED)
    rows = rng.standard_normal((200, 3))
    y = rows[:, 0] > 0
    rows[17] *= 1e155
    options = {"loss": "perceptron", "penalty": None, "learning_rate": "constant", "eta0": 1.0, "random_state": 0}
    ours, theirs = (quiet(model(**options), rows, y) for model in (fastgd.SGDClassifier, linear_model.SGDClassifier))
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    assert np.isfinite(ours.history_.loss).all()


@pytest.mark.parametrize("d", [1, 8, 20, 64, 65, 128, 129])
@pytest.mark.parametrize("loss", ["hinge", "log_loss"])
def test_float32_rows_give_the_path_of_the_same_numbers(loss, d):
    rng = np.random.default_rng(SEED)
    rows = rng.standard_normal((100, d)).astype(np.float32)
    y = rows[:, 0] > 0
    options = {"loss": loss, "random_state": 0, "max_iter": 4, "tol": None}
    short, long = (quiet(fastgd.SGDClassifier(**options), X, y) for X in (rows, rows.astype(np.float64)))
    assert short.history_.loss.tobytes() == long.history_.loss.tobytes()
    assert short.coef_.tobytes() == long.coef_.astype(np.float32).tobytes()


BROKEN = {
    "indptr beyond the end": lambda A: A.indptr.__setitem__(-1, A.indptr[-1] + 1000),
    "indptr falls": lambda A: A.indptr.__setitem__(3, A.indptr[2] - 1),
    "indptr below 0": lambda A: A.indptr.__setitem__(0, -5),
    "a column too many": lambda A: A.indices.__setitem__(7, A.shape[1]),
    "a column below 0": lambda A: A.indices.__setitem__(7, -1),
    "a column far out": lambda A: A.indices.__setitem__(7, 2**31 - 1),
}


@pytest.mark.parametrize("kind", ["regressor", "two"])
@pytest.mark.parametrize("how", BROKEN)
def test_broken_sparse_matrices_are_refused(how, kind):
    rows, y = sparse.csr_matrix(X), data(kind)[1]
    BROKEN[how](rows)
    model = OURS[kind]()
    with pytest.raises(ValueError, match=r"X|indptr|index|indices|columns"):
        model.fit(rows, y)
    assert not hasattr(model, "coef_")


def test_divergence_is_told_with_reason_and_cure():
    rng = np.random.default_rng(SEED)
    rows = rng.uniform(0, 100, (300, 3)) * [1, 1, 0.01]
    y = rows @ [1.0, 2.0, 3.0] + 5
    with pytest.warns(fastgd.DivergenceWarning, match=r"(?s)diverged: after.*stable.*column [01] of X.*eta0=") as told:
        model = fastgd.SGDRegressor(random_state=0).fit(rows, y)
    assert told[0].filename == __file__
    assert model.score(rows, y) < -1e6
    limit = float(str(told[0].message).split("use eta0=")[1])
    for cure in ({"standardize": True}, {"learning_rate": "auto"}, {"eta0": limit, "tol": None}):
        assert quiet(fastgd.SGDRegressor(random_state=0, **cure), rows, y).score(rows, y) > 0.9
    with pytest.warns(fastgd.DivergenceWarning, match="eta0=0.01 is too large"):
        fastgd.SGDRegressor(random_state=0, batch_size=16).fit(rows, y)
    with pytest.warns(fastgd.DivergenceWarning, match="'optimal' begins far higher"):
        fastgd.SGDClassifier(loss="squared_error", random_state=0, max_iter=5, tol=None).fit(rows, y > 150)
    with pytest.warns(fastgd.DivergenceWarning), pytest.warns(ConvergenceWarning):
        fastgd.SGDRegressor(random_state=0, max_iter=3).fit(sparse.csr_matrix(rows), y)


@pytest.mark.parametrize("kind", ["regressor", "two"])
def test_infinite_coefficients_are_an_error_that_changes_nothing(kind):
    X, y = data(kind)
    with pytest.raises(ValueError, match="left the range"):
        OURS[kind](loss="squared_error", eta0=1e300, learning_rate="constant").fit(X, y)
    model = OURS[kind](random_state=0, loss="squared_error", learning_rate="constant", max_iter=5, tol=None).fit(X, y)
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match="left the range of floating-point numbers in epoch 1"):
        model.partial_fit(X * 1e200, y)
    assert pickle.dumps(model) == before


def test_infinite_averages_are_an_error_too():
    """What is taken from a huge average, to be divided out again, may not be finite where the iterate is."""
    refused = 0
    for penalty, rate, average, n, epochs in itertools.product(
        ["l1", "elasticnet"], ["constant", "optimal"], [True, 5], [2, 3, 40], [1, 30]
    ):
        options = {"penalty": penalty, "learning_rate": rate, "average": average, "max_iter": epochs, "tol": None}
        for loss in REGRESSION:
            model = fastgd.SGDRegressor(loss=loss, alpha=1e300, eta0=1e300, random_state=0, **options)
            found = quiet(model, X[:n], Y[:n])
            refused += isinstance(found, ValueError)
            assert isinstance(found, ValueError) or np.isfinite([*found.coef_, *found.intercept_]).all()
    assert refused


REFUSED_BATCHES = {
    "another width": (X[:5, :2], 5, "features"),
    "not finite": (np.where(X > 1.5, np.nan, X), 120, "NaN"),
    "longer than y": (X[:5], 4, "inconsistent"),
    "words": ([["a"] * 6] * 3, 3, "could not convert"),
}


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("how", REFUSED_BATCHES)
def test_a_refused_batch_changes_nothing(how, kind):
    rows, y = data(kind)
    rng = np.random.RandomState(0)
    model = OURS[kind](random_state=rng, average=True)
    wrong, length, what = REFUSED_BATCHES[how]
    quiet(model, rows, y, fit="partial_fit", **({} if kind == "regressor" else {"classes": np.unique(y)}))
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match=what):
        model.partial_fit(wrong, y[:length])
    for weight in (np.zeros(len(y)), np.ones(3)):
        with pytest.raises(ValueError, match="weight"):
            model.partial_fit(rows, y, sample_weight=weight)
    if kind != "regressor":
        with pytest.raises(ValueError, match="y must hold labels of classes_"):
            model.partial_fit(rows, np.full(len(y), "other" if kind == "two" else 7))
    assert pickle.dumps(model) == before
    fresh, more = OURS[kind](), {} if kind == "regressor" else {"classes": np.unique(y)}
    with pytest.raises(ValueError, match="inconsistent"):
        fresh.partial_fit(rows, y[:-1], **more)
    assert vars(fresh) == vars(OURS[kind]())


def test_a_warm_start_of_averages_begins_at_the_average():
    options = {"average": True, "warm_start": True, "random_state": 0, "max_iter": 2, "tol": None}
    again = fastgd.SGDRegressor(**options).fit(X, Y)
    first = again.coef_.copy(), again.intercept_.copy()
    again.fit(X, Y)
    expected = fastgd.SGDRegressor(**options).fit(X, Y, coef_init=first[0], intercept_init=first[1])
    np.testing.assert_array_equal(again.coef_, expected.coef_)


# ---- beyond scikit-learn


@pytest.mark.parametrize("batch_size", [8, 1, None])
@pytest.mark.parametrize("rate", ["constant", "invscaling", "auto"])
def test_batches_are_those_of_fit(batch_size, rate):
    options = {"penalty": "elasticnet", "alpha": 0.01, "l1_ratio": 0.3, "eta0": 0.01, "max_iter": 30}
    model = fastgd.SGDRegressor(
        **options, batch_size=batch_size, optimizer="momentum", learning_rate=rate, random_state=0, standardize=True
    )
    quiet(model, X, Y)
    schedule = ("invscaling", {"power": 0.25}) if rate == "invscaling" else "constant"
    result = fastgd.fit(
        X,
        Y,
        loss="half_mse",
        lr="auto" if rate == "auto" else 0.01,
        schedule=schedule,
        batch_size=batch_size,
        optimizer="momentum",
        epochs=30,
        tol=1e-3,
        l1=0.01 * 0.3,
        l2=0.01 * (1 - 0.3),
        standardize=True,
        average="auto" if rate == "auto" else False,
        rng=int(np.random.RandomState(0).randint(0, 2**31 - 1)),
    )
    np.testing.assert_array_equal(model.coef_, result.coef)
    assert model.intercept_ == result.intercept
    assert model.n_iter_ == result.n_epochs
    assert model.t_ == 1 + len(Y) * result.n_epochs
    np.testing.assert_array_equal(model.history_.loss, result.history.loss)


@pytest.mark.parametrize("loss", [loss for loss in REGRESSION + CLASSIFICATION if loss != "perceptron"])
@pytest.mark.parametrize("kind", ["two", "three"])
def test_batches_classify(kind, loss):
    rows, y = data(kind, n=300)
    rows = in_unit_scale(rows)
    model = quiet(fastgd.SGDClassifier(loss=loss, learning_rate="auto", batch_size=16, random_state=0), rows, y)
    slow = quiet(fastgd.SGDClassifier(loss=loss, batch_size=None, learning_rate="auto", tol=1e-6), rows, y)
    assert model.coef_.shape == (1 if kind == "two" else 3, rows.shape[1])
    worst = 0.03 if kind == "two" else 0.15  # no line parts the middle class from both others
    assert model.score(rows, y) > slow.score(rows, y) - worst


def test_one_row_at_a_time_is_one_engine_or_the_other():
    """Where both can do it they do the same: rows in order, steps by the gradient, l2."""
    options = {"shuffle": False, "max_iter": 3, "tol": None, "alpha": 1e-3}
    for loss, rate in (("log_loss", "optimal"), ("hinge", "optimal"), ("log_loss", "constant")):
        rows, y = data("two")
        one = fastgd.SGDClassifier(loss=loss, learning_rate=rate, **options).fit(rows, y)
        other = fastgd.SGDClassifier(
            loss=loss, learning_rate=rate, optimizer=("momentum", {"beta": 0.0}), **options
        ).fit(rows, y)
        assert type(other.history_) is fastgd.History
        # l2 shrinks before the step there, and with it here
        np.testing.assert_allclose(other.coef_, one.coef_, rtol=0.05, atol=0.02)


def test_partial_fits_in_batches_go_on():
    model = fastgd.SGDRegressor(batch_size=10, random_state=0, eta0=0.05)
    for _ in range(30):
        model.partial_fit(SCALED, Y)
    assert model.t_ == 1 + 30 * len(Y)
    assert model.history_.lr[-1] == pytest.approx(0.05 / (29 * len(Y) / 10 + 1) ** 0.25)
    best = fastgd.closed_form(SCALED, Y)
    assert np.mean((model.predict(SCALED) - Y) ** 2) < best.loss + 0.05 * np.var(Y)


@pytest.mark.parametrize("loss", ["hinge", "log_loss", "softmax", "perceptron"])
@pytest.mark.parametrize("kind", ["two", "three"])
def test_optimal_rates_go_on_in_partial_fits_and_nothing_is_lost(kind, loss):
    """They begin at 10, far above what features of size 1 bear, and the first rows of a stream do not decide."""
    rows, y = data(kind, n=400)
    options = {"loss": loss, "batch_size": 4, "shuffle": False}
    stream = fastgd.SGDClassifier(**options)
    for epoch in range(3):
        for part in (slice(100), slice(100, None)):
            stream.partial_fit(rows[part], y[part], classes=np.unique(y) if epoch == 0 else None)
    whole = quiet(fastgd.SGDClassifier(**options, max_iter=3, tol=None), rows, y)
    np.testing.assert_allclose(stream.coef_, whole.coef_, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("kind", OURS)
def test_validation_rows_of_ones_own(kind, batch_size):
    rows, y = data(kind, n=300)
    X_val, y_val = rows[200:], y[200:]
    options = {"learning_rate": "constant", "eta0": 0.02, "random_state": 0, "batch_size": batch_size}
    model = quiet(OURS[kind](**options), rows[:200], y[:200], X_val=X_val, y_val=y_val)
    assert model.t_ == 1 + 200 * model.n_iter_
    if batch_size == 1 and kind != "three":
        assert model.score(X_val, y_val) == pytest.approx(model.history_.val_score.max())
        csr = quiet(OURS[kind](**options), sparse.csr_matrix(rows[:200]), y[:200], X_val=X_val, y_val=y_val)
        assert difference(csr, model) < 1e-9
    with pytest.raises(ValueError, match="X_val and y_val must be given together, got no y_val"):
        OURS[kind]().fit(rows, y, X_val=X_val)
    with pytest.raises(ValueError, match="y_val must have one entry"):
        OURS[kind]().fit(rows, y, X_val=X_val, y_val=y_val[:3])


@pytest.mark.parametrize("options", [{"batch_size": 4}, {"optimizer": "adam"}, {"learning_rate": "auto"}], ids=str)
@pytest.mark.parametrize("more", [{}, {"standardize": True}, {"early_stopping": True}, {"penalty": "l1"}], ids=str)
@pytest.mark.parametrize("kind", ["regressor", "three"])
def test_sparse_rows_go_all_ways(kind, options, more):
    rows, y = data(kind)
    options = {"random_state": 0, "max_iter": 8, "eta0": 0.01, "tol": None} | options | more
    dense = quiet(OURS[kind](**options), rows, y)
    for store in (sparse.csr_matrix, sparse.csc_array):
        model = quiet(OURS[kind](**options), store(rows), y)
        assert difference(model, dense) <= 1e-9
        np.testing.assert_allclose(model.predict(store(rows)), dense.predict(rows), rtol=1e-9)


def test_history_has_every_epoch():
    model = fastgd.SGDRegressor(random_state=0, max_iter=6, tol=None, penalty=None).fit(SCALED, Y)
    history = model.history_
    assert len(history) == 6
    assert history.epoch.tolist() == [1, 2, 3, 4, 5, 6]
    assert history.step.tolist() == [120 * k for k in range(1, 7)]
    assert history.lr[-1] == pytest.approx(0.01 / 720**0.25)
    assert history.loss[-1] < history.loss[0]
    assert history.val_score is None
    assert list(history.to_frame().columns) == ["epoch", "step", "loss", "lr", "seconds"]
    assert "6 epochs" in repr(history)
    three = fastgd.SGDClassifier(random_state=0, max_iter=6, tol=None).fit(*data("three"))
    assert [len(one) for one in three.history_] == [6, 6, 6]


WRONG = [
    ({"max_iter": 0}, "max_iter must be an integer >= 1, got 0"),
    ({"max_iter": True}, "max_iter"),
    ({"tol": -1.0}, "tol must be a finite number >= 0 or None"),
    ({"tol": "auto"}, "tol"),
    ({"eta0": 0.0}, "eta0 must be a finite number > 0, got 0.0"),
    ({"alpha": -1e-4}, "alpha must be a finite number >= 0"),
    ({"alpha": 0.0, "learning_rate": "optimal"}, "alpha must be > 0 with learning_rate='optimal'"),
    ({"l1_ratio": 1.5}, "l1_ratio must be a number in"),
    ({"l1_ratio": None, "penalty": "elasticnet"}, "l1_ratio"),
    ({"epsilon": -0.1}, "epsilon must be a finite number >= 0"),
    ({"epsilon": 0.0, "loss": "huber"}, "epsilon must be > 0 for loss='huber'"),
    ({"validation_fraction": 1.0}, "validation_fraction must be a number in"),
    ({"n_iter_no_change": 0}, "n_iter_no_change"),
    ({"average": 0}, "average"),
    ({"average": "tail"}, "average"),
    ({"loss": "mse"}, "loss must be one of '"),
    ({"loss": []}, "loss"),
    ({"penalty": "none"}, "penalty must be one of 'l2', 'l1', 'elasticnet', None, got 'none'"),
    ({"learning_rate": "fast"}, "learning_rate must be one of 'constant'"),
    ({"learning_rate": "pa1"}, "loss must be '.*' with learning_rate='pa1'"),
    ({"fit_intercept": "yes"}, "fit_intercept must be True or False"),
    ({"shuffle": 3}, "shuffle"),
    ({"verbose": -1}, "verbose"),
    ({"batch_size": 0}, "batch_size must be an integer >= 1 or None, got 0"),
    ({"optimizer": "sgdd"}, "optimizer must be one of"),
    ({"standardize": "auto"}, "standardize must be True or False"),
    ({"random_state": "x"}, "x"),
    ({"batch_size": 4, "learning_rate": "adaptive"}, "learning_rate must be one of 'auto'.* with batch_size=4"),
]


@pytest.mark.parametrize(("options", "what"), WRONG, ids=str)
@pytest.mark.parametrize("kind", ["regressor", "two"])
def test_wrong_parameters_are_refused_at_fit(kind, options, what):
    rows, y = data(kind)
    if options == {"learning_rate": "pa1"}:
        options = options | {"loss": "squared_error"}
    model = OURS[kind](**options)
    with pytest.raises(ValueError, match=what):
        model.fit(rows, y)
    assert clone(model).get_params() == model.get_params()


def test_wrong_parameters_of_classifiers():
    rows, y = data("two")
    for options, what in (({"class_weight": "even"}, "class_weight"), ({"n_jobs": 0}, "n_jobs")):
        with pytest.raises(ValueError, match=what):
            fastgd.SGDClassifier(**options).fit(rows, y)
    for asked in ({"batch_size": 4, "early_stopping": True}, {"batch_size": None, "learning_rate": "auto"}):
        with pytest.raises(ValueError, match=r"loss must be another than 'perceptron' with .*: it is least with all"):
            fastgd.SGDClassifier(loss="perceptron", **asked).fit(rows, y)
    with pytest.raises(ValueError, match="y must hold two classes or more"):
        fastgd.SGDClassifier().fit(rows, np.ones(len(y)))
    for other in ({"early_stopping": True}, {"class_weight": "balanced"}):
        with pytest.raises(ValueError, match=next(iter(other))):
            fastgd.SGDClassifier(**other).partial_fit(rows, y, classes=["no", "yes"])
    with pytest.raises(ValueError, match="classes must be given on the first call"):
        fastgd.SGDClassifier().partial_fit(rows, y)


def test_lives_among_scikit_learns():
    rows, y = data("two")
    pipe = make_pipeline(StandardScaler(), fastgd.SGDClassifier(loss="log_loss", random_state=0))
    search = GridSearchCV(pipe, {"sgdclassifier__alpha": [1e-4, 1e-2], "sgdclassifier__batch_size": [1, 8]}, cv=2)
    assert quiet(search, rows, y).score(rows, y) > 0.8
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict_proba(rows), search.best_estimator_.predict_proba(rows))
    with sklearn.config_context(enable_metadata_routing=True):
        routed = fastgd.SGDClassifier(random_state=0).set_fit_request(sample_weight=True)
        search = GridSearchCV(routed, {"alpha": [1e-3, 1e-2]}, cv=2)
        quiet(search, rows, y, sample_weight=np.arange(1.0, len(y) + 1))
    assert "SGDClassifier" in routed._repr_html_()
    import pandas as pd

    frame = pd.DataFrame(SCALED, columns=list("abcdef"))
    model = fastgd.SGDRegressor(random_state=0).fit(frame, Y)
    assert model.feature_names_in_.tolist() == list("abcdef")
    assert model.n_features_in_ == 6
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[list("bacdef")])
    with pytest.raises(NotFittedError):
        fastgd.SGDRegressor().predict(X)


def test_sparse_coefficients_and_jobs():
    rows, y = data("three")
    model = fastgd.SGDClassifier(penalty="l1", alpha=0.03, random_state=0).fit(rows, y)
    scores = model.decision_function(rows)
    assert sparse.issparse(model.sparsify().coef_)
    np.testing.assert_allclose(model.decision_function(rows), scores, rtol=1e-12)
    np.testing.assert_allclose(model.decision_function(sparse.csr_matrix(rows)), scores, rtol=1e-12)
    model.partial_fit(rows, y)
    assert isinstance(model.densify().coef_, np.ndarray)
    one = fastgd.SGDClassifier(random_state=0).fit(rows, y)
    two = fastgd.SGDClassifier(random_state=0, n_jobs=2).fit(rows, y)
    np.testing.assert_array_equal(one.coef_, two.coef_)


def test_inputs_are_not_written_to():
    rows, y = data("regressor")
    csr = sparse.csr_matrix(rows)
    for array in (rows, y, csr.data, csr.indices, csr.indptr):
        array.flags.writeable = False
    fastgd.SGDRegressor(random_state=0, max_iter=2, tol=None).fit(rows, y)
    fastgd.SGDRegressor(random_state=0, max_iter=2, tol=None).fit(csr, y)


def test_unfinished_runs_are_told():
    with pytest.warns(ConvergenceWarning, match="all of max_iter=2 epochs were run") as told:
        fastgd.SGDRegressor(random_state=0, max_iter=2).fit(SCALED, Y)
    assert told[0].filename == __file__


def test_verbose_says_a_line_an_epoch(capsys):
    for batch_size in (1, 8):
        fastgd.SGDRegressor(random_state=0, max_iter=3, tol=None, verbose=1, batch_size=batch_size).fit(SCALED, Y)
        lines = capsys.readouterr().out.splitlines()
        assert [line[:8] for line in lines] == ["epoch 1:", "epoch 2:", "epoch 3:"]


@pytest.mark.skipif(os.name == "nt", reason="no signals of this kind")
def test_ctrl_c_ends_a_fit_and_leaves_the_model_as_it_was():
    model = fastgd.SGDRegressor(random_state=0, max_iter=2, tol=None).fit(SCALED, Y)
    before = pickle.dumps(model)
    model.set_params(max_iter=10**9)
    rows = np.random.default_rng(0).standard_normal((20_000, 10))
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        model.fit(rows, rows[:, 0])
    assert time.monotonic() - began < 60  # that it ends at all; a promise of how soon is for the bench
    timer.join()
    model.set_params(max_iter=2)
    assert pickle.dumps(model) == before


def test_without_scikit_learn_the_extra_is_named():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import fastgd\n"
        "assert 'SGDRegressor' in dir(fastgd)\n"
        "try: fastgd.SGDRegressor\n"
        "except ImportError as error: print(error)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "fastgd.SGDRegressor needs scikit-learn: pip install 'fastgd[sklearn]'"


@pytest.mark.parametrize("late", [[-1], [2.5e9], ["late"], [True], range(1, 60)], ids=str)
def test_classes_are_found_wherever_their_rows_are(late):
    late = np.array(list(late))
    for early in ([0], range(-30, 0)):  # few labels at first, and many
        early = np.resize(np.array(list(early)).astype(late.dtype), 3000)
        found_as_by_scikit_learn(np.concatenate([early, np.repeat(late, 3), np.zeros(1, late.dtype)]))


def found_as_by_scikit_learn(y):
    X = np.linspace(-1.0, 1.0, 2 * len(y)).reshape(-1, 2)
    for labels in (y, y.astype(object)) if y.dtype.kind == "U" else (y,):
        ours = quiet(fastgd.SGDClassifier(max_iter=2, random_state=0), X, labels)
        theirs = quiet(linear_model.SGDClassifier(max_iter=2, random_state=0), X, labels)
        assert ours.classes_.dtype == theirs.classes_.dtype
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-9 * abs(theirs.coef_).max())


@pytest.mark.parametrize("asked", [{}, {"batch_size": 8}, {"verbose": 1}], ids=str)
def test_no_thread_goes_on_when_a_fit_is_interrupted(asked, capsys):
    rows, _ = data("two")
    model = fastgd.SGDClassifier(n_jobs=2, max_iter=10**9, tol=None, random_state=0, **asked)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(rows, np.arange(len(rows)) % 4)

    def at_work():
        return [frame.f_code.co_name for frame in sys._current_frames().values() if frame.f_code.co_name == "_one"]

    deadline = time.monotonic() + 60
    while at_work() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not at_work()
    assert not hasattr(model, "coef_")
