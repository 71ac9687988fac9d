"""What an ensemble is made of: estimators that know the group, and a column of boosting.

Features come standardised over all rows. Members never change ``sample_domain``: "target" is the
target, anything else a source.
"""

import numpy as np
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone, is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV

from skt.core.group_ridge import fit_groups, group_moments
from skt.estimators.l2sp import L2SPRidge
from skt.estimators.uowq import UOWQRegressor
from skt.estimators.uowq_classifier import UOWQClassifier
from skt.model_selection.alone import ValidatedLogistic
from skt.sources.labels import split_domains

PENALTIES = np.logspace(-3, 4, 15)
# Boosting tells at most this many categories apart; further sources are one together.
MOST_CATEGORIES = 250
# Parts into which the sources are dealt for the column of boosting: of each the others are asked.
SOURCE_FOLDS = 3
LEAST_LOG = np.log(1e-3)


class Member(MetaEstimatorMixin, BaseEstimator):
    """Wraps one estimator, ``estimator``, and behaves as it does."""

    def __init__(self, estimator):
        self.estimator = estimator

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier" if is_classifier(self.estimator) else "regressor"
        return tags

    @property
    def classes_(self):
        """Classes of the fitted estimator."""
        return self.estimator_.classes_

    def predict(self, X):
        """Predict rows of the target."""
        return self.estimator_.predict(self._target(X))

    def predict_proba(self, X):
        """Probabilities for rows of the target."""
        return self.estimator_.predict_proba(self._target(X))

    def _target(self, X):
        """Return rows of the target as the estimator takes them."""
        return X


class OnTarget(Member):
    """Fitted on the target's rows; of one class, the share that a rule of succession gives."""

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit a clone."""
        rows, _ = split_domains(sample_domain, len(X))
        weight = None if sample_weight is None else sample_weight[rows]
        if is_classifier(self.estimator) and len(np.unique(y[rows])) < 2:
            self.estimator_ = _OneClass(y[rows][0], len(rows), np.unique(y))
        else:
            self.estimator_ = clone(self.estimator).fit(X[rows], y[rows], sample_weight=weight)
        return self


class _OneClass:
    """Probabilities where the target's rows are of one class."""

    def __init__(self, label, n, classes):
        self.classes_ = classes
        self.shares = (1.0 + n * (classes == label)) / (n + len(classes))

    def predict_proba(self, X):
        return np.tile(self.shares, (len(X), 1))


class OnColumns(Member):
    """Sees all columns but the last ``n_hidden``."""

    def __init__(self, estimator, n_hidden):
        super().__init__(estimator)
        self.n_hidden = n_hidden

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit a clone."""
        self.estimator_ = clone(self.estimator).fit(
            self._target(X), y, sample_domain=sample_domain, sample_weight=sample_weight
        )
        return self

    def _target(self, X):
        return X[:, : X.shape[1] - self.n_hidden]


class GroupIntercepts(Member):
    """Fitted on the rows of all domains, with one column for each: slopes in common."""

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit a clone."""
        codes = domain_codes(sample_domain, len(X))
        D = (codes[:, None] == np.arange(codes.max() + 1)).astype(float)
        self._n_groups = D.shape[1]
        self.estimator_ = clone(self.estimator).fit(np.hstack([X, D]), y, sample_weight)
        return self

    def _target(self, X):
        return np.hstack([X, np.tile(np.eye(self._n_groups)[0], (len(X), 1))])


class GroupRidge(RegressorMixin, BaseEstimator):
    """Slopes and levels with a common part and a part of each domain: `skt.core.group_ridge`."""

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit the target's coefficients."""
        weight = np.ones(len(X)) if sample_weight is None else sample_weight
        codes, self._mean = domain_codes(sample_domain, len(X)), np.average(y, weights=weight)
        groups = [
            group_moments(X[codes == g], y[codes == g] - self._mean, weight[codes == g])
            for g in range(codes.max() + 1)
        ]
        self.fit_ = fit_groups(groups)
        return self

    def predict(self, X):
        """Predict rows of the target."""
        return X @ self.fit_.coef[:-1] + self.fit_.coef[-1] + self._mean


