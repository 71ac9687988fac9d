"""Train any estimator on chosen rows."""

import numpy as np
from sklearn.base import clone, is_classifier

from skt._sklearn import HasMethods, num_samples, safe_indexing
from skt.core import allocation
from skt.estimators.checks import COUNT, FOLDS
from skt.estimators.chosen_rows import ALONE, ChosenRows, _Wrapped, train
from skt.estimators.otqms_sampler import OTQMSSampler
from skt.sources.labels import split_domains
from skt.sources.validate import check_arrays


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
        compared with; measured in docs/evidence/otqms.md.
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

    _parameter_constraints = {
        "estimator": [HasMethods("fit")],
        "sampler": [OTQMSSampler, None],
        "refresh": [COUNT],
        "cv": FOLDS,
    }

    def __init__(self, estimator, sampler=None, *, refresh=0, cv=5):
        self.estimator = estimator
        self.sampler = sampler
        self.refresh = refresh
        self.cv = cv

    _judged = "OTQMS's rows"

    def _propose(self, data):
        """Return the fitted sampler."""
        sampler = self._sampler()
        X, y = check_arrays(sampler, data.X, data.y, data.sample_domain)
        sampler._choose(X, y, data.sample_domain, data.sample_weight)
        target, _ = split_domains(data.sample_domain, num_samples(data.X))
        for _ in range(self.refresh):
            chosen = ChosenRows.of(sampler.sample_indices_, data.sample_weight)
            trained = train(self.estimator, data, chosen)
            response = _predicted_response(trained, safe_indexing(data.X, target), sampler)
            sampler._choose(X, y, data.sample_domain, data.sample_weight, response)
        return sampler

    def _candidates(self, sampler, data):
        target, _ = split_domains(data.sample_domain, num_samples(data.X))
        return {
            name: ChosenRows.of(rows, data.sample_weight)
            for name, rows in ((ALONE, target), (self._judged, sampler.sample_indices_))
        }

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
