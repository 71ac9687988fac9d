"""UOWQRegressor: bad input, hostile input, and what it promises about risk."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skt import Moments, SourceModel, UnitsWarning, UOWQRegressor, stack_domains

WEIGHTS = ["eb", "sure", "plugin", "iterated"]
COMBINATIONS = [
    {},
    {"combination": "matrix"},
    {"combination": "scalar"},
    {"weights": "sure"},
    {"weights": "plugin"},
    {"weights": "iterated"},
    {"weights": [0.5, 2.0]},
]


def draw(rng, n, W, noise=1.0, mean=0.0):
    X = rng.normal(size=(n, len(W))) + mean
    return X, X @ W + noise * rng.normal(size=(n, *W.shape[1:]))


def problem(rng, n=40, p=5, shifts=(0.1, 2.0), m=100, outputs=(), noise=1.0):
    """Target and sources ("a", "b", ...), shifted further and further."""
    W = rng.normal(size=(p, *outputs))
    sources = {
        "abcdefgh"[k]: draw(rng, m, W + shift * rng.normal(size=W.shape), noise)
        for k, shift in enumerate(shifts)
    }
    return W, draw(rng, n, W, noise), sources


def fit(target, sources, **options):
    X, y, d = stack_domains(target, sources)
    return UOWQRegressor(**options).fit(X, y, sample_domain=d)


def excess(est, W):
    """Excess risk of slopes on isotropic features."""
    return float(np.sum((np.atleast_2d(est.coef_) - np.atleast_2d(W.T)) ** 2))


def assert_sound(est, K, q=1):
    """Everything finite and of its documented shape and sign."""
    p = est.n_features_in_
    outputs = () if q == 1 else (q,)
    assert est.coef_.shape == (*outputs, p)
    assert np.shape(est.intercept_) == outputs
    assert est.source_weights_.shape == est.source_shares_.shape == (K,)
    assert est.discrepancy_.shape == (K, K)
    assert est.coef_covariance_.shape == (*outputs, p, p)
    for name in ("coef_", "intercept_", "source_shares_", "discrepancy_", "coef_covariance_"):
        assert np.isfinite(getattr(est, name)).all(), name
    for name in ("risk_", "target_risk_", "effective_sample_size_", "noise_variance_", "alpha_"):
        assert np.all(np.asarray(getattr(est, name)) >= 0), name
        assert np.isfinite(getattr(est, name)).all(), name
    assert est.transfer_gain_ <= 1
    for C in np.reshape(est.coef_covariance_, (-1, p, p)):
        unit = np.sqrt(np.maximum(np.diag(C), 1e-300))
        assert np.linalg.eigvalsh(C / unit / unit[:, None])[0] > -1e-6


# Bad input --------------------------------------------------------------------------------


def test_no_target_row(rng):
    _, (X, y), _ = problem(rng)
    with pytest.raises(ValueError, match=r"no target row; it holds 'DE', 'IT'.*as_sample_domain"):
        UOWQRegressor().fit(X, y, sample_domain=np.where(np.arange(40) % 2, "DE", "IT"))
    with pytest.raises(ValueError, match="no target row"):
        UOWQRegressor().fit(X, y, sample_domain=np.arange(40) % 2)


@pytest.mark.parametrize("as_list", [list, tuple])
def test_pairs_are_refused_by_fit(rng, as_list):
    _, target, sources = problem(rng)
    with pytest.raises(TypeError, match=r"list of \(X, y\) pairs.*stack_domains"):
        UOWQRegressor().fit(*target, sample_domain=as_list(sources.values()))
    with pytest.raises(TypeError, match=r"list of \(X, y\) pairs.*stack_domains"):
        UOWQRegressor().fit(as_list([target, *sources.values()]), target[1])


def test_pairs_are_refused_by_sources(rng):
    _, target, sources = problem(rng)
    with pytest.raises(TypeError, match=r"list of \(X, y\) pairs.*stack_domains"):
        UOWQRegressor(sources=list(sources.values())).fit(*target)
    with pytest.raises(TypeError, match=r"sources\['a'\] is a pair \(X, y\).*Moments.from_data"):
        UOWQRegressor(sources=sources).fit(*target)


def test_number_of_features_differs(rng):
    _, target, _ = problem(rng)
    wrong = Moments.from_data(*draw(rng, 50, np.ones(4)))
    with pytest.raises(ValueError, match=r"sources\['DE'\] has 4 features but X has 5"):
        UOWQRegressor(sources={"DE": wrong}).fit(*target)
    with pytest.raises(ValueError, match=r"sources\['m'\] has 3 features but X has 5"):
        UOWQRegressor(sources={"m": SourceModel(np.ones(3))}).fit(*target)


def test_features_differ_by_name(rng):
    _, (X, y), _ = problem(rng)
    frame = pd.DataFrame(X, columns=list("abcde"))
    source = Moments.from_data(frame.rename(columns={"e": "z"}), y)
    with pytest.raises(ValueError, match=r"sources\['DE'\].*lacks 'e' and it also has 'z'"):
        UOWQRegressor(sources={"DE": source}).fit(frame, y)
    turned = Moments.from_data(frame[list("bacde")], y)
    with pytest.raises(ValueError, match=r"sources\['DE'\].*in another order"):
        UOWQRegressor(sources={"DE": turned}).fit(frame, y)


def test_number_of_outputs_differs(rng):
    _, target, _ = problem(rng)
    two = Moments.from_data(*draw(rng, 50, np.ones((5, 2))))
    with pytest.raises(ValueError, match=r"sources\['s'\] has 2 targets but y has 1"):
        UOWQRegressor(sources={"s": two}).fit(*target)


def test_other_units_warn_and_name_the_remedy(rng):
    _, target, sources = problem(rng)
    X, y = sources["a"]
    source = Moments.from_data(X * [1, 1e4, 1, 1, 1], y)
    with pytest.warns(UnitsWarning, match=r"sources\['a'\].*column 1 \(factor \d.*rescale"):
        UOWQRegressor(sources={"a": source}).fit(*target)
    mended = source.rescale(0.0, [1, 1e4, 1, 1, 1])
    ours = UOWQRegressor(sources={"a": mended}).fit(*target)
    assert_allclose(
        ours.coef_, UOWQRegressor(sources={"a": Moments.from_data(X, y)}).fit(*target).coef_
    )


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        (Ridge(), TypeError, r"sources\['s'\] is a Ridge; .*clone would unfit.*FrozenEstimator"),
        (FrozenEstimator(Ridge()), NotFittedError, "not fitted"),
        (None, TypeError, "expected Moments"),
        (np.ones(5), TypeError, "expected Moments"),
    ],
)
def test_what_is_no_source(rng, model, kind, message):
    _, target, _ = problem(rng)
    with pytest.raises(kind, match=message):
        UOWQRegressor(sources={"s": model}).fit(*target)


def test_a_classifier_is_no_source(rng):
    _, (X, y), _ = problem(rng)
    model = FrozenEstimator(LogisticRegression().fit(X, y > 0))
    with pytest.raises(TypeError, match="only regressors"):
        UOWQRegressor(sources={"s": model}).fit(X, y)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["X", "y", "source X", "source y", "weight", "new X"])
def test_nan_and_infinity(rng, bad, where):
    _, target, sources = problem(rng)
    X, y, d = stack_domains(target, sources)
    w = np.ones(len(X))
    array, row = {
        "X": (X, 3),
        "y": (y, 3),
        "source X": (X, 70),
        "source y": (y, 70),
        "weight": (w, 5),
        "new X": (X, 3),
    }[where]
    if where == "new X":
        est = UOWQRegressor().fit(X, y, sample_domain=d)
        X[3, 0] = bad
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            est.predict(X)
        return
    array[(row, 0)[: array.ndim]] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        UOWQRegressor().fit(X, y, sample_domain=d, sample_weight=w)


def test_sample_weight(rng):
    _, target, sources = problem(rng)
    X, y, d = stack_domains(target, sources)
    w = np.ones(len(X))
    w[[3, 60]] = -1
    with pytest.raises(ValueError, match="sample_weight has 2 negative values"):
        UOWQRegressor().fit(X, y, sample_domain=d, sample_weight=w)
    for name, which in (("target", "the target"), ("a", "source 'a'")):
        with pytest.raises(ValueError, match=f"zero on every row of {which}"):
            UOWQRegressor().fit(X, y, sample_domain=d, sample_weight=(d != name).astype(float))
    with pytest.raises(ValueError, match=r"zero on every row|at least one non-zero"):
        UOWQRegressor().fit(X, y, sample_domain=d, sample_weight=np.zeros(len(X)))
    with pytest.raises(ValueError, match="sample_weight"):
        UOWQRegressor().fit(X, y, sample_domain=d, sample_weight=w[:-1])


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"weights": "ebb"}, ValueError, "'weights' parameter of .*'eb'.* Got 'ebb'"),
        (
            {"guard": "stein"},
            ValueError,
            "'guard' parameter .*'james-stein'.* or None. Got 'stein'",
        ),
        ({"guard": True}, ValueError, "'guard' parameter"),
        ({"combination": "both"}, ValueError, "'combination' parameter .* Got 'both'"),
        ({"combination": None}, ValueError, "'combination' parameter"),
        ({"alpha": -1.0}, ValueError, r"'alpha' parameter .*range \[0.0, inf\).* Got -1.0"),
        ({"alpha": np.nan}, ValueError, "'alpha' parameter"),
        ({"alpha": np.inf}, ValueError, "'alpha' parameter"),
        ({"alpha": "cv"}, ValueError, "'alpha' parameter .* Got 'cv'"),
        ({"alpha": None}, ValueError, "'alpha' parameter"),
        ({"alpha": [0.1, 1.0]}, ValueError, "'alpha' parameter"),
        ({"alpha": np.array([0.1, 1.0])}, ValueError, "'alpha' parameter"),
        ({"weights": [1.0]}, ValueError, r"weights has shape \(1,\) but there are 2 sources"),
        ({"weights": [1.0, 1.0, 1.0]}, ValueError, r"2 sources \(a, b\)"),
        ({"weights": [[1.0, 1.0]]}, ValueError, "one weight per source"),
        ({"weights": [1.0, -1.0]}, ValueError, "weights must be finite and >= 0"),
        ({"weights": [1.0, np.nan]}, ValueError, "weights must be finite"),
        ({"weights": 1.0}, ValueError, "'weights' parameter .* array-like"),
        ({"weights": None}, (ValueError, TypeError), "weights"),
        ({"weights": {"a": 1.0, "b": 2.0}}, (ValueError, TypeError), "weights"),
        ({"constraints": []}, TypeError, r"\'constraints\' parameter .*callable or None. Got \[\]"),
        ({"combination": "matrix", "weights": "sure"}, ValueError, "goes with weights='eb'"),
        (
            {"combination": "matrix", "constraints": lambda w: [w <= 1]},
            ValueError,
            "combination='scalar'",
        ),
        ({"fit_intercept": "no"}, (ValueError, TypeError), "fit_intercept"),
    ],
)
def test_options(rng, options, kind, message):
    _, target, sources = problem(rng)
    with pytest.raises(kind, match=message):
        fit(target, sources, **options)


@pytest.mark.parametrize(
    "constraints",
    [lambda w: [w[0] >= 1, w[0] <= 0.5], lambda w: [w[0] + w[1] <= -1]],
)
def test_constraints_that_nothing_satisfies(rng, constraints):
    _, target, sources = problem(rng)
    with pytest.raises(ValueError, match="satisf"):
        fit(target, sources, constraints=constraints)


def test_a_name_used_twice(rng):
    _, target, sources = problem(rng)
    X, y, d = stack_domains(target, sources)
    known = {"a": Moments.from_data(*sources["a"])}
    with pytest.raises(ValueError, match=r"\['a'\] name sources twice.*rename"):
        UOWQRegressor(sources=known).fit(X, y, sample_domain=d)


def test_predict_before_fit():
    with pytest.raises(NotFittedError):
        UOWQRegressor().predict(np.ones((1, 2)))


# Hostile but legal input ------------------------------------------------------------------


@pytest.mark.parametrize("options", COMBINATIONS)
@pytest.mark.parametrize(("n", "m"), [(40, 3), (40, 1), (40, 2), (8, 3), (8, 1)])
def test_source_with_fewer_rows_than_features(rng, options, n, m):
    _, target, sources = problem(rng, n=n, p=6, m=m)
    est = fit(target, sources, **options)
    assert_sound(est, 2)
    if "weights" not in options or isinstance(options["weights"], str):
        assert np.max(np.abs(est.source_weights_)) < 20


@pytest.mark.parametrize("options", COMBINATIONS)
@pytest.mark.parametrize("n", [40, 6])
def test_source_identical_to_the_target(rng, options, n):
    W, target, _ = problem(rng, n=n)
    est = fit(target, {"a": target, "b": target}, **options)
    assert_sound(est, 2)
    # Rows counted again say that noise is less, so that at worst nothing is shrunk.
    assert excess(est, W) < 2 * excess(UOWQRegressor(alpha=0.0).fit(*target), W)


def hostile_columns(X, case):
    X = X.copy()
    if case == "constant":
        X[:, 2] = 7.0
    elif case == "zero":
        X[:, 2] = 0.0
    elif case == "duplicated":
        X[:, 2] = X[:, 1]
    elif case == "collinear":
        X[:, 2] = 2 * X[:, 0] - X[:, 1] + 5
    elif case == "all constant":
        X[:] = 3.0
    return X


@pytest.mark.parametrize("options", COMBINATIONS)
@pytest.mark.parametrize(
    "case", ["constant", "zero", "duplicated", "collinear", "all constant", "y constant"]
)
@pytest.mark.parametrize("which", ["all", "target", "sources"])
@pytest.mark.parametrize("n", [40, 6])
def test_columns_that_say_nothing_new(rng, options, case, which, n):
    _, target, sources = problem(rng, n=n)
    X, y, d = stack_domains(target, sources)
    rows = {"all": d == d, "target": d == "target", "sources": d != "target"}[which]
    X[rows] = hostile_columns(X[rows], case)
    if case == "y constant":
        y[rows] = 4.0
    with warnings.catch_warnings():
        if case == "all constant":
            warnings.filterwarnings("ignore", "The target's .* cannot tell slopes")
        est = UOWQRegressor(**options).fit(X, y, sample_domain=d)
    assert_sound(est, 2)
    assert np.isfinite(est.predict(X, return_std=True)).all()
    if case == "y constant" and which == "all":
        assert_allclose(est.predict(X), 4.0)
    if case in ("constant", "zero", "all constant") and which == "all":
        assert abs(est.coef_[2]) < 1e-12


@pytest.mark.parametrize("options", COMBINATIONS[:3])
def test_duplicated_column_predicts_as_one(rng, options):
    _, target, sources = problem(rng)
    X, y, d = stack_domains(target, sources)
    twice = np.column_stack([X, X[:, 1]])
    est = UOWQRegressor(**options, alpha=0.0).fit(twice, y, sample_domain=d)
    one = UOWQRegressor(**options, alpha=0.0).fit(X, y, sample_domain=d)
    # A prior on six coefficients is not one on five, but the data say the same.
    assert np.max(np.abs(est.predict(twice) - one.predict(X))) < 0.2 * y.std()


@pytest.mark.parametrize("options", COMBINATIONS)
@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_target_rows_fall_back_to_the_sources(rng, options, n):
    W, target, sources = problem(rng, n=n)
    with pytest.warns(UserWarning, match=rf"target's {n} rows? cannot tell.*sources alone"):
        est = fit(target, sources, **options)
    assert est.combination_ == "source-only"
    assert_sound(est, 2)
    X, y = target
    assert abs(est.predict(X).mean() - y.mean()) < 2.0  # their mean counts, and the sources' do
    assert np.sum((est.coef_ - W) ** 2) < np.sum(W**2) + 5


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_target_rows_without_sources(rng, n):
    _, target, _ = problem(rng, n=n)
    assert_sound(UOWQRegressor().fit(*target), 0)


@pytest.mark.parametrize("options", COMBINATIONS)
@pytest.mark.parametrize("n", [3, 4, 5, 6, 7, 8, 9, 12])
def test_every_number_of_target_rows(rng, options, n):
    _, target, sources = problem(rng, n=n, p=5)
    assert_sound(fit(target, sources, **options), 2)


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("K", [1, 4])
@pytest.mark.parametrize("n", [3, 5, 50])
def test_few_features(rng, p, K, n):
    _, target, sources = problem(rng, n=n, p=p, shifts=(0.3,) * K)
    for options in ({}, {"combination": "matrix"}, {"weights": "sure"}):
        est = fit(target, sources, **options)
        assert_sound(est, K)
        if not options and n == 50:
            assert est.combination_ == ("scalar" if p <= 2 else "matrix")


def test_combination_auto_counts_outputs(rng):
    _, target, sources = problem(rng, p=1, outputs=(3,))
    assert fit(target, sources).combination_ == "matrix"


@pytest.mark.parametrize("options", COMBINATIONS)
@pytest.mark.parametrize("offset", [1e4, 1e8])
def test_huge_offsets(rng, options, offset):
    _, target, sources = problem(rng)
    X, y, d = stack_domains(target, sources)
    near = UOWQRegressor(**options).fit(X, y, sample_domain=d)
    far = UOWQRegressor(**options).fit(X + offset, y + offset, sample_domain=d)
    assert_allclose(far.coef_, near.coef_, rtol=1e-3, atol=1e-3)
    assert_allclose(far.predict(X + offset) - offset, near.predict(X), atol=1e-2)


@pytest.mark.parametrize("options", COMBINATIONS)
@pytest.mark.parametrize("n", [40, 4])
@pytest.mark.parametrize(
    ("x_scale", "y_scale"),
    [(1, 1e150), (1, 1e-150), (1e150, 1), (1e-150, 1), (1e100, 1e100), (1e-100, 1e-100)],
)
def test_extreme_scales(rng, options, n, x_scale, y_scale):
    _, target, sources = problem(rng, n=n)
    X, y, d = stack_domains(target, sources)
    one = UOWQRegressor(**options).fit(X, y, sample_domain=d)
    other = UOWQRegressor(**options).fit(X * x_scale, y * y_scale, sample_domain=d)
    size = np.abs(one.coef_).max()
    assert_allclose(other.coef_ * (x_scale / y_scale), one.coef_, atol=1e-5 * size)
    assert_allclose(
        other.predict(X * x_scale) / y_scale, one.predict(X), rtol=1e-5, atol=1e-5 * size
    )


@pytest.mark.parametrize("n", [40, 4])
def test_columns_of_very_different_scales(rng, n):
    _, target, sources = problem(rng, n=n)
    X, y, d = stack_domains(target, sources)
    scale = np.array([1e-100, 1e-20, 1, 1e20, 1e100])
    one = UOWQRegressor().fit(X, y, sample_domain=d)
    other = UOWQRegressor().fit(X * scale, y, sample_domain=d)
    assert_allclose(other.coef_ * scale, one.coef_, rtol=1e-5, atol=1e-6)
    assert_allclose(other.predict(X * scale), one.predict(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", COMBINATIONS[:6])
def test_no_noise_at_all(rng, options):
    W, target, sources = problem(rng, shifts=(0.0, 1.0), noise=0.0)
    est = fit(target, sources, **options)
    assert_sound(est, 2)
    assert_allclose(est.coef_, W, atol=1e-3)


def test_noise_levels_that_differ_by_orders_of_magnitude(rng):
    W = rng.normal(size=5)
    target = draw(rng, 30, W)
    sources = {"exact": draw(rng, 50, W, 1e-3), "noisy": draw(rng, 50, W, 1e3)}
    est = fit(target, sources)
    assert_sound(est, 2)
    assert excess(est, W) < 0.5 * excess(UOWQRegressor().fit(*target), W)
    assert est.source_shares_[0] > 10 * abs(est.source_shares_[1])


def test_many_sources(rng):
    W, target, sources = problem(rng, p=4, m=10)
    names = [f"s{k}" for k in range(60)]
    sources = {name: draw(rng, 10, W + 0.2 * rng.normal(size=4)) for name in names}
    for options in ({}, {"combination": "scalar"}, {"weights": "sure"}):
        est = fit(target, sources, **options)
        assert_sound(est, 60)
        assert excess(est, W) < excess(UOWQRegressor(alpha=0).fit(*target), W)


# Weights, guard, combination, outputs ------------------------------------------------------


@pytest.mark.parametrize("weights", [*WEIGHTS, [0.5, 2.0]])
@pytest.mark.parametrize("guard", ["james-stein", None])
@pytest.mark.parametrize("outputs", [(), (3,)])
@pytest.mark.parametrize("n", [40, 5])
def test_every_option(rng, weights, guard, outputs, n):
    _, target, sources = problem(rng, n=n, outputs=outputs)
    for combination in ("auto", "scalar", "matrix"):
        if combination == "matrix" and weights != "eb":
            continue
        for alpha in ("auto", 0.0, 0.1):
            est = fit(
                target, sources, weights=weights, guard=guard, combination=combination, alpha=alpha
            )
            assert_sound(est, 2, q=3 if outputs else 1)
            if alpha != "auto":
                assert_allclose(est.alpha_, alpha, atol=1e-10)
            if est.combination_ == "scalar":
                assert np.all(est.source_weights_ >= 0)
    if weights == [0.5, 2.0]:
        assert_allclose(est.source_weights_, weights)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_scalar_weights_are_weights_of_rows(rng, fit_intercept):
    _, target, sources = problem(rng)
    X, y, d = stack_domains(target, sources)
    for weights in ("eb", [0.3, 1.7]):
        est = UOWQRegressor(
            weights, combination="scalar", alpha=0.2, fit_intercept=fit_intercept
        ).fit(X, y, sample_domain=d)
        A, b = X.copy(), y.copy()
        scale = np.empty((3, 5))
        w = np.ones(len(X))
        for k, name in enumerate(["target", "a", "b"]):
            mine = d == name
            if fit_intercept:
                A[mine] -= A[mine].mean(0)
                b[mine] -= b[mine].mean()
            w[mine] = 1 if k == 0 else est.source_weights_[k - 1]
            scale[k] = np.mean(A[mine] ** 2, axis=0)
        S = np.sqrt(scale.mean(0))
        theirs = Ridge(0.2 * 40, fit_intercept=False, solver="svd").fit(A / S, b, sample_weight=w)
        assert_allclose(est.coef_, theirs.coef_ / S, rtol=1e-8)


def test_a_wrong_source_is_left_alone_and_a_good_one_is_used(rng):
    W = rng.normal(size=8)
    sources = {"good": draw(rng, 400, W), "wrong": draw(rng, 400, W + 5 * rng.normal(size=8))}
    for options in ({}, *({"weights": w} for w in ("sure", "plugin")), {"combination": "scalar"}):
        est = fit(draw(rng, 40, W), sources, **options)
        good, wrong = est.source_shares_
        assert good > 0.3, options
        assert abs(wrong) < 0.1 * good, options


def test_a_source_turned_round_is_used_when_features_exceed_rows(rng):
    W = rng.normal(size=40)
    target = draw(rng, 20, W, 0.3)
    est = fit(target, {"mirror": draw(rng, 200, -W, 0.3)})
    assert est.combination_ == "matrix"
    assert est.source_weights_[0] < 0
    assert excess(est, W) < 0.7 * excess(UOWQRegressor().fit(*target), W)


def test_the_guard_borrows_less(rng):
    gaps = []
    for seed in range(10):
        _, target, sources = problem(np.random.default_rng(seed), shifts=(0.3,))
        for combination in ("scalar", "matrix"):
            shares = [
                fit(target, sources, guard=guard, combination=combination).source_shares_[0]
                for guard in ("james-stein", None)
            ]
            gaps.append(shares[1] - shares[0])
    assert np.min(gaps) > -1e-6
    assert np.mean(gaps) > 0.01


# Constraints ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [40, 8])
def test_constraints_are_respected(rng, n):
    _, target, sources = problem(rng, n=n, shifts=(0.0, 0.1, 1.0))
    free = fit(target, sources, combination="scalar")
    cap = 0.5 * free.source_weights_[:2].sum()
    est = fit(target, sources, constraints=lambda w: [w[0] + w[1] <= cap, w[2] == 0])
    assert est.combination_ == "scalar"
    assert est.source_weights_[:2].sum() <= cap * (1 + 1e-5) + 1e-8
    assert_allclose(est.source_weights_[2], 0, atol=1e-6)
    assert_sound(est, 3)


def test_constraints_are_on_weights_of_rows_whatever_the_noise(rng):
    W = rng.normal(size=5)
    target = draw(rng, 40, W)
    sources = {"a": draw(rng, 100, W, 0.2), "b": draw(rng, 100, W, 3.0)}
    est = fit(target, sources, constraints=lambda w: [w[0] == 0.25, w[1] == 0.125])
    assert_allclose(est.source_weights_, [0.25, 0.125], rtol=1e-4)


@pytest.mark.parametrize("guard", ["james-stein", None])
def test_constraints_that_do_not_bind_change_nothing(rng, guard):
    _, target, sources = problem(rng)
    free = fit(target, sources, guard=guard, combination="scalar")
    est = fit(target, sources, guard=guard, constraints=lambda w: [w <= 1e3])
    assert_allclose(est.source_weights_, free.source_weights_, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("weights", [*WEIGHTS[1:], [1.0, 1.0]])
def test_constraints_go_with_maximum_likelihood(rng, weights):
    """The other rules solve programmes of their own; given weights leave nothing to constrain."""
    _, target, sources = problem(rng)
    with pytest.raises(ValueError, match="constraints go with weights='eb'"):
        fit(target, sources, weights=weights, constraints=lambda w: [w[0] == 0])


def test_the_default_path_does_not_import_cvxpy():
    code = (
        "import sys, numpy as np, skt\n"
        "X = np.random.default_rng(0).normal(size=(60, 4)); y = X.sum(1) + X[:, 0] ** 2\n"
        "d = np.repeat(['target', 'a', 'b'], 20)\n"
        "for n in (60, 43):\n"
        "    for w in ('eb', 'sure', 'plugin', 'iterated', [1.0, 2.0]):\n"
        "        skt.UOWQRegressor(w).fit(X[-n:], y[-n:], sample_domain=d[:n])\n"
        "    skt.UOWQRegressor(combination='scalar').fit(X[-n:], y[-n:], sample_domain=d[:n])\n"
        "for name in ('cvxpy', 'matplotlib', 'polars'):\n"
        "    assert name not in sys.modules, name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# Sources without rows ---------------------------------------------------------------------


def linear_model(X, y, known):
    """Source model of least squares, with what is known of it."""
    model = LinearRegression().fit(X, y)
    residual = np.sum((y - model.predict(X)) ** 2) / (len(X) - X.shape[1] - 1)
    A = X - X.mean(0)
    facts = {
        "n_samples": len(X),
        "noise_variance": residual,
        "covariance": residual * np.linalg.inv(A.T @ A),
    }
    return SourceModel(model.coef_, model.intercept_, **{name: facts[name] for name in known})


def test_a_model_with_covariance_and_rows_is_nearly_its_rows(rng):
    _, target, sources = problem(rng)
    known = ["n_samples", "noise_variance", "covariance"]
    models = {name: linear_model(*pair, known) for name, pair in sources.items()}
    rows = fit(target, sources)
    est = UOWQRegressor(sources=models).fit(*target)
    assert_allclose(est.coef_, rows.coef_, atol=0.05)
    assert_allclose(est.source_weights_, rows.source_weights_, rtol=0.25, atol=0.02)


@pytest.mark.parametrize("n", [40, 8, 4, 2])
@pytest.mark.parametrize(
    "known",
    [
        [],
        ["n_samples"],
        ["noise_variance"],
        ["covariance"],
        ["n_samples", "covariance"],
        ["n_samples", "noise_variance", "covariance"],
    ],
)
@pytest.mark.parametrize("options", [{}, {"combination": "scalar"}, {"weights": "sure"}])
def test_models_with_more_or_less_known(rng, n, known, options):
    W, target, sources = problem(rng, n=n, shifts=(0.05, 3.0))
    models = {name: linear_model(*pair, known) for name, pair in sources.items()}
    with warnings.catch_warnings():
        if n == 2:
            warnings.filterwarnings("ignore", "The target's 2 rows cannot tell")
        est = UOWQRegressor(sources=models, **options).fit(*target)
        twin = clone(est).fit(*target)
    assert_sound(est, 2)
    assert_array_equal(twin.coef_, est.coef_)
    assert np.isnan(est.source_weights_).all() == ("n_samples" not in known)
    if n > 4:  # four rows cannot tell which of two sources that differ is near
        assert est.source_shares_[0] > 0.1
        assert est.source_shares_[0] > 2 * est.source_shares_[1]
        assert excess(est, W) < excess(UOWQRegressor().fit(*target), W)


def test_a_model_of_many_rows_is_borrowed_from_more_than_one_of_few(rng):
    _, target, sources = problem(rng, shifts=(0.0,))
    coef = LinearRegression().fit(*sources["a"]).coef_
    shares = [
        UOWQRegressor(sources={"a": SourceModel(coef, n_samples=n)}).fit(*target).source_shares_[0]
        for n in (10, 100, 10_000)
    ]
    assert shares[0] < shares[1] < shares[2]


@pytest.mark.parametrize("n", [40, 6])
def test_units_of_features_do_not_matter_to_models(rng, n):
    _, (X, y), sources = problem(rng, n=n)
    scale = np.array([1, 1e3, 1e-3, 5, 1])
    for known in ([], ["n_samples"], ["covariance"], ["n_samples", "covariance"]):
        model = linear_model(*sources["a"], known)
        C = model.covariance
        other = SourceModel(
            model.coef / scale,
            n_samples=model.n_samples,
            covariance=None if C is None else C / np.outer(scale, scale),
        )
        one = UOWQRegressor(sources={"a": model}).fit(X, y)
        two = UOWQRegressor(sources={"a": other}).fit(X * scale, y)
        assert_allclose(two.predict(X * scale), one.predict(X), rtol=1e-5, atol=1e-5)


def test_units_of_y_do_not_matter_to_models(rng):
    _, (X, y), sources = problem(rng)
    for known in ([], ["n_samples"], ["noise_variance"], ["n_samples", "noise_variance"]):
        model = linear_model(*sources["a"], known)
        v = model.noise_variance
        other = SourceModel(
            1e3 * model.coef,
            n_samples=model.n_samples,
            noise_variance=None if v is None else 1e6 * v,
        )
        one = UOWQRegressor(sources={"a": model}).fit(X, y)
        two = UOWQRegressor(sources={"a": other}).fit(X, 1e3 * y)
        assert_allclose(two.predict(X), 1e3 * one.predict(X), rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("outputs", [(), (2,)])
def test_frozen_estimators(rng, outputs):
    W, target, sources = problem(rng, outputs=outputs, shifts=(0.05,))
    X, y = sources["a"]
    frozen = FrozenEstimator(make_pipeline(StandardScaler(), RidgeCV()).fit(X, y))
    est = UOWQRegressor(sources={"old": frozen}).fit(*target)
    assert_sound(est, 1, q=2 if outputs else 1)
    assert np.isnan(est.source_weights_[0])
    assert est.source_shares_[0] > 0.3
    assert excess(est, W) < excess(UOWQRegressor().fit(*target), W)
    assert clone(est).sources["old"] is frozen


@pytest.mark.parametrize("n", [40, 8, 4])
def test_a_source_of_very_many_rows(rng, n):
    """The likelihood of a billion rows must not drown that of the target's few."""
    W, target, _ = problem(rng, n=n)
    m = Moments.from_data(*draw(rng, 1000, W))
    k = 1e6
    many = Moments(10**9, 1e9, m.mean_X, m.mean_y, k * m.Sxx, k * m.Sxy, k * m.Syy)
    est, usual = (UOWQRegressor(sources={"s": source}).fit(*target) for source in (many, m))
    assert excess(est, W) < 0.5 * excess(UOWQRegressor().fit(*target), W)
    assert_allclose(est.coef_, usual.coef_, atol=0.1)


