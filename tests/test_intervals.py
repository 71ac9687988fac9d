"""Intervals: of predictions by target rows left out, of coefficients with bias counted."""

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from skt import (
    ConformalRegressor,
    L2SPRidge,
    Moments,
    SourceWeighted,
    UOWQRegressor,
    stack_domains,
)
from skt.core import coef_intervals, conformal, random_effects
from skt.core.random_effects import Effects, Latent

P = 5
SCALAR = UOWQRegressor(combination="scalar")


def draw(rng, n, beta, noise=1.0):
    X = rng.normal(size=(n, len(beta))) * np.linspace(0.5, 3, len(beta))
    return X, X @ beta + 2 + noise * rng.normal(size=n)


def stacked(rng, n=30, p=P, shifts=(0.1, -0.1), **kw):
    beta = rng.normal(size=p)
    sources = {f"s{k}": draw(rng, 100, beta + s) for k, s in enumerate(shifts)}
    return (*stack_domains(draw(rng, n, beta, **kw), sources), beta)


# Order statistics ---------------------------------------------------------------------------


def test_the_ends_are_order_statistics():
    residual = np.array([3.0, -1.0, 2.0, -4.0, 5.0, 0.5, 1.5, 2.5, 3.5])
    ends = conformal.plus_interval(np.zeros((1, 1)), residual, np.ones(9), 0.8)
    assert_allclose(ends, [[-4.0, 4.0]])  # the eighth of nine
    ends = conformal.plus_interval(np.array([[10.0]]), residual, np.ones(9), 0.5)
    assert_allclose(ends, [[7.5, 12.5]])
    each = np.arange(9.0)[None]  # fits that differ
    low, high = conformal.plus_interval(each, residual, np.ones(9), 0.8)[0]
    assert high == np.sort(each[0] + np.abs(residual))[7]
    assert low == np.sort(each[0] - np.abs(residual))[1]


def test_too_few_rows_give_an_infinite_interval_in_the_core():
    ends = conformal.plus_interval(np.zeros((2, 1)), np.ones(9), np.ones(9), 0.95)
    assert_array_equal(ends, [[-np.inf, np.inf]] * 2)
    assert conformal.largest_coverage(9) == 0.9
    assert [conformal.rows_needed(c) for c in (0.5, 0.8, 0.9, 0.95, 0.99)] == [1, 4, 9, 19, 99]


def test_weights_count_copies():
    rng = np.random.default_rng(0)
    residual, weight = rng.normal(size=12), rng.integers(1, 4, size=12).astype(float)
    fits = rng.normal(size=(3, 12))
    copies = np.repeat(np.arange(12), weight.astype(int))
    one = conformal.plus_interval(fits, residual, weight, 0.85)
    other = conformal.plus_interval(fits[:, copies], residual[copies], np.ones(len(copies)), 0.85)
    assert_allclose(one, other)


# Residuals of rows left out -----------------------------------------------------------------


@pytest.mark.parametrize("estimator", [UOWQRegressor(), L2SPRidge()])
def test_residuals_in_closed_form_are_near_those_of_further_fits(rng, estimator):
    X, y, d, _ = stacked(rng, 10, p=3, shifts=(0.1,))
    closed = ConformalRegressor(estimator).fit(X, y, sample_domain=d)
    anew = ConformalRegressor(estimator, cv=KFold(10)).fit(X, y, sample_domain=d)
    assert (len(closed.estimators_), len(anew.estimators_)) == (0, 10)
    gap = closed.left_out_residuals_ - anew.left_out_residuals_
    assert np.std(gap) < 0.3 * np.std(anew.left_out_residuals_)
    assert_array_equal(closed.predict(X), anew.predict(X))


@pytest.mark.parametrize("n", [8, 30])
def test_residuals_of_ridge_are_exact(rng, n):
    X, y = draw(rng, n, np.ones(P))
    e = UOWQRegressor(alpha=0.3).fit(X, y).left_out_residuals_
    plain = make_pipeline(StandardScaler(), Ridge(0.3 * n))
    leave = StandardScaler().fit_transform(X)  # the scale of all rows, as in the closed form
    for i in range(3):
        rest = np.arange(n) != i
        fitted = plain[-1].fit(leave[rest], y[rest])
        assert_allclose(e[i], y[i] - fitted.predict(leave[[i]])[0], rtol=1e-6)


