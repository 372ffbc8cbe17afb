"""The documentation: its pages are found, its code runs and says what is shown, its lists are complete."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

import fastgd
from fastgd import cli, plot, reference

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("*.rst")])
NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


class Checker(doctest.OutputChecker):
    """Numbers may differ in their last digits: other processors add up in another order."""

    def check_output(self, want, got, optionflags):
        if super().check_output(want, got, optionflags):
            return True
        texts = [" ".join(NUMBER.sub("#", text).split()) for text in (want, got)]
        numbers = [[float(n.replace(",", "")) for n in NUMBER.findall(text)] for text in (want, got)]
        return texts[0] == texts[1] and bool(np.allclose(*numbers, rtol=1e-6, atol=0))


def of_kind(page, start):
    """The text of a page's fenced blocks whose first line begins so; blank lines in place of the rest."""
    inside, lines = False, []
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = line.startswith("```")
        inside = line.startswith(f"```{start}") if fence else inside
        lines.append("" if fence or not inside else line)
    return "\n".join(lines) + "\n"


def named(pages):
    return pytest.mark.parametrize("page", pages, ids=[page.stem for page in pages])


@named([page for page in PAGES if ">>>" in page.read_text() and page.stem != "adding_a_loss"])
def test_pages_say_what_their_code_answers(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    text = page.read_text() if page.suffix == ".rst" else of_kind(page, "pycon")
    asked = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    flags, told = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS, io.StringIO()
    doctest.DocTestRunner(Checker(), verbose=False, optionflags=flags).run(asked, out=told.write)
    assert asked.examples
    assert not told.getvalue(), told.getvalue()


@named([page for page in PAGES if "```{picture}" in page.read_text()])
def test_pictures_of_pages_are_drawn(page):
    names = {"fastgd": fastgd, "np": np, "plt": plt}
    for lines in re.findall(r"```\{picture\} \S[^\n]*\n(?::show:\n)?(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(lines, page.name, "exec"), names)
        assert plt.gcf().axes
        plt.close("all")


def test_sessions_of_the_command_line_are_real(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "90")
    sessions = re.split(r"(?m)^(?=\$ )", of_kind(DOCS / "command_line.md", "console"))[1:]
    assert len(sessions) > 5
    for session in sessions:
        (command, *words), shown = shlex.split(session.splitlines()[0][2:]), session.split("\n", 1)[1].strip()
        if command == "cat":
            Path(words[0]).write_text(shown + "\n")
            continue
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            cli.main(words)
        assert command == "fastgd"
        assert Checker().check_output(shown, said.getvalue(), doctest.NORMALIZE_WHITESPACE), said.getvalue()


def test_every_page_is_in_a_toctree():
    toctrees = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    listed = [line for tree in toctrees for line in tree.splitlines() if line and not line.startswith(":")]
    assert sorted(listed) == sorted({page.stem for page in PAGES} - {"index"} | {"gallery/index"})


def test_the_reference_lists_every_public_name():
    module, listed = "", {}
    text = (DOCS / "api.rst").read_text()
    for line in text.splitlines():
        if found := re.match(r"\.\. (?:currentmodule|automodule):: (\S+)", line):
            module = found[1]
            listed.setdefault(module, set())
        elif found := re.match(r"   (\w+)$", line):
            listed[module].add(found[1])
    modules = {"datasets", "plot", "reference"}
    assert listed["fastgd"] | modules | {"__version__"} == set(fastgd.__all__)
    assert set(listed) == {"fastgd"} | {f"fastgd.{name}" for name in modules}
    assert listed["fastgd.plot"] == set(plot.__all__)
    assert listed["fastgd.datasets"] == set(fastgd.datasets.__all__)
    assert listed["fastgd.reference"] | {"losses", "optimizers", "schedules"} == set(reference.__all__)
    assert all(f"``reference.{name}``" in text for name in ("losses", "optimizers", "schedules"))


def test_promises_name_the_tests_that_hold_them():
    text = (DOCS / "reliability.md").read_text()
    paragraphs = re.findall(r"(?ms)^Tests: (.*?)(?:\n\n|\Z)", text)
    assert len(paragraphs) == text.count("\n## ") - 1
    for paragraph in paragraphs:
        names = re.findall(r"`(test_\w+(?:\.py)?)`", paragraph)
        assert names
        waiting = []
        for name in names:
            if not name.endswith(".py"):
                waiting.append(name)
                continue
            there = (ROOT / "tests" / name).read_text()
            assert all(f"def {one}(" in there for one in waiting), (name, waiting)
            waiting = []
        assert not waiting


def test_the_loss_that_is_added_fits_the_code():
    text = (DOCS / "adding_a_loss.md").read_text()
    hunks = re.findall(r"```diff\n--- (\S+)\n(.*?)```", text, re.DOTALL)
    assert [file for file, _ in hunks] == ["rust/loss.rs"] * 2 + ["python/fastgd/reference/loss.py"]
    added = []
    for file, hunk in hunks:
        lines = hunk.splitlines()
        kept = "\n".join(line[1:] for line in lines if not line.startswith("+"))
        assert kept in (ROOT / file).read_text(), kept
        added.append("\n".join(line[1:] for line in lines if line.startswith("+")))
    rust = (ROOT / "rust/loss.rs").read_text()
    for method in re.findall(r"fn .*(?= \{)", added[0]):
        assert f"    {method};\n" in rust, method
    facts = re.search(r"pub struct Facts \{(.*?)\n\}", rust, re.DOTALL)[1]
    given = re.search(r"facts: Facts \{(.*?)\}", added[1], re.DOTALL)[1]
    assert re.findall(r"(\w+): ", given) == re.findall(r"pub (\w+):", facts)
    assert set(re.findall(r"(?m)^\| `(\w+)` \|", text)) == set(re.findall(r"pub (\w+):", facts))
    scope = dict(vars(reference.loss), register=lambda twin: twin)
    exec(added[2], scope)
    twin, r, h = scope["log_cosh"](), np.linspace(-3, 3, 13), 1e-6
    np.testing.assert_allclose(twin.value(r, 0.0), np.log(np.cosh(r)), atol=1e-15)
    slope = (twin.value(r + h, 0.0) - twin.value(r - h, 0.0)) / (2 * h)
    np.testing.assert_allclose(twin.gradient(r, 0.0), slope, atol=1e-9)


@named(sorted((ROOT / "examples").glob("[0-9]*.py")))
def test_examples_have_a_title_and_words_for_the_gallery(page):
    text = page.read_text()
    title, line = re.match(r'"""\n(.*)\n(=+)\n\n\S', text).groups()
    assert len(title) == len(line)
    assert text.count("\n# %%\n# ") >= 2
    assert text.count("\n# %%\n") == text.count("\n# %%\n# ")
