"""
Benign or malignant
===================

569 tumours, each measured under the microscope in thirty ways, and what became of them (Wolberg, Street and
Mangasarian, 1995; it comes with scikit-learn). `fastgd.SGDClassifier` with loss="log_loss" is logistic regression: it
answers with a probability, not only with a side. Two measurements first, as two can be drawn.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split

import fastgd

data = load_breast_cancer()
malignant = data.target == 0  # the file counts benign as 1
X_train, X_test, y_train, y_test = train_test_split(data.data, malignant, stratify=malignant, random_state=0)
names = list(data.feature_names)
print(f"{len(X_train)} tumours to learn from, {len(X_test)} to be asked about; {y_test.sum()} of these are malignant")

# %%
# How large the largest cells are, and how dented their outline is. With learning_rate="auto" nothing needs to be scaled
# or tuned, though one of the two is about a hundred times as large as the other.

pair = [names.index("worst radius"), names.index("worst concave points")]
two = fastgd.SGDClassifier(loss="log_loss", learning_rate="auto", random_state=0)
two.fit(X_train[:, pair], y_train)
print(f"right about {two.score(X_test[:, pair], y_test):.1%} of tumours not seen before")

# %%
# All thirty measurements together do better still. A matrix of what was said against what was so tells the two kinds of
# error apart: a malignant tumour called benign is the grave one.

all_of_them = fastgd.SGDClassifier(loss="log_loss", learning_rate="auto", random_state=0).fit(X_train, y_train)
counts = confusion_matrix(y_test, all_of_them.predict(X_test))
print(f"with all thirty: {all_of_them.score(X_test, y_test):.1%}")
print(f"{counts[1, 0]} of {counts[1].sum()} malignant tumours called benign, {counts[0, 1]} the other way round")

# %%
# Each point of the plane has its probability of being malignant. It is a half on the line, which the eye would draw in
# much the same place, and the shades say how fast it changes to either side. On the right, the matrix for all thirty.

figure, (plane, matrix) = plt.subplots(1, 2, figsize=(13, 5.2), layout="constrained", width_ratios=[1.3, 1])
across, up = np.meshgrid(np.linspace(7, 33, 300), np.linspace(-0.01, 0.3, 300))
chance = two.predict_proba(np.column_stack([across.ravel(), up.ravel()]))[:, 1].reshape(across.shape)
shades = plane.contourf(across, up, chance, levels=np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.5)
plane.contour(across, up, chance, levels=[0.5], colors="black", linewidths=1.5)
for kind, colour, marker, label in ((False, "#2166ac", "o", "benign"), (True, "#b2182b", "^", "malignant")):
    x0, x1 = X_test[y_test == kind][:, pair].T
    plane.scatter(x0, x1, s=28, color=colour, marker=marker, edgecolor="white", linewidth=0.6, label=label)
figure.colorbar(shades, ax=plane, label="probability that it is malignant", ticks=[0, 0.25, 0.5, 0.75, 1], pad=0.02)
plane.set(xlabel=names[pair[0]], ylabel=names[pair[1]], title="by two measurements, tumours not seen before")
plane.legend(loc="lower right", framealpha=0.9)

kinds = ["benign", "malignant"]
matrix.imshow(np.sqrt(counts), cmap="Blues", vmax=np.sqrt(1.3 * counts.max()))
for (row, column), count in np.ndenumerate(counts):
    colour = "white" if count > counts.max() / 3 else "black"
    matrix.text(column, row, count, ha="center", va="center", fontsize=22, color=colour)
matrix.set(xticks=[0, 1], xticklabels=kinds, xlabel="what the model says", title="by all thirty")
matrix.set_yticks([0, 1], kinds, rotation=90, va="center")
matrix.set_ylabel("what it is")
matrix.tick_params(length=0)

saved = Path("out") / "11_breast_cancer.png"
saved.parent.mkdir(exist_ok=True)
figure.savefig(saved, dpi=120)
print(f"picture: {saved}")
