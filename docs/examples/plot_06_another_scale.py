"""
My source points the right way, but at another scale. Can I use it?
===================================================================

Prices in another currency, doses in other units, an instrument with another gain: the source knows
which features matter, and is wrong about how much. It would be a pity to throw it away, and a
mistake to pool it.

Here the target are 25 house sales in the neighbourhood College Creek of Ames, Iowa, in thousands of
dollars. The source is the rest of the town. We record its prices in dollars, then in another
currency, five to the dollar, and then with the sign turned, as what buyers have lost.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from skt import L2SPRidge
from skt.datasets import load_ames_housing
from skt.plots import LooSurfaceDisplay

houses = load_ames_housing()
numeric = [len(np.unique(column)) > 2 for column in houses.data.T]
X = StandardScaler().fit_transform(houses.data[:, numeric])
price = 10**houses.target / 1000
own = np.flatnonzero(houses.groups == "College_Creek")
source = np.flatnonzero(houses.groups != "College_Creek")
UNITS = {"in dollars": 1.0, "five to the dollar": 5.0, "sign turned": -1.0}


def ridge(X, y, domain, only_target):
    rows = (domain == "target") | (not only_target)
    return RidgeCV(np.logspace(-3, 5, 25)).fit(X[rows], y[rows])


METHODS = {
    "ridge, target alone": lambda X, y, d: ridge(X, y, d, only_target=True),
    "ridge, all rows": lambda X, y, d: ridge(X, y, d, only_target=False),
    "L2-SP, scale 1": lambda X, y, d: L2SPRidge(source_scale=1.0).fit(X, y, sample_domain=d),
    "L2-SP (default)": lambda X, y, d: L2SPRidge().fit(X, y, sample_domain=d),
}

# %%
# Ten random choices of the 25 sales; the other 242 sales in College Creek test.

errors = np.zeros((len(UNITS), len(METHODS), 10))
scales = np.zeros((len(UNITS), 10))
for seed in range(10):
    drawn = np.random.default_rng(seed).permutation(own)
    train, test = np.concatenate([drawn[:25], source]), drawn[25:]
    domain = np.repeat(["target", "rest of Ames"], [25, len(source)])
    for u, unit in enumerate(UNITS.values()):
        y = np.concatenate([price[drawn[:25]], unit * price[source]])
        for m, method in enumerate(METHODS.values()):
            model = method(X[train], y, domain)
            errors[u, m, seed] = np.sqrt(np.mean((model.predict(X[test]) - price[test]) ** 2))
        scales[u, seed] = model.source_scale_[0]

# %%
# ``source_scale_`` is what the source's coefficients are multiplied with:

for unit, values in zip(UNITS, scales, strict=True):
    low, high = values.min(), values.max()
    print(f"source {unit:19} scale {values.mean():+.2f} (from {low:+.2f} to {high:+.2f})")

# %%
# With the scale free, the answer hardly depends on how the source counts its money. With the scale
# at one, which is the method as published, the source is worth less in another currency and nothing
# with its sign turned. Pooling is best where the units agree, and useless otherwise.

figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
top = 1.2 * errors[:, 0].mean()
for m, (name, mark) in enumerate(zip(METHODS, "os^D", strict=True)):
    mean = errors[:, m].mean(axis=1)
    bar = 2 * errors[:, m].std(axis=1, ddof=1) / np.sqrt(10)
    place = np.arange(len(UNITS)) + 0.15 * (m - 1.5)
    color = ("black", "#E69F00", "#CC79A7", "#0072B2")[m]
    ax.errorbar(place, mean, bar, fmt=mark, color=color, capsize=3, label=name)
    for x, value in zip(place, mean, strict=True):
        if value > top:  # beyond the axis
            ax.annotate(f"{value:.0f} ↑", (x, top), ha="center", va="top")
            ax.plot(x, 0.94 * top, mark, color=color)
ax.set(ylim=(0.9 * errors.mean(axis=2).min(), top), xlabel="how the source records prices")
ax.set_xticks(range(len(UNITS)), UNITS)
ax.set_ylabel(
    "error of unseen sales, thousands of dollars\n(root mean square; bars: 2 standard errors)"
)
figure.legend(frameon=False, loc="outside right upper")
ax.spines[["top", "right"]].set_visible(False)

# %%
# ``method="loo"`` chooses by exact leave-one-out over a whole surface of penalties, at the best
# scale of each point. Inside the dashed line the source helps; the star is the choice. It is the
# search to look at. The default, which fits target and source jointly, has the lower risk on
# average.

surface = L2SPRidge(method="loo").fit(X[train], y, sample_domain=domain)
LooSurfaceDisplay.from_estimator(surface)

plt.show()
