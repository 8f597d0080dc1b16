"""Transposed convolution: worked by hand, and held against the convolution that it transposes."""

import numpy as np
import pytest
from comparator import assert_equal
from geometries import geometries, inner, integers, quick
from hypothesis import assume, given

import convkit
from convkit.geometry import conv_transpose_output_size

TRANSPOSE = {1: convkit.conv_transpose1d, 2: convkit.conv_transpose2d}
BACKWARD = {1: convkit.conv_transpose1d_backward, 2: convkit.conv_transpose2d_backward}
CONV = {1: convkit.conv1d, 2: convkit.conv2d}


def left_over(geometry):
    """Return the cells that the convolution's stride left over: the ``output_padding`` that restores them."""
    o, rank = geometry.options, len(geometry.w) - 2
    axes = zip(
        geometry.x[-rank:], geometry.y[-rank:], geometry.w[-rank:], o["stride"], o["dilation"], o["padding"],
        strict=True,
    )  # fmt: skip
    return tuple(n + sum(p) - conv_transpose_output_size(y, k, s, d) for n, y, k, s, d, p in axes)


def test_each_input_is_spread_by_the_kernel():
    x, w = np.array([[1.0, 10.0]]), np.array([[[1.0, 2.0, 3.0]]])
    # 1 2 3
    #   10 20 30
    assert_equal(convkit.conv_transpose1d(x, w), np.array([[1.0, 12.0, 23.0, 30.0]]))
    assert_equal(convkit.conv_transpose1d(x, w, stride=2), np.array([[1.0, 2.0, 13.0, 20.0, 30.0]]))
    assert_equal(convkit.conv_transpose1d(x, w, padding=1), np.array([[12.0, 23.0]]))  # crops
    assert_equal(convkit.conv_transpose1d(x, w, flip=True), np.array([[3.0, 32.0, 21.0, 10.0]]))
    assert_equal(convkit.conv_transpose1d(x, w, dilation=2), np.array([[1.0, 10.0, 2.0, 20.0, 3.0, 30.0]]))


def test_rule_6_output_padding_selects_a_size_and_appends_no_zeros():
    x, w = np.array([[1.0, 10.0]]), np.array([[[1.0, 2.0, 3.0]]])
    short = convkit.conv_transpose1d(x, w, stride=2, padding=1)
    long = convkit.conv_transpose1d(x, w, stride=2, padding=1, output_padding=1)
    assert_equal(short, np.array([[2.0, 13.0, 20.0]]))
    assert_equal(long, np.array([[2.0, 13.0, 20.0, 30.0]]))  # what the padding would have cropped
    for y in (short, long):
        assert convkit.conv1d(y, w, stride=2, padding=1).shape == x.shape


def test_rule_26_transposed_weight_layout():
    """(IC, OC / groups, KH, KW)."""
    x = np.array([1.0, 100.0]).reshape(2, 1, 1)
    w = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).reshape(2, 3, 1, 1)
    assert_equal(convkit.conv_transpose2d(x, w).ravel(), np.array([401.0, 502.0, 603.0]))
    split = convkit.conv_transpose2d(x, w, groups=2).ravel()
    assert_equal(split, np.array([1.0, 2.0, 3.0, 400.0, 500.0, 600.0]))


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("flip", [False, True])
def test_rule_27_it_is_the_adjoint_of_the_convolution(rank, flip):
    """<conv(x), y> = <x, conv_transpose(y)>, in every padding mode; and it is conv's gradient for x."""

    @quick
    @given(geometries(rank))
    def check(drawn):
        geometry, mode = drawn
        x, w, y = integers(*geometry.x), integers(*geometry.w, seed=1), integers(*geometry.y, seed=2)
        options = {**geometry.options, "padding_mode": mode, "flip": flip}
        back = TRANSPOSE[rank](y, w, output_padding=left_over(geometry), **options)
        assert back.shape == x.shape
        assert inner(CONV[rank](x, w, **options), y) == inner(x, back)

    check()


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("flip", [False, True])
def test_adjoint_identities_of_its_own_gradients(rank, flip):
    @quick
    @given(geometries(rank))
    def check(drawn):
        geometry, mode = drawn
        options = {**geometry.options, "flip": flip, "padding_mode": mode}
        x, w = integers(*geometry.y), integers(*geometry.w, seed=1)
        b = integers(geometry.w[1] * options["groups"], seed=2)
        sizes = zip(x.shape[-rank:], w.shape[2:], *list(geometry.options.values())[:3], strict=True)
        out = [s * (n - 1) + d * (k - 1) + 1 - sum(p) for n, k, s, p, d in sizes]
        assume(min(out) >= (2 if mode == "reflect" else 1))
        y, with_bias = TRANSPOSE[rank](x, w, **options), TRANSPOSE[rank](x, w, b, **options)
        assert y.shape[-rank:] == tuple(out)
        grad_y = integers(*y.shape, seed=3)
        grad_x, grad_w, grad_b = BACKWARD[rank](grad_y, x, w, **options)
        assert inner(y, grad_y) == inner(x, grad_x) == inner(w, grad_w)
        assert inner(with_bias, grad_y) - inner(y, grad_y) == inner(b, grad_b)

    check()


def test_rule_28_an_empty_batch():
    x, w = np.empty((0, 3, 4, 4)), integers(3, 2, 3, 3)
    y = convkit.conv_transpose2d(x, w, integers(2))
    assert_equal(y, np.empty((0, 2, 6, 6)))
    gradients = convkit.conv_transpose2d_backward(y, x, w)
    assert_equal(gradients.grad_x, x)
    assert_equal(gradients.grad_w, np.zeros(w.shape))
    assert_equal(gradients.grad_b, np.zeros(2))


def test_rule_34_without_the_batch_axis():
    x, w = integers(3, 4, 5), integers(3, 2, 3, 3)
    y = convkit.conv_transpose2d(x, w, stride=2)
    assert_equal(y, convkit.conv_transpose2d(x[None], w, stride=2)[0])
    alone = convkit.conv_transpose2d_backward(y, x, w, stride=2)
    batched = convkit.conv_transpose2d_backward(y[None], x[None], w, stride=2)
    assert_equal(alone.grad_x, batched.grad_x[0])
    assert_equal(alone.grad_w, batched.grad_w)


def test_pixels_that_no_window_reads_get_the_bias_alone():
    y = convkit.conv_transpose1d(np.ones((1, 2)), np.ones((1, 1, 1)), np.array([5.0]), stride=3)
    assert_equal(y, np.array([[6.0, 5.0, 5.0, 6.0]]))


def test_only_the_gradients_that_are_needed():
    x, w, grad_y = integers(1, 2, 3), integers(2, 3, 2), integers(1, 3, 4)
    everything = convkit.conv_transpose1d_backward(grad_y, x, w)
    only_x = convkit.conv_transpose1d_backward(grad_y, (1, 2, 3), w, needs=(True, False, False))
    assert_equal(only_x.grad_x, everything.grad_x)
    assert only_x.grad_w is None
    assert only_x.grad_b is None
