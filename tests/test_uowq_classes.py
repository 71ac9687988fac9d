"""UOWQ for classes and for counts, as a user sees them."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skt import (
    SourceModel,
    TargetCV,
    UOWQClassifier,
    UOWQPoissonRegressor,
    compare,
    stack_domains,
)

P = 4
NEAR = {"a": 0.1, "b": 0.2, "c": 0.1}


def classes(rng, n, B, names=("no", "yes")):
    X = rng.normal(size=(n, P)) * [1, 2, 0.5, 1] + 3
    eta = (X - 3) @ B
    eta = np.column_stack([np.zeros(n), eta]) if B.ndim == 1 else eta
    return X, np.array(names)[np.argmax(eta + rng.gumbel(size=eta.shape), axis=1)]


def counts(rng, n, B):
    X = rng.normal(size=(n, P))
    return X, rng.poisson(np.exp(X @ B + 0.5)).astype(float)


def task(rng, draw=classes, n=30, shifts=NEAR, shape=(P,), **kw):
    B = 0.7 * rng.normal(size=shape)
    sources = {
        k: draw(rng, 200, B + shift * rng.normal(size=shape), **kw) for k, shift in shifts.items()
    }
    return draw(rng, n, B, **kw), sources, draw(rng, 1000, B, **kw)


# Without sources --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(P,), (P, 3)])
def test_no_sources_is_logistic_regression_on_standardised_columns(rng, shape):
    names = ("no", "yes") if len(shape) == 1 else ("u", "v", "w")
    X, y = classes(rng, 60, rng.normal(size=shape), names)
    ours = UOWQClassifier(alpha=0.05).fit(X, y)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=1 / (2 * 60 * 0.05), tol=1e-8))
    assert_allclose(ours.predict_proba(X), theirs.fit(X, y).predict_proba(X), atol=1e-5)
    assert_allclose(ours.alpha_, 0.05)
    assert ours.transfer_gain_ == 0


def test_no_sources_is_poisson_regression_on_standardised_columns(rng):
    X, y = counts(rng, 60, 0.3 * np.ones(P))
    exposure = rng.uniform(0.5, 2, size=60)
    ours = UOWQPoissonRegressor(alpha=0.05).fit(X, y / exposure, sample_weight=exposure)
    mean = np.average(X, axis=0, weights=exposure)
    scale = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=exposure))
    theirs = PoissonRegressor(alpha=0.1, tol=1e-9, max_iter=1000)
    theirs.fit((X - mean) / scale, y / exposure, sample_weight=exposure)
    assert_allclose(ours.predict(X), theirs.predict((X - mean) / scale), rtol=1e-4)


# With sources -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(P,), (P, 3)])
def test_related_sources_help(rng, shape):
    names = ("no", "yes") if len(shape) == 1 else ("u", "v", "w")
    target, sources, (X_test, y_test) = task(rng, shape=shape, names=names)
    X, y, d = stack_domains(target, sources)
    alone, both = UOWQClassifier().fit(*target), UOWQClassifier().fit(X, y, sample_domain=d)
    gained = log_loss(y_test, alone.predict_proba(X_test)) - log_loss(
        y_test, both.predict_proba(X_test)
    )
    assert gained > 0.02
    assert both.transfer_gain_ > 0.2
    assert both.effective_sample_size_ > 30
    assert_allclose(both.source_effective_sample_size_.sum() + 30, both.effective_sample_size_)


def test_related_sources_help_with_counts(rng):
    target, sources, (X_test, y_test) = task(rng, draw=counts, n=15)
    X, y, d = stack_domains(target, sources)
    alone, both = UOWQPoissonRegressor().fit(*target), UOWQPoissonRegressor()
    assert both.fit(X, y, sample_domain=d).score(X_test, y_test) > alone.score(X_test, y_test)
    assert both.dispersion_ < 1.3


@pytest.mark.parametrize("n", [10, 40])
def test_hostile_sources_cost_next_to_nothing(n):
    """Sources turned round and shuffled: mean loss over seeds at most 1.02 of the target's."""
    ours, alone = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        B = rng.normal(size=P)
        target, (X_test, y_test) = classes(rng, n, B), classes(rng, 500, B)
        if len(set(target[1])) < 2:
            continue
        X_s, y_s = classes(rng, 200, B)
        sources = {"turned": classes(rng, 200, -B), "shuffled": (X_s, rng.permutation(y_s))}
        X, y, d = stack_domains(target, sources)
        both = UOWQClassifier().fit(X, y, sample_domain=d)
        ours.append(log_loss(y_test, both.predict_proba(X_test)))
        alone.append(log_loss(y_test, UOWQClassifier().fit(*target).predict_proba(X_test)))
    assert np.mean(ours) <= 1.02 * np.mean(alone)


# Classes ----------------------------------------------------------------------------------------