def test_a_model_of_zeros_says_that_nothing_matters(rng):
    _, target, _ = problem(rng)
    est = UOWQRegressor(sources={"none": SourceModel(np.zeros(5), n_samples=100)}).fit(*target)
    assert_sound(est, 1)


# What is promised of risk -----------------------------------------------------------------


def simulate(rng, n=40, d=10, shifts=(0.3, 1.0), m=200, unit=None):
    """Shifts in units of the standard error of the target's coefficients."""
    W = rng.normal(size=d)
    unit = 1 / np.sqrt(n) if unit is None else unit
    sources = {
        f"s{k}": draw(rng, m, W + shift * unit * rng.normal(size=d))
        for k, shift in enumerate(shifts)
    }
    return W, draw(rng, n, W), sources


@pytest.mark.parametrize(
    ("options", "worst"),
    [
        ({}, 0.35),
        ({"combination": "scalar"}, 0.35),
        ({"weights": "sure"}, 0.4),
    ],
)
@pytest.mark.slow
def test_risk_is_near_the_simulated_risk(options, worst):
    """Within 15 % on average over designs is asked of the default; less of a single design."""
    ratios, target_ratios = [], []
    for shifts in ((0.0, 0.3), (1.0, 1.0), (1.0, 6.0), (10.0,)):
        predicted, true = np.zeros(2), np.zeros(2)
        for seed in range(60):
            W, target, sources = simulate(np.random.default_rng(seed), shifts=shifts)
            est, alone = fit(target, sources, **options), UOWQRegressor().fit(*target)
            predicted += est.risk_, alone.risk_
            # The intercept errs too.
            true += [excess(model, W) + model.intercept_**2 for model in (est, alone)]
        ratio, target_ratio = predicted / true
        ratios.append(ratio)
        target_ratios.append(target_ratio)
    assert_allclose(np.mean(target_ratios), 1, atol=0.15)
    assert_allclose(ratios, 1, atol=worst)
    if not options:
        assert_allclose(np.mean(ratios), 1, atol=0.15)


