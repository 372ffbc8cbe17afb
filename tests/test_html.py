"""HTML: what notebooks show is safe, well formed, and has neither scripts nor colours of its own."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

import fastgd
from fastgd import _html

X, Y = fastgd.datasets.load_points()
SHOWN = {
    "FitResult": fastgd.fit(X, Y, lr=1e-4, epochs=30),
    "FitResult of outputs": fastgd.fit(X, np.column_stack([Y, -Y]), lr=1e-4, epochs=3),
    "FitResult without history": fastgd.closed_form(X, Y),
    "Comparison": fastgd.compare(X, Y, lr=1e-4, epochs=3),
    "Sweep": fastgd.sweep(X, Y, [1e-5, 1e-4, 1.0], epochs=5),
    "Sweep of many": fastgd.sweep(X, Y, np.logspace(-6, -2, 40), epochs=5),
    "Path": fastgd.gradient_descent(lambda x: 2 * x, 5.0, lr=0.3, steps=15, fun=lambda x: x * x),
    "Path without values": fastgd.gradient_descent(lambda x: 2 * x, [5.0, 1.0], lr=0.3, steps=15),
}


class Reader(HTMLParser):
    """Checks that what opens is closed, and keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + "\n"


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("name", SHOWN)
def test_shows_what_the_text_shows(name):
    shown = SHOWN[name]._repr_html_()
    reader = read(shown)
    assert reader.tags <= {"div", "strong", "table", "tbody", "tr", "th", "td", "svg", "polyline"}
    assert "color:" not in shown
    words = {word.strip(",:") for word in repr(SHOWN[name]).split()} - {"from", "to", "value"}
    assert words <= {word.strip(",:") for word in reader.text.split()}


def test_nothing_gets_out_of_its_cell():
    shown = _html.table("<b>&", [("<i>", '"</td><script>')], "<u>")
    reader = read(shown)
    assert "script" not in reader.tags
    assert reader.text.split() == ["<b>&", "<i>", '"</td><script>', "<u>"]


@pytest.mark.parametrize(
    ("values", "points"),
    [([], 0), ([1.0], 0), ([3.0, 1.0, 2.0], 3), ([0.0] * 5, 5), ([1, np.nan, np.inf, 2], 2), (np.arange(1e5), 120)],
)
def test_curves(values, points):
    shown = _html.table("", [], curve=values)
    assert shown.count(",") == points
    assert "nan" not in shown
    read(shown)
