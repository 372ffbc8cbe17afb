"""Table: features and a target out of a CSV file. Every refusal is one sentence with file and line."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import chain
from operator import itemgetter
from typing import IO

import numpy as np
from numpy.typing import NDArray

from fastgd._door import Array
from fastgd.datasets import TABLES

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
    try:
        with _open(source) as file:
            return _parse(source, file, target, columns)
    except OSError as error:
        raise TableError(f"cannot read {source or repr('')}: {(error.strerror or str(error)).lower()}") from error


def _open(source: str) -> IO[str]:
    if source in TABLES:
        return resources.files("fastgd").joinpath("data", TABLES[source]).open(encoding="utf-8")
    # newline="" leaves line ends to csv; surrogates let a byte that isn't UTF-8 be named with its line
    return open(source, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _parse(source: str, file: Iterable[str], target: str | None, columns: Sequence[str] | None) -> Table:
    rows = _rows(source, _text(source, file))
    line, first = next(rows, (0, []))
    if not first:
        raise TableError(f"{source} is empty")
    header = any(cell.strip() and _number(cell) is None for cell in first)
    names = _header(f"{source}, line {line}", first) if header else _NAMES.get(source) or _numbered(first)
    features, at = _choose(source, names, target, columns)
    used = [*features, at]
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
    return Table(
        source=source,
        X=cells[:, :-1].copy(),
        y=cells[:, -1].copy(),
        features=[names[column] for column in features],
        target=names[at],
        lines=np.frombuffer(lines, np.int64),
    )


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
    pick, width = itemgetter(*used), len(names)
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
    for number, column in enumerate(features):
        if column == at:
            how = ", the last column unless --target says otherwise" if target is None else ""
            raise ColumnError(f"--columns must not have the target {names[at]!r}{how}")
        if features.index(column) < number:
            raise ColumnError(f"--columns must name each column once, got {names[column]!r} twice")
    return features, at


def _find(source: str, names: list[str], wanted: str, flag: str) -> int:
    wanted = wanted.strip()
    if wanted in names:
        return names.index(wanted)
    if re.fullmatch("[0-9]{1,9}", wanted) and int(wanted) < len(names):
        return int(wanted)
    some = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    raise ColumnError(
        f"{flag} must be a name or an index from 0 to {len(names) - 1}, got {wanted!r}; {source} has the columns {some}"
    )
