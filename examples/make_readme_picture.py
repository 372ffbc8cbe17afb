"""The picture at the top of the README: a line that is fitted, the way down, and three sizes of batch."""

from pathlib import Path

import matplotlib.pyplot as plt

import fastgd

BATCHES = {"full batch": None, "batches of 10": 10, "single rows": 1}


def main(out="docs"):
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

    saved = Path(out) / "hero.png"
    saved.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(saved, dpi=100)
    plt.close(figure)
    print(f"picture: {saved} ({saved.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
