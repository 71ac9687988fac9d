"""Estimators that are trained on the chosen rows, or on all rows with weights."""

import numbers
from copy import deepcopy
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.utils import check_X_y, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skt._base import _check_weight, _refuse_pairs, small_blas
from skt._sklearn import num_samples, safe_indexing
from skt.core import allocation, row_choice
from skt.sources import split_domains

from ._check import ALIKE, ALONE, Data, Rows, can_be_tried, fit_clone, left_out, train
from ._domains import (
    DISCREPANCIES,
    FAMILIES,
    check_arrays,
    check_option,
    discrepancy_of,
    doubts_of_few_rows,
    is_number,
    split,
    warn,
)
from ._sampler import OTQMSSampler


def _estimator_has(name):
    """Whether the fitted estimator, or before fit the given one, has a method."""

    def check(self):
        getattr(getattr(self, "estimator_", self.estimator), name)
        return True

    return check


class _Wrapped(MetaEstimatorMixin, BaseEstimator):
    """Behaves as its ``estimator`` in everything but the rows and weights it is trained on."""

    __metadata_request__fit = {"sample_domain": True}

    def _fit(self, X, y, sample_domain, sample_weight):
        """Train on what the sources are judged to be worth, if the estimator agrees."""
        _refuse_pairs(X, y, sample_domain)
        _check_cv(self.cv)
        n = num_samples(X)
        target, sources = split_domains(sample_domain, n)
        self.source_names_, self.cv_losses_ = list(sources), {}
        if not sources:
            self.chosen_ = ALONE
            self._store_no_sources(n)
            self.estimator_ = fit_clone(self.estimator, X, y, sample_weight)
            return self
        weight = None if sample_weight is None else _check_weight(sample_weight, X, target, sources)
        data = Data(X, y, np.asarray(sample_domain), weight)
        proposal = self._propose(data)
        self.chosen_ = self._judged
        if self.cv is not None and can_be_tried(self.estimator, data, target):
            tried = left_out(
                self.estimator, data, target, self.cv,
                lambda rest: self._candidates(self._propose(rest), rest),
            )  # fmt: skip
            self.cv_losses_, self.chosen_ = tried.means, tried.best(self._judged)
        self._store(proposal)
        candidates = self._candidates(proposal, data)
        self.estimator_ = train(self.estimator, data, candidates[self.chosen_])
        warn(self._doubts(proposal), stacklevel=3)
        return self

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


