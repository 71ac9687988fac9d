"""Theory of L2-SP ridge as functions: for simulation studies, and to check them.

A source with n_1 rows and coefficients w_1 is fitted by ridge with the penalty
``source_alpha``, ``b_1 = argmin (1/n_1) ||y_1 - X_1 b||^2 + source_alpha ||b||^2``; the target
with n_0 rows and coefficients w_0 is then pulled towards ``source_scale * b_1``:
``argmin (1/n_0) ||y_0 - X_0 b||^2 + alpha ||b - source_scale b_1||^2``. This is what
:class:`skt.L2SPRidge` fits, and penalties here mean the same as there. Risk is squared error of
coefficients, which for features of unit variance is excess prediction error.

Two numbers say all about how source and target are related where features are isotropic:

``alignment``
    rho = <w_1, w_0> / ||w_1||^2; 1 for the same coefficients, negative for opposed ones.
``noise_to_signal``
    gamma = sigma_1^2 p / (n_1 ||w_1||^2), which is also the penalty that is best for the source
    itself.

Source: arXiv 2511.08401v4; the free scale, the threshold and the deterministic equivalents are
this project's (docs/methods/l2sp.md). Formulas: ``skt/core/l2sp_theory.py``.
"""

import numpy as np

from skt.core import l2sp_theory
from skt.core.l2sp_theory import RiskTerms, Spectrum

__all__ = [
    "RiskTerms",
    "Spectrum",
    "alignment_threshold",
    "effective_penalty",
    "empirical_spectrum",
    "equivalent_prior_error",
    "equivalent_risk",
    "isotropic_risk",
    "marchenko_pastur",
    "noise_to_signal",
    "optimal_alpha",
    "optimal_source_scale",
    "prior_error",
    "risk_decomposition",
    "stationary_penalties",
    "transfer_optimal_penalty",
]


def marchenko_pastur(aspect_ratio):
    """Spectrum of ``X'X / n`` in the limit, for independent entries of unit variance.

    Parameters
    ----------
    aspect_ratio : float > 0
        p / n, features over rows.

    Returns
    -------
    Spectrum
        Nodes and weights of a quadrature, the eigenvalue zero of p > n included. Expectations
        of ridge's rational functions are exact to 1e-13 for penalties from 1e-8 to 1e8.

    Examples
    --------
    >>> from skt.theory import marchenko_pastur
    >>> spectrum = marchenko_pastur(2.0)
    >>> print(f"{spectrum.mean(spectrum.values):.6f} {spectrum.weights[-1]:.2f}")
    1.000000 0.50
    """
    return l2sp_theory.marchenko_pastur(_positive("aspect_ratio", aspect_ratio))


def empirical_spectrum(eigenvalues):
    """Spectrum of given eigenvalues, all of the same weight.

    Parameters
    ----------
    eigenvalues : array-like of shape (n_features,)
        Of ``X'X / n``: all of them, zeros included.

    Returns
    -------
    Spectrum
        What the other functions take.
    """
    values = np.asarray(eigenvalues, dtype=float)
    if values.ndim != 1 or values.size == 0 or not np.all(values >= 0):
        raise ValueError(
            "eigenvalues must be one array of numbers >= 0, one for each feature; "
            f"got shape {values.shape}, least {np.min(values, initial=np.inf)}."
        )
    return l2sp_theory.empirical(values)


def noise_to_signal(noise_variance, n_samples, n_features, squared_norm):
    """Noise of a fit relative to its signal, and the penalty that is best for it alone.

    Parameters
    ----------
    noise_variance : float >= 0
        sigma^2, in squared units of y.
    n_samples, n_features : int
        Rows and features.
    squared_norm : float > 0
        ||w||^2 of the coefficients.

    Returns
    -------
    float
        ``sigma^2 p / (n ||w||^2)``, in units of the features' variance.
    """
    noise = _not_negative("noise_variance", noise_variance)
    size = _positive("n_samples", n_samples) * _positive("squared_norm", squared_norm)
    return noise * _positive("n_features", n_features) / size


