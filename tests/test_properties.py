"""Properties that hold for any data, searched by hypothesis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgd
import fastgd.reference
from fastgd import _core
from fastgd._request import Problem
from fastgd._statistics import Statistics

settings.register_profile("fastgd", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("fastgd")

SQUARED = [name for name, row in _core.losses().items() if row["squared"]]
SMOOTH = [name for name, row in _core.losses().items() if row["smooth"] and row["targets"] == "real"]
problems = st.tuples(st.integers(2, 40), st.integers(1, 9), st.integers(0, 2**32 - 1))


def generate(problem):
    n, d, seed = problem
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-2, 2, d)
    return X, rng.standard_normal(n) + X @ rng.standard_normal(d), rng


def safe_rate(X, loss):
    """1 / (a bound on the largest eigenvalue of the Hessian): the trace."""
    facts = _core.losses()[loss]
    rows = len(X) if facts["reduction"] == "sum" else 1
    return 1 / (rows * facts["curvature"] * ((X**2).sum(axis=1).mean() + 1))


@given(problems, st.sampled_from(SMOOTH), st.sampled_from([0.0, 0.3]), st.sampled_from([0.0, 2.0]))
def test_loss_never_increases_at_rates_up_to_the_inverse_curvature(problem, loss, l1, l2):
    X, y, _ = generate(problem)
    lr = 1 / (1 / safe_rate(X, loss) + l2)
    history = fastgd.fit(X, y, loss=loss, lr=lr, epochs=30, l1=l1, l2=l2).history
    assert (np.diff(history.loss) <= 1e-12 * history.loss[0]).all()


@given(problems, st.sampled_from(SQUARED), st.integers(1, 12))
def test_engine_and_reference_agree(problem, loss, batch_size):
    X, y, _ = generate(problem)
    lr = safe_rate(X, loss) / 4 * (1 if loss != "sse" else len(X) / batch_size / 10)
    comparison = fastgd.compare(X, y, loss=loss, lr=lr / len(X), epochs=3, batch_size=batch_size, record="step", rng=1)
    assert comparison.max_difference <= 1e-9


@given(problems)
def test_the_order_of_rows_does_not_matter_full_batch(problem):
    X, y, rng = generate(problem)
    order = rng.permutation(len(X))
    one, other = (fastgd.fit(X[o], y[o], lr=safe_rate(X, "mse"), epochs=20) for o in (slice(None), order))
    np.testing.assert_allclose(one.coef, other.coef, rtol=1e-9, atol=1e-12 * np.abs(one.coef).max())


@given(problems, st.integers(1, 12))
def test_the_order_of_columns_does_not_matter(problem, batch_size):
    X, y, rng = generate(problem)
    order = rng.permutation(X.shape[1])
    lr = safe_rate(X, "mse") / 50
    one = fastgd.fit(X, y, lr=lr, epochs=3, batch_size=batch_size, rng=0)
    other = fastgd.fit(X[:, order], y, lr=lr, epochs=3, batch_size=batch_size, rng=0)
    np.testing.assert_allclose(one.coef[order], other.coef, rtol=1e-9, atol=1e-12 * np.abs(one.coef).max())


@given(problems, st.integers(-20, 20))
def test_scaling_y_by_a_power_of_two_scales_the_answer_to_the_bit(problem, power):
    X, y, _ = generate(problem)
    lr = safe_rate(X, "mse") / 50
    one = fastgd.fit(X, y, lr=lr, epochs=3, batch_size=3, rng=0)
    other = fastgd.fit(X, y * 2.0**power, lr=lr, epochs=3, batch_size=3, rng=0)
    assert (one.coef * 2.0**power).tolist() == other.coef.tolist()


ways = st.sampled_from(
    [{"epochs": 500}, {"engine": "rows", "epochs": 20}] + [{"batch_size": b, "epochs": 3} for b in (1, 3)]
)


def near_zero(expected):
    return 1e-12 * np.abs(expected).max()


@given(problems, ways)
def test_units_of_columns_and_of_y_change_nothing_but_units_to_the_bit(problem, way):
    X, y, rng = generate(problem)
    units, of_y = 2.0 ** rng.integers(-30, 31, X.shape[1]), 2.0 ** rng.integers(-30, 31)
    one, other = fastgd.fit(X, y, rng=0, **way), fastgd.fit(X * units, y * of_y, rng=0, **way)
    assert (one.status, one.n_epochs) == (other.status, other.n_epochs)
    assert (one.coef / units * of_y).tolist() == other.coef.tolist()
    assert one.intercept * of_y == other.intercept


@given(problems)
def test_units_and_offsets_without_options(problem):
    X, y, rng = generate(problem)
    X, y = X[: max(X.shape[1] + 2, 4)], y[: max(X.shape[1] + 2, 4)]
    scale = X.std(axis=0)
    if np.linalg.matrix_rank(X - X.mean(axis=0)) < X.shape[1] or np.linalg.cond((X - X.mean(axis=0)) / scale) > 100:
        return
    units, away, of_y = rng.uniform(0.1, 10, X.shape[1]), 1000 * scale, rng.uniform(0.1, 10)
    one, other = fastgd.fit(X, y), fastgd.fit(X * units + away, y * of_y - 7)
    expected = one.coef / units * of_y
    np.testing.assert_allclose(other.coef * scale, expected * scale, rtol=1e-9, atol=1e3 * near_zero(expected * scale))


@given(problems)
def test_order_repetition_and_weights_agree_without_options(problem):
    X, y, rng = generate(problem)
    weight = rng.integers(1, 4, len(X))
    order = rng.permutation(np.repeat(np.arange(len(X)), weight))
    one, other = fastgd.fit(X, y, sample_weight=weight), fastgd.fit(X[order], y[order])
    scale = X.std(axis=0)
    size = near_zero(y) + np.abs(one.coef * scale).max()
    np.testing.assert_allclose(one.predict(X), other.predict(X), rtol=1e-9, atol=1e-8 * size)


@given(problems)
def test_weights_are_repetition(problem):
    X, y, rng = generate(problem)
    weight = rng.integers(0, 4, len(X))
    weight[0] += 1
    repeated = np.repeat(np.arange(len(X)), weight)
    lr = 1 / (2 * ((X**2).sum(axis=1).max() + 1))
    one = fastgd.fit(X, y, lr=lr, epochs=10, sample_weight=weight)
    other = fastgd.fit(X[repeated], y[repeated], lr=lr, epochs=10)
    np.testing.assert_allclose(one.coef, other.coef, rtol=1e-9, atol=1e-12 * np.abs(one.coef).max())


@given(problems)
def test_more_features_than_rows_tends_to_the_smallest_solution(problem):
    n, _, seed = problem
    n = min(n, 6)
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, 3 * n + 5)), rng.standard_normal(n)
    best = fastgd.closed_form(X, y)
    found = fastgd.fit(X, y, lr=safe_rate(X, "mse"), epochs=20_000, tol=1e-13, record=None)
    centred = X - X.mean(axis=0)
    if np.linalg.cond(centred @ centred.T + np.ones((n, n))) < 100:
        np.testing.assert_allclose(found.predict(X), best.predict(X), atol=1e-6)


@given(problems)
def test_more_features_than_rows_without_an_intercept_tend_to_the_pseudo_inverse(problem):
    n, _, seed = problem
    n = min(n, 6)
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, 3 * n + 5)), rng.standard_normal(n)
    if np.linalg.cond(X) < 10:
        found = fastgd.fit(X, y, lr=safe_rate(X, "mse"), epochs=20_000, tol=1e-13, fit_intercept=False, record=None)
        np.testing.assert_allclose(found.coef, np.linalg.pinv(X) @ y, atol=1e-9)


def test_statistics_of_parts_in_any_order_fit_as_all_the_rows(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((900, 4)) * [1e-3, 1.0, 1e3, 1.0] + [0, 1e6, 0, 1]
    X[:300, 1] += 5  # parts unlike each other
    y, weight = X @ [1e3, 1.0, 1e-3, 2.0] + rng.standard_normal(900), rng.uniform(0.1, 2, 900)
    parts = [slice(0, 300), slice(300, 310), slice(310, 900)]
    statistics = [Statistics.of(Problem(X[p], y[p, None], weight[p], single=False), threads=1) for p in parts]
    whole = Statistics.of(Problem(X, y[:, None], weight, single=False), threads=1)
    best = fastgd.closed_form(X, y, sample_weight=weight).coef
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        a, b, c = (statistics[k] for k in order)
        for added in ((a + b) + c, a + (b + c)):
            np.testing.assert_allclose(added.weight, whole.weight, rtol=1e-13)
            np.testing.assert_allclose(added.origin + added.mean, whole.origin + whole.mean, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(added.spread, whole.spread, rtol=1e-11)
            w, _, _, _ = np.linalg.lstsq(added.factor[:, :4] / added.spread[:4], added.factor[:, 4:], rcond=None)
            np.testing.assert_allclose(w[:, 0] / added.spread[:4], best, rtol=1e-9)


EXTREME = [1.0, 1e150, 1e-150, 1e300, 1e-300]
ASKED = [
    *({}, {"engine": "rows"}, {"batch_size": 8}, {"batch_size": 1}, {"standardize": False}, {"fit_intercept": False}),
    *({"l1": 0.1}, {"l2": 1.0}, {"loss": "huber"}, {"loss": "sse"}, {"optimizer": "adam", "epochs": 20}),
    *({"lr": 0.1, "epochs": 5}, {"lr": 0.1, "epochs": 5, "batch_size": 8}, {"X_val": [[1.0, 2, 3]], "y_val": [1.0]}),
]


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning", "ignore::fastgd.DivergenceWarning")
@pytest.mark.parametrize("of_y", EXTREME)
@pytest.mark.parametrize("of_x", EXTREME)
def test_extreme_magnitudes_give_a_result_or_a_status(of_x, of_y):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    y = X @ [1.0, 2.0, 3.0] + 0.1 * rng.standard_normal(40) + 0.5
    best = fastgd.closed_form(X, y)
    there = 1e-290 < of_y / of_x < 1e290  # what the coefficients are, if that is a number
    with np.errstate(all="raise"):
        for run in (fastgd.fit, fastgd.reference.fit):
            for options in ASKED:
                options = {"epochs": 200} | options
                result = run(of_x * X, of_y * y, rng=0, record=None, **options)
                assert np.isfinite(result.coef).all()
                assert np.isfinite(result.intercept)
                assert np.isfinite(result.loss) or result.status == "diverged"
        fastgd.loss_and_gradient(of_x * X, of_y * y, np.ones(3))
        fastgd.compare(of_x * X, of_y * y, epochs=3)
        result = fastgd.fit(of_x * X, of_y * y)
        if there:
            assert result.status == "converged" or max(of_x, of_y) == 1e300
            closed = fastgd.closed_form(of_x * X, of_y * y)
        if there and result.status == "converged":
            np.testing.assert_allclose(result.coef * (of_x / of_y), best.coef, rtol=1e-12)
            np.testing.assert_allclose(closed.coef * (of_x / of_y), best.coef, rtol=1e-12)


def test_coefficients_beyond_float64_are_a_status():
    x = np.linspace(1, 2, 20)
    with pytest.warns(fastgd.DivergenceWarning, match="in the units of X and y, coefficients are too large"):
        result = fastgd.fit(x * 1e-300, x * 1e150)
    assert (result.status, result.coef.tolist(), result.intercept) == ("diverged", [0.0], 0.0)


def test_a_callback_keeps_its_own_handling_of_floating_point():
    seen = []
    with np.errstate(under="raise", over="ignore"):
        fastgd.fit(np.arange(9.0), np.arange(9.0), lr=0.01, epochs=1, callback=lambda state: seen.append(np.geterr()))
        assert seen == [np.geterr()]
