import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

from skt.core import discrepancy
from skt.core.discrepancy import (
    Components,
    debiased,
    james_stein_cap,
    james_stein_exponent,
    moderated_variances,
    objective,
    plug_in,
    variance_components,
)


def differences(rng, d, common, own, v):
    """Whitened differences drawn from the model."""
    K = len(own)
    shared = np.sqrt(common) * rng.normal(size=(d, 1)) - np.sqrt(v[0]) * rng.normal(size=(d, 1))
    return shared + np.sqrt(np.asarray(own) + v[1:]) * rng.normal(size=(d, K))


def covariance(c, v):
    return c.common + v[0] + np.diag(c.own + v[1:])


def any_components(rng, K):
    return Components(float(rng.exponential()), rng.exponential(size=K))


# Likelihood ---------------------------------------------------------------------------------


@pytest.mark.parametrize("K", [1, 2, 5])
def test_likelihood_is_that_of_a_multivariate_normal(rng, K):
    v = rng.uniform(0.1, 1, size=K + 1)
    D = rng.normal(size=(7, K))
    values = []
    for _ in range(3):
        c = any_components(rng, K)
        dense = multivariate_normal(np.zeros(K), covariance(c, v)).logpdf(D).sum()
        spread = 1 / np.mean(1 / (c.own + v[1:]))
        prior = 0.5 * np.log(1 + c.common / spread) if K > 1 else 0.0
        values.append(objective(c, D, v) - prior + dense)
    assert_allclose(values, values[0], rtol=1e-10)


def test_sources_that_agree_are_not_mistrusted_for_a_few_rows_of_the_target(rng):
    """The prior of the offset: weak evidence of a shared bias is ignored, strong is not."""
    v = np.array([1.0, *[0.02] * 8])
    weak, strong = (
        variance_components(differences(rng, 5, common, np.full(8, 0.02), v), v).common
        for common in (0.0, 30.0)
    )
    assert weak < 0.1
    assert strong > 5


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_guard_rewards_variance_of_the_source_only_estimate(rng, exponent):
    v = rng.uniform(0.1, 1, size=4)
    D = rng.normal(size=(7, 3))
    c = any_components(rng, 3)
    star = v[0] + c.common + 1 / np.sum(1 / (c.own + v[1:]))
    expected = objective(c, D, v) - exponent * np.log(star)
    assert_allclose(objective(c, D, v, exponent), expected)


@pytest.mark.parametrize("offset", [None, 0.0, 2.0])
@pytest.mark.parametrize("exponent", [0.0, 1.3])
@pytest.mark.parametrize("K", [1, 4])
def test_gradient(rng, K, exponent, offset):
    v = rng.uniform(0.1, 1, size=K + 1)
    D = rng.normal(size=(6, K))
    for _ in range(3):
        c = any_components(rng, K)
        x = np.r_[c.common, c.own]
        value, gradient = discrepancy._likelihood(c, D, v, exponent, offset)
        assert_allclose(value, objective(c, D, v, exponent, offset))
        numeric = approx_fprime(
            x, lambda x: objective(Components(x[0], x[1:]), D, v, exponent, offset), 1e-7
        )
        assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-4)


def test_prior_of_the_offset_is_one_more_term(rng):
    v, D = rng.uniform(0.1, 1, size=4), rng.normal(size=(7, 3))
    c = any_components(rng, 3)
    s = 1 / np.mean(1 / (c.own + v[1:]))
    without = objective(c, D, v, offset_exponent=0.0)
    for offset in (discrepancy.OFFSET_EXPONENT, 2.0):
        expected = without + offset * np.log1p(c.common / s)
        assert_allclose(objective(c, D, v, offset_exponent=offset), expected)
    assert_allclose(
        objective(c, D, v), objective(c, D, v, offset_exponent=discrepancy.OFFSET_EXPONENT)
    )


