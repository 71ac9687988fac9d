"""Fits made together against fits made one by one."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skt.core import families, glm, glm_batch


def rows(rng, n_classes, n=60, p=3):
    X = rng.normal(size=(n, p)) * [1.0, 3.0, 0.2] + 2.0
    code = np.argmax(X @ rng.normal(size=(p, n_classes)) + rng.gumbel(size=(n, n_classes)), axis=1)
    return X, families.indicators(code, n_classes)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_each_is_the_fit_alone(rng, monkeypatch, n_classes, intercept, together):
    if not together:
        monkeypatch.setattr(glm_batch, "MOST_AT_ONCE", 0)
    X, Y = rows(rng, n_classes)
    alpha = np.array([1e-3, 0.1, 10.0, np.inf, 1e-3])
    weight = rng.integers(0, 3, size=(5, len(X))).astype(float)
    centre = rng.normal(size=(5, X.shape[1], Y.shape[1])) * 0.2
    many = glm_batch.fit_many(
        families.LOGISTIC, X, Y, alpha=alpha, weight=weight, centre=centre, intercept=intercept
    )
    eta = many.linear_predictor(X)
    for k in range(5):
        used = weight[k] > 0
        alone = glm.fit(
            families.LOGISTIC, X[used], Y[used],
            alpha=alpha[k], weight=weight[k][used], centre=centre[k], intercept=intercept,
        )  # fmt: skip
        assert_allclose(many.coef[k], alone.coef, atol=1e-5)
        P = families.LOGISTIC.mean(glm.linear_predictor(X, alone.coef, alone.intercept))
        assert_allclose(families.LOGISTIC.mean(eta[k]), P, atol=1e-6)


def test_a_start_saves_steps(rng):
    X, Y = rows(rng, 2)
    cold = glm.fit(families.LOGISTIC, X, Y, alpha=0.01)
    near = glm.fit(families.LOGISTIC, X, Y, alpha=0.011)
    warm = glm.fit(families.LOGISTIC, X, Y, alpha=0.01, start=near)
    assert warm.n_iter < cold.n_iter
    assert_allclose(warm.coef, cold.coef, atol=1e-7)
