"""The engine and its NumPy reference agree, part by part and along whole paths. All lists come from the tables."""

from __future__ import annotations

import dataclasses
import inspect
import warnings

import numpy as np
import pytest

import fastgd
from conftest import fitting, make_problem, outputs_of, small_rate
from fastgd import _core, reference

FAMILIES = {
    "loss": (_core.losses(), reference.losses),
    "optimizer": (_core.optimizers(), reference.optimizers),
    "schedule": (_core.schedules(), reference.schedules),
}
ROWS = [(family, name) for family, (table, _) in FAMILIES.items() for name in table]


@pytest.mark.parametrize(("family", "name"), ROWS)
def test_every_part_has_a_twin_with_the_same_defaults(family, name):
    table, twins = FAMILIES[family]
    assert name in twins, f"{family} '{name}' has no twin in fastgd.reference"
    defaults = {field.name: field.default for field in dataclasses.fields(twins[name]) if field.init}
    assert defaults == table[name]["parameters"], f"{family} '{name}': the twin's defaults differ"
    assert table[name]["formula"], f"{family} '{name}' has no formula"
    assert twins[name].__doc__.strip(), f"the twin of {family} '{name}' has no formula"


@pytest.mark.parametrize("family", FAMILIES)
def test_no_twin_without_a_part(family):
    table, twins = FAMILIES[family]
    assert list(twins) == list(table)


@pytest.mark.parametrize("name", _core.losses())
def test_twins_reduce_alike(name):
    assert reference.losses[name].reduction == _core.losses()[name]["reduction"]


def test_signatures_are_the_same():
    assert inspect.signature(reference.fit) == inspect.signature(fastgd.fit)
    assert inspect.signature(reference.gradient_descent) == inspect.signature(fastgd.gradient_descent)


