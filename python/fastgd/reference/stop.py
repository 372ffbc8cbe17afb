"""Stop: when a run is over, and how it ended."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: beyond this many times the larger of the objectives at the start and at zero, a run has diverged
GROWTH = 1e6
#: a run in batches may well end above its start, but not by so much
FAR = 10.0
#: gains over a whole rate of so many times the share that counts as an improvement within it are next to nothing
LITTLE = 10.0


@dataclass(frozen=True)
class Bounds:
    """What the objective must stay below, from its values at the start and at zero coefficients.

    Where both are 0, as of a perceptron, they measure nothing, and only what is not finite is out of bounds.
    """

    start: float
    zero: float
    #: by which share of the larger a sound full-batch run may end above its start: rounding where every step descends
    slack: float

    @property
    def limit(self) -> float:
        """What a loss is measured by."""
        return max(self.start, self.zero) or math.inf

    def hold(self, loss: float) -> bool:
        """Whether an objective is finite and of a size that a sound run can have."""
        return math.isfinite(loss) and loss <= GROWTH * self.limit

    def noise(self) -> float:
        """Differences of losses that are no more than rounding of what is squared."""
        return 1e-28 * max(self.start, self.zero)

    def rounding(self) -> float:
        """Differences of losses with kinks that are no more than rounding."""
        return 1e-14 * max(self.start, self.zero)

    def far_above(self, loss: float) -> bool:
        """Whether a run ends at a loss that no noise explains."""
        return loss > FAR * self.limit

    def above_start(self, loss: float) -> bool:
        """Whether a full-batch run that ends at `loss` ends above its start."""
        return loss > self.start + self.slack * self.limit


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


class Halving:
    """When the rate of a loss with kinks is halved, and how often it was.

    Whenever the loss has halved, as it bends by about one over the spread of the residuals; and whenever it has not
    improved on the best by share |best| for `wait` epochs, for at a constant rate it hops about its minimum (Goffin,
    "On Convergence Rates of Subgradient Optimization Methods", 1977).
    """

    def __init__(self, share: float, wait: int, noise: float, start: float) -> None:
        self.share, self.wait, self.noise = share, wait, noise
        self.best = start
        self.waited = 0
        self.whole = start  # below half of this the loss has halved
        self.began = self.reached = start  # the loss where the latest rate began, and the best until then
        self.grew = False  # whether the loss grew from the beginning to the end of the rate before the latest
        self.idle = 0  # how many rates in a row gained next to nothing
        self.times = 0

    def factor(self, loss: float) -> float:
        """Take an epoch's loss; what the rate is to be multiplied by."""
        improved = loss < self.best - max(self.share * abs(self.best), self.noise)
        self.waited = 0 if improved else self.waited + 1
        self.best = min(self.best, loss)
        factor = 1.0
        while 0 < loss < self.whole / 2:
            self.whole /= 2
            self.times += 1
            self.idle = 0
            factor /= 2
        if factor == 1 and self.waited >= self.wait:
            little = max(LITTLE * self.share * abs(self.reached), self.noise)
            self.idle = 0 if self.best < self.reached - little else self.idle + 1
            self.times += 1
            factor = 0.5
        if factor < 1:
            self.grew = loss > self.began
            self.began = self.best if self.grew else loss
            self.waited, self.reached = 0, self.best
        return factor
