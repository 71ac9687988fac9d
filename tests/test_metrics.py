"""Transferability scores: input of all kinds, HASTE, the scorer, rankings."""

import pickle
from functools import partial

import matplotlib
import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skt import metrics
from skt.metrics import (
    gbc_score,
    h_score,
    haste_score,
    leep_score,
    logme_score,
    loo_ridge_score,
    make_transferability_scorer,
    nce_score,
    nleep_score,
    rank_sources,
    sample_hardness,
    transrate_score,
)
from skt.metrics.registry import METRICS, model_response, score
from skt.plots import SourceRankingDisplay

matplotlib.use("Agg")

FEATURE_SCORES = [
    h_score,
    partial(h_score, shrunk=False),
    logme_score,
    loo_ridge_score,
    gbc_score,
    transrate_score,
    nleep_score,
]


def clusters(n=60, d=4, C=3, apart=2.0, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % C)
    return rng.normal(size=(n, d)) + apart * rng.normal(size=(C, d))[y], y


def said(name, Z, y):
    """Return the response that a score takes, from features."""
    if METRICS[name].kind == "features":
        return Z
    model = LogisticRegression().fit(Z, y)
    return model.predict_proba(Z) if name == "leep" else model.predict(Z)


# Labels and features ----------------------------------------------------------------------

NAMES = np.array(["no", "yes, but", "é"])


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    "relabelled",
    [
        lambda y: NAMES[y],
        lambda y: NAMES.astype(object)[y],
        lambda y: list(10 * y - 7),
        lambda y: y.astype(float),
        lambda y: pd.Series(pd.Categorical(NAMES[y], categories=["never", *NAMES])),
        lambda y: y[:, None].astype(np.uint8).ravel(),
    ],
    ids=["str", "object", "ints", "floats", "categories", "uint8"],
)
def test_labels_of_any_type(name, relabelled):
    Z, y = clusters()
    Z = said(name, Z, y)
    assert_allclose(score(name, Z, relabelled(y)), score(name, Z, y))


@pytest.mark.parametrize("name", METRICS)
def test_two_classes_may_be_booleans(name):
    Z, y = clusters(C=2)
    Z = said(name, Z, y)
    assert_allclose(score(name, Z, y == 1), score(name, Z, y))


@pytest.mark.parametrize("name", METRICS)
def test_order_of_rows_does_not_matter(name):
    Z, y = clusters()
    Z = said(name, Z, y)
    order = np.random.default_rng(1).permutation(len(y))
    # The start of a mixture depends on the order; nothing else does.
    tolerance = 0.5 if name == "nleep" else 1e-9
    assert_allclose(score(name, Z[order], y[order]), score(name, Z, y), rtol=tolerance)


@pytest.mark.parametrize("name", METRICS)
def test_related_features_score_higher_than_unrelated_ones(name):
    Z, y = clusters(n=90)
    wrong = np.random.default_rng(1).permutation(y)
    Z = said(name, Z, y)
    assert score(name, Z, y) > score(name, Z, wrong)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("n_features", [3, 40])
def test_classes_of_a_single_row(name, n_features):
    Z, y = clusters(n=20, d=n_features)
    y[0], y[1] = 7, 8
    assert np.isfinite(score(name, said(name, Z, y), y))


@pytest.mark.parametrize("name", METRICS)
def test_one_row_a_class(name):
    Z, y = np.random.default_rng(0).normal(size=(3, 5)), np.array(["a", "b", "c"])
    assert np.isfinite(score(name, said(name, Z, y), y))


def test_many_classes_of_numbers_are_no_regression():
    Z = np.random.default_rng(0).normal(size=(60, 5))
    assert_allclose(logme_score(Z, np.arange(60)), logme_score(Z, [f"{i}" for i in range(60)]))


@pytest.mark.parametrize("metric", FEATURE_SCORES)
def test_dead_units_and_copies_do_no_harm(metric):
    Z, y = clusters()
    dead = np.hstack([Z, np.full((60, 2), 0.1)])
    assert np.isfinite(metric(np.hstack([Z, Z]), y))
    if metric is h_score or metric is logme_score:
        return  # both count dead units: as no variance, and as an intercept
    assert_allclose(metric(dead, y), metric(Z, y), rtol=1e-6)


@pytest.mark.parametrize("metric", [h_score, partial(h_score, shrunk=False), loo_ridge_score])
def test_offset_of_the_features_does_not_matter(metric):
    Z, y = clusters()
    assert_allclose(metric(Z + 100, y), metric(Z, y), rtol=1e-6)


