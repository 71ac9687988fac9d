"""Against the dense Gaussian model: ``y_i = X_i (rho_i (W_0 + c) + D_i) + e_i``, i > 0."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import block_diag
from scipy.optimize import approx_fprime

from skt.core import random_effects
from skt.core.random_effects import (
    Effects,
    decompose,
    fit_effects,
    latent_posterior,
    objective,
    predict_target,
)

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
    Sxx = np.array([X.T @ X for X, _ in rows])
    Sxy = np.array([X.T @ Y for X, Y in rows])
    Syy = np.array([Y.T @ Y for _, Y in rows])
    effects = Effects(
        float(rng.exponential()),
        float(rng.exponential()),
        rng.exponential(size=K),
        rng.normal(1, 0.5, size=K),
        rng.exponential(size=K + 1) + 0.1,
    )
    return rows, decompose(np.array(sizes, float), Sxx, Sxy, Syy), effects


def some_effects(rng, K, **fixed):
    return Effects(
        float(rng.exponential()),
        float(rng.exponential()),
        rng.exponential(size=K),
        rng.normal(1, 0.5, size=K),
        rng.exponential(size=K + 1) + 0.1,
    )._replace(**fixed)


class Dense:
    """The joint normal of coefficients and outputs, written out."""

    def __init__(self, rows, e):
        p = rows[0][0].shape[1]
        self.y = np.vstack([Y for _, Y in rows])
        rho = np.r_[1.0, e.scale]
        # How W_0 enters, and the covariance of all that is not W_0.
        self.Z = np.vstack([r * X for r, (X, _) in zip(rho, rows, strict=True)])
        offset = np.vstack(
            [(k > 0) * r * X for k, (r, (X, _)) in enumerate(zip(rho, rows, strict=True))]
        )
        own = np.r_[0.0, e.own]
        self.V = e.common * offset @ offset.T + block_diag(
            *(
                t * X @ X.T + v * np.eye(len(X))
                for t, v, (X, _) in zip(own, e.noise, rows, strict=True)
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
        P = self.Z.T @ np.linalg.solve(self.V, self.Z) + self.e.prior * np.eye(self.p)
        C = np.linalg.inv(P)
        return C @ self.Z.T @ np.linalg.solve(self.V, self.y), C


def every_shape(names=tuple(SHAPES)):
    return pytest.mark.parametrize("shape", [SHAPES[name] for name in names], ids=names)


def offset_prior(domains, e):
    """Half a log of one plus the offset over the harmonic mean of the sources' own variances."""
    if len(e.own) < 2:
        return 0.0
    level = domains.s[1:].sum(axis=1) / domains.sizes[1]
    s = 1 / np.mean(1 / (e.own + e.noise[1:] / level))
    return 0.5 * np.log(1 + e.common / s)


# The likelihood ------------------------------------------------------------------------------


@every_shape()
@pytest.mark.parametrize("deficient", [False, True])
def test_objective_is_the_marginal_likelihood(rng, shape, deficient):
    rows, domains, e = problem(rng, *shape, deficient)
    gaps = [
        objective(domains, e := some_effects(rng, len(e.own)))
        - offset_prior(domains, e)
        - Dense(rows, e).minus_log_likelihood()
        for _ in range(4)
    ]
    assert_allclose(gaps, gaps[0], atol=1e-7)


@every_shape(FLAT)
def test_objective_at_a_flat_prior_is_the_restricted_likelihood(rng, shape):
    rows, domains, e = problem(rng, *shape)
    gaps = [
        objective(domains, e := some_effects(rng, len(e.own), prior=0.0))
        - offset_prior(domains, e)
        - Dense(rows, e).minus_log_likelihood()
        for _ in range(4)
    ]
    assert_allclose(gaps, gaps[0], atol=1e-7)


@every_shape(["long", "all wide"])
def test_objective_without_a_common_offset(rng, shape):
    rows, domains, e = problem(rng, *shape)
    gaps = [
        objective(domains, e := some_effects(rng, len(e.own), common=0.0))
        - Dense(rows, e).minus_log_likelihood()
        for _ in range(3)
    ]
    assert_allclose(gaps, gaps[0], atol=1e-7)


