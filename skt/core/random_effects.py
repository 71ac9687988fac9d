"""Coefficients of several domains as random effects: likelihood, information, prediction.

Notation
--------
K sources, index 0 the target; p features, q outputs; n_i rows (less the intercept's one).
W_i : (p, q) coefficients of domain i, ``Y_i = X_i W_i + noise`` of variance v_i.

    W_i = rho_i m + D_i,   m ~ N(0, I / pi),   D_i ~ N(0, tau_i I),   rho_0 = 1

m : what the domains have in common. pi : its prior precision; zero is a flat prior, under which
    the model is random-effects meta-analysis.
tau_i : own; a domain's own offset. The target's, tau_0, is an offset that its sources share.
rho_i : scale of a source; one unless the model lets it vary.

Only ``X_i'X_i = U_i diag(s_i) U_i'`` and ``B_i = U_i'X_i'Y_i`` enter, so no step depends on n_i,
and a domain with fewer rows than features enters through the r_i directions that it has seen. All
R = sum r_i directions stand side by side, (p, R). Direction k of domain i is an observation

    B_k = s_k rho_i u_k'm + e_k,   Var(e_k) = s_k c_k,   c_k = v_i + tau_i s_k (the spread),

and m, all of them given, is N(C h, C) for every output, with

    C^{-1} = pi I + sum_k rho_i^2 (s_k / c_k) u_k u_k',   h = sum_k rho_i u_k B_k / c_k.

Where R < p all happens in the span of the directions, of which ``basis`` is one.
"""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import blas, lapack
from scipy.sparse import csr_array

from skt.core._typing import Array
from skt.core.information import Information
from skt.core.least_squares import eigenspectrum


class Domains(NamedTuple):
    """Sufficient statistics of K+1 domains, each in its own eigenbasis, directions side by side."""

    n: Array  # (K+1,) rows, less one where an intercept was fitted
    first: Array  # (K+1,) position of each domain's first direction; each has at least one
    U: Array  # (p, R) eigenvectors, in coordinates of the basis where there is one
    s: Array  # (R,) eigenvalues of X'X; zero for the direction of a domain that has none
    B: Array  # (R, q) U'X'Y
    fit: Array  # (R,) squared length of Y explained by each direction
    rss: Array  # (K+1,) residual sum of squares of least squares, over all outputs
    basis: Array | None  # (n_features, p) orthonormal; None for all of the features' space
    n_features: int

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Numbers of sources, dimensions and outputs."""
        return len(self.n) - 1, len(self.U), self.B.shape[1]

    @property
    def lengths(self) -> Array:
        """Number of directions of each domain, (K+1,)."""
        return np.diff(self.first, append=len(self.s))

    @property
    def ranks(self) -> Array:
        """Number of directions in which each domain varies, (K+1,)."""
        return self.sums((self.s > 0).astype(float))

    def sums(self, values: Array) -> Array:
        """Return the sum of values (..., R) over the directions of each domain, (..., K+1)."""
        return np.add.reduceat(values, self.first, axis=-1)

    def spread_out(self, values: Array) -> Array:
        """Return each domain's value (K+1,) at each of its directions, (R,)."""
        return np.repeat(values, self.lengths)

    def part(self, i: int) -> tuple[Array, Array, Array]:
        """Return the eigenvalues (r,), eigenvectors (n_features, r) and U'X'Y of one domain."""
        here = slice(self.first[i], self.first[i] + self.lengths[i])
        seen = self.s[here] > 0
        U = self.U[:, here][:, seen]
        return self.s[here][seen], U if self.basis is None else self.basis @ U, self.B[here][seen]

    @property
    def alone(self) -> "Domains":
        """The target without its sources."""
        r = self.lengths[0]
        parts = self.U[:, :r], self.s[:r], self.B[:r], self.fit[:r], self.rss[:1]
        return Domains(self.n[:1], self.first[:1], *parts, self.basis, self.n_features)

    @property
    def sources(self) -> "Domains":
        """The sources without their target."""
        r = self.lengths[0]
        parts = self.U[:, r:], self.s[r:], self.B[r:], self.fit[r:], self.rss[1:]
        return Domains(self.n[1:], self.first[1:] - r, *parts, self.basis, self.n_features)

    def turned(self, turn: Array, total: Array) -> "Domains":
        """Return the domains with outputs multiplied by ``turn``; ``total`` (K+1,) is ||Y||^2."""
        return _explained(self._replace(B=self.B @ turn), total)

    def target_function(self, values: Callable[[Array], Array]) -> Array:
        """Return ``U f(S) U'`` over all eigenvalues of the target, zeros included, (p, p)."""
        s, U, _ = self.part(0)
        if len(s) == len(U):  # nothing is outside; a large value there would cost digits inside
            return _in_basis(U, values(s))
        outside = float(values(np.zeros(1))[0])
        return _in_basis(U, values(s) - outside) + outside * np.eye(len(U))


