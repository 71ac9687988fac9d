"""Many responses at once: reduced-rank regression, and SMART, which leans it on sources."""

import numbers
import warnings
from typing import NamedTuple

import numpy as np
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    MultiOutputMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, check_cv
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted, validate_data

from ._base import TransferEstimator, small_blas
from .core.moments import Moments, moments
from .core.reduced_rank import (
    Factors,
    Folds,
    choose,
    make_folds,
    reduced_rank,
    reduced_rank_ridge,
    rescaled,
    second_moments,
    without,
)
from .core.smart import State
from .core.smart_selection import (
    Bases,
    Setting,
    fit,
    fit_by_bic,
    fit_plain,
    log_gains,
    rotate,
)
from .core.source_bases import signs, source_sides, whole

SELECTIONS = ("cv", "bic")
NULL_SPACES = ("group", "paper")
# Columns whose standard deviations differ by more are in different units.
SAME_UNITS = 10.0


class Alignment(NamedTuple):
    """Coefficients of singular vectors in the source bases, one row for each direction.

    The last row holds the lengths of what is in directions that do not stand out of the sources.
    """

    left: np.ndarray  # (n_directions, rank)
    right: np.ndarray  # (n_directions, rank)


class _LatentFactors(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, RegressorMixin, MultiOutputMixin
):
    """Predict and transform with coefficients ``left_vectors_ @ diag(...) @ right_vectors_.T``."""

    def predict(self, X):
        """Predict the outputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Predicted means.
        """
        return self._check_X(X) @ self.coef_.T + self.intercept_

    def transform(self, X):
        """Return the scores of the latent factors, ``(X - mean) / scale @ left_vectors_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        scores : ndarray of shape (n_samples, rank)
            One column for each factor, the strongest first.
        """
        return (self._check_X(X) - self._origin) / self._scale_X @ self.left_vectors_

    def _check_X(self, X):
        check_is_fitted(self)
        return validate_data(self, X, dtype=[np.float64, np.float32], reset=False)

    @property
    def _n_features_out(self):
        return self.rank_

    def _store_factors(self, factors, columns, one_output):
        """Set the coefficients, in the user's units and shapes; return the order of the factors."""
        (U, d, V), order = _ordered(factors)
        coef = (V * d) @ U.T * columns.y[:, None] / columns.x
        intercept = columns.origin_y - coef @ columns.origin_X
        self.coef_ = coef[0] if one_output else coef
        self.intercept_ = intercept[0] if one_output else intercept
        self.left_vectors_, self.right_vectors_ = U, V
        self.singular_values_ = d * np.sqrt(columns.alpha_unit / columns.ridge_unit)
        self.rank_ = len(d)
        self._origin, self._scale_X = columns.origin_X, columns.x / np.sqrt(columns.ridge_unit)
        return order


class ReducedRankRegressor(_LatentFactors, TransferEstimator):
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
        cross-validation together with ``alpha`` otherwise. 0 predicts the mean.
    alpha : "auto" or float >= 0, default="auto"
        Ridge penalty per row. Raising it pulls coefficients to zero. "auto": none where there
        are rows enough, by cross-validation otherwise. In squared units of (scaled) X.
    cv : int, splitter or iterable, default=5
        Folds of the cross-validation.
    scale : {"auto", True, False}, default="auto"
        Whether columns of X and of Y are divided by their standard deviations first. "auto"
        does so for X, or for Y, if its standard deviations differ by more than a factor of ten.
    fit_intercept : bool, default=True
        Whether to fit an intercept for each output.
    random_state : int, RandomState or None, default=None
        None keeps the rows in their order when an integer ``cv`` makes folds; a number
        shuffles them first.

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
    sources = None  # it has none; `_validate` asks

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

    def fit(self, X, y, sample_weight=None):
        """Fit the coefficients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Outputs.
        sample_weight : array-like of shape (n_samples,), default=None
            Row counts: weight 2 is the row twice, but in one fold.

        Returns
        -------
        self : ReducedRankRegressor
            The fitted estimator.
        """
        _check_common(self)
        ridge = _check_ridge("alpha", self.alpha)
        target, _, one_output = self._validate(X, y, None, sample_weight)
        columns = Columns.of(target, {}, self.scale, self.fit_intercept)
        rank = _check_rank(self.rank, target)
        with small_blas(target.X.shape[1]):
            folds = _folds(self, target, columns, needed=rank is None or ridge is None)
            chosen = choose(folds, rank, columns.ridge(ridge), columns.lost)
            factors = reduced_rank(folds.train.at(0), chosen.rank, chosen.ridge)
        self._store_factors(factors, columns, one_output)
        self.alpha_ = chosen.ridge * columns.ridge_unit
        self.cv_results_ = _rank_results(chosen, columns)
        return self


