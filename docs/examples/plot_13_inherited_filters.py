"""
Should a network start from another one's filters, and how large?
=================================================================

A small network has learnt to tell 3, 5 and 8 apart on 300 images of MNIST. Yours come from another
scanner. What it has learnt is inherited at several scales: at 0 the network starts from scratch, at
1 it takes the filters as they are. For comparison it is also taught wrong labels.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skt import ParameterTransferClassifier
from skt.datasets import load_handwritten_digits

warnings.simplefilter("ignore", ConvergenceWarning)
images = load_handwritten_digits()
chosen = np.isin(images.target, (3, 5, 8))
X, y, groups = images.data[chosen] / 16, images.target[chosen], images.groups[chosen]
own, mnist = np.flatnonzero(groups == "digits"), np.flatnonzero(groups == "mnist")[::7]
wrong = np.select([y == 3, y == 5], [5, 8], 3)
SCALES = [0.0, 0.1, 0.3, 1.0, "auto"]


def network(**options):
    return ParameterTransferClassifier(max_iter=300, random_state=0, **options)


UPSTREAMS = {
    "right labels": network().fit(X[mnist], y[mnist]),
    "wrong labels": network().fit(X[mnist], wrong[mnist]),
}

# %%
# Three draws of four labelled images of each digit; all others test.

errors = np.zeros((len(UPSTREAMS), len(SCALES), 3))
for seed in range(3):
    drawn = np.random.default_rng(seed).permutation(own)
    train = np.concatenate([drawn[y[drawn] == digit][:4] for digit in (3, 5, 8)])
    test = np.setdiff1d(drawn, train)
    for u, upstream in enumerate(UPSTREAMS.values()):
        for s, scale in enumerate(SCALES):
            model = network(upstream=upstream, inherit_scale=scale).fit(X[train], y[train])
            errors[u, s, seed] = 1 - model.score(X[test], y[test])

figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for u, (name, color) in enumerate(zip(UPSTREAMS, ("#0072B2", "#D55E00"), strict=True)):
    ax.plot(range(5), errors[u], "o", color=color, alpha=0.4)
    ax.plot(range(5), errors[u].mean(axis=1), "o-", color=color, label=f"learnt from {name}")
ax.set_xticks(range(5), ["0 (scratch)", "0.1", "0.3", "1", "auto"])
ax.set(xlabel="scale of inherited filters", ylim=(0, None))
ax.set_ylabel("error rate on other digits\n(pale: each draw)")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# As they are, filters with wrong labels do harm that few rows cannot undo. The scale is chosen
# without labels, by the size of what is inherited.
