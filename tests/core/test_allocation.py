import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from benchmarks import oracles
from skt.core import allocation
from skt.core.allocation import (
    kkt_residual,
    leave_out_small,
    mallows_shares,
    optimal_quantities,
    optimal_shares,
    quantities_from_shares,
    quantity_residual,
    quantity_risk,
    risk,
    share_risk,
    shares_from_weights,
    square_root,
    weights_from_shares,
    whole_quantities,
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
    u, oracle = optimal_shares(n, M), oracles.optimal_shares(n, M)
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


def test_parts_of_the_effective_sample_are_weighted_rows_at_the_optimum(rng):
    n, A = np.array([20.0, 100, 50, 400]), rng.normal(size=(3, 3))
    M = A @ A.T / 200 + np.diag([0.0, 0.05, 0.1])
    u = optimal_shares(n, M)
    parts = allocation.effective_parts(1 / share_risk(u, n, M), n[0], u[1:])
    assert_allclose(parts, weights_from_shares(u, n) * n[1:], rtol=1e-6)


def test_parts_count_shares_by_their_size_and_none_are_none():
    assert_allclose(allocation.effective_parts(50.0, 20.0, np.array([-0.2, 0.4])), [10, 20])
    assert_allclose(allocation.effective_parts(20.0, 20.0, np.zeros(2)), 0)


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


# How many rows -----------------------------------------------------------------------------


def limits(seed, n):
    """A budget, costs, both or none of them."""
    rng = np.random.default_rng(seed)
    budget = rng.uniform(0, 0.8) * n[1:].sum()
    costs = np.exp(rng.normal(size=len(n) - 1))
    return [{}, {"budget": budget}, {"budget": budget, "costs": costs}][seed % 3]


def grid_over_totals(n, M, size=60):
    """The paper's procedure: the least risk over a grid of totals, a programme for each."""
    root = square_root(M)
    best = 1 / n[0]
    for total in np.linspace(0, n[1:].sum(), size + 1)[1:]:
        m = cp.Variable(len(M), nonneg=True)
        problem = cp.Problem(
            cp.Minimize(cp.sum_squares(root @ m * n[0] / total)),
            [cp.sum(m) == 1, m * total <= n[1:]],
        )
        problem.solve(solver=cp.CLARABEL)
        best = min(best, quantity_risk(np.clip(m.value * total, 0, n[1:]), n, M))
    return best


@given(seed=SEEDS)
@settings(max_examples=100, deadline=None)
def test_quantities_are_optimal(seed):
    n, M = programme(seed)
    limit = limits(seed, n)
    m = optimal_quantities(n, M, **limit)
    assert np.all((m >= 0) & (m <= n[1:]))
    assert limit.get("costs", np.ones(len(m))) @ m <= limit.get("budget", np.inf) * (1 + 1e-9)
    assert quantity_residual(m, n, M, **limit) < 1e-7


@given(seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_quantities_cannot_be_improved(seed):
    n, M = programme(seed)
    limit = limits(seed, n)
    costs, budget = limit.get("costs", np.ones(len(M))), limit.get("budget", np.inf)
    m = optimal_quantities(n, M, **limit)
    best = quantity_risk(m, n, M)
    rng = np.random.default_rng(seed)
    for size in (1e-3, 0.05, 1.0):
        for _ in range(20):
            other = np.clip(m + size * n[1:] * rng.normal(size=len(m)), 0, n[1:])
            other *= min(1.0, budget / max(costs @ other, 1e-300))
            assert quantity_risk(other, n, M) >= best * (1 - 1e-8)


@pytest.mark.parametrize("seed", range(12))
def test_quantities_are_those_of_cvxpy_and_below_the_paper_s_grid(seed):
    n, M = programme(seed)
    limit = limits(seed, n)
    risk = quantity_risk(optimal_quantities(n, M, **limit), n, M)
    oracle = quantity_risk(oracles.optimal_quantities(n, M, **limit), n, M)
    assert_allclose(risk, oracle, rtol=1e-7)
    if not limit and len(M) < 6:
        grid = grid_over_totals(n, M)
        assert risk <= grid * (1 + 1e-9)
        assert risk >= 0.7 * grid  # and the grid comes near


@pytest.mark.parametrize("kind", ["none", "one", "diagonal", "whole numbers"])
def test_limits_that_meet_in_one_point(kind):
    """A budget for just all rows of some sources, equal sources, rows in round numbers."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        K = int(rng.integers(1, 9))
        n = rng.integers(1, 6, size=K + 1) * 50.0
        D = rng.integers(-2, 3, size=(int(rng.integers(1, K + 1)), K))
        M = {
            "none": np.zeros((K, K)),
            "one": np.ones((K, K)),
            "diagonal": np.diag(rng.integers(0, 4, size=K)),
            "whole numbers": D.T @ D,
        }[kind] * (rng.choice([0.01, 0.1, 0.5, 1, 10]) / n[0])
        costs = rng.integers(1, 4, size=K).astype(float)
        for budget in (n[1], n[1:].sum(), n[1 : 1 + K // 2].sum(), 50.0):
            for limit in ({"budget": budget}, {"budget": budget, "costs": costs}):
                m = optimal_quantities(n, M, **limit)
                assert limit.get("costs", np.ones(K)) @ m <= budget * (1 + 1e-9)
                assert quantity_residual(m, n, M, **limit) < 1e-7


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")  # for 1e-12; 1e-7 is compared
@pytest.mark.parametrize("start", range(0, 1000, 100))
def test_a_thousand_programmes(start):
    for seed in range(start, start + 100):
        n, M = programme(seed, K=1 + seed % 50)
        limit = limits(seed, n)
        m = optimal_quantities(n, M, **limit)
        assert quantity_residual(m, n, M, **limit) < 1e-7, seed
        oracle = quantity_risk(oracles.optimal_quantities(n, M, **limit), n, M)
        assert_allclose(quantity_risk(m, n, M), oracle, rtol=1e-7, err_msg=str(seed))


@pytest.mark.parametrize("n_1", [1.0, 30.0, 1e6])
@pytest.mark.parametrize("t", [0.0, 1e-4, 0.009, 0.0101, 0.03, 10.0])
def test_one_source_in_closed_form_of_rows(n_1, t):
    n, M = np.array([50.0, n_1]), np.array([[t]])
    m = optimal_quantities(n, M)
    assert_allclose(m, [oracles.single_source_quantity(50.0, n_1, t)], rtol=1e-5)
    if 0 < m[0] < n_1:  # interior: (1/n_0) (1 - 1/(4 n_0 t))
        assert_allclose(quantity_risk(m, n, M), (1 - 1 / (200 * t)) / 50, rtol=1e-9)


def test_rows_can_only_lose_against_weights():
    for seed in range(20):
        n, M = programme(seed)
        rows = quantity_risk(optimal_quantities(n, M), n, M)
        assert rows >= share_risk(optimal_shares(n, M), n, M) * (1 - 1e-9)
        assert rows <= 1 / n[0]


def test_rows_are_weights_of_zero_and_one():
    n, M = programme(2, K=3)
    m = n[1:] * np.array([1.0, 0.0, 1.0])
    assert_allclose(quantity_risk(m, n, M), risk(np.array([1.0, 0.0, 1.0]), n, M), rtol=1e-12)


def test_shares_and_quantities_are_two_names_of_one_thing(rng):
    m = rng.uniform(0, 100, size=4)
    u = oracles.shares_from_quantities(m, 20.0)
    assert_allclose(u.sum(), 1)
    assert_allclose(quantities_from_shares(u, 20.0), m)


def test_sources_without_discrepancy_give_all_their_rows():
    n = np.array([10.0, 5.0, 100.0, 20.0])
    assert_allclose(optimal_quantities(n, np.zeros((3, 3))), n[1:])


def test_a_budget_is_spent_on_equal_sources_in_proportion_to_their_rows():
    n = np.array([10.0, 5.0, 10.0, 20.0])
    m = optimal_quantities(n, np.zeros((3, 3)), budget=7.0)
    assert_allclose(m, n[1:] * 7 / 35, rtol=1e-5)


def test_dear_rows_give_way_to_cheap_ones():
    n = np.array([10.0, 20.0, 20.0])
    m = optimal_quantities(n, np.zeros((2, 2)), costs=np.array([1.0, 3.0]), budget=30.0)
    assert_allclose(m, [20.0, 10 / 3], rtol=1e-7)


@pytest.mark.parametrize("budget", [0.0, 1e-9])
def test_no_money_no_rows(budget):
    n, M = programme(3, K=4)
    assert optimal_quantities(n, M, budget=budget).sum() <= budget * (1 + 1e-9)


def test_no_source_and_no_rows_give_nothing():
    assert optimal_quantities(np.array([20.0]), np.zeros((0, 0))).shape == (0,)
    m = optimal_quantities(np.array([20.0, 0.0, 30.0]), np.zeros((2, 2)))
    assert_allclose(m, [0.0, 30.0])


def test_order_of_sources_does_not_matter_for_rows(rng):
    n, M = programme(3, K=7)
    order = rng.permutation(7)
    turned = optimal_quantities(np.r_[n[0], n[1:][order]], M[np.ix_(order, order)])
    assert_allclose(turned, optimal_quantities(n, M)[order], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-200, 1e-8, 1e8, 1e200])
def test_units_of_rows_do_not_matter_for_rows(scale):
    n, M = programme(5, K=4)
    m = optimal_quantities(n * scale, M / scale)
    assert_allclose(m / scale, optimal_quantities(n, M), rtol=1e-6, atol=1e-6)


def test_quantity_residual_sees_what_is_not_optimal():
    n, M = np.array([50.0, 200.0, 30.0, 100.0]), np.diag([0.05, 0.001, 0.5])
    best = optimal_quantities(n, M)
    assert 0 < best[0] < 200
    assert best[1] == 30
    for wrong in (np.zeros(3), n[1:], best * 0.5, best * 0.9):
        assert quantity_residual(wrong, n, M) > 1e-3
    assert quantity_residual(best, n, M) < 1e-8


def test_whole_rows_keep_within_the_budget():
    costs = np.array([1.0, 2.0, 5.0])
    m = whole_quantities(np.array([1.6, 2.6, 3.5]), np.array([9, 9, 9]), costs, 24.3)
    assert m.dtype.kind == "i"
    assert costs @ m <= 24.3
    assert np.all(np.abs(m - [1.6, 2.6, 3.5]) < 1)
    free = whole_quantities(np.array([1.6, 8.9]), np.array([9, 8]), np.ones(2), np.inf)
    assert free.tolist() == [2, 8]


def test_small_quantities_are_left_out_one_after_the_other():
    """Without the smallest, the next may become large enough."""

    def solve(kept):
        return np.where(kept, np.array([5.0, 2.0, 3.0]) + 10 * (not kept[1]), 0.0)

    assert leave_out_small(solve, 4.0, 3).tolist() == [15.0, 0.0, 13.0]
    assert leave_out_small(solve, 0, 3).tolist() == [5.0, 2.0, 3.0]


@pytest.mark.parametrize("seed", range(30))
def test_discrepancies_of_any_size_are_solved(seed):
    """One target row tells nothing: estimates of M reach 1e9, between sources that are alike."""
    rng = np.random.default_rng(seed)
    K = int(rng.integers(1, 6))
    n = np.append(1.0, rng.integers(1, 400, size=K))
    root = rng.normal(size=(K, K)) * 10.0 ** rng.uniform(-8, 6, size=K)
    root[:, -1] = root[:, 0] * (1 + 1e-12)
    M = root.T @ root
    for budget in (np.inf, 0.5 * n[1:].sum()):
        m = optimal_quantities(n, M, budget=budget)
        assert np.isfinite(m).all()
        assert np.all((m >= 0) & (m <= n[1:]))
        assert quantity_risk(m, n, M) <= quantity_risk(0 * m, n, M) * (1 + 1e-6)


# Discrepancies in two parts ---------------------------------------------------------------------


@pytest.mark.parametrize("K", [1, 2, 7, 300])
@pytest.mark.parametrize("common", [0.0, 0.02])
@pytest.mark.parametrize("size", [1e-4, 0.05, 3.0])
def test_closed_forms_of_a_common_and_own_parts(monkeypatch, K, common, size):
    """Variance components make M of two parts: no programme is solved, and the optimum is one."""
    rng = np.random.default_rng(K)
    n = np.r_[20.0, rng.integers(5, 200, K)].astype(float)
    own = size * rng.exponential(size=K) * (rng.random(K) < 0.8)
    M = common * (K > 1) + np.diag(own)
    for name in ("nnls", "_active_set"):
        monkeypatch.setattr(allocation, name, None)
    u = allocation.optimal_shares(n, M)
    assert_allclose(u.sum(), 1)
    assert allocation.kkt_residual(u, n, M) < 1e-9
    m = optimal_quantities(n, M)
    assert np.all((m >= 0) & (m <= n[1:]))
    assert quantity_residual(m, n, M) < 1e-6
