"""What `diagnose` foretells comes true: over made and real problems, for every rule that it claims to know."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

import fastgd
from fastgd import _advice, _curvature, _forecast
from fastgd._curvature import Bowl, modes
from fastgd._request import make_problem as checked
from fastgd._statistics import Statistics
from problems import PROBLEMS, RULES, generic, gram


def found_by_bisection(X, y, told, optimizer, options, runs=14):
    """Between a tenth and ten times what is told, the largest rate at which a run does not end above its start."""
    rng = np.random.default_rng(0)
    single = y.ndim == 1
    shape = X.shape[1:] if X.ndim == 2 else (1,)
    coef = 1e3 * rng.standard_normal(shape if single else (y.shape[1], *shape)) / np.abs(X).max()
    start = coef, 0.0 if single else np.zeros(y.shape[1])
    low, high = np.log(told / 10), np.log(told * 10)
    for _ in range(runs):
        rate = float(np.exp((low + high) / 2))
        run = gram(X, y, lr=rate, epochs=4000, record=None, init=start, optimizer=optimizer, **options)
        low, high = (low, np.log(rate)) if run.status == "diverged" else (np.log(rate), high)
    return float(np.exp((low + high) / 2))


def counted(X, y, found, lr, optimizer, options):
    """Epochs of an actual run to a relative excess loss of 1e-6, that of the closed form."""
    best = fastgd.closed_form(X, y, **options).loss
    run = gram(X, y, lr=lr, epochs=int(found.epochs * 1.3) + 10, optimizer=optimizer, **options)
    zero = run.history.loss[0]
    least = best if best > 2.2e-16 * zero else 0.0
    excess = (run.history.loss - least) / (least or zero)
    return run.history.epoch[int(np.argmax(excess <= 1e-6))] if (excess <= 1e-6).any() else np.inf


@pytest.mark.parametrize("optimizer", RULES[:3], ids=lambda rule: rule if isinstance(rule, str) else rule[0])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_largest_stable_rate_is_found_by_bisection(problem, optimizer):
    make, options = PROBLEMS[problem]
    X, y = make()
    told = fastgd.diagnose(X, y, optimizer=optimizer, **options)
    assert told.lr_max_is == "exact"
    assert found_by_bisection(X, y, told.lr_max, optimizer, options) == pytest.approx(told.lr_max, rel=0.05)


@pytest.mark.parametrize("share", [None, 0.2, 0.7])
@pytest.mark.parametrize("optimizer", RULES, ids=lambda rule: rule if isinstance(rule, str) else rule[0])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_epochs_are_those_of_a_run(problem, optimizer, share):
    make, options = PROBLEMS[problem]
    X, y = make()
    lr = None if share is None else share * fastgd.diagnose(X, y, optimizer=optimizer, **options).lr_max
    told = fastgd.diagnose(X, y, lr=lr, optimizer=optimizer, **options)
    assert told.epochs_is == "exact"
    if told.epochs > 1_500_000:
        pytest.skip("longer than anyone would wait")
    expected = counted(X, y, told, lr or told.lr_auto, optimizer, options)
    assert told.epochs == pytest.approx(expected, rel=0.02, abs=1)


@pytest.mark.parametrize("problem", [name for name in PROBLEMS if "short rank" not in name])
@pytest.mark.parametrize("batch_size", [1, 10])
def test_in_batches_the_bounds_hold(problem, batch_size, seed):
    make, options = PROBLEMS[problem]
    X, y = make()
    told = fastgd.diagnose(X, y, batch_size=batch_size, **options)
    assert told.lr_max_is == "bound"
    assert told.lr_auto == pytest.approx(auto(X, y, batch_size=batch_size, **options))
    run = fastgd.fit(
        X, y, lr=min(told.lr_auto, told.lr_max), epochs=60, batch_size=batch_size, rng=seed, exact_loss=True, **options
    )
    assert run.status == "max_epochs"
    assert run.loss <= 1.5 * run.history.loss[0]
    best = fastgd.closed_form(X, y, **options).loss
    if told.epochs_is == "none":
        assert options.get("loss") == "sse" or best > 1e-9 * run.history.loss[0]
        return
    within = run.history.loss - best <= 1e-6 * (best if best > 1e-16 * run.history.loss[0] else run.history.loss[0])
    assert not within[run.history.epoch < told.epochs].any()


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
@pytest.mark.parametrize(("optimizer", "batch_size"), [("sgd", 1), ("sgd", 10), ("momentum", 10), ("implicit", 1)])
@pytest.mark.parametrize("options", [{}, {"loss": "sse"}, {"loss": "half_mse", "fit_intercept": False}])
def test_the_noise_of_batches_is_foretold(optimizer, batch_size, share, options, seed):
    X, y = generic(n=1000, seed=seed)
    same = {"optimizer": optimizer, "batch_size": batch_size, **options}
    lr = share * fastgd.diagnose(X, y, **same).lr_auto
    told = fastgd.diagnose(X, y, lr=lr, **same)
    assert (told.epochs_is, told.verdict) == ("none", "good")
    foretold = re.search(r"the loss about ([\d.]+) (%|times)", told.advice[0])
    best = fastgd.closed_form(X, y, **options).loss
    run = fastgd.fit(X, y, lr=lr, epochs=60, rng=seed, tol=None, exact_loss=True, **same)
    noise = run.history.loss[30:].mean() / best - 1
    assert 0.2 * noise < float(foretold[1]) / (100 if foretold[2] == "%" else 1) < 5 * noise
    assert "average='tail'" in " ".join(told.advice)
    assert np.isnan(run.check(X, y).epochs_needed)


def test_implicit_steps_that_are_too_long_are_not_called_good():
    X, y = generic()
    told = fastgd.diagnose(X, y, lr=1e6, optimizer="implicit", batch_size=1)
    assert (told.verdict, told.epochs_is) == ("oscillates", "none")
    assert "Use the automatic rate" in told.advice[0]
    X, y = generic(noise=0.0)
    told = fastgd.diagnose(X, y, lr=1e6, optimizer="implicit", batch_size=1)
    assert (told.verdict, told.epochs_is) == ("good", "bound")


def auto(X, y, *, batch_size, standardize=False, **options):
    run = fastgd.fit(X, y, epochs=1, batch_size=batch_size, standardize=standardize, optimizer="sgd", rng=0, **options)
    return run.lr


@pytest.mark.parametrize("loss", ["huber", "absolute", "quantile", "mse"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "accelerated", "adam"])
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("l2", [0.0, 0.7])
def test_the_automatic_rate_is_that_of_fit(loss, optimizer, standardize, l2):
    X, y = generic(scales=np.array([1, 5, 0.2, 12]), offset=2.0)
    same = {"loss": loss, "optimizer": optimizer, "standardize": standardize, "l2": l2}
    for batch_size in [None] if optimizer == "accelerated" else [None, 7]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = fastgd.fit(X, y, epochs=1, batch_size=batch_size, rng=0, **same)
        told = fastgd.diagnose(X, y, batch_size=batch_size, **same)
        assert told.lr_auto == pytest.approx(run.lr, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov"])
def test_below_the_bound_of_a_smooth_loss_runs_arrive(optimizer, seed):
    X, y = generic(scales=np.array([1, 2, 0.7, 1]), offset=0.3, seed=seed)
    told = fastgd.diagnose(X, y, loss="huber", optimizer=optimizer)
    assert (told.lr_max_is, told.epochs_is) == ("bound", "none")
    run = fastgd.fit(X, 10 * y, loss="huber", lr=0.99 * told.lr_max, epochs=20_000, optimizer=optimizer, record=None)
    best = fastgd.fit(X, 10 * y, loss="huber", tol=1e-9)
    assert run.status == "max_epochs"
    assert run.loss == pytest.approx(best.loss, rel=1e-4)


def test_case_3_is_told_why_the_tutorial_fails():
    x, y = fastgd.datasets.load_points()
    told = fastgd.diagnose(x, y, lr=1e-4)
    assert (round(told.condition), told.verdict, told.features) == (66_031, "crawls", (0,))
    assert (told.L, told.mu) == (pytest.approx(4983.8469, rel=1e-7), pytest.approx(0.0754774312, rel=1e-8))
    assert told.lr_max == pytest.approx(0.000401296, rel=2e-6)
    assert told.harm[0] == pytest.approx(told.condition)
    assert told.epochs > 600_000
    crawl, why, cure, other = told.advice
    assert "about 661,000 epochs" in crawl
    assert "the intercept is what crawls" in crawl
    assert "66,031: column 0 of X has root mean square 49.91" in why
    assert "standardize=True the condition number is 1, and lr=0.5 takes 1 epoch" in cure
    assert "fastgd.fit" in other
    assert "sgd, full batch, mse" in repr(told)
    assert max(map(len, repr(told).splitlines())) <= 98


@pytest.mark.parametrize(
    ("share", "options", "verdict"),
    [
        (1.0, {}, "diverges"),
        (3.0, {"optimizer": "momentum"}, "diverges"),
        (0.8, {}, "oscillates"),
        (0.5, {}, "good"),
        (0.3, {"optimizer": "nesterov"}, "good"),
        (0.02, {}, "crawls"),
        (1.01, {"batch_size": 5}, "oscillates"),
        (2.1, {"batch_size": 5}, "oscillates"),
        (0.5, {"batch_size": 5}, "good"),
        (2.1, {"loss": "huber"}, "oscillates"),
        (20.0, {"loss": "huber", "optimizer": "momentum"}, "oscillates"),
        (0.5, {"loss": "huber"}, "good"),
        (0.02, {"loss": "huber"}, "crawls"),
        (1.5, {"optimizer": "accelerated"}, "diverges"),
    ],
)
def test_verdicts(share, options, verdict):
    X, y = generic()
    lr = share * fastgd.diagnose(X, y, **options).lr_max
    told = fastgd.diagnose(X, y, lr=lr, **options)
    assert told.verdict == verdict
    assert f"lr={lr:g} {'is good' if verdict == 'good' else verdict}" in repr(told)
    assert (told.epochs == np.inf) == (verdict == "diverges")
    if verdict == "diverges" and share > 1:
        assert gram(X, y, lr=lr, epochs=4000, init=(np.full(4, 1e3), 0.0), **options).status == "diverged"
    assert ("may diverge" in told.advice[0]) == (share > 1 and verdict == "oscillates")


@pytest.mark.parametrize("l2", [0.0, 0.7])
@pytest.mark.parametrize("loss", ["mse", "sse", "huber"])
@pytest.mark.parametrize("batch_size", [None, 1, 7, 32])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "accelerated", "implicit"])
def test_the_automatic_rate_is_not_blamed(optimizer, batch_size, loss, l2):
    if (optimizer == "accelerated" and batch_size) or (
        optimizer == "implicit" and (batch_size != 1 or loss == "huber")
    ):
        pytest.skip("no such run")
    X, y = generic()
    same = {"optimizer": optimizer, "batch_size": batch_size, "loss": loss, "l2": l2}
    auto = fastgd.diagnose(X, y, **same).lr_auto
    assert fastgd.diagnose(X, y, lr=auto, **same).verdict in ("good", "crawls")


@pytest.mark.parametrize(
    "options", [{}, {"fit_intercept": True}, {"l2": 1e3}, {"sample_weight": np.arange(1000) % 3 + 1.0}]
)
@pytest.mark.parametrize("batch_size", [1, 8])
def test_one_long_row_is_seen_in_the_bound_of_batches(batch_size, options, seed):
    X = np.full((1000, 1), 0.03)
    X[0] = 1000.0
    y = 2 * X[:, 0] + np.random.default_rng(seed).standard_normal(1000)
    same = {"batch_size": batch_size, "fit_intercept": False, **options}
    told = fastgd.diagnose(X, y, **same)
    assert told.lr_max_is == "bound"
    assert told.lr_auto > 10 * told.lr_max
    assert "automatic" in told.advice[0]
    assert "may diverge" in told.advice[0]
    assert fastgd.diagnose(X, y, lr=told.lr_auto, **same).verdict == "oscillates"
    assert fastgd.diagnose(X, y, lr=told.lr_max / 2, **same).verdict != "oscillates"
    assert fastgd.fit(X, y, lr=0.9 * told.lr_max, epochs=50, rng=seed, **same).status == "max_epochs"


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", ("nesterov", {"beta": 0.2}), "accelerated"])
def test_below_its_bound_a_loss_that_is_not_squared_converges(optimizer):
    """One row through zero: where the loss turns from line to parabola momentum may go round in a circle."""
    X, y = np.ones((1, 1)), np.array([5.3])
    same = {"loss": "huber", "optimizer": optimizer, "fit_intercept": False}
    told = fastgd.diagnose(X, y, **same)
    assert told.lr_max_is == "bound"
    for share in (0.3, 0.7, 0.95):
        run = fastgd.fit(X, y, lr=share * told.lr_max, epochs=3000, tol=None, **same)
        assert run.loss < 1e-12


def test_a_rate_whose_steps_overflow_never_arrives():
    X, y = generic()
    for optimizer in RULES:
        told = fastgd.diagnose(X, y, lr=1e308, optimizer=optimizer)
        assert (told.verdict, told.epochs) == ("diverges", np.inf)


def test_where_nothing_can_be_known_nothing_is_claimed():
    X, y = generic()
    for options in ({"loss": "absolute"}, {"loss": "quantile", "optimizer": "momentum"}, {"optimizer": "adam"}):
        told = fastgd.diagnose(X, y, lr=0.1, **options)
        assert (told.verdict, told.lr_max_is, told.epochs_is) == (None, "none", "none")
        assert np.isnan([told.lr_max, told.epochs]).all()
        assert "no rate can be called too large" in told.advice[0]
    assert np.isnan(fastgd.diagnose(X, y, loss="absolute").L)
    told = fastgd.diagnose(X, y, lr=1e9, batch_size=1, optimizer="implicit")
    assert (told.lr_max, told.lr_max_is) == (np.inf, "exact")
    assert "any rate is stable" in repr(told)
    huge = fastgd.diagnose(X * 1e200, y)
    assert np.isnan([huge.L, huge.condition, huge.lr_max, huge.epochs]).all()
    assert huge.advice == ("X or y hold numbers that are too large to be squared: divide them by their size first.",)


def test_features_are_ordered_by_the_harm_of_their_scales_and_bear_their_names():
    pd = pytest.importorskip("pandas")
    X, y = generic(scales=np.array([1, 500, 0.2, 40]))
    assert fastgd.diagnose(X, y).features == (1, 3, 2, 0)
    sizes = np.log((X**2).mean(axis=0))
    assert fastgd.diagnose(X, y, fit_intercept=False).features == tuple(np.argsort(-np.abs(sizes - sizes.mean())))
    named = fastgd.diagnose(pd.DataFrame(X, columns=["a", "b", "<c>", "d"]), y, lr=1.0)
    assert named.features == ("b", "d", "<c>", "a")
    assert "column 'b' (root mean square" in named.advice[0]
    page = fastgd.diagnose(pd.DataFrame(X[:, 2:], columns=["<c>", "d"]), y)._repr_html_()
    assert "&lt;c&gt;" in page
    assert "<c>" not in page
    assert "<script" not in page


ADVISED = {
    "column 2 of X and column 0 of X nearly determine each other": lambda X: X[:, [0, 1, 0]] + 1e-4 * X[:, [1, 1, 2]],
    "Column 1 of X is constant": lambda X: X * [1, 0, 1, 1] + [0, 7, 0, 0],
    "column 2 of X lies at 2000": lambda X: X + np.array([0, 0, 2000, 0]),
    "column 0 of X has root mean square": lambda X: X * [1000, 1, 1, 1],
    "are independent: many coefficients": lambda X: X[:, [0, 1, 2, 3, 0]],
}


@pytest.mark.parametrize("sentence", ADVISED)
def test_advice_names_what_is_wrong(sentence):
    X, y = generic()
    said = " ".join(fastgd.diagnose(ADVISED[sentence](X), y).advice)
    assert sentence in said or sentence.replace("2 of X and column 0", "0 of X and column 2") in said
    assert not any(other in said for other in ADVISED if other[:9] != sentence[:9] and "constant" in other)


def test_constants_are_told_for_what_they_are():
    X, y = generic()
    nought, weight = X * [1, 0, 1, 0], np.arange(120) % 2.0
    for intercept in (True, False):
        said = fastgd.diagnose(nought, y, fit_intercept=intercept).advice[0]
        assert said == "Column 1 of X and column 3 of X are 0 in every row. Leave them out."
    assert "an intercept by another name" in fastgd.diagnose(nought + np.eye(4)[1], y, fit_intercept=False).advice[1]
    assert "constant" not in " ".join(fastgd.diagnose(X[:1], y[:1]).advice)
    seen = np.where(weight > 0, 3.0, y)
    assert "y is constant" in fastgd.diagnose(X, seen, sample_weight=weight).advice[0]
    assert "Leave the rate out" not in repr(fastgd.diagnose(X * [1e3, 1, 1, 1], y, lr=10.0))
    assert " inf " not in repr(fastgd.diagnose(X, y, lr=1e-320))
    assert "inf" not in repr(fastgd.diagnose(X * 1e200, y))


def test_a_sound_problem_gets_one_sentence():
    X, y = generic()
    assert len(fastgd.diagnose(X, y, lr=0.2).advice) == 1
    assert "y is constant" in fastgd.diagnose(X, np.ones(len(X))).advice[0]
    assert any("l2=1000 bends" in sentence for sentence in fastgd.diagnose(X, y, l2=1000).advice)
    assert "y is far from 0" in fastgd.diagnose(X, y + 50, fit_intercept=False).advice[0]
    assert "larger batches allow no larger rate" in fastgd.diagnose(X, y, batch_size=60).advice[-1]


@pytest.mark.parametrize("options", [{}, {"standardize": True}, {"l2": 0.5}, {"fit_intercept": False, "loss": "sse"}])
def test_what_lanczos_sees_of_many_features_is_near(options, monkeypatch):
    rng = np.random.default_rng(6)
    X = rng.standard_normal((400, 60)) * rng.uniform(0.5, 2, 60) + 0.2
    y = np.column_stack([X[:, 0], X[:, 1] - X[:, 2]]) + rng.standard_normal((400, 2))
    for optimizer in RULES:
        exact = fastgd.diagnose(X, y, optimizer=optimizer, **options)
        with monkeypatch.context() as patch:
            patch.setattr(_curvature, "MANY", 10)
            near = fastgd.diagnose(X, y, optimizer=optimizer, **options)
        assert (near.epochs_is, near.condition_is, exact.condition_is) == ("bound", "bound", "exact")
        assert "at least" in repr(near)
        assert near.condition <= exact.condition * (1 + 1e-9)
        assert near.lr_max_is == ("bound" if optimizer == "accelerated" else "estimate")
        assert near.lr_max == pytest.approx(exact.lr_max, rel=0.02)
        assert near.epochs == pytest.approx(exact.epochs, rel=0.05, abs=1)
        assert near.condition == pytest.approx(exact.condition, rel=0.1)


@pytest.mark.parametrize("rows", [60, 30])
def test_what_lanczos_does_not_see_is_a_bound(rows, monkeypatch, seed):
    """Singular values from 1 to 1e-3: no few passes see the smallest."""
    rng = np.random.default_rng(seed)
    U, _ = np.linalg.qr(rng.standard_normal((60, 50)))
    V, _ = np.linalg.qr(rng.standard_normal((50, 50)))
    X = (8 * (U * np.logspace(0, -3, 50)) @ V.T)[:rows]
    y = X @ rng.standard_normal(50) + 0.01 * rng.standard_normal(rows)
    l2 = 0.0 if rows == 60 else 1e-7
    options = {"fit_intercept": False, "l2": l2}
    exact = fastgd.diagnose(X, y, **options)
    result = fastgd.fit(X, y, lr=exact.lr_auto, epochs=300, **options)
    full = result.check(X, y)
    monkeypatch.setattr(_curvature, "MANY", 10)
    monkeypatch.setattr(_curvature, "_PASSES", 12)
    near, part = fastgd.diagnose(X, y, **options), result.check(X, y)
    assert (near.condition_is, near.epochs_is, part.epochs_is) == ("bound", "bound", "bound")
    assert near.condition <= exact.condition * (1 + 1e-6)
    if l2:
        assert near.mu == pytest.approx(l2)
    else:
        assert near.epochs < exact.epochs
    assert part.excess_loss <= full.excess_loss * (1 + 1e-6)
    assert f"at least {_advice.numbered(near.condition)}" in repr(near)
    assert "at least" in repr(part)
    assert "Nothing is left" not in repr(part)


def test_accelerated_steps_beyond_those_simulated_are_an_estimate(monkeypatch):
    x, y = fastgd.datasets.load_points()
    exact = fastgd.diagnose(x, y, optimizer="accelerated", lr=1e-5)
    monkeypatch.setattr(_forecast, "_STEPS", int(exact.epochs / 1.5))
    near = fastgd.diagnose(x, y, optimizer="accelerated", lr=1e-5)
    assert (exact.epochs_is, near.epochs_is) == ("exact", "estimate")
    assert exact.epochs / 4 < near.epochs < 4 * exact.epochs


def test_nothing_is_changed_and_layouts_agree():
    X, y = generic()
    X.flags.writeable = False
    told = fastgd.diagnose(X, y)
    assert repr(told) == repr(fastgd.diagnose(np.asfortranarray(X), y))
    assert fastgd.diagnose(X.astype(np.float32), y).lr_max == pytest.approx(told.lr_max, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, "lr must be a finite number > 0, got 0.0"),
        ({"lr": "auto"}, "lr must be a finite number > 0"),
        ({"l2": -1}, "l2 must be a finite number >= 0, got -1"),
        ({"batch_size": 0}, "batch_size must be an integer >= 1, got 0"),
        ({"loss": "mean"}, "loss must be one of"),
        ({"optimizer": "sdg"}, "optimizer must be one of"),
        ({"optimizer": "accelerated", "batch_size": 3}, "batch_size must be None for optimizer 'accelerated'"),
        ({"standardize": "auto"}, "standardize must be True or False"),
        ({"fit_intercept": 1}, "fit_intercept must be True or False"),
    ],
)
def test_wrong_requests(options, message):
    X, y = generic()
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        fastgd.diagnose(X, y, **options)


def test_modes_add_up_to_the_objective(seed):
    """At any start the objective is the minimum plus what the modes hold."""
    rng = np.random.default_rng(seed)
    X, y = generic(outputs=2, scales=np.array([1, 30, 0.2, 4]), offset=1.0, seed=seed)
    problem = checked(X, y)
    coef, intercept = rng.standard_normal((2, 4)), rng.standard_normal(2)
    for standardize in (False, True):
        found = modes(
            problem, Bowl(2.0, 0.3, True, standardize, 1), Statistics.of(problem, threads=1), (coef, intercept)
        )
        value, _, _ = fastgd.loss_and_gradient(X, y, coef, intercept, l2=0.3)
        assert found.least + found.excess.sum() == pytest.approx(value, rel=1e-10)
        assert found.least == pytest.approx(fastgd.closed_form(X, y, l2=0.3).loss, rel=1e-10)
        assert found.zero == pytest.approx((y**2).sum() / len(y), rel=1e-12)
