"""Losses with kinks at an automatic rate: near the optimum that linear programming finds, and honest about it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, sparse

import fastgd
from conftest import make_problem
from fastgd import _core, reference

#: a perceptron is least with all coefficients 0, which is no optimum to look for
KINKED = [name for name, row in _core.losses().items() if not row["smooth"] and name != "perceptron"]
#: settings that are worth a look, for losses that have them
MORE = {"quantile": [{"q": 0.05}, {"q": 0.9}], "epsilon_insensitive": [{"epsilon": 0.01}, {"epsilon": 1.0}]}
LOSSES = [(name, parameters) for name in KINKED for parameters in [{}, *MORE.get(name, [])]]


#: losses of a side: where the sides can all but be parted, their optimum is far off, at coefficients that grow and grow
SIDES = [name for name in KINKED if isinstance(_core.losses()[name]["targets"], list)]


def suited(loss, y):
    """Targets that the loss admits."""
    targets = _core.losses()[loss]["targets"]
    if targets == "real":
        return y
    return np.abs(y) if targets == "non-negative" else np.where(y > np.median(y), *reversed(targets))


def optimum(X, y, loss, weight=None, l1=0.0):
    """The least objective by linear programming: each row's loss is the largest of 0 and its two outermost lines."""
    n, d = X.shape
    weight = np.full(n, 1 / n) if weight is None else weight / weight.sum()
    y = y - np.median(y) if _core.losses()[loss[0]]["targets"] == "real" else y
    scale, twin = np.abs(y).mean(), reference.losses[loss[0]](**loss[1])
    # in units of scale: minimise weight . t + l1 sum(u) with t >= 0, t >= slope (X w + b) + offset, u >= |w|
    rows, right = [], []
    for raw in (-4 * np.abs(y) - 4, 4 * np.abs(y) + 4):
        slope = twin.gradient(raw, y)
        lines = sparse.diags(slope) @ sparse.csr_matrix(np.column_stack([X, np.ones(n)]))
        rows.append(sparse.hstack([lines, -sparse.identity(n), sparse.csr_matrix((n, d))]))
        right.append((slope * raw - twin.value(raw, y)) / scale)
    for sign in (1, -1):
        rows.append(sparse.hstack([sign * sparse.identity(d), sparse.csr_matrix((d, 1 + n)), -sparse.identity(d)]))
        right.append(np.zeros(d))
    cost = np.concatenate([np.zeros(d + 1), weight, np.full(d, l1)])
    bounds = [(None, None)] * (d + 1) + [(0, None)] * (n + d)
    found = optimize.linprog(cost, sparse.vstack(rows).tocsr(), np.concatenate(right), bounds=bounds, method="highs")
    assert found.status == 0
    return found.fun * scale


def data(n=600, d=5, noise="standard_normal", signal=1.0, condition=1.0, seed=0):
    rng = np.random.default_rng(seed)
    V, _ = np.linalg.qr(rng.standard_normal((d, d)))
    X = rng.standard_normal((n, d)) * np.logspace(0, -np.log10(condition) / 2, d) @ V.T
    y = X @ rng.standard_normal(d)
    return X, signal * y / y.std() + getattr(rng, noise)(size=n)


def with_outliers():
    X, y = data()
    y[:12] *= 1000
    return X, y


