"""The target's coefficients from the target's rows and the moments of the sources.

Notation
--------
K sources, index 0 the target; p features, q outputs.
n_i : rows of domain i, counted by their weights. v_i : noise variance. theta_i : coefficients.

Features are on one scale (unit variance within domains, on average) and outputs have unit
noise, both up to what the data tell, so that one variance can be a prior for all entries.
The criterion of every fit on the target alone is ``(1/n_0) ||Y - X W||^2 + alpha ||W||^2``.

Three combinations:

matrix : random effects with exact designs (``random_effects``); each source is weighted by a
    matrix, since it may be precise in one direction and vague in another.
free_scale : the same with a free scale per source and estimated noise, for more features
    than target rows; stacked with target-only ridge by exact leave-one-out.
scalar : one weight per source row and weighted least squares (arXiv 2601.10779v2).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import allocation, discrepancy, quadratic, random_effects

Array = NDArray[Any]


# Stands for no penalty: columns have unit variance, so that it moves nothing that the data
# determine, and leaves at zero what they do not.
LEAST_ALPHA = 1e-11


class Task(NamedTuple):
    """What a combination is computed from: moments of every domain, rows of the target."""

    n: Array  # (K+1,)
    Sxx: Array  # (K+1, p, p) centred sums
    Sxy: Array  # (K+1, p, q)
    Syy: Array  # (K+1, q, q)
    X: Array  # (n_rows, p) target rows, centred
    Y: Array  # (n_rows, q)
    weight: Array  # (n_rows,)
    intercept: bool

    @property
    def rows(self) -> Array:
        """Rows less the one that an intercept costs, (K+1,)."""
        return self.n - 1.0 if self.intercept else self.n

    @property
    def alone(self) -> "Task":
        """The target without its sources."""
        return self._replace(n=self.n[:1], Sxx=self.Sxx[:1], Sxy=self.Sxy[:1], Syy=self.Syy[:1])


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
    search: random_effects.Search = random_effects.Search(0.0, 1, True, np.empty(0))


def n_parameters(Sxx: Array) -> int:
    """Return the number of features that vary in some domain."""
    return int(np.sum(np.any(np.diagonal(Sxx, axis1=1, axis2=2) > 0, axis=0)))


def noise_levels(rows: Array, domains: random_effects.Domains) -> tuple[Array, float]:
    """Return moderated noise variances (K+1,) and the degrees of freedom of the target's."""
    q = domains.B.shape[2]
    df = np.maximum(rows - np.sum(domains.s > 0, axis=1), 0.0) * q
    s2 = np.divide(domains.rss, df, out=np.zeros_like(df), where=df > 0)
    floor = 1e-12 * np.max(domains.fit.sum(axis=1) + domains.rss, initial=0.0) / np.sum(rows)
    if not np.any(s2 > floor):
        return np.full_like(s2, floor if floor > 0 else 1.0), np.inf if np.any(df > 0) else 1.0
    v, target_df = discrepancy.moderated_variances(np.where(s2 > floor, s2, 0.0), df)
    return np.maximum(v, floor), target_df


# --- matrix -------------------------------------------------------------------------------


def matrix_combination(task: Task, *, alpha: float | None, guard: bool) -> Combination:
    """Random-effects combination that uses each source's own design and noise.

    alpha None estimates the penalty of the target part by marginal likelihood. The guard is
    in the likelihood, against what differs at random, and in a stack with the target alone,
    against what no variance describes: sources that all have the same flaw, as slopes that are
    flat because features were measured badly, look like precise knowledge.
    """
    domains = random_effects.decompose(task.rows, task.Sxx, task.Sxy, task.Syy)
    K, _, q = domains.sizes
    v, df = noise_levels(task.rows, domains)
    d = n_parameters(task.Sxx) * q
    exponent = discrepancy.james_stein_exponent(d, df) if guard and K else 0.0
    prior = None if alpha is None else max(alpha, LEAST_ALPHA) * task.n[0] / v[0]
    fit = random_effects.choose_effects if K else random_effects.fit_effects
    effects, search = fit(domains, noise=v, prior=prior, exponent=exponent)
    combined = _from_effects(task, domains, effects, search)
    if not guard or K == 0:
        return combined
    return unless_refused(task, combined, target_combination(task.alone, alpha=alpha))


