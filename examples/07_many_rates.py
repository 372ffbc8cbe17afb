"""
Many rates at once
==================

The line of "One line, four rates" again, this time with sixty learning rates in one call. The last loss falls as the
rate grows, up to where each step leaps across the valley; beyond 2 over the largest curvature it leaps higher every
time.
"""

import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import fastgd

x, y = fastgd.datasets.make_line(n=100, slope=3.0, intercept=5.0, noise=2.0, low=0.0, high=15.0, rng=4)
sweep = fastgd.sweep(x, y, np.logspace(-5, -1.5, 60), epochs=600)
print(sweep)

# %%
# The largest stable rate is no rule of thumb: a thousandth below it a run descends, a thousandth above it diverges.

print(f"The largest stable rate, 2 over the largest curvature, is {sweep.lr_max:.7f}.")
for rate in sweep.lr_max * np.array([0.999, 1.001]):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastgd.DivergenceWarning)
        print(f"At {rate:.7f} a fit of 60,000 epochs ends with {fastgd.fit(x, y, lr=rate, epochs=60_000).status}.")

# %%
# Where the sixty end, and nine of them on their way.

figure, axes = plt.subplots(1, 2, figsize=(13, 4.8), layout="constrained")
fastgd.plot.lr_sweep(sweep, ax=axes[0])
fastgd.plot.lr_sweep(sweep, ax=axes[1], curves=True)
axes[0].set_title("sixty rates, where they end")
axes[1].set_title("nine of them, on their way")

saved = Path("out") / "07_many_rates.png"
saved.parent.mkdir(exist_ok=True)
figure.savefig(saved, dpi=120)
print(f"picture: {saved}")
