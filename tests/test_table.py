"""Tables: what is read as it was meant, and what is refused with file and line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fastgd import datasets
from fastgd.table import ColumnError, TableError, read

PLAIN = ([[1.0], [3.0], [5.0]], [2.0, 4.0, 6.0])

GOOD = {
    "header": b"x,y\n1,2\n3,4\n5,6\n",
    "no header": b"1,2\n3,4\n5,6\n",
    "no last newline": b"x,y\n1,2\n3,4\n5,6",
    "crlf": b"x,y\r\n1,2\r\n3,4\r\n5,6\r\n",
    "cr": b"x,y\r1,2\r3,4\r5,6\r",
    "bom": b"\xef\xbb\xbfx,y\n1,2\n3,4\n5,6\n",
    "bom without header": b"\xef\xbb\xbf1,2\n3,4\n5,6\n",
    "blank lines": b"\n\nx,y\n1,2\n\n3,4\n5,6\n\n \n\n",
    "quotes": b'"x","y"\n"1","2"\n3, "4"\n5,6\n',
    "spaces": b" x , y\n 1, 2 \n3,\t4\n5,6\n",
    "ways to write a number": b"x,y\n1e0,+2.0\n3.,4E+0\n.5e1,00006\n",
}

BAD = {
    "empty": (b"", "f.csv is empty"),
    "only blank lines": (b"\n\n  \n", "f.csv is empty"),
    "only a header": (b"x,y\n\n", "f.csv, line 1: there is a header, but no row below it"),
    "one column": (b"x\n1\n2\n", "f.csv has one column where a feature and a target are needed"),
    "semicolons": (b"x;y\n1;2\n", "f.csv has one column where a feature and a target are needed, separated by a comma"),
    "short row": (b"x,y,z\n1,2,3\n4,5\n", "f.csv, line 3: 2 cells where the first row has 3"),
    "long row": (b"1,2\n3,4\n5,6,7\n", "f.csv, line 3: 3 cells where the first row has 2"),
    "one cell": (b"1,2\n3\n", "f.csv, line 2: 1 cell where the first row has 2"),
    "word": (b"x,y\n1,2\n\n3,abc\n", "f.csv, line 4: 'abc' in column 'y' is not a number"),
    "word without header": (b"1,2\nabc,4\n", "f.csv, line 2: 'abc' in column 'column 0' is not a number"),
    "underscore": (b"x,y\n1,2\n1_000,4\n", "f.csv, line 3: '1_000' in column 'x' is not a number"),
    "comma for a point": (b'x,y\n"1,5",2\n', "f.csv, line 2: '1,5' in column 'x' is not a number"),
    "empty cell": (b"x,y\n1,2\n,4\n", "f.csv, line 3: the cell in column 'x' is empty"),
    "blank cell": (b"x,y\n1,2\n3,  \n", "f.csv, line 3: the cell in column 'y' is empty"),
    "empty cell in the first row": (b"1,,3\n4,5,6\n", "f.csv, line 1: the cell in column 'column 1' is empty"),
    "nan": (b"x,y\n1,2\n3,nan\n", "f.csv, line 3: nan in column 'y' is not finite"),
    "nan in the first row": (b"nan,2\n3,4\n", "f.csv, line 1: nan in column 'column 0' is not finite"),
    "infinity": (b"1,2\n-inf,4\nnan,1\n", "f.csv, line 2: -inf in column 'column 0' is not finite"),
    "beyond float64": (b"1,2\n3,1e999\n", "f.csv, line 2: inf in column 'column 1' is not finite"),
    "latin-1": (b"x,y\n1,2\n3,\xe9\n", "f.csv, line 3: there are bytes that are not UTF-8 text"),
    "utf-16": ("x,y\n1,2\n".encode("utf-16"), "f.csv, line 1: there"),
    "nul": (b"x,y\n1,2\n3,4\x00\n", "f.csv, line 3: there is a NUL byte"),
    "rubbish": (bytes(range(128, 256)) * 9, "f.csv, line 1: there are bytes that are not UTF-8 text"),
    "huge cell": (b"x,y\n1,2\n3," + b"4" * 200_000 + b"\n", "f.csv, line 3: this is not CSV"),
    "long word": (b"x,y\n1," + b"z" * 5000 + b"\n", "f.csv, line 2: 'zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz...' in"),
    "open quote": (b'x,y\n1,2\n"3,4\n5,6\n', "f.csv, line 3: this is not CSV"),
    "text after a quote": (b'x,y\n1,2\n"3"4,5\n', "f.csv, line 3: this is not CSV"),
    "line after a quoted line end": (b'"a\nb",y\n1,2\n3,z\n', "f.csv, line 4: 'z' in column 'y' is not a number"),
    "names twice": (b"x,y,x\n1,2,3\n", "f.csv, line 1: columns 0 and 2 are both named 'x'"),
    "control characters": (b"x\x1b[31m,y\n1,2\n", "f.csv, line 1: the name of column 0 has characters"),
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(content: bytes) -> str:
    Path("f.csv").write_bytes(content)
    return "f.csv"


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    table = read(written(GOOD[name]))
    assert (table.X.tolist(), table.y.tolist()) == PLAIN
    assert [table.features, table.target] in ([["x"], "y"], [["column 0"], "column 1"])
    assert all(array.flags.c_contiguous and array.dtype == np.float64 for array in (table.X, table.y))


@pytest.mark.parametrize("name", BAD)
def test_bad(name: str) -> None:
    content, sentence = BAD[name]
    with pytest.raises(TableError) as refused:
        read(written(content))
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)
    assert not isinstance(refused.value, ColumnError)


def test_lines_are_those_of_the_file() -> None:
    assert read(written(b'\n"a\nb",y\n\n1,2\n3,4\n\n5,6\n')).lines.tolist() == [5, 6, 8]


WIDE = b"species,a,b,0,mass\ngentoo,1,2,3,4\nadelie,5,6,7,8\n"


@pytest.mark.parametrize(
    ("target", "columns", "features", "first"),
    [
        (None, ["a", "b"], ["a", "b"], [1, 2, 4]),
        (None, ["b", "a"], ["b", "a"], [2, 1, 4]),
        ("a", ["mass"], ["mass"], [4, 1]),
        ("1", ["2", " 4 "], ["b", "mass"], [2, 4, 1]),
        ("0", ["a"], ["a"], [1, 3]),  # a name goes before an index
    ],
)
def test_columns(target: str | None, columns: list[str], features: list[str], first: list[float]) -> None:
    table = read(written(WIDE), target, columns)
    assert table.features == features
    assert [*table.X[0], table.y[0]] == first


def test_all_other_columns_are_features() -> None:
    table = read(written(b"a,b,c\n1,2,3\n"), "b")
    assert (table.features, table.target, table.X.tolist()) == (["a", "c"], "b", [[1, 3]])


def test_words_in_a_column_not_asked_for_are_fine_but_not_in_one_asked_for() -> None:
    with pytest.raises(TableError, match=r"f\.csv, line 2: 'gentoo' in column 'species' is not a number"):
        read(written(WIDE))


@pytest.mark.parametrize(
    ("target", "columns", "sentence"),
    [
        ("nosuch", None, "--target must be a name or an index from 0 to 4, got 'nosuch'; f.csv has the columns"),
        ("5", None, "--target must be a name or an index from 0 to 4, got '5'"),
        ("-1", None, "--target must be a name or an index from 0 to 4, got '-1'"),
        ("", None, "--target must be a name or an index from 0 to 4, got ''"),
        ("9" * 5000, None, "--target must be a name or an index from 0 to 4"),
        (None, ["a", "z"], "--columns must be a name or an index from 0 to 4, got 'z'"),
        (None, ["a", "mass"], "--columns must not have the target 'mass', the last column unless --target says"),
        ("a", ["a"], "--columns must not have the target 'a'"),
        (None, ["a", "1"], "--columns must name each column once, got 'a' twice"),
        (None, [], "--columns must name at least one column"),
    ],
)
def test_columns_refused(target: str | None, columns: list[str] | None, sentence: str) -> None:
    with pytest.raises(ColumnError) as refused:
        read(written(WIDE), target, columns)
    assert str(refused.value).startswith(sentence)


def test_a_column_without_a_name_gets_its_number() -> None:
    assert read(written(b",a,y\n0,1,2\n")).features == ["column 0", "a"]


def test_shipped_tables() -> None:
    Path("points").write_bytes(b"1,2\n3,4\n")
    shipped, own = read("points"), read("./points")
    assert (shipped.features, shipped.target, len(own.y)) == (["x"], "y", 2)
    x, y = datasets.load_points()
    assert np.array_equal(shipped.X[:, 0], x)
    assert np.array_equal(shipped.y, y)
    X, y, names = datasets.load_penguins()
    penguins = read("penguins")
    assert np.array_equal(penguins.X, X)
    assert np.array_equal(penguins.y, y)
    assert penguins.features == names


@pytest.mark.parametrize(("path", "why"), [("nosuch.csv", "no such file"), (".", "is a directory"), ("", "no such")])
@pytest.mark.skipif(os.name == "nt", reason="says it in other words")
def test_no_file(path: str, why: str) -> None:
    with pytest.raises(TableError, match=f"^cannot read .*: {why}"):
        read(path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_no_permission() -> None:
    Path(written(b"1,2\n")).chmod(0)
    with pytest.raises(TableError, match=r"^cannot read f\.csv: permission denied$"):
        read("f.csv")


def test_every_float_comes_back_exactly() -> None:
    values = np.random.default_rng(0).standard_normal((500, 3)) * 10.0 ** np.arange(-100, 200, 100)
    table = read(written("\n".join(",".join(map(repr, row)) for row in values.tolist()).encode()))
    assert np.array_equal(np.column_stack([table.X, table.y]), values)


def test_a_hundred_thousand_rows() -> None:
    content = b"a,b,c\n" + b"0.12345678901234567,-1.2345678901234567,12.345678901234567\n" * 100_000
    assert read(written(content)).X.shape == (100_000, 2)