X, Y = data()
PROBLEMS = {
    "plain": (X, Y),
    "one feature": data(d=1),
    "twenty features": data(n=2000, d=20),
    "laplace": data(noise="laplace"),
    "cauchy": data(noise="standard_cauchy"),
    "condition 10": data(condition=10.0),
    "condition 100": data(n=2000, condition=100.0),
    "little noise": data(signal=1000.0),
    "offset": (X, Y + 1e6),
    "columns of any scale": (X * np.logspace(-3, 3, 5) + np.linspace(0, 100, 5), Y),
    "large": (X, Y * 1e6),
    "small": (X, Y * 1e-6),
    "outliers": with_outliers(),
}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_full_batch_ends_at_the_optimum(loss, problem):
    X, y = PROBLEMS[problem]
    y = suited(loss[0], y)
    best = optimum(X, y, loss)
    if problem == "little noise" and loss[0] in SIDES:
        with pytest.warns(fastgd.ConvergenceWarning, match="was not met"):
            fastgd.fit(X, y, loss=loss)
        return
    result = fastgd.fit(X, y, loss=loss)
    assert result.loss - best <= 1e-4 * best
    assert result.status == "converged"
    assert result.n_epochs < 1000
    if best > 0:
        assert "halvings of the rate brought next to nothing" in result.message


OPTIONS = [
    {"sample_weight": np.arange(600) % 4.0},
    {"l1": 0.05},
    {"l1": 0.02, "sample_weight": 1.0 + np.arange(600) % 3},
    {"optimizer": "sgd"},
    {"optimizer": "momentum"},
    {"optimizer": "nesterov"},
    {"init": ([30.0, -30.0, 0.0, 5.0, 1.0], -70.0)},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options))
@pytest.mark.parametrize("loss", KINKED)
def test_whatever_the_options(loss, options):
    y, standard = suited(loss, Y), (X - X.mean(axis=0)) / X.std(axis=0)
    best = optimum(standard, y, (loss, {}), options.get("sample_weight"), options.get("l1", 0.0))
    result = fastgd.fit(standard, y, loss=loss, **options)
    assert result.loss - best <= 1e-4 * best
    assert result.status == "converged"


@pytest.mark.parametrize("loss", KINKED)
def test_l2_and_outputs(loss):
    y, other = suited(loss, Y), suited(loss, X[:, 0] - 3 * Y)
    options = {"loss": loss, "l2": 0.3, "record": None}
    assert fastgd.fit(X, y, **options).loss <= 1.0001 * fastgd.fit(X, y, **options, tol=0.0, epochs=5000).loss
    best = optimum(X, y, (loss, {})) + optimum(X, other, (loss, {}))
    assert fastgd.fit(X, np.column_stack([y, other]), loss=loss).loss <= 1.0001 * best


@pytest.mark.parametrize("batch_size", [1, 32, 256])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_few_epochs_in_batches_come_near(loss, batch_size):
    X, y = data(n=100_000)
    y = suited(loss[0], y)
    best = fastgd.fit(X, y, loss=loss, record=None).loss
    result = fastgd.fit(X, y, loss=loss, batch_size=batch_size, epochs=5, rng=0)
    assert (result.loss - best) / best <= 1e-3
    assert result.history.lr[-1] < result.lr
    assert "the rate was halved" in result.message


@pytest.mark.parametrize("loss", KINKED)
def test_the_rates_are_told(loss):
    y = suited(loss, Y)
    result = fastgd.fit(X, y, loss=loss)
    rates = result.history.lr
    assert rates[0] == result.lr
    halvings = np.log2(rates[:-1] / rates[1:])
    assert (halvings == np.round(halvings)).all()
    assert (halvings >= 0).all()
    # the last halving may come after the last step
    assert f"halved {int(halvings.sum()) + 1} times" in result.message
    assert result.loss == result.history.loss.min()
    best = int(result.history.loss.argmin())
    np.testing.assert_array_equal(result.coef, result.history.coef[best])
    assert f"returned is epoch {best}, the best" in result.message


@pytest.mark.parametrize("loss", KINKED)
def test_a_start_at_the_optimum_stays_there(loss):
    y = suited(loss, Y)
    first = fastgd.fit(X, y, loss=loss)
    again = fastgd.fit(X, y, loss=loss, init=first)
    assert again.status == "converged"
    assert again.loss <= first.loss * (1 + 1e-12)


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize("batch_size", [None, 10])
@pytest.mark.parametrize("loss", [name for name in KINKED if name not in SIDES])
def test_exact_data_come_out_or_it_is_said(loss, batch_size):
    exact = suited(loss, X @ [1.0, 2.0, 3.0, 4.0, 5.0] + 3)
    result = fastgd.fit(X, exact, loss=loss, batch_size=batch_size, rng=0)
    assert result.loss < 1e-5
    assert result.status == "max_epochs" or result.loss < 1e-9


