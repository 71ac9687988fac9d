"""The best of the suite in one estimator: a stack of members, rehearsed with the sources."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from tqdm import tqdm

from skt._sklearn import Interval, StrOptions
from skt.core import safeguard, stacking
from skt.estimators.base import FromSources
from skt.estimators.checks import COUNT, FOLDS
from skt.estimators.docstrings import CLASSES, documents_rows
from skt.estimators.members import (
    GroupCategory,
    OnColumns,
    SourceBoosting,
    alone,
    boosting,
    linear_members,
)
from skt.estimators.messages import warn
from skt.model_selection.alone import LEAST_PROBABILITY
from skt.model_selection.rehearsal import (
    ALONE,
    Part,
    draws,
    fit_candidate,
    own_folds,
    predicted,
    predictions_of,
    rehearsal_of,
    trials,
)
from skt.model_selection.trial import LabelledRows
from skt.sources.labels import split_domains
from skt.sources.validate import refuse_pairs, split_rows

# Rows of the target that all rehearsals together stand for.
REHEARSED_ROWS = 30.0
# Pull of the weights to equal ones: of squared errors, in units of their mean; of log losses, in
# rows.
SHRINKAGE, PRIOR_ROWS = 0.05, 10.0
# A member with less weight is left out.
LEAST_WEIGHT = 0.01


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

    def _check_together(self):
        if isinstance(self.candidates, str):
            return
        for name, each in self.candidates.items():
            if not hasattr(each, "fit") or isinstance(each, type):
                raise TypeError(f"candidates[{name!r}] must be an estimator; got {each!r}.")
            if is_classifier(each) != is_classifier(self):
                kind = "classifier" if is_classifier(self) else "regressor"
                raise ValueError(f"candidates[{name!r}] must be a {kind}; got {each!r}.")

    def _rows(self, X, y, sample_domain, sample_weight):
        """Return the rows of positive weight, and the outcomes as numbers or codes."""
        refuse_pairs(X, y, sample_domain)
        X, y, classes = self._checked_rows(X, y)
        split = split_rows(X, sample_domain, sample_weight)
        domain = np.full(len(X), "target", dtype=object)
        for name, rows in split.sources.items():
            domain[rows] = name
        kept = np.flatnonzero(split.weight > 0)
        weight = None if sample_weight is None else split.weight[kept]
        rows = LabelledRows(X[kept], y[kept], domain[kept].astype(str), weight)
        return _Data(rows, classes, list(split.sources))

    def _fit(self, data):
        """Return members and weights; without sources the target alone."""
        if not data.names:
            member = alone(data.classes is not None).fit(
                data.rows.X, data.rows.y, None, data.rows.sample_weight
            )
            return _Fit(None, {ALONE: member}, {ALONE: 1.0}, _NO_TRIALS, None)
        units = Units.of(data)
        rows = units.rows(data.rows)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        column = None
        if self.mode == "full" and isinstance(self.candidates, str):
            column = SourceBoosting(rows, data.classes, seed)
            rows = rows._replace(X=np.hstack([rows.X, column.columns]))
        candidates = self._candidates(data, column, seed)
        tried = self._tried(candidates, rows, data.classes, seed)
        weights = weigh(tried, data.classes)
        members = {name: fit_candidate(candidates[name], rows) for name in weights}
        return _Fit(units, members, weights, tried, column)

    def _candidates(self, data, column, seed):
        """Return what is stacked, by name; the target alone first."""
        classes = data.classes is not None
        first = {ALONE: alone(classes)}
        if not isinstance(self.candidates, str):
            return first | dict(self.candidates)
        linear = first | linear_members(classes)
        if column is None:
            return linear
        hidden = {name: OnColumns(each, column.n_columns) for name, each in linear.items()}
        boosted = GroupCategory(boosting(classes, seed, category=True))
        with_column = linear_members(classes)["UOWQ"]
        return hidden | {
            "boosting": OnColumns(boosted, column.n_columns),
            "UOWQ on boosting": with_column,
        }

    def _tried(self, candidates, rows, classes, seed):
        """Return what candidates predicted in rehearsals, and of target rows left out."""
        rng = np.random.default_rng(seed)
        casts = draws(rows, None, self.n_rehearsals, rng, classes)
        folds = [] if self.cv is None else own_folds(rows, self.cv)
        jobs = [*trials(rows, casts), *folds]
        text = f"{type(self).__name__}: {len(jobs)} x {len(candidates)} fits"
        parts = [
            predicted(candidates, *job, classes)
            for job in tqdm(jobs, desc=text, disable=not self.progress)
        ]
        return Tried(parts[: len(casts)], _joined(parts[len(casts) :]))

    def _store(self, fit, data):
        """Set attributes."""
        self._units, self._column = fit.units, fit.column
        self.members_, self.weights_ = fit.members, fit.weights
        self.source_names_ = data.names
        n_own = len(split_domains(data.rows.sample_domain, len(data.rows.X))[0])
        told = rehearsal_of(fit.tried.rehearsed, n_own)
        self.records_, self.refused_ = told.records, fit.tried.failures
        own = fit.tried.own
        self.left_out_loss_ = {} if own is None else own.mean_losses()
        return self

    def _combined(self, X):
        """Return the weighted mean of what members predict."""
        if self._units is not None:
            X = self._units.features(X)
        if self._column is not None:
            X = np.hstack([X, self._column.of(X)])
        return sum(
            weight * predictions_of(self.members_[name], X, self._codes)
            for name, weight in self.weights_.items()
        )

    @property
    def _codes(self):
        return np.arange(len(self.classes_)) if hasattr(self, "classes_") else None


class TransferRegressor(RegressorMixin, _Transfer):
    """Regression by the members of the suite, weighed by what they do with these sources.

    Examples
    --------
    >>> import numpy as np
    """

    @documents_rows("array-like of shape (n_samples,)\n    Outputs.")
    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit the members and weigh them."""
        self._check_parameters()
        data = self._rows(X, y, sample_domain, sample_weight)
        fit = self._fit(data)
        return self._store(fit, data)

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
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        predicted = self._combined(X)
        return predicted if self._units is None else self._units.outcomes(predicted)

    def _checked_rows(self, X, y):
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        return X, np.asarray(y, dtype=np.float64), None


