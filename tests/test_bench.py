"""Bench: it runs, writes what it found, and does not believe the time of a wrong answer. No time is asserted."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastgd

BENCHES = Path(__file__).parent.parent / "benches"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark where only NumPy is installed."""
    for module in ("sklearn", "sklearnex", "torch", "threadpoolctl"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.syspath_prepend(BENCHES)
    for module in ("page", "peers", "row", "estimators", "bench"):  # fresh ones for each test
        monkeypatch.delitem(sys.modules, module, raising=False)
    return importlib.import_module("bench")


def test_small_rows_come_out_as_lines_json_and_page(
    bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "out" / "bench.json", tmp_path / "benchmark.md"
    bench.main(["tiny", "line", "--rounds", "1", "--json", str(out), "--page", str(page)])
    said = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert found["left_out"] == ["scikit-learn", "scikit-learn-intelex", "torch"]
    assert {"date", "machine", "versions", "rounds"} <= set(found)
    assert [row["row"] for row in found["rows"]] == ["tiny", "line"]
    claims = {claim["against"]: claim for row in found["rows"] for claim in row["claims"]}
    assert claims["NumPy loop"]["ratio"] > 0
    assert claims["NumPy loop"]["limit"] == 50
    assert (claims["SGDRegressor"]["ratio"], claims["SGDRegressor"]["reached"]) == (None, None)
    for text in (said, page.read_text()):
        for part in ("tiny", "line", "NumPy loop", "at least 50x", "left out: no scikit-learn", "targets reached"):
            assert part in text
    table = [line for line in page.read_text().splitlines() if line.startswith("|")]
    assert len(table) == 2 + sum(len(row["claims"]) for row in found["rows"])
    assert {line.count("|") for line in table} == {10}


def too_far(result: fastgd.FitResult) -> fastgd.FitResult:
    return replace(result, coef=result.coef * (1 + 1e-6))


def too_short(result: fastgd.FitResult) -> fastgd.FitResult:
    return replace(result, n_steps=result.n_steps - 1)


def not_a_number(result: fastgd.FitResult) -> fastgd.FitResult:
    return replace(result, intercept=np.nan)


def badly_recorded(result: fastgd.FitResult) -> fastgd.FitResult:
    history = replace(result.history, loss=result.history.loss[::-1].copy())
    return replace(result, history=history)


@pytest.mark.parametrize("wrong", [too_far, too_short, not_a_number, badly_recorded])
def test_a_wrong_answer_is_no_time(
    bench: Any, wrong: Callable[[fastgd.FitResult], fastgd.FitResult], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fit = fastgd.fit
    monkeypatch.setattr(fastgd, "fit", lambda *data, **options: wrong(fit(*data, **options)))
    with pytest.raises(SystemExit, match=r"bench: line: fastgd is wrong"):
        bench.main(["line", "--rounds", "1", "--json", str(tmp_path / "out.json")])
    assert not (tmp_path / "out.json").exists()


def test_a_wrong_peer_is_not_beaten(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    idle = replace(bench.PEERS["NumPy loop"], fit=lambda X, y, row: (np.zeros(row.d), 0.0))
    monkeypatch.setitem(bench.PEERS, "NumPy loop", idle)
    with pytest.raises(SystemExit, match="line: NumPy loop is wrong"):
        bench.main(["line", "--rounds", "1"])


def test_single_rows_side_by_side_are_the_loop(bench: Any) -> None:
    row = replace(bench.FIT["one10"], n=2000, d=3, epochs=2)
    X, y = row.data()
    peers = sys.modules["peers"]
    w, b = peers.numpy_loop(X, y, row)
    coef, intercept = peers.row_by_row(X, y, row, side_by_side=40)
    np.testing.assert_allclose([*coef, intercept], [*w, b], rtol=1e-12)


def test_a_debug_build_and_wrong_use_are_refused(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(["tinny"])
    assert ended.value.code == 2
    assert "got tinny" in capsys.readouterr().err
    monkeypatch.setattr(bench._core, "release", False)
    with pytest.raises(SystemExit, match="debug build"):
        bench.main(["line"])


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of one process is told by Linux alone")
def test_memory_of_a_wrong_answer_is_not_told() -> None:
    options = json.dumps({"lr": 0.05, "epochs": 5, "record": None, "engine": "rows"})
    run = subprocess.run(
        [sys.executable, BENCHES / "memory.py", options], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 1, run.stdout  # 5 epochs are not enough
    assert "fastgd is wrong" in run.stderr
