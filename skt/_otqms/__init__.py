"""Which source rows to train on, whatever the model: OTQMS, and the weighted alternative."""

from ._sampler import OTQMSSampler
from ._trained import SourceSampled, SourceWeighted

__all__ = ["OTQMSSampler", "SourceSampled", "SourceWeighted"]
