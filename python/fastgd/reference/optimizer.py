"""Optimizer: how a gradient moves the parameters.

A twin is a class with the registered name, its parameters as fields with the registered defaults, and `step`, which
returns the new parameters. What it remembers from step to step (a velocity, say) starts as None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Twin = TypeVar("Twin", bound=type)

#: registered name -> twin
optimizers: dict[str, Any] = {}


def register(twin: Twin) -> Twin:
    """Enter a twin into `optimizers` under its own name."""
    optimizers[twin.__name__] = twin
    return twin


@register
@dataclass
class sgd:
    """theta -= rate grad"""

    def step(self, theta: Array, grad: Array, rate: float) -> Array:
        return theta - rate * grad
