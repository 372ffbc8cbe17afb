"""Standard: centred and scaled coordinates, and rows made few, without changing what is minimised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastgd._door import Array, Rows

#: rows that are brought to triangular form together
_BLOCK = 4096
#: smallest over largest eigenvalue of the columns' products, from which these are safe: they lose eps over that
_INDEPENDENT = 1e-4


@dataclass(frozen=True, eq=False)
class Frame:
    """Standardised coordinates v_j = scale_j w_j and b' = b + mean . w, in which x stands as (x - mean) / scale."""

    mean: Array
    scale: Array
    #: taken off the targets: b' = b + mean . w - shift
    shift: Array | float = 0.0

    def into(self, coef: Array, intercept: Array) -> tuple[Array, Array]:
        """(..., K, d) and (..., K) from the user's units."""
        return coef * self.scale, intercept + coef @ self.mean - self.shift

    def back(self, coef: Array, intercept: Array) -> tuple[Array, Array]:
        """(..., K, d) and (..., K) to the user's units."""
        coef = coef / self.scale
        return coef, intercept - coef @ self.mean + self.shift

    def rows(self, X: Rows) -> Array:
        """The rows in these coordinates."""
        return np.asarray((X - self.mean) / self.scale)


def standardise(X: Rows, share: Array, ridge: float, *, centre: bool) -> tuple[Array, Frame]:
    """Centred (if asked) and scaled rows, and the coordinates that they are in.

    scale_j^2 is the weighted variance of column j (not centred: its mean square) plus `ridge`, which is the l2 penalty
    over the loss's curvature; columns without either have scale 1. Safe for offsets and units of any size: the mean is
    taken twice, and squares are of numbers no larger than 1. Rows of share 0 do not count.
    """
    rows = X.astype(np.float64)
    rows[share == 0] = rows[int(np.argmax(share > 0))]
    counted = rows[share > 0] if (share == 0).any() else rows
    mean = np.zeros(rows.shape[1])
    if centre:
        mean = share @ rows
        flat = (counted == counted[:1]).all(axis=0)
        mean[flat] = counted[0, flat]  # to the last bit, so that a constant column becomes zero
        rows -= mean
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


def triangle(X: Rows, y: Array, root: Array, *, intercept: bool) -> Array:
    """R of the QR decomposition of the rows root_i (x_i, 1 if `intercept`, y_i): at most d + 1 + K rows.

    Sums of squares over all the rows are those over R's, so least squares on R is least squares on all. Triangles of
    parts are merged by taking that of them stacked, and lose no digits. Where the columns are far from depending on
    each other, the Cholesky factor of their products is R as well, loses next to nothing, and is sooner had.
    """
    columns = X.shape[1] + intercept + y.shape[1]

    def block(at: int) -> Array:
        part = slice(at, at + _BLOCK)
        ones = np.ones((len(y[part]), int(intercept)))
        return np.asarray(root[part, None] * np.hstack([X[part], ones, y[part]]))

    starts = range(0, len(X), _BLOCK)
    if len(X) > 4 * columns:
        with np.errstate(all="ignore"):
            products = np.asarray(sum(rows.T @ rows for rows in map(block, starts)))
            norms = np.sqrt(np.diag(products))
            products = products / norms / norms[:, None]
        if np.isfinite(products).all():
            values = np.linalg.eigvalsh(products)
            if values[0] > _INDEPENDENT * values[-1]:
                return np.ascontiguousarray(np.linalg.cholesky(products).T * norms)

    def reduced(rows: Array) -> Array:
        return rows if len(rows) <= columns else np.asarray(np.linalg.qr(rows, mode="r"), dtype=np.float64)

    merged = np.zeros((0, columns))
    for rows in map(block, starts):
        merged = reduced(np.vstack([merged, reduced(rows)]))
    return np.ascontiguousarray(merged)