class GroupCategory(Member):
    """Fitted on the rows of all domains, with the domain as a category, the first column."""

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit a clone."""
        codes = np.minimum(domain_codes(sample_domain, len(X)), MOST_CATEGORIES)
        self.estimator_ = clone(self.estimator).fit(np.column_stack([codes, X]), y, sample_weight)
        return self

    def _target(self, X):
        return np.column_stack([np.zeros(len(X)), X])


def domain_codes(sample_domain, n_samples):
    """Return 0 for the target's rows and 1, 2, ... for those of the sources, (n_samples,)."""
    codes = np.zeros(n_samples, dtype=int)
    for k, rows in enumerate(split_domains(sample_domain, n_samples)[1].values(), start=1):
        codes[rows] = k
    return codes


# Candidates -----------------------------------------------------------------------------------


def alone(classes):
    """Return the member that borrows nothing."""
    return OnTarget(UOWQClassifier() if classes else UOWQRegressor())


def linear_members(classes):
    """Return the linear members by name, the target alone left aside."""
    if classes:
        return {"pooled": GroupIntercepts(ValidatedLogistic()), "UOWQ": UOWQClassifier()}
    return {
        "pooled": GroupIntercepts(RidgeCV(PENALTIES)),
        "group by feature": GroupRidge(),
        "UOWQ": UOWQRegressor(),
        "L2-SP": L2SPRidge(),
    }


def boosting(classes, seed, *, category):
    """Return gradient boosting, small enough for some hundred rows."""
    cls = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    return cls(
        max_iter=100,
        max_leaf_nodes=15,
        min_samples_leaf=10,
        early_stopping=False,
        categorical_features=[0] if category else None,
        random_state=seed,
    )


# A column of boosting -------------------------------------------------------------------------


class SourceBoosting:
    """What boosting of the sources says of a row, as one feature (of several classes, several).

    ``columns`` (n, c) of the rows it was fitted on: for each part of the sources what boosting of
    the others says, and for the target's rows what boosting of all sources says. With one source
    its rows are dealt into parts.
    """

    def __init__(self, data, classes, seed):
        rng = np.random.default_rng(seed)
        self._classes, self._model = classes, boosting(classes is not None, seed, category=False)
        self._n_classes = 0 if classes is None else len(classes)
        codes = domain_codes(data.sample_domain, len(data.X))
        own, sources = codes == 0, np.flatnonzero(codes > 0)
        self.fitted = self._fit(data, sources)
        self.columns = np.empty((len(codes), self.n_columns))
        self.columns[own] = self.of(data.X[own])
        unit = codes if codes.max() > 1 else np.arange(len(codes))
        names = rng.permutation(np.unique(unit[sources]))
        for part in np.array_split(names, min(SOURCE_FOLDS, len(names))):
            asked = sources[np.isin(unit[sources], part)]
            others = self._fit(data, np.setdiff1d(sources, asked))
            self.columns[asked] = self._answers(others, data.X[asked])

    @property
    def n_columns(self):
        """Number of columns: one for numbers and for two classes."""
        return self._n_classes if self._n_classes > 2 else 1

    def of(self, X):
        """Return the columns of rows of the target."""
        return self._answers(self.fitted, X)

    def _fit(self, data, rows):
        weight = None if data.sample_weight is None else data.sample_weight[rows]
        return clone(self._model).fit(data.X[rows], data.y[rows], weight)

    def _answers(self, model, X):
        if not self._n_classes:
            return model.predict(X)[:, None]
        P = np.zeros((len(X), self._n_classes))
        P[:, model.classes_.astype(int)] = model.predict_proba(X)
        logs = log_softmax(np.maximum(np.log(np.maximum(P, 1e-300)), LEAST_LOG), axis=1)
        if self._n_classes == 2:
            return logs[:, [1]] - logs[:, [0]]
        return logs - logs.mean(axis=1, keepdims=True)
