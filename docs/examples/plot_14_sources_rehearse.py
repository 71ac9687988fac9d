"""
Which method, with these sources and so few rows?
=================================================

Every source can play the target: a few of its rows train, the other sources are its sources, and
its remaining rows test. So your own table says what each method is worth, before the target has to.

Rows are pupils, groups are schools, predicted is the score of an exam.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV

from skt import TransferRegressor, UOWQRegressor, as_sample_domain
from skt.datasets import load_exam_scores
from skt.plots import EnsembleDisplay, RehearsalDisplay

exam = load_exam_scores()
schools, sizes = np.unique(exam.groups, return_counts=True)
largest = schools[np.argsort(-sizes)[:8]]
kept = np.isin(exam.groups, largest)
X, y = exam.data[kept], exam.target[kept]
domain = as_sample_domain(exam.groups[kept], target=largest[0])

# %%
# Twelve pupils of the target school train, the others test.

own = np.random.default_rng(0).permutation(np.flatnonzero(domain == "target"))
train = np.sort(np.r_[own[:12], np.flatnonzero(domain != "target")])
test = own[12:]
model = TransferRegressor(n_rehearsals=4, cv=3)
model.fit(X[train], y[train], sample_domain=domain[train])

RehearsalDisplay.from_estimator(model)

plt.show()

# %%
# Each mark is one school in the role of the target. What is left of the dashed line is better than
# that school's twelve rows alone. The weights follow the rehearsals, as long as the target's own
# rows do not object:

EnsembleDisplay.from_estimator(model)

plt.show()

# %%
# On the pupils that nobody has seen, relative to the target alone:


def error(fitted):
    return np.mean((fitted.predict(X[test]) - y[test]) ** 2)


alone = error(RidgeCV(np.logspace(-3, 4, 15)).fit(X[own[:12]], y[own[:12]]))
uowq = error(UOWQRegressor().fit(X[train], y[train], sample_domain=domain[train]))
print(f"UOWQ {uowq / alone:.2f}, all members {error(model) / alone:.2f}")
