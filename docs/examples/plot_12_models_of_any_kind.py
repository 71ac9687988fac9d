"""
The other groups are forests somebody trained. What are they worth with few labels?
===================================================================================

Four forests know handwritten digits of MNIST, each from 400 images. Yours come from another scanner
and few of them are labelled. A forest has no coefficients to lean on, but it answers.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from skt import HEnsembleClassifier, SourcePredictor
from skt.datasets import load_handwritten_digits

images = load_handwritten_digits()
X, y = images.data / 16, images.target
own, mnist = (np.flatnonzero(images.groups == group) for group in ("digits", "mnist"))
parts = np.random.default_rng(0).permutation(mnist)[:1600].reshape(4, 400)
forests = {
    f"forest {k}": SourcePredictor(RandomForestClassifier(50, random_state=k).fit(X[p], y[p]))
    for k, p in enumerate(parts)
}
METHODS = {
    "my labels alone": LogisticRegression(max_iter=500),
    "my labels and the forests": HEnsembleClassifier(forests),
}

# %%
# Each number of labels is drawn three times; a third of the other images tests.

NUMBERS = [1, 3, 10]
errors = np.zeros((len(METHODS), len(NUMBERS), 3))
for seed in range(3):
    drawn = np.random.default_rng(seed).permutation(own)
    for k, number in enumerate(NUMBERS):
        train = np.concatenate([drawn[y[drawn] == digit][:number] for digit in range(10)])
        test = np.setdiff1d(drawn, train)[::3]
        for m, model in enumerate(METHODS.values()):
            errors[m, k, seed] = 1 - model.fit(X[train], y[train]).score(X[test], y[test])

figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for m, (name, mark) in enumerate(zip(METHODS, "^o", strict=True)):
    color = ("black", "#0072B2")[m]
    ax.plot(NUMBERS, errors[m], mark, color=color, alpha=0.4)
    ax.plot(NUMBERS, errors[m].mean(axis=1), mark + "-", color=color, label=name)
ax.set(xscale="log", xlabel="labelled images of each digit", ylim=(0, None))
ax.set_ylabel("error rate on other digits\n(pale: each draw)")
ax.set_xticks(NUMBERS, [str(number) for number in NUMBERS])
ax.minorticks_off()
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# The forests help most where labels are fewest. ``block_weights_`` says how much of the ridge
# regression leans on each of them, and on the pixels themselves.

for name, weight in zip([*forests, "pixels"], model.block_weights_, strict=True):
    print(f"{name:9} {weight:.2f}")
