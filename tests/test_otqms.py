import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeCV,
)
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from skt import OTQMSSampler, SourceSampled, SourceWeighted, TargetCV, stack_domains
from skt.estimators.chosen_rows import BETTER
from skt.model_selection.trial import LeftOut

P = 8


def rows(rng, n, beta, kind="number"):
    X = rng.normal(size=(n, len(beta)))
    eta = X @ beta + 0.5
    if kind == "number":
        return X, eta + rng.normal(size=n)
    if kind == "count":
        return X, rng.poisson(np.exp(eta / 2)).astype(float)
    return X, np.where(eta + rng.logistic(size=n) > 0.5, "yes", "no")


def domains(rng, kind="number", n=40):
    """A target, a source like it and one that is its opposite."""
    beta = np.linspace(-1, 1, P)
    sources = {"far": rows(rng, 200, -beta, kind), "near": rows(rng, 300, beta + 0.02, kind)}
    return stack_domains(rows(rng, n, beta, kind), sources)


# scikit-learn's own checks ------------------------------------------------------------------


@parametrize_with_checks(
    [
        OTQMSSampler(),
        SourceSampled(LinearRegression()),
        SourceSampled(LogisticRegression(), OTQMSSampler(random_state=0)),
        SourceWeighted(Ridge()),
        SourceWeighted(LogisticRegression()),
    ]
)
def test_scikit_learn(estimator, check):
    check(estimator)


# No boosting here: the checks train an estimator with cv= on 45 rows, where boosting itself tells
# a row of weight two from two rows, since its leaves count rows.
@pytest.mark.slow
@parametrize_with_checks(
    [
        OTQMSSampler("linear", discrepancy="plugin", min_samples=0, selection="matched"),
        SourceSampled(Lasso(0.1), refresh=1),
        SourceWeighted(Lasso(0.1)),
    ]
)
def test_scikit_learn_on_more(estimator, check):
    check(estimator)


# The sampler --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["number", "count", "class"])
@pytest.mark.parametrize("selection", ["random", "matched"])
def test_rows_come_from_the_source_that_is_like_the_target(kind, selection):
    X, y, d = domains(np.random.default_rng(5), kind)
    sampler = OTQMSSampler(
        "poisson" if kind == "count" else "auto", selection=selection, random_state=0
    )
    X_new, y_new = sampler.fit_resample(X, y, sample_domain=d)
    assert sampler.source_names_ == ["far", "near"]
    far, near = sampler.transfer_quantities_
    assert near >= 20
    assert near > 5 * far
    assert_array_equal(X_new, X[sampler.sample_indices_])
    assert_array_equal(y_new, y[sampler.sample_indices_])
    taken = d[sampler.sample_indices_]
    assert [np.sum(taken == name) for name in ("target", "far", "near")] == [40, far, near]
    assert len(np.unique(sampler.sample_indices_)) == 40 + far + near
    assert sampler.risk_ < sampler.target_risk_
    assert sampler.family_ == {"number": "linear", "count": "poisson", "class": "logistic"}[kind]


@pytest.mark.parametrize("domain", ["target", -1])
def test_no_sources_leave_the_target_untouched(rng, domain):
    X, y = rows(rng, 30, np.ones(P))
    sampler = OTQMSSampler(budget=5)
    X_new, y_new = sampler.fit_resample(X, y, sample_domain=np.full(30, domain))
    assert_array_equal(X_new, X)
    assert_array_equal(y_new, y)
    assert sampler.transfer_quantities_.shape == (0,)
    assert np.isnan(sampler.risk_)


def test_no_domain_at_all_is_said_to_be_strange(rng):
    X, y = rows(rng, 30, np.ones(P))
    with pytest.warns(UserWarning, match=r"no sample_domain.*enable_metadata_routing"):
        X_new, _ = OTQMSSampler().fit_resample(X, y)
    assert_array_equal(X_new, X)


def test_tables_stay_tables(rng):
    X, y, d = domains(rng)
    table = pd.DataFrame(X, columns=[f"x{j}" for j in range(P)])
    sampler = OTQMSSampler(random_state=0)
    X_new, y_new = sampler.fit_resample(table, pd.Series(y), sample_domain=d)
    assert isinstance(X_new, pd.DataFrame)
    assert isinstance(y_new, pd.Series)
    assert sampler.feature_names_in_.tolist() == list(table)
    plain = OTQMSSampler(random_state=0).fit(X, y, d)
    assert_array_equal(sampler.sample_indices_, plain.sample_indices_)


