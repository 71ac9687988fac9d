"""The best of the suite in one estimator: members weighed by what they do with these sources."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from tqdm import tqdm

from skt._sklearn import StrOptions, num_samples
from skt.estimators.base import Classification, FromSources
from skt.estimators.checks import COUNT, FOLDS
from skt.estimators.docstrings import CLASSES, COPIES_IN_ONE_FOLD, documents_rows
from skt.estimators.members import (
    GroupCategory,
    OnColumns,
    SourceBoosting,
    alone,
    boosting,
    linear_members,
)
from skt.model_selection.rehearsal import (
    ALONE,
    draws,
    fit_candidate,
    own_folds,
    predicted,
    predictions_of,
    rehearsal_of,
    trials,
)
from skt.model_selection.trial import LabelledRows
from skt.model_selection.weighing import Tried, weigh
from skt.sources.columns import Columns, holds_text
from skt.sources.labels import TARGET
from skt.sources.validate import refuse_pairs, split_rows

NUMBER = "array-like of shape (n_samples,)\n    Outputs."


class _Transfer(FromSources, BaseEstimator):
    """What the regressor and the classifier share."""

    _parameter_constraints = {
        "candidates": [StrOptions({"auto"}), Mapping],
        "mode": [StrOptions({"linear", "full"})],
        "n_rehearsals": [COUNT],
        "cv": [*FOLDS, None],
        "progress": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        candidates="auto",
        *,
        mode="linear",
        n_rehearsals=5,
        cv=5,
        progress=False,
        random_state=0,
    ):
        self.candidates = candidates
        self.mode = mode
        self.n_rehearsals = n_rehearsals
        self.cv = cv
        self.progress = progress
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _check_together(self):
        if not isinstance(self.candidates, str):
            for name, each in self.candidates.items():
                self._check_candidate(name, each)

    def _check_candidate(self, name, each):
        if not hasattr(each, "fit") or isinstance(each, type):
            raise TypeError(f"candidates[{name!r}] must be an estimator with fit; got {each!r}.")
        if is_classifier(each) != is_classifier(self):
            kind = "classifier" if is_classifier(self) else "regressor"
            raise ValueError(f"candidates[{name!r}] must be a {kind}; got {each!r}.")

    def _data(self, X, y, sample_domain, sample_weight):
        """Return the rows of positive weight, and outcomes as numbers or as codes of classes."""
        refuse_pairs(X, y, sample_domain)
        X, y = _checked_pair(self, X, y, not is_classifier(self))
        y, classes = self._outcomes(y)
        split = split_rows(X, sample_domain, sample_weight)
        label = np.full(len(y), TARGET, dtype=object)
        for name, rows in split.sources.items():
            label[rows] = name
        weight = None if sample_weight is None else split.weight
        rows = LabelledRows(X, y, label.astype(str), weight)
        return _Data(rows.at(np.flatnonzero(split.weight > 0)), classes, list(split.sources))

    def _fit(self, data):
        """Return members and their weights: without sources, the target alone."""
        classes, rows = data.classes, data.rows
        units = _Units.of(rows, classes)
        if not data.names:
            rows = rows._replace(X=units.columns.plain(rows.X))
            member = fit_candidate(alone(classes is not None), rows)
            return _Fit(units, None, {ALONE: member}, {ALONE: 1.0}, {}, Tried([], None))
        rows, seed = units.rows(rows), check_random_state(self.random_state).randint(2**31 - 1)
        column = SourceBoosting(rows, classes, seed) if self._is_full else None
        if column is not None:
            rows = rows._replace(X=np.hstack([rows.X, column.columns]))
        candidates = self._candidates(classes is not None, column, seed)
        tried = self._tried(candidates, rows, classes, seed)
        weights, refused = weigh(tried, candidates)
        members = {name: fit_candidate(candidates[name], rows) for name in weights}
        return _Fit(units, column, members, weights, refused, tried)

    @property
    def _is_full(self):
        return self.mode == "full" and isinstance(self.candidates, str)

    def _candidates(self, classes, column, seed):
        """Return what is weighed, by name, the target alone first."""
        first = {ALONE: alone(classes)}
        if not isinstance(self.candidates, str):
            return first | dict(self.candidates)
        linear = first | linear_members(classes)
        if column is None:
            return linear
        boosted = GroupCategory(boosting(classes, seed, category=True))
        plain = {
            name: OnColumns(each, column.n_columns)
            for name, each in (linear | {"boosting": boosted}).items()
        }
        return plain | {"UOWQ on boosting": linear["UOWQ"]}

    def _tried(self, candidates, rows, classes, seed):
        """Return what candidates predict in rehearsals, and of target rows left out."""
        rng = np.random.default_rng(seed)
        casts = draws(rows, None, self.n_rehearsals, rng, classes)
        jobs = [*trials(rows, casts), *([] if self.cv is None else own_folds(rows, self.cv))]
        text = f"{type(self).__name__}: {len(jobs)} trials of {len(candidates)} fits"
        return Tried.of(
            [
                predicted(candidates, *job, classes)
                for job in tqdm(jobs, desc=text, disable=not self.progress)
            ]
        )

    def _store(self, fit, data):
        """Set attributes."""
        self._units, self._column = fit.units, fit.column
        self.members_, self.weights_, self.refused_ = fit.members, fit.weights, fit.refused
        self.source_names_ = data.names
        counts = dict(zip(*np.unique(data.rows.sample_domain, return_counts=True), strict=True))
        self.n_target_samples_ = int(counts[TARGET])
        self.n_source_samples_ = np.array([counts[name] for name in data.names], dtype=int)
        self.records_ = rehearsal_of(fit.tried.rehearsed, self.n_target_samples_).records
        self.left_out_loss_ = fit.tried.left_out_loss(fit.weights, fit.units.size**2)
        return self

    def _combined(self, X, classes=None):
        """Return the weighted mean of what members predict."""
        check_is_fitted(self)
        X = _checked_rows(self, X)
        if not self.source_names_:
            X = self._units.columns.plain(X)
            return predictions_of(self.members_[ALONE], X, classes)
        X = self._units.columns.standardised(X)
        if self._column is not None:
            X = np.hstack([X, self._column.of(X)])
        mean = sum(
            weight * predictions_of(self.members_[name], X, classes)
            for name, weight in self.weights_.items()
        )
        return mean * self._units.size + self._units.origin


class TransferRegressor(RegressorMixin, _Transfer):
    """Regression by a mean of several methods, weighed by what they do with these sources.

    Every source plays the target in turn: as many of its rows as the target has are drawn, the
    other sources are its sources, and its other rows test. With E_j the errors of all candidates
    in rehearsal j, or on the target's rows left out, in units of those of the target alone, the
    weights w >= 0 with sum one minimise

        sum_j c_j ||E_j w||^2 / n_j + shrinkage ||w - 1/m||^2

    where rehearsals count as 60 rows of the target together, and left-out rows as one each. Where
    left-out rows are a surprise after the rehearsals, these count as 5 rows; and weight moves to
    the target alone as far as left-out rows are evidence for it.

    Without sources it is `UOWQRegressor` without sources.

    Parameters
    ----------
    candidates : "auto" or dict, default="auto"
        "auto": the target alone, pooled ridge with an intercept for each domain, ridge with a
        column for each pair of domain and feature, `UOWQRegressor` and `L2SPRidge`. A dict names
        other regressors, of which those whose ``fit`` takes ``sample_domain`` get the rows of all
        domains; the target alone is always added.
    mode : {"linear", "full"}, default="linear"
        "full" adds gradient boosting of all rows with the domain as a category, and UOWQ with one
        more feature: what boosting of the sources predicts, for rows of sources by other sources.
        It takes several times as long. Of no effect if ``candidates`` are given.
    n_rehearsals : int, default=5
        Number of rehearsals, each one fit of every candidate. More make weights steadier.
    cv : int, splitter, iterable or None, default=5
        Folds of the target's rows, each one fit of every candidate; None trusts rehearsals alone.
        Of less than four rows there are none.
    progress : bool, default=False
        Whether to show on stderr how many fits there are and how far they are.
    random_state : int, RandomState or None, default=0
        Decides who plays the target, with which rows, and the boosting.

    Attributes
    ----------
    members_ : dict of str to estimator
        Fitted candidates that have weight; they take standardised columns.
    weights_ : dict of str to float
        Weight of each member.
    refused_ : dict of str to str
        Candidates without weight, and why.
    left_out_loss_ : dict of str to float
        Mean squared error of each candidate, and of the mean ("weighted"), on the target's rows
        left out. Empty without folds.
    records_ : list of dict
        Rehearsals, as `skt.model_selection.Rehearsal` has them.
    source_names_ : list of str
        Names of the sources.
    n_target_samples_, n_source_samples_ : int and ndarray of shape (n_sources,)
        Rows of positive weight.
    n_features_in_, feature_names_in_
        Number and names of features seen in fit.

    Raises
    ------
    ValueError
        If there is no target row, y has several outputs, or an option is unknown.

    Notes
    -----
    Sources come as rows only: moments and models cannot play the target. Missing numbers are
    medians, marked by a column; text columns of a data frame are one column a frequent category.
    A fit costs ``n_rehearsals + cv + 1`` fits of every candidate.

    Examples
    --------
    >>> import numpy as np
    >>> from skt import TransferRegressor, UOWQRegressor, stack_domains
    >>> rng = np.random.default_rng(0)
    >>> def draw(n, beta):
    ...     X = rng.normal(size=(n, 10))
    ...     return X, X @ beta + rng.normal(size=n)
    >>> beta = rng.normal(size=10)
    >>> sources = {name: draw(60, beta + 0.2 * rng.normal(size=10)) for name in "abcdef"}
    >>> X, y, d = stack_domains(draw(15, beta), sources)
    >>> X_test, y_test = draw(1000, beta)
    >>> alone = UOWQRegressor().fit(X[:15], y[:15])
    >>> both = TransferRegressor().fit(X, y, sample_domain=d)
    >>> print(f"R2 {alone.score(X_test, y_test):.2f} -> {both.score(X_test, y_test):.2f}")
    R2 0.07 -> 0.81
    """

    @documents_rows(NUMBER, COPIES_IN_ONE_FOLD)
    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Rehearse, weigh and fit the members."""
        self._check_parameters()
        data = self._data(X, y, sample_domain, sample_weight)
        return self._store(self._fit(data), data)

    def predict(self, X):
        """Predict the target's output.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predicted means.
        """
        return self._combined(X)

    def _outcomes(self, y):
        return np.asarray(y, dtype=np.float64), None