def prior_error(
    source_alpha,
    spectrum,
    *,
    alignment,
    noise_to_signal,
    target_norm=1.0,
    source_scale=1.0,
):
    """Expected distance of the scaled source fit from the target, over ||w_1||^2.

    Parameters
    ----------
    source_alpha : float or array-like
        Penalties of the source; 0 and infinity are exact.
    spectrum : Spectrum
        Of the source's rows.
    alignment : float
        rho = <w_1, w_0> / ||w_1||^2.
    noise_to_signal : float >= 0
        gamma = sigma_1^2 p / (n_1 ||w_1||^2).
    target_norm : float, default=1.0
        ||w_0||^2 / ||w_1||^2: what the distance is without a source (at infinity).
    source_scale : float, default=1.0
        c, by which the source fit is multiplied.

    Returns
    -------
    float or ndarray
        ``E ||c b_1 - w_0||^2 / ||w_1||^2``. The source helps where it is below target_norm.

    Examples
    --------
    Scaled by the alignment, the penalty that is best for the source is best for transfer:

    >>> from skt import theory
    >>> spectrum = theory.marchenko_pastur(2.0)
    >>> known = dict(alignment=0.3, noise_to_signal=1.0, target_norm=0.09)
    >>> print(f"{theory.prior_error(1.0, spectrum, **known):.3f}")
    0.207
    >>> print(f"{theory.prior_error(1.0, spectrum, source_scale=0.3, **known):.3f}")
    0.064
    """
    tau = _penalties("source_alpha", source_alpha)
    gamma = _not_negative("noise_to_signal", noise_to_signal)
    value = l2sp_theory.centre_distance(
        tau,
        spectrum,
        _any_sign("alignment", alignment),
        gamma,
        _not_negative("target_norm", target_norm),
        _any_sign("source_scale", source_scale),
    )
    return value if np.ndim(source_alpha) else float(value)


def optimal_source_scale(source_alpha, spectrum, *, alignment, noise_to_signal):
    """Scale of the source fit that brings it nearest to the target.

    Parameters
    ----------
    source_alpha : float or array-like
        Penalties of the source.
    spectrum : Spectrum
        Of the source's rows.
    alignment, noise_to_signal : float
        rho and gamma, see the head of the module.

    Returns
    -------
    float or ndarray
        c; equal to the alignment where source_alpha is noise_to_signal.
    """
    tau = _penalties("source_alpha", source_alpha)
    gamma = _not_negative("noise_to_signal", noise_to_signal)
    rho = _any_sign("alignment", alignment)
    value = l2sp_theory.best_scale(tau, spectrum, rho, gamma)
    return value if np.ndim(source_alpha) else float(value)


def transfer_optimal_penalty(spectrum, *, alignment, noise_to_signal, source_scale=1.0):
    """Penalty of the source that is best for the target: tau_0* of the paper.

    Above ``noise_to_signal`` where alignment is below one, below it where above; infinite (no
    transfer) where alignment is not positive, and zero where it is large and noise small.

    Parameters
    ----------
    spectrum : Spectrum
        Of the source's rows.
    alignment, noise_to_signal : float
        rho and gamma, see the head of the module.
    source_scale : float, default=1.0
        c, by which the source fit is multiplied.

    Returns
    -------
    float
        The global minimiser of `prior_error` over [0, infinity].

    Examples
    --------
    The paper's figure at p / n = 2, as a ratio to the source's own optimum:

    >>> from skt import theory
    >>> spectrum = theory.marchenko_pastur(2.0)
    >>> for rho in (0.5, 1.0, 1.5):
    ...     best = theory.transfer_optimal_penalty(spectrum, alignment=rho, noise_to_signal=2.0)
    ...     print(f"{best / 2.0:.2f}")
    3.17
    1.00
    0.45
    """
    gamma = _not_negative("noise_to_signal", noise_to_signal)
    rho, scale = _any_sign("alignment", alignment), _any_sign("source_scale", source_scale)
    return l2sp_theory.transfer_optimal_penalty(spectrum, rho, gamma, scale)


