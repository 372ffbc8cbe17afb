"""Descent: gradient descent on any function whose derivative the user supplies."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd import _core, _door, _html
from fastgd._door import Array
from fastgd._fit import DivergenceWarning

if TYPE_CHECKING:
    from fastgd.plot import Descent


@dataclass(frozen=True, eq=False, repr=False)
class Path:
    """Where a descent went.

    Attributes
    ----------
    x : ndarray, shape (n_steps + 1,) from a scalar start, else (n_steps + 1, d)
    fun : ndarray, shape (n_steps + 1,), or None
        The function's values, where `fun` was given.
    n_steps : int
    status : {"converged", "max_epochs", "diverged"}
        "max_epochs" when all steps were run.
    """

    x: Array
    fun: Array | None
    n_steps: int
    status: str
    _fun: Callable[[Any], float] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_fun": None}  # often a lambda, which cannot be pickled

    def plot(self, ax: Any = None) -> Descent:
        """The function with the path on it, `fastgd.plot.descent(fun, self)`; needs `fun`.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None makes a figure.

        Returns
        -------
        fastgd.plot.Descent

        Raises
        ------
        ValueError
            If `gradient_descent` was called without `fun`.
        """
        if self._fun is None:
            raise ValueError("fun must be given to gradient_descent for a plot, got None")
        from fastgd import plot

        return plot.descent(self._fun, self, ax=ax)

    def _ended(self) -> str:
        steps = f"{self.n_steps} step{'' if self.n_steps == 1 else 's'}"
        return f"ran all of {steps}" if self.status == "max_epochs" else f"{self.status} after {steps}"

    def __repr__(self) -> str:
        text = f"Path: {self._ended()}, from {_shown(self.x[0])} to {_shown(self.x[-1])}"
        return text if self.fun is None else f"{text}, value {self.fun[0]:.6g} to {self.fun[-1]:.6g}"

    def _repr_html_(self) -> str:
        facts = [("from", _shown(self.x[0])), ("to", _shown(self.x[-1]))]
        if self.fun is not None:
            facts.append(("value", f"{self.fun[0]:.6g} to {self.fun[-1]:.6g}"))
        return _html.table(f"Path: {self._ended()}", facts, curve=self.fun)


def _shown(x: Any) -> str:
    return f"{x:.6g}" if np.ndim(x) == 0 else np.array2string(np.asarray(x), precision=6, threshold=6)


@dataclass(frozen=True, eq=False)
class DescentConfig:
    """A request in which nothing is left to choose; x0 is (d,)."""

    x0: Array
    lr: float
    steps: int
    optimizer: tuple[str, dict[str, float]]
    schedule: tuple[str, dict[str, float]]
    tol: float | None


Walk = Callable[[Callable[[Array], Array], Callable[[Array], float] | None, DescentConfig], tuple[Array, Array, str]]


def gradient_descent(
    gradient: Callable[[Any], Any],
    x0: Any,
    *,
    lr: float,
    steps: int,
    fun: Callable[[Any], float] | None = None,
    optimizer: str | tuple[str, dict[str, float]] = "sgd",
    schedule: str | tuple[str, dict[str, float]] = "constant",
    tol: float | None = None,
) -> Path:
    """Descend any function: `x -= lr * gradient(x)`, by the same update rules and schedules as `fastgd.fit`.

    Parameters
    ----------
    gradient : callable
        The derivative at x: a number for a scalar start, else an array-like of the shape of x.
    x0 : float or array-like, shape (d,)
        The start. `gradient` and `fun` get a float or a fresh array of that shape.
    lr : float
        The learning rate, > 0.
    steps : int
        At most so many steps; each is an epoch to the schedule.
    fun : callable, optional
        The function itself; its values are kept in `Path.fun`.
    optimizer, schedule : str or (str, dict)
        Names of `fastgd.optimizers()` and `fastgd.schedules()`.
    tol : float or None, default None
        Converged when the Euclidean length of the gradient is at most `tol`.

    Returns
    -------
    Path
        `diverged` at the first value that is not finite (or an OverflowError); the finite ones are kept.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, or `gradient` or `fun` return something else. Their own exceptions come out as
        they are.

    Warns
    -----
    DivergenceWarning
        If it diverged so. Values that grow and stay finite are no more than they are: look at `Path.x`.

    Examples
    --------
    >>> import fastgd
    >>> fastgd.gradient_descent(lambda x: 2 * x, -5.0, lr=0.3, steps=5).x
    array([-5.    , -2.    , -0.8   , -0.32  , -0.128 , -0.0512])
    """
    return walk(
        _core.gradient_descent,
        gradient,
        x0,
        lr=lr,
        steps=steps,
        fun=fun,
        optimizer=optimizer,
        schedule=schedule,
        tol=tol,
    )


def walk(
    descend: Walk,
    gradient: Any,
    x0: Any,
    *,
    lr: Any,
    steps: Any,
    fun: Any,
    optimizer: Any,
    schedule: Any,
    tol: Any,
) -> Path:
    """Check the request, let `descend` do the work. The engine and the reference both come through here."""
    for name, function in (("gradient", gradient), ("fun", fun)):
        if not callable(function) and not (name == "fun" and function is None):
            raise TypeError(f"{name} must be callable, got {function!r}")
    shape = _door.real_array(x0, "x0").shape
    if len(shape) > 1 or 0 in shape:
        raise ValueError(f"x0 must be a number or have shape (d,) with d >= 1, got shape {shape}")
    scalar = not shape
    optimizer = _core.choose("optimizer", *_door.choice(optimizer, "optimizer"))
    if _core.optimizers()[optimizer[0]]["use"] == "single rows":
        raise ValueError(f"optimizer must be one that needs no rows, got '{optimizer[0]}'")
    config = DescentConfig(
        x0=np.array([_door.real(x0, "x0")]) if scalar else _door.vector(x0, shape, "x0"),
        lr=_door.positive(lr, "lr"),
        steps=_door.integer(steps, "steps"),
        optimizer=optimizer,
        schedule=_core.choose("schedule", *_door.choice(schedule, "schedule")),
        tol=None if tol is None else _door.non_negative(tol, "tol"),
    )

    def answer(function: Callable[[Any], Any], name: str, x: Array, shape: tuple[int, ...]) -> Array:
        try:
            value = function(float(x[0]) if scalar else x)
            if isinstance(value, numbers.Real):
                value = float(value)
        except OverflowError:  # what Python's own numbers raise where NumPy's become infinite
            return np.full(shape, np.inf)
        value = _door.real_array(value, f"{name}(x)").astype(np.float64)
        if value.shape != shape and not (value.size == 1 and np.prod(shape) == 1):
            accepted = "be a number" if scalar or shape == () else f"have shape {shape}"
            raise ValueError(f"{name}(x) must {accepted}, got shape {value.shape}")
        return np.require(value.reshape(shape), requirements=["C", "A"])

    x, values, status = descend(
        lambda x: answer(gradient, "gradient", x, config.x0.shape),
        None if fun is None else lambda x: float(answer(fun, "fun", x, ())),
        config,
    )
    if status == "diverged":
        warnings.warn(_why(len(x) - 1, config.lr), DivergenceWarning, stacklevel=3)
    return Path(
        x=x[:, 0] if scalar else x,
        fun=None if fun is None else values,
        n_steps=len(x) - 1,
        status=status,
        _fun=fun,
    )


def _why(steps: int, lr: float) -> str:
    """What a diverged descent is told."""
    if not steps:
        return "diverged at x0: the gradient or fun is not finite there, or the first step leads out of float64"
    after = f"{steps} step{'' if steps == 1 else 's'}"
    return (
        f"diverged after {after}: what came next is not finite. lr={lr:g} is too large for this function, or it has no "
        "minimum here; use a smaller lr or another x0"
    )
