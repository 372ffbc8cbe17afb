"""Spoken: what docstrings and pages may write, and Sphinx would not know.

A word between single backticks is a link where it is a public name of fastgd, with or without `fastgd.` before it, and
code everywhere else. The directive `fastgd` runs a command and shows what it answers, `picture` draws.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
from pathlib import Path
from typing import Any, ClassVar

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from docutils.utils import unescape
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

import fastgd
from fastgd import cli

OUT = Path(__file__).parent.parent / "out"


def target_of(text: str) -> str | None:
    """The full name of what a word names, if that has an entry in the reference."""
    path = text.removesuffix("()").removeprefix("fastgd.").split(".")
    if not re.fullmatch(r"[A-Za-z]\w*(\.[A-Za-z]\w*)*", ".".join(path)) or path[0] not in fastgd.__all__:
        return None
    if len(path) == 1 and not text.startswith("fastgd.") and text[0].islower():
        return None  # `loss`, `lr`, `mse`: more often an argument than a function
    found: Any = fastgd
    for name in path:
        found = getattr(found, name, None)
    shown = inspect.isroutine(found) or inspect.isclass(found) or inspect.ismodule(found) or isinstance(found, property)
    return ".".join(["fastgd", *path]) if shown else None


def spoken(role: str, raw: str, text: str, line: int, inliner: Any, options: Any = None, content: Any = None) -> Any:
    """The default role."""
    text = unescape(text)
    code, target = nodes.literal(raw, text, classes=["py"]), target_of(text)
    if target is None:
        return [code], []
    link = addnodes.pending_xref(
        raw, code, refdomain="py", reftype="obj", reftarget=target, refexplicit=True, refwarn=True
    )
    return [link], []


class Command(Directive):
    """What the command line answers, at ninety columns."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        words, said = self.arguments[0], io.StringIO()
        width, os.environ["COLUMNS"] = os.environ.get("COLUMNS"), "90"
        with contextlib.redirect_stdout(said):
            cli.main(words.split())
        os.environ["COLUMNS"] = width or ""
        text = f"$ fastgd {words}\n{said.getvalue()}"
        return [nodes.literal_block(text, text, language="console")]


class Picture(SphinxDirective):
    """What its lines draw; those of a page share their names. With `:show:` the lines are shown as well."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"show": directives.flag}

    def run(self) -> list[nodes.Node]:
        page, code = self.env.docname, "\n".join(self.content)
        names = self.env.temp_data.setdefault("pictures", {"fastgd": fastgd, "np": np, "plt": plt, "count": 0})
        names["count"] += 1
        path = OUT / "pictures" / f"{page.replace('/', '-')}-{names['count']}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        exec(compile(code, f"{page}, picture {names['count']}", "exec"), names)
        plt.gcf().savefig(path, dpi=110)
        plt.close("all")
        up = os.path.relpath(path, Path(self.env.doc2path(page)).parent)
        shown = nodes.image(uri=Path(up).as_posix(), alt=self.arguments[0])
        return [nodes.literal_block(code, code, language="python"), shown] if "show" in self.options else [shown]


def setup(app: Any) -> dict[str, bool]:
    app.add_role("spoken", spoken)
    app.add_directive("fastgd", Command)
    app.add_directive("picture", Picture)
    return {"parallel_read_safe": True}
