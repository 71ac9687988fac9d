"""The target's coefficients from the target's rows and the moments of the sources.

Notation
--------
K sources, index 0 the target; p features, q outputs.
n_i : rows of domain i, counted by their weights. v_i : noise variance. theta_i : coefficients.

Features are on one scale (unit variance within domains, on average) and outputs have unit
noise, both up to what the data tell, so that one variance can be a prior for all entries.
The criterion of every fit on the target alone is ``(1/n_0) ||Y - X W||^2 + alpha ||W||^2``.

Two combinations:

matrix : random effects with exact designs (``random_effects``); each source is weighted by a
    matrix, since it may be precise in one direction and vague in another. Models with and without
    scales of the sources are averaged by their evidence.
scalar : one weight per source row and weighted least squares (arXiv 2601.10779v2).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from skt.core import (
    coef_intervals,
    discrepancy,
    least_squares,
    random_effects,
    random_intercept,
    safeguard,
    variance_search,
)
from skt.core._typing import Array
from skt.core.coef_intervals import Errors

# Stands for no penalty: columns have unit variance, so that it moves nothing that the data
# determine, and leaves at zero what they do not.
LEAST_ALPHA = 1e-11


@dataclass(frozen=True, eq=False)
class Problem:
    """Moments of every domain and rows of the target; each domain is decomposed once."""

    n: Array  # (K+1,)
    Sxx: Array  # (K+1, p, p) centred sums
    Sxy: Array  # (K+1, p, q)
    Syy: Array  # (K+1, q, q)
    X: Array  # (n_rows, p) target rows, centred
    Y: Array  # (n_rows, q)
    weight: Array  # (n_rows,)
    intercept: bool
    # Means (K+1, p) and (K+1, q) of every domain less the target's; NaN where they are unknown.
    means: tuple[Array, Array] | None = None

    @property
    def rows(self) -> Array:
        """Rows less the one that an intercept costs, (K+1,)."""
        return self.n - 1.0 if self.intercept else self.n

    @cached_property
    def domains(self) -> random_effects.Domains:
        """Statistics of the domains, each in its own eigenbasis."""
        return random_effects.decompose(self.rows, self.Sxx, self.Sxy, self.Syy)

    @property
    def alone(self) -> "Problem":
        """The target without its sources."""
        first = {name: getattr(self, name)[:1] for name in ("n", "Sxx", "Sxy", "Syy")}
        return self._with_domains(self.domains.alone, means=None, **first)

    def with_spectrum(self, s: Array, U: Array) -> "Problem":
        """Return the problem with the target's eigenvalues (r,) and eigenvectors (p, r) known."""
        parts = self.rows, self.Sxx, self.Sxy, self.Syy
        return self._with_domains(random_effects.decompose(*parts, target=(s, U)))

    def turned(self, turn: Array) -> "Problem":
        """Return the problem with all outputs multiplied by ``turn`` (q, q) from the right."""
        return self._with_domains(
            self.domains.turned(turn, np.trace(turn.T @ self.Syy @ turn, axis1=1, axis2=2)),
            Sxy=self.Sxy @ turn,
            Syy=turn.T @ self.Syy @ turn,
            Y=self.Y @ turn,
            means=None if self.means is None else (self.means[0], self.means[1] @ turn),
        )

    def _with_domains(self, domains: random_effects.Domains, **parts: Any) -> "Problem":
        made = replace(self, **parts)
        made.__dict__["domains"] = domains  # where cached_property looks
        return made


class Combination(NamedTuple):
    """Coefficients of the target and what they are expected to be worth."""

    coef: Array  # (p, q)
    covariance: Array  # (p, p), for an output of unit scale
    weights: Array  # (K,) of one source row relative to a target row
    shares: Array  # (K+1,) mean part of each domain in coef
    discrepancy: Array  # (K, K)
    noise: float  # v_0
    noise_ratio: Array  # (K,) v_i / v_0
    scale: Array  # (K,) rho, one where sources are not scaled
    risk: float
    target_risk: float
    penalty: float  # total ridge penalty of the target part, n_0 * alpha
    level: random_intercept.Level
    search: variance_search.Search = variance_search.Search(0.0, 1, True)
    # (n_rows, q) residuals of rows left out, where the covariance does not tell them.
    left_out: Array | None = None
    # (p,) what a bias that sources share may add to the variances of coefficients.
    bias: Array | None = None


def n_parameters(Sxx: Array) -> int:
    """Return the number of features that vary in some domain."""
    return int(np.sum(np.any(np.diagonal(Sxx, axis1=1, axis2=2) > 0, axis=0)))


