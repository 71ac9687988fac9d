"""
How far does it lean on each source, and why?
=============================================

A method that borrows should say from whom, how much, and for what reason. Here the target are 25
house sales in the neighbourhood North Ames of Ames, Iowa; 18 other neighbourhoods are sources.
Predicted is the logarithm of the price.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skt import UOWQRegressor, as_sample_domain
from skt.datasets import load_ames_housing
from skt.plots import EffectiveSampleSizeDisplay, RiskCurveDisplay, SourceWeightsDisplay

FEATURES = [
    "Gr_Liv_Area",
    "Total_Bsmt_SF",
    "Lot_Area",
    "Garage_Area",
    "Year_Built",
    "Year_Remod_Add",
    "Full_Bath",
    "Fireplaces",
]
houses = load_ames_housing()
X = houses.data[:, [houses.feature_names.index(name) for name in FEATURES]]
target = np.random.default_rng(0).permutation(np.flatnonzero(houses.groups == "North_Ames"))
train, test = target[:25], target[25:]
rows = np.concatenate([train, np.flatnonzero(houses.groups != "North_Ames")])
domain = as_sample_domain(houses.groups[rows], target="North_Ames")

model = make_pipeline(StandardScaler(), UOWQRegressor())
model.fit(X[rows], houses.target[rows], uowqregressor__sample_domain=domain)
alone = make_pipeline(StandardScaler(), UOWQRegressor()).fit(X[train], houses.target[train])
for name, each in {"with sources": model, "North Ames alone": alone}.items():
    error = np.sqrt(np.mean((each.predict(X[test]) - houses.target[test]) ** 2))
    print(f"{name:17} typical error of a price on {len(test)} other sales: {10**error - 1:.0%}")

# %%
# The weight of a source is what one of its rows counts, where a row of the target counts 1. Beside
# it stands the reason: the discrepancy, how far the source's coefficients are estimated to be from
# the target's.

weights = SourceWeightsDisplay.from_estimator(model)

# %%
# A weight of some hundredths looks like nothing, but there are thousands of such rows. This many
# more sales in North Ames would be as good:

sizes = EffectiveSampleSizeDisplay.from_estimator(model)
limits = sizes.ax_.set_xlim(0, 100)

# %%
# Why not take all rows at full weight? Between the target alone and all rows pooled, the risk that
# is predicted has two parts. Noise falls the more is taken in, and discrepancy rises.

risk = RiskCurveDisplay.from_estimator(model)
risk.ax_.set_ylim(0, 1.4)

plt.show()
