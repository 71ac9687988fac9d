"""Random effects for classes and counts: every domain's evidence about one set of coefficients.

Notation
--------
K sources, index 0 the target. p columns of a design, the first the intercept's if there is one;
q columns of the linear predictor; P = p q coefficients in the order of ``B.ravel()``, B (p, q).
theta_k (P,) : coefficients of domain k. H_k (P, P), g_k (P,) : information and score of its rows
at theta_k (`evidence.Evidence`), ``b_k = H_k theta_k + g_k``.
T_k (P,), A (P,) : variances of ``d_k`` and of m, one number for slopes and one for intercepts.

    theta_k = m + d_k,   d_k ~ N(0, T_k),   m ~ N(0, A)                                        (R1)
    F(m, d) = sum_k loss_k(m + d_k) + sum_k d_k' T_k^{-1} d_k / 2 + m' A^{-1} m / 2            (R2)

The target is one of the domains: how much sources differ among each other tells how far the
target may be from their centre m. The mode of (R2) is found by Newton's method. About it every
domain is a Gaussian observation of theta_k with information H_k, so that d_k can be integrated out,

    H~_k = (I + H_k T_k)^{-1} H_k,   b~_k = (I + H_k T_k)^{-1} b_k,
    C = (A^{-1} + sum_k H~_k)^{-1},  m^ = C sum_k b~_k,  d^_k = T_k (b~_k - H~_k m^)           (R3)

and the approximate (Laplace) marginal likelihood has, for the variance t of some entries of d_k,
its maximum where ``t = sum d^_k^2 / gamma_k``, gamma_k being the number of them that the domain
itself determines, ``t tr(H~_k - H~_k C H~_k)`` over these entries. Variances of single domains
scatter about a common one as inverse gamma variates with nu_k degrees of freedom: then
``t_k = (sum d^_k^2 + nu_k t) / (gamma_k + nu_k)``, and t is their harmonic mean with weights
nu_k, which a domain that is far from all others does not move: d_k has a multivariate t
distribution.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from scipy.special import gammaln

from skt.core import allocation, evidence, safeguard
from skt.core._typing import Array
from skt.core.evidence import Evidence
from skt.core.families import Family
from skt.core.rows import Rows

# Degrees of freedom with which variances of single sources scatter about the common one, chosen
# by marginal likelihood. The fewer, the sooner a domain that differs is left alone: the target
# always has the fewest.
NUS = (1.0, 10.0)
# Fewer sources do not tell how they scatter, and have the fewest degrees of freedom.
SCATTER = 4
# Variances stay above this; coefficients are of columns of unit variance.
LEAST_VARIANCE = 1e-8
# Where a search begins: variances of domains that are alike, and of those that are near.
ALIKE, NEAR = 0.1, 0.01
# Precision of an intercept that is free: next to nothing, but no direction is left open.
FREE = 1e-6
# Variance steps for each new expansion of the likelihood.
INNER = 2
# A search ends where no domain's log-likelihood changes by more; where variances are given, or of
# the target alone, Newton's steps are exact, and there is no reason to stop before.
STEP_TOL, EXACT_TOL, MAX_ITER = 1e-3, 1e-9, 100


class Likelihood(Protocol):
    """What is known of one domain's coefficients."""

    @property
    def n(self) -> float:
        """Number of rows."""

    def at(self, theta: Array) -> Evidence:
        """Return information and score at theta (P,)."""

    def loss(self, theta: Array) -> float:
        """Return minus the log-likelihood at theta (P,), up to a constant."""


class OfRows(NamedTuple):
    """Likelihood of rows; ``dispersion`` divides it where outcomes vary more than the family's."""

    family: Family
    rows: Rows  # X holds the columns of the design
    dispersion: float = 1.0

    @property
    def n(self) -> float:
        """Number of rows, counted by their weights."""
        return self.rows.n

    def at(self, theta: Array) -> Evidence:
        """Return information and score at theta (P,)."""
        part = evidence.evidence_of(self.family, theta, self.rows)
        return Evidence(part.information / self.dispersion, part.score / self.dispersion)

    def loss(self, theta: Array) -> float:
        """Return minus the log-likelihood at theta (P,)."""
        losses = self.family.loss(_eta(self.rows, theta), self.rows.Y)
        return float(self.rows.weight @ losses) / self.dispersion


