"""Loss: how far raw predictions are from their targets, and the derivative that says where to go.

A twin is a class with the registered name, its parameters as fields with the registered defaults, and the formulas
`value` and `gradient`, elementwise over arrays.
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
