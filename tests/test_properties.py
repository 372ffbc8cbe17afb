"""Properties that hold for any data, searched by hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgd
from fastgd import _core

settings.register_profile("fastgd", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("fastgd")

SQUARED = [name for name, row in _core.losses().items() if row["squared"]]
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


@given(problems, st.sampled_from(SQUARED))
def test_loss_never_increases_at_rates_up_to_the_inverse_curvature(problem, loss):
    X, y, _ = generate(problem)
    history = fastgd.fit(X, y, loss=loss, lr=safe_rate(X, loss), epochs=30).history
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