def test_random_state_determines_the_draw(rng):
    X, y, d = domains(rng)
    one, again, other = (OTQMSSampler(random_state=s).fit(X, y, d) for s in (0, 0, 1))
    assert_array_equal(one.sample_indices_, again.sample_indices_)
    assert not np.array_equal(one.sample_indices_, other.sample_indices_)


def test_missing_values_are_replaced_for_the_comparison_only(rng):
    X, y, d = domains(rng)
    holes = X.copy()
    holes[rng.random(X.shape) < 0.05] = np.nan
    X_new, _ = OTQMSSampler(random_state=0).fit_resample(holes, y, sample_domain=d)
    assert np.isnan(X_new).any()


def test_budget_is_kept(rng):
    X, y, d = domains(rng)
    for budget in (0, 1, 17.5, 60):
        for min_samples in ("auto", 0):
            sampler = OTQMSSampler(budget=budget, min_samples=min_samples, random_state=0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                sampler.fit(X, y, d)
            assert sampler.transfer_quantities_.sum() <= budget


def test_costs_count_and_numpy_names_do(rng):
    X, y, d = domains(rng)
    dear = OTQMSSampler(budget=60, costs={"far": 1, "near": 3.0}, random_state=0).fit(X, y, d)
    assert dear.transfer_quantities_ @ [1, 3] <= 60
    codes = np.select([d == "target", d == "far"], [-1, 0], 1)
    same = OTQMSSampler(budget=60, costs={0: 1, 1: 3.0}, random_state=0).fit(X, y, codes)
    assert_array_equal(same.transfer_quantities_, dear.transfer_quantities_)


def test_constraints(rng):
    X, y, d = domains(rng)
    capped = OTQMSSampler(constraints=lambda m: [m[1] <= 25], random_state=0).fit(X, y, d)
    assert 0 < capped.transfer_quantities_[1] <= 25


def test_a_given_discrepancy_is_used(rng):
    X, y, d = domains(rng)
    M = np.diag([5.0, 0.0])
    sampler = OTQMSSampler(discrepancy=M, min_samples=P, random_state=0).fit(X, y, d)
    assert sampler.transfer_quantities_.tolist() == [0, 300]
    assert_array_equal(sampler.discrepancy_, M)


def test_the_paper_s_programme_warns_of_few_rows_and_leaves_them_out_when_told(rng):
    X, y, d = domains(rng)
    M = np.diag([0.1, 0.15])
    with pytest.warns(UserWarning, match=r"Fewer rows than the 9 coefficients .* min_samples=9"):
        few = OTQMSSampler(discrepancy=M, min_samples=0).fit(X, y, d)
    assert np.all((few.transfer_quantities_ > 0) & (few.transfer_quantities_ < 9))
    none = OTQMSSampler(discrepancy=M, min_samples=9).fit(X, y, d)
    assert none.transfer_quantities_.tolist() == [0, 0]


def test_weights_count_rows(rng):
    X, y, d = domains(rng)
    w = np.where(d == "near", rng.integers(0, 2, size=len(d)), 1.0)
    one = OTQMSSampler(random_state=0).fit(X, y, d, sample_weight=w)
    other = OTQMSSampler(random_state=0).fit(X[w > 0], y[w > 0], d[w > 0])
    assert_array_equal(one.sample_indices_, np.flatnonzero(w > 0)[other.sample_indices_])


@pytest.mark.parametrize("family", ["linear", "poisson"])
def test_several_outcomes(rng, family):
    X, y, d = domains(rng, "count")
    sampler = OTQMSSampler(family, random_state=0).fit(X, np.column_stack([y, y + 1]), d)
    assert sampler.transfer_quantities_[1] > 0


def test_family_of_outcomes(rng):
    X, _, d = domains(rng)
    kinds = {
        "logistic": [rng.integers(0, 3, len(d)), rng.random(len(d)) < 0.5, rng.choice(["a"], 540)],
        "linear": [rng.normal(size=len(d)), rng.integers(0, 100, len(d))],
    }
    kinds["logistic"][2] = np.where(rng.random(len(d)) < 0.5, "a", "b")
    for family, outcomes in kinds.items():
        for y in outcomes:
            assert OTQMSSampler(random_state=0).fit(X, y, d).family_ == family


BAD = {
    "budget below": ({"budget": -1}, ValueError, r"'budget' parameter .* or None. Got -1"),
    "budget above": ({"budget": 501}, ValueError, r"budget is 501 but all source rows .* cost 500"),
    "budget of costs": (
        {"budget": 801, "costs": {"far": 1, "near": 2}},
        ValueError,
        r"together cost 800",
    ),
    "costs missing": ({"costs": {"far": 1}}, ValueError, r"costs lacks 'near'"),
    "costs zero": (
        {"costs": {"far": 0, "near": 1}},
        ValueError,
        r"costs\['far'\] must be a positive number; got 0",
    ),
    "costs list": ({"costs": [1, 2]}, TypeError, r"'costs' parameter .*Mapping.* Got \[1, 2\]"),
    "min_samples": ({"min_samples": -1}, ValueError, r"'min_samples' parameter .* Got -1"),
    "min_samples text": ({"min_samples": "few"}, ValueError, r"'min_samples' parameter .*'auto'"),
    "family": ({"family": "gamma"}, ValueError, r"'family' .*'logistic'.*'gamma'"),
    "selection": ({"selection": "best"}, ValueError, r"'selection' parameter .*'best'"),
    "discrepancy": ({"discrepancy": "sure"}, ValueError, r"'discrepancy' parameter .*'sure'"),
    "discrepancy shape": (
        {"discrepancy": np.eye(3)},
        ValueError,
        r"discrepancy has shape \(3, 3\) but there are 2 sources \(far, near\)",
    ),
    "discrepancy asymmetric": (
        {"discrepancy": [[1, 2], [0, 1]]},
        ValueError,
        r"discrepancy must be finite and symmetric",
    ),
    "discrepancy negative": (
        {"discrepancy": -np.eye(2)},
        ValueError,
        r"discrepancy must be positive semi-definite",
    ),
    "constraints": ({"constraints": [1]}, TypeError, r"'constraints' parameter .* callable"),
    "infeasible": (
        {"constraints": lambda m: [m[0] >= 1e4]},
        ValueError,
        r"No numbers of source rows >= 0 satisfy the constraints",
    ),
    "negative counts": ({"family": "poisson"}, ValueError, r"y must be >= 0 for family='poisson'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_options(rng, name):
    options, error, message = BAD[name]
    X, y, d = domains(rng)
    with pytest.raises(error, match=message):
        OTQMSSampler(**options).fit(X, y, d)


@pytest.mark.parametrize("family", ["poisson", "linear", "logistic"])
@pytest.mark.parametrize("value", [0, 1, 3])
def test_a_target_whose_outcomes_are_all_the_same(rng, family, value):
    X, d = rng.normal(size=(100, 3)), np.repeat(["target", "a"], [20, 80])
    y = np.where(d == "target", value, rng.integers(0, 4, size=100))
    sampler = OTQMSSampler(family, random_state=0).fit(X, y, sample_domain=d)
    assert sampler.risk_ <= sampler.target_risk_ < np.inf
    weighted = SourceWeighted(Ridge(), family=family).fit(X, y, sample_domain=d)
    assert np.isfinite(weighted.source_weights_).all()


@pytest.mark.parametrize("n", [1, 2, 20])
@pytest.mark.parametrize("cls", [OTQMSSampler, SourceSampled, SourceWeighted])
def test_target_rows_that_cannot_tell_the_sources_apart(rng, cls, n):
    X, y, d = domains(rng, n=n)
    if n == 20:
        X[d == "target"] = 1.0
    model = cls() if cls is OTQMSSampler else cls(Ridge())
    few = rf"The target's {n} rows? cannot tell slopes .*; or give discrepancy= what is known"
    with pytest.warns(UserWarning, match=few):
        model.fit(X, y, sample_domain=d)


def test_bad_outcomes(rng):
    X, y, d = domains(rng, "class")
    with pytest.raises(ValueError, match=r"y must be numeric for family='linear'"):
        OTQMSSampler("linear").fit(X, y, d)
    with pytest.raises(ValueError, match=r"y has one class only, 'yes'"):
        OTQMSSampler().fit(X, np.full(len(y), "yes"), d)
    with pytest.raises(ValueError, match=r"y has 2 columns, but family='logistic'"):
        OTQMSSampler("logistic").fit(X, rng.integers(0, 2, (len(y), 2)), d)
    with pytest.raises(TypeError, match=r"list of \(X, y\) pairs"):
        OTQMSSampler().fit([(X, y), (X, y)], y)


# Pipelines of others ------------------------------------------------------------------------


def test_scikit_learn_s_pipeline_refuses_it_and_names_the_remedy(rng):
    X, y, _ = domains(rng)
    pipeline = make_pipeline(StandardScaler(), OTQMSSampler(), Ridge())
    with pytest.raises(TypeError, match=r"SourceSampled\(estimator, sampler\)"):
        pipeline.fit(X, y)
    assert repr(OTQMSSampler()) == "OTQMSSampler()"


def test_imbalanced_learn_s_pipeline(rng):
    reason = "imbalanced-learn is not installed: its Pipeline is not tried"
    imblearn = pytest.importorskip("imblearn.pipeline", reason=reason)
    X, y, d = domains(rng)
    steps = StandardScaler(), OTQMSSampler(random_state=0), Ridge()
    with sklearn.config_context(enable_metadata_routing=True):
        theirs = imblearn.make_pipeline(*steps).fit(X, y, sample_domain=d)
        ours = make_pipeline(steps[0], SourceSampled(steps[2], steps[1]))
        ours.fit(X, y, sample_domain=d)
    assert_allclose(theirs.predict(X), ours.predict(X))
    with pytest.warns(UserWarning, match="no sample_domain"):  # it is lost on the way
        imblearn.make_pipeline(*steps).fit(X, y, otqmssampler__sample_domain=d)


# Estimators on chosen rows ------------------------------------------------------------------

WRAPPERS = [SourceSampled, SourceWeighted]


@pytest.mark.parametrize("cls", WRAPPERS)
@pytest.mark.parametrize("domain", [None, "target"])
def test_no_sources_are_the_estimator(rng, cls, domain):
    X, y = rows(rng, 30, np.ones(P))
    d = None if domain is None else np.full(30, domain)
    w = rng.integers(1, 3, size=30)
    fitted = cls(Ridge()).fit(X, y, sample_domain=d, sample_weight=w)
    assert_array_equal(fitted.estimator_.coef_, Ridge().fit(X, y, sample_weight=w).coef_)
    assert fitted.source_names_ == []
    assert fitted.effective_sample_size_ == 30


def test_without_sources_rows_need_not_be_numbers():
    from sklearn.preprocessing import OneHotEncoder

    table = pd.DataFrame({"a": ["x", "y", "x", "z"]})
    model = make_pipeline(OneHotEncoder(), Ridge())
    assert SourceSampled(model).fit(table, [1.0, 2, 1, 3]).predict(table).shape == (4,)


@pytest.mark.parametrize("cls", WRAPPERS)
@pytest.mark.parametrize("kind", ["number", "class"])
def test_a_useful_source_is_used(cls, kind):
    rng = np.random.default_rng(5)
    inner = Ridge() if kind == "number" else LogisticRegression()
    X, y, d = domains(rng, kind)
    X_test, y_test = rows(rng, 2000, np.linspace(-1, 1, P), kind)
    alone = clone(inner).fit(X[:40], y[:40]).score(X_test, y_test)
    options = [OTQMSSampler(random_state=0)] if cls is SourceSampled else []
    fitted = cls(inner, *options).fit(X, y, sample_domain=d)
    assert fitted.score(X_test, y_test) > alone
    assert fitted.source_weights_[1] > 0.05
    assert fitted.source_weights_[1] > 5 * fitted.source_weights_[0]
    assert fitted.effective_sample_size_ > 45


def test_rows_of_the_sampler_are_what_is_trained_on(rng):
    X, y, d = domains(rng)
    w = rng.uniform(0.5, 2, size=len(y))
    fitted = SourceSampled(Ridge(), OTQMSSampler(random_state=0)).fit(X, y, d, sample_weight=w)
    alone = OTQMSSampler("linear", random_state=0).fit(X, y, d, sample_weight=w)
    rows_ = fitted.sample_indices_
    assert_array_equal(rows_, alone.sample_indices_)
    assert_array_equal(
        fitted.estimator_.coef_, Ridge().fit(X[rows_], y[rows_], sample_weight=w[rows_]).coef_
    )
    assert fitted.risk_ == alone.risk_
    assert_allclose(fitted.source_weights_, fitted.transfer_quantities_ / [200, 300])


@pytest.mark.parametrize("cls", [SourceSampled, SourceWeighted])
@pytest.mark.parametrize("kind", ["number", "class"])
def test_rows_that_sources_are_worth_add_up(rng, cls, kind):
    X, y, d = domains(rng, kind)
    est = cls(Ridge() if kind == "number" else LogisticRegression()).fit(X, y, sample_domain=d)
    assert_array_equal(
        np.append(est.n_target_samples_, est.n_source_samples_),
        [np.sum(d == name) for name in ["target", *est.source_names_]],
    )
    total = est.n_target_samples_ + est.source_effective_sample_size_.sum()
    assert total == pytest.approx(est.effective_sample_size_)
    assert est.discrepancy_.shape == (len(est.source_names_),) * 2
    alone = cls(est.estimator).fit(X[d == "target"], y[d == "target"])
    assert alone.n_target_samples_ == alone.effective_sample_size_ == np.sum(d == "target")
    assert len(alone.n_source_samples_) == len(alone.source_effective_sample_size_) == 0


def test_weights_are_what_is_trained_with(rng):
    X, y, d = domains(rng)
    fitted = SourceWeighted(Ridge()).fit(X, y, sample_domain=d)
    w = np.select([d == "far", d == "near"], fitted.source_weights_, 1.0)
    assert_allclose(fitted.estimator_.coef_, Ridge().fit(X, y, sample_weight=w).coef_)


def test_a_pipeline_inside_gets_the_weights_in_its_last_step(rng):
    X, y, d = domains(rng)
    inner = make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), Ridge()))
    fitted = SourceWeighted(inner).fit(X, y, sample_domain=d)
    plain = SourceWeighted(Ridge()).fit(X, y, sample_domain=d)
    assert_allclose(fitted.source_weights_, plain.source_weights_)
    assert not np.allclose(fitted.predict(X), clone(inner).fit(X, y).predict(X))