def test_residuals_of_an_earlier_fit_are_not_kept(rng):
    X, y, d, _ = stacked(rng)
    est = UOWQRegressor().fit(X, y, sample_domain=d)
    assert est.left_out_residuals_.shape == (30,)
    est.set_params(combination="scalar").fit(X, y, sample_domain=d)
    assert not hasattr(est, "left_out_residuals_")
    chosen_by_them = L2SPRidge(method="loo").fit(X, y, sample_domain=d)
    assert not hasattr(chosen_by_them, "left_out_residuals_")


# ConformalRegressor -------------------------------------------------------------------------


@parametrize_with_checks([ConformalRegressor(UOWQRegressor()), ConformalRegressor(Ridge(), cv=3)])
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "estimator",
    [
        SourceWeighted(DecisionTreeRegressor(max_depth=2, random_state=0), cv=None),
        make_pipeline(StandardScaler(), L2SPRidge(alpha=0.1)),
    ],
)
def test_new_outcomes_are_inside(rng, estimator):
    X, y, d, beta = stacked(rng, 40)
    model = ConformalRegressor(estimator).fit(X, y, sample_domain=d)
    X_new, y_new = draw(rng, 500, beta)
    low, high = model.predict_interval(X_new, 0.9).T
    assert np.mean((low <= y_new) & (y_new <= high)) > 0.8
    predicted = model.predict(X_new)
    assert np.mean((low < predicted) & (predicted < high)) > 0.98
    narrow = model.predict_interval(X_new, 0.5)
    assert np.mean(np.diff(narrow)) < 0.7 * np.mean(high - low)
    assert len(model.estimators_) == 10


def test_sources_are_never_counted(rng):
    """Noisy sources do not widen the interval, quiet ones do not narrow it."""
    beta = np.ones(P)
    target = draw(rng, 60, beta)
    widths = []
    for noise in (0.01, 1.0, 20.0):
        X, y, d = stack_domains(target, {"s": draw(rng, 200, beta, noise)})
        model = ConformalRegressor(UOWQRegressor()).fit(X, y, sample_domain=d)
        widths.append(np.mean(np.diff(model.predict_interval(target[0], 0.8))))
    assert max(widths) < 1.4 * min(widths)


def test_what_so_few_rows_cannot_promise_is_refused(rng):
    X, y, d, _ = stacked(rng, 9)
    model = ConformalRegressor(UOWQRegressor()).fit(X, y, sample_domain=d)
    assert model.largest_coverage_ == 0.9
    assert np.isfinite(model.predict_interval(X, 0.9)).all()
    message = r"coverage=0.95 needs 19 target rows, and the fit had 9: .* = 0.900 at most"
    with pytest.raises(ValueError, match=message):
        model.predict_interval(X, 0.95)
    with pytest.raises(ValueError, match="coverage must be a number between 0 and 1; got 90"):
        model.predict_interval(X, 90)


def test_outputs_weights_and_routing(rng):
    X, y, d, _ = stacked(rng, 24)
    Y = np.column_stack([y, 100 * y])
    both = ConformalRegressor(UOWQRegressor()).fit(X, Y, sample_domain=d)
    ends = both.predict_interval(X[:4], 0.9)
    assert ends.shape == (4, 2, 2)
    assert_allclose(ends[:, 1], 100 * ends[:, 0], rtol=1e-3)
    w = np.ones(len(X))
    w[[0, 1, 50]] = 0
    some = ConformalRegressor(SCALAR, cv=4).fit(X, y, sample_domain=d, sample_weight=w)
    there = ConformalRegressor(SCALAR, cv=4).fit(X[w > 0], y[w > 0], sample_domain=d[w > 0])
    assert_allclose(some.predict_interval(X[:3]), there.predict_interval(X[:3]), rtol=1e-6)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = ConformalRegressor(make_pipeline(StandardScaler(), SCALAR), cv=3)
        routed.fit(X, y, sample_domain=d)
    plain = ConformalRegressor(make_pipeline(StandardScaler(), SCALAR), cv=3)
    plain.fit(X, y, sample_domain=d)
    assert_allclose(routed.predict_interval(X[:3]), plain.predict_interval(X[:3]))


