"""
My study runs for hours. What if the machine goes down?
=======================================================

A Monte-Carlo study is many fits: designs by methods by repeats. :func:`skt.study.run_study` appends
each record to a file as soon as it is made, so that a study which was killed goes on where it was.

The question of this small one: what is a source still worth when its features are measured with
error? Rows are diabetes patients; a design adds noise to the features of all groups but the target.
"""

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from skt import L2SPRidge, UOWQRegressor, as_sample_domain
from skt.datasets import load_diabetes_progression
from skt.plots import StudyDisplay
from skt.study import load_records, rerun, run_study, summarize

patients = load_diabetes_progression()
X = StandardScaler().fit_transform(patients.data)
domain = as_sample_domain(patients.groups, target="sex 2, age 55-79")


@dataclass
class Measured:
    """Thirty target patients; features of the sources with error of the given size."""

    noise: float

    def __call__(self, rng):
        own = rng.permutation(np.flatnonzero(domain == "target"))
        train = np.setdiff1d(np.arange(len(X)), own[30:])
        noisy = X + self.noise * rng.normal(size=X.shape) * (domain != "target")[:, None]
        return {
            "X": noisy[train],
            "y": patients.target[train],
            "sample_domain": domain[train],
            "X_test": X[own[30:]],
            "y_test": patients.target[own[30:]],
        }


def target_only(data):
    own = data["sample_domain"] == "target"
    return RidgeCV(np.logspace(-3, 4, 15)).fit(data["X"][own], data["y"][own])


def pooled(data):
    return RidgeCV(np.logspace(-3, 4, 15)).fit(data["X"], data["y"])


def squared_error(fitted, data):
    return np.mean((data["y_test"] - fitted.predict(data["X_test"])) ** 2)


DESIGNS = {f"noise {size}": Measured(size) for size in (0.0, 0.5, 1.0, 2.0)}
METHODS = {"target only": target_only, "all rows pooled": pooled, "UOWQ": UOWQRegressor()}
out = Path(tempfile.mkdtemp()) / "study.jsonl"
options = {"metrics": {"squared error": squared_error}, "out": out, "progress": False}

# %%
# Five repeats. Then the lights go out, in the middle of a line:

before = run_study(DESIGNS, METHODS, n_repeats=5, random_state=0, **options)
written = out.read_bytes()
out.write_bytes(written[: int(0.6 * len(written))])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    kept = load_records(out)
print(f"{len(kept)} of {len(before)} records are left:")
print(str(caught[0].message).replace(str(out), out.name))

# %%
# Start it again: what is there is kept, what is lost is made anew, with the same numbers, since the
# seed of a repeat depends on nothing but the study's seed, its design and its number. More repeats
# and another method can be asked for at the same time.

METHODS["L2-SP"] = L2SPRidge()
with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # the line that was cut
    records = run_study(DESIGNS, METHODS, n_repeats=15, random_state=0, **options)


def values(records):
    return {(r["design"], r["repeat"], r["method"]): r["value"] for r in records}


print("as before:", values(before).items() <= values(records).items())
print(f"now {len(records)} records")

# %%
# The answer to the question. Noise in its features makes a source's slopes too flat. All sources
# err the same way here, so that they confirm one another. Pooling pays for that. UOWQ and L2-SP
# gain while the error is small; where it is large they come back towards the target alone, as far
# as the target's 30 rows can tell that the sources are wrong.

display = StudyDisplay.from_study(summarize(records, baseline="target only"), "noise")
labels = display.ax_.set(
    xlabel="error in the sources' features, in standard deviations",
    ylabel="squared error (progression, squared)",
)

# %%
# And a record that looks odd can be made again, alone, to look into it:

worst = max((r for r in records if r["method"] == "UOWQ"), key=lambda r: r["value"])
model, data = rerun(DESIGNS[worst["design"]], METHODS["UOWQ"], worst["seed"])
print(worst["design"], "repeat", worst["repeat"], squared_error(model, data) == worst["value"])
print(dict(zip(model.source_names_, model.source_weights_.round(2).tolist(), strict=True)))

plt.show()
