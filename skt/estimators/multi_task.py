"""Every domain as target and source at once: UOWQ for many tasks."""

from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.validation import validate_data

from skt._sklearn import StrOptions, check_sample_weight
from skt.core import multi_task
from skt.core.families import LOGISTIC, indicators
from skt.core.rows import Rows
from skt.core.uowq_glm import OfRows
from skt.estimators.base import (
    FittedRows,
    FromSources,
    log_odds,
    most_probable,
    probabilities,
    small_blas,
)
from skt.estimators.checks import AUTO, POSITIVE, is_auto
from skt.estimators.docstrings import CLASSES, COPIES, TASKS, documents_rows
from skt.estimators.messages import warn
from skt.estimators.random_effects import doubts_of_effects
from skt.sources.designs import Design
from skt.sources.labels import split_every_domain
from skt.sources.validate import classes_and_codes, refuse_extremes

ALL_TASKS = "Rows of all tasks."
OUTCOMES = "array-like of shape (n_samples,)\n    Outcomes."


class _Tasks(NamedTuple):
    """Rows of all tasks, with outcomes in units of their own."""

    domains: dict  # name -> Rows
    classes: np.ndarray | None = None
    mean: float = 0.0  # of the outcomes, in the user's units
    spread: float = 1.0


class _Fit(NamedTuple):
    """All that fit stores, in the units of the computation."""

    design: Design
    tasks: multi_task.Tasks
    doubts: list


class _MultiTask(FittedRows, FromSources, BaseEstimator):
    """Abstract base: one fit of the random effects of all tasks."""

    __metadata_request__predict = {"sample_domain": True}
    _parameter_constraints = {
        "guard": [StrOptions({"left-out"}), None],
        "alpha": [AUTO, POSITIVE],
        "fit_intercept": ["boolean"],
        "unseen": [StrOptions({"mean", "error"})],
    }

    def __init__(self, *, guard="left-out", alpha="auto", fit_intercept=True, unseen="mean"):
        self.guard = guard
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.unseen = unseen

    def _split(self, X, Y, sample_domain, sample_weight):
        """Return the rows of each task that have a weight, by name."""
        weight = check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        table = Rows(X.astype(np.float64, copy=False), Y, weight)
        split = split_every_domain(sample_domain, len(X))
        split = {name: rows[weight[rows] > 0] for name, rows in split.items()}
        if not any(map(len, split.values())):
            raise ValueError("sample_weight is zero for every row; some must be positive.")
        return {name: table.take(rows) for name, rows in split.items() if len(rows)}

    def _fit(self, data):
        """Fit all tasks."""
        domains = list(data.domains.values())
        design = Design.of(domains, self.fit_intercept)
        likelihoods = self._likelihoods([design.rows(rows) for rows in domains])
        slopes = design.slopes(domains[0].Y.shape[1])
        n = float(np.mean([rows.n for rows in domains]))
        centre = None if is_auto(self.alpha) else 1 / (2 * n * self.alpha)
        with small_blas(len(slopes)):
            tasks = multi_task.fit_tasks(
                likelihoods, slopes, centre=centre, guard=self.guard is not None
            )
        return _Fit(design, tasks, doubts_of_effects(tasks))

    def _store(self, fit, data):
        """Set attributes, in the user's units and shapes."""
        tasks = fit.tasks
        n = np.array([rows.n for rows in data.domains.values()])
        self.task_names_, self.n_task_samples_ = list(data.domains), n
        self.task_shares_ = tasks.shares
        self.task_weights_ = multi_task.weights_of_tasks(tasks.shares, n)
        self.helps_ = multi_task.helps(tasks.shares)
        self.risk_, self.own_risk_ = tasks.risk, tasks.own_risk
        self.n_iter_ = tasks.n_iter
        restored = [fit.design.restored(theta) for theta in [*tasks.theta, tasks.centre]]
        coef, intercept = (np.array(part) for part in zip(*restored, strict=True))
        self._coef, self._intercept = coef * data.spread, intercept * data.spread + data.mean
        self.coef_, self.mean_coef_ = self._shaped(self._coef)
        self.intercept_, self.mean_intercept_ = self._shaped(self._intercept)
        return self

    def _eta(self, X, sample_domain):
        """Return linear predictors of rows, each of its own task, (n_samples, q)."""
        X = self._checked(X)
        task = self._tasks_of(sample_domain, len(X))
        return np.einsum("np,nqp->nq", X, self._coef[task]) + self._intercept[task]

    def _tasks_of(self, sample_domain, n_samples):
        """Return the number of each row's task; one more than there are for an unseen one."""
        number = {name: k for k, name in enumerate(self.task_names_)}
        T = len(number)
        if sample_domain is None and T == 1:
            return np.zeros(n_samples, dtype=int)
        unseen = {"rows without a label": n_samples}
        task = np.full(n_samples, T)
        if sample_domain is not None:
            split = split_every_domain(sample_domain, n_samples)
            for name, rows in split.items():
                task[rows] = number.get(name, T)
            unseen = {name: len(rows) for name, rows in split.items() if name not in number}
        if unseen and self.unseen == "error":
            raise ValueError(
                f"sample_domain names tasks that fit did not see, {', '.join(map(repr, unseen))}; "
                "label rows by tasks of fit (task_names_), or set unseen='mean'."
            )
        return task


