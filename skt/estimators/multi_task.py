"""Every domain as target and source at once: UOWQ for many tasks."""

import numbers

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from skt._sklearn import check_sample_weight
from skt.core import multi_task
from skt.core.families import LOGISTIC, indicators
from skt.core.rows import Rows
from skt.core.uowq_glm import OfRows
from skt.estimators.base import FromSources, small_blas
from skt.sources.designs import Design
from skt.sources.labels import split_every_domain

UNSEEN = ("mean", "error")


class _MultiTask(FromSources, BaseEstimator):
    """Abstract base: one fit of the random effects of all tasks."""

    __metadata_request__predict = {"sample_domain": True}
    __metadata_request__score = {"sample_domain": True}

    def __init__(self, *, guard="left-out", alpha="auto", fit_intercept=True, unseen="mean"):
        self.guard = guard
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.unseen = unseen

    def _check_parameters(self):
        if self.unseen not in UNSEEN:
            raise ValueError(f"unseen must be 'mean' or 'error'; got {self.unseen!r}.")
        if self.guard not in ("left-out", None):
            raise ValueError(f"guard must be 'left-out' or None; got {self.guard!r}.")
        number = isinstance(self.alpha, numbers.Real) and 0 < self.alpha < np.inf
        if not number and not (isinstance(self.alpha, str) and self.alpha == "auto"):
            raise ValueError(f"alpha must be 'auto' or a number > 0; got {self.alpha!r}.")

    def _fit(self, X, Y, sample_domain, sample_weight, likelihoods):
        """Fit all tasks and set what they have in common; restore their coefficients."""
        weight = check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        table = Rows(X.astype(np.float64, copy=False), Y, weight)
        split = split_every_domain(sample_domain, len(X))
        split = {name: rows[weight[rows] > 0] for name, rows in split.items()}
        split = {name: rows for name, rows in split.items() if len(rows)}
        if not split:
            raise ValueError("sample_weight is zero for every row; some must be positive.")
        domains = [table.take(rows) for rows in split.values()]
        design = Design.of(domains, self.fit_intercept)
        tasks = likelihoods([design.rows(rows) for rows in domains])
        slopes = design.slopes(Y.shape[1])
        n = np.array([rows.n for rows in domains])
        centre = None if isinstance(self.alpha, str) else 1 / (2 * float(np.mean(n)) * self.alpha)
        with small_blas(len(slopes)):
            fit = multi_task.fit_tasks(tasks, slopes, centre=centre, guard=self.guard is not None)
        self.task_names_ = list(split)
        self.n_task_samples_ = n
        self.task_shares_ = fit.shares
        self.task_weights_ = multi_task.weights_from_shares(fit.shares, n)
        self.helps_ = multi_task.helps(fit.shares)
        self.risk_, self.own_risk_ = fit.risk, fit.own_risk
        self.n_iter_ = fit.n_iter
        restored = [design.restored(theta) for theta in [*fit.theta, fit.centre]]
        return (np.array(part) for part in zip(*restored, strict=True))

    def _eta(self, X, sample_domain):
        """Return linear predictors of rows, each of its own task, (n_samples, q)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
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


class UOWQMultiTaskRegressor(RegressorMixin, _MultiTask):
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

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit all tasks.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of all tasks.
        y : array-like of shape (n_samples,)
            Outcomes.
        sample_domain : array-like of shape (n_samples,), default=None
            Task of each row, integers or strings. None: one task.
        sample_weight : array-like of shape (n_samples,), default=None
            Row counts: weight 2 is the row twice.

        Returns
        -------
        self : UOWQMultiTaskRegressor
            The fitted estimator.
        """
        self._check_parameters()
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], y_numeric=True)
        y = np.asarray(y, dtype=np.float64)
        mean, spread = y.mean(), y.std() or 1.0
        coef, intercept = self._fit(
            X,
            ((y - mean * bool(self.fit_intercept)) / spread)[:, None],
            sample_domain,
            sample_weight,
            multi_task.gaussian_tasks,
        )
        self._coef = coef * spread
        self._intercept = intercept * spread + mean * bool(self.fit_intercept)
        self.coef_, self.mean_coef_ = self._coef[:-1, 0], self._coef[-1, 0]
        self.intercept_, self.mean_intercept_ = self._intercept[:-1, 0], self._intercept[-1, 0]
        return self

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

    def score(self, X, y, sample_weight=None, sample_domain=None):
        """R2 of the predictions.

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
            1 where all is predicted, 0 as the mean predicts.
        """
        return r2_score(y, self.predict(X, sample_domain), sample_weight=sample_weight)


class UOWQMultiTaskClassifier(ClassifierMixin, _MultiTask):
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

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit all tasks.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of all tasks.
        y : array-like of shape (n_samples,)
            Classes, labels of any type.
        sample_domain : array-like of shape (n_samples,), default=None
            Task of each row, integers or strings. None: one task.
        sample_weight : array-like of shape (n_samples,), default=None
            Row counts: weight 2 is the row twice.

        Returns
        -------
        self : UOWQMultiTaskClassifier
            The fitted estimator.
        """
        self._check_parameters()
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds one class only, {self.classes_.tolist()[0]!r}; a classifier needs at "
                "least two."
            )
        self._coef, self._intercept = self._fit(
            X,
            indicators(codes, len(self.classes_)),
            sample_domain,
            sample_weight,
            lambda domains: [OfRows(LOGISTIC, rows) for rows in domains],
        )
        self.coef_, self.mean_coef_ = self._coef[:-1], self._coef[-1]
        self.intercept_, self.mean_intercept_ = self._intercept[:-1], self._intercept[-1]
        return self

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
        eta = self._eta(X, sample_domain)
        return eta[:, 0] if len(self.classes_) == 2 else eta

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
        eta = self.decision_function(X, sample_domain)
        if eta.ndim == 1:
            return np.column_stack([expit(-eta), expit(eta)])
        return softmax(eta, axis=1)

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
        eta = self.decision_function(X, sample_domain)
        codes = (eta > 0).astype(int) if eta.ndim == 1 else np.argmax(eta, axis=1)
        return self.classes_[codes]

    def score(self, X, y, sample_weight=None, sample_domain=None):
        """Accuracy of the predictions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Row counts.
        sample_domain : array-like of shape (n_samples,), default=None
            Task of each row.

        Returns
        -------
        float
            Share of rows predicted right.
        """
        return accuracy_score(y, self.predict(X, sample_domain), sample_weight=sample_weight)