@pytest.mark.parametrize("loss", KINKED)
def test_what_is_explained_at_once(loss):
    for targets in (suited(loss, np.zeros(600)), suited(loss, np.full(600, 7.0))):
        result = fastgd.fit(X, targets, loss=loss)
        assert (result.status, round(result.loss, 9)) == ("converged", 0.0)


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize("optimizer", ["adagrad", "rmsprop", "adam"])
@pytest.mark.parametrize("loss", KINKED)
def test_rules_with_rates_of_their_own_keep_them(loss, optimizer):
    y = suited(loss, Y)
    result = fastgd.fit(X, y, loss=loss, optimizer=optimizer)
    assert (result.history.lr == result.lr).all()
    assert "halved" not in result.message


RUNS = [
    {},
    {"optimizer": "momentum"},
    {"l1": 0.1, "sample_weight": np.arange(60) % 3},
    {"schedule": "invscaling"},
    {"tol": 1e-2, "patience": 2},
    {"validate": True},
    {"validate": True, "batch_size": 7},
    {"batch_size": 7},
    {"batch_size": 1, "epochs": 6},
    {"batch_size": 7, "tol": None, "exact_loss": True, "record": "step"},
]


@pytest.mark.parametrize("options", RUNS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize("loss", KINKED)
def test_reference_and_engine_take_the_same_path(loss, options):
    X, y = make_problem(loss, outputs=2)
    options = {"epochs": 100} | options
    if options.pop("validate", False):
        options["X_val"], options["y_val"] = make_problem(loss, n=20, outputs=2, seed=9)
    comparison = fastgd.compare(X, y, loss=loss, rng=3, **options)
    assert comparison.max_difference <= 1e-9
    assert comparison.result.message == comparison.reference.message
    assert "the rate was halved" in comparison.result.message


@pytest.mark.parametrize("loss", ["perceptron", ("hinge", {"margin": 0})])
def test_a_perceptron_is_a_rule_to_be_run_not_a_minimum_to_be_found(loss):
    """From all coefficients 0, whose loss is 0, it steps all the same, and what it comes to tells sides apart."""
    X, y = data(signal=5.0)
    y = suited("perceptron", y)
    found = fastgd.fit(X, y, loss=loss)
    assert (found.status, found.loss, np.abs(found.coef).max()) == ("converged", 0, 0)
    assert "the least it can be: hinge asks for more" in found.message
    for options in ({"lr": 0.1, "batch_size": 1}, {"lr": 7.0}, {"batch_size": 1}, {"batch_size": 16, "lr": 1.0}):
        result = fastgd.fit(X, y, loss=loss, epochs=30, tol=None, rng=0, **options)
        assert result.status == "max_epochs"
        assert np.mean(result.predict(X) * y > 0) > 0.75
    # what is told wrong moves the line by lr y x: Rosenblatt's rule, by hand
    w, b = np.zeros(X.shape[1]), 0.0
    for i in np.random.default_rng(0).permutation(len(X)):
        if y[i] * (w @ X[i] + b) <= 0:
            w, b = w + 0.5 * y[i] * X[i], b + 0.5 * y[i]
    np.testing.assert_allclose(fastgd.fit(X, y, loss=loss, lr=0.5, epochs=1, batch_size=1, rng=0).coef, w, rtol=1e-12)
    # coefficients that are worse than none are led to less
    away = fastgd.fit(X, y, loss=loss, init=(-w, 0.0), lr=0.1, epochs=500)
    assert away.loss < away.history.loss[0] / 10
