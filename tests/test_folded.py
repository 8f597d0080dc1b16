"""BatchNorm folded into the convolution before it, and the bias that BatchNorm makes redundant."""

import re

import numpy as np
import pytest
from api_calls import refused
from comparator import assert_bits, assert_close, assert_equal
from geometries import integers, reals

import convkit

CONVOLUTIONS = {
    "conv1d": (convkit.conv1d, (2, 4, 9), (6, 4, 3), {"padding": 1}),
    "conv2d": (convkit.conv2d, (2, 4, 6, 5), (6, 4, 3, 2), {"stride": 2, "padding": (1, 0)}),
    "conv2d in groups": (convkit.conv2d, (2, 4, 6, 5), (6, 2, 3, 3), {"groups": 2}),
    "depthwise": (convkit.conv2d, (2, 4, 6, 5), (8, 1, 3, 3), {"groups": 4, "padding": 1}),
}
TRANSPOSED = {
    "conv_transpose1d": (convkit.conv_transpose1d, (2, 4, 5), (4, 6, 3), {"stride": 2}),
    "conv_transpose2d": (convkit.conv_transpose2d, (2, 4, 5, 3), (4, 6, 3, 2), {"stride": 2, "padding": 1}),
    "conv_transpose2d in groups": (convkit.conv_transpose2d, (2, 4, 3, 3), (4, 3, 2, 2), {"groups": 2}),
}


def statistics(channels, dtype):
    mean, weight, bias = (reals(channels, seed=s, dtype=dtype) for s in (1, 2, 3))
    return mean, reals(channels, seed=4, dtype=dtype) ** 2 + np.asarray(0.1, dtype), weight, bias


def as_channels(v, ndim):
    return v.reshape(-1, *(1,) * (ndim - 2))


def same_as_both_layers(name, conv, x_shape, w_shape, options, dtype, with_bias, transposed):
    """Compare conv and batch norm with the folded conv, element by element, within what rounding may do."""
    x, w = reals(*x_shape, dtype=dtype), reals(*w_shape, seed=5, dtype=dtype)
    groups = options.get("groups", 1)
    channels = w_shape[1] * groups if transposed else w_shape[0]
    b = reals(channels, seed=6, dtype=dtype) if with_bias else None
    mean, var, weight, bias = statistics(channels, dtype)
    layout = {"transposed": True, "groups": groups} if transposed else {}
    folded = convkit.fold_batch_norm(w, b, mean, var, weight, bias, **layout)
    assert [v.dtype for v in folded] == [dtype, dtype]
    assert folded.w.shape == w_shape
    got = conv(x, folded.w, folded.b, **options)
    want = convkit.batch_norm(conv(x, w, b, **options), mean, var, weight, bias)
    # Both are sums of the same terms, each rounded at most once for each addition and five times more:
    # in the folding (two factors, one product), the normalisation, and the result.
    terms = np.prod(w_shape[2:]) * x_shape[1] // groups + 5
    scale = np.abs(weight / np.sqrt(var + 1e-5))
    sizes = conv(np.abs(x), np.abs(w), None if b is None else np.abs(b), **options)
    sizes = (sizes + as_channels(np.abs(mean), x.ndim)) * as_channels(scale, x.ndim)
    sizes += as_channels(np.abs(bias), x.ndim)
    assert_close(got, want, terms * np.finfo(dtype).eps * sizes, name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_folded_convolution_does_what_both_layers_do(name, with_bias, dtype):
    same_as_both_layers(name, *CONVOLUTIONS[name], dtype, with_bias, transposed=False)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TRANSPOSED)
def test_a_transposed_convolution_has_its_output_channels_on_the_other_axis(name, dtype):
    same_as_both_layers(name, *TRANSPOSED[name], dtype, True, transposed=True)


def test_by_hand():
    """From z = 2x + 1 and (z - 5)/2 * 3 + 7 make 3x + 1."""
    one = np.ones(1)
    folded = convkit.fold_batch_norm(2 * np.ones((1, 1, 1, 1)), one, 5 * one, 4 * one, 3 * one, 7 * one, 0.0)
    assert_equal(folded.w, np.full((1, 1, 1, 1), 3.0))
    assert_equal(folded.b, one)


def test_a_linear_layer_folds_too():
    x, w = integers(5, 3), integers(4, 3, seed=1)
    mean, var = integers(4, seed=2), np.array([1.0, 4.0, 16.0, 0.25])
    folded = convkit.fold_batch_norm(w, None, mean, var, eps=0.0)
    assert_equal(x @ folded.w.T + folded.b, convkit.batch_norm(x @ w.T, mean, var, eps=0.0))