class SMARTRegressor(_LatentFactors, TransferEstimator):
    """Reduced-rank regression of many outputs whose factors lean on those of the sources.

    Let the columns of U0 and V0 be the directions of the sources' coefficients, of features and of
    outputs. Target coefficients ``C = U D V'`` of a given rank, ``U'U = V'V = I``, minimise

        1/(2n) ||Y - X U D V'||^2 + (ridge/2) ||D||^2
            + alpha_u ||U_perp' U|| + alpha_v ||V_perp' V||

    (the paper's scaling, with 1/(2n)) where U_perp and V_perp are the source directions beyond the
    structural rank and ||.|| is the sum of absolute values, over directions that stand out from
    the sources' noise; over all others together it is a group penalty, sqrt(number of
    directions) times the length of each column, which does not depend on their basis.

    With ``alpha=0`` it is reduced-rank regression, with ``alpha=inf`` reduced-rank regression
    inside the sources' leading subspaces. Without sources it is `ReducedRankRegressor`, exactly.

    Parameters
    ----------
    rank : "auto" or int >= 0, default="auto"
        Rank of C. "auto": by the rank selection criterion where there are rows enough (1.5
        times the rank of X), otherwise by cross-validation, separately with and without sources.
    structural_rank : "auto", int or pair of int, default="auto"
        Leading source directions, of features and of outputs, that are free. Raising it
        restrains less. "auto": chosen jointly with ``alpha``.
    alpha : "auto", float >= 0 or pair of float, default="auto"
        Penalties alpha_u and alpha_v, equal if one is given. Raising them pulls the factors to
        those of the sources. In squared units of (scaled) Y. "auto": by ``selection``.
    selection : {"cv", "bic"}, default="cv"
        "cv": by cross-validation over structural rank and penalty, plain reduced-rank
        regression among the candidates. The best is stacked with it, with the weight
        ``1 - exp(-n g / 2)``: n rows, and g the mean over folds of the logarithm of the ratio of
        their errors, less one standard error; none where g is negative, all from 0.95 on. The
        stack is cut back to the rank (of the two, the larger). "bic": the paper's, structural
        rank by cross-validation and alpha by a BIC that counts non-zeros; it can lose to
        reduced-rank regression where the sources are noisy.
    ridge : "auto" or float >= 0, default="auto"
        Ridge penalty, as ``alpha`` of `ReducedRankRegressor`.
    null_space : {"group", "paper"}, default="group"
        "paper": every direction of the full singular value decomposition is penalised by
        absolute values, also those whose basis is arbitrary or noise. For comparisons.
    cv : int, splitter or iterable, default=5
        Folds over the target's rows.
    scale : {"auto", True, False}, default="auto"
        Whether columns of X and of Y are divided by their standard deviations first. "auto"
        does so for X, or for Y, if its standard deviations differ by more than a factor of ten.
        With True nothing depends on the units of any column; with False the penalty is on the
        columns as they are, as in the paper.
    fit_intercept : bool, default=True
        Whether the target gets an intercept. Intercepts are never transferred.
    rho : float > 0, default=0.1
        Weight of the augmented term, relative to the largest curvature. It changes the number of
        iterations, not what they tend to.
    tol : float > 0, default=1e-4
        Both residuals of the iteration are brought below it: the distance of copies per
        column of length one, and the slope relative to that of the data.
    max_iter : int, default=3000
        Most iterations of the final solution.
    random_state : int, RandomState or None, default=None
        None keeps the rows in their order when an integer ``cv`` makes folds; a number
        shuffles them first. Nothing else is random.
    sources : dict, default=None
        Name to `Moments`, `SourceModel` or ``FrozenEstimator`` of a linear model. Sources may
        also come as rows, through ``sample_domain``. Of rows and `Moments` the coefficients are
        fitted by reduced-rank ridge. Several sources are joined: U0 holds the eigenvectors of the
        sum of ``C_k C_k'`` and V0 of ``C_k' C_k``, each ``C_k`` scaled to length one.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients of the target.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercepts of the target.
    rank_ : int
        Rank of the coefficients.
    structural_rank_ : tuple of int
        Free source directions, of features and of outputs.
    alpha_ : tuple of float
        Penalties; (0, 0) says that nothing is borrowed, (inf, inf) that nothing is left outside
        the sources' subspaces.
    ridge_ : float
        Ridge penalty.
    stacking_weight_ : float
        Part of the coefficients that is the solution at these penalties; the rest is reduced-rank
        regression of the target alone. 1 where nothing was stacked.
    source_names_ : list of str
        Names of the sources: labels of rows first, then keys of ``sources``.
    left_vectors_ : ndarray of shape (n_features, rank)
        Orthonormal; weights of the features in each factor.
    singular_values_ : ndarray of shape (rank,)
        Decreasing. ``coef_.T = left_vectors_ @ diag(singular_values_) @ right_vectors_.T``, in
        units of standard deviations where columns were scaled. The largest weight of each left
        vector is positive.
    right_vectors_ : ndarray of shape (n_targets, rank)
        Orthonormal; weights of the outputs in each factor.
    alignment_ : Alignment or None
        ``left`` and ``right``, (n_directions, rank): coefficients of these vectors in the source
        bases, zero where the penalty has put zero, if nothing was stacked. One row for each
        direction that stands out of the sources; the last row is the length of what lies outside
        all of them. None without sources.
    source_directions_ : tuple of ndarray or None
        Those directions, (n_features, n_left) and (n_targets, n_right).
    cv_results_ : dict
        One entry for each candidate: ``structural_rank``, ``alpha`` (n_candidates, 2), ``rank``,
        ``ridge``, ``errors`` (n_candidates, n_folds) and ``mean_error``, mean squared errors per
        output, ``difference`` from plain reduced-rank regression (the first candidate) and its
        standard error ``difference_error``, ``log_gain`` and ``log_gain_error``, mean over folds
        of log(error of the first / error), and its standard error; and ``chosen``, the number of
        the candidate that was taken. Empty where nothing was chosen.
    path_ : dict
        ``alpha`` (n_alphas, 2) and ``coef`` (n_alphas, n_targets, n_features) of the chosen
        structural rank, by rising alpha. Solved roughly, for choosing.
    n_iter_ : int
        Iterations of the final solution; 1 where it is a closed form.
    objective_curve_ : ndarray of shape (n_checks,)
        Objective every five iterations, in squared units of (scaled) Y.
    residual_curve_ : ndarray of shape (n_checks, 2)
        Primal and dual residuals, which are compared with ``tol``.
    n_features_in_, feature_names_in_
        Number and names of features seen in fit.

    Raises
    ------
    ValueError
        If no row is a target row, a source has other features or outputs (a transposed coefficient
        names both shapes), a rank is above what there is, or an option is unknown.
    TypeError
        If ``sources`` holds a bare estimator, which scikit-learn's clone would unfit.

    Warns
    -----
    ConvergenceWarning
        If the residuals are above ``tol`` after ``max_iter`` iterations.

    Notes
    -----
    Cost: one pass over the rows, ``O(n p (p + q))``; then ``O(p^2 r + p q r)`` an iteration for
    each fold, whatever n is. The objective is not convex: it is started from both closed-form
    ends, and the lower of the two is what counts.

    Features and outputs are compared in one metric each, so they should be in comparable
    units; see ``scale``. Sources as models or `Moments` are in the units of the columns of X.

    References
    ----------
    SMART: arXiv 2604.20161v1, the objective is (S1) of docs/smart.md. The group penalty, the
    joint choice and the closed-form ends are this project's.

    Examples
    --------
    A hundred rows, forty outputs, and coefficients of a source whose factors are shared:

    >>> import numpy as np
    >>> from skt import ReducedRankRegressor, SMARTRegressor, SourceModel
    >>> from skt.datasets import make_spectral_transfer
    >>> data = make_spectral_transfer(100, 50, 40, source_noise=0.02, random_state=0)
    >>> source = SourceModel(data.source_coef)
    >>> def error(model):
    ...     return float(np.mean((model.coef_ - data.coef) ** 2)) ** 0.5
    >>> alone = ReducedRankRegressor().fit(data.X, data.y)
    >>> smart = SMARTRegressor(sources={"earlier study": source}).fit(data.X, data.y)
    >>> print(f"{error(alone):.3f} -> {error(smart):.3f}")
    0.034 -> 0.014
    """

    def __init__(
        self,
        rank="auto",
        *,
        structural_rank="auto",
        alpha="auto",
        selection="cv",
        ridge="auto",
        null_space="group",
        cv=5,
        scale="auto",
        fit_intercept=True,
        rho=0.1,
        tol=1e-4,
        max_iter=3000,
        random_state=None,
        sources=None,
    ):
        self.rank = rank
        self.structural_rank = structural_rank
        self.alpha = alpha
        self.selection = selection
        self.ridge = ridge
        self.null_space = null_space
        self.cv = cv
        self.scale = scale
        self.fit_intercept = fit_intercept
        self.rho = rho
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.sources = sources

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit the target's coefficients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target and, if ``sample_domain`` says so, of sources.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Outputs.
        sample_domain : array-like of shape (n_samples,), default=None
            Domain of each row: ``"target"`` or the name of a source, or integers with the
            target negative (`as_sample_domain` makes it of a column). None: all target.
        sample_weight : array-like of shape (n_samples,), default=None
            Row counts: weight 2 is the row twice, but in one fold.

        Returns
        -------
        self : SMARTRegressor
            The fitted estimator.
        """
        self._check_parameters()
        target, sources, one_output = self._validate(X, y, sample_domain, sample_weight)
        columns = Columns.of(target, sources, self.scale, self.fit_intercept)
        with small_blas(target.X.shape[1]):
            bases = Bases(*source_sides(columns.coefficients(sources))) if sources else None
            setting = self._setting(target, columns, bases)
            folds = _folds(self, target, columns, setting.needs_folds)
            fitted = self._fit(folds, bases, setting)
        if fitted.solution is not None and not fitted.solution.converged:
            _warn_not_converged(fitted.solution, self.tol)
        self._store(fitted, folds, bases, columns, one_output)
        self.source_names_ = list(sources)
        return self

    def _check_parameters(self):
        _check_common(self)
        _check_option("selection", self.selection, SELECTIONS)
        _check_option("null_space", self.null_space, NULL_SPACES)
        for name in ("rho", "tol"):
            value = getattr(self, name)
            if not (isinstance(value, numbers.Real) and 0 < value < np.inf):
                raise ValueError(f"{name} must be a number > 0; got {value!r}.")
        if not _is_count(self.max_iter, 1):
            raise ValueError(f"max_iter must be a whole number >= 1; got {self.max_iter!r}.")

    def _setting(self, target, columns, bases):
        """Return what is given, in the units of the computation."""
        alpha = _check_alpha(self.alpha)
        entrywise = self.null_space == "paper"
        return Setting(
            rank=_check_rank(self.rank, target),
            structural=_check_structural(self.structural_rank, bases, entrywise),
            alpha=alpha and tuple(value / columns.alpha_unit for value in alpha),
            ridge=columns.ridge(_check_ridge("ridge", self.ridge)),
            lost=columns.lost,
            entrywise=entrywise,
            rho=float(self.rho),
            tol=float(self.tol),
            max_iter=int(self.max_iter),
        )

    def _fit(self, folds, bases, setting):
        """Choose and fit; in the units and bases of the computation."""
        if bases is None:
            return fit_plain(folds, setting)
        rotated = Folds(*(rotate(m, bases) for m in folds))
        choose_and_fit = fit_by_bic if self.selection == "bic" else fit
        return choose_and_fit(rotated, bases, setting)

    def _store(self, fitted, folds, bases, columns, one_output):
        """Set attributes, in the user's units and shapes."""
        chosen, solution = fitted.candidate, fitted.solution
        factors = fitted.factors if bases is None else _back(fitted.factors, bases)
        order = self._store_factors(factors, columns, one_output)
        self.structural_rank_ = chosen.structural
        self.alpha_ = tuple(value * columns.alpha_unit for value in chosen.alpha)
        self.ridge_ = chosen.ridge * columns.ridge_unit
        self.stacking_weight_ = fitted.weight
        self.alignment_ = self.source_directions_ = None
        if bases is not None:
            self.alignment_, self.source_directions_ = _alignment(fitted, bases, order, self)
        self.cv_results_ = _cv_results(fitted, folds, columns)
        self.path_ = _path_of(fitted, bases, columns)
        self.n_iter_ = 1 if solution is None else solution.n_iter
        self.objective_curve_ = columns.alpha_unit * fitted.objective
        self.residual_curve_ = np.empty((0, 2)) if solution is None else solution.residuals


