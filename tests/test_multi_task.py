"""Every domain as target and source at once."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.metrics import log_loss

from skt import UOWQMultiTaskClassifier, UOWQMultiTaskRegressor
from skt.core import multi_task, uowq_glm
from skt.core.rows import Rows
from skt.plots import SourceWeightsMapDisplay

P = 4


def tasks(rng, T=4, n=12, spread=0.2, classes=False):
    W = rng.normal(size=P) + spread * rng.normal(size=(T, P))
    task = np.repeat([f"t{k}" for k in range(T)], n)
    X = rng.normal(size=(T * n, P)) + 2
    mean = np.sum((X - 2) * np.repeat(W, n, axis=0), axis=1)
    if classes:
        return X, np.where(2 * mean + rng.logistic(size=T * n) > 0, "yes", "no"), task, mean
    return X, 5 + mean + rng.normal(size=T * n), task, 5 + mean


@pytest.mark.parametrize("T", [5, 40])
def test_tasks_that_are_alike_help_each_other(rng, T):
    errors = []
    for _ in range(3):
        X, y, task, mean = tasks(rng, T)
        ours = UOWQMultiTaskRegressor().fit(X, y, sample_domain=task)
        own = np.empty(len(X))
        for t in ours.task_names_:
            rows = task == t
            own[rows] = UOWQMultiTaskRegressor().fit(X[rows], y[rows]).predict(X[rows])
        errors.append([np.mean((p - mean) ** 2) for p in (ours.predict(X, task), own)])
    together, alone = np.mean(errors, axis=0)
    assert together < 0.8 * alone
    assert ours.coef_.shape == (T, P)
    assert ours.task_weights_.shape == (T, T)
    assert_allclose(np.diag(ours.task_weights_), 1)
    assert np.mean(ours.risk_) < np.mean(ours.own_risk_)


def test_classes_of_many_tasks(rng):
    X, y, task, _ = tasks(rng, 10, 40, classes=True)
    train = np.arange(len(X)) % 2 == 0
    ours = UOWQMultiTaskClassifier().fit(X[train], y[train], sample_domain=task[train])
    p = ours.predict_proba(X[~train], sample_domain=task[~train])
    assert_allclose(p.sum(axis=1), 1)
    assert log_loss(y[~train], p) < 0.6
    assert ours.score(X[~train], y[~train], sample_domain=task[~train]) > 0.65


def test_false_help_is_rare(rng):
    """Unrelated tasks: at most one pair in twenty is said to help."""
    found = []
    for _ in range(2):
        X, y, task, _ = tasks(rng, 5, 30, spread=3.0)
        ours = UOWQMultiTaskRegressor().fit(X, y, sample_domain=task)
        found.append(ours.helps_[~np.eye(5, dtype=bool)].mean())
        assert not ours.helps_.diagonal().any()
    assert np.mean(found) <= 0.05


def test_task_that_was_not_seen(rng):
    X, y, task, _ = tasks(rng)
    ours = UOWQMultiTaskRegressor().fit(X, y, sample_domain=task)
    other = np.full(len(X), "new")
    centre = X @ ours.mean_coef_ + ours.mean_intercept_
    assert_allclose(ours.predict(X, sample_domain=other), centre)
    assert_allclose(ours.predict(X), centre)
    strict = clone(ours).set_params(unseen="error").fit(X, y, sample_domain=task)
    with pytest.raises(ValueError, match="did not see, 'new'"):
        strict.predict(X, sample_domain=other)


def test_one_task_is_its_own(rng):
    X, y, _, mean = tasks(rng, 1, 200)
    ours = UOWQMultiTaskRegressor().fit(X, y)
    assert np.mean((ours.predict(X) - mean) ** 2) < 0.1
    assert_allclose(ours.task_shares_, 1, atol=0.1)


def test_units_of_the_outcome_do_not_matter(rng):
    X, y, task, _ = tasks(rng)
    one = UOWQMultiTaskRegressor().fit(X, y, sample_domain=task)
    other = UOWQMultiTaskRegressor().fit(X * 10 - 4, 1e4 * y + 7, sample_domain=task)
    assert_allclose(other.coef_ * 1e-3, one.coef_, rtol=1e-4, atol=1e-6)
    assert_allclose(other.task_shares_, one.task_shares_, rtol=1e-4, atol=1e-7)


def test_shares_of_all_are_shares_of_each(rng):
    domains = [
        Rows(rng.normal(size=(15, 3)), rng.normal(size=(15, 1)), np.ones(15)) for _ in range(5)
    ]
    effects = uowq_glm.fit_glmm(
        multi_task.gaussian_tasks(domains), np.ones(3, dtype=bool), alike=True
    )
    J = np.diag([1.0, 2.0, 3.0])
    all_of_them = multi_task.shares_of_all(effects, J)
    for k in range(5):
        assert_allclose(all_of_them[k], effects.posterior.shares_of(k, J), rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unseen": "drop"}, "The 'unseen' parameter of .* must be a str among"),
        ({"guard": "yes"}, "The 'guard' parameter of .* must be a str among {'left-out'} or None"),
        ({"alpha": 0}, r"The 'alpha' parameter of .* in the range \(0.0, inf\)"),
    ],
)
def test_bad_options(rng, options, message):
    X, y, task, _ = tasks(rng)
    with pytest.raises(ValueError, match=message):
        UOWQMultiTaskRegressor(**options).fit(X, y, sample_domain=task)


def test_who_helps_whom_is_drawn(rng):
    pytest.importorskip("matplotlib").use("Agg")
    X, y, task, _ = tasks(rng)
    ours = UOWQMultiTaskRegressor().fit(X, y, sample_domain=task)
    display = SourceWeightsMapDisplay.from_estimator(ours)
    assert display.targets == ours.task_names_
    assert np.isnan(np.diag(display.weights)).all()
    display.plot()
