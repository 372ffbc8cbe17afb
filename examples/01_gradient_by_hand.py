"""
The gradient by hand
====================

Four points, one parameter, nothing hidden. The model is f(x) = w x, the points lie on y = 2 x, and w starts at 0. The
mean squared error is then 30 and its slope in w is -30, which one can check on paper.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import fastgd

x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 4.0, 6.0, 8.0])

print("By hand, at w = 0")
print(f"  residuals  w x - y          {0 * x - y}")
print(f"  mean of their squares       {np.mean((0 * x - y) ** 2):8.1f}")
print(f"  slope: mean of 2 (w x - y) x{np.mean(2 * (0 * x - y) * x):8.1f}")

# %%
# The sum of squared errors over the same points is four times as high and four times as steep: -120. A learning rate
# therefore only means something together with the loss that it belongs to. Twenty steps of 0.01 bring w to 1.92 on the
# mean, and as good as home on the sum.

for name in ("mse", "sse"):
    loss, slope, _ = fastgd.loss_and_gradient(x, y, 0.0, loss=name)
    result = fastgd.fit(x, y, loss=name, lr=0.01, epochs=20, fit_intercept=False)
    print(f"{name}: loss {loss:g}, gradient {slope[0]:g} at the start")
    print("  step          w          loss")
    for step in (0, 1, 2, 5, 10, 20):
        print(f"  {step:4d} {result.history.coef[step, 0]:10.6f} {result.history.loss[step]:13.6g}")
    print(f"  w after 20 steps: {result.coef[0]:.16g}\n")

# %%
# The same two walks once more, as those of a function of one variable whose derivative we bring along. Both curves have
# their bottom at w = 2; the sum is the steeper one.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
for name, ax in zip(("mse", "sse"), axes, strict=True):

    def value(w, name=name):
        return fastgd.loss_and_gradient(x, y, w, loss=name)[0]

    def derivative(w, name=name):
        return fastgd.loss_and_gradient(x, y, w, loss=name)[1]

    path = fastgd.gradient_descent(derivative, 0.0, lr=0.01, steps=20, fun=value)
    fastgd.plot.descent(value, path, ax=ax)
    ax.set(xlabel="w", ylabel=f"loss ({name})", title=f"{name}, rate 0.01: w = {path.x[-1]:.4f} after 20 steps")

saved = Path("out") / "01_gradient_by_hand.png"
saved.parent.mkdir(exist_ok=True)
figure.savefig(saved, dpi=120)
print(f"picture: {saved}")
