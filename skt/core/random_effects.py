"""Coefficients of several domains as random effects: maximum likelihood and prediction.

Notation
--------
K sources, index 0 the target; p features, q outputs; n_i rows (less the intercept's one).
W_i : (p, q) coefficients of domain i, ``Y_i = X_i W_i + noise`` of variance v_i.

    W_i = rho_i (W_0 + c) + D_i,   W_0 ~ N(0, I/pi),  c ~ N(0, tau_c I),  D_i ~ N(0, tau_i I)

pi : prior precision of the target's coefficients (a ridge penalty: pi = penalty / v_0);
    zero is a flat prior, under which the model is random-effects meta-analysis.
tau_c : common; the offset that all sources share. tau_i : own; a source's own offset.
rho_i : scale of a source; one unless the model lets it vary.

Only ``X_i'X_i = U_i diag(s_i) U_i'`` and ``B_i = U_i'X_i'Y_i`` enter, so no step depends on n_i,
and a source with fewer rows than features informs just the directions that it has seen.
The latent ``m = W_0 + c`` is all that the sources see of the target; with W_0 given the
target's own rows,

    m ~ N(mu, diag(1/f)) in the target's eigenbasis,   1/f = tau_c + 1/g,   g = pi + s_0/v_0,

and the offset D_i integrated out, source i informs m with precision ``s_i / (v_i + tau_i s_i)``.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from . import discrepancy
from .quadratic import eigenspectrum

Array = NDArray[Any]


# Prior standard deviation of a source's scale around one: estimated freely, scales of many
# sources are noise; with 0.5, a source that points the wrong way is still turned round.
SCALE_SPREAD = 0.5

# Log-likelihood that a source's scale must gain to be let free: odds of twenty. At half of it
# scales are let free by chance, and `risk_` is too low; above it nothing changes in simulation.
SCALE_EVIDENCE = 3.0


class Domains(NamedTuple):
    """Sufficient statistics of K+1 domains, each in its own eigenbasis of r directions."""

    n: Array  # (K+1,) rows, less one where an intercept was fitted
    U: Array  # (K+1, p, r) eigenvectors; zero columns where a domain has fewer than r
    s: Array  # (K+1, r) eigenvalues of X'X
    B: Array  # (K+1, r, q) U'X'Y
    fit: Array  # (K+1, r) squared length of Y explained by each direction
    rss: Array  # (K+1,) residual sum of squares of least squares, over all outputs

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Numbers of sources, features and outputs."""
        return len(self.n) - 1, self.U.shape[1], self.B.shape[2]


class Effects(NamedTuple):
    """Parameters of the model; see the notation of the module."""

    prior: float  # pi
    common: float  # tau_c
    own: Array  # (K,) tau_i
    scale: Array  # (K,) rho_i
    noise: Array  # (K+1,) v_i


def decompose(n: Array, Sxx: Array, Sxy: Array, Syy: Array) -> Domains:
    """Return the statistics of domains with moments (K+1, p, p), (K+1, p, q), (K+1, q, q)."""
    spectra = [eigenspectrum(S) for S in Sxx]
    r = max(1, *(len(s) for s, _ in spectra))
    s = np.array([np.pad(s, (0, r - len(s))) for s, _ in spectra])
    U = np.array([np.pad(U, ((0, 0), (0, r - U.shape[1]))) for _, U in spectra])
    B = U.transpose(0, 2, 1) @ Sxy
    squares = np.sum(B**2, axis=2)
    fit = np.divide(squares, s, out=np.zeros_like(s), where=s > 0)
    total = np.trace(Syy, axis1=1, axis2=2)
    rss = np.maximum(total - fit.sum(axis=1), 1e-12 * total)
    return Domains(n, U, s, B, fit, rss)


class Latent(NamedTuple):
    """Posterior of the latent m, with the pieces that likelihood and gradient share."""

    mean: Array  # (p, q)
    covariance: Array  # (p, p), times the identity over outputs
    log_determinant: float  # of the precision of m
    fit: float  # h'P^{-1}h, h being the precision-weighted sum of all evidence on m
    information: Array  # (K, p, p) of each source on its own latent rho_i m
    spread: Array  # (K, r) v_i + tau_i s_i
    f: Array  # (r,) precision of m given the target's rows, in the target's eigenbasis
    g: Array  # (r,) the same for W_0
    f_rest: float  # the precision of m outside the directions that the target has seen
    mu: Array  # (r, q) mean of m given the target's rows, in the target's eigenbasis


