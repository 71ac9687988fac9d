"""What estimators share that train another one on chosen or weighted rows."""

from copy import deepcopy
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skt._sklearn import num_samples, safe_indexing
from skt.estimators.base import FromSources
from skt.estimators.docstrings import OUTCOMES, documents_rows
from skt.estimators.messages import warn
from skt.model_selection.trial import LabelledRows, can_be_tried, left_out
from skt.sources.labels import split_domains
from skt.sources.validate import refuse_extremes, refuse_pairs, split_rows

ALONE, ALIKE = "target alone", "all rows alike"

# What another candidate must be better by than the one that the sources are judged to be worth,
# in standard errors of the difference. The target alone needs less and comes last: to be wrong
# about it harms less. Chosen by simulation and on real tables (docs/evidence/otqms.md).
BETTER = {ALIKE: 1.5, ALONE: 0.5}


class ChosenRows(NamedTuple):
    """Rows to train on, and their weights."""

    rows: np.ndarray
    weight: np.ndarray | None  # (len(rows),)

    @classmethod
    def of(cls, rows, sample_weight):
        """Return rows with the weights that they came with."""
        return cls(rows, None if sample_weight is None else np.asarray(sample_weight)[rows])


def train(estimator, data, chosen):
    """Return a clone, trained on the chosen rows."""
    X, y = safe_indexing(data.X, chosen.rows), safe_indexing(data.y, chosen.rows)
    return fit_clone(estimator, X, y, chosen.weight)


def fit_clone(estimator, X, y, sample_weight):
    """Return a trained clone; the last step of a Pipeline gets the weights."""
    estimator = clone(estimator)
    if sample_weight is None:
        return estimator.fit(X, y)
    routed = get_config()["enable_metadata_routing"]
    if routed and isinstance(estimator, Pipeline):
        try:
            return estimator.fit(X, y, sample_weight=sample_weight)
        except UnsetMetadataPassedError:  # nobody has to set a request: the last step gets them
            with config_context(enable_metadata_routing=False):
                return fit_clone(estimator, X, y, sample_weight)
    last, path = estimator, []
    while isinstance(last, Pipeline):
        name, last = last.steps[-1]
        path.append(name)
    if not has_fit_parameter(last, "sample_weight"):
        raise TypeError(
            f"{type(last).__name__}.fit takes no sample_weight; SourceSampled, without "
            "sample_weight, trains any estimator."
        )
    keyword = "sample_weight" if routed else "__".join([*path, "sample_weight"])
    return estimator.fit(X, y, **{keyword: sample_weight})


class _Constant(NamedTuple):
    """A classifier of the only class there is."""

    classes_: np.ndarray

    def predict_proba(self, X):
        return np.ones((len(X), 1))


def _trained_or_constant(estimator, data, chosen):
    """Return the estimator trained, or the one class that the chosen rows have."""
    if is_classifier(estimator):
        classes = np.unique(safe_indexing(data.y, chosen.rows))
        if len(classes) == 1:
            return _Constant(classes)
    return train(estimator, data, chosen)


def _estimator_has(name):
    """Whether the fitted estimator, or before fit the given one, has a method."""

    def check(self):
        getattr(getattr(self, "estimator_", self.estimator), name)
        return True

    return check


class _Wrapped(FromSources, MetaEstimatorMixin, BaseEstimator):
    """Behaves as its ``estimator`` in everything but the rows and weights it is trained on."""

    @documents_rows(OUTCOMES, "Weights of the rows, by which those of the sources are multiplied.")
    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Train on what the sources are judged to be worth, if the estimator agrees."""
        self._check_parameters()
        refuse_pairs(X, y, sample_domain)
        self.source_names_ = list(split_domains(sample_domain, num_samples(X))[1])
        warn(self._fit(X, y, sample_domain, sample_weight))
        return self

    def _fit(self, X, y, sample_domain, sample_weight):
        """Train with the sources, if there are some; return what to warn of."""
        if self.source_names_:
            return self._fit_with_sources(X, y, sample_domain, sample_weight)
        self.chosen_, self.cv_losses_ = ALONE, {}
        self._store_no_sources(num_samples(X))
        self.estimator_ = fit_clone(self.estimator, X, y, sample_weight)
        return []

    def _fit_with_sources(self, X, y, sample_domain, sample_weight):
        """Propose, try and train; return what to warn of."""
        split = split_rows(X, sample_domain, sample_weight)
        weight = None if sample_weight is None else split.weight
        if np.asarray(y).dtype.kind == "f":
            refuse_extremes(np.zeros(1), np.asarray(y))
        data = LabelledRows(X, y, np.asarray(sample_domain), weight)
        proposal = self._propose(data)
        self.chosen_, self.cv_losses_ = self._tried(data, split.target)
        self._store(proposal)
        chosen = self._candidates(proposal, data)[self.chosen_]
        self.estimator_ = train(self.estimator, data, chosen)
        return self._doubts(proposal)

    def _tried(self, data, target):
        """Return the name of the candidate to train, and the losses of all that were tried."""
        classes = is_classifier(self.estimator)
        if self.cv is None or not can_be_tried(data, target, classes=classes):
            return self._judged, {}
        tried = left_out(self._trials, data, target, self.cv)
        return tried.best(self._judged, BETTER), tried.means

    def _trials(self, data):
        """Return what is tried: the estimator, trained on the rows of every candidate."""
        candidates = self._candidates(self._propose(data), data)
        return {
            name: partial(_trained_or_constant, self.estimator, data, chosen)
            for name, chosen in candidates.items()
        }

    def __sklearn_tags__(self):
        # Whatever the inner estimator is and can take, with rows of several domains too.
        return deepcopy(get_tags(self.estimator))

    @property
    def n_features_in_(self):
        """Number of features seen in fit."""
        return self._fitted.n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the features seen in fit."""
        return self._fitted.feature_names_in_

    @property
    def classes_(self):
        """Classes of the estimator."""
        return self._fitted.classes_

    @property
    def _fitted(self):
        if not hasattr(self, "estimator_"):
            raise AttributeError(f"{type(self).__name__} is not fitted yet")
        return self.estimator_

    @available_if(_estimator_has("predict"))
    def predict(self, X):
        """Predict with the trained estimator."""
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X):
        """Probabilities of the classes by the trained estimator."""
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @available_if(_estimator_has("predict_log_proba"))
    def predict_log_proba(self, X):
        """Logarithms of the probabilities by the trained estimator."""
        check_is_fitted(self)
        return self.estimator_.predict_log_proba(X)

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X):
        """Decision function of the trained estimator."""
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    @available_if(_estimator_has("score"))
    def score(self, X, y, sample_weight=None):
        """Score of the trained estimator, on rows of the target."""
        check_is_fitted(self)
        weight = {} if sample_weight is None else {"sample_weight": sample_weight}
        return self.estimator_.score(X, y, **weight)


class Proposal(NamedTuple):
    """UOWQ's weights of the sources, and what they were computed from; target first."""

    weights: np.ndarray  # (K,)
    M: np.ndarray  # (K, K)
    n: np.ndarray  # (K+1,) rows, counted by their weights
    noise: np.ndarray  # (K+1,) variances relative to the target's
    doubts: list  # of str, to warn of
