"""Cells: numbers out of a file of any kind, the names of their columns, and what can be wrong with both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgd._door import Array


class TableError(ValueError):
    """The file can't be used."""


class ColumnError(TableError):
    """The file may be fine, but the columns asked for aren't in it, or not so."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells (n, columns) that were chosen, the names of their columns, and the line that each row began on.

    Where a file has no lines, `lines` is None.
    """

    values: Array
    names: list[str]
    header: bool
    lines: NDArray[np.int64] | None


#: which columns to take, of the names that there are; and whether those are a header
Choose = Callable[[list[str], bool], list[int]]


def place(source: str, lines: NDArray[np.int64] | None, row: int) -> str:
    """Where in the file a row is, in words: by its line, or counted from 0."""
    return f"{source}, row {row}" if lines is None else f"{source}, line {lines[row]}"


def refuse_infinite(
    values: Array, names: list[str], where: Callable[[int], str], missing: NDArray[np.bool_] | None = None
) -> None:
    """Refuse what is not finite, the first row first; `where` tells a row in words, `missing` which cells are null."""
    if (finite := np.isfinite(values)).all():
        return
    row, column = divmod(int(np.argmin(finite)), values.shape[1])
    name = names[column]
    if missing is not None and missing[row, column]:
        raise TableError(f"{where(row)}: the cell in column {name!r} is null")
    raise TableError(f"{where(row)}: {values[row, column]} in column {name!r} is not finite")


def numbered(cells: Sequence[str]) -> list[str]:
    """Names of columns that have none."""
    return [f"column {column}" for column in range(len(cells))]


def header_names(where: str, cells: Sequence[str]) -> list[str]:
    """The names that a first row gives to its columns."""
    names = [" ".join(cell.split()) or at for cell, at in zip(cells, numbered(cells), strict=True)]
    for column, name in enumerate(names):
        if not name.isprintable():
            raise TableError(f"{where}: the name of column {column} has characters that can't be printed")
        if names.index(name) < column:
            raise TableError(f"{where}: columns {names.index(name)} and {column} are both named {name!r}")
    return names
