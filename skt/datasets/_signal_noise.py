"""Simulated images of a signal patch and a noise patch: a source and a target that share signal."""

import numpy as np
from sklearn.utils import Bunch, check_random_state


def make_signal_noise_transfer(
    n_target=20,
    n_source=200,
    n_test=1000,
    *,
    patch_size=400,
    shared=1.5,
    own=1.5,
    noise=1.0,
    source_noise=1.0,
    random_state=None,
):
    """Draw classified rows of two patches, of which one is signal and one is noise.

    The design of partial parameter transfer (arXiv 2509.22056). A row of class y = -1 or 1 has
    the patches ``y (u + v_k)`` and ``xi``, in random order. u is shared by target and source, v_k
    is the domain's own; u and both v_k are orthogonal. xi is normal, of variance ``noise ** 2``
    (``source_noise ** 2``) in all directions but u and v_k.

    Parameters
    ----------
    n_target, n_source, n_test : int
        Rows of the target to train on, of the source, and of the target to test on.
    patch_size : int, default=400
        Entries of a patch, at least 3.
    shared, own : float
        Squared lengths of u and of each v_k.
    noise, source_noise : float
        Standard deviations of the noise in the target and in the source.
    random_state : int, RandomState or None, default=None
        Determines the draw.

    Returns
    -------
    Bunch
        ``X, y, sample_domain`` ("target" and "source"), ``X_test, y_test`` of the target, and
        ``signals`` (3, patch_size): u, the target's v and the source's. A row of X has
        ``2 * patch_size`` entries, one patch after the other.

    Examples
    --------
    >>> from skt.datasets import make_signal_noise_transfer
    >>> data = make_signal_noise_transfer(patch_size=50, random_state=0)
    >>> data.X.shape, data.X_test.shape
    ((220, 100), (1000, 100))
    """
    if patch_size < 3:
        raise ValueError(f"patch_size must be at least 3, for three signals; got {patch_size!r}.")
    for name, value in (("shared", shared), ("own", own)):
        if value < 0:
            raise ValueError(f"{name} must be >= 0, a squared length; got {value!r}.")
    rng = check_random_state(random_state)
    directions = np.linalg.qr(rng.standard_normal((patch_size, 3)))[0].T
    u, *others = directions * np.sqrt([shared, own, own])[:, None]
    X, y = _draw(rng, n_target, directions[[0, 1]], u + others[0], noise)
    X_source, y_source = _draw(rng, n_source, directions[[0, 2]], u + others[1], source_noise)
    X_test, y_test = _draw(rng, n_test, directions[[0, 1]], u + others[0], noise)
    return Bunch(
        X=np.vstack([X, X_source]),
        y=np.concatenate([y, y_source]),
        sample_domain=np.repeat(["target", "source"], [n_target, n_source]),
        X_test=X_test,
        y_test=y_test,
        signals=np.array([u, *others]),
    )


def _draw(rng, n, excluded, signal, noise):
    """Return rows (n, 2 d) and classes, with the noise orthogonal to the excluded directions."""
    y = rng.choice([-1, 1], size=n)
    xi = noise * rng.standard_normal((n, len(signal)))
    xi -= (xi @ excluded.T) @ excluded
    patches = np.stack([y[:, None] * signal, xi], axis=1)
    swapped = rng.random(n) < 0.5
    patches[swapped] = patches[swapped, ::-1]
    return patches.reshape(n, -1), y
