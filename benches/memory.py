"""Memory: one fit in a process of its own, and by how much its peak of resident memory lies above the data.

`python benches/memory.py '{"batch_size": 32}'` prints bytes. Linux alone tells the peak of one process: what the
resource module calls ru_maxrss a child inherits from its parent.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import fastgd

#: 160 MB, so that a copy is seen
N, D = 1_000_000, 20


def peak() -> int:
    words = Path("/proc/self/status").read_text().split()
    return int(words[words.index("VmHWM:") + 1]) * 1024


def main(options: str) -> None:
    truth = np.linspace(1, 2, D)
    X, y = np.empty((N, D)), np.empty(N)
    np.random.default_rng(0).standard_normal(out=X)  # in place: the data's own making must not be the peak
    np.matmul(X, truth, out=y)
    fastgd.fit(X[:1000], y[:1000], rng=1, **json.loads(options))  # code and caches are no memory of the fit
    before = peak()
    result = fastgd.fit(X, y, rng=1, **json.loads(options))
    above = peak() - before
    if not np.abs(result.coef - truth).max() < 1e-2:
        raise SystemExit(f"bench: memory: fastgd is wrong: coef {result.coef}")
    print(above)


if __name__ == "__main__":
    main(sys.argv[1])
