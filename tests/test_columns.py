"""Columns: tables of pandas, polars and pyarrow are their numbers, to the bit, or are refused by row and column."""

from __future__ import annotations

import array
import datetime
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgd
from conftest import make_problem
from fastgd import _door

X, Y = make_problem("mse", d=4)
N = len(X)
TABLE = {
    "age": np.round(20 * X[:, 0]).astype(np.int64),
    "tall": X[:, 1] > 0,
    "income": X[:, 2],
    "share": X[:, 3].astype(np.float32),
}
NUMBERS = np.column_stack([column.astype(np.float64) for column in TABLE.values()])
FRAME = pd.DataFrame(TABLE)
ARROW = pa.table(TABLE)


def fit(X=X, y=Y, **options):
    return fastgd.fit(X, y, **({"lr": 1e-3, "epochs": 3, "batch_size": 7, "rng": 0} | options))


class OnlyDLPack:
    """What an array of another library shows that knows nothing of NumPy; on a device of its own if asked."""

    def __init__(self, values, device=(1, 0)):
        self.values, self.device = values, device

    def __dlpack__(self, **options):
        if self.device[0] != 1:
            raise BufferError("the data is on the device")
        return self.values.__dlpack__()

    def __dlpack_device__(self):
        return self.device


TABLES = {
    "pandas": FRAME,
    "pandas nullable": FRAME.convert_dtypes(),
    "pandas arrow": FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "pandas half nullable": FRAME.astype({"age": "Int64"}),
    "pandas sparse": FRAME.astype({"tall": pd.SparseDtype(bool), "income": pd.SparseDtype(float)}),
    "pandas objects": FRAME.astype(object),
    "pandas in pieces": pd.concat([FRAME[[label]] for label in TABLE], axis=1),
    "pandas of one dtype": pd.DataFrame(NUMBERS),
    "pandas with an index": FRAME.set_axis(np.arange(N)[::-1] * 3),
    "pandas with a time index": FRAME.set_axis(pd.date_range("2020", periods=N)),
    "pandas with equal labels": FRAME.set_axis(["a", "b", "a", "a"], axis=1),
    "pandas with labels of levels": FRAME.set_axis(pd.MultiIndex.from_product([["a", "b"], [1, 2]]), axis=1),
    "pandas with labels of ours": FRAME.set_axis(["compute", "dtype", "iter_columns", "type"], axis=1),
    "polars": pl.DataFrame(TABLE),
    "polars in chunks": pl.concat([pl.DataFrame(TABLE)[:13], pl.DataFrame(TABLE)[13:]], rechunk=False),
    "arrow": ARROW,
    "arrow in chunks": pa.concat_tables([ARROW[:13], ARROW[13:14], ARROW[14:]]),
    "arrow batch": ARROW.to_batches()[0],
    "arrow with equal labels": ARROW.rename_columns(["a"] * 4),
    "dlpack": OnlyDLPack(NUMBERS),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_give_the_bits_of_their_numbers(kind):
    expected, got = fit(NUMBERS), fit(TABLES[kind])
    assert got.coef.tobytes() == expected.coef.tobytes()
    assert got.history.coef.tobytes() == expected.history.coef.tobytes()
    assert got.predict(TABLES[kind]).tobytes() == expected.predict(NUMBERS).tobytes()
    several = NUMBERS[:, 1:3]
    one, other = fit(y=NUMBERS), fit(y=TABLES[kind])
    assert one.coef.tobytes() == other.coef.tobytes()
    one = fit(NUMBERS, several, X_val=NUMBERS, y_val=several)
    other = fit(NUMBERS, several, X_val=TABLES[kind], y_val=pd.DataFrame(several))
    assert one.history.val_loss.tobytes() == other.history.val_loss.tobytes()


VECTORS = {
    "pandas": lambda values: pd.Series(values, index=np.arange(len(values))[::-1], name="y"),
    "pandas nullable": lambda values: pd.Series(values, dtype="Float64"),
    "pandas arrow": lambda values: pd.Series(values, dtype="double[pyarrow]"),
    "pandas sparse": lambda values: pd.Series(pd.arrays.SparseArray(values)),
    "pandas array": lambda values: pd.array(values, dtype="Float64"),
    "pandas index": pd.Index,
    "polars": lambda values: pl.Series("y", values),
    "arrow": pa.array,
    "arrow in chunks": lambda values: pa.chunked_array([values[:5], values[5:]]),
    "dlpack": OnlyDLPack,
    "buffer": lambda values: array.array("d", values),
    "decimals": lambda values: pa.array([decimal.Decimal(value) for value in values], pa.decimal256(76, 60)),
}


@pytest.mark.parametrize("kind", VECTORS)
def test_vectors_give_the_bits_of_their_numbers(kind):
    y, weight, make = np.round(Y, 3), np.arange(N) / 8, VECTORS[kind]
    expected = fit(NUMBERS, y, sample_weight=weight, X_val=NUMBERS, y_val=y)
    got = fit(NUMBERS, make(y), sample_weight=make(weight), X_val=NUMBERS, y_val=make(y))
    assert got.coef.shape == (4,)
    assert got.coef.tobytes() == expected.coef.tobytes()
    assert got.history.val_loss.tobytes() == expected.history.val_loss.tobytes()
    alone = fit(make(y), weight)
    assert alone.coef.tobytes() == fit(y, weight).coef.tobytes()
    assert alone.predict(make(y)).tobytes() == alone.predict(y).tobytes()
    assert fastgd.mse(make(y), make(weight)) == fastgd.mse(y, weight)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "arrow"])
