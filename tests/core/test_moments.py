import dataclasses
import pickle
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone

from skt.core import moments as core
from skt.core.moments import Moments, moments, pairwise_sum

SUMS = ("mean_X", "mean_y", "Sxx", "Sxy", "Syy")


def data(rng, n=50, p=3, q=2):
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p))
    return X, X @ rng.normal(size=(p, q)) + rng.normal(size=(n, q))


def assert_same(a, b, rtol=1e-10):
    """Equal moments, to rounding in units of the standard deviations."""
    assert a.n_samples == b.n_samples
    assert a.feature_names == b.feature_names
    assert_allclose(a.weight, b.weight, rtol=rtol)
    x, y = np.sqrt(np.diag(b.Sxx)), np.sqrt(np.diag(b.Syy))
    units = {
        "mean_X": np.abs(b.mean_X).max(initial=0) + x.max() + 1e-300,
        "mean_y": np.abs(b.mean_y).max(initial=0) + y.max() + 1e-300,
        "Sxx": x.max() ** 2,
        "Sxy": x.max() * y.max(),
        "Syy": y.max() ** 2,
    }
    for name, unit in units.items():
        assert_allclose(getattr(a, name), getattr(b, name), rtol=rtol, atol=rtol * unit)


def textbook(X, y, w=None):
    """The definition, row by row."""
    w = np.ones(len(X)) if w is None else w
    Y = y.reshape(len(y), -1)
    mx, my = w @ X / w.sum(), w @ Y / w.sum()
    A, B = X - mx, Y - my
    WA, WB = w[:, None] * A, w[:, None] * B
    return Moments(np.count_nonzero(w), w.sum(), mx, my, A.T @ WA, A.T @ WB, B.T @ WB)


# Definition ----------------------------------------------------------------------------


@pytest.mark.parametrize("block_rows", [1, 7, 4096])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_are_their_definition(rng, monkeypatch, block_rows, weighted):
    monkeypatch.setattr(core, "BLOCK_ROWS", block_rows)
    X, y = data(rng)
    w = rng.integers(0, 4, size=len(X)) * 0.5 if weighted else None
    assert_same(Moments.from_data(X, y, w), textbook(X, y, w))


def test_one_target_is_a_column(rng):
    X, y = data(rng, q=1)
    flat = Moments.from_data(X, y[:, 0])
    assert (flat.n_targets, flat.mean_y.shape, flat.Sxy.shape) == (1, (1,), (3, 1))
    assert_same(flat, Moments.from_data(X, y))


def test_scale_is_the_standard_deviation(rng):
    X, y = data(rng)
    assert_allclose(Moments.from_data(X, y).scale_X, X.std(axis=0))


def test_one_row():
    m = Moments.from_data([[1.0, 2.0]], [3.0])
    assert_array_equal(m.Sxx, np.zeros((2, 2)))
    assert_array_equal(m.mean_X, [1.0, 2.0])


def test_rows_select_without_the_others(rng):
    X, y = data(rng)
    X[7] = np.nan
    rows = rng.permutation(np.delete(np.arange(50), 7))[:30]
    w = rng.uniform(size=50)
    assert_same(moments(X, y, rows=rows), textbook(X[rows], y[rows]))
    assert_same(moments(X, y, w, rows), textbook(X[rows], y[rows], w[rows]))


@given(seed=st.integers(0, 2**32 - 1), counts=arrays(np.int64, 12, elements=st.integers(0, 3)))
@settings(max_examples=40, deadline=None)
def test_weight_2_is_the_row_twice(seed, counts):
    counts[0] += 1
    X, y = data(np.random.default_rng(seed), n=12)
    weighted = Moments.from_data(X, y, counts)
    repeated = Moments.from_data(np.repeat(X, counts, axis=0), np.repeat(y, counts, axis=0))
    assert weighted.n_samples == np.count_nonzero(counts)
    assert_same(dataclasses.replace(weighted, n_samples=repeated.n_samples), repeated)


def test_rows_of_weight_zero_are_ignored_whatever_they_hold(rng):
    X, y = data(rng)
    w = np.ones(50)
    w[[0, 20]] = 0
    X[0], y[20] = np.nan, np.inf
    keep = w > 0
    assert_same(Moments.from_data(X, y, w), Moments.from_data(X[keep], y[keep]))


