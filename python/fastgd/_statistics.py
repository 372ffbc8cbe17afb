"""Statistics: what a squared loss sees of its rows, however many these are; two add up to those of all the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fastgd import _core
from fastgd._door import Array, Rows
from fastgd._sparse import Csr
from fastgd._standard import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastgd._request import Problem

#: rows that are brought to triangular form together
_BLOCK = 4096
#: smallest over largest eigenvalue of the columns' products, from which these are safe: they lose eps over that
_INDEPENDENT = 1e-4
#: below this ratio, what X explains of y is worth a second look
_SURE = 1e-2
#: share of y that X leaves, below which it is worth a second look: it is told to eps over that
_LITTLE = 1e-5
#: what squares stay between where nothing is lost of them
_SQUARES = (1e-250, 1e250)


@dataclass(frozen=True, eq=False)
class Moments:
    """Weight, mean and products of the p columns (X | y), from one pass over the rows.

    The mean is `unit` times (`origin` + `mean`), origin being a row that counts, so that an offset costs no digits.
    `products` (p, p), its upper half, are sum_i s_i (z_i - mean) (z_i - mean)^T in these units, or (p,) their diagonal.
    """

    #: in units of about the mean weight, as `products`
    weight: float
    origin: Array
    mean: Array
    products: Array
    #: whether any z is not the origin
    varies: NDArray[np.bool_]
    #: powers of two: 1 unless squares in the user's units overflow or vanish
    unit: Array

    @classmethod
    def of(cls, problem: Problem, *, cross: bool, threads: int) -> Moments:
        d, columns = problem.X.shape[1], problem.X.shape[1] + problem.y.shape[1]
        problem, _ = _evened(problem)
        with np.errstate(all="ignore"):
            found = cls(*_core.moments(problem, cross, threads), np.ones(columns))
            if found.sound:  # so all that went into the sums was finite
                return found
            problem.look()
            unit = np.append(_size(problem.X), _size(problem.y))
            small = replace(problem, y=problem.y / unit[d:], frame=Frame(np.zeros(d), unit[:d]))
            return cls(*_core.moments(small, cross, threads), unit)

    @property
    def squares(self) -> Array:
        """(p,): the sum of s_i (z_i - mean)^2, in the units."""
        squares = np.diag(self.products) if self.products.ndim == 2 else self.products
        return squares.clip(min=0.0)

    @property
    def at(self) -> Array:
        """(p,): the mean."""
        return self.unit * (self.origin + self.mean)

    @property
    def spread(self) -> Array:
        """(p,): the standard deviations."""
        return np.asarray(self.unit * np.sqrt(self.squares / self.weight))

    @property
    def sound(self) -> bool:
        """Whether no square overflowed or vanished."""
        low, high = _SQUARES
        kept = (self.squares > low) & (self.squares < high) | ~self.varies
        return bool(kept.all() and np.isfinite(self.products).all() and np.isfinite(self.mean).all())

    def second(self, frame: Frame | None, d: int, *, intercept: bool) -> Array:
        """The weighted mean of x x^T in the coordinates of `frame`, x followed by a 1 for the intercept."""
        centre, scale = (np.zeros(d), np.ones(d)) if frame is None else (frame.mean, frame.scale)
        away = (self.unit[:d] * self.origin[:d] - centre + self.unit[:d] * self.mean[:d]) / scale
        upper, units = np.triu(self.products[:d, :d]) / self.weight, self.unit[:d] / scale
        row = np.append(away, np.ones(int(intercept)))
        out = np.outer(row, row)
        out[:d, :d] += (upper + np.triu(upper, 1).T) * units * units[:, None]
        return out


def _evened(problem: Problem) -> tuple[Problem, float]:
    """The same with weights about 1, so that no square is lost for their sake, and the power of 4 that divided them."""
    if problem.sample_weight is None:
        return problem, 1.0
    exponent = int(np.frexp(problem.sample_weight.mean())[1]) // 2
    weight = np.ldexp(np.ldexp(problem.sample_weight, -exponent), -exponent)  # in two steps, each within float64
    return replace(problem, sample_weight=weight), float(np.ldexp(1.0, exponent)) ** 2


def _size(columns: Rows) -> Array:
    """Powers of two about as large as the largest number of each column."""
    high, low = columns.extremes() if isinstance(columns, Csr) else (columns.max(axis=0), columns.min(axis=0))
    largest = np.maximum(high, -low).astype(np.float64)
    return np.asarray(np.exp2(np.frexp(np.where(largest > 0, largest, 1.0))[1].clip(-1000, 1000)))


@dataclass(frozen=True, eq=False)
class Statistics:
    """Weight and mean of the p columns (X | y), and a factor R of their products about it.

    R^T R = sum_i s_i (z_i - mean) (z_i - mean)^T, so the sum of s_i (x_i . w + b - y_i)^2 over all rows is that of
    (r_x . w - r_y)^2 over R's rows, at most p of them, plus one more for the mean. `a + b` are the statistics of the
    rows of both: Householder reflections on the stacked factors lose no digits, whatever the order.
    """

    weight: float
    origin: Array
    mean: Array
    factor: Array
    #: of the columns: what is held is z / unit
    unit: Array

    @classmethod
    def of(cls, problem: Problem, *, threads: int) -> Statistics:
        """From the rows: by their products where the columns are far from depending on each other, else by blocks.

        The Cholesky factor of the products is R as well, and loses next to nothing then.
        """
        columns = problem.X.shape[1] + problem.y.shape[1]
        problem, weight = _evened(problem)
        moments = Moments.of(problem, cross=len(problem.X) > 4 * columns, threads=threads)
        factor = _by_products(problem, moments, threads) if moments.products.ndim == 2 else None
        if factor is None:
            factor = _by_blocks(problem, moments)
        return cls(moments.weight * weight, moments.origin, moments.mean, factor * np.sqrt(weight), moments.unit)

    @property
    def at(self) -> Array:
        """(p,): the mean."""
        return self.unit * (self.origin + self.mean)

    @property
    def spread(self) -> Array:
        """(p,): the standard deviations."""
        return np.asarray(self.unit * (np.linalg.norm(self.factor, axis=0) / np.sqrt(self.weight)))

    def __add__(self, other: Statistics) -> Statistics:
        if not isinstance(other, Statistics):
            return NotImplemented
        if len(self.mean) != len(other.mean):
            raise ValueError(f"other must have {len(self.mean)} columns, got {len(other.mean)}")
        weight, unit = self.weight + other.weight, np.maximum(self.unit, other.unit)
        mine, theirs = self.unit / unit, other.unit / unit
        apart = theirs * other.origin - mine * self.origin + theirs * other.mean - mine * self.mean
        between = np.sqrt(self.weight / weight * other.weight) * apart
        factor = _reduced(np.vstack([self.factor * mine, other.factor * theirs, between]))
        return Statistics(weight, mine * self.origin, mine * self.mean + apart * (other.weight / weight), factor, unit)

    def rows(self, frame: Frame | None, d: int, *, intercept: bool) -> tuple[Array, Array]:
        """Rows (X, y) in the coordinates of `frame`, sums of squares over which are those over all rows.

        The intercept is a feature, the last; the row of the mean is the first.
        """
        scale, centre = np.ones(len(self.mean)), np.zeros(len(self.mean))
        if frame is not None:
            scale[:d], centre[:d], centre[d:] = frame.scale, frame.mean, frame.shift
        root = np.sqrt(self.weight)
        mean = root * ((self.unit * self.origin - centre + self.unit * self.mean) / scale)
        rows = np.vstack([mean, self.factor * (self.unit / scale)])
        one = np.zeros((len(rows), int(intercept)))
        one[0] = root
        return np.hstack([rows[:, :d], one]), rows[:, d:]


def _by_products(problem: Problem, moments: Moments, threads: int) -> Array | None:
    """The factor from the products of columns; None where the columns of X nearly depend on each other.

    What X leaves of y is told from a difference. Where that is small beside y, or columns of X agree enough for digits
    to be lost, least squares takes its prediction off y first, which changes nothing but the digits.
    """
    d = problem.X.shape[1]
    found = _factors(moments, d)
    if found is None:
        return None
    of_x, of_y, left, independence = found
    size = np.ones(len(left))
    if independence < _SURE or (np.diag(left) < _LITTLE * moments.squares[d:]).any():
        live = (of_x != 0).any(axis=0)
        w = np.zeros((len(left), d))
        w[:, live] = np.linalg.solve(of_x[:, live], of_y).T
        origin, unit = moments.origin, moments.unit
        frame = Frame(unit[:d] * origin[:d], unit[:d])
        explained = _core.predict(problem.X, frame, w, np.zeros(len(left)))
        y = problem.y / unit[d:] - origin[d:] - explained
        size = _size(y)
        rest = replace(problem, y=y / size, frame=frame)
        second = Moments(*_core.moments(rest, True, threads), np.ones(len(unit)))
        again = _factors(second, d) if second.sound else None
        if again is None:
            return None
        of_x, of_y, left = again[0], again[1] * size + again[0] @ w.T, again[2]
    values, vectors = np.linalg.eigh(left)
    of_rest = (np.sqrt(values.clip(min=0.0)) * vectors).T * size
    return np.block([[of_x, of_y], [np.zeros((len(left), d)), of_rest]])


def _factors(moments: Moments, d: int) -> tuple[Array, Array, Array, float] | None:
    """R of the columns of X, R^-T X^T y, the products of what X leaves of y, and how independent the columns are."""
    norms = np.sqrt(moments.squares)
    unit = np.where(norms > 0, norms, 1.0)
    upper = np.triu(moments.products) / unit / unit[:, None]
    products = upper + np.triu(upper, 1).T
    live = norms[:d] > 0
    of_x = products[:d, :d][np.ix_(live, live)]
    values = np.linalg.eigvalsh(of_x)
    if not len(values) or values[0] <= _INDEPENDENT * values[-1]:
        return None
    R = np.linalg.cholesky(of_x).T
    of_y = np.linalg.solve(R.T, products[:d, d:][live])
    full = np.zeros((len(R), d))
    full[:, live] = R * norms[:d][live]
    left = products[d:, d:] - of_y.T @ of_y
    return full, of_y * norms[d:], left * norms[d:] * norms[d:, None], float(values[0] / values[-1])


def _by_blocks(problem: Problem, moments: Moments) -> Array:
    """Householder reflections, block by block, about the mean."""
    n = len(problem.X)
    weight = np.ones(n) if problem.sample_weight is None else problem.sample_weight
    stored = replace(problem, frame=None)
    factor = np.zeros((0, len(moments.mean)))
    for at in range(0, n, _BLOCK):
        part = slice(at, at + _BLOCK)
        rows = np.hstack([np.asarray(stored.rows(part), np.float64), problem.y[part]]) / moments.unit
        rows = np.sqrt(weight[part, None]) * (rows - moments.origin - moments.mean)
        factor = _reduced(np.vstack([factor, _reduced(rows)]))
    return factor


def _reduced(rows: Array) -> Array:
    """At most as many rows as columns, with the same products."""
    return rows if len(rows) <= rows.shape[1] else np.asarray(np.linalg.qr(rows, mode="r"), dtype=np.float64)
