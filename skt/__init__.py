"""Transfer learning with scikit-learn: borrow from related data what helps, and no more."""

from ._compare import Comparison, compare, compare_each
from ._l2sp import L2SPClassifier, L2SPRidge
from ._otqms import OTQMSSampler, SourceSampled, SourceWeighted
from ._reduced_rank import ReducedRankRegressor
from ._smart import SMARTRegressor
from ._uowq import UOWQRegressor
from .core.moments import Moments
from .model_selection import TargetCV
from .sources import SourceModel, UnitsWarning, as_sample_domain, stack_domains

__version__ = "0.1.0.dev0"

__all__ = [
    "Comparison",
    "L2SPClassifier",
    "L2SPRidge",
    "Moments",
    "OTQMSSampler",
    "ReducedRankRegressor",
    "SMARTRegressor",
    "SourceModel",
    "SourceSampled",
    "SourceWeighted",
    "TargetCV",
    "UOWQRegressor",
    "UnitsWarning",
    "as_sample_domain",
    "compare",
    "compare_each",
    "stack_domains",
]
