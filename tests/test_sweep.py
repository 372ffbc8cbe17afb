"""Sweep: the losses and statuses of separate fits, whatever is asked, and a word for each."""

from __future__ import annotations

import os
import signal
import threading
import tracemalloc

import numpy as np
import pytest

import fastgd
from conftest import fitting, make_problem, small_rate
from fastgd import _core, _sweep, _swept

#: from far too small to far too large, in no order
FACTORS = np.array([1e-3, 1.0, 30.0, 0.1, 300.0, 1e5])

#: options of a sweep on a problem with an "outputs" of its own
OPTIONS = {
    "plain": {},
    "outputs": {"outputs": 2},
    "weights": {"weighted": True},
    "standardised": {"standardize": True},
    "without intercept": {"fit_intercept": False},
    "l2": {"l2": 0.3},
    "l1": {"l1": 0.1},
    "both, standardised": {"l1": 0.1, "l2": 0.3, "standardize": True},
    "start": {"init": ("normal", 0.5), "rng": 3},
    "batches": {"batch_size": 7, "rng": 5},
    "batches, exact": {"batch_size": 7, "rng": 5, "exact_loss": True, "standardize": True},
    "batches, one order": {"batch_size": 7, "rng": 5, "shuffle": "once", "weighted": True, "outputs": 2},
    "start and batches": {"batch_size": 7, "init": ("normal", 0.5), "rng": np.random.SeedSequence(7)},
    "as they come": {"batch_size": 7, "shuffle": False},
    "single rows": {"batch_size": 1, "rng": 2},
    "all rows in a batch": {"batch_size": 60},
    "rows": {"engine": "rows"},
    "validated": {"validated": True},
}
#: rules with the batches that they are made for
RULES = [(name, size) for name in _core.optimizers() for size in (None, 1) if fitting(name, size)]


def separately(X, y, rates, epochs, **options):
    """The losses and statuses of one fit a rate."""
    losses, status = np.full((len(rates), epochs + 1), np.nan), []
    for i, rate in enumerate(rates):
        run = fastgd.fit(X, y, lr=rate, epochs=epochs, tol=None, record="epoch", **options)
        epoch, first = np.unique(run.history.epoch, return_index=True)
        losses[i, epoch] = run.history.loss[first]
        status.append(run.status)
    return losses, status


def agree(found, losses, status):
    assert found.status == status
    np.testing.assert_array_equal(np.isnan(found.loss), np.isnan(losses))
    for mine, theirs, ended in zip(found.loss, losses, status, strict=True):
        sound = np.flatnonzero(np.isfinite(theirs))[: -1 if ended == "diverged" else None]
        np.testing.assert_allclose(mine[sound], theirs[sound], rtol=1e-9)


def problem(loss, seed, *, outputs=None, weighted=False, validated=False, **options):
    X, y = make_problem(loss, outputs=outputs, seed=seed)
    if weighted:
        options["sample_weight"] = np.random.default_rng(seed).uniform(0.5, 2.0, len(X))
    if validated:
        options["X_val"], options["y_val"] = make_problem(loss, n=20, seed=seed + 1)
    return X, y, options


@pytest.mark.filterwarnings("ignore::fastgd.DivergenceWarning")
@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("name", OPTIONS)
def test_is_separate_fits(name, kept, seed, monkeypatch):
    if not kept:  # as of paths that are too large
        monkeypatch.setattr(_sweep, "_MANY", 0)
        monkeypatch.setattr(_sweep, "_LARGE", 0)
    X, y, options = problem("mse", seed, **OPTIONS[name])
    rates = small_rate("mse", len(X)) * FACTORS
    agree(fastgd.sweep(X, y, rates, epochs=12, **options), *separately(X, y, rates, 12, **options))


@pytest.mark.filterwarnings("ignore::fastgd.DivergenceWarning")
@pytest.mark.parametrize("loss", _core.losses())
@pytest.mark.parametrize("batch_size", [None, 9])
def test_is_separate_fits_for_any_loss(loss, batch_size, seed):
    X, y = make_problem(loss, seed=seed)
    rates = small_rate(loss, len(X)) * FACTORS
    options = {"loss": loss, "batch_size": batch_size, "rng": seed}
    agree(fastgd.sweep(X, y, rates, epochs=8, **options), *separately(X, y, rates, 8, **options))


@pytest.mark.filterwarnings("ignore::fastgd.DivergenceWarning")
@pytest.mark.parametrize("schedule", _core.schedules())
@pytest.mark.parametrize(("optimizer", "batch_size"), RULES)
def test_is_separate_fits_for_any_rule_and_schedule(optimizer, schedule, batch_size, seed):
    X, y = make_problem("mse", seed=seed)
    rates = small_rate("mse", len(X)) * FACTORS
    options = {"optimizer": optimizer, "schedule": schedule, "batch_size": batch_size, "rng": seed}
    agree(fastgd.sweep(X, y, rates, epochs=8, **options), *separately(X, y, rates, 8, **options))