class _Data(NamedTuple):
    """Rows of positive weight, classes where outcomes are codes, and names of the sources."""

    rows: LabelledRows
    classes: np.ndarray | None
    names: list


class Units(NamedTuple):
    """Columns, and outcomes that are numbers, are standardised over the rows of all domains."""

    scaler: StandardScaler
    origin: float
    size: float

    @classmethod
    def of(cls, data):
        """Return the units of the rows."""
        rows = data.rows
        scaler = StandardScaler().fit(rows.X, sample_weight=rows.sample_weight)
        if data.classes is not None:
            return cls(scaler, 0, 1)
        size = float(np.std(rows.y / max(np.max(np.abs(rows.y)), 1e-300)))
        return cls(scaler, float(np.mean(rows.y)), size * float(np.max(np.abs(rows.y))) or 1.0)

    def features(self, X):
        """Return standardised columns."""
        return self.scaler.transform(X)

    def rows(self, rows):
        """Return the rows in these units."""
        y = rows.y if self.size == 1 and self.origin == 0 else (rows.y - self.origin) / self.size
        return rows._replace(X=self.features(rows.X), y=y)

    def outcomes(self, y):
        """Return outcomes in the user's units."""
        return y * self.size + self.origin


class Tried(NamedTuple):
    """Predictions of rows that no candidate was fitted on."""

    rehearsed: list  # of Part
    own: Part | None  # the target's rows, each left out once

    @property
    def failures(self):
        """Why candidates could not be fitted, by name."""
        found = {}
        for part in [*self.rehearsed, *([self.own] if self.own else [])]:
            found |= part.failures
        return found


_NO_TRIALS = Tried([], None)


class _Fit(NamedTuple):
    """All that fit stores."""

    units: Units | None
    members: dict
    weights: dict
    tried: Tried
    column: SourceBoosting | None


def _joined(parts):
    """Return parts of the target as one; None where there is none."""
    if not parts:
        return None
    names = set.intersection(*(set(part.predictions) for part in parts))
    failures = {name: why for part in parts for name, why in part.failures.items()}
    return Part(
        "target",
        0,
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.weight for part in parts]),
        {
            name: np.concatenate([part.predictions[name] for part in parts])
            for name in parts[0].predictions
            if name in names
        },
        failures,
    )


# Weights --------------------------------------------------------------------------------------


def weigh(tried, classes):
    """Return the weights of candidates that could be fitted, those of next to none left out."""
    parts = [*tried.rehearsed, *([tried.own] if tried.own else [])]
    if not parts:
        return {ALONE: 1.0}
    names = [name for name in parts[0].predictions if name not in tried.failures]
    rule = _squared_weights if classes is None else _log_weights
    w = rule(tried, names)
    w = np.where(w < LEAST_WEIGHT, 0.0, w)
    w = w / w.sum()
    if tried.own is not None:
        w = _guarded(w, tried.own, names)
    return {name: float(each) for name, each in zip(names, w, strict=True) if each > 0}


def _squared_weights(tried, names):
    parts = [(part, 1.0) for part in tried.rehearsed]
    counts = [REHEARSED_ROWS / len(parts)] * len(parts)
    parts = [part for part, _ in parts]
    if tried.own is not None:
        parts.append(tried.own)
        counts.append(float(np.sum(tried.own.weight)))
    products = np.array([_products(part, names) for part in parts])
    return stacking.stack(stacking.joined(products, np.array(counts)), SHRINKAGE)


def _products(part, names):
    E = np.column_stack([part.y - part.predictions[name] for name in names])
    unit = part.mean_losses()[ALONE]
    return stacking.mean_products(E, part.weight, max(unit, 1e-12))


def _log_weights(tried, names):
    parts, weight = [], []
    for part in tried.rehearsed:
        parts.append(part)
        weight.append(part.weight / part.weight.sum() * REHEARSED_ROWS / len(tried.rehearsed))
    if tried.own is not None:
        parts.append(tried.own)
        weight.append(tried.own.weight)
    P = np.vstack([_of_class(part, names) for part in parts])
    return stacking.stack_probabilities(P, np.concatenate(weight), PRIOR_ROWS)


def _of_class(part, names):
    rows = np.arange(len(part.y))
    P = np.column_stack([part.predictions[name][rows, part.y] for name in names])
    return np.maximum(P, LEAST_PROBABILITY)


def _guarded(w, own, names):
    """Return weights moved to the target alone as far as its rows left out say so."""
    mixed = sum(each * own.predictions[name] for each, name in zip(w, names, strict=True))
    losses = own._replace(predictions={"mixed": mixed, ALONE: own.predictions[ALONE]}).losses()
    if mixed.ndim == 1:
        gain, error = safeguard.log_gain(losses["mixed"], losses[ALONE], own.weight)
    else:
        gain, error = safeguard.mean_difference(losses["mixed"], losses[ALONE], own.weight)
        gain, error = 2 * float(gain), 2 * float(error)
    share = safeguard.evidence_weight(gain, error, float(np.sum(own.weight)))
    first = (np.array(names) == ALONE).astype(float)
    return (1 - share) * w + share * first
