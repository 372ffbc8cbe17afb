"""Insight: why a run did what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastgd import _core
from fastgd._door import Array, Rows

if TYPE_CHECKING:
    from fastgd._fit import Config, Problem

#: features beyond which the largest curvature is found by power iteration instead of all eigenvalues
_EXACT = 400
#: rows that are looked at together
_ROWS = 4096


def explain_divergence(problem: Problem, config: Config) -> str:
    """Why a run diverged: the given rate, the largest stable one, the feature whose scale is to blame, what to do.

    On a loss of curvature at most c, L being the largest eigenvalue of the Hessian c X^T X / n, full-batch steps are
    stable below 2/L; momentum beta stretches that to 2 (1 + beta)/L, Nesterov's to 2 (1 + beta)/((1 + 2 beta) L), and
    accelerated steps are sure below 1/L. Batches of B rows are stable in the mean square up to about
    1 / ((1 + 1/B) L + trace/B), with momentum 1 - beta times that.
    """
    facts = _core.losses()[config.loss[0]]
    n, B = len(problem.X), config.batch_size
    factor, name = _stable(*config.optimizer, batched=B is not None)
    weight = np.ones(n) if problem.sample_weight is None else problem.sample_weight
    with np.errstate(all="ignore"):
        largest, diagonal = _curvature(problem.X, weight, config.fit_intercept)
    c = facts["curvature"] or np.nan
    if facts["reduction"] == "sum":  # of as many rows as make a step
        c *= weight.mean() * (B or n)
    bend = largest if B is None else (1 + 1 / B) * largest + diagonal.sum() / B
    limit = factor / (c * bend + config.l2)
    if not limit > 0 or config.lr <= limit:
        return f"the objective grew at lr={config.lr:g}. Use a smaller lr; centre and scale the features"
    worst = int(np.argmax(diagonal[: problem.X.shape[1]]))
    stable = (
        f"Full-batch steps are stable below {name} = {limit:.6g}"
        if B is None
        else f"Batches of {B} need about {limit:.2g}"
    )
    return (
        f"lr={config.lr:g} is too large. {stable}; what makes that so small is column {worst} of X "
        f"(root mean square {np.sqrt(diagonal[worst]):.4g}). "
        f"Centre and scale the features, or use lr={limit / 2 if B is None else limit:.2g}"
    )


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


def _curvature(X: Rows, weight: Array, intercept: bool) -> tuple[float, Array]:
    """Largest eigenvalue and diagonal of the weighted mean of x x^T, x a row (and a 1 for the intercept)."""

    def rows(at: int) -> Array:
        block = X[at : at + _ROWS].astype(np.float64)
        return np.hstack([block, np.ones((len(block), 1))]) if intercept else block

    blocks = [(at, weight[at : at + _ROWS] / weight.sum()) for at in range(0, len(X), _ROWS)]
    diagonal = np.sum([share @ rows(at) ** 2 for at, share in blocks], axis=0)
    if not np.isfinite(diagonal).all():
        return np.inf, diagonal
    if len(diagonal) <= _EXACT:
        gram = sum(rows(at).T @ (share[:, None] * rows(at)) for at, share in blocks)
        return float(np.linalg.eigvalsh(gram)[-1]), diagonal
    v = np.sqrt(diagonal)
    for _ in range(50):
        v = np.sum([(share * (rows(at) @ v)) @ rows(at) for at, share in blocks], axis=0) / np.linalg.norm(v)
    return float(np.linalg.norm(v)), diagonal
