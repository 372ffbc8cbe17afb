"""What `fit` promises: epochs and steps, records, stop rules, weights, outputs, the generator."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastgd
from conftest import make_problem

X, Y = make_problem("mse")
N = len(X)


def fit(**options):
    return fastgd.fit(X, Y, **({"lr": 0.05, "epochs": 5} | options))


def by_hand(batches, lr, w=None, b=0.0):
    """The textbook, for the mean squared error: every iterate and each batch's own loss before its update."""
    w = np.zeros(X.shape[1]) if w is None else np.array(w)
    path, losses = [(w, b)], []
    for batch in batches:
        error = X[batch] @ w + b - Y[batch]
        losses.append(np.mean(error**2))
        w, b = w - lr * 2 * error @ X[batch] / len(batch), b - lr * 2 * error.mean()
        path.append((w, b))
    return np.array([w for w, _ in path]), np.array([b for _, b in path]), np.array(losses)


def test_steps_are_the_textbooks_over_the_batches_that_fastgd_batches_lists():
    rng = np.random.default_rng(5)
    listed = [batch for _ in range(3) for batch in fastgd.batches(N, 8, rng=rng)]
    w, b, losses = by_hand(listed, 0.05)
    history = fit(batch_size=8, epochs=3, rng=5, record="step").history
    np.testing.assert_allclose(history.coef, w, rtol=1e-12)
    np.testing.assert_allclose(history.intercept, b, rtol=1e-12)
    np.testing.assert_allclose(history.loss[1:], losses, rtol=1e-12)
    assert history.step.tolist() == list(range(25))
    assert history.epoch.tolist() == [0, *[0] * 7, 1, *[1] * 7, 2, *[2] * 7, 3]
    by_epoch = fit(batch_size=8, epochs=3, rng=5).history
    sizes = np.array([len(batch) for batch in listed])
    means = [(sizes[i : i + 8] * losses[i : i + 8]).sum() / N for i in (0, 8, 16)]
    np.testing.assert_allclose(by_epoch.loss[1:], means, rtol=1e-12)
    np.testing.assert_allclose(by_epoch.coef, w[::8], rtol=1e-12)


def test_full_batch_history_holds_exact_losses_and_gradient_norms():
    history = fit(l2=0.3).history
    for loss, w, b, norm in zip(history.loss, history.coef, history.intercept, history.grad_norm, strict=True):
        value, grad, grad_b = fastgd.loss_and_gradient(X, Y, w, b, l2=0.3)
        np.testing.assert_allclose([loss, norm], [value, np.hypot(np.linalg.norm(grad), grad_b)], rtol=1e-12)
    assert history.epoch.tolist() == history.step.tolist() == [0, 1, 2, 3, 4, 5]
    assert (history.lr == 0.05).all()
    assert (np.diff(history.seconds) >= 0).all()


@pytest.mark.parametrize("batch_size", [None, 20])
def test_record_decides_what_is_kept_and_nothing_else(batch_size):
    per_epoch = 1 if batch_size is None else 3
    kept = {
        "epoch": list(range(0, 5 * per_epoch + 1, per_epoch)),
        "step": list(range(5 * per_epoch + 1)),
        4: sorted({*range(0, 5 * per_epoch + 1, 4), 5 * per_epoch}),
        1000: [0, 5 * per_epoch],
        None: [],
    }
    results = {record: fit(batch_size=batch_size, record=record, rng=0) for record in kept}
    for record, steps in kept.items():
        assert results[record].history.step.tolist() == steps
        assert len(results[record].history) == len(steps)
        assert results[record].coef.tolist() == results["epoch"].coef.tolist()
        assert results[record].loss == results["epoch"].loss


def test_exact_loss_records_the_objective():
    for record in ("epoch", "step", 7):
        history = fit(batch_size=9, record=record, exact_loss=True, l1=0.1, rng=0).history
        for loss, w, b in zip(history.loss, history.coef, history.intercept, strict=True):
            np.testing.assert_allclose(loss, fastgd.loss_and_gradient(X, Y, w, b, l1=0.1)[0], rtol=1e-12)


