"""Arguments that scores have in common, described once."""

from inspect import cleandoc

FEATURES = """Z : array-like of shape (n_samples, n_features)
    Features that the source gives to rows of the target."""
CLASSES = """y : array-like of shape (n_samples,)
    Classes of these rows, of any type."""
OUTCOMES = """y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    Classes of any type, or numbers.
regression : bool, default=None
    Whether y holds numbers. None takes whole numbers and all that is no number as classes."""


def documents_arguments(function):
    """Fill in {FEATURES}, {CLASSES} and {OUTCOMES} in the docstring of a score."""
    if function.__doc__:  # None under python -OO
        text = cleandoc(function.__doc__)
        for name in ("FEATURES", "CLASSES", "OUTCOMES"):
            text = text.replace(f"{{{name}}}", globals()[name])
        function.__doc__ = text
    return function
