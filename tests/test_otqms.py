import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from skt import OTQMSSampler, SourceSampled, SourceWeighted


@parametrize_with_checks(
    [
        OTQMSSampler(),
        OTQMSSampler("linear", min_samples=0),
        SourceSampled(LinearRegression()),
        SourceSampled(LogisticRegression(), OTQMSSampler(random_state=0)),
        SourceSampled(HistGradientBoostingRegressor(max_iter=5)),
        SourceWeighted(Ridge()),
        SourceWeighted(LogisticRegression()),
    ]
)
def test_scikit_learn(estimator, check):
    check(estimator)
