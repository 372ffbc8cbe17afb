"""Sparse: matrices of scipy and their like made plain, without importing scipy.

They are told by their method `tocsr`, read by the arrays that they hold, checked once and never written to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastgd import _core

if TYPE_CHECKING:
    from fastgd._door import Array
    from fastgd._standard import Frame

#: cells of a sparse matrix that are filled in at most, where something needs them all: 2 GiB
MOST_CELLS = 1 << 28


def is_sparse(value: Any) -> bool:
    """Whether it is a matrix of scipy.sparse, or one that can become one."""
    kind = type(value)
    return kind is not np.ndarray and hasattr(kind, "tocsr")


@dataclass(frozen=True, eq=False)
class Csr:
    """Rows (n, d) of which only few numbers are stored, those that are not told being 0.

    Row i has the features `indices[k]`, each once and in order, with `data[k]`, k from `indptr[i]` to `indptr[i + 1]`;
    data is float64 or float32 and finite, the indices are both int32 or both int64.
    """

    data: NDArray[Any]
    indices: NDArray[Any]
    indptr: NDArray[Any]
    d: int

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.d

    @property
    def size(self) -> int:
        """How many numbers are stored."""
        return len(self.data)

    @property
    def is_large(self) -> bool:
        """Whether all of it is too much to be filled in."""
        return len(self) * self.d > MOST_CELLS

    def dense(self, part: slice = slice(None), *, name: str = "X", what: str = "this") -> Array:
        """A stretch of rows, filled in, as float64.

        Raises
        ------
        ValueError
            If these are more cells than should be in memory; `what` needs them.
        """
        start, stop, _ = part.indices(len(self))
        cells = (stop - start) * self.d
        if cells > MOST_CELLS:
            raise ValueError(
                f"{name} must have at most {MOST_CELLS:,} cells for {what}, which fills in what a sparse matrix leaves "
                f"out, got shape {self.shape}; fastgd.fit takes it as it is"
            )
        rows = np.zeros((stop - start, self.d))
        at = slice(self.indptr[start], self.indptr[stop])
        rows[self._row_of(start, stop), self.indices[at]] = self.data[at]
        return rows

    def _row_of(self, start: int, stop: int) -> NDArray[np.intp]:
        """The row of every stored number in a stretch, the first being 0."""
        return np.repeat(np.arange(stop - start), np.diff(self.indptr[start : stop + 1]))

    def squares(self, frame: Frame | None) -> Array:
        """(n,): |z|^2 of each row, as the frame sees it."""
        n, x = len(self), self.data.astype(np.float64)
        lack = np.zeros(self.d)
        if frame is not None:
            lack = frame.mean / frame.scale
            x = x / frame.scale[self.indices]
        sums = np.bincount(self._row_of(0, n), x * (x - 2 * lack[self.indices]), n)
        return np.asarray(sums + (lack**2).sum())

    def extremes(self) -> tuple[Array, Array]:
        """(d,): the largest and the smallest number of each column, a 0 that is not stored counted."""
        high, low = np.zeros(self.d), np.zeros(self.d)
        np.maximum.at(high, self.indices, self.data)
        np.minimum.at(low, self.indices, self.data)
        return high, low

    def emptied(self, counted: NDArray[np.bool_]) -> Csr:
        """The same without what the rows hold that don't count."""
        lengths = np.diff(self.indptr)
        kept = np.repeat(counted, lengths)
        ends = np.append(0, np.cumsum(np.where(counted, lengths, 0)))
        return Csr(self.data[kept], self.indices[kept], ends.astype(self.indptr.dtype), self.d)


