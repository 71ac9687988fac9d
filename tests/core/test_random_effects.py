"""Against the dense Gaussian model: ``y_i = X_i (rho_i m + D_i) + e_i``."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import block_diag
from scipy.optimize import approx_fprime

from skt.core import random_effects, variance_search
from skt.core.random_effects import Effects, Latent, decompose, objective, vector
from skt.core.variance_search import alike, fit_effects, fit_models

# Rows of the target and of the sources, features, outputs.
SHAPES = {
    "long": ((20, 15, 30), 4, 1),
    "one source": ((9, 12), 3, 1),
    "several outputs": ((20, 15, 30), 4, 3),
    "wide target": ((3, 15, 30), 5, 1),
    "wide sources": ((20, 2, 3, 1), 5, 2),
    "all wide": ((3, 4, 2), 6, 2),
    "no source": ((9,), 3, 2),
    "one feature": ((9, 7), 1, 1),
}
FLAT = ["long", "one source", "several outputs", "wide sources", "no source", "one feature"]


def problem(rng, sizes, p, q, deficient=False):
    """Rows (X, Y) of every domain, its statistics, and some parameters."""
    K = len(sizes) - 1
    rows = []
    for n in sizes:
        X = rng.normal(size=(n, p)) * np.exp(rng.normal(size=p))
        if deficient and len(rows) > 0:
            X[:, -1] = X[:, 0]
        rows.append((X, rng.normal(size=(n, q)) + X @ rng.normal(size=(p, q))))
    return rows, decompose_rows(rows), some_effects(rng, K)


def some_effects(rng, K, **fixed):
    return Effects(
        float(rng.exponential()),
        rng.exponential(size=K + 1),
        np.append(1.0, rng.normal(1, 0.5, size=K)),
        rng.exponential(size=K + 1) + 0.1,
    )._replace(**fixed)


def unpack(x):
    """Parameters from a vector in the order of `random_effects.vector`."""
    return Effects(x[0], *np.split(x[1:], 3))


def predict_target(domains, e):
    return random_effects.predict_target(Latent(domains, e))


class Dense:
    """The joint normal of coefficients and outputs, written out."""

    def __init__(self, rows, e):
        p = rows[0][0].shape[1]
        self.y = np.vstack([Y for _, Y in rows])
        self.rows = rows
        # How m enters, and the covariance of all that is not m.
        self.Z = np.vstack([r * X for r, (X, _) in zip(e.scale, rows, strict=True)])
        self.V = block_diag(
            *(
                t * X @ X.T + v * np.eye(len(X))
                for t, v, (X, _) in zip(e.own, e.noise, rows, strict=True)
            )
        )
        self.e, self.p = e, p

    def minus_log_likelihood(self):
        """Up to a constant; over a flat prior the coefficients are integrated out."""
        q = self.y.shape[1]
        if self.e.prior > 0:
            C = self.V + self.Z @ self.Z.T / self.e.prior
            return (q * np.linalg.slogdet(C)[1] + np.sum(self.y * np.linalg.solve(C, self.y))) / 2
        precision = self.Z.T @ np.linalg.solve(self.V, self.Z)
        W, _ = self.posterior()
        r = self.y - self.Z @ W
        value = q * (np.linalg.slogdet(self.V)[1] + np.linalg.slogdet(precision)[1])
        return (value + np.sum(r * np.linalg.solve(self.V, r))) / 2

    def posterior(self):
        """Mean and covariance of m."""
        P = self.Z.T @ np.linalg.solve(self.V, self.Z) + self.e.prior * np.eye(self.p)
        C = np.linalg.inv(P)
        return C @ self.Z.T @ np.linalg.solve(self.V, self.y), C

    def target(self):
        """Mean and covariance of W_0, by the joint normal of W_0 and all outputs."""
        prior, X = self.e.prior, self.rows[0][0]
        cov = self.V + self.Z @ self.Z.T / prior
        cross = self.Z.T / prior
        cross[:, : len(X)] += self.e.own[0] * X.T
        gain = np.linalg.solve(cov, cross.T).T
        return gain @ self.y, (1 / prior + self.e.own[0]) * np.eye(self.p) - gain @ cross.T


def decompose_rows(rows):
    """Statistics of rows (X, Y) of every domain."""
    Sxx = np.array([X.T @ X for X, _ in rows])
    Sxy = np.array([X.T @ Y for X, Y in rows])
    Syy = np.array([Y.T @ Y for _, Y in rows])
    return decompose(np.array([len(X) for X, _ in rows], float), Sxx, Sxy, Syy)


def every_shape(names=tuple(SHAPES)):
    return pytest.mark.parametrize("shape", [SHAPES[name] for name in names], ids=names)


# The likelihood ------------------------------------------------------------------------------


@every_shape()
@pytest.mark.parametrize("deficient", [False, True])
def test_objective_is_the_marginal_likelihood(rng, shape, deficient):
    rows, domains, e = problem(rng, *shape, deficient)
    gaps = [
        objective(domains, e := some_effects(rng, len(e.own) - 1))
        - Dense(rows, e).minus_log_likelihood()
        for _ in range(4)
    ]
    assert_allclose(gaps, gaps[0], atol=1e-7)


@every_shape(FLAT)
def test_objective_at_a_flat_prior_is_the_restricted_likelihood(rng, shape):
    rows, domains, e = problem(rng, *shape)
    gaps = [
        objective(domains, e := some_effects(rng, len(e.own) - 1, prior=0.0))
        - Dense(rows, e).minus_log_likelihood()
        for _ in range(4)
    ]
    assert_allclose(gaps, gaps[0], atol=1e-7)


def test_the_prior_fades_into_the_flat_one(rng):
    _, domains, e = problem(rng, *SHAPES["long"])
    almost = predict_target(domains, e._replace(prior=1e-9))
    flat = predict_target(domains, e._replace(prior=0.0))
    assert_allclose(flat.coef, almost.coef, atol=1e-6)
    assert_allclose(flat.covariance, almost.covariance, rtol=1e-6)


def numeric_gradient(domains, e):
    x = vector(e)
    return approx_fprime(x, lambda x: objective(domains, unpack(x)), 1e-6 * np.abs(x))


@every_shape()
def test_gradient_by_every_parameter(rng, shape):
    _, domains, e = problem(rng, *shape)
    for _ in range(2):
        e = some_effects(rng, len(e.own) - 1)
        numeric = numeric_gradient(domains, e)
        ours = vector(random_effects.gradient(Latent(domains, e)))
        assert_allclose(ours, numeric, rtol=2e-3, atol=2e-4 * (1 + np.abs(numeric).max()))


@every_shape(FLAT)
def test_gradient_at_a_flat_prior(rng, shape):
    _, domains, e = problem(rng, *shape)
    e = e._replace(prior=0.0)
    numeric = numeric_gradient(domains, e)[1:]
    ours = vector(random_effects.gradient(Latent(domains, e)))[1:]
    assert_allclose(ours, numeric, rtol=2e-3, atol=2e-4 * (1 + np.abs(numeric).max()))


@every_shape()
def test_average_information(rng, shape):
    """``f_j' V^{-1} f_k / 2`` with f_j = (dV / d theta_j) V^{-1} y, written out."""
    rows, domains, e = problem(rng, *shape)

    def covariance(x):
        dense = Dense(rows, unpack(x))
        return dense.V + dense.Z @ dense.Z.T / x[0]

    x, y = vector(e), Dense(rows, e).y
    V = covariance(x)
    z = np.linalg.solve(V, y)
    f = []
    for j in range(len(x)):
        step = np.eye(len(x))[j] * 1e-6 * abs(x[j])
        f.append((covariance(x + step) - covariance(x - step)) @ z / (2e-6 * abs(x[j])))
    expected = np.array([[np.sum(a * np.linalg.solve(V, b)) / 2 for a in f] for b in f])
    ours = random_effects.information(Latent(domains, e)).dense
    # Of what no coefficients explain, the expected information stands for the observed one.
    noise = 1 + 2 * len(e.own) + np.arange(len(e.own))
    free = (domains.n - domains.ranks) * shape[2]
    expected[noise, noise] += free / e.noise**2 / 2 - domains.rss / e.noise**3 / 2
    assert_allclose(ours, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


# Prediction ------------------------------------------------------------------------------------


@every_shape()
@pytest.mark.parametrize("deficient", [False, True])
@pytest.mark.parametrize("fixed", [{}, {"prior": 1e-4}])
def test_prediction_is_the_posterior(rng, shape, deficient, fixed):
    rows, domains, e = problem(rng, *shape, deficient)
    e = e._replace(**fixed)
    W, C = Dense(rows, e).target()
    ours = predict_target(domains, e)
    assert_allclose(ours.coef, W, rtol=1e-5, atol=1e-6)
    assert_allclose(ours.covariance, C, rtol=1e-5, atol=1e-6 * np.abs(C).max())


@every_shape(FLAT)
def test_prediction_at_a_flat_prior_is_random_effects_meta_analysis(rng, shape):
    """THEORY B3: ``(V_0^-1 + A'C^-1 A)^-1 (V_0^-1 theta_0 + A'C^-1 theta_s)``."""
    rows, domains, e = problem(rng, *shape)
    K, p = len(e.own) - 1, shape[1]
    e = e._replace(prior=0.0, scale=np.ones(K + 1))
    if K == 0:  # W_0 = m + D_0 of one domain is flat, whatever the variance of D_0
        e = e._replace(own=np.zeros(1))
    ours = predict_target(domains, e)
    assert_allclose(ours.shares.sum(), 1)
    if min(shape[0]) <= p or K == 0:
        return  # the formula needs every domain's own least squares
    theta = [np.linalg.lstsq(X, Y, rcond=None)[0] for X, Y in rows]
    V = [v * np.linalg.inv(X.T @ X) for v, (X, _) in zip(e.noise, rows, strict=True)]
    C = block_diag(*(V[k] + e.own[k] * np.eye(p) for k in range(1, K + 1)))
    C += e.own[0] * np.kron(np.ones((K, K)), np.eye(p))
    A = np.kron(np.ones((K, 1)), np.eye(p))
    P = np.linalg.inv(V[0]) + A.T @ np.linalg.solve(C, A)
    h = np.linalg.solve(V[0], theta[0]) + A.T @ np.linalg.solve(C, np.vstack(theta[1:]))
    assert_allclose(ours.coef, np.linalg.solve(P, h), rtol=1e-6, atol=1e-8)
    assert_allclose(ours.covariance, np.linalg.inv(P), rtol=1e-6, atol=1e-8)


@every_shape(["long", "several outputs", "wide sources"])
@pytest.mark.parametrize("flat", [True, False])
def test_shares_are_mean_parts_of_each_domain(rng, shape, flat):
    """The prediction is ``sum_i A_i theta_i``; a share is ``tr(S A_i) / tr S``, S the design."""
    rows, domains, e = problem(rng, *shape)
    e = e._replace(prior=0.0 if flat else e.prior)
    p, q = shape[1:]
    shares = predict_target(domains, e).shares
    design = rows[0][0].T @ rows[0][0]
    for i, (X, _) in enumerate(rows):
        A = np.empty((p, p))
        for j in range(p):
            B = np.zeros_like(domains.B)
            coef = np.zeros((p, q))
            coef[j, 0] = 1.0
            here = slice(domains.first[i], domains.first[i] + domains.lengths[i])
            B[here] = domains.U[:, here].T @ (X.T @ X @ coef)
            A[:, j] = predict_target(domains._replace(B=B), e).coef[:, 0]
        part = np.trace(design @ A) / np.trace(design)
        assert_allclose(shares[i], part, rtol=1e-6, atol=1e-8)
    if flat and np.all(e.scale == 1):
        assert_allclose(shares.sum(), 1)


def test_limits_of_the_offsets(rng):
    rows, domains, e = problem(rng, *SHAPES["long"])
    theta_0 = np.linalg.lstsq(*rows[0], rcond=None)[0]
    e = e._replace(prior=0.0, scale=np.ones(3), own=np.zeros(3))
    for far in ([0.0, 1e12, 1e12], [1e12, 0.0, 0.0]):
        found = predict_target(domains, e._replace(own=np.array(far))).coef
        assert_allclose(found, theta_0, rtol=1e-5, atol=1e-6)
    near = predict_target(domains, e)
    weight = np.concatenate(
        [np.full(len(X), 1 / v) for v, (X, _) in zip(e.noise, rows, strict=True)]
    )
    X, Y = (np.vstack(part) for part in zip(*rows, strict=True))
    pooled = np.linalg.solve((X.T * weight) @ X, (X.T * weight) @ Y)
    assert_allclose(near.coef, pooled, rtol=1e-6)


def test_order_of_sources_does_not_matter(rng):
    rows, domains, e = problem(rng, *SHAPES["long"])
    turn = [0, 2, 1]
    turned = decompose_rows([rows[i] for i in turn])
    f = e._replace(own=e.own[turn], scale=e.scale[turn], noise=e.noise[turn])
    assert_allclose(objective(turned, f), objective(domains, e))
    assert_allclose(predict_target(turned, f).coef, predict_target(domains, e).coef)


@every_shape(["wide sources", "all wide"])
def test_decomposition_of_domains_of_different_rank(rng, shape):
    rows, domains, _ = problem(rng, *shape)
    p = shape[1]
    assert domains.ranks.tolist() == [min(n, p) for n in shape[0]]
    for i, (X, Y) in enumerate(rows):
        W = np.linalg.lstsq(X, Y, rcond=None)[0]
        s, U, B = domains.part(i)
        assert_allclose((U * s) @ U.T, X.T @ X, atol=1e-8)
        assert_allclose(B, U.T @ X.T @ Y, atol=1e-8)
        assert_allclose(domains.rss[i], np.sum((Y - X @ W) ** 2), atol=1e-8 * np.sum(Y**2))


def test_few_directions_are_seen_in_their_span_alone(rng):
    """Sources of three rows among forty features: all happens in nine dimensions."""
    rows, domains, e = problem(rng, (3, 4, 2), 40, 1)
    assert domains.U.shape == (9, 9)
    assert domains.basis.shape == (40, 9)
    W, C = Dense(rows, e).target()
    assert_allclose(predict_target(domains, e).coef, W, atol=1e-8)
    assert_allclose(predict_target(domains, e).covariance, C, atol=1e-8)


def test_decomposition_of_nothing():
    zeros = [np.zeros(shape) for shape in ((2, 3, 3), (2, 3, 1), (2, 1, 1))]
    domains = decompose(np.array([1.0, 0.0]), *zeros)
    assert domains.s.tolist() == [0, 0]
    assert np.all(domains.rss == 0)


# The search ------------------------------------------------------------------------------------


def simulate(rng, sizes, p, e):
    """Rows drawn from the model; statistics of the domains."""
    m = rng.normal(size=(p, 1)) / np.sqrt(e.prior)
    rows = []
    for n, own, scale, noise in zip(sizes, e.own, e.scale, e.noise, strict=True):
        X = rng.normal(size=(n, p))
        W = scale * m + np.sqrt(own) * rng.normal(size=(p, 1))
        rows.append((X, X @ W + np.sqrt(noise) * rng.normal(size=(n, 1))))
    return decompose_rows(rows)


def test_parameters_are_recovered():
    rng = np.random.default_rng(0)
    true = Effects(2.0, np.array([0.3, 0.2, 0.4, 0.3]), np.ones(4), np.array([1.0, 0.5, 2.0, 1.0]))
    domains = simulate(rng, (600, 500, 700, 500), 150, true)
    fit = fit_effects(domains).effects
    assert_allclose(fit.prior, 2.0, rtol=0.35)
    assert_allclose(fit.own, true.own, rtol=0.35)
    assert_allclose(fit.noise, true.noise, rtol=0.15)


def test_scales_are_recovered():
    rng = np.random.default_rng(0)
    scale = np.array([1.0, 1.5, 0.3, -0.7])
    domains = simulate(
        rng, (150, 300, 300, 300), 60, Effects(1.0, np.full(4, 0.1), scale, np.ones(4))
    )
    assert_allclose(fit_effects(domains, scaled=True).effects.scale, scale, atol=0.25)
    assert_allclose(fit_effects(domains).effects.scale, 1)


def test_a_domain_that_is_unlike_the_rest_is_found_out():
    rng = np.random.default_rng(0)
    own = np.array([0.01, 0.01, 4.0, 0.01, 0.01])
    domains = simulate(rng, (40, 200, 200, 200, 200), 20, Effects(1.0, own, np.ones(5), np.ones(5)))
    found = fit_effects(domains).effects.own
    assert found[2] > 1
    assert np.all(np.delete(found, 2) < 0.05)


def test_the_target_may_be_unlike_all_its_sources():
    rng = np.random.default_rng(0)
    own = np.array([4.0, 0.01, 0.01, 0.01])
    domains = simulate(rng, (40, 200, 200, 200), 20, Effects(1.0, own, np.ones(4), np.ones(4)))
    assert fit_effects(domains).effects.common > 1


def log_prior(e, scaled, noise_free):
    """Minus the logarithm of the priors of the module, written out; the centres are maximised."""
    from scipy.optimize import minimize_scalar
    from scipy.stats import norm, t

    vs = variance_search
    K = len(e.own) - 1
    spread = np.append(vs.TARGET_SPREAD, np.full(K, vs.OWN_SPREAD))

    def best(values, spread, df, extra=lambda c: 0.0):
        def loss(c):
            return -np.sum(t.logpdf((values - c) / spread, df)) - extra(c)

        grid = np.linspace(np.min(values), np.max(values), 50)
        c = grid[np.argmin([loss(c) for c in grid])]
        width = np.ptp(values) / 25 + 1e-3
        return minimize_scalar(loss, bounds=(c - width, c + width), method="bounded").fun

    total = best(np.log(e.own), spread, vs.OWN_DF)
    if noise_free:
        total += best(np.log(e.noise), vs.NOISE_SPREAD, vs.NOISE_DF)
    if scaled:
        prior = norm(1.0, vs.COMMON_SCALE_SPREAD)
        total += best(e.scale[1:], vs.SCALE_SPREAD, vs.SCALE_DF, prior.logpdf)
    return total


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("options", [{}, {"scaled": True}, {"prior": 0.7}])
def test_maximum_is_not_improved_by_perturbation(seed, options):
    rng = np.random.default_rng(seed)
    domains = simulate(rng, (25, 30, 20), 6, some_effects(rng, 2))
    model = fit_effects(domains, **options)
    assert model.search.converged
    fit, scaled = model.effects, options.get("scaled", False)

    def value(e):
        return objective(domains, e) + log_prior(e, scaled, True)

    best = value(fit)
    for size in (0.01, 0.3):
        for _ in range(8):
            other = Effects(
                fit.prior * (1.0 if "prior" in options else np.exp(size * rng.normal())),
                fit.own * np.exp(size * rng.normal(size=3)),
                fit.scale + np.append(0.0, size * rng.normal(size=2) if scaled else np.zeros(2)),
                fit.noise * np.exp(size * rng.normal(size=3)),
            )
            assert value(other) > best - 2e-3


@pytest.mark.parametrize("precision", [0.0, 0.7])
def test_prior_of_values_that_are_alike(rng, precision):
    values, spread = rng.normal(size=5), rng.uniform(0.3, 2, size=5)
    prior = alike(values, spread, 3.0, 1.0, precision)
    for j in range(5):
        step = 1e-5 * np.eye(5)[j]
        up, down = (alike(values + s, spread, 3.0, 1.0, precision).value for s in (step, -step))
        assert_allclose(prior.slope[j], (up - down) / 2e-5, atol=1e-6)
    assert np.all(np.linalg.eigvalsh(prior.curvature) > -1e-10)
    moved = alike(values + 5, spread, 3.0, 6.0, precision)
    assert_allclose(moved.value, prior.value)


def test_steps_do_not_grow_with_the_number_of_sources():
    rng, steps = np.random.default_rng(0), []
    for K in (3, 30, 100):
        e = some_effects(rng, K, prior=1.0, scale=np.ones(K + 1))
        steps.append(fit_effects(simulate(rng, (20,) * (K + 1), 8, e)).search.n_iter)
    assert max(steps) <= 30


def test_models_are_weighted_by_evidence():
    rng = np.random.default_rng(0)
    e = Effects(1.0, np.full(4, 0.02), np.ones(4), np.ones(4))
    plain = fit_models(simulate(rng, (40, 200, 200, 200), 10, e))
    assert plain[0].weight > 0.5
    assert_allclose(sum(model.weight for model in plain), 1, atol=2e-3)
    mirrored = fit_models(
        simulate(rng, (40, 200, 200, 200), 10, e._replace(scale=np.array([1, -1, -1, -1.0])))
    )
    assert_allclose(mirrored[-1].effects.scale[1:], -1, atol=0.3)
    assert mirrored[-1].weight > 0.99


def test_what_is_given_is_kept(rng):
    domains = simulate(rng, (25, 30, 20), 4, some_effects(rng, 2))
    noise = np.array([1.0, 2.0, 3.0])
    fit = fit_effects(domains, noise=noise, prior=0.3).effects
    assert_allclose(fit.prior, 0.3)
    assert_allclose(fit.noise, noise)
    assert_allclose(fit.scale, 1)
    alone = simulate(rng, (25,), 4, some_effects(rng, 0))
    assert_allclose(fit_effects(alone, noise=noise[:1], prior=0.3).effects.prior, 0.3)


def test_the_maximum_does_not_depend_on_how_many_rows_a_source_stands_for(rng):
    """A source a million times as large must not stop the search early."""
    domains = simulate(rng, (8, 1000), 12, Effects(1.0, np.full(2, 1e-3), np.ones(2), np.ones(2)))
    k = np.array([1.0, 1e6])
    each = domains.spread_out(k)
    large = domains._replace(
        n=domains.n * k,
        s=domains.s * each,
        B=domains.B * each[:, None],
        fit=domains.fit * each,
        rss=domains.rss * k,
    )
    shares = [predict_target(d, fit_effects(d).effects).shares[1] for d in (domains, large)]
    assert shares[0] > 0.4
    assert_allclose(shares[1], shares[0], atol=0.1)


@pytest.mark.parametrize("y_scale", [1e-30, 1e-3, 1e6, 1e30])
def test_units_of_outputs(rng, y_scale):
    domains = simulate(rng, (25, 30, 20), 4, some_effects(rng, 2))
    far = domains._replace(
        B=domains.B * y_scale, fit=domains.fit * y_scale**2, rss=domains.rss * y_scale**2
    )
    one = predict_target(domains, fit_effects(domains).effects)
    other = predict_target(far, fit_effects(far).effects)
    assert_allclose(other.coef / y_scale, one.coef, rtol=1e-2, atol=1e-2 * np.abs(one.coef).max())