@pytest.mark.parametrize("metric", FEATURE_SCORES)
@pytest.mark.parametrize("unit", [1e-100, 1e100])
def test_unit_of_all_features_does_not_matter(metric, unit):
    Z, y = clusters()
    if metric is transrate_score:
        assert np.isfinite(metric(unit * Z, y))  # it codes to an error in that unit
        return
    assert_allclose(metric(unit * Z, y), metric(Z, y), rtol=1e-6)
    hardness = sample_hardness(Z, y=y)
    assert_allclose(sample_hardness(unit * Z, y=y), hardness, rtol=1e-6)


@pytest.mark.parametrize("metric", FEATURE_SCORES)
def test_rotation_does_not_matter(metric):
    if metric is loo_ridge_score:
        pytest.skip("it scales each feature")
    Z, y = clusters()
    Q = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    assert_allclose(metric(Z @ Q, y), metric(Z, y), rtol=1e-6)


@pytest.mark.parametrize("metric", [*FEATURE_SCORES, leep_score])
def test_arguments_are_left_alone(metric):
    Z, y = clusters()
    Z = said("leep", Z, y) if metric is leep_score else Z
    before = Z.copy(), y.copy()
    metric(Z, y)
    assert_array_equal(Z, before[0])
    assert_array_equal(y, before[1])


# Numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", [logme_score, loo_ridge_score])
def test_numbers_and_several_outputs(metric):
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(50, 4))
    Y = Z @ rng.normal(size=(4, 2)) + 0.1 * rng.normal(size=(50, 2))
    noise = rng.normal(size=(50, 2))
    assert metric(Z, Y) > metric(Z, noise)
    assert_allclose(metric(Z, Y[:, 0]), metric(Z, Y[:, :1]))


@pytest.mark.parametrize("metric", [logme_score, loo_ridge_score])
def test_whole_numbers_are_classes_unless_it_is_said_otherwise(metric):
    Z, y = clusters()
    assert_allclose(metric(Z, y), metric(Z, NAMES[y]))
    assert_allclose(metric(Z, y, regression=True), metric(Z, y + 0.0, regression=True))
    assert metric(Z, y) != metric(Z, y, regression=True)


def test_logme_of_classes_is_the_mean_over_indicators():
    Z, y = clusters()
    each = [logme_score(Z, (y == c).astype(float), regression=True) for c in range(3)]
    assert_allclose(logme_score(Z, y), np.mean(each))


# Messages ---------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", [h_score, gbc_score, transrate_score, nleep_score])
def test_numbers_for_a_score_of_classes(metric):
    with pytest.raises(ValueError, match="y must hold classes; got numbers that are not whole"):
        metric([[1.0], [2.0]], [0.5, 1.5])


@pytest.mark.parametrize("name", METRICS)
def test_one_class(name):
    Z = np.ones((3, 2)) / 2
    with pytest.raises(ValueError, match="y holds one class, 'a'; a score needs rows of two"):
        score(name, Z[:, 0] if name == "nce" else Z, ["a", "a", "a"])


@pytest.mark.parametrize("metric", [*FEATURE_SCORES, leep_score])
def test_rows_that_do_not_match(metric):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        metric(np.ones((3, 2)) / 2, [0, 1])


def test_features_with_holes():
    with pytest.raises(ValueError, match="Input Z contains NaN"):
        h_score([[np.nan], [1.0]], [0, 1])


@pytest.mark.parametrize("theta", [[[0.5, 0.2], [0.5, 0.5]], [[1.5, -0.5], [0.5, 0.5]]])
def test_what_are_no_probabilities(theta):
    with pytest.raises(ValueError, match="probabilities must be at least 0 and sum to one"):
        leep_score(theta, [0, 1])


def test_swapped_arguments_are_not_taken():
    with pytest.raises(TypeError, match="positional"):
        nce_score([0, 1], [1, 1])
    theta, y = [[0.9, 0.1], [0.1, 0.9]], [0, 1]
    with pytest.raises(ValueError, match="Expected 2D array"):
        leep_score(y, theta)


def test_constant_numbers():
    with pytest.raises(ValueError, match="y is constant"):
        logme_score([[1.0], [2.0]], [1.5, 1.5], regression=True)


def test_transrate_needs_an_error():
    with pytest.raises(ValueError, match="eps must be positive; got 0"):
        transrate_score([[1.0], [2.0]], [0, 1], eps=0)


@pytest.mark.parametrize("size", [0, 3, 1.5])
def test_components_of_nleep(size):
    with pytest.raises(ValueError, match="n_components must be a whole number from 1 to the 2"):
        nleep_score([[1.0], [2.0]], [0, 1], n_components=size)


