"""Stop: when a run is over, and how it ended."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: beyond this many times the larger of the objectives at the start and at zero, a run has diverged
GROWTH = 1e6
#: a run in batches may well end above its start, but not by so much
FAR = 10.0


@dataclass(frozen=True)
class Bounds:
    """What the objective must stay below, from its values at the start and at zero coefficients."""

    start: float
    zero: float
    #: by which share of the larger a sound full-batch run may end above its start: rounding where every step descends
    slack: float

    def hold(self, loss: float) -> bool:
        """Whether an objective is finite and of a size that a sound run can have."""
        return math.isfinite(loss) and loss <= GROWTH * max(self.start, self.zero)

    def noise(self) -> float:
        """Differences of losses that are no more than rounding of what is squared."""
        return 1e-28 * max(self.start, self.zero)

    def far_above(self, loss: float) -> bool:
        """Whether a run ends at a loss that no noise explains."""
        return loss > FAR * max(self.start, self.zero)

    def above_start(self, loss: float) -> bool:
        """Whether a full-batch run that ends at `loss` ends above its start."""
        return loss > self.start + self.slack * max(self.start, self.zero)


@dataclass
class Plateau:
    """Converged when the loss has not improved on the best by tol |best| for `patience` epochs in a row."""

    tol: float
    patience: int
    noise: float
    best: float = math.inf
    waited: int = 0

    def reached(self, loss: float) -> bool:
        """Take an epoch's loss; whether the run has converged with it."""
        improved = math.isinf(self.best) or loss < self.best - max(self.tol * abs(self.best), self.noise)
        self.waited = 0 if improved else self.waited + 1
        self.best = min(self.best, loss)
        return self.waited >= self.patience
