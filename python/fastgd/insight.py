"""Insight: which rates are stable, what makes them small, and why a run diverged."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastgd._curvature import curvature
from fastgd._door import Array
from fastgd._request import facts_of

if TYPE_CHECKING:
    from fastgd._request import Config, Problem


class Stable(NamedTuple):
    """The largest stable rate, how it is written, and whether it is "exact", a "bound" that suffices, or "none"."""

    limit: float
    formula: str
    kind: str


def stability(
    optimizer: tuple[str, dict[str, float]], batch_size: int | None, *, squared: bool, largest: float, trace: float
) -> Stable:
    """The largest stable rate where the Hessian of a step's rows has this largest eigenvalue L and trace in the mean.

    Full-batch steps are stable below 2/L; momentum beta stretches that to 2 (1 + beta)/L, Nesterov's to
    2 (1 + beta)/((1 + 2 beta) L), and accelerated steps are sure below 1/L. Batches of B rows are stable in the mean
    square up to about 1 / ((1 + 1/B) L + trace/B), with momentum 1 - beta times that. Implicit steps always are. Rules
    that step by the rate whatever the gradient have no such limit, nor have losses with kinks, of which L is NaN.
    """
    (name, parameters), B = optimizer, batch_size
    beta, exact = parameters.get("beta", 0.0), "exact" if squared else "bound"
    if name == "implicit":
        return Stable(np.inf, "any rate", "exact")
    if B is not None:
        factor, kind = {"sgd": 1.0, "momentum": 1 - beta, "nesterov": 1 - beta}.get(name, np.nan), "bound"
        lead = "1" if name == "sgd" else "(1 - beta)"
        formula, bend = f"{lead}/((1 + 1/B) L + tr/B)", (1 + 1 / B) * largest + trace / B
    else:
        factor, formula, kind = {
            "sgd": (2.0, "2/L", exact),
            "momentum": (2 * (1 + beta), "2 (1 + beta)/L", exact),
            "nesterov": (2 * (1 + beta) / (1 + 2 * beta), "2 (1 + beta)/((1 + 2 beta) L)", exact),
            "accelerated": (1.0, "1/L", "bound"),
        }.get(name, (np.nan, "", "none"))
        bend = largest
    limit = factor / bend if bend else np.inf
    return Stable(limit, formula, kind) if limit == limit else Stable(np.nan, "", "none")


def called(j: int, names: tuple[str, ...] | None, d: int) -> str:
    """A coordinate in words: a column of X by its name, if it has one; after these the intercept."""
    return "the intercept" if j == d else f"column {names[j]!r}" if names else f"column {j} of X"


def blame(squares: Array, *, names: tuple[str, ...] | None, intercept: bool, largest: float, of_l2: float) -> str:
    """What makes the largest stable rate small, in words; nothing where there is nothing to blame.

    `squares` are the mean squares of the columns, `largest` the largest eigenvalue of their products, and `of_l2` the
    largest part of the penalty, all in the same units.
    """
    worst = int(np.argmax(squares))
    if of_l2 > largest:
        return "l2"
    sizes = np.append(squares, 1.0) if intercept else squares
    if squares[worst] >= sizes.max() and squares[worst] > 16 * sizes[sizes > 0].min():
        return f"{called(worst, names, len(squares))} (root mean square {np.sqrt(squares[worst]):.4g})"
    return "that columns of X go together" if largest > 2 * sizes.max() else ""


def explain_divergence(problem: Problem, config: Config, steps: int) -> str:
    """Why a run diverged: the given rate, the largest stable one, what makes that small, what to do.

    `problem` and `config` are in the coordinates that were iterated on; `stability` has the formulas.
    """
    if not steps:
        return "the objective is not finite at the start already; init, X or y hold numbers too large to be squared"
    facts, B = facts_of(config.loss[0]), config.batch_size
    c = facts["curvature"] or np.nan
    if facts["reduction"] == "sum":  # of as many rows as make a step
        mean = 1.0 if problem.sample_weight is None else problem.sample_weight.mean()
        c *= mean * (B or len(problem.X))
    scale = 1.0 if config.penalty_scale is None else config.penalty_scale
    with np.errstate(all="ignore"):
        ridge = np.broadcast_to(config.l2 / c * scale**2, len(problem.X[0]))
        asked = 0.0 if np.isnan(c) or not config.l2 else ridge
        largest, squares = curvature(problem, None, config.threads, intercept=config.fit_intercept, ridge=asked)
        trace = squares.sum() + config.fit_intercept
        stable = stability(config.optimizer, B, squared=facts["squared"], largest=c * largest, trace=c * trace)
    limit = stable.limit
    if not limit > 0 or config.lr <= limit:
        return f"the objective grew at lr={config.lr:g}. Use a smaller lr; centre and scale the features"
    if B is None:
        below = f"Full-batch steps are stable below {stable.formula} = {limit:.6g}"
    else:
        below = f"{'Single rows' if B == 1 else f'Batches of {B}'} need about {limit:.2g}"
    of_l2 = float(ridge.max()) if config.l2 else 0.0
    because = blame(squares, names=problem.names, intercept=config.fit_intercept, largest=largest - of_l2, of_l2=of_l2)
    cure = (
        "Lower l2, or u" if because == "l2" else "Centre and scale the features, or u" if "column " in because else "U"
    )
    because = because and f"; what makes that so small is {because}"
    return f"lr={config.lr:g} is too large. {below}{because}. {cure}se lr={limit / 2 if B is None else limit:.2g}"