# Columns and their units --------------------------------------------------------------------


class Columns(NamedTuple):
    """What columns are divided by, and the origin of the target.

    Columns that keep their units are divided by one number for all of X, or of Y: then the
    computation is the same in any unit of theirs.
    """

    x: np.ndarray  # (p,)
    y: np.ndarray  # (q,)
    ridge_unit: float  # of a ridge penalty, in the user's units
    alpha_unit: float  # of the objective, in the user's units
    origin_X: np.ndarray
    origin_y: np.ndarray
    intercept: bool

    @classmethod
    def of(cls, target, sources, scale, intercept):
        """Return scales for a target's rows, from all domains whose spread is known."""
        own = moments(target.X, target.y, target.weight)
        known = [own, *(source for source in sources.values() if isinstance(source, Moments))]
        x, ridge_unit = _scales([_spread(m, intercept)[0] for m in known], scale)
        y, alpha_unit = _scales([_spread(m, intercept)[1] for m in known], scale)
        origin = (own.mean_X, own.mean_y) if intercept else (0 * own.mean_X, 0 * own.mean_y)
        return cls(x, y, ridge_unit, alpha_unit, *origin, intercept)

    @property
    def lost(self):
        """Degrees of freedom that the intercept takes."""
        return float(self.intercept)

    def moments(self, m):
        """Return moments in these units."""
        return rescaled(m, self.x, self.y)

    def ridge(self, ridge):
        """Return a ridge penalty in these units."""
        return None if ridge is None else ridge / self.ridge_unit

    def coefficients(self, sources):
        """Return the coefficients of sources, (p, q), in these units."""
        return [self._coefficient(source) for source in sources.values()]

    def _coefficient(self, source):
        if isinstance(source, Moments):
            m = second_moments(self.moments(source), self.intercept)
            return reduced_rank_ridge(m, self.lost).C
        return np.atleast_2d(source.coef).T * self.x[:, None] / self.y


