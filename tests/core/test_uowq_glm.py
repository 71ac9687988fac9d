"""Random effects of classes and counts: the mode, the evidence, left-out rows, weights."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from skt.core import uowq_glm
from skt.core.evidence import Evidence
from skt.core.families import LOGISTIC, POISSON, Offered, indicators
from skt.core.rows import Rows
from skt.core.uowq_glm import OfModel, OfRows, Variances


def draw(rng, n, B, family=LOGISTIC):
    X = np.column_stack([np.ones(n), rng.normal(size=(n, len(B) - 1))])
    eta = X @ B
    if family is POISSON:
        return Rows(X, rng.poisson(np.exp(eta)).astype(float), np.ones(n))
    if B.shape[1] == 1:
        return Rows(X, (rng.random((n, 1)) < LOGISTIC.mean(eta)).astype(float), np.ones(n))
    codes = np.argmax(eta + rng.gumbel(size=eta.shape), axis=1)
    return Rows(X, indicators(codes, B.shape[1]), np.ones(n))


def task(rng, q=1, family=LOGISTIC, sizes=(40, 150, 150), p=3, spread=0.3):
    B = 0.5 * rng.normal(size=(p + 1, q))
    domains = [
        OfRows(family, draw(rng, n, B + spread * rng.normal(size=B.shape) * (k > 0), family))
        for k, n in enumerate(sizes)
    ]
    return domains, np.repeat(np.arange(p + 1) > 0, q)


@pytest.mark.parametrize(("q", "family"), [(1, LOGISTIC), (3, LOGISTIC), (1, POISSON)])
def test_fit_is_a_minimum_of_the_objective(rng, q, family):
    domains, slopes = task(rng, q, family)
    effects = uowq_glm.fit_glmm(domains, slopes)
    assert effects.converged
    m, d, variances = effects.state

    def value(x):
        parts = x.reshape(len(domains) + 1, -1)
        return uowq_glm.objective(domains, parts[0], parts[1:], variances, slopes)

    x = np.vstack([m, d]).ravel()
    best = minimize(value, x, method="BFGS", options={"gtol": 1e-5}).fun
    assert value(x) - best < 1e-2  # a hundredth of a unit of log-likelihood


def test_posterior_is_that_of_the_joint_gaussian(rng):
    K, P = 2, 3
    H = np.array([(A := rng.normal(size=(5, P))).T @ A for _ in range(K + 1)])
    b, slopes = rng.normal(size=(K + 1, P)), np.array([False, True, True])
    own = rng.uniform(0.1, 1, size=(K + 1, 2))
    variances = Variances(own, np.ones(2), np.array([0.7, 2.0]))
    got = uowq_glm.posterior_of(H, b, variances, slopes)
    # The same as one Gaussian in (m, d_0, ..., d_K).
    T = np.where(slopes, own[:, :1], own[:, 1:])
    precision = np.diag(np.concatenate([1 / np.where(slopes, 0.7, 2.0), (1 / T).ravel()]))
    right = np.zeros(len(precision))
    for k in range(K + 1):
        take = np.zeros((P, len(precision)))
        take[:, :P] = np.eye(P)
        take[:, (k + 1) * P : (k + 2) * P] = np.eye(P)
        precision += take.T @ H[k] @ take
        right += take.T @ b[k]
    covariance = np.linalg.inv(precision)
    mode = covariance @ right
    assert_allclose(got.centre, mode[:P], rtol=1e-9)
    assert_allclose(got.away.ravel(), mode[P:], rtol=1e-9)
    take = np.zeros((P, len(precision)))
    take[:, :P] = take[:, 2 * P : 3 * P] = np.eye(P)
    assert_allclose(got.covariance_of(1), take @ covariance @ take.T, rtol=1e-8)
    shares = got.shares_of(1, np.eye(P))
    # Shares are traces of the influence of every domain's estimate.
    influence = [
        np.trace(take @ covariance @ each.T @ H[k])
        for k in range(K + 1)
        for each in [_both(P, k, len(precision))]
    ]
    assert_allclose(shares, np.array(influence) / P, rtol=1e-8)


def _both(P, k, size):
    take = np.zeros((P, size))
    take[:, :P] = take[:, (k + 1) * P : (k + 2) * P] = np.eye(P)
    return take


def test_evidence_of_quadratic_likelihoods_is_the_marginal_likelihood(rng):
    """For Gaussian observations the approximation is exact, up to the prior of variances."""
    P, K = 2, 2
    slopes = np.ones(P, dtype=bool)
    H = np.array([np.diag(rng.uniform(1, 5, P)) for _ in range(K + 1)])
    e = rng.normal(size=(K + 1, P))
    domains = [OfModel.fitted(e[k], H[k], 10.0) for k in range(K + 1)]

    def both(own):
        variances = Variances(np.tile(own[:, None], 2), np.ones(2), np.array([0.5, np.inf]))
        posterior = uowq_glm.posterior_of(H, np.einsum("kij,kj->ki", H, e), variances, slopes)
        approximate = -uowq_glm.objective(
            domains, posterior.centre, posterior.away, variances, slopes
        ) + uowq_glm._volume(H, posterior, variances, slopes)
        blocks = [np.linalg.inv(H[k]) + own[k] * np.eye(P) for k in range(K + 1)]
        C = 0.5 * np.kron(np.ones((K + 1, K + 1)), np.eye(P))
        for k, block in enumerate(blocks):
            C[k * P : (k + 1) * P, k * P : (k + 1) * P] += block
        return approximate, multivariate_normal(cov=C).logpdf(e.ravel())

    a, b = both(np.array([0.1, 0.2, 0.3])), both(np.array([1.0, 0.05, 2.0]))
    assert_allclose(a[0] - b[0], a[1] - b[1], rtol=1e-8)


@pytest.mark.parametrize("q", [1, 3])
def test_left_out_rows_are_nearly_exact(rng, q):
    domains, slopes = task(rng, q, sizes=(40,))
    target = domains[0]
    fit = uowq_glm.fit_glmm([target], slopes, centre=0.5)
    losses = uowq_glm.left_out_losses(target, fit.theta[0], fit.posterior.covariance)
    exact = []
    for i in range(len(target.rows.X)):
        kept = np.arange(len(target.rows.X)) != i
        without = uowq_glm.fit_glmm([OfRows(LOGISTIC, target.rows.take(kept))], slopes, centre=0.5)
        exact.append(OfRows(LOGISTIC, target.rows.take([i])).loss(without.theta[0]))
    assert_allclose(np.mean(losses), np.mean(exact), rtol=0.03)
    assert np.corrcoef(losses, exact)[0, 1] > 0.99


def test_a_source_that_is_the_target_has_nearly_its_share(rng):
    B = np.array([[0.2], [1.0], [-1.0], [0.5]])
    near = [OfRows(LOGISTIC, draw(rng, n, B)) for n in (40, 400, 400, 400, 400)]
    slopes = np.array([False, True, True, True])
    combined = uowq_glm.mixed_combination(near[0], near[1:], slopes, centre=None, guard=True)
    assert combined.shares[1:].sum() > 0.6
    assert combined.risk < 0.5 * combined.target_risk


def test_guard_gives_the_target_alone_a_part_where_sources_mislead(rng):
    B = np.array([[0.0], [2.0], [-2.0]])
    target = OfRows(LOGISTIC, draw(rng, 200, B))
    theta, cov = B.ravel(), 1e-2 * np.eye(3)
    assert uowq_glm._part_of_alone(target, (-theta, cov), (theta, cov)) > 0.99
    assert uowq_glm._part_of_alone(target, (theta, cov), (-theta, cov)) == 0


def test_offered_classes_say_nothing_of_the_others(rng):
    B = rng.normal(size=(3, 3))
    rows = draw(rng, 50, B)
    rows = rows.take(rows.Y[:, 2] == 0)
    part = OfRows(Offered(np.array([True, True, False])), rows).at(B.ravel())
    assert isinstance(part, Evidence)
    assert not part.information.reshape(3, 3, 3, 3)[:, 2].any()
    assert not part.score.reshape(3, 3)[:, 2].any()


def test_given_weights_are_a_weighted_fit(rng):
    domains, slopes = task(rng)
    w = np.array([0.3, 0.1])
    got = uowq_glm.weighted_combination(domains[0], domains[1:], slopes, weights=w, centre=0.4)
    stacked = Rows(
        *(np.concatenate([getattr(x.rows, name) for x in domains]) for name in ("X", "Y")),
        np.concatenate([np.full(len(x.rows.X), v) for x, v in zip(domains, [1, *w], strict=True)]),
    )
    one = uowq_glm.fit_glmm([OfRows(LOGISTIC, stacked)], slopes, centre=0.4)
    assert_allclose(got.theta, one.theta[0], atol=1e-6)


def test_dispersion_sees_counts_that_vary_more(rng):
    B = np.array([[1.0], [0.3]])
    X = np.column_stack([np.ones(2000), rng.normal(size=2000)])
    rate = np.exp(X @ B)
    slopes = np.array([False, True])
    plain = OfRows(POISSON, Rows(X, rng.poisson(rate).astype(float), np.ones(2000)))
    wild = plain._replace(rows=plain.rows._replace(Y=3.0 * rng.poisson(rate / 3)))
    assert uowq_glm.pearson_dispersion([plain], slopes) < 1.15
    assert 2.5 < uowq_glm.pearson_dispersion([wild], slopes) < 3.5