# Merging -------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32 - 1),
    cuts=st.tuples(st.integers(1, 18), st.integers(1, 18)).filter(lambda c: c[0] != c[1]),
    offset=st.sampled_from([0.0, 1e3, -1e6]),
)
@settings(max_examples=60, deadline=None)
def test_merging_is_associative_and_commutative(seed, cuts, offset):
    X, y = data(np.random.default_rng(seed), n=20)
    X = X + offset
    a, b, c = (
        Moments.from_data(Xi, yi)
        for Xi, yi in zip(np.split(X, sorted(cuts)), np.split(y, sorted(cuts)), strict=True)
    )
    assert_same((a + b) + c, a + (b + c), rtol=1e-8)
    assert_same(a + b, b + a, rtol=1e-8)
    assert_same(a + b + c, Moments.from_data(X, y), rtol=1e-8)


def test_sum_begins_with_its_zero(rng):
    X, y = data(rng)
    parts = [Moments.from_data(X[i : i + 10], y[i : i + 10]) for i in range(0, 50, 10)]
    assert_same(sum(parts), Moments.from_data(X, y))


def test_only_moments_can_be_added(rng):
    m = Moments.from_data(*data(rng))
    with pytest.raises(TypeError, match="unsupported operand"):
        m + 1
    with pytest.raises(TypeError, match="unsupported operand"):
        1 + m


@pytest.mark.parametrize("n_terms", [1, 2, 3, 7, 8, 21])
def test_pairwise_sum_keeps_the_order_and_stays_shallow(n_terms):
    assert pairwise_sum("abcdefghijklmnopqrstu"[:n_terms]) == "abcdefghijklmnopqrstu"[:n_terms]

    class Depth(int):
        def __add__(self, other):
            return Depth(max(int(self), int(other)) + 1)

    assert pairwise_sum([Depth(0)] * n_terms) <= np.ceil(np.log2(n_terms))


def test_sources_of_different_shapes_do_not_add_up(rng):
    X, y = data(rng)
    m = Moments.from_data(X, y)
    with pytest.raises(ValueError, match="n_features=3 and n_features=2 cannot be added"):
        m + Moments.from_data(X[:, :2], y)
    with pytest.raises(ValueError, match="n_targets=2 and n_targets=1 cannot be added"):
        m + Moments.from_data(X, y[:, 0])


def test_feature_names_must_agree_when_both_are_known(rng):
    X, y = data(rng)
    abc, acb = (Moments.from_data(pd.DataFrame(X, columns=list(c)), y) for c in ("abc", "acb"))
    with pytest.raises(ValueError, match="feature 1 is 'b' in one and 'c' in the other"):
        abc + acb
    assert (abc + Moments.from_data(X, y)).feature_names == ("a", "b", "c")
    assert (Moments.from_data(X, y) + abc).feature_names == ("a", "b", "c")


# Batches -------------------------------------------------------------------------------


def test_batches_are_the_rows_stacked(rng):
    X, y = data(rng)
    w = rng.uniform(size=50)
    w[10:20] = 0
    batches = ((X[i : i + 10], y[i : i + 10], w[i : i + 10]) for i in range(0, 60, 10))
    assert_same(Moments.from_batches(batches), Moments.from_data(X, y, w))


def test_batches_of_record_batches(rng):
    X, y = data(rng, q=1)
    table = pa.table({name: X[:, j] for j, name in enumerate("abc")} | {"y": y[:, 0]})
    batches = ((b.select(list("abc")), b["y"]) for b in table.to_batches(max_chunksize=9))
    expected = Moments.from_data(pd.DataFrame(X, columns=list("abc")), y)
    assert_same(Moments.from_batches(batches), expected)


def test_batches_take_one_pass_in_the_memory_of_a_few():
    alive, most = set(), 0

    class Batch(np.ndarray):
        def __del__(self):
            alive.discard(id(self))

    def batches():
        nonlocal most
        for i in range(64):
            X = np.arange(12.0).reshape(6, 2).view(Batch) + i
            alive.add(id(X))
            most = max(most, len(alive))
            yield X, np.arange(6.0)
            del X

    assert Moments.from_batches(batches()).n_samples == 384
    assert most <= 3


