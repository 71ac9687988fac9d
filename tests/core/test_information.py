"""Information in parts against the whole matrix."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skt.core import information, random_effects, variance_search
from skt.core.information import Information


def example(rng, m=30, r=4):
    roots = rng.normal(size=(m, 3, 3))
    F = rng.normal(size=(1 + 3 * m, r)) * 0.3
    sign = np.where(np.arange(r) % 2, -0.0, 1.0) + np.where(np.arange(r) % 2, -1.0, 0.0)
    blocks = roots @ np.swapaxes(roots, 1, 2) + 5 * np.eye(3)
    return Information(3.0, blocks, F * np.where(sign < 0, 0.1, 1.0), sign)


@pytest.mark.parametrize("m", [2, 30])
def test_steps_and_determinants_are_those_of_the_whole(rng, m):
    H = example(rng, m)
    dense = H.dense
    assert H.is_low_rank == (m == 30)
    assert_allclose(dense, dense.T)
    free = rng.random(H.size) < 0.7
    g, x = rng.normal(size=(2, H.size))
    expected = np.zeros(H.size)
    inner = dense[np.ix_(free, free)]
    expected[free] = -np.linalg.solve(inner + 0.1 * np.eye(len(inner)), g[free])
    assert_allclose(H.step(g, free, 0.1), expected, atol=1e-10)
    assert_allclose(H.times(x), dense @ x)
    assert_allclose(H.log_determinant(free), np.linalg.slogdet(inner)[1], rtol=1e-4)
    by, d, c = rng.uniform(0.5, 2, size=(3, H.size))
    changed = H.scaled(by).plus(d, [0.01 * c])
    whole = dense * np.outer(by, by) + np.diag(d) - 1e-4 * np.outer(c, c)
    assert_allclose(changed.dense, whole)


def test_hundreds_of_sources_need_no_large_matrix(rng, monkeypatch):
    """Steps stay few, and none decomposes a matrix of as many rows as there are parameters."""
    K, p = 200, 6
    X = rng.normal(size=(K + 1, 15, p))
    W = rng.normal(size=p) + 0.3 * rng.normal(size=(K + 1, p)) * rng.exponential(size=(K + 1, 1))
    Y = np.einsum("knp,kp->kn", X, W)[..., None] + rng.normal(size=(K + 1, 15, 1))
    T = np.swapaxes(X, 1, 2)
    domains = random_effects.decompose(np.full(K + 1, 15.0), T @ X, T @ Y, np.swapaxes(Y, 1, 2) @ Y)
    monkeypatch.setattr(information, "_solve_dense", None)
    monkeypatch.setattr(Information, "dense", property(lambda self: 1 / 0))
    for model in variance_search.fit_models(domains):
        assert model.search.converged
        assert model.search.n_iter <= 40
