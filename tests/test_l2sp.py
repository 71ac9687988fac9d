"""L2SPRidge and L2SPClassifier: limits, bad input, forms of a source, no harm."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skt import (
    L2SPClassifier,
    L2SPRidge,
    Moments,
    SourceModel,
    TargetCV,
    UnitsWarning,
    stack_domains,
)
from skt.core import families, glm, l2sp_glm
from skt.core.rows import Rows
from skt.datasets import make_aligned_regressions

WAYS = {
    "default": {},
    "loo": {"method": "loo"},
    "ml": {"method": "ml"},
    "paper": {"source_scale": 1.0},
    "source-optimal": {"source_alpha": "source-optimal"},
    "transfer-optimal": {"source_alpha": "transfer-optimal", "source_scale": 1.0},
    "given": {"alpha": 0.3, "source_alpha": 0.1, "source_scale": 0.5},
    "no intercept": {"fit_intercept": False},
}
every_way = pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)


def draw(rng, n, W, noise=1.0):
    X = rng.normal(size=(n, len(W))) + 2.0
    return X, X @ W + 3.0 + noise * rng.normal(size=(n, *W.shape[1:]))


def problem(rng, n=25, p=8, K=2, outputs=(), m=60):
    """Target, and sources that differ from it more and more."""
    W = rng.normal(size=(p, *outputs))
    sources = {"abcd"[k]: draw(rng, m, W + 0.2 * 3**k * rng.normal(size=W.shape)) for k in range(K)}
    return W, draw(rng, n, W), sources


def fit(target, sources, cls=L2SPRidge, **options):
    X, y, d = stack_domains(target, sources)
    return cls(**options).fit(X, y, sample_domain=d)


# Without sources ------------------------------------------------------------------------------


@pytest.mark.parametrize("outputs", [(), (2,)])
@pytest.mark.parametrize("alpha", [1e-6, 0.1, 10.0])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("n", "p"), [(40, 5), (10, 30), (6, 6)])
def test_without_sources_it_is_ridge(rng, n, p, intercept, alpha, outputs):
    X, y = draw(rng, n, rng.normal(size=(p, *outputs)))
    ours = L2SPRidge(alpha=alpha, fit_intercept=intercept).fit(X, y)
    theirs = Ridge(n * alpha, fit_intercept=intercept, solver="svd").fit(X, y)
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-10, atol=1e-10)
    assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("outputs", [(), (3,)])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("n", "p"), [(40, 5), (10, 30), (6, 6)])
def test_without_sources_auto_is_the_choice_of_ridge_cv(rng, n, p, intercept, outputs):
    X, y = draw(rng, n, rng.normal(size=(p, *outputs)))
    ours = L2SPRidge(fit_intercept=intercept).fit(X, y)
    theirs = RidgeCV(n * ours.alphas_, fit_intercept=intercept).fit(X, y)
    assert_allclose(n * ours.alpha_, theirs.alpha_, rtol=1e-12)
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9, atol=1e-10)
    assert ours.method_ == "loo"
    assert ours.transfer_gain_ == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("n", "p"), [(40, 5), (10, 30)])
def test_alpha_zero_is_least_squares(rng, n, p):
    X, y = draw(rng, n, rng.normal(size=p))
    ours, theirs = L2SPRidge(alpha=0).fit(X, y), LinearRegression().fit(X, y)
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-9)


def test_alpha_infinite_without_sources_is_the_mean(rng):
    X, y = draw(rng, 20, rng.normal(size=4))
    est = L2SPRidge(alpha=np.inf).fit(X, y)
    assert_array_equal(est.coef_, 0)
    assert est.intercept_ == pytest.approx(y.mean())


@pytest.mark.parametrize("alpha", [0.01, 1.0])
@pytest.mark.parametrize("C", [2, 3])
def test_without_sources_the_classifier_is_logistic_regression(rng, C, alpha):
    X, y = draw(rng, 60, rng.normal(size=(4, C)))
    y = np.argmax(y, axis=1)
    ours = L2SPClassifier(alpha=alpha).fit(X, y)
    theirs = LogisticRegression(C=1 / (2 * 60 * alpha), tol=1e-10, max_iter=10_000).fit(X, y)
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)
    assert_allclose(ours.predict_log_proba(X), np.log(ours.predict_proba(X)))


# Limits with sources --------------------------------------------------------------------------


def test_alpha_infinite_is_the_scaled_source(rng):
    _, target, sources = problem(rng, K=1)
    est = fit(target, sources, alpha=np.inf, source_alpha=0.1, source_scale=0.7)
    theirs = Ridge(60 * 0.1, solver="svd").fit(*sources["a"])
    assert_allclose(est.source_coef_[0], theirs.coef_, rtol=1e-9)
    assert_allclose(est.coef_, 0.7 * theirs.coef_, rtol=1e-9)
    X, y = target
    assert est.intercept_ == pytest.approx(y.mean() - est.coef_ @ X.mean(axis=0))


@pytest.mark.parametrize("n", [25, 5])
def test_alpha_zero_is_the_least_squares_fit_next_to_the_source(rng, n):
    _, (X, y), sources = problem(rng, n=n, K=1)
    est = fit((X, y), sources, alpha=0.0, source_alpha=0.1, source_scale=1.0)
    assert_allclose(est.predict(X), LinearRegression().fit(X, y).predict(X), atol=1e-9)
    moved = est.coef_ - est.source_coef_[0]
    Z = X - X.mean(axis=0)
    assert_allclose(moved, np.linalg.pinv(Z) @ Z @ moved, atol=1e-9)


@pytest.mark.parametrize("nothing", [{"source_alpha": np.inf}, {"source_scale": 0.0}])
def test_a_source_switched_off_is_no_source(rng, nothing):
    _, target, sources = problem(rng)
    off, alone = fit(target, sources, alpha=0.2, **nothing), L2SPRidge(alpha=0.2).fit(*target)
    assert_allclose(off.coef_, alone.coef_, rtol=1e-10)


def test_source_alpha_zero_is_least_squares_of_the_source(rng):
    _, target, sources = problem(rng, K=1)
    est = fit(target, sources, source_alpha=0.0)
    assert_allclose(est.source_coef_[0], LinearRegression().fit(*sources["a"]).coef_, rtol=1e-8)


@every_way
def test_given_numbers_reproduce_the_choice_of_leave_one_out(rng, options):
    _, target, sources = problem(rng, K=1)
    auto = fit(target, sources, **options)
    if auto.method_ != "loo":
        pytest.skip("joint fits have no single objective")
    given = fit(
        target,
        sources,
        alpha=auto.alpha_,
        source_alpha=auto.source_alpha_[0],
        source_scale=auto.source_scale_[0],
        fit_intercept=auto.fit_intercept,
    )
    assert_allclose(given.coef_, auto.coef_, rtol=1e-8, atol=1e-10)


def test_surface_and_curve_hold_the_choice(rng):
    _, target, sources = problem(rng, K=1)
    est = fit(target, sources, method="loo")
    t, m = np.unravel_index(np.argmin(est.loo_surface_), est.loo_surface_.shape)
    assert est.alpha_ == est.alphas_[m]
    assert_array_equal(est.source_alpha_, est.source_alphas_[t])
    assert est.loo_error_ == est.loo_surface_.min()
    assert est.loo_surface_.shape == (len(est.source_alphas_), len(est.alphas_))
    alone = L2SPRidge().fit(*target)
    assert_allclose(est.loo_curve_, alone.loo_curve_)
    assert np.all(est.loo_surface_ <= est.loo_curve_ * (1 + 1e-12))
    stacked = fit(target, sources)
    assert not hasattr(stacked, "loo_surface_")
    assert_allclose(stacked.loo_curve_, alone.loo_curve_)


def test_a_second_fit_forgets_the_surface_of_the_first(rng):
    _, target, sources = problem(rng)
    X, y, d = stack_domains(target, sources)
    est = L2SPRidge(method="loo").fit(X, y, sample_domain=d)
    assert hasattr(est, "loo_surface_")
    est.set_params(method="ml").fit(X, y, sample_domain=d)
    assert not hasattr(est, "loo_surface_")


# What it is for -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["loo", "ml", "stacked"])
def test_scale_and_alignment_are_found(rng, method):
    data = make_aligned_regressions(400, 200, 10, alignment=-0.5, random_state=0, source_noise=0.3)
    est = L2SPRidge(method=method).fit(data.X, data.y, sample_domain=data.sample_domain)
    assert_allclose(est.alignment_, -0.5, atol=0.1)
    if method != "loo":  # there another penalty of the source has another scale
        assert_allclose(est.source_scale_, -0.5, atol=0.1)


def test_methods_help_and_say_so(rng):
    data = make_aligned_regressions(300, 25, 40, alignment=0.8, random_state=1, source_noise=0.5)
    rows = data.sample_domain == "target"

    def risk(est):
        return np.sum((est.coef_ - data.coef) ** 2)

    alone = risk(RidgeCV(np.logspace(-4, 4, 50)).fit(data.X[rows], data.y[rows]))
    for options in WAYS.values():
        if "alpha" not in options:
            est = L2SPRidge(**options).fit(data.X, data.y, sample_domain=data.sample_domain)
            assert risk(est) < 0.5 * alone
            assert est.transfer_gain_ > 0.3


def test_transfer_optimal_shrinks_more_than_the_source_itself_would(rng):
    data = make_aligned_regressions(100, 60, 80, alignment=0.4, random_state=0)
    fitted = [
        L2SPRidge(source_alpha=rule, source_scale=1.0).fit(
            data.X, data.y, sample_domain=data.sample_domain
        )
        for rule in ("source-optimal", "transfer-optimal")
    ]
    assert fitted[1].source_alpha_[0] > 1.5 * fitted[0].source_alpha_[0]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"method": "ml"}], ids=["default", "ml"])
@pytest.mark.parametrize("hostile", ["unrelated", "opposed", "noise"])
def test_a_hostile_source_costs_next_to_nothing(options, hostile):
    settings = {
        "unrelated": {"alignment": 0.0, "perpendicular": 1.0},
        "opposed": {"alignment": -1.0},
        "noise": {"alignment": 0.0, "perpendicular": 1.0, "source_noise": 30.0},
    }[hostile]
    ours, alone = [], []
    for seed in range(60):
        known = {"n_source": 100, "n_target": 30, "n_features": 20, "target_noise": 0.7}
        data = make_aligned_regressions(**known, **({"source_noise": 0.7} | settings),
                                        random_state=seed)  # fmt: skip
        rows = data.sample_domain == "target"
        est = L2SPRidge(**options).fit(data.X, data.y, sample_domain=data.sample_domain)
        ours.append(np.sum((est.coef_ - data.coef) ** 2))
        est = L2SPRidge().fit(data.X[rows], data.y[rows])
        alone.append(np.sum((est.coef_ - data.coef) ** 2))
    assert np.mean(ours) < 1.02 * np.mean(alone)


# Forms of a source ----------------------------------------------------------------------------


@every_way
@pytest.mark.parametrize("outputs", [(), (2,)])
def test_moments_are_their_rows(rng, options, outputs):
    _, target, sources = problem(rng, outputs=outputs)
    as_rows = fit(target, sources, **options)
    known = {name: Moments.from_data(*pair) for name, pair in sources.items()}
    as_moments = L2SPRidge(**options, sources=known).fit(*target)
    for name in ("coef_", "intercept_", "source_coef_", "source_scale_", "risk_"):
        assert_allclose(
            getattr(as_moments, name), getattr(as_rows, name), rtol=1e-6, atol=1e-8, err_msg=name
        )


@pytest.mark.parametrize("method", ["loo", "ml", "stacked"])
def test_coefficients_are_a_source(rng, method):
    W, target, _ = problem(rng, n=12, p=10)
    known = {
        "model": SourceModel(2 * W),
        "frozen": FrozenEstimator(Ridge().fit(*draw(rng, 50, W + rng.normal(size=10)))),
    }
    est = L2SPRidge(method=method, sources=known).fit(*target)
    assert est.source_names_ == ["model", "frozen"]
    assert_allclose(est.source_coef_[0], 2 * W, rtol=1e-4)
    alone = L2SPRidge().fit(*target)
    assert np.sum((est.coef_ - W) ** 2) < 0.5 * np.sum((alone.coef_ - W) ** 2)
    if method == "loo":
        assert np.isnan(est.source_alpha_).all()


@every_way
def test_shapes_of_several_outputs(rng, options):
    _, target, sources = problem(rng, outputs=(3,))
    est = fit(target, sources, **options)
    assert est.coef_.shape == (3, 8)
    assert est.source_coef_.shape == (2, 3, 8)
    assert est.intercept_.shape == (3,)
    assert est.source_scale_.shape == est.source_alpha_.shape == est.alignment_.shape == (2,)
    assert est.predict(target[0]).shape == target[1].shape


@every_way
def test_weight_2_is_the_row_twice(rng, options):
    _, target, sources = problem(rng)
    X, y, d = stack_domains(target, sources)
    w = rng.integers(1, 4, len(X))
    rows = np.repeat(np.arange(len(X)), w)
    one = L2SPRidge(**options).fit(X, y, sample_domain=d, sample_weight=w)
    other = L2SPRidge(**options).fit(X[rows], y[rows], sample_domain=d[rows])
    assert_allclose(one.coef_, other.coef_, rtol=1e-5, atol=1e-7)
    assert_allclose(one.risk_, other.risk_, rtol=1e-4, atol=1e-9)


@every_way
def test_each_domain_may_have_its_own_origin(rng, options):
    if "fit_intercept" in options:
        pytest.skip("without an intercept the origin matters")
    _, (X, y), sources = problem(rng, K=1)
    one = fit((X, y), sources, **options)
    A, b = sources["a"]
    other = fit((X + 5, y - 100), {"a": (A - 3, b + 50)}, **options)
    assert_allclose(other.coef_, one.coef_, rtol=1e-5, atol=1e-7)


@every_way
@pytest.mark.parametrize("a", [-3.0, 1e-3, 1e5])
def test_units_of_y(rng, options, a):
    _, target, sources = problem(rng)
    X, y, d = stack_domains(target, sources)
    one = L2SPRidge(**options).fit(X, y, sample_domain=d)
    other = L2SPRidge(**options).fit(X, a * y, sample_domain=d)
    assert_allclose(other.predict(X), a * one.predict(X), rtol=1e-4, atol=1e-5 * abs(a))
    assert_allclose(other.risk_, a**2 * one.risk_, rtol=1e-3, atol=1e-9 * a**2)
    assert_allclose(other.loo_error_, a**2 * one.loo_error_, rtol=1e-3)


def test_grid_search_over_the_pipeline(rng):
    _, target, sources = problem(rng, n=40)
    X, y, d = stack_domains(target, sources)
    pipeline = make_pipeline(StandardScaler(), L2SPRidge(method="loo"))
    grid = {"l2spridge__source_scale": [1.0, "auto"], "l2spridge__alpha": [0.1, "auto"]}
    folds = list(TargetCV(4).split(X, y, sample_domain=d))
    search = GridSearchCV(pipeline, grid, cv=folds).fit(X, y, l2spridge__sample_domain=d)
    assert search.best_score_ > 0.5


# Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [L2SPRidge, L2SPClassifier])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"alpha": -1.0},
            r"'alpha' parameter of L2SP\w+ .* \[0.0, inf\].* Got -1.0",
        ),
        ({"alpha": "best"}, r"'alpha' parameter of .* a str among {'auto'}.* Got 'best'"),
        ({"alpha": np.nan}, "'alpha' parameter"),
        ({"source_alpha": -0.1}, "'source_alpha' parameter of .*'auto'"),
        ({"source_alpha": "optimal"}, "'source_alpha' parameter of .*'auto'"),
        ({"source_scale": "free"}, "'source_scale' parameter of .* Got 'free'"),
        ({"source_scale": np.inf}, "'source_scale' parameter"),
        ({"fit_intercept": "yes"}, "'fit_intercept' parameter of .* Got 'yes'"),
    ],
)
def test_parameters_are_checked(rng, cls, options, message):
    X = rng.normal(size=(10, 3))
    y = X[:, 0] if cls is L2SPRidge else (X[:, 0] > 0).astype(int)
    with pytest.raises(ValueError, match=message):
        cls(**options).fit(X, y)


def test_unknown_method(rng):
    with pytest.raises(ValueError, match=r"'method' parameter of L2SPRidge .*'stacked'.* Got 'cv'"):
        L2SPRidge(method="cv").fit(*problem(rng)[1])


@pytest.mark.parametrize("n_folds", [1, 2.5, "all"])
def test_folds_are_checked(rng, n_folds):
    X = rng.normal(size=(10, 3))
    with pytest.raises(ValueError, match=r"'n_folds' parameter of .* int in the range \[2, inf\)"):
        L2SPClassifier(n_folds=n_folds).fit(X, X[:, 0] > 0)


@pytest.mark.parametrize("method", ["ml", "stacked"])
@pytest.mark.parametrize("given", [{"alpha": 0.1}, {"source_alpha": 1.0}, {"source_scale": 1.0}])
def test_a_number_goes_with_leave_one_out(rng, method, given):
    _, target, sources = problem(rng)
    with pytest.raises(ValueError, match=r"use method='loo' to choose the others"):
        fit(target, sources, method=method, **given)
    assert fit(target, sources, **given).method_ == "loo"


def test_a_penalty_for_coefficients_is_refused(rng):
    W, target, sources = problem(rng)
    with pytest.raises(ValueError, match=r"source_alpha=0.1 does not apply: source 'm' is known"):
        L2SPRidge(source_alpha=0.1, sources={"m": SourceModel(W)}).fit(*target)
    both = L2SPRidge(source_alpha=0.1, sources={"m": SourceModel(W)})
    X, y, d = stack_domains(target, sources)
    assert_allclose(both.fit(X, y, sample_domain=d).source_alpha_, [0.1, 0.1, np.nan])


def test_source_of_other_features(rng):
    W, target, _ = problem(rng)
    with pytest.raises(ValueError, match="has 5 features but X has 8"):
        L2SPRidge(sources={"m": SourceModel(W[:5])}).fit(*target)


def test_units_of_a_source_are_watched(rng):
    _, target, sources = problem(rng)
    X, y = sources["a"]
    with pytest.warns(UnitsWarning, match="in other units"):
        L2SPRidge(sources={"a": Moments.from_data(X * 1e4, y)}).fit(*target)


@every_way
def test_zero_source_coefficient(rng, options):
    _, target, _ = problem(rng)
    X = rng.normal(size=(50, 8))
    constant = np.full(50, 2.0 * options.get("fit_intercept", True))
    with warnings.catch_warnings():  # outputs without any noise: the likelihood has no maximum
        warnings.simplefilter("ignore", ConvergenceWarning)
        est = fit(target, {"zero": (X, constant)}, **options)
    assert np.isfinite(est.coef_).all()
    assert_allclose(est.source_coef_, 0, atol=1e-12)
    known = {k: v for k, v in options.items() if k in ("alpha", "fit_intercept")}
    alone = L2SPRidge(**known).fit(*target)
    assert_allclose(est.predict(target[0]), alone.predict(target[0]), atol=1.5)


@every_way
def test_constant_target(rng, options):
    X, _ = problem(rng)[1]
    est = fit((X, np.full(len(X), 7.0)), problem(rng)[2], **options)
    assert np.isfinite(est.coef_).all()
    if "alpha" not in options and est.fit_intercept:
        assert_allclose(est.predict(X), 7.0, atol=0.3)


@pytest.mark.parametrize("level", [0.0, 0.1])
@every_way
def test_nothing_to_explain_anywhere(rng, level, options):
    _, (X, _), sources = problem(rng)
    constant = {name: (A, np.full(len(A), level)) for name, (A, _) in sources.items()}
    if not options.get("fit_intercept", True):
        level = 0.0
        constant = {name: (A, np.zeros(len(A))) for name, (A, _) in sources.items()}
    est = fit((X, np.full(len(X), level)), constant, **options)
    assert_allclose(est.coef_, 0, atol=1e-12)
    assert_allclose(est.predict(X), level, rtol=1e-12)


@every_way
def test_collinear_and_constant_columns(rng, options):
    _, (X, y), sources = problem(rng)

    def worse(X):
        return np.column_stack([X, X[:, 0], np.ones(len(X))])

    est = fit((worse(X), y), {name: (worse(A), b) for name, (A, b) in sources.items()}, **options)
    assert np.isfinite(est.coef_).all()
    assert_allclose(est.coef_[0], est.coef_[8], rtol=1e-5, atol=1e-8)
    if est.fit_intercept:
        assert_allclose(est.coef_[9], 0, atol=1e-10)


@pytest.mark.parametrize("n", [1, 2])
@every_way
def test_a_target_of_one_or_two_rows(rng, n, options):
    _, target, sources = problem(rng, n=n)
    if n == 1 and options.get("fit_intercept", True):
        with pytest.warns(UserWarning, match=r"The target's 1 row cannot tell slopes"):
            est = fit(target, sources, **options)
        assert est.method_ == "source-only"
        assert_allclose(est.coef_, est.source_coef_.mean(axis=0))
        assert np.isnan(est.transfer_gain_)
    else:
        assert np.isfinite(fit(target, sources, **options).coef_).all()


@pytest.mark.parametrize(("labels", "n"), [("a", 1), ("ab", 2), ("aab", 3), ("ccc", 3)])
@pytest.mark.parametrize("C", [2, 3])
def test_a_target_that_cannot_tell_slopes_takes_the_mean_source(rng, labels, n, C):
    if C == 2 and "c" in labels:
        pytest.skip("there is no class c")
    _, sources, _ = class_problem(rng, C=C, K=2)
    X = rng.normal(size=(n, 10))
    with pytest.warns(UserWarning, match=rf"The target's {n} rows? cannot tell slopes"):
        est = fit((X, list(labels)), sources, L2SPClassifier)
    assert_array_equal(est.source_scale_, 0.5)
    assert_allclose(est.coef_, est.source_coef_.mean(axis=0), atol=1e-12)
    assert np.isnan(est.transfer_gain_)
    assert np.isnan(est.cv_loss_).all()
    # One further row belongs to all classes: the likelihood does not send the intercept away.
    assert np.all(np.abs(est.decision_function(X.mean(axis=0)[None])) < 8)


def test_rows_in_which_nothing_varies_leave_slopes_to_the_source(rng):
    _, sources, _ = class_problem(rng)
    X, y = np.ones((8, 10)), np.repeat(["a", "b"], [6, 2])
    with pytest.warns(UserWarning, match="cannot tell slopes"):
        est = fit((X, y), sources, L2SPClassifier, source_scale=0.7)
    assert_array_equal(est.source_scale_, 0.7)
    # Six of a, two of b and one that is half of each.
    assert_allclose(est.predict_proba(X)[0], [6.5 / 9, 2.5 / 9], atol=1e-6)
    numbers = L2SPClassifier(alpha=0.1, source_scale=1.0)
    X = rng.normal(size=(3, 10))
    given = fit((X, list("aab")), sources, L2SPClassifier, alpha=0.1, source_scale=1.0)
    assert given.alpha_ == numbers.alpha  # nothing to validate, so that three rows will do


@pytest.mark.slow
def test_the_gain_of_leave_one_out_is_not_optimistic(rng):
    gains, risks = [], []
    for seed in range(80):
        data = make_aligned_regressions(
            80, 25, 40, 0.6, 0.5, source_noise=0.5, target_noise=0.5, random_state=seed
        )
        rows = data.sample_domain == "target"
        both = L2SPRidge(method="loo").fit(data.X, data.y, sample_domain=data.sample_domain)
        alone = L2SPRidge().fit(data.X[rows], data.y[rows])
        gains.append(both.target_risk_ - both.risk_)
        risks.append([np.sum((est.coef_ - data.coef) ** 2) for est in (alone, both)])
    true = np.subtract(*np.transpose(risks))
    error = np.std(np.array(gains) - true, ddof=1) / 80**0.5
    assert abs(np.mean(gains) - np.mean(true)) < 3 * error
    assert np.mean(true) > 0


def test_a_likelihood_that_does_not_converge_warns(rng, monkeypatch):
    from skt.core import l2sp

    real = l2sp.mixed_model

    def stopped(*args):
        chosen, loo = real(*args)
        return chosen._replace(converged=False), loo

    monkeypatch.setattr(l2sp, "mixed_model", stopped)
    with pytest.warns(ConvergenceWarning, match="was not maximised after"):
        fit(*problem(rng)[1:])


# The classifier -------------------------------------------------------------------------------


def class_problem(rng, n=24, p=10, C=2, K=1, shift=0.1, m=200):
    W = 1.5 * rng.normal(size=(p, C))

    def labelled(n, W):
        X = rng.normal(size=(n, p))
        return X, np.array(list("abcd"))[np.argmax(X @ W + rng.gumbel(size=(n, C)), axis=1)]

    sources = {f"s{k}": labelled(m, W + shift * 10**k * rng.normal(size=W.shape)) for k in range(K)}
    return labelled(n, W), sources, labelled(2000, W)


def log_loss(est, X, y):
    return -np.mean(
        np.log(est.predict_proba(X)[np.arange(len(y)), np.searchsorted(est.classes_, y)])
    )


@pytest.mark.parametrize("C", [2, 3])
@pytest.mark.parametrize("K", [1, 2])
def test_the_classifier_borrows(rng, C, K):
    losses = []
    for _ in range(3):
        target, sources, test = class_problem(rng, n=30, C=C, K=K)
        est, alone = fit(target, sources, L2SPClassifier), L2SPClassifier().fit(*target)
        losses.append((log_loss(est, *test), log_loss(alone, *test)))
    ours, theirs = np.mean(losses, axis=0)
    assert ours < 0.9 * theirs
    q = 1 if C == 2 else C
    assert est.coef_.shape == (q, 10)
    assert est.source_coef_.shape == (K, q, 10)
    assert est.cv_loss_.shape == (2, len(est.alphas_))
    assert np.all(est.source_scale_ >= 0)


@pytest.mark.parametrize("C", [2, 3])
def test_the_classifier_is_stationary(rng, C):
    target, sources, _ = class_problem(rng, C=C)
    est = fit(target, sources, L2SPClassifier, alpha=0.05, source_scale=0.8, source_alpha=0.02)
    X, y = target
    Y = families.indicators(np.searchsorted(est.classes_, y), C)
    centre = 0.8 * est.source_coef_[0].T
    given = {"alpha": 0.05, "centre": centre}
    best = glm.objective(families.LOGISTIC, est.coef_.T, est.intercept_, X, Y, **given)
    for _ in range(30):
        moved = est.coef_.T + 1e-2 * rng.normal(size=centre.shape)
        assert glm.objective(families.LOGISTIC, moved, est.intercept_, X, Y, **given) > best
    X, y = sources["s0"]
    theirs = LogisticRegression(C=1 / (2 * 200 * 0.02), tol=1e-10, max_iter=10_000).fit(X, y)
    assert_allclose(est.source_coef_[0], theirs.coef_, atol=1e-5)


def test_the_classifier_leaves_a_useless_source(rng):
    losses = []
    for _ in range(6):
        target, _, test = class_problem(rng, n=40)
        _, sources, _ = class_problem(rng, n=40)
        est, alone = fit(target, sources, L2SPClassifier), L2SPClassifier().fit(*target)
        losses.append((log_loss(est, *test), log_loss(alone, *test)))
    ours, alone = np.mean(losses, axis=0)
    assert ours < 1.05 * alone


def test_scales_of_a_classifier(rng):
    target, sources, _ = class_problem(rng, n=300, K=2, m=1000)
    est = fit(target, sources, L2SPClassifier, source_alpha=0.001)
    assert est.source_scale_[0] > 2 * est.source_scale_[1]
    mixed = fit(target, sources, L2SPClassifier, source_scale=0.9)
    assert mixed.source_scale_.sum() == pytest.approx(0.9)
    assert np.all(mixed.source_scale_ >= -1e-9)
    X, y = sources["s0"]
    mirrored = fit(target, {"m": (X, np.where(y == "a", "b", "a"))}, L2SPClassifier)
    assert mirrored.source_scale_[0] < -0.5


def test_free_scales_minimise_what_they_should(rng):
    (X, y), _, _ = class_problem(rng, K=2)
    rows = Rows(X, families.indicators(np.searchsorted(["a", "b"], y), 2), np.ones(len(X)))
    coefs = rng.normal(size=(2, 10, 1))

    def value(c, b):
        eta = np.tensordot(c, np.einsum("np,kpq->knq", X, coefs), 1) + b
        return np.sum(families.LOGISTIC.loss(eta, rows.Y)) + np.sum((c - 0.5) ** 2) / 2

    c = l2sp_glm.estimate_scales(families.LOGISTIC, rows, coefs, None, intercept=True)
    levels = np.linspace(-4, 4, 4001)
    best = min(value(c, b) for b in levels)
    for _ in range(20):
        other = np.maximum(c + 0.1 * rng.normal(size=2), 0)
        assert min(value(other, b) for b in levels[::20]) > best - 1e-4


@pytest.mark.parametrize("C", [2, 3])
def test_frozen_classifiers_and_coefficients_are_sources(rng, C):
    target, sources, test = class_problem(rng, C=C)
    model = LogisticRegression().fit(*sources["s0"])
    frozen = L2SPClassifier(sources={"m": FrozenEstimator(model)}).fit(*target)
    given = L2SPClassifier(sources={"m": SourceModel(model.coef_)}).fit(*target)
    assert_allclose(frozen.coef_, given.coef_, atol=1e-6)
    assert np.isnan(frozen.source_alpha_).all()
    assert log_loss(frozen, *test) < log_loss(L2SPClassifier().fit(*target), *test)


def test_bad_sources_of_a_classifier(rng):
    target, sources, _ = class_problem(rng)
    X, y = sources["s0"]
    codes = (y == "a").astype(float)
    for source, error, message in (
        (
            Moments.from_data(X, codes),
            TypeError,
            "comes as Moments, which L2SPClassifier does",
        ),
        (FrozenEstimator(Ridge().fit(X, codes)), TypeError, "only classifiers with a decision"),
        (FrozenEstimator(LogisticRegression().fit(X, codes)), ValueError, "knows the classes"),
        (SourceModel(np.ones((3, 10))), ValueError, "has coef for 3 outputs but there are 2"),
        (LogisticRegression().fit(X, y), TypeError, "scikit-learn's clone would unfit it"),
    ):
        with pytest.raises(error, match=message):
            L2SPClassifier(sources={"s": source}).fit(*target)
    with pytest.raises(ValueError, match=r"source_alpha=1.0 does not apply"):
        L2SPClassifier(source_alpha=1.0, sources={"s": SourceModel(np.ones(10))}).fit(*target)


def test_one_class(rng):
    with pytest.raises(ValueError, match="y holds one class only, 'a'"):
        L2SPClassifier().fit(rng.normal(size=(5, 2)), ["a"] * 5)


def test_a_class_that_only_the_source_has(rng):
    (X, y), sources, _ = class_problem(rng, C=3)
    kept = y != "c"
    est = fit((X[kept], y[kept]), sources, L2SPClassifier)
    assert est.classes_.tolist() == ["a", "b", "c"]
    assert np.isfinite(est.predict_proba(X)).all()


def test_a_logistic_fit_that_does_not_converge_warns(rng, monkeypatch):
    target, sources, _ = class_problem(rng)
    real = glm.fit
    monkeypatch.setattr(glm, "fit", lambda *a, **kw: real(*a, **kw)._replace(converged=False))
    with pytest.warns(ConvergenceWarning, match="logistic fit did not converge"):
        fit(target, sources, L2SPClassifier, alpha=0.1)


def test_labels_of_rows_and_domains_in_any_order(rng):
    target, sources, _ = class_problem(rng, K=2)
    X, y, d = stack_domains(target, sources)
    one = L2SPClassifier().fit(X, y, sample_domain=d)
    order = rng.permutation(len(X))
    other = L2SPClassifier().fit(X[order], y[order], sample_domain=d[order])
    assert_allclose(one.coef_, other.coef_, atol=1e-7)


def test_the_largest_penalty_that_is_not_clearly_worse(rng):
    noise = rng.exponential(size=200)
    # Against the second penalty: much worse, itself, worse by chance, clearly worse.
    losses = np.stack([noise + 2, noise, noise[::-1] + 0.01, noise + 0.01])
    both = np.stack([losses + 1, losses])
    validated = l2sp_glm.Validated(np.arange(4.0), both, np.ones(200))
    assert validated.best == (1, 1)
    assert validated.cautious == (1, 2)
    w = rng.integers(1, 4, 200).astype(float)
    rows = np.repeat(np.arange(200), w.astype(int))
    weighted = l2sp_glm.Validated(np.arange(4.0), both, w)
    repeated = l2sp_glm.Validated(np.arange(4.0), both[..., rows], np.ones(len(rows)))
    assert weighted.cautious == repeated.cautious
    assert_allclose(weighted.errors, repeated.errors)
    alone = l2sp_glm.Validated(np.arange(4.0), np.stack([losses, losses + np.inf]), np.ones(200))
    assert alone.cautious == (0, 2)
