"""Train any estimator on all rows, with weights."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_X_y

from skt._sklearn import HasMethods, num_samples
from skt.core import allocation, evidence
from skt.core.rows import merged
from skt.estimators.base import small_blas
from skt.estimators.checks import DISCREPANCY, FAMILY, FOLDS, discrepancy_of
from skt.estimators.chosen_rows import ALIKE, ALONE, ChosenRows, Proposal, _Wrapped
from skt.estimators.messages import doubts_of_few_rows
from skt.sources.family_rows import FAMILIES, rows_in_family
from skt.sources.labels import split_domains
from skt.sources.numeric_view import numeric_view

# A source whose rows together weigh less, in target rows, is left out: it adds next to nothing to
# an average, but a tree has leaves that hold rows of one source only, and predicts them in full.
NEGLIGIBLE = 1.0


class SourceWeighted(_Wrapped):
    """Train any estimator that takes ``sample_weight`` on all rows, sources by UOWQ's weights.

    UOWQ gives every row of source i the weight that minimises

        [n_0 + sum_i w_i^2 n_i + (wn)' M (wn)] / (n_0 + sum_i w_i n_i)^2

    a target row having weight 1, with M the discrepancies of coefficients in a linear, logistic
    or Poisson model, estimated by empirical Bayes with the James-Stein guard. Throwing rows
    away can only lose: prefer this to ``SourceSampled`` unless training on all rows is too
    expensive.

    Whether these weights are right for the estimator, too, is tried on target rows left out: it is
    trained on the target alone, or on all rows alike (which helps models that tell domains apart),
    where that predicts them better. Without sources it is trained on all rows.

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
    n_target_samples_, n_source_samples_ : float and ndarray of shape (n_sources,)
        Rows, counted by their weights.
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
    UOWQ: arXiv 2601.10779v2; docs/methods/uowq.md.

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

    _parameter_constraints = {
        "estimator": [HasMethods("fit")],
        "family": FAMILY,
        "discrepancy": DISCREPANCY,
        "cv": FOLDS,
    }

    def __init__(self, estimator, *, family="auto", discrepancy="eb", cv=5):
        self.estimator = estimator
        self.family = family
        self.discrepancy = discrepancy
        self.cv = cv

    _judged = "UOWQ's weights"

    def _propose(self, data):
        """Return UOWQ's weights, and what they were computed from."""
        family = self.family
        if family == "auto":
            family = "logistic" if is_classifier(self.estimator) else "linear"
        X, y = check_X_y(
            numeric_view(data.X),
            data.y,
            dtype=np.float64,
            ensure_all_finite="allow-nan",
            multi_output=True,
            estimator=self,
        )
        domains = rows_in_family(X, y, data.sample_domain, data.sample_weight, family)
        domains = domains._replace(rows=[merged(rows) for rows in domains.rows])
        with small_blas(X.shape[1]):
            measured = evidence.measure(FAMILIES[family], domains.rows)
            M = discrepancy_of(self.discrepancy, measured, domains.names)
            weights, _ = evidence.source_weights(measured, M)
        weights = np.where(weights * measured.n[1:] < NEGLIGIBLE, 0.0, weights)
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
            ALONE: ChosenRows.of(target, data.sample_weight),
            self._judged: ChosenRows(rows, weight[rows]),
            ALIKE: ChosenRows.of(every, data.sample_weight),
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
