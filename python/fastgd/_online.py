"""Online: requests to the engine that descends row by row, dense or sparse, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from fastgd._door import Array

if TYPE_CHECKING:
    import pandas as pd

#: (n, d) in C order, or (data, indices, indptr, d) of a CSR matrix; float32 or float64
Table = NDArray[Any] | tuple[NDArray[Any], NDArray[Any], NDArray[Any], int]


@dataclass(frozen=True, eq=False)
class Told:
    """What rows were told to be: targets (n,), weights (n,) or None, and which are kept back, (n,) or None."""

    y: Array
    weight: Array | None
    held: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class Validation:
    """Rows of X whose score says when to stop: the share of right signs (`accuracy`), or R^2."""

    X: Table
    rows: NDArray[np.int64]
    y: Array
    weight: Array | None
    accuracy: bool


@dataclass(frozen=True, eq=False)
class Start:
    """Where a run begins: coefficients (d,), an intercept, the means of both, the number of the next row from 1.

    For softmax, which another engine descends, coefficients (K, d) and intercepts (K,), and no more.
    """

    coef: Array
    intercept: Any
    mean_coef: Array | None = None
    mean_intercept: float = 0.0
    t: float = 1.0


@dataclass(frozen=True, eq=False)
class Config:
    """A request in which nothing is left to choose."""

    loss: tuple[str, dict[str, float]]
    #: passive-aggressive steps go the way of y, not of y - raw
    margin: bool
    alpha: float
    l1_ratio: float
    l2: bool
    l1: bool
    learning_rate: str
    eta0: float
    power_t: float
    fit_intercept: bool
    max_iter: int
    tol: float | None
    patience: int
    #: of the engine's own generator; None leaves the rows in order
    seed: int | None
    #: averages begin with this row; 0 never
    average: int
    #: of rows with y > 0, and of the others
    class_weight: tuple[float, float]
    #: a run that ends so many times above the loss at zero and at its start went astray
    astray: float
    #: sparse rows with scikit-learn's intercept at a hundredth: to compare with it
    as_scikit_learn: bool
    #: of the engine, at most; they change no bit
    threads: int


class Outcome(TypedDict):
    """What the engine answers."""

    coef: Array
    intercept: float
    mean_coef: Array
    mean_intercept: float
    t: float
    n_iter: int
    #: with validation rows, the epoch that is returned
    best: int | None
    finite: bool
    #: whether the means are the answer
    averaged: bool
    #: (end, start, zero): the mean losses where a run went astray
    astray: tuple[float, float, float] | None
    loss: Array
    lr: Array
    seconds: Array
    val_score: Array


@dataclass(frozen=True, eq=False, repr=False)
class Epochs:
    """What the epochs of a run by single rows came to, one entry each; `len(epochs)` epochs.

    Attributes
    ----------
    epoch : ndarray of int64, shape (epochs,)
        Finished epochs, from 1.
    step : ndarray of int64, shape (epochs,)
        Rows that were stepped by.
    loss : ndarray, shape (epochs,)
        The mean over the epoch's rows of their loss before their step, without weights, plus the mean penalty: what
        `tol` looks at.
    lr : ndarray, shape (epochs,)
        Rate of the epoch's last step.
    seconds : ndarray, shape (epochs,)
        Since the start of the run.
    val_score : ndarray, shape (epochs,), or None
        R^2, or the share of right signs, on the validation rows; None if there were none.
    """

    epoch: NDArray[np.int64]
    step: NDArray[np.int64]
    loss: Array
    lr: Array
    seconds: Array
    val_score: Array | None = None

    @classmethod
    def of(cls, outcome: Outcome, rows: int) -> Epochs:
        """Those of a run over so many rows."""
        epoch = np.arange(1, outcome["n_iter"] + 1, dtype=np.int64)
        score = outcome["val_score"] if len(outcome["val_score"]) else None
        return cls(epoch, epoch * rows, outcome["loss"], outcome["lr"], outcome["seconds"], score)

    def __len__(self) -> int:
        return len(self.loss)

    def to_frame(self) -> pd.DataFrame:
        """The columns as a pandas DataFrame, one row an epoch.

        Raises
        ------
        ImportError
            Without pandas.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("Epochs.to_frame needs pandas: pip install pandas") from error
        columns = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return pd.DataFrame({name: column for name, column in columns.items() if column is not None})

    def __repr__(self) -> str:
        one = len(self) == 1
        loss = f"{self.loss[0]:.6g}" if one else f"{self.loss[0]:.6g} to {self.loss[-1]:.6g}"
        columns = ", ".join(name for name in self.__dataclass_fields__ if getattr(self, name) is not None)
        return f"Epochs: {len(self)} epoch{'' if one else 's'}, loss {loss}\n  columns: {columns}"
