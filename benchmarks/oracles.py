"""Independent answers that the core is tested against: general solvers and special cases."""

import cvxpy as cp
import numpy as np
from numpy import ndarray as Array

from skt.core.allocation import square_root


def optimal_shares(n: Array, M: Array) -> Array:
    """Minimise ``u'Qu`` over the simplex with a general solver."""
    u = cp.Variable(len(n), nonneg=True)
    root = square_root(M * n[0])
    objective = cp.sum_squares(cp.multiply(np.sqrt(n[0] / n), u)) + cp.sum_squares(root @ u[1:])
    problem = cp.Problem(cp.Minimize(objective), [cp.sum(u) == 1])
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    return np.maximum(u.value, 0) / np.maximum(u.value, 0).sum()


def optimal_quantities(
    n: Array, M: Array, *, costs: Array | None = None, budget: float = np.inf
) -> Array:
    """Minimise ``allocation.quantity_risk`` with a general solver."""
    u = cp.Variable(len(n), nonneg=True)
    costs = np.ones(len(M)) if costs is None else costs
    objective = u[0] + cp.sum_squares(square_root(M * n[0]) @ u[1:])
    limits = [cp.sum(u) == 1, u[1:] <= u[0] * n[1:] / n[0]]
    if budget < costs @ n[1:]:
        limits.append(costs @ u[1:] <= u[0] * budget / n[0])
    problem = cp.Problem(cp.Minimize(objective), limits)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    return np.clip(n[0] * u.value[1:] / u.value[0], 0.0, n[1:])


def single_source_quantity(n_0: float, n_1: float, t: float) -> float:
    """Return the best number of rows of one source with discrepancy t, in closed form."""
    excess = 2 * n_0 * t - 1
    return n_1 if excess <= 0 else min(n_1, n_0 / excess)


def shares_from_quantities(m: Array, n_0: float) -> Array:
    """Return the share of each domain in the rows taken, (K+1,)."""
    return np.concatenate(([n_0], m)) / (n_0 + np.sum(m))
