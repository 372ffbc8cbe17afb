"""Insight: which rates are stable, what makes them small, and why a run diverged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastgd._curvature import EXACT, curvature
from fastgd._door import Array
from fastgd._request import facts_of
from fastgd._sparse import Csr
from fastgd._statistics import Moments

if TYPE_CHECKING:
    from fastgd._request import Config, Problem


#: rows that are looked at together
_BLOCK = 4096
#: curvatures so much smaller than the largest are too uncertain to be divided by
_CERTAIN = 1e-12


class Stable(NamedTuple):
    """The largest stable rate, how it is written, and what it is.

    That is "exact", a "bound" that suffices, an "estimate", or "none".
    """

    limit: float
    formula: str
    kind: str


def stability(
    optimizer: tuple[str, dict[str, float]],
    batch_size: int | None,
    *,
    squared: bool,
    largest: float,
    trace: float = np.nan,
    spread: float | None = None,
    l2: bool = False,
) -> Stable:
    """The largest stable rate where the Hessian of a step's rows has this largest eigenvalue L in the mean.

    Full-batch steps on a squared loss are stable below 2/L; momentum beta stretches that to 2 (1 + beta)/L, Nesterov's
    to 2 (1 + beta)/((1 + 2 beta) L). On other convex losses, whose curvature varies, momentum is sure below
    2 (1 - beta)/L (Ghadimi, Feyzmahdavian and Johansson, "Global convergence of the heavy-ball method for convex
    optimization", 2015), and Nesterov's up to 1/L, where f plus half the last step's square over the rate falls;
    accelerated steps are sure up to 1/L. Batches of B rows, drawn at random, contract in the mean square below
    2/((1 - 1/B) L + s/B), with `l2` below 2/(L + s/B), s being `spread`, that of `batch_spread`, or if that is not
    given of Gaussian rows with this `trace`; with momentum about 1 - beta times that.
    Implicit steps always are. Rules that step by the rate whatever the gradient have no such limit, nor have losses
    with kinks, of which L is NaN.
    """
    (name, parameters), B = optimizer, batch_size
    beta, exact = parameters.get("beta", 0.0), "exact" if squared else "bound"
    if name == "implicit":
        return Stable(np.inf, "any rate", "exact")
    if B is not None:
        factor, kind = {"sgd": (2.0, "bound")}.get(name, (2 * (1 - beta), "estimate"))
        if name not in ("sgd", "momentum", "nesterov"):
            factor = np.nan
        spread = trace + 2 * largest if spread is None else spread
        of_mean = "L" if l2 else "(1 - 1/B) L"
        formula = f"{'2' if name == 'sgd' else '2 (1 - beta)'}/({of_mean} + s/B)"
        bend = (1.0 if l2 else 1 - 1 / B) * largest + spread / B
    else:
        factor, formula, kind = {
            "sgd": (2.0, "2/L", exact),
            "momentum": (2 * (1 + beta), "2 (1 + beta)/L", exact),
            "nesterov": (2 * (1 + beta) / (1 + 2 * beta), "2 (1 + beta)/((1 + 2 beta) L)", exact),
            "accelerated": (1.0, "1/L", "bound"),
        }.get(name, (np.nan, "", "none"))
        if not squared:
            of_varying = {"momentum": (2 * (1 - beta), "2 (1 - beta)/L"), "nesterov": (1.0, "1/L")}
            factor, formula = of_varying.get(name, (factor, formula))
        bend = largest
    limit = factor / bend if bend else np.inf
    return Stable(limit, formula, kind) if limit == limit else Stable(np.nan, "", "none")


def batch_spread(problem: Problem, values: Array, vectors: Array | None, *, whole: float, intercept: bool) -> float:
    """How much the Hessians of single rows vary: the least s for which the mean of H_i^2 is at most s H.

    H_i = `whole` (s_i / mean s) x x^T is that of a row in the problem's coordinates, and H has these eigenvalues and
    eigenvectors. Then (I - a H_B)^2 is below I in the mean for batches of B and a < 2/(L + s/B). Without vectors, or
    where some values are too small beside the rounding to be divided by, the largest curvature of a row, which bounds
    it. One pass, block by block. Of Gaussian rows it is the trace of H plus 2 L.
    """
    n = len(problem.X)
    weight = np.ones(n) if problem.sample_weight is None else problem.sample_weight / problem.sample_weight.mean()
    root = None
    if vectors is not None and 0 < len(values) <= EXACT + 1 and values[-1] > _CERTAIN * values[0]:
        root = vectors.T / np.sqrt(values / whole)
    most, total = 0.0, np.zeros((len(values), len(values)))
    if isinstance(problem.X, Csr) and root is None:  # without filling in what may be very wide
        return whole * float((weight * (problem.X.squares(problem.frame) + intercept)).max())
    for at in range(0, n, _BLOCK):
        part = slice(at, at + _BLOCK)
        rows = np.asarray(problem.rows(part), np.float64)
        size = weight[part] * ((rows**2).sum(axis=1) + intercept)
        most = max(most, float(size.max()))
        if root is not None:
            along = rows @ root[: rows.shape[1]] + (root[-1] if intercept else 0.0)
            along = along * np.sqrt(weight[part] / n * size)[:, None]
            total += along.T @ along
    if root is None or not np.isfinite(total).all():
        return whole * most
    return whole * min(most, float(np.linalg.eigvalsh(total)[-1]))


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
        ridge = np.broadcast_to(config.l2 / c * scale**2, problem.X.shape[1])
        asked = 0.0 if np.isnan(c) or not config.l2 else ridge
        largest, squares = curvature(problem, None, config.threads, intercept=config.fit_intercept, ridge=asked)
        spread = np.nan if B is None else c * _spread(problem, config, asked, facts["squared"])
        kind = {"squared": facts["squared"], "l2": bool(config.l2)}
        stable = stability(config.optimizer, B, largest=c * largest, spread=spread, **kind)
    limit = stable.limit
    if not limit > 0 or config.lr <= limit:
        return f"the objective grew at lr={config.lr:g}. Use a smaller lr; centre and scale the features"
    if B is None:
        below = f"Full-batch steps are stable below {stable.formula} = {limit:.6g}"
    else:
        sure = "about sure" if stable.kind == "estimate" else "sure"
        below = f"{'Single rows' if B == 1 else f'Batches of {B}'} are {sure} to be stable below {limit:.2g}"
    of_l2 = float(ridge.max()) if config.l2 else 0.0
    because = blame(squares, names=problem.names, intercept=config.fit_intercept, largest=largest - of_l2, of_l2=of_l2)
    cure = (
        "Lower l2, or u" if because == "l2" else "Centre and scale the features, or u" if "column " in because else "U"
    )
    because = because and f"; what makes that so small is {because}"
    return f"lr={config.lr:g} is too large. {below}{because}. {cure}se lr={limit / 2:.2g}"


def _spread(problem: Problem, config: Config, ridge: Array | float, squared: bool) -> float:
    """`batch_spread` of rows that curve by 1."""
    d = problem.X.shape[1]
    values, vectors = np.zeros(0), None
    if d <= EXACT and squared:
        moments = Moments.of(replace(problem, frame=None), cross=True, threads=config.threads)
        second = moments.second(problem.frame, d, intercept=config.fit_intercept)
        second[range(d), range(d)] += ridge
        if np.isfinite(second).all():
            found, columns = np.linalg.eigh(second)
            live = found > found[-1] * len(found) * np.finfo(np.float64).eps
            values, vectors = found[live][::-1], columns[:, live].T[::-1]
    return batch_spread(problem, values, vectors, whole=1.0, intercept=config.fit_intercept)