def test_a_table_of_one_column_is_two_dimensional(make):
    assert fit(y=make({"y": Y})).coef.tobytes() == fit(y=Y[:, None]).coef.tobytes()
    assert fit(y=make({"y": Y})).coef.shape == (1, 4)
    with pytest.raises(ValueError, match=rf"sample_weight must have one entry .* got shape \({N}, 1\)"):
        fit(sample_weight=make({"w": np.ones(N)}))


NARROW = {"a": np.float32([0.1, 0.2]), "b": np.float32([0.3, 0.4])}
WIDE = NARROW | {"c": np.array([0.5, 0.6])}
INTEGERS = NARROW | {"c": np.int8([1, 2])}


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "arrow"])
def test_only_tables_all_of_float32_stay_so(make):
    assert _door.rows(make(NARROW)).dtype == np.float32
    assert _door.rows(make(WIDE)).dtype == _door.rows(make(INTEGERS)).dtype == np.float64
    assert _door.rows(make(WIDE)).tolist() == np.column_stack(list(WIDE.values())).tolist()
    assert _door.rows(make(WIDE)).flags.c_contiguous
    halves = {"a": np.float16([0.5, 1.5])}
    assert _door.rows(make(halves)).dtype == np.float64


def test_nullable_float32_without_gaps_stays_so():
    frame = pd.DataFrame(NARROW).astype({"a": "Float32", "b": "float[pyarrow]"})
    assert _door.rows(frame).dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_frames_of_one_dtype_are_not_copied(dtype):
    frame = pd.DataFrame(NUMBERS.astype(dtype), columns=list(TABLE))
    assert np.shares_memory(_door.real_array(frame, "X"), frame.to_numpy())
    rows = NUMBERS.astype(dtype)
    assert np.shares_memory(_door.rows(pd.DataFrame(rows, copy=False)), rows)


INTS, FLOATS, BOOLS = [1, 2, 3], [0.5, None, 2.5], [True, False, None]
GAPS = {"whole": INTS, "b": FLOATS, "c": BOOLS}
MISSING = {
    "pandas nullable": pd.DataFrame(GAPS).astype({"b": "Float64", "c": "boolean"}),
    "pandas arrow": pd.DataFrame(GAPS).astype({"b": "double[pyarrow]", "c": "bool[pyarrow]"}),
    "pandas ints": pd.DataFrame(GAPS).drop(columns="c").set_axis([1.5, "b"], axis=1).astype({1.5: "Int8"}),
    "pandas NaN": pd.DataFrame({"a": INTS, "b": FLOATS}),
    "polars": pl.DataFrame(GAPS),
    "arrow": pa.table(GAPS),
    "arrow batch": pa.record_batch(GAPS),
    "arrow null": pa.table({"a": INTS, "b": pa.array([1, None, None])}),
    "arrow decimals": pa.table({"a": INTS, "b": [decimal.Decimal(1), None, None]}),
    "polars decimals": pl.DataFrame({"a": INTS, "b": [decimal.Decimal(1), None, None]}),
}


@pytest.mark.parametrize("kind", MISSING)
def test_what_is_missing_is_refused_with_the_first_row_and_column(kind):
    table = MISSING[kind]
    with pytest.raises(ValueError, match=r"^X must be finite, got nan in row 1, column 1 \('b'\)$"):
        fit(table, [1, 2, 3])
    with pytest.raises(ValueError, match=r"^X_val must be finite, got nan in row 1, column 1 \('b'\)$"):
        fit([[1, 2]], [1], X_val=table, y_val=INTS)
    with pytest.raises(ValueError, match=r"^y must be finite, got nan in row 1, column 1 \('b'\)$"):
        fit(INTS, table)