def test_result_loss_is_the_objective_at_the_result():
    for options in ({}, {"batch_size": 8, "rng": 0}, {"batch_size": 1, "loss": "sse", "lr": 0.001, "l2": 1.0}):
        result = fit(**options)
        expected = fastgd.loss_and_gradient(
            X, Y, result.coef, result.intercept, loss=options.get("loss", "mse"), l2=options.get("l2", 0.0)
        )
        np.testing.assert_allclose(result.loss, expected[0], rtol=1e-12)


@pytest.mark.parametrize("bits", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
@pytest.mark.parametrize(("shuffle", "draws"), [(True, 4), ("once", 1), (False, 0)])
def test_generator_is_left_as_numpy_would_leave_it(bits, shuffle, draws):
    rng = np.random.Generator(getattr(np.random, bits)(7))
    twin = copy.deepcopy(rng)
    fit(batch_size=7, epochs=4, shuffle=shuffle, init=("normal", 0.1), rng=rng)
    twin.normal(0, 0.1, 3)
    for _ in range(draws):
        twin.permutation(N)
    assert rng.random() == twin.random()


@pytest.mark.parametrize("batch_size", [None, N, N + 5])
def test_full_batch_draws_nothing(batch_size):
    rng = np.random.default_rng(7)
    result = fit(batch_size=batch_size, rng=rng)
    assert rng.random() == np.random.default_rng(7).random()
    assert result.n_steps == result.n_epochs == 5
    assert result.coef.tolist() == fit().coef.tolist()


def test_a_run_that_stops_early_draws_only_what_it_used():
    rng = np.random.default_rng(7)
    result = fit(batch_size=7, epochs=50, rng=rng, callback=lambda state: state.epoch == 3)
    twin = np.random.default_rng(7)
    for _ in range(3):
        twin.permutation(N)
    assert (result.status, result.n_epochs) == ("stopped", 3)
    assert rng.random() == twin.random()


def test_same_seed_same_bits_and_other_seed_other_bits():
    assert fit(batch_size=4, rng=1).coef.tolist() == fit(batch_size=4, rng=1).coef.tolist()
    assert fit(batch_size=4, rng=1).coef.tolist() != fit(batch_size=4, rng=2).coef.tolist()
    assert fit(batch_size=4).coef.tolist() != fit(batch_size=4).coef.tolist()
    seeds = (1, np.random.SeedSequence(1), np.random.PCG64(1), np.random.default_rng(1))
    assert len({tuple(fit(batch_size=4, rng=rng).coef) for rng in seeds}) == 1


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**32, 2**127 + 2**64 + 5, 2**128 - 1, 2**128])
def test_a_seed_of_any_size_is_spread_as_numpy_does(seed, monkeypatch):
    options = {"batch_size": 4, "epochs": 2}
    expected = fit(**options, rng=np.random.default_rng(seed)).coef.tolist()
    assert fit(**options, rng=seed).coef.tolist() == expected
    assert fit(**options, rng=None).coef.tolist() != fit(**options, rng=None).coef.tolist(), "a fresh one each time"
    monkeypatch.setattr("fastgd._door._is_known", lambda: False)  # of a NumPy with another default
    assert fit(**options, rng=seed).coef.tolist() == expected


def test_tail_average_is_the_mean_of_the_later_half():
    for epochs, first in ((1, 0), (4, 2), (5, 2)):
        plain = fit(batch_size=8, epochs=epochs, rng=0, record="step")
        result = fit(batch_size=8, epochs=epochs, rng=0, record="step", average="tail")
        assert result.history.coef.tolist() == plain.history.coef.tolist(), "the history holds the iterates"
        later = plain.history.step > 8 * first
        np.testing.assert_allclose(result.coef, plain.history.coef[later].mean(axis=0), rtol=1e-13)
        np.testing.assert_allclose(result.intercept, plain.history.intercept[later].mean(), rtol=1e-13)
        np.testing.assert_allclose(result.loss, fastgd.loss_and_gradient(X, Y, result.coef, result.intercept)[0])
    stopped = fit(batch_size=8, epochs=50, rng=0, average="tail", callback=lambda state: state.epoch == 4)
    assert stopped.coef.tolist() == fit(batch_size=8, epochs=4, rng=0, average="tail").coef.tolist()