def test_bad_input(rng):
    X, y, d, _ = stacked(rng, 12)
    with pytest.raises(TypeError, match=r"Ridge\.fit takes no sample_domain"):
        ConformalRegressor(Ridge()).fit(X, y, sample_domain=d)
    with pytest.raises(ValueError, match="the target has 1 sample only"):
        ConformalRegressor(Ridge()).fit(X[:1], y[:1])
    with pytest.raises(ValueError, match="11 are never left out"):
        ConformalRegressor(SCALAR, cv=[(np.arange(1, 12), np.array([0]))]).fit(
            X, y, sample_domain=d
        )
    assert clone(ConformalRegressor(Ridge(), cv=3)).cv == 3


# Coefficients -------------------------------------------------------------------------------


def test_without_sources_they_are_students(rng):
    X, y = draw(rng, 25, np.ones(P))
    low, high = UOWQRegressor().fit(X, y).coef_interval(0.95).T
    centre = LinearRegression().fit(X, y)
    df = 25 - P - 1
    s2 = np.sum((y - centre.predict(X)) ** 2) / df
    error = np.sqrt(s2 * np.diag(np.linalg.inv((X - X.mean(0)).T @ (X - X.mean(0)))))
    t = 2.093024054408263  # Student's, 19 degrees of freedom
    assert df == 19
    assert_allclose(low, centre.coef_ - t * error, rtol=1e-6)
    assert_allclose(high, centre.coef_ + t * error, rtol=1e-6)


def test_good_sources_narrow_them_and_bad_ones_do_not():
    narrow = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X, y, d, beta = stacked(rng, 40, p=12, shifts=(0.02, -0.02))
        alone = np.diff(UOWQRegressor().fit(X[:40], y[:40]).coef_interval())
        good = UOWQRegressor().fit(X, y, sample_domain=d)
        narrow.append(np.mean(np.diff(good.coef_interval()) / alone))
    assert np.mean(narrow) < 0.75
    bad = np.where(d == "target", y, 30 * rng.normal(size=len(y)))
    wide = UOWQRegressor().fit(X, bad, sample_domain=d).coef_interval()
    assert 0.6 < np.mean(np.diff(wide) / alone) < 1.2
    assert np.mean((wide[:, 0] <= beta) & (beta <= wide[:, 1])) >= 0.8


def test_a_bias_that_all_sources_share_is_counted():
    """The posterior misses it: sources that agree look precise, and the target's rows are few."""
    inside, posterior = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        beta, offset = rng.normal(size=10), rng.normal(size=10)
        offset *= np.sqrt(2.0 / 25)
        shifted = beta + offset / np.linspace(0.5, 3, 10)
        sources = {f"s{k}": draw(rng, 150, shifted) for k in (1, 2)}
        X, y, d = stack_domains(draw(rng, 25, beta), sources)
        est = UOWQRegressor().fit(X, y, sample_domain=d)
        low, high = est.coef_interval().T
        inside.append(np.mean((low <= beta) & (beta <= high)))
        error = 1.96 * np.sqrt(np.diag(est.coef_covariance_))
        posterior.append(np.mean(np.abs(est.coef_ - beta) <= error))
    assert np.mean(posterior) < 0.87
    assert np.mean(inside) > 0.92