@pytest.mark.parametrize(
    "vector",
    [
        *(pd.Series([1, None, 0], dtype=dtype) for dtype in ("Int64", "boolean", "Float32", "bool[pyarrow]")),
        *(make([True, None, False]) for make in (pl.Series, pa.array, lambda values: pa.chunked_array([values]))),
    ],
    ids=lambda vector: f"{type(vector).__module__}-{getattr(vector, 'dtype', '')}",
)
def test_vectors_with_gaps_are_refused(vector):
    with pytest.raises(ValueError, match=r"^y must be finite, got nan in row 1$"):
        fit([1, 2, 3], vector)
    with pytest.raises(ValueError, match=r"^sample_weight must be finite, got nan in row 1$"):
        fit([1, 2, 3], [1, 2, 3], sample_weight=vector)


def test_labels_are_told_where_they_say_more_than_the_place():
    wrong = np.array([[1.0, np.nan]])
    for labels, said in [([0, 1], "1"), ([1990, 2000], r"1 \(2000\)"), ([("a", 1), ("a", 2)], r"1 \(\('a', 2\)\)")]:
        with pytest.raises(ValueError, match=rf"got nan in row 0, column {said}$"):
            fit(pd.DataFrame(wrong, columns=labels), [1.0])


DAY = datetime.date(2020, 1, 1)
LABELS = {
    "pandas categorical": (pd.DataFrame({"a": [1.0], "b": pd.Categorical([1])}), "got dtype category in column 1"),
    "pandas str": (pd.DataFrame({"a": [1.0], "b": ["x"]}), r"got 'x' \(str\) in row 0, column 1"),
    "pandas str objects": (pd.DataFrame({"a": [1], "b": pd.Series(["1"], dtype=object)}), r"got '1' \(str\) in row 0"),
    "pandas None": (pd.DataFrame({"a": [1], "b": pd.Series([None], dtype=object)}), r"got None \(NoneType\) in row 0"),
    "pandas arrow str": (pd.DataFrame({"a": [1], "b": ["x"]}).astype({"b": "string[pyarrow]"}), r"got 'x' \(str\)"),
    "pandas datetime": (pd.DataFrame({"a": [1], "b": pd.to_datetime([DAY])}), r"got dtype datetime64\[\w+\] in"),
    "pandas only datetime": (pd.DataFrame({"b": pd.to_datetime([DAY])}), r"got dtype datetime64\[\w+\] in column 0"),
    "pandas zone": (pd.DataFrame({"b": pd.to_datetime([DAY]).tz_localize("UTC")}), r"\(Timestamp\) in row 0, column 0"),
    "pandas timedelta": (pd.DataFrame({"a": [1], "b": pd.to_timedelta([1])}), r"got dtype timedelta64\[\w+\] in"),
    "pandas complex": (pd.DataFrame({"a": [1], "b": [1j]}), "got dtype complex128 in column 1"),
    "pandas only complex": (pd.DataFrame({"b": [1j]}), "got dtype complex128 in column 0"),
    "pandas period": (pd.DataFrame({"b": pd.period_range("2020", periods=1)}), r"\(Period\) in row 0, column 0"),
    "polars str": (pl.DataFrame({"a": [1], "b": ["x"]}), "got dtype <U1 in column 1"),
    "polars categorical": (pl.DataFrame({"b": pl.Series(["x"], dtype=pl.Categorical)}), r"\(str\) in row 0, column 0"),
    "polars date": (pl.DataFrame({"a": [1], "b": [DAY]}), r"got dtype datetime64\[D\] in column 1"),
    "polars list": (pl.DataFrame({"b": [[1, 2]]}), r"\(ndarray\) in row 0, column 0"),
    "polars array": (pl.DataFrame({"b": pl.Series([[1]], dtype=pl.Array(int, 1))}), r"got shape \(1,\) in column 0"),
    "polars wide int": (pl.DataFrame({"b": pl.Series([1], dtype=pl.Int128)}), "got Series in column 0"),
    "arrow str": (pa.table({"a": [1], "b": ["x"]}), r"got 'x' \(str\) in row 0, column 1"),
    "arrow dictionary": (pa.table({"b": pa.array([1]).dictionary_encode()}), r"got dtype dictionary<.*> in column 0"),
    "arrow date": (pa.table({"b": [DAY]}), r"got dtype datetime64\[D\] in column 0"),
    "arrow struct": (pa.record_batch({"b": [{"c": 1}]}), r"\(dict\) in row 0, column 0"),
}