def stationary_penalties(spectrum, *, alignment, noise_to_signal):
    """All finite positive penalties of the source at which the prior error is stationary.

    Parameters
    ----------
    spectrum : Spectrum
        Of the source's rows.
    alignment, noise_to_signal : float
        rho and gamma, see the head of the module.

    Returns
    -------
    ndarray
        Ascending; one for the Marchenko-Pastur law, up to three for other spectra, none where
        the error falls or rises throughout.

    Examples
    --------
    >>> from skt import theory
    >>> two_points = theory.empirical_spectrum([1.0, 100.0])
    >>> print(theory.stationary_penalties(two_points, alignment=0.4, noise_to_signal=0.001))
    [  1.81602233   6.4826599  143.20492355]
    """
    gamma = _not_negative("noise_to_signal", noise_to_signal)
    return l2sp_theory.stationary_penalties(spectrum, _any_sign("alignment", alignment), gamma)


def alignment_threshold(source_alpha, spectrum, *, noise_to_signal):
    """Alignment above which the source fit, as it stands, helps the target.

    Parameters
    ----------
    source_alpha : float or array-like
        Penalties of the source.
    spectrum : Spectrum
        Of the source's rows.
    noise_to_signal : float
        gamma, see the head of the module.

    Returns
    -------
    float or ndarray
        rho_c, for source_scale 1: above it the target's risk is lower than without the source
        at every alpha, below it higher. 1/2 at ``source_alpha = noise_to_signal``, and 0 in the
        limit of an infinite penalty.
    """
    tau = _penalties("source_alpha", source_alpha)
    gamma = _not_negative("noise_to_signal", noise_to_signal)
    value = l2sp_theory.alignment_threshold(tau, spectrum, gamma)
    return value if np.ndim(source_alpha) else float(value)


def optimal_alpha(prior_error, *, noise_variance, n_samples, n_features):
    """Penalty of the target of least risk: ``sigma_0^2 p / (n_0 D^2)``.

    Parameters
    ----------
    prior_error : float >= 0
        D^2 = E ||c b_1 - w_0||^2: `prior_error` times ||w_1||^2, or ||w_0||^2 without source.
    noise_variance : float
        Of the target.
    n_samples, n_features : int
        Rows of the target, features.

    Returns
    -------
    float
        Infinite where the prior is exact.
    """
    distance = _not_negative("prior_error", prior_error)
    phi = _positive("n_features", n_features) / _positive("n_samples", n_samples)
    return l2sp_theory.best_alpha(distance, _not_negative("noise_variance", noise_variance), phi)


def isotropic_risk(alpha, spectrum, prior_error, *, noise_variance, aspect_ratio):
    """Risk of the target's fit for isotropic features.

    Parameters
    ----------
    alpha : float or array-like
        Penalties of the target.
    spectrum : Spectrum
        Of the target's rows: `marchenko_pastur` or given.
    prior_error : float
        D^2, as in `optimal_alpha`.
    noise_variance : float
        Of the target.
    aspect_ratio : float
        p / n_0.

    Returns
    -------
    float or ndarray
        ``E ||b_0 - w_0||^2``.

    Examples
    --------
    >>> from skt import theory
    >>> spectrum = theory.marchenko_pastur(4.0)
    >>> for distance in (1.0, 0.2):
    ...     alpha = theory.optimal_alpha(
    ...         distance, noise_variance=0.25, n_samples=50, n_features=200)
    ...     risk = theory.isotropic_risk(
    ...         alpha, spectrum, distance, noise_variance=0.25, aspect_ratio=4.0)
    ...     print(f"{risk:.3f}")
    0.809
    0.179
    """
    lam = _penalties("alpha", alpha)
    distance = _not_negative("prior_error", prior_error)
    noise = _not_negative("noise_variance", noise_variance)
    phi = _positive("aspect_ratio", aspect_ratio)
    value = l2sp_theory.target_risk(lam, spectrum, distance, noise, phi)
    return value if np.ndim(alpha) else float(value)


