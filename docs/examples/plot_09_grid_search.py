"""
How do I search a grid without leaking source rows into the score?
==================================================================

Rows of the target and of its sources are stacked in one table. Ordinary cross-validation does not
know that. It scores source rows too, and so it chooses what is best for them. :class:`skt.TargetCV`
lets every source row train, and only target rows validate.

The rows are counties of the USA in one year, predicted are murders per 10,000 people, and the
target is North Carolina with 150 rows. What is searched is ``alpha``, the pull of the sources on
the target.
"""

import matplotlib.pyplot as plt
import numpy as np
import sklearn
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skt import L2SPRidge, TargetCV, as_sample_domain
from skt.datasets import load_county_murders

counties = load_county_murders()
own = np.random.default_rng(0).permutation(np.flatnonzero(counties.groups == "North Carolina"))
train, test = own[:150], own[150:]
rows = np.concatenate([train, np.flatnonzero(counties.groups != "North Carolina")])
X, y = counties.data[rows], counties.target[rows]
domain = as_sample_domain(counties.groups[rows], target="North Carolina")
domain[domain != "target"] = "other states"  # one source

model = make_pipeline(StandardScaler(), L2SPRidge(source_scale=1.0, source_alpha=0.01))
grid = {"l2spridge__alpha": np.logspace(-4, 2, 13)}

# %%
# **The right way, with metadata routing.** One line switches it on; then ``sample_domain`` goes to
# every step and to the folds by itself. (``set_config`` would do it for the whole session.)

with sklearn.config_context(enable_metadata_routing=True):
    right = GridSearchCV(model, grid, cv=TargetCV(5)).fit(X, y, sample_domain=domain)

# %%
# **The same without routing.** The labels are named for their step, and the folds are made
# beforehand.

folds = list(TargetCV(5).split(X, y, sample_domain=domain))
same = GridSearchCV(model, grid, cv=folds).fit(X, y, l2spridge__sample_domain=domain)
print(np.array_equal(same.cv_results_["mean_test_score"], right.cv_results_["mean_test_score"]))

# %%
# **What goes wrong.** Plain folds of the stacked rows. No error, no warning, only a number that
# answers another question. A forgotten setting of ``TargetCV``, on the other hand, is an error that
# says which line to write.

wrong = GridSearchCV(model, grid, cv=KFold(5, shuffle=True, random_state=0))
wrong.fit(X, y, l2spridge__sample_domain=domain)
try:
    GridSearchCV(model, grid, cv=TargetCV(5)).fit(X, y, l2spridge__sample_domain=domain)
except ValueError as error:
    print(error)

# %%
# What each search believed, and what is true on the other rows of North Carolina. Plain folds
# measure how well the *sources* are predicted by a model that was made for North Carolina.

truth = [
    model.set_params(l2spridge__alpha=alpha)
    .fit(X, y, l2spridge__sample_domain=domain)
    .score(counties.data[test], counties.target[test])
    for alpha in grid["l2spridge__alpha"]
]
curves = {
    "plain folds of all rows": (wrong.cv_results_["mean_test_score"], "s", "#E69F00"),
    "TargetCV": (right.cv_results_["mean_test_score"], "o", "#0072B2"),
    "unseen rows of North Carolina": (np.array(truth), "^", "black"),
}
figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for name, (scores, mark, color) in curves.items():
    ax.plot(grid["l2spridge__alpha"], scores, mark + "-", color=color, label=name)
    best = np.argmax(scores)
    ax.plot(grid["l2spridge__alpha"][best], scores[best], mark, color=color, markersize=13)
ax.set(xscale="log", xlabel="alpha, the pull of the source", ylabel="R²  (large marks: the best)")
ax.set_ylim(-0.7, 0.7)
ax.legend(frameon=False, loc="lower right")
ax.spines[["top", "right"]].set_visible(False)

print("on unseen rows of North Carolina:")
for name, search in {"plain folds": wrong, "TargetCV": right}.items():
    r2 = search.score(counties.data[test], counties.target[test])
    print(f"{name:12} promised R2 {search.best_score_:.2f}, got {r2:.2f}")

plt.show()

# %%
# Where a search is not needed, ``L2SPRidge()`` finds its penalties by itself, and ``sources={...}``
# instead of stacked rows leaves only target rows in ``X``, so that every helper of scikit-learn
# behaves.
