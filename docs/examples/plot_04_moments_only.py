"""
My sources may not leave their house. What can they send?
=========================================================

Hospitals, offices and companies often may not hand over rows. A linear method does not need them: means
and sums of products are enough. Each source computes them at home and sends a small file.

The houses are 32 states of the USA, whose rows are counties and years. The target is Oklahoma, of which
we have 30 rows. Predicted are murders per 10,000 people.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skt import Moments, UOWQRegressor, as_sample_domain
from skt.datasets import load_county_murders

counties = load_county_murders()
X, y = counties.data, counties.target
states = [str(name) for name in np.unique(counties.groups) if name != "Oklahoma"]
house = Path(tempfile.mkdtemp())

# %%
# In each house: rows are read in batches, as they would be from a data base, and only moments are
# written to a file. It is an ``.npz`` without pickle, safe to open.


def write_moments(state):
    rows = np.flatnonzero(counties.groups == state)
    batches = np.array_split(rows, len(rows) // 200 + 1)
    moments = Moments.from_batches((X[batch], y[batch]) for batch in batches)
    moments.save(house / f"{state}.npz")


for state in states:
    write_moments(state)

# %%
# With us: files become sources by name, and ``fit`` gets rows of the target only.

sources = {state: Moments.load(house / f"{state}.npz") for state in states}
target = np.random.default_rng(0).permutation(np.flatnonzero(counties.groups == "Oklahoma"))
train, test = target[:30], target[30:]
model = UOWQRegressor(sources=sources).fit(X[train], y[train])

# %%
# It is the same answer as with all rows in one place, up to where the search for the weights stops:

rows = np.concatenate([train, np.flatnonzero(counties.groups != "Oklahoma")])
domain = as_sample_domain(counties.groups[rows], target="Oklahoma")
with_rows = UOWQRegressor().fit(X[rows], y[rows], sample_domain=domain)
difference = np.abs(model.predict(X[test]) - with_rows.predict(X[test])).max()
print(f"largest difference of {len(test)} predictions: {difference:.1e}")

# %%
# How many houses have to answer? States join in the order of the alphabet, for five choices of the 30
# rows of Oklahoma. What a state sends is a few kilobytes, however many rows it has.

numbers = [0, 1, 2, 4, 8, 16, 32]
losses = []
for seed in range(5):
    drawn = np.random.default_rng(seed).permutation(target)
    train, test = drawn[:30], drawn[30:]
    worth = np.mean((y[test] - y[train].mean()) ** 2)
    for number in numbers:
        some = UOWQRegressor(sources={state: sources[state] for state in states[:number]})
        predicted = some.fit(X[train], y[train]).predict(X[test])
        losses.append(np.mean((y[test] - predicted) ** 2) / worth)
losses = np.reshape(losses, (5, -1))

figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
left.plot(range(len(numbers)), losses.T, color="0.7", linewidth=1)
left.plot(range(len(numbers)), losses.mean(axis=0), "o-", color="#0072B2")
left.set_xticks(range(len(numbers)), numbers)
left.set_xlabel("states that send moments")
left.set_ylabel("loss in Oklahoma\n(1: the mean of the 30 rows; grey: each choice)")

n_rows = [sources[state].n_samples for state in states]
sent = [(house / f"{state}.npz").stat().st_size / 1e3 for state in states]
kept = [n * (X.shape[1] + 1) * 8 / 1e3 for n in n_rows]  # eight bytes a number
right.loglog(n_rows, kept, "s", color="#E69F00", label="rows, which stay")
right.loglog(n_rows, sent, "o", color="#0072B2", label="moments, which are sent")
right.set(xlabel="rows of a state", ylabel="kilobytes", ylim=(1, 1000))
right.set_xticks([500, 1000, 2000, 4000], ["500", "1000", "2000", "4000"])
right.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
right.minorticks_off()
right.legend(frameon=False)
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)

plt.show()

# %%
# Two cautions. Moments of a handful of rows can reveal these rows, and nothing here adds noise: it is no
# formal guarantee of privacy. And all houses must use the same units and the same columns in the same
# order. A large mismatch of units warns; :meth:`skt.Moments.rescale` mends it.