@pytest.mark.parametrize("kind", LABELS)
def test_columns_of_no_numbers_are_refused_by_name(kind):
    table, message = LABELS[kind]
    with pytest.raises(TypeError, match=rf"^X must hold .*{message}.*\('b'\)"):
        fit(table, [1.0])
    with pytest.raises(TypeError, match=rf"^y must hold .*{message}.*\('b'\)"):
        fit([1.0], table)


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (pd.Series([1, 2], dtype="category"), "got dtype category$"),
        (pd.Categorical([1, 2]), "got dtype category$"),
        (pd.CategoricalIndex([1, 2]), "got dtype category$"),
        (pd.Series(["x", "y"]), r"got 'x' \(str\) in row 0$"),
        (pl.Series(["x", "y"]), "got dtype <U1$"),
        (pa.array(["x", "y"]), r"got 'x' \(str\) in row 0$"),
        (pa.array([1, 1]).dictionary_encode(), "got dtype dictionary<"),
        (pa.chunked_array([pa.array([1, None]).dictionary_encode()]), "got dtype dictionary<"),
        (pl.col("a"), "got Expr$"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_vectors_of_no_numbers_are_refused(vector, message):
    with pytest.raises(TypeError, match=rf"^y must hold real numbers, {message}"):
        fit([1, 2], vector)


EMPTY = {
    "pandas nothing": (pd.DataFrame(), (0, 0)),
    "pandas no columns": (pd.DataFrame(index=range(3)), (3, 0)),
    "pandas no rows": (FRAME[:0], (0, 4)),
    "pandas no rows of objects": (pd.DataFrame(columns=["a", "b"]), (0, 2)),
    "polars nothing": (pl.DataFrame(), (0, 0)),
    "polars no rows": (pl.DataFrame(TABLE)[:0], (0, 4)),
    "polars no types": (pl.DataFrame({"a": []}), (0, 1)),
    "arrow nothing": (pa.table({}), (0, 0)),
    "arrow no rows": (ARROW[:0], (0, 4)),
    "arrow no chunks": (ARROW.schema.empty_table(), (0, 4)),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_empty_tables_are_refused(kind):
    table, shape = EMPTY[kind]
    message = rf"X must be \(n, d\) with n >= 1 rows and d >= 1 features, got shape \({shape[0]}, {shape[1]}\)"
    with pytest.raises(ValueError, match=message):
        fit(table, np.ones(shape[0]))


class Graph:
    """As dask's collections are: computed by compute(), and by NumPy at every look."""

    def __init__(self, graph):
        self.graph = graph

    def __dask_graph__(self):
        return self.graph

    def __array__(self, *args, **kwargs):
        return X

    def compute(self):
        raise AssertionError("nobody asked")


class Cluster:
    """As Spark's frames are: collect() makes a list of rows."""

    def collect(self):
        raise AssertionError("nobody asked")

    toPandas = collect  # noqa: N815


LAZY = {
    "polars": (lambda: pl.LazyFrame(TABLE), "LazyFrame", "collect"),
    "dataset": (lambda: pa.dataset.dataset(ARROW), "InMemoryDataset", "to_table"),
    "scanner": (lambda: pa.dataset.dataset(ARROW).scanner(), "Scanner", "to_table"),
    "reader": (ARROW.to_reader, "RecordBatchReader", "read_all"),
    "dask": (lambda: Graph({"a": 1}), "Graph", "compute"),
    "spark": (Cluster, "Cluster", "toPandas"),
}


@pytest.mark.parametrize("kind", LAZY)
def test_lazy_tables_are_refused_with_advice(kind):
    make, called, method = LAZY[kind]
    for name in ("X", "y"):
        with pytest.raises(TypeError, match=rf"^{name} must be in memory, got a lazy {called}; call \.{method}\(\) fi"):
            fit(**{name: make()})


def test_a_lazy_table_is_not_used_up():
    reader = ARROW.to_reader()
    with pytest.raises(TypeError, match=r"call \.read_all"):
        fit(reader)
    assert reader.read_all().num_rows == N


def test_what_could_be_lazy_but_is_not_is_taken():
    assert fit(Graph(None)).coef.tobytes() == fit(X).coef.tobytes()


@pytest.mark.parametrize("device", [(2, 0), (8, 1)], ids=["cuda", "metal"])
def test_what_cannot_be_exported_is_refused_with_the_cause(device):
    with pytest.raises(TypeError, match=r"^X must hold real numbers, got OnlyDLPack: its export by DLPack failed: .+"):
        fit(OnlyDLPack(X, device))
    with pytest.raises(TypeError, match=r"^y must .* DLPack failed") as caught:
        fit(y=OnlyDLPack(Y, device))
    assert caught.value.__cause__ is not None


CELLS = {
    "int": (st.integers(-(2**63), 2**63 - 1), "int64[pyarrow]", "Int64", pl.Int64, pa.int64()),
    "uint8": (st.integers(0, 255), "uint8[pyarrow]", "UInt8", pl.UInt8, pa.uint8()),
    "bool": (st.booleans(), "bool[pyarrow]", "boolean", pl.Boolean, pa.bool_()),
    "float": (st.floats(-1e300, 1e300), "double[pyarrow]", "Float64", pl.Float64, pa.float64()),
    "float32": (st.floats(-(2.0**99), 2.0**99, width=32), "float[pyarrow]", "Float32", pl.Float32, pa.float32()),
}


@st.composite
def tables(draw):
    """Columns of any kinds with a gap here and there, in each library, and the numbers that they are."""
    n, kinds = draw(st.integers(1, 6)), draw(st.lists(st.sampled_from(list(CELLS)), min_size=1, max_size=5))
    cell = {kind: st.one_of(*[CELLS[kind][0]] * 9, st.none()) for kind in kinds}
    columns = [draw(st.lists(cell[kind], min_size=n, max_size=n)) for kind in kinds]
    labels = [f"of {j}" for j in range(len(kinds))]
    numbers = np.array([[np.nan if v is None else float(v) for v in column] for column in columns]).T
    makes = [(label, column, CELLS[kind][1:]) for label, column, kind in zip(labels, columns, kinds, strict=True)]
    cut = draw(st.integers(0, n))
    arrow = pa.table({label: pa.array(column, types[3]) for label, column, types in makes})
    return (
        numbers,
        all(kind == "float32" for kind in kinds),
        {
            "pandas arrow": pd.DataFrame({label: pd.Series(column, dtype=types[0]) for label, column, types in makes}),
            "pandas": pd.DataFrame({label: pd.array(column, dtype=types[1]) for label, column, types in makes}),
            "polars": pl.DataFrame([pl.Series(label, column, dtype=types[2]) for label, column, types in makes]),
            "arrow": pa.concat_tables([arrow[:cut], arrow[cut:]]),
            "batch": arrow.combine_chunks().to_batches()[0],
        },
    )


@settings(deadline=None, derandomize=True, max_examples=60)
@given(tables())
def test_any_table_is_its_numbers_or_is_refused_at_its_first_gap(drawn):
    numbers, narrow, made = drawn
    gaps = np.argwhere(np.isnan(numbers))
    for library, table in made.items():
        if len(gaps):
            i, j = gaps[0]
            with pytest.raises(ValueError, match=rf"got nan in row {i}, column {j} \('of {j}'\)$"):
                _door.rows(table)
        else:
            rows = _door.rows(table)
            assert rows.dtype == (np.float32 if narrow else np.float64), library
            assert rows.tolist() == numbers.tolist(), library


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "arrow"])
def test_names_are_kept_and_columns_of_another_order_are_refused(make, tmp_path):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(50), rng.standard_normal(50)
    table, turned = make({"a": a, "b": b}), make({"b": b, "a": a})
    found = fastgd.fit(table, a - 2 * b)
    assert found.features == ("a", "b")
    found.save(tmp_path / "model.json")
    for model in (found, fastgd.load(tmp_path / "model.json"), fastgd.closed_form(table, a - 2 * b)):
        np.testing.assert_array_equal(model.predict(table), model.predict(np.column_stack([a, b])))
        with pytest.raises(
            ValueError, match="X must have the columns of the fit in their order, 'a' in column 0, got 'b'"
        ):
            model.predict(turned)
    with pytest.raises(ValueError, match="X_val must have the columns of the fit"):
        fastgd.fit(table, a, X_val=turned, y_val=a)
    assert fastgd.fit(np.column_stack([a, b]), a).features is None
    assert fastgd.fit(pd.DataFrame({0: a, 1: b}), a).features is None


def test_a_column_may_be_called_as_an_attribute_of_arrays():
    table = pd.DataFrame({"nbytes": [1.0, 2.0, 3.0], "shape": [1.0, 3.0, 2.0], "dtype": [0.0, 1.0, 0.0]})
    assert fastgd.fit(table, [1.0, 2.0, 3.0]).features == ("nbytes", "shape", "dtype")