@pytest.mark.parametrize("cls", WRAPPERS)
def test_an_estimator_without_sample_weight(rng, cls):
    X, y, d = domains(rng)
    nearest = KNeighborsRegressor()
    with pytest.raises(TypeError, match=r"KNeighborsRegressor.fit takes no sample_weight; Source"):
        cls(nearest).fit(X, y, sample_domain=d, sample_weight=np.ones(len(y)))
    assert SourceSampled(nearest).fit(X, y, sample_domain=d).predict(X).shape == y.shape


@pytest.mark.parametrize("cls", WRAPPERS)
def test_methods_and_tags_are_those_of_the_estimator(cls):
    assert is_regressor(cls(Ridge()))
    assert is_classifier(cls(LogisticRegression()))
    assert not hasattr(cls(Ridge()), "predict_proba")
    assert hasattr(cls(LogisticRegression()), "predict_proba")
    assert not hasattr(cls(LinearSVC()), "predict_proba")
    assert hasattr(cls(LinearSVC()), "decision_function")
    assert not hasattr(cls(Ridge()), "n_features_in_")
    assert "estimator__alpha" in cls(Ridge()).get_params()


@pytest.mark.parametrize("cls", WRAPPERS)
def test_classifiers_have_all_methods_of_theirs(rng, cls):
    X, y, d = domains(rng, "class")
    fitted = cls(LogisticRegression()).fit(X, y, sample_domain=d)
    assert fitted.classes_.tolist() == ["no", "yes"]
    assert fitted.n_features_in_ == P
    inner = fitted.estimator_
    for name in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        assert_array_equal(getattr(fitted, name)(X), getattr(inner, name)(X))
    w = np.ones(len(y))
    assert fitted.score(X, y, sample_weight=w) == inner.score(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.predict(X), fitted.predict(X))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_is_the_same_with_and_without_routing(rng, n_jobs):
    X, y, d = domains(rng)
    pipeline = make_pipeline(StandardScaler(), SourceSampled(Ridge(), OTQMSSampler(random_state=0)))
    grid = {
        "sourcesampled__estimator__alpha": [0.1, 10.0],
        "sourcesampled__sampler__budget": [10, 100, None],
    }
    cv = TargetCV(KFold(4, shuffle=True, random_state=0))
    folds = list(cv.split(X, y, sample_domain=d))
    off = GridSearchCV(pipeline, grid, cv=folds, n_jobs=n_jobs)
    off.fit(X, y, sourcesampled__sample_domain=d)
    with sklearn.config_context(enable_metadata_routing=True):
        on = GridSearchCV(pipeline, grid, cv=cv, n_jobs=n_jobs).fit(X, y, sample_domain=d)
        score = cross_val_score(on.best_estimator_, X, y, cv=cv, params={"sample_domain": d})
    assert_array_equal(on.cv_results_["mean_test_score"], off.cv_results_["mean_test_score"])
    assert len(set(on.cv_results_["mean_test_score"])) > 3  # the grid is no idle one
    assert on.best_params_ == off.best_params_
    assert_allclose(score.mean(), on.best_score_)
    REFERENCE.append(on.cv_results_["mean_test_score"])
    assert_array_equal(REFERENCE[0], REFERENCE[-1])


