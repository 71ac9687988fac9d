"""The docstring of ``fit``, which all estimators share."""

NUMBERS = "array-like of shape (n_samples,) or (n_samples, n_targets)\n    Outputs."
CLASSES = "array-like of shape (n_samples,)\n    Classes."
OUTCOMES = "array-like of shape (n_samples,) or (n_samples, n_targets)\n    Numbers or classes."
COPIES = "Row counts: weight 2 is the row twice."
COPIES_IN_ONE_FOLD = "Row counts: weight 2 is the row twice, but in one fold."

STACKED = "Rows of all domains, stacked."

SAMPLE_DOMAIN = """sample_domain : array-like of shape (n_samples,), default=None
    Domain of each row: ``"target"`` or the name of a source, or integers with the target
    negative (`as_sample_domain` makes it of a column). None: all target.
"""
TASKS = """sample_domain : array-like of shape (n_samples,), default=None
    Task of each row, integers or strings. None: one task.
"""
TARGET_ONLY = """sample_domain : array-like of shape (n_samples,), default=None
    Domain of each row; all must be the target's.
"""

SAMPLE_WEIGHT = """sample_weight : array-like of shape (n_samples,), default=None
    {weight}
"""

FIT = """{summary}

Parameters
----------
X : array-like of shape (n_samples, n_features)
    {rows}
y : {y}
{sample_domain}{sample_weight}
Returns
-------
self : {cls}
    The fitted estimator.
"""


def documents_rows(y=NUMBERS, weight=COPIES, sample_domain=SAMPLE_DOMAIN, rows=STACKED):
    """Return a decorator that adds the rows of all domains to the docstring of ``fit``.

    Without ``weight`` there is no parameter ``sample_weight``, likewise ``sample_domain``.
    """

    def decorate(fit):
        if fit.__doc__:  # None under python -OO
            fit.__doc__ = FIT.format(
                summary=fit.__doc__,
                rows=rows,
                y=y,
                sample_domain=sample_domain,
                sample_weight=SAMPLE_WEIGHT.format(weight=weight) if weight else "",
                cls=fit.__qualname__.split(".")[0].removeprefix("_"),
            )
        return fit

    return decorate
