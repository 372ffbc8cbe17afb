"""Standard: centred and scaled coordinates, which change nothing of what is minimised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastgd._door import Array, Full

#: a scale below it has no inverse
_LEAST = float(np.finfo(np.float64).tiny)


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

    def rows(self, X: Full) -> Array:
        """The rows in these coordinates."""
        return np.asarray((X - self.mean) * (1 / self.scale))


def standard(mean: Array, spread: Array, ridge: float, *, centre: bool) -> Frame:
    """The coordinates for columns of this mean and standard deviation.

    scale_j^2 is the variance of column j (not centred: its mean square) plus `ridge`, which is the l2 penalty over the
    loss's curvature; columns without either have scale 1.
    """
    scale = np.hypot(spread if centre else np.hypot(spread, mean), np.sqrt(ridge))
    return Frame(mean if centre else np.zeros_like(mean), np.where(scale < _LEAST, 1.0, scale))