@pytest.mark.parametrize("n", [5, 10, 20])
def test_risk_of_target_alone_when_features_exceed_rows(n):
    predicted, true = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        W = rng.normal(size=20)
        est = UOWQRegressor().fit(*draw(rng, n, W, 0.1))
        predicted.append(est.risk_)
        true.append(excess(est, W) + est.intercept_**2)
    assert 0.4 < np.mean(predicted) / np.mean(true) < 2.5
    assert np.median(np.divide(predicted, true)) > 0.2


def test_gain_has_the_right_sign():
    right = []
    for seed in range(12):
        for shifts in ((0.0,), (0.3, 0.3), (0.5, 5.0)):
            _, target, sources = simulate(np.random.default_rng(seed), shifts=shifts)
            est = fit(target, sources)
            right.append(est.transfer_gain_ > 0)
            n = len(target[0])
            assert_allclose(est.effective_sample_size_, n / (1 - est.transfer_gain_))
            assert_allclose(est.transfer_gain_, 1 - est.risk_ / est.target_risk_)
    assert np.mean(right) >= 0.95


def test_gain_vanishes_when_sources_are_of_no_use():
    gains = []
    for seed in range(12):
        _, target, sources = simulate(np.random.default_rng(seed), shifts=(30.0, 40.0))
        gains.append(fit(target, sources).transfer_gain_)
    assert np.mean(gains) < 0.1
    assert np.min(gains) > -0.2


