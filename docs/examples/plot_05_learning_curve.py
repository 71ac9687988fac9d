"""
How few rows are few? When do sources stop to matter?
=====================================================

With three rows of your own you would take anybody's advice; with three thousand you need none. Where
on the way is your table?

A learning curve answers it: the loss on the target's held-out rows against the number of target rows to
train on, with and without sources. Here the target is a London school of 198 pupils, predicted is the
exam score at 16, and the other schools of at least 70 pupils are sources.
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from skt import L2SPRidge, UOWQRegressor, as_sample_domain
from skt.datasets import load_exam_scores
from skt.plots import StudyDisplay
from skt.study import run_study, summarize, to_markdown

pupils = load_exam_scores()
schools, sizes = np.unique(pupils.groups, return_counts=True)
large = np.isin(pupils.groups, schools[sizes >= 70])
X, y = StandardScaler().fit_transform(pupils.data[large]), pupils.target[large]
domain = as_sample_domain(pupils.groups[large], target="14")

# %%
# A *design* draws one data set: which pupils of the school train. It is a dataclass, so that its number
# of rows becomes a column of the records. Every method sees the same pupils.


@dataclass
class School:
    """Random pupils of one school to train on, all of the others as sources."""

    target_rows: int

    def __call__(self, rng):
        drawn = rng.permutation(np.flatnonzero(domain == "target"))
        test = drawn[100:]  # the same number of them, however many train
        rows = np.concatenate([drawn[: self.target_rows], np.flatnonzero(domain != "target")])
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
# The study: six numbers of rows x four methods x twelve random choices of pupils.

records = run_study(
    {f"{n} rows": School(n) for n in (5, 10, 20, 40, 70, 100)},
    {
        "target only": target_only,
        "all rows pooled": pooled,
        "UOWQ": UOWQRegressor(),
        "L2-SP": L2SPRidge(),
    },
    metrics={"squared error": squared_error},
    n_repeats=12,
    random_state=0,
    progress=False,
)
summary = summarize(records, baseline="target only")
display = StudyDisplay.from_study(summary, "target_rows")
display.ax_.set(xscale="log", xlabel="rows of the school to train on", ylabel="squared error")
display.ax_.set_xticks([5, 10, 20, 40, 70, 100], ["5", "10", "20", "40", "70", "100"])
display.ax_.minorticks_off()

plt.show()

# %%
# Bands are two standard errors over the choices of pupils. With five rows, pooling everything is best: so
# few rows cannot say which source differs, and methods that ask them are misled at times. With a hundred,
# the school alone is nearly as good as anything. In between is what these methods are for.

print(to_markdown(summary))
