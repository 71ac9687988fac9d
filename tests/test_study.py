"""The study runner: paired, reproducible, never losing a cell."""

import math
import warnings

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skt.study import domain_keyword, run_study, summarize


def gaussian(rng):
    X = rng.normal(size=(20, 3))
    return {"X": X, "y": X @ [1.0, 2.0, 3.0] + rng.normal(size=20)}


def first_value(fitted, data):
    return data["X"][0, 0]


def squared_norm(fitted, data):
    return fitted.coef_ @ fitted.coef_


METHODS = {"ols": LinearRegression(), "ridge": Ridge(alpha=50.0)}


def study(designs=None, methods=None, metrics=None, n_repeats=4, **kwargs):
    return run_study(
        designs or {"gaussian": gaussian},
        methods or METHODS,
        metrics=metrics or {"norm": squared_norm},
        n_repeats=n_repeats,
        **{"random_state": 0, "progress": False} | kwargs,
    )


def values(records, **where):
    return [r["value"] for r in records if all(r[key] == value for key, value in where.items())]


class DomainRegressor(RegressorMixin, BaseEstimator):
    """Remembers what it was given."""

    def fit(self, X, y, sample_domain=None):
        self.sample_domain_ = sample_domain
        return self


def test_records_are_flat_and_complete():
    records = study(n_repeats=3)
    assert len(records) == 3 * 2
    assert set(records[0]) == {
        "design", "method", "repeat", "metric", "value", "fit_seconds", "warnings", "error",
    }  # fmt: skip
    assert [r["repeat"] for r in records] == [0, 0, 1, 1, 2, 2]
    assert all(isinstance(r["value"], float) and r["error"] == "" for r in records)


def test_methods_of_a_repeat_share_their_data():
    records = study(metrics={"first": first_value})
    assert values(records, method="ols") == values(records, method="ridge")
    assert len(set(values(records, method="ols"))) == 4


def test_more_repeats_contain_the_first():
    assert values(study(n_repeats=6))[:8] == values(study(n_repeats=4))


def test_a_cell_depends_on_no_other_design_or_method():
    wider = study(
        designs={"other": gaussian, "gaussian": gaussian}, methods={"ols": METHODS["ols"]}
    )
    assert values(wider, design="gaussian") == values(study(), method="ols")
    assert values(wider, design="gaussian") != values(wider, design="other")


def test_random_state_decides_everything():
    assert values(study(random_state=1)) == values(study(random_state=np.random.SeedSequence(1)))
    assert values(study(random_state=1)) != values(study(random_state=2))


def test_parallel_equals_sequential():
    # Local functions travel to the workers by value; they cannot import this module.
    def uniform(rng):
        return {"X": rng.uniform(size=(20, 2)), "y": rng.uniform(size=20)}

    def intercept(fitted, data):
        return fitted.intercept_

    sequential, parallel = (
        study({"uniform": uniform}, metrics={"intercept": intercept}, n_jobs=n_jobs)
        for n_jobs in (None, 2)
    )
    assert values(parallel) == pytest.approx(values(sequential), rel=1e-12)


def test_random_estimators_are_seeded_also_inside_a_pipeline():
    forest = make_pipeline(StandardScaler(), RandomForestRegressor(n_estimators=3))
    metrics = {"prediction": lambda fitted, data: fitted.predict(data["X"])[0]}
    first, again = (study(methods={"forest": forest}, metrics=metrics) for _ in range(2))
    assert values(first) == values(again)


def test_failing_fit_is_recorded_and_stops_nothing():
    def broken(data):
        raise RuntimeError("no luck")

    records = study(methods={"broken": broken, **METHODS})
    assert {r["error"] for r in records if r["method"] == "broken"} == {"RuntimeError: no luck"}
    assert np.isnan(values(records, method="broken")).all()
    assert np.isfinite(values(records, method="ols")).all()


def test_failing_metric_spoils_only_itself():
    metrics = {"norm": squared_norm, "truth": lambda fitted, data: data["truth"]}
    records = study(metrics=metrics)
    assert {r["error"] for r in records if r["metric"] == "truth"} == {"KeyError: 'truth'"}
    assert np.isfinite(values(records, metric="norm")).all()


