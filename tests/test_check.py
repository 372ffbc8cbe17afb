"""What `check` says of a result, against the closed form and against runs that go on."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastgd
from fastgd import _check, _curvature
from problems import PROBLEMS, RULES, generic, gram


@pytest.mark.parametrize("problem", PROBLEMS)
def test_errors_are_those_to_the_closed_form(problem):
    make, options = PROBLEMS[problem]
    X, y = make()
    weights = options.get("sample_weight")
    result = gram(X, y, lr=fastgd.diagnose(X, y, **options).lr_auto, epochs=7, **options)
    best = fastgd.closed_form(X, y, **options)
    found = result.check(X, y, sample_weight=weights)
    assert found.against == "closed form"
    zero = result.history.loss[0]
    least = best.loss if best.loss > 2.2e-16 * zero else 0.0
    expected = (result.loss - least) / (least or zero)
    assert found.excess_loss == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert found.grad_norm == pytest.approx(result.history.grad_norm[-1], rel=1e-6, abs=1e-9 * zero)
    assert found.condition == fastgd.diagnose(X, y, **options).condition
    if problem == "duplicates" or "rank" in problem:
        return  # the minimum of smallest coefficients need not be the nearest
    away = np.linalg.norm(result.coef - best.coef) / np.linalg.norm(best.coef)
    assert found.coef_error == pytest.approx(away, rel=1e-5, abs=1e-9)
    if options.get("fit_intercept", True):
        size = np.linalg.norm(best.intercept)
        of_intercept = np.linalg.norm(np.subtract(result.intercept, best.intercept)) / size
        assert found.intercept_error == pytest.approx(of_intercept, rel=1e-4, abs=1e-9)
    else:
        assert found.intercept_error == 0
    exact = best.check(X, y, sample_weight=weights)
    assert max(exact.coef_error, exact.intercept_error, exact.excess_loss) < 1e-6
    assert exact.epochs_needed == 0


@pytest.mark.parametrize("optimizer", RULES, ids=lambda rule: rule if isinstance(rule, str) else rule[0])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_so_many_epochs_are_needed(problem, optimizer):
    """A run that begins afresh where the other ended takes just so many."""
    make, options = PROBLEMS[problem]
    X, y = make()
    told = fastgd.diagnose(X, y, optimizer=optimizer, **options)
    result = gram(X, y, lr=told.lr_auto, epochs=3, optimizer=optimizer, **options)
    found = result.check(X, y, sample_weight=options.get("sample_weight"))
    if found.epochs_needed == 0:
        assert found.excess_loss <= 1e-6
        return
    if found.epochs_needed > 1_500_000:
        pytest.skip("longer than anyone would wait")
    best, zero = fastgd.closed_form(X, y, **options).loss, result.history.loss[0]
    epochs = int(found.epochs_needed * 1.1) + 5
    further = gram(X, y, lr=result.lr, epochs=epochs, optimizer=optimizer, init=result, **options)
    least = best if best > 2.2e-16 * zero else 0.0
    excess = (further.history.loss - least) / (least or zero)
    assert (excess <= 1e-6).any()
    assert found.epochs_needed == pytest.approx(int(np.argmax(excess <= 1e-6)), rel=0.02, abs=1)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("l2", [0.0, 1e-9])
@pytest.mark.parametrize("units", [[1e-20] * 3, [1e16, 1, 1], [1e-9, 1, 1], [1e-20, 1, 1e20], [1e7, 1e7, 1e-3]])
def test_no_direction_is_lost_for_its_units(units, l2, intercept, seed):
    X, y = generic(n=50, d=3, seed=seed)
    X = X * units
    options = {"l2": l2, "fit_intercept": intercept}
    best = fastgd.closed_form(X, y, **options)
    lr = 0.3 / max(1.0, (X**2).mean(axis=0).max())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = fastgd.fit(X, y, lr=lr, epochs=100, **options)
    found = result.check(X, y)
    assert found.excess_loss == pytest.approx(result.loss / best.loss - 1, rel=1e-5)
    away = np.linalg.norm(result.coef - best.coef) / np.linalg.norm(best.coef)
    assert found.coef_error == pytest.approx(away, rel=1e-5, abs=1e-9)
    if result.loss > 1.01 * best.loss:
        assert found.epochs_needed > 1e6
        assert "Nothing is left" not in " ".join(found.advice)
    if l2 == 0:
        assert found.condition > (max(units) / min(units)) ** 2 / 100


def test_case_3_is_measured():
    x, y = fastgd.datasets.load_points()
    found = fastgd.fit(x, y, lr=1e-4, epochs=1000).check(x, y)
    assert found.excess_loss == pytest.approx(112.61481010123589 / 110.25738344912885 - 1, rel=1e-9)
    assert found.coef_error == pytest.approx(1.4777440851889796 / 1.32243102 - 1, rel=1e-6)
    assert found.intercept_error == pytest.approx(1 - 0.08893651996682014 / 7.99102099, rel=1e-6)
    assert round(found.condition) == 66_031
    assert found.epochs_needed > 600_000
    assert "fastgd.diagnose with this run's options says why" in found.advice[0]
    shown = repr(found)
    assert "2.14 % above the minimum" in shown
    assert max(map(len, shown.splitlines())) <= 98
    assert "<table>" in found._repr_html_()
    done = fastgd.fit(x, y).check(x, y)
    assert done.coef_error < 1e-12
    assert done.advice == ("Nothing is left to do: the loss is within a millionth of the minimum.",)


def test_a_rate_that_diverges_needs_epochs_without_end():
    x, y = fastgd.datasets.load_points()
    with pytest.warns(fastgd.DivergenceWarning):
        result = fastgd.fit(x, y, lr=0.01, epochs=10)
    found = result.check(x, y)
    assert found.epochs_needed == np.inf
    assert "never" in repr(found)
    assert "says why" in found.advice[0]


def test_a_loaded_result_is_checked_as_the_one_that_was_saved(tmp_path):
    X, y = generic(outputs=2)
    result = fastgd.fit(X, y, lr=0.01, epochs=20, optimizer=("momentum", {"beta": 0.5}), l2=0.1)
    result.save(tmp_path / "model.json")
    again = fastgd.load(tmp_path / "model.json").check(X, y)
    assert repr(again) == repr(result.check(X, y))
    assert again.epochs_needed == result.check(X, y).epochs_needed > 0


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {"l1": 0.5},
        {"l1": 0.2, "l2": 0.3},
        {"l1": 3.0, "fit_intercept": False},
        {"loss": "huber", "l2": 0.2, "fit_intercept": False},
        {"loss": "half_mse", "l1": 0.1, "sample_weight": np.arange(120) % 4 + 0.5},
    ],
)
@pytest.mark.parametrize("epochs", [2, 10, 40])
def test_certificates_hold(options, epochs, standardize):
    X, y = generic(scales=np.array([1, 2, 0.5, 1.5]), offset=0.3)
    same = {**options, "standardize": standardize, "optimizer": "accelerated"}
    best = fastgd.fit(X, y, lr="auto", epochs=5000, tol=None, **same)
    result = fastgd.fit(X, y, lr=best.lr / 2, epochs=epochs, **same)
    found = result.check(X, y, sample_weight=options.get("sample_weight"))
    assert found.against == "certificate"
    assert found.grad_norm == pytest.approx(result.history.grad_norm[-1], rel=0.3)
    assert (result.loss - best.loss) / best.loss <= found.excess_loss * (1 + 1e-6) + 1e-12
    assert np.linalg.norm(result.coef - best.coef) / np.linalg.norm(best.coef) <= found.coef_error + 1e-9
    if options.get("fit_intercept", True):
        assert abs(result.intercept / best.intercept - 1) <= found.intercept_error + 1e-9
    assert best.check(X, y, sample_weight=options.get("sample_weight")).excess_loss < 1e-6
    assert ("at most" in repr(found)) == np.isfinite([found.excess_loss, found.coef_error]).any()
    assert "inf" not in repr(found)


def test_where_no_certificate_holds_none_is_given():
    X, y = generic()
    for options in ({"loss": "huber"}, {"loss": "absolute"}, {"loss": "quantile"}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = fastgd.fit(X, y, lr=0.01, epochs=5, **options).check(X, y)
        assert np.isnan([found.coef_error, found.excess_loss, found.epochs_needed]).all()
        assert found.grad_norm > 0
        assert "not to be told" in repr(found)
        assert ("linprog" in found.advice[-1]) == (options["loss"] != "huber")
    wide = generic(n=10, d=30)
    assert np.isnan(fastgd.fit(*wide, l1=0.1, lr=0.001, epochs=5).check(*wide).excess_loss)


@pytest.mark.parametrize("batch_size", [None, 30])
@pytest.mark.parametrize(
    "schedule", [*fastgd.schedules(), ("step", {"every": 3}), ("linear", {"end": 1e-5}), ("cosine", {"end": 1e-3})]
)
def test_the_rate_of_the_rest_is_the_schedule_s_last(schedule, batch_size):
    X, y = generic(noise=0.0)
    run = {"lr": 0.1, "epochs": 11, "schedule": schedule, "batch_size": batch_size, "shuffle": False}
    found = fastgd.fit(X, y, record="step", **run).check(X, y)
    for record in (None, "epoch", 7):
        again = fastgd.fit(X, y, record=record, **run).check(X, y)
        assert again.epochs_needed == pytest.approx(found.epochs_needed, rel=1e-6, nan_ok=True)
    slow = fastgd.fit(X, y, lr=0.1, epochs=11, schedule=("linear", {"end": 1e-5}), record=None).check(X, y)
    assert "At lr=1e-05, where the schedule ended, that is long" in slow.advice[0]


def test_nothing_is_relative_to_0(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((80, 3))
    nothing = fastgd.fit(X, np.zeros(80), lr=0.01, epochs=3, init=(rng.standard_normal(3), 0.5)).check(X, np.zeros(80))
    assert nothing.excess_loss == np.inf
    assert np.isnan([nothing.coef_error, nothing.intercept_error]).all()
    assert "above the minimum, which is 0" in repr(nothing)
    X = X - X.mean(axis=0)
    y = X @ [1.0, 2.0, 3.0]
    y = y - y.mean()
    exact = fastgd.fit(X, y, lr=0.1, epochs=5, init=(np.zeros(3), 1.0)).check(X, y)
    assert np.isnan(exact.intercept_error)
    assert exact.coef_error > 0.01
    assert fastgd.closed_form(X, y).check(X, y).intercept_error == 0
    assert "intercept" not in repr(fastgd.fit(X, y, lr=0.1, epochs=5, fit_intercept=False).check(X, y))


def test_in_batches_the_rest_is_a_bound():
    x, y = fastgd.datasets.load_points()
    noisy = fastgd.fit(x, y, lr=1e-4, epochs=10, batch_size=10, rng=0).check(x, y)
    assert (noisy.epochs_is, np.isnan(noisy.epochs_needed)) == ("none", True)  # a constant rate never gets there
    y = 3 + 2 * x
    found = fastgd.fit(x, y, lr=1e-4, epochs=10, batch_size=10, rng=0).check(x, y)
    assert found.epochs_is == "bound"
    assert "at least" in repr(found)
    adam = fastgd.fit(x, y, lr=1e-4, epochs=10, optimizer="adam").check(x, y)
    assert np.isnan(adam.epochs_needed)


def test_many_features_are_estimated(monkeypatch):
    X, y = generic(n=90, d=40, outputs=2)
    result = fastgd.fit(X, y, lr=0.01, epochs=30)
    exact = result.check(X, y)
    monkeypatch.setattr(_curvature, "MANY", 10)
    near = result.check(X, y)
    assert near.against == "estimate"
    assert "an estimate" in repr(near)
    assert np.isnan(near.coef_error)
    assert near.excess_loss == pytest.approx(exact.excess_loss, rel=0.01)
    assert near.grad_norm == pytest.approx(exact.grad_norm, rel=1e-9)
    assert near.epochs_needed == pytest.approx(exact.epochs_needed, rel=0.1)


def test_rows_that_do_not_fit_the_result_are_refused():
    pd = pytest.importorskip("pandas")
    X, y = generic()
    result = fastgd.fit(pd.DataFrame(X, columns=list("abcd")), y, lr=0.01, epochs=2)
    with pytest.raises(ValueError, match="X must have 4 features as in the fit, got 3"):
        result.check(X[:, :3], y)
    with pytest.raises(ValueError, match="X must have the columns of the fit in their order, 'a' in column 0, got 'b'"):
        result.check(pd.DataFrame(X, columns=list("bacd")), y)
    with pytest.raises(ValueError, match=r"y must be \(n,\) as in the fit, got \(n, 2\)"):
        result.check(X, np.column_stack([y, y]))
    with pytest.raises(ValueError, match=r"y must have one entry for each of the 120 rows of X, got 119"):
        result.check(X, y[1:])
    with pytest.raises(ValueError, match="sample_weight must be >= 0"):
        result.check(X, y, sample_weight=-np.ones(120))
    two = fastgd.fit(X, np.column_stack([y, y]), lr=0.01, epochs=2)
    for other, given in ((y, r"\(n,\)"), (y[:, None], r"\(n, 1\)")):
        with pytest.raises(ValueError, match=rf"y must be \(n, 2\) as in the fit, got {given}"):
            two.check(X, other)


def test_the_check_has_its_own_module():
    assert fastgd.Check is _check.Check