class SourceSampled(_Wrapped):
    """Train any estimator on the target's rows and the source rows that OTQMS takes.

    Regressor or classifier as the estimator is. Without sources it is the estimator, trained on
    all rows.

    Parameters
    ----------
    estimator : estimator
        What is trained: a clone of it, on the chosen rows.
    sampler : OTQMSSampler, default=None
        Chooses the rows. None: ``OTQMSSampler()``. Its ``family="auto"`` is "logistic" for a
        classifier, else "linear".
    refresh : int, default=0
        How often the rows are chosen anew and the estimator trained again, the target's
        outcomes replaced in the comparison by the estimator's predictions (the paper's dynamic
        version). Unsafe, and off: predictions move towards the sources that they are then
        compared with; measured in docs/otqms.md.
    cv : int, splitter, iterable or None, default=5
        Folds over the target's rows, of which each is predicted by the estimator trained on the
        others, alone and with the rows that the sampler takes for them. Where the target alone
        is better by half a standard error, it is trained alone: the sampler judges sources in a
        simple model, and only the estimator itself can tell whether their rows do it good. A
        number makes folds alike in outcomes. None trusts the sampler, and trains once instead of
        ``2 cv + 1`` times. Without effect on fewer than four rows of the target, or one class.

    Attributes
    ----------
    estimator_ : estimator
        Trained.
    chosen_ : {"target alone", "OTQMS's rows"}
        What it was trained on.
    cv_losses_ : dict of str to float
        Mean loss of both on target rows left out: squared error, of several outputs in units of
        their variance; for classes the squared error of the probabilities, or the share of wrong
        classes where the estimator gives none. Empty where nothing was tried.
    sampler_ : OTQMSSampler
        Fitted, if there were sources, whatever was chosen.
    source_names_, transfer_quantities_, sample_indices_, risk_, target_risk_
        As in `OTQMSSampler`, of the rows trained on.
    source_weights_ : ndarray of shape (n_sources,)
        Part of each source's rows that was taken.
    discrepancy_ : ndarray of shape (n_sources, n_sources)
        As in `OTQMSSampler`.
    effective_sample_size_ : float
        Target rows that would be as good, ``n_0 target_risk_ / risk_``.
    source_effective_sample_size_ : ndarray of shape (n_sources,)
        Target rows that each source adds to it, in proportion to the rows taken.
    n_target_samples_ : float
        Rows of the target.
    n_source_samples_ : ndarray of shape (n_sources,)
        Rows of each source.
    n_features_in_, feature_names_in_, classes_
        Of the trained estimator, where it has them.

    See Also
    --------
    SourceWeighted : All rows with weights; lower risk where rows cost nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import HistGradientBoostingRegressor
    >>> from skt import OTQMSSampler, SourceSampled, stack_domains
    >>> rng = np.random.default_rng(0)
    >>> def draw(n, slope):
    ...     X = rng.uniform(-1, 1, size=(n, 6))
    ...     return X, np.sin(3 * X[:, 0]) + slope * X[:, 1] + 0.3 * rng.normal(size=n)
    >>> X, y, d = stack_domains(draw(60, 1), {"near": draw(600, 1.05), "far": draw(600, -3)})
    >>> X_test, y_test = draw(1000, 1)
    >>> boosting = HistGradientBoostingRegressor(max_iter=50, random_state=0)
    >>> sampled = SourceSampled(boosting, OTQMSSampler(random_state=0))
    >>> both = sampled.fit(X, y, sample_domain=d)
    >>> dict(zip(both.source_names_, both.source_weights_.round(1).tolist()))
    {'far': 0.0, 'near': 1.0}
    >>> alone = boosting.fit(X[:60], y[:60])
    >>> print(f"R2 {alone.score(X_test, y_test):.2f} -> {both.score(X_test, y_test):.2f}")
    R2 0.72 -> 0.89
    """

    def __init__(self, estimator, sampler=None, *, refresh=0, cv=5):
        self.estimator = estimator
        self.sampler = sampler
        self.refresh = refresh
        self.cv = cv

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Choose the rows and train the estimator on them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of all domains, stacked; numeric if there are sources.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Outcomes.
        sample_domain : array-like of shape (n_samples,), default=None
            Domain of each row, as in `OTQMSSampler`. None: all target.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; the estimator gets those of the chosen rows.

        Returns
        -------
        self : SourceSampled
            Trained.
        """
        self._check_parameters()
        return self._fit(X, y, sample_domain, sample_weight)

    _judged = "OTQMS's rows"

    def _propose(self, data):
        """Return the fitted sampler."""
        sampler = self._sampler()
        X, y = check_arrays(sampler, data.X, data.y)
        sampler._choose(X, y, data.sample_domain, data.sample_weight)
        target, _ = split_domains(data.sample_domain, num_samples(data.X))
        for _ in range(self.refresh):
            chosen = Rows.of(sampler.sample_indices_, data.sample_weight)
            trained = train(self.estimator, data, chosen)
            response = _predicted_response(trained, safe_indexing(data.X, target), sampler)
            sampler._choose(X, y, data.sample_domain, data.sample_weight, response)
        return sampler

    def _candidates(self, sampler, data):
        target, _ = split_domains(data.sample_domain, num_samples(data.X))
        return {
            name: Rows.of(rows, data.sample_weight)
            for name, rows in ((ALONE, target), (self._judged, sampler.sample_indices_))
        }

    def _check_parameters(self):
        if not is_number(self.refresh, numbers.Integral):
            raise ValueError(f"refresh must be a whole number >= 0; got {self.refresh!r}.")
        if self.sampler is not None and not isinstance(self.sampler, OTQMSSampler):
            raise TypeError(
                f"sampler must be an OTQMSSampler or None; got {type(self.sampler).__name__}."
            )

    def _sampler(self):
        sampler = OTQMSSampler() if self.sampler is None else clone(self.sampler)
        if sampler.family == "auto":
            sampler.set_params(family="logistic" if is_classifier(self.estimator) else "linear")
        return sampler

    def _doubts(self, sampler):
        return sampler._doubts

    def _store(self, sampler):
        self.sampler_ = sampler
        self.target_risk_, self.discrepancy_ = sampler.target_risk_, sampler.discrepancy_
        n_0 = len(sampler.sample_indices_) - np.sum(sampler.transfer_quantities_)
        self.n_target_samples_, self.n_source_samples_ = float(n_0), sampler._sizes.astype(float)
        if self.chosen_ == ALONE:
            self.transfer_quantities_ = np.zeros_like(sampler.transfer_quantities_)
            self.sample_indices_, self.risk_ = sampler._target_rows, sampler.target_risk_
        else:
            self.transfer_quantities_ = sampler.transfer_quantities_
            self.sample_indices_, self.risk_ = sampler.sample_indices_, sampler.risk_
        self.source_weights_ = self.transfer_quantities_ / sampler._sizes
        self.effective_sample_size_ = n_0 * self.target_risk_ / max(self.risk_, 1e-300)
        self.source_effective_sample_size_ = allocation.effective_parts(
            self.effective_sample_size_, self.n_target_samples_, self.transfer_quantities_
        )

    def _store_no_sources(self, n_samples):
        self.source_weights_ = np.zeros(0)
        self.transfer_quantities_ = np.zeros(0, dtype=np.intp)
        self.sample_indices_ = np.arange(n_samples)
        self.discrepancy_ = np.zeros((0, 0))
        self.risk_ = self.target_risk_ = np.nan
        self.effective_sample_size_ = self.n_target_samples_ = float(n_samples)
        self.source_effective_sample_size_ = self.n_source_samples_ = np.zeros(0)


class SourceWeighted(_Wrapped):
    """Train any estimator that takes ``sample_weight`` on all rows, sources by UOWQ's weights.

    UOWQ gives every row of source i the weight that minimises

        [n_0 + sum_i w_i^2 n_i + (wn)' M (wn)] / (n_0 + sum_i w_i n_i)^2

    a target row having weight 1, with M the discrepancies of coefficients in a linear, logistic
    or Poisson model, estimated by empirical Bayes with the James-Stein guard. Throwing rows
    away can only lose: prefer this to ``SourceSampled`` unless training on all rows is too
    expensive.

    These weights are right for such a model. Whether they are for the estimator is tried on target
    rows left out: it is trained on the target alone, or on all rows alike (which helps models that
    tell domains apart by their features), where that predicts them better. Without sources it is
    the estimator, trained on all rows.

    Parameters
    ----------
    estimator : estimator
        What is trained: a clone of it, on all rows, with weights. In a Pipeline the last step
        gets them; with metadata routing, the steps that request ``sample_weight``.
    family : {"auto", "linear", "logistic", "poisson"}, default="auto"
        Model in which domains are compared, intercept included. "auto": "logistic" for a
        classifier, else "linear".
    discrepancy : {"eb", "plugin"} or array of shape (n_sources, n_sources), default="eb"
        As in `OTQMSSampler`.
    cv : int, splitter, iterable or None, default=5
        Folds over the target's rows for that. The target alone must be better than UOWQ's weights
        by half a standard error of the difference, all rows alike by one and a half. A number
        makes folds alike in outcomes. None trusts UOWQ's weights, and trains once instead of
        ``3 cv + 1`` times. Without effect on fewer than four rows of the target, or one class.

    Attributes
    ----------
    estimator_ : estimator
        Trained.
    chosen_ : {"target alone", "UOWQ's weights", "all rows alike"}
        What it was trained on.
    cv_losses_ : dict of str to float
        Mean loss of each on target rows left out: squared error, of several outputs in units of
        their variance; for classes the squared error of the probabilities, or the share of wrong
        classes where the estimator gives none. Empty where nothing was tried.
    source_names_ : list of str
        Names of the sources, in the order of their labels.
    source_weights_ : ndarray of shape (n_sources,)
        Weight of a row of each source: zeros, UOWQ's or ones.
    effective_sample_size_ : float
        Target rows that would be as good as all rows with these weights, in the family.
    source_effective_sample_size_ : ndarray of shape (n_sources,)
        Target rows that each source adds to it.
    n_target_samples_ : float
        Rows of the target, counted by their weights.
    n_source_samples_ : ndarray of shape (n_sources,)
        Rows of each source.
    source_noise_ratio_ : ndarray of shape (n_sources,)
        Noise variance of each source over that of the target; 1 unless the family is linear.
    discrepancy_ : ndarray of shape (n_sources, n_sources)
        M, per target row.
    n_features_in_, feature_names_in_, classes_
        Of the trained estimator, where it has them.

    Raises
    ------
    TypeError
        If the estimator takes no ``sample_weight``.

    Warns
    -----
    UserWarning
        If the target has one or two rows, which cannot tell which sources are like it.

    References
    ----------
    UOWQ: arXiv 2601.10779v2; docs/uowq.md.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skt import SourceWeighted, stack_domains
    >>> rng = np.random.default_rng(0)
    >>> def draw(n, beta):
    ...     X = rng.normal(size=(n, 10))
    ...     return X, np.where(X @ beta + rng.logistic(size=n) > 0, "yes", "no")
    >>> beta = np.linspace(-1, 1, 10)
    >>> X, y, d = stack_domains(draw(60, beta), {"near": draw(400, beta), "far": draw(400, -beta)})
    >>> X_test, y_test = draw(2000, beta)
    >>> both = SourceWeighted(LogisticRegression()).fit(X, y, sample_domain=d)
    >>> dict(zip(both.source_names_, both.source_weights_.round(1).tolist()))
    {'far': 0.0, 'near': 0.3}
    >>> alone = LogisticRegression().fit(X[:60], y[:60])
    >>> print(f"accuracy {alone.score(X_test, y_test):.2f} -> {both.score(X_test, y_test):.2f}")
    accuracy 0.73 -> 0.79
    """

    def __init__(self, estimator, *, family="auto", discrepancy="eb", cv=5):
        self.estimator = estimator
        self.family = family
        self.discrepancy = discrepancy
        self.cv = cv

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Weigh the sources and train the estimator.

        Parameters
        ----------
        X, y, sample_domain
            As in `SourceSampled.fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Row counts, by which the weights of the sources are multiplied.

        Returns
        -------
        self : SourceWeighted
            Trained.
        """
        check_option("family", self.family, ("auto", *FAMILIES))
        if isinstance(self.discrepancy, str):
            check_option("discrepancy", self.discrepancy, DISCREPANCIES)
        return self._fit(X, y, sample_domain, sample_weight)

    _judged = "UOWQ's weights"

    def _propose(self, data):
        """Return UOWQ's weights, and what they were computed from."""
        family = self.family
        if family == "auto":
            family = "logistic" if is_classifier(self.estimator) else "linear"
        X, y = check_X_y(
            data.X,
            data.y,
            dtype=np.float64,
            ensure_all_finite="allow-nan",
            multi_output=True,
            estimator=self,
        )
        domains = split(X, y, data.sample_domain, data.sample_weight, family)
        with small_blas(X.shape[1]):
            measured = row_choice.measure(FAMILIES[family], domains.rows)
            M = discrepancy_of(self.discrepancy, measured, domains.names)
            weights, _ = row_choice.source_weights(measured, M)
        doubts = doubts_of_few_rows(domains.rows[0])
        return Proposal(weights, M, measured.n, measured.noise, doubts)

    def _candidates(self, proposal, data):
        target, sources = split_domains(data.sample_domain, num_samples(data.X))
        every = np.arange(num_samples(data.X))
        weight = data.weight(every)
        for rows, w in zip(sources.values(), proposal.weights, strict=True):
            weight[rows] *= w
        used = [rows for rows, w in zip(sources.values(), proposal.weights, strict=True) if w > 0]
        rows = np.sort(np.concatenate([target, *used]))
        return {
            ALONE: Rows.of(target, data.sample_weight),
            self._judged: Rows(rows, weight[rows]),
            ALIKE: Rows.of(every, data.sample_weight),
        }

    def _doubts(self, proposal):
        return proposal.doubts

    def _store(self, proposal):
        n, noise = proposal.n, proposal.noise
        constant = {ALONE: 0.0, self._judged: proposal.weights}.get(self.chosen_, 1.0)
        self.source_weights_ = constant * np.ones(len(n) - 1)
        self.discrepancy_ = proposal.M
        self.n_target_samples_, self.n_source_samples_ = float(n[0]), n[1:]
        self.source_noise_ratio_ = noise[1:]
        shares = allocation.shares_from_weights(self.source_weights_, n)
        self.effective_sample_size_ = 1 / allocation.share_risk(shares, n / noise, proposal.M)
        self.source_effective_sample_size_ = allocation.effective_parts(
            self.effective_sample_size_, self.n_target_samples_, self.source_weights_ * n[1:]
        )

    def _store_no_sources(self, n_samples):
        self.source_weights_, self.discrepancy_ = np.zeros(0), np.zeros((0, 0))
        self.effective_sample_size_ = self.n_target_samples_ = float(n_samples)
        self.source_effective_sample_size_ = self.n_source_samples_ = np.zeros(0)
        self.source_noise_ratio_ = np.zeros(0)


class Proposal(NamedTuple):
    """UOWQ's weights of the sources, and what they were computed from; target first."""

    weights: np.ndarray  # (K,)
    M: np.ndarray  # (K, K)
    n: np.ndarray  # (K+1,) rows, counted by their weights
    noise: np.ndarray  # (K+1,) variances relative to the target's
    doubts: list  # of str, to warn of


def _check_cv(cv):
    if isinstance(cv, numbers.Integral) and (isinstance(cv, bool) or cv < 2):
        raise ValueError(
            "cv must be a whole number >= 2, a splitter, an iterable of splits, or None (nothing "
            f"is tried); got {cv!r}."
        )


def _predicted_response(estimator, X, sampler):
    """Return the estimator's predictions as responses of the sampler's family."""
    if sampler.family_ != "logistic":
        return np.asarray(estimator.predict(X), dtype=float).reshape(num_samples(X), -1)
    if not hasattr(estimator, "predict_proba"):
        raise TypeError(
            f"refresh needs probabilities, but {type(estimator).__name__} has no predict_proba; "
            "leave refresh at 0."
        )
    full = np.zeros((num_samples(X), len(sampler._classes)))
    full[:, np.searchsorted(sampler._classes, estimator.classes_)] = estimator.predict_proba(X)
    return full[:, 1:] if full.shape[1] == 2 else full
