"""Parquet: the same tables as CSV gives, by every command; what is refused, with file, row and column."""

from __future__ import annotations

import decimal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from fastgd import cli
from fastgd.table import ColumnError, Table, TableError, read, read_features

Wide = dict[str, Any]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*words: str) -> tuple[int, str, str]:
        code = cli.main(words)
        return (code, *capsys.readouterr())

    return run


def written(columns: Wide | pa.Table, path: str = "f.parquet", **options: Any) -> str:
    parquet.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
    return path


def told(table: Table) -> tuple[Any, ...]:
    return table.X.tolist(), table.y.tolist(), table.features, table.target


TYPES = {
    "float64": pa.array([1.5, 2.0, 4.0]),
    "float32": pa.array([1.5, 2.0, 4.0], pa.float32()),
    "float16": pa.array(np.array([1.5, 2.0, 4.0], np.float16)),
    "decimal": pa.array([decimal.Decimal("1.50"), decimal.Decimal("2"), decimal.Decimal("4")]),
    "int8": pa.array([1, -2, 4], pa.int8()),
    "uint64": pa.array([1, 2**63, 4], pa.uint64()),
    "bool": pa.array([True, False, True]),
    "beyond 2^53": pa.array([2**53 + 1, 1, 1]),
}


@pytest.mark.parametrize("name", TYPES)
def test_every_type_of_number_is_read_as_floats(name: str) -> None:
    table = read(written({"x": TYPES[name], "y": [1, 2, 3]}))
    assert table.X[:, 0].tolist() == [float(value) for value in TYPES[name].to_pylist()]
    assert (table.X.dtype, table.y.dtype, table.lines) == (np.float64, np.float64, None)
    assert all(array.flags.c_contiguous and array.flags.owndata for array in (table.X, table.y))


NAMES: list[tuple[str, dict[str, Any]]] = [
    ("f.parquet", {}),
    ("f.pq", {"compression": "zstd"}),
    ("F.PARQUET", {"row_group_size": 2}),
    ("no_suffix", {"use_dictionary": False, "compression": "none"}),
    ("f.csv", {"version": "1.0", "data_page_version": "2.0"}),
]


@pytest.mark.parametrize(("path", "options"), NAMES, ids=[path for path, _ in NAMES])
def test_a_file_is_known_by_its_name_or_by_what_it_holds(path: str, options: dict[str, Any]) -> None:
    columns = {"x": [1.0, 3.0, 5.0], "y": [2, 4, 6]}
    assert told(read(written(columns, path, **options))) == ([[1.0], [3.0], [5.0]], [2.0, 4.0, 6.0], ["x"], "y")


@pytest.mark.parametrize("text", ["PAR1,y\n1,2\n3,4\n", "PAR1", "PAR1,y\n1,2\n3,4\n,PAR1"])
def test_text_that_begins_as_parquet_is_text(text: str) -> None:
    Path("f.csv").write_text(text)
    if text.endswith("\n"):
        assert read("f.csv").features == ["PAR1"]
    else:
        with pytest.raises(TableError) as refused:
            read("f.csv")
        assert "Parquet" not in str(refused.value)


@pytest.mark.parametrize(
    ("target", "columns"), [(None, None), ("a", None), ("1", ["3", " 0 "]), ("0", ["a"]), (None, ["b", "a"])]
)
def test_columns_are_chosen_as_in_csv(target: str | None, columns: list[str] | None) -> None:
    table = {"a": [1, 5], "b": [2, 6], "0": [3, 7], "mass": [4, 8]}
    Path("f.csv").write_text("\n".join(",".join(map(str, row)) for row in [table, *zip(*table.values(), strict=True)]))
    assert told(read(written(table), target, columns)) == told(read("f.csv", target, columns))


def test_words_in_a_column_not_asked_for_are_fine() -> None:
    table = pa.table({"species": ["gentoo"], "day": [np.datetime64("2026-01-01", "us")], "a": [1], "y": [2]})
    assert read(written(table), None, ["a"]).X.tolist() == [[1.0]]
    with pytest.raises(TableError, match=r"^f\.parquet: column 'species' holds string, not numbers$"):
        read("f.parquet")


def test_names_with_dots_and_spaces_are_one_column_each() -> None:
    table = read(written({"a": [1], "a.b": [2], "": [3], " c  d ": [4], "y": [5]}), None, ["a", "c d", "a.b", "2"])
    assert (table.features, table.X.tolist()) == (["a", "c d", "a.b", "column 2"], [[1.0, 4.0, 2.0, 3.0]])


