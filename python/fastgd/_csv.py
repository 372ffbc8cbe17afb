"""CSV: cells out of text in UTF-8, refused with file and line."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import IO

import numpy as np

from fastgd._cells import Cells, Choose, TableError, header_names, numbered, place, refuse_infinite
from fastgd.datasets import TABLES, open_table

#: names for shipped tables without a header
NAMES = {"points": ["x", "y"]}


def read_csv(source: str, choose: Choose) -> Cells:
    """The cells of a CSV file, or of a shipped table by its name."""
    with _open(source) as file:
        return _parse(source, file, choose)


def _open(source: str) -> IO[str]:
    if source in TABLES:
        return open_table(source)
    # newline="" leaves line ends to csv; surrogates let a byte that isn't UTF-8 be named with its line
    return open(source, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _parse(source: str, file: Iterable[str], choose: Choose) -> Cells:
    rows = _rows(source, _text(source, file))
    line, first = next(rows, (0, []))
    if not first:
        raise TableError(f"{source} is empty")
    header = any(cell.strip() and _number(cell) is None for cell in first)
    names = header_names(f"{source}, line {line}", first) if header else NAMES.get(source) or numbered(first)
    used = choose(names, header)
    if not header:
        rows = chain([(line, first)], rows)
    lines, cells = _values(source, rows, names, used)
    if not lines:
        raise TableError(f"{source}, line {line}: there is a header, but no row below it")

    values = np.frombuffer(cells, np.float64).reshape(len(lines), len(used))
    names, began = [names[column] for column in used], np.frombuffer(lines, np.int64)
    refuse_infinite(values, names, lambda row: place(source, began, row))
    return Cells(values, names, header, began)


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