class Effects(NamedTuple):
    """Parameters of the model; see the notation of the module."""

    prior: float  # pi
    own: Array  # (K+1,) tau_i
    scale: Array  # (K+1,) rho_i
    noise: Array  # (K+1,) v_i

    @property
    def common(self) -> float:
        """Variance of the offset of the target from what its sources have in common."""
        return float(self.own[0])

    @property
    def of_sources(self) -> "Effects":
        """The parameters of the sources without their target."""
        return Effects(self.prior, self.own[1:], self.scale[1:], self.noise[1:])


def vector(effects: Effects) -> Array:
    """Return all parameters, or derivatives by them, as one vector (3K + 4,)."""
    return np.concatenate(([effects.prior], effects.own, effects.scale, effects.noise))


def decompose(
    n: Array, Sxx: Array, Sxy: Array, Syy: Array, target: tuple[Array, Array] | None = None
) -> Domains:
    """Return the statistics of domains with moments (K+1, p, p), (K+1, p, q), (K+1, q, q).

    ``target`` holds eigenvalues and eigenvectors of the target's, where they are known.
    """
    spectra = [eigenspectrum(Sxx[0]) if target is None else target]
    spectra += [eigenspectrum(S) for S in Sxx[1:]]
    p = Sxx.shape[1]
    nothing = np.zeros(1), np.zeros((p, 1))
    spectra = [each if len(each[0]) else nothing for each in spectra]
    first = np.cumsum([0, *(len(s) for s, _ in spectra[:-1])])
    s, U = np.concatenate([s for s, _ in spectra]), np.hstack([U for _, U in spectra])
    B = np.vstack([U.T @ S for (_, U), S in zip(spectra, Sxy, strict=True)])
    basis, U = _spanned(U)
    total = np.trace(Syy, axis1=1, axis2=2)
    unexplained = np.zeros_like(s), np.zeros_like(total)
    return _explained(Domains(n, first, U, s, B, *unexplained, basis, p), total)


def _spanned(U: Array) -> tuple[Array | None, Array]:
    """Return a basis of the span of all directions, and these in it; None where it is all."""
    if U.shape[1] >= len(U):
        return None, np.asfortranarray(U)
    basis, inside = np.linalg.qr(U)
    return basis, np.asfortranarray(inside)


def _explained(domains: Domains, total: Array) -> Domains:
    """Return domains with what their directions explain of ``total``, the squares of Y."""
    squares, s = np.sum(domains.B**2, axis=1), domains.s
    fit = np.divide(squares, s, out=np.zeros_like(s), where=s > 0)
    rss = np.maximum(total - domains.sums(fit), 1e-12 * total)
    return domains._replace(fit=fit, rss=rss)


# The latent m --------------------------------------------------------------------------------


