"""
The six steps
=============

Pick a start, predict, measure the loss, differentiate, update, repeat. Twenty points lie about a line, and a round (an
epoch) looks at all of them.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import fastgd

RATE, ROUNDS = 0.006, 30

x, y = fastgd.datasets.make_line(n=20, slope=2.0, intercept=-1.0, noise=0.4, low=-2.0, high=2.0, rng=3)

# %%
# The six steps for y = a x + b with the sum of squared errors, in as many lines.

a, b = 0.293, 0.758  # 1. a start
for _ in range(ROUNDS):  # 6. again and again
    error = a * x + b - y  # 2. predict  3. compare: the loss is sum(error ** 2)
    slope_a, slope_b = np.sum(2 * error * x), np.sum(2 * error)  # 4. chain rule
    a, b = a - RATE * slope_a, b - RATE * slope_b  # 5. a small step downhill

# %%
# fastgd does the same thing, and arrives at the same numbers. The closed form says where the bottom is.

result = fastgd.fit(x, y, loss="sse", lr=RATE, epochs=ROUNDS, init=([0.293], 0.758))
best = fastgd.closed_form(x, y, loss="sse")

print(" round          a          b          loss   log2 loss")
for k in (0, 1, 2, 3, 4, 5, 10, 20, 30):
    coef, intercept, loss = result.history.coef[k, 0], result.history.intercept[k], result.history.loss[k]
    print(f"{k:6d} {coef:10.6f} {intercept:10.6f} {loss:13.6f} {np.log2(loss):11.3f}")
print(f"by hand{a:10.6f} {b:10.6f}")
print(f"exactly{best.coef[0]:10.6f} {best.intercept:10.6f} {best.loss:13.6f} {np.log2(best.loss):11.3f}")

# %%
# The line swings into the points within a few rounds. Every round removes a fixed share of what is left, so the
# logarithm of the loss falls along a straight line until only the noise remains.

figure, axes = plt.subplots(2, 2, figsize=(10, 7.2), layout="constrained")
fastgd.plot.fit_line(x, y, result, rounds=[1, 3, 5], ax=axes[0, 0])
axes[0, 0].set_title("the line after some rounds")
fastgd.plot.parameter_path(result, ax=axes[0, 1], closed_form=best)
axes[0, 1].set(title="a (coef) and b (intercept)")
fastgd.plot.loss_curve(result, ax=axes[1, 0])
axes[1, 0].axhline(best.loss, color="black", ls="--", lw=1, label="closed form")
axes[1, 0].set_yscale("log", base=2)
axes[1, 0].set(title="the loss, in powers of two")
axes[1, 0].legend(frameon=False)
fastgd.plot.loss_surface(x, y, result, ax=axes[1, 1])
axes[1, 1].set(title="the way down", xlabel="a", ylabel="b")

saved = Path("out") / "02_six_steps.png"
saved.parent.mkdir(exist_ok=True)
figure.savefig(saved, dpi=120)
print(f"picture: {saved}")
