"""The only file that imports scikit-learn's private names.

Tested on the oldest supported scikit-learn and on the newest; when a release moves one
of them, this is the file to mend.
"""

# Rows of arrays and tables (pandas, polars) of any kind, without conversion.
from sklearn.utils import _safe_indexing as safe_indexing

# Validates sample_weight against X: length, finiteness, dtype.
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

# Number of rows of arrays, tables, sparse matrices and lists, with scikit-learn's messages.
from sklearn.utils.validation import _num_samples as num_samples

__all__ = ["check_sample_weight", "num_samples", "safe_indexing"]