REFERENCE = []  # scores of one process, for those of two


def test_sample_weight_is_routed_when_asked_for(rng):
    X, y, d = domains(rng)
    w = rng.uniform(0.5, 2, size=len(y))
    direct = SourceWeighted(Ridge()).fit(X, y, sample_domain=d, sample_weight=w)
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = SourceWeighted(Ridge()).set_fit_request(sample_weight=True)
        routed = make_pipeline(estimator).fit(X, y, sample_domain=d, sample_weight=w)
    assert_array_equal(routed.predict(X), direct.predict(X))


@pytest.mark.parametrize("kind", ["number", "count", "class"])
def test_refresh_takes_predictions_for_outcomes(rng, kind):
    X, y, d = domains(rng, kind)
    inner = {"number": Ridge(), "count": PoissonRegressor(), "class": LogisticRegression()}[kind]
    sampler = OTQMSSampler("poisson" if kind == "count" else "auto", random_state=0)
    once = SourceSampled(inner, sampler).fit(X, y, sample_domain=d)
    twice = SourceSampled(inner, sampler, refresh=2).fit(X, y, sample_domain=d)
    assert not np.allclose(once.sampler_.discrepancy_, twice.sampler_.discrepancy_)
    assert twice.transfer_quantities_[1] > 0


def test_refresh_does_not_depend_on_the_origin_of_outcomes(rng):
    X, y, d = domains(rng)
    w = np.ones(len(y))
    w[[0, 3]] = 0  # target rows that do not count

    def fit(y):
        sampled = SourceSampled(Ridge(), OTQMSSampler(random_state=0), refresh=1)
        return sampled.fit(X, y, sample_domain=d, sample_weight=w)

    assert_array_equal(fit(y + 1e3).sample_indices_, fit(y).sample_indices_)