def target_combination(task: Task, *, alpha: float | None) -> Combination:
    """Fit the target alone, its penalty by marginal likelihood where there is something to fit."""
    if np.any(task.Sxy):
        return matrix_combination(task, alpha=alpha, guard=False)
    return ridge_combination(task, alpha=alpha)


def unless_refused(task: Task, combined: Combination, alone: Combination) -> Combination:
    """Give the target alone the part of the fit that rows left out speak for.

    A part ``1 - exp(-(n/2) max(g - s, 0))``, with g the logarithm of how much better the target
    alone predicts rows left out, and s its standard error: ``exp(n g / 2)`` is the likelihood
    ratio of the two with Gaussian errors of unknown variance. It takes no model of how domains
    differ to see this, only target rows; where they speak for the combination nothing changes.
    """
    gain, error = log_gain(task, combined, alone)
    part = float(np.exp(-task.n[0] / 2 * max(gain - error, 0.0)))
    if part == 1:
        return combined
    shares = part * combined.shares
    shares[0] += (1 - part) * alone.shares[0]
    return combined._replace(
        coef=part * combined.coef + (1 - part) * alone.coef,
        covariance=part * combined.covariance + (1 - part) * alone.covariance,  # at most: convex
        weights=weights_from_shares(shares, task.n),
        shares=shares,
        risk=part * combined.risk + (1 - part) * combined.target_risk,
    )


def log_gain(task: Task, combined: Combination, alone: Combination) -> tuple[float, float]:
    """Return log(squared error left out of the combination / of the target alone), and its error.

    The error is that of the paired difference of rows.
    """
    w = task.weight / task.n[0]
    squares = [np.mean(left_out(task, fit) ** 2, axis=1) for fit in (combined, alone)]
    means = [float(w @ square) for square in squares]
    if min(means) <= 0:
        return 0.0, 0.0
    difference = squares[0] / means[0] - squares[1] / means[1]
    error = np.sqrt(w @ difference**2 / max(task.n[0] - 1, 1))
    return float(np.log(means[0] / means[1])), float(error)


def left_out(task: Task, fit: Combination) -> Array:
    """Return the residual of every target row left out, at the variances of the fit, (n_0, q)."""
    leverage = np.sum((task.X @ fit.covariance) * task.X, axis=1) / fit.noise
    leverage += 1 / task.n[0] if task.intercept else 0.0
    return quadratic.loo_residuals(task.Y - task.X @ fit.coef, leverage[:, None])


def source_only_combination(task: Task) -> Combination:
    """Mean of the sources' coefficients as random effects, for a target of one or two rows."""
    domains = random_effects.decompose(task.rows, task.Sxx, task.Sxy, task.Syy)
    effects, search = random_effects.fit_effects(domains)
    noise = np.concatenate(([np.mean(effects.noise[1:])], effects.noise[1:]))
    return _from_effects(task, domains, effects._replace(noise=noise), search)


def _from_effects(
    task: Task,
    domains: random_effects.Domains,
    effects: random_effects.Effects,
    search: random_effects.Search,
) -> Combination:
    prediction = random_effects.predict_target(domains, effects)
    penalty = effects.prior * effects.noise[0]
    return Combination(
        prediction.coef,
        prediction.covariance,
        weights_from_shares(prediction.shares, task.n),
        prediction.shares,
        _discrepancy(effects, prediction.coef),
        effects.noise[0],
        effects.noise[1:] / effects.noise[0],
        effects.scale,
        excess_risk(task, prediction.covariance, effects.noise[0]),
        excess_risk(task, target_covariance(task, penalty, effects.noise[0]), effects.noise[0]),
        penalty,
        search,
    )