def test_the_prior_fades_into_the_flat_one(rng):
    _, domains, e = problem(rng, *SHAPES["long"])
    almost = predict_target(domains, e._replace(prior=1e-9))
    flat = predict_target(domains, e._replace(prior=0.0))
    assert_allclose(flat.coef, almost.coef, atol=1e-6)
    assert_allclose(flat.covariance, almost.covariance, rtol=1e-6)


@every_shape()
@pytest.mark.parametrize("exponent", [0.0, 1.2])
def test_gradient_by_every_parameter(rng, shape, exponent):
    _, domains, e = problem(rng, *shape)
    K = len(e.own)

    def unpack(x):
        return Effects(x[0], x[1], x[2 : K + 2], x[K + 2 : 2 * K + 2], x[2 * K + 2 :])

    for _ in range(2):
        e = some_effects(rng, K)
        gradient = random_effects._gradient(domains, e, latent_posterior(domains, e), exponent)
        ours = np.concatenate([np.atleast_1d(part) for part in gradient])
        x = np.concatenate([np.atleast_1d(part) for part in e])
        numeric = approx_fprime(x, lambda x: objective(domains, unpack(x), exponent), 1e-6 * x)
        ours = ours[: len(x)]
        assert_allclose(ours, numeric, rtol=2e-3, atol=2e-3 * (1 + np.abs(numeric).max()) * 0.1)


@every_shape(FLAT)
def test_gradient_at_a_flat_prior(rng, shape):
    _, domains, e = problem(rng, *shape)
    K = len(e.own)

    def unpack(x):
        return Effects(0.0, x[0], x[1 : K + 1], x[K + 1 : 2 * K + 1], x[2 * K + 1 :])

    e = e._replace(prior=0.0)
    gradient = random_effects._gradient(domains, e, latent_posterior(domains, e), 0.0)
    ours = np.concatenate([np.atleast_1d(part) for part in gradient[1:]])
    x = np.concatenate([np.atleast_1d(part) for part in e[1:]])
    numeric = approx_fprime(x, lambda x: objective(domains, unpack(x)), 1e-6 * x)
    assert_allclose(ours, numeric, rtol=2e-3, atol=2e-4 * (1 + np.abs(numeric).max()))


# Prediction ------------------------------------------------------------------------------------


@every_shape()
@pytest.mark.parametrize("deficient", [False, True])
@pytest.mark.parametrize("fixed", [{}, {"common": 0.0}, {"prior": 1e-6}])
def test_prediction_is_the_posterior(rng, shape, deficient, fixed):
    rows, domains, e = problem(rng, *shape, deficient)
    if fixed.get("prior") and shape[0] == SHAPES["all wide"][0]:
        pytest.skip("the dense inverse has no digits left")
    e = e._replace(**fixed)
    W, C = Dense(rows, e).posterior()
    ours = predict_target(domains, e)
    assert_allclose(ours.coef, W, rtol=1e-5, atol=1e-6)
    assert_allclose(ours.covariance, C, rtol=1e-5, atol=1e-6 * np.abs(C).max())


@every_shape(FLAT)
def test_prediction_at_a_flat_prior_is_random_effects_meta_analysis(rng, shape):
    """THEORY B3: ``(V_0^-1 + A'C^-1 A)^-1 (V_0^-1 theta_0 + A'C^-1 theta_s)``."""
    rows, domains, e = problem(rng, *shape)
    e = e._replace(prior=0.0, scale=np.ones(len(e.own)))
    ours = predict_target(domains, e)
    W, covariance = Dense(rows, e).posterior()
    assert_allclose(ours.coef, W, rtol=1e-6, atol=1e-7)
    assert_allclose(ours.covariance, covariance, rtol=1e-6, atol=1e-7)
    p, K = shape[1], len(e.own)
    if min(shape[0]) <= p or K == 0:
        return  # the formula needs every domain's own least squares
    theta = [np.linalg.lstsq(X, Y, rcond=None)[0] for X, Y in rows]
    V = [v * np.linalg.inv(X.T @ X) for v, (X, _) in zip(e.noise, rows, strict=True)]
    C = block_diag(*(V[k + 1] + e.own[k] * np.eye(p) for k in range(K)))
    C += e.common * np.kron(np.ones((K, K)), np.eye(p))
    A = np.kron(np.ones((K, 1)), np.eye(p))
    P = np.linalg.inv(V[0]) + A.T @ np.linalg.solve(C, A)
    h = np.linalg.solve(V[0], theta[0]) + A.T @ np.linalg.solve(C, np.vstack(theta[1:]))
    assert_allclose(ours.coef, np.linalg.solve(P, h), rtol=1e-6, atol=1e-8)
    assert_allclose(ours.shares.sum(), 1)


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
            B[i] = domains.U[i].T @ (X.T @ X @ coef)
            A[:, j] = predict_target(domains._replace(B=B), e).coef[:, 0]
        part = np.trace(design @ A) / np.trace(design)
        assert_allclose(shares[i], part, rtol=1e-6, atol=1e-8)
    if flat and np.all(e.scale == 1):
        assert_allclose(shares.sum(), 1)


