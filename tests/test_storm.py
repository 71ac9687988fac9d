"""Storm: every estimator and option on hostile shapes, values, labels and frames.

A call ends in finite answers of the right shape, or in a ValueError, TypeError or UserWarning that
names something the user passed. The default run tries a few hundred calls, ``-m slow`` thousands;
SKT_STORM says how many.
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
from skt.sources import SourceModel

FEW = 12
MANY = int(os.environ.get("SKT_STORM", "40"))
# Words that a message must have at least one of: what the user passed, or what a model is made of.
NAMES = (
    *("X", "y", "sample_domain", "sample_weight", "sources", "target", "features", "feature"),
    *("alpha", "rank", "family", "budget", "costs", "discrepancy", "cv", "samples", "classes"),
    *("class", "rows", "row", "estimator", "groups", "penalty", "iterations", "labels"),
    "Sample weights",  # of scikit-learn, where there are no sources
)
SCALES = (1.0, 1.0, 1.0, 1e-6, 1e6, 1e-30, 1e30)
SHAPES = ("plain", "plain", "copies", "constant y", "constant column", "one feature", "collinear")


@st.composite
def tables(draw, classes):
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
    if classes:
        cut = np.quantile(y, [0.4, 0.8][: draw(st.integers(1, 2))])
        y = np.array(["low", "middle", "high"])[np.digitize(y, cut)]
    names = ["target", "b", "a", "c d"][: len(sizes)]
    domain = np.repeat(names, sizes)
    if draw(st.booleans()) and sizes[1:]:
        order = rng.permutation(len(X))
        X, y, domain = X[order], y[order], domain[order]
    kind = draw(st.sampled_from(["none", "none", "counts", "zeros", "tiny"]))
    weight = {
        "none": None,
        "counts": rng.integers(1, 4, len(X)).astype(float),
        "zeros": rng.integers(0, 2, len(X)).astype(float),
        "tiny": np.full(len(X), 1e-9),
    }[kind]
    return X, y, domain, weight


FORMS = {
    "array": lambda X: X,
    "list": lambda X: X.tolist(),
    "frame": lambda X: pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])]),
    "single": lambda X: X.astype(np.float32) if np.abs(X).max() < 1e30 else X,
    "view": lambda X: np.asfortranarray(X)[:, ::-1],
}

REGRESSORS = {
    "UOWQRegressor": lambda: skt.UOWQRegressor(),
    "UOWQRegressor ridge": lambda: skt.UOWQRegressor(alpha=1.0),
    "L2SPRidge": lambda: skt.L2SPRidge(),
    "TransferRegressor": lambda: skt.TransferRegressor(n_rehearsals=1, cv=2),
    "TransferRegressor full": lambda: skt.TransferRegressor(mode="full", n_rehearsals=1, cv=None),
    "ReducedRankRegressor": lambda: skt.ReducedRankRegressor(),
    "ReducedRankRegressor units": lambda: skt.ReducedRankRegressor(alpha=1e8, scale=False),
    "SMARTRegressor": lambda: skt.SMARTRegressor(),
    "SourceWeighted": lambda: skt.SourceWeighted(Ridge()),
    "SourceWeighted tree": lambda: skt.SourceWeighted(DecisionTreeRegressor(random_state=0)),
    "SourceWeighted once": lambda: skt.SourceWeighted(Ridge(), cv=None),
    "SourceSampled": lambda: skt.SourceSampled(Ridge(), skt.OTQMSSampler(random_state=0)),
    "SourceSampled refreshed": lambda: skt.SourceSampled(Ridge(), refresh=1, cv=None),
    "SourceSampled budget": lambda: skt.SourceSampled(
        Ridge(), skt.OTQMSSampler(budget=3, random_state=0)
    ),
    "SourceSampled matched": lambda: skt.SourceSampled(
        Ridge(), skt.OTQMSSampler(selection="matched", random_state=0), cv=None
    ),
    "SourceSampled plugin": lambda: skt.SourceSampled(
        DecisionTreeRegressor(random_state=0),
        skt.OTQMSSampler(discrepancy="plugin", min_samples=2, random_state=0),
    ),
}
CLASSIFIERS = {
    "L2SPClassifier": lambda: skt.L2SPClassifier(),
    "TransferClassifier": lambda: skt.TransferClassifier(n_rehearsals=1, cv=2),
    "SourceWeighted logistic": lambda: skt.SourceWeighted(LogisticRegression()),
    "SourceWeighted tree": lambda: skt.SourceWeighted(DecisionTreeClassifier(random_state=0)),
    "SourceSampled logistic": lambda: skt.SourceSampled(
        LogisticRegression(), skt.OTQMSSampler(random_state=0)
    ),
}
# Estimators whose statistics another part of the suite answers for.
TAKES_WEIGHT = ("Source", "UOWQ", "L2SP", "Transfer")
# Sources as coefficients: exact, opposite, of another size, none at all.
MODELS = {"exact": 1.0, "opposite": -1.0, "large": 1e6, "zero": 0.0}


def fits_or_says_why(make, table, form, name):
    """Return whether the fit gave finite answers; a refusal must name what was passed."""
    X, y, domain, weight = table
    given = {} if weight is None or not name.startswith(TAKES_WEIGHT) else {"sample_weight": weight}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fitted = make().fit(FORMS[form](X), y, sample_domain=domain, **given)
            answer = np.asarray(fitted.predict(FORMS[form](X)))
        except (ValueError, TypeError) as error:
            refusal = error
        else:
            refusal = None
    if refusal is not None:
        assert not isinstance(refusal, np.linalg.LinAlgError), refusal  # its kind is ValueError
        assert any(word in str(refusal) for word in NAMES), refusal
        return False
    strange = [w for w in caught if issubclass(w.category, RuntimeWarning)]
    # That a matrix is ill-conditioned is what the trained estimator's own solver says.
    strange = [w for w in strange if not issubclass(w.category, LinAlgWarning)]
    assert not strange, strange[0].message
    assert answer.shape[:1] == (len(X),)
    if answer.dtype.kind == "f":
        assert np.isfinite(answer).all()
    if hasattr(fitted, "predict_proba"):
        probability = fitted.predict_proba(FORMS[form](X))
        assert np.isfinite(probability).all()
        np.testing.assert_allclose(probability.sum(axis=1), 1.0, rtol=1e-5)  # of float32
    return True


def storm(n):
    return settings(
        max_examples=n,
        deadline=None,
        derandomize=n == FEW,
        suppress_health_check=list(HealthCheck),
        database=None,
    )


def run(kinds, name, classes, n):
    @storm(n)
    @given(table=tables(classes), form=st.sampled_from(sorted(FORMS)))
    def one(table, form):
        fits_or_says_why(kinds[name], table, form, name)

    one()


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors(name):
    run(REGRESSORS, name, False, FEW)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers(name):
    run(CLASSIFIERS, name, True, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors_long(name):
    run(REGRESSORS, name, False, MANY)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_long(name):
    run(CLASSIFIERS, name, True, MANY)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", ["UOWQRegressor", "L2SPRidge"])
def test_models_as_sources(name, kind, rng):
    X = rng.standard_normal((30, 4))
    beta = rng.standard_normal(4)
    source = SourceModel(coef=MODELS[kind] * beta, n_samples=100)
    estimator = getattr(skt, name)(sources={"a": source})
    fitted = estimator.fit(X, X @ beta + rng.standard_normal(30))
    assert np.isfinite(fitted.predict(X)).all()