def test_errors_name_the_batch(rng):
    X, y = data(rng)
    with pytest.raises(ValueError, match="batch 1: X has 50 rows but y has 49"):
        Moments.from_batches([(X, y), (X, y[:-1])])
    with pytest.raises(TypeError, match=r"batch 0 is a ndarray; expected \(X, y\)"):
        Moments.from_batches([X])
    with pytest.raises(ValueError, match="no row with positive weight"):
        Moments.from_batches([])
    with pytest.raises(ValueError, match="no row with positive weight"):
        Moments.from_batches([(X, y, np.zeros(50))])


# Rescaling -----------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32 - 1),
    shift=arrays(float, 3, elements=st.floats(-100, 100)),
    scale=arrays(float, 3, elements=st.floats(0.01, 100)),
)
@settings(max_examples=40, deadline=None)
def test_rescaled_moments_are_those_of_rescaled_rows(seed, shift, scale):
    X, y = data(np.random.default_rng(seed))
    rescaled = Moments.from_data(X, y).rescale(shift, scale)
    assert_same(rescaled, Moments.from_data((X - shift) / scale, y), rtol=1e-9)


def test_rescale_takes_numbers_and_keeps_names(rng):
    X, y = data(rng)
    m = Moments.from_data(pd.DataFrame(X, columns=list("abc")), y)
    assert_same(m.rescale(1, 2), m.rescale(np.ones(3), np.full(3, 2)))
    assert m.rescale(1, 2).feature_names == ("a", "b", "c")
    assert_same(m.rescale(), m)


@pytest.mark.parametrize(
    ("shift", "scale", "message"),
    [
        (0, [1, 0, 2], r"scale\[1\] is 0"),
        (0, [1, 2], r"scale has shape \(2,\); expected a number or shape \(3,\)"),
        (np.zeros((3, 1)), 1, r"shift has shape \(3, 1\)"),
        (np.nan, 1, "shift holds NaN"),
    ],
)
def test_rescale_refuses(rng, shift, scale, message):
    with pytest.raises(ValueError, match=message):
        Moments.from_data(*data(rng)).rescale(shift, scale)


# Accuracy ------------------------------------------------------------------------------


def exact_sums(X, y):
    """Sxx and Sxy of the float64 numbers given, in rational arithmetic."""
    columns = [[Fraction(v) for v in column] for column in np.c_[X, y].T.tolist()]
    centred = [[v - sum(c) / len(c) for v in c] for c in columns]
    S = [[sum(a * b for a, b in zip(u, v, strict=True)) for v in centred] for u in centred]
    S = np.array([[float(v) for v in row] for row in S])
    return S[:-1, :-1], S[:-1, -1]


# Rows are centred about one of them, so an offset costs nothing; the means of batches are
# rounded at the size of the offset, which is what their merging can lose.
@pytest.mark.parametrize(
    ("trend", "offset", "batch_rtol"),
    [
        (0, 0, 1e-13),
        (0, 1e6, 1e-11),
        (0, 1e8, 2e-9),
        (2, 0, 1e-13),
        (2, 1e6, 1e-10),
        (2, 1e8, 1e-8),
    ],
)
def test_offsets_cost_no_digits(rng, monkeypatch, trend, offset, batch_rtol):
    monkeypatch.setattr(core, "BLOCK_ROWS", 64)
    X = rng.normal(size=(300, 2)) + offset + trend * np.arange(300)[:, None] / 300
    y = X[:, 0] + rng.normal(size=300)
    Sxx, Sxy = exact_sums(X, y)
    whole = Moments.from_data(X, y)
    parts = Moments.from_batches((X[i : i + 50], y[i : i + 50]) for i in range(0, 300, 50))
    for m, rtol in ((whole, 1e-13), (parts, batch_rtol)):
        x, y_unit = np.sqrt(np.diag(Sxx)), np.sqrt(m.Syy[0, 0])
        assert np.abs((m.Sxx - Sxx) / np.outer(x, x)).max() < rtol
        assert np.abs((m.Sxy[:, 0] - Sxy) / (x * y_unit)).max() < rtol


