"""Sampler: which rows make the next batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class Sampler:
    """The batches of each epoch: `order` cut into pieces of `size`; the last may be short."""

    n: int
    size: int
    shuffle: bool | str
    rng: Any
    order: NDArray[np.int64] | None = None

    def epoch(self) -> Iterator[NDArray[np.int64]]:
        """The next epoch's batches, each an array of row indices."""
        if self.order is None:
            self.order = np.arange(self.n)
            draw = bool(self.shuffle)
        else:
            draw = self.shuffle is True
        if draw:
            self.order = self.rng.permutation(self.n)
        for at in range(0, self.n, self.size):
            yield self.order[at : at + self.size]
