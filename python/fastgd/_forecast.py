"""Forecast: how many steps a rule takes on a bowl, told without walking it wherever a formula tells it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastgd._door import Array

#: steps of the accelerated rule that are simulated at most, and these times the square of the modes
_STEPS, _WORK = 100_000, 2e9
#: steps that are looked at together, and these times the modes; at most so often
_TOGETHER, _ROOM, _LOOKS = 2048, 100_000, 64


def steps_to(
    small: float, values: Array, excess: Array, optimizer: str, parameters: dict[str, float], lr: float
) -> tuple[float, bool]:
    """The first step after which the excess loss is at most `small`, or infinity; and whether that is exact.

    Parameters
    ----------
    small : float
    values, excess : ndarray, shape (r,)
        The curvature of each mode, and what it adds to the objective at the start.
    optimizer : {"sgd", "momentum", "nesterov", "accelerated"}
    parameters : dict
    lr : float

    Notes
    -----
    On a mode of curvature c, with a = lr c, sgd multiplies the distance to the minimum by 1 - a. With momentum beta it
    follows x'' = T x' - D x from 1 and T - beta, where T = 1 + beta - a, D = beta; for Nesterov's
    T = 1 + beta - a (1 + beta), D = beta (1 - a). That is c1 r1^t + c2 r2^t with the roots of r^2 - T r + D.
    """
    if excess.sum() <= small:
        return 0.0, True
    live = excess > 1e-3 * small / max(len(excess), 1)
    if optimizer == "accelerated":
        return _accelerated(small, values[live], excess[live], lr)
    beta, a = parameters.get("beta", 0.0), lr * values
    of_nesterov = optimizer == "nesterov"
    T = 1 + beta - a * (1 + beta if of_nesterov else 1)
    D = beta * (1 - a if of_nesterov else np.ones_like(a))
    root = np.sqrt((T * T - 4 * D).astype(complex))
    root = np.where(np.abs(root) < 1e-7, 1e-7, root)  # two equal roots are told apart, or the formula is 0/0
    r1 = (T + np.where(T < 0, -1, 1) * root) / 2
    r2 = np.where(r1 == 0, 0, D / np.where(r1 == 0, 1, r1))
    if not np.maximum(np.abs(r1), np.abs(r2)).max() < 1:  # rounding sets off those that are at rest; NaN is overflow
        return np.inf, True
    r1, r2, T, excess = r1[live], r2[live], T[live], excess[live]
    c1, c2 = (T - beta - r2) / (r1 - r2), (r1 - T + beta) / (r1 - r2)
    size1, size2 = np.abs(r1), np.abs(r2)

    def above(t: float) -> float:
        return float(excess @ (np.abs(c1) * size1**t + np.abs(c2) * size2**t) ** 2)

    # modes that do not swing only fall: a bound from below
    steady = (np.abs(r1.imag) + np.abs(r2.imag) == 0) & (((r1.real > 0) & (r2.real >= 0)) | (size2 == 0))

    def below(t: float) -> float:
        fallen = np.abs(c1 * r1**t + c2 * r2**t)[steady]
        return float(excess[steady] @ fallen**2)

    last = _first(above, small)
    at = _first(below, small) if steady.any() else 0.0
    if not np.isfinite(last):
        return np.inf, True
    together = max(16, min(_TOGETHER, _ROOM // len(excess)))
    for _ in range(_LOOKS):
        if at >= last:
            return float(last), True
        t = np.arange(at, min(at + together, last))
        now = excess @ np.abs(c1[:, None] * r1[:, None] ** t + c2[:, None] * r2[:, None] ** t) ** 2
        if (now <= small).any():
            return float(t[int(np.argmax(now <= small))]), True
        at += len(t)
    return float(last), False


def _first(falling: Callable[[float], float], small: float) -> float:
    """The first whole t where a falling function is at most `small`."""
    high = 1.0
    while falling(high) > small:
        high *= 2
        if high > 2.0**60:
            return np.inf
    low = high / 2 if high > 1 else 0.0
    while high - low > max(1.0, low * 1e-15):
        middle = np.floor((low + high) / 2)
        low, high = (middle, high) if falling(middle) > small else (low, middle)
    return high


def _accelerated(small: float, values: Array, excess: Array, lr: float) -> tuple[float, bool]:
    """Step by step, for it restarts; what is beyond `_STEPS` or `_WORK` at the mean pace of the later half."""
    # a mode's distance from the minimum, from its start, so that excess = values / 2 x^2
    x = z = np.sqrt(2 * excess / values)
    step, t, half, end = lr * values, 1.0, 0.0, 0.0
    start = float(excess.sum())
    most = int(min(_STEPS, max(_WORK / len(values) ** 2, 100)))
    for k in range(1, most + 1):
        move = step * z
        new = z - move
        change = new - x
        if move @ change > 0:
            t, z = 1.0, new
        else:
            after = (1 + (1 + 4 * t * t) ** 0.5) / 2
            z, t = new + (t - 1) / after * change, after
        x = new
        now = float(values @ (x * x)) / 2
        if now <= small:
            return float(k), True
        if not now <= 1e6 * start:
            return np.inf, True
        if k == most // 2:
            half = now
        end = now
    pace = np.log(half / end) / (most - most // 2)
    return (float(most + np.log(end / small) / pace) if pace > 0 else np.inf), False
