"""What a source is: the protocol that estimators rely on, and every form of a source.

A form says what is known of a source: its rows, their moments, a linear model fitted on them, or a
model of any kind that can only predict. `skt.sources.validate` makes a `Source` of whatever the
user gave; estimators ask it for moments or coefficients and never for its type.
"""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Protocol

import numpy as np
from sklearn.frozen import FrozenEstimator

from skt.core.moments import Moments, moments, read_only
from skt.core.reduced_rank import reduced_rank_ridge, second_moments
from skt.core.rows import Rows

# Every form, and what a user has to hand over for it.
FORMS = {
    "rows": "rows (through sample_domain)",
    "moments": "Moments",
    "model": "a SourceModel or a FrozenEstimator holding a fitted linear model",
    "predictor": "a SourcePredictor, or a FrozenEstimator holding a fitted model of any kind",
}

# A source whose number of rows is unknown counts as this many times the target's: its
# coefficients are taken as they stand, and their error becomes part of the discrepancy.
EXACT = 1e6


class Source(Protocol):
    """One source, whatever is known of it.

    Units (`skt.sources.units.Units`) and the target's own moments come as arguments, since a
    source knows neither.
    """

    form: str  # a key of FORMS

    @property
    def n_rows(self):
        """Rows, counted by their weights; NaN where that is unknown."""

    @property
    def summary(self):
        """`Moments` of the rows; None where they are unknown."""

    def second_moments(self, units, own):
        """Return ``(n, Sxx, Sxy, Syy)`` in the units.

        ``own`` are the target's, in the same units, in place of what is unknown.
        """

    def coef(self, units):
        """Return coefficients (n_features, n_targets) in the units."""

    def given_coef(self, units=None):
        """Return coefficients that no penalty can change, None where data are known."""


class SourceMoments:
    """A source known by its moments."""

    form = "moments"

    def __init__(self, summary):
        self.summary = summary

    @property
    def n_rows(self):
        """Rows, counted by their weights."""
        return self.summary.weight

    def second_moments(self, units, own):
        """Return ``(n, Sxx, Sxy, Syy)`` in the units."""
        return units.second_moments(self.summary)

    def coef(self, units):
        """Return ridge coefficients, the penalty by generalised cross-validation."""
        m = second_moments(units.rescaled(self.summary), units.intercept)
        return reduced_rank_ridge(m, units.lost).C

    def given_coef(self, units=None):
        """Return None: a penalty applies to moments."""
        return


class SourceRows(SourceMoments):
    """A source of rows: positions in the table of all domains."""

    form = "rows"

    def __init__(self, table, positions, weighted):
        self.table = table  # Rows of all domains
        self.weighted = weighted  # whether some weight may not be one
        self.positions = positions[table.weight[positions] > 0] if weighted else positions

    @cached_property
    def summary(self):
        """Moments of the rows, without a copy of them."""
        X, Y, weight = self.table
        return moments(X, Y, weight if self.weighted else None, self.positions)

    @property
    def rows(self):
        """Rows of positive weight."""
        X, Y, weight = self.table.take(self.positions)
        return Rows(X.astype(np.float64, copy=False), Y, weight)


class SourceCoefficients:
    """A source known by the coefficients of a linear model."""

    form = "model"
    summary = None

    def __init__(self, model):
        self.model = model

    @property
    def n_rows(self):
        """Rows the model was fitted on, NaN where unknown."""
        return np.nan if self.model.n_samples is None else float(self.model.n_samples)

    def coef(self, units):
        """Return the coefficients (n_features, n_targets) in the units."""
        return units.coef(self.given_coef())

    def given_coef(self, units=None):
        """Return the coefficients, in the user's own units unless others are given."""
        coef = np.atleast_2d(self.model.coef).T
        return coef if units is None else units.coef(coef)

    def second_moments(self, units, own):
        """Return the moments of data on which least squares would have given this model.

        The design is the inverse of the coefficients' covariance, or else the target's design.
        """
        n_target, Sxx_target, _, Syy_target = own
        coef = self.coef(units)
        noise = self._noise(units, np.diag(Syy_target) / n_target)
        design = _full_rank(Sxx_target / n_target)
        covariance = self.model.error
        if covariance is not None:
            covariance = units.coef_covariance(covariance)
            Sxx = np.mean(noise) * np.linalg.pinv(covariance, hermitian=True)
            n = self.model.n_samples or np.trace(Sxx) / np.trace(design)
        else:
            n = self.model.n_samples or n_target * EXACT
            Sxx = n * design
        df = max(n - len(coef) - units.intercept, 1.0)
        return float(n), Sxx, Sxx @ coef, coef.T @ Sxx @ coef + df * np.diag(noise)

    def _noise(self, units, target_variance):
        """Return residual variances, half the target's variance where unknown."""
        if self.model.noise_variance is None:
            return np.maximum(target_variance / 2, 1e-12)
        return units.variance(np.broadcast_to(self.model.noise_variance, len(target_variance)))


