"""Weights of candidates, by what they predicted in rehearsals and of the target's rows left out.

Rehearsals are the prior: they tell what to expect of these sources at this number of target rows.
Rows left out are the likelihood: they tell a target that is unlike all sources. Both enter one
objective (`skt.core.stacking`), the rehearsals as so many rows of the target; the target alone has
the last word (`skt.core.safeguard`).
"""

from typing import NamedTuple

import numpy as np

from skt.core import safeguard, stacking
from skt.model_selection.alone import LEAST_PROBABILITY
from skt.model_selection.rehearsal import ALONE, HARM, Part

# Rows of the target that all rehearsals together stand for; and where the target's own rows are a
# surprise after them. On raw tables 200 gained half a per cent, and cost a tenth where all sources
# are off by the same.
REHEARSED_ROWS, AFTER_SURPRISE = 60.0, 5.0
# Pull of the weights to equal ones: of squared errors in units of the least, of log losses as so
# many rows.
SHRINKAGE, PRIOR_ROWS = 0.2, 10.0
# A member with less weight costs more time than it is worth.
LEAST_WEIGHT = 0.01
# Errors of a target alone that predicts exactly have no unit.
LEAST_UNIT = 1e-12
WEIGHTED = "weighted"


class Tried(NamedTuple):
    """Predictions of rows that no candidate was fitted on."""

    rehearsed: list  # of Part
    own: Part | None  # the target's rows, each left out once

    @classmethod
    def of(cls, parts):
        """Return what was tried, the parts of the target joined."""
        own = [part for part in parts if part.source == "target"]
        return cls([part for part in parts if part.source != "target"], _joined(own))

    @property
    def parts(self):
        """All parts."""
        return [*self.rehearsed, *([] if self.own is None else [self.own])]

    @property
    def failures(self):
        """Why candidates could not be fitted, by name."""
        return {name: why for part in self.parts for name, why in part.failures.items()}

    def left_out_loss(self, weights, unit=1.0):
        """Return mean losses of rows left out, of the weighted mean too; squared ones by unit."""
        if self.own is None:
            return {}
        mixed = sum(w * self.own.predictions[name] for name, w in weights.items())
        own = self.own._replace(predictions=self.own.predictions | {WEIGHTED: mixed})
        return {name: unit * loss for name, loss in own.mean_losses().items()}

    def ratios(self, name):
        """Return mean losses over those of the target alone: in rehearsals, of rows left out."""
        losses = [part.mean_losses() for part in self.rehearsed]
        rehearsed = [each[name] / max(each[ALONE], LEAST_UNIT) for each in losses]
        own = np.nan if self.own is None else self.own.mean_losses()
        return (
            float(np.mean(rehearsed)) if rehearsed else np.nan,
            own if self.own is None else own[name] / max(own[ALONE], LEAST_UNIT),
        )


def _joined(parts):
    """Return parts of the target as one; None where there is none."""
    if not parts:
        return None
    failures = {name: why for part in parts for name, why in part.failures.items()}
    names = [name for name in parts[0].predictions if name not in failures]
    y, weight = (np.concatenate([part[i] for part in parts]) for i in (2, 3))
    joined = {name: np.concatenate([part.predictions[name] for part in parts]) for name in names}
    return Part("target", 0, y, weight, joined, failures)


def weigh(tried, names):
    """Return weights by name, of candidates that have some, and why others have none.

    Without trials all count alike.
    """
    refused = {name: f"could not be fitted: {why}" for name, why in tried.failures.items()}
    able = [name for name in names if name not in refused]
    w = np.full(len(able), 1 / len(able))
    if tried.parts:
        w = _stacked(tried, able)
        w = np.where(w < LEAST_WEIGHT, 0.0, w) / np.sum(w[w >= LEAST_WEIGHT])
    if tried.own is not None:
        w = _guarded(w, tried.own, able)
    refused |= {
        name: _why(*tried.ratios(name)) for name, each in zip(able, w, strict=True) if not each
    }
    return {name: float(each) for name, each in zip(able, w, strict=True) if each}, refused


