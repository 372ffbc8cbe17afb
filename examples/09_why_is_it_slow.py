"""
Why is it slow?
===============

Before a run, `fastgd.diagnose` tells what a rate will do, and why. After it, `FitResult.check` tells how far the result
is from the minimum. Here are both for the hundred points of many a tutorial, with the tutorial's own settings.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import fastgd

x, y = fastgd.datasets.load_points()
print(fastgd.diagnose(x, y, lr=1e-4))

# %%
# Two thirds of a million epochs, then. The thousand that the tutorial takes leave this:

result = fastgd.fit(x, y, lr=1e-4, epochs=1000)
print(result.check(x, y))

# %%
# The forecast is no rule of thumb. On full batches of a squared loss it is the epoch at which the loss comes within a
# millionth of its minimum, for each rule. We run all that it foretells and one epoch less.

rates = {"sgd": 2e-4, "momentum": 2e-5, "nesterov": 2e-5, "accelerated": 2e-4}
print("                                 above the minimum, in millionths of it")
print("rule            rate   foretold            then  one before")
for rule, rate in rates.items():
    foretold = fastgd.diagnose(x, y, lr=rate, optimizer=rule).epochs
    there, before = (
        fastgd.fit(x, y, lr=rate, epochs=int(n), optimizer=rule, record=None).check(x, y).excess_loss
        for n in (foretold, foretold - 1)
    )
    print(f"{rule:12s} {rate:7g} {foretold:10,.0f} {1e6 * there:15.6f} {1e6 * before:11.6f}")

# %%
# What the advice is worth: how far the loss lies above its minimum, as the points are and standardised. No rate mends a
# scale, and the automatic one crawls as well; the accelerated rule takes the root of the condition number.
# Standardised, the best rate needs a single epoch, and a fifth of it forty.

best = fastgd.closed_form(x, y).loss
runs = {
    "lr=1e-4, as the tutorial": {"lr": 1e-4},
    "the automatic rate": {"lr": fastgd.diagnose(x, y).lr_auto},
    "accelerated": {"lr": fastgd.diagnose(x, y).lr_auto, "optimizer": "accelerated"},
    "standardize=True, lr=0.1": {"lr": 0.1, "standardize": True},
    "standardize=True, lr=0.5": {"lr": 0.5, "standardize": True},
}
figure, ax = plt.subplots(figsize=(8, 4.4), layout="constrained")
for label, options in runs.items():
    history = fastgd.fit(x, y, **options, epochs=1000, tol=None).history
    excess = np.maximum(history.loss / best - 1, 1e-15)
    ax.plot(history.epoch, excess, label=label)
ax.set_xscale("symlog", linthresh=1)
ax.set_yscale("log")
ax.axhline(1e-6, color="black", ls=":", lw=1)
ax.annotate("a millionth", (1, 1e-6), (8, 4), textcoords="offset points", fontsize="small")
ax.set(xlabel="epoch", ylabel="loss above its minimum, relative", title="the same points, five ways", ylim=(1e-16, 1e3))
ax.legend(frameon=False, loc=(0.32, 0.12))

saved = Path("out") / "09_why_is_it_slow.png"
saved.parent.mkdir(exist_ok=True)
figure.savefig(saved, dpi=120)
print(f"picture: {saved}")