def latent_posterior(domains: Domains, effects: Effects) -> Latent:
    """Return what all domains together say of m at given parameters."""
    U, s, B = domains.U, domains.s, domains.B
    g = effects.prior + s[0] / effects.noise[0]
    f, f_rest = g / (1 + effects.common * g), effects.prior / (1 + effects.common * effects.prior)
    mu = B[0] / (effects.noise[0] * np.where(g > 0, g, 1.0))[:, None]
    spread = effects.noise[1:, None] + effects.own[:, None] * s[1:]
    information = _in_basis(U[1:], s[1:] / spread)
    h = U[0] @ (f[:, None] * mu)
    h += np.tensordot(effects.scale, U[1:] @ (B[1:] / spread[:, :, None]), 1)
    P = _in_basis(U[0], f - f_rest) + np.tensordot(effects.scale**2, information, 1)
    covariance, log_determinant = _inverse(P + f_rest * np.eye(len(P)))
    mean = covariance @ h
    fit = float(np.sum(h * mean))
    return Latent(mean, covariance, log_determinant, fit, information, spread, f, g, f_rest, mu)


def objective(domains: Domains, effects: Effects, exponent: float = 0.0) -> float:
    """Return minus the log-likelihood plus ``discrepancy.penalty``, up to a constant.

    The penalty holds the guard and the prior of the offset; designs enter it by their mean
    eigenvalue.
    """
    return _value(domains, effects, latent_posterior(domains, effects), exponent)


def _value(domains: Domains, effects: Effects, m: Latent, exponent: float) -> float:
    K, p, q = domains.sizes
    pi, noise, r = effects.prior, effects.noise, domains.s.shape[1]
    value = np.sum(domains.rss / noise - q * domains.n * (domains.rss > 0))
    value += q * domains.n @ np.log(noise / _own_noise(domains))
    value += q * np.sum(np.log(m.spread / noise[1:, None]))
    value += np.sum(domains.fit[1:] / m.spread)
    # The target's rows: their own evidence on W_0, and the prior of m that they imply.
    if pi == 0:
        value -= q * np.sum(domains.s[0] > 0) * np.log(noise[0])
    else:
        value += q * np.sum(np.log1p(domains.s[0] / (pi * noise[0])))
        value += np.sum(domains.fit[0] * pi / (pi * noise[0] + domains.s[0]))
        value -= q * (p - r) * np.log(m.f_rest)
    value -= q * np.sum(np.log(m.f[m.f > 0]))
    value += np.sum(m.f[:, None] * m.mu**2) - m.fit + q * m.log_determinant
    return float(value / 2) + (_penalty(domains, effects, exponent).value if K else 0.0)


def _gradient(domains: Domains, effects: Effects, m: Latent, exponent: float) -> Effects:
    """Return derivatives of the objective: expectations over the posterior of m (Fisher)."""
    by_prior, by_common, by_noise_0 = _target_gradient(domains, effects, m)
    q, r = domains.B.shape[2], domains.s.shape[1]
    U, s, B = domains.U[1:], domains.s[1:], domains.B[1:]
    rho, noise = effects.scale, effects.noise[1:]
    seen = U.transpose(0, 2, 1) @ m.mean
    square = np.sum(seen**2, axis=2) + q * _diagonal_of(U, m.covariance)
    cross = np.sum(seen * B, axis=2)
    residual = domains.fit[1:] - 2 * rho[:, None] * cross + s * rho[:, None] ** 2 * square
    by_spread = q / m.spread - residual / m.spread**2
    by_own = np.sum(s * by_spread, axis=1)
    by_scale = 2 * np.sum((rho[:, None] * s * square - cross) / m.spread, axis=1)
    by_noise = q * (domains.n[1:] - r) / noise - domains.rss[1:] / noise**2
    by_noise += np.sum(by_spread, axis=1)
    if len(rho):
        extra, per_level = _penalty(domains, effects, exponent), _inverse_levels(domains)
        by_common += 2 * extra.by_common
        by_own += 2 * extra.by_spread
        by_noise_0 += 2 * extra.by_v_0 * per_level[0]
        by_noise += 2 * extra.by_spread * per_level[1:]
    return Effects(
        by_prior / 2,
        by_common / 2,
        by_own / 2,
        by_scale / 2,
        np.concatenate(([by_noise_0], by_noise)) / 2,
    )


