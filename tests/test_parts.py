"""The parts that can be called alone."""

from __future__ import annotations

import numpy as np
import pytest

import fastgd
from conftest import make_problem, outputs_of
from fastgd import _core

SQUARED = [name for name, row in _core.losses().items() if row["squared"]]


def test_tables_are_what_the_engine_holds():
    for public, table in (
        (fastgd.losses(), _core.losses()),
        (fastgd.optimizers(), _core.optimizers()),
        (fastgd.schedules(), _core.schedules()),
    ):
        assert public == {name: row["parameters"] for name, row in table.items()}
    assert {"mse", "half_mse", "sse"} <= fastgd.losses().keys()


@pytest.mark.parametrize("outputs", [None, 2])
@pytest.mark.parametrize("loss", _core.losses())
def test_gradient_is_the_derivative_of_the_loss(loss, outputs):
    X, y = make_problem(loss, outputs=outputs)
    rng = np.random.default_rng(1)
    options = {"loss": loss, "l1": 0.3, "l2": 0.2, "sample_weight": rng.uniform(0, 2, len(X))}
    outputs = outputs_of(loss, outputs)
    w = rng.standard_normal((3,) if outputs is None else (outputs, 3))
    b = rng.standard_normal(() if outputs is None else (outputs,))
    _, grad_w, grad_b = fastgd.loss_and_gradient(X, y, w, b, **options)
    assert np.shape(grad_w) == w.shape
    assert np.shape(grad_b) == np.shape(b)
    h = 1e-6
    for at in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[at] = h
        up, down = (fastgd.loss_and_gradient(X, y, w + s, b, **options)[0] for s in (step, -step))
        np.testing.assert_allclose((up - down) / (2 * h), grad_w[at], rtol=1e-5, atol=1e-6)
    up, down = (fastgd.loss_and_gradient(X, y, w, b + s, **options)[0] for s in (h, -h))
    np.testing.assert_allclose((up - down) / (2 * h), np.sum(grad_b), rtol=1e-5, atol=1e-6)


def test_loss_and_gradient_is_the_formula():
    X, y = make_problem("mse")
    s = np.arange(len(X)) % 5.0
    w, b = np.array([0.5, -1.0, 2.0]), 0.3
    r = X @ w + b - y
    value, grad, grad_b = fastgd.loss_and_gradient(X, y, w, b, l1=0.1, l2=0.4, sample_weight=s)
    np.testing.assert_allclose(value, (s * r**2).sum() / s.sum() + 0.1 * np.abs(w).sum() + 0.2 * w @ w)
    np.testing.assert_allclose(grad, 2 * X.T @ (s * r) / s.sum() + 0.1 * np.sign(w) + 0.4 * w)
    np.testing.assert_allclose(grad_b, 2 * (s * r).sum() / s.sum())
    value, grad, _ = fastgd.loss_and_gradient(X, y, w, b, loss="sse", sample_weight=s)
    np.testing.assert_allclose(value, (s * r**2).sum())
    np.testing.assert_allclose(grad, 2 * X.T @ (s * r))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fastgd.loss_and_gradient([1, 2], [1, 2], [1, 2]), r"coef must have shape \(1,\), got \(2,\)"),
        (lambda: fastgd.loss_and_gradient([1, 2], [1, 2], 1.0, [1, 2]), "intercept must have shape"),
        (lambda: fastgd.loss_and_gradient([1, 2], [1, 2], np.inf), "coef must be finite"),
        (lambda: fastgd.loss_and_gradient([1, 2], [1, 2], 1.0, l1=-1), "l1 must be"),
        (lambda: fastgd.mse([1, 2], [1]), r"y_pred must have shape \(2,\), got \(1,\)"),
        (lambda: fastgd.mse([], []), "y must be"),
        (lambda: fastgd.mse([[1], [2, 3]], [1, 2]), "y must be a rectangular array"),
        (lambda: fastgd.loss_and_gradient([1, 2], [1, 2], 0.0, np.nan), "intercept must be finite, got nan"),
        (lambda: fastgd.loss_and_gradient([1, 2], [1, 2], [[1], [2, 3]]), "coef must be a rectangular array"),
        (lambda: fastgd.batches(3, 1, shuffle=np.array([1, 2])), "shuffle must be"),
        (lambda: fastgd.datasets.make_linear(coef=[]), "coef must have shape"),
        (lambda: fastgd.datasets.make_linear(coef=3), "coef must have shape"),
        (lambda: fastgd.datasets.make_line(low=-1e308, high=1e308), "high must be greater than low"),
        (lambda: fastgd.mse([1.0, np.nan], [1, 2]), "y must be finite, got nan in row 1"),
        (lambda: fastgd.batches(0, 1), "n must be an integer >= 1, got 0"),
        (lambda: fastgd.batches(3, 0), "batch_size must be an integer >= 1, got 0"),
        (lambda: fastgd.batches(3, 1, shuffle="no"), "shuffle must be"),
        (lambda: fastgd.batches(3, 1, rng=-1), "rng must be"),
        (lambda: fastgd.closed_form([1, 2], [1, 2], l2=-1), "l2 must be"),
        (lambda: fastgd.closed_form([1, 2], [1, 2], loss="mea"), "loss must be one of"),
    ],
)
def test_wrong_requests_are_told_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_mse():
    assert fastgd.mse([[1, 2], [3, 4]], [[1, 2], [3, 8]]) == 4.0