@pytest.mark.parametrize("options", [{}, {"optimizer": "momentum"}, {"batch_size": 7, "rng": 1}, {"loss": "absolute"}])
def test_verdicts_do_not_depend_on_whether_the_path_is_kept(options, seed, monkeypatch):
    X, y = make_problem("mse", seed=seed)
    rates = small_rate("mse", len(X)) * np.logspace(-1, 4, 40)
    kept = fastgd.sweep(X, y, rates, epochs=40, **options)
    monkeypatch.setattr(_sweep, "_MANY", 0)
    monkeypatch.setattr(_sweep, "_LARGE", 0)
    watched = fastgd.sweep(X, y, rates, epochs=40, **options)
    assert watched.verdict == kept.verdict
    np.testing.assert_array_equal(watched.loss, kept.loss)


def test_a_sweep_keeps_no_paths():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 2000)), rng.standard_normal(20)
    tracemalloc.start()
    fastgd.sweep(X, y, [1e-5, 1e-4], epochs=2000)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8_000_000  # the path of one rate is 32 MB


def test_is_of_the_shape_and_order_asked_for():
    x, y = fastgd.datasets.load_points()
    found = fastgd.sweep(x, y, [1e-4, 1e-6, 1.0, 1e-5], epochs=30)
    assert found.lr.tolist() == [1e-4, 1e-6, 1.0, 1e-5]
    assert found.loss.shape == (4, 31)
    assert found.status == ["max_epochs", "max_epochs", "diverged", "max_epochs"]
    assert np.isnan(found.loss[2]).any()
    assert np.isnan(found.final).tolist() == [False, False, True, False]
    assert found.best == 1e-4
    assert np.isnan(fastgd.sweep(x, y, [1.0, 2.0], epochs=30).best)


@pytest.mark.parametrize("lr", [(1e-5, 1e-4), np.array([1e-5, 1e-4], np.float32), np.logspace(-5, -4, 2)[::-1], [1]])
def test_takes_any_array_of_rates_and_writes_to_none(lr):
    x, y = fastgd.datasets.load_points()
    before = np.array(lr)
    found = fastgd.sweep(x, y, lr, epochs=2)
    np.testing.assert_array_equal(found.lr, before.astype(float))
    found.lr[0] = 7.0
    np.testing.assert_array_equal(np.array(lr), before)


def test_a_generator_gives_every_rate_the_same_and_moves_as_the_longest_run():
    X, y = make_problem("mse")
    rng, one, other = (np.random.default_rng(4) for _ in range(3))
    rates = [1e5, 0.01, 0.02, 1e5]
    found = fastgd.sweep(X, y, rates, epochs=5, batch_size=8, init=("normal", 1.0), rng=rng)
    seeded = fastgd.sweep(X, y, rates, epochs=5, batch_size=8, init=("normal", 1.0), rng=4)
    np.testing.assert_array_equal(found.loss, seeded.loss)
    fastgd.fit(X, y, lr=0.01, epochs=5, batch_size=8, init=("normal", 1.0), rng=one)
    assert rng.bit_generator.state == one.bit_generator.state
    with pytest.raises(ValueError, match="l1 must"):
        fastgd.sweep(X, y, rates, epochs=5, batch_size=8, rng=other, l1=-1.0)
    assert other.bit_generator.state == np.random.default_rng(4).bit_generator.state


def test_without_a_seed_too_all_rates_get_the_same_batches():
    X, y = make_problem("mse")
    found = fastgd.sweep(X, y, [0.01, 0.01, 0.01], epochs=5, batch_size=8)
    np.testing.assert_array_equal(found.loss[0], found.loss[1])
    np.testing.assert_array_equal(found.loss[0], found.loss[2])


@pytest.mark.parametrize("seed", range(3))
def test_verdicts_about_the_largest_stable_rate(seed):
    X, y = fastgd.datasets.make_linear(n=300, noise=0.5, rng=seed)
    for optimizer in ("sgd", "momentum", "nesterov"):
        for l2 in (0.0, 0.7):
            first = fastgd.sweep(X, y, [1e-3], epochs=1, optimizer=optimizer, l2=l2)
            rates = first.lr_max * np.array([1e-6, 0.3, 0.97, 0.999, 1.001, 1.03])
            found = fastgd.sweep(X, y, rates, epochs=30_000, optimizer=optimizer, l2=l2)
            assert found.lr_max == first.lr_max
            assert found.status == ["max_epochs"] * 4 + ["diverged"] * 2
            assert [found.verdict[i] for i in (0, 2, 3, 4, 5)] == ["crawls", *["oscillates"] * 2, *["diverges"] * 2]
            if optimizer == "sgd":
                assert found.verdict[1] == "good"


