"""The designs of the L2-SP paper: a source that is a multiple of the target, or nearly."""

import numpy as np
from sklearn.utils import Bunch, check_random_state


def make_aligned_regressions(
    n_source=250,
    n_target=50,
    n_features=500,
    alignment=1.0,
    perpendicular=0.0,
    *,
    decay=0.0,
    source_noise=1.0,
    target_noise=0.1,
    random_state=None,
):
    """Source and target whose coefficients differ by a scale and an angle (arXiv 2511.08401v4).

    The source's coefficients w_0 have length one and a random direction; the target's are
    ``alignment * w_0 + perpendicular * u``, u of length one and orthogonal to w_0.

    Parameters
    ----------
    n_source, n_target, n_features : int
        Rows of the source, rows of the target, features.
    alignment : float, default=1.0
        rho = <w_0, w_1> / ||w_0||^2; below one the source is too long, negative it points the
        wrong way.
    perpendicular : float, default=0.0
        Length of what the target has and the source has not.
    decay : float, default=0.0
        Rows are Gaussian with independent features of variance proportional to ``k^-decay``,
        k = 1..n_features, of mean one. 0 is isotropic; the paper has 0.5, 1 and 2 too.
    source_noise, target_noise : float
        Standard deviations of the noise.
    random_state : int, RandomState or None, default=None
        Determines the draw.

    Returns
    -------
    Bunch
        ``X, y, sample_domain`` (rows of "target" and "source"), ``coef`` (target),
        ``source_coef``, ``covariance`` (n_features, n_features).

    Examples
    --------
    >>> from skt.datasets import make_aligned_regressions
    >>> data = make_aligned_regressions(40, 20, 80, alignment=-0.5, random_state=0)
    >>> print(data.X.shape, f"{data.source_coef @ data.coef:.2f}")
    (60, 80) -0.50
    """
    if decay < 0:
        raise ValueError(f"decay must be >= 0, a power of the feature's number; got {decay!r}.")
    if n_features < 2:
        raise ValueError(f"n_features must be at least 2, for a direction; got {n_features!r}.")
    rng = check_random_state(random_state)
    variances = np.arange(1, n_features + 1) ** -float(decay)
    variances *= n_features / variances.sum()
    directions = np.linalg.qr(rng.standard_normal((n_features, 2)))[0].T
    source_coef = directions[0]
    coef = alignment * directions[0] + perpendicular * directions[1]
    X = rng.standard_normal((n_target + n_source, n_features)) * np.sqrt(variances)
    noise = rng.standard_normal(n_target + n_source)
    y = np.concatenate(
        [
            X[:n_target] @ coef + target_noise * noise[:n_target],
            X[n_target:] @ source_coef + source_noise * noise[n_target:],
        ]
    )
    return Bunch(
        X=X,
        y=y,
        sample_domain=np.repeat(["target", "source"], [n_target, n_source]),
        coef=coef,
        source_coef=source_coef,
        covariance=np.diag(variances),
    )
