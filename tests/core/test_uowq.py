import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from skt.core import least_squares, random_effects, uowq, variance_search
from skt.core.uowq import (
    Problem,
    alone_combination,
    excess_risk,
    matrix_combination,
    n_parameters,
    noise_levels,
    ridge_combination,
    row_weights,
    source_only_combination,
    target_covariance,
)
from skt.core.uowq_scalar import compare_domains, scalar_combination


def task_of(rows, weight=None, intercept=True):
    """The task of domains given as rows (X, Y); weights are those of the target."""
    w = np.ones(len(rows[0][0])) if weight is None else np.asarray(weight, float)
    sums, means = [], []
    for k, (X, Y) in enumerate(rows):
        v = w if k == 0 else np.ones(len(X))
        if intercept:
            mean = np.average(X, axis=0, weights=v), np.average(Y, axis=0, weights=v)
            X, Y = X - mean[0], Y - mean[1]
            means.append(mean)
        if k == 0:
            target = X, Y
        sums.append((v.sum(), (X.T * v) @ X, (X.T * v) @ Y, (Y.T * v) @ Y))
    parts = (np.array(part) for part in zip(*sums, strict=True))
    less = tuple(np.array(part) - part[0] for part in zip(*means, strict=True)) if means else None
    return Problem(*parts, *target, w, intercept, less)


def domains_of(rng, sizes=(30, 60, 80), p=5, q=1, shifts=(0.1, 1.0), noise=1.0):
    W = rng.normal(size=(p, q))
    rows = []
    for n, shift in zip(sizes, (0.0, *shifts), strict=False):
        X = rng.normal(size=(n, p))
        own = W + shift * rng.normal(size=W.shape)
        rows.append((X, X @ own + noise * rng.normal(size=(n, q)) + 1.0))
    return W, rows


RULES = {
    "matrix": lambda task: matrix_combination(task, alpha=None, guard=True),
    "matrix, flat": lambda task: matrix_combination(task, alpha=0.0, guard=False),
    "scalar": lambda task: scalar_combination(task, weights="eb", alpha=None, guard=True),
    "sure": lambda task: scalar_combination(task, weights="sure", alpha=None, guard=True),
    "plugin": lambda task: scalar_combination(task, weights="plugin", alpha=0.1, guard=True),
    "iterated": lambda task: scalar_combination(task, weights="iterated", alpha=None, guard=True),
}


