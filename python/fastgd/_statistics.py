"""Statistics: what a squared loss sees of its rows, however many these are; two add up to those of all the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fastgd import _core
from fastgd._door import Array
from fastgd._standard import Frame

if TYPE_CHECKING:
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

    `products` (p, p), its upper half, are sum_i s_i (z_i - mean) (z_i - mean)^T, or (p,) their diagonal. The mean is
    `origin` + `mean`, origin being the first row that counts, so that an offset costs no digits. `range` is the largest
    |z - origin|.
    """

    weight: float
    origin: Array
    mean: Array
    products: Array
    range: Array

    @classmethod
    def of(cls, problem: Problem, *, cross: bool, threads: int) -> Moments:
        with np.errstate(all="ignore"):
            return cls(*_core.moments(problem, cross, threads))

    @property
    def squares(self) -> Array:
        """(p,): the sum of s_i (z_i - mean)^2"""
        return np.diag(self.products) if self.products.ndim == 2 else self.products

    @property
    def spread(self) -> Array:
        """(p,): the standard deviations."""
        return np.asarray(np.sqrt(self.squares / self.weight))

    @property
    def sound(self) -> bool:
        """Whether no square overflowed or vanished."""
        with np.errstate(all="ignore"):
            low, high = _SQUARES
            kept = (self.squares > low) & (self.squares < high) | (self.range == 0)
            return bool(kept.all() and np.isfinite(self.products).all() and np.isfinite(self.mean).all())

    def second(self, frame: Frame | None, d: int, *, intercept: bool) -> Array:
        """The weighted mean of x x^T in the coordinates of `frame`, x followed by a 1 for the intercept."""
        away, scale = self.origin[:d] + self.mean[:d], np.ones(d)
        if frame is not None:
            away, scale = (self.origin[:d] - frame.mean + self.mean[:d]) / frame.scale, frame.scale
        upper = np.triu(self.products[:d, :d]) / self.weight
        row = np.append(away, np.ones(int(intercept)))
        out = np.outer(row, row)
        out[:d, :d] += (upper + np.triu(upper, 1).T) / scale / scale[:, None]
        return out


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

    @classmethod
    def of(cls, problem: Problem, *, threads: int) -> Statistics:
        """From the rows: by their products where the columns are far from depending on each other, else by blocks.

        The Cholesky factor of the products is R as well, and loses next to nothing then.
        """
        columns = problem.X.shape[1] + problem.y.shape[1]
        moments = Moments.of(problem, cross=len(problem.X) > 4 * columns, threads=threads)
        if moments.sound and moments.products.ndim == 2:
            factor = _by_products(problem, moments, threads)
            if factor is not None:
                return cls(moments.weight, moments.origin, moments.mean, factor)
        return _by_blocks(problem, moments)

    @property
    def spread(self) -> Array:
        """(p,): the standard deviations."""
        unit = np.abs(self.factor).max(axis=0, initial=0.0)
        unit[unit == 0] = 1.0
        return np.asarray(unit * np.linalg.norm(self.factor / unit, axis=0) / np.sqrt(self.weight))

    def __add__(self, other: Statistics) -> Statistics:
        if not isinstance(other, Statistics):
            return NotImplemented
        if len(self.mean) != len(other.mean):
            raise ValueError(f"other must have {len(self.mean)} columns, got {len(other.mean)}")
        weight = self.weight + other.weight
        apart = other.origin - self.origin + other.mean - self.mean
        between = np.sqrt(self.weight / weight * other.weight) * apart
        mean = self.mean + apart * (other.weight / weight)
        return Statistics(weight, self.origin, mean, _reduced(np.vstack([self.factor, other.factor, between])))

    def rows(self, frame: Frame | None, d: int, *, intercept: bool) -> tuple[Array, Array]:
        """Rows (X, y) in the coordinates of `frame`, sums of squares over which are those over all rows.

        The intercept is a feature, the last; the row of the mean is the first.
        """
        scale, centre = np.ones(d), np.zeros(len(self.mean))
        if frame is not None:
            scale, centre[:d], centre[d:] = frame.scale, frame.mean, frame.shift
        root = np.sqrt(self.weight)
        mean = root * (self.origin - centre + self.mean)
        rows = np.vstack([mean, self.factor])
        one = np.zeros((len(rows), int(intercept)))
        one[0] = root
        return np.hstack([rows[:, :d] / scale, one]), rows[:, d:]


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
    if independence < _SURE or (np.diag(left) < _LITTLE * moments.squares[d:]).any():
        live = (of_x != 0).any(axis=0)
        w = np.zeros((len(left), d))
        w[:, live] = np.linalg.solve(of_x[:, live], of_y).T
        raw = _core.predict(problem.X, Frame(moments.origin[:d], np.ones(d)), w, np.zeros(len(left)), threads)
        rest = Moments.of(replace(problem, y=problem.y - moments.origin[d:] - raw), cross=True, threads=threads)
        again = _factors(rest, d)
        if again is None:
            return None
        of_x, of_y, left = again[0], again[1] + again[0] @ w.T, again[2]
    values, vectors = np.linalg.eigh(left)
    of_rest = (np.sqrt(values.clip(min=0.0)) * vectors).T
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


def _by_blocks(problem: Problem, moments: Moments) -> Statistics:
    """Householder reflections, block by block, about the mean and in units in which no square is lost."""
    origin, n = moments.origin, len(problem.X)
    weight = np.ones(n) if problem.sample_weight is None else problem.sample_weight
    unit = np.where(moments.range > 0, moments.range, 1.0)

    def block(at: int) -> Array:
        part = slice(at, at + _BLOCK)
        rows = np.hstack([np.asarray(problem.rows(part), np.float64), problem.y[part]])
        return np.asarray((rows - origin) / unit)

    starts, mean = range(0, n, _BLOCK), moments.mean / unit
    if not moments.sound:
        mean = np.asarray(sum(weight[at : at + _BLOCK] @ block(at) for at in starts) / moments.weight)
    factor = np.zeros((0, len(mean)))
    for at in starts:
        rows = np.sqrt(weight[at : at + _BLOCK, None]) * (block(at) - mean)
        factor = _reduced(np.vstack([factor, _reduced(rows)]))
    # what rounding left of the mean is in the factor: it is about `mean`, not about the mean of the rows
    return Statistics(moments.weight, origin, mean * unit, factor * unit)


def _reduced(rows: Array) -> Array:
    """At most as many rows as columns, with the same products."""
    return rows if len(rows) <= rows.shape[1] else np.asarray(np.linalg.qr(rows, mode="r"), dtype=np.float64)
