"""
The CSV: a good-looking line, and the wrong answer
==================================================

A hundred points, a rate of 0.0001, a thousand rounds: many a first lesson stops here, content with the line. But the
intercept has only crept to 0.09 where the best one is 7.99.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import fastgd

x, y = fastgd.datasets.load_points()
result = fastgd.fit(x, y, lr=1e-4, epochs=1000)
best = fastgd.closed_form(x, y)

print("iteration            w            b         error")
for k in (0, 1, 2, 10, 100, 1000):
    coef, intercept, loss = result.history.coef[k, 0], result.history.intercept[k], result.history.loss[k]
    print(f"{k:9d} {coef:12.7f} {intercept:12.7f} {loss:13.6f}")
print(f"  exactly {best.coef[0]:12.7f} {best.intercept:12.7f} {best.loss:13.6f}")

# %%
# The loss is a valley that is steep across and almost level along: the steep side forbids a larger rate, and along the
# level floor the small rate gets nowhere. Three lines of NumPy say how bad that is. The condition number is the ratio
# of the two curvatures.

A = np.column_stack([x, np.ones_like(x)])
flat, steep = np.linalg.eigvalsh(2 * A.T @ A / len(x))  # curvatures of the mean squared error along its two axes
rounds = np.log(2) / -np.log1p(-1e-4 * flat)
print(f"curvature across the valley  {steep:14.4f}")
print(f"curvature along its floor    {flat:14.4f}")
print(f"condition number             {steep / flat:14.0f}")
print(f"largest stable rate          {2 / steep:14.9f}")
print(f"At a rate of 0.0001 the intercept needs {rounds:,.0f} rounds for each half of its way.")

# %%
# The line looks right, and yet it is stuck on the floor of the valley.

figure, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
fastgd.plot.fit_line(x, y, result, ax=axes[0])
ends = np.array([x.min(), x.max()])
label = f"exact: {best.coef[0]:.4g} x + {best.intercept:.4g}"
axes[0].plot(ends, best.predict(ends), "--", color="black", lw=1.5, label=label)
axes[0].legend(frameon=False, loc="upper left")
axes[0].set_title("it looks right ...")
fastgd.plot.parameter_path(result, ax=axes[1], closed_form=best)
axes[1].set_title("... but the intercept has barely moved,")
fastgd.plot.loss_surface(x, y, result, ax=axes[2])
axes[2].set(title="for it is stuck on the level floor of the valley", xlabel="w", ylabel="b")

saved = Path("out") / "03_the_csv.png"
saved.parent.mkdir(exist_ok=True)
figure.savefig(saved, dpi=120)
print(f"picture: {saved}")

# %%
# Leave out the rate and the rounds, and fastgd centres and scales x and takes the rate from the curvature. What
# `fastgd.diagnose` and `FitResult.check` say about the thousand rounds is the example "Why is it slow?".

own = fastgd.fit(x, y)
print(f"fit(x, y) alone: w {own.coef[0]:.7f}, b {own.intercept:.7f}, error {own.loss:.6f}, {own.status}")
