"""Tail: the mean of the iterates of the later half of the epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Tail:
    """Every iterate, epoch by epoch; of E epochs, the first E // 2 do not count."""

    def __init__(self) -> None:
        self.epochs: list[list[Array]] = []
        self.running: list[Array] = []

    def add(self, theta: Array) -> None:
        """Take an iterate."""
        self.running.append(theta)

    def end_epoch(self) -> None:
        """The iterates so far were an epoch's."""
        self.epochs.append(self.running)
        self.running = []

    def mean(self) -> Any:
        """The mean of what counts; None before the first epoch's end."""
        later = self.epochs[len(self.epochs) // 2 :]
        return np.mean([theta for epoch in later for theta in epoch], axis=0) if later else None
