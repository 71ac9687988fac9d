"""What a practitioner would use where rows come in groups, and the package's own estimators.

A method is a function of a :class:`benchmarks.tables.HoldOut` that returns a fitted model with
``predict`` (regression) or ``classes_`` and ``predict_proba`` (classes).
"""

import warnings
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, RidgeCV
from sklearn.model_selection import StratifiedKFold

import skt
from skt.sources import split_domains

ALPHAS = np.logspace(-3, 5, 15)
MOST_MIXED_FEATURES = 60
MOST_FOLDS = 5

# Helpers ------------------------------------------------------------------------------------


def group_numbers(data):
    """Return the number of each training row's group, 0 being the target."""
    _, sources = split_domains(data.sample_domain, len(data.X))
    numbers = np.zeros(len(data.X), dtype=int)
    for k, rows in enumerate(sources.values(), start=1):
        numbers[rows] = k
    return numbers


def indicators(numbers):
    return (numbers[:, None] == np.arange(numbers.max() + 1)).astype(float)


class OfTarget(NamedTuple):
    """A model of extended rows, asked about target rows."""

    model: object
    extend: object

    @property
    def classes_(self):
        return self.model.classes_

    def predict(self, X):
        return self.model.predict(self.extend(X))

    def predict_proba(self, X):
        return self.model.predict_proba(self.extend(X))


class Linear(NamedTuple):
    coef: np.ndarray
    intercept: float

    def predict(self, X):
        return X @ self.coef + self.intercept


class Shares(NamedTuple):
    """Training shares of the classes: what is left where one class is all there is."""

    classes_: np.ndarray
    shares: np.ndarray

    def predict_proba(self, X):
        return np.tile(self.shares, (len(X), 1))


# Regression ---------------------------------------------------------------------------------


def ridge():
    return RidgeCV(ALPHAS)


def fit_on(which, estimator, data):
    """Fit on the rows of the target, the sources, or all."""
    rows = data.rows(which)
    return clone(estimator).fit(data.X[rows], data.y[rows])


def with_intercepts(estimator, data):
    """Fit on all rows, with one column a group."""
    D = indicators(group_numbers(data))
    model = clone(estimator).fit(np.hstack([data.X, D]), data.y)
    return OfTarget(model, lambda X: np.hstack([X, np.tile(np.eye(D.shape[1])[0], (len(X), 1))]))


def group_by_feature(data):
    """RidgeCV on all rows with columns x, 1[g] and x 1[g] for every group g.

    It is solved by blocks, since 28 groups of 286 columns are 8,300 columns. With M_g the
    inverse of a group's own Gram matrix plus a, and S the Schur complement of the common
    columns, a row u has the leverage ``u'M u + a^2 u'M S^-1 M u``.
    """
    groups, mean = group_numbers(data), data.y.mean()
    U = np.hstack([data.X, np.ones((len(data.X), 1))])
    blocks = [U[groups == g] for g in range(groups.max() + 1)]
    values = [data.y[groups == g] - mean for g in range(groups.max() + 1)]
    spectra = [np.linalg.svd(block, full_matrices=False)[1:] for block in blocks]
    fits = [_blocks(a, blocks, values, spectra) for a in ALPHAS]
    coef, _ = min(fits, key=lambda fit: fit[1])
    return Linear(coef[:-1], coef[-1] + mean)


