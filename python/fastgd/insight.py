"""Insight: why a run did what it did."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from fastgd import _core
from fastgd._door import Array
from fastgd._request import facts_of
from fastgd._statistics import Moments

if TYPE_CHECKING:
    from fastgd._request import Config, Problem

#: features beyond which the largest curvature is found by power iteration instead of all eigenvalues
EXACT = 128


def explain_divergence(problem: Problem, config: Config, steps: int) -> str:
    """Why a run diverged: the given rate, the largest stable one, what makes that small, what to do.

    On a loss of curvature at most c, L being the largest eigenvalue of the Hessian c X^T X / n, full-batch steps are
    stable below 2/L; momentum beta stretches that to 2 (1 + beta)/L, Nesterov's to 2 (1 + beta)/((1 + 2 beta) L), and
    accelerated steps are sure below 1/L. Batches of B rows are stable in the mean square up to about
    1 / ((1 + 1/B) L + trace/B), with momentum 1 - beta times that.
    """
    if not steps:
        return "the objective is not finite at the start already; init, X or y hold numbers too large to be squared"
    facts = facts_of(config.loss[0])
    n, B = len(problem.X), config.batch_size
    factor, name = _stable(*config.optimizer, batched=B is not None)
    with np.errstate(all="ignore"):
        largest, squares = curvature(problem, None, config.threads, intercept=config.fit_intercept)
    c = facts["curvature"] or np.nan
    if facts["reduction"] == "sum":  # of as many rows as make a step
        c *= (1.0 if problem.sample_weight is None else problem.sample_weight.mean()) * (B or n)
    trace = squares.sum() + config.fit_intercept
    bend = largest if B is None else (1 + 1 / B) * largest + trace / B
    limit = factor / (c * bend + config.l2)
    if not limit > 0 or config.lr <= limit:
        return f"the objective grew at lr={config.lr:g}. Use a smaller lr; centre and scale the features"
    if B is None:
        stable = f"Full-batch steps are stable below {name} = {limit:.6g}"
    else:
        stable = f"{'Single rows' if B == 1 else f'Batches of {B}'} need about {limit:.2g}"
    because, cure = _blame(largest, squares, config.fit_intercept, of_l2=config.l2 / (c * bend))
    return f"lr={config.lr:g} is too large. {stable}{because}. {cure}se lr={limit / 2 if B is None else limit:.2g}"


def _blame(largest: float, squares: Array, intercept: bool, *, of_l2: float) -> tuple[str, str]:
    """What makes the largest stable rate small, and the beginning of what to do."""
    worst = int(np.argmax(squares))
    if of_l2 > 1:
        return "; what makes that so small is l2", "Lower l2, or u"
    sizes = np.append(squares, 1.0) if intercept else squares
    if squares[worst] >= sizes.max() and squares[worst] > 16 * sizes[sizes > 0].min():
        size = f"root mean square {np.sqrt(squares[worst]):.4g}"
        return f"; what makes that so small is column {worst} of X ({size})", "Centre and scale the features, or u"
    if largest > 2 * sizes.max():
        return "; what makes that so small is that columns of X go together", "U"
    return "", "U"


def _stable(optimizer: str, parameters: dict[str, float], *, batched: bool) -> tuple[float, str]:
    """The largest stable rate times L, and how it is written; NaN for rules that have none."""
    beta = parameters.get("beta", 0.0)
    if batched:
        return {"sgd": 1.0, "momentum": 1 - beta, "nesterov": 1 - beta}.get(optimizer, np.nan), ""
    return {
        "sgd": (2.0, "2/L"),
        "momentum": (2 * (1 + beta), "2 (1 + beta)/L"),
        "nesterov": (2 * (1 + beta) / (1 + 2 * beta), "2 (1 + beta)/((1 + 2 beta) L)"),
        "accelerated": (1.0, "1/L"),
    }.get(optimizer, (np.nan, ""))


def curvature(problem: Problem, moments: Moments | None, threads: int, *, intercept: bool) -> tuple[float, Array]:
    """Largest eigenvalue of the weighted mean of x x^T, x a row and a 1 for the intercept; each column's mean square.

    The rows are seen in the problem's coordinates; `moments` are those of the rows as they are, if they are known. For
    many columns by power iteration from the diagonal, to about 1e-4; else all eigenvalues.
    """
    n, d = problem.X.shape
    if d <= EXACT:
        moments = moments or Moments.of(replace(problem, frame=None), cross=True, threads=threads)
        second = moments.second(problem.frame, d, intercept=intercept)
        finite = np.isfinite(second).all()
        return float(np.linalg.eigvalsh(second)[-1]) if finite else np.inf, np.diag(second)[:d].copy()

    one = replace(problem, y=np.zeros((n, 1)))
    moments = moments or Moments.of(replace(one, frame=None), cross=False, threads=threads)
    centre, scale = (np.zeros(d), np.ones(d)) if problem.frame is None else (problem.frame.mean, problem.frame.scale)
    squares = (moments.spread[:d] / scale) ** 2 + ((moments.at[:d] - centre) / scale) ** 2
    if not np.isfinite(squares).all():
        return np.inf, squares
    v, b, largest = np.sqrt(squares), 1.0 * intercept, 0.0
    for _ in range(100):
        length = np.hypot(np.linalg.norm(v), b)
        v, b, before = v / length, b / length, largest
        # the gradient of the mean of (x . v + b)^2 / 2, by the engine's own passes: the same bits for every layout
        at = SimpleNamespace(
            loss=("half_mse", {}), l1=0.0, l2=0.0, coef=v[None], intercept=np.array([b]), threads=threads
        )
        _, grad, grad_b = _core.loss_and_gradient(one, at)
        v, b = grad[0], float(grad_b[0]) if intercept else 0.0
        largest = float(np.hypot(np.linalg.norm(v), b))
        if abs(largest - before) <= 1e-5 * largest:
            break
    return largest, squares
