"""Known: what the rows of a squared loss tell of a sweep without a run: its minimum, its largest stable rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgd._auto import Plan, make_plan
from fastgd._curvature import is_wide
from fastgd._door import Array
from fastgd._request import Problem, facts_of
from fastgd.insight import stability

#: what is left of a column that is no more than that share of it is rounding
_NOTHING = 1e-15


def squares_of(problem: Problem, plan: Plan, request: dict[str, Any]) -> Plan | None:
    """The sum of squares over a few rows that is minimised, whichever engine ran; None where there is none."""
    if plan.engine == "gram":
        return plan
    config = plan.config
    if config.batch_size is not None or not facts_of(config.loss[0])["squared"] or is_wide(problem, config.l2):
        return None
    asked = request | {"engine": "gram", "init": "zeros", "rng": None, "X_val": None, "y_val": None}
    return make_plan(problem, lr=config.lr, epochs=config.epochs, **asked, shared=True)


def _even(plan: Plan) -> tuple[Array, Array]:
    """Rows (X, y) with the same minimum: the intercept taken out of them, all columns of one length.

    Without either, least squares takes what is real along small or nearly constant columns for rounding.
    """
    config = plan.work_config
    assert config.penalty_scale is not None
    X, y = plan.work.rows(), plan.work.y
    if config.l2:
        side = np.diag(np.sqrt(config.l2 / 2) * config.penalty_scale)
        X, y = np.vstack([X, side]), np.vstack([y, np.zeros((len(side), y.shape[1]))])
    if plan.config.fit_intercept:
        X, ones = X[:, :-1], X[:, -1:] / np.linalg.norm(X[:, -1])
        whole = np.abs(X).max(axis=0, initial=0.0)
        for _ in range(2):  # twice is enough (Kahan)
            X, y = X - ones * (ones.T @ X), y - ones * (ones.T @ y)
        X = np.where(np.abs(X).max(axis=0, initial=0.0) > _NOTHING * whole, X, 0.0)
    largest = np.abs(X).max(axis=0, initial=0.0)
    X = X[:, largest > 0] / largest[largest > 0]
    return X / np.linalg.norm(X, axis=0), y


def minimum_of(plan: Plan, ends: Array) -> float | None:
    """The minimum of the objective, no higher than where a run ended; None with l1 or `positive`."""
    if plan.work_config.l1 or plan.work_config.positive:
        return None
    X, y = _even(plan)
    try:
        least = float(((y - X @ np.linalg.lstsq(X, y, rcond=None)[0]) ** 2).sum())
    except np.linalg.LinAlgError:  # what is too large for a float64
        return None
    return float(np.fmin(np.fmin.reduce(ends), least)) if np.isfinite(least) else None


def is_eased(plan: Plan) -> bool:
    """Whether standardising would at least halve the condition number."""
    X, _ = _even(plan)
    if plan.condition is None or not X.size or not np.isfinite(X).all():
        return False
    values = np.linalg.svd(X, compute_uv=False)
    values = values[values > values[0] * max(X.shape) * np.finfo(np.float64).eps] ** 2
    largest, smallest = values[0], values[-1]
    if plan.config.fit_intercept:  # it curves as the mean column does
        largest, smallest = max(largest, 1.0), min(smallest, 1.0)
    return bool(2 * largest / smallest < plan.condition)


def lr_max_of(plan: Plan) -> float | None:
    """The largest stable rate on a quadratic, whose largest curvature the statistics tell."""
    config = plan.work_config
    if config.schedule[0] != "constant" or config.optimizer[0] not in ("sgd", "momentum", "nesterov"):
        return None
    rounding, largest = config.rounding
    if not 0 < rounding < np.inf:
        return None
    return stability(config.optimizer, None, squared=True, largest=largest, trace=largest).limit
