"""Scores of a source's features or predictions on labelled rows of the target."""

import warnings
from numbers import Integral

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from skt.core import transferability
from skt.metrics.docstrings import documents_arguments

__all__ = [
    "gbc_score",
    "h_score",
    "leep_score",
    "logme_score",
    "loo_ridge_score",
    "nce_score",
    "nleep_score",
    "transrate_score",
]

# N-LEEP: the published number of components a class, and the fewest rows we allow to each.
COMPONENTS, ROWS_OF_COMPONENT = 5, 5
EXPLAINED = 0.8  # share of variance that N-LEEP keeps
GBC_COMPONENTS = 64

# Input ------------------------------------------------------------------------------------------


def check_features(Z, name="Z"):
    """Return features as float64 with two dimensions and at least two rows."""
    return check_array(Z, dtype=np.float64, ensure_min_samples=2, input_name=name)


def class_codes(y, name="y"):
    """Return labels of any type as codes 0..C-1 of the classes that occur, at least two."""
    y = column_or_1d(y)
    if is_regression(y):
        raise ValueError(
            f"{name} must hold classes; got numbers that are not whole. Only logme_score and "
            "loo_ridge_score take numbers."
        )
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"{name} holds one class, {classes.tolist()[0]!r}; a score needs rows of two classes "
            "at least."
        )
    return codes


def is_regression(y):
    """Whether y holds numbers that are not whole, rather than classes."""
    y = np.asarray(y)
    return y.dtype.kind == "f" and bool(np.any(y != np.floor(y)))


def rows_of(Z, y):
    """Return features and class codes of the same rows."""
    Z, codes = check_features(Z), class_codes(y)
    check_consistent_length(Z, codes)
    return Z, codes


def check_probabilities(probabilities):
    """Return class probabilities, whose rows sum to one."""
    theta = check_features(probabilities, "probabilities")
    if np.any(theta < 0) or not np.allclose(theta.sum(axis=1), 1, atol=1e-3):
        raise ValueError(
            "probabilities must be at least 0 and sum to one in each row, as predict_proba of the "
            "source gives them; features go into nleep_score, and predicted labels into nce_score."
        )
    return theta


def responses(Z, y, regression):
    """Return features, and y as numbers or as indicators of its classes, (n, q)."""
    regression = is_regression(y) if regression is None else regression
    if not regression:
        Z, codes = rows_of(Z, y)
        return Z, transferability.one_hot(codes)
    Z = check_features(Z)
    y = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
    check_consistent_length(Z, y)
    Y = y.reshape(len(y), -1)
    if np.any(np.ptp(Y, axis=0) == 0):
        raise ValueError("y is constant, so that no features can tell its rows apart.")
    return Z, Y


# Scores of features -----------------------------------------------------------------------------


@documents_arguments
def h_score(Z, y, *, shrunk=True):
    """H-score: how far class means of the features lie apart, in units of their covariance.

    ``tr(cov(Z)^{-1} cov(E[Z | y]))``, from 0 to the number of classes less one. The covariance
    is that of Ledoit and Wolf, ``S_r = (1 - r) S + r mu I``, and the score is multiplied by
    1 - r; without shrinkage it is S, inverted in the directions in which rows vary.

    Parameters
    ----------
    {FEATURES}
    {CLASSES}
    shrunk : bool, default=True
        False gives the plain score. It is invariant to invertible linear maps of the features,
        and useless with hardly more rows than features: it then tends to its upper end.

    Returns
    -------
    float
        Larger is better.

    Notes
    -----
    Bao et al. (2019), "An information-theoretic approach to transferability in task transfer
    learning"; shrunk: Ibrahim et al. (2022), "Newer is not always better". All moments have
    the divisor n; released code mixes n and n - 1. Features that carry nothing (r = 1) score 0.
    Cost: a decomposition of the smaller of n x n and d x d.

    Examples
    --------
    >>> from skt.metrics import h_score
    >>> Z = [[0.0, 1.0], [1.0, 0.0], [4.0, 1.0], [5.0, 0.0]]
    >>> y = ["cat", "cat", "dog", "dog"]
    >>> round(h_score(Z, y, shrunk=False), 3)  # at its upper end
    1.0
    >>> round(h_score(Z, y), 3)
    0.855
    """
    Z, codes = rows_of(Z, y)
    score = transferability.shrunk_h_score if shrunk else transferability.h_score
    return score(Z, codes)