# Predictions ------------------------------------------------------------------------------


def test_source_that_tells_nothing_has_minus_the_entropy():
    y = ["a", "a", "a", "b"]
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert_allclose(leep_score([[0.3, 0.7]] * 4, y), -entropy)
    assert_allclose(nce_score(y=y, source_labels=[0, 0, 0, 0]), -entropy)
    assert_allclose(nleep_score(np.ones((4, 2)), y), -entropy)


def test_source_that_tells_all_has_zero():
    y = np.array([0, 0, 1, 2])
    assert_allclose(nce_score(y=y, source_labels=["x", "x", "y", "z"]), 0)
    assert_allclose(leep_score(np.eye(3)[y], y), 0)


def test_nleep_knows_clusters_whatever_their_unit():
    Z, y = clusters(n=90, apart=8)
    assert nleep_score(Z, y) > -0.05
    assert_allclose(nleep_score(1e-5 * Z, y), nleep_score(Z, y), rtol=1e-3, atol=1e-6)


# HASTE ------------------------------------------------------------------------------------


def test_all_rows_give_the_score_itself():
    Z, y = clusters()
    hardness = sample_hardness(Z, y=y)
    for name in METRICS:
        Zs = said(name, Z, y)
        assert_allclose(haste_score(name, Zs, y, hardness=hardness, fraction=1), score(name, Zs, y))


def test_haste_is_the_score_of_the_hard_rows():
    Z, y = clusters()
    hardness = np.arange(60.0)
    kept = np.concatenate([np.flatnonzero(y == c)[-10:] for c in range(3)])
    kept.sort()
    found = haste_score(h_score, Z, NAMES[y], hardness=hardness, fraction=0.5)
    assert_allclose(found, h_score(Z[kept], y[kept]))


def test_haste_of_numbers_takes_one_class():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(40, 3))
    y = Z[:, 0] + rng.normal(size=40)
    hardness = np.arange(40.0)
    found = haste_score("logme", Z, y, hardness=hardness, fraction=0.5)
    assert_allclose(found, logme_score(Z[20:], y[20:]))


def test_hardness_is_of_one_kind():
    Z, y = clusters()
    with pytest.raises(ValueError, match="give either y, for hardness within classes, or source"):
        sample_hardness(Z)
    with pytest.raises(ValueError, match="give either"):
        sample_hardness(Z, y=y, source_features=Z)


def test_features_of_another_source():
    with pytest.raises(ValueError, match="source_features has 3 features but Z has 4"):
        sample_hardness(clusters()[0], source_features=np.ones((5, 3)))


def test_number_of_neighbours():
    Z, _ = clusters()
    with pytest.raises(ValueError, match="n_neighbors must be a whole number of at least 1; got 0"):
        sample_hardness(Z, source_features=Z, n_neighbors=0)
    assert_allclose(sample_hardness(Z, source_features=Z, n_neighbors=1), 0, atol=1e-12)


@pytest.mark.parametrize("fraction", [0, 1.2])
def test_fraction(fraction):
    Z, y = clusters()
    with pytest.raises(ValueError, match="fraction must be above 0 and at most 1"):
        haste_score("h", Z, y, hardness=y, fraction=fraction)


def test_hardness_of_other_rows():
    Z, y = clusters()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        haste_score("h", Z, y, hardness=y[:-1])


# Scorer -----------------------------------------------------------------------------------

IRIS = load_iris(return_X_y=True)
MODELS = {
    "two axes": PCA(2).fit(IRIS[0]),
    "last axis": make_pipeline(StandardScaler(), PCA(4)).fit(IRIS[0]),
    "tree": DecisionTreeClassifier(max_depth=2).fit(*IRIS),
    "logistic": LogisticRegression(max_iter=500).fit(*IRIS),
}


@pytest.mark.parametrize("name", METRICS)
def test_scorer_gives_the_score_of_the_response(name):
    X, y = IRIS
    model = MODELS["logistic"]
    response = {
        "features": model.decision_function,
        "probabilities": model.predict_proba,
        "labels": model.predict,
    }[METRICS[name].kind]
    found = make_transferability_scorer(name)(model, X, y)
    assert_allclose(found, score(name, response(X), y))


@pytest.mark.parametrize("response", ["predict_proba", "decision_function", "predict"])
def test_response_can_be_chosen(response):
    X, y = IRIS
    Z = getattr(MODELS["logistic"], response)(X).reshape(len(X), -1).astype(float)
    found = make_transferability_scorer("h", response=response)(MODELS["logistic"], X, y)
    assert_allclose(found, h_score(Z, y))


