"""What every estimator of the suite promises (DESIGN, section 5), whatever its method."""

import ast
import inspect
import pickle
import textwrap

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, clone, is_regressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import skt
from skt import (
    L2SPClassifier,
    L2SPRidge,
    Moments,
    ReducedRankRegressor,
    SMARTRegressor,
    TargetCV,
    TransferClassifier,
    TransferRegressor,
    UOWQClassifier,
    UOWQPoissonRegressor,
    UOWQRegressor,
    stack_domains,
)

PUBLIC = [getattr(skt, name) for name in skt.__all__]
EXPORTED = [
    value
    for value in PUBLIC
    if inspect.isclass(value)
    and issubclass(value, BaseEstimator)
    # What wraps or feeds other estimators has a contract of its own: test_otqms.py.
    and "sources" in inspect.signature(value).parameters
]
# Reduced-rank regression knows no domains.
ESTIMATORS = [cls for cls in EXPORTED if cls is not ReducedRankRegressor]
# Of rows, moments or a model, numbers of any sign.
REGRESSORS = [cls for cls in ESTIMATORS if is_regressor(cls()) and "moments" in cls.takes]
# scikit-learn's checks have no sources: only options that matter without them are varied, one
# variant of each estimator that takes another way through the code.
VARIANTS = {
    L2SPRidge: [{"alpha": 0.1}],
    L2SPClassifier: [{"alpha": 0.01, "fit_intercept": False}],
    UOWQRegressor: [{"alpha": 0.0}],
    # Without intercepts: poor fits of the data of these checks, as those of any linear model.
    UOWQClassifier: [{"alpha": 0.01}],
    UOWQPoissonRegressor: [{"alpha": 0.01}],
    SMARTRegressor: [{"fit_intercept": False}],
}
CONFIGURED = [cls(**kw) for cls in EXPORTED for kw in [{}, *VARIANTS.get(cls, [])]]
# Of rows only.
CONFIGURED += [TransferRegressor(), TransferClassifier()]

# How sources may be used, in the order of what it costs the target: (target rows, options).
USES = {
    "matrix": (40, {}),
    "wide": (8, {}),
    "scalar": (40, {"combination": "scalar"}),
    "scalar, few rows": (8, {"combination": "scalar"}),
    "sure": (40, {"weights": "sure"}),
    "plugin": (40, {"weights": "plugin"}),
    "iterated": (40, {"weights": "iterated"}),
    "given": (40, {"weights": [0.5, 0.2, 2.0]}),
    "ridge given": (40, {"alpha": 0.3}),
    "no intercept": (40, {"fit_intercept": False}),
    "source only": (2, {}),
}
P = 6


def every_use(function):
    return pytest.mark.parametrize(("n", "options"), USES.values(), ids=USES)(function)


def quiet(n):
    """One or two target rows warn, by design."""
    return pytest.warns(UserWarning, match="slopes come from") if n < 3 else _nothing()


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def rows(rng, n, W, noise=1.0):
    X = rng.normal(size=(n, len(W))) @ np.diag(np.linspace(0.5, 2, len(W))) + 3.0
    X[:, 1] += 0.7 * X[:, 0]
    return X, X @ W + 1.5 + noise * rng.normal(size=(n, *W.shape[1:]))


def tasks(rng, n=40, p=P, outputs=(), shifts=(0.1, 0.5, 3.0)):
    """Target rows and sources near, further and far."""
    W = rng.normal(size=(p, *outputs))
    target = rows(rng, n, W)
    names = "near", "further", "zfar"
    sources = {
        name: rows(rng, m, W + shift * rng.normal(size=W.shape), noise)
        for name, shift, m, noise in zip(names, shifts, (60, 100, 80), (1.0, 0.7, 1.5), strict=True)
    }
    return target, sources


def stacked(rng, n=40, **kw):
    return stack_domains(*tasks(rng, n, **kw))


def fitted(n, options, X, y, d=None, **kw):
    with quiet(n):
        return UOWQRegressor(**options).fit(X, y, sample_domain=d, **kw)


