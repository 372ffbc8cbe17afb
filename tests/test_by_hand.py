"""The contract's section on batches, worked out in the plainest NumPy, apart from both engines."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest

import fastgd
from conftest import make_problem
from fastgd import _auto, _core, _request, reference

FITS = pytest.mark.parametrize("fit", [fastgd.fit, reference.fit], ids=["engine", "reference"])
X, Y = make_problem("mse", n=23, d=9)  # nine columns: sums have lanes and a rest
FACTOR = {"mse": 1.0, "half_mse": 0.5, "sse": 1.0}


def walk(loss, lr, batches, l1=0.0, l2=0.0, weight=None):
    """Every iterate; of each batch its rows, loss and penalty before the update, and its gradient's length."""
    s = np.ones(len(X)) if weight is None else np.asarray(weight, float)
    w, b = np.zeros(X.shape[1]), 0.0
    iterates, seen = [(w, b)], []
    for rows in batches:
        r = X[rows] @ w + b - Y[rows]
        share = s[rows] if loss == "sse" else s[rows] / s.mean() / len(rows)
        value = FACTOR[loss] * (share * r**2).sum()
        penalty = l1 * np.abs(w).sum() + l2 / 2 * w @ w
        g = 2 * FACTOR[loss] * (share * r) @ X[rows] + l2 * w
        g_b = 2 * FACTOR[loss] * (share * r).sum()
        new = w - lr * g
        new = np.sign(new) * np.maximum(np.abs(new) - lr * l1, 0)
        seen.append((len(rows), value, penalty, np.hypot(np.linalg.norm((w - new) / lr), g_b)))
        w, b = new, b - lr * g_b
        iterates.append((w, b))
    return np.array([w for w, _ in iterates]), np.array([b for _, b in iterates]), np.array(seen)


@FITS
@pytest.mark.parametrize("weight", [None, np.arange(23) % 4])
@pytest.mark.parametrize("penalty", [{}, {"l2": 0.4}, {"l1": 0.6, "l2": 0.2}])
@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize("loss", FACTOR)
def test_batches(fit, loss, batch_size, penalty, weight):
    epochs, lr = 4, 0.02 / (batch_size if loss == "sse" else 1)
    rng = np.random.default_rng(8)
    listed = [batch for _ in range(epochs) for batch in fastgd.batches(23, batch_size, rng=rng)]
    w, b, seen = walk(loss, lr, listed, **penalty, weight=weight)
    options = {"loss": loss, "lr": lr, "epochs": epochs, "batch_size": batch_size, "rng": 8, "sample_weight": weight}
    close = {"rtol": 1e-10, "atol": 1e-13}

    steps = fit(X, Y, **options, **penalty, record="step").history
    np.testing.assert_allclose(steps.coef, w, **close)
    np.testing.assert_allclose(steps.intercept, b, **close)
    np.testing.assert_allclose(steps.loss[1:], seen[:, 1] + seen[:, 2], **close)
    np.testing.assert_allclose(steps.grad_norm[1:], seen[:, 3], **close)

    per_epoch = len(listed) // epochs
    whole = fit(X, Y, **options, **penalty).history
    np.testing.assert_allclose(whole.coef, w[::per_epoch], **close)
    np.testing.assert_allclose(whole.grad_norm[1:], seen[per_epoch - 1 :: per_epoch, 3], **close)
    for epoch in range(epochs):
        rows, values, penalties, _ = seen[epoch * per_epoch : (epoch + 1) * per_epoch].T
        value = values.sum() if loss == "sse" else (rows * values).sum() / 23
        np.testing.assert_allclose(whole.loss[epoch + 1], value + (rows * penalties).sum() / 23, **close)
    start = fastgd.loss_and_gradient(X, Y, np.zeros(9), loss=loss, sample_weight=weight)[0]
    np.testing.assert_allclose(whole.loss[0], start, **close)


@FITS
@pytest.mark.parametrize("batch_size", [4, None])
def test_the_best_epoch_of_a_run_that_first_improves(fit, batch_size):
    options = {"lr": 0.02, "schedule": ("linear", {"end": 3.0}), "epochs": 40, "batch_size": batch_size, "rng": 0}
    with pytest.warns(fastgd.DivergenceWarning):
        result = fit(X, Y, **options)
    best = int(np.nanargmin(result.history.loss))
    assert 1 < best < len(result.history) - 2
    assert result.coef.tolist() == result.history.coef[best].tolist()


@FITS
def test_the_scale_of_divergence_is_the_larger_of_start_and_zero(fit):
    """Errors grow by 1.1 a step, from next to nothing to a million times it, and are still small beside y."""
    x = np.ones(2)
    options = {"lr": 1.05, "epochs": 60, "batch_size": 1, "shuffle": False, "fit_intercept": False}
    result = fit(x, 3 * x, **options, init=([3.000001], 0.0))
    assert result.history.loss[-1] > 1e8 * result.history.loss[0]
    assert result.status == "max_epochs"


