"""Compare: the Rust engine beside the NumPy reference, on the same rows in the same order."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgd import _html
from fastgd._fit import DivergenceWarning, fit
from fastgd._parts import loss_and_gradient
from fastgd.result import FitResult

#: share of its like below which a column is rounding
_LEAST = 1e-5


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """fastgd and its reference, side by side.

    Attributes
    ----------
    max_difference : float
        The largest difference along the whole path, over the columns coef (all coefficients), intercept, the losses and
        grad_norm, each relative to the largest magnitude that it reaches, but no less than 1e-5 of the largest
        parameter, or of loss and gradient at zero: what lies below is their rounding. Infinite where the two took other
        steps. With `record=None`, of the results alone. (Over thousands of steps RMSProp, Adam and losses with kinks
        make any last bit large: there no two implementations agree.)
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

    def _title(self) -> str:
        records = len(self.result.history)
        where = f"along {records} records" if records else "of the results"
        return f"Comparison: largest difference {self.max_difference:.1e} {where} ({self.result.status})"

    def _facts(self) -> list[tuple[str, str]]:
        slower = f"{_seconds(self.reference_seconds)}  {self.ratio:.1f} times as long"
        return [("fastgd", _seconds(self.seconds).rstrip()), ("reference", slower)]

    def __repr__(self) -> str:
        return "\n".join([self._title(), *(f"  {name:<9}  {value}" for name, value in self._facts())])

    def _repr_html_(self) -> str:
        return _html.table(self._title(), self._facts())


def _seconds(value: float) -> str:
    return f"{value:8.3f} s " if value >= 1 else f"{value * 1e3:8.3f} ms"


def compare(X: Any, y: Any, **fit_options: Any) -> Comparison:
    """Run `fastgd.fit` and `fastgd.reference.fit` on the same rows in the same order.

    Parameters
    ----------
    X, y, **fit_options
        As for `fastgd.fit`. Both call a callback, and show a bar with `progress`. A Generator is advanced once.

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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)  # said once, below
        for run in (fit, reference.fit):  # what only a first call has to load is nobody's time
            run(np.ones((2, 1)), np.ones(2), lr=0.1, epochs=1, batch_size=1, rng=0)
        result, seconds = _timed(fit, X, y, rng=rng, **fit_options)
        second, reference_seconds = _timed(reference.fit, X, y, rng=twin, **fit_options)
    if result.status == "diverged":
        warnings.warn(result.message, DivergenceWarning, stacklevel=2)
    return Comparison(
        max_difference=_difference(result, second, _at_zero(X, y, result, fit_options.get("sample_weight"))),
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


@np.errstate(all="ignore")
def _at_zero(X: Any, y: Any, result: FitResult, sample_weight: Any) -> dict[str, float]:
    """Loss and length of the gradient at zero coefficients: what rounding in later ones is to be measured by."""
    options = {name: result.options[name] for name in ("loss", "l1", "l2")}
    zero = 0 * np.nan_to_num(result.coef)
    loss, grad, grad_b = loss_and_gradient(X, y, zero, **options, sample_weight=sample_weight)
    return {"loss": loss, "grad_norm": float(np.hypot(np.linalg.norm(grad), np.linalg.norm(grad_b)))}


@np.errstate(all="ignore")
def _difference(one: FitResult, other: FitResult, at_zero: dict[str, float]) -> float:
    counts = [
        (r.status, r.n_epochs, r.n_steps, r.history.epoch.tolist(), r.history.step.tolist()) for r in (one, other)
    ]
    if counts[0] != counts[1]:
        return np.inf
    # a column far below its like (an intercept that hovers about 0, a gradient at the minimum) is rounding of these
    least = {name: _LEAST * value for name, value in at_zero.items()}
    parameters = (other.coef, other.intercept, other.history.coef, other.history.intercept)
    least |= dict.fromkeys(("coef", "intercept"), _LEAST * max(map(_magnitude, parameters)))
    found = [_relative(getattr(one, name), getattr(other, name), least[name]) for name in ("coef", "intercept", "loss")]
    for name in ("coef", "intercept", "loss", "grad_norm", "lr", "val_loss"):
        a, b = getattr(one.history, name), getattr(other.history, name)
        if a is not None:
            found.append(_relative(a, b, least.get(name, 0.0)))
    return max(found)


def _relative(a: Any, b: Any, least: float) -> float:
    """Largest |a - b| over the largest finite magnitude, or over `least`; what is not finite must be so in both."""
    finite = np.isfinite(b)
    if not np.array_equal(finite, np.isfinite(a)):
        return np.inf
    worst = np.abs(np.asarray(a)[finite] - np.asarray(b)[finite]).max(initial=0.0)
    return float(worst / max(_magnitude(b), least)) if worst > 0 else 0.0


def _magnitude(values: Any) -> float:
    return float(np.abs(np.asarray(values)[np.isfinite(values)]).max(initial=0.0))
