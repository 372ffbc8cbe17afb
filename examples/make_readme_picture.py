"""The pictures of the README: a line that is fitted, the way down, three sizes of batch; and many rates at once."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import fastgd

BATCHES = {"full batch": None, "batches of 10": 10, "single rows": 1}


def main(out="docs"):
    hero(out)
    rates(out)


def hero(out):
    x, y = fastgd.datasets.make_line(n=100, slope=2.0, intercept=3.0, noise=1.5, low=-3.0, high=5.0, rng=7)
    start = ([-1.5], -6.0)
    result = fastgd.fit(x, y, lr=0.06, epochs=40, init=start)

    figure, axes = plt.subplots(1, 3, figsize=(15, 4.8), layout="constrained")
    fastgd.plot.fit_line(x, y, result, rounds=[0, 1, 3, 10], ax=axes[0])
    fastgd.plot.loss_surface(x, y, result, ax=axes[1])
    for label, size in BATCHES.items():
        one = fastgd.fit(x, y, lr=0.01, epochs=40, batch_size=size, init=start, exact_loss=True, rng=0)
        fastgd.plot.loss_curve(one, ax=axes[2]).lines_[0].set_label(label)
    axes[2].legend(frameon=False)
    for ax, title in zip(
        axes, ("the line, after some epochs", "the way down", "one rate, three batch sizes"), strict=True
    ):
        ax.set_title(title)

    save(figure, Path(out) / "hero.png")


def rates(out):
    x, y = fastgd.datasets.load_points()
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
    as_they_are = fastgd.sweep(x, y, np.logspace(-8, -2, 61), epochs=1000)
    even = fastgd.sweep(x, y, np.logspace(-4, 0.6, 61), epochs=1000, standardize=True)
    for ax, sweep, title in zip(axes, (as_they_are, even), ("the points as they are", "standardize=True"), strict=True):
        fastgd.plot.lr_sweep(sweep, ax=ax)
        ax.set_title(title)
    save(figure, Path(out) / "sweep.png")


def save(figure, saved):
    saved.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(saved, dpi=100)
    plt.close(figure)
    print(f"picture: {saved} ({saved.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
