"""Progress: a bar on a terminal, nothing anywhere else, and closed however a run ends."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import types

import numpy as np
import pytest

import fastgd
from conftest import make_problem

pytest.importorskip("tqdm")

X, Y = make_problem("mse")
ENGINES = pytest.mark.parametrize("run", [fastgd.fit, fastgd.reference.fit], ids=["engine", "reference"])


class Terminal(io.StringIO):
    """Standard error as a terminal would be."""

    def isatty(self):
        return True

    def drawn(self):
        """What was drawn, one after the other; the last is what stays."""
        assert self.getvalue().endswith("\n"), "the bar is closed"
        assert self.getvalue().count("\n") == 1, "and leaves one line"
        return [text.strip() for text in self.getvalue().split("\r") if text.strip()]


@pytest.fixture
def terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(fastgd._progress, "sys", types.SimpleNamespace(stderr=terminal))  # sys.stderr is pytest's
    return terminal


@ENGINES
@pytest.mark.parametrize("batch_size", [None, 8])
def test_a_bar_ends_at_the_last_epoch_and_changes_nothing(run, batch_size, terminal):
    options = {"lr": 0.05, "epochs": 40, "batch_size": batch_size, "rng": 0}
    result = run(X, Y, progress=True, **options)
    first, *_, last = terminal.drawn()
    assert re.match(r"0% \| *\| 0/40 epochs \[00:00<\?, \? epochs/s\]", first)
    assert re.match(r"100% \|\S+\| 40/40 epochs \[00:0\d<00:00, +[\d.]+ epochs/s, loss ", last)
    assert last.endswith(f", loss {result.loss:.6g}]")
    without = run(X, Y, **options)
    assert (result.coef.tolist(), result.message) == (without.coef.tolist(), without.message)


@ENGINES
def test_automatic_epochs_are_counted_without_an_end(run, terminal):
    result = run(X, Y, lr=0.05, tol=1e-3, progress=True)
    assert result.status == "converged"
    assert re.match(rf"{result.n_epochs} epochs \[00:0\d, +[\d.]+ epochs/s, loss ", terminal.drawn()[-1])


def test_a_million_epochs_are_drawn_seldom(terminal):
    fastgd.fit(X, Y, lr=0.05, epochs=1_000_000, engine="gram", record=None, progress=True)
    assert 2 <= len(terminal.drawn()) < 1000


@ENGINES
def test_a_run_begun_again_at_half_the_rate_begins_its_bar_again(run, terminal, monkeypatch):
    sound = fastgd._auto.of_rule
    monkeypatch.setattr(fastgd._auto, "of_rule", lambda *given: 50 * sound(*given))
    result = run(X, Y, batch_size=6, epochs=20, rng=0, progress=True)
    assert "was halved" in result.message
    assert f"| {result.n_epochs}/20 epochs" in terminal.drawn()[-1]


@ENGINES
def test_divergence_closes_the_bar_before_it_warns(run, terminal):
    with pytest.warns(fastgd.DivergenceWarning):
        result = run(X, Y, lr=10.0, epochs=50, progress=True)
    assert f"| {result.n_epochs}/50 epochs" in terminal.drawn()[-1]


@ENGINES
@pytest.mark.parametrize("exception", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_closes_the_bar(run, exception, terminal):
    def callback(state):
        if state.epoch == 3:
            raise exception

    with pytest.raises(exception):
        run(X, Y, lr=0.05, epochs=50, callback=callback, progress=True)
    assert "/50 epochs" in terminal.drawn()[-1]


@ENGINES
@pytest.mark.parametrize("stream", [io.StringIO(), None], ids=["a file", "none"])
def test_off_a_terminal_nothing_is_written(run, stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    run(X, Y, lr=0.05, epochs=5, progress=True)
    assert stream is None or stream.getvalue() == ""


@ENGINES
def test_nothing_is_drawn_unless_asked_for_and_before_the_request_is_checked(run, terminal):
    run(X, Y, lr=0.05, epochs=5)
    with pytest.raises(ValueError, match="lr must be"):
        run(X, Y, lr=-1.0, epochs=5, progress=True)
    with pytest.raises(TypeError, match="progress must be True or False, got 1"):
        run(X, Y, lr=0.05, epochs=5, progress=1)
    assert terminal.getvalue() == ""
    assert run(X, Y, lr=0.05, epochs=5, progress=np.True_).n_epochs == 5


@ENGINES
def test_without_tqdm_it_says_how_to_get_it(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert run(X, Y, lr=0.05, epochs=5).n_epochs == 5
    with pytest.raises(ImportError, match=r"progress=True needs tqdm: pip install 'fastgd\[progress\]'"):
        run(X, Y, lr=0.05, epochs=5, progress=True)


LONG = """
import fastgd, signal, threading
signal.alarm(60)  # whatever happens, this ends
x, y = fastgd.datasets.make_line(n=10_000, rng=0)
try:
    fastgd.fit(x, y, lr=1e-4, epochs=100_000_000, engine="rows", record=None, progress=True)
except KeyboardInterrupt:
    print("interrupted", threading.active_count())
"""


@pytest.mark.skipif(os.name == "nt", reason="no such terminals and signals")
def test_on_a_real_terminal_ctrl_c_closes_the_bar():
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))  # it begins without a size
    with subprocess.Popen([sys.executable, "-c", LONG], stdout=subprocess.PIPE, stderr=theirs, text=True) as running:
        os.close(theirs)
        seen = b""
        while b"loss" not in seen:  # the bar moves while the run is under way
            seen += os.read(ours, 4096)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=30)
        try:
            while more := os.read(ours, 4096):
                seen += more
        except OSError:  # how Linux tells that the other side is closed
            pass
    os.close(ours)
    assert said == "interrupted 1\n", "and no thread is left behind"
    assert b"/100000000 epochs [" in seen
    assert seen.endswith(b"]\r\n")


@pytest.mark.parametrize("batch_size", [None, 8])
def test_a_sweep_counts_the_epochs_of_all_rates(batch_size, terminal):
    options = {"epochs": 40, "batch_size": batch_size, "rng": 0}
    found = fastgd.sweep(X, Y, [0.05, 1e9, 0.01, 1e9], progress=True, **options)
    first, *_, last = terminal.drawn()
    assert "0/160 epochs" in first
    assert last.startswith("100% |")
    assert "160/160 epochs" in last
    np.testing.assert_array_equal(found.loss, fastgd.sweep(X, Y, found.lr, **options).loss)
