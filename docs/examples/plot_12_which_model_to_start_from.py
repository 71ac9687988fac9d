"""
Which of these models should I start from?
==========================================

Six networks were trained on digits of MNIST: small and large, on all digits, on few images, on five
of the ten digits, on labels that are half wrong. You have 200 labelled digits from another scanner,
and time to build on one of the networks, or on none.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skt.datasets import load_handwritten_digits
from skt.metrics import rank_sources

images = load_handwritten_digits()
X, y, own = images.data / 16, images.target, images.groups == "digits"
mnist = np.flatnonzero(~own)[::2]
rng = np.random.default_rng(0)
half_wrong = y.copy()
wrong = rng.permutation(mnist)[: len(mnist) // 2]
half_wrong[wrong] = rng.permutation(y[wrong])


def trained(width, rows, labels=y):
    network = MLPClassifier((width,), tol=0.01, n_iter_no_change=3, random_state=0)
    return network.fit(X[rows], labels[rows])


networks = {
    "128 units": trained(128, mnist),
    "32 units": trained(32, mnist),
    "8 units": trained(8, mnist),
    "128 units, digits 0-4": trained(128, mnist[y[mnist] < 5]),
    "32 units, 200 images": trained(32, mnist[::12]),
    "128 units, labels half wrong": trained(128, mnist, half_wrong),
}

# %%
# A source is anything that turns rows into features. Here it is the hidden layer. The scores need
# one pass over the 200 labelled images, and train nothing.


def hidden_layer(network):
    return lambda X: np.maximum(X @ network.coefs_[0] + network.intercepts_[0], 0)


sources = {name: hidden_layer(network) for name, network in networks.items()}
drawn = rng.permutation(np.flatnonzero(own))
few = np.concatenate([drawn[y[drawn] == digit][:20] for digit in range(10)])
rest = np.setdiff1d(drawn, few)
ranking = rank_sources(sources, X[few], y[few], ["loo_ridge", "logme"], n_draws=100)
print(ranking)

# %%
# Bars are two standard errors of the difference from the best. Sources whose bar reaches the best
# one may be as good; these labels do not tell.

display = ranking.plot()

# %%
# Was the advice good? A logistic regression is trained on each hidden layer with the same
# 200 labels, and tested on the other 1,597 images.


def accuracy(source):
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    return head.fit(source(X[few]), y[few]).score(source(X[rest]), y[rest])


figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
reached = {name: accuracy(source) for name, source in sources.items()}
reached["no source"] = accuracy(lambda X: X)
for ax, metric in zip(axes, ranking.metrics, strict=True):
    for row in ranking.rows(metric):
        place = row["score"], reached[row["source"]]
        ax.plot(*place, "o", color="#0072B2" if row["rank"] else "black")
        ax.annotate(row["source"], place, (5, 4), textcoords="offset points", fontsize=8)
    ax.margins(x=0.4)
    ax.set_xlabel(metric)
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("accuracy on other digits")

plt.show()

# %%
# Both scores put the two best networks first, and see that small ones are not worth it.
# ``loo_ridge`` cannot tell the first two apart, and indeed they differ by half a point. ``logme``
# is sure of one of them, the wrong one. A standard error says what other labelled rows would
# change; whether a score asks the right question it cannot say.
