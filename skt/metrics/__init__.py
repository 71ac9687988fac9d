"""Which source to start from: transferability scores, and rankings of sources by them."""

from .haste import haste_score, sample_hardness
from .ranking import SourceRanking, rank_sources
from .scorer import TransferabilityScorer, make_transferability_scorer
from .scores import (
    gbc_score,
    h_score,
    leep_score,
    logme_score,
    loo_ridge_score,
    nce_score,
    nleep_score,
    transrate_score,
)

__all__ = [
    "SourceRanking",
    "TransferabilityScorer",
    "gbc_score",
    "h_score",
    "haste_score",
    "leep_score",
    "logme_score",
    "loo_ridge_score",
    "make_transferability_scorer",
    "nce_score",
    "nleep_score",
    "rank_sources",
    "sample_hardness",
    "transrate_score",
]