def _spread(m, intercept):
    """Return the mean squares of the columns of X and y, about their means or about zero."""
    x, y = np.diag(m.Sxx) / m.weight, np.diag(m.Syy) / m.weight
    if not intercept:
        return x + m.mean_X**2, y + m.mean_y**2
    # What is left of a constant, of a large mean, is rounding error.
    rounding = (64 * np.finfo(float).eps) ** 2
    return x * (x > rounding * m.mean_X**2), y * (y > rounding * m.mean_y**2)


def _scales(spreads, scale):
    """Return what columns are divided by, and the square of the common unit that they keep."""
    variance = np.mean(spreads, axis=0)
    varies = variance > 0
    if not varies.any():
        return np.ones(len(variance)), 1.0
    spread = np.sqrt(np.where(varies, variance, np.mean(variance[varies])))
    if scale is True or (scale == "auto" and np.max(spread) > SAME_UNITS * np.min(spread)):
        return spread, 1.0
    common = np.sqrt(np.mean(variance[varies]))
    return np.full(len(variance), common), float(common**2)


def _folds(estimator, target, columns, needed):
    """Return the moments of all rows and, if needed, of folds, in the units of the columns."""
    rows = target.X, target.y, target.weight
    total = moments(*rows)
    splits = _splits(estimator, target) if needed and len(target.X) > 1 else []
    parts = [moments(*rows, test) for _, test in splits]
    rest = [
        without(total, part) if len(train) + len(test) == len(target.X) else moments(*rows, train)
        for (train, test), part in zip(splits, parts, strict=True)
    ]
    return make_folds(
        columns.moments(total),
        [columns.moments(m) for m in rest],
        [columns.moments(m) for m in parts],
        columns.intercept,
    )


