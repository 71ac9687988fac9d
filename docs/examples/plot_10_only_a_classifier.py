"""
All I have of the source is a trained classifier. How many labels does it save me?
==================================================================================

Somebody has trained a classifier, and the rows behind it are not to be had. Your images come from
another scanner. You could use the classifier as it is, ignore it, or start from it.

The classifier is a logistic regression that tells 3, 5, 8 and 9 apart on 2,000 digits of MNIST; the
target are the same of scikit-learn's digits, of which few are labelled.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from skt import L2SPClassifier
from skt.datasets import load_handwritten_digits

images = load_handwritten_digits()
chosen = np.isin(images.target, (3, 5, 8, 9))
X, y, groups = images.data[chosen] / 16, images.target[chosen], images.groups[chosen]
own, mnist = np.flatnonzero(groups == "digits"), groups == "mnist"
elsewhere = LogisticRegression(C=0.1, max_iter=500).fit(X[mnist], y[mnist])

METHODS = {
    "the classifier as it is": FrozenEstimator(elsewhere),
    "my labels alone": L2SPClassifier(),
    "both": L2SPClassifier(sources={"MNIST": FrozenEstimator(elsewhere)}),
}

# %%
# The classifier is frozen, so that no ``clone`` unfits it. Each number of labels is drawn three
# times, with as many of each digit; all other images test.

NUMBERS = [8, 16, 32, 64]
errors = np.zeros((len(METHODS), len(NUMBERS), 3))
for seed in range(3):
    drawn = np.random.default_rng(seed).permutation(own)
    rank = np.zeros(len(drawn), dtype=int)  # how many of its digit come before it
    for digit in (3, 5, 8, 9):
        rank[y[drawn] == digit] = np.arange(np.sum(y[drawn] == digit))
    drawn = drawn[np.argsort(rank, kind="stable")]
    for k, number in enumerate(NUMBERS):
        train, test = drawn[:number], drawn[number:]
        for m, model in enumerate(METHODS.values()):
            errors[m, k, seed] = 1 - model.fit(X[train], y[train]).score(X[test], y[test])

figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for m, (name, mark) in enumerate(zip(METHODS, "s^o", strict=True)):
    color = ("#E69F00", "black", "#0072B2")[m]
    ax.plot(NUMBERS, errors[m], mark, color=color, alpha=0.4)
    ax.plot(NUMBERS, errors[m].mean(axis=1), mark + "-", color=color, label=name)
ax.set(xscale="log", xlabel="labelled digits", ylim=(0, None))
ax.set_ylabel("error rate on other digits\n(pale: each draw)")
ax.set_xticks(NUMBERS, [str(number) for number in NUMBERS])
ax.minorticks_off()
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

plt.show()

# %%
# Used as it is, the classifier is wrong about one image in four: these are other pens and another
# scanner. As a start it saves few labels, if any. The differences are no larger than what three
# draws scatter, and with some sixty labels nothing is left of them. With the rows of the source one
# can do better: see :ref:`sphx_glr_auto_examples_plot_08_which_rows_to_train_on.py`.