def last_but_one(model, X):
    return model[:-1].transform(X)


def test_response_can_be_a_function():
    X, y = IRIS
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    found = make_transferability_scorer(gbc_score, response=last_but_one)(model, X, y)
    assert_allclose(found, gbc_score(StandardScaler().fit_transform(X), y))


class Source(TransformerMixin, BaseEstimator):
    """Chooses among frozen models."""

    def __init__(self, model="two axes"):
        self.model = model

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return MODELS[self.model].transform(X)


def test_grid_search_finds_the_better_source():
    X, y = IRIS
    scorer = make_transferability_scorer("loo_ridge")
    options = {"scoring": scorer, "cv": StratifiedKFold(3)}
    search = GridSearchCV(Source(), {"model": ["two axes", "last axis"]}, **options).fit(X, y)
    assert search.best_params_ == {"model": "last axis"}
    scores = cross_val_score(Source("last axis"), X, y, **options)
    assert_allclose(search.best_score_, scores.mean())


def test_scorer_can_be_pickled_and_says_what_it_is():
    scorer = pickle.loads(pickle.dumps(make_transferability_scorer("leep")))
    assert scorer(MODELS["tree"], *IRIS) < 0
    assert repr(scorer) == "make_transferability_scorer('leep', response='probabilities')"


def test_model_without_the_response():
    X, y = IRIS
    scorer = make_transferability_scorer("leep")
    with pytest.raises(ValueError, match="the estimator must have predict_proba; PCA has not"):
        scorer(MODELS["two axes"], X, y)
    with pytest.raises(ValueError, match="must have transform or decision_function or predict"):
        model_response(object(), X, METRICS["h"])


def test_response_of_other_rows():
    with pytest.raises(ValueError, match="returned 1 rows for 150 rows of X"):
        model_response(lambda X: X[:1], IRIS[0], METRICS["h"])


def test_unknown_metric_and_response():
    with pytest.raises(ValueError, match="metric must be one of h, logme, loo_ridge, gbc, trans"):
        make_transferability_scorer("hscore")
    with pytest.raises(ValueError, match="response must be 'auto', the name of a method or a fu"):
        make_transferability_scorer("h", response=3)


# Ranking ----------------------------------------------------------------------------------

FEW = np.arange(150) % 5 == 0


def few_rows():
    X, y = IRIS
    return X[FEW], NAMES[y][FEW]


def test_ranking_holds_scores_in_order():
    X, y = few_rows()
    ranking = rank_sources(MODELS, X, y, ["loo_ridge", "h"], n_draws=20)
    assert ranking.metrics == ["loo_ridge", "h"]
    for metric in ranking.metrics:
        rows = ranking.rows(metric)
        assert [row["rank"] for row in rows] == [1, 2, 3, 4, None]
        scores = {row["source"]: row["score"] for row in rows}
        assert sorted(scores) == sorted([*MODELS, "no source"])
        for name, model in MODELS.items():
            assert_allclose(scores[name], make_transferability_scorer(metric)(model, X, y))
        assert_allclose(scores["no source"], score(metric, X, y))
        values = [row["score"] for row in rows[:-1]]
        assert values == sorted(values, reverse=True)
        assert (rows[0]["behind"], rows[0]["behind_error"]) == (0, 0)
        assert_allclose([row["behind"] for row in rows], values[0] - np.array([*scores.values()]))
        assert_allclose(sum(row["first"] for row in rows[:-1]), 1)


def test_a_source_that_is_better_is_clearly_so_and_two_alike_are_not():
    X, y = few_rows()
    noise = np.random.default_rng(0).normal(size=(len(X), 4))
    good = MODELS["logistic"]
    ranking = rank_sources({"noise": lambda X: noise, "good": good}, X, y)
    assert ranking.best() == "good"
    assert "'good' is best of 2; clearly better" in ranking.verdicts["loo_ridge"]
    same = rank_sources([good, good], X, y, "leep", n_draws=20)
    assert "not clearly better (0 ± 0) than the next, 'source 2'" in repr(same)
    assert "; clearly better" in repr(same)  # than no source


def test_no_source_is_better_than_noise():
    X, y = few_rows()
    noise = np.random.default_rng(0).normal(size=(len(X), 4))
    ranking = rank_sources({"noise": lambda X: noise}, X, y)
    assert "best of 1; clearly worse" in repr(ranking)


def test_no_source_of_predictions_tells_nothing():
    X, y = few_rows()
    models = {name: MODELS[name] for name in ("tree", "logistic")}
    ranking = rank_sources(models, X, y, ["leep", "nce"], n_draws=10)
    assert_allclose([ranking.rows(m)[-1]["score"] for m in ("leep", "nce")], -np.log(3))


