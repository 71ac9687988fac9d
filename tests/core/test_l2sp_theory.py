import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar

from skt import theory
from skt.datasets import make_aligned_regressions

PHIS = [0.2, 0.9, 1.0, 1.1, 2.0, 5.0]


# Marchenko-Pastur -----------------------------------------------------------------------------


def stieltjes(phi, tau):
    """E 1/(s + tau), in the form that does not cancel at this argument."""
    a = 1 - phi + tau
    root = np.sqrt(a * a + 4 * phi * tau)
    return 2 / (a + root) if a > 0 else (root - a) / (2 * phi * tau)


@pytest.mark.parametrize("phi", PHIS)
@pytest.mark.parametrize("tau", [1e-8, 1e-4, 0.1, 1.0, 30.0, 1e4, 1e8])
def test_quadrature_is_the_closed_form(phi, tau):
    s = theory.marchenko_pastur(phi)
    assert_allclose(s.mean(1 / (s.values + tau)), stieltjes(phi, tau), rtol=1e-12)


@pytest.mark.parametrize("phi", PHIS)
def test_moments_of_the_law(phi):
    s = theory.marchenko_pastur(phi)
    assert_allclose([s.weights.sum(), s.mean(s.values)], 1, rtol=1e-12)
    assert_allclose(s.mean(s.values**2), 1 + phi, rtol=1e-12)
    assert_allclose(s.weights[s.values == 0].sum(), max(0, 1 - 1 / phi), atol=1e-12)


@pytest.mark.parametrize("phi", [0.5, 2.0])
def test_risk_is_smooth_and_has_its_limits_over_sixteen_decades(phi):
    s = theory.marchenko_pastur(phi)
    known = {"alignment": 0.7, "noise_to_signal": 0.3, "target_norm": 0.5}
    tau = np.geomspace(1e-8, 1e8, 400)
    error = theory.prior_error(tau, s, **known)
    assert np.all(error > 0)
    assert_allclose(error[0], theory.prior_error(0.0, s, **known), rtol=1e-6)
    assert_allclose(error[-1], 0.5, rtol=1e-6)
    assert theory.prior_error(np.inf, s, **known) == 0.5
    # What is left at large penalties keeps its digits: it falls as 1 / tau.
    gain = 0.5 - theory.prior_error(np.array([1e3, 1e4]), s, **known)
    assert_allclose(gain[0] / gain[1], 10, rtol=1e-2)


# The source's penalty -------------------------------------------------------------------------


def test_prior_error_is_the_expectation_over_draws(rng):
    n, p, tau = 60, 90, 0.4
    w0 = rng.normal(size=p) / np.sqrt(p)
    w1 = 0.6 * w0 + 0.3 * rng.normal(size=p) / np.sqrt(p)
    X = rng.normal(size=(n, p))
    G = X.T @ X / n
    # Given the design: averaged over directions of w0 it is the spectrum's expectation.
    values = []
    for _ in range(300):
        Q = np.linalg.qr(rng.normal(size=(p, p)))[0]
        P = np.linalg.inv(G + tau * np.eye(p))
        mean = P @ G @ (Q @ w0)
        noise = 0.5**2 / n * np.trace(P @ G @ P)
        values.append(np.sum((0.8 * mean - Q @ w1) ** 2) + 0.8**2 * noise)
    wanted = np.mean(values) / (w0 @ w0)
    known = {
        "alignment": w0 @ w1 / (w0 @ w0),
        "noise_to_signal": theory.noise_to_signal(0.5**2, n, p, w0 @ w0),
        "target_norm": w1 @ w1 / (w0 @ w0),
        "source_scale": 0.8,
    }
    spectrum = theory.empirical_spectrum(np.maximum(np.linalg.eigvalsh(G), 0))
    error = np.std(values) / np.sqrt(300) / (w0 @ w0)
    assert abs(theory.prior_error(tau, spectrum, **known) - wanted) < 4 * error


