"""Storm: every estimator, score and option on hostile shapes, values, labels and frames.

A call ends in finite answers of the right shape, or in a ValueError, TypeError or UserWarning that
names something the user passed. The default run tries a few hundred calls, ``-m slow`` about a
thousand, the same each time, so that a change is judged by itself. SKT_STORM says how many each
kind gets: new ones in every run, to search. SKT_STORM_COUNT names a file that counts them.
"""

import os
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.linalg import LinAlgWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import skt
from skt import metrics
from skt.sources import SourceModel

FEW = 8
MANY = int(os.environ.get("SKT_STORM", "30"))
COUNT = os.environ.get("SKT_STORM_COUNT")
# Words that a message must have at least one of: what the user passed, or what a model is made of.
NAMES = (
    *("X", "y", "sample_domain", "sample_weight", "sources", "target", "features", "feature"),
    *("alpha", "rank", "family", "budget", "costs", "discrepancy", "cv", "samples", "classes"),
    *("class", "rows", "row", "estimator", "groups", "penalty", "iterations", "labels"),
    *("weights", "combination", "method", "upstream", "estimators", "Z", "probabilities"),
    "Sample weights",  # of scikit-learn, where there are no sources
)
SCALES = (1.0, 1.0, 1.0, 1e-6, 1e6, 1e-30, 1e30)
SHAPES = ("plain", "plain", "copies", "constant y", "constant column", "one feature", "collinear")


