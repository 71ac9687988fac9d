"""Simulated regressions of many outputs whose factors are those of a source."""

import numpy as np
from sklearn.utils import Bunch, check_random_state

RELATIONS = ("shared", "rotated", "half-shared", "unrelated")


def make_spectral_transfer(
    n_samples=200,
    n_features=100,
    n_targets=50,
    *,
    rank=5,
    source_rank=10,
    source_noise=0.01,
    noise=0.5,
    relation="shared",
    random_state=None,
):
    """Draw a regression of many outputs and the noisy coefficients of a source.

    The design of SMART (arXiv 2604.20161v1): the source's coefficients are
    ``U0 diag(1, ..., 10) V0'`` plus noise, U0 and V0 random orthonormal; the target's are
    ``U diag(3, ..., 5) V'``, where U and V are random columns of U0 and of V0, drawn
    independently. Rows are normal with covariances ``.5 ** |i - j|``. The paper's models are
    (100, 50), (150, 100) and (300, 200) features and outputs.

    Parameters
    ----------
    n_samples, n_features, n_targets : int
        Rows, features and outputs.
    rank : int, default=5
        Rank of the target's coefficients.
    source_rank : int, default=10
        Rank of the source's coefficients before noise is added.
    source_noise : float, default=0.01
        Standard deviation of the noise of each entry of ``source_coef``.
    noise : float, default=0.5
        Standard deviation of the noise of the outputs.
    relation : {"shared", "rotated", "half-shared", "unrelated"}, default="shared"
        How the target's factors relate to the source's: "shared", some of them, as in the
        paper; "rotated", a random subspace of theirs; "half-shared", three of five of them (the
        same part of other ranks, rounded up) and the others orthogonal to all; "unrelated",
        random.
    random_state : int, RandomState or None, default=None
        Determines the draw.

    Returns
    -------
    Bunch
        ``X, y, coef`` (n_targets, n_features), ``source_coef`` of the same shape, and
        ``covariance`` of the rows.

    Examples
    --------
    >>> from skt.datasets import make_spectral_transfer
    >>> data = make_spectral_transfer(random_state=0)
    >>> data.X.shape, data.y.shape, data.source_coef.shape
    ((200, 100), (200, 50), (50, 100))
    """
    _check(n_features, n_targets, rank, source_rank, relation)
    rng = check_random_state(random_state)
    left, right = (_orthonormal(rng, size, source_rank) for size in (n_features, n_targets))
    source = (left * np.linspace(1, 10, source_rank)) @ right.T
    source += source_noise * rng.standard_normal(source.shape)
    U, V = (_related(rng, basis, rank, relation) for basis in (left, right))
    coef = (U * np.linspace(3, 5, rank)) @ V.T
    covariance = 0.5 ** np.abs(np.subtract.outer(np.arange(n_features), np.arange(n_features)))
    X = rng.standard_normal((n_samples, n_features)) @ np.linalg.cholesky(covariance).T
    y = X @ coef + noise * rng.standard_normal((n_samples, n_targets))
    return Bunch(X=X, y=y, coef=coef.T, source_coef=source.T, covariance=covariance)


def _check(n_features, n_targets, rank, source_rank, relation):
    if relation not in RELATIONS:
        raise ValueError(
            f"relation must be one of {', '.join(map(repr, RELATIONS))}; got {relation!r}."
        )
    most = min(n_features, n_targets)
    if not 1 <= source_rank <= most:
        raise ValueError(f"source_rank must be from 1 to {most}; got {source_rank}.")
    most = source_rank if relation in ("shared", "rotated") else most - source_rank
    if not 1 <= rank <= most:
        raise ValueError(
            f"rank must be from 1 to {most} where relation is {relation!r}; got {rank}."
        )


def _related(rng, basis, rank, relation):
    """Return orthonormal columns in the given relation to a basis."""
    if relation == "shared":
        return basis[:, rng.permutation(basis.shape[1])[:rank]]
    if relation == "rotated":
        return basis @ _orthonormal(rng, basis.shape[1], rank)
    if relation == "unrelated":
        return _orthonormal(rng, len(basis), rank)
    shared = basis[:, rng.permutation(basis.shape[1])[: -(-3 * rank // 5)]]
    others = rng.standard_normal((len(basis), rank - shared.shape[1]))
    return np.hstack([shared, np.linalg.qr(others - basis @ (basis.T @ others))[0]])


def _orthonormal(rng, rows, columns):
    return np.linalg.qr(rng.standard_normal((rows, columns)))[0]