def test_the_minimum_is_known():
    X, y = fastgd.datasets.make_linear(n=300, noise=0.5, rng=0)
    for options in ({}, {"l2": 0.7}, {"l2": 0.7, "standardize": True}, {"fit_intercept": False}):
        fitted = {key: value for key, value in options.items() if key != "standardize"}
        found = fastgd.sweep(X, y, [1e-3], epochs=1, **options)
        assert found.minimum == pytest.approx(fastgd.closed_form(X, y, **fitted).loss, rel=1e-9)
        assert found.lowest == found.minimum
    found = fastgd.sweep(X, y, [1e-3, 1e-2], epochs=3, batch_size=10, rng=0)
    assert found.minimum is None
    assert found.lowest == found.loss[1, -1]


@pytest.mark.parametrize("unit", [1e-150, 1e-20, 1e-13, 1.0, 1e13, np.array([1e-9, 1e9])])
@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("l2", [0.0, 0.7])
def test_the_minimum_is_known_in_any_units(unit, offset, l2):
    X, y = fastgd.datasets.make_linear(n=300, noise=0.1, rng=0)
    X = (X + offset) * unit
    l2 = l2 if np.isscalar(unit) and unit > 1e-100 else 0.0
    best = fastgd.closed_form(X, y, l2=l2 * np.max(unit) ** 2)
    found = fastgd.sweep(X, y, [1e-30], epochs=1, l2=l2 * np.max(unit) ** 2)
    assert found.minimum == pytest.approx(best.loss, rel=1e-6)


def test_a_column_without_variance_has_no_part_in_the_minimum():
    X, y = fastgd.datasets.make_linear(n=300, noise=0.1, rng=0)
    wide = np.column_stack([X, np.full(len(X), 0.1), np.zeros(len(X))])
    for unit in (1.0, 1e-12, 1e12):
        found = fastgd.sweep(wide * unit, y, [1e-30], epochs=1)
        assert found.minimum == pytest.approx(fastgd.closed_form(X, y).loss, rel=1e-9)


@pytest.mark.parametrize("options", [{}, {"l2": 0.7}, {"standardize": True}, {"optimizer": "momentum"}, {"l1": 0.1}])
def test_what_is_known_does_not_depend_on_the_engine(options, seed):
    X, y = make_problem("mse", seed=seed)
    there = [fastgd.sweep(X, y, [1e-3, 1e-2], epochs=3, engine=engine, **options) for engine in ("rows", "gram")]
    assert there[0].lr_max == there[1].lr_max
    assert there[0].lr_max == pytest.approx(
        fastgd.diagnose(X, y, **{"optimizer": "sgd"} | {k: v for k, v in options.items() if k != "l1"}).lr_max
    )
    assert there[0].minimum == there[1].minimum
    assert there[0].advice == there[1].advice


@pytest.mark.parametrize("rates", [[0.1, 0.1], [0.4, 0.9], [1e-3]])
@pytest.mark.parametrize("epochs", [1, 5, 50])
def test_no_advice_where_scales_are_not_why(rates, epochs):
    X, y = fastgd.datasets.make_linear(n=300, rng=0)
    assert fastgd.sweep(X, y, rates, epochs=epochs).advice == ""
    assert fastgd.sweep(X[:1], y[:1], rates, epochs=epochs).advice == ""


def test_advice_is_of_what_was_tried():
    x, y = fastgd.datasets.load_points()
    limit = fastgd.diagnose(x, y).lr_max
    for rates, epochs, told in (
        ([0.5], 100, True),
        ([1e-3, 0.9, 2.0], 100, True),
        ([0.2], 100, False),
        ([0.2, 1.5], 100, False),
        ([0.5], 1, False),
    ):
        found = fastgd.sweep(x, y, limit * np.array(rates), epochs=epochs)
        assert ("standardize=True" in found.advice) == told, (rates, epochs)
    assert fastgd.sweep(x, y, [0.5], epochs=2, standardize=True).advice == ""


def test_rates_above_the_best_that_end_high_do_not_crawl():
    X, y = fastgd.datasets.make_linear(rng=0)
    found = fastgd.sweep(X, y, np.logspace(-4, 0, 30), epochs=5, batch_size=10, rng=0)
    words = [word for i, word in enumerate(found.verdict) if not i or found.verdict[i - 1] != word]
    assert words == list(_swept.VERDICTS)