def thirds(rng, n):
    X = rng.normal(size=(n, 3))
    z = X @ [1, -1, 0.5] + rng.logistic(size=n)
    return X, np.digitize(z, [-1, 2])


def without_the_last(rng, n):
    X, y = thirds(rng, 4 * n)
    return X[y < 2][:n], y[y < 2][:n]


def test_class_that_the_target_lacks_has_its_prior_from_the_sources(rng):
    X, y, d = stack_domains(without_the_last(rng, 15), {"source": thirds(rng, 400)})
    X_new, y_new = thirds(rng, 2000)
    ours = UOWQClassifier().fit(X, y, sample_domain=d)
    share = np.mean(y_new == 2)
    assert 0.4 * share < ours.predict_proba(X_new)[:, 2].mean() < 1.5 * share
    assert log_loss(y_new, ours.predict_proba(X_new)) < 1.1


def test_class_that_sources_lack_is_learned_from_the_target(rng):
    X, y, d = stack_domains(thirds(rng, 60), {"source": without_the_last(rng, 400)})
    X_new, y_new = thirds(rng, 2000)
    ours = UOWQClassifier().fit(X, y, sample_domain=d)
    alone = UOWQClassifier().fit(X[:60], y[:60])
    losses = [log_loss(y_new, each.predict_proba(X_new)) for each in (ours, alone)]
    assert losses[0] < losses[1] + 0.02


def test_target_of_one_class_warns_and_answers_from_the_sources(rng):
    target, sources, (X_test, _) = task(rng, n=10)
    only = target[1] == "yes"
    X, y, d = stack_domains((target[0][only], target[1][only]), sources)
    with pytest.warns(UserWarning, match="one class only, 'yes'"):
        ours = UOWQClassifier().fit(X, y, sample_domain=d)
    assert 0.02 < ours.predict_proba(X_test)[:, 0].mean() < 0.9


def test_source_of_one_class_and_perfect_separation_are_answered(rng):
    target, sources, (X_test, _) = task(rng)
    X_s = rng.normal(size=(100, P))
    sources |= {"one": (X_s, np.full(100, "no")), "separated": (X_s, np.where(X_s[:, 0] > 0, "yes", "no"))}  # fmt: skip # noqa: E501
    X, y, d = stack_domains(target, sources)
    ours = UOWQClassifier().fit(X, y, sample_domain=d)
    assert np.isfinite(ours.decision_function(X_test)).all()


@pytest.mark.parametrize("names", [(1, 0), (True, False), ("b", "a"), (-1.0, 2.0)])
def test_labels_of_any_type(rng, names):
    target, sources, _ = task(rng)
    X, y, d = stack_domains(target, sources)
    plain = UOWQClassifier().fit(X, y, sample_domain=d)
    other = UOWQClassifier().fit(X, np.array(names)[(y == "yes").astype(int)], sample_domain=d)
    assert_array_equal(other.classes_, np.unique(names))
    order = np.argsort(names)
    assert_allclose(other.predict_proba(X)[:, np.argsort(order)], plain.predict_proba(X), atol=2e-2)


def test_balanced_classes_are_weights_of_rows(rng):
    target, sources, _ = task(rng)
    X, y, d = stack_domains(target, sources)
    balanced = UOWQClassifier(class_weight="balanced").fit(X, y, sample_domain=d)
    share = np.mean(y == "yes")
    weight = np.where(y == "yes", 0.5 / share, 0.5 / (1 - share))
    given = UOWQClassifier().fit(X, y, sample_domain=d, sample_weight=weight)
    assert_allclose(balanced.coef_, given.coef_)


# Invariances ------------------------------------------------------------------------------------


def test_weight_2_is_the_row_twice_and_order_does_not_matter(rng):
    target, sources, (X_test, _) = task(rng)
    X, y, d = stack_domains(target, sources)
    w = rng.integers(0, 3, size=len(X))
    w[:4] = 1
    twice = rng.permutation(np.repeat(np.arange(len(X)), w))
    one = UOWQClassifier().fit(X, y, sample_domain=d, sample_weight=w)
    other = UOWQClassifier().fit(X[twice], y[twice], sample_domain=d[twice])
    assert_allclose(other.predict_proba(X_test), one.predict_proba(X_test), atol=1e-6)
    assert_allclose(other.source_weights_, one.source_weights_, rtol=1e-4)


@pytest.mark.parametrize("cls", [UOWQClassifier, UOWQPoissonRegressor])
def test_units_of_columns_do_not_matter(rng, cls):
    draw = classes if cls is UOWQClassifier else counts
    target, sources, _ = task(rng, draw=draw)
    X, y, d = stack_domains(target, sources)
    scale, shift = np.array([1, 1e4, 1e-3, 7]), np.array([0, 1e3, 5, -2])
    one, other = cls().fit(X, y, sample_domain=d), cls()
    other.fit(X * scale + shift, y, sample_domain=d)
    assert_allclose(other.coef_ * scale, one.coef_, rtol=1e-4, atol=1e-6)


