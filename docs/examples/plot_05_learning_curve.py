"""
How few rows are few? When do sources stop to matter?
=====================================================

With three rows of your own you would take anybody's advice; with three thousand you need none. Where
on the way is your table?

A learning curve answers it: the loss on the target's held-out rows against the number of target rows to
train on, with and without sources. Here rows are counties of the USA in one year, predicted are murders
per 10,000 people. The target is Virginia, and the others with many rows are sources.
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from skt import L2SPRidge, UOWQRegressor, as_sample_domain
from skt.datasets import load_county_murders
from skt.plots import StudyDisplay
from skt.study import run_study, summarize, to_markdown

counties = load_county_murders()
states, sizes = np.unique(counties.groups, return_counts=True)
large = np.isin(counties.groups, states[sizes >= 1100])
X, y = StandardScaler().fit_transform(counties.data[large]), counties.target[large]
domain = as_sample_domain(counties.groups[large], target="Virginia")
own = np.random.default_rng(0).permutation(np.flatnonzero(domain == "target"))
may_train, test = own[:1000], own[1000:]

# %%
# A *design* draws one data set: which rows of the state train. It is a dataclass, so that its number of
# rows becomes a column of the records. Every method sees the same rows.


@dataclass
class State:
    """Random rows of one state to train on, all of the others as sources."""

    target_rows: int

    def __call__(self, rng):
        drawn = rng.choice(may_train, self.target_rows, replace=False)
        rows = np.concatenate([drawn, np.flatnonzero(domain != "target")])
        return {
            "X": X[rows],
            "y": y[rows],
            "sample_domain": domain[rows],
            "X_test": X[test],
            "y_test": y[test],
        }


def target_only(data):
    own = data["sample_domain"] == "target"
    return RidgeCV(np.logspace(-3, 4, 15)).fit(data["X"][own], data["y"][own])


def pooled(data):
    return RidgeCV(np.logspace(-3, 4, 15)).fit(data["X"], data["y"])


def squared_error(fitted, data):
    return np.mean((data["y_test"] - fitted.predict(data["X_test"])) ** 2)


# %%
# The study: five numbers of rows x four methods x eight random choices of rows.

records = run_study(
    {f"{n} rows": State(n) for n in (15, 40, 120, 350, 1000)},
    {
        "target only": target_only,
        "all rows pooled": pooled,
        "UOWQ": UOWQRegressor(),
        "L2-SP": L2SPRidge(),
    },
    metrics={"squared error": squared_error},
    n_repeats=8,
    random_state=0,
    progress=False,
)
summary = summarize(records, baseline="target only")
display = StudyDisplay.from_study(summary, "target_rows")
display.ax_.set(xscale="log", xlabel="rows of Virginia to train on")
display.ax_.set_ylabel("squared error, (murders per 10,000)²")
display.ax_.set_xticks([15, 40, 120, 350, 1000], ["15", "40", "120", "350", "1000"])
display.ax_.minorticks_off()

plt.show()

# %%
# Bands are two standard errors over the choices of rows; the test rows stay the same. Pooling does not
# learn: thousands of source rows drown the target's. With 15 rows it is best all the same, since so few
# rows can hardly tell which source differs. From then on the methods that weigh sources lose less and
# less to it and overtake it. With some hundred rows Virginia alone is as good as anything, and the
# sources can be dropped.

print(to_markdown(summary))
