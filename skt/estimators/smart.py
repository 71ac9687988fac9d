"""Many responses at once, leaning on sources: SMART."""

from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from skt._sklearn import Interval, StrOptions, check_parameters
from skt.core.reduced_rank import Folds, log_gains, mean_errors
from skt.core.smart import State
from skt.core.smart_choice import (
    Bases,
    Fitted,
    SmartOptions,
    fit_by_bic,
    fit_by_validation,
    fit_plain,
    rotate,
)
from skt.core.source_bases import source_sides, whole
from skt.estimators.base import TransferEstimator, small_blas
from skt.estimators.checks import AUTO, COUNT, FOLDS, PENALTY, POSITIVE, is_auto
from skt.estimators.docstrings import COPIES_IN_ONE_FOLD, documents_rows
from skt.estimators.latent_factors import LatentFactors, check_rank
from skt.estimators.messages import few_rows, warn
from skt.model_selection.folds import folds_of
from skt.sources.units import Units


class Alignment(NamedTuple):
    """Coefficients of singular vectors in the source bases, one row for each direction.

    The last row holds the lengths of what is in directions that do not stand out of the sources.
    """

    left: np.ndarray  # (n_directions, rank)
    right: np.ndarray  # (n_directions, rank)


class ADMM(BaseEstimator):
    """Settings of the iteration that solves SMART's programme: copies, multipliers, closed steps.

    Parameters
    ----------
    rho : float > 0, default=0.1
        Weight of the augmented term, relative to the largest curvature. It changes the number of
        iterations, not what they tend to.
    tol : float > 0, default=1e-4
        Both residuals of the iteration are brought below it: the distance of copies per
        column of length one, and the slope relative to that of the data.
    max_iter : int, default=3000
        Most iterations of the final solution.

    Examples
    --------
    >>> from skt import ADMM, SMARTRegressor
    >>> SMARTRegressor(solver=ADMM(tol=1e-6, max_iter=50_000))
    SMARTRegressor(solver=ADMM(max_iter=50000, tol=1e-06))
    """

    _parameter_constraints = {
        "rho": [POSITIVE],
        "tol": [POSITIVE],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, rho=0.1, *, tol=1e-4, max_iter=3000):
        self.rho = rho
        self.tol = tol
        self.max_iter = max_iter


