"""Which source to start from: scores of several, and whether the first is really better."""

from collections.abc import Mapping
from functools import partial
from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from skt._sklearn import num_samples, safe_indexing
from skt.metrics.registry import chosen, model_response
from skt.metrics.scores import class_codes, is_regression
from skt.plots import SourceRankingDisplay

__all__ = ["SourceRanking", "rank_sources"]

NO_SOURCE = "no source"
# Standard errors by which a difference is called clear.
CLEAR = 2.0


class SourceRanking:
    """What :func:`rank_sources` found.

    Attributes
    ----------
    table : list of dict
        One row for each metric and source, best first, and one for no source: ``metric, rank,
        source, score, behind, behind_error, first``. ``behind`` is how much lower the score is
        than the best source's, with the standard error of this paired difference; ``first`` is the
        share of draws in which the source is the best of the sources.
    metrics, source_names : list of str
        Names.
    verdicts : dict of str to str
        For each metric, whether the best source is clearly better than the next, and than no
        source: by two standard errors.
    """

    def __init__(self, metrics, source_names, scores, draws):
        self.metrics, self.source_names = list(metrics), list(source_names)
        tables = {m: _table(m, self.source_names, scores[m], draws[m]) for m in self.metrics}
        self.table = [row for rows in tables.values() for row in rows]
        self.verdicts = {metric: _verdict(rows) for metric, rows in tables.items()}

    def best(self, metric=None):
        """Return the name of the best source, by the first metric unless another is named."""
        return self.rows(metric)[0]["source"]

    def rows(self, metric=None):
        """Return the rows of one metric, by default the first; no source is the last row."""
        metric = self.metrics[0] if metric is None else metric
        if metric not in self.metrics:
            raise ValueError(f"metric must be one of {', '.join(self.metrics)}; got {metric!r}.")
        return [row for row in self.table if row["metric"] == metric]

    def plot(self, metric=None, *, ax=None):
        """Draw the scores of one metric, by default the first; needs matplotlib.

        Parameters
        ----------
        metric : str, default=None
            Name of the metric.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        skt.plots.SourceRankingDisplay
        """
        *sources, nothing = self.rows(metric)
        return SourceRankingDisplay(
            [row["source"] for row in sources],
            [row["score"] for row in sources],
            [row["behind_error"] for row in sources],
            nothing["score"],
            metric=nothing["metric"],
        ).plot(ax=ax)

    def __repr__(self):
        """Return the verdicts."""
        return "\n".join(self.verdicts.values())


def _table(metric, names, scores, draws):
    """Return the rows of one metric; scores (K + 1,), draws (n_draws, K + 1), no source last."""
    order = np.argsort(-scores[:-1], kind="stable")
    behind = scores[order[0]] - scores
    error = np.std(draws[:, [order[0]]] - draws, axis=0, ddof=1)
    # Half the rows shift a score; how it scatters is what the draws are for.
    moved = draws[:, :-1] - np.mean(draws[:, :-1], axis=0) + scores[:-1]
    first = np.bincount(np.argmax(moved, axis=1), minlength=len(names)) / len(draws)
    rows = [(rank, names[k], k, float(first[k])) for rank, k in enumerate(order, start=1)]
    return [
        {
            "metric": metric,
            "rank": rank,
            "source": name,
            "score": float(scores[k]),
            "behind": float(behind[k]),
            "behind_error": float(error[k]),
            "first": share,
        }
        for rank, name, k, share in [*rows, (None, NO_SOURCE, -1, None)]
    ]


def _verdict(rows):
    best, *others, nothing = rows
    text = f"{best['metric']}: {best['source']!r} is best of {len(others) + 1}"
    if others:
        text += f"; {_than(others[0])} than the next, {others[0]['source']!r}"
    return f"{text}; {_than(nothing)} than {NO_SOURCE}."


def _than(row):
    """Say whether the best source is better than another row, by how much and how surely."""
    if not np.isfinite(row["behind"]):
        return "not known whether better"
    figures = f"{row['behind']:.3g} ± {row['behind_error']:.2g}"
    if row["behind"] > CLEAR * row["behind_error"]:
        return f"clearly better ({figures})"
    if row["behind"] < -CLEAR * row["behind_error"]:
        return f"clearly worse ({figures})"
    return f"not clearly better ({figures})"