class _ScoredByTask:
    """The score of predictions, each by its own task."""

    __metadata_request__score = {"sample_domain": True}

    def score(self, X, y, sample_weight=None, sample_domain=None):
        """R2 of predicted numbers, accuracy of predicted classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Outcomes.
        sample_weight : array-like of shape (n_samples,), default=None
            Row counts.
        sample_domain : array-like of shape (n_samples,), default=None
            Task of each row.

        Returns
        -------
        float
            R2: 1 where all is predicted, 0 as the mean predicts. Accuracy: the share of rows
            predicted right.
        """
        return self._metric(y, self.predict(X, sample_domain), sample_weight=sample_weight)


class UOWQMultiTaskRegressor(_ScoredByTask, RegressorMixin, _MultiTask):
    """Linear regression of many tasks, each of which borrows from all others.

    Every domain is a target and a source. Coefficients of all tasks, intercepts included, scatter
    about a centre, ``w_k = m + d_k`` with ``d_k ~ N(0, t_k)``, and

        sum_k ||y_k - X_k w_k||^2 / (2 v_k) + sum_k ||d_k||^2 / (2 t_k) + n alpha ||m||^2

    is minimised over m (its intercept free) and all d_k on standardised columns; noise variances
    v_k and variances t_k of slopes and of intercepts are estimated, n is the mean number of rows.
    With up to 30 tasks each is then the target of a fit of its own, whose sources may have another
    centre (tasks in clusters), with the guard of `UOWQClassifier`.

    Parameters
    ----------
    guard : {"left-out", None}, default="left-out"
        With up to 30 tasks: gives a task's own fit the part that its left-out rows speak for.
    alpha : "auto" or float > 0, default="auto"
        Penalty of m, per row of a task. Raising it pulls the centre's slopes towards zero. "auto":
        by marginal likelihood.
    fit_intercept : bool, default=True
        Whether there are intercepts.
    unseen : {"mean", "error"}, default="mean"
        What `predict` does with a task that fit did not see: the centre's prediction, or an error.

    Attributes
    ----------
    coef_ : ndarray of shape (n_tasks, n_features)
        Coefficients of every task.
    intercept_ : ndarray of shape (n_tasks,)
        Intercepts.
    mean_coef_, mean_intercept_ : ndarray of shape (n_features,), float
        The centre's, of a task that was never seen.
    task_names_ : list of str
        Labels of the tasks.
    task_shares_ : ndarray of shape (n_tasks, n_tasks)
        Part of task j in the coefficients of task k, in the metric of the tasks' information.
    task_weights_ : ndarray of shape (n_tasks, n_tasks)
        What one row of task j counts in task k, where a row of task k counts 1
        (:class:`skt.plots.SourceWeightsMapDisplay` draws it).
    helps_ : ndarray of bool of shape (n_tasks, n_tasks)
        Whether task j helps task k: a share above .05.
    n_task_samples_ : ndarray of shape (n_tasks,)
        Rows of every task, by their weights.
    risk_, own_risk_ : ndarray of shape (n_tasks,)
        Estimated excess loss of a new row in units of its variance, and of the task's own fit.
    n_iter_ : int
        Steps of the search.
    n_features_in_, feature_names_in_
        Number and names of features seen in fit.

    Raises
    ------
    ValueError
        If an option is unknown, or `predict` sees a new task with ``unseen="error"``.

    Notes
    -----
    Cost: ``O(n p^2 + T p^3)`` per step for T tasks.

    References
    ----------
    UOWQ: arXiv 2601.10779v2, multi-task; the estimation of discrepancies is this project's.

    Examples
    --------
    >>> import numpy as np
    >>> from skt import UOWQMultiTaskRegressor
    >>> rng = np.random.default_rng(0)
    >>> task = np.repeat(np.arange(20), 12)
    >>> W = rng.normal(size=5) + 0.2 * rng.normal(size=(20, 5))
    >>> X = rng.normal(size=(240, 5))
    >>> mean = np.sum(X * W[task], axis=1)
    >>> y = mean + rng.normal(size=240)
    >>> together = UOWQMultiTaskRegressor().fit(X, y, sample_domain=task)
    >>> print(f"{np.mean((together.predict(X, sample_domain=task) - mean) ** 2):.1f}")
    0.2
    """

    _metric = staticmethod(r2_score)
    _likelihoods = staticmethod(multi_task.gaussian_tasks)

    @documents_rows(OUTCOMES, COPIES, TASKS, ALL_TASKS)
    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit all tasks."""
        self._check_parameters()
        data = self._data(X, y, sample_domain, sample_weight)
        fit = self._fit(data)
        warn(fit.doubts)
        return self._store(fit, data)

    def predict(self, X, sample_domain=None):
        """Predict every row by its task.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        sample_domain : array-like of shape (n_samples,), default=None
            Task of each row. None: the one task of fit, or the centre.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predicted means.
        """
        return self._eta(X, sample_domain)[:, 0]

    def _data(self, X, y, sample_domain, sample_weight):
        """Return the rows of all tasks, outcomes in units of their own."""
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], y_numeric=True)
        y = np.asarray(y, dtype=np.float64)
        refuse_extremes(X, y)
        mean, spread = y.mean() * bool(self.fit_intercept), y.std() or 1.0
        Y = ((y - mean) / spread)[:, None]
        return _Tasks(self._split(X, Y, sample_domain, sample_weight), mean=mean, spread=spread)

    @staticmethod
    def _shaped(values):
        """Return what the tasks have, and the centre, without the axis of outputs."""
        return values[:-1, 0], values[-1, 0]


class UOWQMultiTaskClassifier(_ScoredByTask, ClassifierMixin, _MultiTask):
    """Logistic regression of many tasks, each of which borrows from all others.

    `UOWQMultiTaskRegressor` with minus the log-likelihood of classes in place of squares.

    Parameters
    ----------
    guard : {"left-out", None}, default="left-out"
        With up to 30 tasks: gives a task's own fit the part that its left-out rows speak for.
    alpha : "auto" or float > 0, default="auto"
        Penalty of the centre, per row of a task. Raising it pulls its slopes towards zero. "auto":
        by approximate marginal likelihood.
    fit_intercept : bool, default=True
        Whether there are intercepts.
    unseen : {"mean", "error"}, default="mean"
        What `predict` does with a task that fit did not see: the centre's prediction, or an error.

    Attributes
    ----------
    coef_ : ndarray of shape (n_tasks, 1 or n_classes, n_features)
        Coefficients of every task.
    intercept_ : ndarray of shape (n_tasks, 1 or n_classes)
        Intercepts.
    mean_coef_, mean_intercept_ : ndarray
        The centre's, of a task that was never seen.
    classes_ : ndarray of shape (n_classes,)
        Classes of all tasks; a class that a task lacks has its probability from the others.
    task_names_, task_shares_, task_weights_, helps_, n_task_samples_, risk_, own_risk_, n_iter_
        As of `UOWQMultiTaskRegressor`; risks are excess log-losses.
    n_features_in_, feature_names_in_
        Number and names of features seen in fit.

    Raises
    ------
    ValueError
        If there is one class only, an option is unknown, or `predict` sees a new task with
        ``unseen="error"``.

    References
    ----------
    UOWQ: arXiv 2601.10779v2, multi-task; the estimation of discrepancies is this project's.

    Examples
    --------
    >>> import numpy as np
    >>> from skt import UOWQMultiTaskClassifier
    >>> rng = np.random.default_rng(0)
    >>> task = np.repeat(np.arange(20), 30)
    >>> W = 2 * rng.normal(size=5) + 0.3 * rng.normal(size=(20, 5))
    >>> X = rng.normal(size=(600, 5))
    >>> y = np.where(np.sum(X * W[task], axis=1) + rng.logistic(size=600) > 0, "yes", "no")
    >>> together = UOWQMultiTaskClassifier().fit(X[::2], y[::2], sample_domain=task[::2])
    >>> print(f"{together.score(X[1::2], y[1::2], sample_domain=task[1::2]):.2f}")
    0.78
    """

    _metric = staticmethod(accuracy_score)

    @documents_rows(CLASSES, COPIES, TASKS, ALL_TASKS)
    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit all tasks."""
        self._check_parameters()
        data = self._data(X, y, sample_domain, sample_weight)
        fit = self._fit(data)
        warn(fit.doubts)
        return self._store(fit, data)

    def decision_function(self, X, sample_domain=None):
        """Linear predictors of every row by its task.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        sample_domain : array-like of shape (n_samples,), default=None
            Task of each row. None: the one task of fit, or the centre.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Log odds of the second of two classes, or logarithms of probabilities up to a
            constant of each row.
        """
        return log_odds(self._eta(X, sample_domain))

    def predict_proba(self, X, sample_domain=None):
        """Probabilities of the classes, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        sample_domain : array-like of shape (n_samples,), default=None
            Task of each row. None: the one task of fit, or the centre.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities.
        """
        return probabilities(self._eta(X, sample_domain))

    def predict(self, X, sample_domain=None):
        """Most probable classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        sample_domain : array-like of shape (n_samples,), default=None
            Task of each row. None: the one task of fit, or the centre.

        Returns
        -------
        ndarray of shape (n_samples,)
            Classes.
        """
        codes = most_probable(self._eta(X, sample_domain))
        return self.classes_[codes]

    def _data(self, X, y, sample_domain, sample_weight):
        """Return the rows of all tasks, classes as indicators."""
        X, labels, codes = classes_and_codes(self, X, y)
        Y = indicators(codes, len(labels))
        return _Tasks(self._split(X, Y, sample_domain, sample_weight), labels)

    @staticmethod
    def _likelihoods(domains):
        return [OfRows(LOGISTIC, rows) for rows in domains]

    def _store(self, fit, data):
        self.classes_ = data.classes
        return super()._store(fit, data)

    @staticmethod
    def _shaped(values):
        return values[:-1], values[-1]
