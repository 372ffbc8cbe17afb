"""Table: features, and for a fit a target, out of a CSV file. Every refusal is one sentence with file and line."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import IO

import numpy as np
from numpy.typing import NDArray

from fastgd._door import Array
from fastgd.datasets import TABLES, open_table

#: names for shipped tables without a header
_NAMES = {"points": ["x", "y"]}


class TableError(ValueError):
    """The file can't be used."""


class ColumnError(TableError):
    """The file may be fine, but the columns asked for aren't in it, or not so."""


@dataclass(frozen=True, eq=False)
class Table:
    """Features X (n, d) and target y (n,) by name, and the line of the file that each row began on."""

    source: str
    X: Array
    y: Array
    features: list[str]
    target: str
    lines: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Features:
    """Features X (n, d) by the names that they have in the file, and whether it has a header."""

    source: str
    X: Array
    names: list[str]
    header: bool


@dataclass(frozen=True, eq=False)
class _Cells:
    """The cells (n, columns) that were chosen, the names of their columns, and the line that each row began on."""

    values: Array
    names: list[str]
    header: bool
    lines: NDArray[np.int64]


#: which columns to take, of the names that there are; and whether those are a header
_Choose = Callable[[list[str], bool], list[int]]


def read(source: str, target: str | None = None, columns: Sequence[str] | None = None) -> Table:
    """Read a CSV file, or a shipped table by its name.

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
        If the file can't be read, isn't CSV in UTF-8, or a cell isn't a finite number.
    ColumnError
        If `target` or `columns` don't fit the file.

    Notes
    -----
    The first row is a header exactly when it has a cell that isn't a number. A first row of numbers and empty cells is
    data with something missing, and refused like any other. Blank lines are skipped.

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
    """Read what a model of d features needs out of a CSV file, or of a shipped table.

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
        named = header or source in _NAMES
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


def _open(source: str) -> IO[str]:
    if source in TABLES:
        return open_table(source)
    # newline="" leaves line ends to csv; surrogates let a byte that isn't UTF-8 be named with its line
    return open(source, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _read(source: str, choose: _Choose) -> _Cells:
    try:
        with _open(source) as file:
            return _parse(source, file, choose)
    except OSError as error:
        raise TableError(f"cannot read {source or repr('')}: {(error.strerror or str(error)).lower()}") from error


def _parse(source: str, file: Iterable[str], choose: _Choose) -> _Cells:
    rows = _rows(source, _text(source, file))
    line, first = next(rows, (0, []))
    if not first:
        raise TableError(f"{source} is empty")
    header = any(cell.strip() and _number(cell) is None for cell in first)
    names = _header(f"{source}, line {line}", first) if header else _NAMES.get(source) or _numbered(first)
    used = choose(names, header)
    if not header:
        rows = chain([(line, first)], rows)
    lines, values = _values(source, rows, names, used)
    if not lines:
        raise TableError(f"{source}, line {line}: there is a header, but no row below it")

    cells = np.frombuffer(values, np.float64).reshape(len(lines), len(used))
    if not (finite := np.isfinite(cells)).all():
        row, column = np.unravel_index(int(np.argmin(finite)), cells.shape)
        where, value = f"{source}, line {lines[row]}", cells[row, column]
        raise TableError(f"{where}: {value} in column {names[used[column]]!r} is not finite")
    return _Cells(cells, [names[column] for column in used], header, np.frombuffer(lines, np.int64))


def _text(source: str, file: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        if "\0" in line:
            raise TableError(f"{source}, line {number}: there is a NUL byte, so this is not a text file")
        if not line.isascii() and re.search("[\udc80-\udcff]", line):
            raise TableError(f"{source}, line {number}: there are bytes that are not UTF-8 text")
        yield line


def _rows(source: str, text: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """The line on which a row begins, and its cells; blank lines are left out."""
    reader = csv.reader(text, strict=True, skipinitialspace=True)
    began = 1
    try:
        for row in reader:
            if len(row) > 1 or (row and row[0].strip()):
                yield began, row
            began = reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"{source}, line {began}: this is not CSV ({error})") from error


def _values(
    source: str, rows: Iterable[tuple[int, list[str]]], names: list[str], used: list[int]
) -> tuple[array[int], array[float]]:
    """Line numbers, and the cells of the used columns row after row."""
    only, width = used[0], len(names)
    # of one column itemgetter makes no tuple
    pick: Callable[[list[str]], Sequence[str]] = itemgetter(*used) if len(used) > 1 else lambda row: (row[only],)
    lines, values = array("q"), array("d")
    for line, row in rows:
        if len(row) != width:
            cells = f"{len(row)} cell{'' if len(row) == 1 else 's'}"
            raise TableError(f"{source}, line {line}: {cells} where the first row has {width}")
        picked = pick(row)
        try:
            values.extend(map(float, picked))
        except ValueError:
            raise _bad_cell(f"{source}, line {line}", row, names, used) from None
        if "_" in "".join(picked):  # float() takes 1_000, and nobody means it
            raise _bad_cell(f"{source}, line {line}", row, names, used)
        lines.append(line)
    return lines, values


def _bad_cell(where: str, row: list[str], names: list[str], used: list[int]) -> TableError:
    column = next(column for column in sorted(used) if _number(row[column]) is None)
    cell = row[column].strip()
    if not cell:
        return TableError(f"{where}: the cell in column {names[column]!r} is empty")
    shown = cell if len(cell) <= 40 else cell[:37] + "..."
    return TableError(f"{where}: {shown!r} in column {names[column]!r} is not a number")


def _number(cell: str) -> float | None:
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _numbered(cells: list[str]) -> list[str]:
    return [f"column {column}" for column in range(len(cells))]


def _header(where: str, cells: list[str]) -> list[str]:
    names = [" ".join(cell.split()) or numbered for cell, numbered in zip(cells, _numbered(cells), strict=True)]
    for column, name in enumerate(names):
        if not name.isprintable():
            raise TableError(f"{where}: the name of column {column} has characters that can't be printed")
        if names.index(name) < column:
            raise TableError(f"{where}: columns {names.index(name)} and {column} are both named {name!r}")
    return names


def _choose(source: str, names: list[str], target: str | None, columns: Sequence[str] | None) -> tuple[list[int], int]:
    """Columns of the features, and of the target."""
    if len(names) == 1:
        raise TableError(f"{source} has one column where a feature and a target are needed, separated by a comma")
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
