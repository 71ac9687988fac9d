"""Partial parameter transfer: contract, upstreams, scales, messages, benefit and harm."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from skt import ParameterTransferClassifier
from skt.datasets import make_signal_noise_transfer


def small(seed=0, **options):
    settings = {"n_target": 20, "n_source": 60, "patch_size": 60, "shared": 1.5, "own": 1.5}
    return make_signal_noise_transfer(random_state=seed, **settings | options)


def model(**options):
    settings = {"n_patches": 2, "n_filters": 6, "max_iter": 3000, "random_state": 0}
    return ParameterTransferClassifier(**settings | options)


def target_rows(data):
    t = data.sample_domain == "target"
    return data.X[t], data.y[t]


def source_model(data, **options):
    s = data.sample_domain == "source"
    return model(**options).fit(data.X[s], data.y[s])


@pytest.fixture(scope="module")
def data():
    return small()


# Gradient descent warns on the checks' raw data, as scikit-learn's own networks do.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [ParameterTransferClassifier(max_iter=300), ParameterTransferClassifier(n_filters=3)]
)
def test_scikit_learn(estimator, check):
    check(estimator)


# What is inherited ------------------------------------------------------------------------


def test_scale_zero_is_from_scratch_and_so_is_no_upstream(data):
    X, y = target_rows(data)
    scratch = model().fit(X, y)
    for options in ({"inherit_scale": 0}, {"inherit_fraction": 0}):
        given = model(upstream=source_model(data), **options).fit(X, y)
        assert_array_equal(given.filters_, scratch.filters_)
    assert np.all(scratch.inherited_idx_ == -1)
    assert scratch.inherit_scale_ == 0


def test_scale_one_without_training_is_the_upstream(data):
    X, y = target_rows(data)
    upstream = source_model(data)
    with pytest.warns(ConvergenceWarning, match="did not converge in max_iter=1 steps"):
        given = model(upstream=upstream, inherit_scale=1, max_iter=1).fit(X, y)
    assert sorted(given.inherited_idx_) == list(range(12))
    moved = given.filters_ - upstream.filters_[given.inherited_idx_]
    assert np.abs(moved).max() < 0.2 * np.abs(upstream.filters_).max()
    assert_array_equal(given.filter_classes_, upstream.filter_classes_[given.inherited_idx_])


@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
def test_the_fraction_of_every_class_is_inherited(data, fraction):
    given = model(inherit_fraction=fraction).fit(data.X, data.y, sample_domain=data.sample_domain)
    for label in (-1, 1):
        taken = given.inherited_idx_[given.filter_classes_ == label] >= 0
        assert taken.sum() == round(fraction * 6)


def test_response_takes_the_filters_that_respond_most(data):
    X, y = target_rows(data)
    d = X.shape[1] // 2
    filters = np.vstack([np.full(d, 0.01), X[0, :d], np.full(d, 0.01), -X[0, :d]])
    given = model(
        upstream=(filters, [-1, -1, 1, 1]), inherit_fraction=0.5, selection="response", n_filters=2
    ).fit(X, y)
    assert sorted(given.inherited_idx_) == [-1, -1, 1, 3]


def test_source_rows_are_the_same_as_their_own_network(data):
    X, y = target_rows(data)
    both = model(inherit_scale=1).fit(data.X, data.y, sample_domain=data.sample_domain)
    given = model(inherit_scale=1, upstream=source_model(data)).fit(X, y)
    # Other random numbers, the same kind of network: alike on new rows.
    agree = both.predict(data.X_test) == given.predict(data.X_test)
    assert agree.mean() > 0.85


def test_auto_scale_bounds_the_outputs(data):
    from skt.core import relu_cnn
    from skt.estimators import parameter_transfer

    X, y = target_rows(data)
    upstream = source_model(data)
    big = (1e3 * upstream.filters_, upstream.filter_classes_)
    given, grown = (model(upstream=u).fit(X, y) for u in (upstream, big))
    assert_allclose(grown.inherit_scale_, given.inherit_scale_ / 1e3)
    layer = relu_cnn.second_layer((given.filter_classes_ > 0).astype(int), 2)
    start = given.inherit_scale_ * upstream.filters_[given.inherited_idx_]
    size = relu_cnn.output_size(X.reshape(len(X), 2, -1), start, layer, np.ones(len(X)))
    assert_allclose(size, parameter_transfer.SIZE)
    tiny = model(upstream=(1e-6 * upstream.filters_, upstream.filter_classes_)).fit(X, y)
    assert tiny.inherit_scale_ == 1


def test_cross_validation_takes_the_least_loss(data):
    given = model(inherit_scale="cv").fit(data.X, data.y, sample_domain=data.sample_domain)
    best = int(np.argmin(given.cv_scores_))
    assert given.inherit_scale_ == (0, 0.1, 0.3, 1)[best]
    assert np.isnan(model().fit(data.X, data.y).cv_scores_).all()


def test_filters_of_an_mlp_are_its_outputs(rng):
    X = rng.normal(size=(200, 8))
    y = np.where(X[:, 0] + np.abs(X[:, 1]) > 1, "yes", "no")
    network = MLPClassifier((12,), max_iter=30, random_state=0)
    with pytest.warns(ConvergenceWarning):
        network.fit(X, y)
    network.intercepts_ = [np.zeros(12), np.zeros(1)]
    from skt.core import relu_cnn
    from skt.estimators.parameter_transfer import _first_layer

    filters, labels = _first_layer(network)
    layer = relu_cnn.second_layer((labels == "yes").astype(int), 2)
    F = relu_cnn.outputs(X[:, None], filters, layer)
    odds = np.log(network.predict_proba(X) + 1e-300) @ [-1, 1]
    assert_allclose(F @ [-1, 1], odds, atol=1e-6)
    given = ParameterTransferClassifier(FrozenEstimator(network), max_iter=9000).fit(X[:30], y[:30])
    assert given.score(X, y) > 0.7


# Contract ---------------------------------------------------------------------------------


def test_weight_two_is_the_row_twice(data):
    X, y = target_rows(data)
    w = np.where(np.arange(len(y)) % 3 == 0, 2.0, 1.0)
    for scale in ("auto", "cv", 0.5):
        options = {"upstream": source_model(data), "inherit_scale": scale}
        weighted = model(**options).fit(X, y, sample_weight=w)
        twice = np.repeat(np.arange(len(y)), w.astype(int))
        repeated = model(**options).fit(X[twice], y[twice])
        assert_allclose(weighted.filters_, repeated.filters_, atol=1e-8)


def test_three_classes_of_any_type(rng):
    centres = rng.normal(size=(3, 10)) * 2
    codes = np.arange(60) % 3
    X, y = centres[codes] + rng.normal(size=(60, 10)), np.array(["a", "b", "c"])[codes]
    given = ParameterTransferClassifier(random_state=0, max_iter=5000).fit(X, y)
    assert given.decision_function(X).shape == (60, 3)
    assert given.score(X, y) > 0.95
    assert_allclose(given.predict_proba(X).sum(axis=1), 1)


def test_single_rows_are_predicted_like_batches(data):
    given = model().fit(*target_rows(data))
    rows = data.X_test[:5]
    singly = [given.predict_proba(row[None])[0] for row in rows]
    assert_allclose(singly, given.predict_proba(rows))


def test_frozen_upstream_survives_clone_and_search(data):
    X, y = target_rows(data)
    frozen = FrozenEstimator(source_model(data))
    search = GridSearchCV(model(upstream=frozen), {"inherit_scale": [0, 0.3]}, cv=2).fit(X, y)
    assert search.best_estimator_.upstream.estimator is frozen.estimator
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    assert_array_equal(again.predict(X), search.predict(X))


# Messages ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"inherit_fraction": 1.5},
            r"'inherit_fraction' .* range \[0.0, 1.0\]. Got 1.5",
        ),
        ({"inherit_scale": -1}, r"'inherit_scale' parameter .* in the range \[0.0, inf\). Got -1"),
        ({"inherit_scale": "best"}, "Got 'best'"),
        ({"selection": "all"}, "'selection' parameter .* must be a str among"),
        (
            {"n_filters": 0},
            r"'n_filters' .* an int in the range \[1, inf\) or None. Got 0",
        ),
        ({"n_patches": 7}, "n_patches=7 does not divide the 120 features"),
        ({"upstream": (np.ones((2, 3)), [-1, 1])}, r"expected \(n_filters, 60\)"),
        ({"upstream": (np.ones((2, 60)), ["a", "b"])}, "the classes .* but the target has"),
        ({"upstream": (np.full((2, 60), np.nan), [-1, 1])}, "not finite"),
    ],
)
def test_options_are_checked(data, options, message):
    with pytest.raises(ValueError, match=message):
        model(**options).fit(*target_rows(data))


def test_upstreams_that_cannot_be_one(data):
    X, y = target_rows(data)
    with pytest.raises(TypeError, match="upstream must be a fitted ParameterTransferClassifier"):
        model(upstream=3).fit(X, y)
    unfitted = clone(model(upstream=source_model(data)))
    with pytest.raises(NotFittedError, match=r"give FrozenEstimator\(model\)"):
        unfitted.fit(X, y)
    with pytest.raises(ValueError, match="leave one of the two out"):
        model(upstream=source_model(data)).fit(data.X, data.y, sample_domain=data.sample_domain)
    tanh = MLPClassifier((3,), activation="tanh", solver="lbfgs", max_iter=500).fit(X[:, :60], y)
    with pytest.raises(ValueError, match="activation='relu' and one hidden layer"):
        model(upstream=tanh).fit(X, y)


def test_one_class_and_one_row_a_class(data):
    X, y = target_rows(data)
    with pytest.raises(ValueError, match="y holds one class only"):
        model().fit(X[y == 1], y[y == 1])
    pair = [np.argmax(y == 1), np.argmax(y == -1)]
    for scale in ("auto", "cv"):
        given = model(upstream=source_model(data), inherit_scale=scale).fit(X[pair], y[pair])
        assert np.isfinite(given.predict_proba(X)).all()


# Benefit and harm -------------------------------------------------------------------------


def accuracy(data, scale, **options):
    given = model(n_filters=20, inherit_scale=scale, **options)
    given.fit(data.X, data.y, sample_domain=data.sample_domain)
    return given.score(data.X_test, data.y_test)


def test_shared_signal_helps_and_scaling_removes_the_harm_of_none():
    scales = (0, 1, "auto")
    near = np.mean(
        [[accuracy(small(s, n_source=200, patch_size=200), c) for c in scales] for s in range(3)], 0
    )
    far = np.mean(
        [
            [
                accuracy(small(s, n_source=200, patch_size=200, shared=0, own=3), c,
                         inherit_fraction=0.75 if c == 1 else 1.0)
                for c in scales
            ]
            for s in range(3)
        ],
        0,
    )  # fmt: skip
    assert near[1] > near[0] + 0.02
    assert far[1] < far[0] - 0.02
    assert min(near[2] - near[0], far[2] - far[0]) > -0.01