def _why(rehearsed, own):
    """Return why a candidate has no weight."""
    told = []
    if np.isfinite(rehearsed):
        told.append(f"{rehearsed:.2f} in rehearsals")
    if np.isfinite(own):
        told.append(f"{own:.2f} on target rows left out")
    verdict = "harms" if max(rehearsed, own) > HARM else "adds nothing to the others"
    return f"{verdict}: its loss over that of the target alone is {' and '.join(told)}"


def _stacked(tried, names):
    """Return weights by all parts; where the target is a surprise, hardly by rehearsals."""
    rule = _squared_weights if _of_numbers(tried.parts[0]) else _log_weights
    w = rule(tried, names, REHEARSED_ROWS)
    share = _surprise(w, tried, names)
    return w if share == 0 else (1 - share) * w + share * rule(tried, names, AFTER_SURPRISE)


def _surprise(w, tried, names):
    """Return the evidence, from 0 to 1, that the target is unlike the sources that played it.

    That is how much more the mean loses to the target alone on the target's left-out rows than in
    rehearsals, beyond one standard deviation of these.
    """
    if tried.own is None or not tried.rehearsed:
        return 0.0
    told = [_gain(part, w, names)[0] for part in tried.rehearsed]
    expected = np.mean(told) + (np.std(told, ddof=1) if len(told) > 1 else 0.0)
    gain, error = _gain(tried.own, w, names)
    n = float(np.sum(tried.own.weight))
    return safeguard.evidence_weight(gain - float(expected), error, n)


def _of_numbers(part):
    return part.predictions[ALONE].ndim == 1


def _counts(tried, rehearsed):
    """Return the rows that each part stands for, rehearsals together as many as given."""
    counts = [rehearsed / len(tried.rehearsed) for _ in tried.rehearsed]
    return [*counts, *([] if tried.own is None else [np.sum(tried.own.weight)])]


def _squared_weights(tried, names, rehearsed):
    products = np.array([_products(part, names) for part in tried.parts])
    joined = stacking.joined(products, np.array(_counts(tried, rehearsed)))
    return stacking.mean_weights(joined, SHRINKAGE)


def _products(part, names):
    E = np.column_stack([part.y - part.predictions[name] for name in names])
    return stacking.mean_products(E, part.weight, max(part.mean_losses()[ALONE], LEAST_UNIT))


def _log_weights(tried, names, rehearsed):
    P = [np.maximum(part.of_class(names), LEAST_PROBABILITY) for part in tried.parts]
    counts = [
        part.weight * count / np.sum(part.weight)
        for part, count in zip(tried.parts, _counts(tried, rehearsed), strict=True)
    ]
    return stacking.probability_weights(np.vstack(P), np.concatenate(counts), PRIOR_ROWS)


def _guarded(w, own, names):
    """Return weights moved to the target alone as far as its rows left out say so."""
    share = safeguard.evidence_weight(*_gain(own, w, names), float(np.sum(own.weight)))
    first = np.array([name == ALONE for name in names], dtype=float)
    return (1 - share) * w + share * first


def _gain(part, w, names):
    """Return what the target alone is better by than the mean, and the error of that.

    It is twice the logarithm of the likelihood ratio of one row, `safeguard.log_gain`.
    """
    mixed = sum(each * part.predictions[name] for each, name in zip(w, names, strict=True))
    both = part._replace(predictions={"mixed": mixed, ALONE: part.predictions[ALONE]}).losses()
    if _of_numbers(part):
        return safeguard.log_gain(both["mixed"], both[ALONE], part.weight)
    mean, error = safeguard.mean_difference(both["mixed"], both[ALONE], part.weight)
    return 2 * float(mean), 2 * float(error)
