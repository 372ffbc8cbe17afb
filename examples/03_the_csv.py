"""The CSV: a thousand iterations, a good-looking line, and the wrong answer.

A hundred points, a rate of 0.0001, a thousand rounds: many a first lesson stops here, content with the line. But the
intercept has only crept to 0.09 where the best one is 7.99. The loss is a valley that is steep across and almost
level along: the steep side forbids a larger rate, and along the level floor the small rate gets nowhere. Three lines
of NumPy say how bad that is. The condition number is the ratio of the two curvatures.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import fastgd


def main(out="out"):
    x, y = fastgd.datasets.load_points()
    result = fastgd.fit(x, y, lr=1e-4, epochs=1000)
    best = fastgd.closed_form(x, y)
    history = result.history

    print("iteration            w            b         error")
    for k in (0, 1, 2, 10, 100, 1000):
        print(f"{k:9d} {history.coef[k, 0]:12.7f} {history.intercept[k]:12.7f} {history.loss[k]:13.6f}")
    print(f"  exactly {best.coef[0]:12.7f} {best.intercept:12.7f} {best.loss:13.6f}")

    A = np.column_stack([x, np.ones_like(x)])
    curvatures = np.linalg.eigvalsh(2 * A.T @ A / len(x))  # of the mean squared error, along its two axes
    flat, steep = curvatures
    print(f"\ncurvature across the valley  {steep:14.4f}")
    print(f"curvature along its floor    {flat:14.4f}")
    print(f"condition number             {steep / flat:14.0f}")
    print(f"largest stable rate          {2 / steep:14.9f}")
    rounds = np.log(2) / -np.log1p(-1e-4 * flat)
    print(f"At a rate of 0.0001 the intercept needs {rounds:,.0f} rounds for each half of its way.")

    print("\nfastgd says the same, and what to do about it:")
    print(fastgd.diagnose(x, y, lr=1e-4))
    print(result.check(x, y))

    own = fastgd.fit(x, y)  # no rate, no rounds: fastgd centres and scales x, and takes the rate from the curvature
    print(f"\nfit(x, y) alone: w {own.coef[0]:.7f}, b {own.intercept:.7f}, error {own.loss:.6f}, {own.status}")

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

    saved = Path(out) / "03_the_csv.png"
    saved.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(saved, dpi=120)
    plt.close(figure)
    print(f"\npicture: {saved}")


if __name__ == "__main__":
    main()
