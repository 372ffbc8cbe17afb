"""
Ten digits
==========

1,797 digits written by hand, 8 by 8 pixels each (they come with scikit-learn). A linear model has one weight a pixel
and digit, so that its weights are pictures too: they show where ink speaks for a digit, and where against it. With
loss="softmax" all ten are learnt at once, and the probabilities of a digit add up to one.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split

import fastgd

X, y = load_digits(return_X_y=True)
X = X / 16  # ink from 0 to 1
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
model = fastgd.SGDClassifier(loss="softmax", alpha=1e-3, learning_rate="auto", random_state=0)
model.fit(X_train, y_train)
said = model.predict(X_test)
print(f"weights {model.coef_.shape}; right about {np.mean(said == y_test):.1%} of {len(y_test)} digits not seen before")

# %%
# The weights. Ink on red pixels speaks for the digit, on blue ones against it: a 0 has none in its middle. The pixel at
# the upper right that speaks most for a 9 is the very one that speaks most against a 5.

figure, axes = plt.subplots(2, 5, figsize=(11, 5), layout="constrained")
limit = np.abs(model.coef_).max()
for digit, ax in enumerate(axes.flat):
    shown = ax.imshow(model.coef_[digit].reshape(8, 8), cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set_title(digit)
    ax.set(xticks=[], yticks=[])
figure.colorbar(shown, ax=axes, label="weight", shrink=0.8, pad=0.02)

saved = Path("out") / "12_digits_weights.png"
saved.parent.mkdir(exist_ok=True)
figure.savefig(saved, dpi=120)
print(f"picture: {saved}")

# %%
# Which are taken for which: rows are what was written, columns what was read. Beside it are digits that it misread; of
# some of them one may think so oneself.

figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5.6), layout="constrained")
counts = confusion_matrix(y_test, said)
left.imshow(np.where(counts, np.sqrt(counts), np.nan), cmap="Blues", vmin=0, vmax=np.sqrt(1.3 * counts.max()))
for (row, column), count in np.ndenumerate(counts):
    if count:
        left.text(column, row, count, ha="center", va="center", color="white" if row == column else "black")
left.set(xticks=range(10), yticks=range(10), xlabel="read", ylabel="written", title="written and read")
left.tick_params(length=0)

right.axis("off")
right.set_title("misread")
wrong = np.flatnonzero(said != y_test)[:12]
for number, row in enumerate(wrong):
    ax = right.inset_axes((0.25 * (number % 4) + 0.03, 0.68 - 0.34 * (number // 4), 0.19, 0.24))
    ax.imshow(X_test[row].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{y_test[row]}, read {said[row]}", fontsize="medium")
    ax.set(xticks=[], yticks=[])

saved = Path("out") / "12_digits_read.png"
figure.savefig(saved, dpi=120)
print(f"picture: {saved}")