@FITS
@pytest.mark.parametrize("batch_size", [1, None])
def test_a_blow_up_in_the_very_last_update_is_seen(fit, batch_size):
    x, y = np.array([1.0, 1.0, 1e160]), np.array([1.0, 1.0, 1.0])
    with pytest.warns(fastgd.DivergenceWarning):
        result = fit(x, y, lr=0.1, epochs=1, batch_size=batch_size, shuffle=False)
    assert result.status == "diverged"
    assert (result.coef.tolist(), result.loss) == ([0.0], 1.0)
    with pytest.warns(fastgd.DivergenceWarning):
        assert fit(x[[0, 2]] * 1e140, y[:2], lr=1e10, epochs=1, batch_size=1, shuffle=False).status == "diverged"


@FITS
def test_what_decides_to_stop_is_the_loss_that_came_for_free(fit):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 3)), rng.standard_normal(300)
    options = {"lr": 0.01, "batch_size": 10, "tol": 1e-6, "patience": 5, "epochs": 500}
    free = fit(x, y, **options, rng=0)
    exact = fit(x, y, **options, rng=0, exact_loss=True)
    assert free.status == exact.status == "converged"
    assert free.n_epochs == exact.n_epochs

    def stop(losses):
        best, waited = np.inf, 0
        for epoch, loss in enumerate(losses, 1):
            waited = 0 if np.isinf(best) or loss < best - 1e-6 * abs(best) else waited + 1
            best = min(best, loss)
            if waited == 5:
                return epoch
        return None

    assert stop(free.history.loss[1:]) == free.n_epochs
    assert stop(exact.history.loss[1:]) != free.n_epochs, "the data must tell the two apart"


@FITS
def test_converged_goes_before_stopped(fit):
    x, y = fastgd.datasets.make_line(rng=0)
    result = fit(x, y, lr=0.01, epochs=10_000, tol=1e-3, callback=lambda state: state.grad_norm < 1.0)
    both = fit(x, y, lr=0.01, epochs=10_000, tol=0.9, callback=lambda state: True)
    assert result.status == "stopped"
    assert (both.status, both.n_epochs) == ("converged", 1)


@FITS
def test_stopped_above_its_start_has_diverged(fit):
    best = fastgd.closed_form(X, Y)
    with pytest.warns(fastgd.DivergenceWarning):
        result = fit(X, Y, lr=0.6, epochs=100, init=(best.coef + 1e-3, best.intercept), callback=lambda s: s.epoch == 5)
    assert result.status == "diverged"


@FITS
@pytest.mark.parametrize("scale", [1e80, 1e-100, 1e-160])
def test_nothing_converges_by_overflow_or_underflow(fit, scale):
    result = fit(X * scale, Y * scale, lr=1e-3 / scale / scale if scale > 1 else 0.1, epochs=3, tol=1e-6)
    assert (result.status, result.n_epochs) == ("max_epochs", 3)
    assert np.isfinite(result.history.grad_norm).all()
    assert (result.history.grad_norm > 0).all()


@FITS
def test_a_tiny_rate_with_l1_does_not_converge_by_cancellation(fit):
    result = fit(X, Y, lr=1e-20, epochs=2, l1=0.1, tol=1e-6, fit_intercept=False, init=(np.ones(9), 0.0))
    assert (result.status, result.n_epochs) == ("max_epochs", 2)


def test_descents_of_tiny_gradients_do_not_converge_by_underflow():
    for descend in (fastgd.gradient_descent, reference.gradient_descent):
        assert descend(lambda x: 1e-170, 1.0, lr=0.1, steps=3, tol=1e-171).status == "max_epochs"
        assert descend(lambda x: 2 * x, 8.0, lr=0.25, steps=3, tol=2.0).status == "converged"


class Narrow(np.random.Generator):
    """As NumPy on systems whose C long has 32 bits."""

    def permutation(self, x, axis=0):
        return super().permutation(x, axis).astype(np.int32)


def test_permutations_of_32_bits():
    options = {"lr": 0.01, "epochs": 2, "batch_size": 5}
    narrow = fastgd.fit(X, Y, **options, rng=Narrow(np.random.PCG64(0)))
    assert (
        narrow.coef.tolist() == fastgd.fit(X, Y, **options, rng=np.random.Generator(np.random.PCG64(0))).coef.tolist()
    )
    assert {batch.dtype for batch in fastgd.batches(9, 2, rng=Narrow(np.random.PCG64(0)))} == {np.dtype(np.int64)}


def test_a_panic_becomes_one_runtime_error(capfd):
    """What Python never lets through: a batch of no rows divides by zero in Rust."""
    problem = _request.make_problem(X, Y)
    asked = {name: parameter.default for name, parameter in inspect.signature(fastgd.fit).parameters.items()}
    for name in ("X", "y", "sample_weight", "callback", "progress"):
        del asked[name]
    plan = _auto.make_plan(problem, **(asked | {"lr": 0.1, "epochs": 1, "batch_size": 5}))
    config = dataclasses.replace(plan.work_config, batch_size=0)
    with pytest.raises(RuntimeError, match="fastgd bug: please report"):
        _core.solve(problem, config)
    capfd.readouterr()


def test_compare_near_the_optimum_is_not_misled():
    best = fastgd.closed_form(X, Y)
    assert fastgd.compare(X, Y, lr=0.01, epochs=5, init=best).max_difference < 1e-9
    with pytest.warns(fastgd.DivergenceWarning) as warned:
        fastgd.compare(X, Y, lr=1.0, epochs=50)
    assert [warning.filename for warning in warned] == [__file__]
