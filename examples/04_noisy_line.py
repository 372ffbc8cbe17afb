"""
One line, four rates
====================

A hundred points about y = 3 x + 5, x between 0 and 15, and the same descent with four learning rates. A rate that is
too small crawls; a good one slides into the valley and along it; one near the limit leaps from side to side and still
arrives; one beyond the limit leaps higher every time.
"""

import warnings
from pathlib import Path

import matplotlib.pyplot as plt

import fastgd

RATES = {"crawls": 1e-4, "slides": 6e-3, "swings": 1.16e-2, "diverges": 1.25e-2}

x, y = fastgd.datasets.make_line(n=100, slope=3.0, intercept=5.0, noise=2.0, low=0.0, high=15.0, rng=4)
best = fastgd.closed_form(x, y)

results = {}
print("              rate            w            b          loss  status")
for name, rate in RATES.items():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", fastgd.DivergenceWarning)
        results[name] = result = fastgd.fit(x, y, lr=rate, epochs=600)
    print(f"{name:9s} {rate:8g} {result.coef[0]:12.6f} {result.intercept:12.6f} {result.loss:13.6f}  {result.status}")
print(f"exactly            {best.coef[0]:12.6f} {best.intercept:12.6f} {best.loss:13.6f}")

# %%
# fastgd notices the last one, warns with the reason, and hands back the best coefficients that it saw.

print(caught[-1].message)

# %%
# The four paths on the loss surface, and their losses.

figure, axes = plt.subplot_mosaic([list(RATES), ["loss"] * 4], figsize=(14, 7), layout="constrained")
for name, result in results.items():
    fastgd.plot.loss_surface(x, y, result, ax=axes[name])
    axes[name].set(title=f"rate {RATES[name]:g}: {name}", xlabel="w", ylabel="b")
    if name in ("slides", "swings"):
        axes[name].get_legend().remove()  # one will do
    fastgd.plot.loss_curve(result, ax=axes["loss"]).lines_[0].set_label(f"rate {RATES[name]:g}: {name}")
axes["loss"].axhline(best.loss, color="black", ls="--", lw=1, label="closed form")
axes["loss"].legend(frameon=False, loc="upper right")
axes["loss"].set(xlim=(-5, 200), title="the first 200 epochs")

saved = Path("out") / "04_noisy_line.png"
saved.parent.mkdir(exist_ok=True)
figure.savefig(saved, dpi=120)
print(f"picture: {saved}")
