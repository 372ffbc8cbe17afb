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
