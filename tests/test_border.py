"""Questions to small arrays: the compiled answers are those of NumPy."""

from collections import namedtuple

import numpy as np
import pytest

from convkit import _ext, border

compiled = _ext.compiled("border")
pytestmark = pytest.mark.skipif(compiled is None, reason="not compiled")

FIRST, SECOND = np.arange(12.0).reshape(3, 4), np.arange(12, dtype=np.float32)


@pytest.mark.parametrize(
    "x",
    [
        FIRST, SECOND, FIRST.T, FIRST[:, 1:], FIRST[:0], np.array(1.0), np.arange(3), FIRST.astype(">f8"),
        FIRST.astype(np.float16), FIRST.astype(np.longdouble), np.ma.masked_array(FIRST), FIRST.tolist(),
        np.zeros(9, np.uint8)[1:].view(np.float64), None, 1.0, FIRST.view(np.recarray),
    ],
    ids=range(16),
)  # fmt: skip
def test_is_operand(x):
    assert compiled.is_operand(x) == border.in_numpy["is_operand"](x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "x", [FIRST, FIRST[0], SECOND, SECOND[:4], SECOND[::3], FIRST[:, 1], [1.0] * 4, None], ids=range(8)
)
def test_is_vector(x, dtype):
    answers = {f(x, 4, np.dtype(dtype)) for f in (compiled.is_vector, border.in_numpy["is_vector"])}
    assert answers == {
        isinstance(x, np.ndarray) and x.strides == (x.itemsize,) and x.shape == (4,) and x.dtype == dtype
    }


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        True,
        3.0,
        np.int64(3),
        (),
        (1,),
        (1, 2, 3),
        (1, True),
        (1, None),
        ((1, 2), (3, 4)),
        [1],
        "same",
    ],
)
def test_is_key(value):
    assert compiled.is_key(value) == border.in_numpy["is_key"](value)


both = pytest.mark.parametrize(
    "recalled", [border.recalled, border.in_numpy["recalled"]], ids=["C", "Python"]
)


@both
def test_what_was_asked_before_is_recalled_by_values_and_types(recalled):
    asked = []

    def make(*args):
        asked.append(args)
        return (len(asked), np.empty(10_000 if args[0] == "large" else 1))

    ask = recalled(make)
    first = ask("small", (1, 2), 0)
    assert ask("small", (1, 2), 0) is first
    for equal in (("small", (1, 2), False), ("small", (1, 2), 0.0)):
        assert ask(*equal) is not first
    assert asked[1:] == [("small", (1, 2), False), ("small", (1, 2), 0.0)]
    assert ask("small", (1, 2), 0) is first
    assert ask("large") is not ask("large")  # tables that would fill the memory
    assert ask("small", [1, 2]) is not ask("small", [1, 2])  # no hash
    changing = type("Changing", (), {"__index__": lambda self: 2})()
    assert ask("small", changing) is not ask("small", changing)  # a hash, and whatever value it has then
    assert ask("small", (changing, 1)) is not ask("small", (changing, 1))
    ask.cache_clear()
    assert ask("small", (1, 2), 0) is not first


def test_no_more_than_many_results_are_kept():
    ask = border.recalled(lambda n: (n, object()))
    first = ask(0)
    assert all(ask(n)[0] == n for n in range(1, 1024))
    assert ask(0) is first
    ask(1024)
    assert ask(0) is not first


@both
def test_equal_options_of_another_type_inside_a_tuple_are_asked_anew(recalled):
    ask = recalled(lambda option: (option, object()))
    assert ask((1, 0)) is not ask((True, 0))
    pair = namedtuple("pair", "h w")
    assert ask(pair(1, 0)) is not ask(pair(1, False))
    assert ask(pair(1, 0)) is not ask((1, 0))
    assert ask(pair(5, 6)) is ask(pair(5, 6))


def test_seen():
    for seen in (compiled.seen, border.in_numpy["seen"]):
        view = seen(FIRST, (1, 2, 2, 3))
        np.testing.assert_array_equal(view, FIRST.reshape(1, 2, 2, 3))
        assert view.base is FIRST.base
        with pytest.raises(ValueError, match="cannot reshape"):
            seen(FIRST, (5, 2))
    with pytest.raises(ValueError, match="at most 4 axes"):
        compiled.seen(FIRST, (1, 1, 1, 1, 12))


@pytest.mark.parametrize("b", [FIRST, FIRST[1:], FIRST[:, 0], FIRST[:, 1], SECOND, FIRST[3:]], ids=range(6))
@pytest.mark.parametrize("a", [FIRST[:2], FIRST[:, 1], FIRST[2], FIRST.copy()], ids=range(4))
def test_overlap(a, b):
    assert compiled.overlap(a, b) == border.in_numpy["overlap"](a, b)


