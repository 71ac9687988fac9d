import dataclasses
import pickle
import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVR

import skt
from skt.core.moments import Moments
from skt.estimators.base import takers_of
from skt.sources import (
    SourceModel,
    UnitsWarning,
    as_sample_domain,
    check_sources,
    split_domains,
    stack_domains,
)
from skt.sources.forms import FORMS

# as_sample_domain ----------------------------------------------------------------------

LABELS = ["FR", "DE", "FR", "IT"]
DOMAIN = ["target", "DE", "target", "IT"]


@pytest.mark.parametrize(
    "column",
    [
        list,
        tuple,
        np.array,
        lambda v: np.array(v, dtype=object),
        pd.Series,
        lambda v: pd.Series(v, dtype="category"),
        lambda v: pd.Categorical(v),
        pd.Index,
        pl.Series,
        lambda v: pl.Series(v, dtype=pl.Categorical),
    ],
)
def test_any_column_of_strings(column):
    domain = as_sample_domain(column(LABELS), target="FR")
    assert domain.dtype.kind == "U"
    assert domain.tolist() == DOMAIN


@pytest.mark.parametrize("column", [list, np.array, pd.Series, pl.Series])
@pytest.mark.parametrize(
    ("labels", "target", "expected"),
    [
        ([3, 1, 2, 1], 1, ["3", "target", "2", "target"]),
        ([3, 1, 2, 1], "1", ["3", "target", "2", "target"]),
        ([3.0, 1.0, 1.5], 1, ["3", "target", "1.5"]),
        ([True, False, True], True, ["target", "False", "target"]),
        (LABELS, ["FR", "IT"], ["target", "DE", "target", "target"]),
        (["target", "a"], "target", ["target", "a"]),
    ],
)
def test_labels_of_any_kind(column, labels, target, expected):
    assert as_sample_domain(column(labels), target=target).tolist() == expected


def test_labels_are_left_as_they_were():
    labels = np.array(LABELS)
    as_sample_domain(labels, target="FR")[0] = "x"
    assert labels.tolist() == LABELS


@pytest.mark.parametrize(
    ("labels", "target", "message"),
    [
        (LABELS, "FRA", "target 'FRA' is not among the labels; did you mean 'FR'? They are 'FR', "),
        (LABELS, ["FR", "XX"], "target 'XX' is not among the labels. They are 'FR', 'DE', 'IT'."),
        (LABELS, [], "target is an empty list; expected the label of the target rows."),
        (range(30), 99, "'8', '9' and 20 more."),
        (["a", None, "b"], "a", "labels has 1 missing values among 3"),
        ([1.0, np.nan, np.nan], 1, "labels has 2 missing values among 3"),
        (pd.Series(["a", pd.NA], dtype="string"), "a", "labels has 1 missing values"),
        (pd.Series(["a", None], dtype="category"), "a", "labels has 1 missing values"),
        (pl.Series(["a", None]), "a", "labels has 1 missing values"),
        (pd.to_datetime(pd.Series(["2020-01-01", None])), "a", "labels has 1 missing values"),
        (["target", "FR"], "FR", "has a source that is itself called 'target' while the target is"),
        ("FR", "FR", "labels is a str; expected one column"),
        (pd.DataFrame({"a": LABELS}), "FR", "labels is a DataFrame; expected one column"),
        (np.array([LABELS]), "FR", "labels is a ndarray; expected one column"),
    ],
)
def test_as_sample_domain_refuses(labels, target, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        as_sample_domain(labels, target=target)


# split_domains -------------------------------------------------------------------------


def as_lists(split):
    target_rows, source_rows = split
    assert target_rows.dtype == np.int64
    assert all(rows.dtype == np.int64 for rows in source_rows.values())
    return target_rows.tolist(), [(name, rows.tolist()) for name, rows in source_rows.items()]


@pytest.mark.parametrize("column", [list, tuple, np.array, pd.Series, pl.Series])
@pytest.mark.parametrize(
    ("labels", "target_rows", "source_rows"),
    [
        ([-1, 10, 2, -7, 10, 0], [0, 3], [("0", [5]), ("2", [2]), ("10", [1, 4])]),
        ([-1.0, 10.0, 2.0], [0], [("2", [2]), ("10", [1])]),
        (["b", "target", "a", "b"], [1], [("a", [2]), ("b", [0, 3])]),
        (["10", "target", "2"], [1], [("10", [0]), ("2", [2])]),
        (["target", "target"], [0, 1], []),
    ],
)
def test_rows_of_every_domain(column, labels, target_rows, source_rows):
    assert as_lists(split_domains(column(labels), len(labels))) == (target_rows, source_rows)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([-1, 3], dtype=np.int8),
        np.array([-1, 3], dtype=object),
        [np.int64(-1), 3],
        pd.Series([-1, 3], dtype="Int64"),
        pd.Series([-1, 3], dtype="category"),
    ],
)
def test_integers_of_any_width(labels):
    assert as_lists(split_domains(labels, 2)) == ([0], [("3", [1])])