def noise_levels(rows: Array, domains: random_effects.Domains) -> tuple[Array, float]:
    """Return moderated noise variances (K+1,) and the degrees of freedom of the target's."""
    q = domains.B.shape[1]
    df = np.maximum(rows - domains.ranks, 0.0) * q
    s2 = np.divide(domains.rss, df, out=np.zeros_like(df), where=df > 0)
    floor = 1e-12 * np.max(domains.sums(domains.fit) + domains.rss, initial=0.0) / np.sum(rows)
    if not np.any(s2 > floor):
        return np.full_like(s2, floor if floor > 0 else 1.0), np.inf if np.any(df > 0) else 1.0
    v, target_df = discrepancy.moderated_variances(np.where(s2 > floor, s2, 0.0), df)
    return np.maximum(v, floor), target_df


# --- matrix -------------------------------------------------------------------------------


def matrix_combination(problem: Problem, *, alpha: float | None, guard: bool) -> Combination:
    """Random-effects combination that uses each source's own design and noise.

    alpha None estimates the penalty of the target part by marginal likelihood. The guard is a
    mean with the target alone, against what no variance describes: sources that all have the same
    flaw, as slopes that are flat because features were measured badly, look like precise knowledge.
    """
    domains, K = problem.domains, len(problem.n) - 1
    penalty = None if alpha is None else max(alpha, LEAST_ALPHA) * problem.n[0]
    noise = prior = None
    # Sources tell the noise better than residuals do, but a given penalty is in units of it.
    if K == 0 or (penalty is not None and is_overdetermined(problem)):
        noise, df = noise_levels(problem.rows, domains)
        prior = None if penalty is None else penalty / noise[0]
    models = variance_search.fit_models(domains, noise=noise, prior=prior)
    if noise is not None:
        models = [m._replace(search=m.search._replace(noise_df=df)) for m in models]
    combined = mixture(problem, models, penalty)
    if not guard or K == 0:
        return combined
    return unless_refused(problem, combined, alone_combination(problem.alone, alpha=alpha))


def alone_combination(problem: Problem, *, alpha: float | None) -> Combination:
    """Fit the target alone; its penalty is chosen by what the number of rows allows."""
    fit = target_combination if is_overdetermined(problem) else ridge_combination
    return fit(problem, alpha=alpha)


def is_overdetermined(problem: Problem) -> bool:
    """Whether the target's rows exceed the parameters, so that its own residuals tell its noise."""
    return bool(problem.rows[0] >= n_parameters(problem.Sxx) + 2)


def target_combination(problem: Problem, *, alpha: float | None) -> Combination:
    """Fit the target alone, its penalty by marginal likelihood where there is something to fit."""
    if np.any(problem.Sxy):
        return matrix_combination(problem, alpha=alpha, guard=False)
    return ridge_combination(problem, alpha=alpha)


def unless_refused(problem: Problem, combined: Combination, alone: Combination) -> Combination:
    """Give the target alone the part of the fit that rows left out speak for.

    The part is ``safeguard.evidence_weight``. It takes no model of how domains differ to see this,
    only target rows; where they speak for the combination nothing changes.
    """
    residuals = [loo_residuals_of(problem, fit) for fit in (combined, alone)]
    loss, loss_alone = (np.mean(e**2, axis=1) for e in residuals)
    gain, error = safeguard.log_gain(loss, loss_alone, problem.weight)
    part = 1 - safeguard.evidence_weight(gain, error, problem.n[0])
    if part == 1:
        return combined
    shares = part * combined.shares
    shares[0] += (1 - part) * alone.shares[0]
    level = random_intercept.Level(
        part * combined.level.shift, part * combined.level.weight + (1 - part)
    )
    return combined._replace(
        coef=part * combined.coef + (1 - part) * alone.coef,
        covariance=part * combined.covariance + (1 - part) * alone.covariance,  # at most: convex
        weights=row_weights(shares, problem.n),
        shares=shares,
        risk=part * combined.risk + (1 - part) * combined.target_risk,
        level=level,
        left_out=part * residuals[0] + (1 - part) * residuals[1],
        bias=None if combined.bias is None else part**2 * combined.bias,
    )


def loo_residuals_of(problem: Problem, fit: Combination) -> Array:
    """Return the residual of every target row left out, at the variances of the fit, (n_0, q)."""
    if fit.left_out is not None:
        return fit.left_out
    h = leverage(problem, fit.covariance, fit.noise, fit.level.weight)
    h = h * np.minimum(problem.weight, 1.0)  # one copy, or the whole of a lighter row
    residual = problem.Y - problem.X @ fit.coef - fit.level.shift
    return least_squares.loo_residuals(residual, h[:, None])