# Every rule -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("sizes", [(30, 60, 80), (9, 60, 80), (5, 60, 3), (30, 2, 80)])
@pytest.mark.parametrize("q", [1, 3])
def test_every_combination_is_sound(rng, rule, sizes, q):
    _, rows = domains_of(rng, sizes, q=q)
    made = rule(task_of(rows))
    assert made.coef.shape == (5, q)
    assert np.isfinite(made.coef).all()
    assert np.linalg.eigvalsh(made.covariance)[0] > -1e-8 * np.trace(made.covariance)
    assert 0 < made.risk < np.inf
    assert 0 < made.target_risk < np.inf
    assert made.shares.shape == (3,)
    assert made.discrepancy.shape == (2, 2)
    assert np.linalg.eigvalsh(made.discrepancy)[0] > -1e-8 * (1 + np.trace(made.discrepancy))


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("sizes", [(30, 60, 80), (6, 60, 80)])
def test_order_of_sources(rng, rule, sizes):
    _, rows = domains_of(rng, sizes)
    one, other = rule(task_of(rows)), rule(task_of([rows[0], rows[2], rows[1]]))
    assert_allclose(other.coef, one.coef, atol=1e-4)
    assert_allclose(other.weights, one.weights[::-1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_weights_are_copies_of_target_rows(rng, rule):
    for sizes in ((30, 60, 80), (6, 60, 80)):
        _, rows = domains_of(rng, sizes)
        w = rng.integers(1, 4, size=sizes[0])
        again = np.repeat(np.arange(sizes[0]), w)
        one = rule(task_of(rows, w))
        other = rule(task_of([(rows[0][0][again], rows[0][1][again]), *rows[1:]]))
        assert_allclose(one.coef, other.coef, atol=1e-6)
        assert_allclose(one.risk, other.risk, rtol=1e-4)


# Target alone -----------------------------------------------------------------------------------


def indicators(rng, n):
    """Rows of indicators of three categories with forty values: most are constant in few rows."""
    X = np.zeros((n, 40))
    for low, high in ((0, 20), (20, 32), (32, 40)):
        X[np.arange(n), rng.integers(low, high, size=n)] = 1
    return X


def indicator_task(rng, sources=0):
    """Sixteen rows of the target whose indicators tell little, sixty of every source."""
    W = 0.3 * rng.normal(size=(40, 1))
    rows = []
    for n in (16, *(60,) * sources):
        X = indicators(rng, n)
        rows.append((X, X @ W + rng.normal(size=(n, 1))))
    return W, rows


def degrees_of_freedom(task, penalty):
    s = np.linalg.eigvalsh(task.Sxx[0])
    return np.sum(s / (s + penalty))


@pytest.mark.parametrize("sources", [0, 2])
def test_leave_one_out_keeps_from_interpolating(sources):
    bound = 0
    for seed in range(20):
        task = task_of(indicator_task(np.random.default_rng(seed), sources)[1])
        chosen = []
        if sources:
            nothing = scalar_combination(task, weights=np.zeros(2), alpha=None, guard=True)
            chosen.append(nothing.penalty)
        chosen.append(ridge_combination(task.alone, alpha=None).penalty)
        assert_allclose(chosen, chosen[0])
        df = degrees_of_freedom(task, chosen[0])
        assert df <= 15 - 2
        bound += df > 15 - 3
    assert bound > 3  # where leave-one-out would have come closer


def test_a_given_penalty_may_interpolate(rng):
    task = task_of(indicator_task(rng)[1])
    made = ridge_combination(task, alpha=1e-8)
    assert_allclose(made.penalty, 16e-8)
    assert_allclose(task.X @ made.coef, task.Y, atol=1e-5)


def test_a_little_signal_is_not_interpolated():
    losses = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        W, rows = indicator_task(rng)
        task, X = task_of(rows), indicators(rng, 400) - rows[0][0].mean(axis=0)
        grid = least_squares.penalty_grid(least_squares.mean_eigenvalue(task.Sxx[0]))
        free = least_squares.ridge_path(task.X, task.Y, grid, task.weight, intercept=True)
        coefs = ridge_combination(task, alpha=None).coef, free.coef[free.best]
        losses.append([np.mean((X @ (coef - W)) ** 2) for coef in coefs])
    bound, unbound = np.mean(losses, axis=0)
    assert bound < 0.95 * unbound


# Scalar -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("w", [(0.0, 0.0), (1.0, 1.0), (0.3, 2.5)])
def test_scalar_minimises_its_objective(rng, alpha, w):
    _, rows = domains_of(rng, q=2)
    task = task_of(rows)
    made = scalar_combination(task, weights=np.array(w), alpha=alpha, guard=True)
    assert_allclose(made.weights, w, atol=1e-12)

    def value(W):
        total = alpha * np.sum(W**2)
        for wi, (X, Y) in zip((1.0, *w), rows, strict=True):
            X, Y = X - X.mean(0), Y - Y.mean(0)
            total += wi * np.sum((Y - X @ W) ** 2) / 30
        return total

    best = value(made.coef)
    for size in (1e-4, 0.1):
        for _ in range(30):
            assert value(made.coef + size * rng.normal(size=(5, 2))) > best


def test_scalar_without_weight_is_the_target_alone(rng):
    _, rows = domains_of(rng)
    task = task_of(rows)
    made = scalar_combination(task, weights=np.zeros(2), alpha=0.2, guard=True)
    theirs = Ridge(0.2 * 30, solver="svd").fit(*rows[0])
    assert_allclose(made.coef, theirs.coef_.reshape(-1, 1), rtol=1e-8)
    assert_allclose(made.risk, made.target_risk, rtol=1e-6)


def test_risk_of_given_weights_is_exact_at_known_discrepancy(rng):
    """``A^-1 (sum w_i^2 v_i G_i + sum_ij w_i w_j M_ij G_i J^-1 G_j) A^-1``, by simulation."""
    _, rows = domains_of(rng, sizes=(30, 60, 80))
    task = task_of(rows)
    w = np.array([0.5, 0.2])
    made = scalar_combination(task, weights=w, alpha=0.0, guard=True)
    compared = compare_domains(task, 0.0)
    G = task.Sxx
    A = G[0] + 0.5 * G[1] + 0.2 * G[2]
    J = compared.root @ compared.root / compared.noise[0]
    inner = sum(wi**2 * v * g for wi, v, g in zip((1, 0.5, 0.2), compared.noise, G, strict=True))
    for i in range(2):
        for j in range(2):
            inner = inner + w[i] * w[j] * made.discrepancy[i, j] * (
                G[i + 1] @ np.linalg.inv(J) @ G[j + 1]
            )
    assert_allclose(made.covariance, np.linalg.inv(A) @ inner @ np.linalg.inv(A), rtol=1e-6)


def test_comparison_whitens_differences(rng):
    """Without discrepancy a row of D has variance ``v_0 + v_i``."""
    squares, expected = [], []
    for seed in range(60):
        _, rows = domains_of(
            np.random.default_rng(seed), sizes=(60, 100, 200), shifts=(0.0, 0.0), p=6
        )
        compared = compare_domains(task_of(rows), 0.0)
        D = compared.differences(compared.theta[0])
        assert D.shape == (6, 2)
        squares.append(np.mean(D**2, axis=0))
        expected.append(compared.v[0] + compared.v[1:])
    assert_allclose(np.mean(squares, axis=0), np.mean(expected, axis=0), rtol=0.2)


def test_source_that_has_seen_few_directions_is_compared_in_those(rng):
    _, rows = domains_of(rng, sizes=(40, 3, 80), shifts=(0.0, 0.0))
    task = task_of(rows)
    compared = compare_domains(task, 0.0)
    domains = random_effects.decompose(task.rows, task.Sxx, task.Sxy, task.Syy)
    U = domains.part(1)[1]
    away = compared.theta[1] - compared.theta[0]
    assert_allclose(away, U @ (U.T @ away), atol=1e-10)


# Exact leave-one-out -------------------------------------------------------------------------


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("n", [4, 8, 20])
def test_leave_one_out_of_the_mixed_model_is_a_refit(rng, n, intercept):
    """At fixed parameters, leaving a row out is fitting without it."""
    _, rows = domains_of(rng, sizes=(n, 60, 80), p=6)
    task = task_of(rows, intercept=intercept)
    domains = random_effects.decompose(task.rows, task.Sxx, task.Sxy, task.Syy)
    effects = random_effects.Effects(
        0.7, np.array([0.2, 0.1, 1.0]), np.array([1.0, 1.3, -0.4]), np.array([1.0, 0.8, 1.2])
    )
    full = random_effects.predict_target(random_effects.Latent(domains, effects))
    h = np.sum((task.X @ full.covariance) * task.X, axis=1) / effects.noise[0]
    h += 1 / n if intercept else 0.0
    ours = (task.Y - task.X @ full.coef)[:, 0] / (1 - h)
    X, Y = rows[0]
    for k in range(n):
        keep = np.arange(n) != k
        less = task_of([(X[keep], Y[keep]), *rows[1:]], intercept=intercept)
        d = random_effects.decompose(less.rows, less.Sxx, less.Sxy, less.Syy)
        W = random_effects.predict_target(random_effects.Latent(d, effects)).coef
        x, y = X[k], Y[k]
        if intercept:
            x, y = x - X[keep].mean(0), y - Y[keep].mean(0)
        assert_allclose(ours[k], (y - x @ W)[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("prior", [0.0, 0.7])
def test_excess_risk_of_a_posterior_is_the_mean_error_on_rows_left_out(rng, intercept, prior):
    """``x'C_(k) x + v/(n-1)``, with C_(k) the posterior covariance without row k."""
    n = 25
    _, rows = domains_of(rng, sizes=(n, 60, 80))
    effects = random_effects.Effects(
        prior, np.array([0.2, 0.1, 1.0]), np.ones(3), np.array([1.5, 0.8, 1.2])
    )

    def covariance(task):
        d = random_effects.decompose(task.rows, task.Sxx, task.Sxy, task.Syy)
        return random_effects.predict_target(random_effects.Latent(d, effects)).covariance

    task = task_of(rows, intercept=intercept)
    ours = excess_risk(task, covariance(task), 1.5)
    X, Y = rows[0]
    theirs = []
    for k in range(n):
        keep = np.arange(n) != k
        less = task_of([(X[keep], Y[keep]), *rows[1:]], intercept=intercept)
        x = X[k] - X[keep].mean(0) if intercept else X[k]
        theirs.append(x @ covariance(less) @ x + (1.5 / (n - 1) if intercept else 0.0))
    assert_allclose(ours, np.mean(theirs), rtol=1e-8)


def test_excess_risk_of_weighted_least_squares_is_that_of_rows_left_out(rng):
    """The error of fixed weights, with bias: the part of the target's noise leaves with a row."""
    n, w, v = 25, 0.4, 1.5
    _, rows = domains_of(rng, sizes=(n, 60), shifts=(0.5,))
    (X, _), (Z, _) = rows
    B = np.diag(rng.exponential(size=5))  # what the source contributes, noise and bias

    def covariance(X):
        inverse = np.linalg.inv(X.T @ X + w * Z.T @ Z)
        return inverse @ (v * X.T @ X + B) @ inverse, inverse

    task = task_of(rows, intercept=False)
    ours = excess_risk(task, *_swap(covariance(X), v))
    theirs = [X[k] @ covariance(X[np.arange(n) != k])[0] @ X[k] for k in range(n)]
    assert_allclose(ours, np.mean(theirs), rtol=1e-8)


def _swap(pair, v):
    covariance, inverse = pair
    return covariance, v, inverse


def test_excess_risk_without_leverage_is_the_plain_quadratic_form(rng):
    X = rng.normal(size=(2000, 3))
    task = task_of([(X, X[:, :1])], intercept=False)
    C = np.diag([1.0, 2.0, 3.0]) * 1e-6
    assert_allclose(excess_risk(task, C, 1.0), np.mean(np.sum((X @ C) * X, 1)), rtol=1e-3)


@pytest.mark.parametrize("penalty", [1e-12, 1e-6, 1e-3])
def test_excess_risk_does_not_vanish_at_leverage_one(rng, penalty):
    """Interpolated rows say nothing of rows to come."""
    X = rng.normal(size=(5, 20))
    task = task_of([(X, X[:, :1])])
    assert excess_risk(task, target_covariance(task, penalty, 1.0), 1.0) > 1.0


# Parts --------------------------------------------------------------------------------------------


def test_wide_target_alone_is_ridge(rng):
    _, rows = domains_of(rng, sizes=(5, 60, 80), p=8)
    alone = alone_combination(task_of(rows).alone, alpha=0.3)
    theirs = Ridge(0.3 * 5, solver="svd").fit(*rows[0])
    assert_allclose(alone.coef, theirs.coef_.reshape(-1, 1), rtol=1e-8)
    assert_allclose(alone.penalty, 0.3 * 5)


def test_two_models_are_averaged_and_their_gap_is_uncertain(rng):
    _, rows = domains_of(rng)
    task = task_of(rows)
    models = variance_search.fit_models(task.domains)
    halves = [model._replace(weight=0.5) for model in models]
    if len(halves) == 1:
        halves *= 2
    other = halves[1].effects._replace(prior=1e3 * halves[1].effects.prior)
    halves[1] = halves[1]._replace(effects=other)
    one, two = (uowq.mixture(task, [half]) for half in halves)
    mean = uowq.mixture(task, halves)
    assert_allclose(mean.coef, (one.coef + two.coef) / 2)
    gap = (one.coef - two.coef) / 2
    assert_allclose(mean.covariance, (one.covariance + two.covariance) / 2 + gap @ gap.T)


def test_ridge_chooses_its_penalty_by_leave_one_out(rng):
    _, rows = domains_of(rng, sizes=(12,), p=8)
    task = task_of(rows)
    made = ridge_combination(task, alpha=None)
    X, Y = rows[0]

    def error(penalty):
        out = 0.0
        for k in range(12):
            keep = np.arange(12) != k
            model = Ridge(penalty, solver="svd").fit(X[keep], Y[keep])
            out += float(np.sum((Y[k] - model.predict(X[k : k + 1])) ** 2))
        return out

    assert error(made.penalty) <= min(map(error, np.geomspace(1e-3, 1e3, 40))) * 1.01


def test_target_covariance(rng):
    _, rows = domains_of(rng)
    task = task_of(rows)
    C = target_covariance(task, 2.0, 1.5)
    assert_allclose(C, 1.5 * np.linalg.inv(task.Sxx[0] + 2 * np.eye(5)), rtol=1e-8)
    _, rows = domains_of(rng, sizes=(3, 60, 80))
    flat = target_covariance(task_of(rows), 0.0, 1.0)
    assert_allclose(flat, np.linalg.pinv(task_of(rows).Sxx[0], rcond=1e-9), rtol=1e-5, atol=1e-8)


def test_noise_levels_are_residual_variances(rng):
    _, rows = domains_of(rng, sizes=(40, 4000, 4000), noise=2.0)
    task = task_of(rows)
    domains = random_effects.decompose(task.rows, task.Sxx, task.Sxy, task.Syy)
    v, df = noise_levels(task.rows, domains)
    assert_allclose(v, 4.0, rtol=0.1)
    assert df > 34
    assert np.isfinite(df)


def test_noise_levels_without_any_residual(rng):
    _, rows = domains_of(rng, sizes=(5, 6, 4))
    task = task_of(rows)
    domains = random_effects.decompose(task.rows, task.Sxx, task.Sxy, task.Syy)
    v, _ = noise_levels(task.rows, domains)
    assert np.all(v > 0)


def test_number_of_parameters_counts_columns_that_vary_somewhere():
    S = np.zeros((2, 4, 4))
    S[0, 0, 0] = S[1, 2, 2] = S[0, 2, 2] = 1.0
    assert n_parameters(S) == 2


def test_weights_from_shares():
    n = np.array([10.0, 20.0, 5.0])
    assert_allclose(row_weights(np.array([0.5, 0.5, 0.1]), n), [0.5, 0.4])
    assert np.isnan(row_weights(np.array([0.0, 0.5, 0.5]), n)).all()


def test_source_only_ignores_nothing_it_can_use(rng):
    W, rows = domains_of(rng, sizes=(1, 200, 200), shifts=(0.1, 0.1))
    made = source_only_combination(task_of(rows))
    assert np.sum((made.coef - W) ** 2) < 0.3 * np.sum(W**2)
    assert_allclose(made.shares[0], 0, atol=1e-12)


def test_flat_matrix_combination_without_sources_is_least_squares(rng):
    _, rows = domains_of(rng, sizes=(30,))
    made = matrix_combination(task_of(rows), alpha=0.0, guard=False)
    X, Y = (part - part.mean(0) for part in rows[0])
    assert_allclose(made.coef, np.linalg.lstsq(X, Y, rcond=None)[0], rtol=1e-8)
    residual = np.sum((Y - X @ made.coef) ** 2) / 24
    assert_allclose(made.noise, residual, rtol=0.1)
    assert_allclose(made.risk, made.target_risk, rtol=1e-9)
    assert "cvxpy" not in vars(uowq)


# Refusal --------------------------------------------------------------------------------------


def spoilt(rng, p=8, n=40):
    """Five sources of which the outcomes have nothing to do with the features, equally precise."""
    W = rng.normal(size=(p, 1))
    X = [rng.normal(size=(m, p)) for m in (n, *[300] * 5)]
    Y = [x @ W + 1.5 * rng.normal(size=(len(x), 1)) for x in X]
    return W, [
        (x, y if k == 0 else rng.permutation(y)) for k, (x, y) in enumerate(zip(X, Y, strict=True))
    ]


def test_sources_that_share_a_flaw_are_found_out_with_and_without_the_guard():
    lost = {True: [], False: []}
    for seed in range(20):
        W, rows = spoilt(np.random.default_rng(seed))
        task = task_of(rows)
        alone = uowq.target_combination(task.alone, alpha=None).coef
        for guard, errors in lost.items():
            found = uowq.matrix_combination(task, alpha=None, guard=guard).coef
            errors.append(np.sum((found - W) ** 2) / np.sum((alone - W) ** 2))
    assert np.mean(lost[False]) < 1.1
    assert np.mean(lost[True]) < 1.1


def test_part_of_the_target_alone_follows_the_evidence(rng):
    W, rows = domains_of(rng, p=3)
    task = task_of(rows)
    alone = uowq.target_combination(task.alone, alpha=None)
    wrong = uowq.matrix_combination(task, alpha=None, guard=False)
    wrong = wrong._replace(coef=alone.coef + 0.5 * rng.normal(size=W.shape))
    squares = [uowq.loo_residuals_of(task, fit)[:, 0] ** 2 for fit in (wrong, alone)]
    relative = squares[0] / squares[0].mean() - squares[1] / squares[1].mean()
    error = np.sqrt(np.mean(relative**2) / (len(relative) - 1))
    gain = np.log(squares[0].mean() / squares[1].mean())
    part = np.exp(-len(relative) / 2 * (gain - error))
    assert 0 < part < 0.95
    found = uowq.unless_refused(task, wrong, alone)
    assert_allclose(found.coef, part * wrong.coef + (1 - part) * alone.coef)
    assert_allclose(found.shares[1:], part * wrong.shares[1:])
    assert_allclose(found.risk, part * wrong.risk + (1 - part) * wrong.target_risk)


def test_nothing_is_refused_that_is_as_good(rng):
    task = task_of(spoilt(rng)[1])
    alone = uowq.target_combination(task.alone, alpha=None)
    assert uowq.unless_refused(task, alone, alone) is alone


def test_target_alone_with_nothing_to_explain(rng):
    X = rng.normal(size=(20, 3))
    task = task_of([(X, np.zeros((20, 1)))])
    assert_array_equal(uowq.target_combination(task, alpha=None).coef, np.zeros((3, 1)))


@pytest.mark.parametrize("intercept", [True, False])
def test_residuals_left_out_are_those_of_a_refit(rng, intercept):
    X, y = rng.normal(size=(15, 3)), rng.normal(size=(15, 1))
    task = task_of([(X, y)], intercept=intercept)
    fit = uowq.matrix_combination(task, alpha=0.0, guard=False)
    columns = np.column_stack([X, np.ones(15)]) if intercept else X
    for i, e in enumerate(uowq.loo_residuals_of(task, fit)):
        others = np.arange(15) != i
        refit = np.linalg.lstsq(columns[others], y[others], rcond=None)[0]
        assert_allclose(e, y[i] - columns[i] @ refit, atol=1e-6)


def test_error_of_ridge_is_that_of_draws_of_coefficients_and_noise(rng):
    """With fewer rows than columns, and a penalty other than the one that the signal asks for."""
    X = rng.normal(size=(4, 7))
    X -= X.mean(axis=0)
    S, penalty, ratio = X.T @ X, 3.0, 0.5
    task = Problem(
        *(np.array([v]) for v in (4.0, S, S[:, :1], S[:1, :1])), X, X[:, :1], np.ones(4), True
    )
    A = np.linalg.inv(S + penalty * np.eye(7))
    bias = A @ S - np.eye(7)
    exact = bias @ bias.T / ratio + A @ S @ A
    assert_allclose(uowq.ridge_error(task, penalty, ratio), exact, atol=1e-12)
    assert_allclose(uowq.ridge_error(task, penalty, penalty), A, atol=1e-12)
