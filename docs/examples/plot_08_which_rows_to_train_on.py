"""
My model is not linear. Should it see some source rows, or all of them with weights?
====================================================================================

Any estimator of scikit-learn can borrow: from a sample of the source's rows
(:class:`skt.SourceSampled`), or from all of its rows with a weight (:class:`skt.SourceWeighted`).
Which is better?

The target are scikit-learn's digits, few of them labelled. The source are 5,000 digits of MNIST,
brought to the same 8 x 8 pixels. The model is a small neural network (which takes
``sample_weight`` from scikit-learn 1.7 on).
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from skt import OTQMSSampler, SourceSampled, SourceWeighted
from skt.datasets import load_handwritten_digits

images = load_handwritten_digits()
X, y = images.data / 16, images.target
own, source = np.flatnonzero(images.groups == "digits"), np.flatnonzero(images.groups == "mnist")
network = MLPClassifier((32,), max_iter=100, random_state=0)


def error_of(model, data, test):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a hundred epochs are enough here
        model.fit(*data)
    return np.mean(model.predict(X[test]) != y[test])


def weighted_and_sampled(train, test):
    """Errors of the two ways, and how many rows of MNIST the second takes."""
    rows = np.concatenate([train, source])
    domain = np.repeat(["target", "mnist"], [len(train), len(source)])
    # By default the network itself is tried on left-out digits too, at five times the cost.
    weighted = SourceWeighted(network, cv=None)
    sampled = SourceSampled(network, OTQMSSampler(random_state=0), cv=None)
    errors = [error_of(model, (X[rows], y[rows], domain), test) for model in (weighted, sampled)]
    return *errors, weighted.source_weights_[0], sampled.transfer_quantities_[0]


# %%
# For comparison, as many rows of MNIST as a budget allows, drawn at random, beside 50 labelled
# digits. Two random choices of those 50; all other digits test.

BUDGETS = [0, 200, 1000, 5000]
at_random, informed = [], []
for seed in range(2):
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(own)
    train, test = drawn[:50], drawn[50:]
    informed.append(weighted_and_sampled(train, test))
    for budget in BUDGETS:
        rows = np.concatenate([train, rng.permutation(source)[:budget]])
        at_random.append(error_of(network, (X[rows], y[rows]), test))
at_random, informed = np.reshape(at_random, (2, -1)), np.array(informed)
print("weight of one row of MNIST:", informed[:, 2].round(4))
print("rows of MNIST that OTQMS takes:", informed[:, 3].astype(int))

# %%
# Weights win, by far: MNIST is a little different from the other digits, so that its rows are worth
# something, but not as much as a row of the target. A sample can only take a row or leave it.
# OTQMS, which asks whether a row is as good as one of the target's, leaves nearly all of them.

figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
places = np.arange(len(BUDGETS))
ax.plot(places, at_random.T, color="0.75", linewidth=1)
ax.plot(places, at_random.mean(axis=0), "s-", color="black", label="rows at random")
place = np.interp(informed[:, 3].mean(), BUDGETS, places)
ax.plot(
    place, informed[:, 1].mean(), "^", color="#E69F00", markersize=10, label="rows that OTQMS takes"
)
ax.plot(
    places[-1],
    informed[:, 0].mean(),
    "o",
    color="#0072B2",
    markersize=10,
    label="all rows, weighted",
)
ax.set_xticks(places, [f"{budget:,}" for budget in BUDGETS])
ax.set(xlabel="rows of MNIST beside 50 digits", ylim=(0, None))
ax.set_ylabel("error rate on unseen digits\n(grey: each choice of the 50)")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

plt.show()

# %%
# So: weights, as long as all rows can be trained on. Where rows cost money or time,
# ``OTQMSSampler(budget=..., costs=...)`` says how many rows of which source to take. That is worth
# its while with several sources that differ, and not here.
