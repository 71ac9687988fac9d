"""
How few rows are few? When do sources stop to matter?
=====================================================

With three rows of your own you would take anybody's advice; with three thousand you need none. Where
on the way is your table?

A learning curve answers it: the loss on the target's held-out rows against the number of target rows to
train on, with and without sources. Here rows are counties of the USA in one year, predicted are murders
per 10,000 people. The target is California, and the other large states are sources.
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
large = np.isin(counties.groups, states[sizes >= 950])
X, y = StandardScaler().fit_transform(counties.data[large]), counties.target[large]
domain = as_sample_domain(counties.groups[large], target="California")
own = np.random.default_rng(0).permutation(np.flatnonzero(domain == "target"))
may_train, test = own[:700], own[700:]

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
# The study: five numbers of rows x four methods x six random choices of rows.

records = run_study(
    {f"{n} rows": State(n) for n in (15, 30, 60, 120, 300)},
    {
        "target only": target_only,
        "all rows pooled": pooled,
        "UOWQ": UOWQRegressor(),
        "L2-SP": L2SPRidge(),
    },
    metrics={"squared error": squared_error},
    n_repeats=6,
    random_state=0,
    progress=False,
)
summary = summarize(records, baseline="target only")
display = StudyDisplay.from_study(summary, "target_rows")
display.ax_.set(xscale="log", xlabel="rows of California to train on")
display.ax_.set_ylabel("squared error (murders per 10,000 people, squared)")
display.ax_.set_xticks([15, 30, 60, 120, 300], ["15", "30", "60", "120", "300"])
display.ax_.minorticks_off()

plt.show()

# %%
# Bands are two standard errors over the choices of rows. Pooling does not learn: its thousands of source
# rows drown the target's, and more of them change nothing. The target alone needs some hundred rows to be
# better than that. Methods that weigh sources follow the better of the two, and are best in between. With
# 300 rows and more the sources are worth nothing here, and it would be as well to drop them.

print(to_markdown(summary))