BAD = {
    "a number": (dict(lr=0.1), ValueError, "lr must be a one-dimensional array-like of finite rates > 0.*got 0.1"),
    "auto": (dict(lr="auto"), TypeError, "lr must be a one-dimensional array-like of finite rates > 0, got 'auto'"),
    "none": (dict(lr=[]), ValueError, r"at least one, got shape \(0,\)"),
    "a table": (dict(lr=[[0.1]]), ValueError, r"got shape \(1, 1\)"),
    "a truth": (dict(lr=[True]), TypeError, "lr must be a one-dimensional array-like of .*, got True or False"),
    "one truth": (dict(lr=(0.1, np.True_)), TypeError, "got True or False"),
    "truths": (dict(lr=np.array([True, False])), TypeError, "got True or False"),
    "many epochs": (dict(epochs=10**30), ValueError, r"epochs must be an integer >= 1 below 2\*\*63, got 1000"),
    "zero": (dict(lr=[0.1, 0.0]), ValueError, "got 0.0 at index 1"),
    "nan": (dict(lr=[np.nan]), ValueError, "got nan at index 0"),
    "words": (dict(lr=["a"]), TypeError, "lr must hold real numbers"),
    "epochs auto": (dict(epochs="auto"), TypeError, "epochs must be an integer >= 1, got 'auto'"),
    "no epochs": (dict(epochs=0), ValueError, "epochs must be an integer >= 1, got 0"),
    "tol": (dict(tol=1e-3), ValueError, "tol must be None in a sweep, .* got 0.001"),
    "record": (dict(record="step"), ValueError, "record must be \"epoch\" in a sweep, .* got 'step'"),
    "average": (dict(average="tail", batch_size=3), ValueError, "average must be False in a sweep, .* got 'tail'"),
    "callback": (dict(callback=print), ValueError, "callback must be None in a sweep, got <built-in"),
    "unknown": (dict(rate=3), TypeError, r"sweep\(\) got an unexpected keyword argument 'rate'"),
    "progress": (dict(progress=3), TypeError, "progress must be True or False, got 3"),
    "an option of fit": (dict(loss="msee"), ValueError, "loss must be one of"),
}


@pytest.mark.parametrize("name", BAD)
def test_says_what_is_wrong(name):
    options, kind, message = BAD[name]
    x, y = fastgd.datasets.load_points()
    with pytest.raises(kind, match=message):
        fastgd.sweep(x, y, **({"lr": [0.1], "epochs": 3} | options))


def test_too_many_losses_for_the_memory_are_refused():
    x, y = fastgd.datasets.load_points()
    for epochs in (10**11, 2**62):
        for rates, words in ((1, "1 rate times"), (100, "100 rates times")):
            match = f"no memory for the losses of a sweep: {words} {epochs + 1}, and the path of one, are"
            with pytest.raises(MemoryError, match=match):
                fastgd.sweep(x, y, np.logspace(-3, 0, rates), epochs=epochs)


def test_the_path_of_one_run_counts_too():
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    X, y = np.ones((2, 30)), np.ones(2)
    with pytest.raises(MemoryError, match="and the path of one"):
        fastgd.sweep(X, y, [1e-3], epochs=there // (8 * 30))


@pytest.mark.parametrize("rates", [1, 100_000])
def test_ctrl_c(rates):
    X, y = make_problem("mse", n=2000)
    options = {"epochs": 10**8 if rates == 1 else 3, "batch_size": 1 if rates == 1 else 100}
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        fastgd.sweep(X, y, np.full(rates, 1e-4), **options)


@pytest.mark.parametrize("rates", [1, 3, 40])
def test_repr(rates):
    x, y = fastgd.datasets.load_points()
    found = fastgd.sweep(x, y, np.logspace(-6, -2, rates), epochs=10)
    lines = repr(found).splitlines()
    assert lines[0].startswith("Sweep: ")
    assert len(lines) <= 16
    assert max(map(len, lines)) <= 100
    html = found._repr_html_()
    assert html.count("<tr>") == len(lines) - 1
    assert "<script" not in html


def test_rates_that_all_diverge():
    x, y = fastgd.datasets.load_points()
    found = fastgd.sweep(x, y, [1.0, 1e300], epochs=10)
    assert found.verdict == ["diverges"] * 2
    assert "best" not in repr(found)


def test_numbers_that_are_too_large():
    x, y = fastgd.datasets.load_points()
    found = fastgd.sweep(x * 1e200, y, [1e-3, 1.0], epochs=3)
    assert found.status == ["diverged"] * 2
    assert repr(found)
