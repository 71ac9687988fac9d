"""H-ensemble: contract, sources of any kind, the paper's preset, messages, no harm."""

import pickle
import time
from functools import partial

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from skt import HEnsembleClassifier, HEnsembleRegressor, SourcePredictor, UOWQRegressor
from skt.core import h_ensemble as core

CENTRES = np.random.default_rng(5).normal(size=(4, 12)) * 1.2


def draw(seed, n, classes=(0, 1, 2), names=None):
    rng = np.random.default_rng(seed)
    codes = np.asarray(classes)[np.arange(n) % len(classes)]
    X = CENTRES[codes] + rng.normal(size=(n, 12))
    return X, codes if names is None else np.asarray(names)[codes]


def forest(seed=0, **options):
    return RandomForestClassifier(8, random_state=seed, min_samples_leaf=3).fit(
        *draw(100 + seed, 200, **options)
    )


@pytest.fixture(scope="module")
def sources():
    return {f"forest {k}": SourcePredictor(forest(k)) for k in range(3)}


@parametrize_with_checks(
    [
        HEnsembleClassifier(),
        HEnsembleClassifier({"own": np.tanh}),
        HEnsembleRegressor({"own": np.tanh, "b": np.abs}, weights="h-score"),
    ]
)
def test_scikit_learn(estimator, check):
    check(estimator)


# Contract ---------------------------------------------------------------------------------


def test_no_sources_is_ridge_on_indicators():
    X, y = draw(0, 30)
    alone = HEnsembleClassifier(alpha=2.0).fit(X, y)
    F = (X - X.mean(axis=0)) / np.sqrt(np.mean(np.sum((X - X.mean(axis=0)) ** 2, axis=1)))
    Y = np.eye(3)[y]
    coef = np.linalg.solve(F.T @ F + 2.0 * np.eye(12), F.T @ (Y - Y.mean(axis=0)))
    f = Y.mean(axis=0) + F @ coef
    ratio = alone.decision_function(X) / f
    assert_allclose(ratio, np.full_like(ratio, ratio[0, 0]))
    assert (alone.estimator_names_, alone.offset_) == ([], 0)


def test_single_rows_are_predicted_like_batches(sources):
    model = HEnsembleClassifier(sources).fit(*draw(1, 15))
    X = draw(2, 6)[0]
    assert_allclose([model.predict_proba(row[None])[0] for row in X], model.predict_proba(X))


def test_order_of_sources_permutes_their_weights(sources):
    X, y = draw(1, 15)
    one = HEnsembleClassifier(sources).fit(X, y)
    turned = {name: sources[name] for name in reversed(sources)}
    other = HEnsembleClassifier(turned).fit(X, y)
    assert_allclose(other.block_weights_[[2, 1, 0, 3]], one.block_weights_)
    assert_allclose(other.predict_proba(X), one.predict_proba(X), atol=1e-8)


def test_units_of_features_do_not_matter(sources):
    X, y = draw(1, 15)
    plain = {"a": lambda Z: Z[:, :5], "b": lambda Z: np.tanh(Z)}
    moved = {"a": lambda Z: 1e6 * Z[:, :5] + 3, "b": lambda Z: -1e-6 * np.tanh(Z)}
    one, other = (HEnsembleClassifier(each).fit(X, y) for each in (plain, moved))
    assert_allclose(other.predict_proba(X), one.predict_proba(X), rtol=1e-5)


def test_clone_search_and_pickle(sources):
    X, y = draw(1, 30)
    model = HEnsembleClassifier({"f": FrozenEstimator(forest())})
    search = GridSearchCV(model, {"alpha": ["auto", 1.0]}, cv=3).fit(X, y)
    kept = HEnsembleClassifier(sources)
    assert clone(kept).estimators["forest 0"] is sources["forest 0"]
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    assert_array_equal(again.predict(X), search.predict(X))


def test_tables_are_arrays():
    X, y = draw(1, 15)
    names = [f"x{j}" for j in range(12)]
    table = pd.DataFrame(X, columns=names)
    model = HEnsembleClassifier({"f": SourcePredictor(forest())}).fit(table, y)
    assert list(model.feature_names_in_) == names
    plain = HEnsembleClassifier({"f": SourcePredictor(forest())}).fit(X, y)
    assert_array_equal(model.predict(table), plain.predict(X))


# Sources of any kind ----------------------------------------------------------------------


def test_features_are_what_the_model_says_best(rng):
    X, y = draw(3, 60)
    lda = LinearDiscriminantAnalysis().fit(X, y)
    assert_allclose(SourcePredictor(lda).features(X), lda.transform(X))
    proba = SourcePredictor(lda, response="predict_proba").features(X)
    assert_allclose(proba.mean(axis=1), 0, atol=1e-12)
    svm = LinearSVC().fit(X, y)
    assert_allclose(SourcePredictor(svm).features(X), svm.decision_function(X))
    line = LinearRegression().fit(X, y)
    assert_allclose(SourcePredictor(line).features(X), line.predict(X)[:, None])