def risk_decomposition(
    X_source,
    X_target,
    source_coef,
    target_coef,
    *,
    source_alpha,
    alpha,
    source_noise_variance,
    target_noise_variance,
    source_scale=1.0,
    covariance=None,
):
    """Risk of the target's fit in three terms, exact given both designs and the truth.

    Parameters
    ----------
    X_source, X_target : array-like of shape (n_samples, n_features)
        Designs, as the fit sees them: centred if it has an intercept.
    source_coef, target_coef : array-like of shape (n_features,)
        w_1 and w_0.
    source_alpha, alpha : float > 0
        Penalties per row.
    source_noise_variance, target_noise_variance : float
        sigma_1^2 and sigma_0^2.
    source_scale : float, default=1.0
        c.
    covariance : array-like of shape (n_features, n_features), default=None
        Metric in which errors count: the covariance of new rows gives excess prediction error.
        None: the identity, squared error of coefficients.

    Returns
    -------
    RiskTerms
        ``bias`` (what the mean source fit lacks to the target), ``source_variance`` (noise of
        the source, carried over) and ``target_variance``; ``total`` is their sum.

    Examples
    --------
    >>> import numpy as np
    >>> from skt import theory
    >>> rng = np.random.default_rng(0)
    >>> w = rng.normal(size=20)
    >>> terms = theory.risk_decomposition(
    ...     rng.normal(size=(60, 20)), rng.normal(size=(15, 20)), w, 0.8 * w,
    ...     source_alpha=0.1, alpha=0.5, source_noise_variance=1.0, target_noise_variance=1.0)
    >>> print(f"{terms.bias:.2f} + {terms.source_variance:.2f} + {terms.target_variance:.2f}")
    0.06 + 0.15 + 0.36
    """
    X1, X0 = np.asarray(X_source, dtype=float), np.asarray(X_target, dtype=float)
    w1, w0 = np.asarray(source_coef, dtype=float), np.asarray(target_coef, dtype=float)
    p = X0.shape[1]
    if X1.shape[1] != p or w1.shape != (p,) or w0.shape != (p,):
        raise ValueError(
            f"X_source has {X1.shape[1]} columns, X_target {p}, source_coef has shape {w1.shape} "
            f"and target_coef {w0.shape}; expected the same features in all."
        )
    return l2sp_theory.risk_terms(
        X1.T @ X1 / len(X1),
        X0.T @ X0 / len(X0),
        w1,
        w0,
        _positive("source_alpha", source_alpha),
        _positive("alpha", alpha),
        _not_negative("source_noise_variance", source_noise_variance) / len(X1),
        _not_negative("target_noise_variance", target_noise_variance) / len(X0),
        _any_sign("source_scale", source_scale),
        np.eye(p) if covariance is None else np.asarray(covariance, dtype=float),
    )


def effective_penalty(penalty, eigenvalues, n_samples):
    """Penalty on the population that a penalty on n rows amounts to: kappa.

    Parameters
    ----------
    penalty : float >= 0
        Per row.
    eigenvalues : array-like of shape (n_features,)
        Of the covariance of a row.
    n_samples : int
        Rows.

    Returns
    -------
    float
        The solution of ``penalty = kappa (1 - (1/n) sum l / (l + kappa))``.

    Examples
    --------
    >>> import numpy as np
    >>> from skt.theory import effective_penalty
    >>> print(f"{effective_penalty(0.0, np.ones(200), 100):.3f}")
    1.000
    """
    return l2sp_theory.effective_penalty(
        _not_negative("penalty", penalty),
        empirical_spectrum(eigenvalues).values,
        _positive("n_samples", n_samples),
    )