def test_bad_wrappers(rng):
    X, y, d = domains(rng, "class")
    for refresh in (-1, 1.5):
        with pytest.raises(ValueError, match=r"'refresh' parameter of SourceSampled .* int"):
            SourceSampled(LogisticRegression(), refresh=refresh).fit(X, y, sample_domain=d)
    with pytest.raises(TypeError, match=r"'sampler' parameter .*OTQMSSampler.* or None. Got Ridge"):
        SourceSampled(LogisticRegression(), Ridge()).fit(X, y)
    with pytest.raises(TypeError, match=r"refresh needs probabilities, but LinearSVC has no"):
        SourceSampled(LinearSVC(), refresh=1).fit(X, y, sample_domain=d)
    with pytest.raises(ValueError, match=r"'family' parameter of SourceWeighted"):
        SourceWeighted(Ridge(), family="normal").fit(X, y)
    with pytest.raises(ValueError, match=r"'discrepancy' parameter of SourceWeighted"):
        SourceWeighted(Ridge(), discrepancy="normal").fit(X, y)


# Tried with the estimator itself ----------------------------------------------------------------


def steps(rng, n, sign):
    """Rows whose outcome no linear model can tell from noise, a step turned by the sign."""
    X = rng.normal(size=(n, 3))
    return X, sign * np.where(np.abs(X[:, 0]) > 0.7, 3.0, -3.0) + 0.3 * rng.normal(size=n)


