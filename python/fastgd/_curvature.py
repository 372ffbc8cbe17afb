"""Curvature: of what is minimised, direction by direction, and how far a start is from the minimum along each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd import _core
from fastgd._door import Array
from fastgd._sparse import Csr
from fastgd._standard import Frame, standard
from fastgd._statistics import Moments, Statistics

if TYPE_CHECKING:
    from fastgd._request import Problem

#: features beyond which the largest curvature is found by Lanczos's method instead of all eigenvalues
EXACT = 128
#: the smaller of rows and features, beyond which the modes are those that some passes of Lanczos see
MANY = 512
#: these passes at most, and numbers that their vectors may take
_PASSES, _ROOM = 50, 1 << 26
#: passes at most for the largest curvature alone; it is looked at every few of them, and there when it grew by no more
_MOST_PASSES, _FEW, _CLOSE = 100, 4, 1e-3
#: what is left of a direction beside the curvatures is rounding
_ROUNDING = 1e-14
#: singular values so small beside the largest have lost digits, which the inverse has not
_SURE = 1e-6
#: columns whose sizes differ so much, or means from 0 beside their deviations, may lose directions to it
_UNEVEN = 1e3
#: a minimum below so much of the objective at zero is 0 but for rounding
NOTHING = float(np.finfo(np.float64).eps)


def curvature(
    problem: Problem, moments: Moments | None, threads: int, *, intercept: bool, ridge: Array | float = 0.0
) -> tuple[float, Array]:
    """Largest eigenvalue of the weighted mean of x x^T, x a row and a 1 for the intercept; each column's mean square.

    The rows are seen in the problem's coordinates; `moments` are those of the rows as they are, if they are known.
    `ridge`, one for each feature or for all, is added to the matrix's diagonal. For many columns by some passes of
    Lanczos's method from the diagonal, to some thousandths; else all eigenvalues.
    """
    n, d = problem.X.shape
    if d <= EXACT:
        moments = moments or Moments.of(replace(problem, frame=None), cross=True, threads=threads)
        second = moments.second(problem.frame, d, intercept=intercept)
        squares = np.diag(second)[:d].copy()
        second[range(d), range(d)] += ridge
        finite = np.isfinite(second).all()
        return float(np.linalg.eigvalsh(second)[-1]) if finite else np.inf, squares

    one = replace(problem, y=np.zeros((n, 1)))
    moments = moments or Moments.of(replace(one, frame=None), cross=False, threads=threads)
    centre, scale = (np.zeros(d), np.ones(d)) if problem.frame is None else (problem.frame.mean, problem.frame.scale)
    squares = (moments.spread[:d] / scale) ** 2 + ((moments.at[:d] - centre) / scale) ** 2
    if not np.isfinite(squares).all():
        return np.inf, squares

    def apply(v: Array) -> Array:
        _, grad, grad_b = gradient(one, v[None, :d].copy(), v[d:].copy() if intercept else np.zeros(1), threads)
        return np.append(grad[0] + ridge * v[:d], grad_b[: int(intercept)])

    return _largest(apply, np.append(np.sqrt(squares + ridge), np.ones(int(intercept)))), squares


def _largest(apply: Callable[[Array], Array], start: Array) -> float:
    """The largest eigenvalue of a symmetric positive matrix, by Lanczos's three terms, which need two vectors only.

    Rounding makes copies of values that are found, which does no harm to the largest (Parlett, "The Symmetric
    Eigenvalue Problem", 1998, section 13.6).
    """
    start = start * np.random.default_rng(0).standard_normal(len(start))  # orthogonal to nothing but by ill luck
    length = float(np.linalg.norm(start))
    if not 0 < length < np.inf:
        return length
    v, before, largest = start / length, np.zeros_like(start), 0.0
    alpha: list[float] = []
    beta: list[float] = []
    for k in range(1, _MOST_PASSES + 1):
        w = apply(v)
        alpha.append(float(w @ v))
        w = w - alpha[-1] * v - (beta[-1] * before if beta else 0.0)
        left = float(np.linalg.norm(w))
        over = not left > _ROUNDING * max(map(abs, alpha))  # or it is no number
        if over or k % _FEW == 0:
            T = np.diag(alpha) + np.diag(beta, 1) + np.diag(beta, -1)
            if not np.isfinite(T).all() or left != left:
                return np.inf
            last, largest = largest, float(np.linalg.eigvalsh(T)[-1])
            if over or largest - last <= _CLOSE * largest:
                break
        beta.append(left)
        v, before = w / left, v
    return max(largest, 0.0)


def gradient(problem: Problem, coef: Array, intercept: Array, threads: int) -> tuple[float, Array, Array]:
    """Mean of (x . w + b - y)^2 / 2 and its gradient, by the engine's own passes: the same bits for every layout."""
    at = SimpleNamespace(loss=("half_mse", {}), l1=0.0, l2=0.0, coef=coef, intercept=intercept, threads=threads)
    return _core.loss_and_gradient(problem, at)


@dataclass(frozen=True, eq=False)
class Bowl:
    """What is minimised: `whole` / 2 times the mean of (x . w + b - y)^2, plus l2 / 2 |w|^2, in some coordinates.

    Of a squared loss that is the objective itself, of another its quadratic majorant.
    """

    whole: float
    l2: float
    fit_intercept: bool
    standardize: bool
    threads: int


@dataclass(frozen=True, eq=False)
class Modes:
    """The eigenvectors of a Hessian along which it curves: on each of them a descent is one number that shrinks.

    At a start, the objective is `least` plus the sum of `excess`.
    """

    #: (r,): curvatures, the largest first; none is 0
    values: Array
    #: the largest that the rows make without the penalty
    bare: float
    #: (r,): what each adds to the objective at the start
    excess: Array
    #: (r, d + 1), without intercept (r, d): the eigenvectors in iterated coordinates; None where they are not known
    vectors: Array | None
    #: (K, d + 1) or (K, d): from the nearest minimum to the start
    away: Array | None
    #: (K, d + 1) or (K, d): the objective's gradient at the start
    grad: Array
    #: objective at the minimum, at zero coefficients
    least: float
    zero: float
    #: (d,): mean squares of the columns, and of these the part of l2 in units of `whole`
    squares: Array
    ridge: Array
    #: (d,): standard deviations of the columns
    spread: Array
    frame: Frame | None
    #: False: what some passes of Lanczos saw
    exact: bool

    @property
    def largest(self) -> float:
        return float(self.values[0]) if len(self.values) else 0.0

    @property
    def smallest(self) -> float:
        return float(self.values[-1]) if len(self.values) else 0.0

    @property
    def known(self) -> bool:
        """False where numbers are too large to be squared."""
        return self.exact or len(self.values) > 0

    @property
    def condition(self) -> float:
        return self.largest / self.smallest if len(self.values) else np.nan

    @property
    def yardstick(self) -> float:
        """What an excess loss is relative to: the minimum, or where that is 0 within rounding the loss at zero.

        0 where that is nothing beside the start, either.
        """
        if self.zero <= NOTHING * (self.least + float(self.excess.sum())):
            return 0.0
        return self.least if self.least > NOTHING * self.zero else self.zero - self.least


def is_wide(problem: Problem, l2: float) -> bool:
    """Whether all modes would cost too much: cubes of the features, or without l2 of the rows where these are fewer.

    Sparse rows of many features are not filled in for it.
    """
    n, d = problem.X.shape
    return d > MANY and (n > MANY or l2 > 0 or isinstance(problem.X, Csr))


def modes(
    problem: Problem, bowl: Bowl, statistics: Statistics | None, start: tuple[Array, Array] | None = None
) -> Modes:
    """The modes at a start in the user's units, zeros by default; `statistics` None asks for Lanczos."""
    K, d = problem.y.shape[1], problem.X.shape[1]
    coef, intercept = (np.zeros((K, d)), np.zeros(K)) if start is None else start
    held = statistics or Moments.of(replace(problem, y=problem.y[:, :1].copy()), cross=False, threads=bowl.threads)
    ridge = bowl.l2 / bowl.whole
    frame = standard(held.at[:d], held.spread[:d], ridge, centre=bowl.fit_intercept) if bowl.standardize else None
    if frame is not None:
        coef, intercept = frame.into(coef, intercept)
    theta = np.hstack([coef, intercept[:, None]]) if bowl.fit_intercept else coef
    of_l2 = np.full(d, bowl.l2) if frame is None else bowl.l2 / frame.scale / frame.scale
    if bowl.fit_intercept:
        of_l2 = np.append(of_l2, 0.0)
    if statistics is None:
        found = _by_lanczos(replace(problem, frame=frame), bowl, theta, of_l2)
        squares = held.spread[:d] ** 2 + (held.at[:d] - (0.0 if frame is None else frame.mean)) ** 2
        squares = squares if frame is None else squares / frame.scale**2
    else:
        X, y = statistics.rows(frame, d, intercept=bowl.fit_intercept)
        squares = (X[:, :d] ** 2).sum(axis=0) / statistics.weight
        root = np.sqrt(bowl.whole / 2 / statistics.weight)
        away = np.abs(held.at[:d]) / (1.0 if frame is None else frame.scale)  # what a column's own rounding grows with
        far = np.abs(held.at[:d]) / np.where(held.spread[:d] > 0, held.spread[:d], np.inf)
        rounding = max(1.0, float(away.max())) if frame else 1.0, max(1.0, float(far.max()))
        found = _by_values(root * X, root * y, theta, of_l2, rounding, intercept=bowl.fit_intercept)
    spread = held.spread[:d] if frame is None else held.spread[:d] / frame.scale
    return Modes(**found, squares=squares, ridge=of_l2[:d] / bowl.whole, spread=spread, frame=frame)


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a sum of squares is least, and how far off, whatever the units and offsets of the columns."""

    #: (m, r): orthonormal, the directions of the targets that the columns reach
    reach: Array
    #: (p, r): takes what the targets have along these to the nearest coefficients
    back: Array
    #: the sum of squares that is left
    least: float


def minimum_of(X: Array, rest: Array, *, intercept: bool, rounding: float = 1.0) -> Minimum:
    """The minimum of |X v - rest|^2 over v of shape (p,), by singular values of centred and scaled columns.

    Directions that only the units of a column make small count as they are, as in `closed_form`. With `intercept` the
    last column is that, and holds something but 0 in the first row only, as `Statistics.rows` has it. X is known to
    `rounding` times eps of its centred size.
    """
    A = X.copy()
    if intercept:
        A[0, :-1] = 0.0
    size = np.abs(A).max(axis=0)
    size = np.where(size > 0, size, 1.0)
    size = size * np.linalg.norm(A / size, axis=0)
    size = np.where(size > 0, size, 1.0)
    U, values, Vt = _svd_with_null(A / size)
    live = values > values.max(initial=0.0) * max(X.shape) * np.finfo(np.float64).eps * rounding
    rank = int(live.sum())
    to_raw = Vt.T / size[:, None]
    if intercept:  # b = b' - mean . w
        to_raw[-1] -= (X[0, :-1] / X[0, -1]) @ to_raw[:-1]
    back, null = to_raw[:, :rank] / values[:rank], to_raw[:, rank:]
    if null.size:
        null, _ = np.linalg.qr(null / np.abs(null).max(axis=0))
        for _ in range(2):  # twice is enough (Kahan)
            back = back - null @ (null.T @ back)
    reach = U[: len(X), :rank]
    left = rest - reach @ (reach.T @ rest)
    return Minimum(reach, back, float((left**2).sum()))


def _svd_with_null(A: Array) -> tuple[Array, Array, Array]:
    """U (m, p), all p values and V^T (p, p), the null space included."""
    if len(A) < A.shape[1]:
        A = np.vstack([A, np.zeros((A.shape[1] - len(A), A.shape[1]))])
    return np.linalg.svd(A, full_matrices=False)


def _by_values(
    X: Array, y: Array, theta: Array, of_l2: Array, rounding: tuple[float, float], *, intercept: bool
) -> dict[str, Any]:
    """All modes of the sum of squares over the rows, the penalty more rows, from singular values.

    X is known to `rounding` times eps of its size, and of its centred size. Modes that are tiny beside the largest are
    the large ones of the inverse, which `minimum_of` knows to more digits.
    """
    p, K = X.shape[1], y.shape[1]
    if not np.isfinite(X).all() or not np.isfinite((X**2).sum() + (y**2).sum() + of_l2.sum()):
        none = np.zeros(0)
        unknown = {
            "bare": np.nan,
            "vectors": None,
            "away": None,
            "grad": np.full((K, p), np.nan),
            "least": np.nan,
            "zero": np.nan,
        }
        return {"values": none, "excess": none, "exact": False, **unknown}
    bare = float(2 * np.linalg.svd(X, compute_uv=False)[0] ** 2) if of_l2.any() else None
    if of_l2.any():
        X, y = np.vstack([X, np.diag(np.sqrt(of_l2 / 2))]), np.vstack([y, np.zeros((p, K))])
    rest = y - X @ theta.T
    if len(X) < p:  # LAPACK is twice as fast on the tall one
        V, values, Ut = np.linalg.svd(X.T, full_matrices=False)
        U, Vt = Ut.T, V.T
    else:
        U, values, Vt = np.linalg.svd(X, full_matrices=False)
    live = values > values[0] * max(X.shape) * np.finfo(np.float64).eps * rounding[0]
    sure = live & (values > _SURE * values[0])
    at: Minimum | None = None
    sizes = np.abs(X).max(axis=0)
    uneven = sizes.max(initial=0.0) > _UNEVEN * sizes[sizes > 0].min(initial=np.inf) or rounding[1] > _UNEVEN
    if uneven and not sure.all():
        at = minimum_of(X, rest, intercept=intercept, rounding=rounding[1])
        live = sure
    U, values, Vt = U[:, live], values[live], Vt[live]
    along = U.T @ rest
    away, least = -(along / values[:, None]).T @ Vt, float(((rest - U @ along) ** 2).sum())
    if at is not None:
        W, of_inverse, Zt = np.linalg.svd(at.back, full_matrices=False)
        tiny = max(len(of_inverse) - len(values), 0)
        along = np.vstack([along, (Zt[:tiny] @ (at.reach.T @ rest))[::-1]])
        values, Vt = np.append(values, 1 / of_inverse[:tiny][::-1]), np.vstack([Vt, W.T[:tiny][::-1]])
        away, least = -(at.back @ (at.reach.T @ rest)).T, at.least
    return {
        "values": 2 * values**2,
        "bare": 2 * float(values.max(initial=0.0)) ** 2 if bare is None else bare,
        "excess": (along**2).sum(axis=1),
        "vectors": Vt,
        "away": away,
        "grad": -2 * rest.T @ X,
        "least": least,
        "zero": float((y**2).sum()),
        "exact": True,
    }


def _by_lanczos(problem: Problem, bowl: Bowl, theta: Array, of_l2: Array) -> dict[str, Any]:
    """What some passes over the rows see: Ritz values, and by Gauss's quadrature their share of the excess.

    Golub and Meurant, "Matrices, Moments and Quadrature with Applications", 2010. The values lie between the smallest
    and the largest curvature, and the quadrature of the excess, whose integrand is 1 / curvature, is at most that.
    From the gradient at the start; the largest value from a fixed Gaussian start, too, for the gradient may be
    orthogonal to its vector.
    """
    d = problem.X.shape[1]

    def slope(problem: Problem, theta: Array) -> tuple[float, Array]:
        b = theta[:, d] if bowl.fit_intercept else np.zeros(len(theta))
        value, grad, grad_b = gradient(
            problem, np.ascontiguousarray(theta[:, :d]), np.ascontiguousarray(b), bowl.threads
        )
        full = np.hstack([grad, grad_b[:, None]]) if bowl.fit_intercept else grad
        value = bowl.whole * value + float((of_l2 * theta**2).sum()) / 2
        return value, bowl.whole * full + of_l2 * theta

    flat = replace(problem, y=np.zeros_like(problem.y))
    one = replace(problem, y=np.zeros((len(problem.y), 1)))
    at_start, grad = slope(problem, theta)
    zero, _ = slope(problem, np.zeros_like(theta))
    values, weights = _lanczos(lambda v: slope(flat, v)[1], grad, _PASSES)
    fixed = np.random.default_rng(0).standard_normal((1, theta.shape[1]))
    largest, _ = _lanczos(lambda v: slope(one, v)[1], fixed, 12)
    excess = weights * (grad**2).sum() / (2 * values)
    if len(largest) and (not len(values) or largest[0] > values[0]):
        values, excess = np.append(largest[0], values), np.append(0.0, excess)
    if len(values) and not bowl.fit_intercept and d > len(problem.X) and values[-1] > of_l2.min() > 0:
        values, excess = np.append(values, of_l2.min()), np.append(excess, 0.0)  # what the rows leave to the penalty
    least = max(at_start - float(excess.sum()), 0.0)
    bare = values[0] if len(values) else 0.0
    if of_l2.any():
        bare = bowl.whole * curvature(one, None, bowl.threads, intercept=bowl.fit_intercept)[0]
    unknown = {"bare": float(bare), "vectors": None, "away": None, "grad": grad, "exact": False}
    return {"values": values, "excess": excess, "least": least, "zero": zero, **unknown}


def _lanczos(apply: Callable[[Array], Array], start: Array, passes: int) -> tuple[Array, Array]:
    """Ritz values that are not 0, the largest first, and the squares of their vectors' first entries."""
    length = np.linalg.norm(start)
    if not 0 < length < np.inf:
        return np.zeros(0), np.zeros(0)
    basis = [start / length]
    alpha: list[float] = []
    beta: list[float] = []
    for _ in range(min(passes, start.size, max(2, _ROOM // start.size))):
        v = apply(basis[-1])
        alpha.append(float((v * basis[-1]).sum()))
        for _ in range(2):  # twice is enough (Kahan)
            for q in basis:
                v = v - (v * q).sum() * q
        beta.append(float(np.linalg.norm(v)))
        if not beta[-1] > 1e-12 * max(alpha[0], max(beta)):
            break
        basis.append(v / beta[-1])
    k = len(alpha)
    T = np.diag(alpha) + np.diag(beta[: k - 1], 1) + np.diag(beta[: k - 1], -1)
    if not np.isfinite(T).all():
        return np.zeros(0), np.zeros(0)
    values, vectors = np.linalg.eigh(T)
    live = values > 1e-14 * values[-1]
    return values[live][::-1], (vectors[0] ** 2)[live][::-1]