def _target_gradient(domains: Domains, effects: Effects, m: Latent) -> tuple[float, float, float]:
    """Return twice the derivatives of the target's part by prior, common and v_0."""
    _, p, q = domains.sizes
    pi, v, s, fit = effects.prior, effects.noise[0], domains.s[0], domains.fit[0]
    seen = domains.U[0].T @ m.mean
    around = _diagonal_of(domains.U[:1], m.covariance)[0]
    D = np.sum((seen - m.mu) ** 2, axis=1) + q * around
    D_rest = np.sum(m.mean**2) - np.sum(seen**2) + q * (np.trace(m.covariance) - around.sum())
    rest = q * (p - len(s))
    by_common = np.sum(q * m.f - m.f**2 * D) + rest * m.f_rest - m.f_rest**2 * D_rest
    inverse_f = np.divide(1.0, m.f, out=np.zeros_like(m.f), where=m.f > 0)
    by_g = (D - q * inverse_f) / (1 + effects.common * m.g) ** 2
    total = pi * v + s
    total = np.where(total > 0, total, 1.0)
    pull = 2 * m.f * np.sum((seen - m.mu) * m.mu, axis=1) / total
    by_noise = np.sum(pull * pi - by_g * s / v**2)
    by_noise += q * domains.n[0] / v - q * np.sum(s / (v * total)) - domains.rss[0] / v**2
    by_noise -= np.sum(fit * (pi / total) ** 2)
    if pi == 0:
        return 0.0, float(by_common), float(by_noise)
    by_prior = np.sum(by_g + v * pull - q * s / (pi * total) + fit * s / total**2)
    by_prior += (D_rest - rest / m.f_rest) / (1 + effects.common * pi) ** 2
    return float(by_prior), float(by_common), float(by_noise)


def _own_noise(domains: Domains) -> Array:
    """Return each domain's own noise variance, about which the likelihood of many rows is flat.

    Measured from there the objective stays of the size of what is being decided, however
    many rows a source has, and the search does not stop early.
    """
    q = domains.B.shape[2]
    return np.where(domains.rss > 0, domains.rss, 1.0) / (q * np.maximum(domains.n, 1.0))


def _penalty(domains: Domains, effects: Effects, exponent: float) -> discrepancy.Penalty:
    per_level = _inverse_levels(domains)
    # A source in which nothing varies says nothing: its coefficients have any variance.
    spread = np.where(per_level[1:] > 0, effects.own + effects.noise[1:] * per_level[1:], np.inf)
    return discrepancy.penalty(effects.common, spread, effects.noise[0] * per_level[0], exponent)


def _inverse_levels(domains: Domains) -> Array:
    """Return one over the mean eigenvalue of each design, zero where nothing varies, (K+1,)."""
    level = domains.s.sum(axis=1) / domains.sizes[1]
    return np.divide(1.0, level, out=np.zeros_like(level), where=level > 0)


class Search(NamedTuple):
    """How the search for the parameters ended."""

    objective: float
    n_iter: int
    converged: bool
    end: Array  # coordinates


class Prediction(NamedTuple):
    """Best linear prediction of the target's coefficients."""

    coef: Array  # (p, q)
    covariance: Array  # (p, p), times the identity over outputs
    shares: Array  # (K+1,) mean part of each domain's least squares in the prediction


def predict_target(domains: Domains, effects: Effects) -> Prediction:
    """Return the posterior of W_0 and how much of it each domain contributes.

    ``W_0 = (I - S) mu + S m`` with ``S = diag(f/g)``: what separates W_0 from m may be the
    offset c. Domain i enters through one (p, p) matrix; its share is the mean diagonal of that,
    directions counting as they vary among the target's rows. What shares lack to one is the
    pull of the prior towards zero.
    """
    m = latent_posterior(domains, effects)
    U, (K, p, _) = domains.U[0], domains.sizes
    inside, outside = 1 / (1 + effects.common * m.g), 1 / (1 + effects.common * effects.prior)
    S = _in_basis(U, inside - outside) + outside * np.eye(p)
    coef = S @ m.mean + U @ ((1 - inside)[:, None] * m.mu)
    own = effects.common * S  # Cov(W_0 | m): (1/g)(1 - f/g) = tau_c f/g
    pull = S @ m.covariance
    shares = np.empty(K + 1)
    varies = domains.s[0].sum() > 0
    along = domains.s[0] / domains.s[0].sum() if varies else np.zeros_like(domains.s[0])
    design = _in_basis(U, along) if varies else np.eye(p) / p
    shares[1:] = effects.scale * np.einsum("pq,kqp->k", design @ pull, m.information)
    target = (1 - inside) + _diagonal_of(U[None], pull)[0] * m.f
    target *= np.divide(domains.s[0] / effects.noise[0], m.g, out=np.zeros_like(m.g), where=m.g > 0)
    shares[0] = along @ target
    return Prediction(coef, pull @ S + own, shares)


