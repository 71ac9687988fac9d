"""Simulated targets and sources whose differences are known."""

from numbers import Integral

import numpy as np
from sklearn.utils import Bunch, check_random_state


def make_related_regressions(
    n_target=30,
    n_source=200,
    n_features=10,
    discrepancy=(1.0, 1.0, 1.0),
    *,
    shared=False,
    same_design=True,
    condition=1.0,
    noise_ratio=1.0,
    random_state=None,
):
    """Linear regressions around a target, at given discrepancies.

    The design of the project's tables B2 (equal designs, the defaults) and B3 (``condition=100,
    same_design=False, noise_ratio=2``) for UOWQ, arXiv 2601.10779v2. It is none of the paper's:
    the paper measures accuracy on images only, so there is no figure of it to draw from this;
    its model is the same, a target and sources with discrepancies M.

    Parameters
    ----------
    n_target, n_source, n_features : int
        Rows of the target, rows of each source, features.
    discrepancy : sequence of float, default=(1.0, 1.0, 1.0)
        ``x_i = n_target * delta_i' J delta_i / n_features`` of each source: at 1 the source's
        bias does as much harm as the target's own noise. The direction is random.
    shared : bool, default=False
        Whether all sources have the same coefficients, so that averaging them cannot help;
        the first discrepancy counts.
    same_design : bool, default=True
        Whether all domains draw their rows from the target's covariance.
    condition : float, default=1.0
        Condition number of the covariances; their mean eigenvalue is one.
    noise_ratio : float, default=1.0
        Noise standard deviations are log-uniform in ``[1/noise_ratio, noise_ratio]``.
    random_state : int, RandomState or None, default=None
        Determines the draw.

    Returns
    -------
    Bunch
        ``X, y, sample_domain`` (rows of all domains), ``coef`` (target), ``source_coef``
        (n_sources, n_features), ``covariance`` (of the target's rows), ``noise`` (standard
        deviations, target first), ``discrepancy_matrix`` (the true M).

    Examples
    --------
    >>> from skt.datasets import make_related_regressions
    >>> data = make_related_regressions(discrepancy=(0.0, 30.0), random_state=0)
    >>> data.X.shape, sorted(set(data.sample_domain.tolist()))
    ((430, 10), ['source 1', 'source 2', 'target'])
    >>> float(30 * data.discrepancy_matrix[1, 1].round(9))  # x of the second source
    30.0
    """
    _check_sizes(n_target=n_target, n_source=n_source, n_features=n_features)
    _check_each("discrepancy", discrepancy, least=0.0)
    if not 1 <= condition < np.inf:
        raise ValueError(f"condition must be a number of at least 1; got {condition!r}.")
    if not 0 < noise_ratio < np.inf:
        raise ValueError(f"noise_ratio must be a positive number; got {noise_ratio!r}.")
    rng = check_random_state(random_state)
    K = len(discrepancy)
    own = _covariance(n_features, condition, rng)
    covariances = [own] + [
        own if same_design else _covariance(n_features, condition, rng) for _ in range(K)
    ]
    noise = np.exp(rng.uniform(-1, 1, K + 1) * np.log(noise_ratio))
    coef = rng.standard_normal(n_features)
    deltas = np.array([_offset(x, own, noise[0], n_target, rng) for x in discrepancy])
    deltas = np.repeat(deltas[:1], K, axis=0) if shared else deltas
    sizes = [n_target] + [n_source] * K
    data = _draw(sizes, covariances, np.vstack([coef, coef + deltas]), noise, rng)
    M = deltas @ own @ deltas.T / (n_features * noise[0] ** 2)
    return Bunch(
        **data,
        coef=coef,
        source_coef=coef + deltas,
        covariance=own,
        noise=noise,
        discrepancy_matrix=M,
    )


