"""One weight per source row, then weighted least squares: the paper's UOWQ.

Notation: as in `uowq`; w (K,) weights of one row of each source, u (K+1,) shares on the simplex
(`allocation`), M (K, K) discrepancies (`discrepancy`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from skt.core import allocation, discrepancy, least_squares, random_intercept
from skt.core._typing import Array
from skt.core.uowq import (
    Combination,
    Problem,
    excess_risk,
    most_parameters,
    n_parameters,
    noise_levels,
    target_covariance,
    target_ridge,
)

# --- scalar -------------------------------------------------------------------------------


class DomainFits(NamedTuple):
    """Domains compared one by one, in the coordinates of ``discrepancy``."""

    theta: Array  # (K+1, p, q) coefficients
    root: Array  # (p, p) J^{1/2} without the noise: root'root is the mean design
    v: Array  # (K+1,) variance of an entry of whitened coefficients
    n: Array  # (K+1,) rows, worth n_i v_0/v_i where noise differs
    noise: Array  # (K+1,)
    df: float

    def differences(self, theta_0: Array) -> Array:
        """Return whitened differences from theta_0, (p q, K)."""
        delta = self.root @ (self.theta[1:] - theta_0) / np.sqrt(self.noise[0])
        return delta.reshape(len(delta), -1).T


def compare_domains(problem: Problem, alpha: float | None) -> DomainFits:
    """Return each domain's coefficients and their noise.

    A source with fewer rows than features says nothing outside the directions it has seen:
    there it is given the target's coefficients, and its difference within is scaled up.
    """
    domains = problem.domains
    noise, df = noise_levels(problem.rows, domains)
    p = problem.Sxx.shape[1]
    theta = np.array(
        [least_squares.ridge(S, b) for S, b in zip(problem.Sxx, problem.Sxy, strict=True)]
    )
    ranks = domains.ranks
    if ranks[0] < n_parameters(problem.Sxx) or (alpha or 0.0) > 0:
        path = target_ridge(problem, alpha)
        theta[0] = path.coef[path.best]
        if np.all(
            problem.rows <= ranks
        ):  # nobody has residuals; the target's errors bound the noise
            noise = np.full_like(noise, max(path.loo_error[path.best], 1e-12))
    for i in np.flatnonzero(ranks[1:] < p) + 1:
        _, U, _ = domains.part(int(i))
        stretch = np.sqrt(p / max(ranks[i], 1))
        theta[i] = theta[0] + stretch * U @ (U.T @ (theta[i] - theta[0]))
    design = np.mean(problem.Sxx / np.maximum(problem.rows, 1.0)[:, None, None], axis=0)
    root = allocation.square_root(design)
    U = domains.U if domains.basis is None else domains.basis @ domains.U
    inverse = np.divide(1.0, domains.s, out=np.zeros_like(domains.s), where=domains.s > 0)
    spread = np.sum((root @ U) ** 2, axis=0)  # diagonal of U'JU
    v = domains.sums(spread * inverse) / np.maximum(ranks, 1) * noise / noise[0]
    return DomainFits(theta, root, v, problem.n * noise[0] / noise, noise, df)


def scalar_combination(
    problem: Problem,
    *,
    weights: str | Array,
    alpha: float | None,
    guard: bool,
    constraints: Callable[[Any], list[Any]] | None = None,
) -> Combination:
    """One weight per source row, then weighted least squares on all rows."""
    compared = compare_domains(problem, alpha)
    penalty = None if alpha is None else alpha * problem.n[0]
    if isinstance(weights, str) and weights == "iterated":
        shares, M = _iterated(problem, compared, penalty, guard)
    else:
        shares, M = _shares(problem, compared, weights, compared.theta[0], guard)
    if constraints is not None:
        ratio = compared.n[1:] / problem.n[1:]
        shares = _constrained(compared.n, M, constraints, ratio)
    w = allocation.weights_from_shares(shares, problem.n)
    penalty = _penalty(problem, w) if penalty is None else penalty
    return _weighted_least_squares(problem, compared, w, M, penalty)


def _constrained(n: Array, M: Array, constraints: Callable[[Any], list[Any]], unit: Array) -> Array:
    from skt.core.constrained import constrained_weights  # cvxpy takes a second to import

    return allocation.shares_from_weights(constrained_weights(n, M, constraints, unit), n)


def _shares(
    problem: Problem, compared: DomainFits, weights: str | Array, theta_0: Array, guard: bool
) -> tuple[Array, Array]:
    """Return shares on the simplex and the discrepancy behind them."""
    D = compared.differences(theta_0)
    d, n, v = len(D), compared.n, compared.v
    M_plug = discrepancy.plug_in(D)
    rule = weights if isinstance(weights, str) else "given"
    M = M_plug
    if rule in ("eb", "given") and d > 2:
        exponent = discrepancy.james_stein_exponent(d, compared.df) if guard else 0.0
        M = discrepancy.variance_components(D, v, exponent).discrepancy
    if not isinstance(weights, str):
        return allocation.shares_from_weights(weights, problem.n), M
    if rule == "eb" and d > 2:
        return allocation.optimal_shares(n, M), M
    if rule == "sure":
        # Without noise of their own in the criterion, sources may take everything; beyond
        # their part in pooled rows nothing speaks for them.
        pooled = n[0] / np.sum(n)
        shares = allocation.floor_target(allocation.mallows_shares(M_plug, v[0]), pooled)
        M = discrepancy.positive_part(discrepancy.debiased(D, v))
    else:  # the paper's plug-in, and what is safest for one or two parameters
        shares = allocation.optimal_shares(n, M)
    if guard and d > 2:
        shares = discrepancy.james_stein_cap(shares, M_plug, n[0], d, compared.df)
    return shares, M


def _iterated(
    problem: Problem, compared: DomainFits, penalty: float | None, guard: bool, max_iter: int = 50
) -> tuple[Array, Array]:
    """The paper's dynamic weights: differences are taken from the current estimate.

    Unsafe: it can collapse onto a wrong source, since the estimate moves towards the source
    that it is then compared to.
    """
    theta_0 = compared.theta[0]
    shares = np.zeros(len(problem.n))
    for _ in range(max_iter):
        previous = shares
        shares, M = _shares(problem, compared, "plugin", theta_0, guard)
        if np.max(np.abs(shares - previous)) < 1e-8:
            break
        w = allocation.weights_from_shares(shares, problem.n)
        theta_0 = _solve(problem, w, 0.0 if penalty is None else penalty)
    return shares, M


def _solve(problem: Problem, w: Array, penalty: float) -> Array:
    rows = np.concatenate(([1.0], w))
    return least_squares.ridge(
        *least_squares.weighted_moments(rows, problem.Sxx, problem.Sxy), penalty
    )


def _penalty(problem: Problem, w: Array) -> float:
    """Return no penalty where target rows exceed twice the features, else leave-one-out's."""
    if problem.rows[0] >= 2 * n_parameters(problem.Sxx):
        return 0.0
    A, b = least_squares.weighted_moments(np.concatenate(([1.0], w)), problem.Sxx, problem.Sxy)
    s, U = np.linalg.eigh(A)
    Z, Ub = problem.X @ U, U.T @ b
    grid = least_squares.penalty_grid(least_squares.mean_eigenvalue(A))
    mean = 1 / problem.n[0] if problem.intercept else 0.0
    errors = np.empty(len(grid))
    for k, penalty in enumerate(grid):
        inverse = 1 / (np.maximum(s, 0) + penalty)
        leverage = Z**2 @ inverse
        e = least_squares.loo_residuals(
            problem.Y - Z @ (inverse[:, None] * Ub), (leverage + mean)[:, None]
        )
        errors[k] = np.average(np.mean(e**2, axis=1), weights=problem.weight)
        if problem.weight @ leverage > most_parameters(problem) and penalty < grid[-1]:
            errors[k] = np.inf
    return float(grid[np.argmin(errors)])