def fit_effects(
    domains: Domains,
    *,
    noise: Array | None = None,
    prior: float | None = None,
    scale_spread: float | None = None,
    exponent: float = 0.0,
    rough: bool = False,
    start: Array | None = None,
) -> tuple[Effects, Search]:
    """Maximise the likelihood over the parameters that are not given.

    ``noise`` (K+1,) and ``prior`` are estimated when None. With ``scale_spread`` None every
    rho_i is one and the common offset is estimated; otherwise ``rho_i ~ N(1, scale_spread^2)``
    is estimated, without a common offset: a free scale and a common offset explain the same
    differences, and few target rows cannot tell them apart. ``rough`` stops where the
    likelihood is known but its maximiser is not, enough to compare models; ``start`` goes on
    from the coordinates where such a search ended.
    """
    chart = _Chart(domains, noise, prior, scale_spread)
    if chart.length == 0:
        return chart.effects(np.empty(0)), Search(0.0, 0, True, np.empty(0))

    def value_and_gradient(x: Array) -> tuple[float, Array]:
        effects = chart.effects(x)
        m = latent_posterior(domains, effects)
        value = _value(domains, effects, m, exponent)
        gradient = chart.gradient(effects, _gradient(domains, effects, m, exponent))
        if scale_spread is not None:
            pull = (effects.scale - 1) / scale_spread
            value += np.sum(pull**2) / 2
            gradient[chart.fields["scale"]] += pull / scale_spread
        return value, gradient

    def search(start: Array, ftol: float) -> Any:
        options: Any = {"ftol": ftol, "gtol": 1e-6, "maxiter": 5000}
        return minimize(
            value_and_gradient,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=chart.bounds,
            options=options,
        )

    if start is None:
        best = min((search(x, 1e-5) for x in chart.starts()), key=lambda fit: fit.fun)
        start = best.x
    if not rough:
        best = search(start, 1e-11)
    converged = _is_stationary(best, chart.bounds, float(np.sum(domains.n)))
    return chart.effects(best.x), Search(best.fun, best.nit, converged, best.x)


def _is_stationary(fit: Any, bounds: list[tuple[float, float]], n: float) -> bool:
    """Return whether the gradient vanishes, but where it points out of the bounds.

    Coordinates are logarithms, in which slopes vary by sqrt(n) from sample to sample.
    """
    low, high = np.array(bounds).T
    inward = fit.x - np.clip(fit.x - fit.jac, low, high)
    return bool(fit.success or np.max(np.abs(inward)) < 0.01 * np.sqrt(n))


def choose_effects(
    domains: Domains,
    *,
    noise: Array | None = None,
    prior: float | None = None,
    exponent: float = 0.0,
) -> tuple[Effects, Search]:
    """Fit a common offset; return free scales per source instead on strong evidence for them.

    A common offset protects against a bias that all sources share, a free scale against
    outcomes in other units and sources that point the wrong way.
    """
    fit = partial(fit_effects, domains, noise=noise, prior=prior, exponent=exponent)
    offset, scales = fit(rough=True), fit(rough=True, scale_spread=SCALE_SPREAD)
    evidence = offset[1].objective - scales[1].objective
    if evidence > SCALE_EVIDENCE * domains.sizes[0]:
        return fit(start=scales[1].end, scale_spread=SCALE_SPREAD)
    return fit(start=offset[1].end)


