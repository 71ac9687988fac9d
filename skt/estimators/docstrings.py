"""The docstring of ``fit``, which all estimators share."""

NUMBERS = "array-like of shape (n_samples,) or (n_samples, n_targets)\n    Outputs."
CLASSES = "array-like of shape (n_samples,)\n    Classes."
OUTCOMES = "array-like of shape (n_samples,) or (n_samples, n_targets)\n    Numbers or classes."
COPIES = "Row counts: weight 2 is the row twice."
COPIES_IN_ONE_FOLD = "Row counts: weight 2 is the row twice, but in one fold."

SAMPLE_DOMAIN = """sample_domain : array-like of shape (n_samples,), default=None
    Domain of each row: ``"target"`` or the name of a source, or integers with the target
    negative (`as_sample_domain` makes it of a column). None: all target.
"""

FIT = """{summary}

Parameters
----------
X : array-like of shape (n_samples, n_features)
    {rows}
y : {y}
{sample_domain}sample_weight : array-like of shape (n_samples,), default=None
    {weight}

Returns
-------
self : {cls}
    The fitted estimator.
"""


def documents_rows(y=NUMBERS, weight=COPIES, sample_domain=SAMPLE_DOMAIN):
    """Return a decorator that adds the rows of all domains to the docstring of ``fit``."""

    def decorate(fit):
        if fit.__doc__:  # None under python -OO
            rows = "Rows of all domains, stacked." if sample_domain else "Features."
            cls = fit.__qualname__.split(".")[0].removeprefix("_")
            fit.__doc__ = FIT.format(
                summary=fit.__doc__,
                rows=rows,
                y=y,
                sample_domain=sample_domain,
                weight=weight,
                cls=cls,
            )
        return fit

    return decorate
