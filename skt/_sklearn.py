"""The only file that imports scikit-learn's private names.

Tested on the oldest supported scikit-learn and on the newest; when a release moves one
of them, this is the file to mend.
"""

# Rows of arrays and tables (pandas, polars) of any kind, without conversion.
from sklearn.utils import _safe_indexing as safe_indexing

# Types and ranges of constructor parameters, declared by a class as `_parameter_constraints`.
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
    validate_parameter_constraints,
)

# Validates sample_weight against X: length, finiteness, dtype.
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

# Number of rows of arrays, tables, sparse matrices and lists, with scikit-learn's messages.
from sklearn.utils.validation import _num_samples as num_samples

__all__ = [
    "HasMethods",
    "Interval",
    "StrOptions",
    "check_parameters",
    "check_sample_weight",
    "num_samples",
    "safe_indexing",
]


def check_parameters(estimator):
    """Check each constructor parameter by itself; errors name the class and what is allowed."""
    validate_parameter_constraints(
        estimator._parameter_constraints,
        estimator.get_params(deep=False),
        caller_name=type(estimator).__name__,
    )
