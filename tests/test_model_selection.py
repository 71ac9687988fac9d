import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneOut,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import validate_data

from skt import UOWQRegressor
from skt.model_selection import TargetCV
from skt.model_selection.trial import LabelledRows, can_be_tried, left_out, whole
from skt.sources import split_domains


class PooledRidge(RegressorMixin, BaseEstimator):
    """Ridge with source rows weighted; remembers what it was fitted on."""

    __metadata_request__fit = {"sample_domain": True}

    def __init__(self, source_weight=1.0):
        self.source_weight = source_weight

    def fit(self, X, y, sample_domain=None):
        X, y = validate_data(self, X, y)
        target_rows, _ = split_domains(sample_domain, len(X))
        self.n_target_ = len(target_rows)
        weight = np.full(len(X), self.source_weight)
        weight[target_rows] = 1.0
        self.ridge_ = Ridge().fit(X, y, sample_weight=weight)
        return self

    def predict(self, X):
        return self.ridge_.predict(X)


@pytest.fixture
def stacked(rng):
    """Sources of opposite slope: whoever scores source rows chooses the wrong weight."""
    domain = np.array(["target", "DE", "FR"])[rng.permutation(np.repeat([0, 1, 2], [30, 60, 60]))]
    X = rng.normal(size=(150, 2))
    y = np.where(domain == "target", 1, -1) * X[:, 0] + 0.1 * rng.normal(size=150)
    return X, y, domain


GRID = [0.0, 1.0, 100.0]


@pytest.mark.parametrize("cv", [5, None, KFold(5), ShuffleSplit(3, random_state=0), LeaveOneOut()])
def test_sources_train_and_only_the_target_validates(stacked, cv):
    X, y, domain = stacked
    target, sources = np.flatnonzero(domain == "target"), np.flatnonzero(domain != "target")
    splits = list(TargetCV(cv).split(X, y, sample_domain=domain))
    inner = list((KFold(5) if cv in (5, None) else cv).split(np.zeros((30, 1))))
    assert len(splits) == len(inner)
    for (train, test), (inner_train, inner_test) in zip(splits, inner, strict=True):
        assert_array_equal(test, target[inner_test])
        assert_array_equal(train, np.sort(np.r_[sources, target[inner_train]]))


def test_the_inner_splitter_sees_the_target_rows_only(stacked):
    X, y, domain = stacked
    target = domain == "target"
    seen = []

    class Spy(GroupKFold):
        def split(self, X, y=None, groups=None):
            seen.append((X, y, groups))
            return super().split(X, y, groups)

    groups = np.arange(150)
    list(TargetCV(Spy(3)).split(X, y, groups, sample_domain=domain))
    for given, all_rows in zip(seen[0], (X, y, groups), strict=True):
        assert_array_equal(given, all_rows[target])


@pytest.mark.parametrize("table", [pd.DataFrame, pl.DataFrame])
def test_tables_and_lists(stacked, table):
    X, y, domain = stacked
    expected = list(TargetCV(3).split(X, y, sample_domain=domain))
    found = list(TargetCV(3).split(table(X), y.tolist(), sample_domain=domain.tolist()))
    for (train, test), (wanted_train, wanted_test) in zip(found, expected, strict=True):
        assert_array_equal(train, wanted_train)
        assert_array_equal(test, wanted_test)


def test_groups_and_classes_stay_whole(stacked):
    X, _, domain = stacked
    groups = np.arange(150) % 7
    for train, test in TargetCV(GroupKFold(3)).split(X, None, groups, sample_domain=domain):
        mine = train[domain[train] == "target"]
        assert not set(groups[mine]) & set(groups[test])
    classes = (np.cumsum(domain == "target") % 3 == 0).astype(int)
    for _, test in TargetCV(StratifiedKFold(5)).split(X, classes, sample_domain=domain):
        assert classes[test].sum() == 2


def test_splits_of_an_iterator_can_be_used_again(stacked):
    X, y, domain = stacked
    cv = TargetCV(iter(KFold(3).split(np.zeros(30))))
    first, second = (list(cv.split(X, y, sample_domain=domain)) for _ in range(2))
    assert len(first) == len(second) == cv.get_n_splits() == 3


def test_number_of_splits(stacked):
    X, y, domain = stacked
    assert TargetCV(4).get_n_splits() == 4
    assert TargetCV(4).get_n_splits(X, y, sample_domain=domain) == 4
    assert TargetCV(LeaveOneOut()).get_n_splits(X, y, sample_domain=domain) == 30


def test_repr():
    assert repr(TargetCV(3)) == "TargetCV(cv=3)"


def test_errors(stacked):
    X, y, domain = stacked
    with pytest.raises(ValueError, match=r"Expected `?cv`? as an integer"):
        TargetCV("five")
    with pytest.raises(ValueError, match="cv gives row 119 but the target has 30 rows"):
        list(TargetCV([(np.arange(100), np.arange(100, 120))]).split(X, y, sample_domain=domain))
    with pytest.raises(ValueError, match="sample_domain has no target row"):
        list(TargetCV().split(X, y, sample_domain=np.zeros(150, dtype=int)))


# Inside scikit-learn -------------------------------------------------------------------


def search_with_routing(estimator, grid, stacked):
    X, y, domain = stacked
    with sklearn.config_context(enable_metadata_routing=True):
        return GridSearchCV(estimator, grid, cv=TargetCV(5)).fit(X, y, sample_domain=domain)


def search_without_routing(estimator, grid, stacked, prefix=""):
    X, y, domain = stacked
    cv = list(TargetCV(5).split(X, y, sample_domain=domain))
    return GridSearchCV(estimator, grid, cv=cv).fit(X, y, **{f"{prefix}sample_domain": domain})