@pytest.mark.parametrize("options", [{}, {"combination": "scalar"}, {"weights": "sure"}])
@pytest.mark.parametrize("shifts", [(0.0, 0.5), (1.0, 8.0)])
def test_predicted_standard_deviations_are_calibrated(options, shifts):
    covered, means = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        W, target, sources = simulate(rng, n=30, shifts=shifts)
        est = fit(target, sources, **options)
        X, y = draw(rng, 100, W)
        mean, std = est.predict(X, return_std=True)
        assert mean.shape == std.shape == (100,)
        covered.append(np.mean(np.abs(y - mean) < 1.6449 * std))
        spread = np.sqrt(np.maximum(std**2 - est.noise_variance_, 1e-12))
        means.append(np.mean(np.abs(X @ W - mean) < 1.6449 * spread))
    assert 0.85 < np.mean(covered) < 0.95
    assert 0.75 < np.mean(means) < 0.98


def test_predicted_standard_deviations_of_several_outputs(rng):
    _, target, sources = problem(rng, n=60, outputs=(2,))
    X, y, d = stack_domains(target, sources)
    est = UOWQRegressor().fit(X, y * [1.0, 100.0], sample_domain=d)
    mean, std = est.predict(X, return_std=True)
    assert mean.shape == std.shape == (len(X), 2)
    assert 50 < np.mean(std[:, 1] / std[:, 0]) < 200


