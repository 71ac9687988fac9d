import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from skt.core import allocation
from skt.core.constrained import constrained_quantities, constrained_weights


def programme(seed, K=None):
    rng = np.random.default_rng(seed)
    K = K or int(rng.integers(1, 9))
    n = np.exp(rng.uniform(np.log(5), np.log(5000), size=K + 1))
    D = rng.normal(size=(int(rng.integers(1, K + 2)), K))
    return n, D.T @ D * np.exp(rng.uniform(-6, 2)) / n[0]


def oracle(n, M, inequalities, starts=12):
    """Least risk that sequential quadratic programming finds; ``inequalities >= 0``."""
    K = len(n) - 1
    rng = np.random.default_rng(0)
    best = np.inf
    for _ in range(starts):
        fit = minimize(
            lambda w: np.log(allocation.risk(np.maximum(w, 0), n, M)),
            rng.uniform(0, 1, size=K),
            method="SLSQP",
            bounds=[(0, None)] * K,
            constraints=[{"type": "ineq", "fun": f} for f in inequalities],
            options={"ftol": 1e-13, "maxiter": 500},
        )
        w = np.maximum(fit.x, 0)
        if all(np.all(f(w) >= -1e-9) for f in inequalities):
            best = min(best, allocation.risk(w, n, M))
    return best


CONSTRAINTS = {
    "cap on a group": (lambda w: [w[0] + w[1] <= 0.1], [lambda w: 0.1 - w[0] - w[1]]),
    "cap on each": (lambda w: [w <= 0.05], [lambda w: 0.05 - w]),
    "floor": (lambda w: [w[0] >= 0.5], [lambda w: w[0] - 0.5]),
    "order": (
        lambda w: [w[0] >= w[1], w[1] >= w[2]],
        [lambda w: w[0] - w[1], lambda w: w[1] - w[2]],
    ),
    "none of one": (lambda w: [w[0] == 0], [lambda w: -w[0]]),
    "scalar": (lambda w: [w[0] * 2 <= 0.2], [lambda w: 0.1 - w[0]]),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("seed", range(4))
def test_constrained_optimum(name, seed):
    constraints, inequalities = CONSTRAINTS[name]
    n, M = programme(seed, K=3)
    w = constrained_weights(n, M, constraints)
    assert np.all(w >= 0)
    for f in inequalities:
        assert np.all(f(w) >= -1e-6)
    best = oracle(n, M, inequalities)
    assert allocation.risk(w, n, M) <= best * (1 + 1e-5)
    assert_allclose(allocation.risk(w, n, M), best, rtol=1e-3)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("constraints", [lambda w: [], lambda w: [w <= 1e6], lambda w: [w >= 0]])
def test_constraints_that_do_not_bind_change_nothing(seed, constraints):
    n, M = programme(seed)
    u = allocation.optimal_shares(n, M)
    free = allocation.weights_from_shares(u, n)
    w = constrained_weights(n, M, constraints)
    assert_allclose(allocation.risk(w, n, M), allocation.risk(free, n, M), rtol=1e-6)
    shares = allocation.shares_from_weights(w, n)
    assert_allclose(shares, u, atol=2e-3)


def test_a_single_feasible_point():
    n, M = programme(1, K=2)
    w = constrained_weights(n, M, lambda w: [w[0] == 0.25, w[1] == 0.5])
    assert_allclose(w, [0.25, 0.5], rtol=1e-5)
    assert_allclose(constrained_weights(n, M, lambda w: [w == 0]), 0, atol=1e-7)


@pytest.mark.parametrize(
    "constraints",
    [
        lambda w: [w[0] >= 2, w[0] <= 1],
        lambda w: [w[0] <= -0.1],
        lambda w: [w[0] + w[1] == -1],
    ],
)
def test_infeasible_constraints(constraints):
    n, M = programme(1, K=2)
    with pytest.raises(ValueError, match=r"No source weights >= 0 satisfy the constraints"):
        constrained_weights(n, M, constraints)


@pytest.mark.parametrize("bound", [1e-8, 1e8])
def test_bounds_of_extreme_size(bound):
    n, M = programme(2, K=2)
    w = constrained_weights(n, M, lambda w: [w <= bound])
    assert np.all(w <= bound * (1 + 1e-3) + 1e-9)
    free = allocation.optimal_shares(n, M)
    if bound > 1:
        assert_allclose(allocation.risk(w, n, M), allocation.share_risk(free, n, M), rtol=1e-6)


def test_sizes_of_samples_that_differ_by_orders_of_magnitude():
    n = np.array([10.0, 1e7, 20.0])
    M = np.diag([1e-3, 0.5])
    w = constrained_weights(n, M, lambda w: [w[0] <= 1])
    u = allocation.optimal_shares(n, M)
    assert_allclose(allocation.risk(w, n, M), allocation.share_risk(u, n, M), rtol=1e-5)


# Rows ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("budget", [np.inf, 300.0])
def test_rows_without_binding_constraints(seed, budget):
    n, M = programme(seed)
    free = allocation.optimal_quantities(n, M, budget=budget)
    m = constrained_quantities(n, M, lambda m: [m <= 2 * n[1:]], budget=budget)
    risk = allocation.quantity_risk(m, n, M)
    assert_allclose(risk, allocation.quantity_risk(free, n, M), rtol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_a_budget_may_be_a_constraint(seed):
    n, M = programme(seed, K=3)
    costs, budget = np.array([1.0, 2.0, 0.5]), 0.2 * n[1:].sum()
    free = allocation.optimal_quantities(n, M, costs=costs, budget=budget)
    for m in (
        constrained_quantities(n, M, lambda m: [costs @ m <= budget]),
        constrained_quantities(n, M, lambda m: [], costs=costs, budget=budget),
        constrained_quantities(n, M, lambda m: [costs @ m <= 10 * budget], 10.0),
    ):
        assert costs @ m <= budget * (1 + 1e-6)
        risk = allocation.quantity_risk(m, n, M)
        assert_allclose(risk, allocation.quantity_risk(free, n, M), rtol=1e-6)


@pytest.mark.parametrize("name", ["cap on a group", "order", "none of one"])
@pytest.mark.parametrize("seed", range(2))
def test_constrained_rows_cannot_be_improved(name, seed):
    n, M = programme(seed, K=3)
    constraints, inequalities = CONSTRAINTS[name]
    m = constrained_quantities(n, M, constraints, 1 / n[0])
    best = np.log(allocation.quantity_risk(m, n, M))
    for start in (np.zeros(3), m, n[1:] * 0.01):
        fit = minimize(
            lambda z: np.log(allocation.quantity_risk(np.clip(z * n[0], 0, n[1:]), n, M)),
            start / n[0],
            method="SLSQP",
            bounds=[(0, cap) for cap in n[1:] / n[0]],
            constraints=[{"type": "ineq", "fun": f} for f in inequalities],
        )
        if all(np.all(f(fit.x) >= -1e-9) for f in inequalities):
            assert fit.fun >= best - 1e-5


def test_infeasible_rows():
    n, M = programme(1, K=2)
    with pytest.raises(ValueError, match=r"No numbers of source rows >= 0 satisfy"):
        constrained_quantities(n, M, lambda m: [m[0] >= 2 * n[1]])