def _splits(estimator, target):
    """Return the folds; those of an iterable count the target's rows as they were given."""
    cv, random_state = estimator.cv, estimator.random_state
    if isinstance(cv, numbers.Integral):
        shuffle = random_state is not None
        cv = KFold(min(int(cv), len(target.X)), shuffle=shuffle, random_state=random_state)
    if hasattr(cv, "split"):
        return list(cv.split(target.X, target.y))
    place = np.cumsum(target.kept) - 1
    return [
        tuple(place[rows[target.kept[rows]]] for rows in split)
        for split in check_cv(cv).split(target.X)
    ]


# Results ------------------------------------------------------------------------------------


def _ordered(factors):
    """Return factors with positive values in decreasing order, signs fixed, and their order.

    The largest weight of each left vector is positive. Factors of no size are left out: fewer
    were found than asked for.
    """
    d = np.abs(factors.d)
    order = np.argsort(-d, kind="stable")
    order = order[d[order] > 1e-12 * np.max(d, initial=0.0)]
    U, V = factors.U[:, order], factors.V[:, order] * np.sign(factors.d[order])
    sign = signs(U)
    return Factors(U * sign, d[order], V * sign), order


def _back(factors, bases):
    """Return factors in the coordinates of the columns."""
    return factors._replace(U=bases.left.basis @ factors.U, V=bases.right.basis @ factors.V)