# No harm ----------------------------------------------------------------------------------

HOSTILE = {
    "opposite": lambda rng, W, k: -W,
    "unrelated": lambda rng, W, k: 3 * rng.normal(size=W.shape),
    "shared offset": lambda rng, W, k: W + 1.0,
    "shared offset, small": lambda rng, W, k: W + 0.25,
    "one good": lambda rng, W, k: W if k == 0 else W + 3 * rng.normal(size=W.shape),
    "near, in one direction": lambda rng, W, k: W + 2 * np.eye(len(W))[k],
}


def hostile_risks(hostile, n, d, m, K, seeds, noise, alone, options):
    ours, theirs = [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        W = rng.normal(size=d)
        target = draw(rng, n, W, noise)
        sources = {f"s{k}": draw(rng, m, HOSTILE[hostile](rng, W, k), noise) for k in range(K)}
        ours.append(excess(fit(target, sources, **options), W))
        theirs.append(excess(alone(*target), W))
    return np.mean(ours) / np.mean(theirs)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"combination": "scalar"}, marks=SLOW),
        pytest.param({"weights": "sure"}, marks=SLOW),
    ],
)
@pytest.mark.parametrize("K", [1, pytest.param(3, marks=SLOW)])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_harm(hostile, K, options):
    ratio = hostile_risks(
        hostile, 40, 10, 200, K, 40, 1.0, lambda X, y: LinearRegression().fit(X, y), options
    )
    assert ratio <= 1.02


