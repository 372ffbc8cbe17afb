"""Parquet: cells out of columns that pyarrow reads, refused with file and row.

Rows are counted from 0. Of a file that pandas wrote, the columns that are its index are left out, as pandas does.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from functools import partial
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastgd._cells import Cells, Choose, TableError, header_names, place, refuse_infinite
from fastgd._door import Array
from fastgd.datasets import TABLES

#: how one gets pyarrow
GET_ARROW = "pip install 'fastgd[arrow]'"
_SUFFIXES = (".parquet", ".pq")
#: what a file begins and ends with
_MAGIC = b"PAR1"


def is_parquet(source: str) -> bool:
    """Whether a path leads to Parquet: by its ending, or by what is there."""
    if source in TABLES:
        return False
    # of a pipe nothing must be taken away
    return source.lower().endswith(_SUFFIXES) or (os.path.isfile(source) and _is_marked(source))


def _is_marked(path: str) -> bool:
    with suppress(OSError), open(path, "rb") as file:
        if file.read(4) == _MAGIC and (size := file.seek(0, os.SEEK_END)) >= 12:
            file.seek(-8, os.SEEK_END)
            footer = int.from_bytes(file.read(4), "little")  # a text's would be longer than the text
            return file.read(4) == _MAGIC and footer + 12 <= size
    return False


def read_parquet(source: str, choose: Choose) -> Cells:
    """The chosen columns of a Parquet file."""
    with open(source, "rb") as file:
        try:
            import pyarrow as arrow
        except ImportError as error:
            raise TableError(f"reading {source}, which is Parquet, needs pyarrow: {GET_ARROW}") from error
        try:
            return _read(source, file, choose)
        except (TableError, MemoryError):
            raise
        except (arrow.ArrowException, OSError, ValueError) as error:
            said = " ".join(str(error).split())
            said = said if len(said) <= 200 else said[:197] + "..."
            raise TableError(f"{source} is damaged, or no Parquet that pyarrow can read: {said}") from error


def _read(source: str, file: IO[bytes], choose: Choose) -> Cells:
    from pyarrow import parquet

    held = parquet.ParquetFile(file)
    index = _index(held.schema_arrow.metadata)
    columns = [field for field in held.schema_arrow if field.name not in index]
    if not columns:
        raise TableError(f"{source} has no columns")
    names = header_names(source, [column.name for column in columns])
    used = choose(names, True)
    for column in used:
        _refuse_type(source, names[column], columns[column].type)
    labels, names = [columns[column].name for column in used], [names[column] for column in used]
    blocks: list[Array] = []
    seen = 0
    for batch in held.iter_batches(columns=labels):
        # by name: a request for "a" brings "a.b" along
        block, missing = _block([batch.column(batch.schema.get_field_index(label)) for label in labels])
        refuse_infinite(block, names, partial(_place, source, seen), missing)
        blocks.append(block)
        seen += len(block)
    if not seen:
        raise TableError(f"{source} has columns, but no row")
    return Cells(np.concatenate(blocks), names, True, None)


def _place(source: str, seen: int, row: int) -> str:
    return place(source, None, seen + row)


def _index(metadata: dict[bytes, bytes] | None) -> set[str]:
    """The columns in which pandas has kept an index."""
    try:
        kept = json.loads((metadata or {})[b"pandas"])["index_columns"]
        return {name for name in kept if isinstance(name, str)}
    except (KeyError, TypeError, ValueError):
        return set()


def _refuse_type(source: str, name: str, kind: Any) -> None:
    """Refuse a column whose type is none of numbers; of a column of nulls the rows are refused."""
    from pyarrow import types

    accepted = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null)
    if not any(accepts(kind) for accepts in accepted):
        of = "dictionary of " if types.is_dictionary(kind) else ""
        held = str(kind.value_type if of else kind).removeprefix("large_")
        raise TableError(f"{source}: column {name!r} holds {of}{held}, not numbers")


def _block(columns: list[Any]) -> tuple[Array, NDArray[np.bool_]]:
    """Columns of n numbers side by side, and which of the cells are null."""
    shape = len(columns[0]), len(columns)
    values, missing = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    for j, column in enumerate(columns):
        if column.null_count:
            missing[:, j] = np.asarray(column.is_null())
            values[~missing[:, j], j] = np.asarray(column.drop_null())
        else:
            values[:, j] = np.asarray(column)
    return values, missing
