"""Max pooling: brute force, ties, NaN, -infinity, and where the gradient goes."""

import brute_force
import numpy as np
import pytest
from comparator import assert_close, assert_equal
from every_backend import on_every_backend
from geometries import central_differences, inner, integers, quick
from hypothesis import assume, given
from hypothesis import strategies as st

import convkit

pytestmark = on_every_backend("max_pool2d", "max_pool2d_indices", "max_pool2d_backward")


@st.composite
def axes(draw, d):
    """Draw size, window, stride and padding of an axis of which every window holds a real cell."""
    k, s = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    p = draw(st.integers(0, k // 2))
    return draw(st.integers(max(d * (k - 1) + 1 - 2 * p, (k - 1) * (d - 1) + 1), 11)), k, s, p


@quick
@given(st.data(), st.integers(1, 3), st.booleans(), st.sampled_from([(3,), (2, 2), (1, 1)]))
def test_every_window_by_brute_force(data, d, ceil_mode, leading):
    n, k, s, p = zip(data.draw(axes(d)), data.draw(axes(d)), strict=True)
    for a in (0, 1):
        cells = brute_force.windows(n[a], k[a], s[a], p[a], d, ceil_mode)
        assume(all(any(0 <= i < n[a] for i in w) for w in cells))
    x = integers(*leading, *n)  # few values, so there are ties
    y, indices = convkit.max_pool2d(x, k, s, p, d, ceil_mode, return_indices=True)
    want, where = brute_force.max_pool2d(x.reshape(-1, *n), k, s, p, d, ceil_mode)
    assert_equal(y.reshape(want.shape), want)
    assert_equal(indices.reshape(want.shape), where)
    assert_equal(convkit.max_pool2d(x, k, s, p, d, ceil_mode), y)

    grad_y = integers(*y.shape, seed=1)
    grad_x = convkit.max_pool2d_backward(grad_y, x, k, s, p, d, ceil_mode)
    assert_equal(convkit.max_pool2d_backward(grad_y, x.shape, k, s, p, d, ceil_mode, indices=indices), grad_x)
    assert inner(y, grad_y) == inner(x, grad_x)  # linear once the winners are chosen


def test_one_axis_by_hand():
    x = np.array([[3.0, 1.0, 4.0, 1.0, 5.0]])
    y, indices = convkit.max_pool1d(x, 3, 1, return_indices=True)
    assert_equal(y, np.array([[4.0, 4.0, 5.0]]))
    assert_equal(indices, np.array([[2, 2, 4]]))
    assert_equal(
        convkit.max_pool1d_backward(np.array([[1.0, 10.0, 100.0]]), x, 3, 1), np.array([[0.0, 0, 11, 0, 100]])
    )


def test_rule_12_padding_is_minus_infinity_and_never_zero():
    x = np.full((1, 2, 2), -5.0)
    assert_equal(convkit.max_pool2d(x, 3, 1, 1), x)
    dilated = convkit.max_pool1d(np.array([[-1.0, -2.0, -3.0]]), 2, 1, 1, dilation=2)
    assert_equal(dilated, np.array([[-2.0, -1.0, -2.0]]))  # (pad, 2nd), (1st, 3rd), (2nd, pad)


def test_rule_14_the_first_of_equals_wins():
    indices = convkit.max_pool2d(np.ones((1, 3, 3)), 2, 1, return_indices=True).indices
    assert_equal(indices, np.array([[[0, 1], [3, 4]]]))
    zeros = np.array([[-0.0, 0.0, -0.0]])
    assert convkit.max_pool1d(zeros, 3, return_indices=True).indices == 0


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rule_14_a_nan_wins_wherever_it_stands(place, dtype):
    x = np.array([[np.inf, 1.0, -np.inf, 2.0]], dtype)
    x[0, place] = np.nan
    y, indices = convkit.max_pool1d(x, 4, return_indices=True)
    assert_equal(y, np.array([[np.nan]], dtype))
    assert indices == place


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_rule_14_windows_of_nothing_else_have_an_index_inside_them(value):
    x = np.full((2, 5, 5), value)
    y, indices = convkit.max_pool2d(x, 3, 2, 1, return_indices=True)
    assert_equal(y, np.full((2, 3, 3), value))
    for plane in indices:
        for (i, j), at in np.ndenumerate(plane):
            assert abs(at // 5 - 2 * i) <= 1
            assert abs(at % 5 - 2 * j) <= 1
    grad_x = convkit.max_pool2d_backward(np.ones(y.shape), x, 3, 2, 1)
    assert grad_x.sum() == y.size


def test_gradient_by_central_differences_away_from_ties():
    x = np.random.default_rng(0).permutation(np.arange(72.0)).reshape(2, 6, 6)  # all differ by at least 1
    grad_y = integers(2, 3, 3)
    numeric = central_differences(lambda x: convkit.max_pool2d(x, 3, 2, 1), x, grad_y, h=0.25)
    assert_close(convkit.max_pool2d_backward(grad_y, x, 3, 2, 1), numeric, 0.0)  # linear there: exact


@pytest.mark.parametrize("bad", [-1, 36, 2**62, -(2**63)])
def test_rule_35_indices_are_looked_at_before_they_are_used(bad):
    x = integers(1, 1, 6, 6)
    y, indices = convkit.max_pool2d(x, 2, return_indices=True)
    indices[0, 0, 1, 1] = bad
    with pytest.raises(ValueError, match=f"indices must be at least 0 and below 36, got {bad}"):
        convkit.max_pool2d_backward(y, x.shape, 2, indices=indices)
    out = np.full_like(x, 5)
    with pytest.raises(ValueError, match="indices must be at least 0"):
        convkit.max_pool2d_backward(y, x.shape, 2, indices=indices, out=out)
    assert_equal(out, np.full_like(x, 5))


def test_rule_29_a_dilation_near_the_largest_number():
    x = integers(2, 3, 4, 5)
    y, indices = convkit.max_pool2d(x, 1, dilation=2**63 - 1, return_indices=True)
    assert_equal(y, x)
    assert_equal(indices[0, 0], np.arange(20).reshape(4, 5))


def test_rule_35_indices_of_another_shape_or_kind():
    x = integers(1, 1, 6, 6)
    y, indices = convkit.max_pool2d(x, 2, return_indices=True)
    with pytest.raises(
        ValueError, match=r"indices must have the output's shape \(1, 1, 3, 3\), got \(1, 3, 3\)"
    ):
        convkit.max_pool2d_backward(y, x, 2, indices=indices[0])
    for wrong in (indices.astype(np.int32), indices.astype(float), indices.tolist()):
        with pytest.raises(TypeError, match="indices must be an array of int64"):
            convkit.max_pool2d_backward(y, x, 2, indices=wrong)


def test_rule_28_an_empty_batch():
    x = np.empty((0, 3, 4, 4), np.float32)
    y, indices = convkit.max_pool2d(x, 2, return_indices=True)
    assert_equal(y, np.empty((0, 3, 2, 2), np.float32))
    assert_equal(indices, np.empty((0, 3, 2, 2), np.int64))
    assert_equal(convkit.max_pool2d_backward(y, x, 2, indices=indices), x)


def test_rule_34_without_the_batch_axis():
    x = integers(3, 6, 7)
    y, indices = convkit.max_pool2d(x, 2, return_indices=True)
    batched = convkit.max_pool2d(x[None], 2, return_indices=True)
    assert_equal(y, batched.y[0])
    assert_equal(indices, batched.indices[0])


def test_a_shape_alone_does_not_say_where_the_maxima_were():
    with pytest.raises(
        TypeError, match=r"x must be the array itself.*got \(1, 1, 4, 4\).*only with indices="
    ):
        convkit.max_pool2d_backward(np.ones((1, 1, 2, 2)), (1, 1, 4, 4), 2)