def test_probabilities_of_shared_classes_are_the_offset(sources):
    names = np.array(["ant", "bee", "cat", "dog"])
    known = forest(classes=(1, 2, 3), names=names)
    X, y = draw(4, 30, classes=(0, 1, 2), names=names)
    P = SourcePredictor(known).predictions(X, np.unique(y))
    assert_array_equal(P[:, 0], 0)
    assert_allclose(P[:, 1:], known.predict_proba(X)[:, :2])
    assert HEnsembleClassifier({"f": SourcePredictor(known)}).fit(X, y).offset_ > 0
    strange = {"f": SourcePredictor(forest())}
    assert HEnsembleClassifier(strange).fit(X, y).offset_ == 0
    same = HEnsembleClassifier(strange, prior=None).fit(X, y)
    assert_array_equal(same.predict(X), HEnsembleClassifier(strange).fit(X, y).predict(X))


def test_a_callable_may_say_its_classes():
    model = forest()
    source = SourcePredictor(model.predict_proba, classes=model.classes_)
    X, y = draw(4, 15)
    assert HEnsembleClassifier({"f": source}).fit(X, y).offset_ > 0


def test_estimators_of_rows_refuse_a_predictor_and_say_who_takes_it():
    X, y = draw(4, 30)
    with pytest.raises(TypeError, match="HEnsembleClassifier or HEnsembleRegressor"):
        UOWQRegressor(sources={"f": SourcePredictor(forest())}).fit(X, y.astype(float))


# The paper --------------------------------------------------------------------------------


def test_the_paper_sums_features_by_the_trace_ratio():
    X, y = draw(6, 60)
    maps = {"a": lambda Z: Z[:, :4], "b": lambda Z: Z[:, 4:8], "c": lambda Z: Z[:, 8:]}
    model = HEnsembleClassifier.paper(maps).fit(X, y)
    F = np.array([each(X) for each in maps.values()])
    a = core.trace_ratio(*core.scatter(F, y))
    assert_allclose(model.feature_weights_, a)
    assert_array_equal(model.block_weights_, [1.0])
    summed = np.tensordot(a, F, 1)
    again = HEnsembleClassifier(
        {"f": lambda Z: np.tensordot(a, np.array([each(Z) for each in maps.values()]), 1)},
        include_target=False, prior=None, alpha=1e-3,
    ).fit(X, y)  # fmt: skip
    assert summed.shape == (60, 4)
    assert_allclose(model.predict_proba(X), again.predict_proba(X), atol=1e-8)


# Few rows ---------------------------------------------------------------------------------


def test_one_row_a_class_takes_all_of_the_offset(sources):
    X, y = draw(7, 3)
    model = HEnsembleClassifier(sources).fit(X, y)
    assert np.isnan(model.loo_loss_)
    assert_allclose(model.offset_, core.BLIND_FACTOR * core.BLIND_OFFSET)
    X_test, y_test = draw(8, 600)
    alone = HEnsembleClassifier().fit(X, y).score(X_test, y_test)
    assert model.score(X_test, y_test) > alone


def test_one_row_of_one_class():
    X, y = draw(7, 21)
    y[0] = 9
    model = HEnsembleClassifier({"f": SourcePredictor(forest())}).fit(X, y)
    assert np.isfinite(model.loo_loss_)
    assert model.predict_proba(X).shape == (21, 4)


@pytest.mark.parametrize("n", [1, 2])
def test_regression_on_one_or_two_rows(n):
    X, _ = draw(7, 5)
    model = HEnsembleRegressor({"f": lambda Z: Z[:, :1]}).fit(X[:n], X[:n, 0])
    assert np.isfinite(model.predict(X)).all()


def test_constant_outcome():
    X, _ = draw(7, 9)
    model = HEnsembleRegressor({"f": np.tanh}).fit(X, np.full(9, 0.1))
    assert_allclose(model.predict(X), 0.1)


# Benefit and harm -------------------------------------------------------------------------


def test_related_forests_help_and_strange_ones_do_no_harm(sources):
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 12, 30))
    noise = {f"noise {k}": partial(_sines, W) for k, W in enumerate(mixing)}
    wrong = {f"wrong {k}": SourcePredictor(f.model.predict_proba, classes=np.array([1, 2, 0]))
             for k, f in enumerate(sources.values())}  # fmt: skip
    gains = {"related": [], "noise": [], "wrong": []}
    for seed in range(4):
        train, test = draw(20 + seed, 12), draw(50 + seed, 200)
        alone = HEnsembleClassifier().fit(*train).score(*test)
        for name, each in (("related", sources), ("noise", noise), ("wrong", wrong)):
            gains[name].append(HEnsembleClassifier(each).fit(*train).score(*test) - alone)
    assert np.mean(gains["related"]) > 0.01
    assert np.mean(gains["noise"]) > -0.02
    assert np.mean(gains["wrong"]) > -0.02