def _alignment(fitted, bases, order, model):
    """Return the coefficients in the source directions, and these directions."""
    parts, directions = [], []
    chosen, state = fitted.candidate, fitted.candidate.state
    sparse = isinstance(state, State) and fitted.weight == 1
    copies = (state.left_copy, state.right_copy) if sparse else (None, None)
    vectors = model.left_vectors_, model.right_vectors_
    entrywise = model.null_space == "paper"
    for side, k, copy, Z in zip(bases, chosen.structural, copies, vectors, strict=True):
        coefficient = side.basis.T @ Z
        if copy is not None:
            coefficient[k:][copy[:, order] == 0] = 0.0
        signal = len(side.values) if entrywise else whole(side, max(side.signal, k))
        outside = np.linalg.norm(coefficient[signal:], axis=0)
        parts.append(np.vstack([coefficient[:signal], outside]))
        directions.append(side.basis[:, :signal])
    return Alignment(*parts), tuple(directions)


def _rank_results(chosen, columns):
    if chosen.errors.size == 0:
        return {}
    return {
        "rank": np.arange(chosen.errors.shape[1]),
        "alpha": chosen.ridges * columns.ridge_unit,
        "mean_error": chosen.errors * columns.alpha_unit / len(columns.y),
    }


def _cv_results(fitted, folds, columns):
    """Return what was compared; errors are means over outputs."""
    if not fitted.candidates:
        return {}
    unit, weight = columns.alpha_unit, folds.test.n / np.sum(folds.test.n)
    errors = np.array([c.errors for c in fitted.candidates]) * unit / len(columns.y)
    difference = errors - errors[0]
    mean = difference @ weight
    spread = (difference - mean[:, None]) ** 2 @ weight
    log_gain, log_gain_error = log_gains(fitted.candidates, folds)
    return {
        "structural_rank": np.array([c.structural for c in fitted.candidates]),
        "alpha": np.array([c.alpha for c in fitted.candidates]) * unit,
        "rank": np.array([c.rank for c in fitted.candidates]),
        "ridge": np.array([c.ridge for c in fitted.candidates]) * columns.ridge_unit,
        "errors": errors,
        "mean_error": errors @ weight,
        "difference": mean,
        "difference_error": np.sqrt(spread / max(len(weight) - 1, 1)),
        "log_gain": log_gain,
        "log_gain_error": log_gain_error,
        "chosen": fitted.chosen,
    }


def _path_of(fitted, bases, columns):
    """Return the coefficients along the path of the chosen structural rank."""
    chosen = fitted.candidate
    same = [
        c
        for c in fitted.candidates
        if (c.structural, c.rank, c.ridge) == (chosen.structural, chosen.rank, chosen.ridge)
    ]
    same.sort(key=lambda c: c.alpha)
    coefs = [_back(c.factors, bases).C.T * columns.y[:, None] / columns.x for c in same]
    return {
        "alpha": np.array([c.alpha for c in same]).reshape(-1, 2) * columns.alpha_unit,
        "coef": np.array(coefs).reshape(-1, len(columns.y), len(columns.x)),
    }