def read(value: Any, name: str) -> Csr:
    """A sparse matrix, checked: CSR as it lies, CSC and all others as CSR.

    Raises
    ------
    ValueError
        If its arrays don't make a matrix, there are no rows or no features, or a number is NaN or infinite.
    TypeError
        If it holds no real numbers.
    """
    kind, shape = getattr(value, "format", None), tuple(value.shape)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"{name} must be (n, d) with n >= 1 rows and d >= 1 features, got shape {shape}")
    n, d = map(int, shape)
    if kind in ("csr", "csc"):
        found = value.data, value.indices, value.indptr
    else:
        found, kind = _by_rows(value, name, n, d), "csr"
    data, places = _numbers(found[0], name), [_places(array, name) for array in found[1:]]
    narrow = all(array.dtype.kind == "i" and array.dtype.itemsize == 4 for array in places)
    indices, indptr = (np.require(array, np.int32 if narrow else np.int64, ["C", "A"]) for array in places)
    rows = n if kind == "csr" else d
    if len(indptr) != rows + 1:
        raise ValueError(
            f"{name} must be a {kind.upper()} matrix whose indptr has {rows + 1} entries for {rows} "
            f"{'rows' if kind == 'csr' else 'columns'}, got {len(indptr)}"
        )
    try:
        own = _core.compress(data, indices, indptr, d, None if kind == "csr" else n)
    except ValueError as error:
        said = str(error).removeprefix("X")
        if kind == "csc":  # told of its rows, which are the matrix's columns
            for old, new in (("CSR", "CSC"), ("column", "\0"), ("row", "column"), ("\0", "row")):
                said = said.replace(old, new)
        raise ValueError(name + said) from None
    if own is None:
        stored = int(indptr[-1])
        own = data[:stored], indices[:stored], indptr
    rows_of = Csr(*own, d)
    if np.asarray(found[0]).dtype.kind == "b":
        np.minimum(rows_of.data, 1.0, out=rows_of.data)  # what is there twice is true once; of a copy
    return _finite(rows_of, name)


def _numbers(values: Any, name: str) -> NDArray[Any]:
    """Stored numbers as aligned float64 or float32."""
    found = np.asarray(values)
    if found.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {found.dtype}")
    if found.ndim != 1:
        raise ValueError(f"{name} must be a sparse matrix whose data are one-dimensional, got shape {found.shape}")
    dtype = np.float32 if found.dtype.kind == "f" and found.dtype.itemsize == 4 else np.float64
    with np.errstate(over="ignore"):  # a longdouble beyond float64 becomes an infinity, which is refused next
        return np.require(found, dtype, ["C", "A"])


def _places(values: Any, name: str) -> NDArray[Any]:
    found = np.asarray(values)
    if found.dtype.kind not in "iu" or found.ndim != 1:
        raise ValueError(
            f"{name} must be a sparse matrix whose indices are integers in one dimension, got dtype {found.dtype} and "
            f"shape {found.shape}"
        )
    return found


def _by_rows(value: Any, name: str, n: int, d: int) -> tuple[Any, Any, Any]:
    """The CSR arrays of a matrix that is stored in another way, its entries in the order that they have."""
    try:
        found = value.tocoo() if hasattr(type(value), "tocoo") else value.tocsr().tocoo()
        data, (row, column) = found.data, found.coords if hasattr(found, "coords") else (found.row, found.col)
    except (ValueError, IndexError, OverflowError) as error:
        raise ValueError(f"{name} must be a sound sparse matrix, got one that cannot be read: {error}") from error
    row, column, data = _places(row, name), _places(column, name), np.asarray(data)
    if not len(row) == len(column) == len(data):
        raise ValueError(
            f"{name} must be a sparse matrix of as many rows and columns as data, got {len(row)}, {len(column)} and "
            f"{len(data)}"
        )
    for axis, (places, size) in {"row": (row, n), "column": (column, d)}.items():
        if len(places) and (places.min() < 0 or places.max() >= size):
            raise ValueError(
                f"{name} must be a sparse matrix whose {axis} indices are from 0 to {size - 1}, got others"
            )
    order = np.argsort(row, kind="stable")
    ends = np.append(0, np.cumsum(np.bincount(row, minlength=n)))
    return data[order], column[order].astype(np.int64), ends


def _finite(rows: Csr, name: str) -> Csr:
    if not _core.finite(rows.data):
        at = int(np.argmin(np.isfinite(rows.data)))
        row = int(np.searchsorted(rows.indptr, at, side="right")) - 1
        raise ValueError(f"{name} must be finite, got {rows.data[at]} in row {row}, column {rows.indices[at]}")
    return rows