def test_an_index_of_pandas_is_no_column() -> None:
    frame = pd.DataFrame({"x": [1, 3, 5], "y": [2, 4, 6]})
    for index in (None, [5, 3, 8], pd.Index([7, 8, 9], name="id"), ["a", "b", "c"]):
        (frame if index is None else frame.set_axis(index, axis=0)).to_parquet("f.parquet")
        assert told(read("f.parquet")) == ([[1.0], [3.0], [5.0]], [2.0, 4.0, 6.0], ["x"], "y")
    assert "__index_level_0__" in parquet.read_schema("f.parquet").names
    damaged = pa.table({"x": [1], "y": [2]}).replace_schema_metadata({"pandas": "{"})
    assert read(written(damaged)).features == ["x"]


def test_files_of_polars_are_read() -> None:
    pl.DataFrame({"x": [1.0, 3.0], "y": [2, 4]}, schema={"x": pl.Float32, "y": pl.UInt8}).write_parquet("f.parquet")
    assert told(read("f.parquet")) == ([[1.0], [3.0]], [2.0, 4.0], ["x"], "y")


def test_every_float_comes_back_exactly() -> None:
    values = np.random.default_rng(0).standard_normal((5000, 3)) * 10.0 ** np.arange(-100, 200, 100)
    table = read(written({name: values[:, j] for j, name in enumerate("abc")}, row_group_size=700))
    assert np.array_equal(np.column_stack([table.X, table.y]), values)


