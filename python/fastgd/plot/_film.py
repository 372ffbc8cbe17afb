"""Film: the frames of an animation as pictures, and these as a GIF or a page with a slider."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

#: milliseconds that a frame of many is shown, at most one of few, and the last one
_SHOWN, _SLOW, HELD = 110, 600, 2500
#: dots to the inch in a file
_DPI = 80


class Film(Protocol):
    """What moves: lines and titles on two Axes, and what shows them as they were at a record."""

    @property
    def ax_(self) -> Axes: ...
    @property
    def right_(self) -> Axes: ...
    @property
    def figure_(self) -> Figure | SubFigure: ...
    @property
    def lines_(self) -> list[Line2D]: ...
    @property
    def records_(self) -> list[int]: ...
    @property
    def _show(self) -> Callable[[int], None]: ...


def pace(frames: int) -> int:
    """Milliseconds a frame: few are shown longer."""
    return min(_SLOW, max(_SHOWN, 3000 // frames))


@contextmanager
def _at_rest(figure: Figure) -> Iterator[Any]:
    """The figure on a canvas for files, where an animation on the screen sees nothing of it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas, dpi = figure.canvas, figure.dpi
    try:
        own = FigureCanvasAgg(figure)
        figure.dpi = _DPI
        with own.callbacks.blocked(signal="draw_event"):
            yield own
    finally:
        figure.set_canvas(canvas)
        figure.dpi = dpi


def images_of(made: Film) -> list[Any]:
    """The frames as pictures of 128 colours: what rests is drawn once, since that takes most of the time."""
    from PIL import Image

    images = []
    titles = [(axes, axes.title) for axes in (made.ax_, made.right_)]
    lines = [(axes, line) for axes, _ in titles for line in made.lines_ if line.axes is axes]
    with _at_rest(made.figure_.figure) as canvas:
        try:
            for _, line in lines:
                line.set_visible(False)
            for _, title in titles:
                title.set_alpha(0.0)  # it keeps its place
            canvas.draw()
            behind = canvas.copy_from_bbox(made.figure_.figure.bbox)
        finally:
            for _, line in lines:
                line.set_visible(True)
            for _, title in titles:
                title.set_alpha(None)
        for record in made.records_:
            canvas.restore_region(behind)
            made._show(record)
            for axes, artist in [*lines, *titles]:
                axes.draw_artist(artist)
            pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
            images.append(pixels.quantize(128, dither=Image.Dither.NONE))
    return images


def gif(images: list[Any]) -> bytes:
    file = io.BytesIO()
    times = [pace(len(images))] * (len(images) - 1) + [HELD]
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=times, loop=0, optimize=True)
    return file.getvalue()


#: plays once, then waits for the reader
_PLAYER = """<div id="%(name)s" style="display:inline-block;max-width:100%%">
<img alt="gradient descent, step by step" style="max-width:100%%;background:white" src="%(last)s"><br>
<button type="button" style="min-width:5em">pause</button>
<input type="range" min="0" max="%(most)d" value="0" style="width:60%%;vertical-align:middle">
<script>
setTimeout(function () {
  const frames = [%(frames)s], box = document.getElementById("%(name)s"), button = box.querySelector("button"),
    slider = box.querySelector("input"), image = box.querySelector("img");
  let timer = null;
  const show = (at) => { slider.value = at; image.src = frames[at]; };
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "play"; };
  const next = () => { if (+slider.value < frames.length - 1) show(+slider.value + 1); else stop(); };
  const play = () => {
    if (+slider.value >= frames.length - 1) show(0);
    button.textContent = "pause"; timer = setInterval(next, %(shown)d);
  };
  button.onclick = () => timer === null ? play() : stop();
  slider.oninput = () => { stop(); show(+slider.value); };
  show(0); play();
}, 0);
</script></div>"""


def page(images: list[Any], *, whole: bool = False) -> str:
    """The frames with a slider and a button, all in one: as part of a page, or a page of its own."""
    frames = []
    for image in images:
        file = io.BytesIO()
        image.save(file, "PNG", optimize=True)
        frames.append("data:image/png;base64," + base64.b64encode(file.getvalue()).decode())
    name = f"fastgd-{os.urandom(6).hex()}"  # a notebook may show several
    held = {"name": name, "frames": ", ".join(f'"{frame}"' for frame in frames), "last": frames[-1]}
    player = _PLAYER % (held | {"most": len(frames) - 1, "shown": pace(len(images))})
    if not whole:
        return player
    head = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>gradient descent</title></head>'
    return f"{head}\n<body>{player}</body></html>\n"
