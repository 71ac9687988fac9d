"""Risk of ridge regression pulled towards a source, as expectations over eigenvalues.

Notation (arXiv 2511.08401v4, which numbers the source 0; its tau_0 is ``tau``, its lambda ``lam``)
--------
Index 0 is the target, 1 the source: n_i rows, p features, coefficients w_i, noise sigma_i.
ell : eigenvalues of ``X'X / n``, all p of them, zeros included; a Spectrum holds them with weights.
rho = <w_1, w_0> / |w_1|^2      alignment
gamma = sigma_1^2 p / (n_1 |w_1|^2)   noise to signal of the source
b_1(tau) = argmin (1/n_1) |y_1 - X_1 b|^2 + tau |b|^2,   c : scale of the source.

Isotropic: rows of the source are rotationally invariant, so that only its spectrum counts:

    D^2(tau) / |w_1|^2 = E|c b_1 - w_0|^2 / |w_1|^2
        = |w_0|^2/|w_1|^2 + c^2 E (ell^2 + gamma ell)/(ell + tau)^2
          - 2 c rho E ell/(ell + tau)                                                          (T1)

    dD^2/dtau ~ E 2 ell/(ell + tau)^3 [ (rho/c) tau - gamma - (1 - rho/c) ell ]                (T2)

All integrands are ratios of the size of one: no difference of large numbers is ever taken, so
that values hold for tau from 1e-8 to 1e8. (Closed forms of the Marchenko-Pastur law cancel.)
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from skt.core._typing import Array


class Spectrum(NamedTuple):
    """Eigenvalues and their weights, which sum to one."""

    values: Array
    weights: Array

    def mean(self, integrand: Array) -> Array:
        """Return the expectation over the last axis."""
        return integrand @ self.weights


# --- spectra ------------------------------------------------------------------------------


def empirical(eigenvalues: Array) -> Spectrum:
    """Return the spectrum of given eigenvalues."""
    return Spectrum(eigenvalues, np.full(len(eigenvalues), 1 / len(eigenvalues)))


def marchenko_pastur(phi: float, n_panels: int = 40, order: int = 16) -> Spectrum:
    """Return the limit spectrum of ``X'X / n`` at phi = p / n, by quadrature.

    With ``ell = (1 - sqrt phi)^2 + 4 sqrt(phi) sin^2(x/2)`` its density is
    ``(2/pi) sin^2(x)/ell dx`` on (0, pi). At phi = 1 small eigenvalues crowd at x = 0, where
    panels shrink by halves. What mass is missing is that of the eigenvalue zero.
    """
    edges = np.concatenate(([0.0], np.pi * 0.5 ** np.arange(n_panels, -1, -1)))
    nodes, weights = np.polynomial.legendre.leggauss(order)
    half = np.diff(edges)[:, None] / 2
    x = (edges[:-1, None] + half * (1 + nodes)).ravel()
    ell = (1 - np.sqrt(phi)) ** 2 + 4 * np.sqrt(phi) * np.sin(x / 2) ** 2
    density = (half * weights).ravel() * (2 / np.pi) * np.sin(x) ** 2 / ell
    density *= min(1.0, 1 / phi) / density.sum()
    return Spectrum(np.append(ell, 0.0), np.append(density, max(0.0, 1 - 1 / phi)))


# --- the source's penalty -----------------------------------------------------------------


def ridge_factor(tau: Array, ell: Array) -> Array:
    """Return ``ell / (ell + tau)``, (..., len(ell)); 0 where both vanish."""
    total = ell + np.asarray(tau, dtype=float)[..., None]
    return np.divide(ell, total, out=np.zeros_like(total), where=total > 0)


def _noise_factor(tau: Array, ell: Array) -> Array:
    """Return ``ell / (ell + tau)^2``, in units of one over eigenvalue."""
    total = ell + np.asarray(tau, dtype=float)[..., None]
    return np.divide(ridge_factor(tau, ell), total, out=np.zeros_like(total), where=total > 0)


def source_moments(tau: Array, spectrum: Spectrum, gamma: float) -> tuple[Array, Array]:
    """Return ``E|b_1|^2 / |w_1|^2`` and ``E<b_1, w_1> / |w_1|^2``."""
    f, g = ridge_factor(tau, spectrum.values), _noise_factor(tau, spectrum.values)
    return spectrum.mean(f**2 + gamma * g), spectrum.mean(f)


def centre_distance(
    tau: Array, spectrum: Spectrum, rho: float, gamma: float, size: float, c: float = 1.0
) -> Array:
    """Return (T1); size is ``|w_0|^2 / |w_1|^2``."""
    square, product = source_moments(tau, spectrum, gamma)
    return size + c**2 * square - 2 * c * rho * product


def best_scale(tau: Array, spectrum: Spectrum, rho: float, gamma: float) -> Array:
    """Return the c of least (T1); at tau = gamma it is rho."""
    square, product = source_moments(tau, spectrum, gamma)
    return rho * np.divide(product, square, out=np.ones_like(product), where=square > 0)


def slope(tau: Array, spectrum: Spectrum, rho: float, gamma: float) -> Array:
    """Return (T2) at c = 1 with weights ``ell/(ell + tau)^3`` normalised: same sign, same roots."""
    ell = spectrum.values
    total = ell + np.asarray(tau, dtype=float)[..., None]
    # Relative to the largest factor: the third power of a large tau would underflow.
    relative = np.divide(1 + np.asarray(tau, dtype=float)[..., None], total, where=total > 0,
                         out=np.zeros_like(total))  # fmt: skip
    weight = spectrum.weights * ell * relative**3
    sbar = (weight @ ell) / np.sum(weight, axis=-1)
    return rho * np.asarray(tau) - gamma - (1 - rho) * sbar


def stationary_penalties(spectrum: Spectrum, rho: float, gamma: float) -> Array:
    """Return all tau in (0, inf) where D^2 is stationary, ascending.

    ``rho tau = gamma + (1 - rho) sbar(tau)`` with ``sbar`` between the least and the largest
    positive eigenvalue: a finite interval, scanned on a logarithmic grid. Not by iterating
    the equation, whose solution is not unique for every spectrum.
    """
    if rho <= 0:
        return np.empty(0)
    ell = spectrum.values[spectrum.values > 0]
    ends = (gamma + (1 - rho) * np.array([ell.min(), ell.max()])) / rho
    low, high = max(ends.min() / 2, 1e-12 * ell.max()), max(2 * ends.max(), 2e-12 * ell.max())
    grid = np.geomspace(low, high, 2000)
    value = slope(grid, spectrum, rho, gamma)
    at = np.flatnonzero(np.sign(value[:-1]) * np.sign(value[1:]) < 0)

    def root(i: int) -> float:
        def value_at(t: float) -> float:
            return float(slope(np.array(t), spectrum, rho, gamma))

        return float(brentq(value_at, grid[i], grid[i + 1], xtol=1e-14 * high, rtol=1e-13))

    roots = np.array([root(int(i)) for i in at])
    return np.unique(np.concatenate((roots, grid[value == 0.0])))


def transfer_optimal_penalty(spectrum: Spectrum, rho: float, gamma: float, c: float = 1.0) -> float:
    """Return the tau of least (T1) over [0, inf]; infinity is a source that is not used."""
    if c == 0 or rho / c <= 0:
        return np.inf
    rho = rho / c
    tau = np.concatenate(([0.0], stationary_penalties(spectrum, rho, gamma), [np.inf]))
    finite = centre_distance(tau[:-1], spectrum, rho, gamma, 0.0)
    return float(tau[np.argmin(np.append(finite, 0.0))])


def alignment_threshold(tau: Array, spectrum: Spectrum, gamma: float) -> Array:
    """Return the rho above which D^2 < |w_0|^2: ``E|b_1|^2 / 2 E<b_1, w_1>``; 0 in the limit."""
    square, product = source_moments(tau, spectrum, gamma)
    return np.divide(square, 2 * product, out=np.zeros_like(product), where=product > 0)


# --- the target's penalty -----------------------------------------------------------------


def best_alpha(distance: float, noise_variance: float, phi: float) -> float:
    """Return ``sigma_0^2 phi_0 / D^2``, the penalty of least risk."""
    return np.inf if distance == 0 else noise_variance * phi / distance


def target_risk(
    lam: Array, spectrum: Spectrum, distance: float, noise_variance: float, phi: float
) -> Array:
    """Return ``D^2 E lam^2/(ell+lam)^2 + sigma_0^2 phi_0 E ell/(ell+lam)^2``; target's spectrum."""
    ell = spectrum.values
    kept = 1 - ridge_factor(lam, ell)
    noise = spectrum.mean(_noise_factor(lam, ell))
    return distance * spectrum.mean(kept**2) + noise_variance * phi * noise