def test_batches():
    rng = np.random.default_rng(3)
    listed = fastgd.batches(10, 4, rng=rng)
    order = np.random.default_rng(3).permutation(10)
    assert [batch.tolist() for batch in listed] == [order[:4].tolist(), order[4:8].tolist(), order[8:].tolist()]
    for size in (None, 10, 11):
        (whole,) = fastgd.batches(10, size, rng=rng)
        assert whole.tolist() == list(range(10))
    twin = np.random.default_rng(3)
    twin.permutation(10)
    assert rng.random() == twin.random()


@pytest.mark.parametrize("outputs", [None, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.7])
@pytest.mark.parametrize("loss", SQUARED)
def test_closed_form_has_no_gradient_left(loss, l2, fit_intercept, weighted, outputs):
    X, y = make_problem(loss, outputs=outputs)
    weight = np.arange(len(X)) % 4.0 if weighted else None
    for standardize in (False, True):
        options = {"loss": loss, "l2": l2, "sample_weight": weight}
        best = fastgd.closed_form(X, y, **options, fit_intercept=fit_intercept, standardize=standardize)
        value, grad, grad_b = fastgd.loss_and_gradient(X, y, best.coef, best.intercept, **options)
        scale = np.abs(fastgd.loss_and_gradient(X, y, 0 * best.coef, **options)[1]).max()
        assert np.abs(grad).max() <= 1e-12 * scale
        if fit_intercept:
            assert np.abs(grad_b).max() <= 1e-12 * scale
        else:
            assert not np.any(best.intercept)
        assert (best.loss, best.status, best.engine, len(best.history)) == (value, "converged", "closed_form", 0)
        assert best.standardized is standardize
        np.testing.assert_allclose(best.predict(X), X @ best.coef.T + best.intercept)


def test_closed_form_is_what_descent_tends_to():
    X, y = make_problem("mse")
    for options in ({}, {"l2": 0.5}, {"sample_weight": np.arange(len(X)) % 3}, {"fit_intercept": False}):
        best = fastgd.closed_form(X, y, **options)
        found = fastgd.fit(X, y, lr=0.2, epochs=5000, **options)
        np.testing.assert_allclose(found.coef, best.coef, rtol=1e-10)
        np.testing.assert_allclose(found.intercept, best.intercept, rtol=1e-10, atol=1e-12)


def test_closed_form_where_the_rank_is_short():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5, 8)) * 10.0 ** np.arange(8)
    y = rng.standard_normal(5)
    smallest = fastgd.closed_form(X, y)
    centred = X - X.mean(axis=0)
    np.testing.assert_allclose(smallest.coef, np.linalg.pinv(centred) @ (y - y.mean()), rtol=1e-6, atol=1e-20)
    assert "rank 4 for 8 features" in smallest.message
    standard = fastgd.closed_form(X, y, standardize=True)
    std = X.std(axis=0)
    np.testing.assert_allclose(standard.coef * std, np.linalg.pinv(centred / std) @ (y - y.mean()), rtol=1e-9)
    for result in (smallest, standard):
        np.testing.assert_allclose(result.predict(X), y, atol=1e-6)


def test_closed_form_of_short_rank_and_wild_scales_reaches_the_minimum():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 50))
    for scale in (1.0, 1e-9, 1e-12, 1e9):
        best = fastgd.closed_form(np.column_stack([a, a, scale * b]), a + b)
        assert best.loss < 1e-15
        np.testing.assert_allclose(best.coef * [1, 1, scale], [0.5, 0.5, 1.0], rtol=1e-6)
    dummies = np.eye(3)[rng.integers(0, 3, 200)]
    stamps = 1.7e18 + rng.uniform(0, 3e15, 200)
    y = dummies @ [1.0, 2.0, 3.0] + (stamps - 1.7e18) * 1e-16
    assert fastgd.closed_form(np.column_stack([dummies, stamps]), y).loss < 1e-20


