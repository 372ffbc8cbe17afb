"""Update rules, schedules and kinked losses: the same minimum by every road."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import fastgd
from conftest import fitting, make_problem
from fastgd import _core

X, Y = make_problem("mse")
#: rules whose steps grow with the gradient, and those that step by about the rate
STEADY = {"sgd": 0.1, "momentum": 0.01, "nesterov": 0.01, "accelerated": 0.1, "adagrad": 0.5}
HASTY = {"rmsprop": 0.01, "adam": 0.01}


def test_every_rule_is_tried_below():
    assert STEADY.keys() | HASTY.keys() | {"implicit"} == set(_core.optimizers())


@pytest.mark.parametrize("l2", [0.0, 0.4])
@pytest.mark.parametrize("optimizer", STEADY | HASTY)
def test_all_rules_with_l1_end_in_the_same_minimum(optimizer, l2):
    best = fastgd.fit(X, Y, lr=0.1, epochs=20_000, l1=0.8, l2=l2, tol=1e-13, record=None)
    options = {"lr": (STEADY | HASTY)[optimizer], "epochs": 20_000, "l1": 0.8, "l2": l2, "record": None}
    if optimizer in HASTY:
        options["schedule"] = "linear"
    found = fastgd.fit(X, Y, optimizer=optimizer, **options)
    assert (best.coef == 0).any()
    np.testing.assert_allclose(found.loss, best.loss, rtol=1e-9)
    np.testing.assert_allclose(found.coef, best.coef, atol=1e-6)


@pytest.mark.parametrize(
    "schedule", ["invscaling", "linear", "cosine", ("step", {"every": 20}), ("exponential", {"gamma": 0.95})]
)
def test_a_falling_rate_quiets_single_rows(schedule):
    best = fastgd.closed_form(X, Y).loss
    options = {"lr": 0.05, "epochs": 100, "batch_size": 1, "rng": 0}
    steady = fastgd.fit(X, Y, **options).loss - best
    assert fastgd.fit(X, Y, schedule=schedule, **options).loss - best < 0.2 * steady


def test_recorded_rates_follow_the_schedule():
    history = fastgd.fit(X, Y, lr=0.1, epochs=5, batch_size=30, schedule="linear", record="step", rng=0).history
    np.testing.assert_allclose(history.lr[1:], 0.1 * (1 - np.arange(10) / 9), atol=1e-17)
    history = fastgd.fit(X, Y, lr=0.1, epochs=5, schedule=("step", {"every": 2, "gamma": 0.5})).history
    np.testing.assert_allclose(history.lr, [0.1, 0.1, 0.1, 0.05, 0.05, 0.025])


def test_implicit_steps_cannot_blow_up():
    y = Y * 1e3
    for lr in (0.1, 1e3, 1e9):
        result = fastgd.fit(X * 100, y, lr=lr, epochs=5, batch_size=1, optimizer="implicit", rng=0)
        assert result.status == "max_epochs"
    one = fastgd.fit([2.0], [3.0], lr=0.5, epochs=1, batch_size=1, optimizer="implicit", loss="half_mse")
    np.testing.assert_allclose([one.coef[0], one.intercept], [0.5 * 3 * 2 / 3.5, 0.5 * 3 / 3.5])
    x, y = np.array([1.0, -2.0]), np.array([1.0, 4.0])
    two = fastgd.fit(x, y, lr=0.5, epochs=1, batch_size=1, optimizer="implicit", fit_intercept=False, shuffle=False)
    w = 0.5 * 2 * 1 / (1 + 0.5 * 2)
    w -= 0.5 * 2 * (-2 * w - 4) * -2 / (1 + 0.5 * 2 * 4)
    np.testing.assert_allclose(two.coef, [w])


def test_accelerated_needs_far_fewer_epochs():
    scaled = X * [1.0, 0.1, 3.0]
    rate = (
        1
        / np.linalg.eigvalsh(
            2 * np.column_stack([scaled, np.ones(60)]).T @ np.column_stack([scaled, np.ones(60)]) / 60
        )[-1]
    )
    plain, quick = (
        fastgd.fit(scaled, Y, lr=rate, epochs=100_000, tol=1e-8, optimizer=name, record=None)
        for name in ("sgd", "accelerated")
    )
    assert plain.status == quick.status == "converged"
    assert quick.n_epochs < 0.1 * plain.n_epochs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "accelerated", "batch_size": 5}, "batch_size must be None for optimizer 'accelerated'"),
        ({"optimizer": "implicit"}, "batch_size must be 1 for optimizer 'implicit'"),
        ({"optimizer": "implicit", "batch_size": 2}, "batch_size must be 1 for optimizer 'implicit'.*got 2"),
        (
            {"optimizer": "implicit", "batch_size": 1, "loss": "huber"},
            "loss must be a squared one for optimizer 'implicit'",
        ),
        (
            {"optimizer": ("momentum", {"beta": 1.0})},
            r"beta of optimizer 'momentum' must be a number in \[0, 1\), got 1",
        ),
        (
            {"optimizer": ("adam", {"beta": 0.9})},
            "optimizer 'adam' must be given parameters among 'beta1', 'beta2', 'eps'",
        ),
        ({"schedule": ("step", {"every": 2.5})}, "every of schedule 'step' must be an integer >= 1, got 2.5"),
        ({"schedule": ("step", {"every": 0})}, "every of schedule 'step' must be an integer >= 1, got 0"),
        ({"loss": ("quantile", {"q": 1.0})}, r"q of loss 'quantile' must be a number in \(0, 1\), got 1"),
    ],
)
def test_wrong_parts_are_told_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        fastgd.fit(X, Y, **({"lr": 0.1, "epochs": 1} | options))


def test_gradient_descent_has_every_rule_but_those_that_need_rows():
    for name in _core.optimizers():
        if fitting(name, None):
            path = fastgd.gradient_descent(lambda x: 2 * x, 5.0, lr=0.05, steps=400, optimizer=name)
            assert abs(path.x[-1]) < abs(path.x[0]), name
        else:
            with pytest.raises(ValueError, match="optimizer must be one that needs no rows"):
                fastgd.gradient_descent(lambda x: 2 * x, 5.0, lr=0.1, steps=1, optimizer=name)


def test_kinked_losses_find_their_statistics():
    """Without features the minima are the median and the quantiles."""
    rng = np.random.default_rng(0)
    y = rng.exponential(size=501)
    x = np.zeros((501, 1))
    options = {"lr": 0.5, "epochs": 20_000, "schedule": "linear", "record": None}
    assert abs(fastgd.fit(x, y, loss="absolute", **options).intercept - np.median(y)) < 1e-3
    for q in (0.1, 0.5, 0.9):
        assert abs(fastgd.fit(x, y, loss=("quantile", {"q": q}), **options).intercept - np.quantile(y, q)) < 5e-3
    wide = fastgd.fit(x, y, loss=("huber", {"delta": 100.0}), lr=0.5, epochs=100)
    assert abs(wide.intercept - y.mean()) < 1e-9


def test_table_shows_whole_numbers_as_such():
    assert fastgd.schedules()["step"] == {"every": 10, "gamma": 0.1}
    assert type(fastgd.schedules()["step"]["every"]) is int
    assert fastgd.losses()["huber"] == {"delta": 1.0}


TORCH = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adagrad": ("Adagrad", {}),
    "rmsprop": ("RMSprop", {}),
    "adam": ("Adam", {}),
}


@pytest.mark.parametrize("name", TORCH)
def test_rules_are_torchs(name):
    torch = pytest.importorskip("torch")
    importlib.import_module("torch.optim")
    made, options = TORCH[name]
    w = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    rule = getattr(torch.optim, made)([w], lr=0.01, **options)
    A = torch.tensor(np.column_stack([X, np.ones(len(X))]))
    for _ in range(30):
        rule.zero_grad()
        ((A @ w - torch.tensor(Y)) ** 2).mean().backward()
        rule.step()
    found = fastgd.fit(X, Y, lr=0.01, epochs=30, optimizer=name)
    np.testing.assert_allclose([*found.coef, found.intercept], w.detach().numpy(), rtol=1e-12)