def weights_from_shares(shares: Array, n: Array) -> Array:
    """Return weights per row; NaN where the target has no part that a row could be compared to."""
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = (shares[1:] / n[1:]) / (shares[0] / n[0])
    return np.where(shares[0] > 0, weights, np.nan)


def _discrepancy(effects: random_effects.Effects, coef: Array) -> Array:
    """Return M implied by the effects: offsets, and scales that differ from one."""
    gap = effects.scale - 1
    M = effects.common + np.diag(effects.own) + np.outer(gap, gap) * np.mean(coef**2)
    return M / effects.noise[0]


def target_covariance(task: Task, penalty: float, noise: float) -> Array:
    """Return the posterior covariance of the coefficients given the target's rows alone."""
    p = task.Sxx.shape[1]
    s, U = np.linalg.eigh(task.Sxx[0])
    total = np.maximum(s, 0) + penalty
    informed = total > quadratic.RANK_TOLERANCE * max(total.max(), 1e-300) * p
    return (U[:, informed] * (noise / total[informed])) @ U[:, informed].T


def excess_risk(
    task: Task, covariance: Array, noise: float, influence: Array | None = None
) -> float:
    """Return the mean squared error of predicted means on new target rows.

    A row that was fitted on is predicted too well. With the target's rows entering the
    coefficients through ``influence`` (p, p), the row left out has leverage
    ``h = x' influence x`` and error ``(x'Cx - v_0 h^2) / (1 - h)^2``, exactly so at given
    parameters. For a posterior C, influence is ``C / v_0`` and ``v_0 h / (1 - h)`` is left;
    the error is summed so that this holds where h is one to rounding. The intercept counts.
    """
    influence = covariance / noise if influence is None else influence
    mean = 1 / task.n[0] if task.intercept else 0.0
    c = np.sum((task.X @ covariance) * task.X, axis=1) + noise * mean
    h = np.sum((task.X @ influence) * task.X, axis=1) + mean
    slack = np.maximum(1 - h, 1 / (1 + task.n[0]))
    left_out = (c - noise * h) / slack**2 + noise * h / slack
    return float(np.average(left_out, weights=task.weight))


# --- free scale, stacked ------------------------------------------------------------------


def free_scale_combination(task: Task, *, alpha: float | None) -> Combination:
    """Mixed model with a free scale per source, stacked with target-only ridge.

    Both are linear in the target's outputs at given parameters, so that leave-one-out is
    exact and costs nothing; the stack minimises its squared error over a convex combination.
    """
    path = target_ridge(task, alpha)
    ridge, ridge_loo = path.coef[path.best], path.loo_residuals[path.best]
    penalty = float(path.penalties[path.best])
    domains = random_effects.decompose(task.rows, task.Sxx, task.Sxy, task.Syy)
    effects, search = random_effects.choose_effects(domains)
    mixed = _from_effects(task, domains, effects, search)
    b = stacking_weight(left_out(task, mixed), ridge_loo, task.weight)
    shares = b * mixed.shares
    own = quadratic.shrinkage(domains.s[0], path.penalties[path.best : path.best + 1])[0]
    shares[0] += (1 - b) * (own @ domains.s[0]) / max(domains.s[0].sum(), 1e-300)
    return mixed._replace(
        coef=b * mixed.coef + (1 - b) * ridge,
        weights=weights_from_shares(shares, task.n),
        shares=shares,
        risk=b * mixed.risk + (1 - b) * mixed.target_risk,
        penalty=penalty,
    )


def target_ridge(task: Task, alpha: float | None) -> quadratic.RidgePath:
    """Return target-only ridge along penalties that may be chosen from, or at the given one."""
    return target_path(task, alpha).using_at_most(most_parameters(task))


