"""The house keeps its rules: who may import whom, one version, pages and examples that run."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import fastgd
from fastgd import _core

ROOT = Path(__file__).parent.parent
#: Rust rooms from the ground up; each may use only rooms on the shelves below its own.
SHELVES = [
    {"error", "exponential"},
    {"kernels", "registry", "observe"},
    {
        "row",
        "loss",
        "penalty",
        "optimizer",
        "schedule",
        "threads",
        "history",
        "stop",
        "tail",
        "shuffle",
        "relay",
        "pace",
    },
    {"sparse"},
    {"data"},
    {"objective", "sampler", "gram", "turned", "verdict"},
    {"lazy", "brought", "source"},
    {"solver", "descent", "permute", "online"},
    {"py"},
]
SHELF = {room: level for level, rooms in enumerate(SHELVES) for room in rooms}
ROOMS = sorted(path.stem for path in (ROOT / "rust").glob("*.rs") if path.stem != "lib")


@pytest.mark.parametrize("room", ROOMS)
def test_rust_rooms_import_only_what_lies_below(room):
    paths = [ROOT / "rust" / f"{room}.rs", *(ROOT / "rust" / room).glob("*.rs")]
    texts = [path.read_text().split("#[cfg(test)]")[0] for path in paths if path.stem != "tests"]
    used = set(re.findall(r"crate::(?:\{)?(\w+)", "".join(texts))) - {room}
    assert room in SHELF, f"give {room}.rs its place in SHELVES"
    above = {other for other in used if SHELF[other] >= SHELF[room]}
    assert not above, f"{room}.rs uses {above}"


@pytest.mark.parametrize("room", ROOMS)
def test_only_the_door_knows_python_and_rooms_say_what_they_are(room):
    text = (ROOT / "rust" / f"{room}.rs").read_text()
    assert re.match(rf"//! {room.capitalize()}\b.*: ", text)
    if room != "py":
        assert not re.search(r"\b(pyo3|numpy)::", text)


def test_the_reference_knows_numpy_only():
    for path in (ROOT / "python/fastgd/reference").glob("*.py"):
        if path.stem != "__init__":
            imported = set(re.findall(r"^(?:from|import) (\.?\w+)", path.read_text(), re.MULTILINE))
            allowed = {"__future__", "numpy", "dataclasses", "typing", "collections", "math", "time"}
            assert {name for name in imported if not name.startswith(".")} <= allowed, path.name


def test_the_engine_never_leans_on_the_reference():
    for path in (ROOT / "python/fastgd").glob("*.py"):
        if path.stem not in ("__init__", "_compare"):
            assert not re.search(r"^\s*(from|import) .*\breference\b", path.read_text(), re.MULTILINE), path.name


def test_the_maps_name_every_room():
    readme, rust = (ROOT / "README.md").read_text(), (ROOT / "rust/lib.rs").read_text()
    files = [*(ROOT / "rust").glob("*.rs"), *(ROOT / "python/fastgd").glob("*.py")]
    for path in files:
        assert path.stem in ("__init__", "__main__") or path.name in readme, f"README's map lacks {path.name}"
    for room in ROOMS:
        assert re.search(rf"//!.*\b{room}\b", rust), f"lib.rs's map lacks {room}"
    for name in re.findall(r"\b\w+\.(?:rs|py)\b", readme[readme.index("## The map") :]):
        assert any(path.name == name for path in files) or (ROOT / "python/fastgd/reference" / name).exists(), name


def test_one_version():
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    assert fastgd.__version__ == _core.__version__ == cargo
    assert f"## {cargo}" in (ROOT / "CHANGELOG.md").read_text()


def test_numpy_is_the_only_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [re.split("[<>=]", name)[0] for name in project["dependencies"]] == ["numpy"]


def test_the_build_is_a_release_build():
    assert _core.release


def test_public_names_exist_and_are_documented():
    for name in fastgd.__all__:
        if name != "__version__":
            assert getattr(fastgd, name).__doc__, name
    assert set(fastgd.__all__) <= set(dir(fastgd))
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = fastgd.fitt


def test_readme_runs_and_says_what_it_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    exec(compile("\n".join(blocks), "README.md", "exec"), {})
    said = capsys.readouterr().out
    shown = [block for block in re.findall(r"```text\n(.*?)```", text, re.DOTALL) if block.startswith("FitResult")]
    assert shown
    for result in re.split(r"(?m)^(?=FitResult)", shown[0])[1:]:
        assert result in said
    answers = re.findall(r"```text\n>>> (fastgd\..*)\n((?:Diagnosis|Check)[^`]*)```", text)
    assert len(answers) == 2
    for asked, answer in answers:
        x, y = fastgd.datasets.load_points()
        assert repr(eval(asked, {"fastgd": fastgd, "x": x, "y": y})) == answer.strip("\n")
    warning = re.search(r"DivergenceWarning: (.*?)```", text, re.DOTALL)[1]
    x, y = fastgd.datasets.load_points()
    with pytest.warns(fastgd.DivergenceWarning) as warned:
        fastgd.fit(x, y, lr=0.01, epochs=1000)
    assert " ".join(warning.split()) == str(warned[0].message)


EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_examples_run_and_make_their_pictures(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    plt.close("all")
    pictures = list(tmp_path.glob("*/*.png"))
    assert pictures, f"{path.name} made no picture"
    assert all(picture.stat().st_size > 10_000 for picture in pictures)
    assert capsys.readouterr().out
