"""By fit: an estimator's request put into the words of `fastgd.fit`, for all that goes beyond single rows.

With its mean loss the penalty is l1 = alpha l1_ratio and l2 = alpha (1 - l1_ratio); weights count by their share of
the mean weight; `tol` is relative; rates fall by updates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastgd._fit import State, fit
from fastgd._parts import loss_and_gradient
from fastgd.result import FitResult

#: rates that a schedule of `fit` stands for
_RATES = ("auto", "constant", "invscaling", "optimal")


def by_fit(
    estimator: Any,
    X: Any,
    y: Any,
    weight: Any,
    *,
    init: Any,
    validation: tuple[Any, Any] | None,
    seed: int,
    seen: float | None,
    over: Callable[[], bool] | None,
) -> FitResult:
    """Fit one output, or those of softmax, with an estimator's parameters, up to the epoch in which all is `over`.

    `seen` is None for a whole fit, and for one epoch of `partial_fit` the rows seen before: rates go on from there
    (those of "invscaling" are that of its first update throughout), and rules that remember begin anew.
    """
    loss, alpha, ratio = estimator._loss(), float(estimator.alpha), float(estimator._ratio())
    alpha = alpha if estimator.penalty else 0.0
    lr, schedule = rate(estimator, loss, 0.0 if seen is None else seen)
    whole = seen is None
    if estimator.loss == "perceptron":
        _refuse_perceptron(estimator, len(X), validated=validation is not None)
    X_val, y_val = validation or (None, None)
    automatic, size = estimator.learning_rate == "auto", estimator.batch_size
    if whole and estimator.average and (size is None or size >= len(y)):
        raise ValueError(
            f"average must be False where a batch is all of the rows (batch_size={size}), got {estimator.average!r}"
        )

    def look(state: State) -> bool:
        if estimator.verbose:
            _tell(state)
        return over is not None and over()

    average: bool | str = "tail" if estimator.average else "auto" if automatic and whole else False
    return fit(
        X,
        y,
        loss=loss,
        lr=lr,
        schedule="constant" if not whole and schedule[0] == "invscaling" else schedule,
        epochs=int(estimator.max_iter) if whole else 1,
        batch_size=estimator.batch_size,
        shuffle=bool(estimator.shuffle),
        optimizer=estimator.optimizer,
        l1=alpha * ratio,
        l2=alpha * (1 - ratio),
        fit_intercept=bool(estimator.fit_intercept),
        standardize=True if estimator.standardize else "auto",
        init=init,
        sample_weight=weight,
        X_val=X_val,
        y_val=y_val,
        average=average if whole else False,
        tol=estimator.tol if whole else None,
        patience=int(estimator.n_iter_no_change),
        rng=seed,
        engine="auto" if automatic else "rows",
        callback=look if estimator.verbose or over is not None else None,
        positive=bool(estimator.positive),
    )


def _refuse_perceptron(estimator: Any, n: int, *, validated: bool) -> None:
    """Refuse what would look for the minimum of its loss, which is at all coefficients 0."""
    if validated:
        asked = "validation rows" if not estimator.early_stopping else "early_stopping=True"
        asked += f" and {estimator._what_asks()}"
    elif estimator.learning_rate == "auto" and (estimator.batch_size is None or estimator.batch_size >= n):
        asked = "learning_rate='auto' full batch"
    else:
        return
    raise ValueError(
        f"loss must be another than 'perceptron' with {asked}: it is least with all coefficients 0, and these would be "
        "returned; 'hinge' is alike, and has a minimum that is worth it"
    )


def rate(estimator: Any, loss: tuple[str, dict[str, float]], seen: float) -> tuple[Any, Any]:
    """The rate after so many rows, and the schedule that goes on from there; of invscaling only if `seen` is 0."""
    kind, eta0, power, size = estimator.learning_rate, estimator.eta0, estimator.power_t, estimator.batch_size
    if kind not in _RATES:
        raise ValueError(
            f"learning_rate must be one of {', '.join(map(repr, _RATES))} with {estimator._what_asks()}, got {kind!r}, "
            "which is made for single rows at rates of their own"
        )
    if kind == "auto":
        return "auto", "constant"
    if kind == "constant":
        return float(eta0), "constant"
    update = seen / (size or math.inf) + 1
    if kind == "invscaling":
        if power < 0:
            raise ValueError(f"power_t must be >= 0 with {estimator._what_asks()}, got {power!r}")
        return float(eta0) / update**power, ("invscaling", {"power": float(power)})
    typical = 1 / math.sqrt(math.sqrt(estimator.alpha))
    of_two = ("log_loss", {}) if loss[0] == "softmax" else loss  # what softmax is of two classes
    _, slope, _ = loss_and_gradient([[1.0]], [1.0], [-typical], loss=of_two)
    first = typical / max(1.0, float(np.asarray(slope)[0]))
    decay = first * estimator.alpha  # a row
    lower = 1 + decay * seen
    return first / lower, ("inverse_time", {"decay": decay * (size or 1) / lower})


def _tell(state: Any) -> None:
    """One line an epoch, for `verbose`."""
    length, intercept = float(np.linalg.norm(state.coef)), float(np.ravel(state.intercept)[0])
    print(f"epoch {state.epoch}: loss {state.loss:.6g}, rate {state.lr:.3g}, |coef| {length:.6g}, ", end="")
    print(f"intercept {intercept:.6g}")