def target_path(task: Task, alpha: float | None) -> quadratic.RidgePath:
    """Return target-only ridge along all penalties, or at the given one."""
    grid = quadratic.penalty_grid(task.Sxx[0]) if alpha is None else np.array([alpha * task.n[0]])
    return quadratic.ridge_path(task.X, task.Y, grid, task.weight, intercept=task.intercept)


def ridge_error(task: Task, penalty: float, ratio: float) -> Array:
    """Return the covariance of the error of ridge on the target, (p, p), at unit noise.

    Coefficients have variance ``1 / ratio``: with ``A = S + penalty I`` it is
    ``A^{-1} (S + penalty^2 / ratio I) A^{-1}``, the posterior's ``A^{-1}`` where the two agree.
    """
    if penalty == ratio:
        return target_covariance(task, penalty, 1.0)
    s, U = np.linalg.eigh(task.Sxx[0])
    s = np.maximum(s, 0)
    return (U * ((s + penalty**2 / ratio) / (s + penalty) ** 2)) @ U.T


def most_parameters(task: Task) -> float:
    """Return how many degrees of freedom a penalty chosen by leave-one-out may leave a fit.

    Two fewer than rows, as many as least squares may use to have finite expected risk with
    random rows. Closer to interpolation a row left out tells next to nothing, and the least of
    many such errors is chosen by chance.
    """
    return max(float(task.rows[0]) - 2, 1.0)


def stacking_weight(a: Array, b: Array, weight: Array) -> float:
    """Return the part of a in the convex combination of residuals of least weighted squares."""
    difference = b - a
    length = np.sum(weight[:, None] * difference**2)
    if length <= 0:
        return 1.0
    return float(np.clip(np.sum(weight[:, None] * b * difference) / length, 0.0, 1.0))


def ridge_combination(task: Task, *, alpha: float | None) -> Combination:
    """Target-only ridge, its penalty by exact leave-one-out when alpha is None."""
    K = len(task.n) - 1
    free = target_path(task, alpha)
    path = free.using_at_most(most_parameters(task))
    error = path.loo_error[path.best]
    # At leave-one-out the error is noise plus excess risk; the leverage splits the two. The
    # penalty of least error says what the signal is, also where it may not be taken.
    penalty, ratio = (float(each.penalties[each.best]) for each in (path, free))
    influence = target_covariance(task, penalty, 1.0)
    unit = excess_risk(task, ridge_error(task, penalty, ratio), 1.0, influence)
    noise = float(error / (1 + unit)) if error > 0 else 1.0
    covariance = noise * ridge_error(task, penalty, ratio)
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
    )


# --- scalar -------------------------------------------------------------------------------


class Comparison(NamedTuple):
    """Domains compared one by one, in the coordinates of ``discrepancy``."""

    theta: Array  # (K+1, p, q) coefficients
    root: Array  # (p, p) J^{1/2} without the noise: root'root is the mean design
    v: Array  # (K+1,) variance of an entry of whitened coefficients
    n: Array  # (K+1,) rows, worth n_i v_0/v_i where noise differs
    noise: Array  # (K+1,)
    df: float

    def differences(self, theta_0: Array) -> Array:
        """Return whitened differences from theta_0, (p q, K)."""
        delta = self.root @ (self.theta[1:] - theta_0) / np.sqrt(self.noise[0])
        return delta.reshape(len(delta), -1).T