# scikit-learn's own checks ----------------------------------------------------------------


@parametrize_with_checks(CONFIGURED)
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cls", [each for each in PUBLIC if hasattr(each, "fit")])
def test_a_constructor_has_eight_parameters_at_most(cls):
    assert len(inspect.signature(cls).parameters) <= 8


@pytest.mark.parametrize("cls", [each for each in PUBLIC if hasattr(each, "fit")])
def test_fit_reads_as_five_sentences(cls):
    """Check, validate, fit, warn, store; what each does is a function of its own."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(cls.fit))))
    docstring, *sentences = tree.body[0].body
    assert isinstance(docstring, ast.Expr)
    assert len(sentences) <= 5
    assert not any(isinstance(node, ast.If | ast.For | ast.With) for node in ast.walk(tree))


# No sources: the target alone -------------------------------------------------------------


@pytest.mark.parametrize("outputs", [(), (3,)])
@pytest.mark.parametrize("n", [8, 10, 200])
def test_no_sources_and_no_penalty_is_least_squares(rng, n, outputs):
    X, y = rows(rng, n, rng.normal(size=(P, *outputs)))
    ours, theirs = UOWQRegressor(alpha=0).fit(X, y), LinearRegression().fit(X, y)
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-9)
    assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-9)


@pytest.mark.parametrize("alpha", [1e-6, 0.01, 0.7, 100])
@pytest.mark.parametrize(("n", "p"), [(200, 6), (8, 6), (7, 6), (6, 6), (5, 20), (2, 6)])
def test_no_sources_is_ridge_on_standardised_features(rng, n, p, alpha):
    X, y = rows(rng, n, rng.normal(size=p))
    ours = UOWQRegressor(alpha=alpha).fit(X, y)
    theirs = make_pipeline(StandardScaler(), Ridge(alpha * n, solver="svd")).fit(X, y)
    new, _ = rows(rng, 20, rng.normal(size=p))
    assert_allclose(ours.predict(new), theirs.predict(new), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("n", "p"), [(7, 6), (6, 6), (5, 20), (20, 20), (2, 6), (1, 6)])
def test_alpha_zero_with_too_few_rows_is_the_minimum_norm_solution(rng, n, p):
    X, y = rows(rng, n, rng.normal(size=p))
    ours = UOWQRegressor(alpha=0).fit(X, y)
    theirs = make_pipeline(StandardScaler(), LinearRegression()).fit(X, y)
    new, _ = rows(rng, 20, rng.normal(size=p))
    assert_allclose(ours.predict(new), theirs.predict(new), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n", [4, 6, 7, 9, 40])
@pytest.mark.parametrize("intercept", [True, False])
def test_alpha_reported_is_alpha_used(rng, n, intercept):
    X, y = rows(rng, n, rng.normal(size=P))
    auto = UOWQRegressor(fit_intercept=intercept).fit(X, y)
    given = UOWQRegressor(alpha=auto.alpha_, fit_intercept=intercept).fit(X, y)
    assert_allclose(given.predict(X), auto.predict(X), rtol=1e-9)
    assert_allclose(given.coef_, auto.coef_, rtol=1e-9)


@pytest.mark.parametrize("cls", REGRESSORS)
@pytest.mark.parametrize("label", [None, "target", -1, -7])
def test_rows_all_of_the_target_are_no_label_at_all(rng, cls, label):
    X, y = rows(rng, 30, rng.normal(size=P))
    d = None if label is None else np.full(30, label)
    assert_array_equal(cls().fit(X, y, sample_domain=d).coef_, cls().fit(X, y).coef_)


# Labels and order -------------------------------------------------------------------------


@every_use
def test_spelling_of_labels_and_order_of_rows_do_not_matter(rng, n, options):
    X, y, d = stacked(rng, n)
    one = fitted(n, options, X, y, d)
    order = rng.permutation(len(X))
    numbers = {"target": -3, "further": 0, "near": 5, "zfar": 11}
    codes = np.array([numbers[name] for name in d])
    for labels in (d.astype(object), codes.astype(np.int32), codes.astype(float).tolist()):
        other = fitted(n, options, X[order], y[order], np.asarray(labels)[order])
        assert_allclose(other.coef_, one.coef_, rtol=1e-6, atol=1e-7)
        assert_allclose(other.source_weights_, one.source_weights_, rtol=1e-5, atol=1e-6)


@every_use
def test_order_of_sources_permutes_their_weights(rng, n, options):
    (X, y), sources = tasks(rng, n)
    known = {name: Moments.from_data(*pair) for name, pair in sources.items()}
    turned = {name: known[name] for name in ("zfar", "near", "further")}
    given = dict(options)
    if isinstance(options.get("weights"), list):
        by_name = dict(zip(known, options["weights"], strict=True))
        given["weights"] = [by_name[name] for name in turned]
    one = fitted(n, {**options, "sources": known}, X, y)
    other = fitted(n, {**given, "sources": turned}, X, y)
    assert other.source_names_ == list(turned)
    order = [one.source_names_.index(name) for name in turned]
    assert_allclose(other.coef_, one.coef_, rtol=1e-5, atol=1e-6)
    for name in ("source_weights_", "source_shares_"):
        assert_allclose(getattr(other, name), getattr(one, name)[order], rtol=1e-4, atol=1e-5)
    assert_allclose(
        other.discrepancy_, one.discrepancy_[np.ix_(order, order)], rtol=1e-3, atol=1e-4
    )


def test_names_of_row_sources_come_before_names_of_known_ones(rng):
    (X, y), sources = tasks(rng)
    known = {"a": Moments.from_data(*sources["near"])}
    X, y, d = stack_domains((X, y), {"zfar": sources["zfar"], "b": sources["further"]})
    assert UOWQRegressor(sources=known).fit(X, y, sample_domain=d).source_names_ == [
        "b",
        "zfar",
        "a",
    ]


# Forms of a source ------------------------------------------------------------------------


@every_use
@pytest.mark.parametrize("outputs", [(), (2,)])
def test_moments_are_their_rows(rng, n, options, outputs):
    target, sources = tasks(rng, n, outputs=outputs)
    X, y, d = stack_domains(target, sources)
    known = {name: Moments.from_data(*sources[name]) for name in sorted(sources)}
    as_rows = fitted(n, options, X, y, d)
    as_moments = fitted(n, {**options, "sources": known}, *target)
    assert as_rows.source_names_ == as_moments.source_names_
    for name in ("coef_", "intercept_", "source_weights_", "coef_covariance_", "risk_"):
        assert_allclose(
            getattr(as_moments, name), getattr(as_rows, name), rtol=1e-8, atol=1e-8, err_msg=name
        )


@every_use
def test_weight_2_is_the_row_twice(rng, n, options):
    X, y, d = stacked(rng, n)
    w = rng.integers(0, 4, size=len(X))
    w[:2] = 1
    if n < 3:
        w[:n] = 1
    twice = np.repeat(np.arange(len(X)), w)
    one = fitted(n, options, X, y, d, sample_weight=w)
    other = fitted(n, options, X[twice], y[twice], d[twice])
    assert_allclose(one.coef_, other.coef_, rtol=1e-6, atol=1e-7)
    assert_allclose(one.intercept_, other.intercept_, rtol=1e-6, atol=1e-6)
    assert_allclose(one.source_weights_, other.source_weights_, rtol=1e-5, atol=1e-6)
    assert_allclose(one.risk_, other.risk_, rtol=1e-5, atol=1e-9)
    assert_allclose(one.target_risk_, other.target_risk_, rtol=1e-5, atol=1e-9)
    assert_allclose(one.alpha_, other.alpha_, rtol=1e-4, atol=1e-9)


@every_use
def test_rows_of_weight_zero_are_not_there(rng, n, options):
    X, y, d = stacked(rng, n + 5)
    w = np.ones(len(X))
    w[[*range(5), 60, 100, 150]] = 0
    one = fitted(n, options, X, y, d, sample_weight=w)
    other = fitted(n, options, X[w > 0], y[w > 0], d[w > 0])
    assert_allclose(one.coef_, other.coef_, rtol=1e-8, atol=1e-8)
    assert_allclose(one.risk_, other.risk_, rtol=1e-7)


@pytest.mark.parametrize("K", [1, 3])
def test_weights_of_one_are_pooling(rng, K):
    target, sources = tasks(rng)
    sources = {f"s{k}": pair for k, pair in enumerate(list(sources.values())[:K])}
    X, y, d = stack_domains(target, sources)
    ours = UOWQRegressor(weights=np.ones(K), alpha=0).fit(X, y, sample_domain=d)
    centred = [(X[d == name], y[d == name]) for name in np.unique(d)]
    pooled = LinearRegression(fit_intercept=False).fit(
        np.vstack([A - A.mean(0) for A, _ in centred]),
        np.concatenate([b - b.mean() for _, b in centred]),
    )
    assert_allclose(ours.coef_, pooled.coef_, rtol=1e-9)
    A, b = target
    assert_allclose(ours.intercept_, b.mean() - pooled.coef_ @ A.mean(0), rtol=1e-9)


@pytest.mark.parametrize("weights", ["eb", "sure", "plugin", "iterated"])
def test_sources_that_are_the_target_come_close_to_pooling(rng, weights):
    W = rng.normal(size=P)
    target = rows(rng, 40, W)
    sources = {f"s{k}": rows(rng, 400, W) for k in range(5)}
    X, y, d = stack_domains(target, sources)
    ours = UOWQRegressor(weights=weights).fit(X, y, sample_domain=d)
    alone = UOWQRegressor().fit(*target)
    new, _ = rows(rng, 500, W)
    mean = new @ W + 1.5

    def centred_risk(est):
        error = est.predict(new) - mean
        return np.mean((error - error.mean()) ** 2)

    assert centred_risk(ours) < 0.5 * centred_risk(alone)
    assert ours.transfer_gain_ > 0.3


@pytest.mark.parametrize("combination", ["matrix", "scalar"])
def test_k_copies_of_one_set_of_rows_in_two_parts(rng, combination):
    """A source cut in two says what it said whole, up to what the estimation can tell."""
    target, sources = tasks(rng)
    X, y = sources["near"]
    whole = {"a": (X, y)}
    halves = {"a": (X[::2], y[::2]), "b": (X[1::2], y[1::2])}
    new, _ = rows(rng, 200, np.ones(P))
    predictions = [
        UOWQRegressor(combination=combination)
        .fit(*(S := stack_domains(target, s))[:2], sample_domain=S[2])
        .predict(new)
        for s in (whole, halves)
    ]
    assert np.corrcoef(*predictions)[0, 1] > 0.99


# scikit-learn's machinery -----------------------------------------------------------------


@pytest.mark.parametrize("cls", REGRESSORS)
def test_clone_pickle_and_parameters(rng, cls):
    target, sources = tasks(rng)
    known = {name: Moments.from_data(*pair) for name, pair in sources.items()}
    est = cls(sources=known)
    assert est.get_params()["sources"] is known
    twin = clone(est)
    assert all(twin.sources[name] is known[name] for name in known)
    est.fit(*target)
    again = pickle.loads(pickle.dumps(est))
    assert_array_equal(again.predict(target[0]), est.predict(target[0]))
    assert_array_equal(twin.fit(*target).coef_, est.coef_)
    assert est.set_params(sources=None).fit(*target).source_names_ == []
    assert "sources" in repr(cls(sources=known))


@pytest.mark.parametrize("cls", REGRESSORS)
def test_fit_does_not_depend_on_what_was_fitted_before_or_on_the_global_seed(rng, cls):
    X, y, d = stacked(rng)
    np.random.seed(0)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    est = cls().fit(X, y, sample_domain=d)
    first = est.coef_
    est.fit(X[:40], y[:40])
    assert_array_equal(est.fit(X, y, sample_domain=d).coef_, first)
    assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("cls", REGRESSORS)
def test_grid_search_is_the_same_with_and_without_routing(rng, cls):
    X, y, d = stacked(rng)
    pipeline = make_pipeline(StandardScaler(), cls())
    step = cls.__name__.lower()
    grid = {f"{step}__alpha": [0.0, 1.0]}
    cv = TargetCV(KFold(2, shuffle=True, random_state=0))
    folds = list(cv.split(X, y, sample_domain=d))
    off = GridSearchCV(pipeline, grid, cv=folds).fit(X, y, **{f"{step}__sample_domain": d})
    with sklearn.config_context(enable_metadata_routing=True):
        on = GridSearchCV(pipeline, grid, cv=cv).fit(X, y, sample_domain=d)
        scores = cross_validate(pipeline, X, y, cv=cv, params={"sample_domain": d})
        default = GridSearchCV(pipeline, {f"{step}__alpha": ["auto"]}, cv=cv)
        searched = default.fit(X, y, sample_domain=d).cv_results_
    assert_array_equal(on.cv_results_["mean_test_score"], off.cv_results_["mean_test_score"])
    assert on.best_params_ == off.best_params_
    assert_array_equal(on.best_estimator_[-1].coef_, off.best_estimator_[-1].coef_)
    assert on.best_estimator_[-1].source_names_ == ["further", "near", "zfar"]
    assert_allclose(searched["mean_test_score"], scores["test_score"].mean())


@pytest.mark.parametrize("cls", REGRESSORS)
def test_sample_weight_is_routed_when_asked_for(rng, cls):
    X, y, d = stacked(rng)
    w = rng.integers(1, 4, size=len(X)).astype(float)
    direct = cls().fit(X, y, sample_domain=d, sample_weight=w)
    with sklearn.config_context(enable_metadata_routing=True):
        est = cls().set_fit_request(sample_weight=True)
        routed = make_pipeline(est).fit(X, y, sample_domain=d, sample_weight=w)[-1]
    assert_array_equal(routed.coef_, direct.coef_)
    assert not np.allclose(direct.coef_, cls().fit(X, y, sample_domain=d).coef_)


@pytest.mark.parametrize("cls", REGRESSORS)
def test_known_sources_survive_grid_search_as_the_same_objects(rng, cls):
    target, sources = tasks(rng)
    known = {name: Moments.from_data(*pair) for name, pair in sources.items()}
    search = GridSearchCV(cls(sources=known), {"alpha": [0.0, 0.1]}, cv=3).fit(*target)
    assert search.best_estimator_.sources["near"] is known["near"]
    assert search.best_estimator_.source_names_ == list(known)


# Kinds of input ---------------------------------------------------------------------------


@pytest.mark.parametrize("cls", REGRESSORS)
def test_tables_are_arrays(rng, cls):
    X, y, d = stacked(rng)
    names = [f"x{j}" for j in range(P)]
    plain = cls().fit(X, y, sample_domain=d)
    frame = pd.DataFrame(X, columns=names, index=rng.permutation(len(X)))
    for table, column, domain in (
        (frame, pd.Series(y, index=frame.index), pd.Series(d, index=frame.index)),
        (frame, y, pd.Categorical(d)),
        (pl.DataFrame(X, schema=names), pl.Series(y), pl.Series(d)),
    ):
        est = cls().fit(table, column, sample_domain=domain)
        assert_allclose(est.coef_, plain.coef_, rtol=1e-10)
        assert est.feature_names_in_.tolist() == names
        assert_allclose(est.predict(table), plain.predict(X), rtol=1e-10)


@pytest.mark.parametrize("cls", REGRESSORS)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_callers_arrays_are_read_and_never_written(rng, cls, order, dtype):
    X, y, d = stacked(rng)
    w = rng.integers(1, 3, size=len(X)).astype(dtype)
    X, y = np.array(X, dtype=dtype, order=order), y.astype(dtype)
    given = [X, y, d, w]
    before = [array.copy() for array in given]
    for array in given:
        array.flags.writeable = False
    est = cls().fit(X, y, sample_domain=d, sample_weight=w)
    est.predict(X)
    for array, copy in zip(given, before, strict=True):
        assert_array_equal(array, copy)
    exact = cls().fit(X.astype(float), y.astype(float), sample_domain=d, sample_weight=w)
    assert_allclose(est.coef_, exact.coef_, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("cls", REGRESSORS)
def test_one_column_of_y_is_a_table_of_one_output(rng, cls):
    X, y, d = stacked(rng)
    flat, column = cls().fit(X, y, sample_domain=d), cls().fit(X, y[:, None], sample_domain=d)
    assert (flat.coef_.shape, column.coef_.shape) == ((P,), (1, P))
    assert (np.ndim(flat.intercept_), np.shape(column.intercept_)) == (0, (1,))
    assert (flat.predict(X).shape, column.predict(X).shape) == ((len(X),), (len(X), 1))
    assert_array_equal(flat.coef_, column.coef_[0])


# Equivariance -----------------------------------------------------------------------------


@every_use
@pytest.mark.parametrize(("a", "b"), [(-3.0, 50.0), (1e-3, 1.0)])
def test_shift_and_scale_of_y(rng, n, options, a, b):
    if not options.get("fit_intercept", True):
        b = 0.0
    X, y, d = stacked(rng, n)
    one, other = fitted(n, options, X, y, d), fitted(n, options, X, a * y + b, d)
    assert_allclose(other.predict(X), a * one.predict(X) + b, rtol=1e-6, atol=1e-6 * abs(a))
    assert_allclose(other.risk_, a**2 * one.risk_, rtol=1e-4)
    assert_allclose(other.source_weights_, one.source_weights_, rtol=1e-4, atol=1e-5)


@every_use
def test_shift_of_x_scale_of_columns_and_their_order(rng, n, options):
    X, y, d = stacked(rng, n)
    shift = np.array([0, 5, -20, 1e3, 0, 1]) * options.get("fit_intercept", True)
    scale = np.array([1, 1e3, 1e-4, -2.0, 1, 1e6])
    order = rng.permutation(P)
    one = fitted(n, options, X, y, d)
    other = fitted(n, options, ((X - shift) / scale)[:, order], y, d)
    assert_allclose(other.predict(((X - shift) / scale)[:, order]), one.predict(X), rtol=1e-6)
    assert_allclose(other.coef_, (one.coef_ * scale)[order], rtol=1e-4, atol=1e-6 * np.max(scale))
    assert_allclose(other.risk_, one.risk_, rtol=1e-5)
    assert_allclose(other.source_weights_, one.source_weights_, rtol=1e-4, atol=1e-5)


@every_use
def test_each_domain_may_have_its_own_origin(rng, n, options):
    """Intercepts are never transferred, so no shift of one domain changes another's slopes."""
    if not options.get("fit_intercept", True):
        pytest.skip("without an intercept the origin matters")
    X, y, d = stacked(rng, n)
    one = fitted(n, options, X, y, d)
    moved, lifted = X.copy(), y.copy()
    for k, name in enumerate(np.unique(d)):
        moved[d == name] += k * np.arange(P)
        lifted[d == name] += 100.0 * k
    other = fitted(n, options, moved, lifted, d)
    assert_allclose(other.coef_, one.coef_, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("n", [8, 40])
def test_outputs_in_other_units_and_order(rng, n):
    X, Y, d = stacked(rng, n, outputs=(3,))
    A = rng.normal(size=(3, 3))
    one = UOWQRegressor().fit(X, Y, sample_domain=d)
    permuted = UOWQRegressor().fit(X, Y[:, [2, 0, 1]], sample_domain=d)
    # The likelihood is flat at its maximum, which the order of operations moves a little.
    assert_allclose(permuted.predict(X), one.predict(X)[:, [2, 0, 1]], atol=1e-4)
    units = np.array([1e3, 1, 1e-3])
    scaled = UOWQRegressor().fit(X, Y * units, sample_domain=d)
    assert_allclose(scaled.predict(X) / units, one.predict(X), atol=1e-4)
    assert np.isfinite(UOWQRegressor().fit(X, Y @ A, sample_domain=d).coef_).all()
