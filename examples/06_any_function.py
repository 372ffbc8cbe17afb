"""
Any function of one variable
============================

Bring a derivative, and gradient descent will walk. On f(x) = x^2 the derivative is 2 x, so a step of rate r multiplies
x by 1 - 2 r. With r = 0.3 that is 0.4 and we arrive quickly from either side. With 0.9 it is -0.8: we swing, but closer
each time. With 1 it is -1: over and back for ever. With 1.1 it is -1.2, and every swing is wider than the last.
"""

from pathlib import Path

import matplotlib.pyplot as plt

import fastgd

#: start, rate, steps
WALKS = [(5.0, 0.3, 15), (-5.0, 0.3, 5), (5.0, 0.9, 15), (5.0, 1.0, 15), (5.0, 1.1, 15)]


def square(x):
    return x**2


def two_valleys(x):
    return x**4 / 4 - 2 * x**2 + x


walks = [fastgd.gradient_descent(lambda x: 2 * x, start, lr=rate, steps=n, fun=square) for start, rate, n in WALKS]
print("  start  rate  steps        end  positions")
for (start, rate, steps), path in zip(WALKS, walks, strict=True):
    first = "  ".join(f"{x:.4g}" for x in path.x[:6])
    print(f"  {start:5g} {rate:5g} {steps:6d} {path.x[-1]:10.3g}  {first}  ...")

# %%
# Where a function has two valleys, the start decides which of them we end in; the walk knows only the slope under its
# feet.

two = [
    fastgd.gradient_descent(lambda x: x**3 - 4 * x + 1, start, lr=0.05, steps=50, fun=two_valleys)
    for start in (-0.5, 0.8)
]
for path in two:
    print(f"from {path.x[0]:4g} to {path.x[-1]:8.5f}, where f is {path.fun[-1]:8.5f}")

# %%
# The curves with the paths on them.

figure, axes = plt.subplots(2, 3, figsize=(13, 7.4), layout="constrained")
for (start, rate, steps), path, ax in zip(WALKS, walks, axes.flat, strict=False):
    fastgd.plot.descent(square, path, ax=ax)
    ax.set_title(f"start {start:g}, rate {rate:g}, {steps} steps")
for path in two:
    fastgd.plot.descent(two_valleys, path, ax=axes.flat[-1])
axes.flat[-1].set_title("two valleys: the start decides")

saved = Path("out") / "06_any_function.png"
saved.parent.mkdir(exist_ok=True)
figure.savefig(saved, dpi=120)
print(f"picture: {saved}")
