"""Sparse rows: the models of full rows, whatever way they are stored, at the cost of what they hold."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import fastgd
import fastgd.reference
from conftest import fitting, make_problem, small_rate
from fastgd import _core
from fastgd._compare import _at_zero, _difference
from fastgd._request import make_problem as checked

LOSSES, OPTIMIZERS, SCHEDULES = _core.losses(), _core.optimizers(), _core.schedules()


def thin(loss="mse", n=60, d=9, outputs=None, seed=0, share=0.3, dtype=np.float64):
    """Rows of which `share` is not 0, one of them and one column empty, one column nearly full, as an array."""
    X, y = make_problem(loss, n, d, outputs, seed)
    rng = np.random.default_rng(seed)
    X[rng.uniform(size=X.shape) > share] = 0.0
    X[:, 1] = rng.uniform(1, 2, n)
    X[rng.integers(n)] = 0.0
    if d > 3:
        X[:, 3] = 0.0
    return X.astype(dtype), y


def agree(X, y, store=sparse.csr_array, least=1e-9, **options):
    """A run on sparse rows goes the way of a run on full ones; the former."""
    weights = options.get("sample_weight")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        full = fastgd.fit(X, y, **options)
        if "X_val" in options:
            options["X_val"] = store(options["X_val"])
        found = fastgd.fit(store(X), y, **options)
    assert _difference(found, full, _at_zero(X, y, full, weights)) <= least
    assert (found.status, found.engine, found.standardized) == (full.status, full.engine, full.standardized)
    return found


PENALTIES = [{}, {"l2": 0.3}, {"l1": 0.1}, {"l1": 0.05, "l2": 0.2}]


@pytest.mark.parametrize("penalty", [*PENALTIES, {"positive": True, "l1": 0.05}], ids=str)
@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_paths_are_those_of_full_rows(loss, optimizer, batch_size, penalty):
    if not fitting(optimizer, batch_size) or (optimizer == "implicit" and not LOSSES[loss]["squared"]):
        return
    X, y = thin(loss)
    base = {"loss": loss, "lr": small_rate(loss, len(X)), "optimizer": optimizer, "batch_size": batch_size, "rng": 3}
    if loss == "perceptron":  # from zero many a row would lie on its kink, but for rounding
        base["init"] = (np.linspace(0.1, 1, X.shape[1]), 0.1234)
    for record, standardize in (("epoch", False), ("step", False), (13, True), ("epoch", True)):
        agree(X, y, **base, **penalty, epochs=4, record=record, standardize=standardize)


OPTIONS = [
    {"fit_intercept": False},
    {"fit_intercept": False, "standardize": True, "l2": 0.1},
    {"sample_weight": np.arange(60) % 4},
    {"sample_weight": np.arange(60) % 3, "l1": 0.1, "l2": 0.2, "exact_loss": True},
    {"sample_weight": np.arange(60) % 3 + 0.5, "standardize": True},
    {"shuffle": False},
    {"shuffle": "once", "average": "tail"},
    {"average": "tail"},
    {"average": "tail", "l2": 0.5},
    {"average": "tail", "l1": 0.2},
    {"average": "tail", "l1": 0.1, "l2": 0.4, "tol": 1e-2, "patience": 2, "epochs": 40},
    {"average": "tail", "standardize": True},
    {"init": ("normal", 0.5), "l1": 0.3},
    {"schedule": "invscaling", "l1": 0.2, "l2": 0.3},
    {"schedule": ("exponential", {"gamma": 0.5}), "l2": 0.3},
    {"schedule": "linear", "l1": 0.3},
    {"record": None},
    {"record": 4, "average": "tail", "l1": 0.1},
    {"validate": True},
    {"validate": True, "tol": 1e-2, "patience": 2, "epochs": 60, "standardize": True},
    {"dtype": np.float32, "l1": 0.1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(map(str, options)))
@pytest.mark.parametrize("outputs", [None, 2])
@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("loss", ["mse", "sse", "log_loss", "absolute", "softmax"])
def test_paths_are_those_of_full_rows_with_every_option(loss, batch_size, outputs, options, seed):
    options = dict(options)
    X, y = thin(loss, outputs=outputs, seed=seed, dtype=options.pop("dtype", np.float64))
    if batch_size is None and "average" in options:
        return
    if options.pop("validate", False):
        options["X_val"], options["y_val"] = thin(loss, n=20, outputs=outputs, seed=seed + 9)
    base = {"loss": loss, "lr": small_rate(loss, len(X)), "epochs": 6, "batch_size": batch_size}
    agree(X, y, **(base | options), rng=seed)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("rate", [0.3, 1.5, 3.0, 40.0])
def test_steps_that_leave_little_of_coefficients(rate, batch_size, penalty):
    """lr l2 of about 1, and beyond, where a step turns coefficients round."""
    X, y = thin(share=0.1, d=40, n=200)
    penalty = {name: 3 * value for name, value in penalty.items()}
    agree(0.01 * X, y, lr=rate, batch_size=batch_size, epochs=3, average="tail", rng=0, **penalty)


@pytest.mark.parametrize("penalty", PENALTIES[1:], ids=str)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_long_runs_keep_their_digits(batch_size, penalty, seed):
    """Longer than all coefficients are left alone, and down to a scale of nothing."""
    X, y = thin(n=7000, d=12, share=0.1, seed=seed)
    options = {"lr": 0.01, "batch_size": batch_size, "epochs": 3, "average": "tail", "rng": seed}
    found = agree(X, y, **options, **{name: value / 3 for name, value in penalty.items()})
    assert "l1" not in penalty or (found.coef == 0).sum() >= 1


@pytest.mark.parametrize("store", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_every_kind_of_matrix(store, kind):
    X, y = thin()
    made = getattr(sparse, f"{store}_{kind}")(X)
    one = fastgd.fit(sparse.csr_array(X), y, lr=0.01, epochs=3, batch_size=5, rng=0)
    other = fastgd.fit(made, y, lr=0.01, epochs=3, batch_size=5, rng=0)
    assert one.coef.tolist() == other.coef.tolist()


def scattered(rng, n, d, dtype=np.float64, index=np.int32, by_columns=False, share=0.3):
    """A CSR or CSC matrix with all that is allowed: columns out of order, repeated; stored zeros; more than is told."""
    rows = d if by_columns else n
    columns = n if by_columns else d
    lengths = rng.binomial(2 * columns, share / 2, rows) * (rng.uniform(size=rows) > 0.2)
    ends = np.append(0, np.cumsum(lengths))
    at, values = rng.integers(0, columns, ends[-1] + 3), rng.standard_normal(ends[-1] + 3).astype(dtype)
    values[rng.uniform(size=len(values)) < 0.1] = 0.0
    made = (sparse.csc_array if by_columns else sparse.csr_array)((n, d), dtype=dtype)
    made.data, made.indices, made.indptr = values, at.astype(index), ends.astype(index)
    return made


@given(
    st.integers(1, 30),
    st.integers(1, 12),
    st.sampled_from([np.float64, np.float32]),
    st.sampled_from([np.int32, np.int64]),
    st.booleans(),
    st.sampled_from([None, 1, 4]),
    st.sampled_from([*PENALTIES, {"standardize": True}, {"standardize": True, "l2": 0.1}]),
    st.integers(0, 2**32 - 1),
)
def test_any_matrix_is_its_full_twin(n, d, dtype, index, by_columns, batch_size, options, seed):
    rng = np.random.default_rng(seed)
    X = scattered(rng, n, d, dtype, index, by_columns)
    kept = [array.copy() for array in (X.data, X.indices, X.indptr)]
    full, y = X.toarray(), rng.standard_normal(n)
    agree(full, y, lambda _: X, lr=1e-2, epochs=3, batch_size=batch_size, rng=0, **options)
    found = fastgd.fit(X, y, lr=1e-2, epochs=1)
    np.testing.assert_allclose(found.predict(X), found.predict(full), rtol=1e-12, atol=1e-13)
    one, other = (fastgd.loss_and_gradient(rows, y, np.ones(d), 0.5, l2=0.1) for rows in (X, full))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    for before, after in zip(kept, (X.data, X.indices, X.indptr), strict=True):
        assert before.tolist() == after.tolist()


def test_whatever_numbers_are_stored():
    rng = np.random.default_rng(0)
    X = rng.integers(-3, 4, (40, 6)) * (rng.uniform(size=(40, 6)) < 0.5)
    y = rng.standard_normal(40)
    expected = fastgd.fit(X, y, lr=0.01, epochs=5).coef
    for dtype in ("int8", "int64", "float16", "float32", ">f8", np.longdouble):
        made = sparse.csr_array(X.astype("float64"))
        made.data = made.data.astype(dtype)
        np.testing.assert_allclose(fastgd.fit(made, y, lr=0.01, epochs=5).coef, expected, rtol=1e-12)
    truth = sparse.csr_array((np.ones(3, bool), [1, 1, 0], [0, 2, 3]), shape=(2, 2))
    assert (
        fastgd.fit(truth, [1.0, 2], lr=0.1, epochs=2).coef.tolist()
        == fastgd.fit(truth.toarray(), [1.0, 2], lr=0.1, epochs=2).coef.tolist()
    )


def broken(**parts):
    X = sparse.csr_matrix(np.eye(4))
    for name, value in parts.items():
        setattr(X, name, np.asarray(value))
    return X


LONG = np.int64
BROKEN = [
    (broken(indptr=[0, 2, 1, 3, 4]), ValueError, "X must be a CSR matrix whose indptr never falls, got .* after row 1"),
    (broken(indptr=[1, 1, 2, 3, 4]), ValueError, "begins with 0"),
    (broken(indptr=[0, 1, 2, 3, 9]), ValueError, "within its 4 stored numbers"),
    (broken(indptr=[0, 1, 2, 3, -4]), ValueError, "indptr"),
    (broken(indptr=[0, 1, 2, 3]), ValueError, "indptr has 5 entries for 4 rows, got 4"),
    (broken(indptr=[[0, 1, 2, 3, 4]]), ValueError, "integers in one dimension"),
    (broken(indptr=[0.0, 1, 2, 3, 4]), ValueError, "integers in one dimension, got dtype float64"),
    (broken(indices=[0, 1, 2, 4]), ValueError, "from 0 to 3, got another one at stored number 3"),
    (broken(indices=[0, -1, 2, 3]), ValueError, "from 0 to 3"),
    (broken(indices=np.array([0, 2**40, 2, 3])), ValueError, "from 0 to 3"),
    (broken(indices=np.array([0, 2**64 - 1, 2, 3], np.uint64)), ValueError, "from 0 to 3"),
    (broken(indices=[0, 1, 2]), ValueError, "within its 3 stored numbers"),
    (broken(data=[1.0, 2]), ValueError, "within its 2 stored numbers"),
    (broken(data=[[1.0, 2, 3, 4]]), ValueError, "data are one-dimensional"),
    (broken(data=[1.0, 2, np.nan, 4]), ValueError, "X must be finite, got nan in row 2, column 2"),
    (broken(data=[1.0, -np.inf, np.nan, 4]), ValueError, "got -inf in row 1, column 1"),
    (broken(data=[1j, 2, 3, 4]), TypeError, "X must hold real numbers, got dtype complex128"),
    (broken(data=np.array(["a"] * 4)), TypeError, "X must hold real numbers, got dtype <U1"),
    (sparse.csr_matrix((0, 3)), ValueError, r"n >= 1 rows and d >= 1 features, got shape \(0, 3\)"),
    (sparse.csr_matrix((3, 0)), ValueError, r"got shape \(3, 0\)"),
    (sparse.coo_array(np.arange(4.0)), ValueError, r"got shape \(4,\)"),
]


@pytest.mark.parametrize(("X", "kind", "said"), BROKEN, ids=[said for _, _, said in BROKEN])
def test_broken_matrices_are_refused(X, kind, said):
    for run in (
        lambda X: fastgd.fit(X, np.ones(X.shape[0]), lr=0.1, epochs=1),
        fastgd.closed_form([1.0, 2], [1, 2]).predict,
    ):
        with pytest.raises(kind, match=said):
            run(X)


def test_broken_matrices_of_other_kinds_are_refused():
    y, eye = np.ones(4), np.eye(4)
    by_columns = sparse.csc_matrix(eye)
    by_columns.indices = np.array([0, 1, 2, 9], np.int32)
    with pytest.raises(ValueError, match="X must be a CSC matrix whose row indices are from 0 to 3"):
        fastgd.fit(by_columns, y)
    by_columns = sparse.csc_matrix(eye)
    by_columns.indptr = np.array([0, 2, 1, 3, 4], np.int32)
    with pytest.raises(ValueError, match="indptr never falls, got one whose indptr falls after column 1"):
        fastgd.fit(by_columns, y)
    entries = sparse.coo_matrix(eye)
    entries.col[2] = 7
    with pytest.raises(ValueError, match="X must be a sparse matrix whose column indices are from 0 to 3"):
        fastgd.fit(entries, y)
    blocks = sparse.bsr_matrix(eye, blocksize=(2, 2))
    blocks.indices = np.array([0, 5], np.int32)
    with pytest.raises(ValueError, match=r"X must be a .*matrix.*(cannot be read|indices)"):
        fastgd.fit(blocks, y)
    with pytest.raises(ValueError, match="X_val must be finite, got nan in row 1, column 1"):
        fastgd.fit(eye, y, X_val=broken(data=[1.0, np.nan, 3, 4]), y_val=y)
    with pytest.raises(TypeError, match="y must be dense, got a sparse csr_matrix"):
        fastgd.fit(eye, sparse.csr_matrix(y[:, None]))
    with pytest.raises(TypeError, match="X must be dense, got a sparse csr_matrix"):
        fastgd.plot.fit_line(sparse.csr_matrix(eye[:, :1]), y, fastgd.fit(eye[:, :1], y))


def test_one_sum_that_is_not_finite_is_refused():
    X = sparse.csr_array((np.full(2, 3e38, np.float32), [0, 0], [0, 2]), shape=(1, 1))
    with pytest.raises(ValueError, match="X must be finite, got inf in row 0, column 0"):
        fastgd.fit(X, [1.0])


AUTOMATIC = [
    {},
    {"engine": "rows"},
    {"engine": "rows", "l1": 0.05},
    {"batch_size": 16, "epochs": 5},
    {"batch_size": 1, "epochs": 5},
    {"batch_size": 1, "epochs": 5, "l2": 0.1},
    {"standardize": False, "batch_size": 16, "epochs": 5},
    {"loss": "huber"},
    {"loss": "absolute", "epochs": 40},
    {"loss": "huber", "batch_size": 16, "fit_intercept": False, "epochs": 5},
    {"optimizer": "adam", "epochs": 30, "batch_size": 16},
    {"engine": "gram", "lr": 0.02, "epochs": 30},
    {"l2": 1.0},
]


@pytest.mark.parametrize("options", AUTOMATIC, ids=str)
@pytest.mark.parametrize("d", [12, 150])
def test_what_is_automatic_is_that_of_full_rows(d, options, seed):
    X, y = thin(n=400, d=d, seed=seed, share=0.2)
    full, found = (fastgd.fit(rows, y, rng=0, **options) for rows in (X, sparse.csr_array(X)))
    assert (found.status, found.standardized) == (full.status, full.standardized)
    np.testing.assert_allclose(found.lr, full.lr, rtol=1e-9 if d < 128 else 1e-6)
    scale = np.abs(full.coef).max()
    exact = found.engine == full.engine
    np.testing.assert_allclose(found.coef, full.coef, rtol=0, atol=(1e-9 if exact and d < 128 else 1e-6) * scale)


def test_many_features_are_left_to_rows():
    rng = np.random.default_rng(0)
    X = sparse.random_array((300, 5000), density=0.002, rng=rng, format="csr")
    y = X @ rng.standard_normal(5000)
    assert fastgd.fit(X, y).engine == "rows"
    with pytest.raises(ValueError, match='for a sparse X of more than 1,000 features, got "gram" for 5,000'):
        fastgd.fit(X, y, engine="gram")
    with pytest.raises(ValueError, match="at most 268,435,456 cells for a closed form"):
        fastgd.closed_form(sparse.csr_array((1 << 15, 1 << 14)), np.ones(1 << 15))
    assert fastgd.diagnose(X, y, lr=0.1).condition_is == "bound"
    assert fastgd.fit(X, y, lr=0.1, epochs=20).check(X, y).against == "estimate"
    large = sparse.vstack([X] * 200).tocsr()
    advice = fastgd.diagnose(large, np.tile(y, 200), lr=1e-4).advice[-1]
    assert "accelerated steps on standardised features" in advice
    found = fastgd.fit(large, np.tile(y, 200), lr=0.1, epochs=2).check(large, np.tile(y, 200))
    assert not any("closed_form" in sentence or "one pass" in sentence for sentence in found.advice)
    with pytest.warns(fastgd.DivergenceWarning, match="lr=1000 is too large"):
        fastgd.fit(X, y, lr=1000.0, batch_size=4, epochs=20, rng=0)


@pytest.mark.parametrize("options", [{}, {"l2": 0.1}, {"batch_size": 4}, {"fit_intercept": False}], ids=str)
def test_what_is_told_is_what_is_told_of_full_rows(options):
    X, y = thin(n=200)
    one, other = (fastgd.diagnose(rows, y, lr=0.01, **options) for rows in (X, sparse.csc_matrix(X)))
    assert repr(one) == repr(other)
    one, other = (
        fastgd.fit(X, y, lr=0.01, epochs=50, rng=0, **options).check(rows, y) for rows in (X, sparse.csr_array(X))
    )
    assert repr(one) == repr(other)
    loss_of = [
        fastgd.sweep(rows, y, [1e-3, 1e-2], epochs=5, rng=0, **options).loss for rows in (X, sparse.csr_array(X))
    ]
    np.testing.assert_allclose(*loss_of, rtol=1e-9)
    assert fastgd.compare(sparse.csr_array(X), y, lr=0.01, epochs=5, rng=0, **options).max_difference <= 1e-9
    best = [fastgd.closed_form(rows, y).coef for rows in (X, sparse.csr_array(X))]
    assert best[0].tolist() == best[1].tolist()


def test_threads_change_no_bit():
    rng = np.random.default_rng(0)
    X = sparse.random_array((60_000, 300), density=0.05, rng=rng, format="csr")
    y = rng.standard_normal(60_000)
    options = {"lr": 0.5, "epochs": 3, "engine": "rows", "l1": 1e-4}
    one, other = (fastgd.fit(X, y, threads=threads, **options) for threads in (1, 3))
    assert one.coef.tolist() == other.coef.tolist()


def test_weights_of_zero_hide_whatever_their_rows_hold():
    X, y = thin(n=50)
    weight = np.arange(50) % 3 > 0
    wild = np.where(weight[:, None], X, 1e200)
    one, other = (
        fastgd.fit(sparse.csr_array(rows), y, lr=0.01, epochs=3, batch_size=batch, sample_weight=weight, rng=0)
        for rows, batch in ((X, 4), (wild, 4))
    )
    np.testing.assert_allclose(one.coef, other.coef, rtol=1e-12)


def test_a_run_that_diverges_does_so_as_on_full_rows():
    X, y = thin(n=100, d=20)
    for batch_size in (1, 5):
        found = agree(X * 1e3, y, lr=1.0, epochs=30, batch_size=batch_size, rng=0)
        assert found.status == "diverged"


def test_scipy_is_not_imported_for_it():
    code = """
