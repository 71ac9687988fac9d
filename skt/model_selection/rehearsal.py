"""Rehearsal: every source plays the target, with the others as its sources.

What a method gains with these sources, at this number of target rows, can be measured before the
target says anything: draw as many rows of a source as the target has, let the other sources be its
sources, and predict its other rows.

Notation: ``data`` are `LabelledRows` of all domains, checked; the *target alone* is the candidate
that the others are compared with.
"""

import numbers
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils.validation import has_fit_parameter

from skt._sklearn import num_samples
from skt.model_selection.alone import LEAST_PROBABILITY, target_alone
from skt.model_selection.folds import copies_of, folds_alike
from skt.model_selection.target_cv import TargetCV
from skt.model_selection.trial import LEAST_ROWS, LabelledRows
from skt.sources.labels import TARGET, as_sample_domain, split_domains

ALONE = "target alone"
# Rows to train on and to test on without which a source cannot play the target.
LEAST_TRAIN, LEAST_TEST = 4, 5
# More rows of a source, in either role, tell hardly more and cost as much as the first.
MOST_ROWS = 500
MOST_TEST = 200
# Above this ratio to the target alone a rehearsal counts as harm.
HARM = 1.05


class Draw(NamedTuple):
    """One cast: which source plays the target, and which rows train and test."""

    source: str
    repeat: int
    train: np.ndarray  # rows of all domains but the true target
    domain: np.ndarray  # (len(train),) labels, the player's being "target"
    test: np.ndarray


class Part(NamedTuple):
    """Predictions of rows that no candidate was fitted on."""

    source: str  # who played the target, or "target" itself
    repeat: int
    y: np.ndarray  # (n,), codes of classes
    weight: np.ndarray  # (n,)
    predictions: dict  # of (n,), or of probabilities (n, n_classes)
    failures: dict  # of str

    def losses(self):
        """Return the loss of each row by candidate, dict of (n,)."""
        return {name: row_losses(self.y, P) for name, P in self.predictions.items()}

    def of_class(self, names):
        """Return the probabilities of the class that each row has, (n, len(names))."""
        rows = np.arange(len(self.y))
        return np.column_stack([self.predictions[name][rows, self.y] for name in names])

    def mean_losses(self):
        """Return the mean loss by candidate."""
        return {
            name: float(np.average(each, weights=self.weight))
            for name, each in self.losses().items()
        }


def row_losses(y, predicted):
    """Return squared errors, or log losses of probabilities of codes y."""
    if predicted.ndim == 1:
        return (y - predicted) ** 2
    return -np.log(np.clip(predicted[np.arange(len(y)), y], LEAST_PROBABILITY, None))


@dataclass(frozen=True)
class Rehearsal:
    """What candidates were worth when sources played the target.

    Attributes
    ----------
    records : list of dict
        One for each rehearsal and candidate: ``source`` that played the target, ``repeat``,
        ``candidate``, ``loss`` on its other rows, ``ratio`` to the loss of the target alone, and
        whether it ``harmed`` (ratio above 1.05).
    baseline : str
        Name of the target alone.
    target_size : int
        Rows of the player that were the target's.
    failures : dict of str to str
        Candidates that could not be fitted, and why.
    """

    records: list
    baseline: str
    target_size: int
    failures: dict

    @property
    def summary(self):
        """One dict for each candidate: mean ratio, its standard error, share of harm, the worst.

        The error is over sources: a source that played several times counts once.
        """
        return [_summary(name, self._of(name)) for name in self._candidates]

    @property
    def _candidates(self):
        return list(dict.fromkeys(record["candidate"] for record in self.records))

    def _of(self, candidate):
        return [record for record in self.records if record["candidate"] == candidate]


