"""Softmax: the loss that sees all outputs of a row together, in `fit`, beside it, and in the classifier."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import LogisticRegression

import fastgd
from fastgd import _core
from fastgd.cli import main

NAMES = np.array(["gale", "calm", "breeze", "storm"])


def data(n=400, d=4, classes=4, seed=0):
    """Rows, numbers of their classes, weights."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * np.resize([1.0, 3.0, 0.5], d) + np.resize([0.0, 2.0], d)
    W = rng.standard_normal((classes, d))
    return X, (X @ W.T + 2 * rng.gumbel(size=(n, classes))).argmax(axis=1), rng.integers(0, 4, n)


X, Y, WEIGHT = data()


def test_it_is_the_formula():
    coef, intercept = np.random.default_rng(1).standard_normal((4, 4)), np.arange(4.0)
    raw = X @ coef.T + intercept
    for weight in (None, WEIGHT):
        s = np.ones(len(X)) if weight is None else weight
        value, grad, grad_b = fastgd.loss_and_gradient(X, Y, coef, intercept, loss="softmax", sample_weight=weight)
        chances = special.softmax(raw, axis=1)
        np.testing.assert_allclose(value, -np.average(np.log(chances[np.arange(len(X)), Y]), weights=s), rtol=1e-13)
        slope = s[:, None] * (chances - np.eye(4)[Y]) / s.sum()
        np.testing.assert_allclose(grad, slope.T @ X, rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(grad_b, slope.sum(axis=0), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("far", [40.0, 800.0, 1e300])
def test_it_neither_overflows_nor_cancels(far):
    """Classes that are all but sure, and all but impossible."""
    x, coef = np.ones((3, 1)), np.array([[far], [0.0], [-far]])
    value, grad, _ = fastgd.loss_and_gradient(x, [0, 0, 0], coef, np.zeros(3), loss="softmax")
    assert value == (pytest.approx(np.exp(-far), rel=1e-12) if far < 700 else pytest.approx(0, abs=1e-300))
    assert grad[0, 0] == pytest.approx(-np.exp(-far), rel=1e-12, abs=1e-300)
    assert fastgd.loss_and_gradient(x, [2, 2, 2], coef, np.zeros(3), loss="softmax")[0] == pytest.approx(2 * far)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("optimizer", ["auto", "sgd", "momentum"])
def test_the_minimum_is_scikit_learns(optimizer, fit_intercept, weight):
    total = len(X) if weight is None else weight.sum()
    theirs = LogisticRegression(C=1 / (0.03 * total), fit_intercept=fit_intercept, tol=1e-10, max_iter=10_000)
    theirs.fit(X, Y, sample_weight=weight)
    options = {"l2": 0.03, "fit_intercept": fit_intercept, "sample_weight": weight, "optimizer": optimizer}
    ours = fastgd.fit(X, Y, loss="softmax", tol=1e-9, epochs=100_000, record=None, **options)
    assert ours.status == "converged"
    np.testing.assert_allclose(ours.coef, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(special.softmax(ours.predict(X), axis=1), theirs.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 16, 256])
def test_batches_come_near_in_a_few_epochs(batch_size):
    rows, y, _ = data(n=20_000, d=10, classes=6)
    best = fastgd.fit(rows, y, loss="softmax", record=None).loss
    found = fastgd.fit(rows, y, loss="softmax", batch_size=batch_size, epochs=5, rng=0)
    assert found.options["average"] == "tail"
    assert found.loss <= best * (1.05 if batch_size == 1 else 1.01)


def test_two_classes_are_log_loss():
    """Of the difference, where l2 on two halves is half of it on the whole."""
    y = np.minimum(Y, 1)
    options = {"tol": 1e-10, "epochs": 100_000}
    both = fastgd.fit(X, y, loss="softmax", l2=0.1, **options)
    one = fastgd.fit(X, y, loss="log_loss", l2=0.05, **options)
    np.testing.assert_allclose(both.coef[1] - both.coef[0], one.coef, rtol=1e-6)
    np.testing.assert_allclose(both.coef.sum(axis=0), 0, atol=1e-12)


def test_shapes_are_those_of_the_classes(tmp_path):
    missing = np.where(Y == 1, 4, Y)  # of five classes number 1 never comes
    for y, classes in ((Y, 4), (missing, 5), (Y.astype(np.float32), 4), (Y[:, None], 4), (np.zeros(len(Y)), 1)):
        result = fastgd.fit(X, y, loss="softmax", lr=0.1, epochs=3)
        assert (result.coef.shape, result.intercept.shape) == ((classes, 4), (classes,))
        assert (result.history.coef.shape, result.history.intercept.shape) == ((4, classes, 4), (4, classes))
        assert result.predict(X).shape == (len(X), classes)
    result.save(tmp_path / "model.json")
    again = fastgd.load(tmp_path / "model.json")
    np.testing.assert_array_equal(again.predict(X), result.predict(X))
    assert (again.options, repr(again)) == (result.options, repr(result))
    part = Y < 3
    more = fastgd.fit(X[part], Y[part], loss="softmax", lr=0.1, epochs=3, init=fastgd.fit(X, Y, loss="softmax"))
    assert more.coef.shape == (4, 4)


def test_numbers_far_beyond_the_rows_are_labels_unless_there_are_coefficients():
    year = 2000 + Y
    with pytest.raises(ValueError, match=r"below 1000, for loss 'softmax', got 200\d in row 0"):
        fastgd.fit(X, year, loss="softmax")
    start = np.zeros((2004, 4)), np.zeros(2004)
    options = {"init": start, "X_val": X[:9], "y_val": year[:9]}
    result = fastgd.fit(X, year, loss="softmax", lr=0.1, epochs=1, record=None, **options)
    assert result.coef.shape == (2004, 4)
    assert fastgd.loss_and_gradient(X, year, *start, loss="softmax")[0] == pytest.approx(np.log(2004))
    assert result.check(X, year).against == "certificate"
    many = np.tile(X, (6, 1))
    assert fastgd.fit(many, np.tile(year, 6), loss="softmax", lr=0.1, epochs=1, record=None).coef.shape == (2004, 4)


def test_every_way_to_lay_out_the_rows_gives_the_same_bits():
    rows, y, weight = data(n=3000, d=11, classes=5)
    for batch_size in (None, 1, 100):
        options = {"loss": "softmax", "lr": 0.05, "epochs": 3, "batch_size": batch_size, "sample_weight": weight}
        plain = fastgd.fit(rows, y, rng=0, **options)
        for other in (np.asfortranarray(rows), rows[::1].astype(">f8"), np.repeat(rows, 2, axis=0)[::2]):
            np.testing.assert_array_equal(fastgd.fit(other, y, rng=0, **options).coef, plain.coef)
        np.testing.assert_array_equal(fastgd.fit(rows, y, rng=0, threads=3, **options).coef, plain.coef)


def test_what_is_told_of_it():
    result = fastgd.fit(X, Y, loss="softmax", l2=0.1, fit_intercept=False)
    check = result.check(X, Y)
    assert (check.against, check.excess_loss < 1e-6, check.coef_error < 1e-2) == ("certificate", True, True)
    assert fastgd.fit(X, Y, loss="softmax").check(X[:9], Y[:9]).against == "certificate"
    found = fastgd.diagnose(X, Y, loss="softmax", standardize=True)
    curvature = np.linalg.eigvalsh(np.corrcoef(X.T))[-1] / 2
    assert found.lr_max == pytest.approx(2 / curvature, rel=1e-9)
    assert found.lr_auto == pytest.approx(fastgd.fit(X, Y, loss="softmax", optimizer="sgd", epochs=1, tol=None).lr)
    sweep = fastgd.sweep(X, Y, [0.01, 0.1, 1e4], epochs=10, loss="softmax", standardize=True)
    assert list(sweep.status) == ["max_epochs", "max_epochs", "diverged"]
    states = []
    fastgd.fit(X, Y, loss="softmax", lr=0.1, epochs=2, callback=states.append)
    assert (states[0].coef.shape, states[0].intercept.shape) == ((4, 4), (4,))
    assert _core.losses()["softmax"]["targets"] == "class"


WRONG = [
    ({"y": Y + 0.5}, r"y must be numbers of classes, 0, 1, 2, \.\.\. below 1000, for loss 'softmax', got \d.5"),
    ({"y": Y - 1}, r"y must be numbers of classes.* got -1 in row"),
    ({"y": Y + 1e9}, r"y must be numbers of classes.* below 1000"),
    ({"y": np.eye(4)[Y]}, r"y must be \(n,\), a class a row, for loss 'softmax', got 4 columns"),
    ({"X_val": X, "y_val": Y + 1}, r"y_val must be classes of y, 0 to 3, got 4 in row"),
    ({"X_val": X, "y_val": Y - 0.5}, "y_val must be numbers of classes"),
    ({"init": (np.zeros(4), 0.0)}, r"coef of init must have shape \(4, 4\), got \(4,\)"),
    ({"engine": "gram"}, "engine must be"),
    ({"optimizer": "implicit", "batch_size": 1}, "loss must be a squared one"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_requests_are_told_by_name(options, message):
    options = {"y": Y, "lr": 0.1, "epochs": 1} | options
    for fit in (fastgd.fit, fastgd.reference.fit):
        with pytest.raises(ValueError, match=message):
            fit(X, loss="softmax", **options)


def test_other_classes_and_pictures_of_a_line_are_refused():
    result = fastgd.fit(X, Y, loss="softmax")
    with pytest.raises(ValueError, match="y must be classes of the fit, 0 to 3, got 4"):
        result.check(X, Y + 1)
    with pytest.raises(ValueError, match=r"coef must have shape \(4, 4\), got \(2, 4\)"):
        fastgd.loss_and_gradient(X, Y, np.zeros((2, 4)), loss="softmax")
    one = fastgd.fit(X[:, 0], Y, loss="softmax")
    for draw in (fastgd.plot.fit_line, fastgd.plot.loss_surface, fastgd.plot.residuals):
        with pytest.raises(ValueError, match="result must be of a loss whose predictions are like y, got 'softmax'"):
            draw(X[:, 0], Y, one)
    for draw in (fastgd.plot.loss_curve, fastgd.plot.parameter_path):
        assert draw(one).ax_.lines


def test_on_the_command_line(tmp_path, capsys):
    file, model = tmp_path / "winds.csv", tmp_path / "model.json"
    np.savetxt(file, np.column_stack([X[:, 0], Y]), delimiter=",", header="gusts,kind", comments="")
    picture = tmp_path / "loss.png"
    request = ["fit", str(file), "--loss", "softmax", "--save", str(model), "--plot", str(picture)]
    assert main(request) == 0
    assert "softmax" in capsys.readouterr().out
    assert picture.stat().st_size > 1000
    assert main(["predict", str(model), str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], len(lines)) == ("kind [0],kind [1],kind [2],kind [3]", len(X) + 1)
    assert main(["fit", str(file), "--target", "gusts", "--loss", "softmax"]) == 1
    assert "winds.csv, line 2: target 'gusts' must be numbers of classes" in capsys.readouterr().err


def quiet(estimator, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(*args, **options)


def test_the_classifier_is_fit_with_labels():
    options = {"loss": "softmax", "alpha": 0.03, "batch_size": 16, "learning_rate": "invscaling", "random_state": 0}
    model = quiet(fastgd.SGDClassifier(**options, max_iter=20), X, NAMES[Y])
    result = fastgd.fit(
        X,
        np.searchsorted(np.sort(NAMES), NAMES[Y]),
        loss="softmax",
        lr=0.01,
        schedule=("invscaling", {"power": 0.5}),
        batch_size=16,
        epochs=20,
        tol=1e-3,
        l2=0.03,
        rng=int(np.random.RandomState(0).randint(2**31 - 1)),
    )
    np.testing.assert_array_equal(model.coef_, result.coef)
    np.testing.assert_array_equal(model.intercept_, result.intercept)
    assert model.classes_.tolist() == sorted(NAMES)
    assert (model.n_iter_, model.t_) == (result.n_epochs, 1 + len(X) * result.n_epochs)
    np.testing.assert_array_equal(model.history_.loss, result.history.loss)
    raw = result.predict(X)
    np.testing.assert_allclose(model.decision_function(X), raw, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(model.predict_proba(X), special.softmax(raw, axis=1), rtol=1e-12)
    np.testing.assert_allclose(model.predict_log_proba(X), special.log_softmax(raw, axis=1), rtol=1e-10, atol=1e-14)
    np.testing.assert_array_equal(model.predict(X), model.classes_[raw.argmax(axis=1)])


BEST = {"loss": "softmax", "learning_rate": "auto", "batch_size": None, "tol": 1e-9, "max_iter": 100_000}


@pytest.mark.parametrize("class_weight", [None, "balanced", {"calm": 3.0, "gale": 0.5}])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_classifiers_minimum_is_logistic_regressions(classes, class_weight):
    y = NAMES[Y % classes]
    factors = {name: 1.0 for name in np.unique(y)} | ({} if class_weight in (None, "balanced") else class_weight)
    if class_weight == "balanced":
        factors = {name: len(y) / classes / (y == name).sum() for name in np.unique(y)}
    total = (weight := WEIGHT * np.array([factors[name] for name in y])).sum()
    model = quiet(fastgd.SGDClassifier(**BEST, alpha=0.02, class_weight=class_weight), X, y, sample_weight=WEIGHT)
    theirs = LogisticRegression(C=1 / (0.02 * total), tol=1e-10, max_iter=10_000).fit(X, y, sample_weight=weight)
    assert model.coef_.shape == ((1 if classes == 2 else classes), 4)
    np.testing.assert_allclose(model.coef_, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(model.predict_proba(X), theirs.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X), rtol=1e-12)
    assert model.decision_function(X).shape == ((len(X),) if classes == 2 else (len(X), classes))
    assert model.score(X, y) == theirs.score(X, y)


@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_classifier_stops_early_goes_on_and_starts_warm(classes, batch_size):
    y = NAMES[Y % classes]
    options = {"loss": "softmax", "batch_size": batch_size, "eta0": 0.02, "random_state": 0}
    early = quiet(fastgd.SGDClassifier(**options, early_stopping=True), X, y)
    assert early.history_.val_loss is not None
    quiet(fastgd.SGDClassifier(**options), X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    streamed = fastgd.SGDClassifier(**options, learning_rate="constant")
    for epoch in range(30):  # the first batches do not have all classes
        for part in (slice(3), slice(3, None)):
            streamed.partial_fit(X[part], y[part], classes=NAMES[:classes] if epoch == 0 else None)
    assert streamed.t_ == 1 + 30 * len(X)
    assert streamed.score(X, y) > quiet(fastgd.SGDClassifier(**BEST), X, y).score(X, y) - 0.15
    warm = quiet(fastgd.SGDClassifier(**BEST, warm_start=True), X, y)
    before = warm.coef_.copy()
    np.testing.assert_allclose(quiet(warm, X, y).coef_, before, rtol=1e-3, atol=1e-4)


def test_float32_gives_float32_and_no_probabilities_are_lost():
    model = quiet(fastgd.SGDClassifier(loss="softmax", random_state=0), X.astype(np.float32), Y)
    assert (model.coef_.dtype, model.intercept_.dtype) == (np.float32, np.float32)
    sure = model.predict_log_proba(1e6 * X)
    assert np.isfinite(sure).all()
    with pytest.raises(AttributeError) as told:
        _ = fastgd.SGDClassifier().predict_proba
    assert "'log_loss', 'softmax' and 'modified_huber' do" in str(told.value.__cause__)
    with pytest.raises(ValueError, match=r"learning_rate must be one of .* with loss='softmax', got 'adaptive'"):
        fastgd.SGDClassifier(loss="softmax", learning_rate="adaptive").fit(X, Y)


def test_early_stopping_that_returns_the_start_says_so():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    y = np.argmax(2 * X[:, :3] + rng.gumbel(size=(300, 3)), axis=1)
    model = fastgd.SGDClassifier(loss="softmax", early_stopping=True, random_state=0)
    with pytest.warns(fastgd.DivergenceWarning, match="no epoch was better on the validation rows than the start"):
        model.fit(X, y)
    with pytest.warns(fastgd.DivergenceWarning, match="'optimal' begins there by itself"):
        fastgd.SGDClassifier(loss="softmax", random_state=0).fit(100 * X, y)


@pytest.mark.parametrize("loss", ["log_loss", "softmax"])
def test_classes_that_can_be_separated_are_told(loss):
    """The minimum is at infinity, where no epoch ends; a penalty, or one row on the wrong side, brings it near."""
    x, y = np.arange(10.0), (np.arange(10) > 4) * 1.0
    with pytest.warns(fastgd.ConvergenceWarning, match="the minimum is at infinity: l2 > 0"):
        fastgd.fit(x, y, loss=loss)
    assert "infinity" not in fastgd.fit(x, y, loss=loss, l2=0.1).message
    mixed = np.where(x == 2, 1.0, y)
    assert fastgd.fit(x, mixed, loss=loss).status == "converged"
    assert "infinity" not in fastgd.fit(x, y, loss=loss, lr=0.1, epochs=5).message