@pytest.mark.parametrize("rho", [0.2, 0.5, 0.9, 1.0, 1.3, 2.0])
@pytest.mark.parametrize("gamma", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("phi", [0.5, 2.0])
def test_transfer_optimal_penalty_is_the_minimiser(phi, rho, gamma):
    s = theory.marchenko_pastur(phi)
    known = {"alignment": rho, "noise_to_signal": gamma}
    best = theory.transfer_optimal_penalty(s, **known)
    grid = np.concatenate(([0.0], np.geomspace(1e-6, 1e6, 4000), [np.inf]))
    assert theory.prior_error(best, s, **known) <= theory.prior_error(grid, s, **known).min() + 1e-9
    if best > 0:
        end = minimize_scalar(
            lambda x: theory.prior_error(np.exp(x), s, **known),
            bounds=(np.log(best) - 1, np.log(best) + 1),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert_allclose(np.log(best), end.x, atol=1e-4)
        assert_allclose(theory.stationary_penalties(s, **known), best, rtol=1e-9)


@pytest.mark.parametrize("phi", [0.5, 2.0, 5.0])
@pytest.mark.parametrize("gamma", [0.1, 1.0])
def test_which_side_of_the_source_s_own_optimum(phi, gamma):
    s = theory.marchenko_pastur(phi)

    def best(rho):
        return theory.transfer_optimal_penalty(s, alignment=rho, noise_to_signal=gamma)

    assert_allclose(best(1.0), gamma, rtol=1e-9)
    assert best(0.5) > gamma / 0.5 > gamma
    assert best(1.5) < gamma / 1.5
    assert best(0.0) == best(-1.0) == np.inf
    assert theory.stationary_penalties(s, alignment=-1.0, noise_to_signal=gamma).size == 0


@pytest.mark.parametrize(("phi", "sbar"), [(0.25, 0.75**2), (4.0, 9 / 4)])
def test_no_penalty_where_alignment_is_large_and_noise_small(phi, sbar):
    s = theory.marchenko_pastur(phi)
    edge = 0.2 * sbar
    for gamma, zero in ((0.999 * edge, True), (1.001 * edge, False)):
        best = theory.transfer_optimal_penalty(s, alignment=1.2, noise_to_signal=gamma)
        assert (best == 0) is zero


def test_three_stationary_points_of_a_spectrum_of_two_points():
    s = theory.empirical_spectrum([1.0, 100.0])
    known = {"alignment": 0.4, "noise_to_signal": 0.001}
    points = theory.stationary_penalties(s, **known)
    assert len(points) == 3
    h = 1e-4
    for tau in points:
        up, down = theory.prior_error(np.array([tau * (1 + h), tau * (1 - h)]), s, **known)
        assert abs(up - down) < 1e-7
    values = theory.prior_error(points, s, **known)
    assert theory.transfer_optimal_penalty(s, **known) == points[np.argmin(values)]
    assert values[1] > max(values[0], values[2])


@pytest.mark.parametrize("rho", [-0.7, 0.3, 1.5])
def test_free_scale_removes_the_mismatch(rho):
    s, gamma = theory.marchenko_pastur(2.0), 1.0
    known = {"alignment": rho, "noise_to_signal": gamma}
    assert_allclose(theory.optimal_source_scale(gamma, s, **known), rho)
    scaled = theory.prior_error(gamma, s, source_scale=rho, **known)
    grid = np.geomspace(1e-4, 1e4, 500)
    for tau in grid[::50]:
        c = theory.optimal_source_scale(tau, s, **known)
        assert theory.prior_error(tau, s, source_scale=c, **known) >= scaled - 1e-12
        for other in (c - 0.1, c + 0.1):
            assert theory.prior_error(tau, s, source_scale=other, **known) > theory.prior_error(
                tau, s, source_scale=c, **known
            )
    assert scaled <= theory.prior_error(grid, s, **known).min()
    best = theory.transfer_optimal_penalty(s, source_scale=rho, **known)
    assert_allclose(best, gamma, rtol=1e-9)


def test_no_use_of_a_source_scaled_to_nothing():
    s = theory.marchenko_pastur(2.0)
    known = {"alignment": 0.5, "noise_to_signal": 1.0}
    assert theory.transfer_optimal_penalty(s, source_scale=0.0, **known) == np.inf
    assert theory.transfer_optimal_penalty(s, source_scale=-1.0, **known) == np.inf


def test_threshold_of_alignment():
    s = theory.marchenko_pastur(3.0)
    for gamma in (0.2, 1.0):
        assert_allclose(theory.alignment_threshold(gamma, s, noise_to_signal=gamma), 0.5)
        for tau in (0.1, 2.0):
            edge = theory.alignment_threshold(tau, s, noise_to_signal=gamma)
            at = theory.prior_error(tau, s, alignment=edge, noise_to_signal=gamma)
            assert_allclose(at, 1.0)  # what no source gives
    large = theory.alignment_threshold(np.array([1e2, 1e6]), s, noise_to_signal=1.0)
    assert 0 < large[1] < large[0] < 0.1


# The target's stage ---------------------------------------------------------------------------


def test_optimal_alpha_minimises_the_isotropic_risk():
    s, distance = theory.marchenko_pastur(2.0), 0.7
    alpha = theory.optimal_alpha(distance, noise_variance=0.3, n_samples=50, n_features=100)
    assert_allclose(alpha, 0.3 * 2 / 0.7)
    known = {"noise_variance": 0.3, "aspect_ratio": 2.0}
    grid = alpha * np.geomspace(0.01, 100, 401)
    risk = theory.isotropic_risk(grid, s, distance, **known)
    assert np.argmin(risk) == 200
    closed = distance * s.mean(alpha / (s.values + alpha))
    assert_allclose(theory.isotropic_risk(alpha, s, distance, **known), closed)
    none = {"noise_variance": 0.3, "n_samples": 50, "n_features": 100}
    assert theory.optimal_alpha(0.0, **none) == np.inf


def test_three_terms_are_the_risk(rng):
    n0, n1, p = 50, 20, 30
    X0, X1 = rng.normal(size=(n0, p)), rng.normal(size=(n1, p))
    w0, w1 = rng.normal(size=p) / 5, rng.normal(size=p) / 5
    S = np.diag(rng.uniform(0.5, 2, p))
    terms = theory.risk_decomposition(
        X0,
        X1,
        w0,
        w1,
        source_alpha=0.2,
        alpha=0.4,
        source_scale=0.7,
        source_noise_variance=1.0,
        target_noise_variance=0.5,
        covariance=S,
    )
    M0 = np.linalg.solve(X0.T @ X0 / n0 + 0.2 * np.eye(p), X0.T / n0)
    A1 = X1.T @ X1 / n1 + 0.4 * np.eye(p)
    errors = []
    for _ in range(4000):
        b0 = M0 @ (X0 @ w0 + rng.normal(size=n0))
        y1 = X1 @ w1 + np.sqrt(0.5) * rng.normal(size=n1)
        error = np.linalg.solve(A1, X1.T @ y1 / n1 + 0.4 * 0.7 * b0) - w1
        errors.append(error @ S @ error)
    assert abs(np.mean(errors) - terms.total) < 4 * np.std(errors) / np.sqrt(4000)
    assert terms.total == pytest.approx(sum(terms))
    assert min(terms) > 0


# Deterministic equivalents --------------------------------------------------------------------


def test_effective_penalty_solves_its_equation(rng):
    values = rng.uniform(0.1, 5, 80)
    for n, tau in ((40, 0.0), (40, 1e-6), (40, 0.5), (200, 0.0), (200, 1e-6), (200, 3.0)):
        kappa = theory.effective_penalty(tau, values, n)
        assert_allclose(kappa * (1 - np.sum(values / (values + kappa)) / n), tau, atol=1e-9)
        assert kappa >= tau
    assert theory.effective_penalty(0.0, values, 200) == 0.0
    assert theory.effective_penalty(0.0, values, 40) > 0.0
    # Isotropic: kappa is one over the companion transform of Marchenko and Pastur.
    kappa = theory.effective_penalty(0.3, np.ones(200), 100)
    m = stieltjes(2.0, 0.3)
    assert_allclose(1 / (1 + kappa), 1 - 0.3 * m, rtol=1e-9)


def test_isotropic_equivalent_is_the_isotropic_law(rng):
    p, n = 400, 200
    w0 = rng.normal(size=p) / np.sqrt(p)
    w1 = 0.7 * w0
    spectrum = theory.marchenko_pastur(2.0)
    size = w0 @ w0
    known = {
        "alignment": 0.7,
        "noise_to_signal": theory.noise_to_signal(1.0, n, p, size),
        "target_norm": 0.49,
    }
    for tau in (0.01, 1.0, 50.0):
        ours = theory.equivalent_prior_error(
            tau, np.ones(p), w0, w1, n_source=n, source_noise_variance=1.0
        )
        assert_allclose(ours, size * theory.prior_error(tau, spectrum, **known), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_equivalent_risk_is_that_of_simulations(decay):
    p, n0, n1, tau, alpha, c = 200, 120, 60, 0.3, 0.5, 0.8
    errors, wanted = [], []
    for seed in range(60):
        data = make_aligned_regressions(
            n0, n1, p, 0.6, 0.4, decay=decay, target_noise=0.3, random_state=seed
        )
        rows = data.sample_domain == "source"
        X0, y0, X1, y1 = data.X[rows], data.y[rows], data.X[~rows], data.y[~rows]
        b0 = np.linalg.solve(X0.T @ X0 / n0 + tau * np.eye(p), X0.T @ y0 / n0)
        A = X1.T @ X1 / n1 + alpha * np.eye(p)
        error = np.linalg.solve(A, X1.T @ y1 / n1 + alpha * c * b0) - data.coef
        errors.append(error @ data.covariance @ error)
        wanted.append(
            theory.equivalent_risk(
                alpha,
                tau,
                np.diag(data.covariance),
                data.source_coef,
                data.coef,
                n_source=n0,
                n_target=n1,
                source_noise_variance=1.0,
                target_noise_variance=0.09,
                source_scale=c,
            )
        )
    assert_allclose(np.mean(errors), np.mean(wanted), rtol=0.03)


# Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: theory.marchenko_pastur(0), "aspect_ratio must be a positive number; got 0"),
        (lambda s: theory.empirical_spectrum([1.0, -1.0]), "numbers >= 0, one for each feature"),
        (lambda s: theory.empirical_spectrum([[1.0]]), "must be one array"),
        (
            lambda s: theory.prior_error(-1.0, s, alignment=1, noise_to_signal=1),
            "source_alpha must be >= 0; got -1.0",
        ),
        (
            lambda s: theory.prior_error(1.0, s, alignment=1, noise_to_signal=-1),
            "noise_to_signal must be a number >= 0; got -1",
        ),
        (
            lambda s: theory.optimal_alpha(1.0, noise_variance=1, n_samples=0, n_features=5),
            "n_samples must be a positive number; got 0",
        ),
        (lambda s: theory.effective_penalty(-1.0, [1.0], 3), "penalty must be a number >= 0"),
        (
            lambda s: theory.risk_decomposition(
                np.ones((3, 2)),
                np.ones((3, 4)),
                np.ones(2),
                np.ones(4),
                source_alpha=1,
                alpha=1,
                source_noise_variance=1,
                target_noise_variance=1,
            ),
            "expected the same features in all",
        ),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call(theory.marchenko_pastur(2.0))


# Simulator ------------------------------------------------------------------------------------


def test_simulator_draws_what_it_says():
    data = make_aligned_regressions(
        30, 4000, 20, -0.5, 0.7, decay=1.0, target_noise=0.2, random_state=3
    )
    assert data.source_coef @ data.source_coef == pytest.approx(1)
    assert data.source_coef @ data.coef == pytest.approx(-0.5)
    assert data.coef @ data.coef == pytest.approx(0.25 + 0.49)
    assert np.trace(data.covariance) == pytest.approx(20)
    assert data.covariance[0, 0] / data.covariance[9, 9] == pytest.approx(10)
    rows = data.sample_domain == "target"
    residual = data.y[rows] - data.X[rows] @ data.coef
    assert np.std(residual) == pytest.approx(0.2, rel=0.1)
    assert_allclose(np.var(data.X[rows], axis=0), np.diag(data.covariance), rtol=0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay": -1.0}, "decay must be >= 0"),
        ({"n_features": 1}, "n_features must be at least 2"),
    ],
)
def test_messages_of_the_simulator(options, message):
    with pytest.raises(ValueError, match=message):
        make_aligned_regressions(**options)
