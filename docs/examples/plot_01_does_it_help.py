"""
Does transfer help on my table, and from whom?
==============================================

You have a table with a column that says where each row comes from. Each group has few rows. Is it
worth borrowing from the other groups, and from which ones?

Here the rows are diabetes patients, and the groups are sex by tertile of age. Each group in turn is
the target: 30 of its patients train, the rest of them test, and all other groups are sources.
"""

import matplotlib.pyplot as plt

from skt import compare_each
from skt.datasets import load_diabetes_progression
from skt.plots import SourceWeightsMapDisplay

patients = load_diabetes_progression()
comparison = compare_each(
    patients.data,
    patients.target,
    patients.groups,
    methods=["pooled ridge", "source-only ridge", "source + residual ridge", "UOWQ", "L2-SP"],
    target_size=30,
    n_repeats=12,
    random_state=0,
    progress=False,
)
print(comparison.verdict)

# %%
# A verdict is one sentence. Behind it is a figure for each method: its squared error on patients
# that it has not seen, relative to a ridge regression of the target's patients alone. The bars
# belong to paired differences: every method saw the same splits.

display = comparison.plot()

# %%
# From whom? The weights say what one row of a source counts, where a row of the target counts 1.
# They depend on how few rows the target has. With more of them, the same sources would get less
# weight.

weights = SourceWeightsMapDisplay.from_comparison(comparison, "UOWQ").plot()

# %%
# An average over targets can hide a target that loses. These are the ratios one by one, with one
# standard error of the paired difference. Below 1 is a gain. The errors are large, because a group
# has only some 30 to 60 patients left to test on: for one group alone, a gain is hard to prove.

reference = {
    row["target"]: row["mean"]
    for row in comparison.by_target
    if row["method"] == comparison.baseline
}
for row in comparison.by_target:
    if row["method"] == "UOWQ":
        error = row["difference_error"] / reference[row["target"]]
        print(f"{row['target']:18}  {row['ratio']:.2f} +/- {error:.2f}")

plt.show()
