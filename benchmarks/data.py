"""The real data of :mod:`skt.datasets` as designs of a study.

Every function returns a :class:`GroupedTable`, that is arrays ``X, y, groups`` and how many
target rows train. ``Samples(function)`` is the design of a study whose repetitions are random
target samples. The packages that hold the data are those of ``pip install
'scikit-transfer[bench]'``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from sklearn.preprocessing import StandardScaler

from skt import as_sample_domain, datasets
from skt.sources import split_domains


class Split(NamedTuple):
    """One repetition: rows of all domains to train on, rows of the target to test."""

    X: np.ndarray
    y: np.ndarray
    sample_domain: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    def rows(self, which):
        """Return the numbers of the training rows of the target, the sources, or all."""
        target, sources = split_domains(self.sample_domain, len(self.X))
        chosen = {"target": [target], "sources": list(sources.values())}
        return np.concatenate(chosen.get(which, chosen["target"] + chosen["sources"]))


@dataclass(frozen=True)
class GroupedTable:
    """A table with groups, some or all of which may be the target.

    ``n_train`` is the number of target rows to train on; groups with fewer than twice as many
    and five are sources only. ``may_be_target`` names the groups that may be the target; all
    may if it is empty. Features are standardised on the stacked training rows.
    """

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    n_train: int
    may_be_target: tuple = ()

    @property
    def targets(self):
        """Groups with enough rows to train and test on."""
        labels, counts = np.unique(self.groups, return_counts=True)
        large = labels[counts >= 2 * self.n_train + 5]
        return large[np.isin(large, self.may_be_target)] if self.may_be_target else large

    def draw(self, rng):
        """Draw a target and its training rows."""
        target = str(rng.choice(self.targets))
        drawn = rng.permutation(np.flatnonzero(self.groups == target))
        test = drawn[self.n_train :]
        rows = np.setdiff1d(np.arange(len(self.X)), test)
        scaler = StandardScaler().fit(self.X[rows])
        return Split(
            scaler.transform(self.X[rows]),
            self.y[rows],
            as_sample_domain(self.groups[rows], target=target),
            scaler.transform(self.X[test]),
            self.y[test],
        )

    def facts(self):
        """Return the sizes that a report states."""
        return {
            "n_rows": len(self.X),
            "n_features": self.X.shape[1],
            "n_groups": len(np.unique(self.groups)),
            "n_possible_targets": len(self.targets),
            "n_train": self.n_train,
        }


@dataclass(frozen=True)
class Samples:
    """Design of a study: random target samples of a data set, read once in each process."""

    load: Callable

    def __call__(self, rng):
        """Draw one sample."""
        return self.load().draw(rng)

    def prepare(self):
        """Read the data before the study starts, so that a missing package is known then."""
        self.load()


# Data sets ----------------------------------------------------------------------------------


@cache
def diabetes():
    """Diabetes progression; groups are sex x tertile of age."""
    return _grouped(datasets.load_diabetes_progression(), n_train=30)


@cache
def ames():
    """Log price of houses; groups are neighbourhoods."""
    return _grouped(datasets.load_ames_housing(), n_train=25)


@cache
def county_murders():
    """Murder rates of counties and years; groups are states."""
    counties = datasets.load_county_murders()
    # By their codes, in the order in which the recorded studies drew their targets.
    groups = counties.state_fips.astype(str)
    return GroupedTable(counties.data, counties.target, groups, n_train=30)


@cache
def county_murders_but_one():
    """The same without one row: 41 arrests for murder, and no murder, among 2,758 inhabitants.

    Its arrest rate is five times the next largest, so that whenever its state is the target, it
    alone decides every method's loss.
    """
    every = county_murders()
    rows = every.X[:, datasets.load_county_murders().feature_names.index("arrestrate")] < 100.0
    return GroupedTable(every.X[rows], every.y[rows], every.groups[rows], every.n_train)


@cache
def exam():
    """Exam scores of pupils; groups are schools, however small."""
    return _grouped(datasets.load_exam_scores(), n_train=10)


@cache
def meats():
    """Water, fat and protein of meat; the target are the samples with more fat than the median."""
    return _grouped(datasets.load_meat_spectra(), 15, may_be_target=("more fat",))


@cache
def chicago():
    """Daily entries at 20 stations; 2001-08 for 2014-16."""
    return _grouped(datasets.load_chicago_ridership(), 40, may_be_target=("2014-16",))


@cache
def tissues():
    """Expression of 20 genes from that of 480 others; groups are seven tissues."""
    return _grouped(datasets.load_tissue_expression(), n_train=10)


@cache
def handwritten_digits():
    """Digits: 5,000 of MNIST for those of scikit-learn; pixels in 0..1."""
    images = datasets.load_handwritten_digits()
    images.data /= 16
    return _grouped(images, n_train=50, may_be_target=("digits",))


@cache
def two_digits(first, second):
    """Two of the ten digits; of MNIST every third image, which is enough for a source."""
    table = handwritten_digits()
    third = (table.groups == "digits") | (np.arange(len(table.y)) % 3 == 0)
    kept = np.isin(table.y, (first, second)) & third
    return GroupedTable(
        table.X[kept], table.y[kept], table.groups[kept], n_train=20, may_be_target=("digits",)
    )


@cache
def contraception():
    """Use of contraception by women in Bangladesh; groups are 60 districts."""
    return _grouped(datasets.load_contraception_use(), n_train=20)


def _grouped(bunch, n_train, may_be_target=()):
    return GroupedTable(bunch.data, bunch.target, bunch.groups, n_train, may_be_target)