def test_raw_sums_would_have_lost_them(rng):
    """The test above can fail: raw sums at the same offset keep no digit."""
    X = rng.normal(size=(300, 1)) + 1e8
    Sxx, _ = exact_sums(X, X)
    assert abs((X.T @ X - 300 * X.mean() ** 2) / Sxx - 1).item() > 1e-2


def test_float32_is_summed_in_float64(rng):
    X, y = data(rng, n=500)
    X, y = (X + 1e4).astype(np.float32), y.astype(np.float32)
    m = Moments.from_data(X, y)
    assert m.Sxx.dtype == np.float64
    assert_same(m, Moments.from_data(X.astype(float), y.astype(float)), rtol=1e-14)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_extreme_scales(rng, scale):
    X, y = data(rng)
    m = Moments.from_data(scale * X, y)
    assert_allclose(m.Sxx / scale / scale, textbook(X, y).Sxx, rtol=1e-8)
    assert_same(m.rescale(0, scale), Moments.from_data(X, y))


def test_overflow_is_an_error(rng):
    X, y = data(rng)
    with pytest.raises(ValueError, match="the squares of X or y overflow float64"):
        Moments.from_data(1e200 * X, y)


# Kinds of input ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        np.asfortranarray,
        lambda A: np.repeat(A, 2, axis=0)[::2],
        lambda A: A.tolist(),
        lambda A: pd.DataFrame(A, columns=range(A.shape[1])),
    ],
    ids=["fortran", "strided", "list", "frame without names"],
)
def test_kinds_of_arrays_agree(rng, kind):
    X, y = data(rng)
    assert_same(Moments.from_data(kind(X), kind(y)), Moments.from_data(X, y), rtol=1e-14)


@pytest.mark.parametrize("table", [pd.DataFrame, pl.DataFrame, pa.table])
def test_tables_keep_their_names(rng, table):
    X, y = data(rng)
    columns = {name: X[:, j] for j, name in enumerate("abc")}
    m = Moments.from_data(table(columns), y)
    assert m.feature_names == ("a", "b", "c")
    assert all(type(name) is str for name in m.feature_names)
    assert_same(dataclasses.replace(m, feature_names=None), Moments.from_data(X, y))


def test_input_is_left_as_it_was(rng):
    X, y = data(rng)
    w = rng.uniform(size=50)
    before = X.copy(), y.copy(), w.copy()
    for array in (X, y, w):
        array.flags.writeable = False
    Moments.from_data(X, y, w)
    for array, copy in zip((X, y, w), before, strict=True):
        assert_array_equal(array, copy)