@pytest.mark.parametrize("cls", WRAPPERS)
def test_what_is_trained_is_tried_on_target_rows_left_out(cls):
    """Sources alike in every linear model, and opposite in the trees that are trained."""
    rng = np.random.default_rng(0)
    X, y, d = stack_domains(steps(rng, 60, 1), {"a": steps(rng, 300, -1)})
    X_test, y_test = steps(rng, 500, 1)
    trees = HistGradientBoostingRegressor(max_iter=30, min_samples_leaf=5, random_state=0)
    options = {"sampler": OTQMSSampler(random_state=0)} if cls is SourceSampled else {}
    untried = cls(trees, cv=None, **options).fit(X, y, sample_domain=d)
    tried = cls(trees, **options).fit(X, y, sample_domain=d)
    alone = clone(trees).fit(X[:60], y[:60])
    assert untried.source_weights_ > 0  # the linear model sees little wrong
    assert untried.cv_losses_ == {}
    assert untried.chosen_ in ("UOWQ's weights", "OTQMS's rows")
    assert untried.score(X_test, y_test) < alone.score(X_test, y_test) - 0.03
    assert tried.chosen_ == "target alone"
    assert_array_equal(tried.predict(X_test), alone.predict(X_test))
    assert tried.cv_losses_["target alone"] == min(tried.cv_losses_.values())
    assert tried.source_weights_.tolist() == [0.0]
    assert tried.effective_sample_size_ == pytest.approx(60)
    assert tried.source_effective_sample_size_ == pytest.approx([0.0])


