"""Many responses at once through a few factors: reduced-rank regression."""

import numpy as np
from sklearn.utils.metadata_routing import UNUSED

from skt.core.reduced_rank import choose_rank, reduced_rank
from skt.estimators.base import TransferEstimator, small_blas
from skt.estimators.checks import AUTO, COUNT, FOLDS, NONNEGATIVE, is_auto
from skt.estimators.docstrings import COPIES_IN_ONE_FOLD, documents_rows
from skt.estimators.latent_factors import LatentFactors, check_rank
from skt.model_selection.folds import folds_of
from skt.sources.units import Units


class ReducedRankRegressor(LatentFactors, TransferEstimator):
    """Linear regression of many outputs through a few latent factors.

    Minimises, under ``rank(C) <= rank``,

        (1/n) ||Y - X C||^2 + alpha ||C||^2,

    in closed form. Choosing rank and penalty needs the second moments only, so that its cost
    does not grow with the number of rows.

    Parameters
    ----------
    rank : "auto" or int >= 0, default="auto"
        Number of latent factors. Raising it fits more and varies more. "auto": by the rank
        selection criterion where there are rows enough (1.5 times the rank of X), by
        cross-validation together with ``alpha`` otherwise: then it is restricted where that is
        better than ridge regression by more than one standard error. 0 predicts the mean.
    alpha : "auto" or float >= 0, default="auto"
        Ridge penalty per row. Raising it pulls coefficients to zero. "auto": none where there
        are rows enough, by cross-validation otherwise. In squared units of (scaled) X.
    cv : int, splitter or iterable, default=5
        Folds of the cross-validation. A number of folds is repeated in other orders of the rows
        where these are fewer than 200, up to five times; a splitter makes its own.
    scale : {"auto", True, False}, default="auto"
        Whether columns of X and of Y are divided by their standard deviations first. "auto"
        does so for X, or for Y, if its standard deviations differ by more than a factor of ten.
    fit_intercept : bool, default=True
        Whether to fit an intercept for each output.
    random_state : int, RandomState or None, default=None
        None keeps the rows in their order when an integer ``cv`` makes folds, and draws the
        orders of repeats from a fixed seed; a number shuffles them all.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercepts.
    rank_ : int
        Number of latent factors.
    alpha_ : float
        Ridge penalty.
    left_vectors_ : ndarray of shape (n_features, rank)
        Orthonormal; weights of the features in each factor.
    singular_values_ : ndarray of shape (rank,)
        Decreasing. ``coef_.T = left_vectors_ @ diag(singular_values_) @ right_vectors_.T``, in
        units of standard deviations where columns were scaled. The largest weight of each left
        vector is positive.
    right_vectors_ : ndarray of shape (n_targets, rank)
        Orthonormal; weights of the outputs in each factor.
    cv_results_ : dict
        ``rank``, ``alpha`` and ``mean_error`` (n_alphas, n_ranks), the mean squared error of
        validation per output, where cross-validation chose; empty otherwise.
    n_features_in_, feature_names_in_
        Number and names of features seen in fit.

    See Also
    --------
    SMARTRegressor : The same, leaning on sources.

    Notes
    -----
    Cost: one pass over the rows, ``O(n p (p + q))``, and ``O(p^3 + p q min(p, q))`` for each fold
    and penalty.

    References
    ----------
    Bunea, She and Wegkamp (2011). Optimal selection of reduced rank estimators of
    high-dimensional matrices. The Annals of Statistics 39, 1282-1309.

    Examples
    --------
    Thirty outputs that depend on twenty features through two factors:

    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from skt import ReducedRankRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 20))
    >>> C = rng.normal(size=(20, 2)) @ rng.normal(size=(2, 30))
    >>> Y = X @ C + 3 * rng.normal(size=(200, 30))
    >>> model = ReducedRankRegressor().fit(X[:100], Y[:100])
    >>> model.rank_
    2
    >>> def error(model):
    ...     return float(np.mean((model.coef_ - C.T) ** 2))
    >>> print(f"{error(LinearRegression().fit(X[:100], Y[:100])):.3f} -> {error(model):.3f}")
    0.122 -> 0.016
    """

    __metadata_request__fit = {"sample_domain": UNUSED}
    sources, takes = None, ()  # it has none; validation asks

    _parameter_constraints = {
        "rank": [AUTO, COUNT],
        "alpha": [AUTO, NONNEGATIVE],
        "cv": FOLDS,
        "scale": [AUTO, "boolean"],
        "fit_intercept": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        rank="auto",
        *,
        alpha="auto",
        cv=5,
        scale="auto",
        fit_intercept=True,
        random_state=None,
    ):
        self.rank = rank
        self.alpha = alpha
        self.cv = cv
        self.scale = scale
        self.fit_intercept = fit_intercept
        self.random_state = random_state

    @documents_rows(weight=COPIES_IN_ONE_FOLD, sample_domain="", rows="Features.")
    def fit(self, X, y, sample_weight=None):
        """Fit the coefficients."""
        self._check_parameters()
        data = self._data(X, y, None, sample_weight)
        units = Units.comparable(data, self.fit_intercept, self.scale)
        chosen, factors = self._fit(data, units)
        return self._store(chosen, factors, units, data)

    def _fit(self, data, units):
        """Choose rank and penalty, and fit."""
        rank = check_rank(self.rank, data.target)
        ridge = None if is_auto(self.alpha) else float(self.alpha)
        with small_blas(self.n_features_in_):
            cv = self.cv if rank is None or ridge is None else None
            folds = folds_of(data, units, cv, self.random_state)
            chosen = choose_rank(folds, rank, units.ridge(ridge), units.lost)
            return chosen, reduced_rank(folds.train.at(0), chosen.rank, chosen.ridge)

    def _store(self, chosen, factors, units, data):
        """Set attributes, in the user's units and shapes."""
        self._store_factors(factors, units, data.one_output)
        self.alpha_ = chosen.ridge * units.ridge_unit
        self.cv_results_ = _rank_results(chosen, units)
        return self


def _rank_results(chosen, units):
    if chosen.errors.size == 0:
        return {}
    return {
        "rank": np.arange(chosen.errors.shape[1]),
        "alpha": chosen.ridges * units.ridge_unit,
        "mean_error": chosen.errors * units.objective_unit / len(units.turn),
    }
