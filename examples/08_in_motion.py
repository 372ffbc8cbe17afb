"""
A descent in motion
===================

A good rate, step by step: the line finds the cloud at once, then slides along the valley for the rest. On the left the
line among its points, on the right the same moment on the loss surface.
"""

import warnings
from pathlib import Path

import matplotlib.pyplot as plt

import fastgd

x, y = fastgd.datasets.make_line(n=100, slope=3.0, intercept=5.0, noise=2.0, low=0.0, high=15.0, rng=4)
result = fastgd.fit(x, y, lr=6e-3, epochs=600)
print(result)

# %%
# `fastgd.plot.animate` makes the film. In a notebook it shows itself with a slider; with a path it is saved, as a GIF
# or as a page of HTML, whichever the ending says.

saved = Path("out") / "08_in_motion.gif"
saved.parent.mkdir(exist_ok=True)
display = fastgd.plot.animate(x, y, result, saved)
print(f"film: {saved}")
display

# %%
# Most of the frames lie in the first epochs, where most happens: each is a record of the history.

print(display.records_)

# %%
# Too large a rate makes a film, too, but a short one: once the loss has grown tenfold there is nothing left to see.
# This is where it ends.

with warnings.catch_warnings():
    warnings.simplefilter("ignore", fastgd.DivergenceWarning)
    wild = fastgd.fit(x, y, lr=1.3e-2, epochs=600)
figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
last = fastgd.plot.animate(x, y, wild, ax=axes)
still = Path("out") / "08_out_of_the_valley.png"
figure.savefig(still, dpi=120)
print(f"picture: {still}")
