"""Padding: NumPy's, one axis after the other; and its gradient, which accumulates."""

import numpy as np
import pytest
import scipy.ndimage
from brute_force import pad as pad_by_numpy
from comparator import assert_equal
from every_backend import on_every_backend
from geometries import inner, integers, quick
from hypothesis import assume, given
from hypothesis import strategies as st

import convkit
from convkit.geometry import PADDING_MODES

pytestmark = on_every_backend("pad2d", "pad2d_backward")

MODES = ("constant", *PADDING_MODES[1:])


def test_rule_8_the_last_axis_comes_first():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    padded = convkit.pad(x, (1, 2, 0, 1))  # left, right, top, bottom
    assert_equal(padded, np.array([[0.0, 1, 2, 0, 0], [0, 3, 4, 0, 0], [0, 0, 0, 0, 0]]))
    assert_equal(convkit.pad(x, (0, 1)), np.array([[1.0, 2, 0], [3, 4, 0]]))


def test_rule_8_negative_padding_crops():
    x = integers(2, 5, 6)
    assert_equal(convkit.pad(x, (-1, -2, 2, -3)), np.pad(x[:, :2, 1:4], ((0, 0), (2, 0), (0, 0))))
    assert_equal(convkit.pad(x, (-1, 1), value=7.0)[..., -1], np.full((2, 5), 7.0))


@pytest.mark.parametrize(
    ("mode", "want"),
    [
        ("constant", "...abcd..."),
        ("reflect", "dcbabcdcba"),
        ("symmetric", "cbaabcddcb"),
        ("replicate", "aaaabcdddd"),
        ("circular", "bcdabcdabc"),
    ],
)
def test_rules_9_and_10_by_hand(mode, want):
    letters = np.frombuffer(b"abcd", np.uint8).astype(np.float64)
    padded = convkit.pad(letters, (3, 3), mode, value=ord(".") if mode == "constant" else 0)
    assert bytes(padded.astype(np.uint8)).decode() == want


@pytest.mark.parametrize(
    ("ours", "scipy_s"),
    [("symmetric", "reflect"), ("reflect", "mirror"), ("replicate", "nearest"), ("circular", "grid-wrap")],
)
def test_rule_10_the_names_clash_with_scipy_s(ours, scipy_s):
    x = integers(9)
    shifted = [scipy.ndimage.shift(x, s, order=0, mode=scipy_s) for s in (3, -3)]
    padded = convkit.pad(x, (3, 3), ours)
    assert_equal(padded[:9], shifted[0])
    assert_equal(padded[-9:], shifted[1])


@pytest.mark.parametrize("backend", ["auto", "reference"])
@quick
@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(*[st.integers(-3, 12)] * 4),
    st.sampled_from(MODES),
    st.sampled_from([(), (2,), (1, 3)]),
)
def test_every_mode_is_numpy_s_and_its_gradient_the_adjoint(backend, size, padding, mode, leading):
    left, right, top, bottom = padding
    if mode != "constant":
        assume(min(padding) >= 0)
        assume(mode != "reflect" or min(size) > 1)
    assume(size[0] + min(top, 0) + min(bottom, 0) > 0 and size[1] + min(left, 0) + min(right, 0) > 0)
    x = integers(*leading, *size)
    name = "zeros" if mode == "constant" else mode
    want = pad_by_numpy(x, ((top, bottom), (left, right)), name)
    y = convkit.pad(x, padding, mode, backend=backend)
    assert_equal(y, want)
    grad_y = integers(*y.shape, seed=1)
    assert inner(y, grad_y) == inner(x, convkit.pad_backward(grad_y, x, padding, mode, backend=backend))


@pytest.mark.parametrize(
    ("mode", "want"),
    [
        ("constant", [1, 1, 1, 1]),
        ("reflect", [1, 2, 3, 1]),  # c b | a b c d | c
        ("symmetric", [2, 2, 1, 2]),  # b a | a b c d | d
        ("replicate", [3, 1, 1, 2]),  # a a | a b c d | d
        ("circular", [2, 1, 2, 2]),  # c d | a b c d | a
    ],
)
def test_rule_11_the_gradient_counts_how_often_each_cell_is_shown(mode, want):
    shown = convkit.pad_backward(np.ones(7), (4,), (2, 1), mode)
    assert_equal(shown, np.array(want, dtype=np.float64))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 3, np.float32(2.5)])
def test_the_border_is_the_value(value):
    padded = convkit.pad(np.ones(1), (1, 0), value=value)
    assert_equal(padded, np.array([value, 1.0], dtype=np.float64))


def test_rule_33_nan_and_infinity_are_copied():
    x = np.array([np.nan, np.inf, -0.0])
    assert_equal(convkit.pad(x, (1, 1), "replicate"), np.array([np.nan, np.nan, np.inf, -0.0, -0.0]))


def test_rule_28_an_empty_stack_of_images():
    assert_equal(convkit.pad(np.empty((0, 3, 4)), (1, 1, 1, 1)), np.empty((0, 5, 6)))
    assert_equal(convkit.pad_backward(np.empty((0, 5, 6)), (0, 3, 4), (1, 1, 1, 1)), np.empty((0, 3, 4)))


def test_rule_34_any_number_of_leading_axes():
    x = integers(2, 3, 2, 4, 5)
    padded = convkit.pad(x, (1, 0, 2, 1), "reflect")
    assert padded.shape == (2, 3, 2, 7, 6)
    for i in np.ndindex(2, 3, 2):
        assert_equal(padded[i], convkit.pad(x[i], (1, 0, 2, 1), "reflect"))


def test_a_finite_value_stays_finite():
    """semantics.md, rule 31: no silent cast."""
    x = np.ones(2, np.float32)
    with pytest.raises(ValueError, match=r"value must be finite in float32, the type of x, got 1e\+300"):
        convkit.pad(x, (1, 0), value=1e300)
    assert convkit.pad(x, (1, 0), value=-np.inf)[0] == -np.inf
    assert convkit.pad(x.astype(float), (1, 0), value=1e300)[0] == 1e300