class OfModel(NamedTuple):
    """Quadratic likelihood: of a fitted model, whose score at its coefficients is zero."""

    point: Array  # (P,)
    evidence: Evidence  # at the point
    n: float
    loss_there: float = 0.0

    @classmethod
    def fitted(cls, point: Array, information: Array, n: float) -> "OfModel":
        """Return the likelihood of a model with such coefficients and information."""
        return cls(point, Evidence(information, np.zeros(len(point))), n)

    def at(self, theta: Array) -> Evidence:
        """Return the information, and the score at theta (P,)."""
        H, score = self.evidence
        return Evidence(H, score - H @ (theta - self.point))

    def loss(self, theta: Array) -> float:
        """Return the loss at theta (P,)."""
        away, (H, score) = theta - self.point, self.evidence
        return self.loss_there + float(away @ H @ away) / 2 - float(score @ away)


def information_of_rows(family: Family, point: Array, rows: Rows) -> Array:
    """Return the information of rows at a point, whatever their outcomes."""
    return evidence.evidence_of(family, point, rows).information


def without_intercepts(H: Array, q: int) -> Array:
    """Return information with q unknown intercepts, which come first, eliminated."""
    left = np.zeros_like(H)
    inner = np.linalg.pinv(H[:q, :q], hermitian=True)
    left[q:, q:] = H[q:, q:] - H[q:, :q] @ inner @ H[:q, q:]
    return left


class Variances(NamedTuple):
    """Variances of slopes (column 0) and of intercepts (column 1)."""

    own: Array  # (K+1, 2) of d_k
    common: Array  # (2,) about which those scatter
    centre: Array  # (2,) of m; that of intercepts is infinite


class Posterior(NamedTuple):
    """Gaussian posterior of all coefficients at given variances, (R3)."""

    centre: Array  # (P,) m^
    away: Array  # (K+1, P) d^_k
    covariance: Array  # (P, P) C, of m
    reduced: Array  # (K+1, P, P) H~_k
    spread: Array  # (K+1, P) T_k

    @property
    def theta(self) -> Array:
        """Coefficients of every domain, (K+1, P)."""
        return self.centre + self.away

    def kept(self, k: int) -> Array:
        """Return what is left of m in domain k's coefficients, ``I - T_k H~_k`` (P, P)."""
        return np.eye(len(self.centre)) - self.spread[k][:, None] * self.reduced[k]

    def covariance_of(self, k: int) -> Array:
        """Return the posterior covariance of theta_k, (P, P)."""
        kept, T = self.kept(k), np.diag(self.spread[k])
        cov = kept @ T + kept @ self.covariance @ kept.T
        return (cov + cov.T) / 2

    def shares_of(self, k: int, J: Array) -> Array:
        """Return the part of every domain in theta_k, in the metric J (P, P), (K+1,)."""
        back = J @ self.kept(k) @ self.covariance
        parts = np.einsum("ij,kji->k", back, self.reduced)
        parts[k] += np.trace(J @ (self.spread[k][:, None] * self.reduced[k]))
        return parts / max(np.trace(J), 1e-300)


class GLMMState(NamedTuple):
    """Where a search is."""

    m: Array  # (P,)
    d: Array  # (K+1, P)
    variances: Variances


class GLMMFit(NamedTuple):
    """Mode of (R2) at variances of largest approximate marginal likelihood."""

    state: GLMMState
    posterior: Posterior
    n_iter: int
    converged: bool
    evidence: float  # logarithm of the approximate marginal likelihood, and of the prior

    @property
    def theta(self) -> Array:
        """Coefficients of every domain, (K+1, P)."""
        return self.state.m + self.state.d

    @property
    def variances(self) -> Variances:
        """Variances at which the mode was found."""
        return self.state.variances