def test_limits_of_the_offsets(rng):
    rows, domains, e = problem(rng, *SHAPES["long"])
    theta_0 = np.linalg.lstsq(*rows[0], rcond=None)[0]
    e = e._replace(prior=0.0, scale=np.ones(2), common=0.0)
    for far in (e._replace(own=np.full(2, 1e12)), e._replace(common=1e12)):
        assert_allclose(predict_target(domains, far).coef, theta_0, rtol=1e-5, atol=1e-6)
    near = predict_target(domains, e._replace(own=np.zeros(2)))
    weight = np.concatenate(
        [np.full(len(X), 1 / v) for v, (X, _) in zip(e.noise, rows, strict=True)]
    )
    X, Y = (np.vstack(part) for part in zip(*rows, strict=True))
    pooled = np.linalg.solve((X.T * weight) @ X, (X.T * weight) @ Y)
    assert_allclose(near.coef, pooled, rtol=1e-6)


def test_order_of_sources_does_not_matter(rng):
    _, domains, e = problem(rng, *SHAPES["long"])
    turned = random_effects.Domains(*(part[[0, 2, 1]] for part in domains))
    f = e._replace(own=e.own[::-1], scale=e.scale[::-1], noise=e.noise[[0, 2, 1]])
    assert_allclose(objective(turned, f), objective(domains, e))
    assert_allclose(predict_target(turned, f).coef, predict_target(domains, e).coef)


def test_decomposition_of_domains_of_different_rank(rng):
    rows, domains, _ = problem(rng, *SHAPES["wide sources"])
    assert domains.U.shape == (4, 5, 5)
    assert np.sum(domains.s > 0, axis=1).tolist() == [5, 2, 3, 1]
    for i, (X, Y) in enumerate(rows):
        W = np.linalg.lstsq(X, Y, rcond=None)[0]
        assert_allclose((domains.U[i] * domains.s[i]) @ domains.U[i].T, X.T @ X, atol=1e-8)
        assert_allclose(domains.rss[i], np.sum((Y - X @ W) ** 2), atol=1e-8 * np.sum(Y**2))


def test_decomposition_of_nothing():
    zeros = [np.zeros(shape) for shape in ((2, 3, 3), (2, 3, 1), (2, 1, 1))]
    domains = decompose(np.array([1.0, 0.0]), *zeros)
    assert domains.s.shape == (2, 1)
    assert np.all(domains.rss == 0)


# Maximum likelihood -----------------------------------------------------------------------------


def simulate(rng, sizes, p, e):
    """Rows drawn from the model; W_0 as well."""
    W = rng.normal(size=(p, 1)) / np.sqrt(e.prior)
    c = np.sqrt(e.common) * rng.normal(size=(p, 1))
    rows = []
    for k, n in enumerate(sizes):
        X = rng.normal(size=(n, p))
        own = W
        if k > 0:
            own = e.scale[k - 1] * (W + c) + np.sqrt(e.own[k - 1]) * rng.normal(size=(p, 1))
        rows.append((X, X @ own + np.sqrt(e.noise[k]) * rng.normal(size=(n, 1))))
    Sxx = np.array([X.T @ X for X, _ in rows])
    Sxy = np.array([X.T @ Y for X, Y in rows])
    Syy = np.array([Y.T @ Y for _, Y in rows])
    return W, decompose(np.array(sizes, float), Sxx, Sxy, Syy)