@st.composite
def tables(draw, kind):
    """Stacked rows of a target and up to three sources: X, y, sample_domain, sample_weight."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = [draw(st.sampled_from([1, 2, 3, 5, 12, 30]))]
    sizes += draw(st.lists(st.sampled_from([1, 2, 10, 40]), max_size=3))
    p, shape = draw(st.sampled_from([1, 2, 4, 15])), draw(st.sampled_from(SHAPES))
    X = rng.standard_normal((sum(sizes), 1 if shape == "one feature" else p))
    y = X @ rng.standard_normal(X.shape[1]) + rng.standard_normal(len(X))
    if shape == "copies":
        X, y = X[rng.integers(0, 2, len(X)) * (len(X) > 1)], y[rng.integers(0, 2, len(X)) % len(X)]
    if shape == "constant y":
        y = np.full(len(y), draw(st.sampled_from([0.0, 0.1, -3.0])))
    if shape == "constant column":
        X[:, 0] = 7.0
    if shape == "collinear":
        X[:, -1] = 2 * X[:, 0]
    X = X * draw(st.sampled_from(SCALES)) + draw(st.sampled_from([0.0, 0.0, 1e3]))
    y = y * draw(st.sampled_from(SCALES))
    if kind == "counts":
        y = rng.poisson(np.exp(np.clip(y, -3, 3))).astype(float) * draw(st.sampled_from([1, 1, 50]))
    if kind == "classes":
        cut = np.quantile(y, [0.4, 0.8][: draw(st.integers(1, 2))])
        spelled = draw(st.sampled_from([["low", "middle", "high"], [7, 3, 5], [0, 1, 2]]))
        y = np.array(spelled)[np.digitize(y, cut)]
    names = draw(st.sampled_from([["target", "b", "a", "c d"], [-1, 4, 0, 77]]))[: len(sizes)]
    domain = np.repeat(names, sizes)
    if draw(st.booleans()) and sizes[1:]:
        order = rng.permutation(len(X))
        X, y, domain = X[order], y[order], domain[order]
    weighing = draw(st.sampled_from(["none", "none", "counts", "zeros", "tiny"]))
    weight = {
        "none": None,
        "counts": rng.integers(1, 4, len(X)).astype(float),
        "zeros": rng.integers(0, 2, len(X)).astype(float),
        "tiny": np.full(len(X), 1e-9),
    }[weighing]
    return X, y, domain, weight


FORMS = {
    "array": lambda X: X,
    "list": lambda X: X.tolist(),
    "frame": lambda X: pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])]),
    "single": lambda X: X.astype(np.float32) if np.abs(X).max() < 1e30 else X,
    "view": lambda X: np.asfortranarray(X)[:, ::-1],
}

BOTH = [True, False]


def sampled(estimator, **options):
    return skt.SourceSampled(estimator, skt.OTQMSSampler(random_state=0, **options))


def _squares(X):
    return np.tanh(X[:, :1]) ** 2


def ensemble(cls, **options):
    return cls({"squares": _squares, "signs": np.sign}, **options)


def transferred(**options):
    return skt.ParameterTransferClassifier(max_iter=30, random_state=0, **options)


# name: (kind of outcome, function of options, options and their values, the default first)
KINDS = {
    "UOWQRegressor": ("numbers", skt.UOWQRegressor, {
        "weights": ["eb", "eb", "sure", "plugin", "iterated"], "guard": ["james-stein", None],
        "alpha": ["auto", 0.0, 1.0, 1e8], "combination": ["auto", "scalar"],
        "fit_intercept": BOTH}),
    "L2SPRidge": ("numbers", skt.L2SPRidge, {
        "method": ["auto", "auto", "loo", "ml"], "alpha": ["auto", "auto", 0.0, 1.0, 1e8],
        "source_alpha": ["auto", "auto", "source-optimal", "transfer-optimal", 0.0],
        "source_scale": ["auto", "auto", 1.0, -2.0], "fit_intercept": BOTH}),
    "TransferRegressor": (
        "numbers", lambda **kw: skt.TransferRegressor(n_rehearsals=1, **kw), {"cv": [2, None]}),
    "TransferRegressor full": (
        "numbers", lambda: skt.TransferRegressor(mode="full", n_rehearsals=1, cv=2), {}),
    "ConformalRegressor": (
        "numbers", lambda **kw: skt.ConformalRegressor(**kw), {
            "estimator": [skt.UOWQRegressor(), skt.L2SPRidge(method="loo")]}),
    "ReducedRankRegressor": ("numbers", skt.ReducedRankRegressor, {
        "alpha": ["auto", 0.0, 1e8], "scale": BOTH}),
    "SMARTRegressor": ("numbers", skt.SMARTRegressor, {"fit_intercept": BOTH}),
    "SourceWeighted": ("numbers", lambda **kw: skt.SourceWeighted(Ridge(), **kw), {
        "cv": [5, None], "discrepancy": ["eb", "plugin"]}),
    "SourceWeighted tree": (
        "numbers", lambda: skt.SourceWeighted(DecisionTreeRegressor(random_state=0)), {}),
    "SourceSampled": ("numbers", lambda **kw: sampled(Ridge(), **kw), {
        "discrepancy": ["eb", "plugin"], "selection": ["random", "matched"],
        "budget": [None, None, 1], "min_samples": [0, 2]}),
    "SourceSampled refreshed": (
        "numbers", lambda: skt.SourceSampled(Ridge(), refresh=1, cv=None), {}),
    "SourceSampled tree": (
        "numbers", lambda **kw: sampled(DecisionTreeRegressor(random_state=0), **kw), {
            "discrepancy": ["eb", "plugin"]}),
    "UOWQMultiTaskRegressor": ("numbers", skt.UOWQMultiTaskRegressor, {
        "guard": ["left-out", None], "alpha": ["auto", 1.0, 1e8], "fit_intercept": BOTH}),
    "HEnsembleRegressor": ("numbers", lambda **kw: ensemble(skt.HEnsembleRegressor, **kw), {
        "weights": ["auto", "uniform", "h-score"], "prior": [None],
        "alpha": ["auto", 1e-6, 1e8], "include_target": BOTH}),
    "UOWQPoissonRegressor": ("counts", skt.UOWQPoissonRegressor, {
        "weights": ["eb", "eb", "sure", "plugin"], "guard": ["left-out", None],
        "alpha": ["auto", "auto", 0.0, 1.0], "fit_intercept": BOTH}),
    "UOWQClassifier": ("classes", skt.UOWQClassifier, {
        "weights": ["eb", "eb", "sure", "plugin"], "guard": ["left-out", None],
        "alpha": ["auto", "auto", 0.0, 1.0], "fit_intercept": BOTH,
        "class_weight": [None, "balanced"]}),
    "TransferClassifier": (
        "classes", lambda: skt.TransferClassifier(n_rehearsals=1, cv=2), {}),
    "L2SPClassifier": ("classes", skt.L2SPClassifier, {
        "alpha": ["auto", "auto", 0.0, 1.0], "source_alpha": ["auto", 0.0],
        "source_scale": ["auto", 1.0], "fit_intercept": BOTH}),
    "UOWQMultiTaskClassifier": ("classes", skt.UOWQMultiTaskClassifier, {
        "guard": ["left-out", None], "alpha": ["auto", 1.0], "fit_intercept": BOTH}),
    "HEnsembleClassifier": ("classes", lambda **kw: ensemble(skt.HEnsembleClassifier, **kw), {
        "weights": ["auto", "uniform", "h-score"], "alpha": ["auto", 1e-6, 1e8],
        "include_target": BOTH}),
    "ParameterTransferClassifier": ("classes", transferred, {
        "inherit_scale": ["auto", "cv", 0.0, 1.0], "inherit_fraction": [1.0, 0.5, 0.0],
        "selection": ["random", "response"]}),
    "SourceWeighted logistic": (
        "classes", lambda: skt.SourceWeighted(LogisticRegression()), {}),
    "SourceWeighted classes tree": (
        "classes", lambda: skt.SourceWeighted(DecisionTreeClassifier(random_state=0)), {}),
    "SourceSampled logistic": ("classes", lambda: sampled(LogisticRegression()), {}),
}  # fmt: skip
SCORES = {
    "h": lambda Z, y: metrics.h_score(Z, y),
    "h plain": lambda Z, y: metrics.h_score(Z, y, shrunk=False),
    "logme": metrics.logme_score,
    "loo_ridge": metrics.loo_ridge_score,
    "gbc": metrics.gbc_score,
    "transrate": metrics.transrate_score,
    "nleep": metrics.nleep_score,
    "leep": lambda Z, y: metrics.leep_score(_shares(Z), y),
    "nce": lambda Z, y: metrics.nce_score(y=y, source_labels=np.sign(Z[:, 0])),
    "haste": lambda Z, y: metrics.haste_score(
        "logme", Z, y, hardness=metrics.sample_hardness(Z, y=y)
    ),
    "rank_sources": lambda Z, y: metrics.rank_sources(
        {"as it is": lambda X: X, "signs": np.sign}, Z, y, n_draws=3
    ).rows()[0]["score"],
}


def _shares(Z):
    away = np.abs(Z) / max(np.abs(Z).max(), 1e-300) + 0.1
    return away / away.sum(axis=1, keepdims=True)


# Estimators that take rows of the target only.
TARGET_ONLY = ("HEnsemble", "ReducedRank")
# ReducedRank and SMART put copies into one fold, H-ensemble has no weights.
NO_WEIGHT = ("HEnsemble", "ReducedRank", "SMART")
# Sources as coefficients: exact, opposite, of another size, none at all.
MODELS = {"exact": 1.0, "opposite": -1.0, "large": 1e6, "zero": 0.0}


def answers_or_says_why(call):
    """Return the answer of a call, None for a refusal, which must name what was passed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            answer = call()
        except (ValueError, TypeError) as error:
            refusal = error
        else:
            refusal = None
    if COUNT:
        with open(COUNT, "a") as file:
            file.write("a" if refusal is None else "r")
    if refusal is not None:
        assert not isinstance(refusal, np.linalg.LinAlgError), refusal  # its kind is ValueError
        assert any(word in str(refusal) for word in NAMES), refusal
        return None
    strange = [w for w in caught if issubclass(w.category, RuntimeWarning)]
    # That a matrix is ill-conditioned is what the trained estimator's own solver says.
    strange = [w for w in strange if not issubclass(w.category, LinAlgWarning)]
    assert not strange, strange[0].message
    return answer


