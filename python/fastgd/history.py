"""History: what a run went through, one entry a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastgd._door import Array

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class History:
    """The records of a run in columns; `len(history)` records.

    The first is the start, the last the end.

    Attributes
    ----------
    epoch : ndarray of int64, shape (records,)
        Finished epochs.
    step : ndarray of int64, shape (records,)
        Updates done.
    loss : ndarray, shape (records,)
        Full batch: the exact objective at the recorded iterate. Batched: the start exact; an epoch's record holds the
        mean over its rows of the loss before their update, a step's that of its own batch (with `exact_loss=True`
        all are exact).
    coef : ndarray, shape (records, d) or (records, K, d)
    intercept : ndarray, shape (records,) or (records, K)
    lr : ndarray, shape (records,)
        Rate of the last update; at the start, of the first.
    grad_norm : ndarray, shape (records,)
        Euclidean length of the gradient, intercept included; batched, of the latest batch. With l1 that of
        (w - prox(w - lr gradient)) / lr, which is 0 at the minimum.
    seconds : ndarray, shape (records,)
        Since the start of the run. Up to 32 records share a look at the clock where it would take a good part of
        their time: these are a few microseconds, unless the system was elsewhere meanwhile.
    val_loss : ndarray, shape (records,), or None
        The mean loss over the validation rows, without penalty; None if there were none.

    Examples
    --------
    >>> import fastgd
    >>> result = fastgd.fit([1.0, 2.0, 3.0], [2.0, 4.0, 6.0], lr=0.05, epochs=3)
    >>> result.history.epoch
    array([0, 1, 2, 3])
    >>> result.history.coef.shape
    (4, 1)
    """

    epoch: NDArray[np.int64]
    step: NDArray[np.int64]
    loss: Array
    coef: Array
    intercept: Array
    lr: Array
    grad_norm: Array
    seconds: Array
    val_loss: Array | None = None

    def __len__(self) -> int:
        return len(self.loss)

    def to_frame(self) -> pd.DataFrame:
        """The columns as a pandas DataFrame, one row a record.

        Coefficients are `coef_0`, `coef_1`, ...; with K outputs `coef_0_0` is the first of the first, and intercepts
        are `intercept_0`, ...

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            Without pandas.

        Examples
        --------
        >>> import fastgd
        >>> result = fastgd.fit([1.0, 2.0], [2.0, 4.0], lr=0.1, epochs=2)
        >>> list(result.history.to_frame().columns)
        ['epoch', 'step', 'loss', 'coef_0', 'intercept', 'lr', 'grad_norm', 'seconds']
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("History.to_frame needs pandas: pip install pandas") from error

        columns: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            values = getattr(self, name)
            if values is None:
                continue
            for at in np.ndindex(values.shape[1:]):
                columns["_".join([name, *map(str, at)])] = values[(slice(None), *at)]
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        if not len(self):
            return "History: no records"
        columns = ", ".join(name for name in self.__dataclass_fields__ if getattr(self, name) is not None)
        return (
            f"History: {len(self)} records, epochs {self.epoch[0]} to {self.epoch[-1]}, "
            f"loss {self.loss[0]:.6g} to {self.loss[-1]:.6g}\n  columns: {columns}"
        )