class _Chart:
    """Coordinates of the free parameters: logarithms, but for the scales.

    The logarithm of a noise variance is known to ``1/sqrt(n)``, and measured in that unit: the
    likelihood is then about as curved in every coordinate, however many rows a source has.
    """

    # Variances are sought within these factors of the size that the data suggest.
    RANGE = np.exp(12.0)

    def __init__(
        self,
        domains: Domains,
        noise: Array | None,
        prior: float | None,
        scale_spread: float | None,
    ) -> None:
        K, _, q = domains.sizes
        self.noise, self.prior = noise, prior
        total = (domains.fit.sum(axis=1) + domains.rss) / q
        rows = np.maximum(domains.n, 1.0)
        self.root_n = np.sqrt(rows)
        self.output_variance = np.maximum(total / rows, 1e-12 * np.max(total / rows) + 1e-300)
        df = domains.n - np.sum(domains.s > 0, axis=1)
        residual = domains.rss / (q * np.maximum(df, 1.0))
        residual = np.maximum(residual, np.exp(-15.0) * self.output_variance)
        self.noise_start = np.where(df > 2, residual, 0.4 * self.output_variance)
        # Half the variance of the outputs is taken to be explained, to begin with.
        signal = np.sum(domains.s) / np.sum(rows)
        self.size = float(np.mean(self.output_variance) / 2 / max(signal, 1e-300))
        free = {
            "prior": 1 if prior is None else 0,
            "common": 1 if scale_spread is None and K else 0,
            "own": K,
            "scale": 0 if scale_spread is None else K,
            "noise": K + 1 if noise is None else 0,
        }
        ends = np.cumsum(list(free.values()))
        self.fields = {
            name: slice(int(end) - count, int(end))
            for (name, count), end in zip(free.items(), ends, strict=True)
        }
        self.length, self.K = int(ends[-1]), K
        products = domains.U @ domains.B  # X'Y
        self.signs = np.where(np.sum(products[1:] * products[0], axis=(1, 2)) < 0, -1.0, 1.0)

    def effects(self, x: Array) -> Effects:
        """Return the parameters at coordinates x."""
        part = {name: x[where] for name, where in self.fields.items()}
        return Effects(
            np.exp(part["prior"])[0] if self.prior is None else self.prior,
            np.exp(part["common"])[0] if len(part["common"]) else 0.0,
            np.exp(part["own"]),
            part["scale"] if len(part["scale"]) else np.ones(self.K),
            np.exp(part["noise"] / self.root_n) if self.noise is None else self.noise,
        )

    def gradient(self, effects: Effects, by: Effects) -> Array:
        """Return derivatives by x from derivatives by the parameters."""
        x = np.empty(self.length)
        for name, where in self.fields.items():
            value, slope = getattr(effects, name), getattr(by, name)
            if where.stop > where.start:
                x[where] = slope if name == "scale" else slope * value
        x[self.fields["noise"]] /= self.root_n if self.noise is None else 1.0
        return x

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """Bounds of every coordinate."""
        low, high = np.empty(self.length), np.empty(self.length)
        for name, centre, below, above in (
            ("prior", -np.log(self.size), np.log(self.RANGE), np.log(self.RANGE)),
            ("common", np.log(self.size), np.log(self.RANGE), np.log(self.RANGE)),
            ("own", np.log(self.size), np.log(self.RANGE), np.log(self.RANGE)),
            ("scale", 0.0, 20.0, 20.0),
            ("noise", np.log(self.output_variance), 16.0, 1.0),
        ):
            where = self.fields[name]
            if where.stop > where.start:
                low[where], high[where] = centre - below, centre + above
        if self.noise is None:
            low[self.fields["noise"]] *= self.root_n
            high[self.fields["noise"]] *= self.root_n
        return list(zip(low, high, strict=True))

    def starts(self) -> list[Array]:
        """Return starts: sources near the target, far from it, and mirrored where they look it."""
        starts = [self._start(0.01, np.ones(self.K)), self._start(0.3, np.ones(self.K))]
        if self.fields["scale"].stop > self.fields["scale"].start and np.any(self.signs < 0):
            starts.append(self._start(0.01, self.signs))
        return starts

    def _start(self, own: float, scale: Array) -> Array:
        x = np.empty(self.length)
        x[self.fields["prior"]] = -np.log(self.size)
        x[self.fields["common"]] = np.log(0.1 * self.size)
        x[self.fields["own"]] = np.log(own * self.size)
        if self.fields["scale"].stop > self.fields["scale"].start:
            x[self.fields["scale"]] = scale
        if self.noise is None:
            x[self.fields["noise"]] = self.root_n * np.log(self.noise_start)
        return x


def _in_basis(U: Array, values: Array) -> Array:
    """Return ``U diag(values) U'``, over leading dimensions."""
    return (U * values[..., None, :]) @ np.swapaxes(U, -1, -2)


def _diagonal_of(U: Array, A: Array) -> Array:
    """Return the diagonals of ``U_i' A U_i``, (K, r)."""
    return np.sum(U * (A @ U), axis=1)


def _inverse(P: Array) -> tuple[Array, float]:
    """Return inverse and log-determinant of a positive semi-definite matrix."""
    P = P + 1e-13 * np.trace(P) / len(P) * np.eye(len(P))
    factor = cho_factor(P, lower=True)
    inverse = cho_solve(factor, np.eye(len(P)))
    return inverse, 2 * float(np.sum(np.log(np.diag(factor[0]))))