NONE = pa.array([None, None], pa.null())
BAD: dict[str, tuple[Wide, str]] = {
    "strings": ({"x": ["1", "2"], "y": [1, 2]}, "f.parquet: column 'x' holds string, not numbers"),
    "large strings": (
        {"x": pa.array(["1"], pa.large_string()), "y": [1]},
        "f.parquet: column 'x' holds string, not numbers",
    ),
    "names out of a few": (
        {"x": pa.array(["1", "2"]).dictionary_encode(), "y": [1, 2]},
        "f.parquet: column 'x' holds dictionary of string, not numbers",
    ),
    "dates": (
        {"x": [1], "y": [np.datetime64("2026-01-01", "us")]},
        "f.parquet: column 'y' holds timestamp[us], not numbers",
    ),
    "lists": ({"x": [[1.0]], "y": [1]}, "f.parquet: column 'x' holds list<"),
    "structs": ({"x": [{"a": 1}], "y": [1]}, "f.parquet: column 'x' holds struct<a: int64>, not numbers"),
    "null": ({"x": [1, 2, None], "y": [1, None, 2]}, "f.parquet, row 1: the cell in column 'y' is null"),
    "null of bool": ({"x": [True, None], "y": [1, 2]}, "f.parquet, row 1: the cell in column 'x' is null"),
    "all null": ({"x": NONE, "y": [1, 2]}, "f.parquet, row 0: the cell in column 'x' is null"),
    "nan": ({"x": [1.0, np.nan], "y": [1, 2]}, "f.parquet, row 1: nan in column 'x' is not finite"),
    "infinity": ({"x": [-np.inf, None], "y": [1, 2]}, "f.parquet, row 0: -inf in column 'x' is not finite"),
    "no row": ({"x": pa.array([], pa.int64()), "y": pa.array([], pa.int64())}, "f.parquet has columns, but no row"),
    "no column": ({}, "f.parquet has no columns"),
    "one column": ({"x": [1]}, "f.parquet has one column where a feature and a target are needed"),
    "control characters": ({"x\x1b": [1], "y": [1]}, "f.parquet: the name of column 0 has characters that can't"),
    "names alike": ({"x": [1], " x ": [2], "y": [1]}, "f.parquet: columns 0 and 1 are both named 'x'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad(name: str) -> None:
    columns, sentence = BAD[name]
    with pytest.raises(TableError) as refused:
        read(written(columns))
    assert str(refused.value).startswith(sentence)
    assert not isinstance(refused.value, ColumnError)


def test_names_twice() -> None:
    with pytest.raises(TableError, match=r"^f\.parquet: columns 0 and 1 are both named 'x'$"):
        read(written(pa.Table.from_arrays([pa.array([1])] * 3, ["x", "x", "y"])))


@pytest.mark.parametrize("group", [1, 700, 100_000])
def test_the_first_row_that_will_not_do_is_told_wherever_it_lies(group: int) -> None:
    x, y = np.arange(70_000.0), np.arange(70_000)
    x[69_998] = np.nan
    table = {"x": x, "y": pa.array(y, mask=y == 66_000)}
    rows = slice(65_900, None) if group == 1 else slice(None)  # a group a row is slow
    path = written({name: column[rows] for name, column in table.items()}, row_group_size=group)
    with pytest.raises(TableError, match=rf"^f\.parquet, row {66_000 - (rows.start or 0)}: the cell in column 'y'"):
        read(path)


@pytest.mark.parametrize("keep", [0, 3, 4, 100, -1])
@pytest.mark.parametrize("at", [None, 20, -30])
def test_files_that_are_damaged_end_in_a_sentence(keep: int, at: int | None) -> None:
    content = bytearray(Path(written({"x": [1, 2], "y": [3, 4]})).read_bytes())
    if at is not None:
        content[at : at + 8] = b"\xff" * 8
    Path("f.parquet").write_bytes(content[:keep])
    with pytest.raises(TableError, match=r"^f\.parquet is damaged, or no Parquet that pyarrow can read: ") as refused:
        read("f.parquet")
    assert len(str(refused.value)) < 280
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("seed", range(3))
def test_no_flipped_byte_ends_in_anything_else(seed: int) -> None:
    whole = Path(written({"x": list(range(50)), "y": [0.5] * 50, "z": ["a"] * 50})).read_bytes()
    rng = np.random.default_rng(seed)
    for _ in range(60):
        content = bytearray(whole)
        content[int(rng.integers(len(whole)))] ^= int(rng.integers(1, 256))
        Path("f.parquet").write_bytes(content)
        with suppress(TableError):
            read("f.parquet", "y", ["x"])


def test_files_that_can_not_be_opened() -> None:
    Path("folder.parquet").mkdir()
    for path, why in {"nosuch.parquet": "no such file or directory", "folder.parquet": "is a directory"}.items():
        with pytest.raises(TableError, match=f"^cannot read {path}: {why}$"):
            read(path)


def test_without_pyarrow_the_extra_is_named(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written({"x": [1, 2], "y": [1, 2]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    said = "fastgd: reading f.parquet, which is Parquet, needs pyarrow: pip install 'fastgd[arrow]'\n"
    assert run("fit", "f.parquet") == (1, "", said)
    assert run("fit", "points")[0] == 0


TABLE = {"a": [1.0, 2.0, 3.0, 4.0], "b": [1.0, 1.0, 5.0, 4.0], "price": [1.0, 3.0, 6.0, 3.0]}
COMMANDS = {
    "fit": ["--lr", "0.01", "--epochs", "3"],
    "compare": ["--lr", "0.01", "--epochs", "3", "--json"],
    "diagnose": ["--lr", "0.01"],
    "sweep": ["--lr", "1e-4,1e-3", "--epochs", "3"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("words", [[], ["--target", "a"], ["--target", "0", "--columns", "price,1"]])
def test_commands_say_of_parquet_what_they_say_of_csv(run: Any, command: str, words: list[str]) -> None:
    pd.DataFrame(TABLE).to_csv("f.csv", index=False)
    written(TABLE)
    found = [run(command, path, *COMMANDS[command], *words) for path in ("f.csv", "f.parquet")]
    code, out, err = found[0]
    assert (code, err) == (0, "")
    if command == "compare":  # has times in it
        for said in (out, found[1][1]):
            assert said.startswith('{"file": "f.')
        out, other = (said.split('"max_difference"')[0] for said in (out, found[1][1]))
        assert other == out.replace("f.csv", "f.parquet")
    else:
        assert found[1] == (0, out.replace("f.csv", "f.parquet"), "")


def test_predict_writes_what_it_writes_for_csv(run: Any) -> None:
    assert run("fit", written(TABLE), "--save", "model.json")[0] == 0
    new = {"b": [7.0, 1.0], "species": ["x", "y"], "a": [5.0, 2.0]}
    pd.DataFrame(new).to_csv("new.csv", index=False)
    written(new, "new.parquet")
    code, out, err = run("predict", "model.json", "new.parquet")
    assert (code, err, out.splitlines()[0]) == (0, "", "price")
    assert (code, out, err) == run("predict", "model.json", "new.csv")
    assert run("predict", "model.json", "new.parquet", "--columns", "2,0") == (0, out, "")
    assert read_features("new.parquet", ["a", "b"], "price", 2).header


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--target", "nosuch"], 2, "--target must be a name or an index from 0 to 2, got 'nosuch'; f.parquet has the"),
        (["--columns", "a,a"], 2, "--columns must name each column once, got 'a' twice"),
        (["--columns", "price"], 2, "--columns must not have the target 'price', the last column unless --target"),
        (["--loss", "log_loss"], 1, "f.parquet, row 1: target 'price' must be"),
        (["--save", "f.parquet"], 2, "--save must not be FILE itself"),
    ],
)
def test_refused(run: Any, words: list[str], code: int, sentence: str) -> None:
    found, out, err = run("fit", written(TABLE), *words)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert err.startswith(f"fastgd: {sentence}")
