"""Closed form: the exact minimum of a squared loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgd import _core, _door
from fastgd._door import Array, Full
from fastgd._parts import loss_and_gradient
from fastgd._request import facts_of, make_loss, make_problem
from fastgd._standard import Frame
from fastgd.history import History
from fastgd.result import FitResult


@np.errstate(all="ignore")
def closed_form(
    X: Any,
    y: Any,
    *,
    loss: str | tuple[str, dict[str, float]] = "mse",
    l2: float = 0.0,
    fit_intercept: bool = True,
    sample_weight: Any = None,
    standardize: bool = False,
) -> FitResult:
    """The exact minimum of a squared loss, by least squares.

    Parameters
    ----------
    X : array-like, shape (n, d), or (n,) for one feature
        A sparse one is filled in.
    y : array-like, shape (n,) or (n, K)
    loss : {"mse", "half_mse", "sse"}, default "mse"
    l2 : float, default 0
    fit_intercept : bool, default True
    sample_weight : array-like, shape (n,), optional
    standardize : bool, default False
        Only matters where the rank is short, and many coefficients reach the minimum: the smallest in standardised
        coordinates are returned instead of the smallest as they are.

    Returns
    -------
    FitResult
        With `engine="closed_form"` and an empty history.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong.

    Notes
    -----
    Rows are centred (with an intercept) and columns scaled, then `numpy.linalg.lstsq` (LAPACK's gelsd, a singular value
    decomposition) solves for the coefficients; an l2 penalty adds a row sqrt(l2/2) e_j for each. Columns without
    variance get coefficient 0.

    Examples
    --------
    >>> import fastgd
    >>> x, y = fastgd.datasets.load_points()
    >>> best = fastgd.closed_form(x, y)
    >>> print(f"{best.coef[0]:.6f} {best.intercept:.6f}")
    1.322431 7.991021
    """
    problem = make_problem(X, y, sample_weight)
    name, _ = make_loss(loss, problem.y)
    facts = facts_of(name)
    if not facts["squared"]:
        squared = ", ".join(f"'{name}'" for name, row in _core.losses().items() if row["squared"])
        raise ValueError(f"loss must be a squared one ({squared}) for a closed form, got '{name}'")
    l2 = _door.non_negative(l2, "l2")
    fit_intercept, standardize = _door.flag(fit_intercept, "fit_intercept"), _door.flag(standardize, "standardize")

    s = np.ones(len(problem.X)) if problem.sample_weight is None else problem.sample_weight
    s = s / s.sum() if facts["reduction"] == "mean" else s
    keep = s > 0
    rows, targets, s = problem.rows(what="a closed form")[keep], problem.y[keep], s[keep]
    share = s / s.sum()
    y_mean = share @ targets if fit_intercept else np.zeros(targets.shape[1])
    Z, frame = _standardised(rows, share, l2 / (facts["curvature"] * s.sum()), centre=fit_intercept)
    live = (Z != 0).any(axis=0) | (l2 > 0)
    scale = frame.scale[live]
    root = np.sqrt(facts["curvature"] / 2 * s)[:, None]
    A, b = root * Z[:, live], root * (targets - y_mean)
    if l2:
        A = np.vstack([A, np.diag(np.sqrt(l2 / 2) / scale)])
        b = np.vstack([b, np.zeros((len(scale), b.shape[1]))])
    solution, _, rank, _ = np.linalg.lstsq(A, b, rcond=None)
    if rank < len(scale) and not standardize:
        solution = _smallest(A, scale, solution, int(rank))
    coef = np.zeros((targets.shape[1], len(live)))
    coef[:, live] = (solution / scale[:, None]).T
    intercept = y_mean - coef @ frame.mean
    one = problem.single
    w, b = (coef[0], float(intercept[0])) if one else (coef, intercept)
    value, _, _ = loss_and_gradient(X, y, w, b, loss=loss, l2=l2, sample_weight=sample_weight)
    short = "" if rank == len(live) else f" of rank {rank} for {len(live)} features: the smallest of many solutions"
    empty = np.zeros((0, *np.shape(coef))), np.zeros((0, len(y_mean)))
    return FitResult(
        coef=w,
        intercept=b,
        loss=value,
        status="converged",
        message=f"closed form{short}",
        n_epochs=0,
        n_steps=0,
        lr=np.nan,
        optimizer="closed_form",
        engine="closed_form",
        standardized=standardize,
        features=problem.names,
        history=History(
            epoch=np.zeros(0, np.int64),
            step=np.zeros(0, np.int64),
            loss=np.zeros(0),
            coef=empty[0][:, 0] if one else empty[0],
            intercept=empty[1][:, 0] if one else empty[1],
            lr=np.zeros(0),
            grad_norm=np.zeros(0),
            seconds=np.zeros(0),
        ),
        options={"loss": (name, {}), "l1": 0.0, "l2": l2, "fit_intercept": fit_intercept},
    )


def _smallest(A: Array, scale: Array, solution: Array, rank: int) -> Array:
    """Of all the solutions v of A v = b, the one for which the coefficients v / scale are smallest.

    They differ by vectors of A's null space, so this takes out of v / scale what null space / scale can explain.
    """
    _, _, Vt = np.linalg.svd(np.linalg.qr(A, mode="r"), full_matrices=True)
    null = Vt[rank:].T
    null = np.where(np.abs(null) > 1e-13, null, 0.0) / scale[:, None]  # rounding would grow with 1 / scale
    null, _ = np.linalg.qr(null / np.abs(null).max(axis=0))
    coef = solution / scale[:, None]
    for _ in range(2):  # twice is enough (Kahan)
        coef = coef - null @ (null.T @ coef)
    return np.asarray(coef * scale[:, None])


def _standardised(X: Full, share: Array, ridge: float, *, centre: bool) -> tuple[Array, Frame]:
    """Centred (if asked) and scaled rows, and the coordinates that they are in.

    scale_j^2 is the weighted variance of column j (not centred: its mean square) plus `ridge`, which is the l2 penalty
    over the loss's curvature; columns without either have scale 1. Safe for offsets and units of any size: the mean is
    taken twice, and squares are of numbers no larger than 1. Rows of share 0 do not count.
    """
    rows = X.astype(np.float64, order="C")
    rows[share == 0] = rows[int(np.argmax(share > 0))]
    counted = rows[share > 0] if (share == 0).any() else rows
    mean = np.zeros(rows.shape[1])
    if centre:
        mean = share @ rows
        flat = (counted == counted[:1]).all(axis=0)
        mean[flat] = counted[0, flat]  # to the last bit, so that a constant column becomes zero
        rows -= mean
        with np.errstate(under="ignore"):
            rest = share @ rows  # what rounding left of the mean where the offset is large
        rest[flat] = 0.0
        rows -= rest
        mean += rest
    counted = rows[share > 0] if (share == 0).any() else rows
    largest = np.abs(counted).max(axis=0)
    unit = np.where(largest > 0, largest, 1.0)
    spread = unit * np.sqrt(share @ (rows / unit) ** 2)
    scale = np.hypot(spread, np.sqrt(ridge))
    gone = scale < 1e-305  # no spread, or so little that its inverse is no number
    rows[:, gone], scale[gone] = 0.0, 1.0
    rows /= scale
    return rows, Frame(mean, scale)
