"""`fit(X, y)` without options is right, or says that it is not; standardising and statistics change nothing."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgd
from conftest import fitting, make_problem
from fastgd import _core, _statistics, reference
from fastgd._request import Problem
from fastgd._statistics import Statistics

SQUARED = [name for name, row in _core.losses().items() if row["squared"]]
SMOOTH = [name for name, row in _core.losses().items() if row["smooth"]]


def conditioned(condition, n=400, d=6, seed=0):
    """Rows whose Hessian has this condition number, standardised columns or not."""
    rng = np.random.default_rng(seed)
    U, _ = np.linalg.qr(rng.standard_normal((n, d)))
    V, _ = np.linalg.qr(rng.standard_normal((d, d)))
    X = np.sqrt(n) * U * np.logspace(0, -np.log10(condition) / 2, d) @ V.T
    return X, X @ rng.standard_normal(d) + 0.1 * rng.standard_normal(n) + 3


def test_the_tutorials_csv_without_options():
    x, y = fastgd.datasets.load_points()
    best = fastgd.closed_form(x, y)
    for fit in (fastgd.fit, reference.fit):
        result = fit(x, y)
        assert (result.status, result.engine, result.optimizer, result.standardized) == (
            *("converged", "gram", "accelerated"),
            True,
        )
        np.testing.assert_allclose(result.coef, best.coef, rtol=1e-12)
        np.testing.assert_allclose([result.intercept, result.loss], [best.intercept, best.loss], rtol=1e-12)


@pytest.mark.parametrize("condition", [1e1, 1e2, 1e3, 1e4, 1e5, 1e6])
@pytest.mark.parametrize("loss", SQUARED)
def test_squared_losses_reach_the_closed_form(loss, condition):
    X, y = conditioned(condition)
    best = fastgd.closed_form(X, y, loss=loss)
    found = fastgd.fit(X, y, loss=loss)
    assert found.status == "converged"
    np.testing.assert_allclose(found.coef, best.coef, rtol=1e-10)
    np.testing.assert_allclose(found.intercept, best.intercept, rtol=1e-10)


def test_what_cannot_be_certain_is_said():
    X, y = conditioned(1e12)
    with pytest.warns(fastgd.ConvergenceWarning, match="condition number .* is too high"):
        result = fastgd.fit(X, y)
    assert result.status == "max_epochs"
    assert result.loss < 1.001 * fastgd.closed_form(X, y).loss
    steps = result.history.step
    assert 5_000 <= len(steps) <= 10_001
    assert (steps[0], steps[-1]) == (0, result.n_steps)
    assert (np.diff(steps)[:-1] == steps[1]).all(), "records are evenly spaced however long the run"


@pytest.mark.parametrize("apart", [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 3e-8])
def test_near_duplicate_columns_are_right_or_warned_of(apart):
    rng = np.random.default_rng(0)
    a = rng.standard_normal(300)
    X = np.column_stack([a, a + apart * rng.standard_normal(300)])
    y = X @ [2.0, -1.0]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        result = fastgd.fit(X, y, record=None)
    assert np.abs(result.coef - [2, -1]).max() < 1e-6 or warned
    if warned:
        assert "condition number" in result.message
        assert warned[0].category is fastgd.ConvergenceWarning


@pytest.mark.parametrize("offset", [1e3, 1e6, 1e9, 1e12])
def test_offsets_of_y_cost_no_more_than_its_own_digits(offset):
    rng = np.random.default_rng(0)
    a = rng.standard_normal(300)
    X = np.column_stack([a, a + 1e-2 * rng.standard_normal(300)])
    y = offset + (X @ [2.0, -1.0] + 0.1 * rng.standard_normal(300))
    exact = np.linalg.lstsq(X - X.mean(axis=0), y - y.mean(), rcond=None)[0]
    np.testing.assert_allclose(fastgd.fit(X, y).coef, exact, rtol=1e-7)


@pytest.mark.parametrize("options", [{}, {"engine": "rows"}, {"batch_size": 10}, {"standardize": False}])
def test_rows_of_weight_zero_do_not_count_whatever_they_hold(options):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 2))
    y, weight = X @ [1.0, 2.0], np.ones(50)
    weight[3] = 0
    sound = fastgd.fit(X, y, sample_weight=weight, rng=0, **options)
    X[3], y[3] = 1e200, 1e200
    result = fastgd.fit(X, y, sample_weight=weight, rng=0, **options)
    assert result.coef.tolist() == sound.coef.tolist()
    np.testing.assert_allclose(fastgd.closed_form(X, y, sample_weight=weight).coef, [1.0, 2.0])
    assert (X[3] == 1e200).all()


def test_an_offset_without_an_intercept_is_no_cause_for_warnings():
    X = np.random.default_rng(3).normal(size=(20, 3)) + 1000
    y = np.random.default_rng(4).normal(size=20)
    result = fastgd.fit(X, y, fit_intercept=False)
    np.testing.assert_allclose(result.coef, np.linalg.lstsq(X, y, rcond=None)[0], rtol=1e-7)


def test_one_row_by_implicit_steps_on_either_engine():
    options = {"loss": "half_mse", "optimizer": "implicit", "lr": 0.5, "epochs": 3}
    rows, gram = (fastgd.fit([2.0], [3.0], **options, engine=engine).coef for engine in ("rows", "gram"))
    np.testing.assert_allclose(rows, gram, rtol=1e-12)


@pytest.mark.parametrize(("columns", "rank"), [([0, 1, 0], 2), ([0, 1], 2), ([0, 0, 0], 1)])
def test_one_of_many_minima_is_told(columns, rank):
    X = np.random.default_rng(0).standard_normal((200, 2))[:, columns]
    told = fastgd.fit(X, X.sum(axis=1)).message
    many = f"those of one minimum of many (the rank is {rank} for {len(columns)} features)"
    assert (many in told) == (rank < len(columns)), told


@pytest.mark.parametrize("record", [2, 3, 7, 10, "epoch", "step"])
def test_records_of_both_descents_are_those_asked_for(record):
    X, y = make_problem("mse")
    every = record if isinstance(record, int) else 1
    for fit in (fastgd.fit, reference.fit):
        found = fit(X, y, record=record)
        asked = [*range(0, found.n_steps, every), found.n_steps]
        assert found.history.step.tolist() == asked == found.history.epoch.tolist()


def test_messages_give_the_true_reason():
    x = np.random.default_rng(0).standard_normal(100)
    y = 2 * x + 1
    with pytest.warns(fastgd.ConvergenceWarning, match="not certain yet"):
        fastgd.fit(x, y, lr=1e-9, record=None)
    assert fastgd.fit(x, y, tol=None, epochs=100).message.endswith("no tol was set")


def test_a_penalty_on_many_features_does_not_take_for_ever():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3000)), rng.standard_normal(20)
    best, found = fastgd.closed_form(X[:, :200], y, l2=0.1), fastgd.fit(X[:, :200], y, l2=0.1)
    np.testing.assert_allclose(found.coef, best.coef, rtol=1e-6, atol=1e-9)
    assert fastgd.fit(X, y, l2=0.1, record=None).status == "converged"


def test_plateaus_of_rounding_are_the_same_for_both():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 3))
    for seed in range(5):
        assert fastgd.compare(X, X @ [1.0, 2.0, 3.0], batch_size=5, rng=seed).max_difference < 1e-9


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_short_rank_ends_in_the_smallest_standardised_solution(fit_intercept):
    rng = np.random.default_rng(0)
    for X in (
        rng.standard_normal((20, 50)) * 10.0 ** rng.uniform(-3, 3, 50),
        rng.standard_normal((60, 3))[:, [0, 1, 2, 1]],
    ):
        y = rng.standard_normal(len(X))
        best = fastgd.closed_form(X, y, fit_intercept=fit_intercept, standardize=True)
        found = fastgd.fit(X, y, fit_intercept=fit_intercept)
        assert found.status == "converged"
        np.testing.assert_allclose(found.predict(X), best.predict(X), atol=1e-8)
        np.testing.assert_allclose(found.coef, best.coef, atol=1e-7 * np.abs(best.coef).max())


@pytest.mark.parametrize(
    "options", [{"l2": 0.3}, {"sample_weight": np.arange(60) % 4}, {"fit_intercept": False, "l2": 1.0}]
)
@pytest.mark.parametrize("outputs", [None, 2])
@pytest.mark.parametrize("loss", SQUARED)
def test_with_penalty_weights_and_outputs(loss, outputs, options):
    X, y = make_problem(loss, outputs=outputs)
    X = X * [1e-4, 1.0, 1e4] + [0, 50, 0]
    best, found = fastgd.closed_form(X, y, loss=loss, **options), fastgd.fit(X, y, loss=loss, **options)
    np.testing.assert_allclose(found.coef, best.coef, rtol=1e-8)
    np.testing.assert_allclose(found.loss, best.loss, rtol=1e-10)


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_offsets_units_and_constant_columns_do_no_harm(offset):
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((500, 4))
    X = np.column_stack([Z * [1e-8, 1e-3, 1.0, 1e8] + offset * np.array([0, 0, 1, 0]), np.full(500, 0.1)])
    y = Z @ [1.0, 2.0, 3.0, 4.0] + rng.standard_normal(500)
    truth = np.linalg.lstsq(np.column_stack([Z, np.ones(500)]), y, rcond=None)[0]
    for options in ({}, {"batch_size": 500}):
        found = fastgd.fit(X, y, **options)
        np.testing.assert_allclose(found.coef[:4] * [1e-8, 1e-3, 1.0, 1e8], truth[:4], rtol=1e-7 if offset else 1e-9)
        assert found.coef[4] == 0
    batched = fastgd.fit(X, y, batch_size=10, rng=0)
    assert batched.loss < 1.01 * fastgd.closed_form(X, y).loss


@pytest.mark.parametrize("loss", [name for name in SMOOTH if name not in SQUARED])
def test_smooth_losses_reach_their_minimum(loss):
    X, y = make_problem(loss, n=300)
    X = X * [1e-3, 1.0, 1e3] + [0, 0, 5e3]
    best = fastgd.fit(X, y, loss=loss, tol=1e-12, epochs=100_000)
    found = fastgd.fit(X, y, loss=loss)
    assert (found.status, found.engine) == ("converged", "rows")
    assert found.loss <= best.loss * (1 + 1e-6)
    _, grad, grad_b = fastgd.loss_and_gradient(X, y, best.coef, best.intercept, loss=loss)
    centred = grad - np.multiply.outer(
        grad_b, X.mean(axis=0)
    )  # else a mean of 5000 makes much of the intercept's last digits
    assert np.abs(centred * X.std(axis=0)).max() < 1e-6
    assert np.abs(grad_b).max() < 1e-6


@pytest.mark.parametrize("batch_size", [1, 16, 256])
def test_batches_are_near_the_optimum_after_five_epochs(batch_size, seed):
    rng = np.random.default_rng(seed)
    X, y = conditioned(100, n=100_000, d=10, seed=seed)
    y = y + rng.standard_normal(len(y))
    best = fastgd.closed_form(X, y).loss
    result = fastgd.fit(X, y, batch_size=batch_size, epochs=5, rng=seed)
    assert result.options["average"] == "tail"
    assert "returned is the mean of the iterates after epoch 2" in result.message
    assert result.loss <= best * (1 + 1e-3)


RULES = [(name, size) for name in _core.optimizers() for size in (1, 8, None) if fitting(name, size)]


@pytest.mark.parametrize(("optimizer", "batch_size"), RULES)
@pytest.mark.parametrize("loss", SMOOTH)
def test_engine_and_reference_choose_and_do_the_same(loss, optimizer, batch_size):
    if _core.optimizers()[optimizer]["use"] == "single rows" and loss not in SQUARED:
        return
    X, y = make_problem(loss)
    X = X * [1e-2, 1.0, 1e2]
    options = {"loss": loss, "optimizer": optimizer, "batch_size": batch_size, "epochs": 6, "l1": 0.01, "l2": 0.1}
    comparison = fastgd.compare(X, y, **options, rng=0)
    assert comparison.max_difference < 1e-9
    assert comparison.result.lr == comparison.reference.lr > 0


@pytest.mark.parametrize("optimizer", [name for name in _core.optimizers() if fitting(name, None)])
@pytest.mark.parametrize(
    "options", [{}, {"l1": 0.3, "l2": 0.2}, {"fit_intercept": False}, {"sample_weight": np.arange(60) % 3}]
)
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("loss", SQUARED)
def test_sufficient_statistics_give_the_same_iterates(loss, standardize, options, optimizer):
    X, y = make_problem(loss)
    lr = 0.02 if optimizer not in ("momentum", "nesterov") else 0.002
    lr = lr / len(X) if loss == "sse" and optimizer not in ("adagrad", "rmsprop", "adam") else lr
    asked = {"loss": loss, "lr": lr, "epochs": 60, "optimizer": optimizer, "standardize": standardize} | options
    rows, gram = (fastgd.fit(X, y, **asked, engine=engine) for engine in ("rows", "gram"))
    assert (rows.engine, gram.engine) == ("rows", "gram")
    for name in ("coef", "intercept", "loss", "grad_norm", "lr"):
        a, b = getattr(rows.history, name), getattr(gram.history, name)
        np.testing.assert_allclose(b, a, rtol=1e-8, atol=1e-10 * np.abs(a).max(), err_msg=name)
    assert rows.history.epoch.tolist() == gram.history.epoch.tolist()


@pytest.mark.parametrize("options", [{}, {"batch_size": 7}, {"batch_size": 1}])
@pytest.mark.parametrize("penalty", [{}, {"l2": 0.4}, {"l1": 0.3, "l2": 0.1}])
def test_standardising_is_descent_on_standardised_columns(penalty, options):
    X, y = make_problem("mse")
    X = X * [1e-2, 1.0, 30.0] + [0, 7, 0]
    scale = np.sqrt(X.var(axis=0) + penalty.get("l2", 0) / 2)
    Z = (X - X.mean(axis=0)) / scale
    asked = {"lr": 0.05, "epochs": 30, "rng": 3, "record": "step"} | options
    found = fastgd.fit(X, y, standardize=True, **asked, **penalty)
    if not penalty:
        plain = fastgd.fit(Z, y, **asked)
        np.testing.assert_allclose(found.history.coef, plain.history.coef / scale, rtol=1e-9, atol=1e-12)
        back = plain.history.intercept - (plain.history.coef / scale) @ X.mean(axis=0)
        np.testing.assert_allclose(found.history.intercept, back, rtol=1e-9, atol=1e-9)
    for loss, w, b in zip(found.history.loss[:1], found.history.coef[:1], found.history.intercept[:1], strict=True):
        np.testing.assert_allclose(loss, fastgd.loss_and_gradient(X, y, w, b, **penalty)[0])
    np.testing.assert_allclose(
        found.loss, fastgd.loss_and_gradient(X, y, found.coef, found.intercept, **penalty)[0], rtol=1e-10
    )


@pytest.mark.parametrize("standardize", [True, False])
def test_standardising_never_changes_the_objective(standardize):
    X, y = make_problem("mse")
    X = X * [0.1, 1.0, 10.0]
    options = {"l1": 0.2, "l2": 0.3, "lr": "auto", "epochs": 100_000, "tol": 1e-13, "record": None}
    found = fastgd.fit(X, y, standardize=standardize, **options)
    _, grad, grad_b = fastgd.loss_and_gradient(X, y, found.coef, found.intercept, l2=0.3)
    held = found.coef == 0
    np.testing.assert_allclose(grad[~held], -0.2 * np.sign(found.coef[~held]), atol=1e-7)
    assert (np.abs(grad[held]) <= 0.2 + 1e-9).all()
    assert abs(grad_b) < 1e-7


def test_starts_are_in_the_users_units():
    X, y = make_problem("mse")
    X = X * [1e-2, 1.0, 30.0] + [0, 7, 0]
    start = (np.array([1.0, -2.0, 0.5]), 4.0)
    for options in (
        {},
        {"batch_size": 5},
        {"engine": "rows"},
        {"fit_intercept": True, "lr": 0.01, "standardize": True},
    ):
        history = fastgd.fit(X, y, init=start, epochs=3, rng=0, **options).history
        np.testing.assert_allclose(history.coef[0], start[0], rtol=1e-14)
        np.testing.assert_allclose(history.intercept[0], 4.0, rtol=1e-13)
    best = fastgd.fit(X, y)
    again = fastgd.fit(X, y, init=best)
    assert again.status == "converged"
    assert again.n_epochs <= 3
    draw = fastgd.fit(X, y, init=("normal", 0.1), epochs=1, rng=5).history.coef[0]
    np.testing.assert_allclose(draw, np.random.default_rng(5).normal(0, 0.1, 3), rtol=1e-14)


def test_validation_and_callbacks_are_in_the_users_units():
    X, y = make_problem("mse")
    X = X * [1e-2, 1.0, 30.0] + [0, 7, 0]
    X_val, y_val = X[:20] * 1.1, y[:20]
    for options in ({}, {"engine": "rows"}, {"batch_size": 6}, {"loss": "sse"}):
        states = []
        result = fastgd.fit(X, y, X_val=X_val, y_val=y_val, epochs=8, rng=0, callback=states.append, **options)
        reduce = np.sum if options.get("loss") == "sse" else np.mean
        for w, b, value in zip(result.history.coef, result.history.intercept, result.history.val_loss, strict=True):
            np.testing.assert_allclose(reduce((X_val @ w + b - y_val) ** 2), value, rtol=1e-9)
        np.testing.assert_allclose([state.coef for state in states], result.history.coef[1:], rtol=1e-12)
        np.testing.assert_allclose([state.intercept for state in states], result.history.intercept[1:], rtol=1e-12)


def test_a_rate_that_is_too_large_after_all_is_halved(monkeypatch):
    X, y = make_problem("mse")
    sound = fastgd._auto.of_rule
    monkeypatch.setattr(fastgd._auto, "of_rule", lambda *given: 50 * sound(*given))
    rng = np.random.default_rng(0)
    result = fastgd.fit(X, y, batch_size=6, rng=rng)
    assert "the automatic rate was too large and was halved" in result.message
    assert result.loss < 1.05 * fastgd.closed_form(X, y).loss
    twin = np.random.default_rng(0)
    for _ in range(result.n_epochs):
        twin.permutation(len(X))
    assert rng.random() == twin.random(), "only the permutations of the run that counts are used"
    full = fastgd.fit(X, y)
    assert full.status == "converged"
    np.testing.assert_allclose(full.coef, fastgd.closed_form(X, y).coef, rtol=1e-8)


CHOICES = [
    ({}, ("accelerated", "gram", True, False, 1_000_000)),
    ({"loss": "huber"}, ("accelerated", "rows", True, False, 1000)),
    ({"batch_size": 10}, ("sgd", "rows", True, True, 100)),
    ({"batch_size": 1}, ("implicit", "rows", True, True, 100)),
    ({"batch_size": 1, "loss": "huber"}, ("sgd", "rows", True, True, 100)),
    ({"lr": 0.01}, ("sgd", "gram", False, False, 1_000_000)),
    ({"lr": 0.01, "epochs": 5}, ("sgd", "rows", False, False, 5)),
    ({"epochs": 5}, ("accelerated", "gram", True, False, 5)),
    ({"lr": 0.01, "batch_size": 10}, ("sgd", "rows", False, False, 100)),
    ({"optimizer": "adam"}, ("adam", "gram", True, False, 1_000_000)),
    ({"engine": "rows"}, ("accelerated", "rows", True, False, 1000)),
    ({"standardize": False}, ("accelerated", "gram", False, False, 1_000_000)),
    ({"batch_size": 10, "average": False}, ("sgd", "rows", True, False, 100)),
]


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize(("options", "chosen"), CHOICES, ids=[str(options) for options, _ in CHOICES])
def test_what_auto_means(options, chosen):
    X, y = make_problem("mse")
    result = fastgd.fit(X, y, rng=0, record=None, **options)
    average = result.options["average"] == "tail"
    told = (result.optimizer, result.engine, result.standardized, average, result.options["epochs"])
    assert told == chosen
    assert np.isfinite(result.lr)


def test_large_textbook_runs_move_to_sufficient_statistics():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200_000, 3)), rng.standard_normal(200_000)
    quick = fastgd.fit(X, y, lr=0.01, epochs=200)
    assert quick.engine == "gram"
    np.testing.assert_allclose(quick.coef, fastgd.fit(X, y, lr=0.01, epochs=200, engine="rows").coef, rtol=1e-10)


def test_every_auto_is_a_default():
    parameters = inspect.signature(fastgd.fit).parameters
    autos = {name for name, parameter in parameters.items() if parameter.default == "auto"}
    assert autos == {"lr", "epochs", "optimizer", "standardize", "average", "tol", "engine"}


def statistics_of(X, y, weight):
    return Statistics.of(Problem(X, y, weight, single=False), threads=1)


def of_rows(statistics, d, intercept):
    """Sums of squares and products of (X, 1, y) as the statistics have them."""
    rows = np.hstack(statistics.rows(None, d, intercept=intercept))
    return rows.T @ rows


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 8),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_statistics_keep_every_sum_of_squares_and_add_up(n, more, d, outputs, seed, intercept):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n + more, d)) + rng.integers(-3, 3, d), rng.standard_normal((n + more, outputs))
    weight = rng.uniform(0, 2, n + more) * (rng.uniform(size=n + more) > 0.2) + 1e-3
    one, other = statistics_of(X[:n], y[:n], weight[:n]), statistics_of(X[n:], y[n:], weight[n:])
    A, z = np.hstack([X, np.ones((len(X), int(intercept))), y]), np.hstack([X, y])
    spread = np.sqrt(np.average((z - np.average(z, axis=0, weights=weight)) ** 2, axis=0, weights=weight))
    for found in (one + other, other + one, statistics_of(X, y, weight)):
        assert len(found.factor) <= d + outputs
        np.testing.assert_allclose(of_rows(found, d, intercept), A.T @ (weight[:, None] * A), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(found.spread, spread, rtol=1e-9, atol=1e-12)


def test_statistics_add_up_whatever_the_offset():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((5000, 3)) + np.array([1e8, 0, -1e8]), rng.standard_normal((5000, 1)) + 1e8
    X[:2000, 0] += 5
    centred = np.hstack([X, y]) - np.hstack([X, y]).mean(axis=0)
    added = statistics_of(X[:2000], y[:2000], None) + statistics_of(X[2000:], y[2000:], None)
    for found in (statistics_of(X, y, None), added):
        np.testing.assert_allclose(
            (found.factor * found.unit).T @ (found.factor * found.unit), centred.T @ centred, rtol=1e-11, atol=1e-7
        )
    with pytest.raises(ValueError, match="other must have 4 columns, got 3"):
        added + statistics_of(X[:, 1:].copy(), y, None)


@pytest.mark.parametrize("noise", [1.0, 1e-3, 1e-7, 0.0])
def test_the_loss_keeps_its_digits_where_y_is_nearly_explained(noise):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 4)) + np.array([0, 1e3, 0, 3])
    X[:, 2] = 7.0
    y = X @ [1.0, 2.0, 3.0, 4.0] + noise * rng.standard_normal(3000) + 5
    found, best = fastgd.fit(X, y), fastgd.closed_form(X, y)
    np.testing.assert_allclose(found.loss, best.loss, rtol=1e-9 if noise > 1e-5 else 1e-2, atol=1e-19)
    np.testing.assert_allclose(found.coef, best.coef, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("noise", [0.0, 1e-4, 1.0])
@pytest.mark.parametrize(
    ("of_y", "of_weight"),
    [
        (1e-115, 1.0),
        (1e-120, 1.0),
        (1e-126, 1.0),
        (1e120, 1.0),
        (1.0, 1e-230),
        (1.0, 1e-300),
        (1.0, 1e300),
        (1e-115, 1e-230),
    ],
)
def test_a_second_look_at_y_keeps_its_units(noise, of_y, of_weight):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 3))
    y = (X @ [1.0, 2.0, -1.0] + 3 + noise * rng.standard_normal(3000)) * of_y
    found = fastgd.fit(X, y, sample_weight=np.full(3000, of_weight))
    best = fastgd.closed_form(X, y)
    np.testing.assert_allclose(found.coef / of_y, best.coef / of_y, rtol=1e-9)
    np.testing.assert_allclose(found.intercept / of_y, best.intercept / of_y, rtol=1e-9)


def test_old_rows_that_hardly_count_leave_the_rest_right():
    rng = np.random.default_rng(1)
    n = 6200
    a = rng.standard_normal(n)
    X = np.column_stack([a, a + 0.1 * rng.standard_normal(n), np.arange(n) < 3000])
    y = 2 * X[:, 0] - X[:, 1] + 5 + 1e-4 * rng.standard_normal(n)
    weight = 0.9 ** np.arange(n)[::-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastgd.ConvergenceWarning)
        found = fastgd.fit(X, y, sample_weight=weight)
    best = fastgd.closed_form(X[:, :2], y, sample_weight=weight)
    np.testing.assert_allclose(found.coef[:2], best.coef, rtol=1e-5)
    np.testing.assert_allclose(found.loss, best.loss, rtol=1e-6)


@pytest.mark.parametrize("independent", [1e-4, 2.0], ids=["by products", "by blocks"])
def test_statistics_of_many_blocks(independent, monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((1000, 3)), rng.standard_normal((1000, 1))
    whole = statistics_of(X, y, None)
    monkeypatch.setattr(_statistics, "_BLOCK", 7)
    monkeypatch.setattr(_statistics, "_INDEPENDENT", independent)
    parts = statistics_of(X, y, None)
    assert parts.factor.shape == whole.factor.shape == (4, 4)
    np.testing.assert_allclose(np.abs(parts.factor), np.abs(whole.factor), rtol=1e-10, atol=1e-10)


def test_real_tables_without_options():
    X, y, _ = fastgd.datasets.load_penguins()
    best = fastgd.closed_form(X, y)
    np.testing.assert_allclose(fastgd.fit(X, y).coef, best.coef, rtol=1e-8)
    for batch_size in (1, 32):
        assert fastgd.fit(X, y, batch_size=batch_size, rng=0).loss < 1.005 * best.loss
    assert fastgd.fit(X, y, loss=("huber", {"delta": 300.0})).status == "converged"


@pytest.mark.parametrize(
    ("loss", "optimizer", "lr"), [("mse", "adam", 0.01), ("mse", "momentum", 0.05), ("absolute", "sgd", 0.1)]
)
def test_a_warm_start_that_hops_about_its_minimum_has_not_diverged(loss, optimizer, lr):
    X, y = make_problem("mse")
    options = {"loss": loss, "optimizer": optimizer, "lr": lr}
    best = fastgd.fit(X, y, epochs=2000, **options)
    for epochs in (1, 3, 20):
        assert fastgd.fit(X, y, epochs=epochs, init=best, **options).status == "max_epochs"