def test_no_labels_are_target_rows():
    assert as_lists(split_domains(None, 3)) == ([0, 1, 2], [])


def test_labels_from_as_sample_domain_are_understood(rng):
    labels = rng.integers(0, 5, size=1000)
    target_rows, source_rows = split_domains(as_sample_domain(labels, target=3), 1000)
    assert_array_equal(target_rows, np.flatnonzero(labels == 3))
    for name, rows in source_rows.items():
        assert_array_equal(rows, np.flatnonzero(labels == int(name)))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            [0, 1, 1],
            "sample_domain has no target row; it holds 0, 1. Target rows are marked by the",
        ),
        (["FR", "DE", "FR"], "it holds 'DE', 'FR'. Target rows are marked by the string 'target'"),
        (np.array([0, 1, 2], dtype=np.uint8), "sample_domain has no target row"),
        ([-1, 0], "sample_domain has 2 labels but X has 3 rows"),
        ([[-1], [0], [0]], "sample_domain has shape (3, 1); expected one label per row: (3,)"),
        ([-1, "a", 0], "sample_domain holds labels of type 'int', 'str'"),
        ([-1, 0.5, 0], "sample_domain holds 0.5, which is no integer"),
        ([-1, np.nan, 0], "sample_domain has 1 missing labels"),
        (np.array([-1, np.nan, np.inf]), "sample_domain has 2 missing labels"),
        (["target", None, "a"], "sample_domain has 1 missing labels"),
        (pd.Series(["target", pd.NA, "a"], dtype="string"), "sample_domain has 1 missing labels"),
        ([True, False, True], "sample_domain holds labels of type 'bool'"),
        (np.array([True, False, True]), "sample_domain holds labels of type bool"),
    ],
)
def test_split_domains_refuses(labels, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        split_domains(labels, 3)
    assert (
        "as_sample_domain(labels, target=...)" in str(caught.value)
        or "has shape" in message
        or ("has 2 labels" in message)
    )


# stack_domains -------------------------------------------------------------------------


def pair(n, offset=0.0, columns="abc"):
    X = np.arange(n * len(columns), dtype=float).reshape(n, -1) + offset
    return X, X[:, 0].copy()


KINDS = {
    "numpy": lambda X, y: (X, y),
    "pandas": lambda X, y: (pd.DataFrame(X, columns=list("abc")), pd.Series(y, name="y")),
    "polars": lambda X, y: (pl.DataFrame(X, schema=list("abc")), pl.Series("y", y)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_stacked_in_the_kind_they_came_in(kind):
    target, de, it = (KINDS[kind](*pair(n, 100 * n)) for n in (2, 3, 1))
    X, y, domain = stack_domains(target, {"DE": de, 7: it})
    assert type(X) is type(target[0])
    assert type(y) is type(target[1])
    assert domain.tolist() == ["target"] * 2 + ["DE"] * 3 + ["7"]
    target_rows, source_rows = split_domains(domain, len(y))
    for rows, (Xk, yk) in ((target_rows, target), (source_rows["DE"], de), (source_rows["7"], it)):
        assert_array_equal(np.asarray(X)[rows], np.asarray(Xk))
        assert_array_equal(np.asarray(y)[rows], np.asarray(yk))


def test_stacked_frames_are_numbered_anew_and_keep_integers():
    X = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    stacked, y, _ = stack_domains((X, [1, 2]), {"s": (X, [3, 4])})
    assert stacked.index.tolist() == [0, 1, 2, 3]
    assert stacked.dtypes.tolist() == X.dtypes.tolist()
    assert y.dtype == np.array([1]).dtype


def test_polars_columns_take_their_common_type():
    whole, part = pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [0.5]})
    X, y, _ = stack_domains((whole, pl.Series("y", [1])), {"s": (part, pl.Series("z", [2.5]))})
    assert X["a"].to_list() == [1, 0.5]
    assert y.to_list() == [1, 2.5]


def test_no_sources_are_the_target():
    X, _, domain = stack_domains(pair(2), {})
    assert_array_equal(X, pair(2)[0])
    assert domain.tolist() == ["target", "target"]


def frames(*columns):
    return [(pd.DataFrame(np.eye(len(c)), columns=list(c)), np.ones(len(c))) for c in columns]


@pytest.mark.parametrize(
    ("sources", "error", "message"),
    [
        ([pair(2)], TypeError, "sources is a list; expected a mapping"),
        ({"DE": pair(2)[0]}, TypeError, "sources['DE'] is a ndarray; expected a pair (X, y)"),
        ({"DE": (pair(2)[0], [1.0])}, ValueError, "sources['DE'] has 2 rows in X but 1 in y"),
        (
            {"DE": pair(2, columns="ab")},
            ValueError,
            "sources['DE'][0] has 2 columns but target[0] has",
        ),
        ({"target": pair(2)}, ValueError, "sources has a source called 'target'"),
        ({1: pair(2), "1": pair(2)}, ValueError, "several names that are spelled '1'"),
        (
            {"DE": KINDS["pandas"](*pair(2))},
            TypeError,
            "sources['DE'][0] is a 2-dimensional DataFrame",
        ),
        ({"DE": (pair(2)[0], np.ones((2, 1)))}, TypeError, "sources['DE'][1] is a 2-dimensional"),
    ],
)
def test_stack_domains_refuses(sources, error, message):
    with pytest.raises(error, match=re.escape(message)):
        stack_domains(pair(2), sources)


def test_columns_are_compared_by_name():
    abc, abd, acb = frames("abc", "abd", "acb")
    with pytest.raises(ValueError, match="it lacks 'c' and it also has 'd'"):
        stack_domains(abc, {"s": abd})
    with pytest.raises(ValueError, match="they are the same, in another order"):
        stack_domains(abc, {"s": acb})


# SourceModel ---------------------------------------------------------------------------


def test_source_model_of_one_target():
    m = SourceModel([1, 2], 3, n_samples=10, covariance=np.eye(2), noise_variance=0.5)
    assert (m.n_features, m.n_targets, m.intercept, m.noise_variance) == (2, 1, 3.0, 0.5)
    assert m.coef.dtype == np.float64


def test_source_model_of_two_targets():
    m = SourceModel(np.ones((2, 3)), [1, 2], noise_variance=0.5, feature_names=list("abc"))
    assert (m.n_features, m.n_targets, m.feature_names) == (3, 2, ("a", "b", "c"))
    assert_array_equal(m.intercept, [1, 2])
    assert_array_equal(m.noise_variance, [0.5, 0.5])
    assert repr(m) == "SourceModel(n_features=3, n_targets=2, n_samples=None)"


def test_source_model_is_immutable_and_its_own_clone():
    coef = np.ones(2)
    m = SourceModel(coef, covariance=np.eye(2))
    coef[0] = 7
    for model in (m, pickle.loads(pickle.dumps(m))):
        assert model.coef[0] == 1
        for array in (model.coef, model.covariance):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        m.coef = coef
    assert clone({"a": m}, safe=False)["a"] is m


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coef": 1.0}, "coef has shape (); expected (n_features,) or (n_targets, n_features)"),
        ({"coef": []}, "coef has shape (0,)"),
        ({"coef": [1, np.nan]}, "coef holds NaN or infinity"),
        ({"intercept": [1, 2]}, "intercept has shape (2,); expected a number or shape ()"),
        ({"intercept": np.inf}, "intercept holds NaN or infinity"),
        ({"n_samples": 0}, "n_samples is 0; expected a number of rows, or None"),
        ({"n_samples": 1.5}, "n_samples is 1.5"),
        ({"covariance": np.eye(3)}, "covariance has shape (3, 3); expected (2, 2)"),
        ({"covariance": [[1, 0.5], [0, 1]]}, "covariance is not symmetric"),
        ({"covariance": [[1, 2], [2, 1]]}, "covariance has a negative eigenvalue"),
        ({"coef": np.ones((2, 2)), "covariance": np.eye(2)}, "coef has 2 targets"),
        ({"noise_variance": 0.0}, "noise_variance is 0.0; expected positive numbers, or None"),
        ({"noise_variance": -1}, "noise_variance is -1"),
        ({"feature_names": "a"}, "feature_names has 1 names but coef has 2 features"),
    ],
)
def test_source_model_refuses(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SourceModel(**({"coef": [1.0, 2.0]} | arguments))


# check_sources -------------------------------------------------------------------------


@pytest.fixture
def rows(rng):
    X = rng.normal(size=(60, 4)) * [1, 10, 0.1, 3] + [0, 100, 0, -5]
    return X, X @ [1.0, -0.1, 3.0, 0.5] + rng.normal(size=60) + 7


def test_no_sources():
    assert check_sources(None, np.ones((2, 3)), n_targets=1) == {}
    assert check_sources({}, np.ones((2, 3)), n_targets=1) == {}


def test_moments_and_models_pass_as_they_are(rows):
    X, y = rows
    sources = {"b": Moments.from_data(X, y), 1: SourceModel(np.ones(4))}
    checked = check_sources(sources, X, n_targets=1)
    assert list(checked) == ["b", "1"]
    assert checked["b"] is sources["b"]
    assert checked["1"] is sources[1]


LINEAR = [
    LinearRegression(),
    Ridge(fit_intercept=False),
    ElasticNet(alpha=0.1),
    PLSRegression(2),
    SVR(kernel="linear", max_iter=1000),
    make_pipeline(StandardScaler(), Ridge()),
    TransformedTargetRegressor(Ridge(), transformer=StandardScaler()),
    GridSearchCV(Ridge(), {"alpha": [1, 10]}, cv=2),
]


@pytest.mark.filterwarnings("ignore:Solver terminated early")
@pytest.mark.parametrize("model", LINEAR, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("frame", [False, True])
def test_frozen_linear_models_become_their_coefficients(rows, model, frame):
    X, y = rows
    table = pd.DataFrame(X, columns=list("abcd")) if frame else X
    frozen = FrozenEstimator(clone(model).fit(table, y))
    found = check_sources({"s": frozen}, X, n_targets=1)["s"]
    assert found.coef.shape == (4,)
    assert found.n_samples is None
    assert found.feature_names == (("a", "b", "c", "d") if frame else None)
    assert_allclose(X @ found.coef + found.intercept, frozen.predict(table).ravel(), rtol=1e-8)


@pytest.mark.parametrize("model", [LinearRegression(), PLSRegression(2), LINEAR[5]])
def test_frozen_models_of_two_targets(rows, model):
    X, y = rows
    frozen = FrozenEstimator(clone(model).fit(X, np.c_[y, -2 * y]))
    found = check_sources({"s": frozen}, X, n_targets=2)["s"]
    assert_allclose(X @ found.coef.T + found.intercept, frozen.predict(X), rtol=1e-8)


def test_stated_coefficients_are_taken_to_the_last_bit(rows):
    model = Ridge().fit(*rows)
    found = check_sources({"s": FrozenEstimator(model)}, rows[0], n_targets=1)["s"]
    assert_array_equal(found.coef, model.coef_)
    assert found.intercept == model.intercept_


def test_frozen_model_and_one_target_row(rows):
    model = LINEAR[5].fit(*rows)
    found = check_sources({"s": FrozenEstimator(model)}, rows[0][:1], n_targets=1)["s"]
    assert_allclose(rows[0] @ found.coef + found.intercept, model.predict(rows[0]), rtol=1e-8)


@pytest.mark.parametrize(
    "model",
    [
        RandomForestRegressor(3, random_state=0),
        KNeighborsRegressor(),
        PoissonRegressor(alpha=100),
        make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge()),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.parametrize("n_target", [1, 60])
def test_models_that_are_not_linear_are_refused(rows, model, n_target):
    X, y = rows
    frozen = FrozenEstimator(clone(model).fit(X, y - y.min()))
    message = rf"sources\['s'\] holds a {type(model).__name__} whose prediction is not linear in X"
    with pytest.raises(ValueError, match=message):
        check_sources({"s": frozen}, X[:n_target], n_targets=1)


class Duck:
    """Not a scikit-learn estimator, but clone would not know either."""

    def fit(self, X, y): ...
    def predict(self, X): ...


class Unusual(RegressorMixin, BaseEstimator):
    def fit(self, X, y): ...
    def predict(self, X): ...


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            LinearRegression(),
            "sources['DE'] is a LinearRegression; scikit-learn's clone would unfit it. Wrap it: "
            "FrozenEstimator(model).",
        ),
        (ElasticNet(), "sources['DE'] is an ElasticNet; scikit-learn's clone"),
        (Unusual(), "sources['DE'] is an Unusual; scikit-learn's clone"),
        (Duck(), "sources['DE'] is a Duck; scikit-learn's clone"),
        (
            (np.ones((3, 4)), np.ones(3)),
            "sources['DE'] is a pair (X, y). Rows are data, not a param",
        ),
        (
            np.ones(4),
            "sources['DE'] is a ndarray; expected Moments, a SourceModel or a FrozenEstimator "
            "holding a fitted linear model.",
        ),
        (LinearRegression, "sources['DE'] is the class LinearRegression; expected Moments"),
    ],
)
def test_other_sources_are_refused(rows, source, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        check_sources({"DE": source}, rows[0], n_targets=1)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([(np.ones((3, 4)), np.ones(3))], "sources is a list of (X, y) pairs. Rows are data, not"),
        ([SourceModel(np.ones(4))], "sources is a list; expected a mapping from names to sources"),
        (SourceModel(np.ones(4)), "sources is a SourceModel; expected a mapping"),
    ],
)
def test_sources_without_names_are_refused(rows, sources, message):
    with pytest.raises(TypeError, match=re.escape(message)) as caught:
        check_sources(sources, rows[0], n_targets=1)
    assert ("stack_domains" in str(caught.value)) == ("pairs" in message)