def _blocks(a, blocks, values, spectra):
    """Return the target's coefficients, common plus own, and the leave-one-out error.

    The constant is penalised in the groups and absent from the common columns: there it stands
    for the mean that was taken away.
    """
    p = blocks[0].shape[1]
    common = np.r_[np.ones(p - 1), 0.0]
    schur, right = a * np.eye(p), np.zeros(p)
    for U, y, (s, V) in zip(blocks, values, spectra, strict=True):
        VI = V * common
        schur += (VI.T * (a * s**2 / (s**2 + a))) @ VI
        w = V.T @ ((V @ (U.T @ y)) / (s**2 + a))
        right += common * (U.T @ y - V.T @ (s**2 * (V @ w)))
    factor = cho_factor(schur)
    b = cho_solve(factor, right)
    total, own = 0.0, None
    for U, y, (s, V) in zip(blocks, values, spectra, strict=True):
        rest = y - U @ (common * b)
        c = V.T @ ((V @ (U.T @ rest)) / (s**2 + a))
        T = (U @ V.T) * (a / (s**2 + a)) @ V + U @ (np.eye(p) - V.T @ V)
        T *= common
        leverage = np.sum((U @ V.T) ** 2 / (s**2 + a), axis=1)
        leverage += np.sum(T * cho_solve(factor, T.T).T, axis=1)
        total += np.sum(((rest - U @ c) / (1 - leverage)) ** 2)
        own = common * b + c if own is None else own
    return own, total


def mixed_model(data):
    """Random intercepts and slopes, four variances by maximum likelihood; few features only.

    y = X(b + b_g) + c_g + e with b ~ N(0, v_0 I), b_g ~ N(0, v_1 I), c_g ~ N(0, v_2) about a
    common mean.
    """
    if data.X.shape[1] > MOST_MIXED_FEATURES:
        return None
    groups, mean = group_numbers(data), data.y.mean()
    D = indicators(groups)
    p, K = data.X.shape[1], D.shape[1]
    XD = (data.X[:, None, :] * D[:, :, None]).reshape(len(data.X), K * p)
    Z, y = np.hstack([data.X, D, XD]), data.y - mean
    problem = (Z.T @ Z, Z.T @ y, y @ y, len(y), np.repeat([0, 1, 2], [p, K, K * p]))
    start = np.log([0.1, 0.1, 0.03])
    options = {"xatol": 0.1, "fatol": 0.1, "maxfev": 60}
    best = minimize(
        lambda x: _likelihood(x, *problem)[0], start, method="Nelder-Mead", options=options
    ).x
    w = _likelihood(best, *problem)[1]
    return Linear(w[:p] + w[p + K : p + K + p], w[p] + mean)


def _likelihood(x, G, g, yy, n, which):
    """Return minus twice the log likelihood, noise profiled out, and the coefficients."""
    root = np.exp(np.clip(x, -15, 15) / 2)[which]
    inner = root[:, None] * G * root
    inner[np.diag_indices_from(inner)] += 1
    factor = cho_factor(inner, lower=True, overwrite_a=True)
    w = root * cho_solve(factor, root * g)
    noise = max(yy - g @ w, 1e-12 * yy)
    return n * np.log(noise) + 2 * np.sum(np.log(np.diag(factor[0]))), w


def boosted(kind, data):
    """LightGBM with the group as a category."""
    import lightgbm

    model = {"regression": lightgbm.LGBMRegressor, "classes": lightgbm.LGBMClassifier}[kind](
        n_estimators=200, learning_rate=0.05, verbosity=-1, n_jobs=1, random_state=0
    )
    rows = np.column_stack([group_numbers(data), data.X])
    model.fit(rows, data.y, categorical_feature=[0])
    return OfTarget(model, lambda X: np.column_stack([np.zeros(len(X)), X]))


def of_package(estimator, data):
    return clone(estimator).fit(data.X, data.y, sample_domain=data.sample_domain)


# Classes ------------------------------------------------------------------------------------


def logistic(y):
    """Return LogisticRegressionCV for these outcomes, None where it cannot be run."""
    smallest = np.unique(y, return_counts=True)[1].min()
    if len(np.unique(y)) < 2 or smallest < 2:
        return None
    folds = StratifiedKFold(min(MOST_FOLDS, int(smallest)), shuffle=True, random_state=0)
    return LogisticRegressionCV(
        Cs=np.logspace(-4, 2, 7), cv=folds, scoring="neg_log_loss", max_iter=1000
    )


