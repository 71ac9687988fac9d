"""The UOWQ programme with the user's own constraints, through cvxpy.

Also the independent oracle of the tests for ``allocation``. Notation as there.
"""

import warnings
from collections.abc import Callable
from typing import Any

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from .allocation import square_root

Array = NDArray[Any]


def optimal_shares(n: Array, M: Array) -> Array:
    """Minimise ``u'Qu`` over the simplex with a general solver."""
    u = cp.Variable(len(n), nonneg=True)
    root = square_root(M * n[0])
    objective = cp.sum_squares(cp.multiply(np.sqrt(n[0] / n), u)) + cp.sum_squares(root @ u[1:])
    problem = cp.Problem(cp.Minimize(objective), [cp.sum(u) == 1])
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    return np.maximum(u.value, 0) / np.maximum(u.value, 0).sum()


def constrained_weights(
    n: Array,
    M: Array,
    constraints: Callable[[Any], list[Any]],
    unit: Array | float = 1.0,
    *,
    tol: float = 1e-10,
) -> Array:
    """Minimise ``allocation.risk`` over ``w >= 0`` under convex constraints on ``unit * w``.

    ``unit`` (K,) turns weights of rows of equal noise into the user's, of rows as they are.

    At a fixed total ``1 + sum_i w_i n_i / n_0`` the risk is a convex quadratic form in w, and
    its least value is quasi-convex in the total (the sublevel sets of a norm over a positive
    affine function are convex), so that one bounded line search finds the optimum.
    Raises ``ValueError`` when no weights satisfy the constraints.
    """
    w = cp.Variable(len(n) - 1, nonneg=True, name="source_weights")
    inverse_total = cp.Parameter(nonneg=True)
    share = n[1:] / n[0]
    total = 1 + share @ w
    spread = 1 + cp.sum_squares(cp.multiply(np.sqrt(share), w))
    spread += cp.sum_squares(square_root(M * n[0]) @ cp.multiply(share, w))
    own = list(constraints(cp.multiply(unit, w)))
    least = _solve(cp.Problem(cp.Minimize(total), own))
    most = _solve(cp.Problem(cp.Maximize(total), [*own, total <= least + 10 * n.sum() / n[0]]))
    at_total = cp.Problem(cp.Minimize(spread), [inverse_total * total == 1, *own])

    def least_risk(u_0: float) -> float:
        inverse_total.value = u_0
        return _solve(at_total) * u_0**2

    # A hair inside the feasible interval: its very ends are no longer strictly feasible.
    ends = 1 / (most - 1e-9 * most), min(1 / (least + 1e-9 * least), 1.0)
    if ends[1] > ends[0]:
        search = minimize_scalar(least_risk, bounds=ends, method="bounded", options={"xatol": tol})
        least_risk(search.x)
    return np.maximum(w.value, 0.0)


def _solve(problem: Any) -> float:
    with warnings.catch_warnings():  # a line search forgives one inaccurate step
        warnings.filterwarnings("ignore", "Solution may be inaccurate")
        problem.solve(solver=cp.CLARABEL)
    if problem.status not in ("optimal", "optimal_inaccurate"):
        raise ValueError(f"No source weights >= 0 satisfy the constraints ({problem.status}).")
    return float(problem.value)
