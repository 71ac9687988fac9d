"""One method of the registry, fitted on a whole table as a comparison fits it on a part."""

import numpy as np
from sklearn.pipeline import Pipeline

from skt.choice.compare import _sample_domain, _spelled, _validate
from skt.choice.hold_out import imputed_and_scaled
from skt.choice.methods import DataShape, method_called
from skt.estimators.conformal import ConformalRegressor
from skt.sources.labels import split_domains

__all__ = ["DEFAULT", "fitted_method"]

# The default is that of both kinds of outcome.
DEFAULT = "UOWQ"


def fitted_method(
    X, y, domains, target, *, method=DEFAULT, estimator=None, task="auto", intervals=True
):
    """Fit a method on all rows of a table, for one target.

    Parameters
    ----------
    X, y, task, estimator
        As in :func:`skt.compare`.
    domains : array-like of shape (n_samples,)
        Label of the domain of each row.
    target : label
        The domain to predict for.
    method : str
        Name of the method in a comparison.
    intervals : bool, default=True
        Whether a regression learns from left-out target rows how wrong it is; of one target row
        none can be left out.

    Returns
    -------
    model : Pipeline
        Of rows as they came; its last step is the method, in a `ConformalRegressor` with intervals.
    kind : Kind
        Whether numbers or classes were fitted.
    """
    X, y, kind = _validate(X, y, task)
    sample_domain = _sample_domain(_spelled(domains), str(target))
    own, sources = split_domains(sample_domain, len(X))
    n_targets = 1 if y.ndim == 1 else y.shape[1]
    shape = DataShape(X.shape[1], n_targets, len(sources), len(own))
    model = method_called(method, kind, shape, estimator)
    if intervals and not kind.classes and len(own) > 1:
        model = ConformalRegressor(model)
    scaler = imputed_and_scaled(X)
    model.fit(scaler.transform(X), y, sample_domain=np.asarray(sample_domain))
    return Pipeline([*scaler.steps, ("method", model)]), kind
