"""Compare: the Rust engine beside the NumPy reference, on the same rows in the same order."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgd._fit import fit
from fastgd.result import FitResult


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """fastgd and its reference, side by side.

    Attributes
    ----------
    max_difference : float
        The largest difference along the whole path, over coef, intercept, the losses and grad_norm, each relative to
        the largest magnitude that its column of the history reaches. With `record=None`, of the results alone.
    seconds, reference_seconds : float
        Time of the whole call, each.
    ratio : float
        reference_seconds / seconds.
    result, reference : FitResult
    """

    max_difference: float
    seconds: float
    reference_seconds: float
    ratio: float
    result: FitResult
    reference: FitResult

    def __repr__(self) -> str:
        records = len(self.result.history)
        where = f"along {records} records" if records else "of the results"
        return (
            f"Comparison: largest difference {self.max_difference:.1e} {where} ({self.result.status})\n"
            f"  fastgd     {_seconds(self.seconds)}\n"
            f"  reference  {_seconds(self.reference_seconds)}  {self.ratio:.1f} times as long"
        )


def _seconds(value: float) -> str:
    return f"{value:8.3f} s " if value >= 1 else f"{value * 1e3:8.3f} ms"


def compare(X: Any, y: Any, **fit_options: Any) -> Comparison:
    """Run `fastgd.fit` and `fastgd.reference.fit` on the same rows in the same order.

    Parameters
    ----------
    X, y, **fit_options
        As for `fastgd.fit`. A callback is called by both. A Generator is advanced once.

    Returns
    -------
    Comparison

    Raises
    ------
    TypeError, ValueError
        As `fastgd.fit`.

    Examples
    --------
    >>> import fastgd
    >>> x, y = fastgd.datasets.load_points()
    >>> fastgd.compare(x, y, lr=1e-4, epochs=100, batch_size=10, rng=0).max_difference < 1e-12
    True
    """
    from fastgd import reference
    from fastgd._door import generator

    rng = generator(fit_options.pop("rng", None))
    twin = copy.deepcopy(rng)
    (result, seconds), (second, reference_seconds) = (
        _timed(run, X, y, rng=source, **fit_options) for run, source in ((fit, rng), (reference.fit, twin))
    )
    return Comparison(
        max_difference=_difference(result, second),
        seconds=seconds,
        reference_seconds=reference_seconds,
        ratio=reference_seconds / seconds,
        result=result,
        reference=second,
    )


def _timed(run: Callable[..., FitResult], *args: Any, **options: Any) -> tuple[FitResult, float]:
    began = time.perf_counter()
    result = run(*args, **options)
    return result, time.perf_counter() - began


def _difference(one: FitResult, other: FitResult) -> float:
    if one.status != other.status or len(one.history) != len(other.history):
        return np.inf
    pairs = [(one.loss, other.loss)]
    names = ["loss", "grad_norm", "lr"] + ["val_loss"] * (one.history.val_loss is not None)
    pairs += [(getattr(one.history, name), getattr(other.history, name)) for name in names]
    parameters = [(one.coef, other.coef), (one.intercept, other.intercept)]
    parameters += [(getattr(one.history, name), getattr(other.history, name)) for name in ("coef", "intercept")]
    # an intercept that hovers about 0 by the rounding of the coefficients is no difference
    noise = np.finfo(np.float64).eps * max(_magnitude(b) for _, b in parameters)
    return max([_relative(a, b, 0.0) for a, b in pairs] + [_relative(a, b, noise) for a, b in parameters])


def _relative(a: Any, b: Any, noise: float) -> float:
    """Largest |a - b| over the largest finite magnitude; what is not finite must be so on both sides."""
    finite = np.isfinite(b)
    if not np.array_equal(finite, np.isfinite(a)):
        return np.inf
    worst = np.abs(np.asarray(a)[finite] - np.asarray(b)[finite]).max(initial=0.0)
    return float(worst / _magnitude(b)) if worst > noise else 0.0


def _magnitude(values: Any) -> float:
    return float(np.abs(np.asarray(values)[np.isfinite(values)]).max(initial=0.0))