@documents_arguments
def logme_score(Z, y, *, regression=None):
    """LogME: evidence that a Bayesian linear model has, per row, at its best.

    For each class (one against all) or output the likelihood of
    ``y = Z w + e, w ~ N(0, I / a), e ~ N(0, 1 / b)`` is integrated over w and maximised over
    a and b. Its logarithm is divided by the number of rows and averaged.

    Parameters
    ----------
    {FEATURES}
    {OUTCOMES}

    Returns
    -------
    float
        Larger is better. It depends on the units of a numeric y, and there is no intercept: centre
        y where its mean means nothing.

    Notes
    -----
    You et al. (2021), "LogME: practical assessment of pre-trained models for transfer
    learning". The maximum is found over one variable, a / b, the other being known; released
    code stops a fixed-point iteration after eleven steps. With more features than rows its
    second version counts directions that do not exist, and fails where a class is missing.
    An outcome that is exactly linear in the features counts as having a relative noise of 1e-7.

    Examples
    --------
    >>> from skt.metrics import logme_score
    >>> Z = [[1.0, 0.1], [1.0, -0.2], [-1.0, 0.1], [-1.0, 0.2]]
    >>> useful = logme_score(Z, ["cat", "cat", "dog", "dog"])
    >>> useful > logme_score(Z, ["cat", "dog", "cat", "dog"])
    True
    """
    return transferability.logme(*responses(Z, y, regression))


@documents_arguments
def loo_ridge_score(Z, y, *, regression=None):
    """Share of the variance that a ridge regression on the features predicts for rows left out.

    ``1 - sum ||e_i||^2 / sum ||m_i||^2``: e are exact leave-one-out residuals at the best of 31
    penalties, and m those of the mean. Classes are predicted as indicators. Features are
    brought to unit variance, and there is an intercept.

    Parameters
    ----------
    {FEATURES}
    {OUTCOMES}

    Returns
    -------
    float
        From 0, no better than the mean, to 1.

    Notes
    -----
    No paper's score: what a practitioner would compute instead of one. A row must not occur
    twice, or it is predicted from its copy.

    Examples
    --------
    >>> import numpy as np
    >>> from skt.metrics import loo_ridge_score
    >>> rng = np.random.default_rng(2)
    >>> Z = rng.normal(size=(30, 5))
    >>> y = Z[:, 0] + rng.normal(scale=0.3, size=30)
    >>> round(loo_ridge_score(Z, y), 1), round(loo_ridge_score(Z[:, 1:], y), 1)
    (0.9, 0.0)
    """
    return transferability.loo_ridge(*responses(Z, y, regression))


@documents_arguments
def gbc_score(Z, y):
    """Gaussian Bhattacharyya coefficient: minus the overlap of classes.

    ``-sum_{i != j} exp(-D_ij)`` with D the distance of Bhattacharyya between Gaussians of
    diagonal covariance, in the first 64 principal components.

    Parameters
    ----------
    {FEATURES}
    {CLASSES}

    Returns
    -------
    float
        At most 0, where classes do not overlap.

    Notes
    -----
    Pandy et al. (2022), "Transferability estimation using Bhattacharyya class separability". A
    class of a single row takes the variances of all classes, pooled.

    Examples
    --------
    >>> from skt.metrics import gbc_score
    >>> Z = [[0.0, 1.0], [1.0, 0.0], [4.0, 1.0], [6.0, 2.0]]
    >>> gbc_score(Z, ["cat", "cat", "dog", "dog"]) > gbc_score(Z, ["cat", "dog", "cat", "dog"])
    True
    """
    Z, codes = rows_of(Z, y)
    return transferability.gbc(transferability.principal_components(Z)[:, :GBC_COMPONENTS], codes)


@documents_arguments
def transrate_score(Z, y, *, eps=1e-4):
    """TransRate: bits to code all features, less bits to code those of each class.

    ``R(Z) - sum_c (n_c / n) R(Z_c)`` of centred features, with
    ``R(Z) = 1/2 log det(I + Z'Z / (n eps))``.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Features that the source gives to rows of the target. Their scale matters: larger
        features, and more of them, score higher.
    {CLASSES}
    eps : float, default=1e-4
        Squared error of coding. A larger one ignores directions of small variance.

    Returns
    -------
    float
        Larger is better.

    Notes
    -----
    Huang et al. (2022), "Frustratingly easy transferability estimation". Classes are not centred
    again, as in the paper: two classes of equal size and spread score 0 however far apart they
    are.

    Examples
    --------
    >>> import numpy as np
    >>> from skt.metrics import transrate_score
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["bird", "cat", "dog"], 20)
    >>> Z = rng.normal(size=(60, 2)) + 4 * np.repeat(np.eye(3, 2), 20, axis=0)
    >>> transrate_score(Z, y) > transrate_score(Z, rng.permutation(y))
    True
    """
    Z, codes = rows_of(Z, y)
    if not eps > 0:
        raise ValueError(f"eps must be positive; got {eps}.")
    return transferability.transrate(Z, codes, eps)


