"""
Shuffled mini-batches
=====================

Three epochs are plenty. A thousand rows of y = 2 x1 - 3.4 x2 + 4.2 with a little noise: instead of looking at all rows
before each step we look at ten, in a fresh random order every epoch. That is a hundred steps for the price of one.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import fastgd

TRUE = {"w1": 2.0, "w2": -3.4, "b": 4.2}

g = np.random.default_rng(0)
X = g.standard_normal((1000, 2))
y = X @ [2, -3.4] + 4.2 + 0.1 * g.standard_normal(1000)

options = {"loss": "half_mse", "lr": 0.03, "epochs": 3, "batch_size": 10}
epochs = fastgd.fit(X, y, **options, exact_loss=True, rng=1)
print("epoch   loss over all rows")
for epoch, loss in zip(epochs.history.epoch, epochs.history.loss, strict=True):
    print(f"{epoch:5d} {loss:20.12f}")

# %%
# Each step is a little wrong, but the errors average out: after three passes the coefficients agree with the true ones
# to two digits or more, from zero as from a small random start.

small = fastgd.fit(X, y, **options, init=("normal", 0.01), rng=1)
print("          true   estimated   from a small random start")
for name, true, one, other in zip(
    TRUE, TRUE.values(), [*epochs.coef, epochs.intercept], [*small.coef, small.intercept], strict=True
):
    print(f"{name:>4s} {true:9.2f} {one:11.6f} {other:27.6f}")

# %%
# Nothing about the order is secret: `fastgd.batches` lists the rows of each batch, and a permutation is NumPy's own.

print(f"The first batch of the first epoch holds the rows {fastgd.batches(1000, 10, rng=1)[0].tolist()}.")
print(f"The first ten of NumPy's permutation are          {np.random.default_rng(1).permutation(1000)[:10].tolist()}.")

# %%
# The same run again, this time keeping every one of its 300 steps.

steps = fastgd.fit(X, y, **options, record="step", rng=1)
figure, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
fastgd.plot.loss_curve(steps, ax=axes[0]).lines_[0].set(label="each batch's own", lw=0.9, alpha=0.7)
axes[0].plot(epochs.history.step, epochs.history.loss, "o-", color="black", lw=1.4, label="all rows, each epoch")
axes[0].legend(frameon=False)
axes[0].set_title("the loss of ten rows jumps")
fastgd.plot.parameter_path(steps, ax=axes[1])
for value in TRUE.values():
    axes[1].axhline(value, color="black", ls=":", lw=1)
axes[1].set_title("the coefficients find the true ones (dotted)")
fastgd.plot.loss_surface(X, y, steps, ax=axes[2], parameters=(0, 1))
axes[2].set(title="seen from above", xlabel="w1", ylabel="w2")

saved = Path("out") / "05_mini_batches.png"
saved.parent.mkdir(exist_ok=True)
figure.savefig(saved, dpi=120)
print(f"picture: {saved}")
