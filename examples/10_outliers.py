"""
A loss for outliers
===================

One point in ten is nonsense. The square of a large error is larger still, so the mean squared error goes after the
nonsense; `huber` and `absolute` let it be. The call is the same but for the name of the loss.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import fastgd

x, y = fastgd.datasets.make_line(n=100, slope=2.0, intercept=1.0, noise=0.5, low=0.0, high=10.0, rng=5)
wrong = np.argsort(x)[-10:]  # those farthest to the right
y[wrong] = 2.0

results = {name: fastgd.fit(x, y, loss=name) for name in ("mse", "huber", "absolute")}
print("loss          slope  intercept  status")
for name, result in results.items():
    print(f"{name:10s} {result.coef[0]:8.4f} {result.intercept:10.4f}  {result.status}")
print("true         2.0000     1.0000")

# %%
# `absolute` has a kink where the error is 0, and with it no curvature that a rate could be taken from. fastgd takes the
# first rate from the spread of the residuals and halves it as the loss falls; the message counts the halvings.

print(results["absolute"].message)

# %%
# The three lines among the points.

figure, ax = plt.subplots(figsize=(8, 4.4), layout="constrained")
good = np.setdiff1d(np.arange(len(x)), wrong)
ax.scatter(x[good], y[good], s=14, color="0.6", label="points")
ax.scatter(x[wrong], y[wrong], s=26, marker="x", color="black", label="nonsense")
ends = np.array([0.0, 10.0])
for (name, result), style in zip(results.items(), ("-", "-", "--"), strict=True):
    ax.plot(ends, result.predict(ends), style, lw=1.8, label=f"{name}: {result.coef[0]:.3g} x + {result.intercept:.3g}")
ax.set(xlabel="x", ylabel="y", title="ten points of a hundred are wrong")
ax.legend(frameon=False, loc="upper left")

saved = Path("out") / "10_outliers.png"
saved.parent.mkdir(exist_ok=True)
figure.savefig(saved, dpi=120)
print(f"picture: {saved}")
