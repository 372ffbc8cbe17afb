"""Columns: tables and arrays of other libraries made NumPy's.

They are told apart by what they can do, so that no library is imported: pandas has itertuples, polars has iter_columns,
pyarrow has itercolumns. Types are asked, not objects: a pandas frame shows its columns as attributes too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: what makes an array of something that is not computed or not read yet, the surest first
COMPUTING = ("toPandas", "to_pandas", "collect", "compute", "to_table", "read_all")
#: what NumPy reads by itself
READABLE = ("__array__", "__array_interface__", "__array_struct__")
#: rows put side by side at a time: few enough to stay in the cache
BLOCK = 4096


def to_call_first(value: Any) -> str | None:
    """The method that makes an array of something lazy; None of all else."""
    kind = type(value)
    # dask does have __array__, but would compute anew at every look
    lazy = hasattr(kind, "__dask_graph__") and value.__dask_graph__() is not None
    if not lazy and any(hasattr(kind, way) for way in (*READABLE, "__dlpack__")):
        return None
    return next((method for method in COMPUTING if hasattr(kind, method)), None)


def labelled(table: Any) -> list[tuple[Any, Any]] | None:
    """(label, column) for every column of a table, in order and whatever repeats; None of what is no table."""
    kind = type(table)
    if hasattr(kind, "itertuples"):
        return list(table.items())
    if hasattr(kind, "iter_columns"):
        return list(zip(table.columns, table.iter_columns(), strict=True))
    if hasattr(kind, "itercolumns"):
        return list(zip(table.schema.names, table.itercolumns(), strict=True))
    return None


def names(table: Any) -> tuple[str, ...] | None:
    """The labels of a table's columns, if it is one and each has its own printable one."""
    kind = type(table)
    if kind is np.ndarray:
        return None
    if hasattr(kind, "itertuples") or hasattr(kind, "iter_columns"):
        labels = tuple(table.columns)
    elif hasattr(kind, "itercolumns"):
        labels = tuple(table.schema.names)
    else:
        return None
    good = all(isinstance(label, str) and label.isprintable() for label in labels)
    return labels if good and len(set(labels)) == len(labels) else None


def is_uniform(table: Any) -> bool:
    """Whether it is a pandas frame of one plain dtype, which NumPy reads whole and mostly without a copy."""
    if not hasattr(type(table), "itertuples"):
        return False
    dtypes = set(table.dtypes)
    return len(dtypes) == 1 and all(isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in dtypes)


def called(at: int, label: Any) -> str:
    """How messages call a column: by its place, and by its label if that says more."""
    return f"column {at}" if isinstance(label, int) and label == at else f"column {at} ({label!r})"


def _dtype(column: Any) -> Any:
    kind = type(column)
    return column.dtype if hasattr(kind, "dtype") else column.type if hasattr(kind, "type") else None


def categories(column: Any) -> str | None:
    """The type of a column whose numbers would be names; None of all other columns."""
    dtype = _dtype(column)
    text = "" if isinstance(dtype, np.dtype) else str(dtype)
    return text if text.startswith(("category", "dictionary")) else None


def read(value: Any) -> NDArray[Any]:
    """`np.asarray`, but through DLPack where that is the only way, and with NaN for what is missing."""
    kind = type(value)
    if hasattr(kind, "__dlpack__") and not any(hasattr(kind, way) for way in READABLE):
        try:
            return np.from_dlpack(value)
        except Exception as error:  # libraries raise what they like
            raise TypeError(f"its export by DLPack failed: {type(error).__name__}: {error}") from error
    values = np.asarray(value)
    is_missing = getattr(kind, "isna", None) or getattr(kind, "is_null", None)
    # an object column holds what it was given: a None in it is no number
    if values.dtype.kind == "O" and values.ndim and is_missing and not isinstance(_dtype(value), np.dtype):
        missing = np.asarray(is_missing(value))
        if missing.shape == values.shape:
            return np.where(missing, np.nan, values)
    return values


def side_by_side(columns: list[NDArray[Any]], n: int) -> NDArray[np.float64] | NDArray[np.float32]:
    """Columns of n numbers as one array in C order: float32 if all of them are, else float64."""
    narrow = all(column.dtype.kind == "f" and column.dtype.itemsize == 4 for column in columns)
    table: NDArray[Any] = np.empty((n, len(columns)), np.float32 if narrow else np.float64)
    with np.errstate(over="ignore"):  # a longdouble beyond float64 becomes an infinity
        for at in range(0, n, BLOCK):
            for j, column in enumerate(columns):
                table[at : at + BLOCK, j] = column[at : at + BLOCK]
    return table