def rank_sources(sources, X, y, metrics="loo_ridge", *, n_draws=200, random_state=0, n_jobs=None):
    """Rank source models by how well they tell the labels of a few target rows apart.

    Nothing is trained. All sources are scored on the same rows, and again on random halves of
    each class, also the same for all. How the difference of two scores scatters over halves is
    its standard error at all rows: halves drawn without replacement vary as much as the whole.

    Parameters
    ----------
    sources : mapping of str to model, or list of models
        Fitted models, or functions of X that return features (or probabilities, or labels, as
        the metrics take them).
    X : array-like or table of shape (n_samples, n_features)
        Rows of the target, as the models take them.
    y : array-like of shape (n_samples,)
        Their labels, or numbers for "logme" and "loo_ridge".
    metrics : str, callable or list of these, default="loo_ridge"
        Scores, as in `make_transferability_scorer`.
    n_draws : int, default=200
        Random halves. Fewer are faster and leave standard errors less certain.
    random_state : int, RandomState instance or None, default=0
        Seed of the halves.
    n_jobs : int, default=None
        Sources scored at once, as in joblib.

    Returns
    -------
    SourceRanking
        Its ``table``, ``verdicts`` and ``plot()``. *No source* is X itself as features, where it
        is an array of numbers, and for "leep" and "nce" a source that says the same of all rows.

    Notes
    -----
    A bootstrap with replacement does not serve: a row that is drawn twice is predicted from its
    copy, which made standard errors of "logme" thirty times too large with five rows a class.
    Halves gave .9 to 1.3 times the true standard error for "h", "logme", "loo_ridge" and "leep"
    with 5 or 20 rows a class, and a third to two thirds of it for "gbc". The best of many
    sources is better than the next by chance too, for which the error does not allow.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from skt.metrics import rank_sources
    >>> X, y = load_digits(return_X_y=True)
    >>> few = np.arange(len(y)) % 30 == 0
    >>> discriminant = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
    >>> models = {
    ...     "discriminant": discriminant.fit(X[~few], y[~few]),
    ...     "two axes": PCA(2, random_state=0).fit(X[~few]),
    ... }
    >>> ranking = rank_sources(models, X[few], y[few], n_draws=50)
    >>> for row in ranking.rows():
    ...     print(f"{row['source']:12} {row['score']:.1f}")
    discriminant 0.6
    two axes     0.2
    no source    0.5
    >>> ranking.best()
    'discriminant'
    >>> print(ranking)
    loo_ridge: 'discriminant' is best of 2; clearly better (0.44... than the next, 'two axes';
    clearly better (0.12... than no source.
    """
    sources = _named(sources)
    metrics = [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics)
    metrics = {chosen(metric).name: chosen(metric) for metric in metrics}
    if not isinstance(n_draws, Integral) or n_draws < 2:
        raise ValueError(f"n_draws must be a whole number of at least 2; got {n_draws}.")
    y = np.asarray(y)
    if len(y) != num_samples(X):
        raise ValueError(f"X has {num_samples(X)} rows but y has {len(y)}.")
    parts = [np.arange(len(y)), *_halves(y, n_draws, check_random_state(random_state))]
    score = partial(_scores, X=X, y=y, metrics=metrics, parts=parts)
    found = Parallel(n_jobs=n_jobs)(
        delayed(score)(model, name) for name, model in [*sources.items(), (NO_SOURCE, None)]
    )
    tables = {name: np.column_stack([each[name] for each in found]) for name in metrics}
    return SourceRanking(
        metrics,
        sources,
        {name: table[0] for name, table in tables.items()},
        {name: table[1:] for name, table in tables.items()},
    )


def _named(sources):
    if not isinstance(sources, Mapping):
        sources = {f"source {k}": model for k, model in enumerate(sources, start=1)}
    if not sources:
        raise ValueError("sources is empty; give at least one fitted model.")
    return {str(name): model for name, model in sources.items()}


def _halves(y, n_draws, rng):
    """Return rows of random halves: of an odd class one row more or less, and at least one."""
    codes = np.zeros(len(y), dtype=int) if is_regression(y) else class_codes(y)
    classes = [np.flatnonzero(codes == c) for c in range(codes.max() + 1)]
    return [
        np.sort(np.concatenate([rng.permutation(c)[: _half(len(c), rng)] for c in classes]))
        for _ in range(n_draws)
    ]


def _half(size, rng):
    return max(1, (size + rng.randint(2)) // 2)


def _scores(model, name, *, X, y, metrics, parts):
    """Return the scores of one source on each part of the rows, by metric."""
    kinds = {metric.kind: metric for metric in metrics.values()}
    said = {kind: _said(model, X, metric, name) for kind, metric in kinds.items()}
    return {
        metric.name: np.array([_score(metric, said[metric.kind], y, rows) for rows in parts])
        for metric in metrics.values()
    }


def _score(metric, response, y, rows):
    if response is None:
        return np.nan
    return float(metric.function(safe_indexing(response, rows), y[rows]))


def _said(model, X, metric, name):
    """Return a model's response to all rows; of no model X itself, or a constant."""
    if model is not None:
        return model_response(model, X, metric, name=f"sources[{name!r}]")
    if metric.kind == "features":
        return _as_numbers(X)
    return np.ones((num_samples(X), 1) if metric.kind == "probabilities" else num_samples(X))


def _as_numbers(X):
    """Return X as an array, None where it does not hold numbers."""
    try:
        X = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return X if X.ndim == 2 and np.all(np.isfinite(X)) else None