def test_tail_average_comes_much_nearer():
    best = fastgd.closed_form(X, Y).loss
    options = {"lr": 0.02, "batch_size": 1, "epochs": 60, "rng": 0}
    last, mean = (fit(average=average, **options).loss - best for average in (False, "tail"))
    assert mean < 0.2 * last


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"average": "tail"}, "average must be False full batch"),
        ({"average": True, "batch_size": 4}, 'average must be False, "tail" or "auto", got True'),
        ({"average": "tail", "batch_size": 4, "X_val": X, "y_val": Y}, "average must be False with validation rows"),
        ({"X_val": X}, "X_val and y_val must be given together, got only X_val"),
        ({"y_val": Y}, "X_val and y_val must be given together, got only y_val"),
        ({"X_val": X[:, :2], "y_val": Y}, "X_val must have 3 features as X, got 2"),
        ({"X_val": X, "y_val": Y[:-1]}, "y_val must have one entry for each of the 60 rows of X_val, got 59"),
        ({"X_val": X, "y_val": Y[:, None]}, "y_val must have as many outputs as y"),
        ({"X_val": X * np.nan, "y_val": Y}, "X_val must be finite, got nan in row 0, column 0"),
    ],
)
def test_wrong_averages_and_validation_rows_are_told_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        fit(**options)


@pytest.mark.parametrize("batch_size", [None, 6])
def test_validation_decides_and_its_best_epoch_is_returned(batch_size):
    X_val, y_val = make_problem("mse", n=15, seed=4)
    y_val = X_val @ [0.1, -0.2, 0.3]  # unlike the training rows, so that it turns after a while
    options = {"batch_size": batch_size, "lr": 0.01, "l2": 0.1, "rng": 0, "X_val": X_val, "y_val": y_val}
    history = fit(epochs=40, **options).history
    values = [np.mean((X_val @ w + b - y_val) ** 2) for w, b in zip(history.coef, history.intercept, strict=True)]
    np.testing.assert_allclose(history.val_loss, values, rtol=1e-12)
    best = int(np.argmin(values))
    assert 0 < best < 40
    result = fit(epochs=40, **options)
    assert result.status == "max_epochs"
    assert result.coef.tolist() == history.coef[best].tolist()
    assert result.loss == fastgd.loss_and_gradient(X, Y, result.coef, result.intercept, l2=0.1)[0]
    early = fit(epochs=1000, tol=0.0, patience=3, **options)
    assert (early.status, early.n_epochs) == ("converged", best + 3)
    assert early.coef.tolist() == result.coef.tolist()
    assert "validation loss" in early.message
    assert f"returned is epoch {best}, the best on the validation rows" in early.message
    assert early.options["optimizer"] == ("sgd", {})
    without = fit(epochs=40, batch_size=batch_size, lr=0.01, l2=0.1, rng=0)
    assert without.history.coef.tolist() == history.coef.tolist()
    assert without.history.val_loss is None


def test_goes_on_from_a_result():
    whole = fit(epochs=10)
    half = fit(epochs=4)
    rest = fit(epochs=6, init=half)
    assert rest.coef.tolist() == whole.coef.tolist()
    assert rest.history.coef[0].tolist() == half.coef.tolist()
    assert fit(epochs=6, init=(half.coef, half.intercept)).coef.tolist() == whole.coef.tolist()


def test_full_batch_converges_by_the_gradient_relative_to_zero():
    result = fit(tol=1e-3, epochs=10_000)
    _, grad, grad_b = fastgd.loss_and_gradient(X, Y, np.zeros(3))
    limit = 1e-3 * np.hypot(np.linalg.norm(grad), grad_b)
    assert result.status == "converged"
    assert result.history.grad_norm[-1] <= limit < result.history.grad_norm[-2]
    again = fit(tol=1e-3, epochs=10_000, init=result)
    assert (again.status, again.n_epochs) == ("converged", 0)
    assert fit(tol=0.0).status == fit(tol=None).status == "max_epochs"