def fits(name, make, table, form):
    X, y, domain, weight = table
    if name.startswith(TARGET_ONLY):
        own = np.isin(domain, ["target", "-1"])
        X, y, domain = X[own], y[own], domain[own]
        weight = None if weight is None else weight[own]
    given = {} if weight is None or name.startswith(NO_WEIGHT) else {"sample_weight": weight}
    given |= {} if name.startswith(TARGET_ONLY) else {"sample_domain": domain}
    asked = {"sample_domain": domain} if "MultiTask" in name else {}

    def call():
        fitted = make().fit(FORMS[form](X), y, **given)
        probability = None
        if hasattr(fitted, "predict_proba"):
            probability = fitted.predict_proba(FORMS[form](X), **asked)
        return np.asarray(fitted.predict(FORMS[form](X), **asked)), probability

    found = answers_or_says_why(call)
    if found is None:
        return
    answer, probability = found
    assert answer.shape[:1] == (len(X),)
    if answer.dtype.kind == "f":
        assert np.isfinite(answer).all()
    if probability is not None:
        assert np.isfinite(probability).all()
        np.testing.assert_allclose(probability.sum(axis=1), 1.0, rtol=1e-5)  # of float32


def storm(n):
    return settings(
        max_examples=n,
        deadline=None,
        derandomize=n == FEW or "SKT_STORM" not in os.environ,
        suppress_health_check=list(HealthCheck),
        database=None,
    )


def run(name, n):
    kind, make, options = KINDS[name]
    drawn = st.fixed_dictionaries({key: st.sampled_from(values) for key, values in options.items()})

    @storm(n)
    @given(table=tables(kind), form=st.sampled_from(sorted(FORMS)), chosen=drawn)
    def one(table, form, chosen):
        fits(name, lambda: make(**chosen), table, form)

    one()


def run_score(name, n):
    @storm(n)
    @given(table=tables("classes"))
    def one(table):
        X, y, _, _ = table
        found = answers_or_says_why(lambda: SCORES[name](X, y))
        assert found is None or np.isfinite(found)

    one()


@pytest.mark.parametrize("name", KINDS)
def test_estimators(name):
    run(name, FEW)


@pytest.mark.parametrize("name", SCORES)
def test_scores(name):
    run_score(name, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_estimators_long(name):
    run(name, MANY)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCORES)
def test_scores_long(name):
    run_score(name, MANY)


def test_every_estimator_is_in_the_storm():
    named = " ".join(KINDS)
    public = [name for name in skt.__all__ if hasattr(getattr(skt, name), "fit")]
    assert not [name for name in public if name not in named and name != "OTQMSSampler"]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", ["UOWQRegressor", "L2SPRidge"])
def test_models_as_sources(name, kind, rng):
    X = rng.standard_normal((30, 4))
    beta = rng.standard_normal(4)
    source = SourceModel(coef=MODELS[kind] * beta, n_samples=100)
    estimator = getattr(skt, name)(sources={"a": source})
    fitted = estimator.fit(X, X @ beta + rng.standard_normal(30))
    assert np.isfinite(fitted.predict(X)).all()
