"""fastgd: linear models by gradient descent, in Rust, with a NumPy reference beside it and pictures.

>>> import fastgd
>>> x, y = fastgd.datasets.load_points()
>>> result = fastgd.fit(x, y, lr=1e-4, epochs=1000)
>>> print(f"{result.loss:.4f}, but the closed form reaches {fastgd.closed_form(x, y).loss:.4f}")
112.6148, but the closed form reaches 110.2574
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastgd._core import __version__
from fastgd._fit import ConvergenceWarning, DivergenceWarning, State, fit
from fastgd.history import History
from fastgd.result import FitResult

if TYPE_CHECKING:
    from fastgd import datasets, plot, reference
    from fastgd._check import Check
    from fastgd._closed_form import closed_form
    from fastgd._compare import Comparison, compare
    from fastgd._descent import Path, gradient_descent
    from fastgd._diagnose import Diagnosis, diagnose
    from fastgd._file import load
    from fastgd._parts import batches, loss_and_gradient, losses, mse, optimizers, schedules
    from fastgd._sweep import sweep
    from fastgd._swept import Sweep
    from fastgd.estimators import SGDClassifier, SGDRegressor

__all__ = [
    "Check",
    "Comparison",
    "ConvergenceWarning",
    "Diagnosis",
    "DivergenceWarning",
    "FitResult",
    "History",
    "Path",
    "SGDClassifier",
    "SGDRegressor",
    "State",
    "Sweep",
    "__version__",
    "batches",
    "closed_form",
    "compare",
    "datasets",
    "diagnose",
    "fit",
    "gradient_descent",
    "load",
    "loss_and_gradient",
    "losses",
    "mse",
    "optimizers",
    "plot",
    "reference",
    "schedules",
    "sweep",
]


#: what is loaded when it is first used, by the module that has it: so `import fastgd` is quick
_LATER = {
    "_check": ("Check",),
    "_closed_form": ("closed_form",),
    "_compare": ("Comparison", "compare"),
    "_descent": ("Path", "gradient_descent"),
    "_diagnose": ("Diagnosis", "diagnose"),
    "_file": ("load",),
    "_parts": ("batches", "loss_and_gradient", "losses", "mse", "optimizers", "schedules"),
    "_sweep": ("sweep",),
    "_swept": ("Sweep",),
    "estimators": ("SGDClassifier", "SGDRegressor"),
}
_HOME = {name: module for module, names in _LATER.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in ("datasets", "insight", "plot", "reference"):
        return importlib.import_module(f"fastgd.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'fastgd' has no attribute {name!r}")
    if _HOME[name] == "estimators":
        try:
            import sklearn  # noqa: F401
        except ImportError as error:
            raise ImportError(f"fastgd.{name} needs scikit-learn: pip install 'fastgd[sklearn]'") from error
    globals()[name] = getattr(importlib.import_module(f"fastgd.{_HOME[name]}"), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted(__all__)