def test_names_must_differ(rows):
    m = SourceModel(np.ones(4))
    with pytest.raises(ValueError, match="several names that are spelled '1'"):
        check_sources({1: m, "1": m}, rows[0], n_targets=1)
    with pytest.raises(ValueError, match="a source called 'target'"):
        check_sources({"target": m}, rows[0], n_targets=1)


def test_an_unfitted_model_is_refused(rows):
    message = (
        r"sources\['DE'\] holds a Ridge that is not fitted; fit it first: FrozenEstimator\(model"
    )
    with pytest.raises(NotFittedError, match=message):
        check_sources({"DE": FrozenEstimator(Ridge())}, rows[0], n_targets=1)


def test_classifiers_are_refused(rows):
    model = LogisticRegression().fit(rows[0], rows[1] > np.median(rows[1]))
    with pytest.raises(TypeError, match="holds a LogisticRegression; only regressors"):
        check_sources({"DE": FrozenEstimator(model)}, rows[0], n_targets=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda X, y: Moments.from_data(X, y),
        lambda X, y: SourceModel(np.ones(X.shape[1])),
        lambda X, y: FrozenEstimator(LinearRegression().fit(X, y)),
    ],
    ids=["moments", "model", "frozen"],
)
def test_sizes_must_agree(rows, make):
    X, y = rows
    message = (
        r"sources\['DE'\] has 3 features but X has 4; fit the source on the same columns, or "
        r"select them first\."
    )
    with pytest.raises(ValueError, match=message):
        check_sources({"DE": make(X[:, :3], y)}, X, n_targets=1)
    with pytest.raises(ValueError, match=r"sources\['DE'\] has 1 targets but y has 2"):
        check_sources({"DE": make(X, y)}, X, n_targets=2)