class Latent:
    """Posterior of m at given parameters, with the pieces that all that follows share.

    One evaluation is a product (p, R) by (R, p), a Cholesky factor, and a product (p, p) by
    (p, R) once a derivative is asked for.
    """

    def __init__(self, domains: Domains, effects: Effects) -> None:
        self.domains, self.effects = domains, effects
        at = domains.spread_out
        self.rho, self.v = at(effects.scale), at(effects.noise)
        self.spread = self.v + at(effects.own) * domains.s
        weight = self.rho * np.sqrt(domains.s / self.spread)
        precision = blas.dsyrk(1.0, domains.U * weight, lower=1)
        floor = 1e-13 * max(np.trace(precision) / len(precision), 1e-300)
        precision[np.diag_indices_from(precision)] += effects.prior + floor
        self.factor, failed = lapack.dpotrf(precision, lower=1)
        if failed:
            raise np.linalg.LinAlgError("The precision of the latent coefficients is not positive.")
        self.h = domains.U @ ((self.rho / self.spread)[:, None] * domains.B)
        self.mean = self.times_covariance(self.h)

    def times_covariance(self, A: Array) -> Array:
        """Return ``C A``."""
        return lapack.dpotrs(self.factor, A, lower=1)[0]

    @property
    def log_determinant(self) -> float:
        """Logarithm of the determinant of the precision of m."""
        return 2 * float(np.sum(np.log(np.diag(self.factor))))

    @cached_property
    def root(self) -> Array:
        """Root of the covariance: T with ``T'T = C``, lower triangular, (p, p)."""
        return lapack.dtrtri(np.tril(self.factor), lower=1)[0]

    @property
    def covariance(self) -> Array:
        """Covariance C of every output of m, (p, p)."""
        return self.root.T @ self.root

    @cached_property
    def seen(self) -> Array:
        """Mean of m along every direction, ``u_k'm``, (R, q)."""
        return self.domains.U.T @ self.mean

    @cached_property
    def around(self) -> Array:
        """Variance of m along every direction, ``u_k'C u_k``, (R,)."""
        return np.sum(blas.dtrmm(1.0, self.root, self.domains.U, lower=1) ** 2, axis=0)


def objective(domains: Domains, effects: Effects) -> float:
    """Return minus the log-likelihood, up to a constant."""
    return minus_log_likelihood(Latent(domains, effects))


def minus_log_likelihood(m: Latent) -> float:
    """Return minus the log-likelihood at the parameters of m, up to a constant.

    Noise is measured from each domain's own, about which the likelihood of many rows is flat:
    the value stays of the size of what is being decided, however many rows a source has.
    """
    domains, effects = m.domains, m.effects
    _, p, q = domains.sizes
    value = np.sum(domains.rss / effects.noise - q * domains.n * (domains.rss > 0))
    value += q * domains.n @ np.log(effects.noise / _own_noise(domains))
    value += q * np.sum(np.log(m.spread / m.v)) + np.sum(domains.fit / m.spread)
    value += q * m.log_determinant - np.sum(m.h * m.mean)
    if effects.prior > 0:
        value -= q * p * np.log(effects.prior)
    return float(value / 2)


def _own_noise(domains: Domains) -> Array:
    """Return each domain's noise variance by least squares, (K+1,)."""
    q = domains.B.shape[1]
    return np.where(domains.rss > 0, domains.rss, 1.0) / (q * np.maximum(domains.n, 1.0))


def gradient(m: Latent) -> Effects:
    """Return the derivatives of `minus_log_likelihood`: expectations over m (Fisher)."""
    domains, effects = m.domains, m.effects
    _, p, q = domains.sizes
    s, rho, pi = domains.s, m.rho, effects.prior
    square = np.sum(m.seen**2, axis=1) + q * m.around
    cross = np.sum(m.seen * domains.B, axis=1)
    residual = domains.fit - 2 * rho * cross + s * rho**2 * square
    by_spread = q / m.spread - residual / m.spread**2
    by_noise = q * (domains.n - domains.lengths) / effects.noise - domains.rss / effects.noise**2
    by_prior = q * np.sum(m.root**2) + np.sum(m.mean**2) - (q * p / pi if pi > 0 else 0.0)
    return Effects(
        float(by_prior) / 2,
        domains.sums(s * by_spread) / 2,
        domains.sums((rho * s * square - cross) / m.spread),
        (by_noise + domains.sums(by_spread)) / 2,
    )