def test_full_batch_with_l1_converges_to_the_proximal_minimum():
    result = fit(l1=0.8, tol=1e-12, epochs=10_000)
    assert result.status == "converged"
    _, grad, grad_b = fastgd.loss_and_gradient(X, Y, result.coef, result.intercept)
    held = result.coef == 0
    assert held.any()
    assert not held.all()
    np.testing.assert_allclose(grad[~held], -0.8 * np.sign(result.coef[~held]), atol=1e-9)
    assert (np.abs(grad[held]) <= 0.8).all()
    assert abs(grad_b) < 1e-9


@pytest.mark.parametrize("patience", [1, 3])
def test_batched_converges_by_patience(patience):
    result = fit(batch_size=10, tol=0.01, patience=patience, epochs=1000, rng=0)
    losses = result.history.loss[1:]
    best, waited, expected = np.inf, 0, None
    for epoch, loss in enumerate(losses, 1):
        improved = np.isinf(best) or loss < best - 0.01 * abs(best)
        best, waited = min(best, loss), 0 if improved else waited + 1
        if waited == patience:
            expected = epoch
            break
    assert (result.status, result.n_epochs) == ("converged", expected)


def test_recording_does_not_change_when_a_run_stops():
    runs = [
        fit(batch_size=10, tol=0.01, epochs=1000, rng=0, record=record, exact_loss=exact)
        for record in ("epoch", "step", None)
        for exact in (True, False)
    ]
    assert len({(run.n_epochs, run.status, *run.coef) for run in runs}) == 1


def test_divergence_is_caught_and_the_best_epoch_returned():
    with pytest.warns(fastgd.DivergenceWarning) as warned:
        result = fit(lr=1.0, epochs=10_000)
    assert result.status == "diverged"
    assert result.n_epochs < 100
    assert str(warned[0].message) == result.message
    assert warned[0].filename == __file__, "the warning points at the user's line"
    best = result.history.loss.argmin()
    assert result.coef.tolist() == result.history.coef[best].tolist()
    assert result.loss == result.history.loss[best]
    assert np.isfinite(result.coef).all()


def test_divergence_inside_an_epoch_ends_it_there():
    with pytest.warns(fastgd.DivergenceWarning):
        result = fastgd.fit(X * 1e60, Y, lr=1.0, epochs=3, batch_size=1, rng=0)
    assert result.status == "diverged"
    assert result.n_steps < N
    assert np.isfinite([*result.coef, result.intercept, result.loss]).all()


@pytest.mark.parametrize("run", [fastgd.fit, fastgd.reference.fit])
def test_a_diverged_run_never_returns_worse_than_its_start(run):
    x = np.append(np.ones(20), 1e4)
    options = {"lr": 0.1, "epochs": 5, "batch_size": 1, "shuffle": False, "fit_intercept": False}
    with pytest.warns(fastgd.DivergenceWarning):
        result = run(x, 100 * x, **options)
    assert (result.status, result.coef.tolist()) == ("diverged", [0.0])
    assert result.loss == result.history.loss[0]


@pytest.mark.parametrize("run", [fastgd.fit, fastgd.reference.fit])
def test_a_run_in_batches_that_ends_far_above_its_start_has_diverged(run):
    x, y = fastgd.datasets.load_points()
    for lr in (5e-4, 6e-4):
        with pytest.warns(fastgd.DivergenceWarning):
            result = run(x, y, lr=lr, epochs=1, batch_size=10, rng=0)
        assert (result.status, result.coef.tolist()) == ("diverged", [0.0])


