"""Tables of pandas, polars and pyarrow given to the estimators: the same coefficients, names kept and checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn import linear_model
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastgd

NAMES = ["a", "b", "c"]
X, Y = fastgd.datasets.make_linear(n=120, coef=(1.0, -2.0, 3.0), rng=0)
LABELS = np.where(Y >= 4.0, "high", "low")

#: how columns by name become a table, and the table of some of its columns
TABLES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "pandas": (pd.DataFrame, lambda table, names: table[names]),
    "pandas of pyarrow": (
        lambda columns: pd.DataFrame(columns).convert_dtypes(dtype_backend="pyarrow"),
        lambda table, names: table[names],
    ),
    "polars": (pl.DataFrame, lambda table, names: table.select(names)),
    "pyarrow": (pa.table, lambda table, names: table.select(names)),
    "chunks of pyarrow": (
        lambda columns: pa.concat_tables([pa.table(columns).slice(0, 50), pa.table(columns).slice(50)]),
        lambda table, names: table.select(names),
    ),
    "record batch": (pa.RecordBatch.from_pydict, lambda table, names: table.select(names)),
}
MODELS = {"regressor": (fastgd.SGDRegressor, Y), "classifier": (fastgd.SGDClassifier, LABELS)}
WAYS: list[dict[str, Any]] = [{}, {"batch_size": 8, "learning_rate": "constant"}, {"learning_rate": "auto"}]


def table(name: str, columns: Any = X) -> Any:
    return TABLES[name][0](dict(zip(NAMES, columns.T.copy(), strict=True)))


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("options", WAYS, ids=["rows", "batches", "auto"])
def test_tables_are_fitted_as_their_numbers_are(name: str, kind: str, options: dict[str, Any]) -> None:
    make, y = MODELS[kind]
    expected = make(random_state=0, **options).fit(X, y)
    given = table(name)
    model = make(random_state=0, **options).fit(given, y)
    assert (model.feature_names_in_.tolist(), model.n_features_in_) == (NAMES, 3)
    assert np.array_equal(model.coef_, expected.coef_)
    for other in (given, table("polars")):
        assert np.isclose(model.score(other, y), expected.score(X, y), rtol=1e-12)
    more = {"classes": np.unique(y)} if kind == "classifier" else {}
    parts = make(random_state=0).partial_fit(given, y, **more).partial_fit(given, y)
    again = make(random_state=0).partial_fit(X, y, **more).partial_fit(X, y)
    assert np.array_equal(parts.coef_, again.coef_)
    assert parts.feature_names_in_.tolist() == NAMES


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("kind", MODELS)
def test_columns_of_other_names_or_another_order_are_refused(name: str, kind: str) -> None:
    make, y = MODELS[kind]
    given = table(name)
    model = make(random_state=0).fit(given, y)
    turned = TABLES[name][1](given, ["b", "a", "c"])
    for way in (
        lambda: model.predict(turned),
        lambda: model.partial_fit(turned, y),
        lambda: model.score(turned, y),
        lambda: make().fit(given, y, X_val=turned, y_val=y),
    ):
        with pytest.raises(ValueError, match="names should match those that were passed during fit"):
            way()
    with pytest.raises(ValueError, match="names should match"):
        model.predict(TABLES[name][0](dict(zip("abd", X.T.copy(), strict=True))))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.predict(X)


TARGETS: dict[str, Callable[[Any], Any]] = {
    "pandas": pd.Series,
    "categories of pandas": lambda y: pd.Series(y, dtype="category"),
    "polars": pl.Series,
    "pyarrow": pa.array,
    "chunks": lambda y: pa.chunked_array([y[:50], y[50:]]),
    "list": lambda y: y.tolist(),
    "objects": lambda y: y.astype(object),
}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("labels", [LABELS, Y > 0, np.digitize(Y, [-1, 1]), np.digitize(Y, [-1, 1]) + 1.0])
def test_labels_of_any_kind_are_those_of_scikit_learn(name: str, labels: Any) -> None:
    y = TARGETS[name](labels)
    if name == "objects" and labels.dtype.kind != "U":
        for one in (linear_model.SGDClassifier(), fastgd.SGDClassifier()):
            with pytest.raises(ValueError, match="Unknown label type"):
                one.fit(X, y)
        return
    theirs = linear_model.SGDClassifier(random_state=0).fit(X, y)
    ours = fastgd.SGDClassifier(random_state=0).fit(X, y)
    assert (ours.classes_.tolist(), ours.classes_.dtype) == (theirs.classes_.tolist(), theirs.classes_.dtype)
    assert ours.predict(X).tolist() == theirs.predict(X).tolist()
    ours, theirs = (one(random_state=0) for one in (fastgd.SGDClassifier, linear_model.SGDClassifier))
    for one in (ours, theirs):
        one.partial_fit(X, y, classes=y)
    assert (ours.classes_.tolist(), ours.classes_.dtype) == (theirs.classes_.tolist(), theirs.classes_.dtype)


def test_weights_and_starts_of_tables() -> None:
    ones = np.ones(len(Y))
    expected = fastgd.SGDRegressor(random_state=0).fit(X, Y, sample_weight=ones, coef_init=[1, 2, 3])
    for column in (pl.Series, pa.array, pd.Series):
        model = fastgd.SGDRegressor(random_state=0)
        model.fit(X, column(Y), sample_weight=column(ones), coef_init=column([1.0, 2, 3]), intercept_init=column([0.0]))
        assert np.array_equal(model.coef_, expected.coef_)


def test_in_pipelines_and_searches() -> None:
    steps = make_pipeline(StandardScaler(), fastgd.SGDRegressor(random_state=0))
    for name in ("pandas", "polars", "pyarrow"):
        assert (cross_val_score(steps, table(name), Y, cv=3) > 0.99).all()


def test_what_is_missing_or_lazy_is_refused() -> None:
    holes = X.copy()
    holes[3, 1] = np.nan
    columns = dict(zip(NAMES, holes.T, strict=True))
    for given in (pd.DataFrame(columns), pl.DataFrame(columns).fill_nan(None), pa.table(pl.DataFrame(columns))):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            fastgd.SGDRegressor().fit(given, Y)
    lazy = {"collect": pl.DataFrame(X).lazy(), "read_all": pa.table(table("pyarrow")).to_reader()}
    model = fastgd.SGDRegressor(random_state=0).fit(X, Y)
    for method, given in lazy.items():
        said = rf"^X must be in memory, got a lazy \w+; call \.{method}\(\) first$"
        for way in (lambda given=given: fastgd.SGDRegressor().fit(given, Y), lambda given=given: model.predict(given)):
            with pytest.raises(TypeError, match=said):
                way()
    with pytest.raises(TypeError, match=r"^X_val must be in memory, got a lazy LazyFrame"):
        model.fit(X, Y, X_val=lazy["collect"], y_val=Y)
