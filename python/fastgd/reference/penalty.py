"""Penalty: what large coefficients cost, l1 |w|_1 + l2/2 |w|^2, and negative ones where none may be: infinitely much.

The intercept never pays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Penalty:
    """Both penalties; 0 leaves one out. With `positive` no coefficient may be negative.

    Where coordinate j stands for w_j / a_j, `scale` holds the a_j, and the penalty is still that of w; an a_j of 0
    frees a coordinate.
    """

    l1: float
    l2: float
    scale: Any = 1.0
    positive: bool = False

    def value(self, w: Array) -> float:
        """l1 |w|_1 + l2/2 |w|^2"""
        w = w * self.scale
        of_l1 = self.l1 * np.abs(w).sum() if self.l1 else 0.0  # 0 times what may be infinite is no 0
        return float(of_l1 + (self.l2 / 2 * (w**2).sum() if self.l2 else 0.0))

    def gradient(self, w: Array) -> Array:
        """Of the smooth part: l2 w."""
        return np.asarray(self.l2 * self.scale**2 * w) if self.l2 else np.zeros_like(w)

    def prox(self, w: Array, length: Any) -> Array:
        """The proximal step of what has no gradient: every coordinate toward zero by length l1, and no further.

        With `positive` the negative ones become 0. `length` is a number or an array of the shape of w.
        """
        if not (self.l1 or self.positive):
            return w
        by = length * self.l1 * self.scale
        shrunk = np.maximum(w - by, 0) if self.positive else np.sign(w) * np.maximum(np.abs(w) - by, 0)
        return np.where(np.asarray(self.scale) != 0, shrunk, w)