def test_closed_form_looks_only_at_rows_that_weigh():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 2)), rng.standard_normal(50)
    weight = rng.uniform(0.1, 1, 50)
    X[:, 1] = 1 / 3
    weight[-1], X[-1, 1] = 0.0, 5.0
    best = fastgd.closed_form(X, y, sample_weight=weight)
    assert best.coef[1] == 0
    np.testing.assert_allclose(best.coef[0], fastgd.closed_form(X[:-1, 0], y[:-1], sample_weight=weight[:-1]).coef[0])


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e150, 1e155])
def test_closed_form_of_extreme_units(scale):
    x, y = fastgd.datasets.load_points()
    with np.errstate(all="raise"):
        np.testing.assert_allclose(fastgd.closed_form(x * scale, y).coef * scale, [1.3224310226878688], rtol=1e-12)


def test_closed_form_is_safe_with_offsets_scales_and_constant_columns():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((500, 3))
    y = z @ [1.0, 2.0, 3.0]
    X = np.column_stack([z * [1e-8, 1.0, 1e8] + [0, 1e8, 0], np.full(500, 0.1)])
    best = fastgd.closed_form(X, y)
    np.testing.assert_allclose(best.coef * [1e-8, 1.0, 1e8, 1.0], [1.0, 2.0, 3.0, 0.0], rtol=1e-6, atol=1e-12)


def test_closed_form_needs_a_squared_loss():
    for name, row in _core.losses().items():
        if not row["squared"]:
            X, y = make_problem(name)
            with pytest.raises(ValueError, match="loss must be a squared one"):
                fastgd.closed_form(X, y, loss=name)


def test_gradient_descent_answers_and_errors():
    path = fastgd.gradient_descent(lambda x: 2 * x, np.array([1.0, 2.0]), lr=0.25, steps=3, fun=lambda x: x @ x)
    assert path.x.shape == (4, 2)
    np.testing.assert_allclose(path.fun, [5.0, 1.25, 0.3125, 0.078125])
    assert path.n_steps == 3
    assert "ran all of 3 steps" in repr(path)
    scalar = fastgd.gradient_descent(lambda x: 2 * x if type(x) is float else None, 5, lr=0.5, steps=10, tol=1e-9)
    assert (scalar.x.tolist(), scalar.status, scalar.fun) == ([5.0, 0.0], "converged", None)
    for gradient, fun in ((lambda x: np.inf, None), (lambda x: x, lambda x: np.nan), (lambda x: 1e200**2, None)):
        with pytest.warns(fastgd.DivergenceWarning, match="diverged at x0"):
            diverged = fastgd.gradient_descent(gradient, 2.0, lr=1.0, steps=5, fun=fun)
        assert (diverged.x.tolist(), diverged.status) == ([2.0], "diverged")


def test_gradient_descent_of_what_is_not_finite_from_the_start():
    for descend in (fastgd.gradient_descent, fastgd.reference.gradient_descent):
        with pytest.warns(fastgd.DivergenceWarning):
            path = descend(lambda x: 2 * x, 5.0, lr=0.1, steps=3, fun=lambda x: np.nan)
        assert (path.x.tolist(), path.status, path.n_steps) == ([5.0], "diverged", 0)
        with pytest.warns(fastgd.DivergenceWarning):
            huge = descend(lambda x: 2 * x, 5.0, lr=0.1, steps=3, fun=lambda x: 10**400)
        assert huge.status == "diverged"


def test_gradient_descent_tells_when_it_leaves_float64_and_not_when_it_grows():
    for descend in (fastgd.gradient_descent, fastgd.reference.gradient_descent):
        with pytest.warns(fastgd.DivergenceWarning, match=r"^diverged after \d+ steps.*lr=1\.5 is too large") as warned:
            path = descend(lambda x: 2 * x, 5.0, lr=1.5, steps=5000)
        assert descend is fastgd.reference.gradient_descent or warned[0].filename == __file__
        assert path.status == "diverged"
        assert np.isfinite(path.x).all()
        assert descend(lambda x: 2 * x, 5.0, lr=1.1, steps=50).status == "max_epochs"


