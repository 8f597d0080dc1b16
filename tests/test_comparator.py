"""The comparator is tested with planted faults: it must refuse each of them."""

import numpy as np
import pytest
from comparator import assert_bits, assert_close, assert_equal

WANT = np.arange(24, dtype=np.float32).reshape(2, 3, 4)

ALL = pytest.mark.parametrize(
    "compare", [assert_bits, assert_equal, lambda got, want: assert_close(got, want, 0.5)]
)


def planted(value, at=(1, 2, 3), array=WANT):
    faulty = array.copy()
    faulty[at] = value
    return faulty


@ALL
def test_the_same_is_accepted(compare):
    compare(WANT.copy(), WANT)
    for special in (np.nan, np.inf, -np.inf):
        compare(planted(special), planted(special))
    compare(WANT[:0], WANT[:0])
    compare(np.array(1.5), np.array(1.5))


@ALL
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 22.0, 24.0])
def test_one_wrong_element(compare, value):
    with pytest.raises(AssertionError, match=r"1 of 24 .*\n.*first at \(1, 2, 3\)"):
        compare(planted(value), WANT)
    with pytest.raises(AssertionError, match="1 of 24"):
        compare(WANT, planted(value))


@ALL
def test_an_infinity_of_the_wrong_sign_and_a_nan_elsewhere(compare):
    with pytest.raises(AssertionError, match="1 of 24"):
        compare(planted(np.inf), planted(-np.inf))
    with pytest.raises(AssertionError, match="1 of 24"):
        compare(planted(np.nan), planted(np.inf))
    with pytest.raises(AssertionError, match="2 of 24"):
        compare(planted(np.nan), planted(np.nan, at=(0, 0, 0)))


@ALL
def test_wrong_shape_even_if_it_broadcasts(compare):
    for got in (WANT[:1], WANT[None], WANT[..., None], WANT.reshape(2, 12), WANT[:0]):
        with pytest.raises(AssertionError, match="shape"):
            compare(got, WANT)
    with pytest.raises(AssertionError, match="shape"):
        compare(np.zeros((2, 3, 4), np.float32), np.zeros((1, 1, 1), np.float32))


@ALL
@pytest.mark.parametrize("dtype", ["float64", "int32", ">f4"])
def test_wrong_dtype(compare, dtype):
    with pytest.raises(AssertionError, match="dtype"):
        compare(WANT.astype(dtype), WANT)


@ALL
def test_not_an_array(compare):
    with pytest.raises(AssertionError, match="got a list"):
        compare(WANT.tolist(), WANT)
    with pytest.raises(AssertionError, match="want a float"):
        compare(np.array(1.0), 1.0)


def test_integers_and_booleans():
    indices = np.array([0, 2**53, 7])
    assert_equal(indices.copy(), indices)
    with pytest.raises(AssertionError, match=r"first at \(1,\)"):
        assert_equal(np.array([0, 2**53 + 1, 7]), indices)  # one apart, and the same in float64
    mask = np.array([True, False])
    assert_equal(mask.copy(), mask)
    with pytest.raises(AssertionError, match="2 of 2"):
        assert_equal(~mask, mask)


def test_zeros_of_both_signs_are_equal_values_of_different_bits():
    plus, minus = np.array([0.0]), np.array([-0.0])
    assert_equal(minus, plus)
    assert_close(minus, plus, 0.0)
    with pytest.raises(AssertionError, match="1 of 1"):
        assert_bits(minus, plus)


def test_bits_tell_one_nan_from_another():
    nan = np.array([0x7FF8000000000000], dtype=np.uint64).view(np.float64)
    other = np.array([0x7FF8000000000001], dtype=np.uint64).view(np.float64)
    assert_equal(other, nan)
    with pytest.raises(AssertionError, match="1 of 1"):
        assert_bits(other, nan)


def test_the_bound_is_each_element_s_own():
    want, bound = np.zeros(3), np.array([0.0, 1.0, 2.0])
    assert_close(np.array([0.0, 1.0, -2.0]), want, bound)
    with pytest.raises(AssertionError, match=r"first at \(1,\)"):
        assert_close(np.array([0.0, 1.1, 2.0]), want, bound)
    with pytest.raises(AssertionError, match=r"first at \(0,\)"):
        assert_close(np.array([1e-300, 0.0, 0.0]), want, bound)


@pytest.mark.parametrize("bound", [np.nan, np.inf, -1.0, np.array([0.0, np.nan])])
def test_a_bound_that_would_accept_anything_is_refused(bound):
    with pytest.raises(AssertionError, match="bound"):
        assert_close(np.zeros(2), np.zeros(2), bound)


def test_the_report_names_the_first_and_the_worst():
    got = np.array([0.0, 1.0, 5.0, 0.0])
    with pytest.raises(AssertionError) as failure:
        assert_equal(got, np.zeros(4), "grad_x")
    report = str(failure.value)
    assert report.startswith("grad_x: 2 of 4 elements are wrong")
    assert "first at (1,): got np.float64(1.0), want np.float64(0.0)" in report
    assert "worst at (2,): got np.float64(5.0)" in report