@pytest.mark.slow
@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_harm_when_features_exceed_rows(hostile, K):
    """THEORY B4: 1.07 is what the theory allows, its table's worst being 1.064."""
    grid = np.geomspace(1e-3, 1e5, 50)
    ratio = hostile_risks(
        hostile, 20, 40, 60, K, 60, 0.5, lambda X, y: RidgeCV(alphas=grid).fit(X, y), {}
    )
    assert ratio <= 1.07


@pytest.mark.parametrize("options", COMBINATIONS[1:4], ids=str)
def test_rows_that_sources_are_worth_and_their_noise(rng, options):
    W, target, sources = problem(rng, n=60, m=400)
    sources["noisy"] = draw(rng, 400, W, noise=3.0)
    X, y, d = stack_domains(target, sources)
    est = UOWQRegressor(sources={"known": SourceModel(W + 0.1)}, **options)
    est.fit(X, y, sample_domain=d)
    assert est.n_target_samples_ == 60
    assert_array_equal(est.n_source_samples_, [400, 400, 400, np.nan])
    total = est.n_target_samples_ + est.source_effective_sample_size_.sum()
    assert total == pytest.approx(est.effective_sample_size_)
    ratio = dict(zip(est.source_names_, est.source_noise_ratio_, strict=True))
    assert ratio["noisy"] == pytest.approx(9.0, rel=0.5)
    assert ratio["b"] == pytest.approx(1.0, rel=0.5)
    assert_allclose(est.source_scale_, 1, atol=0.3)


def test_scales_of_sources_are_attributes(rng):
    W = rng.normal(size=30)
    est = fit(draw(rng, 20, W), {"mirror": draw(rng, 200, -2 * W)})
    assert est.source_scale_[0] == pytest.approx(-2, rel=0.3)
