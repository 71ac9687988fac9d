"""SMART: reduced-rank regression whose singular vectors lean on those of source coefficients.

Paper: arXiv 2604.20161v1.

Notation
--------
Everything is in the source bases (`source_bases`): X stands for X U0 and Y for Y V0, so that
U_perp'U is simply the rows of U beyond the structural rank r_u, and V_perp'V those of V beyond
r_v. Target coefficients C = U D V', U'U = V'V = I_r, D = diag(d). With the second moments
G = X'X/n, H = X'Y/n, y2 = ||Y||^2/n,

    F(U, d, V) = (y2 - 2 sum_j d_j (U'HV)_jj + sum_j d_j^2 (U'GU)_jj) / 2
                 + lambda_u ||U_perp'U|| + lambda_v ||V_perp'V||                              (S1)

which is the paper's objective, (1/2n) ||Y - X U D V'||^2 + penalties. ||.|| is the sum of absolute
values; over a block of m rows that only mean something together it is sqrt(m) times the sum of the
columns' lengths (a group lasso), which no choice of basis within the block changes: a departure
from the paper, whose penalty depends on the arbitrary basis of the null space. A ridge penalty
gamma ||C||^2 / 2 is one of gamma ||d||^2 / 2 and enters by G + gamma I.

Alternating directions (ADMM): copies Omega of the penalised rows, multipliers Gamma,

    L = F(smooth part) + sum over u, v of  lambda ||Omega|| + <Gamma, U_perp'U - Omega>
                                           + (rho/2) ||U_perp'U - Omega||^2                   (S2)

is lowered in U, V, d and Omega in turn, then Gamma += rho (U_perp'U - Omega).

No n in any loop; one iteration costs O(p^2 r + pqr). Arrays may have leading dimensions: several
sets of rows (all of them, and without each fold) are solved side by side.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skt.core._typing import Array
from skt.core.reduced_rank import (
    Factors,
    SecondMoments,
    factor_error,
    reduced_rank,
    span,
    transpose,
)

# Two steps in U for each in V: U's problem is the worse conditioned one.
LEFT_STEPS = 2
# The residuals are computed, and rho is balanced, every so many iterations.
CHECK_EVERY = 5
# Residuals that are so many times their least, for so many checks in a row, raise rho.
RISEN, PATIENCE = 1.5, 5
# Stands for zero where it is divided by.
TINY = 1e-100
# Quadratic forms in G that are less, relative to its trace, are rounding errors.
UNSEEN = 16 * np.finfo(np.float64).eps


class SmartProblem(NamedTuple):
    """What (S1) is made of but the penalties."""

    m: SecondMoments  # in the source bases; a ridge penalty is already in m.G
    left_rank: int  # r_u
    right_rank: int  # r_v
    left_blocks: Array  # sizes, summing to p - r_u
    right_blocks: Array  # sizes, summing to q - r_v
    root: Array | None = None  # (..., p, k) with m.G = root root' + ridge I, if k is much below p
    ridge: float = 0.0
    curvature: Array | None = None  # (...,) largest eigenvalue of m.G, if it is known

    def gram(self, U: Array) -> Array:
        """Return G U, which costs less where there are far fewer rows than features."""
        if self.root is None:
            return self.m.G @ U
        return self.root @ (transpose(self.root) @ U) + self.ridge * U


class State(NamedTuple):
    """Variables of the iteration."""

    U: Array  # (..., p, r)
    d: Array  # (..., r)
    V: Array  # (..., q, r)
    left_copy: Array  # Omega_u, (..., p - r_u, r)
    right_copy: Array  # Omega_v
    left_dual: Array  # Gamma_u
    right_dual: Array  # Gamma_v

    @property
    def factors(self) -> Factors:
        """The coefficients."""
        return Factors(self.U, self.d, self.V)

    def at(self, index: Any) -> State:
        """Return the variables of one set of rows, or of a slice of them."""
        return State(*(part[index] for part in self))


class Solution(NamedTuple):
    """Where the iteration ended, and how it got there."""

    state: State
    n_iter: int
    converged: bool
    objective: Array  # of the first set of rows, at each check
    residuals: Array  # (n_checks, 2) primal and dual, the largest over sets of rows


Penalties = tuple[float, float]  # lambda_u, lambda_v

# Objective ----------------------------------------------------------------------------------


def objective(f: Factors, problem: SmartProblem, penalties: Penalties) -> Array:
    """Return (S1)."""
    return (
        factor_error(f, problem.m, problem.gram(f.U)) / 2
        + penalties[0] * block_norm(f.U[..., problem.left_rank :, :], problem.left_blocks)
        + penalties[1] * block_norm(f.V[..., problem.right_rank :, :], problem.right_blocks)
    )


def block_norm(Z: Array, sizes: Array) -> Array:
    """Return ||Z|| of (S1): sum over blocks b and columns j of sqrt(m_b) |Z_bj|."""
    return np.sum(np.sqrt(sizes)[:, None] * lengths(Z, sizes), axis=(-1, -2))


def lengths(Z: Array, sizes: Array) -> Array:
    """Return the length of each column of each block, (..., n_blocks, r)."""
    if len(sizes) == Z.shape[-2]:
        return np.abs(Z)
    starts = np.cumsum(sizes) - sizes
    return np.sqrt(np.add.reduceat(Z * Z, starts, axis=-2))


def shrink(Z: Array, sizes: Array, amount: Array) -> Array:
    """Return argmin_W amount ||W|| + ||W - Z||^2 / 2: blockwise soft thresholding.

    Over blocks of one row it is the paper's soft(Z, amount).
    """
    if len(sizes) == 0:
        return Z
    length = lengths(Z, sizes)
    kept = np.maximum(1 - amount * np.sqrt(sizes)[:, None] / np.maximum(length, TINY), 0.0)
    return Z * (kept if len(sizes) == Z.shape[-2] else np.repeat(kept, sizes, axis=-2))


# The ends of the path -----------------------------------------------------------------------


def subspace_end(problem: SmartProblem, rank: int) -> Factors:
    """Return the solution for lambda = infinity: reduced-rank regression in the subspaces.

    In the spans of the leading r_u and r_v directions, that is, on the leading blocks of G and
    H; needs rank <= min(r_u, r_v). For lambda = 0 it is ``reduced_rank`` on the whole.
    """
    m, a, b = problem.m, problem.left_rank, problem.right_rank
    inside = reduced_rank(SecondMoments(m.G[..., :a, :a], m.H[..., :a, :b], m.y2, m.n), rank)
    U, V = np.zeros((*m.H.shape[:-1], rank)), np.zeros((*transpose(m.H).shape[:-1], rank))
    U[..., :a, :], V[..., :b, :] = inside.U, inside.V
    return Factors(U, inside.d, V)


def end_duals(f: Factors, problem: SmartProblem) -> tuple[Array, Array]:
    """Return the multipliers of `subspace_end`: minus the gradient on the penalised rows.

    E_u = G U D^2 - H V D and E_v = -H'U D; with Gamma = -E the end is stationary.
    """
    E_u, E_v = gradients(f, problem)
    return -E_u[..., problem.left_rank :, :], -E_v[..., problem.right_rank :, :]


def prepared(problem: SmartProblem, ridge: float) -> SmartProblem:
    """Return the problem with what every iteration needs of G: curvature and, maybe, a root.

    A root pays where the rank of G, but for the ridge penalty, is much below p.
    """
    G = problem.m.G - ridge * np.eye(problem.m.G.shape[-1])
    Q = span(G, rounding=1e-12 * ridge)
    if Q is None:
        return problem._replace(curvature=np.linalg.eigvalsh(problem.m.G)[..., -1])
    e, inner = np.linalg.eigh(transpose(Q) @ G @ Q)
    root = Q @ (inner * np.sqrt(np.maximum(e, 0.0))[..., None, :])
    return problem._replace(root=root, ridge=ridge, curvature=e[..., -1] + ridge)


def lambda_max(problem: SmartProblem, rank: int) -> Array:
    """Return the least lambda_u = lambda_v at which `subspace_end` is stationary."""
    duals = end_duals(subspace_end(problem, rank), problem)
    blocks = problem.left_blocks, problem.right_blocks
    largest = [
        np.max(lengths(dual, sizes) / np.sqrt(sizes)[:, None], axis=(-1, -2), initial=0.0)
        for dual, sizes in zip(duals, blocks, strict=True)
    ]
    return np.maximum(*largest)


def gradients(f: Factors, problem: SmartProblem) -> tuple[Array, Array]:
    """Return the gradients of the smooth part of (S1) in U and V.

    ||X U D V'|| = ||X U D||, so that V has no quadratic term.
    """
    d, H = f.d[..., None, :], problem.m.H
    return problem.gram(f.U) * d**2 - (H @ f.V) * d, -(transpose(H) @ f.U) * d


# Updates, each of which lowers (S2) in one variable ------------------------------------------


def update_left(s: State, problem: SmartProblem, curvature: Array, rho: Array) -> State:
    """Lower (S2) in U, on U'U = I.

    (S2) is below its tangent plus L/2 ||U - U_old||^2, L = lambda_max(G) max d^2 + rho, whose
    minimiser on U'U = I is polar(U - gradient / L).
    """
    d, k = s.d[..., None, :], problem.left_rank
    fixed = -(problem.m.H @ s.V) * d
    fixed[..., k:, :] += s.left_dual - rho * s.left_copy
    L = curvature * np.max(d * d, axis=-1, keepdims=True) + rho
    U, d2 = s.U, d * d
    for _ in range(LEFT_STEPS):
        gradient = problem.gram(U) * d2 + fixed
        gradient[..., k:, :] += rho * U[..., k:, :]
        U = polar(U - gradient / L)
    return s._replace(U=U)


def update_right(s: State, problem: SmartProblem, rho: Array) -> State:
    """Lower (S2) in V, on V'V = I.

    There ||V_perp'V||^2 = r - ||V_s'V||^2, which is concave: below its tangent. What remains is
    linear in V and minimised by a polar factor.
    """
    k = problem.right_rank
    M = (transpose(problem.m.H) @ s.U) * s.d[..., None, :]
    M[..., :k, :] += rho * s.V[..., :k, :]
    M[..., k:, :] -= s.right_dual - rho * s.right_copy
    return s._replace(V=polar(M))


def update_values(s: State, problem: SmartProblem) -> State:
    """Minimise (S2) in d: d_j = (U'HV)_jj / (U'GU)_jj; zero where rows do not see the direction."""
    above = np.sum(s.U * (problem.m.H @ s.V), axis=-2)
    below = np.sum(s.U * problem.gram(s.U), axis=-2)
    seen = below > UNSEEN * np.trace(problem.m.G, axis1=-2, axis2=-1)[..., None]
    return s._replace(d=np.where(seen, above / np.maximum(below, TINY), 0.0))


def update_copies(s: State, problem: SmartProblem, penalties: Penalties, rho: Array) -> State:
    """Minimise (S2) in Omega = shrink(U_perp'U + Gamma/rho, lambda/rho)."""
    U, V = s.U[..., problem.left_rank :, :], s.V[..., problem.right_rank :, :]
    return s._replace(
        left_copy=shrink(U + s.left_dual / rho, problem.left_blocks, penalties[0] / rho),
        right_copy=shrink(V + s.right_dual / rho, problem.right_blocks, penalties[1] / rho),
    )


def update_duals(s: State, problem: SmartProblem, rho: Array) -> State:
    """Raise Gamma by rho (U_perp'U - Omega)."""
    gap_u, gap_v = gaps(s, problem)
    return s._replace(left_dual=s.left_dual + rho * gap_u, right_dual=s.right_dual + rho * gap_v)


def polar(M: Array) -> Array:
    """Return the orthonormal matrix nearest to M, M (M'M)^(-1/2)."""
    e, Q = np.linalg.eigh(transpose(M) @ M)
    return M @ ((Q / np.sqrt(np.maximum(e, TINY))[..., None, :]) @ transpose(Q))


# When to stop -------------------------------------------------------------------------------


def gaps(s: State, problem: SmartProblem) -> tuple[Array, Array]:
    """Return U_perp'U - Omega_u and V_perp'V - Omega_v."""
    return (
        s.U[..., problem.left_rank :, :] - s.left_copy,
        s.V[..., problem.right_rank :, :] - s.right_copy,
    )


def primal_residual(s: State, problem: SmartProblem) -> Array:
    """Return how far copies are from what they copy, per column, columns having length one."""
    return np.sqrt(sum(_square(gap) for gap in gaps(s, problem)) / s.U.shape[-1])


def dual_residual(s: State, problem: SmartProblem) -> Array:
    """Return how far (U, V) is from stationary, relative to the gradient's part H'U D.

    The gradient of (S2) with Gamma for the penalties, along U'U = I and V'V = I; Gamma is
    a subgradient of lambda ||Omega|| by construction of the copies.
    """
    E_u, E_v = gradients(s.factors, problem)
    scale = _square(E_v)
    E_u[..., problem.left_rank :, :] += s.left_dual
    E_v[..., problem.right_rank :, :] += s.right_dual
    slope = _square(tangent(E_u, s.U)) + _square(tangent(E_v, s.V))
    return np.sqrt(slope / np.maximum(scale, TINY))


def tangent(A: Array, U: Array) -> Array:
    """Return the part of A along the surface U'U = I."""
    inner = transpose(U) @ A
    return A - U @ (inner + transpose(inner)) / 2


def _square(A: Array) -> Array:
    return np.sum(A * A, axis=(-1, -2))


# Iteration ----------------------------------------------------------------------------------


def start(f: Factors, problem: SmartProblem, duals: tuple[Array, Array] | None = None) -> State:
    """Return the variables at given coefficients, with multipliers of zero or those given."""
    U, V = f.U[..., problem.left_rank :, :], f.V[..., problem.right_rank :, :]
    if duals is None:
        duals = np.zeros_like(U), np.zeros_like(V)
    return State(*f, U, V, *duals)


def admm(
    begin: State,
    problem: SmartProblem,
    penalties: Penalties,
    *,
    rho: float,
    tol: float,
    max_iter: int,
) -> Solution:
    """Iterate until both residuals are at most `tol`, for every set of rows.

    `rho` is relative to the curvature lambda_max(G) max d^2 at the start; see `Weight` for how it
    moves. Without convergence the state of the lowest objective is returned.
    """
    largest = problem.curvature
    largest = np.linalg.eigvalsh(problem.m.G)[..., -1] if largest is None else largest
    curvature, steep = largest[..., None, None], largest * np.max(begin.d**2, axis=-1)
    weight = Weight.of(rho * np.where(steep > 0, steep, 1.0))
    s = update_copies(begin, problem, penalties, weight.rho)
    values, residuals, n_iter, lowest = [], [], 0, (np.inf, s)
    while n_iter < max_iter:
        s = update_left(s, problem, curvature, weight.rho)
        s = update_right(s, problem, weight.rho)
        s = update_values(s, problem)
        s = update_copies(s, problem, penalties, weight.rho)
        s = update_duals(s, problem, weight.rho)
        n_iter += 1
        if n_iter % CHECK_EVERY == 0 or n_iter == max_iter:
            primal, dual = primal_residual(s, problem), dual_residual(s, problem)
            values.append(np.ravel(objective(s.factors, problem, penalties))[0])
            residuals.append([np.max(primal), np.max(dual)])
            lowest = min(lowest, (values[-1], s), key=lambda pair: pair[0])
            if max(residuals[-1]) <= tol:
                return Solution(s, n_iter, True, np.array(values), np.array(residuals))
            weight = weight.moved(primal, dual)
    return Solution(lowest[1], n_iter, False, np.array(values), np.array(residuals))


class Weight(NamedTuple):
    """Weight rho of the augmented term, one for each set of rows.

    It is doubled or halved where one residual is ten times the other. The problem is not convex,
    and with too small a weight the iteration goes round in circles, or away: where the residuals
    are above `RISEN` times their least for `PATIENCE` checks it is doubled, and never falls back.
    """

    rho: Array  # (..., 1, 1)
    floor: Array  # (...,)
    least: Array  # residual so far
    risen: Array  # checks in a row with larger ones

    @classmethod
    def of(cls, rho: Array) -> Weight:
        """Return the weight to begin with."""
        return cls(rho[..., None, None], 0 * rho, np.full_like(rho, np.inf), 0 * rho)

    def moved(self, primal: Array, dual: Array) -> Weight:
        """Return the weight after a check."""
        rho, now = self.rho[..., 0, 0], np.maximum(primal, dual)
        risen = np.where(now > RISEN * self.least, self.risen + 1, 0)
        away = risen >= PATIENCE
        floor = np.where(away, 2 * rho, self.floor)
        factor = np.where(primal > 10 * dual, 2.0, np.where(dual > 10 * primal, 0.5, 1.0))
        rho = np.maximum(rho * factor, floor)
        least = np.where(away, now, np.minimum(self.least, now))
        return Weight(rho[..., None, None], floor, least, np.where(away, 0, risen))
