"""
Which words give it away
========================

Nine hundred short notes of three kinds: the weather, the kitchen, the sea. Each note becomes a row that counts its
words; as it holds few of all the words there are, the rows are sparse (CSR), and `fastgd.SGDClassifier` takes them as
they are. The notes are made up here, out of lists of words, so that nothing has to be fetched.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split

import fastgd

#: adjectives, nouns and verbs of each kind; some belong to two
KINDS = {
    "weather": (
        "mild cold warm damp grey bright",
        "cloud rain fog frost thunder drizzle sky front valley wind shower sleet morning",
        "falls clears gathers drifts freezes lifts lingers",
    ),
    "kitchen": (
        "warm fresh salted golden soft sharp",
        "onion butter flour broth garlic dough pan pepper lemon oven spoon salt",
        "simmers melts browns boils rests rises cools",
    ),
    "sea": (
        "cold salted steady rough grey tall",
        "harbour sail mast anchor tide deck rope captain wave gull keel crew wind fog",
        "rolls drifts creaks swings rises turns waits",
    ),
}
PLACES = ["over", "under", "behind", "before", "beside", "after", "near", "with"]


def sentence(kind, rng):
    """The tall gull drifts over the mast; one word in three may be of any kind."""

    def word(part):
        drawn = kind if rng.random() < 0.67 else rng.choice(list(KINDS))
        return rng.choice(KINDS[drawn][part].split())

    return f"the {word(0)} {word(1)} {word(2)} {rng.choice(PLACES)} the {word(1)}"


rng = np.random.default_rng(0)
kinds = np.repeat(list(KINDS), 300)
notes = [" and ".join(sentence(kind, rng) for _ in range(rng.integers(1, 4))) for kind in kinds]
for row in (7, 301, 603):
    print(f"{kinds[row]:8s} {notes[row]}")

# %%
# A word counts for less if it is in most notes, as "the" is. The model learns from three notes in four, and is asked
# about the rest.

vectorizer = TfidfVectorizer()
X = vectorizer.fit_transform(notes)
print(f"{X.shape[0]} notes, {X.shape[1]} words, {X.nnz / X.shape[0]:.1f} of them in a note; stored as {X.format}")
X_train, X_test, y_train, y_test = train_test_split(X, kinds, stratify=kinds, random_state=0)
model = fastgd.SGDClassifier(loss="log_loss", alpha=1e-3, random_state=0).fit(X_train, y_train)
print(f"right about {model.score(X_test, y_test):.1%} of the notes not seen before")

# %%
# The words that speak most for each kind, and those that speak most against it. A word that two kinds share speaks
# loudly for neither, but most of all against the third: fog against the kitchen, salted against the weather.

words = vectorizer.get_feature_names_out()
figure, axes = plt.subplots(1, 3, figsize=(12, 5), layout="constrained", sharex=True)
for ax, kind, coef in zip(axes, model.classes_, model.coef_, strict=True):
    order = np.argsort(coef)
    shown = np.concatenate([order[:4], order[-11:]])
    ax.barh(words[shown], coef[shown], color=np.where(coef[shown] > 0, "C0", "C3"), height=0.7)
    ax.axvline(0, color="black", lw=0.8)
    ax.set(title=kind, xlabel="weight")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)

saved = Path("out") / "13_words.png"
saved.parent.mkdir(exist_ok=True)
figure.savefig(saved, dpi=120)
print(f"picture: {saved}")