def test_failing_design_is_recorded_for_every_method():
    records = study(designs={"impossible": lambda rng: 1 / 0, "gaussian": gaussian})
    failed = [r for r in records if r["design"] == "impossible"]
    assert len(failed) == 8
    assert failed[0]["error"] == "design failed: ZeroDivisionError: division by zero"


def test_warnings_are_recorded_once_each():
    def noisy(data):
        for _ in range(3):
            warnings.warn("careful", UserWarning, stacklevel=1)
        return METHODS["ols"].fit(data["X"], data["y"])

    assert {r["warnings"] for r in study(methods={"noisy": noisy})} == {"UserWarning: careful"}


def test_estimators_receive_sample_domain():
    def labelled(rng):
        return gaussian(rng) | {"sample_domain": ["target"] * 20}

    metrics = {"labels": lambda fitted, data: len(fitted.sample_domain_)}
    records = study({"labelled": labelled}, {"domain": DomainRegressor()}, metrics)
    assert values(records) == [20.0] * 4


def test_estimators_that_know_no_domains_say_what_to_do():
    def labelled(rng):
        return gaussian(rng) | {"sample_domain": ["target"] * 20}

    records = study({"labelled": labelled})
    assert "Ridge.fit takes no sample_domain; pass a callable" in records[1]["error"]


@pytest.mark.parametrize(
    ("routing", "expected"), [(False, "domainregressor__sample_domain"), (True, "sample_domain")]
)
def test_domain_keyword_of_a_pipeline(routing, expected):
    with sklearn.config_context(enable_metadata_routing=routing):
        pipeline = make_pipeline(StandardScaler(), DomainRegressor())
        assert domain_keyword(pipeline) == expected
        assert domain_keyword(GridSearchCV(pipeline, {})) == expected
        assert domain_keyword(Ridge()) is None


def test_progress_is_written_to_stderr_only(capsys):
    study(progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "/4" in captured.err


def record(method, repeat, value):
    return {"design": "d", "metric": "m", "method": method, "repeat": repeat, "value": value}


def test_summary_by_hand():
    records = [record("base", i, v) for i, v in enumerate([2.0, 4.0, 6.0])]
    records += [record("new", i, v) for i, v in enumerate([1.0, 2.0, 6.0])]
    base, new = summarize(records, baseline="base")
    assert (base["mean"], base["ratio"], base["difference"]) == (4.0, 1.0, 0.0)
    assert base["standard_error"] == pytest.approx(2 / math.sqrt(3))
    assert new["ratio"] == pytest.approx(9 / 12)
    assert new["difference"] == pytest.approx(-1.0)
    assert new["difference_error"] == pytest.approx(1 / math.sqrt(3))


def test_summary_pairs_only_what_succeeded_in_both():
    records = [record("base", i, v) for i, v in enumerate([2.0, math.nan, 6.0])]
    records += [record("new", i, v) for i, v in enumerate([1.0, 2.0, math.inf])]
    base, new = summarize(records, baseline="base")
    assert (base["n_failures"], new["n_failures"]) == (1, 1)
    assert (new["mean"], new["ratio"], new["difference"]) == (1.5, 0.5, -1.0)
    assert math.isnan(new["difference_error"])


def test_summary_leaves_out_what_is_no_number():
    records = [record("base", 0, 1.0), record("base", 0, np.ones(3)) | {"metric": "rows"}]
    assert [row["metric"] for row in summarize(records)] == ["m"]
    assert "ratio" not in summarize(records)[0]


def test_summary_of_an_unknown_baseline():
    with pytest.raises(ValueError, match=r"one of the methods \['base'\]; got 'bass'"):
        summarize([record("base", 0, 1.0)], baseline="bass")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"methods": [Ridge()]}, "methods must be a mapping"),
        ({"designs": {1: gaussian}}, "names of designs must be strings; got 1"),
        ({"n_repeats": 0}, "n_repeats must be a whole number of at least 1; got 0"),
    ],
)
def test_bad_input(wrong, message):
    with pytest.raises((TypeError, ValueError), match=message):
        study(**wrong)
