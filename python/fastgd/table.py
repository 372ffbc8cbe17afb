"""Table: features, and for a fit a target, out of a file. Every refusal is one sentence with the file and the place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgd._cells import Cells, Choose, ColumnError, TableError, place
from fastgd._csv import NAMES, read_csv
from fastgd._door import Array
from fastgd._parquet import is_parquet, read_parquet

__all__ = ["ColumnError", "Features", "Table", "TableError", "read", "read_features"]


@dataclass(frozen=True, eq=False)
class Table:
    """Features X (n, d) and target y (n,) by name, and the line of the file that each row began on, if it has lines."""

    source: str
    X: Array
    y: Array
    features: list[str]
    target: str
    lines: NDArray[np.int64] | None

    def where(self, row: int) -> str:
        """Where a row of X is in the file, in words."""
        return place(self.source, self.lines, row)


@dataclass(frozen=True, eq=False)
class Features:
    """Features X (n, d) by the names that they have in the file, and whether it has a header."""

    source: str
    X: Array
    names: list[str]
    header: bool


def read(source: str, target: str | None = None, columns: Sequence[str] | None = None) -> Table:
    """Read a CSV or Parquet file, or a shipped table by its name.

    Parameters
    ----------
    source : str
        A path; `points` and `penguins` are the shipped tables (`./points` is a file).
    target : str, optional
        Name or 0-based index of the target, the last column if not given. A name goes before an index.
    columns : sequence of str, optional
        Names or indices of the features, all others if not given. Cells of columns not asked for may hold anything.

    Returns
    -------
    Table

    Raises
    ------
    TableError
        If the file can't be read, isn't CSV in UTF-8 or Parquet, or a cell isn't a finite number; if pyarrow is missing
        for Parquet.
    ColumnError
        If `target` or `columns` don't fit the file.

    Notes
    -----
    The first row is a header exactly when it has a cell that isn't a number. A first row of numbers and empty cells is
    data with something missing, and refused like any other. Blank lines are skipped.

    A file is Parquet if its name ends in .parquet or .pq, or if it begins and ends as Parquet does; it always has a
    header. Its rows are counted from 0. What pandas has kept of an index is no column.

    Examples
    --------
    >>> from fastgd import table
    >>> penguins = table.read("penguins", columns=["flipper_length_mm", "0"])
    >>> penguins.X.shape, penguins.features, penguins.target
    ((342, 2), ['flipper_length_mm', 'bill_length_mm'], 'body_mass_g')
    """

    def choose(names: list[str], header: bool) -> list[int]:
        features, at = _choose(source, names, target, columns)
        return [*features, at]

    cells = _read(source, choose)
    return Table(
        source=source,
        X=cells.values[:, :-1].copy(),
        y=cells.values[:, -1].copy(),
        features=cells.names[:-1],
        target=cells.names[-1],
        lines=cells.lines,
    )


def read_features(
    source: str, features: Sequence[str] | None, target: str | None, d: int, columns: Sequence[str] | None = None
) -> Features:
    """Read what a model of d features needs out of a CSV or Parquet file, or of a shipped table.

    Parameters
    ----------
    source : str
    features, target
        The names of the model; None where it has none.
    d : int
    columns : sequence of str, optional
        Names or indices in the file, one for each feature of the model, in its order. If not given, a file with a
        header must have the model's names; one without must have just the features, in the model's order, or be
        numbered as that of the fit was: the same number of columns, features and target at the same places.

    Returns
    -------
    Features

    Raises
    ------
    TableError, ColumnError
        As `read`.

    Examples
    --------
    >>> from fastgd import table
    >>> table.read_features("penguins", ["flipper_length_mm"], "body_mass_g", 1).X.shape
    (342, 1)
    """

    def choose(names: list[str], header: bool) -> list[int]:
        if columns is not None:
            if len(columns) != d:
                of = f": {_some(features)}" if features else ""
                raise ColumnError(f"--columns must name {d} columns, one for each feature{of}; got {len(columns)}")
            return _each_once(names, [_find(source, names, column, "--columns") for column in columns])
        named = header or source in NAMES
        if features and (set(features) <= set(names) if named else set(names) == {*features, target}):
            return [names.index(name) for name in features]
        if (not named or not features) and len(names) == d:
            return list(range(d))
        if named and features:
            missing = next(name for name in features if name not in names)
            raise TableError(
                f"{source} has no column {missing!r}, a feature of the model; it has {_some(names)}: "
                f"say with --columns which to take"
            )
        there = f"{source} has {'' if named else 'no header and '}{len(names)} column{'' if len(names) == 1 else 's'}"
        wanted = f"{d} feature{'' if d == 1 else 's'}{'' if features else ' without names'}"
        raise TableError(f"{there} where the model has {wanted}: say with --columns which to take")

    cells = _read(source, choose)
    return Features(source, cells.values, cells.names, cells.header)


def _read(source: str, choose: Choose) -> Cells:
    try:
        if is_parquet(source):
            return read_parquet(source, choose)
        return read_csv(source, choose)
    except OSError as error:
        raise TableError(f"cannot read {source or repr('')}: {(error.strerror or str(error)).lower()}") from error


def _choose(source: str, names: list[str], target: str | None, columns: Sequence[str] | None) -> tuple[list[int], int]:
    """Columns of the features, and of the target."""
    if len(names) == 1:
        comma = "" if is_parquet(source) else ", separated by a comma"
        raise TableError(f"{source} has one column where a feature and a target are needed{comma}")
    at = len(names) - 1 if target is None else _find(source, names, target, "--target")
    if columns is None:
        return [column for column in range(len(names)) if column != at], at
    features = [_find(source, names, column, "--columns") for column in columns]
    if not features:
        raise ColumnError("--columns must name at least one column")
    if at in features:
        how = ", the last column unless --target says otherwise" if target is None else ""
        raise ColumnError(f"--columns must not have the target {names[at]!r}{how}")
    return _each_once(names, features), at


def _each_once(names: list[str], columns: list[int]) -> list[int]:
    for number, column in enumerate(columns):
        if columns.index(column) < number:
            raise ColumnError(f"--columns must name each column once, got {names[column]!r} twice")
    return columns


def _find(source: str, names: list[str], wanted: str, flag: str) -> int:
    wanted = wanted.strip()
    if wanted in names:
        return names.index(wanted)
    if re.fullmatch("[0-9]{1,9}", wanted) and int(wanted) < len(names):
        return int(wanted)
    raise ColumnError(
        f"{flag} must be a name or an index from 0 to {len(names) - 1}, got {wanted!r}; "
        f"{source} has the columns {_some(names)}"
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
