"""
What if a source is useless, or hostile?
========================================

You cannot vouch for every source. Somebody's outcome may be recorded wrongly, or turned round. What
does it cost to have such sources among the others?

Here we spoil sources ourselves. The target are diabetes patients of one sex in the upper tertile of
age, 30 of whom train; the five other groups are sources. In a *useless* source the outcome is
shuffled, so that it has nothing to do with the features. In a *hostile* one it is turned round:
where the disease progressed most it is said to have progressed least.
"""

import matplotlib.pyplot as plt
import numpy as np

from skt import as_sample_domain, compare
from skt.datasets import load_diabetes_progression

patients = load_diabetes_progression()
domain = as_sample_domain(patients.groups, target="sex 2, age 55-79")
sources = [name for name in np.unique(domain) if name != "target"]
rng = np.random.default_rng(0)


def shuffled(outcome):
    return rng.permutation(outcome)


def turned_round(outcome):
    return outcome.max() + outcome.min() - outcome


def spoil(n_sources, how):
    """Outcomes, those of the first sources spoilt."""
    y = patients.target.copy()
    for name in sources[:n_sources]:
        y[domain == name] = how(y[domain == name])
    return y


# %%
# Each comparison takes eight random choices of the 30 training patients, and tests on the target's
# other patients, whose outcomes are as they were.

METHODS = {"pooled ridge": "s", "UOWQ": "o", "L2-SP": "^"}
NUMBERS = [0, 1, 3, 5]
comparisons = {
    (how.__name__, number): compare(
        patients.data,
        spoil(number, how),
        domain,
        methods=list(METHODS),
        target_size=30,
        n_repeats=8,
        random_state=0,
        progress=False,
    )
    for how in (shuffled, turned_round)
    for number in NUMBERS
}

# %%
# Pooling rows trusts everybody, and pays for it. The two methods that weigh their sources shrug at
# a hostile one among others: a source that says the opposite of the target's own rows is easily
# found out. L2-SP even turns such sources round, and gains from all five.
#
# Useless sources are harder, if all are: they agree with one another that no feature matters much.
# There the target's own rows have the last word. Left out one by one they are predicted better
# without the sources, and both methods fall back on the target alone: L2-SP at no cost here, UOWQ
# at a cost of some per cent, with five spoilt sources of either kind.

figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
for ax, how in zip(axes, ("shuffled", "turned_round"), strict=True):
    for (name, mark), color in zip(METHODS.items(), ("#E69F00", "#0072B2", "black"), strict=True):
        rows = [
            next(row for row in comparisons[how, number].summary if row["method"] == name)
            for number in NUMBERS
        ]
        errors = [2 * row["ratio_error"] for row in rows]
        ratios = [row["ratio"] for row in rows]
        ax.errorbar(NUMBERS, ratios, errors, marker=mark, color=color, capsize=3, label=name)
    ax.axhline(1, color="0.4", linestyle="--", linewidth=1)
    ax.set(title=f"outcome {how.replace('_', ' ')}", xlabel="spoilt sources, of five", yscale="log")
    ax.set_yticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"], minor=False)
    ax.minorticks_off()
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("loss relative to the target alone\n(bars: 2 standard errors)")
axes[0].legend(frameon=False, loc="upper left")

plt.show()
