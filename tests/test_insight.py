"""What a diverging run is told is true."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

import fastgd
from conftest import make_problem
from fastgd import _core, _curvature

SQUARED = [name for name, row in _core.losses().items() if row["squared"]]
SETTINGS = [
    {},
    {"l2": 3.0},
    {"sample_weight": np.arange(60) % 4},
    {"fit_intercept": False},
    {"sample_weight": np.arange(60) % 5, "l2": 0.5, "fit_intercept": False},
]


def told(X, y, **options):
    with pytest.warns(fastgd.DivergenceWarning) as warned:
        fastgd.fit(X, y, **options)
    return str(warned[0].message)


@pytest.mark.parametrize("few", [True, False], ids=["eigenvalues", "power iteration"])
@pytest.mark.parametrize("options", SETTINGS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize("loss", SQUARED)
def test_the_largest_stable_rate_is_where_runs_begin_to_diverge(loss, options, few, monkeypatch):
    if not few:
        monkeypatch.setattr(_curvature, "EXACT", 0)
    X, y = make_problem(loss)
    X = X * [1.0, 5.0, 0.3]
    message = told(X, y, loss=loss, lr=100.0, epochs=100, **options)
    limit = float(re.search(r"2/L = ([\d.e+-]+\d)", message)[1])
    run = {"loss": loss, "epochs": 3000, "record": None, "init": ([1e3] * 3, 0.0), **options}
    assert fastgd.fit(X, y, lr=0.99 * limit, **run).status == "max_epochs"
    assert "column 1 of X" in told(X, y, lr=1.01 * limit, **run)


@pytest.mark.parametrize(
    "optimizer", ["momentum", ("momentum", {"beta": 0.5}), "nesterov", ("nesterov", {"beta": 0.0})]
)
def test_the_largest_stable_rate_of_momentum(optimizer):
    X, y = make_problem("mse")
    message = told(X, y, lr=100.0, epochs=100, optimizer=optimizer)
    limit = float(re.search(r"below .* = ([\d.e+-]+\d)", message)[1])
    run = {"epochs": 5000, "record": None, "init": ([1e3] * 3, 0.0), "optimizer": optimizer}
    assert fastgd.fit(X, y, lr=0.99 * limit, **run).status == "max_epochs"
    told(X, y, lr=1.01 * limit, **run)


@pytest.mark.parametrize("batch_size", [1, 4, 16])
@pytest.mark.parametrize("loss", SQUARED)
def test_the_rate_advised_for_batches_does_not_diverge(loss, batch_size, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((400, 4)) * [1, 10, 3, 0.1]
    y = X @ [1, 2, 3, 4] + rng.standard_normal(400)
    message = told(X, y, loss=loss, lr=10.0, epochs=100, batch_size=batch_size, rng=seed)
    advised = float(re.search(r"use lr=([\d.e+-]+\d)", message)[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = fastgd.fit(X, y, loss=loss, lr=advised, epochs=100, batch_size=batch_size, rng=seed)
    assert result.status == "max_epochs"
    assert result.loss < 0.1 * result.history.loss[0]


def test_where_no_rate_can_be_told_the_message_still_says_what_to_do():
    X, y = make_problem("mse")
    assert "centre and scale the features" in told(X * 1e200, y, lr=1.0, epochs=5)
    at_start = "after 0 epochs: the objective is not finite at the start"
    assert at_start in told(X, y, lr=1e-3, epochs=5, init=([1e200] * 3, 0.0))
    assert at_start in told(X, y * 1e160, lr=1e-3, epochs=5)


def test_the_message_blames_what_is_to_blame():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    y = X @ [1.0, 2.0, 3.0] + 1
    plain = told(X, y, lr=3.0, epochs=100)
    assert "what makes that" not in plain
    assert "scale" not in plain
    assert "is l2" in told(X, y, lr=0.1, l2=1e3, epochs=100)
    assert "column 1 of X (root mean square" in told(X * [1, 50, 1], y, lr=1.0, epochs=100)
    assert "columns of X go together" in told(np.hstack([X, X, X]), y, lr=1.0, epochs=100)
    tiny = told(X * 1e-6, y, lr=1.5, epochs=100)
    assert "column" not in tiny
    assert "= 1 " not in tiny
    assert "below 2/L = 1" in tiny
    assert "Single rows are sure to be stable below" in told(X, y, lr=5.0, epochs=10, batch_size=1, rng=0)


def test_rules_and_losses_without_a_largest_rate_are_told_to_use_a_smaller_one():
    X, y = make_problem("absolute")
    best = fastgd.closed_form(X, y)
    assert "Use a smaller lr" in told(X, y, lr=10.0, epochs=5, loss="absolute", init=best)
    assert "Use a smaller lr" in told(X, y, lr=50.0, epochs=3, optimizer="adam")


@pytest.mark.parametrize("batch_size", [1, 10, 32])
@pytest.mark.parametrize("way", ["light tails", "heavy tails", "nothing to learn", "offset"])
@pytest.mark.parametrize("more", range(4))
def test_noise_is_no_divergence(batch_size, way, more, seed):
    """Healthy rates, and noise a hundred times what there is to learn, or the start at the minimum already."""
    rng = np.random.default_rng([seed, more])
    X = rng.standard_normal((300, 5)) * rng.uniform(0.3, 3, 5)
    noise = rng.standard_t(3, 300) if way == "heavy tails" else rng.standard_normal(300)
    y = (0.0 if way == "nothing to learn" else 0.1) * X @ rng.standard_normal(5) + 10 * noise + 50 * (way == "offset")
    told = fastgd.diagnose(X, y, batch_size=batch_size)
    for share in (0.1, 0.5, 1.0):
        run = {"lr": share * min(told.lr_auto, told.lr_max), "epochs": 30, "batch_size": batch_size, "rng": seed}
        assert fastgd.fit(X, y, **run).status == "max_epochs"
        assert fastgd.fit(X, y, init=fastgd.closed_form(X, y), **run).status == "max_epochs"


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("options", [{}, {"l2": 3.0}, {"optimizer": "momentum"}, {"batch_size": 8}, {"loss": "sse"}])
def test_a_diverging_run_and_a_diagnosis_say_the_same(options, standardize):
    X, y = make_problem("mse")
    X = X * [1.0, 5.0, 0.3]
    message = told(X, y, lr=100.0, epochs=100, standardize=standardize, rng=0, **options)
    limit = fastgd.diagnose(X, y, standardize=standardize, **options).lr_max
    named = float(re.search(r"(?:= |stable below )([\d.e+-]+\d)", message)[1])
    assert named == pytest.approx(limit, rel=0.05 if "batch_size" in options else 1e-5)


def test_a_table_s_column_is_blamed_by_its_name():
    pd = pytest.importorskip("pandas")
    X, y = make_problem("mse")
    frame = pd.DataFrame(X * [1, 50, 1], columns=["age", "income", "height"])
    assert "what makes that so small is column 'income' (root mean square" in told(frame, y, lr=1.0, epochs=100)