def objective(
    domains: Sequence[Likelihood], m: Array, d: Array, variances: Variances, slopes: Array
) -> float:
    """Return (R2)."""
    T, precision = _by_entry(variances.own, slopes), _precision(variances, slopes)
    losses = [domain.loss(m + each) for domain, each in zip(domains, d, strict=True)]
    return float(sum(losses) + np.sum(d**2 / T) / 2 + m**2 @ precision / 2)


def posterior_of(H: Array, b: Array, variances: Variances, slopes: Array) -> Posterior:
    """Return (R3) for informations H (K+1, P, P) and b (K+1, P)."""
    P, T = len(slopes), _by_entry(variances.own, slopes)
    solved = np.linalg.solve(np.eye(P) + H * T[:, None, :], np.dstack([H, b]))
    reduced, seen = (solved[:, :, :P] + solved[:, :, :P].transpose(0, 2, 1)) / 2, solved[:, :, P]
    C = np.linalg.inv(np.diag(_precision(variances, slopes)) + reduced.sum(axis=0))
    m = C @ seen.sum(axis=0)
    return Posterior(m, T * (seen - reduced @ m), (C + C.T) / 2, reduced, T)


def fit_glmm(
    domains: Sequence[Likelihood],
    slopes: Array,
    *,
    centre: float | None = None,
    start: Array | None = None,
    alike: bool = False,
) -> GLMMFit:
    """Fit the random effects of all domains; of one domain only m is fitted.

    ``slopes`` (P,) says which coefficients are slopes. ``centre`` is the variance of those of m
    if it is given, otherwise it is estimated. The search begins at ``start`` (P,), or zero.
    Domain 0 is the target, unless all are ``alike``.
    """
    K, P = len(domains) - 1, len(slopes)
    centres = np.array([0.3 if centre is None else centre, np.inf])
    own = np.full((K + 1, 2), ALIKE if K else LEAST_VARIANCE)
    origin = np.zeros(P) if start is None else start
    begin = GLMMState(origin, np.zeros((K + 1, P)), _scattered(own, centres))

    def search(about: Sequence[Likelihood], state: GLMMState, nu: float) -> GLMMFit:
        each = np.full(K + 1, nu)
        each[:1] = nu if alike else NUS[0]
        return _search(about, state, slopes=slopes, free=centre is None, nu=each)

    first = search(domains, begin, NUS[0])
    rivals = [(first.state.variances, nu) for nu in NUS[1:] if K >= SCATTER]
    if K and not alike:
        near = _scattered(_about_the_nearest(domains, first.theta, slopes), centres)
        rivals.append((near, NUS[0]))
    if not rivals:
        return first
    # Rivals are judged on the expansion of the likelihoods about the first mode.
    about = [expanded(domain, each) for domain, each in zip(domains, first.theta, strict=True)]
    ends = [(nu, search(about, first.state._replace(variances=v), nu)) for v, nu in rivals]
    nu, best = max(ends, key=lambda end: end[1].evidence)
    return search(domains, best.state, nu) if best.evidence > first.evidence else first


def _scattered(own: Array, centre: Array) -> Variances:
    return Variances(own, 1 / np.mean(1 / own, axis=0), centre)


def expanded(domain: Likelihood, theta: Array) -> OfModel:
    """Return a domain's expansion about theta to second order."""
    return OfModel(theta, domain.at(theta), domain.n, domain.loss(theta))


def _about_the_nearest(domains: Sequence[Likelihood], theta: Array, slopes: Array) -> Array:
    """Return squared distances from the source that predicts the target's rows best, (K+1, 2).

    Slopes of each source are tried with the target's intercept.
    """
    losses = [domains[0].loss(np.where(slopes, each, theta[0])) for each in theta[1:]]
    away = (theta - theta[1 + int(np.argmin(losses))]) ** 2
    away[0] = 0.0
    groups = [which if which.any() else ~which for which in (slopes, ~slopes)]
    own = np.column_stack([np.mean(away[:, which], axis=1) for which in groups])
    return np.maximum(own, NEAR)


