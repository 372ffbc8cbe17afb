"""What all tests share: problems that suit any registered loss, and a clean slate for pictures."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells leave it in the background, where tests would wait
    signal.signal(signal.SIGINT, signal.default_int_handler)

from fastgd import _core

#: of a loss that couples outputs, where nothing else is said
CLASSES = 3


def outputs_of(loss: str, outputs: int | None = None) -> int | None:
    """The outputs of `make_problem`, None for one without an axis of its own."""
    return outputs or (CLASSES if _core.losses()[loss]["targets"] == "class" else None)


def make_problem(loss: str, n: int = 60, d: int = 3, outputs: int | None = None, seed: int = 0) -> tuple[Any, Any]:
    """Noisy generic data with targets that are admissible for a loss of the table."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) + 0.3
    shape = (d,) if outputs is None else (d, outputs)
    y = X @ rng.standard_normal(shape) + 0.7 + 0.5 * rng.standard_normal((n, *shape[1:]))
    targets = _core.losses()[loss]["targets"]
    if targets == "real":
        return X, y
    if targets == "non-negative":
        return X, np.abs(y)
    if targets == "class":  # all outputs are told one number; so the first of several targets is as good as any
        y, targets = y if outputs is None else y[:, 0], range(outputs or CLASSES)
    values = np.asarray(targets)  # uneven: balanced classes make gradients that are 0 but for rounding
    return X, values[np.digitize(y, np.quantile(y, np.linspace(0, 1, len(values) + 1)[1:-1] ** 1.4))]


def small_rate(loss: str, n: int) -> float:
    """A rate at which every loss of the table is far from diverging on `make_problem`."""
    facts = _core.losses()[loss]
    curvature = facts["curvature"] or (5.0 if facts["smooth"] else 1.0)  # without a bound, about the largest target
    return 0.05 / curvature / (n if facts["reduction"] == "sum" else 1)


def fitting(optimizer: str, batch_size: int | None) -> bool:
    """Whether a rule of the table is made for such batches."""
    use = _core.optimizers()[optimizer]["use"]
    return (
        use == "any batches"
        or (use == "full batch" and batch_size is None)
        or (use == "single rows" and batch_size == 1)
    )


@pytest.fixture(params=range(3))
def seed(request: pytest.FixtureRequest) -> int:
    """Any seed must pass: `make test` sets and prints another FASTGD_TEST_SEED every day."""
    return int(request.param) + int(os.environ.get("FASTGD_TEST_SEED", "0"))