def test_parameters_are_recovered():
    rng = np.random.default_rng(0)
    true = Effects(2.0, 0.3, np.array([0.05, 1.0, 0.0]), np.ones(3), np.array([1.0, 0.5, 2.0, 1.0]))
    p = 150
    _, domains = simulate(rng, (600, 500, 700, 500), p, true)
    fit = fit_effects(domains)[0]
    assert_allclose(fit.prior, 2.0, rtol=0.35)
    assert_allclose(fit.common, 0.3, rtol=0.35)
    assert_allclose(fit.own, true.own, rtol=0.4, atol=0.03)
    assert_allclose(fit.noise, true.noise, rtol=0.15)


def test_scales_are_recovered():
    rng = np.random.default_rng(0)
    true = Effects(1.0, 0.0, np.array([0.1, 0.2, 0.1]), np.array([1.5, 0.3, -0.7]), np.ones(4))
    _, domains = simulate(rng, (150, 300, 300, 300), 60, true)
    fit = fit_effects(domains, scale_spread=0.5)[0]
    assert_allclose(fit.scale, true.scale, atol=0.2)
    assert fit.common == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [{}, {"scale_spread": 0.5}, {"exponent": 1.1}, {"prior": 0.7}])
def test_maximum_is_not_improved_by_perturbation(seed, options):
    rng = np.random.default_rng(seed)
    e = some_effects(rng, 2)
    _, domains = simulate(rng, (25, 30, 20), 6, e)
    fit = fit_effects(domains, **options)[0]
    spread = options.get("scale_spread")

    def value(e):
        pull = np.sum((e.scale - 1) ** 2) / 2 / spread**2 if spread else 0.0
        return objective(domains, e, options.get("exponent", 0.0)) + pull

    best = value(fit)
    for size in (0.01, 0.3):
        for _ in range(30):
            other = Effects(
                fit.prior * (1.0 if "prior" in options else np.exp(size * rng.normal())),
                fit.common * np.exp(size * rng.normal()),
                fit.own * np.exp(size * rng.normal(size=2)),
                fit.scale + (size * rng.normal(size=2) if spread else 0.0),
                fit.noise * np.exp(size * rng.normal(size=3)),
            )
            assert value(other) > best - 1e-3


def test_what_is_given_is_kept(rng):
    _, domains = simulate(rng, (25, 30, 20), 4, some_effects(rng, 2))
    noise = np.array([1.0, 2.0, 3.0])
    fit = fit_effects(domains, noise=noise, prior=0.3)[0]
    assert fit.prior == 0.3
    assert_allclose(fit.noise, noise)
    assert_allclose(fit.scale, 1)
    alone = simulate(rng, (25,), 4, some_effects(rng, 0))[1]
    assert fit_effects(alone, noise=noise[:1], prior=0.3)[0].prior == 0.3


def test_the_maximum_does_not_depend_on_how_many_rows_a_source_stands_for(rng):
    """A source a million times as large must not stop the search early."""
    _, domains = simulate(
        rng, (8, 1000), 12, Effects(1.0, 0.0, np.full(1, 1e-3), np.ones(1), np.ones(2))
    )
    k = np.array([1.0, 1e6])
    large = domains._replace(
        n=domains.n * k,
        s=domains.s * k[:, None],
        B=domains.B * k[:, None, None],
        fit=domains.fit * k[:, None],
        rss=domains.rss * k,
    )
    shares = [
        predict_target(d, fit_effects(d, scale_spread=0.5)[0]).shares[1] for d in (domains, large)
    ]
    assert shares[0] > 0.5
    assert_allclose(shares[1], shares[0], atol=0.1)


@pytest.mark.parametrize("y_scale", [1e-30, 1e-3, 1e6, 1e30])
def test_units_of_outputs(rng, y_scale):
    _, domains = simulate(rng, (25, 30, 20), 4, some_effects(rng, 2))
    far = domains._replace(
        B=domains.B * y_scale, fit=domains.fit * y_scale**2, rss=domains.rss * y_scale**2
    )
    one = predict_target(domains, fit_effects(domains)[0])
    other = predict_target(far, fit_effects(far)[0])
    assert_allclose(other.coef / y_scale, one.coef, rtol=1e-2, atol=1e-2 * np.abs(one.coef).max())