@pytest.mark.parametrize(
    "make",
    [
        lambda X, y: Moments.from_data(X, y),
        lambda X, y: SourceModel(np.ones(X.shape[1]), feature_names=X.columns),
        lambda X, y: FrozenEstimator(LinearRegression().fit(X, y)),
    ],
    ids=["moments", "model", "frozen"],
)
@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("abce", "other columns than X: it lacks 'd' and it also has 'e'. Select the same columns"),
        ("abcde", "it also has 'e'"),
        ("abc", "it lacks 'd'"),
        ("abdc", "they are the same, in another order"),
    ],
)
def test_feature_names_must_agree(rng, rows, make, names, message):
    X = pd.DataFrame(rng.normal(size=(60, len(names))), columns=list(names))
    with pytest.raises(ValueError, match=message):
        check_sources({"DE": make(X, rows[1])}, rows[0], n_targets=1, feature_names=list("abcd"))


def test_other_units_warn(rows):
    X, y = rows
    source = Moments.from_data(pd.DataFrame(X * [1, 1000, 1, 1e-3], columns=list("abcd")), y)
    message = (
        r"sources\['DE'\] seems to be in other units than X: .* column 'b' \(factor 1e\+03\), "
        r"'d' \(factor 0\.001\)\. .* Moments\.rescale\(shift, scale\)"
    )
    with pytest.warns(UnitsWarning, match=message):
        check_sources({"DE": source}, X, n_targets=1)


