"""Progress: a bar on the terminal while a run is under way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from fastgd._request import Progress

#: how one gets the bar
GET_PROGRESS = "pip install 'fastgd[progress]'"
#: with a number of epochs to reach, and without
_FORMATS = (
    "{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} epochs [{elapsed}<{remaining}, {rate_noinv_fmt}{postfix}]",
    "{n_fmt} epochs [{elapsed}, {rate_noinv_fmt}{postfix}]",
)


def bars() -> Callable[[int | None], AbstractContextManager[Progress | None]]:
    """What makes a bar for at most so many epochs (None: nobody knows how many); off a terminal there is none.

    Raises
    ------
    ImportError
        If tqdm is missing.
    """
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(f"progress=True needs tqdm: {GET_PROGRESS}") from error

    class Bar(tqdm):  # type: ignore[misc]  # untyped without tqdm
        monitor_interval = 0  # no thread of its own: the engine calls often enough

    @contextmanager
    def bar(epochs: int | None) -> Iterator[Progress | None]:
        if not _is_terminal(sys.stderr):
            yield None
            return
        shown = Bar(
            total=epochs,
            unit=" epochs",
            bar_format=_FORMATS[epochs is None],
            miniters=0,  # draw by the clock alone: within a long epoch, too
            dynamic_ncols=True,
            file=sys.stderr,
        )

        def told(epoch: int, loss: float) -> None:
            if epoch < shown.n:  # the run was begun again at half the rate
                shown.reset()
            if epoch:
                shown.set_postfix_str(f"loss {loss:.6g}", refresh=False)
            shown.update(epoch - shown.n)

        try:
            yield told
        finally:
            shown.close()

    return bar


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # not there, or closed
        return False