def test_the_prior_makes_a_shared_offset_smaller():
    rng = np.random.default_rng(1)
    v = np.full(5, 0.05)
    D = differences(rng, 6, 0.3, np.full(4, 0.02), v)
    sizes = [variance_components(D, v, offset_exponent=a).common for a in (0.0, 0.5, 2.0)]
    assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.parametrize("exponent", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_maximum_is_not_improved_by_perturbation_or_other_starts(seed, exponent):
    rng = np.random.default_rng(seed)
    K = int(rng.integers(1, 6))
    v = rng.uniform(0.05, 1, size=K + 1)
    D = differences(rng, 10, rng.exponential(), rng.exponential(size=K), v)
    fit = variance_components(D, v, exponent)
    best = objective(fit, D, v, exponent)
    for size in (1e-2, 0.5):
        for _ in range(30):
            x = np.r_[fit.common, fit.own] * np.exp(size * rng.normal(size=K + 1))
            x += rng.exponential(size=K + 1) * 0.01 * size
            assert objective(Components(x[0], x[1:]), D, v, exponent) > best - 1e-4
    for _ in range(100):
        x = np.exp(rng.normal(scale=2, size=K + 1)) * v[0]
        assert objective(Components(x[0], x[1:]), D, v, exponent) > best - 1e-4


def test_components_are_recovered():
    rng = np.random.default_rng(0)
    v = np.array([0.3, 0.1, 0.2, 0.1, 0.4])
    own = np.array([0.0, 0.5, 2.0, 10.0])
    D = differences(rng, 50_000, 1.0, own, v)
    fit = variance_components(D, v)
    assert_allclose(fit.common, 1.0, rtol=0.05)
    assert_allclose(fit.own, own, rtol=0.05, atol=0.03)
    assert_allclose(fit.discrepancy, fit.common + np.diag(fit.own))


def test_no_difference_beyond_noise_is_none():
    rng = np.random.default_rng(0)
    v = np.array([0.5, 0.1, 0.1])
    fit = variance_components(differences(rng, 2000, 0.0, np.zeros(2), v), v)
    assert_allclose(fit.discrepancy, 0, atol=0.05)
    zero = variance_components(np.zeros((5, 2)), v)
    assert_array_equal(zero.discrepancy, 0)


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e6, 1e100])
def test_units_do_not_matter(rng, scale):
    v = np.array([0.3, 0.1, 0.2])
    D = differences(rng, 20, 0.5, [0.2, 3.0], v)
    near, far = variance_components(D, v), variance_components(D * np.sqrt(scale), v * scale)
    assert_allclose(far.discrepancy / scale, near.discrepancy, rtol=1e-2, atol=1e-3)


def test_order_of_sources_does_not_matter(rng):
    v = np.array([0.3, 0.1, 0.2, 0.5])
    D = differences(rng, 20, 0.5, [0.2, 3.0, 0.0], v)
    order = np.array([2, 0, 1])
    turned = variance_components(D[:, order], np.r_[v[0], v[1:][order]])
    expected = variance_components(D, v).discrepancy[np.ix_(order, order)]
    assert_allclose(turned.discrepancy, expected, rtol=1e-3, atol=1e-5)


# James-Stein --------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [3, 5, 20])
@pytest.mark.parametrize("df", [np.inf, 1e12])
def test_one_source_is_james_stein(d, df):
    """The penalised maximum of the variance of a difference is ``|D|^2 / (d - 2)``."""
    rng = np.random.default_rng(d)
    v = np.array([0.4, 0.1])
    D = 3 * rng.normal(size=(d, 1))
    if np.isinf(df):
        exponent = james_stein_exponent(d, 1e15)
    else:
        exponent = james_stein_exponent(d, df)
    assert_allclose(exponent, 1.0, rtol=1e-6)
    fit = variance_components(D, v, exponent)
    assert_allclose(fit.discrepancy[0, 0] + v.sum(), np.sum(D**2) / (d - 2), rtol=1e-3)
    assert_allclose(
        variance_components(D, v).discrepancy[0, 0] + v.sum(), np.sum(D**2) / d, rtol=1e-3
    )


def test_exponent_does_not_fall_for_noise_that_is_known_better():
    assert james_stein_exponent(10, 5) > james_stein_exponent(10, 50) > 1
    assert_allclose(james_stein_exponent(10, 20), (10 - 8 * 20 / 22) / 2)
    assert_allclose(james_stein_exponent(2, 10), 1.0)
    assert_allclose(james_stein_exponent(1, 10), 0.5)


def test_exponent_of_noise_that_is_known_exactly():
    """Infinite degrees of freedom are what is reported where noise is not estimated."""
    assert_allclose(james_stein_exponent(10, np.inf), 1.0)
    u, M = np.array([0.5, 0.5]), np.array([[1.0]])
    assert np.isfinite(james_stein_cap(u, M, 20.0, 10, np.inf)).all()


@pytest.mark.parametrize("loss", [0.0, 0.01, 1.0, 100.0])
def test_cap(loss):
    u, M = np.array([0.3, 0.5, 0.2]), loss * np.array([[1.0, 0.2], [0.2, 2.0]])
    capped = james_stein_cap(u, M, 30.0, 10, 20.0)
    v = u[1:] / 0.7
    most = 0.8 * 20 / 22 / max(30 * (v @ M @ v), 1e-300)
    assert_allclose(capped[1:].sum(), min(0.7, most))
    assert_allclose(capped.sum(), 1)
    assert_allclose(capped[1] / capped[2], 2.5)


