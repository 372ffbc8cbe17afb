"""Objective: what a run minimises, the mean (or sum) of the loss over rows plus the penalty.

sum_i s_i loss(x_i . w + b, y_i) / sum_i s_i + l1 |w|_1 + l2/2 |w|^2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .penalty import Penalty

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Objective:
    """Rows X (n, d), targets y (n, K), or (n, 1) of all outputs; weights (n,) and their mean, a loss and a penalty.

    Parameters `theta` are (K, d + 1): each output's coefficients, then its intercept, which is 0 and stays 0 where the
    model has none.
    """

    X: NDArray[Any]
    y: Array
    weight: Array
    mean_weight: float
    loss: Any
    penalty: Penalty
    fit_intercept: bool

    def of_batch(self, rows: Any, theta: Array) -> tuple[float, Array]:
        """Loss over a batch without the penalty, and the gradient with that of the penalty's smooth part."""
        x = self.X[rows].astype(np.float64, copy=False)
        s = self.weight[rows, None]
        w, b = theta[:, :-1], theta[:, -1]

        raw = x @ w.T + b
        loss = (s * self.loss.value(raw, self.y[rows])).sum()
        slope = s * self.loss.gradient(raw, self.y[rows])
        if self.loss.reduction == "mean":
            total = len(x) * self.mean_weight
            loss, slope = loss / total, slope / total

        gradient = np.zeros_like(theta)
        gradient[:, :-1] = slope.T @ x + self.penalty.gradient(w)
        if self.fit_intercept:
            gradient[:, -1] = slope.sum(axis=0)
        return float(loss), gradient

    def row_curvature(self, i: int, c: float) -> float:
        """The largest curvature of one row's part, for a loss of curvature c: c s_i (|x_i|^2 + 1)."""
        s = self.weight[i] / (self.mean_weight if self.loss.reduction == "mean" else 1.0)
        return float(c * s * ((self.X[i].astype(np.float64) ** 2).sum() + self.fit_intercept))

    def value(self, theta: Array) -> float:
        """The objective over all rows."""
        return self.of_batch(slice(None), theta)[0] + self.penalty.value(theta[:, :-1])

    def gradient_norm(self, theta: Array, gradient: Array, rate: float) -> float:
        """Length of the gradient; with l1 or `positive` of (w - prox(w - rate gradient)) / rate, 0 just at the minimum.

        The mapping is worked out without its subtraction, which would lose small steps to rounding.
        """
        if self.penalty.l1 or self.penalty.positive:
            l1, w, g = self.penalty.l1 * self.penalty.scale, theta[:, :-1], gradient[:, :-1]
            moved = w - rate * g
            still = w / rate if rate > 0 else -self.penalty.prox(-g, 1.0)
            side = moved if self.penalty.positive else np.abs(moved)
            free = np.asarray(self.penalty.scale) == 0
            g = np.where(free, g, np.where(side > rate * l1, g + l1 * np.sign(moved), still))
            gradient = np.column_stack([g, gradient[:, -1]])
        return norm(gradient)


def norm(values: Array) -> float:
    """Euclidean length, where the squares overflow or vanish too."""
    largest = float(np.abs(values).max())
    if largest == 0 or not np.isfinite(largest):
        return largest
    return largest * float(np.sqrt(((values / largest) ** 2).sum()))