def test_a_pipeline_that_scales_what_was_scaled_warns(rows):
    X, y = rows
    raw = X * [1, 1, 5000, 1]
    source = FrozenEstimator(make_pipeline(StandardScaler(), Ridge()).fit(raw, y))
    message = (
        r"sources\['DE'\] holds a pipeline whose StandardScaler knows other units .* column 2 "
        r"differ by a factor of [45]\d\d\. If X was scaled already"
    )
    with pytest.warns(UnitsWarning, match=message):
        check_sources({"DE": source}, StandardScaler().fit_transform(raw), n_targets=1)
    table = pd.DataFrame(raw, columns=list("abcd"))
    named = FrozenEstimator(make_pipeline(StandardScaler(), Ridge()).fit(table, y))
    with pytest.warns(UnitsWarning, match="column 'c' differ"):
        check_sources({"DE": named}, StandardScaler().fit_transform(raw), n_targets=1)


@pytest.mark.parametrize("scaler", [StandardScaler(), StandardScaler(with_std=False)])
def test_a_pipeline_in_the_units_of_X_does_not_warn(rows, scaler):
    X, y = rows
    raw = np.c_[X[:, :3] * [1, 500, 1], np.full(60, 0.1)]
    source = FrozenEstimator(make_pipeline(scaler, Ridge()).fit(raw, y))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_sources({"DE": source}, raw, n_targets=1)
        check_sources({"DE": source}, raw * 0.1, n_targets=1)