def _search(
    domains: Sequence[Likelihood],
    begin: GLMMState,
    *,
    slopes: Array,
    free: bool,
    nu: Array,
) -> GLMMFit:
    """Alternate Newton's steps and steps of the variances from a start."""
    m, d, variances = begin
    tol = STEP_TOL if len(domains) > 1 else EXACT_TOL
    n_iter, converged = 0, False
    while not converged and n_iter < MAX_ITER:
        n_iter += 1
        parts = [domain.at(m + each) for domain, each in zip(domains, d, strict=True)]
        H = np.array([part.information for part in parts])
        b = np.array([e.information @ (m + x) + e.score for e, x in zip(parts, d, strict=True)])
        posterior = posterior_of(H, b, variances, slopes)
        for _ in range(INNER):
            variances = _scaled(variances, posterior, slopes)
            posterior = posterior_of(H, b, variances, slopes)
            variances = _updated(variances, posterior, slopes, free, nu)
            posterior = posterior_of(H, b, variances, slopes)
        new_m, new_d = _step(domains, (m, d), (posterior.centre, posterior.away), variances, slopes)
        moved = new_m - m + new_d - d
        m, d = new_m, new_d
        converged = bool(np.einsum("ki,kij,kj->k", moved, H, moved).max() < tol)
    height = -objective(domains, m, d, variances, slopes) + _volume(H, posterior, variances, slopes)
    height += _log_prior(variances, posterior, slopes, nu)
    return GLMMFit(GLMMState(m, d, variances), posterior, n_iter, converged, height)


def _volume(H: Array, posterior: Posterior, variances: Variances, slopes: Array) -> float:
    """Return the logarithm of the posterior's volume relative to the prior's."""
    by_domain = np.linalg.slogdet(np.eye(len(slopes)) + H * posterior.spread[:, None, :])[1]
    of_centre = np.linalg.slogdet(posterior.covariance)[1]
    prior = np.sum(np.log(_precision(variances, slopes)))
    return float(of_centre + prior - by_domain.sum()) / 2


def _log_prior(variances: Variances, posterior: Posterior, slopes: Array, nu: Array) -> float:
    """Return the log density of single variances, integrated over their logarithms (Laplace)."""
    if len(variances.own) == 1:
        return 0.0
    total, determined = 0.0, _determined(posterior)
    for j, which in enumerate((slopes, ~slopes)):
        if which.any():
            ratio = variances.common[j] / variances.own[:, j]
            gamma = np.maximum(determined[:, which].sum(axis=1), 0.0)
            total += nu @ (np.log(ratio) - ratio) / 2
            total += np.sum(np.log(4 * np.pi / (gamma + nu))) / 2
            total += np.sum(nu / 2 * np.log(nu / 2) - gammaln(nu / 2))
    return float(total)


def _scaled(variances: Variances, posterior: Posterior, slopes: Array) -> Variances:
    """Return variances of all domains multiplied alike, which the prior of single ones allows.

    Where domains determine little, single variances are drawn to the common one, and that to
    them: one by one they would hardly move.
    """
    own, common = variances.own.copy(), variances.common.copy()
    if len(own) == 1:
        return variances
    determined = _determined(posterior)
    for j, which in enumerate((slopes, ~slopes)):
        squares = np.sum(posterior.away[:, which] ** 2 / posterior.spread[:, which])
        gamma = np.sum(determined[:, which])
        if gamma > 0:
            factor = float(np.clip(squares / gamma, 0.1, 10.0))
            own[:, j] = np.maximum(factor * own[:, j], LEAST_VARIANCE)
            common[j] = max(factor * common[j], LEAST_VARIANCE)
    return variances._replace(own=own, common=common)


def _updated(
    variances: Variances,
    posterior: Posterior,
    slopes: Array,
    free: bool,
    nu: Array,
) -> Variances:
    """Return variances after one step towards the maximum of the marginal likelihood."""
    own, common, centre = (part.copy() for part in variances)
    determined = _determined(posterior)
    for j, which in enumerate((slopes, ~slopes)):
        if not which.any():
            continue
        if len(own) > 1:
            gamma = determined[:, which].sum(axis=1)
            squares = np.sum(posterior.away[:, which] ** 2, axis=1)
            own[:, j] = np.maximum((squares + nu * common[j]) / (gamma + nu), LEAST_VARIANCE)
            common[j] = 1 / np.average(1 / own[:, j], weights=nu)
    if free and slopes.any():
        centre[0] = _centre_variance(posterior, centre[0], slopes)
    return Variances(own, common, centre)


