"""Schedule: the rate of each update.

A twin is a class with the registered name, its parameters as fields with the registered defaults, and `rate`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeVar

Twin = TypeVar("Twin", bound=type)

#: registered name -> twin
schedules: dict[str, Any] = {}


def register(twin: Twin) -> Twin:
    """Enter a twin into `schedules` under its own name."""
    schedules[twin.__name__] = twin
    return twin


def share(k: int, last: int) -> float:
    """From 0 at the first update to 1 at the last."""
    return (k - 1) / (last - 1) if last > 1 else 0.0


@register
@dataclass(frozen=True)
class constant:
    """lr"""

    def rate(self, lr: float, k: int, finished: int, last: int) -> float:
        """The rate of update k = 1, 2, ..., last when `finished` epochs are over."""
        return lr


@register
@dataclass(frozen=True)
class invscaling:
    """lr / k^power"""

    power: float = 0.5

    def rate(self, lr: float, k: int, finished: int, last: int) -> float:
        return float(lr / k**self.power)


@register
@dataclass(frozen=True)
class inverse_time:
    """lr / (1 + decay (k - 1))"""

    decay: float = 0.01

    def rate(self, lr: float, k: int, finished: int, last: int) -> float:
        return lr / (1 + self.decay * (k - 1))


@register
@dataclass(frozen=True)
class exponential:
    """lr gamma^finished"""

    gamma: float = 0.99

    def rate(self, lr: float, k: int, finished: int, last: int) -> float:
        return lr * self.gamma**finished


@register
@dataclass(frozen=True)
class step:
    """lr gamma^(finished // every)"""

    every: int = 10
    gamma: float = 0.1

    def rate(self, lr: float, k: int, finished: int, last: int) -> float:
        return lr * self.gamma ** (finished // self.every)


@register
@dataclass(frozen=True)
class linear:
    """a straight line from lr to end"""

    end: float = 0.0

    def rate(self, lr: float, k: int, finished: int, last: int) -> float:
        return lr + (self.end - lr) * share(k, last)


@register
@dataclass(frozen=True)
class cosine:
    """half a cosine wave from lr to end"""

    end: float = 0.0

    def rate(self, lr: float, k: int, finished: int, last: int) -> float:
        return self.end + (lr - self.end) * (1 + math.cos(math.pi * share(k, last))) / 2
