"""Displays in scikit-learn's manner: made from a result, drawn by ``plot``, never fitting.

Colours are told apart by every eye and by their grey values; where that is not enough, marks and
dashes differ too. matplotlib (the extra ``plot``) is imported when something is drawn.
"""

from ._penalties import LooSurfaceDisplay, PenaltyCurveDisplay, SelectionDisplay
from ._ranking import SourceRankingDisplay
from ._rehearsal import EnsembleDisplay, RehearsalDisplay
from ._results import ComparisonDisplay, StudyDisplay
from ._risk import EffectiveSampleSizeDisplay, RiskCurveDisplay
from ._smart import AlignmentDisplay, ConvergenceDisplay
from ._weights import SourceWeightsDisplay, SourceWeightsMapDisplay

__all__ = [
    "AlignmentDisplay",
    "ComparisonDisplay",
    "ConvergenceDisplay",
    "EffectiveSampleSizeDisplay",
    "EnsembleDisplay",
    "LooSurfaceDisplay",
    "PenaltyCurveDisplay",
    "RehearsalDisplay",
    "RiskCurveDisplay",
    "SelectionDisplay",
    "SourceRankingDisplay",
    "SourceWeightsDisplay",
    "SourceWeightsMapDisplay",
    "StudyDisplay",
]