def compare_domains(task: Task, alpha: float | None) -> Comparison:
    """Return each domain's coefficients and their noise.

    A source with fewer rows than features says nothing outside the directions it has seen:
    there it is given the target's coefficients, and its difference within is scaled up.
    """
    domains = random_effects.decompose(task.rows, task.Sxx, task.Sxy, task.Syy)
    noise, df = noise_levels(task.rows, domains)
    p = task.Sxx.shape[1]
    theta = np.array([quadratic.ridge(S, b) for S, b in zip(task.Sxx, task.Sxy, strict=True)])
    ranks = np.sum(domains.s > 0, axis=1)
    if ranks[0] < n_parameters(task.Sxx) or (alpha or 0.0) > 0:
        path = target_ridge(task, alpha)
        theta[0] = path.coef[path.best]
        if np.all(task.rows <= ranks):  # nobody has residuals; the target's errors bound the noise
            noise = np.full_like(noise, max(path.loo_error[path.best], 1e-12))
    for i in np.flatnonzero(ranks[1:] < p) + 1:
        U = domains.U[i]
        stretch = np.sqrt(p / max(ranks[i], 1))
        theta[i] = theta[0] + stretch * U @ (U.T @ (theta[i] - theta[0]))
    design = np.mean(task.Sxx / np.maximum(task.rows, 1.0)[:, None, None], axis=0)
    root = allocation.square_root(design)
    inverse = np.divide(1.0, domains.s, out=np.zeros_like(domains.s), where=domains.s > 0)
    spread = np.sum((root @ domains.U) ** 2, axis=1)  # diagonal of U'JU
    v = np.sum(spread * inverse, axis=1) / np.maximum(ranks, 1) * noise / noise[0]
    return Comparison(theta, root, v, task.n * noise[0] / noise, noise, df)


def scalar_combination(
    task: Task,
    *,
    weights: str | Array,
    alpha: float | None,
    guard: bool,
    constraints: Callable[[Any], list[Any]] | None = None,
) -> Combination:
    """One weight per source row, then weighted least squares on all rows."""
    compared = compare_domains(task, alpha)
    penalty = None if alpha is None else alpha * task.n[0]
    if isinstance(weights, str) and weights == "iterated":
        shares, M = _iterated(task, compared, penalty, guard)
    else:
        shares, M = _shares(task, compared, weights, compared.theta[0], guard)
    if constraints is not None:
        ratio = compared.n[1:] / task.n[1:]
        shares = _constrained(compared.n, M, constraints, ratio)
    w = allocation.weights_from_shares(shares, task.n)
    penalty = _penalty(task, w) if penalty is None else penalty
    return _weighted_least_squares(task, compared, w, M, penalty)


def _constrained(n: Array, M: Array, constraints: Callable[[Any], list[Any]], unit: Array) -> Array:
    from .convex import constrained_weights  # cvxpy takes a second to import

    return allocation.shares_from_weights(constrained_weights(n, M, constraints, unit), n)


def _shares(
    task: Task, compared: Comparison, weights: str | Array, theta_0: Array, guard: bool
) -> tuple[Array, Array]:
    """Return shares on the simplex and the discrepancy behind them."""
    D = compared.differences(theta_0)
    d, n, v = len(D), compared.n, compared.v
    M_plug = discrepancy.plug_in(D)
    rule = weights if isinstance(weights, str) else "given"
    M = M_plug
    if rule in ("eb", "given") and d > 2:
        exponent = discrepancy.james_stein_exponent(d, compared.df) if guard else 0.0
        M = discrepancy.variance_components(D, v, exponent).discrepancy
    if not isinstance(weights, str):
        return allocation.shares_from_weights(weights, task.n), M
    if rule == "eb" and d > 2:
        return allocation.optimal_shares(n, M), M
    if rule == "sure":
        # Without noise of their own in the criterion, sources may take everything; beyond
        # their part in pooled rows nothing speaks for them.
        pooled = n[0] / np.sum(n)
        shares = allocation.floor_target(allocation.mallows_shares(M_plug, v[0]), pooled)
        M = discrepancy.positive_part(discrepancy.debiased(D, v))
    else:  # the paper's plug-in, and what is safest for one or two parameters
        shares = allocation.optimal_shares(n, M)
    if guard and d > 2:
        shares = discrepancy.james_stein_cap(shares, M_plug, n[0], d, compared.df)
    return shares, M


