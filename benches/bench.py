"""Whole fits against the NumPy loop that a textbook would write, in one process, in turn, the median of several rounds.

Answers are checked before times are believed. Ratios are the claim; milliseconds belong to the machine.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastgd
from fastgd import _core

#: of the large rows; the small ones take fifty times as many
ROUNDS = 3


def numpy_loop(X: Any, y: Any, lr: float, epochs: int, batch_size: int | None, rng: Any, record: bool) -> Any:
    """The textbook: mean squared error, vectorised over each batch, nothing else done."""
    n, d = X.shape
    w, b = np.zeros(d), 0.0
    path = []
    for _ in range(epochs):
        order = None if batch_size is None else rng.permutation(n)
        for at in range(0, n, batch_size or n):
            if order is None:
                rows, targets = X, y
            else:
                batch = order[at : at + batch_size]
                rows, targets = X[batch], y[batch]
            error = rows @ w + b - targets
            w = w - lr * (2 / len(error)) * (error @ rows)
            b = b - lr * (2 / len(error)) * error.sum()
            if record:
                path.append((w, b, error @ error / len(error)))
    return w, b


ROWS: dict[str, dict[str, Any]] = {
    "tiny": {"n": 1000, "d": 2, "batch_size": 10, "epochs": 3, "lr": 0.03},
    "line": {"n": 100, "d": 1, "batch_size": None, "epochs": 1000, "lr": 0.01, "record": True},
    "mini10": {"n": 1_000_000, "d": 10, "batch_size": 32, "epochs": 2, "lr": 0.01},
    "rows": {"n": 1_000_000, "d": 20, "batch_size": None, "epochs": 20, "lr": 0.05},
}


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    answer = work()
    return answer, time.perf_counter() - began


def main() -> None:
    if not _core.release:
        raise SystemExit("bench: this is a debug build; make build")
    print(
        f"fastgd {fastgd.__version__}, NumPy {np.__version__}, Python {platform.python_version()}, {platform.machine()}"
    )
    print(f"{'row':8} {'fastgd':>12} {'NumPy loop':>12} {'ratio':>7}")
    for name, row in ROWS.items():
        X, y = fastgd.datasets.make_linear(n=row["n"], coef=np.linspace(1, 2, row["d"]), rng=0)
        options = {"lr": row["lr"], "epochs": row["epochs"], "batch_size": row["batch_size"]}
        record = row.get("record", False)
        ours, theirs = [], []
        for _ in range(ROUNDS if row["n"] > 10_000 else 50 * ROUNDS):
            result, seconds = timed(
                lambda X=X, y=y, options=options, record=record: fastgd.fit(
                    X, y, **options, rng=1, record="step" if record else None
                )
            )
            ours.append(seconds)
            (w, b), seconds = timed(
                lambda X=X, y=y, options=options, record=record: numpy_loop(
                    X, y, **options, rng=np.random.default_rng(1), record=record
                )
            )
            theirs.append(seconds)
            np.testing.assert_allclose(result.coef, w, rtol=1e-9)
            np.testing.assert_allclose(result.intercept, b, rtol=1e-9)
        mine, yours = statistics.median(ours), statistics.median(theirs)
        print(f"{name:8} {mine * 1e3:9.2f} ms {yours * 1e3:9.2f} ms {yours / mine:6.1f}x")


if __name__ == "__main__":
    main()