def make_high_dimensional_sources(
    n_target=40,
    n_source=60,
    n_features=100,
    scale=(1.0, 1.0, 1.0),
    offset=(0.2, 0.2, 0.2),
    *,
    noise=0.5,
    random_state=None,
):
    """More features than target rows, sources scaled and offset.

    The design of the project's table B4 for UOWQ (arXiv 2601.10779v2, which has no such
    experiment).

    The target's coefficients have length one, those of source i are
    ``scale_i * coef + offset_i * (a random direction)``; rows are standard normal.

    Parameters
    ----------
    n_target, n_source, n_features : int
        Rows of the target, rows of each source, features.
    scale, offset : sequence of float
        Of each source; scale 0 is an unrelated source, -1 points the wrong way.
    noise : float, default=0.5
        Standard deviation of the noise.
    random_state : int, RandomState or None, default=None
        Determines the draw.

    Returns
    -------
    Bunch
        ``X, y, sample_domain, coef, source_coef, covariance``.

    Examples
    --------
    >>> from skt.datasets import make_high_dimensional_sources
    >>> make_high_dimensional_sources(scale=(1, -1), offset=(0, 0), random_state=0).X.shape
    (160, 100)
    """
    _check_sizes(n_target=n_target, n_source=n_source, n_features=n_features)
    _check_each("scale", scale, least=-np.inf)
    _check_each("offset", offset, least=-np.inf)
    if len(scale) != len(offset):
        raise ValueError(
            f"scale and offset must have one number for each source; they have {len(scale)} and "
            f"{len(offset)}."
        )
    if not 0 <= noise < np.inf:
        raise ValueError(f"noise must be a number >= 0; got {noise!r}.")
    rng = check_random_state(random_state)
    coef = _unit(n_features, rng)
    source_coef = np.array(
        [a * coef + b * _unit(n_features, rng) for a, b in zip(scale, offset, strict=True)]
    )
    K = len(source_coef)
    data = _draw(
        [n_target] + [n_source] * K,
        [np.eye(n_features)] * (K + 1),
        np.vstack([coef, source_coef]),
        np.full(K + 1, noise),
        rng,
    )
    return Bunch(**data, coef=coef, source_coef=source_coef, covariance=np.eye(n_features))


def _check_sizes(**sizes):
    for name, size in sizes.items():
        if not isinstance(size, Integral) or size < 1:
            raise ValueError(f"{name} must be a whole number of at least 1; got {size!r}.")


def _check_each(name, values, least):
    if np.ndim(values) != 1 or not len(values):
        raise ValueError(f"{name} must be one number for each source; got {values!r}.")
    wrong = [value for value in values if not (least <= value < np.inf and value > -np.inf)]
    if wrong:
        bound = f" >= {least:g}" if least > -np.inf else ""
        raise ValueError(f"{name} must hold finite numbers{bound}; got {wrong[0]!r}.")


def _draw(sizes, covariances, coefs, noise, rng):
    """Return stacked rows of all domains with their labels."""
    X = [
        rng.standard_normal((n, len(S))) @ np.linalg.cholesky(S).T
        for n, S in zip(sizes, covariances, strict=True)
    ]
    y = [x @ b + s * rng.standard_normal(len(x)) for x, b, s in zip(X, coefs, noise, strict=True)]
    names = ["target", *(f"source {k}" for k in range(1, len(sizes)))]
    return {
        "X": np.vstack(X),
        "y": np.concatenate(y),
        "sample_domain": np.repeat(names, sizes),
    }


def _covariance(p, condition, rng):
    """Return a covariance with geometric eigenvalues of mean one in random directions."""
    eigenvalues = np.geomspace(1.0, 1 / condition, p)
    Q, _ = np.linalg.qr(rng.standard_normal((p, p)))
    return (Q * (eigenvalues / eigenvalues.mean())) @ Q.T


def _offset(x, covariance, noise, n_target, rng):
    """Return a random delta with ``delta' Sigma delta / (p noise^2) = x / n_target``."""
    delta = rng.standard_normal(len(covariance))
    return delta * np.sqrt(x * len(delta) * noise**2 / n_target / (delta @ covariance @ delta))


def _unit(p, rng):
    direction = rng.standard_normal(p)
    return direction / np.linalg.norm(direction)
