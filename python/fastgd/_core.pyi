"""The door to Rust, typed; stubtest holds this to the built module."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastgd import _online
from fastgd._door import Array, Rows
from fastgd._request import Config, Observe, Problem, Progress, Solution
from fastgd._standard import Frame

__all__ = [
    "__version__",
    "choose",
    "compress",
    "descend_online",
    "finite",
    "gradient_descent",
    "kernel",
    "loss_and_gradient",
    "losses",
    "moments",
    "optimizers",
    "predict",
    "rate",
    "release",
    "schedules",
    "solve",
]

__version__: Final[str]
release: Final[bool]

def choose(family: str, name: str, given: dict[str, float]) -> tuple[str, dict[str, float]]: ...
def compress(
    data: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any], d: int, n: int | None = None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None: ...
def descend_online(
    X: _online.Table,
    told: _online.Told,
    validation: _online.Validation | None,
    config: _online.Config,
    start: _online.Start,
    observe: Observe | None = None,
) -> _online.Outcome: ...
def finite(values: NDArray[Any], threads: int = 1) -> bool: ...
def gradient_descent(
    gradient: Callable[[Array], Array], fun: Callable[[Array], float] | None, config: Any
) -> tuple[Array, Array, str]: ...
def loss_and_gradient(problem: Problem, config: Any) -> tuple[float, Array, Array]: ...
def kernel() -> str: ...
def losses() -> dict[str, dict[str, Any]]: ...
def moments(problem: Problem, cross: bool, threads: int) -> tuple[float, Array, Array, Array, NDArray[np.bool_]]: ...
def optimizers() -> dict[str, dict[str, Any]]: ...
def predict(X: Rows, frame: Frame | None, coef: Array, intercept: Array) -> Array: ...
def rate(schedule: tuple[str, dict[str, float]], lr: float, k: int, finished: int, last: int) -> float: ...
def schedules() -> dict[str, dict[str, Any]]: ...
def solve(
    problem: Problem, config: Config, observe: Observe | None = None, progress: Progress | None = None
) -> Solution: ...