import sys, numpy, fastgd
class Csr:
    format, shape = "csr", (3, 2)
    data, indices, indptr = numpy.array([1.0, 2, 3]), numpy.array([0, 1, 0]), numpy.array([0, 1, 2, 3])
    def tocsr(self): return self
result = fastgd.fit(Csr(), [1.0, 2, 3], batch_size=1, epochs=2, rng=0)
assert fastgd.fit([[1.0, 0], [0, 2], [3, 0]], [1.0, 2, 3], batch_size=1, epochs=2, rng=0).coef.shape == (2,)
assert not any(name.startswith("scipy") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rows_of_no_weight_are_not_filled():
    X = np.zeros((2000, 500))
    X[0] = 1.0
    weight = np.zeros(2000)
    weight[0] = 1.0
    problem = checked(sparse.csr_array(X), np.ones(2000), weight)
    assert problem.X.size == 500


def test_the_intercept_steps_as_with_full_rows():
    """At a kink, where one rounding more would lead elsewhere."""
    X, y = np.zeros((40, 2)), np.tile([1.0, -1, 1, -1, -1], 8)
    X[:, 0] = np.tile([1.0, 0, 0, 1], 10)
    options = {"loss": "perceptron", "lr": 0.1, "epochs": 3, "batch_size": 1, "shuffle": False, "l2": 0.5}
    full, held = fastgd.fit(X, y, **options), fastgd.fit(sparse.csr_array(X), y, **options)
    assert held.intercept == full.intercept


def test_a_sparse_validation_set_is_not_filled_in():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100, 10)), rng.normal(size=100)
    held_out = sparse.csr_array((30_000_000, 10))
    result = fastgd.fit(X, y, X_val=held_out, y_val=np.zeros(30_000_000), epochs=1, lr=0.01)
    assert result.engine == "rows"