def test_integers_and_booleans(rng):
    X, y = rng.integers(0, 5, size=(40, 3)), rng.integers(0, 2, size=40).astype(bool)
    expected = Moments.from_data(X.astype(float), y.astype(float))
    assert_same(Moments.from_data(X.astype(np.uint8), y), expected)
    assert_same(Moments.from_data(X.astype(object), y), expected)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda X, y: (X[0], y), ValueError, "X has 1 dimensions; expected 2"),
        (lambda X, y: (X, y[..., None]), ValueError, "y has 3 dimensions"),
        (lambda X, y: (X, y[:-1]), ValueError, "X has 50 rows but y has 49; give one target"),
        (lambda X, y: (X[:0], y[:0]), ValueError, "no row with positive weight"),
        (lambda X, y: (sparse.csr_matrix(X), y), TypeError, r"X is sparse; .* X\.toarray\(\)"),
        (lambda X, y: (X.astype(str).astype(object) + "a", y), ValueError, "X holds values that"),
        (lambda X, y: (X, y + 1j), ValueError, "y holds values that are not real numbers"),
        (lambda X, y: (X, y, [1.0]), ValueError, r"sample_weight has shape \(1,\); expected \(50,"),
        (lambda X, y: (X, y, np.full(50, np.nan)), ValueError, "sample_weight holds NaN"),
        (lambda X, y: (X, y, np.r_[np.ones(49), -1]), ValueError, "is negative in row 49"),
        (lambda X, y: (X, y, np.zeros(50)), ValueError, "sample_weight is zero in every row"),
    ],
)
def test_wrong_data_is_refused(rng, change, error, message):
    with pytest.raises(error, match=message):
        Moments.from_data(*change(*data(rng)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_found(rng, monkeypatch, value):
    monkeypatch.setattr(core, "BLOCK_ROWS", 16)
    X, y = data(rng)
    X[37, 2] = value
    with pytest.raises(ValueError, match=f"X holds {value} in row 37, column 2"):
        Moments.from_data(X, y)
    X[37, 2], y[41, 1] = 0, value
    with pytest.raises(ValueError, match=f"y holds {value} in row 41, column 1"):
        moments(X, y, rows=np.arange(49, -1, -1))


def test_mixed_column_names_are_refused():
    X = pd.DataFrame([[1.0, 2.0]], columns=["a", 1])
    with pytest.raises(TypeError, match="column names of several types; expected all strings"):
        Moments.from_data(X, [1.0])


# The object ----------------------------------------------------------------------------

VALID = {
    "n_samples": 3,
    "weight": 3.0,
    "mean_X": np.zeros(2),
    "mean_y": np.zeros(1),
    "Sxx": np.eye(2),
    "Sxy": np.zeros((2, 1)),
    "Syy": np.eye(1),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_samples": 0}, "n_samples is 0; expected a number of rows"),
        ({"n_samples": 2.5}, "n_samples is 2.5"),
        ({"weight": 0.0}, "weight is 0.0; expected a positive number"),
        ({"weight": np.nan}, "weight is nan"),
        ({"Sxx": np.eye(3)}, r"Sxx has shape \(3, 3\); expected \(2, 2\)"),
        ({"Sxy": np.zeros(2)}, r"Sxy has shape \(2,\); expected \(2, 1\)"),
        ({"Sxx": -np.eye(2)}, r"Sxx\[0, 0\] is -1.0; a sum of squares is not negative"),
        ({"Sxx": [[1, 0.5], [0, 1]]}, "Sxx is not symmetric"),
        ({"mean_X": [0, np.inf]}, "mean_X holds NaN or infinity"),
        ({"feature_names": ["a"]}, "feature_names has 1 names but there are 2 features"),
    ],
)
def test_constructor_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        Moments(**(VALID | change))


def test_immutable(rng):
    Sxx = np.eye(2)
    m = Moments(**(VALID | {"Sxx": Sxx}))
    Sxx[0, 0] = 7
    assert m.Sxx[0, 0] == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        m.weight = 1
    for thawed in (m, pickle.loads(pickle.dumps(m)), m + m, m.rescale(1, 2)):
        for name in SUMS:
            with pytest.raises(ValueError, match="read-only"):
                getattr(thawed, name)[...] = 0


def test_clone_returns_the_same_object(rng):
    m = Moments(**VALID)
    assert clone(m, safe=False) is m
    assert clone({"a": m}, safe=False)["a"] is m


def test_repr(rng):
    X, y = data(rng)
    assert (
        repr(Moments.from_data(X, y))
        == "Moments(n_samples=50, n_features=3, n_targets=2, weight=50)"
    )
    assert repr(Moments(**VALID | {"weight": 2.5})).endswith("weight=2.5)")


@pytest.mark.parametrize("names", [None, ("größe", "b c")])
def test_save_and_load(tmp_path, names):
    m = Moments(**VALID | {"Sxx": [[np.pi, 0.1], [0.1, 1]]}, feature_names=names)
    path = tmp_path / "no suffix is added"
    m.save(path)
    back = Moments.load(str(path))
    assert (back.n_samples, back.weight, back.feature_names) == (3, 3.0, names)
    assert names is None or type(back.feature_names[0]) is str
    for name in SUMS:
        assert_array_equal(getattr(back, name), getattr(m, name))


def test_load_refuses_pickles_and_other_files(tmp_path):
    path = tmp_path / "m.npz"
    np.savez(path, **VALID | {"Sxx": np.array([object()])})
    with pytest.raises(ValueError, match=r"m\.npz does not hold Moments .*allow_pickle"):
        Moments.load(path)
    np.savez(path, a=1)
    with pytest.raises(ValueError, match=r"does not hold Moments .* Moments\.save wrote"):
        Moments.load(path)
    path.write_text("text")
    with pytest.raises(ValueError, match="does not hold Moments"):
        Moments.load(path)
    with pytest.raises(FileNotFoundError):
        Moments.load(tmp_path / "absent.npz")
