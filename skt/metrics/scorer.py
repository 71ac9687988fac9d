"""Transferability scores in GridSearchCV and cross_val_score."""

from skt.metrics.registry import chosen, model_response

__all__ = ["TransferabilityScorer", "make_transferability_scorer"]


class TransferabilityScorer:
    """``scorer(estimator, X, y)``: a transferability score of what an estimator says of X.

    Made by `make_transferability_scorer`.

    Parameters
    ----------
    metric : str or callable
        Name of a score, or ``metric(Z, y)``.
    response : str or callable
        Kind of response, method of the estimator, or ``response(estimator, X)``.
    """

    def __init__(self, metric, response):
        self.metric = metric
        self.response = response

    def __call__(self, estimator, X, y):
        """Return the score of an estimator's responses to rows with labels y."""
        metric = chosen(self.metric)
        said = model_response(estimator, X, metric, self.response, "the estimator")
        return float(metric.function(said, y))

    def __repr__(self):
        """Return the call that makes this scorer."""
        return f"make_transferability_scorer({self.metric!r}, response={self.response!r})"


def make_transferability_scorer(metric, *, response="auto"):
    """Make a scorer of a transferability score, for GridSearchCV and cross_val_score.

    The score is computed on the rows that are held out, from what the fitted estimator says of
    them. So a source model, a layer, or a preprocessing step before it, is chosen without training
    anything on top of it. The held-out rows must hold two classes at least. A transformer is no
    classifier to scikit-learn, whose folds are then not stratified: where rows are in order, give
    ``cv=StratifiedKFold()``.

    Parameters
    ----------
    metric : str or callable
        "h", "logme", "loo_ridge", "gbc", "transrate", "nleep", "leep" or "nce", or
        ``metric(Z, y)``.
    response : str or callable, default="auto"
        What is scored: "transform", "predict_proba", "decision_function", "predict", another
        method, or ``response(estimator, X)``. "auto" takes ``predict_proba`` for "leep",
        ``predict`` for "nce", and otherwise the first that the estimator has of ``transform``,
        ``decision_function``, ``predict_proba`` and ``predict``.

    Returns
    -------
    TransferabilityScorer
        ``scorer(estimator, X, y)``; larger is better. It can be pickled if what it was given can.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skt.metrics import make_transferability_scorer
    >>> X, y = load_digits(return_X_y=True)
    >>> scorer = make_transferability_scorer("loo_ridge")
    >>> search = GridSearchCV(PCA(random_state=0), {"n_components": [1, 10]}, scoring=scorer, cv=3)
    >>> search.fit(X[:300], y[:300]).best_params_
    {'n_components': 10}
    """
    kind = chosen(metric).kind
    if not (response == "auto" or callable(response) or isinstance(response, str)):
        raise ValueError(
            f"response must be 'auto', the name of a method or a function of (estimator, X); got "
            f"{response!r}."
        )
    return TransferabilityScorer(metric, kind if response == "auto" else response)
