import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from skt.core import allocation, convex
from skt.core.allocation import (
    kkt_residual,
    mallows_shares,
    optimal_shares,
    risk,
    share_risk,
    shares_from_weights,
    square_root,
    weights_from_shares,
)


def programme(seed, K=None, rank=None):
    """Rows and a discrepancy of any rank, of sizes that differ by orders of magnitude."""
    rng = np.random.default_rng(seed)
    K = K or int(rng.integers(1, 9))
    n = np.exp(rng.uniform(np.log(5), np.log(5000), size=K + 1))
    D = rng.normal(size=(rank or int(rng.integers(1, K + 2)), K))
    return n, D.T @ D * np.exp(rng.uniform(-6, 2)) / n[0]


SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_solution_is_optimal(seed):
    n, M = programme(seed)
    u = optimal_shares(n, M)
    assert_allclose(u.sum(), 1)
    assert np.all(u >= 0)
    assert u[0] > 0
    assert kkt_residual(u, n, M) < 1e-8


@given(seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_solution_cannot_be_improved(seed):
    n, M = programme(seed)
    u = optimal_shares(n, M)
    best = share_risk(u, n, M)
    rng = np.random.default_rng(seed)
    for size in (1e-4, 1e-2, 0.3):
        for _ in range(20):
            other = np.maximum(u + size * rng.normal(size=len(u)), 0)
            if other.sum() > 0:
                assert share_risk(other / other.sum(), n, M) >= best * (1 - 1e-10)
    for vertex in np.eye(len(u)):
        assert share_risk(vertex, n, M) >= best * (1 - 1e-10)


@pytest.mark.parametrize("seed", range(12))
def test_solution_is_that_of_cvxpy(seed):
    n, M = programme(seed)
    u, oracle = optimal_shares(n, M), convex.optimal_shares(n, M)
    assert_allclose(share_risk(u, n, M), share_risk(oracle, n, M), rtol=1e-6)
    assert share_risk(u, n, M) <= share_risk(oracle, n, M) * (1 + 1e-9)
    assert_allclose(u, oracle, atol=1e-4)


@given(seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_risk_of_weights_is_risk_of_shares(seed):
    n, M = programme(seed)
    w = np.random.default_rng(seed).uniform(0, 3, size=len(n) - 1)
    u = shares_from_weights(w, n)
    assert_allclose(share_risk(u, n, M), risk(w, n, M), rtol=1e-10)
    assert_allclose(weights_from_shares(u, n), w, rtol=1e-10)


@pytest.mark.parametrize("n_1", [1.0, 30.0, 1e6])
@pytest.mark.parametrize("t", [0.0, 1e-4, 0.03, 10.0])
def test_one_source_in_closed_form(n_1, t):
    n = np.array([50.0, n_1])
    u = optimal_shares(n, np.array([[t]]))
    assert_allclose(weights_from_shares(u, n), [1 / (1 + n_1 * t)], rtol=1e-8)
    assert_allclose(share_risk(u, n, np.array([[t]])), 1 / (50 + n_1 / (1 + n_1 * t)), rtol=1e-10)


def test_sources_without_discrepancy_are_pooled(rng):
    n = rng.uniform(10, 1000, size=6)
    w = weights_from_shares(optimal_shares(n, np.zeros((5, 5))), n)
    assert_allclose(w, 1, rtol=1e-8)


def test_a_source_with_a_redundant_bias_gets_nothing():
    """The second source errs in the direction of the first, and three times as much."""
    delta = np.array([1.0, 3.0])
    n = np.array([50.0, 1000.0, 1000.0])
    M = 0.01 * np.outer(delta, delta)
    u = optimal_shares(n, M)
    assert u[1] > 0
    assert u[2] == 0
    assert (M @ u[1:])[1] >= share_risk(u, n, M)


def test_biases_that_cancel_deserve_weights_above_one():
    delta = np.array([1.0, -3.0])
    n = np.array([50.0, 100.0, 1000.0])
    w = weights_from_shares(optimal_shares(n, np.outer(delta, delta)), n)
    assert w[0] > 1
    assert w[1] > 0


def test_no_source_leaves_all_to_the_target():
    assert_allclose(optimal_shares(np.array([20.0]), np.zeros((0, 0))), [1.0])


def test_order_of_sources_does_not_matter(rng):
    n, M = programme(3, K=7)
    u = optimal_shares(n, M)
    order = rng.permutation(7)
    turned = optimal_shares(np.r_[n[0], n[1:][order]], M[np.ix_(order, order)])
    assert_allclose(turned[1:], u[1:][order], atol=1e-8)


@pytest.mark.parametrize("scale", [1e-200, 1e-8, 1e8, 1e200])
def test_units_of_rows_do_not_matter(scale):
    n, M = programme(5, K=4)
    assert_allclose(optimal_shares(n * scale, M / scale), optimal_shares(n, M), atol=1e-8)


def test_many_sources():
    rng = np.random.default_rng(0)
    n = rng.uniform(10, 1000, size=201)
    D = rng.normal(size=(50, 200)) / 5
    u = optimal_shares(n, D.T @ D / 50)
    assert kkt_residual(u, n, D.T @ D / 50) < 1e-7


def test_kkt_residual_sees_what_is_not_optimal():
    n, M = programme(1, K=3)
    for wrong in (np.full(4, 0.25), np.array([1.0, 0, 0, 0]), np.array([0, 1.0, 0, 0])):
        assert kkt_residual(wrong, n, M) > 1e-3


@pytest.mark.parametrize("seed", range(15))
def test_mallows_shares_are_those_of_a_general_solver(seed):
    rng = np.random.default_rng(seed)
    K = int(rng.integers(1, 6))
    D = rng.normal(size=(int(rng.integers(1, 9)), K)) * np.exp(rng.uniform(-2, 2))
    M, v = D.T @ D, float(np.exp(rng.uniform(-3, 2)))

    def mallows(u):
        return u[1:] @ M @ u[1:] + 2 * v * u[0]

    u = mallows_shares(M, v)
    assert_allclose(u.sum(), 1)
    assert np.all(u >= 0)
    unit = v + np.trace(M)
    fits = [
        minimize(
            lambda u: mallows(u) / unit,
            start,
            method="SLSQP",
            bounds=[(0, 1)] * (K + 1),
            constraints={"type": "eq", "fun": lambda u: u.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        ).fun
        for start in (np.full(K + 1, 1 / (K + 1)), *np.eye(K + 1))
    ]
    assert mallows(u) / unit <= min(fits) + 1e-9
    assert_allclose(mallows(u) / unit, min(fits), atol=1e-5)


@pytest.mark.parametrize("loss", [0.01, 0.5, 2.0, 50.0])
def test_mallows_of_one_source_is_james_stein_with_d(loss):
    """Without the source's noise, ``u_1 = min(1, v_0 / T)``."""
    u = mallows_shares(np.array([[loss]]), 0.4)
    assert_allclose(u[1], min(1.0, 0.4 / loss), rtol=1e-8)


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_square_root(rng, rank):
    D = rng.normal(size=(rank, 5))
    M = D.T @ D
    root = square_root(M)
    assert_allclose(root @ root, M, atol=1e-10)
    assert_allclose(root, root.T, atol=1e-12)


def test_allocation_does_not_need_cvxpy():
    assert "cvxpy" not in vars(allocation)