class TransferClassifier(Classification, ClassifierMixin, _Transfer):
    """Probabilities as a mean of several methods, weighed by what they do with these sources.

    The same as `TransferRegressor` with probabilities in place of predictions: weights w >= 0
    with sum one maximise the mean log probability ``log (P w)`` of the classes that rows have, in
    rehearsals and of the target's rows left out, with a Dirichlet prior about equal weights.

    Without sources it is `UOWQClassifier` without sources.

    Parameters
    ----------
    candidates : "auto" or dict, default="auto"
        "auto": the target alone, pooled logistic regression with an intercept for each domain, and
        `UOWQClassifier`. A dict names other classifiers with ``predict_proba``.
    mode : {"linear", "full"}, default="linear"
        "full" adds gradient boosting, as in `TransferRegressor`.
    n_rehearsals : int, default=5
        Number of rehearsals, each one fit of every candidate.
    cv : int, splitter, iterable or None, default=5
        Folds of the target's rows.
    progress : bool, default=False
        Whether to show on stderr how many fits there are and how far they are.
    random_state : int, RandomState or None, default=0
        Decides who plays the target, with which rows, and the boosting.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Classes of all domains, sorted.
    members_ : dict of str to estimator
        Fitted candidates that have weight; they take standardised columns and codes of classes.
    weights_ : dict of str to float
        Weight of each member.
    refused_ : dict of str to str
        Candidates without weight, and why.
    left_out_loss_ : dict of str to float
        Mean log loss of each candidate, and of the mean ("weighted"), on target rows left out.
    records_ : list of dict
        Rehearsals, as `skt.model_selection.Rehearsal` has them.
    source_names_ : list of str
        Names of the sources.
    n_target_samples_, n_source_samples_ : int and ndarray of shape (n_sources,)
        Rows of positive weight.
    n_features_in_, feature_names_in_
        Number and names of features seen in fit.

    Raises
    ------
    ValueError
        If there is no target row, there is one class only, or an option is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from skt import TransferClassifier, UOWQClassifier, stack_domains
    >>> rng = np.random.default_rng(0)
    >>> def draw(n, beta):
    ...     X = rng.normal(size=(n, 6))
    ...     return X, np.where(X @ beta + rng.logistic(size=n) > 0, "yes", "no")
    >>> beta = rng.normal(size=6)
    >>> sources = {name: draw(80, beta + 0.2 * rng.normal(size=6)) for name in "abcd"}
    >>> X, y, d = stack_domains(draw(16, beta), sources)
    >>> X_test, y_test = draw(1000, beta)
    >>> alone = UOWQClassifier().fit(X[:16], y[:16])
    >>> both = TransferClassifier().fit(X, y, sample_domain=d)
    >>> print(f"accuracy {alone.score(X_test, y_test):.2f} -> {both.score(X_test, y_test):.2f}")
    accuracy 0.52 -> 0.68
    """

    @documents_rows(CLASSES, COPIES_IN_ONE_FOLD)
    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Rehearse, weigh and fit the members."""
        self._check_parameters()
        data = self._data(X, y, sample_domain, sample_weight)
        self.classes_ = data.classes
        return self._store(self._fit(data), data)

    def predict_proba(self, X):
        """Probabilities of the classes, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Weighted mean of the members' probabilities.
        """
        check_is_fitted(self)
        return self._combined(X, np.arange(len(self.classes_)))

    def _scores(self, X):
        return self.predict_log_proba(X)

    def _outcomes(self, y):
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"y holds one class only, {classes.tolist()[0]!r}; a classifier needs at least two."
            )
        return codes, classes


class _Data(NamedTuple):
    """Rows of positive weight, classes where outcomes are codes, and names of the sources."""

    rows: LabelledRows
    classes: np.ndarray | None
    names: list


class _Units(NamedTuple):
    """Columns, and outcomes that are numbers, are standardised over the rows of all domains."""

    columns: Columns
    origin: float
    size: float

    @classmethod
    def of(cls, rows, classes):
        """Return the units of the rows."""
        columns = Columns(rows.X, rows.sample_weight)
        if classes is not None:
            return cls(columns, 0.0, 1.0)
        largest = max(float(np.max(np.abs(rows.y))), 1e-300)  # whose square may overflow
        share = rows.y / largest
        return cls(columns, float(share.mean()) * largest, float(share.std()) * largest or 1.0)

    def rows(self, rows):
        """Return the rows in these units."""
        y = rows.y if rows.y.dtype.kind != "f" else (rows.y - self.origin) / self.size
        return rows._replace(X=self.columns.standardised(rows.X), y=y)


class _Fit(NamedTuple):
    """All that fit stores."""

    units: _Units
    column: SourceBoosting | None
    members: dict
    weights: dict
    refused: dict
    tried: Tried


# Checks ---------------------------------------------------------------------------------------


def _checked_pair(estimator, X, y, y_numeric):
    """Return X, an array of numbers or a frame with text, and one outcome a row."""
    if not holds_text(X):
        return validate_data(estimator, X, y, y_numeric=y_numeric, **_NUMBERS)
    validate_data(estimator, X, skip_check_array=True)
    check_consistent_length(X, y)
    if num_samples(X) == 0:
        raise ValueError("X has no rows.")
    y = column_or_1d(y, warn=True)
    return X, np.asarray(y, dtype=np.float64) if y_numeric else y


def _checked_rows(estimator, X):
    """Return X as a fitted estimator takes it."""
    if not holds_text(X):
        return validate_data(estimator, X, reset=False, **_NUMBERS)
    validate_data(estimator, X, reset=False, skip_check_array=True)
    return X


_NUMBERS = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}