def _determined(posterior: Posterior) -> Array:
    """Return which part of every entry of d_k its domain determines, (K+1, P)."""
    R, C = posterior.reduced, posterior.covariance
    lost = np.einsum("kij,kji->ki", R @ C, R)
    return posterior.spread * (np.einsum("kii->ki", R) - lost)


def _centre_variance(posterior: Posterior, a: float, slopes: Array) -> float:
    """Return the variance of m's slopes, with next to nothing as a prior (of .3)."""
    gamma = np.sum(1 - np.diag(posterior.covariance)[slopes] / a)
    squares = np.sum(posterior.centre[slopes] ** 2)
    return float(np.clip((squares + 1e-3) / (gamma + 1e-3 / 0.3), LEAST_VARIANCE, 1e4))


def _step(
    domains: Sequence[Likelihood],
    start: tuple[Array, Array],
    end: tuple[Array, Array],
    variances: Variances,
    slopes: Array,
) -> tuple[Array, Array]:
    """Go from (m, d) towards Newton's, halfway and so on until (R2) does not rise."""
    before = objective(domains, *start, variances, slopes)
    for halvings in range(30):
        t = 0.5**halvings
        m, d = (a + t * (b - a) for a, b in zip(start, end, strict=True))
        after = objective(domains, m, d, variances, slopes)
        if after <= before + 1e-10 * (1 + abs(before)):
            break
    return m, d


def _by_entry(pairs: Array, slopes: Array) -> Array:
    """Return variances of slopes and intercepts (..., 2) entry by entry, (..., P)."""
    return np.where(slopes, pairs[..., :1], pairs[..., 1:])


def _precision(variances: Variances, slopes: Array) -> Array:
    return np.maximum(1 / _by_entry(variances.centre, slopes), FREE)


def _eta(rows: Rows, theta: Array) -> Array:
    return rows.X @ theta.reshape(rows.X.shape[1], -1)


# --- The target's coefficients ------------------------------------------------------------------


class GLMMCombination(NamedTuple):
    """Coefficients of the target and what they are expected to be worth."""

    theta: Array  # (P,)
    covariance: Array  # (P, P)
    shares: Array  # (K+1,)
    weights: Array  # (K,) of one source row relative to a target row
    discrepancy: Array  # (K, K)
    risk: float  # expected excess loss of a new target row
    target_risk: float
    centre: float  # variance of the slopes of m, or of the target alone
    n_iter: int
    converged: bool


def mixed_combination(
    target: OfRows,
    sources: Sequence[Likelihood],
    slopes: Array,
    *,
    centre: float | None,
    guard: bool,
    start: Array | None = None,
) -> GLMMCombination:
    """Combine target and sources by random effects.

    The guard gives the target alone the part that rows left out speak for.
    """
    domains = [target, *sources]
    alone = fit_glmm([target], slopes, centre=centre, start=start)
    effects = alone
    if sources:
        effects = fit_glmm(domains, slopes, centre=centre, start=start)
    J = _row_information(target, effects.theta[0])
    covariance, own = effects.posterior.covariance_of(0), alone.posterior.covariance_of(0)
    risks = [float(np.sum(J * cov)) / 2 for cov in (covariance, own)]
    shares = effects.posterior.shares_of(0, J)
    theta = effects.theta[0]
    if guard and sources and _all_seen(target):
        part = _part_of_alone(target, (theta, covariance), (alone.theta[0], own))
        theta = (1 - part) * theta + part * alone.theta[0]
        covariance = (1 - part) * covariance + part * own
        shares = (1 - part) * shares + part * alone.posterior.shares_of(0, J)[0] * _first(shares)
        risks[0] = (1 - part) * risks[0] + part * risks[1]
    n = np.array([domain.n for domain in domains])
    return GLMMCombination(
        theta,
        covariance,
        shares,
        _row_weights(shares, n),
        _estimated_discrepancy(effects.theta, J),
        risks[0],
        risks[1],
        float(effects.variances.centre[0]),
        effects.n_iter,
        effects.converged and alone.converged,
    )


