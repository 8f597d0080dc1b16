"""Instance, group and layer norm: batch norm's arithmetic over other axes, and their gradients."""

import numpy as np
import pytest
from comparator import assert_bits, assert_close, assert_equal
from every_backend import on_every_backend
from geometries import central_differences, reals

import convkit

pytestmark = on_every_backend(
    "normalize", "normalize_given", "normalize_backward", "normalize_given_backward"
)

EPS = np.finfo(np.float64).eps
X, WEIGHT, BIAS = reals(2, 4, 3, 5), reals(4, seed=1), reals(4, seed=2)


def scaled(x, axes):
    """Normalise over `axes`, then scale and shift by channel."""
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5) * WEIGHT[:, None, None] + BIAS[:, None, None]


def test_instance_norm_is_over_the_pixels():
    assert_close(convkit.instance_norm(X, weight=WEIGHT, bias=BIAS), scaled(X, (2, 3)), 100 * EPS)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_norm_is_over_the_pixels_and_some_channels(groups):
    split = X.reshape(2, groups, 4 // groups, 3, 5)
    mean, var = split.mean((2, 3, 4), keepdims=True), split.var((2, 3, 4), keepdims=True)
    xhat = ((split - mean) / np.sqrt(var + 1e-5)).reshape(X.shape)
    want = xhat * WEIGHT[:, None, None] + BIAS[:, None, None]
    assert_close(convkit.group_norm(X, groups, WEIGHT, BIAS), want, 100 * EPS)


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
def test_layer_norm_is_over_the_trailing_axes(axes):
    shape = X.shape[-axes:]
    weight, bias = reals(*shape, seed=3), reals(*shape, seed=4)
    over = tuple(range(4 - axes, 4))
    mean, var = X.mean(over, keepdims=True), X.var(over, keepdims=True)
    want = (X - mean) / np.sqrt(var + 1e-5) * weight + bias
    for written in (shape, list(shape), np.array(shape)):
        assert_close(convkit.layer_norm(X, written, weight, bias), want, 100 * EPS)
    g = convkit.layer_norm_backward(X, X, np.array(shape), weight)
    assert g.grad_weight.shape == g.grad_bias.shape == shape


def test_where_they_coincide():
    """One channel a group is instance norm; a batch of one image makes it batch norm."""
    assert_bits(convkit.group_norm(X, 4), convkit.instance_norm(X))
    assert_bits(convkit.batch_norm(X[:1], None, None, training=True), convkit.instance_norm(X[:1]))
    assert_bits(convkit.layer_norm(X, X.shape[1:]), convkit.group_norm(X, 1))


@pytest.mark.parametrize(
    ("forward", "backward", "weight_shape"),
    [
        (
            lambda x, w, b: convkit.instance_norm(x, None, None, w, b),
            lambda g, x, w: convkit.instance_norm_backward(g, x, w),
            (4,),
        ),
        (
            lambda x, w, b: convkit.group_norm(x, 2, w, b),
            lambda g, x, w: convkit.group_norm_backward(g, x, 2, w),
            (4,),
        ),
        (
            lambda x, w, b: convkit.layer_norm(x, (3, 5), w, b),
            lambda g, x, w: convkit.layer_norm_backward(g, x, (3, 5), w),
            (3, 5),
        ),
        (
            lambda x, w, b: convkit.instance_norm(x, BIAS, WEIGHT**2, w, b, use_input_stats=False),
            lambda g, x, w: convkit.instance_norm_backward(
                g, x, w, running_mean=BIAS, running_var=WEIGHT**2, use_input_stats=False
            ),
            (4,),
        ),
    ],
    ids=["instance", "group", "layer", "instance-evaluation"],
)
def test_rule_19_gradients_by_central_differences(forward, backward, weight_shape):
    grad_y, weight, bias = reals(*X.shape, seed=5), reals(*weight_shape, seed=6), reals(*weight_shape, seed=7)
    g = backward(grad_y, X, weight)
    numeric = (
        central_differences(lambda x: forward(x, weight, bias), X, grad_y),
        central_differences(lambda w: forward(X, w, bias), weight, grad_y),
        central_differences(lambda b: forward(X, weight, b), bias, grad_y),
    )
    for got, want in zip(g, numeric, strict=True):
        # h*h + eps/h with h = 1e-5 is 1e-10, times third derivatives and sums of order 10
        assert_close(got, want, 1e-8)


def test_instance_norm_moves_the_running_statistics_by_the_mean_over_the_batch():
    mean, var = np.zeros(4), np.ones(4)
    convkit.instance_norm(X, mean, var, momentum=0.25)
    assert_close(mean, 0.25 * X.mean((2, 3)).mean(0), 10 * EPS)
    assert_close(var, 0.75 + 0.25 * X.var((2, 3), ddof=1).mean(0), 10 * EPS)
    kept = mean.copy(), var.copy()
    y = convkit.instance_norm(X, mean, var, use_input_stats=False)
    assert_bits(y, convkit.batch_norm(X, mean, var))
    assert_equal(mean, kept[0])
    assert_equal(var, kept[1])


def test_rule_28_an_empty_batch():
    x = np.empty((0, 4, 3, 5))
    mean, var = np.zeros(4), np.ones(4)
    for y in (
        convkit.instance_norm(x, mean, var),
        convkit.group_norm(x, 2),
        convkit.layer_norm(x, 5),
        convkit.instance_norm_backward(x, x).grad_x,
        convkit.group_norm_backward(x, x, 2).grad_x,
        convkit.layer_norm_backward(x, x, (3, 5)).grad_x,
    ):
        assert_equal(y, x)
    assert_equal(mean, np.zeros(4))
    assert_equal(convkit.layer_norm_backward(x, x, (3, 5)).grad_weight, np.zeros((3, 5)))


def test_rule_20_a_constant_row_is_zero_before_the_shift():
    x = np.full((3, 7), 0.1, np.float32)
    bias = np.arange(7, dtype=np.float32)
    assert_equal(convkit.layer_norm(x, 7, None, bias), np.tile(bias, (3, 1)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("L", [2, 3, 5, 7, 8, 20])
def test_equal_rows_come_out_equal_wherever_they_stand(L, dtype):
    """Rows of a few cells share vectors; how many there are must not show, nor which is the last."""
    row, weight, bias = (reals(L, dtype=dtype, seed=seed) for seed in (3, 4, 5))
    alone = convkit.layer_norm(row[None], L, weight, bias)
    for rows in (2, 17, 335):
        y = convkit.layer_norm(np.tile(row, (rows, 1)), L, weight, bias)
        assert_bits(y, np.tile(alone, (rows, 1)))


@pytest.mark.parametrize("normalized_shape", [(), (4,), (3, 4), (2, 4, 3, 5, 1), (1, 2, 4, 3, 5), 3])
def test_layer_norm_of_axes_that_x_does_not_have(normalized_shape):
    with pytest.raises(ValueError, match=r"normalized_shape must be the last axes of x \(2, 4, 3, 5\)"):
        convkit.layer_norm(X, normalized_shape)


def test_groups_that_do_not_divide():
    with pytest.raises(ValueError, match=r"num_groups must divide the 4 channels of x .* got 3"):
        convkit.group_norm(X, 3)
    with pytest.raises(ValueError, match="more than 1 value"):
        convkit.instance_norm(X[:, :, :1, :1])
