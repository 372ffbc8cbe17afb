"""`positive`: coefficients that may not be negative are those of active sets and coordinate descent, by every rule."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize
from sklearn import linear_model

import fastgd
from conftest import fitting, make_problem
from fastgd import _core


def data(seed=0, n=200, d=8, offset=0.0, scales=1.0):
    """Half of the coefficients want to be negative."""
    rng = np.random.default_rng(seed)
    X = (rng.standard_normal((n, d)) + rng.standard_normal((n, 1))) * scales + offset
    return X, X @ (np.resize([1.0, -0.7], d) / scales) + 0.5 + 0.3 * rng.standard_normal(n)


PROBLEMS = {
    "plain": {},
    "offset": {"offset": 3.0},
    "scales": {"scales": np.logspace(-3, 3, 8)},
    "wide": {"n": 12, "d": 8},
}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("engine", ["gram", "rows"])
def test_the_minimum_is_that_of_an_active_set(engine, problem, seed):
    X, y = data(seed=seed, **PROBLEMS[problem])
    options = {"positive": True, "engine": engine, "tol": "auto" if engine == "gram" else 1e-10}
    result = fastgd.fit(X, y, **options, epochs=100_000)
    assert result.status == "converged"
    theirs = linear_model.LinearRegression(positive=True).fit(X, y)
    size = np.abs(theirs.coef_ * X.std(axis=0)).max()
    np.testing.assert_allclose((result.coef - theirs.coef_) * X.std(axis=0), 0, atol=1e-5 * size)
    np.testing.assert_array_equal(result.coef == 0, theirs.coef_ == 0)
    assert (result.history.coef >= 0).all()
    assert result.intercept == pytest.approx(theirs.intercept_, abs=1e-5 * (1 + abs(theirs.intercept_)))
    through = fastgd.fit(X, y, **options, epochs=100_000, fit_intercept=False)
    exact, _ = optimize.nnls(X, y)
    np.testing.assert_allclose(
        (through.coef - exact) * X.std(axis=0), 0, atol=1e-5 * np.abs(exact * X.std(axis=0)).max()
    )


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("engine", ["gram", "rows"])
def test_with_l1_and_l2_it_is_coordinate_descents(engine, standardize):
    X, y = data(offset=1.0, scales=np.linspace(1, 3, 8))
    options = {"loss": "half_mse", "positive": True, "engine": engine, "standardize": standardize}
    options |= {"tol": 1e-10, "epochs": 100_000}
    for l1, l2 in ((0.05, 0.0), (0.1, 0.3)):
        theirs = linear_model.ElasticNet(alpha=l1 + l2, l1_ratio=l1 / (l1 + l2), positive=True, tol=1e-12).fit(X, y)
        result = fastgd.fit(X, y, l1=l1, l2=l2, **options)
        np.testing.assert_allclose(result.coef, theirs.coef_, atol=1e-6)
        assert (result.coef == 0).sum() == (theirs.coef_ == 0).sum() > 0


RULES = [(name, size) for name in _core.optimizers() for size in (1, 10, None) if fitting(name, size)]


@pytest.mark.parametrize(("optimizer", "batch_size"), RULES)
def test_every_rule_ends_there(optimizer, batch_size):
    X, y = data(n=60, d=4)
    exact = linear_model.LinearRegression(positive=True).fit(X, y)
    slow = optimizer in ("adagrad", "rmsprop", "adam")
    rate = {"adagrad": 0.3, "rmsprop": 0.02, "adam": 0.02}.get(optimizer, 0.01)
    schedule = ("inverse_time", {"decay": 0.01}) if slow or batch_size else "constant"
    epochs = 20_000 if batch_size is None else 3000
    options = {"optimizer": optimizer, "batch_size": batch_size, "schedule": schedule, "rng": 0, "record": None}
    found = fastgd.fit(X, y, lr=rate, epochs=epochs, positive=True, **options)
    assert (found.coef >= 0).all()
    np.testing.assert_allclose(found.coef, exact.coef_, atol=0.04 if batch_size or slow else 1e-7)


@pytest.mark.parametrize("loss", _core.losses())
def test_no_loss_leaves_what_may_be(loss):
    X, y = make_problem(loss, outputs=2)
    for options in ({}, {"batch_size": 8}, {"batch_size": 1, "average": "tail"}, {"init": ("normal", 1.0)}):
        result = fastgd.fit(X, y, loss=loss, lr=0.01, epochs=20, positive=True, rng=0, **options)
        assert (result.history.coef >= 0).all()
        assert (result.coef >= 0).all()
        assert (result.history.intercept[-1] != 0).all()
    assert result.options["positive"] is True
    assert "no negative coefficients" in repr(result)


def test_where_nothing_wants_to_be_negative_nothing_changes():
    X, y = data(d=3, seed=4)
    y = X @ [1.0, 2.0, 3.0] + 0.1 * y
    for options in ({}, {"lr": 0.01, "epochs": 50}, {"batch_size": 8, "rng": 0}):
        free, bound = (fastgd.fit(X, y, positive=positive, **options) for positive in (False, True))
        np.testing.assert_allclose(bound.coef, free.coef, rtol=1e-8)


def test_a_start_must_not_be_negative():
    X, y = data(d=2)
    with pytest.raises(ValueError, match="coef of init must be >= 0 with positive=True, got -1"):
        fastgd.fit(X, y, init=([1.0, -1.0], 0.0), positive=True)
    with pytest.raises(TypeError, match="positive must be True or False, got 1"):
        fastgd.fit(X, y, positive=1)
    with pytest.raises(ValueError, match="coef_init must be >= 0 with positive=True, got -1"):
        fastgd.SGDRegressor(positive=True).fit(X, y, coef_init=[1.0, -1.0])


def test_what_is_not_finite_is_still_seen():
    X, y = data(d=2)
    with pytest.warns(fastgd.DivergenceWarning):
        result = fastgd.fit(X, -y, lr=1e200, epochs=50, positive=True, batch_size=10, rng=0)
    assert result.status == "diverged"


def test_check_bounds_the_distance_to_the_minimum():
    X, y = data()
    result = fastgd.fit(X, y, positive=True)
    found = result.check(X, y)
    assert found.against == "certificate"
    assert found.excess_loss < 1e-9
    assert found.grad_norm < 1e-6
    early = fastgd.fit(X, y, positive=True, standardize=True, lr=0.05, epochs=20)
    told, best = early.check(X, y), result.loss
    assert (early.loss - best) / best <= told.excess_loss < 1e3
    assert np.linalg.norm(early.coef - result.coef) / np.linalg.norm(result.coef) <= told.coef_error
    sweep = fastgd.sweep(X, y, [1e-3, 1e-2], epochs=10, positive=True)
    assert sweep.minimum is None


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("batch_size", [1, 16, None])
def test_the_estimators_take_it(batch_size):
    X, y = data()
    options = {"positive": True, "batch_size": batch_size, "learning_rate": "auto", "random_state": 0, "alpha": 0.0}
    model = fastgd.SGDRegressor(**options, tol=1e-8, max_iter=500).fit(X, y)
    exact = linear_model.LinearRegression(positive=True).fit(X, y)
    np.testing.assert_allclose(model.coef_, exact.coef_, atol=1e-4 if batch_size is None else 0.05)
    for loss in ("hinge", "log_loss", "softmax"):
        for labels in (y > 0, np.digitize(y, [-1, 1])):
            sides = fastgd.SGDClassifier(**options, loss=loss).fit(X, labels)
            assert (sides.coef_ >= 0).all()
            assert (sides.coef_ > 0).any()
            plain = fastgd.SGDClassifier(loss=loss, positive=True, random_state=0)
            plain.partial_fit(X, labels, classes=np.unique(labels)).partial_fit(X, labels)
            assert (plain.coef_ >= 0).all()