def form_of(known):
    """Return the form of a value of the parameter ``sources``; None for what is no source."""
    if isinstance(known, Moments):
        return "moments"
    if isinstance(known, SourcePredictor):
        return "predictor"
    return "model" if isinstance(known, SourceModel | FrozenEstimator) else None


def as_source(known):
    """Return `Moments` or a `SourceModel` as a `Source`."""
    return (SourceMoments if isinstance(known, Moments) else SourceCoefficients)(known)


def _full_rank(design):
    """Return a design with all directions in it: half its own, half its diagonal."""
    diagonal = np.diag(design)
    spread = np.where(diagonal > 0, diagonal, np.mean(diagonal) or 1.0)
    return (design + np.diag(spread)) / 2


@dataclass(frozen=True, eq=False, repr=False)
class SourceModel:
    """A linear model as a source: its coefficients, and what is known of their errors.

    Immutable, and the same object after `sklearn.base.clone`.

    Parameters
    ----------
    coef : array of shape (n_features,) or (n_targets, n_features)
        Coefficients, in the units of the target's features.
    intercept : float or array of shape (n_targets,), default=0.0
        Intercept. Intercepts are not transferred; it only completes the model.
    n_samples : int, optional
        Number of rows the model was fitted on; None if unknown.
    covariance : array of shape (n_features, n_features), optional
        Sampling covariance matrix of the coefficients (R's ``vcov`` without the
        intercept); for one target.
    noise_variance : float or array of shape (n_targets,), optional
        Variance of the residuals.
    feature_names : sequence of str, optional
        Names of the features.
    information : array of shape (n, n), n being the size of coef, optional
        Information matrix of the coefficients in the order of ``coef.ravel()``, as the Hessian
        of minus the log-likelihood at its maximum, intercepts eliminated; in place of the
        covariance, and for classes and counts.

    Examples
    --------
    >>> from skt.sources import SourceModel
    >>> SourceModel([0.5, -1.0], n_samples=400)
    SourceModel(n_features=2, n_targets=1, n_samples=400)
    """

    coef: np.ndarray
    intercept: float | np.ndarray = 0.0
    n_samples: int | None = None
    covariance: np.ndarray | None = None
    noise_variance: float | np.ndarray | None = None
    feature_names: tuple[str, ...] | None = None
    information: np.ndarray | None = None

    def __post_init__(self):
        coef = read_only(self.coef, "coef")
        if coef.ndim not in (1, 2) or coef.size == 0:
            raise ValueError(
                f"coef has shape {coef.shape}; expected (n_features,) or (n_targets, n_features)."
            )
        checked = {
            "coef": coef,
            "intercept": _per_target("intercept", self.intercept, coef),
            "n_samples": _check_count(self.n_samples),
            "covariance": _check_covariance(self.covariance, coef),
            "noise_variance": _check_variance(self.noise_variance, coef),
            "feature_names": _check_feature_names(self.feature_names, coef),
            "information": _check_information(self.information, self.covariance, coef),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def n_features(self):
        """Number of features."""
        return self.coef.shape[-1]

    @property
    def n_targets(self):
        """Number of targets."""
        return 1 if self.coef.ndim == 1 else len(self.coef)

    @property
    def error(self):
        """Covariance of the coefficients of one target, None where it is unknown."""
        if self.information is None or self.n_targets > 1:
            return self.covariance
        return np.linalg.pinv(self.information, hermitian=True)

    def __repr__(self):
        return (
            f"{type(self).__name__}(n_features={self.n_features}, n_targets={self.n_targets}, "
            f"n_samples={self.n_samples})"
        )

    def __sklearn_clone__(self):
        return self

    # Through the constructor: unpickled arrays would be writeable.
    def __reduce__(self):
        return type(self), tuple(getattr(self, field.name) for field in fields(self))


# Methods of a model that say something of a row, the most telling first.
RESPONSES = ("transform", "predict_proba", "decision_function", "predict")
# Probabilities are not taken to be smaller, so that their logarithms stay features.
LEAST_PROBABILITY = 1e-3


class SourcePredictor:
    """A fitted model as a source that can only answer: boosting, a forest, a network, a function.

    Nothing is known of its rows or coefficients. It is frozen: the same object after
    `sklearn.base.clone`, and never fitted again.

    Parameters
    ----------
    model : fitted estimator or callable
        A callable takes rows (n, n_features) and returns (n,) or (n, n_outputs).
    response : {"auto", "transform", "predict_proba", "decision_function", "predict"}
        The method whose answers serve as features. "auto": the first of these that the model has;
        probabilities become centred logarithms. Ignored for a callable.
    classes : array-like, default=None
        Labels of the columns that a callable returns, if these are probabilities of classes.

    Examples
    --------
    >>> import numpy as np
    >>> from skt import SourcePredictor
    >>> SourcePredictor(lambda X: X[:, :1] ** 2).features(np.array([[2.0, 0.0], [3.0, 1.0]]))
    array([[4.],
           [9.]])
    """

    form = "predictor"
    summary = None
    n_rows = np.nan

    def __init__(self, model, response="auto", classes=None):
        if response not in ("auto", *RESPONSES):
            raise ValueError(f"response must be 'auto' or one of {RESPONSES}; got {response!r}.")
        if isinstance(model, type) or not (callable(model) or _answers(model)):
            raise TypeError(
                f"model must be a fitted estimator or a function of rows; got {model!r}."
            )
        self.model, self.response = model, response
        self._classes = None if classes is None else np.asarray(classes)

    @property
    def classes(self):
        """Labels of the columns of probabilities; None where the source predicts none."""
        if self._classes is None and hasattr(self.model, "predict_proba"):
            return getattr(self.model, "classes_", None)
        return self._classes

    @property
    def method(self):
        """Name of the method whose answers are the features; None for a callable."""
        if not _answers(self.model):
            return None
        if self.response != "auto":
            return self.response
        return next(name for name in RESPONSES if hasattr(self.model, name))

    def features(self, X):
        """Return what the source says of rows, (n, n_outputs)."""
        method = self.method
        answer = self._answer(self.model if method is None else getattr(self.model, method), X)
        if method != "predict_proba":
            return answer
        logs = np.log(np.maximum(answer, LEAST_PROBABILITY))
        return logs - logs.mean(axis=1, keepdims=True)

    def predictions(self, X, classes=None):
        """Return what the source predicts of the target's response; None where it does not.

        Probabilities of the target's ``classes`` (n, n_classes), if the source knows one of
        them, those it does not know having none; or predicted numbers (n, n_outputs).
        """
        if classes is None:
            predict = getattr(self.model, "predict", None)
            return None if predict is None else self._answer(predict, X)
        known = self.classes
        if known is None or not np.isin(known, classes).any():
            return None
        answer = self._answer(getattr(self.model, "predict_proba", self.model), X)
        own = np.zeros((len(X), len(classes)))
        for column, label in enumerate(known):
            own[:, np.flatnonzero(classes == label)] = answer[:, [column]]
        return own

    def _answer(self, ask, X):
        answer = ask(X)
        answer = answer.toarray() if hasattr(answer, "toarray") else answer
        answer = np.asarray(answer, dtype=np.float64)
        answer = answer.reshape(len(answer), -1) if answer.ndim else answer
        if answer.ndim != 2 or len(answer) != len(X) or not np.all(np.isfinite(answer)):
            raise ValueError(
                f"{self!r} answered {len(X)} rows with an array of shape {answer.shape}"
                f"{'' if np.all(np.isfinite(answer)) else ' that is not finite'}; expected finite "
                "numbers, a row each."
            )
        return answer

    def __repr__(self):
        name = getattr(self.model, "__name__", type(self.model).__name__)
        return f"{type(self).__name__}({name}, response={self.response!r})"

    def __sklearn_clone__(self):
        return self


def _answers(model):
    return any(hasattr(model, name) for name in RESPONSES)


def _per_target(name, values, coef):
    """A float for coef of shape (n_features,), else a read-only array (n_targets,)."""
    shape = coef.shape[:-1]
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), (1,), shape):
        raise ValueError(f"{name} has shape {array.shape}; expected a number or shape {shape}.")
    array = read_only(np.broadcast_to(array.ravel() if shape else array.reshape(()), shape), name)
    return array if shape else float(array)