class SMARTRegressor(LatentFactors, TransferEstimator):
    """Reduced-rank regression of many outputs whose factors lean on those of the sources.

    Let the columns of U0 and V0 be the directions of the sources' coefficients, of features and of
    outputs. Target coefficients ``C = U D V'`` of a given rank, ``U'U = V'V = I``, minimise

        1/(2n) ||Y - X U D V'||^2 + (ridge/2) ||D||^2
            + alpha_u ||U_perp' U|| + alpha_v ||V_perp' V||

    (the paper's scaling) where U_perp and V_perp are the source directions beyond the structural
    rank and ||.|| is the sum of absolute values, over directions that stand out from the sources'
    noise; the others share a group penalty, sqrt(their number) times the length of each column.
    At infinity it is reduced-rank regression inside the sources' leading subspaces. Without
    sources it is `ReducedRankRegressor`, exactly.

    Parameters
    ----------
    rank : "auto" or int >= 0, default="auto"
        Rank of C. "auto": as `ReducedRankRegressor`, separately with and without sources.
    structural_rank : "auto", int or pair of int, default="auto"
        Leading source directions, of features and of outputs, that are free. Raising it
        restrains less. "auto": chosen jointly with ``alpha``.
    alpha : "auto", float >= 0 or pair of float, default="auto"
        Penalties alpha_u and alpha_v, in squared units of (scaled) Y. Raising them pulls the
        factors to those of the sources. "auto": as ``variant`` says.
    variant : {"group", "paper", "paper-cv"}, default="group"
        "group": the penalty above, chosen by cross-validation among plain reduced-rank regression,
        structural ranks and penalties. The best is stacked with the plain one by the evidence for
        it (docs/methods/smart.md). "paper": absolute values of every direction of the full
        singular value decomposition, on columns as they are; alpha by BIC. It can lose to
        reduced-rank regression. "paper-cv": this penalty, chosen as "group" chooses.
    cv : int, splitter or iterable, default=5
        Folds over the target's rows. A number of folds is repeated in other orders of the rows
        where these are fewer than 200, up to five times; a splitter makes its own.
    fit_intercept : bool, default=True
        Whether the target gets an intercept. Intercepts are never transferred.
    solver : ADMM, default=None
        Settings of the iteration. None: ``ADMM()``.
    sources : dict, default=None
        Name to `Moments`, `SourceModel` or ``FrozenEstimator`` of a linear model. Sources may
        also come as rows, through ``sample_domain``.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (n_targets, n_features) and (n_targets,)
        Of the target; without the first dimension where y has one.
    rank_, structural_rank_, alpha_, ridge_ : int, pair of int, pair of float and float
        Chosen or given; ``alpha_`` is (0, 0) where nothing is borrowed.
    stacking_weight_ : float
        Part of the leaning fit in the coefficients; 1 where nothing was stacked.
    source_names_ : list of str
        Labels of rows first, then keys of ``sources``.
    left_vectors_, singular_values_, right_vectors_ : ndarray of shape (size, rank) and (rank,)
        ``coef_.T = left_vectors_ @ diag(singular_values_) @ right_vectors_.T``, ordered and signed,
        in units of standard deviations where these differ by more than a factor of ten.
    alignment_, source_directions_ : Alignment and pair of ndarray, or None
        Coefficients of these vectors in the source directions that stand out, left and right, the
        last row being the length outside of them; and those directions.
    cv_results_, path_ : dict
        Candidates with their errors, by name of what was chosen; coefficients by rising alpha.
    solver_, n_iter_ : ADMM and int
        Settings used, and iterations of the final solution; 1 where it is a closed form.
    objective_curve_, residual_curve_ : ndarray of shape (n_checks,) and (n_checks, 2)
        Objective every five iterations; primal and dual residuals, compared with ``tol``.

    Raises
    ------
    ValueError
        If a source has other features or outputs, or a rank is above what there is. Two warnings:
        residuals stay above ``tol``, or fewer than three target rows leave nothing to choose by.

    References
    ----------
    SMART: arXiv 2604.20161v1, (S1) of docs/models.md. The group penalty, the joint choice and the
    closed-form ends are this project's. Cost: ``O(p^2 r + p q r)`` an iteration, whatever n is.

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

    _parameter_constraints = {
        "rank": [AUTO, COUNT],
        "structural_rank": [AUTO, COUNT, "array-like"],
        "alpha": [AUTO, PENALTY, "array-like"],
        "variant": [StrOptions({"group", "paper", "paper-cv"})],
        "cv": FOLDS,
        "fit_intercept": ["boolean"],
        "solver": [ADMM, None],
    }

    def __init__(
        self,
        rank="auto",
        *,
        structural_rank="auto",
        alpha="auto",
        variant="group",
        cv=5,
        fit_intercept=True,
        solver=None,
        sources=None,
    ):
        self.rank = rank
        self.structural_rank = structural_rank
        self.alpha = alpha
        self.variant = variant
        self.cv = cv
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.sources = sources

    @documents_rows(weight=COPIES_IN_ONE_FOLD)
    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit the target's coefficients."""
        self._check_parameters()
        data = self._data(X, y, sample_domain, sample_weight)
        fit = self._fit(data)
        warn(fit.doubts)
        return self._store(fit, data)

    def _check_together(self):
        check_parameters(self.solver or ADMM())

    def _setting(self, target, units, bases):
        """Return what is given, in the units of the computation."""
        alpha = _check_alpha(self.alpha)
        entrywise = self.variant != "group"
        solver = self.solver or ADMM()
        return SmartOptions(
            rank=check_rank(self.rank, target),
            structural=_check_structural(self.structural_rank, bases, entrywise),
            alpha=alpha and tuple(value / units.objective_unit for value in alpha),
            ridge=None,
            lost=units.lost,
            entrywise=entrywise,
            rho=float(solver.rho),
            tol=float(solver.tol),
            max_iter=int(solver.max_iter),
        )

    def _fit(self, data):
        """Choose what is "auto", and fit, in the units and bases of the computation."""
        scale = "auto" if self.variant == "group" else False
        units = Units.comparable(data, self.fit_intercept, scale)
        with small_blas(self.n_features_in_):
            coefs = [source.coef(units) for source in data.sources.values()]
            bases = Bases(*source_sides(coefs)) if coefs else None
            setting = self._setting(data.target, units, bases)
            folds = folds_of(data, units, self.cv if setting.needs_folds else None)
            fitted = self._choose(folds, bases, setting)
        doubts = self._doubts(fitted, setting, len(data.target.X)) if data.sources else []
        return _Fit(fitted, folds, bases, units, doubts)

    def _choose(self, folds, bases, setting):
        """Return the best candidate, or what was given, fitted to all rows."""
        if bases is None:
            return fit_plain(folds, setting)
        rotated = Folds(*(rotate(m, bases) for m in folds))
        choose_and_fit = fit_by_bic if self.variant == "paper" else fit_by_validation
        return choose_and_fit(rotated, bases, setting)

    def _doubts(self, fitted, setting, n_rows):
        """Return where sources could not be looked at, or the iteration did not end."""
        doubts, least = [], 2 + self.fit_intercept
        if setting.needs_folds and setting.rank != 0 and n_rows < least:
            doubts.append(_unused(n_rows, least))
        if fitted.solution is not None and not fitted.solution.converged:
            doubts.append(_not_converged(fitted.solution, setting.tol))
        return doubts

    def _store(self, fit, data):
        """Set attributes, in the user's units and shapes."""
        fitted, folds, bases, units, _ = fit
        self.source_names_ = list(data.sources)
        chosen, solution = fitted.candidate, fitted.solution
        factors = fitted.factors if bases is None else _back(fitted.factors, bases)
        order = self._store_factors(factors, units, data.one_output)
        self.structural_rank_ = chosen.structural
        self.alpha_ = tuple(value * units.objective_unit for value in chosen.alpha)
        self.ridge_ = chosen.ridge * units.ridge_unit
        self.stacking_weight_ = fitted.weight
        self.alignment_ = self.source_directions_ = None
        if bases is not None:
            self.alignment_, self.source_directions_ = _alignment(fitted, bases, order, self)
        self.cv_results_ = _cv_results(fitted, folds, units)
        self.path_ = _path_of(fitted, bases, units)
        self.solver_ = self.solver or ADMM()
        self.n_iter_ = 1 if solution is None else solution.n_iter
        self.objective_curve_ = units.objective_unit * fitted.objective
        self.residual_curve_ = np.empty((0, 2)) if solution is None else solution.residuals
        return self