def information(m: Latent) -> Information:
    """Return the average of observed and expected information, of all 3K + 4 parameters.

    They are in the order of `Effects`: prior, own, scale, noise. With ``V`` the covariance
    of the observations and f_j = (dV/d theta_j) V^{-1} z it is ``f_j'V^{-1} f_k / 2``. f_j is an
    offset inside one domain, or ``sqrt(s) rho u'g`` in all of them, g the change of m:

        2 I = inside - O'C O + G'G / pi,   O the pull of f_j on m (``outer``).
    """
    domains, effects = m.domains, m.effects
    (_, p, q), pi = domains.sizes, effects.prior
    root = np.sqrt(domains.s)[:, None]
    z = np.divide(domains.B, root, out=np.zeros_like(domains.B), where=root > 0)
    e = (z - root * m.rho[:, None] * m.seen) / m.spread[:, None]
    offsets = domains.s[:, None] * e, root * m.seen, e  # by own, scale, noise; (R, q) each

    place = np.arange(len(domains.s)), np.append(domains.first, len(domains.s))

    def pulled(x: Array) -> Array:  # sum of u_k x_k over each domain, (p q, K+1)
        parts = [csr_array((column, *place)) @ domains.U.T for column in x.T]
        return np.hstack(parts).T

    through = (m.rho / m.spread)[:, None] * root
    by_own, by_scale, by_noise = (pulled(through * f) for f in offsets)
    change = pulled(root * e)
    mean = m.mean.T.reshape(-1, 1)
    outer = np.hstack((mean, by_own, by_scale - change, by_noise))
    inner = np.vstack([m.root @ part for part in outer.reshape(q, p, -1)])
    factor, sign = inner.T, -np.ones(p * q)
    if pi > 0:
        G = np.hstack((-mean, np.zeros_like(by_own), change, np.zeros_like(by_noise)))
        factor, sign = np.hstack((factor, G.T / np.sqrt(pi))), np.append(sign, np.ones(p * q))
    f = np.array(offsets)
    inside = domains.sums(np.einsum("arq,brq->abr", f, f) / m.spread)
    inside[2, 2] += q * np.maximum(domains.n - domains.ranks, 0.0) / effects.noise**2
    return Information(0.0, np.moveaxis(inside, 2, 0) / 2, factor / np.sqrt(2), sign)


# Prediction ----------------------------------------------------------------------------------


class Prediction(NamedTuple):
    """Best linear prediction of the target's coefficients."""

    coef: Array  # (p, q)
    covariance: Array  # (p, p), times the identity over outputs
    shares: Array  # (K+1,) mean part of each domain's least squares in the prediction


def predict_target(m: Latent) -> Prediction:
    """Return the posterior of W_0 and how much of it each domain contributes.

    ``W_0 = S m + (I - S) b_0`` with b_0 the target's least squares and
    ``S = v_0 / (v_0 + tau_0 s)`` in the target's eigenbasis: S is what the target leaves to the
    others. Domain i enters through one matrix; its share is the mean diagonal of that, directions
    counting as they vary among the target's rows. What shares lack to one is the pull of the prior
    towards zero.
    """
    domains, effects = m.domains, m.effects
    p, r, tau = domains.sizes[1], domains.lengths[0], effects.common
    U, s, spread = domains.U[:, :r], domains.s[:r], m.spread[:r]
    inside = effects.noise[0] / spread
    S = _in_basis(U, inside - 1) + np.eye(p)
    coef = S @ m.mean + U @ ((tau / spread)[:, None] * domains.B[:r])
    pull = S @ m.covariance
    varies = s.sum() > 0
    along = s / s.sum() if varies else np.zeros_like(s)
    design = _in_basis(U, along) if varies else np.eye(p) / p
    through = np.sum(domains.U * ((design @ pull) @ domains.U), axis=0)
    shares = domains.sums(m.rho * through * domains.s / m.spread)
    shares[0] += along @ (1 - inside)
    covariance = pull @ S + tau * S
    if domains.basis is None:
        return Prediction(coef, covariance, shares)
    Q, outside = domains.basis, 1 / max(effects.prior, 1e-300) + tau
    rest = outside * (np.eye(domains.n_features) - Q @ Q.T)
    return Prediction(Q @ coef, Q @ covariance @ Q.T + rest, shares)


def _in_basis(U: Array, values: Array) -> Array:
    """Return ``U diag(values) U'``."""
    return (U * values) @ U.T
