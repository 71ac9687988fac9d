"""Many responses at once, leaning on sources: SMART."""

import numbers
import warnings
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ._base import TransferEstimator, small_blas
from ._columns import Columns
from ._folds import folds_of
from ._latent_factors import (
    LatentFactors,
    check_common,
    check_rank,
    check_ridge,
    is_auto,
    is_count,
)
from .core.reduced_rank import Folds, log_gains, mean_errors
from .core.smart import State
from .core.smart_selection import (
    Bases,
    Setting,
    fit,
    fit_by_bic,
    fit_plain,
    rotate,
)
from .core.source_bases import source_sides, whole

SELECTIONS = ("cv", "bic")
NULL_SPACES = ("group", "paper")


class Alignment(NamedTuple):
    """Coefficients of singular vectors in the source bases, one row for each direction.

    The last row holds the lengths of what is in directions that do not stand out of the sources.
    """

    left: np.ndarray  # (n_directions, rank)
    right: np.ndarray  # (n_directions, rank)


class SMARTRegressor(LatentFactors, TransferEstimator):
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
        times the rank of X), otherwise by cross-validation, separately with and without sources;
        without them it is restricted only where that is better by more than a standard error.
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
        Folds over the target's rows. A number of folds is repeated in other orders of the rows
        where these are fewer than 200, up to five times; a splitter makes its own.
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
        None keeps the rows in their order when an integer ``cv`` makes folds, and draws the
        orders of repeats from a fixed seed; a number shuffles them all. Nothing else is random.
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
    UserWarning
        If the target has fewer than three rows (two without an intercept), on which nothing can
        be chosen: then the mean is predicted, and sources are not used.

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
            cv = self.cv if setting.needs_folds else None
            folds = folds_of(target, columns, cv, self.random_state)
            fitted = self._fit(folds, bases, setting)
        if sources:
            self._warn(fitted, setting, len(target.X))
        self._store(fitted, folds, bases, columns, one_output)
        self.source_names_ = list(sources)
        return self

    def _check_parameters(self):
        check_common(self)
        _check_option("selection", self.selection, SELECTIONS)
        _check_option("null_space", self.null_space, NULL_SPACES)
        for name in ("rho", "tol"):
            value = getattr(self, name)
            if not (isinstance(value, numbers.Real) and 0 < value < np.inf):
                raise ValueError(f"{name} must be a number > 0; got {value!r}.")
        if not is_count(self.max_iter, 1):
            raise ValueError(f"max_iter must be a whole number >= 1; got {self.max_iter!r}.")

    def _setting(self, target, columns, bases):
        """Return what is given, in the units of the computation."""
        alpha = _check_alpha(self.alpha)
        entrywise = self.null_space == "paper"
        return Setting(
            rank=check_rank(self.rank, target),
            structural=_check_structural(self.structural_rank, bases, entrywise),
            alpha=alpha and tuple(value / columns.alpha_unit for value in alpha),
            ridge=columns.ridge(check_ridge("ridge", self.ridge)),
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

    def _warn(self, fitted, setting, n_rows):
        """Say where sources could not be looked at, or the iteration did not end."""
        least = 2 + self.fit_intercept
        if setting.needs_folds and setting.rank != 0 and n_rows < least:
            _warn_unused(n_rows, least)
        if fitted.solution is not None and not fitted.solution.converged:
            _warn_not_converged(fitted.solution, self.tol)

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


# Results ------------------------------------------------------------------------------------


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


def _cv_results(fitted, folds, columns):
    """Return what was compared; errors are means over outputs."""
    if not fitted.candidates:
        return {}
    unit, weight = columns.alpha_unit, folds.test.n / np.sum(folds.test.n)
    in_units = np.array([c.errors for c in fitted.candidates])
    errors = in_units * unit / len(columns.y)
    difference = errors - errors[0]
    log_gain, log_gain_error = log_gains(in_units, folds)
    return {
        "structural_rank": np.array([c.structural for c in fitted.candidates]),
        "alpha": np.array([c.alpha for c in fitted.candidates]) * unit,
        "rank": np.array([c.rank for c in fitted.candidates]),
        "ridge": np.array([c.ridge for c in fitted.candidates]) * columns.ridge_unit,
        "errors": errors,
        "mean_error": errors @ weight,
        "difference": difference @ weight,
        "difference_error": mean_errors(difference, folds),
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


def _check_option(name, value, options):
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}; got {value!r}.")


def _check_alpha(alpha):
    """Return the pair of penalties, None for "auto"."""
    if is_auto(alpha):
        return None
    pair = tuple(alpha) if isinstance(alpha, tuple | list | np.ndarray) else (alpha, alpha)
    if len(pair) != 2 or not all(isinstance(v, numbers.Real) and v >= 0 for v in pair):
        raise ValueError(f"alpha must be 'auto', a number >= 0 or a pair of them; got {alpha!r}.")
    if sum(np.isinf(v) for v in pair) == 1:
        raise ValueError(f"alpha must be infinite for both sides or for none; got {alpha!r}.")
    return float(pair[0]), float(pair[1])


def _check_structural(structural, bases, entrywise):
    """Return the pair of structural ranks, None for "auto"."""
    if is_auto(structural):
        return None
    is_pair = isinstance(structural, tuple | list | np.ndarray)
    pair = tuple(structural) if is_pair else (structural, structural)
    if len(pair) != 2 or not all(is_count(value, 0) for value in pair):
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


def _warn_unused(n_rows, least):
    warnings.warn(
        f"The target's {n_rows} row{'s' * (n_rows > 1)} cannot tell what to borrow, which takes at "
        f"least {least}: sources are not used, and predictions do not depend on X. Give more "
        "target rows; or use UOWQRegressor, which takes the slopes from the sources alone then.",
        UserWarning,
        stacklevel=4,
    )


def _warn_not_converged(solution, tol):
    primal, dual = solution.residuals[-1]
    warnings.warn(
        f"The iteration stopped after max_iter={solution.n_iter} iterations with residuals "
        f"{primal:.1e} and {dual:.1e}, above tol={tol:.1e}. Raise max_iter or tol; "
        "ConvergenceDisplay shows whether it was on its way.",
        ConvergenceWarning,
        stacklevel=4,
    )