def test_a_full_batch_run_that_ends_above_its_start_has_diverged():
    L = np.linalg.eigvalsh(2 * np.column_stack([X, np.ones(N)]).T @ np.column_stack([X, np.ones(N)]) / N)[-1]
    best = fastgd.closed_form(X, Y)
    near = (best.coef + 1e-3, best.intercept)
    with pytest.warns(fastgd.DivergenceWarning):
        result = fit(lr=2.2 / L, epochs=30, init=near)
    assert result.status == "diverged"
    assert result.history.loss[-1] > result.history.loss[0]
    assert fit(lr=0.1 / L, epochs=30, init=best).status == "max_epochs", "rounding at the minimum is no divergence"


@pytest.mark.parametrize("batch_size", [1, 16])
def test_no_false_alarm_on_noisy_but_healthy_runs(batch_size, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((300, 2))
    y = x @ [1.0, 2.0] + 10 * rng.standard_t(2.5, 300)
    assert fastgd.fit(x, y, lr=0.01, epochs=20, batch_size=batch_size, rng=rng).status == "max_epochs"


def test_perfect_data_do_not_alarm():
    for y in (np.zeros(N), X @ [1.0, 2.0, 3.0], np.full(N, 1e-300)):
        result = fastgd.fit(X, y, lr=0.05, epochs=2000)
        assert result.status == "max_epochs"
        result = fastgd.fit(X, y, lr=0.01, epochs=50, batch_size=5, rng=0)
        assert result.status == "max_epochs"


def test_weights_are_repetition():
    weight = np.arange(N) % 3
    repeated = np.repeat(np.arange(N), weight)
    for loss in ("mse", "half_mse", "sse"):
        lr = 0.05 if loss != "sse" else 0.001
        one = fastgd.fit(X, Y, loss=loss, lr=lr, epochs=20, sample_weight=weight, l2=0.1)
        other = fastgd.fit(X[repeated], Y[repeated], loss=loss, lr=lr, epochs=20, l2=0.1)
        np.testing.assert_allclose(one.coef, other.coef, rtol=1e-12)
        np.testing.assert_allclose(one.loss, other.loss, rtol=1e-12)
    same = fastgd.fit(X, Y, lr=0.05, epochs=5, batch_size=7, rng=0)
    scaled = fastgd.fit(X, Y, lr=0.05, epochs=5, batch_size=7, rng=0, sample_weight=np.full(N, 8.0))
    np.testing.assert_allclose(scaled.coef, same.coef, rtol=1e-12)


def test_outputs_are_runs_of_their_own():
    _, many = make_problem("mse", outputs=3)
    for options in ({}, {"batch_size": 7, "rng": 0, "l1": 0.05, "l2": 0.1}):
        together = fastgd.fit(X, many, lr=0.05, epochs=5, **options)
        apart = [fastgd.fit(X, many[:, k], lr=0.05, epochs=5, **options) for k in range(3)]
        np.testing.assert_allclose(together.coef, [one.coef for one in apart], rtol=1e-13)
        np.testing.assert_allclose(together.intercept, [one.intercept for one in apart], rtol=1e-13)
        np.testing.assert_allclose(together.loss, sum(one.loss for one in apart), rtol=1e-13)
        assert together.history.coef.shape == (6, 3, 3)
        assert together.history.intercept.shape == (6, 3)
        np.testing.assert_allclose(together.predict(X), X @ together.coef.T + together.intercept)


def test_shapes_follow_y():
    one = fastgd.fit(X, Y, lr=0.05, epochs=1)
    assert (one.coef.shape, type(one.intercept), one.history.intercept.shape) == ((3,), float, (2,))
    column = fastgd.fit(X, Y[:, None], lr=0.05, epochs=1)
    assert (column.coef.shape, column.intercept.shape, column.history.coef.shape) == ((1, 3), (1,), (2, 1, 3))
    np.testing.assert_array_equal(column.coef[0], one.coef)
    assert fastgd.fit(X[:, 0], Y, lr=0.05, epochs=1).coef.shape == (1,)
    assert fastgd.fit(X.astype(np.float32), Y, lr=0.05, epochs=1).coef.dtype == np.float64


def test_without_intercept_it_is_zero_throughout():
    result = fit(fit_intercept=False, batch_size=8, rng=0)
    assert result.intercept == 0.0
    assert not result.history.intercept.any()


def test_callback_sees_read_only_states_and_can_stop():
    states = []
    result = fit(epochs=10, callback=states.append)
    assert [state.epoch for state in states] == list(range(1, 11))
    np.testing.assert_array_equal([state.loss for state in states], result.history.loss[1:])
    np.testing.assert_array_equal([state.coef for state in states], result.history.coef[1:])
    assert [state.intercept for state in states] == result.history.intercept[1:].tolist()
    with pytest.raises(ValueError, match="read-only"):
        states[0].coef[0] = 1.0
    stopped = fit(epochs=10, callback=lambda state: state.epoch >= 4)
    assert (stopped.status, stopped.n_epochs) == ("stopped", 4)
    assert stopped.coef.tolist() == result.history.coef[4].tolist()


@pytest.mark.parametrize("run", [fastgd.fit, fastgd.reference.fit])
def test_callback_without_an_intercept_sees_zero(run):
    states = []
    run(X, Y, lr=0.05, epochs=1, fit_intercept=False, callback=states.append)
    run(X, np.column_stack([Y, Y]), lr=0.05, epochs=1, fit_intercept=False, callback=states.append)
    assert states[0].intercept == 0.0
    assert states[1].intercept.tolist() == [0.0, 0.0]


def test_only_true_stops():
    for answer, epochs in ((True, 1), (np.True_, 1), (False, 3), (None, 3), (0.5, 3), ("yes", 3)):
        assert fit(epochs=3, callback=lambda state, answer=answer: answer).n_epochs == epochs


def test_callback_exceptions_come_out_as_they_are():
    class MineError(Exception):
        pass

    mine = MineError("enough")

    def callback(state):
        if state.epoch == 2:
            raise mine

    for batch_size in (None, 8):
        with pytest.raises(MineError) as raised:
            fit(callback=callback, batch_size=batch_size, rng=0)
        assert raised.value is mine


def test_predict_checks_its_rows():
    result = fit()
    np.testing.assert_allclose(result.predict(X), X @ result.coef + result.intercept)
    with pytest.raises(ValueError, match="X must have 3 features as in the fit, got 2"):
        result.predict(X[:, :2])


def test_reprs_say_what_one_wants_to_know():
    text = repr(fit(batch_size=8, rng=0))
    for part in ("FitResult: ran all of 5 epochs", "coef", "intercept", "batches of 8 rows", "lr 0.05", "40 steps"):
        assert part in text
    assert "3 features" not in text
    by = {
        "sgd, lr 0.05, full batch, 5 steps": {},
        "momentum (beta=0.8), lr 0.05, full batch, 5 steps": {"optimizer": ("momentum", {"beta": 0.8})},
        "momentum, lr 0.05, schedule step (gamma=0.5), full batch, standardised, 5 steps": {
            "optimizer": "momentum",
            "schedule": ("step", {"gamma": 0.5}),
            "standardize": True,
        },
        "sgd, lr 0.05, single rows, mean of the later half, 300 steps": {"batch_size": 1, "average": "tail"},
    }
    for line, options in by.items():
        assert repr(fit(**options)).splitlines()[-1] == f"  by         {line}"
    wide = fastgd.fit(np.ones((4, 500)), np.ones(4), lr=1e-4, epochs=1)
    assert len(repr(wide)) < 600
    assert "6 records" in repr(fit().history)
    assert "no records" in repr(fit(record=None).history)
    comparison = repr(fastgd.compare(X, Y, lr=0.05, epochs=5))
    assert "largest difference" in comparison
    assert "times as long" in comparison


@pytest.mark.parametrize("shuffle", [True, "once"])
@pytest.mark.parametrize("n", [7, 1000, 70_000])
@pytest.mark.parametrize("drawn_before", [0, 1, 2])
def test_the_generator_is_left_where_numpy_would_leave_it(n, shuffle, drawn_before):
    x = np.random.default_rng(1).standard_normal(n)
    for make in (np.random.PCG64, np.random.MT19937, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64):
        ours, numpys = (np.random.Generator(make(5)) for _ in range(2))
        for rng in (ours, numpys):
            rng.permutation(drawn_before * 3)
        for epochs in (1, 3):
            found = fastgd.fit(
                x, 2 * x, lr=0.001, epochs=epochs, batch_size=100, rng=ours, shuffle=shuffle, record=None
            )
            for _ in range(epochs if shuffle is True and n > 100 else n > 100):
                numpys.permutation(n)
            assert found.n_epochs == epochs
            np.testing.assert_equal(ours.bit_generator.state, numpys.bit_generator.state)


def test_a_run_that_ends_early_draws_no_more():
    x = np.random.default_rng(1).standard_normal(70_000)
    ours, numpys = np.random.default_rng(5), np.random.default_rng(5)
    with pytest.warns(fastgd.DivergenceWarning):
        found = fastgd.fit(x, x, lr=1e3, epochs=9, batch_size=7, rng=ours)
    for _ in range(max(found.n_epochs, 1)):
        numpys.permutation(len(x))
    assert ours.bit_generator.state == numpys.bit_generator.state


def test_a_generator_is_shared_as_numpy_shares_it():
    x = np.random.default_rng(1).standard_normal(40_000)
    options = {"lr": 0.001, "batch_size": 500, "record": None}
    shared, numpys = np.random.default_rng(5), np.random.default_rng(5)
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(fastgd.fit, x, x, epochs=10, rng=shared, **options) for _ in range(2)]
        assert all(run.result().n_epochs == 10 for run in runs)
    for _ in range(20):
        numpys.permutation(len(x))
    assert shared.bit_generator.state == numpys.bit_generator.state

    drawn = []
    fastgd.fit(x, x, epochs=3, rng=shared, callback=lambda state: drawn.append(shared.random()), **options)
    for epoch in range(3):
        numpys.permutation(len(x))
        assert drawn[epoch] == numpys.random()