def leverage(problem: Problem, covariance: Array, noise: float = 1.0, level: float = 1.0) -> Array:
    """Return ``x'Cx / v_0`` of every target row, and the intercept's ``level / n_0``, (n_rows,).

    The target's rows enter the coefficients of a mixed fit as ``(C / v_0) X'Y``, C its posterior
    covariance, and the level by the weight of their mean.
    """
    mean = level / problem.n[0] if problem.intercept else 0.0
    return np.sum((problem.X @ covariance) * problem.X, axis=1) / noise + mean


def source_only_combination(problem: Problem) -> Combination:
    """Mean of the sources' coefficients as random effects, for a target of one or two rows."""
    return mixture(problem, [variance_search.fit_effects(problem.domains)])


def mixture(
    problem: Problem, models: list[variance_search.Model], penalty: float | None = None
) -> Combination:
    """Return the mean of models by their weights; what they differ by is uncertain as well.

    ``penalty`` is that of the target part, None where the models tell it.
    """
    fits = [effects_combination(problem, model, penalty) for model in models]
    if len(fits) == 1:
        return fits[0]
    weight = np.array([model.weight for model in models])
    weight = weight / np.sum(weight)

    def mean(name: str) -> Any:
        return np.tensordot(weight, np.array([getattr(fit, name) for fit in fits]), 1)

    coef, shares, noise = mean("coef"), mean("shares"), float(mean("noise"))
    gaps = np.array([fit.coef for fit in fits]) - coef
    covariance = mean("covariance") + np.einsum("m,mpq,mrq->pr", weight, gaps, gaps) / coef.shape[1]
    level = random_intercept.Level(
        np.tensordot(weight, np.array([fit.level.shift for fit in fits]), 1),
        float(weight @ [fit.level.weight for fit in fits]),
    )
    search = fits[int(np.argmax(weight))].search
    return Combination(
        coef,
        covariance,
        row_weights(shares, problem.n),
        shares,
        mean("discrepancy"),
        noise,
        mean("noise_ratio"),
        mean("scale"),
        excess_risk(problem, covariance, noise, level=level.weight),
        float(mean("target_risk")),
        float(mean("penalty")),
        level,
        search._replace(
            n_iter=sum(fit.search.n_iter for fit in fits),
            converged=all(fit.search.converged for fit in fits),
            noise_df=float(weight @ [fit.search.noise_df for fit in fits]),
        ),
        bias=mean("bias"),
    )


def effects_combination(
    problem: Problem, model: variance_search.Model, penalty: float | None = None
) -> Combination:
    """Return the best linear prediction at fitted parameters; ``penalty`` as in `mixture`."""
    domains, effects = problem.domains, model.effects
    m = random_effects.Latent(domains, effects)
    prediction = random_effects.predict_target(m)
    level = random_intercept.own_level(domains.sizes[2])
    if problem.intercept and problem.means is not None:
        level = random_intercept.target_level(m, problem.n, *problem.means)
    v = float(effects.noise[0])
    if penalty is None:  # W_0 has the variance 1/pi + tau_0
        penalty = v / (1 / max(effects.prior, 1e-300) + effects.common)
    return Combination(
        prediction.coef,
        prediction.covariance,
        row_weights(prediction.shares, problem.n),
        prediction.shares,
        _discrepancy(effects, prediction.coef),
        v,
        effects.noise[1:] / v,
        effects.scale[1:],
        excess_risk(problem, prediction.covariance, v, level=level.weight),
        excess_risk(problem, target_covariance(problem, penalty, v), v),
        penalty,
        level,
        model.search,
        bias=coef_intervals.bias_variance(domains, effects) if domains.sizes[0] else None,
    )


def row_weights(shares: Array, n: Array) -> Array:
    """Return weights per row; NaN where the target has no part that a row could be compared to."""
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = (shares[1:] / n[1:]) / (shares[0] / n[0])
    return np.where(shares[0] > 0, weights, np.nan)


def _discrepancy(effects: random_effects.Effects, coef: Array) -> Array:
    """Return M implied by the effects: offsets, and scales that differ from one."""
    gap = effects.scale[1:] - 1
    M = effects.common + np.diag(effects.own[1:]) + np.outer(gap, gap) * np.mean(coef**2)
    return M / effects.noise[0]


def target_covariance(problem: Problem, penalty: float, noise: float) -> Array:
    """Return the posterior covariance of the coefficients given the target's rows alone."""
    largest = float(problem.domains.part(0)[0].max(initial=0.0)) + penalty
    least = least_squares.RANK_TOLERANCE * max(largest, 1e-300) * problem.Sxx.shape[1]

    def variance(s: Array) -> Array:
        total = s + penalty
        return np.divide(noise, total, out=np.zeros_like(total), where=total > least)

    return problem.domains.target_function(variance)