# --- given designs ------------------------------------------------------------------------


class RiskTerms(NamedTuple):
    """The three parts of the risk of an L2-SP fit, given both designs."""

    bias: float  # of the source's mean, carried into the target
    source_variance: float  # noise of the source, carried into the target
    target_variance: float  # noise of the target's own rows

    @property
    def total(self) -> float:
        """Expected squared error."""
        return sum(self)


def risk_terms(
    G1: Array, G0: Array, w1: Array, w0: Array, tau: float, lam: float,
    source_noise: float, target_noise: float, c: float, metric: Array,
) -> RiskTerms:  # fmt: skip
    """Return the terms of ``E|b_0 - w_0|^2`` in a metric; noises are ``sigma^2 / n``.

    ``b_0 - w_0 = lam Q (c b_1 - w_0) + Q X_0'e/n_0`` with ``Q = (G_0 + lam)^{-1}``.
    """
    identity = np.eye(len(G1))
    P = np.linalg.inv(G1 + tau * identity)
    Q = np.linalg.inv(G0 + lam * identity)
    error = lam * Q @ (c * P @ G1 @ w1 - w0)
    spread = lam**2 * c**2 * source_noise * Q @ P @ G1 @ P @ Q
    own = target_noise * Q @ G0 @ Q
    return RiskTerms(
        float(error @ metric @ error), float(np.sum(metric * spread)), float(np.sum(metric * own))
    )