def _first(values: Array) -> Array:
    return np.eye(1, len(values))[0]


def _row_weights(shares: Array, n: Array) -> Array:
    """Return weights per row; NaN where the target has no part that a row could be compared to."""
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = allocation.weights_from_shares(shares, n)
    return np.where(shares[0] > 0, weights, np.nan)


def _row_information(target: OfRows, theta: Array) -> Array:
    """Return the information of one target row, (P, P)."""
    return target.at(theta).information / max(target.n, 1e-300)


def _estimated_discrepancy(theta: Array, J: Array) -> Array:
    """Return ``delta_i' J delta_j / d`` of estimated coefficients, (K, K)."""
    delta = theta[1:] - theta[0]
    return delta @ J @ delta.T / theta.shape[1]


def _all_seen(target: OfRows) -> bool:
    """Whether the target's rows show every class, without which its own fit is no fit."""
    total = target.rows.weight @ target.rows.Y
    return bool(np.all(total > 0) and (len(total) > 1 or total[0] < _most(target)))


def _most(target: OfRows) -> float:
    """Return the largest total of one column: all rows for classes, no limit for counts."""
    return target.n if np.max(target.rows.Y) <= 1 else np.inf


def _part_of_alone(
    target: OfRows, combined: tuple[Array, Array], alone: tuple[Array, Array]
) -> float:
    """Return the part of the target alone that rows left out speak for, from 0 to 1."""
    with_sources, without = (left_out_losses(target, *fit) for fit in (combined, alone))
    gain, error = safeguard.mean_difference(with_sources, without, target.rows.weight)
    # Losses are log-likelihoods, of which `evidence_weight` takes twice the mean difference.
    return safeguard.evidence_weight(2 * float(gain), 2 * float(error), target.n)


def left_out_losses(target: OfRows, theta: Array, covariance: Array) -> Array:
    """Return the loss of every target row left out, to one step of Newton's method, (n_rows,).

    Without row i the linear predictor is ``eta_i - (I - h_i V_i)^{-1} h_i (y_i - mean_i)``, with
    ``h_i = x_i' cov x_i`` (q, q) and V_i the variance of y_i.
    """
    rows, family, q = target.rows, target.family, target.rows.Y.shape[1]
    eta = _eta(rows, theta)
    p = rows.X.shape[1]
    C = covariance.reshape(p, q, p, q) / target.dispersion
    h = np.einsum("ni,iajb,nj->nab", rows.X, C, rows.X, optimize=True)
    residual = (h @ (rows.Y - family.mean(eta))[:, :, None])[:, :, 0]
    inner = np.eye(q) - h @ family.variance(eta)
    inner += 1e-3 * np.eye(q)  # a row that determines its own fit is left a thousandth
    return family.loss(eta - np.linalg.solve(inner, residual[:, :, None])[:, :, 0], rows.Y)


# --- One weight per row (arXiv 2601.10779v2) ----------------------------------------------------


def weighted_combination(
    target: OfRows,
    sources: Sequence[Likelihood],
    slopes: Array,
    *,
    weights: str | Array,
    centre: float | None,
    start: Array | None = None,
) -> GLMMCombination:
    """Minimise ``sum_k w_k loss_k(theta)`` and the penalty, all domains sharing theta.

    ``weights`` names the rule, "plugin" or "sure", or gives w (K,).
    """
    domains = [target, *sources]
    alone = fit_glmm([target], slopes, centre=centre, start=start)
    J = _row_information(target, alone.theta[0])
    n = np.array([domain.n for domain in domains])
    delta = _own_fits(domains, alone.theta[0], slopes) - alone.theta[0]
    M = delta @ J @ delta.T / len(slopes)
    w = _weights(weights, M, float(np.sum(J * alone.posterior.covariance)) / len(slopes), n)
    weighted = Weighted(domains, np.append(1.0, w))
    effects = fit_glmm([weighted], slopes, centre=centre, start=start)
    shares = allocation.shares_from_weights(w, n)
    risk = len(slopes) / 2 * allocation.risk(w, n, M)
    return GLMMCombination(
        effects.theta[0],
        effects.posterior.covariance,
        shares,
        w,
        M,
        risk,
        float(np.sum(J * alone.posterior.covariance)) / 2,
        float(effects.variances.centre[0]),
        effects.n_iter,
        effects.converged,
    )