def test_grid_search_with_routing_on_and_off(stacked):
    grid = {"source_weight": GRID}
    on = search_with_routing(PooledRidge(), grid, stacked)
    off = search_without_routing(PooledRidge(), grid, stacked)
    assert_array_equal(on.cv_results_["mean_test_score"], off.cv_results_["mean_test_score"])
    assert on.best_params_ == off.best_params_ == {"source_weight": 0.0}
    assert on.best_estimator_.n_target_ == 30


def test_folds_of_all_rows_would_choose_for_the_sources(stacked):
    """The test above can fail: with ordinary folds the sources are what is scored."""
    X, y, domain = stacked
    search = GridSearchCV(PooledRidge(), {"source_weight": GRID}, cv=KFold(5))
    assert search.fit(X, y, sample_domain=domain).best_params_["source_weight"] > 0


def test_pipeline_in_grid_search_with_routing_on_and_off(stacked):
    pipeline = make_pipeline(StandardScaler(), PooledRidge())
    grid = {"pooledridge__source_weight": GRID}
    on = search_with_routing(pipeline, grid, stacked)
    off = search_without_routing(pipeline, grid, stacked, prefix="pooledridge__")
    assert_array_equal(on.cv_results_["mean_test_score"], off.cv_results_["mean_test_score"])
    assert on.best_params_ == {"pooledridge__source_weight": 0.0}


def test_cross_val_score_with_routing(stacked):
    X, y, domain = stacked
    with sklearn.config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            PooledRidge(0.0), X, y, cv=TargetCV(4), params={"sample_domain": domain}
        )
    assert scores.shape == (4,)
    assert scores.min() > 0.9


def test_groups_are_routed_too(stacked):
    X, y, domain = stacked
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(PooledRidge(), {"source_weight": GRID}, cv=TargetCV(GroupKFold(3)))
        search.fit(X, y, sample_domain=domain, groups=np.arange(150) % 7)
    assert search.n_splits_ == 3


REMEDY = (
    r"cv=list\(TargetCV\(5\)\.split\(X, y, sample_domain=d\)\).*"
    r"sklearn\.set_config\(enable_metadata_routing=True\)"
)


def test_a_forgotten_setting_is_an_error_that_says_what_to_write(stacked):
    X, y, domain = stacked
    with pytest.raises(ValueError, match=REMEDY):
        list(TargetCV().split(X, y))
    with pytest.raises(ValueError, match=REMEDY):
        TargetCV().get_n_splits(X, y)
    with sklearn.config_context(enable_metadata_routing=False):
        search = GridSearchCV(PooledRidge(), {"source_weight": GRID}, cv=TargetCV(5))
        with pytest.raises(ValueError, match=REMEDY):
            search.fit(X, y, sample_domain=domain)


def test_configuration_is_left_alone(stacked):
    before = sklearn.get_config()
    list(TargetCV().split(*stacked[:2], sample_domain=stacked[2]))
    assert sklearn.get_config() == before


# Candidates tried on left-out target rows ---------------------------------------------------


def tried(stacked, estimators, **kw):
    X, y, domain = stacked
    data = LabelledRows(X, y, domain, kw.get("weight"))
    target, _ = split_domains(domain, len(X))
    return left_out(whole(estimators), data, target, KFold(5)), target


def test_whole_estimators_are_tried_on_rows_left_out(stacked):
    """Losses are those of TargetCV done by hand, in units of the target's variance."""
    X, y, domain = stacked
    estimators = {"alone": PooledRidge(0.0), "pooled": PooledRidge(1.0)}
    found, target = tried(stacked, estimators)
    for name, model in estimators.items():
        parts = [
            (y[test] - model.fit(X[rest], y[rest], domain[rest]).predict(X[test])) ** 2
            for rest, test in TargetCV(KFold(5)).split(X, y, sample_domain=domain)
        ]
        assert_allclose(found.losses[name], np.concatenate(parts) / np.var(y[target]))
    assert_array_equal(found.weight, np.ones(len(target)))


def test_the_judged_candidate_stays_unless_a_rival_passes_its_threshold(stacked):
    found, _ = tried(stacked, {"pooled": PooledRidge(1.0), "alone": PooledRidge(0.0)})
    gain = found.losses["pooled"] - found.losses["alone"]
    errors = gain.mean() / (gain.std(ddof=1) / np.sqrt(len(gain)))
    rival, judged = ("alone", "pooled") if errors > 0 else ("pooled", "alone")
    assert found.best(judged, {rival: 0.99 * abs(errors)}) == rival
    assert found.best(judged, {rival: 1.01 * abs(errors)}) == judged
    assert found.best(judged, {"not tried": 0.0}) == judged
    assert found.best(judged, {}) == judged


def test_weights_reach_whole_estimators_and_the_mean(stacked):
    weight = np.ones(len(stacked[0]))
    weight[::3] = 3.0
    unweighted, target = tried(stacked, {"alone": PooledRidge(0.0)})
    found, _ = tried(stacked, {"alone": UOWQRegressor()}, weight=weight)
    assert_array_equal(np.sort(found.weight), np.sort(weight[target]))
    loss = found.losses["alone"]
    assert found.means["alone"] == pytest.approx(np.average(loss, weights=found.weight))
    assert len(loss) == len(unweighted.losses["alone"])


@pytest.mark.parametrize(("rows", "classes", "can"), [(3, False, False), (4, False, True)])
def test_few_rows_cannot_be_tried(stacked, rows, classes, can):
    X, y, domain = stacked
    target, _ = split_domains(domain, len(X))
    data = LabelledRows(X, y, domain, None)
    assert can_be_tried(data, target[:rows], classes=classes) is can
    one = LabelledRows(X, np.full(len(y), "a"), domain, None)
    assert not can_be_tried(one, target, classes=True)
