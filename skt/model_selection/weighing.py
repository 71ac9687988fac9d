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

# Rows of the target that all rehearsals together stand for.
REHEARSED_ROWS = 200.0
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
    return (_squared_weights if _of_numbers(tried.parts[0]) else _log_weights)(tried, names)


def _of_numbers(part):
    return part.predictions[ALONE].ndim == 1


def _counts(tried):
    """Return the rows that each part stands for."""
    rehearsed = [REHEARSED_ROWS / len(tried.rehearsed) for _ in tried.rehearsed]
    return [*rehearsed, *([] if tried.own is None else [np.sum(tried.own.weight)])]


def _squared_weights(tried, names):
    products = np.array([_products(part, names) for part in tried.parts])
    return stacking.mean_weights(stacking.joined(products, np.array(_counts(tried))), SHRINKAGE)


def _products(part, names):
    E = np.column_stack([part.y - part.predictions[name] for name in names])
    return stacking.mean_products(E, part.weight, max(part.mean_losses()[ALONE], LEAST_UNIT))


def _log_weights(tried, names):
    P = [np.maximum(part.of_class(names), LEAST_PROBABILITY) for part in tried.parts]
    counts = [
        part.weight * count / np.sum(part.weight)
        for part, count in zip(tried.parts, _counts(tried), strict=True)
    ]
    return stacking.probability_weights(np.vstack(P), np.concatenate(counts), PRIOR_ROWS)


def _guarded(w, own, names):
    """Return weights moved to the target alone as far as its rows left out say so."""
    alone = own.predictions[ALONE]
    mixed = sum(each * own.predictions[name] for each, name in zip(w, names, strict=True))
    losses = own._replace(predictions={"mixed": mixed, ALONE: alone}).losses()
    share = safeguard.evidence_weight(*_gain(losses, own), float(np.sum(own.weight)))
    first = np.array([name == ALONE for name in names], dtype=float)
    return (1 - share) * w + share * first


def _gain(losses, own):
    """Return twice the log likelihood ratio of a row for the target alone, and its error."""
    if _of_numbers(own):
        return safeguard.log_gain(losses["mixed"], losses[ALONE], own.weight)
    mean, error = safeguard.mean_difference(losses["mixed"], losses[ALONE], own.weight)
    return 2 * float(mean), 2 * float(error)
