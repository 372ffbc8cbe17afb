"""Optimizer: how a gradient moves the parameters.

A twin is a class with the registered name, its parameters as fields with the registered defaults, and `step`, which
returns the new parameters. What it remembers from step to step (a velocity, say) is no parameter and starts at 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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


class Rule:
    """What most rules have in common: they take the gradient where they stand, and gain `rate` a step."""

    def look_ahead(self, theta: Array) -> Any:
        """Where the next gradient is to be taken."""
        return theta

    def gain(self, rate: float) -> Any:
        """How far a constant gradient of 1 moves each coordinate in the long run: the length of the proximal step."""
        return rate

    def settle(self, theta: Array) -> None:
        """See the parameters after the proximal step."""


@register
@dataclass
class sgd(Rule):
    """theta -= rate grad"""

    def step(self, theta: Array, grad: Array, rate: float) -> Any:
        return theta - rate * grad


@register
@dataclass
class momentum(Rule):
    """v = beta v + grad; theta -= rate v"""

    beta: float = 0.9
    v: Any = field(default=0.0, init=False)

    def step(self, theta: Array, grad: Array, rate: float) -> Any:
        self.v = self.beta * self.v + grad
        return theta - rate * self.v

    def gain(self, rate: float) -> Any:
        return rate / (1 - self.beta)


@register
@dataclass
class nesterov(momentum):
    """v = beta v + grad; theta -= rate (grad + beta v)"""

    def step(self, theta: Array, grad: Array, rate: float) -> Any:
        self.v = self.beta * self.v + grad
        return theta - rate * (grad + self.beta * self.v)


@register
@dataclass
class adagrad(Rule):
    """v += grad^2; theta -= rate grad / (sqrt(v) + eps)"""

    eps: float = 1e-10
    v: Any = field(default=0.0, init=False)

    def step(self, theta: Array, grad: Array, rate: float) -> Any:
        self.v = self.v + grad**2
        return theta - rate * grad / (np.sqrt(self.v) + self.eps)

    def gain(self, rate: float) -> Any:
        return rate / (np.sqrt(self.v) + self.eps)


@register
@dataclass
class rmsprop(Rule):
    """v = alpha v + (1 - alpha) grad^2; theta -= rate grad / (sqrt(v) + eps)"""

    alpha: float = 0.99
    eps: float = 1e-8
    v: Any = field(default=0.0, init=False)

    def step(self, theta: Array, grad: Array, rate: float) -> Any:
        self.v = self.alpha * self.v + (1 - self.alpha) * grad**2
        return theta - rate * grad / (np.sqrt(self.v) + self.eps)

    def gain(self, rate: float) -> Any:
        return rate / (np.sqrt(self.v) + self.eps)


@register
@dataclass
class adam(Rule):
    """m, v = moving means of grad and grad^2, bias-corrected; theta -= rate m / (sqrt(v) + eps)"""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    m: Any = field(default=0.0, init=False)
    v: Any = field(default=0.0, init=False)
    t: int = field(default=0, init=False)

    def step(self, theta: Array, grad: Array, rate: float) -> Any:
        self.t += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * grad
        self.v = self.beta2 * self.v + (1 - self.beta2) * grad**2
        return theta - self.gain(rate) * self.m / (1 - self.beta1**self.t)

    def gain(self, rate: float) -> Any:
        return rate / (np.sqrt(self.v / (1 - self.beta2**self.t)) + self.eps)


@register
@dataclass
class accelerated(Rule):
    """x' = prox(z - rate grad(z)); z = x' + (t - 1)/t' (x' - x), restarted (t = 1, z = x') when it turns"""

    t: float = field(default=1.0, init=False)
    x: Any = field(default=None, init=False)
    z: Any = field(default=None, init=False)

    def look_ahead(self, theta: Array) -> Any:
        if self.x is None:
            self.x = self.z = theta
        return self.z

    def step(self, theta: Array, grad: Array, rate: float) -> Any:
        return self.z - rate * grad

    def settle(self, theta: Array) -> None:
        if ((self.z - theta) * (theta - self.x)).sum() > 0:
            self.t, self.z = 1.0, theta
        else:
            t = (1 + (1 + 4 * self.t**2) ** 0.5) / 2
            self.t, self.z = t, theta + (self.t - 1) / t * (theta - self.x)
        self.x = theta


@register
@dataclass
class implicit(sgd):
    """sgd whose rate the solver divides by 1 + rate c (|x|^2 + 1), c the curvature of the loss"""