def _summary(name, records):
    ratios = np.array([record["ratio"] for record in records])
    players = np.array([record["source"] for record in records])
    means = np.array([ratios[players == each].mean() for each in np.unique(players)])
    n = len(means)
    return {
        "candidate": name,
        "ratio": float(means.mean()),
        "error": float(means.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan,
        "harm": float(np.mean([record["harmed"] for record in records])),
        "worst": float(ratios.max()),
        "n_sources": n,
    }


def rehearse(
    candidates,
    X,
    y,
    sample_domain,
    *,
    target=None,
    target_size=None,
    n_rehearsals=10,
    random_state=0,
):
    """Measure what candidates gain or harm when every source plays the target.

    Each rehearsal draws as many rows of one source as the target has, lets the other sources be
    its sources, and predicts its remaining rows. The rows of the true target take no part, so that
    they can still check what is concluded. All sources play once before one plays twice.

    Parameters
    ----------
    candidates : mapping of str to estimator
        Estimators whose ``fit`` takes ``sample_domain`` get the rows of all domains, others those
        of the player only. Classifiers need ``predict_proba``.
    X : array-like or data frame of shape (n_samples, n_features)
        Rows of all domains, stacked.
    y : array-like of shape (n_samples,)
        Numbers, or classes if the candidates are classifiers.
    sample_domain : array-like of shape (n_samples,)
        Domain of each row: ``"target"`` or the name of a source, or integers (< 0 is the target).
    target : label, default=None
        Label of the target in ``sample_domain``, if that is a column of any other labels.
    target_size : int, default=None
        Rows that the player trains on; None: as many as the target has. Sources that have fewer
        than five more play with fewer rows, if there are no others.
    n_rehearsals : int, default=10
        Number of rehearsals.
    random_state : int, RandomState or None, default=0
        Decides which sources play first, and with which rows.

    Returns
    -------
    Rehearsal
        Records, one for each rehearsal and candidate, and their summary.
        `skt.plots.RehearsalDisplay` draws it.

    Examples
    --------
    >>> import numpy as np
    >>> from skt import UOWQRegressor
    >>> from skt.model_selection import rehearse
    >>> rng = np.random.default_rng(0)
    >>> X, city = rng.normal(size=(420, 6)), np.repeat(list("abcdefg"), 60)
    >>> slopes = dict(zip("abcdefg", 1 + 0.3 * rng.normal(size=(7, 6))))
    >>> y = np.array([x @ slopes[c] for x, c in zip(X, city)]) + 2 * rng.normal(size=420)
    >>> told = rehearse({"UOWQ": UOWQRegressor()}, X, y, city, target="a", target_size=12)
    >>> for row in told.summary:
    ...     print(f"{row['candidate']}: {row['ratio']:.2f}, harm in {row['harm']:.0%}")
    target alone: 1.00, harm in 0%
    UOWQ: 0.48, harm in 0%
    """
    candidates = _checked_candidates(candidates)
    if target is not None:
        sample_domain = as_sample_domain(sample_domain, target=target)
    classes = _classes(candidates, y)
    data = LabelledRows(X, _codes(y, classes), np.asarray(sample_domain), None)
    if ALONE not in candidates:
        candidates = {ALONE: target_alone(classes is not None), **candidates}
    casts = draws(data, target_size, n_rehearsals, check_random_state(random_state), classes)
    parts = [predicted(candidates, *job, classes) for job in trials(data, casts)]
    size = len(split_domains(data.sample_domain, num_samples(X))[0])
    return rehearsal_of(parts, size if target_size is None else target_size)


def rehearsal_of(parts, target_size, baseline=ALONE):
    """Return the records of parts."""
    records, failures = [], {}
    for part in parts:
        losses = part.mean_losses()
        for name, loss in losses.items():
            ratio = _ratio(loss, losses[baseline])
            records.append(
                {
                    "source": part.source,
                    "repeat": part.repeat,
                    "candidate": name,
                    "loss": loss,
                    "ratio": ratio,
                    "harmed": bool(ratio > HARM),
                }
            )
        failures |= part.failures
    return Rehearsal(records, baseline, target_size, failures)


def _ratio(loss, alone):
    if alone > 0:
        return loss / alone
    return 1.0 if loss <= 0 else np.inf


# Casting ------------------------------------------------------------------------------------


def draws(data, target_size, n_rehearsals, rng, classes=None):
    """Return the casts: every source plays once before one plays twice, those with rows first."""
    own, sources = split_domains(data.sample_domain, num_samples(data.X))
    wanted = len(own) if target_size is None else target_size
    sizes = {name: min(wanted, len(rows) - LEAST_TEST) for name, rows in sources.items()}
    able = [name for name in sources if sizes[name] >= min(LEAST_TRAIN, wanted)]
    if len(sources) < 2 or not able or wanted < 1:
        return []
    able = [able[k] for k in rng.permutation(len(able))]
    able.sort(key=lambda name: -sizes[name])
    full = [name for name in able if sizes[name] == wanted]
    players = full if len(full) >= min(n_rehearsals, 2) else able
    cast = []
    for k in range(n_rehearsals):
        name = players[k % len(players)]
        cast.append(_draw(data, name, sources, k // len(players), sizes[name], rng, classes))
    return [each for each in cast if each is not None]


def _draw(data, player, sources, repeat, size, rng, classes):
    rows = rng.permutation(sources[player])
    if classes is not None:
        rows = _two_of_each_first(rows, data.y)
    own, test = np.sort(rows[:size]), rows[size:][:MOST_TEST]
    if classes is not None and len(np.unique(data.y[own])) < 2:
        return None
    others = {
        name: np.sort(rng.permutation(each)[:MOST_ROWS]) if len(each) > MOST_ROWS else each
        for name, each in sources.items()
        if name != player
    }
    train = np.concatenate([own, *others.values()])
    labels = [TARGET, *others]
    domain = np.repeat(labels, [len(own), *map(len, others.values())])
    return Draw(player, repeat, train, domain, test)


def _two_of_each_first(rows, y):
    """Move two rows of each class to the front, as a target of few rows would be chosen."""
    early = np.concatenate([rows[y[rows] == label][:2] for label in np.unique(y[rows])])
    return np.concatenate([early, rows[~np.isin(rows, early)]])


# Running ------------------------------------------------------------------------------------


def trials(data, casts):
    """Return rows to train on and to test on, and name and repeat, for each cast."""
    return [(*_rows_of(data, cast), (cast.source, cast.repeat)) for cast in casts]


def _rows_of(data, cast):
    train = data.at(cast.train)._replace(sample_domain=cast.domain)
    return train, data.at(cast.test)


def own_folds(data, cv):
    """Return the same for folds of the target's rows; none where these are too few."""
    target, _ = split_domains(data.sample_domain, num_samples(data.X))
    if len(target) < LEAST_ROWS:
        return []
    if isinstance(cv, numbers.Integral):
        y = data.y[target]
        cv = folds_alike(cv, y, data.weight(target), copies_of(data.X[target], y))
    splits = TargetCV(cv).split(data.X, data.y, sample_domain=data.sample_domain)
    return [(data.at(train), data.at(test), (TARGET, k)) for k, (train, test) in enumerate(splits)]


def predicted(candidates, train, test, name, classes=None):
    """Return what candidates, fitted on rows of all domains, predict of others, as a `Part`."""
    predictions, failures = {}, {}
    for candidate, estimator in candidates.items():
        try:
            with warnings.catch_warnings(action="ignore"):  # the fit to all rows says it once
                fitted = fit_candidate(estimator, train)
                predictions[candidate] = predictions_of(fitted, test.X, classes)
        except (ValueError, np.linalg.LinAlgError) as error:
            if candidate == ALONE:
                raise
            failures[candidate] = f"{type(error).__name__}: {error}"
    return Part(*name, test.y, test.weight(np.arange(len(test.y))), predictions, failures)


def predictions_of(fitted, X, classes=None):
    """Return numbers (n,), or probabilities (n, len(classes)) of codes of classes."""
    if classes is None:
        return np.asarray(fitted.predict(X), dtype=float).reshape(num_samples(X))
    P = np.zeros((num_samples(X), len(classes)))
    P[:, np.asarray(fitted.classes_, dtype=int)] = fitted.predict_proba(X)
    return P


def fit_candidate(estimator, data):
    """Return a fitted clone: with rows of all domains if it knows them, else with the target's."""
    keyword = _domain_keyword(estimator)
    if keyword is None:
        data = data.at(split_domains(data.sample_domain, num_samples(data.X))[0])
        given = {}
    else:
        given = {keyword: data.sample_domain}
    if data.sample_weight is not None:
        given[_keyword_of(estimator, "sample_weight")] = data.sample_weight
    return clone(estimator).fit(data.X, data.y, **given)


def _domain_keyword(estimator):
    return _keyword_of(estimator, "sample_domain")


def _keyword_of(estimator, name):
    """Return the keyword by which ``fit`` takes ``name``, of the last step of a Pipeline too."""
    if isinstance(estimator, Pipeline):
        step, last = estimator.steps[-1]
        inner = _keyword_of(last, name)
        return None if inner is None else f"{step}__{inner}"
    return name if has_fit_parameter(estimator, name) else None


# Checks -------------------------------------------------------------------------------------


def _checked_candidates(candidates):
    if not isinstance(candidates, Mapping) or not candidates:
        raise TypeError(
            f"candidates is {candidates!r}; expected a mapping from names to estimators, such as "
            "{'UOWQ': UOWQRegressor()}."
        )
    for name, each in candidates.items():
        if not hasattr(each, "fit") or isinstance(each, type):
            raise TypeError(f"candidates[{name!r}] must be an estimator with fit; got {each!r}.")
    return dict(candidates)


def _classes(candidates, y):
    """Return the classes if the candidates are classifiers, None if they predict numbers."""
    kinds = {name: is_classifier(each) for name, each in candidates.items()}
    if len(set(kinds.values())) > 1:
        raise ValueError(f"candidates must be all classifiers or all regressors; got {kinds}.")
    return np.unique(y) if all(kinds.values()) else None


def _codes(y, classes):
    y = np.asarray(y)
    if y.ndim != 1:
        raise ValueError(f"y must have one dimension, one outcome; got shape {y.shape}.")
    return np.asarray(y, dtype=float) if classes is None else np.searchsorted(classes, y)