def test_nothing_is_lost_before_the_one_rounding():
    """float32 statistics of which float32 arithmetic would lose half of the digits: 1e8 - (1e8 - 8)."""
    b, mean = np.array([1e8], np.float32), np.array([1e8 - 8], np.float32)
    folded = convkit.fold_batch_norm(
        np.ones((1, 1, 1), np.float32), b, mean, np.ones(1, np.float32), np.array([1e-8], np.float32), eps=0.0
    )
    assert_close(folded.b, np.array([8e-8], np.float32), 8e-8 * 2 * np.finfo("float32").eps)


def test_inputs_are_not_written_and_any_layout_will_do():
    w, b = reals(6, 4, 3, 3), reals(6)
    mean, var, weight, bias = statistics(6, "float64")
    given = [w, b, mean, var, weight, bias]
    before = [a.copy() for a in given]
    want = convkit.fold_batch_norm(*given)
    for a, was in zip(given, before, strict=True):
        assert_bits(a, was)
    table = np.empty((6, 2))
    table[:, 1] = mean
    got = convkit.fold_batch_norm(np.asfortranarray(w), b[::-1].copy()[::-1], table[:, 1], var, weight, bias)
    assert_bits(got.w, want.w)
    assert_bits(got.b, want.b)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"eps": -1e-5}, "eps must be finite and at least 0, got -1e-05"),
        ({"eps": np.nan}, "eps must be finite and at least 0, got nan"),
        ({"running_var": np.array([1.0, -2.0, 1.0, 1.0])}, "running_var must be at least 0, got -2.0"),
        ({"w": np.ones(4)}, "w must have at least two axes, none of them empty, got shape (4,)"),
        ({"w": np.ones((4, 0, 3, 3))}, "none of them empty, got shape (4, 0, 3, 3)"),
        ({"running_mean": np.ones(3)}, "running_mean must have shape (4,), got (3,)"),
        ({"transposed": True}, "running_mean must have shape (3,), got (4,)"),
        (
            {"transposed": True, "groups": 3},
            "groups must divide the 4 input channels of w (4, 3, 3, 3), got 3",
        ),
        ({"groups": 0}, "groups must be at least 1, got 0"),
    ],
)
def test_bad_arguments_are_named(changed, message):
    refused("fold_batch_norm", ValueError, re.escape(message), **changed)


# --- the redundant bias --------------------------------------------------------------------


def test_a_bias_before_a_batch_norm_in_training_changes_no_bit():
    """Integers, of which 4*4*4 a channel have an exact mean: what the bias adds, the mean takes away."""
    x, w, b = integers(4, 2, 6, 6), integers(3, 2, 3, 3, seed=1), integers(3, seed=2)
    gamma, beta = reals(3), reals(3, seed=1)
    assert b.all(), "a bias of 0 would prove nothing"
    with_bias, without = (
        convkit.batch_norm(convkit.conv2d(x, w, v), None, None, gamma, beta, training=True) for v in (b, None)
    )
    assert_bits(with_bias, without)


def test_the_gradient_for_that_bias_is_zero():
    x, w, grad_y = reals(4, 2, 6, 6), reals(3, 2, 3, 3, seed=1), reals(4, 3, 4, 4, seed=2)
    z = convkit.conv2d(x, w, reals(3))
    grad_z = convkit.batch_norm_backward(grad_y, z).grad_x
    grad_b = convkit.conv2d_backward(grad_z, x, w).grad_b
    # 64 numbers are added, whose errors are a few roundings of the largest
    assert_close(grad_b, np.zeros(3), 64 * np.finfo("float64").eps * np.abs(grad_z).max())


def test_what_the_running_mean_learns_is_all_that_the_bias_does():
    """In evaluation it is taken away again, so that a layer trained without a bias lacks nothing."""
    x, w, b = integers(4, 2, 6, 6), integers(3, 2, 3, 3, seed=1), integers(3, seed=2)
    means, outputs = [], []
    for v in (b, np.zeros(3)):
        mean, var = np.zeros(3), np.ones(3)
        z = convkit.conv2d(x, w, v)
        convkit.batch_norm(z, mean, var, training=True, momentum=1.0)
        means.append(mean)
        outputs.append(convkit.batch_norm(z, mean, var))
    assert_equal(means[0] - means[1], b)
    assert_bits(*outputs)


def test_something_between_the_layers_keeps_the_bias_alive():
    x, w, b = integers(4, 2, 6, 6), integers(3, 2, 3, 3, seed=1), integers(3, seed=2)
    with_bias, without = (
        convkit.batch_norm(np.maximum(convkit.conv2d(x, w, v), 0), None, None, training=True)
        for v in (b, None)
    )
    assert np.abs(with_bias - without).max() > 0.1