def _weighted_least_squares(
    problem: Problem, compared: DomainFits, w: Array, M: Array, penalty: float
) -> Combination:
    """Return the weighted fit with its mean squared error at the estimated discrepancy.

    ``A = sum_i w_i G_i``; the noise contributes ``A^{-1} (sum_i w_i^2 v_i G_i) A^{-1}`` and the
    bias ``A^{-1} (sum_ij w_i w_j Cov_ij(G_i delta_i, G_j delta_j)) A^{-1}``.
    """
    rows = np.concatenate(([1.0], w))
    coef = _solve(problem, w, penalty)
    p = problem.Sxx.shape[1]
    A = np.tensordot(rows, problem.Sxx, 1) + penalty * np.eye(p)
    inner = np.tensordot(rows**2 * compared.noise, problem.Sxx, 1)
    inner += penalty * compared.noise[0] * np.eye(p)
    metric = compared.noise[0] * np.linalg.pinv(compared.root @ compared.root, hermitian=True)
    weighted = w[:, None, None] * problem.Sxx[1:]
    mixed = np.tensordot(M, weighted, 1)
    inner += np.sum(weighted @ metric @ mixed, axis=0)
    inverse = np.linalg.pinv(A, hermitian=True)
    covariance = inverse @ inner @ inverse
    design = problem.Sxx[0] / max(np.trace(problem.Sxx[0]), 1e-300)
    shares = rows * np.einsum("pq,kqp->k", design @ inverse, problem.Sxx)
    noise = compared.noise[0]
    return Combination(
        coef,
        covariance,
        w,
        shares,
        M,
        noise,
        compared.noise[1:] / noise,
        np.ones(len(w)),
        excess_risk(problem, covariance, noise, inverse),
        excess_risk(problem, target_covariance(problem, penalty, noise), noise),
        penalty,
        random_intercept.own_level(coef.shape[1]),
    )
