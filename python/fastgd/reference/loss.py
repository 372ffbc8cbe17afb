"""Loss: how far raw predictions are from their targets, and the derivative that says where to go.

A twin is a class with the registered name, its parameters as fields with the registered defaults, and the formulas
`value` and `gradient`, elementwise over arrays; of a loss that couples the outputs of a row, over rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Twin = TypeVar("Twin", bound=type)

#: registered name -> twin
losses: dict[str, Any] = {}


def register(twin: Twin) -> Twin:
    """Enter a twin into `losses` under its own name."""
    losses[twin.__name__] = twin
    return twin


@register
@dataclass(frozen=True)
class mse:
    """(raw - y)^2, averaged over rows"""

    reduction = "mean"

    def value(self, raw: Array, y: Array) -> Array:
        return (raw - y) ** 2

    def gradient(self, raw: Array, y: Array) -> Array:
        return 2 * (raw - y)


@register
@dataclass(frozen=True)
class half_mse:
    """(raw - y)^2 / 2, averaged over rows"""

    reduction = "mean"

    def value(self, raw: Array, y: Array) -> Array:
        return (raw - y) ** 2 / 2

    def gradient(self, raw: Array, y: Array) -> Array:
        return raw - y


@register
@dataclass(frozen=True)
class sse:
    """(raw - y)^2, summed over rows"""

    reduction = "sum"

    def value(self, raw: Array, y: Array) -> Array:
        return (raw - y) ** 2

    def gradient(self, raw: Array, y: Array) -> Array:
        return 2 * (raw - y)


@register
@dataclass(frozen=True)
class huber:
    """r^2 / 2 up to |r| = delta, then delta (|r| - delta / 2), averaged over rows; r = raw - y"""

    delta: float = 1.0
    reduction = "mean"

    def value(self, raw: Array, y: Array) -> Array:
        r = np.abs(raw - y)
        return np.where(r <= self.delta, r**2 / 2, self.delta * (r - self.delta / 2))

    def gradient(self, raw: Array, y: Array) -> Array:
        return np.clip(raw - y, -self.delta, self.delta)


@register
@dataclass(frozen=True)
class absolute:
    """|raw - y|, averaged over rows"""

    reduction = "mean"

    def value(self, raw: Array, y: Array) -> Array:
        return np.abs(raw - y)

    def gradient(self, raw: Array, y: Array) -> Array:
        return np.sign(raw - y)


@register
@dataclass(frozen=True)
class quantile:
    """q (y - raw) where raw is too small, (1 - q) (raw - y) where it is too large, averaged over rows"""

    q: float = 0.5
    reduction = "mean"

    def value(self, raw: Array, y: Array) -> Array:
        return np.maximum((1 - self.q) * (raw - y), self.q * (y - raw))

    def gradient(self, raw: Array, y: Array) -> Array:
        return (1 - self.q) * (raw > y) - self.q * (raw < y)


@register
@dataclass(frozen=True)
class epsilon_insensitive:
    """max(0, |raw - y| - epsilon), averaged over rows"""

    epsilon: float = 0.1
    reduction = "mean"

    def value(self, raw: Array, y: Array) -> Array:
        return np.maximum(np.abs(raw - y) - self.epsilon, 0)

    def gradient(self, raw: Array, y: Array) -> Array:
        r = raw - y
        return np.sign(r) * (np.abs(r) > self.epsilon)


@register
@dataclass(frozen=True)
class squared_epsilon_insensitive:
    """max(0, |raw - y| - epsilon)^2, averaged over rows"""

    epsilon: float = 0.1
    reduction = "mean"

    def value(self, raw: Array, y: Array) -> Array:
        return np.maximum(np.abs(raw - y) - self.epsilon, 0) ** 2

    def gradient(self, raw: Array, y: Array) -> Array:
        r = raw - y
        return 2 * (r - np.clip(r, -self.epsilon, self.epsilon))


@register
@dataclass(frozen=True)
class log_loss:
    """log(1 + exp(raw)) - y raw, averaged over rows; y in {0, 1}"""

    reduction = "mean"

    def value(self, raw: Array, y: Array) -> Array:
        return np.maximum(raw, 0) - y * raw + np.log1p(np.exp(-np.abs(raw)))

    def gradient(self, raw: Array, y: Array) -> Array:
        e = np.exp(-np.abs(raw))  # never overflows, and nothing cancels where raw agrees with y
        at_0, at_1 = np.where(raw < 0, e, 1), np.where(raw < 0, 1, e)
        slope: Array = ((1 - y) * at_0 - y * at_1) / (1 + e)
        return slope


@register
@dataclass(frozen=True)
class hinge:
    """max(0, margin - y raw), averaged over rows; y in {-1, 1}"""

    margin: float = 1.0
    reduction = "mean"

    def value(self, raw: Array, y: Array) -> Array:
        return np.maximum(self.margin - y * raw, 0)

    def gradient(self, raw: Array, y: Array) -> Array:
        return -y * (y * raw <= self.margin)


@register
@dataclass(frozen=True)
class perceptron:
    """max(0, -y raw), averaged over rows; y in {-1, 1}"""

    reduction = "mean"

    def value(self, raw: Array, y: Array) -> Array:
        return np.maximum(-y * raw, 0)

    def gradient(self, raw: Array, y: Array) -> Array:
        return -y * (y * raw <= 0)


@register
@dataclass(frozen=True)
class squared_hinge:
    """max(0, 1 - y raw)^2, averaged over rows; y in {-1, 1}"""

    reduction = "mean"

    def value(self, raw: Array, y: Array) -> Array:
        return np.maximum(1 - y * raw, 0) ** 2

    def gradient(self, raw: Array, y: Array) -> Array:
        return -2 * y * np.maximum(1 - y * raw, 0)


@register
@dataclass(frozen=True)
class modified_huber:
    """max(0, 1 - z)^2 down to z = -1, -4 z below, averaged over rows; z = y raw, y in {-1, 1}"""

    reduction = "mean"

    def value(self, raw: Array, y: Array) -> Array:
        z = y * raw
        return np.where(z < -1, -4 * z, np.maximum(1 - z, 0) ** 2)

    def gradient(self, raw: Array, y: Array) -> Array:
        z = y * raw
        slope: Array = np.where(z < -1, -4, -2 * np.maximum(1 - z, 0))
        return y * slope


@register
@dataclass(frozen=True)
class poisson:
    """exp(raw) - y raw, averaged over rows; y >= 0"""

    reduction = "mean"

    def value(self, raw: Array, y: Array) -> Array:
        return np.exp(raw) - y * raw

    def gradient(self, raw: Array, y: Array) -> Array:
        return np.exp(raw) - y


@register
@dataclass(frozen=True)
class softmax:
    """log(sum_k exp(raw_k)) - raw_y, averaged over rows; raw (m, K) and y (m, 1) in {0, ..., K-1}"""

    reduction = "mean"

    def value(self, raw: Array, y: Array) -> Array:
        top, e, is_y = self._parts(raw, y)
        others, of_y = (e * ~is_y).sum(axis=1, keepdims=True), (e * is_y).sum(axis=1, keepdims=True)
        value: Array = np.log1p(others + (of_y - 1)) + top - raw[is_y][:, None]
        return value

    def gradient(self, raw: Array, y: Array) -> Array:
        _, e, is_y = self._parts(raw, y)
        others = (e * ~is_y).sum(axis=1, keepdims=True)
        slope: Array = np.where(is_y, -others, e) / e.sum(axis=1, keepdims=True)
        return slope

    def _parts(self, raw: Array, y: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
        """The largest of each row, exp of all less that, and where y is."""
        top: Array = raw.max(axis=1, keepdims=True)
        return top, np.exp(raw - top), np.arange(raw.shape[1]) == y