@pytest.mark.parametrize("record", [None, 2, 3, 5, 16, 17, "epoch", "step"])
@pytest.mark.parametrize("n", [5, 64, 127, 128, 130])
def test_single_rows_diverge_at_one_step_whatever_is_recorded(record, n):
    x = np.full((n, 1), 3.0)
    request = {"lr": 1.0, "batch_size": 1, "shuffle": False, "fit_intercept": False, "epochs": 2, "record": record}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastgd.DivergenceWarning)
        found, told = fastgd.fit(x, x[:, 0], **request), fastgd.reference.fit(x, x[:, 0], **request)
        plain = fastgd.fit(x, x[:, 0], **request | {"record": None})
    assert (found.status, found.n_steps, found.n_epochs) == (told.status, told.n_steps, told.n_epochs)
    assert found.coef.tobytes() == plain.coef.tobytes()


@pytest.mark.parametrize(("loss", "lr"), [("absolute", 10.0), ("huber", 1.0)])
@pytest.mark.parametrize("epochs", [1, 2, 999, 1000])
def test_a_run_that_only_swings_back_to_its_start_has_diverged(loss, lr, epochs):
    x, y = fastgd.datasets.load_points()
    for fit in (fastgd.fit, fastgd.reference.fit):
        with pytest.warns(fastgd.DivergenceWarning, match="the objective grew|too large"):
            assert fit(x, y, loss=loss, lr=lr, epochs=epochs).status == "diverged"


@pytest.mark.parametrize("fit", [fastgd.fit, fastgd.reference.fit])
@pytest.mark.parametrize("options", [{}, {"batch_size": 5, "lr": 0.01, "epochs": 2, "X_val": [[1.0]], "y_val": [2.0]}])
def test_a_result_has_all_its_fields(fit, options):
    result = fit(np.linspace(-1, 1, 20)[:, None], np.linspace(0, 1, 20), **options)
    for whole in (result, result.history):
        assert {field.name for field in dataclasses.fields(whole)} == set(vars(whole))
