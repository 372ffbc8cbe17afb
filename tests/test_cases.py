"""The worked cases with their numbers, in Rust and in the reference."""

from __future__ import annotations

import numpy as np
import pytest

import fastgd
from fastgd import reference

CLOSE = {"rtol": 1e-9, "atol": 0.0}
both = pytest.mark.parametrize("fit", [fastgd.fit, reference.fit], ids=["engine", "reference"])


def test_1_gradient_by_hand():
    x, y = [1, 2, 3, 4], [2, 4, 6, 8]
    loss, gradient, _ = fastgd.loss_and_gradient(x, y, 0.0)
    assert (loss, gradient.tolist()) == (30.0, [-30.0])
    loss, gradient, _ = fastgd.loss_and_gradient(x, y, 0.0, loss="sse")
    assert (loss, gradient.tolist()) == (120.0, [-120.0])


@both
@pytest.mark.parametrize(("loss", "w"), [("mse", 1.9224809378309713), ("sse", 1.9999999780097675)])
def test_1_twenty_steps(fit, loss, w):
    result = fit([1, 2, 3, 4], [2, 4, 6, 8], loss=loss, lr=0.01, epochs=20, fit_intercept=False)
    np.testing.assert_allclose(result.coef, [w], **CLOSE)
    assert (result.n_epochs, result.n_steps, result.intercept) == (20, 20, 0.0)


@both
def test_2_six_steps(fit):
    x, y = fastgd.datasets.make_line(n=20, slope=0.7, intercept=0.2, noise=0.05, low=0.0, high=1.0, rng=3)
    result = fit(x, y, loss="sse", lr=0.02, epochs=2000, init=([0.293], 0.758), tol=1e-12)
    best = fastgd.closed_form(x, y, loss="sse")
    assert result.status == "converged"
    np.testing.assert_allclose([*result.coef, result.intercept], [*best.coef, best.intercept], rtol=1e-9)
    assert (result.history.coef[0, 0], result.history.intercept[0]) == (0.293, 0.758)
    assert (np.diff(result.history.loss) <= 1e-15).all()


@both
def test_3_the_csv(fit):
    x, y = fastgd.datasets.load_points()
    result = fit(x, y, lr=1e-4, epochs=1000)
    history = result.history
    np.testing.assert_allclose(history.loss[0], 5565.107834490553, **CLOSE)
    np.testing.assert_allclose(
        [history.coef[1, 0], history.intercept[1]], [0.7370702973620529, 0.01454701011078], **CLOSE
    )
    np.testing.assert_allclose(result.coef, [1.4777440851889796], **CLOSE)
    np.testing.assert_allclose(result.intercept, 0.08893651996682014, **CLOSE)
    np.testing.assert_allclose(result.loss, 112.61481010123589, **CLOSE)
    assert result.loss == history.loss[-1]


def test_3_closed_form():
    x, y = fastgd.datasets.load_points()
    best = fastgd.closed_form(x, y)
    np.testing.assert_allclose([best.coef[0], best.intercept], [1.32243102, 7.99102099], rtol=1e-8)
    np.testing.assert_allclose(best.loss, 110.25738344912885, **CLOSE)


@both
def test_3_the_largest_stable_rate(fit):
    x, y = fastgd.datasets.load_points()
    design = np.column_stack([x, np.ones(100)])
    curvatures = np.linalg.eigvalsh(2 * design.T @ design / 100)
    np.testing.assert_allclose(curvatures, [0.0754774294, 4983.8469], rtol=1e-7)
    limit = 2 / curvatures[1]
    np.testing.assert_allclose(limit, 0.000401296, atol=5e-10)
    assert fit(x, y, lr=0.99 * limit, epochs=1000).status == "max_epochs"
    with pytest.warns(fastgd.DivergenceWarning, match=r"below 2/L = 0\.000401296"):
        assert fit(x, y, lr=1.01 * limit, epochs=2000).status == "diverged"


@both
def test_4_too_small_right_too_large(fit):
    x, y = fastgd.datasets.make_line(n=100, slope=1.5, intercept=4.0, noise=1.0, low=0.0, high=15.0, rng=0)
    best = fastgd.closed_form(x, y).loss
    crawls, right = (fit(x, y, lr=lr, epochs=2000).loss / best - 1 for lr in (1e-6, 1e-2))
    assert crawls > 1.0 > 0.01 > right
    with pytest.warns(fastgd.DivergenceWarning):
        assert fit(x, y, lr=0.02, epochs=500).status == "diverged"


@both
def test_5_shuffled_mini_batches(fit):
    g = np.random.default_rng(0)
    X = g.standard_normal((1000, 2))
    y = X @ [2, -3.4] + 4.2 + 0.1 * g.standard_normal(1000)
    result = fit(X, y, loss="half_mse", batch_size=10, lr=0.03, epochs=3, rng=1, exact_loss=True)
    expected = [0.040578837820733384, 0.00489289297088173, 0.004813905248837967]
    np.testing.assert_allclose(result.history.loss[1:], expected, **CLOSE)
    np.testing.assert_allclose(result.coef, [1.9946248088193947, -3.4030012457603505], **CLOSE)
    np.testing.assert_allclose(result.intercept, 4.195128519600023, **CLOSE)
    np.testing.assert_allclose(result.loss, expected[-1], **CLOSE)
    assert result.n_steps == 300


descents = pytest.mark.parametrize(
    "descend", [fastgd.gradient_descent, reference.gradient_descent], ids=["engine", "reference"]
)


@descents
def test_6_any_function(descend):
    path = descend(lambda x: 2 * x, 5.0, lr=0.3, steps=15)
    np.testing.assert_allclose(path.x, 5 * 0.4 ** np.arange(16), rtol=1e-14)
    path = descend(lambda x: 2 * x, -5, lr=0.3, steps=5)
    np.testing.assert_allclose(path.x, [-5, -2, -0.8, -0.32, -0.128, -0.0512], rtol=1e-14)
    assert descend(lambda x: 2 * x, 5.0, lr=1.0, steps=6).x.tolist() == [5, -5, 5, -5, 5, -5, 5]
    grows = np.abs(descend(lambda x: 2 * x, 5.0, lr=1.1, steps=20).x)
    assert (np.diff(grows) > 0).all()
    swings = descend(lambda x: 2 * x, 5.0, lr=0.9, steps=100).x
    assert swings[1] < 0 < swings[2]
    assert abs(swings[-1]) < 1e-8


@descents
def test_6_the_start_decides_where_it_ends(descend):
    ends = [descend(lambda x: 4 * x**3 - 2 * x, x0, lr=0.05, steps=500).x[-1] for x0 in (-0.1, 0.1)]
    np.testing.assert_allclose(ends, [-np.sqrt(0.5), np.sqrt(0.5)], rtol=1e-12)