def _iterated(
    task: Task, compared: Comparison, penalty: float | None, guard: bool, max_iter: int = 50
) -> tuple[Array, Array]:
    """The paper's dynamic weights: differences are taken from the current estimate.

    Unsafe: it can collapse onto a wrong source, since the estimate moves towards the source
    that it is then compared to.
    """
    theta_0 = compared.theta[0]
    shares = np.zeros(len(task.n))
    for _ in range(max_iter):
        previous = shares
        shares, M = _shares(task, compared, "plugin", theta_0, guard)
        if np.max(np.abs(shares - previous)) < 1e-8:
            break
        w = allocation.weights_from_shares(shares, task.n)
        theta_0 = _solve(task, w, 0.0 if penalty is None else penalty)
    return shares, M


def _solve(task: Task, w: Array, penalty: float) -> Array:
    rows = np.concatenate(([1.0], w))
    return quadratic.ridge(*quadratic.weighted_moments(rows, task.Sxx, task.Sxy), penalty)


def _penalty(task: Task, w: Array) -> float:
    """Return no penalty where target rows exceed twice the features, else leave-one-out's."""
    if task.rows[0] >= 2 * n_parameters(task.Sxx):
        return 0.0
    A, b = quadratic.weighted_moments(np.concatenate(([1.0], w)), task.Sxx, task.Sxy)
    s, U = np.linalg.eigh(A)
    Z, Ub = task.X @ U, U.T @ b
    grid = quadratic.penalty_grid(A)
    mean = 1 / task.n[0] if task.intercept else 0.0
    errors = np.empty(len(grid))
    for k, penalty in enumerate(grid):
        inverse = 1 / (np.maximum(s, 0) + penalty)
        leverage = Z**2 @ inverse
        e = quadratic.loo_residuals(
            task.Y - Z @ (inverse[:, None] * Ub), (leverage + mean)[:, None]
        )
        errors[k] = np.average(np.mean(e**2, axis=1), weights=task.weight)
        if task.weight @ leverage > most_parameters(task) and penalty < grid[-1]:
            errors[k] = np.inf
    return float(grid[np.argmin(errors)])


def _weighted_least_squares(
    task: Task, compared: Comparison, w: Array, M: Array, penalty: float
) -> Combination:
    """Return the weighted fit with its mean squared error at the estimated discrepancy.

    ``A = sum_i w_i G_i``; the noise contributes ``A^{-1} (sum_i w_i^2 v_i G_i) A^{-1}`` and the
    bias ``A^{-1} (sum_ij w_i w_j Cov_ij(G_i delta_i, G_j delta_j)) A^{-1}``.
    """
    rows = np.concatenate(([1.0], w))
    coef = _solve(task, w, penalty)
    p = task.Sxx.shape[1]
    A = np.tensordot(rows, task.Sxx, 1) + penalty * np.eye(p)
    inner = np.tensordot(rows**2 * compared.noise, task.Sxx, 1)
    inner += penalty * compared.noise[0] * np.eye(p)
    metric = compared.noise[0] * np.linalg.pinv(compared.root @ compared.root, hermitian=True)
    weighted = w[:, None, None] * task.Sxx[1:]
    mixed = np.tensordot(M, weighted, 1)
    inner += np.sum(weighted @ metric @ mixed, axis=0)
    inverse = np.linalg.pinv(A, hermitian=True)
    covariance = inverse @ inner @ inverse
    design = task.Sxx[0] / max(np.trace(task.Sxx[0]), 1e-300)
    shares = rows * np.einsum("pq,kqp->k", design @ inverse, task.Sxx)
    noise = compared.noise[0]
    return Combination(
        coef,
        covariance,
        w,
        shares,
        M,
        noise,
        compared.noise[1:] / noise,
        np.ones(len(w)),
        excess_risk(task, covariance, noise, inverse),
        excess_risk(task, target_covariance(task, penalty, noise), noise),
        penalty,
    )