# Models as sources ------------------------------------------------------------------------------


def test_model_with_its_information_is_nearly_its_rows(rng):
    target, sources, (X_test, _) = task(rng, shifts={"a": 0.1, "b": 0.1})
    known = {}
    for name, (X, y) in sources.items():
        model = LogisticRegression(C=1e6, tol=1e-8).fit(X, y)
        p = model.predict_proba(X)[:, 1]
        v = p * (1 - p)
        centred = X - np.average(X, axis=0, weights=v)
        information = (centred * v[:, None]).T @ centred
        known[name] = SourceModel(
            model.coef_, model.intercept_, n_samples=len(X), information=information
        )
    X, y, d = stack_domains(target, sources)
    rows = UOWQClassifier().fit(X, y, sample_domain=d)
    models = UOWQClassifier(sources=known).fit(*target)
    assert np.corrcoef(*(each.decision_function(X_test) for each in (rows, models)))[0, 1] > 0.97
    assert clone(models).sources["a"] is known["a"]


def test_frozen_classifier_and_bare_coefficients_are_sources(rng):
    target, sources, (X_test, y_test) = task(rng)
    alone = UOWQClassifier().fit(*target)
    frozen = {k: FrozenEstimator(LogisticRegression().fit(*rows)) for k, rows in sources.items()}
    bare = {k: SourceModel(each.estimator.coef_) for k, each in frozen.items()}
    for known in (frozen, bare):
        ours = UOWQClassifier(sources=known).fit(*target)
        assert log_loss(y_test, ours.predict_proba(X_test)) < log_loss(
            y_test, alone.predict_proba(X_test)
        )
        assert np.isnan(ours.source_weights_).all()


# Weights and options ----------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["plugin", "sure", [0.5, 0.2, 0.0]])
@pytest.mark.parametrize("cls", [UOWQClassifier, UOWQPoissonRegressor])
def test_weights_per_row(rng, cls, weights):
    draw = classes if cls is UOWQClassifier else counts
    target, sources, (X_test, y_test) = task(rng, draw=draw)
    X, y, d = stack_domains(target, sources)
    ours = cls(weights=weights).fit(X, y, sample_domain=d)
    assert np.all(ours.source_weights_ >= 0)
    if not isinstance(weights, str):
        assert_allclose(ours.source_weights_, weights)
    assert ours.score(X_test, y_test) > cls().fit(*target).score(X_test, y_test) - 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "best"}, "The 'weights' parameter of UOWQ.* must be a str among"),
        ({"weights": [1.0]}, "give one weight per source"),
        ({"weights": [1.0, -1, 0]}, "finite and >= 0"),
        (
            {"guard": "james"},
            "The 'guard' parameter .* a str among {'left-out'} or None",
        ),
        ({"alpha": -1}, r"The 'alpha' parameter of UOWQ.* in the range \[0.0, inf\)"),
        (
            {"fit_intercept": 2},
            "The 'fit_intercept' parameter .* an instance of 'bool'",
        ),
    ],
)
@pytest.mark.parametrize("cls", [UOWQClassifier, UOWQPoissonRegressor])
def test_bad_options_say_what_was_wanted(rng, cls, options, message):
    draw = classes if cls is UOWQClassifier else counts
    target, sources, _ = task(rng, draw=draw)
    X, y, d = stack_domains(target, sources)
    with pytest.raises(ValueError, match=message):
        cls(**options).fit(X, y, sample_domain=d)


def test_negative_counts_and_wrong_information_are_refused(rng):
    X, y = counts(rng, 30, np.zeros(P))
    with pytest.raises(ValueError, match="y holds negative values"):
        UOWQPoissonRegressor().fit(X, y - 5)
    with pytest.raises(ValueError, match="information is not symmetric"):
        SourceModel([1, 2], information=[[1, 0.5], [0, 1]])
    with pytest.raises(ValueError, match="leave one out"):
        SourceModel([1, 2], information=np.eye(2), covariance=np.eye(2))


def test_grid_search_with_folds_of_the_target(rng):
    target, sources, _ = task(rng)
    X, y, d = stack_domains(target, sources)
    folds = list(TargetCV(3).split(X, y, sample_domain=d))
    search = GridSearchCV(UOWQClassifier(), {"guard": ["left-out", None]}, cv=folds)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search.fit(X, y, sample_domain=d)
    assert search.best_score_ > 0.5


def test_compare_knows_it(rng):
    target, sources, _ = task(rng, n=60)
    X, y, d = stack_domains(target, sources)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = compare(X, y, d, target_size=30, methods=["UOWQ"], n_repeats=2, progress=False)
    assert "UOWQ" in str(result)