def equivalent_prior_error(
    source_alpha,
    eigenvalues,
    source_coef,
    target_coef,
    *,
    n_source,
    source_noise_variance,
    source_scale=1.0,
    metric=None,
):
    """Deterministic equivalent of ``E ||c b_1 - w_0||^2`` for rows of any covariance.

    Parameters
    ----------
    source_alpha : float
        Penalty of the source, per row.
    eigenvalues : array-like of shape (n_features,)
        Of the covariance of a row.
    source_coef, target_coef : array-like of shape (n_features,)
        w_1 and w_0 in the eigenbasis of the covariance.
    n_source : int
        Rows of the source.
    source_noise_variance : float
        sigma_1^2.
    source_scale : float, default=1.0
        c.
    metric : array-like of shape (n_features,), default=None
        Weight of each eigendirection; None: all one. The eigenvalues themselves give excess
        prediction error.

    Returns
    -------
    float
        Accurate to about one percent from 100 features and rows.
    """
    spectrum = empirical_spectrum(eigenvalues)
    w1, w0 = np.asarray(source_coef, dtype=float), np.asarray(target_coef, dtype=float)
    return l2sp_theory.equivalent_centre_distance(
        _not_negative("source_alpha", source_alpha),
        spectrum.values,
        _positive("n_source", n_source),
        w1,
        w0,
        _not_negative("source_noise_variance", source_noise_variance),
        _any_sign("source_scale", source_scale),
        np.ones(len(w1)) if metric is None else np.asarray(metric, dtype=float),
    )


def equivalent_risk(
    alpha,
    source_alpha,
    eigenvalues,
    source_coef,
    target_coef,
    *,
    n_source,
    n_target,
    source_noise_variance,
    target_noise_variance,
    source_scale=1.0,
):
    """Deterministic equivalent of the target's excess prediction error, for any covariance.

    Here the best source penalty depends on the target stage as well.

    Parameters
    ----------
    alpha, source_alpha : float
        Penalties of target and source, per row.
    eigenvalues : array-like of shape (n_features,)
        Of the covariance of a row, the same for source and target.
    source_coef, target_coef : array-like of shape (n_features,)
        w_1 and w_0 in the eigenbasis of the covariance.
    n_source, n_target : int
        Rows.
    source_noise_variance, target_noise_variance : float
        sigma_1^2 and sigma_0^2.
    source_scale : float, default=1.0
        c.

    Returns
    -------
    float
        ``E (x'b_0 - x'w_0)^2`` for a new row x.
    """
    return l2sp_theory.equivalent_risk(
        _not_negative("alpha", alpha),
        _not_negative("source_alpha", source_alpha),
        empirical_spectrum(eigenvalues).values,
        _positive("n_source", n_source),
        _positive("n_target", n_target),
        np.asarray(source_coef, dtype=float),
        np.asarray(target_coef, dtype=float),
        _not_negative("source_noise_variance", source_noise_variance),
        _not_negative("target_noise_variance", target_noise_variance),
        _any_sign("source_scale", source_scale),
    )


def _penalties(name, values):
    array = np.asarray(values, dtype=float)
    if not np.all(array >= 0):
        raise ValueError(f"{name} must be >= 0; got {values!r}.")
    return array


# Squares and ratios of numbers from 1 / LARGEST to LARGEST stay within floating point.
LARGEST = 1e100


def _positive(name, value):
    number = _number(name, value)
    if not 0 < number < np.inf:
        raise ValueError(f"{name} must be a positive number; got {value!r}.")
    return _of_ordinary_size(name, number)


def _not_negative(name, value):
    number = _number(name, value)
    if not 0 <= number < np.inf:
        raise ValueError(f"{name} must be a number >= 0; got {value!r}.")
    return _of_ordinary_size(name, number)


def _any_sign(name, value):
    number = _number(name, value)
    if not np.isfinite(number):
        raise ValueError(f"{name} must be a finite number; got {value!r}.")
    return _of_ordinary_size(name, number)


def _of_ordinary_size(name, number):
    if number != 0 and not 1 / LARGEST <= abs(number) <= LARGEST:
        raise ValueError(
            f"{name} must be 0 or from {1 / LARGEST:g} to {LARGEST:g} in size, beyond which "
            f"squares overflow; got {number!r}."
        )
    return number


def _number(name, value):
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be one number; got {value!r}.") from error
