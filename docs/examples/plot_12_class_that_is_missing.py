"""
What if the target's few rows lack a class?
===========================================

Progression of diabetes in thirds: low, middle, high. The target is one group of patients by sex
and age, of whom fifteen are labelled; none of them is high. The other groups have all three. The
probability of the third class comes from them, its intercept included.
"""

import matplotlib.pyplot as plt
import numpy as np

from skt import UOWQClassifier, as_sample_domain
from skt.datasets import load_diabetes_progression

patients = load_diabetes_progression()
third = np.digitize(patients.target, np.quantile(patients.target, [1 / 3, 2 / 3]))
y = np.array(["1 low", "2 middle", "3 high"])[third]
domain = as_sample_domain(patients.groups, target="sex 1, age 43-54")

# %%
# Fifteen rows of the target train, and the rest is predicted.
rng = np.random.default_rng(0)
own = rng.permutation(np.flatnonzero(domain == "target"))
few = own[y[own] != "3 high"][:15]
test = np.setdiff1d(own, few)
train = np.setdiff1d(np.arange(len(y)), test)
model = UOWQClassifier().fit(patients.data[train], y[train], sample_domain=domain[train])

# %%
# Mean probabilities on the other rows, and how often the classes occur there.
true = [np.mean(y[test] == name) for name in model.classes_]
predicted = model.predict_proba(patients.data[test]).mean(axis=0)
places = np.arange(3)
fig, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.bar(places - 0.2, true, 0.4, label="occurs", color="0.6")
ax.bar(places + 0.2, predicted, 0.4, label="predicted", color="C0")
ax.set_xticks(places, model.classes_)
ax.set_ylabel("share of the target's other rows")
ax.legend()
plt.show()
