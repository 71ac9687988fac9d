"""Where the rows come from: the domain convention, and every form of a source.

Rows of several domains are stacked and labelled by `sample_domain`: integers below 0 or
the string "target" mark the target, every other label is the name of a source. What is
known of a source without its rows is a `Moments`, a `SourceModel`, a fitted linear
model inside scikit-learn's `FrozenEstimator`, or a `SourcePredictor` that can only answer.
"""

from skt.core.moments import Moments

from .checks import check_sources
from .forms import SourceModel, SourcePredictor
from .frozen import UnitsWarning
from .labels import as_sample_domain, split_domains, stack_domains

__all__ = [
    "Moments",
    "SourceModel",
    "SourcePredictor",
    "UnitsWarning",
    "as_sample_domain",
    "check_sources",
    "split_domains",
    "stack_domains",
]