def test_gradient_descent_gives_fresh_arrays():
    kept = []

    def gradient(x):
        kept.append(x)
        x *= 100
        return np.ones(2)

    path = fastgd.gradient_descent(gradient, [0.0, 1.0], lr=1.0, steps=2)
    assert path.x.tolist() == [[0, 1], [-1, 0], [-2, -1]]
    assert len({id(x) for x in kept}) == 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"gradient": 3}, TypeError, "gradient must be callable"),
        ({"fun": 3}, TypeError, "fun must be callable"),
        ({"x0": [[1.0]]}, ValueError, "x0 must be a number or have shape"),
        ({"x0": []}, ValueError, "x0 must be"),
        ({"x0": np.nan}, ValueError, "x0 must be"),
        ({"x0": "a"}, TypeError, "x0 must hold real numbers"),
        ({"lr": 0}, ValueError, "lr must be"),
        ({"steps": 0}, ValueError, "steps must be an integer >= 1, got 0"),
        ({"tol": -1}, ValueError, "tol must be"),
        ({"optimizer": "x"}, ValueError, "optimizer must be one of"),
        ({"gradient": lambda x: [1.0, 2.0]}, ValueError, r"gradient\(x\) must be a number, got shape \(2,\)"),
        ({"gradient": lambda x: "a"}, TypeError, r"gradient\(x\) must hold real numbers"),
        ({"gradient": lambda x: 1j}, TypeError, r"gradient\(x\) must hold real numbers"),
        ({"fun": lambda x: [1.0, 2.0]}, ValueError, r"fun\(x\) must be a number, got shape \(2,\)"),
        ({"gradient": lambda x: 1 / 0}, ZeroDivisionError, "division by zero"),
    ],
)
def test_gradient_descent_tells_what_is_wrong(options, error, message):
    request = {"gradient": lambda x: 2 * x, "x0": 1.0, "lr": 0.1, "steps": 2} | options
    for descend in (fastgd.gradient_descent, fastgd.reference.gradient_descent):
        with pytest.raises(error, match=message):
            descend(
                request["gradient"], request["x0"], **{k: request[k] for k in request if k not in ("gradient", "x0")}
            )


def test_compare_is_fair_and_sees_differences(monkeypatch):
    X, y = make_problem("mse")
    rng, twin = np.random.default_rng(0), np.random.default_rng(0)
    comparison = fastgd.compare(X, y, lr=0.05, epochs=3, batch_size=5, rng=rng)
    fastgd.fit(X, y, lr=0.05, epochs=3, batch_size=5, rng=twin)
    assert rng.random() == twin.random()
    assert comparison.max_difference < 1e-12
    assert comparison.ratio == comparison.reference_seconds / comparison.seconds
    step = fastgd.reference.optimizers["sgd"].step
    monkeypatch.setattr(
        fastgd.reference.optimizers["sgd"],
        "step",
        lambda self, theta, grad, rate: step(self, theta, grad, 1.001 * rate),
    )
    assert fastgd.compare(X, y, lr=0.05, epochs=3).max_difference > 1e-5
    assert fastgd.compare(X, y, lr=0.05, epochs=3, record=None).max_difference > 1e-5


def test_datasets():
    x, y = fastgd.datasets.make_line(n=50, slope=3.0, intercept=-1.0, noise=0.0, low=2.0, high=4.0, rng=1)
    assert x.shape == y.shape == (50,)
    assert 2 <= x.min() < x.max() < 4
    np.testing.assert_allclose(y, 3 * x - 1)
    X, y = fastgd.datasets.make_linear(n=2000, rng=0)
    assert X.shape == (2000, 2)
    np.testing.assert_allclose(fastgd.closed_form(X, y).coef, [2.0, -3.4], atol=0.02)
    np.testing.assert_allclose(y - X @ [2, -3.4] - 4.2, 0, atol=0.5)
    x, y = fastgd.datasets.load_points()
    assert (x[0], y[0], len(x)) == (32.50234527, 31.70700585, 100)
    X, y, names = fastgd.datasets.load_penguins()
    assert (X.shape, y.shape, len(names)) == ((342, 3), (342,), 3)
    assert (X[0].tolist(), y[0]) == ([39.1, 18.7, 181.0], 3750.0)
    with pytest.raises(ValueError, match="high must be greater than low"):
        fastgd.datasets.make_line(low=2, high=1)
    with pytest.raises(ValueError, match="noise must be"):
        fastgd.datasets.make_linear(noise=-1)