class _Fit(NamedTuple):
    """All that fit stores, in the units of the computation."""

    fitted: Fitted
    folds: Folds
    bases: Bases | None
    units: Units
    doubts: list


# Results ------------------------------------------------------------------------------------


def _back(factors, bases):
    """Return factors in the coordinates of the units."""
    return factors._replace(U=bases.left.basis @ factors.U, V=bases.right.basis @ factors.V)


def _alignment(fitted, bases, order, model):
    """Return the coefficients in the source directions, and these directions."""
    parts, directions = [], []
    chosen, state = fitted.candidate, fitted.candidate.state
    sparse = isinstance(state, State) and fitted.weight == 1
    copies = (state.left_copy, state.right_copy) if sparse else (None, None)
    vectors = model.left_vectors_, model.right_vectors_
    entrywise = model.variant != "group"
    for side, k, copy, Z in zip(bases, chosen.structural, copies, vectors, strict=True):
        coefficient = side.basis.T @ Z
        if copy is not None:
            coefficient[k:][copy[:, order] == 0] = 0.0
        signal = len(side.values) if entrywise else whole(side, max(side.signal, k))
        outside = np.linalg.norm(coefficient[signal:], axis=0)
        parts.append(np.vstack([coefficient[:signal], outside]))
        directions.append(side.basis[:, :signal])
    return Alignment(*parts), tuple(directions)


def _cv_results(fitted, folds, units):
    """Return what was compared; errors are means over outputs."""
    if not fitted.candidates:
        return {}
    unit, weight = units.objective_unit, folds.test.n / np.sum(folds.test.n)
    in_units = np.array([c.errors for c in fitted.candidates])
    errors = in_units * unit / len(units.turn)
    difference = errors - errors[0]
    log_gain, log_gain_error = log_gains(in_units, folds)
    return {
        "structural_rank": np.array([c.structural for c in fitted.candidates]),
        "alpha": np.array([c.alpha for c in fitted.candidates]) * unit,
        "rank": np.array([c.rank for c in fitted.candidates]),
        "ridge": np.array([c.ridge for c in fitted.candidates]) * units.ridge_unit,
        "errors": errors,
        "mean_error": errors @ weight,
        "difference": difference @ weight,
        "difference_error": mean_errors(difference, folds),
        "log_gain": log_gain,
        "log_gain_error": log_gain_error,
        "chosen": fitted.chosen,
    }


def _path_of(fitted, bases, units):
    """Return the coefficients along the path of the chosen structural rank."""
    chosen = fitted.candidate
    same = [
        c
        for c in fitted.candidates
        if (c.structural, c.rank, c.ridge) == (chosen.structural, chosen.rank, chosen.ridge)
    ]
    same.sort(key=lambda c: c.alpha)
    coefs = [units.restored_coef(_back(c.factors, bases).C) for c in same]
    return {
        "alpha": np.array([c.alpha for c in same]).reshape(-1, 2) * units.objective_unit,
        "coef": np.array(coefs).reshape(-1, len(units.turn), len(units.scale)),
    }


# Checks -------------------------------------------------------------------------------------


def _check_alpha(alpha):
    """Return the pair of penalties, None for "auto"."""
    if is_auto(alpha):
        return None
    pair = tuple(alpha) if isinstance(alpha, tuple | list | np.ndarray) else (alpha, alpha)
    if len(pair) != 2 or not all(map(PENALTY.is_satisfied_by, pair)):
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
    if len(pair) != 2 or not all(map(COUNT.is_satisfied_by, pair)):
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


def _unused(n_rows, least):
    return (
        f"{few_rows(n_rows)} cannot tell what to borrow, which takes at least {least}: sources are "
        "not used, and predictions do not depend on X. Give more target rows; or use "
        "UOWQRegressor, which takes the slopes from the sources alone then."
    )


def _not_converged(solution, tol):
    primal, dual = solution.residuals[-1]
    return ConvergenceWarning(
        f"The iteration stopped after max_iter={solution.n_iter} iterations with residuals "
        f"{primal:.1e} and {dual:.1e}, above tol={tol:.1e}. Raise max_iter or tol of "
        "solver=ADMM(...); ConvergenceDisplay shows whether it was on its way."
    )