def test_rows_that_are_no_numbers_have_no_baseline():
    X = pd.DataFrame({"name": ["a", "b", "a", "b"] * 10})
    ranking = rank_sources({"first letter": lambda X: X == "a"}, X, [0, 1, 0, 1] * 10, n_draws=5)
    assert np.isnan(ranking.rows()[-1]["score"])
    assert "not known whether better than no source" in repr(ranking)


def test_numbers_are_ranked_too():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    y = X[:, 0] + 0.1 * rng.normal(size=40)
    models = {
        "right": LinearRegression().fit(X, X[:, 0]),
        "wrong": Ridge().fit(X, X[:, 1]),
    }
    ranking = rank_sources(models, X, y, ["logme", "loo_ridge"], n_draws=20)
    assert [ranking.best(metric) for metric in ranking.metrics] == ["right", "right"]


def test_ranking_is_repeatable_and_the_same_in_parallel():
    X, y = few_rows()
    models = {name: MODELS[name] for name in ("two axes", "last axis")}
    once = rank_sources(models, X, y, n_draws=10).table
    with parallel_config("threading", n_jobs=2):
        assert rank_sources(models, X, y, n_draws=10).table == once
    assert rank_sources(models, X, y, n_draws=10, random_state=1).table != once


def test_a_row_of_its_own_class_stays_in_every_half():
    X, y = few_rows()
    y = y.astype(object)
    y[0] = "only once"
    assert rank_sources(MODELS, X, y, "h", n_draws=10).rows()


def test_standard_error_is_that_of_other_rows():
    """Halves scatter as much as new rows do, for a score that is a mean over rows."""
    rng = np.random.default_rng(0)
    good, bad = np.array([[0.7, 0.3], [0.3, 0.7]]), np.array([[0.6, 0.4], [0.4, 0.6]])

    def drawn():
        y = np.arange(60) % 2
        return {
            name: theta[np.where(rng.uniform(size=60) < 0.8, y, 1 - y)]
            for name, theta in (("good", good), ("bad", bad))
        }, y

    found, errors = [], []
    for _ in range(25):
        said, y = drawn()
        sources = {name: lambda X, Z=Z: Z for name, Z in said.items()}
        ranking = rank_sources(sources, np.zeros((60, 1)), y, "leep", n_draws=30)
        scores = {row["source"]: row["score"] for row in ranking.rows()}
        found.append(scores["good"] - scores["bad"])
        errors.append(ranking.rows()[1]["behind_error"])
    assert_allclose(np.mean(errors), np.std(found, ddof=1), rtol=0.4)


def test_messages_of_the_ranking():
    X, y = few_rows()
    with pytest.raises(ValueError, match="sources is empty; give at least one fitted model"):
        rank_sources({}, X, y)
    with pytest.raises(ValueError, match="X has 30 rows but y has 29"):
        rank_sources(MODELS, X, y[1:])
    with pytest.raises(ValueError, match="n_draws must be a whole number of at least 2; got 1"):
        rank_sources(MODELS, X, y, n_draws=1)
    with pytest.raises(ValueError, match=r"sources\['two axes'\] must have predict_proba"):
        rank_sources(MODELS, X, y, "leep")
    ranking = rank_sources(MODELS, X, y, n_draws=5)
    with pytest.raises(ValueError, match="metric must be one of loo_ridge; got 'h'"):
        ranking.best("h")


# Picture ----------------------------------------------------------------------------------


def test_ranking_is_drawn_best_first():
    X, y = few_rows()
    ranking = rank_sources(MODELS, X, y, n_draws=10)
    display = ranking.plot()
    names = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert names == [row["source"] for row in ranking.rows()[:-1]]
    assert "loo_ridge" in display.ax_.get_xlabel()
    assert [text.get_text() for text in display.ax_.texts] == ["no source"]


def test_points_that_are_clearly_worse_are_hollow():
    display = SourceRankingDisplay(["a", "b", "c"], [1.0, 3.0, 2.9], [0.5, 0.0, 0.2]).plot()
    faces = [bar[0].get_markerfacecolor() for bar in display.ax_.containers]
    assert [face == "white" for face in faces] == [False, False, True]
    assert not display.ax_.texts


def test_docstrings_have_examples():
    from numpydoc.docscrape import FunctionDoc

    for name in metrics.__all__:
        thing = getattr(metrics, name)
        if not isinstance(thing, type):
            doc = FunctionDoc(thing)
            assert doc["Examples"], name
            assert doc["Parameters"], name