def logistic_on(which, data):
    """Fit logistic regression on some domains; the shares of the classes where it cannot be."""
    rows = data.rows(which)
    X, y = data.X[rows], data.y[rows]
    estimator = logistic(y)
    if estimator is None:
        classes, counts = np.unique(y, return_counts=True)
        return Shares(classes, counts / counts.sum())
    return estimator.fit(X, y)


def logistic_with_intercepts(data):
    return with_intercepts(logistic(data.y), data)


def logistic_by_feature(data):
    """One logistic regression with columns x, 1[g] and x 1[g]: sparse, since few are not 0."""
    from scipy.sparse import csr_array, hstack

    D = indicators(group_numbers(data))
    crossed = (D[:, :, None] * np.hstack([data.X, np.ones((len(D), 1))])[:, None, :]).reshape(
        len(D), -1
    )
    model = logistic(data.y).fit(hstack([csr_array(data.X), csr_array(crossed)]).tocsr(), data.y)
    width = crossed.shape[1] - data.X.shape[1] - 1

    def extend(X):
        return csr_array(np.hstack([X, X, np.ones((len(X), 1)), np.zeros((len(X), width))]))

    return OfTarget(model, extend)


BASELINE = "target alone"
REGRESSION = {
    BASELINE: partial(fit_on, "target", ridge()),
    "pooled": partial(fit_on, "all", ridge()),
    "pooled + intercepts": partial(with_intercepts, ridge()),
    "group x feature": group_by_feature,
    "mixed model": mixed_model,
    "LightGBM": partial(boosted, "regression"),
    "UOWQRegressor": partial(of_package, skt.UOWQRegressor()),
    "L2SPRidge": partial(of_package, skt.L2SPRidge()),
    "SourceWeighted": partial(of_package, skt.SourceWeighted(ridge())),
    "auto": partial(of_package, skt.TransferRegressor()),
    "auto full": partial(of_package, skt.TransferRegressor(mode="full")),
}
CLASSES = {
    BASELINE: partial(logistic_on, "target"),
    "pooled": partial(logistic_on, "all"),
    "pooled + intercepts": logistic_with_intercepts,
    "group x feature": logistic_by_feature,
    "LightGBM": partial(boosted, "classes"),
    "UOWQClassifier": partial(of_package, skt.UOWQClassifier()),
    "L2SPClassifier": partial(of_package, skt.L2SPClassifier()),
    "SourceWeighted": partial(of_package, skt.SourceWeighted(LogisticRegression(max_iter=1000))),
    "auto": partial(of_package, skt.TransferClassifier()),
    "auto full": partial(of_package, skt.TransferClassifier(mode="full")),
}


def methods(kind, wanted=()):
    """Return methods by name; a name is one of the table above or an expression of skt.

    ``skt.UOWQRegressor(guard=None)`` is such an expression: the estimator is fitted with
    ``sample_domain``. Names of the other kind are passed over.
    """
    here, other = (REGRESSION, CLASSES) if kind == "regression" else (CLASSES, REGRESSION)
    if not wanted:
        return dict(here)
    chosen = {BASELINE: here[BASELINE]}
    for name in wanted:
        if name in here:
            chosen[name] = here[name]
        elif name.startswith("skt."):
            chosen[name] = partial(of_package, eval(name, {"skt": skt, "ridge": ridge}))
        elif name not in other:
            raise ValueError(f"there is no method {name!r}; there are {', '.join(here | other)}.")
    return chosen


def loss(kind, fitted, data):
    """Return the mean squared error, or the log loss with probabilities of at least 1e-6."""
    if kind == "regression":
        return float(np.mean((data.y_test - fitted.predict(data.X_test)) ** 2))
    column = {label: k for k, label in enumerate(fitted.classes_)}
    P = np.hstack([fitted.predict_proba(data.X_test), np.zeros((len(data.X_test), 1))])
    at = [column.get(label, -1) for label in data.y_test]
    return float(-np.mean(np.log(np.clip(P[np.arange(len(P)), at], 1e-6, None))))


def quiet():
    """Return a context in which methods do not warn."""
    return warnings.catch_warnings(action="ignore")