def excess_risk(
    problem: Problem,
    covariance: Array,
    noise: float,
    influence: Array | None = None,
    level: float = 1.0,
) -> float:
    """Return the mean squared error of predicted means on new target rows.

    A row that was fitted on is predicted too well. With the target's rows entering the
    coefficients through ``influence`` (p, p), the row left out has leverage h and error
    ``(x'Cx - v_0 h^2) / (1 - h)^2``, exactly so at given parameters. For a posterior C, influence
    is ``C / v_0`` and ``v_0 h / (1 - h)`` is left; the error is summed so that this holds where h
    is one to rounding. The intercept counts, ``level`` being the weight of the rows' own mean.
    """
    ratio = leverage(problem, covariance, noise, level)
    h = ratio if influence is None else leverage(problem, influence)
    slack = np.maximum(1 - h, 1 / (1 + problem.n[0]))
    error = noise * ((ratio - h) / slack**2 + h / slack)
    return float(np.average(error, weights=problem.weight))


# --- intervals ----------------------------------------------------------------------------


def coefficient_errors(name: str, problem: Problem, fit: Combination) -> Errors | None:
    """Return coefficients and variances for intervals, None where none are known.

    A ridge of the target alone is biased by what no row tells: least squares takes its place, and
    nothing where its rows are too few. Scalar weights have no bound of what they borrow wrongly.
    """
    if name == "matrix":
        bias = 0.0 if fit.bias is None else fit.bias
        df = float(np.clip(fit.search.noise_df, 1.0, 1e6))
        return Errors(fit.coef, np.diag(fit.covariance) + bias, df)
    return coef_intervals.least_squares_errors(problem.domains, n_parameters(problem.Sxx))


# --- target alone -------------------------------------------------------------------------


def target_ridge(problem: Problem, alpha: float | None) -> least_squares.RidgePath:
    """Return target-only ridge along penalties that may be chosen from, or at the given one."""
    return target_path(problem, alpha).using_at_most(most_parameters(problem))


def target_path(problem: Problem, alpha: float | None) -> least_squares.RidgePath:
    """Return target-only ridge along all penalties, or at the given one."""
    grid = (
        least_squares.penalty_grid(least_squares.mean_eigenvalue(problem.Sxx[0]))
        if alpha is None
        else np.array([alpha * problem.n[0]])
    )
    return least_squares.ridge_path(
        problem.X, problem.Y, grid, problem.weight, intercept=problem.intercept
    )


def ridge_error(problem: Problem, penalty: float, ratio: float) -> Array:
    """Return the covariance of the error of ridge on the target, (p, p), at unit noise.

    Coefficients have variance ``1 / ratio``: with ``A = S + penalty I`` it is
    ``A^{-1} (S + penalty^2 / ratio I) A^{-1}``, the posterior's ``A^{-1}`` where the two agree.
    """
    if penalty == ratio:
        return target_covariance(problem, penalty, 1.0)
    return problem.domains.target_function(lambda s: (s + penalty**2 / ratio) / (s + penalty) ** 2)


def most_parameters(problem: Problem) -> float:
    """Return how many degrees of freedom a penalty chosen by leave-one-out may leave a fit.

    Two fewer than rows, as many as least squares may use to have finite expected risk with
    random rows. Closer to interpolation a row left out tells next to nothing, and the least of
    many such errors is chosen by chance.
    """
    return max(float(problem.rows[0]) - 2, 1.0)


def ridge_combination(problem: Problem, *, alpha: float | None) -> Combination:
    """Target-only ridge, its penalty by exact leave-one-out when alpha is None."""
    K = len(problem.n) - 1
    free = target_path(problem, alpha)
    path = free.using_at_most(most_parameters(problem))
    error = path.loo_error[path.best]
    # At leave-one-out the error is noise plus excess risk; the leverage splits the two. The
    # penalty of least error says what the signal is, also where it may not be taken.
    penalty, ratio = (float(each.penalties[each.best]) for each in (path, free))
    influence = target_covariance(problem, penalty, 1.0)
    unit = excess_risk(problem, ridge_error(problem, penalty, ratio), 1.0, influence)
    noise = float(error / (1 + unit)) if error > 0 else 1.0
    covariance = noise * ridge_error(problem, penalty, ratio)
    risk = noise * unit
    return Combination(
        path.coef[path.best],
        covariance,
        np.zeros(K),
        np.eye(1, K + 1)[0],
        np.zeros((K, K)),
        noise,
        np.ones(K),
        np.ones(K),
        risk,
        risk,
        penalty,
        random_intercept.own_level(problem.Syy.shape[1]),
        left_out=path.loo_residuals[path.best],
    )