def test_rows_sampled_in_vain_are_none():
    rng = np.random.default_rng(0)
    X, y, d = stack_domains(steps(rng, 60, 1), {"a": steps(rng, 300, -1)})
    trees, sampler = HistGradientBoostingRegressor(min_samples_leaf=5), OTQMSSampler(random_state=0)
    tried = SourceSampled(trees, sampler).fit(X, y, d)
    assert tried.sampler_.transfer_quantities_ > 0
    assert tried.transfer_quantities_.tolist() == [0]
    assert_array_equal(tried.sample_indices_, np.arange(60))
    assert tried.risk_ == tried.target_risk_


def test_all_rows_alike_where_the_model_tells_domains_apart():
    """Each domain has its own level, which trees read off the first feature."""
    rng = np.random.default_rng(1)

    def draw(n, place):
        X = np.column_stack([np.full(n, place), rng.normal(size=(n, 2))])
        return X, 5 * np.sin(3 * place) + np.sin(3 * X[:, 1]) + 0.1 * rng.normal(size=n)

    X, y, d = stack_domains(draw(30, 0.0), {f"s{k}": draw(150, k / 3) for k in (1, 2, 3, 4)})
    trees = HistGradientBoostingRegressor(max_iter=50, min_samples_leaf=5, random_state=0)
    fitted = SourceWeighted(trees).fit(X, y, sample_domain=d)
    assert fitted.chosen_ == "all rows alike"
    assert fitted.source_weights_.tolist() == [1.0] * 4
    assert_array_equal(fitted.predict(X), clone(trees).fit(X, y).predict(X))


def test_another_candidate_must_be_better_beyond_error():
    means = {"target alone": [1.0, 1.0], "UOWQ's weights": [1.0, 1.0], "all rows alike": [1, 1]}
    noise = np.random.default_rng(0).normal(size=100)
    noise = (noise - noise.mean()) / noise.std() * np.sqrt(99)  # of standard error one

    def best(**gains):
        losses = {name: np.full(100, 1.0) for name in means}
        for name, gain in gains.items():
            losses[{"alone": "target alone", "alike": "all rows alike"}[name]] += noise - gain
        return LeftOut(losses, np.ones(100)).best("UOWQ's weights", BETTER)

    assert best(alone=0.4) == "UOWQ's weights" == best(alike=1.4)
    assert best(alone=0.6) == "target alone"
    assert best(alike=1.6) == "all rows alike"
    assert best(alike=1.6, alone=1.7) == "target alone"  # better than the other in every row
    equal = {name: np.ones(3) for name in means}
    assert LeftOut(equal, np.ones(3)).best("UOWQ's weights", BETTER) == "UOWQ's weights"
    assert LeftOut(equal, np.ones(3)).means == dict.fromkeys(means, 1.0)


