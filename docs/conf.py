"""Settings of the documentation, for Sphinx: `make docs` builds it into out/docs, and warnings are errors."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from numpydoc.xref import DEFAULT_LINKS

import fastgd

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project, author = "fastgd", "the fastgd developers"
copyright = f"2026, {author}. MIT licence"
release = version = fastgd.__version__
language = "en-GB"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "spoken",
]
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"fastgd {version}"
html_show_sphinx = False
pygments_style = "tango"

# Names of fastgd must lead somewhere; those of others are none of ours to look up, so that no network is needed.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!fastgd).*")]
default_role = "spoken"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
# Sweep and sweep would be one file where capitals do not count.
autosummary_filename_map = {
    f"fastgd.{name}": f"fastgd.{name}-class" for name in ("Sweep", "plot.Descent", "plot.Residuals")
}
autodoc_typehints = "none"  # the docstrings say more
maximum_signature_line_length = 90
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"  # but for our own names
DEFAULT_LINKS.clear()
numpydoc_xref_aliases = {name: f"fastgd.{name}" for name in fastgd.__all__ if name[0].isupper()}
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# The gallery runs a copy of the examples: what they write stays out of the sources.
examples = HERE.parent / "out" / "examples"
examples.mkdir(parents=True, exist_ok=True)
for old in examples.glob("*.py"):
    old.unlink()
for path in [*sorted((HERE.parent / "examples").glob("[0-9]*.py")), HERE.parent / "examples" / "README.rst"]:
    shutil.copy2(path, examples)

sphinx_gallery_conf = {
    "examples_dirs": str(examples),
    "gallery_dirs": "gallery",
    "filename_pattern": r"/\d\d_",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "gallery/of",
    "doc_module": ("fastgd",),
    "reference_url": {"fastgd": None},
    "capture_repr": ("_repr_html_",),
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,  # times are the benchmark's
}