def _check_count(n_samples):
    if n_samples is None:
        return None
    if int(n_samples) != n_samples or n_samples < 1:
        raise ValueError(f"n_samples is {n_samples}; expected a number of rows, or None.")
    return int(n_samples)


def _check_covariance(covariance, coef):
    if covariance is None:
        return None
    if coef.size != coef.shape[-1]:
        raise ValueError(
            f"covariance describes the coefficients of one target but coef has {len(coef)} "
            "targets; leave it out, or give one SourceModel per target."
        )
    return _check_symmetric(
        "covariance", covariance, coef.size, "the sampling covariance matrix of coef, as R's vcov"
    )


def _check_information(information, covariance, coef):
    if information is None:
        return None
    if covariance is not None:
        raise ValueError(
            "covariance and information were both given, and each is the inverse of the other; "
            "leave one out."
        )
    return _check_symmetric("information", information, coef.size, "the information matrix of coef")


def _check_symmetric(name, matrix, size, wanted):
    matrix = read_only(matrix, name, (size, size))
    tol = 1e-8 * np.abs(matrix).max()
    if np.abs(matrix - matrix.T).max() > tol:
        raise ValueError(f"{name} is not symmetric; expected {wanted}.")
    if np.linalg.eigvalsh(matrix)[0] < -tol:
        raise ValueError(f"{name} has a negative eigenvalue; expected {wanted}.")
    return matrix


def _check_variance(noise_variance, coef):
    if noise_variance is None:
        return None
    variance = _per_target("noise_variance", noise_variance, coef)
    if np.min(variance) <= 0:
        raise ValueError(f"noise_variance is {noise_variance}; expected positive numbers, or None.")
    return variance


def _check_feature_names(feature_names, coef):
    if feature_names is None:
        return None
    names = tuple(map(str, feature_names))
    if len(names) != coef.shape[-1]:
        raise ValueError(
            f"feature_names has {len(names)} names but coef has {coef.shape[-1]} features."
        )
    return names
