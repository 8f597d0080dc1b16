"""Convolution: numbers worked by hand, other people's convolutions, and the adjoint identity."""

import numpy as np
import pytest
from comparator import assert_bits, assert_close, assert_equal
from geometries import geometries, inner, integers, quick, reals
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import convolve2d, correlate2d

import convkit
from convkit.dispatch import why_not
from convkit.geometry import PADDING_MODES, per_axis
from convkit.registry import KERNELS

CONV = {1: convkit.conv1d, 2: convkit.conv2d}
CONV_BACKWARD = {1: convkit.conv1d_backward, 2: convkit.conv2d_backward}


# --- numbers worked by hand ----------------------------------------------------------------


def test_nine_products_and_a_bias():
    x = np.array([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]])
    w = np.array([[[[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]]])  # Sobel
    # 1 - 3 + 2*(4 - 6) + 7 - 9 = -8, and the bias 10
    assert_equal(convkit.conv2d(x, w, np.array([10.0])), np.array([[[[2.0]]]]))


def test_a_filter_adds_up_its_channels():
    """One 3x3x3 filter makes one channel; two filters make two."""
    x = np.ones((1, 3, 5, 5))
    w = np.stack([np.full((3, 3, 3), 1.0), np.full((3, 3, 3), 2.0)])
    want = np.stack([np.full((3, 3), 27.0), np.full((3, 3), 54.0)])[None]
    assert_equal(convkit.conv2d(x, w), want)


def test_rule_25_networks_correlate_and_flip_convolves():
    x, w = np.array([[1.0, 2.0, 4.0]]), np.array([[[1.0, 10.0]]])
    assert_equal(convkit.conv1d(x, w), np.array([[21.0, 42.0]]))  # 1 + 20, 2 + 40
    assert_equal(convkit.conv1d(x, w, flip=True), np.array([[12.0, 24.0]]))  # 10 + 2, 20 + 4


def test_rule_26_weight_layout():
    """(OC, IC / groups, KH, KW); depthwise, the m outputs of a channel stand side by side."""
    x = np.array([1.0, 100.0]).reshape(1, 2, 1, 1)
    depthwise = np.array([1.0, 2.0, 3.0, 4.0]).reshape(4, 1, 1, 1)
    assert_equal(convkit.conv2d(x, depthwise, groups=2).ravel(), np.array([1.0, 2.0, 300.0, 400.0]))
    full = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1)
    assert_equal(convkit.conv2d(x, full).ravel(), np.array([201.0, 403.0]))


def test_rule_4_equal_shapes_hide_different_values():
    x, w = np.arange(224.0).reshape(1, 224), np.ones((1, 1, 7))
    same = convkit.conv1d(x, w, stride=2, padding="same")
    symmetric = convkit.conv1d(x, w, stride=2, padding=3)
    assert same.shape == symmetric.shape == (1, 112)
    assert same[0, 0] == 0 + 1 + 2 + 3 + 4  # two zeros before
    assert symmetric[0, 0] == 0 + 1 + 2 + 3  # three
    assert_equal(same, convkit.conv1d(x, w, stride=2, padding=[(2, 3)]))


@pytest.mark.parametrize(
    ("padding", "pairs"),
    [
        (2, ((2, 2), (2, 2))),
        ([1], ((1, 1), (1, 1))),
        ((1, 2), ((1, 1), (2, 2))),
        ("valid", ((0, 0), (0, 0))),
        ("same", ((0, 1), (1, 1))),
        ([[0, 1], (3, 2)], ((0, 1), (3, 2))),
    ],
)
def test_rule_5_every_way_to_write_padding(padding, pairs):
    x, w = integers(1, 2, 5, 6), integers(3, 2, 2, 3)
    (top, bottom), (left, right) = pairs
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    assert_equal(convkit.conv2d(x, w, padding=padding), convkit.conv2d(padded, w))


def test_rule_7_dilation_1_means_none():
    x, w = integers(1, 1, 7, 7), integers(1, 1, 2, 2)
    assert_equal(convkit.conv2d(x, w, dilation=1), convkit.conv2d(x, w))
    spread = np.zeros((1, 1, 3, 3))
    spread[..., ::2, ::2] = w
    assert_equal(convkit.conv2d(x, w, dilation=2), convkit.conv2d(x, spread))


# --- against others, and against itself ----------------------------------------------------


