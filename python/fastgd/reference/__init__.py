"""The engine again in plain NumPy: what `fastgd.fit` does, to read and to compare with.

Read in this order: `solver` (the loop), `objective` (loss and gradient of a batch), then the one-line parts: `loss`,
`optimizer`, `schedule`, `penalty`, `sampler`, `stop`. None of them imports anything but NumPy. This file is the door:
it checks requests as `fastgd.fit` does, and puts answers into the same shape.

>>> import fastgd
>>> x, y = fastgd.datasets.load_points()
>>> result = fastgd.reference.fit(x, y, lr=1e-4, epochs=1000)
>>> print(f"{result.coef[0]:.6f} {result.intercept:.6f}")
1.477744 0.088937
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import fastgd
from fastgd._descent import Path, walk
from fastgd._fit import run
from fastgd.reference.loss import losses
from fastgd.reference.optimizer import optimizers
from fastgd.reference.schedule import schedules
from fastgd.reference.solver import descend, solve
from fastgd.result import FitResult

__all__ = ["fit", "gradient_descent", "losses", "optimizers", "schedules"]

P = ParamSpec("P")
R = TypeVar("R")


def _like(engine: Callable[P, R]) -> Callable[[Callable[[dict[str, Any]], R]], Callable[P, R]]:
    """With the arguments and defaults of the engine's function: they have one home."""
    signature = inspect.signature(engine)

    def decorate(work: Callable[[dict[str, Any]], R]) -> Callable[P, R]:
        @functools.wraps(work)
        def call(*args: P.args, **options: P.kwargs) -> R:
            request = signature.bind(*args, **options)
            request.apply_defaults()
            return work(request.arguments)

        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__annotations__ = engine.__annotations__
        return call

    return decorate


@_like(fastgd.fit)
def fit(request: dict[str, Any]) -> FitResult:
    """`fastgd.fit` in plain NumPy: same arguments, same rows in the same order, same result to rounding.

    Returns
    -------
    FitResult

    Examples
    --------
    >>> import fastgd
    >>> fastgd.reference.fit([1.0, 2.0], [2.0, 4.0], lr=0.1, epochs=2).n_steps
    2
    """
    return run(solve, request)


@_like(fastgd.gradient_descent)
def gradient_descent(request: dict[str, Any]) -> Path:
    """`fastgd.gradient_descent` in plain NumPy.

    Returns
    -------
    Path

    Examples
    --------
    >>> import fastgd
    >>> fastgd.reference.gradient_descent(lambda x: 2 * x, 5.0, lr=1.0, steps=2).x
    array([ 5., -5.,  5.])
    """
    return walk(descend, **request)
