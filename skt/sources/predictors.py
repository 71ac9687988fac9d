"""Fitted models of any kind as sources that can only answer."""

from collections.abc import Mapping

from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from skt.sources.forms import SourcePredictor

__all__ = ["predictors", "thawed"]


def thawed(model):
    """Return the model inside a ``FrozenEstimator``; any other as it is."""
    return model.estimator if isinstance(model, FrozenEstimator) else model


def predictors(estimators):
    """Return the sources as `SourcePredictor` by name."""
    if estimators is None:
        return {}
    if not isinstance(estimators, Mapping):
        raise TypeError(
            f"estimators is a {type(estimators).__name__}; expected a mapping from names to "
            "SourcePredictor, FrozenEstimator or functions of rows."
        )
    return {str(name): _predictor(name, source) for name, source in estimators.items()}


def _predictor(name, source):
    if isinstance(source, FrozenEstimator):
        source = SourcePredictor(source.estimator)
    elif isinstance(source, BaseEstimator) or (
        hasattr(source, "fit") and hasattr(source, "predict")
    ):
        raise TypeError(
            f"estimators[{name!r}] is a {type(source).__name__}; scikit-learn's clone would unfit "
            "it. Wrap it: SourcePredictor(model)."
        )
    elif not isinstance(source, SourcePredictor):
        source = SourcePredictor(source)
    model, method = source.model, source.method
    if method is None:
        return source
    if isinstance(model, BaseEstimator):
        try:
            check_is_fitted(model)
        except NotFittedError as error:
            raise NotFittedError(
                f"estimators[{name!r}] holds a {type(model).__name__} that is not fitted; fit it "
                "first."
            ) from error
    if not hasattr(model, method):
        raise TypeError(
            f"estimators[{name!r}] holds a {type(model).__name__} without {method}; give another "
            "response."
        )
    return source