# Checks -------------------------------------------------------------------------------------


def _check_common(estimator):
    scale, cv = estimator.scale, estimator.cv
    if not (isinstance(scale, bool | np.bool_) or (isinstance(scale, str) and scale == "auto")):
        raise ValueError(f"scale must be 'auto', True or False; got {scale!r}.")
    if not isinstance(estimator.fit_intercept, bool | np.bool_):
        raise ValueError(f"fit_intercept must be True or False; got {estimator.fit_intercept!r}.")
    if isinstance(cv, numbers.Number | str) and not _is_count(cv, 2):
        raise ValueError(
            f"cv must be a whole number >= 2, a splitter or an iterable of splits; got {cv!r}."
        )


def _check_option(name, value, options):
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}; got {value!r}.")


def _is_count(value, least):
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool | np.bool_)
    return is_whole and value >= least


def _is_auto(value):
    return isinstance(value, str) and value == "auto"


def _check_rank(rank, target):
    """Return the rank, None for "auto"."""
    if _is_auto(rank):
        return None
    if not _is_count(rank, 0):
        raise ValueError(f"rank must be 'auto' or a whole number >= 0; got {rank!r}.")
    p, q = target.X.shape[1], target.y.shape[1]
    if rank > min(p, q):
        raise ValueError(
            f"rank is {rank}, but coefficients of {p} features and {q} outputs have a rank of at "
            f"most {min(p, q)}; lower it, or leave it at 'auto'."
        )
    return int(rank)


def _check_ridge(name, ridge):
    """Return the penalty, None for "auto"."""
    if _is_auto(ridge):
        return None
    if not (isinstance(ridge, numbers.Real) and 0 <= ridge < np.inf):
        raise ValueError(f"{name} must be 'auto' or a number >= 0; got {ridge!r}.")
    return float(ridge)


def _check_alpha(alpha):
    """Return the pair of penalties, None for "auto"."""
    if _is_auto(alpha):
        return None
    pair = tuple(alpha) if isinstance(alpha, tuple | list | np.ndarray) else (alpha, alpha)
    if len(pair) != 2 or not all(isinstance(v, numbers.Real) and v >= 0 for v in pair):
        raise ValueError(f"alpha must be 'auto', a number >= 0 or a pair of them; got {alpha!r}.")
    if sum(np.isinf(v) for v in pair) == 1:
        raise ValueError(f"alpha must be infinite for both sides or for none; got {alpha!r}.")
    return float(pair[0]), float(pair[1])


def _check_structural(structural, bases, entrywise):
    """Return the pair of structural ranks, None for "auto"."""
    if _is_auto(structural):
        return None
    is_pair = isinstance(structural, tuple | list | np.ndarray)
    pair = tuple(structural) if is_pair else (structural, structural)
    if len(pair) != 2 or not all(_is_count(value, 0) for value in pair):
        raise ValueError(
            "structural_rank must be 'auto', a whole number >= 0 or a pair of them; "
            f"got {structural!r}."
        )
    if bases is None:
        return int(pair[0]), int(pair[1])
    limits = [len(side.values) if entrywise else side.rank for side in bases]
    for value, limit, what in zip(pair, limits, ("features", "outputs"), strict=True):
        if value > limit:
            raise ValueError(
                f"structural_rank is {structural}, but the coefficients of the sources have "
                f"{limit} directions of {what}; give at most that, or leave it at 'auto'."
            )
    if entrywise:
        return int(pair[0]), int(pair[1])
    return tuple(whole(side, int(value)) for side, value in zip(bases, pair, strict=True))


def _warn_not_converged(solution, tol):
    primal, dual = solution.residuals[-1]
    warnings.warn(
        f"The iteration stopped after max_iter={solution.n_iter} iterations with residuals "
        f"{primal:.1e} and {dual:.1e}, above tol={tol:.1e}. Raise max_iter or tol; "
        "ConvergenceDisplay shows whether it was on its way.",
        ConvergenceWarning,
        stacklevel=3,
    )