def test_cap_is_no_larger_than_that_of_the_target_s_own_variance(rng):
    """With as many target rows as there are, least squares is not better than ``1/n_0``."""
    u, M, d = np.array([0.1, 0.9]), np.array([[0.2]]), 8
    for n_0 in (12, 20, 100):
        X = rng.normal(size=(n_0, d))
        v_0 = np.trace(np.linalg.inv(X.T @ X)) / d  # J = I
        cap = james_stein_cap(u, M, n_0, d, np.inf)[1]
        assert cap <= james_stein_cap(u, M, 1 / v_0, d, np.inf)[1]


def test_cap_at_the_ends():
    alone = np.array([1.0, 0.0])
    assert_array_equal(james_stein_cap(alone, np.ones((1, 1)), 30.0, 10, 20.0), alone)
    u = james_stein_cap(np.array([0.2, 0.8]), np.ones((1, 1)), 30.0, 2, 20.0)
    assert_array_equal(u, alone)


def test_plug_in_and_debiased(rng):
    v = np.array([0.3, 0.1, 0.2])
    own, common = np.array([0.5, 2.0]), 0.7
    D = differences(rng, 200_000, common, own, v)
    assert_allclose(plug_in(D), D.T @ D / len(D))
    assert_allclose(debiased(D, v), common + np.diag(own), atol=0.05)


# Noise --------------------------------------------------------------------------------------


def test_equal_variances_are_pooled():
    rng = np.random.default_rng(1)
    df = np.array([5.0, 8.0, 4.0, 20.0, 10.0, 6.0])
    errors = []
    for _ in range(200):
        s2 = 2.0 * rng.chisquare(df) / df
        errors.append([np.log(moderated_variances(s2, df)[0][0] / 2) ** 2, np.log(s2[0] / 2) ** 2])
    ours, raw = np.mean(errors, axis=0)
    assert ours < 0.5 * raw


def test_exactly_equal_variances_become_one_and_gain_degrees_of_freedom():
    df = np.full(5, 12.0)
    moderated, target_df = moderated_variances(np.full(5, 3.0), df)
    assert_allclose(moderated, moderated[0])
    assert_allclose(moderated, 3.0, rtol=0.15)
    assert 25 < target_df < 90


def test_very_different_variances_are_left_alone():
    s2, df = np.array([1e-4, 1.0, 1e4, 1e8]), np.full(4, 200.0)
    moderated, target_df = moderated_variances(s2, df)
    assert_allclose(moderated, s2, rtol=0.05)
    assert_allclose(target_df, 200, rtol=0.1)


def test_domain_without_degrees_of_freedom_gets_the_mean():
    s2, df = np.array([np.nan, 2.0, 2.0, 2.0]), np.array([0.0, 50.0, 50.0, 50.0])
    moderated, target_df = moderated_variances(s2, df)
    assert_allclose(moderated, 2.0, rtol=0.1)
    assert 1 <= target_df < np.inf
    assert_array_equal(moderated_variances(np.array([5.0, *s2[1:]]), df)[0], moderated)


@pytest.mark.parametrize("df", [0.5, 1.0, 2.0, 10.0, 1e7])
def test_one_domain_keeps_its_variance(df):
    moderated, target_df = moderated_variances(np.array([2.0]), np.array([df]))
    assert np.isfinite(moderated).all()
    assert target_df > 0
    if df >= 10:
        assert_allclose(moderated, 2.0, rtol=0.15)
        assert_allclose(target_df, df, rtol=0.15)


def test_a_single_unbiased_variance_is_not_inflated():
    """With one domain and nothing to borrow, its own residual variance is the estimate."""
    moderated, target_df = moderated_variances(np.array([2.0]), np.array([3.0]))
    assert_allclose(moderated, 2.0, rtol=0.5)
    assert_allclose(target_df, 3.0, rtol=0.35)


@pytest.mark.parametrize("scale", [1e-250, 1e250])
def test_units_of_variances_do_not_matter(scale):
    s2, df = np.array([1.0, 3.0, 0.2]), np.array([4.0, 9.0, 30.0])
    near, far = moderated_variances(s2, df), moderated_variances(s2 * scale, df)
    assert_allclose(far[0] / scale, near[0], rtol=1e-4)
    assert_allclose(far[1], near[1], rtol=1e-3)