def test_boosted_regressions_of_another_level_help():
    def rows(seed, n, level):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n, 5))
        return X, np.abs(X[:, :1]) * [1, -2] + X[:, 1:2] + level + 0.1 * rng.normal(size=(n, 2))

    boosted = {
        f"{k}": SourcePredictor(
            HistGradientBoostingRegressor(max_iter=50).fit(*_first(rows(k, 400, 0.0)))
        )
        for k in range(2)
    }
    X, y = _first(rows(9, 20, 3.0))
    X_test, y_test = _first(rows(10, 500, 3.0))
    both, alone = (
        HEnsembleRegressor(each).fit(X, y).score(X_test, y_test) for each in (boosted, {})
    )
    assert both > alone + 0.15
    several = HEnsembleRegressor({"f": np.tanh}, prior=None).fit(*rows(9, 20, 3.0))
    assert several.predict(X_test).shape == (500, 2)


def _sines(W, Z):
    return np.sin(50 * Z @ W)


def _first(drawn):
    return drawn[0], drawn[1][:, 0]


def test_fifty_sources_take_less_than_a_second():
    rng = np.random.default_rng(0)
    maps = {str(k): partial(_sines, rng.normal(size=(12, 20)) / 50) for k in range(50)}
    X, y = draw(0, 100)
    best = np.inf
    for _ in range(3):
        start = time.process_time()
        HEnsembleClassifier(maps).fit(X, y)
        best = min(best, time.process_time() - start)
    assert best < 1.0


# Messages ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"combine": "mean"},
            ValueError,
            "The 'combine' parameter of HEnsembleClassifier must be a str among",
        ),
        ({"prior": "pooled"}, ValueError, "The 'prior' parameter of HEnsembleClassifier must be"),
        (
            {"weights": "best"},
            ValueError,
            "The 'weights' parameter of HEnsembleClassifier must be a str among",
        ),
        ({"weights": [1.0, 2.0]}, ValueError, "weights must be 3 numbers >= 0"),
        ({"weights": "h-score", "combine": "sum"}, ValueError, "does not go with combine='sum'"),
        (
            {"alpha": 0.0},
            ValueError,
            r"The 'alpha' parameter of .* in the range \(0.0, inf\). Got 0.0",
        ),
    ],
)
def test_options_are_checked(sources, options, error, message):
    with pytest.raises(error, match=message):
        HEnsembleClassifier(sources, **options).fit(*draw(1, 15))


def test_sources_are_checked():
    X, y = draw(1, 15)
    bare = forest()
    for given, error, message in (
        ([bare], TypeError, "expected a mapping from names"),
        ({"f": bare}, TypeError, r"Wrap it: SourcePredictor\(model\)"),
        ({"f": 3}, TypeError, "must be a fitted estimator or a function of rows; got 3"),
        ({"f": FrozenEstimator(RandomForestClassifier())}, NotFittedError, "is not fitted"),
        ({"f": SourcePredictor(bare, response="transform")}, TypeError, "without transform"),
        ({"f": lambda Z: Z[:3]}, ValueError, "expected finite numbers, a row each"),
        ({"f": lambda Z: Z / 0 * 0}, ValueError, "not finite"),
        ({"f": lambda Z: Z, "g": lambda Z: Z[:, :2]}, ValueError, "needs features of one size"),
    ):
        with pytest.raises(error, match=message), np.errstate(all="ignore"):
            HEnsembleClassifier(given, combine="sum").fit(X, y)
    with pytest.raises(ValueError, match="response must be 'auto' or one of"):
        SourcePredictor(bare, response="apply")


def test_rows_of_sources_and_one_class_are_refused():
    X, y = draw(1, 15)
    with pytest.raises(TypeError, match="takes fitted models, not rows"):
        HEnsembleClassifier().fit(X, y, sample_domain=np.repeat(["target", "b"], [10, 5]))
    with pytest.raises(ValueError, match="one class only"):
        HEnsembleClassifier().fit(X, np.ones(15))
    line = {"f": FrozenEstimator(LinearRegression().fit(X, X[:, :2]))}
    with pytest.raises(ValueError, match="the sources predict 2 outputs but y has 1"):
        HEnsembleRegressor(line).fit(X, X[:, 0])


def test_logistic_regression_may_be_a_source_too():
    X, y = draw(1, 60)
    source = FrozenEstimator(LogisticRegression().fit(X, y))
    assert HEnsembleClassifier({"f": source}).fit(*draw(2, 9)).score(*draw(3, 300)) > 0.8