def test_units_order_and_form_of_sources_do_not_matter(rng):
    X, y, d, _ = stacked(rng)
    ends = UOWQRegressor().fit(X, y, sample_domain=d).coef_interval(0.9)
    scale, order = np.array([1, 1e3, 1e-2, 5, 1]), rng.permutation(P)
    other = UOWQRegressor().fit((X * scale)[:, order], 10 * y, sample_domain=d)
    assert_allclose(other.coef_interval(0.9) * scale[order][:, None], 10 * ends[order], rtol=1e-3)
    rows = {name: (X[d == name], y[d == name]) for name in ("s0", "s1")}
    known = {name: Moments.from_data(*pair) for name, pair in rows.items()}
    own = d == "target"
    moments = UOWQRegressor(sources=known).fit(X[own], y[own])
    assert_allclose(moments.coef_interval(0.9), ends, rtol=1e-5)
    two = UOWQRegressor().fit(X, np.column_stack([y, y]), sample_domain=d).coef_interval(0.9)
    assert two.shape == (2, P, 2)
    assert_allclose(two[0], two[1])


def test_more_coverage_is_wider(rng):
    X, y, d, _ = stacked(rng)
    est = UOWQRegressor().fit(X, y, sample_domain=d)
    widths = [np.diff(est.coef_interval(c)).mean() for c in (0.5, 0.8, 0.95, 0.99)]
    assert widths == sorted(widths)
    with pytest.raises(ValueError, match="coverage must be a number between 0 and 1"):
        est.coef_interval(95)


def test_scalar_weights_have_the_targets_own_or_none(rng):
    X, y, d, _ = stacked(rng)
    scalar = UOWQRegressor(combination="scalar").fit(X, y, sample_domain=d)
    alone = UOWQRegressor().fit(X[:30], y[:30])
    assert_allclose(scalar.coef_interval(), alone.coef_interval(), rtol=1e-8)
    few = np.r_[:4, 30 : len(X)]
    est = UOWQRegressor(combination="scalar").fit(X[few], y[few], sample_domain=d[few])
    with pytest.raises(ValueError, match=r"no errors of combination_='scalar' with so few"):
        est.coef_interval()


def test_fewer_rows_than_features(rng):
    X, y, d, beta = stacked(rng, 8, p=12)
    borrowed = UOWQRegressor().fit(X, y, sample_domain=d).coef_interval()
    assert np.mean((borrowed[:, 0] <= beta) & (beta <= borrowed[:, 1])) > 0.8
    with pytest.raises(ValueError, match=r"combination_='ridge' with so few target rows \(8\)"):
        UOWQRegressor().fit(X[:8], y[:8]).coef_interval()


# The bound ----------------------------------------------------------------------------------


def test_the_bound_is_where_the_statistic_is_the_quantile(rng):
    square, variance = rng.chisquare(1, size=10) * 5, rng.uniform(0.5, 2, size=10)
    bound = coef_intervals.offset_bound(square, variance, 10)
    assert bound > 0
    quantile = chi2.ppf(coef_intervals.LEVEL, 10)
    assert_allclose(np.sum(square / (variance + bound)), quantile, rtol=1e-5)
    assert coef_intervals.offset_bound(square * 1e-3, variance, 10) == 0.0


def test_the_bound_holds_as_often_as_it_says(rng):
    variance, tau = rng.uniform(0.5, 2, size=8), 0.7
    square = (variance + tau) * rng.chisquare(1, size=(4000, 8))
    above = [coef_intervals.offset_bound(each, variance, 8) >= tau for each in square]
    assert abs(np.mean(above) - (1 - coef_intervals.LEVEL)) < 0.03


def test_sources_of_domains_are_domains_of_the_sources(rng):
    S = np.array([A.T @ A for A in rng.normal(size=(4, 9, 6))])
    b, yy = rng.normal(size=(4, 6, 2)), 100 * np.eye(2)[None].repeat(4, axis=0)
    n = np.full(4, 9.0)
    effects = Effects(0.5, np.array([0.3, 0.1, 0.2, 0.4]), np.ones(4), np.ones(4))
    whole = random_effects.decompose(n, S, b, yy)
    rest = random_effects.decompose(n[1:], S[1:], b[1:], yy[1:])
    one = Latent(whole.sources, effects.of_sources)
    other = Latent(rest, effects.of_sources)
    assert_allclose(one.mean, other.mean, atol=1e-10)
    assert_allclose(one.covariance, other.covariance, atol=1e-10)