# Scores of predictions --------------------------------------------------------------------------


@documents_arguments
def leep_score(probabilities, y):
    """LEEP: log likelihood of the target's classes given the source's predicted ones.

    ``mean_i log sum_z P(y_i | z) theta_iz``, where P(y | z) is how often rows that the source
    takes for its class z are of class y.

    Parameters
    ----------
    probabilities : array-like of shape (n_samples, n_source_classes)
        ``predict_proba`` of the source on rows of the target; the source's classes need not be
        the target's.
    {CLASSES}

    Returns
    -------
    float
        At most 0. A source that tells nothing has minus the entropy of y.

    Notes
    -----
    Nguyen et al. (2020), "LEEP: a new measure to evaluate transferability of learned
    representations".

    Examples
    --------
    >>> from skt.metrics import leep_score
    >>> round(leep_score([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]], [3, 3, 5, 5]), 3)
    -0.198
    >>> round(leep_score([[0.5, 0.5]] * 4, [3, 3, 5, 5]), 3)  # log(1/2)
    -0.693
    """
    theta, codes = check_probabilities(probabilities), class_codes(y)
    check_consistent_length(theta, codes)
    return transferability.leep(theta, codes)


def nce_score(*, y, source_labels):
    """Negative conditional entropy of the target's classes given the source's labels, -H(y | z).

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Classes of rows of the target, of any type. Both arguments are given by name: swapped,
        they would give another number and no error.
    source_labels : array-like of shape (n_samples,)
        What the source calls these rows, as its ``predict`` says.

    Returns
    -------
    float
        At most 0. A source that tells nothing has minus the entropy of y.

    Notes
    -----
    Tran et al. (2019), "Transferability and hardness of supervised classification tasks".

    Examples
    --------
    >>> from skt.metrics import nce_score
    >>> round(nce_score(y=[3, 3, 5, 5], source_labels=["a", "a", "a", "b"]), 3)
    -0.477
    """
    codes, labels = class_codes(y), column_or_1d(np.asarray(source_labels))
    check_consistent_length(codes, labels)
    return transferability.nce(np.unique(labels, return_inverse=True)[1], codes)


@documents_arguments
def nleep_score(Z, y, *, n_components=None, random_state=0):
    """N-LEEP: LEEP with clusters of the features in place of the source's classes.

    A Gaussian mixture with spherical components is fitted to the principal components that hold
    80 % of the variance.

    Parameters
    ----------
    {FEATURES}
    {CLASSES}
    n_components : int, default=None
        Components of the mixture. None takes five for each class, and at most one for five rows:
        a component of its own for each row would make every source perfect.
    random_state : int, RandomState instance or None, default=0
        Start of the mixture.

    Returns
    -------
    float
        At most 0.

    Notes
    -----
    Li et al. (2021), "Ranking neural checkpoints".

    Examples
    --------
    >>> import numpy as np
    >>> from skt.metrics import nleep_score
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["cat", "dog"], 30)
    >>> Z = rng.normal(size=(60, 3)) + 4 * (y == "dog")[:, None]
    >>> nleep_score(Z, y) > nleep_score(Z, rng.permutation(y))
    True
    """
    Z, codes = rows_of(Z, y)
    limit = max(1, len(Z) // ROWS_OF_COMPONENT)
    size = min(COMPONENTS * (codes.max() + 1), limit) if n_components is None else n_components
    if not isinstance(size, Integral) or not 1 <= size <= len(Z):
        raise ValueError(
            f"n_components must be a whole number from 1 to the {len(Z)} rows; got {n_components}."
        )
    Z = transferability.principal_components(Z)
    if not Z.shape[1]:  # all rows are the same
        return transferability.leep(np.ones((len(codes), 1)), codes)
    held = np.cumsum(np.sum(Z**2, axis=0))
    Z = Z[:, : np.searchsorted(held, EXPLAINED * held[-1] * (1 - 1e-12)) + 1]
    # Units do not matter then to the mixture's own floor of variances.
    Z /= np.sqrt(held[-1] / len(Z))
    mixture = GaussianMixture(int(size), covariance_type="spherical", random_state=random_state)
    with warnings.catch_warnings():  # a mixture that is stopped early is still a clustering
        warnings.simplefilter("ignore", ConvergenceWarning)
        return transferability.leep(mixture.fit(Z).predict_proba(Z), codes)
