"""No sources: every method of the registry, and every estimator, is the target alone."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skt
from skt import ReducedRankRegressor
from skt.choice.baselines import ValidatedLogistic
from skt.choice.losses import CLASSIFICATION, REGRESSION
from skt.choice.methods import METHODS

N, P = 40, 4
EXACT = {"tol": 1e-10, "max_iter": 10_000}


def registry_ridge():
    return RidgeCV(alphas=np.logspace(-3, 4, 15))


def standardised(model):
    return make_pipeline(StandardScaler(), model)


# Name of a method -> scikit-learn's model (or ours) of the same penalty, given the fitted method.
ALONE = {
    (REGRESSION.name, REGRESSION.alone): lambda fit: registry_ridge(),
    (REGRESSION.name, "pooled ridge"): lambda fit: registry_ridge(),
    (REGRESSION.name, "UOWQ"): lambda fit: standardised(Ridge(N * fit.alpha_)),
    (REGRESSION.name, "L2-SP"): lambda fit: Ridge(N * fit.alpha_),
    (REGRESSION.name, "reduced-rank regression"): lambda fit: ReducedRankRegressor(),
    (REGRESSION.name, "SMART"): lambda fit: ReducedRankRegressor(),
    (REGRESSION.name, "OTQMS ridge"): lambda fit: registry_ridge(),
    (CLASSIFICATION.name, CLASSIFICATION.alone): lambda fit: ValidatedLogistic(),
    (CLASSIFICATION.name, "pooled logistic"): lambda fit: ValidatedLogistic(),
    (CLASSIFICATION.name, "UOWQ"): lambda fit: standardised(
        LogisticRegression(C=1 / (2 * N * fit.alpha_), **EXACT)
    ),
    # An infinite penalty, which it may choose, leaves the intercept alone.
    (CLASSIFICATION.name, "L2-SP"): lambda fit: LogisticRegression(
        C=max(1 / (2 * N * fit.alpha_), 1e-12), **EXACT
    ),
    (CLASSIFICATION.name, "weighted logistic"): lambda fit: ValidatedLogistic(),
    (CLASSIFICATION.name, "OTQMS logistic"): lambda fit: ValidatedLogistic(),
}
# Their names say that they learn from sources.
OF_SOURCES = {
    (REGRESSION.name, "source-only ridge"),
    (REGRESSION.name, "source + residual ridge"),
    (CLASSIFICATION.name, "source-only logistic"),
}


def rows(rng, kind, outputs=2):
    X = rng.normal(size=(N, P)) @ np.diag([1, 2, 0.5, 1]) + 1
    Y = X @ rng.normal(size=(P, outputs)) + rng.normal(size=(N, outputs))
    if kind == CLASSIFICATION.name:
        return X, np.where(Y[:, 0] > np.median(Y[:, 0]), "yes", "no")
    return X, Y[:, 0] if outputs == 1 else Y


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.kind}-{m.name}")
@pytest.mark.parametrize("labels", [None, "target"])
def test_every_method_of_the_registry(rng, method, labels):
    many = method.name in ("SMART", "reduced-rank regression")
    X, y = rows(rng, method.kind, 2 if many else 1)
    d = None if labels is None else np.full(N, labels)
    if (method.kind, method.name) in OF_SOURCES:
        with pytest.raises(ValueError, match="sample_domain names no source"):
            method.factory().fit(X, y, sample_domain=d)
        return
    ours = method.factory().fit(X, y, sample_domain=d)
    theirs = ALONE[method.kind, method.name](ours).fit(X, y)
    ask = "predict" if method.kind == REGRESSION.name else "predict_proba"
    assert_allclose(getattr(ours, ask)(X), getattr(theirs, ask)(X), rtol=1e-5, atol=1e-5)


# Estimators that are in no registry of `compare`.
def test_counts(rng):
    X, _ = rows(rng, REGRESSION.name, 1)
    y = rng.poisson(np.exp(0.3 * X[:, 0]))
    ours = skt.UOWQPoissonRegressor().fit(X, y)
    theirs = standardised(PoissonRegressor(alpha=2 * ours.alpha_, **EXACT)).fit(X, y)
    assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-4)


def test_one_task_without_penalty(rng):
    X, y = rows(rng, REGRESSION.name, 1)
    ours = skt.UOWQMultiTaskRegressor(alpha=1e-9).fit(X, y)
    assert_allclose(ours.predict(X), LinearRegression().fit(X, y).predict(X), rtol=1e-4, atol=1e-4)


def test_ensemble_of_no_models(rng):
    X, y = rows(rng, REGRESSION.name, 1)
    ours = skt.HEnsembleRegressor(alpha=0.5).fit(X, y)
    size = np.mean(np.sum((X - X.mean(axis=0)) ** 2, axis=1))
    assert_allclose(ours.predict(X), Ridge(0.5 * size).fit(X, y).predict(X), rtol=1e-9)


@pytest.mark.filterwarnings("ignore:Gradient descent did not converge")
def test_network_of_no_upstream(rng):
    X, y = rows(rng, CLASSIFICATION.name)
    ours = skt.ParameterTransferClassifier(max_iter=20, random_state=0).fit(X, y)
    scratch = skt.ParameterTransferClassifier(max_iter=20, random_state=0, inherit_scale=0).fit(
        X, y
    )
    assert_allclose(ours.predict_proba(X), scratch.predict_proba(X))
