"""Saved results come back bit for bit; anything else is refused."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import stat
import subprocess
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastgd
from conftest import make_problem

X, Y = make_problem("mse")


def results():
    _, many = make_problem("mse", outputs=2)
    yield fastgd.fit(X, Y, lr=0.05, epochs=3, batch_size=7, rng=0, schedule=("step", {"every": 2}))
    yield fastgd.fit(X, many, lr=0.05, epochs=3, loss=("huber", {"delta": 0.3}), l1=0.1)
    yield fastgd.fit(X, Y, lr=0.05, epochs=3, record=None)
    yield fastgd.fit(X, Y, lr=0.05, epochs=3, X_val=X, y_val=Y, tol=1e-3)
    yield fastgd.closed_form(X, Y)
    yield dataclasses.replace(fastgd.closed_form(X, Y), features=("a", "größe", ""), target="b, c")
    yield fastgd.closed_form(X, many, l2=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastgd.DivergenceWarning)
        yield fastgd.fit(X * 1e60, Y, lr=1.0, epochs=3, batch_size=1, rng=0, record="step")


RESULTS = list(results())


def same(one, other):
    for name in one.__dataclass_fields__:
        a, b = getattr(one, name), getattr(other, name)
        assert type(a) is type(b), name
        if name == "history":
            for column in a.__dataclass_fields__:
                x, y = getattr(a, column), getattr(b, column)
                assert (x is None) == (y is None), column
                assert x is None or (x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()), column
        elif isinstance(a, np.ndarray):
            assert a.tobytes() == b.tobytes(), name
        else:
            assert a == b or (a != a and b != b), name


@pytest.mark.parametrize("at", range(len(RESULTS)))
def test_comes_back_bit_for_bit(at, tmp_path):
    RESULTS[at].save(tmp_path / "model.json")
    again = fastgd.load(tmp_path / "model.json")
    same(RESULTS[at], again)
    assert repr(again) == repr(RESULTS[at])
    np.testing.assert_array_equal(again.predict(X), RESULTS[at].predict(X))
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


def test_a_loaded_result_goes_on(tmp_path):
    half = fastgd.fit(X, Y, lr=0.05, epochs=3)
    half.save(str(tmp_path / "half.json"))
    on = fastgd.fit(X, Y, lr=0.05, epochs=2, init=fastgd.load(str(tmp_path / "half.json")))
    assert on.coef.tolist() == fastgd.fit(X, Y, lr=0.05, epochs=5).coef.tolist()


def test_version_1_is_read_for_ever(tmp_path):
    text = (
        '{"format": "fastgd result", "version": 1, "fastgd": "0.1.0", "coef": [1.5], "intercept": 0.25, "loss": 0.5,'
        ' "status": "max_epochs", "message": "ran", "n_epochs": 1, "n_steps": 1, "lr": 0.1, "optimizer": "sgd",'
        ' "engine": "rows", "standardized": false, "options": {"loss": ["mse", {}], "l1": 0.0, "l2": 0.5,'
        ' "fit_intercept": true}, "history": {"epoch": [0, 1],'
        ' "step": [0, 1], "loss": [2.0, "inf"], "coef": [[0.0], [1.5]], "intercept": [0.0, 0.25], "lr": [0.1, 0.1],'
        ' "grad_norm": [1.0, "nan"], "seconds": [0.0, 0.001], "val_loss": null}}'
    )
    (tmp_path / "old.json").write_text(text)
    result = fastgd.load(tmp_path / "old.json")
    assert (result.coef.tolist(), result.intercept, result.options) == (
        *([1.5], 0.25),
        {"loss": ("mse", {}), "l1": 0.0, "l2": 0.5, "fit_intercept": True},
    )
    assert (result.features, result.target) == (None, None)
    assert result.history.loss[1] == np.inf
    assert np.isnan(result.history.grad_norm[1])


RUBBISH = {
    "empty": b"",
    "binary": bytes(range(256)),
    "not json": b"coef = 1",
    "list": b"[]",
    "number": b"3",
    "other": b'{"format": "something"}',
    "version": b'{"format": "fastgd result", "version": 99}',
    "missing": b'{"format": "fastgd result", "version": 1}',
    "deep": b"[" * 200_000,
    "NaN": b'{"format": "fastgd result", "version": 1, "coef": [NaN]}',
    "huge int": b'{"format": "fastgd result", "version": 1, "coef": [1' + b"0" * 400 + b'], "intercept": 0}',
}


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_is_refused(name, tmp_path):
    (tmp_path / "bad.json").write_bytes(RUBBISH[name])
    with pytest.raises(ValueError, match=r"path must name a file that FitResult\.save wrote, got '.*bad\.json'"):
        fastgd.load(tmp_path / "bad.json")


def test_what_cannot_be_read_or_written_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        fastgd.load(tmp_path / "none.json")
    with pytest.raises(OSError, match="directory"):
        fastgd.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere/model\.json'$"):
        RESULTS[0].save(tmp_path / "nowhere" / "model.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes by name")
def test_a_pipe_is_written_to_and_a_link_stays_a_link(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        RESULTS[0].save(tmp_path / "pipe")
        said, _ = reader.communicate(timeout=30)
    assert json.loads(said)["format"] == "fastgd result"
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)
    (tmp_path / "link").symlink_to(tmp_path / "real.json")
    RESULTS[0].save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    same(fastgd.load(tmp_path / "real.json"), RESULTS[0])


DAMAGE = [
    (("version",), True),
    (("coef",), [float("nan")] * 3),
    (("engine",), "foo"),
    (("optimizer",), "foo"),
    (("history", "epoch", 1), 0.5),
    (("history", "step", 1), -1),
    (("history", "epoch", 1), "nan"),
    (("options", "batch_size"), -3),
    (("options", "batch_size"), "x"),
    (("options", "loss"), ["foo", {}]),
    (("options", "loss"), ["mse"]),
    (("options", "l1"), None),
    (("history", "loss"), None),
    (("features",), ["a", "b"]),
    (("features",), ["a", "b", "a"]),
    (("features",), ["a", "b", 3]),
    (("features",), ["a", "b", "\x1b[2J"]),
    (("features",), "abc"),
    (("features",), {"a": 1}),
    (("target",), "a\nb"),
    (("target",), 3),
]


@pytest.mark.parametrize(("place", "value"), DAMAGE, ids=str)
def test_damage_is_refused(place, value, tmp_path):
    RESULTS[0].save(tmp_path / "bad.json")
    held = json.loads((tmp_path / "bad.json").read_text())
    inner = held
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = "nan" if value != value else value
    (tmp_path / "bad.json").write_text(json.dumps(held).replace("NaN", '"nan"'))
    with pytest.raises(ValueError, match="path must name a file that"):
        fastgd.load(tmp_path / "bad.json")


def test_many_threads_may_save_to_one_path(tmp_path):
    def work():
        for _ in range(50):
            RESULTS[0].save(tmp_path / "model.json")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work) for _ in range(8)]:
            done.result()
    same(fastgd.load(tmp_path / "model.json"), RESULTS[0])
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


damaged = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), value=damaged)
def test_a_damaged_file_loads_soundly_or_not_at_all(data, value, tmp_path):
    RESULTS[1].save(tmp_path / "model.json")
    held = json.loads((tmp_path / "model.json").read_text())
    place = data.draw(st.sampled_from([held, held["history"], held["options"]]))
    place[data.draw(st.sampled_from(sorted(place)))] = value
    (tmp_path / "model.json").write_text(json.dumps(held))
    result, refused = None, ""
    try:
        result = fastgd.load(tmp_path / "model.json")
    except ValueError as error:
        refused = str(error)
    if result is None:
        assert "path must name a file" in refused
    else:
        assert result.coef.dtype == np.float64
        assert len(result.predict(np.ones((2, result.coef.shape[-1])))) == 2
        repr(result)


def test_to_frame():
    pandas = pytest.importorskip("pandas")
    frame = RESULTS[1].history.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == [
        *("epoch", "step", "loss", "coef_0_0", "coef_0_1", "coef_0_2", "coef_1_0", "coef_1_1", "coef_1_2"),
        *("intercept_0", "intercept_1", "lr", "grad_norm", "seconds"),
    ]
    np.testing.assert_array_equal(frame["coef_1_2"], RESULTS[1].history.coef[:, 1, 2])
    assert "val_loss" in RESULTS[3].history.to_frame()
    assert len(RESULTS[2].history.to_frame()) == 0


@pytest.mark.parametrize("path", [True, 1, 3.0, None])
def test_a_path_is_no_number(path):
    result = fastgd.fit([1.0, 2.0], [2.0, 4.0], lr=0.1, epochs=2)
    with pytest.raises(TypeError, match="path must be a str or path-like"):
        fastgd.load(path)
    with pytest.raises(TypeError, match="path must be a str or path-like"):
        result.save(path)
