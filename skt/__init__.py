"""Transfer learning with scikit-learn: borrow from related data what helps, and no more."""

from .choice.compare import compare, compare_each
from .choice.comparison import Comparison
from .core.moments import Moments
from .estimators.conformal import ConformalRegressor
from .estimators.h_ensemble import HEnsembleClassifier, HEnsembleRegressor
from .estimators.l2sp import L2SPRidge
from .estimators.l2sp_classifier import L2SPClassifier
from .estimators.multi_task import UOWQMultiTaskClassifier, UOWQMultiTaskRegressor
from .estimators.otqms_sampler import OTQMSSampler
from .estimators.parameter_transfer import ParameterTransferClassifier
from .estimators.reduced_rank import ReducedRankRegressor
from .estimators.smart import ADMM, SMARTRegressor
from .estimators.source_sampled import SourceSampled
from .estimators.source_weighted import SourceWeighted
from .estimators.transfer import TransferClassifier, TransferRegressor
from .estimators.uowq import UOWQRegressor
from .estimators.uowq_classifier import UOWQClassifier
from .estimators.uowq_poisson import UOWQPoissonRegressor
from .model_selection import TargetCV
from .sources import SourceModel, SourcePredictor, UnitsWarning, as_sample_domain, stack_domains

__version__ = "0.1.0.dev0"

__all__ = [
    "ADMM",
    "Comparison",
    "ConformalRegressor",
    "HEnsembleClassifier",
    "HEnsembleRegressor",
    "L2SPClassifier",
    "L2SPRidge",
    "Moments",
    "OTQMSSampler",
    "ParameterTransferClassifier",
    "ReducedRankRegressor",
    "SMARTRegressor",
    "SourceModel",
    "SourcePredictor",
    "SourceSampled",
    "SourceWeighted",
    "TargetCV",
    "TransferClassifier",
    "TransferRegressor",
    "UOWQClassifier",
    "UOWQMultiTaskClassifier",
    "UOWQMultiTaskRegressor",
    "UOWQPoissonRegressor",
    "UOWQRegressor",
    "UnitsWarning",
    "as_sample_domain",
    "compare",
    "compare_each",
    "stack_domains",
]