def agree(X, y, **options):
    comparison = fastgd.compare(X, y, **options)
    assert len(comparison.result.history) > 1
    assert comparison.max_difference <= 1e-9
    assert comparison.result.status == comparison.reference.status
    assert comparison.result.message == comparison.reference.message
    assert comparison.result.options.keys() == comparison.reference.options.keys()
    return comparison.result


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shuffle", [True, "once", False])
@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("loss", _core.losses())
def test_paths_agree(loss, batch_size, shuffle, fit_intercept, dtype):
    X, y = make_problem(loss)
    options = {"loss": loss, "lr": small_rate(loss, len(X)), "batch_size": batch_size, "shuffle": shuffle}
    epochs = 200 if batch_size is None else 3
    agree(X.astype(dtype), y, **options, epochs=epochs, fit_intercept=fit_intercept, record="step", rng=1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("average", [False, "tail"])
@pytest.mark.parametrize("loss", ["mse", "absolute", "huber", "hinge", "log_loss"])
def test_rows_whose_products_are_no_number_step_as_they_should(loss, average, outputs, seed):
    """|x|^2 of some is beyond a float64, which those about them must not feel."""
    rng = np.random.default_rng(seed)
    for huge in ([3], [0, 1], [17, 39], []):
        X = rng.standard_normal((40, 3))
        y = (X @ rng.standard_normal((3, outputs)) > 0) * 1.0
        y = y if loss == "log_loss" else 2 * y - 1
        X[huge] *= 1e155
        for lr in (1e-300, 1e-3):
            options = {"loss": loss, "lr": lr, "batch_size": 1, "epochs": 3, "average": average, "standardize": False}
            given = X, y[:, 0] if outputs == 1 else y
            ours, theirs = (fit(*given, **options, rng=1) for fit in (fastgd.fit, reference.fit))
            assert ours.status == theirs.status
            np.testing.assert_allclose(ours.coef, theirs.coef, rtol=1e-9, atol=1e-300)
            losses = (np.where(np.isfinite(run.history.loss), run.history.loss, np.inf) for run in (ours, theirs))
            np.testing.assert_allclose(*losses, rtol=1e-9)


OPTIONS = [
    {"l2": 0.3},
    {"l1": 0.2},
    {"l1": 0.1, "l2": 0.1, "fit_intercept": False},
    {"sample_weight": np.arange(60) % 4},
    {"sample_weight": np.arange(60) % 4, "l1": 0.1, "l2": 0.2, "exact_loss": True},
    {"exact_loss": True},
    {"exact_loss": True, "record": 4},
    {"record": 13},
    {"record": "epoch"},
    {"init": ("normal", 0.5)},
    {"init": ([1.0, -1.0, 0.5], 0.25)},
    {"positive": True},
    {"positive": True, "l1": 0.1, "l2": 0.2, "standardize": True, "sample_weight": np.arange(60) % 4},
    {"positive": True, "init": ("normal", 0.5), "fit_intercept": False},
    {"tol": 1e-2, "patience": 2, "epochs": 60},
    {"tol": 0.5, "epochs": 60},
    {"epochs": 1},
    {"validate": True},
    {"validate": True, "tol": 1e-2, "patience": 2, "epochs": 60, "record": 5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options))
@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("loss", _core.losses())
def test_paths_agree_with_every_option(loss, batch_size, options):
    X, y = make_problem(loss)
    options = dict(options)
    if options.pop("validate", False):
        options["X_val"], options["y_val"] = make_problem(loss, n=20, seed=9)
    if (outputs := outputs_of(loss)) and isinstance(options.get("init", ("",))[0], list):
        options["init"] = np.outer(np.arange(outputs), options["init"][0]), np.arange(outputs)
    base = {"loss": loss, "lr": small_rate(loss, len(X)), "epochs": 6, "batch_size": batch_size, "record": "step"}
    agree(X, y, **(base | options), rng=3)


@pytest.mark.parametrize("options", [{}, {"tol": 1e-2, "patience": 2}, {"epochs": 1}], ids=str)
@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("loss", _core.losses())
def test_tail_averages_agree(loss, batch_size, options):
    X, y = make_problem(loss)
    options = {"lr": small_rate(loss, len(X)), "epochs": 9, "batch_size": batch_size, "average": "tail"} | options
    agree(X, y, loss=loss, **options, rng=3)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("loss", _core.losses())
def test_paths_agree_with_many_outputs(loss, batch_size, outputs):
    X, y = make_problem(loss, outputs=outputs)
    options = {"loss": loss, "lr": small_rate(loss, len(X)), "epochs": 4, "batch_size": batch_size}
    result = agree(X, y, **options, l1=0.05, sample_weight=np.arange(60) % 3, init=("normal", 0.1), rng=5)
    assert result.coef.shape == (outputs, 3)
    assert result.intercept.shape == (outputs,)


RULES = [(name, size) for name in _core.optimizers() for size in (1, 7, None) if fitting(name, size)]


@pytest.mark.parametrize(("optimizer", "batch_size"), RULES)
@pytest.mark.parametrize("schedule", _core.schedules())
def test_paths_agree_for_every_rule_and_schedule(optimizer, schedule, batch_size):
    X, y = make_problem("mse")
    options = {"optimizer": optimizer, "schedule": schedule, "batch_size": batch_size, "record": "step"}
    epochs = {None: 40, 7: 15, 1: 3}[batch_size]
    agree(X, y, **options, lr=0.01, epochs=epochs, rng=2)
    agree(X, y, **options, lr=0.01, epochs=epochs, rng=2, l1=0.3, l2=0.1, sample_weight=np.arange(60) % 3)
    agree(X, y, **options, lr=0.01, epochs=epochs, rng=2, l1=0.1, positive=True)


@pytest.mark.parametrize(("optimizer", "batch_size"), RULES)
@pytest.mark.parametrize("loss", _core.losses())
def test_paths_agree_for_every_rule_and_loss(optimizer, batch_size, loss):
    squared = _core.losses()[loss]["squared"]
    if _core.optimizers()[optimizer]["use"] == "single rows" and not squared:
        return
    X, y = make_problem(loss, outputs=2)
    options = {"loss": loss, "optimizer": optimizer, "batch_size": batch_size, "record": "step"}
    epochs = {None: 200, 7: 23, 1: 4}[batch_size]
    if fastgd.loss_and_gradient(X, y, np.zeros((2, 3)), loss=loss)[0] == 0:
        epochs = epochs // 4 + 1  # kinks of all rows meet in a minimum at 0, about which last bits grow fast
    for penalty in ({}, {"l1": 0.1, "l2": 0.1}, {"l1": 0.01, "positive": True}):
        agree(X, y, **options, **penalty, lr=small_rate(loss, len(X)) / 10, epochs=epochs, rng=2)


@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("record", ["epoch", "step", 5])
def test_runs_that_diverge_agree(batch_size, record):
    X, y = make_problem("mse")
    with pytest.warns(fastgd.DivergenceWarning, match="too large"):
        comparison = fastgd.compare(X, y, lr=3.0, epochs=50, batch_size=batch_size, record=record, rng=0)
    assert comparison.result.status == comparison.reference.status == "diverged"
    # growth by 1e6 also grows rounding; what is compared is where both end and what they return
    assert comparison.result.n_steps == comparison.reference.n_steps
    np.testing.assert_allclose(comparison.result.coef, comparison.reference.coef, rtol=1e-9)


def test_large_scales_and_any_seed_agree(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((200, 4)) * [1e-3, 1.0, 30.0, 1e3]
    y = X @ [5.0, 1.0, -0.1, 0.002] + rng.standard_normal(200)
    agree(X, y, lr=1e-7, epochs=50, batch_size=16, rng=seed)


def test_callbacks_see_the_same():
    X, y = make_problem("mse")
    seen: list[list[fastgd.State]] = []
    for fit in (fastgd.fit, reference.fit):
        states: list[fastgd.State] = []
        fit(X, y, lr=0.01, epochs=4, batch_size=8, rng=0, callback=lambda state, states=states: states.append(state))
        seen.append(states)
    assert len(seen[0]) == len(seen[1]) == 4
    for one, other in zip(*seen, strict=True):
        assert (one.epoch, one.step, one.lr) == (other.epoch, other.step, other.lr)
        np.testing.assert_allclose([one.loss, one.grad_norm], [other.loss, other.grad_norm], rtol=1e-12)
        np.testing.assert_allclose(one.coef, other.coef, rtol=1e-12)


REFUSED = [
    ({"lr": -1.0}, "lr"),
    ({"loss": "msee"}, "loss"),
    ({"loss": ("mse", {"delta": 1.0})}, "delta"),
    ({"epochs": 0}, "epochs"),
    ({"init": "ones"}, "init"),
]


@pytest.mark.parametrize(("options", "named"), REFUSED)
def test_both_refuse_alike(options, named):
    X, y = make_problem("mse")
    messages = []
    for fit in (fastgd.fit, reference.fit):
        with pytest.raises(ValueError, match=named) as refusal:
            fit(X, y, **({"lr": 0.1, "epochs": 1} | options))
        messages.append(str(refusal.value))
    assert messages[0] == messages[1]


PATHS = [
    (lambda x: 2 * x, 5.0, {"lr": 0.3, "steps": 15}),
    (lambda x: 2 * x, 5.0, {"lr": 1.1, "steps": 5000, "fun": lambda x: x * x}),
    (lambda x: 4 * x**3 - 2 * x, 0.1, {"lr": 0.1, "steps": 200, "tol": 1e-8, "fun": lambda x: x**4 - x**2}),
    (lambda x: np.array([2.0, 20.0]) * x, [3.0, -1.0], {"lr": 0.05, "steps": 40}),
]


@pytest.mark.parametrize("optimizer", [name for name in _core.optimizers() if fitting(name, None)])
@pytest.mark.parametrize("schedule", _core.schedules())
@pytest.mark.parametrize(("gradient", "x0", "options"), PATHS)
def test_descents_agree(gradient, x0, options, optimizer, schedule):
    options = options | {"optimizer": optimizer, "schedule": schedule}
    if optimizer != "sgd":
        options["steps"] = min(options["steps"], 200)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        one = fastgd.gradient_descent(gradient, x0, **options)
        other = reference.gradient_descent(gradient, x0, **options)
    assert [str(warned.message) for warned in told[::2]] == [str(warned.message) for warned in told[1::2]]
    assert len(told) == (2 if one.status == "diverged" else 0)
    assert (one.status, one.n_steps, one.x.shape) == (other.status, other.n_steps, other.x.shape)
    np.testing.assert_allclose(one.x, other.x, rtol=1e-9, atol=1e-12)
    if "fun" in options:
        np.testing.assert_allclose(one.fun, other.fun, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("batch_size", [None, 7, 1])
def test_validation_rows_have_no_weights(batch_size):
    X, y = make_problem("mse")
    options = {"sample_weight": np.arange(len(y)) + 1.0, "X_val": X[:5], "y_val": y[:5], "batch_size": batch_size}
    found = fastgd.compare(X, y, lr=0.01, epochs=3, rng=0, **options)
    assert found.max_difference < 1e-12
    raw = X[:5] @ found.result.coef + found.result.intercept
    np.testing.assert_allclose(min(found.result.history.val_loss), np.mean((raw - y[:5]) ** 2))