class Weighted(NamedTuple):
    """Weighted sum of likelihoods."""

    domains: Sequence[Likelihood]
    weights: Array

    @property
    def n(self) -> float:
        """Number of rows, each as its weight says."""
        return float(self.weights @ [domain.n for domain in self.domains])

    def at(self, theta: Array) -> Evidence:
        """Return information and score at theta (P,)."""
        parts = [domain.at(theta) for domain in self.domains]
        return Evidence(
            np.tensordot(self.weights, [part.information for part in parts], 1),
            self.weights @ [part.score for part in parts],
        )

    def loss(self, theta: Array) -> float:
        """Return the weighted sum of losses."""
        return float(self.weights @ [domain.loss(theta) for domain in self.domains])


def _own_fits(domains: Sequence[Likelihood], theta: Array, slopes: Array) -> Array:
    """Return each source's fit, drawn to the target's by ``evidence.PENALTY``, (K, P)."""
    fits = []
    for domain in domains[1:]:
        moved = _Moved(domain, theta)
        own = fit_glmm([moved], slopes, centre=1 / evidence.PENALTY)
        fits.append(theta + own.theta[0])
    # No sources, no differences.
    return np.array(fits).reshape(len(domains) - 1, len(theta))


class _Moved(NamedTuple):
    """A likelihood of coefficients less a point."""

    domain: Likelihood
    point: Array

    @property
    def n(self) -> float:
        return self.domain.n

    def at(self, theta: Array) -> Evidence:
        return self.domain.at(self.point + theta)

    def loss(self, theta: Array) -> float:
        return self.domain.loss(self.point + theta)


def _weights(weights: str | Array, M: Array, v_0: float, n: Array) -> Array:
    """Return the weight of one row of every source, (K,)."""
    if not isinstance(weights, str) or not len(M):
        return np.zeros(0) if isinstance(weights, str) else weights
    if weights == "plugin":
        shares = allocation.optimal_shares(n, M)
    else:
        shares = allocation.floor_target(allocation.mallows_shares(M, v_0), n[0] / n.sum())
    return allocation.weights_from_shares(shares, n)


# --- Counts that vary more than Poisson's -------------------------------------------------------


def pearson_dispersion(domains: Sequence[OfRows], slopes: Array) -> float:
    """Return Pearson's chi-square per degree of freedom of fits to single domains, at least one.

    It is what the variance of single scores, the middle of the sandwich, has over the
    information: as in ``evidence``, what is observed counts and not the family.
    """
    square, df = 0.0, 0.0
    for domain in domains:
        rows, family = domain.rows, domain.family
        theta = fit_glmm([domain], slopes, start=_constant(domain, slopes)).theta[0]
        eta = _eta(rows, theta)
        variance = np.diagonal(family.variance(eta), axis1=1, axis2=2)
        residual = (rows.Y - family.mean(eta)) ** 2 / np.maximum(variance, 1e-12)
        square += float(np.sum(rows.weight @ residual))
        df += rows.Y.shape[1] * max(len(rows.X) - rows.X.shape[1], 0)
    return max(square / df, 1.0) if df > 0 else 1.0


def _constant(domain: OfRows, slopes: Array) -> Array:
    """Return no slopes, and the intercepts of the domain's own mean, (P,)."""
    rows = domain.rows
    link = domain.family.link(rows.weight @ rows.Y / rows.n)
    return np.where(slopes, 0.0, np.resize(link, len(slopes)))
