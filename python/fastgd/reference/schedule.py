"""Schedule: the rate of each update.

A twin is a class with the registered name, its parameters as fields with the registered defaults, and `rate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

Twin = TypeVar("Twin", bound=type)

#: registered name -> twin
schedules: dict[str, Any] = {}


def register(twin: Twin) -> Twin:
    """Enter a twin into `schedules` under its own name."""
    schedules[twin.__name__] = twin
    return twin


@register
@dataclass(frozen=True)
class constant:
    """lr"""

    def rate(self, lr: float, k: int, finished: int) -> float:
        """The rate of update k = 1, 2, ... when `finished` epochs are over."""
        return lr