# --- deterministic equivalents for any covariance -----------------------------------------


def effective_penalty(tau: float, eigenvalues: Array, n: float) -> float:
    """Return kappa: ``tau = kappa (1 - (1/n) sum l/(l + kappa))``, eigenvalues of the covariance.

    At tau = 0 the limit from above: zero for p <= n, positive for p > n.
    """

    def gap(kappa: float) -> float:
        return kappa * (1 - np.sum(eigenvalues / (eigenvalues + kappa)) / n) - tau

    high = tau + np.sum(eigenvalues) / n
    if tau == 0 and np.sum(eigenvalues > 0) <= n:
        return 0.0
    # gap + tau is convex, and zero at zero as well: start above the larger root, which it is.
    low = tau if tau > 0 else high * 1e-12
    while tau == 0 and gap(low) >= 0 and low > 1e-300:
        low *= 1e-3
    return float(brentq(gap, low, high, xtol=1e-300, rtol=1e-13, maxiter=500)) if high > 0 else 0.0


def equivalent_centre_distance(
    tau: float, eigenvalues: Array, n1: float, w1: Array, w0: Array, noise_variance: float,
    c: float, metric: Array,
) -> float:  # fmt: skip
    """Return ``E|c b_1 - w_0|_A^2`` for large n and p; w and A (diagonal) in the eigenbasis.

    |c S(S+k)^{-1} w_1 - w_0|_A^2
        + c^2 (sigma_1^2 + k^2 w_1'S(S+k)^{-2} w_1) tr(A S(S+k)^{-2}) / (n_1 - df_2)
    """
    kappa = effective_penalty(tau, eigenvalues, n1)
    f = ridge_factor(np.array(kappa), eigenvalues)
    r = _noise_factor(np.array(kappa), eigenvalues)
    lost = noise_variance + kappa**2 * np.sum(w1**2 * r)
    bias = np.sum(metric * (c * f * w1 - w0) ** 2)
    return float(bias + c**2 * lost * np.sum(metric * r) / (n1 - np.sum(f**2)))


def equivalent_risk(
    alpha: float, tau: float, eigenvalues: Array, n1: float, n0: float, w1: Array, w0: Array,
    source_noise: float, target_noise: float, c: float,
) -> float:  # fmt: skip
    """Return the excess prediction risk of the L2-SP fit for large n and p."""
    kappa = effective_penalty(alpha, eigenvalues, n0)
    r = _noise_factor(np.array(kappa), eigenvalues)
    df2 = float(np.sum(eigenvalues * r))
    metric = kappa**2 * r
    distance = equivalent_centre_distance(tau, eigenvalues, n1, w1, w0, source_noise, c, metric)
    return float(distance / (1 - df2 / n0) + target_noise * df2 / (n0 - df2))