@pytest.mark.parametrize("cls", WRAPPERS)
def test_folds(rng, cls):
    X, y, d = domains(rng)
    w = np.ones(len(y))
    w[[1, 4]] = 0.0  # target rows that do not count
    options = {"sampler": OTQMSSampler(random_state=0)} if cls is SourceSampled else {}
    halves = [(np.arange(20), np.arange(20, 40)), (np.arange(20, 40), np.arange(20))]
    losses = [
        cls(Ridge(), cv=cv, **options).fit(X, y, d, sample_weight=w).cv_losses_
        for cv in (5, KFold(5), halves, 100)
    ]
    assert all(np.isfinite(list(each.values())).all() for each in losses)
    assert len({each["target alone"] for each in losses}) == 4
    alone = [
        (y[test] - Ridge().fit(X[train], y[train], w[train]).predict(X[test])) ** 2
        for train, test in halves
    ]
    left_out = np.average(np.concatenate(alone[::-1]), weights=w[:40]) / np.var(y[:40])
    assert losses[2]["target alone"] == pytest.approx(left_out)
    for cv in (1, 0, True):
        with pytest.raises(ValueError, match=r"'cv' parameter of .* range \[2, inf\)"):
            cls(Ridge(), cv=cv).fit(X, y, d)


@pytest.mark.parametrize("inner", [LogisticRegression(), LinearSVC()])
@pytest.mark.parametrize("cls", WRAPPERS)
def test_a_class_with_one_target_row(rng, cls, inner):
    X, y, d = domains(rng, "class", n=12)
    y[:12] = "no"
    y[3] = "yes"
    fitted = cls(inner).fit(X, y, sample_domain=d)
    assert np.isfinite(list(fitted.cv_losses_.values())).all()
    if cls is SourceWeighted:
        y[3] = "no"  # nothing to train on alone
        assert cls(inner).fit(X, y, sample_domain=d).cv_losses_ == {}


def test_outputs_of_all_units_count_alike(rng):
    X, y, d = domains(rng)
    Y = np.column_stack([y, rng.permutation(y)])
    small, large = (
        SourceWeighted(Ridge()).fit(X, Y * [1.0, unit], sample_domain=d) for unit in (1.0, 1e6)
    )
    assert small.cv_losses_ == pytest.approx(large.cv_losses_)


# No harm ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["number", "class"])
@pytest.mark.parametrize("cls", WRAPPERS)
@pytest.mark.parametrize("shift", [0.3, 1.0, 3.0])
def test_a_wrong_source_costs_next_to_nothing(cls, kind, shift):
    """Mean loss over seeds, against the target alone; 2 % and its error is allowed."""
    beta, losses = np.linspace(-1, 1, P), []
    inner = LinearRegression() if kind == "number" else LogisticRegression()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        wrong = {f"s{k}": rows(rng, 300, beta + shift * rng.normal(size=P), kind) for k in "ab"}
        X, y, d = stack_domains(rows(rng, 40, beta, kind), wrong)
        X_test, y_test = rows(rng, 1000, beta, kind)
        fits = clone(inner).fit(X[:40], y[:40]), cls(inner).fit(X, y, sample_domain=d)
        losses.append([1 - fit.score(X_test, y_test) for fit in fits])
    alone, ours = np.array(losses).T
    error = np.std(ours - alone) / np.sqrt(60)
    assert ours.mean() <= 1.02 * alone.mean() + error


@pytest.mark.parametrize("cls", WRAPPERS)
def test_fewer_target_rows_than_coefficients_tell_the_opposite_source(cls):
    """They could not, when the target's own fit, shrunk to nothing, was compared."""
    beta, losses = np.linspace(-1, 1, P), []
    inner = RidgeCV(np.logspace(-3, 4, 15))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X, y, d = stack_domains(rows(rng, 6, beta), {"far": rows(rng, 200, -beta)})
        X_test, y_test = rows(rng, 500, beta)
        options = {"sampler": OTQMSSampler(random_state=0)} if cls is SourceSampled else {}
        fits = clone(inner).fit(X[:6], y[:6]), cls(inner, **options).fit(X, y, sample_domain=d)
        losses.append([np.mean((fit.predict(X_test) - y_test) ** 2) for fit in fits])
    alone, ours = np.array(losses).T
    assert ours.mean() <= 1.3 * alone.mean()
