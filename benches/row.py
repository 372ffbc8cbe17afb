"""Row: one fit of the benchmark, how its answer is checked and how its time is taken."""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import fastgd
from peers import numpy_loop, row_by_row

#: largest difference of fastgd's coefficients from the expected ones, relative to the largest of these
EXACT = 1e-9
#: of a peer's from the true ones: it is there for its time, but must have done the work
ROUGHLY = 0.1
#: who takes less is called as often in a turn as takes so many seconds
SHORT = 0.02
#: who has taken so many seconds leaves, fastgd not before so many rounds
PATIENCE, FEWEST = 6.0, 3


@dataclass(frozen=True)
class Row:
    """A fit by mean squared error, and whom it must beat by how much."""

    name: str
    n: int
    d: int
    batch_size: int | None
    epochs: int
    lr: float
    shuffle: bool = True
    record: str | None = "epoch"
    engine: str = "auto"
    #: of BLAS and, where it can be told, of fastgd; None leaves both to what they choose
    threads: int | None = None
    #: the whole call takes at most
    seconds: float | None = None
    #: peer: the ratio is at least; None has no target
    against: dict[str, float | None] = field(default_factory=dict, compare=False)
    seed: int = 1

    @property
    def shuffled(self) -> bool:
        return self.batch_size is not None and self.shuffle

    @property
    def work(self) -> str:
        batches = "full batch" if self.batch_size is None else f"B={self.batch_size}"
        word = ("step" if self.batch_size is None else "epoch") + "s" * (self.epochs != 1)
        shuffled = "" if self.batch_size is None else ", shuffled" if self.shuffle else ", in order"
        record = ", every step recorded" if self.record == "step" else ""
        engine = "" if self.engine == "auto" else f', engine="{self.engine}"'
        threads = f", {self.threads} thread" if self.threads else ""
        return f"n={self.n:,}, d={self.d}, {batches}, {self.epochs:,} {word}{shuffled}{record}{engine}{threads}"

    def data(self) -> tuple[Any, Any]:
        """Numbers that float32 holds, too: in either format it is the same problem, with the same answer."""
        X, y = fastgd.datasets.make_linear(n=self.n, coef=self.truth, intercept=1.0, rng=0)
        return X.astype(np.float32).astype(np.float64), y.astype(np.float32).astype(np.float64)

    @property
    def truth(self) -> Any:
        return np.linspace(1, 2, self.d)

    def fit(self, X: Any, y: Any) -> fastgd.FitResult:
        told = self.threads and "threads" in inspect.signature(fastgd.fit).parameters
        return fastgd.fit(
            X,
            y,
            lr=self.lr,
            epochs=self.epochs,
            batch_size=self.batch_size,
            shuffle=self.shuffle,
            record=self.record,
            engine=self.engine,
            rng=self.seed,
            **({"threads": self.threads} if told else {}),
        )


@functools.cache
def _expected(row: Row) -> tuple[Any, float, list[Any]]:
    X, y = row.data()
    path: list[Any] = []
    if row.batch_size == 1:
        return *row_by_row(X, y, row), path
    return *numpy_loop(X, y, row, path if row.record else None), path


def expected(row: Row) -> tuple[Any, float, list[Any]]:
    """The right answer, by NumPy, and the path where every step is recorded; once for rows that differ only in how."""
    record = "step" if row.record == "step" else None
    return _expected(replace(row, name="", record=record, engine="auto", threads=None, seconds=None))


def check(row: Row, result: fastgd.FitResult) -> None:
    """A fast wrong answer ends the benchmark."""
    coef, intercept, path = expected(row)
    steps = row.epochs * -(-row.n // (row.batch_size or row.n))
    if result.n_steps != steps:
        raise SystemExit(f"bench: {row.name}: fastgd is wrong: {result.n_steps} steps, not {steps}")
    pairs = [("coef and intercept", [*result.coef, result.intercept], [*coef, intercept])]
    if path:
        ws, bs, losses = zip(*path, strict=True)
        pairs.append(("recorded losses", result.history.loss[:-1], losses))
        pairs.append(("recorded coef", result.history.coef[:-1], ws))
        pairs.append(("recorded intercept", result.history.intercept[:-1], bs))
    for what, ours, right in pairs:
        compare(f"{row.name}: fastgd is wrong: {what}", ours, right, EXACT)


def compare(what: str, found: Any, right: Any, tolerance: float) -> None:
    found, right = np.asarray(found), np.asarray(right)
    apart = np.inf if found.shape != right.shape else np.abs(found - right).max() / np.abs(right).max()
    if not apart <= tolerance:
        raise SystemExit(
            f"bench: {what} differ by {apart:.2g} from the right ones, relatively; {tolerance:g} is allowed"
        )


@contextlib.contextmanager
def blas(threads: int | None) -> Iterator[None]:
    """With so many threads in BLAS and OpenMP, where threadpoolctl is there to say so."""
    if threads is None:
        yield
        return
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield
        return
    with threadpool_limits(limits=threads):
        yield


@dataclass(frozen=True)
class Times:
    """Of a call, in seconds: the median over the rounds of its turn's mean, and how many rounds these are."""

    seconds: float
    rounds: int
    #: the median of the first call of a turn, which finds its code and data gone from the caches
    first: float


def in_turn(works: dict[str, Callable[[], Any]], rounds: int, threads: int | None = None) -> dict[str, Times]:
    """What each work takes. Whoever is short is called often in a turn, as `timeit` does; who is slow gets fewer."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    first: dict[str, list[float]] = {name: [] for name in works}
    gc.collect()
    gc.disable()
    try:
        with blas(threads):
            for _ in range(rounds):
                for name, work in works.items():
                    enough = FEWEST if name.startswith("fastgd") else 1
                    if len(taken[name]) >= enough and sum(taken[name]) > PATIENCE:
                        continue
                    times: list[float] = []
                    total = 0.0
                    while total < SHORT:
                        began = time.perf_counter()
                        work()
                        times.append(time.perf_counter() - began)
                        total += times[-1]
                    first[name].append(times[0])
                    taken[name].append(statistics.fmean(times[1:] or times))
    finally:
        gc.enable()
    return {
        name: Times(statistics.median(taken[name]), len(taken[name]), statistics.median(first[name])) for name in works
    }