@pytest.mark.parametrize(("flip", "scipy_s"), [(False, correlate2d), (True, convolve2d)])
@pytest.mark.parametrize(
    ("mode", "boundary"), [("zeros", "fill"), ("circular", "wrap"), ("symmetric", "symm")]
)
def test_scipy_agrees(flip, scipy_s, mode, boundary):
    x, w = integers(7, 6), integers(3, 5)
    want = scipy_s(x, w, mode="same", boundary=boundary)
    got = convkit.conv2d(x[None], w[None, None], padding="same", padding_mode=mode, flip=flip)
    assert_equal(got[0], want)


every_exact_one = pytest.mark.parametrize(
    ("backend", "algorithm"),
    [(k.backend, k.algorithm) for k in KERNELS if k.op == "conv2d" and k.exact and not why_not(k.backend)],
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@every_exact_one
def test_algorithms_agree_exactly_on_small_integers(backend, algorithm, dtype):
    x, w, b = integers(2, 4, 7, 5, dtype=dtype), integers(6, 2, 3, 2, dtype=dtype), integers(6, dtype=dtype)
    options = {"stride": (2, 1), "padding": ((1, 2), (0, 3)), "dilation": (1, 2), "groups": 2}
    for mode in PADDING_MODES:
        got = convkit.conv2d(x, w, b, **options, padding_mode=mode, algorithm=algorithm, backend=backend)
        assert_equal(got, convkit.conv2d(x, w, b, **options, padding_mode=mode, backend="reference"))
        assert got.any()


@every_exact_one
def test_rule_29_a_stride_near_the_largest_number(backend, algorithm):
    x, w = integers(2, 3, 6, 7), integers(4, 3, 3, 2)
    got = convkit.conv2d(x, w, stride=2**63 - 1, backend=backend, algorithm=algorithm)
    assert_equal(got, convkit.conv2d(x[..., :3, :2], w, backend="reference"))


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("flip", [False, True])
def test_adjoint_identities(rank, flip):
    """<Ax, y> = <x, A'y> for x, for w and for b, at any geometry: the gradients are the adjoints."""

    @quick
    @given(geometries(rank))
    def check(drawn):
        geometry, mode = drawn
        x, w, grad_y = integers(*geometry.x), integers(*geometry.w, seed=1), integers(*geometry.y, seed=2)
        b = integers(geometry.w[0], seed=3)
        options = {**geometry.options, "padding_mode": mode, "flip": flip}
        y, with_bias = CONV[rank](x, w, **options), CONV[rank](x, w, b, **options)
        grad_x, grad_w, grad_b = CONV_BACKWARD[rank](grad_y, x, w, **options)
        assert y.shape == geometry.y
        assert inner(y, grad_y) == inner(x, grad_x) == inner(w, grad_w)
        assert inner(with_bias, grad_y) - inner(y, grad_y) == inner(b, grad_b)

    check()


@pytest.mark.parametrize(("stride", "pair", "dilation"), [(1, (0, 0), 1), (2, (1, 1), 1), (1, (3, 1), 2)])
def test_one_axis_is_two_axes_of_height_one(stride, pair, dilation):
    x, w, b = integers(2, 3, 9), integers(4, 3, 2), integers(4)
    one = convkit.conv1d(x, w, b, stride, [pair], dilation)
    two = convkit.conv2d(x[:, :, None], w[:, :, None], b, (1, stride), ((0, 0), pair), (1, dilation))
    assert_equal(one, two[:, :, 0])


def test_rule_32_each_image_comes_out_as_if_it_were_alone():
    x, w, b = reals(5, 3, 9, 8), reals(4, 3, 3, 3), reals(4)
    together = convkit.conv2d(x, w, b, padding=1)
    assert_bits(convkit.conv2d(x, w, b, padding=1), together)
    for image, y in zip(x, together, strict=True):
        assert_bits(convkit.conv2d(image, w, b, padding=1), y)


# --- gradients -----------------------------------------------------------------------------


def test_rule_27_pixels_that_the_stride_dropped_get_zero_gradient():
    x, w = integers(1, 1, 6, 8), np.ones((1, 1, 2, 3))
    y = convkit.conv2d(x, w, stride=(2, 4))
    assert y.shape == (1, 1, 3, 2)  # columns 3 and 7 are read by no window
    grad_x = convkit.conv2d_backward(np.ones(y.shape), x, w, stride=(2, 4)).grad_x
    assert_equal(grad_x, np.tile([1.0, 1, 1, 0, 1, 1, 1, 0], (1, 1, 6, 1)))


@pytest.mark.parametrize(
    "needs", [(a, b, c) for a in (True, False) for b in (True, False) for c in (True, False)]
)
def test_only_the_gradients_that_are_needed(needs):
    x, w, grad_y = integers(2, 3, 5, 5), integers(4, 3, 3, 3), integers(2, 4, 3, 3)
    everything = convkit.conv2d_backward(grad_y, x, w)
    some = convkit.conv2d_backward(grad_y, x if needs[1] else x.shape, w, needs=needs)
    for need, got, want in zip(needs, some, everything, strict=True):
        if need:
            assert_equal(got, want)
        else:
            assert got is None


# --- borders of the definition -------------------------------------------------------------


def test_rule_28_an_empty_batch_has_empty_output_and_zero_weight_gradient():
    x, w, b = np.empty((0, 3, 5, 5)), integers(4, 3, 3, 3), integers(4)
    y = convkit.conv2d(x, w, b)
    assert_equal(y, np.empty((0, 4, 3, 3)))
    grad_x, grad_w, grad_b = convkit.conv2d_backward(y, x, w)
    assert_equal(grad_x, x)
    assert_equal(grad_w, np.zeros(w.shape))
    assert_equal(grad_b, np.zeros(4))


@pytest.mark.parametrize("rank", [1, 2])
def test_rule_34_without_the_batch_axis(rank):
    x, w, b = integers(3, *(6,) * rank), integers(2, 3, *(3,) * rank), integers(2)
    y = CONV[rank](x, w, b)
    assert_equal(y, CONV[rank](x[None], w, b)[0])
    alone, batched = CONV_BACKWARD[rank](y, x, w), CONV_BACKWARD[rank](y[None], x[None], w)
    assert_equal(alone.grad_x, batched.grad_x[0])
    assert_equal(alone.grad_w, batched.grad_w)


def test_rule_33_nan_and_infinity_reach_what_reads_them_and_nothing_else():
    x = np.ones((1, 1, 3, 5))
    x[0, 0, 1, 0], x[0, 0, 1, 4] = np.nan, np.inf
    y = convkit.conv2d(x, np.ones((1, 1, 3, 3)))
    assert_equal(y, np.array([[[[np.nan, 9.0, np.inf]]]]))
    w = np.ones((1, 1, 3, 3))
    w[0, 0, 1, 2] = 0.0
    assert np.isnan(convkit.conv2d(x, w)[0, 0, 0, 2])  # 0 * inf


def test_a_kernel_larger_than_the_image_sees_all_of_it():
    x = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    y = convkit.conv2d(x, np.ones((1, 1, 5, 5)), padding=2)
    assert_equal(y, np.full((1, 1, 2, 2), 10.0))


# --- prepared filters ----------------------------------------------------------------------


@pytest.mark.parametrize("flip", [True, False])
def test_prepared_filters_do_what_the_function_does_and_keep_their_own_copy(flip):
    x, w, b = integers(2, 2, 6, 6), integers(3, 2, 3, 3), integers(3)
    options = {"stride": [2, 1], "padding": "same", "padding_mode": "reflect", "flip": flip}
    want = convkit.conv2d(x, w, b, **options)
    prepared = convkit.prepare_conv2d(w, b, **options)
    w[...], b[...], options["stride"][0] = 0, 0, 1
    assert_equal(prepared(x), want)
    out = np.empty_like(want)
    assert prepared(x, out=out) is out
    assert_equal(out, want)
    assert repr(prepared) == (
        "prepared conv2d of filters (3, 2, 3, 3): stride=(2, 1), padding='same', dilation=1, groups=1, "
        "padding_mode='reflect', algorithm='auto', backend='auto'"
    )


@quick
@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_float32_errs_by_no_more_than_its_sum_allows(n, k, s, d):
    """Each output is a sum of t products: at most t + 1 roundings, each half an ulp of the terms."""
    n += d * (k - 1)
    x, w = reals(1, 2, n, n, dtype="float32"), reals(1, 2, k, k, dtype="float32")
    options = {"stride": per_axis(s, 2, "stride"), "dilation": d}
    exact = convkit.conv2d(x.astype("float64"), w.astype("float64"), **options)
    terms = convkit.conv2d(np.abs(x).astype("float64"), np.abs(w).astype("float64"), **options)
    bound = (2 * k * k + 1) * np.finfo("float32").eps / 2 * terms
    assert_close(convkit.conv2d(x, w, **options).astype("float64"), exact, bound)
