"""How far to lean on each source, and how many of its rows to take; both solved exactly.

Notation (UOWQ: arXiv 2601.10779v2; OTQMS: arXiv 2502.04242v3)
--------------------------------------------------------------
K : sources; index 0 is the target.
n : (K+1,) rows of each domain; a noise level that differs enters as ``n_i sigma_0^2/sigma_i^2``.
M : (K, K) discrepancy, ``M_ij = delta_i' J delta_j / d``, positive semi-definite.
w : (K,) weight of one row of each source, a target row having weight 1.
m : (K,) rows taken of each source, all of weight 1, ``0 <= m_i <= n_i``.
u : (K+1,) share of each domain in the total weight, on the simplex;
    ``w_i = (u_i / n_i) / (u_0 / n_0)`` and ``m_i = n_0 u_i / u_0``, bijections as long as
    ``u_0 > 0``, which is always so at the optimum.

UOWQ. The paper minimises over w and the number of rows used. All rows are optimal: for a fixed
product ``w_i n_i`` the risk falls in ``n_i``. What is left is one convex quadratic programme,

    min u'Qu  over the simplex,   Q = diag(1/n) + blockdiag(0, M),

and since ``(1'u)^2 / u'Qu`` does not depend on the scale of u, any minimiser of
``||A u||^2 + (1'u - 1)^2`` over ``u >= 0`` with ``A'A = Q``, a non-negative least squares
problem, is a solution once normalised.

OTQMS. The paper searches a grid of totals ``sum m`` and solves a programme at each. In shares it
is one convex quadratic programme as well, with a budget on the cost of rows as one more row,

    min u_0/n_0 + u_s'M u_s  over the simplex,  u_i <= (n_i/n_0) u_0,  costs'u_s <= budget u_0/n_0,

which ``optimal_quantities`` solves by an active set: who is at zero, at the cap, or in between.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from skt.core._typing import Array

# Where M does not tell sources apart, rows are taken in proportion to what there is: the
# programme has ``TIE sum_i u_i^2 n_0/n_i`` added, at most a quarter of TIE of the target's risk.
TIE = 1e-8

# Where biases are so large that rounding hides the ties, biases are capped and ties get larger:
# (largest bias n_0 M, tie), one after the other until the programme is solved.
EASED = ((np.inf, TIE), (1e7, 1e-7), (1e6, 1e-5), (1e5, 1e-3))

# A source is let free when its slope is wrong by this much, relative to the risk.
RELEASE = 1e-12

ZERO, BETWEEN, CAP = -1, 0, 1


def risk(w: Array, n: Array, M: Array) -> float:
    """Return the risk per parameter of weights w: eq. (B1) of docs/models.md, the paper's K-L.

    ``[n_0 + sum_i w_i^2 n_i + (wn)' M (wn)] / (n_0 + sum_i w_i n_i)^2``.
    """
    m = w * n[1:]
    return float((n[0] + w @ m + m @ M @ m) / (n[0] + m.sum()) ** 2)


def share_risk(u: Array, n: Array, M: Array) -> float:
    """Return the same risk as a function of shares, ``u'Qu`` on the simplex."""
    return float(u**2 @ (1 / n) + u[1:] @ M @ u[1:])


def weights_from_shares(u: Array, n: Array) -> Array:
    """Return the weight of one source row relative to a target row, (K,)."""
    return (u[1:] / n[1:]) / (u[0] / n[0])


def shares_from_weights(w: Array, n: Array) -> Array:
    """Return the share of each domain in the total weight, (K+1,)."""
    total = np.concatenate(([1.0], w)) * n
    return total / total.sum()


def effective_parts(total: float, n_0: float, shares: Array) -> Array:
    """Return the target rows that each source is worth, (K,), which with n_0 make ``total``.

    At the minimum of (B1) the risk is ``u_0 / n_0``, so that in all there are
    ``n_0 / u_0 = n_0 + sum_i w_i n_i`` and source i is worth ``w_i n_i``: its part is as its share
    ``u_i`` (K,) in the fit. Elsewhere the total is shared out alike; a source that is turned round
    counts by the size of its share.
    """
    parts = np.abs(shares)
    total_share = parts.sum()
    return (total - n_0) * parts / total_share if total_share > 0 else np.zeros(len(parts))


def optimal_shares(n: Array, M: Array) -> Array:
    """Minimise ``share_risk`` over the simplex, exactly.

    By non-negative least squares, and in closed form where M is ``common 11' + diag(own)``.
    """
    K = len(n) - 1
    parts = _common_and_own(M)
    if parts is not None:
        precision = 1 / (parts.own + 1 / n[1:])
        borrowed = 1 / (1 + n[0] * (parts.common + 1 / np.sum(precision)))
        return np.append(1 - borrowed, borrowed * precision / np.sum(precision))
    A = np.zeros((2 * K + 1, K + 1))
    np.fill_diagonal(A, np.sqrt(n[0] / n))
    A[K + 1 :, 1:] = square_root(M * n[0])
    return _normalised_nnls(A)


class _Parts(NamedTuple):
    """A discrepancy ``common 11' + diag(own)``, neither of them negative."""

    common: float
    own: Array  # (K,)


def _common_and_own(M: Array) -> _Parts | None:
    """Return the parts of M, such as variance components make; None if M is of another kind."""
    K = len(M)
    common = float(M[0, 1]) if K > 1 else 0.0
    own = np.diag(M) - common
    others = np.count_nonzero(np.equal(M, common)) - np.count_nonzero(own == 0)
    known = K > 0 and others == K * (K - 1) and common >= 0 and own.min() >= 0
    return _Parts(common, own) if known else None


def mallows_shares(M_plug: Array, v_0: float) -> Array:
    """Minimise ``u_s' M_plug u_s + 2 v_0 u_0`` over the simplex: unbiased risk estimation.

    Up to a constant this is ``u'Qu`` with the discrepancy's noise taken off (B3). In
    proportions t of the sources and their total share k it is ``k^2 t'M t - 2 v_0 k``: the best
    t does not depend on k, and then ``k = v_0 / t'M t``, at most one.
    """
    size = max(np.trace(M_plug), 1e-300)
    t = _normalised_nnls(square_root(M_plug / size))
    k = min(1.0, v_0 / max(float(t @ M_plug @ t), 1e-300))
    return np.concatenate(([1 - k], k * t))


def floor_target(u: Array, least: float) -> Array:
    """Return shares with at least ``least`` for the target, the sources in proportion."""
    if u[0] >= least:
        return u
    return np.concatenate(([least], u[1:] / u[1:].sum() * (1 - least)))


def kkt_residual(u: Array, n: Array, M: Array) -> float:
    """Return how far shares are from optimal: 0 at the solution, relative to the risk.

    At the optimum ``(Qu)_i = u'Qu`` where ``u_i > 0`` and ``(Qu)_i >= u'Qu`` elsewhere.
    """
    Qu = u / n
    Qu[1:] += M @ u[1:]
    level = u @ Qu
    excess = Qu - level
    violation = np.where(u > 0, np.abs(excess) * u, np.maximum(-excess, 0))
    return float(violation.max() / level)


def square_root(M: Array) -> Array:
    """Return the symmetric square root of a positive semi-definite matrix."""
    e, U = np.linalg.eigh(M)
    return (U * np.sqrt(np.maximum(e, 0))) @ U.T


def _normalised_nnls(A: Array) -> Array:
    """Minimise ``||A u||^2`` over the simplex through ``||A u||^2 + (1'u - 1)^2, u >= 0``."""
    if not A.shape[1]:  # SciPy's solver ends the process there
        return np.zeros(0)
    system = np.vstack([A, np.ones(A.shape[1])])
    wanted = np.zeros(len(system))
    wanted[-1] = 1.0
    u, _ = nnls(system, wanted, maxiter=30 * A.shape[1])
    return u / u.sum()


# --- how many rows ------------------------------------------------------------------------


def quantity_risk(m: Array, n: Array, M: Array) -> float:
    """Return the risk per parameter of taking m rows: eq. (A1) of docs/models.md, the paper's K-L.

    ``1/(n_0 + s) + m'Mm/(n_0 + s)^2`` with ``s = sum_i m_i``.
    """
    total = n[0] + np.sum(m)
    return float(1 / total + m @ M @ m / total**2)


def quantities_from_shares(u: Array, n_0: float) -> Array:
    """Return the rows of every source that have the shares u, (K,)."""
    return n_0 * u[1:] / u[0]


def optimal_quantities(
    n: Array, M: Array, *, costs: Array | None = None, budget: float = np.inf
) -> Array:
    """Minimise ``quantity_risk`` over ``0 <= m <= n[1:]`` and ``costs'm <= budget``, exactly.

    ``costs`` (K,) are positive and one by default: then the budget counts rows.
    """
    costs = np.ones(len(M)) if costs is None else costs
    there, m = n[1:] > 0, np.zeros(len(M))
    if there.any() and budget > 0:
        m[there] = _optimal_quantities(
            n[np.append(True, there)], M[np.ix_(there, there)], costs[there], budget
        )
    return m


def _optimal_quantities(n: Array, M: Array, costs: Array, budget: float) -> Array:
    cap = n[1:] / n[0]
    parts = _common_and_own(M)
    if parts is not None:
        z = _quantities_of_parts(parts.common * n[0], parts.own * n[0] + TIE / cap, cap)
        if costs @ z <= budget / n[0]:
            return np.minimum(n[0] * z, n[1:])
    # A budget for all rows never binds; one for just all rows of some sources is moved a hair,
    # since three limits that meet in one point cannot be told apart.
    most = min(budget * (1 - 1e-9), float(costs @ n[1:]) * (1 + 1e-9))
    limit = np.concatenate(([-most / n[0]], costs))
    for most_bias, tie in EASED:
        try:
            u = _active_set(_hessian(M * n[0], cap, most_bias, tie), cap, limit)
        except (np.linalg.LinAlgError, _UnsettledError):
            continue
        if np.isfinite(u).all() and u[0] > 0:
            m = np.clip(quantities_from_shares(u, n[0]), 0.0, n[1:])
            return m * min(1.0, budget / max(float(costs @ m), 1e-300))  # rounding overspends
    return np.zeros(len(M))


def _quantities_of_parts(common: float, own: Array, cap: Array) -> Array:
    """Minimise ``1/T + (common s^2 + own'z^2)/T^2`` over ``0 <= z <= cap``; s = sum z, T = 1 + s.

    At a given s it is ``z_i = min(t / own_i, cap_i)``: t rises, and one source after the other is
    taken whole. The slope by s, times T^2, is ``(2 (common s + t) - 1) T - 2 (common s^2 +
    own'z^2)``: it changes its sign once, and is linear in t between one source and the next.
    """
    order = np.argsort(own * cap)
    whole = (own * cap)[order]  # t from which each is taken whole
    taken, bias = np.cumsum(cap[order]), np.cumsum((own * cap**2)[order])
    inverse = 1 / own[order]
    free = np.cumsum(inverse[::-1])[::-1] - inverse  # sum of 1/own of those not yet whole
    s, B = taken + whole * free, bias + whole**2 * free
    rising = (2 * (common * s + whole) - 1) * (1 + s) - 2 * (common * s**2 + B) >= 0
    if not rising.any():
        return cap
    k = int(np.argmax(rising))
    S, Q = (taken[k - 1], bias[k - 1]) if k else (0.0, 0.0)
    R = free[k] + inverse[k]
    t = (1 + S + 2 * Q - 2 * common * S) / (2 * (1 + S) - R + 2 * common * R)
    return np.minimum(t / own, cap)


def _hessian(bias: Array, cap: Array, most_bias: float, tie: float) -> Array:
    """Return the Hessian of the programme, its eigenvalues but for the tie at most ``most_bias``.

    Along a direction of bias b the best rows are ``n_0/(2b - 1)``: where b is that large, hardly
    more than none, whether it is capped or not.
    """
    if np.isfinite(most_bias):
        values, vectors = np.linalg.eigh(bias)
        bias = (vectors * np.clip(values, 0.0, most_bias)) @ vectors.T
    H = np.zeros((len(cap) + 1, len(cap) + 1))
    H[1:, 1:] = 2 * (bias + np.diag(tie / cap))
    return H


class _UnsettledError(RuntimeError):
    """Rounding led the active set in a circle."""


def _active_set(H: Array, cap: Array, limit: Array) -> Array:
    """Minimise ``u'Hu/2 + u_0`` over the simplex with ``u_i <= cap_i u_0`` and ``limit'u <= 0``.

    Each step solves for the optimum that fixes the same sources at zero or at their cap, goes
    there as far as the others allow, and fixes the one that stopped it; at such an optimum the
    source whose slope most says that it should move is let free. H is positive definite but
    for u_0, so the risk falls from one optimum to the next and no choice comes back.
    """
    at, spent = np.full(len(cap), ZERO), False
    u = np.eye(1, len(cap) + 1)[0]
    for _ in range(100 * len(u)):
        end, slope, level = _optimum_given(at, spent, H, cap, limit)
        step, stopped_by, side = _first_stop(u, end - u, at, spent, cap, limit)
        u = u + step * (end - u)
        if stopped_by is not None:
            at, spent = at.copy(), spent or stopped_by == len(cap)
            at[stopped_by : stopped_by + 1] = side
            continue
        wrong = np.concatenate((slope[1:] * at, [slope[0]]))
        worst = int(np.argmax(wrong))
        if wrong[worst] <= RELEASE * level:
            return u
        at, spent = at.copy(), spent and worst < len(cap)
        at[worst : worst + 1] = BETWEEN
    raise _UnsettledError("the active set of the OTQMS programme did not settle")


def _optimum_given(
    at: NDArray[np.integer], spent: bool, H: Array, cap: Array, limit: Array
) -> tuple[Array, Array, float]:
    """Return the optimum with sources fixed as ``at`` says, the slopes there, and their level.

    With u_0 and the shares in between as unknowns it is a linear system. A slope is that of the
    Lagrangian by a share; the first is minus the multiplier of the limit, wrong if positive.
    """
    free = np.flatnonzero(at == BETWEEN) + 1
    kept = np.append(1.0, np.where(at == CAP, cap, 0.0))  # u for u_0 = 1 and nothing in between
    pull = H @ kept
    E = np.vstack([np.ones(len(H)), limit] if spent else [np.ones(len(H))])
    k, size = 1 + len(free), 1 + len(free) + len(E)
    system, right = np.zeros((size, size)), np.zeros(size)
    system[0, 0], system[1:k, 1:k] = kept @ pull, H[np.ix_(free, free)]
    system[0, 1:k] = system[1:k, 0] = pull[free]
    system[k:, 0], system[k:, 1:k] = E @ kept, E[:, free]
    system[:k, k:] = system[k:, :k].T
    right[0], right[k] = -1.0, 1.0
    solution = np.linalg.solve(system, right)
    u = solution[0] * kept
    u[free] = solution[1:k]
    slope = H @ u + solution[k:] @ E
    slope[0] = -solution[-1] if spent else 0.0
    return u, slope, abs(solution[k])


def _first_stop(
    u: Array, d: Array, at: NDArray[np.integer], spent: bool, cap: Array, limit: Array
) -> tuple[float, int | None, int]:
    """Return how far u may go along d, which source stops it (K: the limit), and on which side."""
    room = np.concatenate((u[1:], cap * u[0] - u[1:], [-limit @ u]))
    change = np.concatenate((d[1:], cap * d[0] - d[1:], [-limit @ d]))
    moves = np.concatenate((at == BETWEEN, at == BETWEEN, [not spent])) & (change < -1e-15)
    steps = np.full(len(room), np.inf)
    steps[moves] = np.maximum(room[moves], 0.0) / -change[moves]
    first = int(np.argmin(steps))
    if steps[first] >= 1:
        return 1.0, None, BETWEEN
    K = len(cap)
    return float(steps[first]), first % K if first < 2 * K else K, ZERO if first < K else CAP


def whole_quantities(m: Array, sizes: Array, costs: Array, budget: float) -> NDArray[np.integer]:
    """Return m as whole rows, at most ``sizes`` (K,), nearest to m but within the budget."""
    whole = np.minimum(np.rint(m), sizes)
    while costs @ whole > budget * (1 + 1e-12):
        whole[np.argmax(np.where(whole > 0, whole - m, -np.inf))] -= 1
    return whole.astype(np.intp)


def leave_out_small(solve: Callable[[Array], Array], least: float, K: int) -> Array:
    """Return quantities none of which lies between zero and ``least``.

    ``solve`` takes which sources may be used, (K,) of bool. The smallest is left out first:
    without it the others may give more.
    """
    kept = np.ones(K, dtype=bool)
    while True:
        m = solve(kept)
        small = (m > 0) & (m < least)
        if not small.any():
            return m
        kept[np.argmin(np.where(small, m, np.inf))] = False


def quantity_residual(
    m: Array, n: Array, M: Array, *, costs: Array | None = None, budget: float = np.inf
) -> float:
    """Return how far quantities are from optimal: 0 at the solution, relative to the risk.

    It is the largest part of the risk that its slope promises for moving one source to zero or
    to its cap, each slope increased by what the source's rows cost at the price of the budget.
    The risk is pseudo-convex, so that no such promise means the optimum. The price is the one
    that leaves least to gain; it is zero while money is left.
    """
    costs = np.ones(len(m)) if costs is None else costs
    total, bias = n[0] + np.sum(m), M @ m
    slope = 2 * bias / (1 + 2 * (m @ bias) / total) - 1
    spent = costs @ m >= budget * (1 - 1e-8)
    prices = np.maximum(np.append(-slope / costs, 0.0), 0.0) if spent else np.zeros(1)
    slopes = slope + prices[:, None] * costs
    down = np.maximum(slopes, 0) * m / total
    up = np.maximum(-slopes, 0) * (n[1:] - m) / (total + n[1:] - m)
    return float(np.min(np.max(np.maximum(down, up), axis=1, initial=0.0)))
