"""The study runner: paired, reproducible, never losing a cell."""

import functools
import warnings
from dataclasses import dataclass
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import sklearn
import threadpoolctl
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skt.study import rerun, run_study
from skt.study.cell import domain_keyword


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
        "design", "method", "repeat", "seed", "metric", "value", "fit_seconds", "warnings", "error",
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


@pytest.mark.parametrize("backend", ["threading", "multiprocessing"])
def test_other_back_ends_give_the_same(backend):
    # Ray's back end is built on multiprocessing: neither can yield results one by one.
    with joblib.parallel_config(backend, n_jobs=2):
        assert values(study(n_repeats=40)) == pytest.approx(values(study(n_repeats=40, n_jobs=1)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of another library's servers
def test_dask_gives_the_same():
    distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")

    def uniform(rng):
        return {"X": rng.uniform(size=(20, 2)), "y": rng.uniform(size=20)}

    def intercept(fitted, data):
        return fitted.intercept_

    def timeless(**options):
        records = study({"uniform": uniform}, metrics={"intercept": intercept}, **options)
        return [record | {"fit_seconds": None} for record in records]

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config("dask"),
    ):
        assert timeless(n_jobs=-1) == timeless(n_jobs=1)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_cells_have_one_blas_thread(n_jobs):
    def uniform(rng):
        return {"X": rng.uniform(size=(20, 2)), "y": rng.uniform(size=20)}

    def most_threads(fitted, data):
        pools = threadpoolctl.threadpool_info()
        return max(pool["num_threads"] for pool in pools if pool["user_api"] == "blas")

    records = study({"uniform": uniform}, metrics={"threads": most_threads}, n_jobs=n_jobs)
    assert set(values(records)) == {1.0}


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
    assert {r["error"] for r in records if r["metric"] == "truth"} == {
        "KeyError: the metric needs 'truth', but the data hold X, y; let the design return it, or "
        "leave the metric out."
    }
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
    assert "/8" in captured.err


# Data ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sized:
    """A design with parameters that promises shapes."""

    n: int
    noise: float = 1.0
    returns: int | None = None

    @property
    def shapes(self):
        return {"X": (self.n, None)}

    def __call__(self, rng):
        n = self.returns or self.n
        return {"X": rng.normal(size=(n, 2)), "y": self.noise * rng.normal(size=n)}


def test_parameters_of_designs_are_columns():
    designs = {"sized": Sized(7, np.float64(0.5)), "partial": functools.partial(gaussian)}
    records = study(designs, n_repeats=1)
    assert (records[0]["n"], records[0]["noise"]) == (7, 0.5)
    assert "n" not in records[-1]


def test_a_design_is_held_to_the_shapes_it_promises():
    records = study({"sized": Sized(7), "wrong": Sized(7, returns=8)}, n_repeats=1)
    assert records[0]["error"] == ""
    assert records[-1]["error"] == (
        "design failed: ValueError: X must have the shape (7, None) that the design promises in "
        "`shapes`; it returned (8, 2)."
    )


def test_rows_of_a_data_set_belong_together():
    def torn(rng):
        return {"X": np.ones((4, 2)), "y": np.ones(5)}

    assert study({"torn": torn})[0]["error"] == (
        "design failed: ValueError: X, y and sample_domain must have as many rows each; X has 4, "
        "y has 5."
    )


def test_no_method_sees_what_another_did_to_the_data():
    def vandal(data):
        data["X"][:] = 0
        data["y"] = None
        return METHODS["ols"]

    metrics = {"first": first_value}
    records = study(methods={"vandal": vandal, **METHODS}, metrics=metrics)
    assert values(records, method="ols") == values(study(metrics=metrics), method="ols")


def test_data_are_drawn_once_for_all_methods():
    drawn = []

    def counted(rng):
        drawn.append(1)
        return gaussian(rng)

    study({"counted": counted}, n_repeats=3)
    assert len(drawn) == 3


def test_data_that_cannot_be_copied_are_drawn_again():
    def lazy(rng):
        return gaussian(rng) | {"numbers": (i for i in range(3))}

    metrics = {"sum": lambda fitted, data: sum(data["numbers"]), "first": first_value}
    records = study({"gaussian": lazy}, metrics=metrics)
    assert values(records, metric="sum") == [3.0] * 8
    expected = values(study(metrics={"first": first_value}))
    assert values(records, metric="first") == expected


def test_studies_do_not_share_data():
    def zeros(rng):
        return {"X": np.zeros((20, 3)), "y": np.ones(20)}

    metrics = {"first": first_value}
    assert values(study({"same name": gaussian}, metrics=metrics, n_repeats=1))[0] != 0
    assert values(study({"same name": zeros}, metrics=metrics, n_repeats=1))[0] == 0


def test_metric_that_needs_the_truth_of_an_object():
    def real(rng):
        return SimpleNamespace(**gaussian(rng))

    records = study({"real": real}, metrics={"risk": lambda fitted, data: data.coef})
    assert records[0]["error"] == (
        "AttributeError: the metric needs 'coef', but the data hold X, y; let the design return "
        "it, or leave the metric out."
    )


def test_other_errors_of_a_metric_are_left_as_they_are():
    metrics = {"a": lambda fitted, data: {}["X"], "b": lambda fitted, data: fitted.none}
    texts = [r["error"] for r in study(metrics=metrics, n_repeats=1)[:2]]
    assert texts == [
        "KeyError: 'X'",
        "AttributeError: 'LinearRegression' object has no attribute 'none'",
    ]


def test_a_cell_can_be_run_again_alone():
    forest = RandomForestRegressor(n_estimators=2)
    metrics = {"prediction": lambda fitted, data: fitted.predict(data["X"])[0]}
    for record in study(methods={"forest": forest}, metrics=metrics, random_state=[3, 4]):
        fitted, data = rerun(gaussian, forest, record["seed"])
        assert fitted.predict(data["X"])[0] == record["value"]


def test_a_cell_that_failed_fails_again_in_sight():
    def broken(data):
        raise RuntimeError("no luck")

    seed = study(methods={"broken": broken})[0]["seed"]
    with pytest.raises(RuntimeError, match="no luck"):
        rerun(gaussian, broken, seed)


def test_names_and_members_may_be_pairs():
    assert values(study(methods=list(METHODS.items()))) == values(study())


# Bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"methods": [Ridge()]}, r"methods must be a mapping .* or a list of \(name, callable\)"),
        ({"methods": "ridge"}, "methods must be a mapping"),
        ({"methods": [("a", Ridge()), ("a", Ridge(2))]}, "methods holds 'a' twice; give each a"),
        ({"methods": {"a": Ridge}}, r"methods\['a'\] must be an estimator, an instance with fit"),
        ({"methods": {"a": 3}}, r"methods\['a'\] must be an estimator.* got 3"),
        ({"designs": {"a": np.ones(3)}}, r"designs\['a'\] must be callable"),
        ({"metrics": {"a": "r2"}}, r"metrics\['a'\] must be callable; got 'r2'"),
        (
            {"designs": {"a": functools.partial(gaussian, method=1)}},
            r"designs\['a'\] has a parameter called 'method', which the records use themselves",
        ),
        ({"designs": {1: gaussian}}, "names of designs must be strings; got 1"),
        ({"n_repeats": 0}, "n_repeats must be a whole number of at least 1; got 0"),
    ],
)
def test_bad_input(wrong, message):
    with pytest.raises((TypeError, ValueError), match=message):
        study(**wrong)