def test_many_columns_in_other_units_are_counted(rng):
    X, y = rng.normal(size=(30, 6)), rng.normal(size=30)
    with pytest.warns(UnitsWarning, match=r"column 0 \(factor 1e\+03\), 1 .*, 2 .* and 3 more\. "):
        check_sources({"DE": Moments.from_data(1e3 * X, y)}, X, n_targets=1)


def test_a_table_in_other_units_warns(rng):
    """No column by a factor of 100, but half of them elsewhere: raw moments, standardised rows."""
    patients = load_diabetes(scaled=False)
    own, others = patients.data[:100], Moments.from_data(patients.data[100:], rng.normal(size=342))
    scaler = StandardScaler().fit(own)
    message = (
        r"the means of half of the columns differ by 4\.\d standard deviations or more, and the "
        r"standard deviations of half by a factor of \d+ or more\. Bring it to the units of X"
    )
    with pytest.warns(UnitsWarning, match=message):
        check_sources({"DE": others}, scaler.transform(own), n_targets=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_sources({"DE": others.rescale(scaler.mean_, scaler.scale_)},
                      scaler.transform(own), n_targets=1)  # fmt: skip


def test_other_means_or_a_few_odd_columns_are_no_other_units(rng):
    X, y = rng.normal(size=(30, 6)), rng.normal(size=30)
    shifted, wider = X + 50, 5 * X
    some = np.c_[10 + 3 * X[:, :2], X[:, 2:]]
    few = 10 + 3 * X[:, :4]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for each in (shifted, wider, some):
            check_sources({"DE": Moments.from_data(each, y)}, X, n_targets=1)
        check_sources({"DE": Moments.from_data(few, y)}, X[:, :4], n_targets=1)


def test_rescaled_sources_and_constant_columns_do_not_warn(rows):
    X, y = rows
    scaler = StandardScaler().fit(X)
    raw = Moments.from_data(X, y).rescale(scaler.mean_, scaler.scale_)
    constant = np.c_[X[:, :3], np.full(60, 0.1)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_sources({"DE": raw}, scaler.transform(X), n_targets=1)
        check_sources({"DE": Moments.from_data(X, y)}, constant, n_targets=1)
        check_sources({"DE": Moments.from_data(constant, y)}, X, n_targets=1)
        check_sources({"DE": Moments.from_data(50 * X, y)}, X, n_targets=1)


# Forms that estimators take -----------------------------------------------------------------


def test_every_public_estimator_declares_the_forms_it_takes():
    public = {each for each in map(skt.__dict__.get, skt.__all__) if hasattr(each, "fit")}
    for cls in public:
        assert set(cls.takes) <= FORMS.keys()
    assert takers_of("rows") == sorted(cls.__name__ for cls in public if "rows" in cls.takes)
    assert takers_of("moments") == ["L2SPRidge", "SMARTRegressor", "UOWQRegressor"]
    assert takers_of("model") == [
        "L2SPClassifier", "L2SPRidge", "SMARTRegressor",
        "UOWQClassifier", "UOWQPoissonRegressor", "UOWQRegressor",
    ]  # fmt: skip
    for cls in (skt.SourceSampled, skt.SourceWeighted, skt.OTQMSSampler):
        assert cls.takes == ("rows",)


def test_a_form_that_is_not_taken_names_who_takes_it():
    X, y = np.eye(4), np.array([0, 1, 0, 1])
    known = {"a": Moments.from_data(X, y)}
    message = r"sources\['a'\] comes as Moments, .*L2SPRidge or SMARTRegressor or UOWQRegressor"
    with pytest.raises(TypeError, match=message):
        skt.L2SPClassifier(sources=known).fit(X, y)
