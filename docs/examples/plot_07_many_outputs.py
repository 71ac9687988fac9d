"""
Many outputs, and of the earlier years only a fitted model: can it help?
========================================================================

Twenty stations, one model for each: with few days of the new years, each of them is poor. But
stations move together, and an earlier model knows how. Can its coefficients help, when its rows are
gone?

The data are daily entries at 20 stations of Chicago's elevated railway, from weather, sport and
calendar. The target are 40 days of 2014 to 2016. Of 2001 to 2008 all that is kept is a fitted ridge
regression.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from skt import ReducedRankRegressor, SMARTRegressor
from skt.datasets import load_chicago_ridership
from skt.plots import AlignmentDisplay

days = load_chicago_ridership()
early, late = days.groups == "2001-08", np.flatnonzero(days.groups == "2014-16")
scaler = StandardScaler().fit(days.data[early])
X, y = scaler.transform(days.data), days.target

earlier = RidgeCV(np.logspace(-3, 4, 15)).fit(X[early], y[early])
sources = {"2001-08": FrozenEstimator(earlier)}


class OnTop:
    """The simple rival: ridge on what the earlier model leaves unexplained."""

    def fit(self, X, y):
        self.rest = RidgeCV(np.logspace(-3, 4, 15)).fit(X, y - earlier.predict(X))
        return self

    def predict(self, X):
        return earlier.predict(X) + self.rest.predict(X)


METHODS = {
    "the earlier model": earlier,
    "ridge": RidgeCV(np.logspace(-3, 4, 15)),
    "reduced-rank regression": ReducedRankRegressor(),
    "ridge on top of the earlier model": OnTop(),
    "SMART": SMARTRegressor(sources=sources),
}

# %%
# Five random choices of the 40 days; all other days of the new years test. The loss is relative to
# predicting each station's mean over the 40 days.

losses = np.zeros((len(METHODS), 5, len(days.target_names)))
for seed in range(5):
    drawn = np.random.default_rng(seed).permutation(late)
    train, test = drawn[:40], drawn[40:]
    worth = np.mean((y[test] - y[train].mean(axis=0)) ** 2, axis=0)
    for m, model in enumerate(METHODS.values()):
        fitted = model if model is earlier else model.fit(X[train], y[train])
        losses[m, seed] = np.mean((y[test] - fitted.predict(X[test])) ** 2, axis=0) / worth

for name, loss in zip(METHODS, losses.mean(axis=2), strict=True):
    print(f"{name:34} {loss.mean():.3f}, from {loss.min():.3f} to {loss.max():.3f}")

# %%
# By station. The earlier model is off wherever a station has grown or shrunk: it knows the pattern
# of the week, not the level. SMART takes its pattern and asks the 40 days for the rest. So does
# ridge on top of the earlier model, a rival of three lines, which is as good here. It has no guard,
# though: where the earlier model is wrong, it starts from there.

mean = losses.mean(axis=1)
order = np.argsort(-mean[-1])
figure, ax = plt.subplots(figsize=(7, 5.5), layout="constrained")
for m, (name, mark) in enumerate(zip(METHODS, "xo^sD", strict=True)):
    color = ("0.4", "black", "#E69F00", "#CC79A7", "#0072B2")[m]
    ax.plot(mean[m][order], range(len(order)), mark, color=color, label=name)
ax.axvline(1, color="0.4", linestyle="--", linewidth=1)
ax.set_yticks(range(len(order)), [days.target_names[k].replace("_", " ") for k in order])
ax.set(xscale="log", xlabel="loss relative to the mean of 40 days")
ax.set_xticks([0.1, 0.2, 0.5, 1], ["0.1", "0.2", "0.5", "1"])
ax.minorticks_off()
figure.legend(frameon=False, loc="outside upper center", ncols=2)
ax.spines[["top", "right"]].set_visible(False)

# %%
# What was borrowed? The columns are the factors of the new model, the rows are directions of the
# earlier one. A dark cell near the top says that a factor is one of the earlier model's leading
# directions.

smart = METHODS["SMART"]
print(f"rank {smart.rank_}, part of the borrowed solution {smart.stacking_weight_:.2f}")
AlignmentDisplay.from_estimator(smart, side="features")

plt.show()
