"""The UOWQ and OTQMS programmes with the user's own constraints, through cvxpy.

Notation as in ``allocation``.
"""

import warnings
from collections.abc import Callable
from typing import Any

import cvxpy as cp
import numpy as np
from scipy.optimize import minimize_scalar

from skt.core._typing import Array
from skt.core.allocation import square_root


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
    share = n[1:] / n[0]
    total = 1 + share @ w
    spread = 1 + cp.sum_squares(cp.multiply(np.sqrt(share), w))
    spread += cp.sum_squares(square_root(M * n[0]) @ cp.multiply(share, w))
    own = list(constraints(cp.multiply(unit, w)))
    _least_over_total(spread, total, own, 10 * n.sum() / n[0], tol)
    return np.maximum(w.value, 0.0)


def constrained_quantities(
    n: Array,
    M: Array,
    constraints: Callable[[Any], list[Any]],
    unit: Array | float = 1.0,
    *,
    costs: Array | None = None,
    budget: float = np.inf,
    tol: float = 1e-10,
) -> Array:
    """Minimise ``allocation.quantity_risk`` under convex constraints on ``unit * m``.

    The sublevel sets of the risk are convex in m: at a total T they are
    ``||M^{1/2} m|| <= sqrt(alpha T^2 - T)``, concave in T. So its least value at a given total
    is quasi-convex in the total, and one bounded line search finds the optimum.
    Raises ``ValueError`` when no quantities satisfy the constraints.
    """
    z = cp.Variable(len(n) - 1, nonneg=True, name="transfer_quantities")  # m / n_0
    total = 1 + cp.sum(z)
    bias = cp.sum_squares(square_root(M * n[0]) @ z)
    own = [z <= n[1:] / n[0], *constraints(cp.multiply(unit, n[0] * z))]
    if np.isfinite(budget):
        own.append((np.ones(len(M)) if costs is None else costs) @ z <= budget / n[0])
    _least_over_total(bias, total, own, n[1:].sum() / n[0], tol, rows=True)
    return np.clip(n[0] * z.value, 0.0, n[1:])


def _least_over_total(
    spread: Any, total: Any, own: list[Any], slack: float, tol: float, *, rows: bool = False
) -> None:
    """Leave the variables at the least ``spread/total^2``, plus ``1/total`` for rows.

    ``slack`` bounds how far the total is sought above its least value.
    """
    what = "numbers of source rows" if rows else "source weights"
    inverse_total = cp.Parameter(nonneg=True)
    least = _solved(cp.Problem(cp.Minimize(total), own), what)
    most = _solved(cp.Problem(cp.Maximize(total), [*own, total <= least + slack]), what)
    at_total = cp.Problem(cp.Minimize(spread), [inverse_total * total == 1, *own])

    def least_risk(u_0: float) -> float:
        inverse_total.value = u_0
        return _solved(at_total, what) * u_0**2 + rows * u_0

    # A hair inside the feasible interval: its very ends are no longer strictly feasible.
    ends = 1 / (most - 1e-9 * most), min(1 / (least + 1e-9 * least), 1.0)
    if ends[1] > ends[0]:
        search = minimize_scalar(least_risk, bounds=ends, method="bounded", options={"xatol": tol})
        least_risk(search.x)


def _solved(problem: Any, what: str) -> float:
    with warnings.catch_warnings():  # a line search forgives one inaccurate step
        warnings.filterwarnings("ignore", "Solution may be inaccurate")
        try:
            problem.solve(solver=cp.CLARABEL)
        except cp.SolverError as error:
            raise ValueError(
                f"The {what} under these constraints could not be found ({error}); state them in "
                "numbers of ordinary size, or loosen those that all but contradict each other."
            ) from error
    if problem.status not in ("optimal", "optimal_inaccurate"):
        raise ValueError(f"No {what} >= 0 satisfy the constraints ({problem.status}).")
    return float(problem.value)