@pytest.mark.parametrize(
    ("out", "taken"),
    [
        (np.empty((3, 4)), True),
        (np.empty((4, 3)).T, False),
        (np.empty((3, 5)), False),
        (np.empty(12), False),
        (np.empty((3, 4), np.float32), False),
        (np.empty((3, 4), ">f8"), False),
        (np.broadcast_to(0.0, (3, 4)), False),
        (np.empty((3, 4)).view(np.recarray), False),
        (FIRST, False),
        (None, False),
    ],
    ids=range(10),
)
def test_takes(out, taken):
    read_only = np.empty((3, 4))
    read_only.flags.writeable = False
    for takes in (compiled.takes, border.in_numpy["takes"]):
        assert takes(out, (3, 4), np.dtype(np.float64), (SECOND, FIRST)) == taken
        assert not takes(read_only, (3, 4), np.dtype(np.float64), ())


def test_vector_seen():
    v = np.arange(6.0)
    for vector_seen in (compiled.vector_seen, border.in_numpy["vector_seen"]):
        seen = vector_seen(v, (2, 3), np.dtype(np.float64))
        np.testing.assert_array_equal(seen, v.reshape(2, 3))
        assert np.shares_memory(seen, v)
        for wrong in (v[:5], v.reshape(2, 3), v[::-1], v.astype(np.float32), v.tolist(), None):
            assert vector_seen(wrong, (2, 3), np.dtype(np.float64)) is None


@pytest.mark.parametrize(
    ("shape", "made"),
    [((2, 3), True), ((), True), ((2, 3, 1, 2), True), ((13,), False), ((2**62, 2**62), False)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small(shape, made, dtype):
    for small in (compiled.small, border.in_numpy["small"]):
        array = small(shape, np.dtype(dtype), 12)
        assert (array is not None) == made
        assert not made or (array.shape == shape and array.dtype == dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("last", [(), (7.0,)])
def test_filled(last, dtype):
    """A kernel gets its arrays in its own shapes; what it fills comes back in the caller's."""
    x, calls = np.arange(6, dtype=dtype), []

    def kernel(y, *given):
        calls.append((y.shape, given[0].shape, *given[1:]))
        y[...] = given[0].sum()

    plan = ((2, 3), (2, 1, 1), "rows", "columns", (1, 2))
    for filled in (compiled.filled, border.in_numpy["filled"]):
        y = filled(kernel, x, plan, last, 2)
        assert (y.dtype, y.tolist()) == (dtype, [[15.0, 15.0]])
        assert filled(kernel, x, plan, last, 1) is None, "two elements are not small"
        assert filled(kernel, x, (*plan[:4], (0, 2)), last, 2) is None, "an empty result needs no kernel"
    assert calls == [((2, 1, 1), (2, 3), "rows", "columns", *last)] * 2


def test_filled_with_a_second_output():
    """Both outputs have one shape, and each its dtype."""
    x = np.arange(6, dtype=np.float32)

    def kernel(y, where, *given):
        y[...], where[...] = given[0].max(), given[0].argmax()
        assert (y.shape, where.shape, given[0].shape, given[1:]) == ((2, 1, 1), (2, 1, 1), (2, 3), ("h", "w"))

    plan = ((2, 3), (2, 1, 1), "h", "w", (1, 2))
    for filled in (compiled.filled, border.in_numpy["filled"]):
        y, where = filled(kernel, x, plan, (), 2, np.dtype(np.int64))
        assert (y.dtype, y.tolist()) == (np.float32, [[5.0, 5.0]])
        assert (where.dtype, where.tolist()) == (np.int64, [[5, 5]])
        assert filled(kernel, x, plan, (), 1, np.dtype(np.int64)) is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_statistics(dtype):
    mean, var = np.array([1, -2, np.nan], dtype), np.array([0, 0.7, np.nan], dtype)
    for eps in (0.0, 1e-5):
        got, expected = (
            f(mean, var, eps) for f in (compiled.given_statistics, border.in_numpy["given_statistics"])
        )
        assert got[0].dtype == got[1].dtype == np.float64
        np.testing.assert_array_equal(got, expected)
    for given_statistics in (compiled.given_statistics, border.in_numpy["given_statistics"]):
        with pytest.raises(ValueError, match=r"running_var must be at least 0, got -0.5"):
            given_statistics(mean, np.array([np.nan, -0.5, 1], dtype), 1e-5)


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4", ">f8"])
@pytest.mark.parametrize("step", [1, 2, -1])
def test_move(dtype, step):
    start = np.linspace(-1, 1, 12).astype(dtype)
    batch = np.random.default_rng(0).standard_normal(12)[:: abs(step)].copy()
    got, expected = start.copy(), start.copy()
    compiled.move(got[::step], batch, 0.1, 4 / 3)
    border.in_numpy["move"](expected[::step], batch, 0.1, 4 / 3)
    np.testing.assert_array_equal(got, expected)
    assert (got != start).sum() == batch.size


def test_move_refuses_another_length():
    with pytest.raises(ValueError, match="3 channels, the batch 2"):
        compiled.move(np.zeros(3), np.zeros(2), 0.1, 1.0)
