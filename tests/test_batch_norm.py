"""BatchNorm: the formulas, what is biased and what is not, and where float32 would fail."""

import numpy as np
import pytest
from comparator import assert_bits, assert_close, assert_equal
from every_backend import on_every_backend
from geometries import central_differences, integers, reals

import convkit

pytestmark = on_every_backend(
    "normalize", "normalize_given", "normalize_backward", "normalize_given_backward"
)

EPS = np.finfo(np.float64).eps
SHAPES = [(6, 3), (4, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 2)]


def running(channels, dtype="float64"):
    return np.zeros(channels, dtype), np.ones(channels, dtype)


# --- forward -------------------------------------------------------------------------------


def test_by_hand():
    """Values 1, 3: mean 2, biased variance 1, so -1 and 1; gamma 10 and beta 5 make -5 and 15."""
    x = np.array([[1.0], [3.0]])
    y = convkit.batch_norm(x, None, None, np.array([10.0]), np.array([5.0]), training=True, eps=0.0)
    assert_equal(y, np.array([[-5.0], [15.0]]))


@pytest.mark.parametrize("shape", SHAPES)
def test_rules_15_and_21_biased_variance_over_all_but_the_channels(shape):
    x, weight, bias = reals(*shape), reals(3, seed=1), reals(3, seed=2)
    axes = (0, *range(2, len(shape)))
    as_channel = (3, *(1,) * (len(shape) - 2))
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)  # NumPy's var is the biased one
    want = (x - mean) / np.sqrt(var + 1e-5) * weight.reshape(as_channel) + bias.reshape(as_channel)
    y, got_mean, invstd = convkit.batch_norm_forward(x, None, None, weight, bias)
    assert_close(y, want, 100 * EPS)  # numbers of order 1 by ten operations in another order
    assert_close(got_mean, mean.ravel(), 10 * EPS)
    assert_close(invstd, 1 / np.sqrt(var.ravel() + 1e-5), 10 * EPS)


def test_rule_17_eps_is_inside_the_root():
    x = np.array([[1.0], [3.0]])
    assert_equal(convkit.batch_norm(x, None, None, training=True, eps=3.0), np.array([[-0.5], [0.5]]))
    assert_equal(
        convkit.batch_norm(np.array([[6.0]]), np.array([2.0]), np.array([13.0]), eps=3.0), np.array([[1.0]])
    )


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)])
def test_rule_17_one_value_has_no_variance(shape):
    with pytest.raises(ValueError, match=rf"more than 1 value .* got x of shape \({shape[0]}, 3"):
        convkit.batch_norm(np.ones(shape), None, None, training=True)
    with pytest.raises(ValueError, match="more than 1 value"):
        convkit.batch_norm_backward(np.ones(shape), np.ones(shape))
    assert_equal(convkit.batch_norm(np.ones(shape), *running(3), eps=0.0), np.ones(shape))


def test_rule_18_training_never_reads_the_running_statistics():
    x = reals(4, 3, 5)
    spoilt = np.full(3, np.nan), np.full(3, -1.0)
    y = convkit.batch_norm(x, *spoilt, training=True)
    assert_bits(y, convkit.batch_norm(x, None, None, training=True))


def test_evaluation_looks_at_no_other_value():
    x, mean, var = reals(4, 3), reals(3, seed=1), reals(3, seed=2) ** 2
    y = convkit.batch_norm(x, mean, var)
    assert_close(y, (x - mean) / np.sqrt(var + 1e-5), 10 * EPS * np.abs(y).max())
    assert_bits(convkit.batch_norm(x[:1], mean, var), y[:1])


# --- running statistics --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.5, 1.0])
def test_rules_15_and_16_the_running_variance_gets_the_unbiased_one(momentum, dtype):
    x = np.array([[0.0], [2.0], [4.0], [6.0]], dtype)  # mean 3, biased 5, unbiased 20 / 3
    mean, var = np.full(1, 7.0, dtype), np.full(1, 2.0, dtype)
    convkit.batch_norm(x, mean, var, training=True, momentum=momentum)
    eps = np.finfo(dtype).eps
    assert_close(mean, np.array([(1 - momentum) * 7 + momentum * 3], dtype), 4 * eps)
    assert_close(var, np.array([(1 - momentum) * 2 + momentum * 20 / 3], dtype), 4 * eps)


def test_rule_16_momentum_none_is_the_plain_average():
    batches = [reals(5, 2, seed=s) for s in range(4)]
    mean, var = running(2)
    for t, x in enumerate(batches, start=1):
        convkit.batch_norm(x, mean, var, training=True, momentum=None, num_batches_tracked=t)
    assert_close(mean, np.mean([x.mean(axis=0) for x in batches], axis=0), 10 * EPS)
    assert_close(var, np.mean([x.var(axis=0, ddof=1) for x in batches], axis=0), 20 * EPS)
    with pytest.raises(ValueError, match="num_batches_tracked is needed"):
        convkit.batch_norm(batches[0], mean, var, training=True, momentum=None)


def test_running_statistics_may_be_any_view():
    """They are updated in place, wherever the caller keeps them."""
    x, table = reals(4, 3), np.zeros((3, 5))
    mean, var = running(3)
    convkit.batch_norm(x, mean, var, training=True)
    table[:, 3] = 1
    convkit.batch_norm(x, table[:, 1], table[::-1, 3], training=True)
    assert_equal(table[:, 1].copy(), mean)
    assert_equal(table[::-1, 3].copy(), var)
    assert not table[:, [0, 2, 4]].any()


@pytest.mark.parametrize("size", [(2, 2), (1, 3), (3, 5)])
def test_in_evaluation_an_image_alone_gets_the_bits_that_it_gets_in_a_batch(size):
    x = reals(2, 64, *size, dtype="float32")
    statistics = np.zeros(64, np.float32), np.full(64, 2, np.float32)
    weight, bias = reals(64, dtype="float32", seed=1), reals(64, dtype="float32", seed=2)
    both = convkit.batch_norm(x, *statistics, weight, bias)
    assert_bits(convkit.batch_norm(x[:1], *statistics, weight, bias), both[:1])


def test_rule_28_from_an_empty_batch_nothing_is_learned():
    mean, var = running(3)
    y, batch_mean, invstd = convkit.batch_norm_forward(np.empty((0, 3, 4)), mean, var)
    assert_equal(y, np.empty((0, 3, 4)))
    assert np.isnan([batch_mean, invstd]).all()
    assert_equal(mean, np.zeros(3))
    assert_equal(var, np.ones(3))
    for training in (True, False):
        g = convkit.batch_norm_backward(
            np.empty((0, 3, 4)), np.empty((0, 3, 4)), running_mean=mean, running_var=var, training=training
        )
        assert_equal(g.grad_x, np.empty((0, 3, 4)))
        assert_equal(g.grad_weight, np.zeros(3))
        assert_equal(g.grad_bias, np.zeros(3))


# --- backward ------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_rule_19_gradients_by_central_differences(shape, training):
    x, grad_y = reals(*shape), reals(*shape, seed=1)
    weight, bias = reals(3, seed=2), reals(3, seed=3)
    mean, var = reals(3, seed=4), reals(3, seed=5) ** 2 + 0.5

    def loss_of(which):
        def f(value):
            given = {"x": x, "weight": weight, "bias": bias, which: value}
            m, v = (None, None) if training else (mean, var)
            return convkit.batch_norm(given["x"], m, v, given["weight"], given["bias"], training)

        return f

    g = convkit.batch_norm_backward(grad_y, x, weight, running_mean=mean, running_var=var, training=training)
    for which, value, got in (
        ("x", x, g.grad_x),
        ("weight", weight, g.grad_weight),
        ("bias", bias, g.grad_bias),
    ):
        # h*h + eps/h with h = 1e-5 is 1e-10, times third derivatives and sums of order 10
        assert_close(got, central_differences(loss_of(which), value, grad_y), 1e-8, which)


def test_rule_19_statistics_are_not_constants():
    """The two subtracted terms: the gradient sums to zero, alone and against xhat."""
    x, grad_y = reals(8, 3, 5), reals(8, 3, 5, seed=1)
    y, mean, invstd = convkit.batch_norm_forward(x, eps=0.0)
    grad_x = convkit.batch_norm_backward(grad_y, x, None, mean, invstd, eps=0.0).grad_x
    bound = 40 * EPS * np.abs(grad_x).sum(axis=(0, 2))  # forty numbers are added
    assert_close(grad_x.sum(axis=(0, 2)), np.zeros(3), bound)
    assert_close((grad_x * y).sum(axis=(0, 2)), np.zeros(3), 4 * bound)
    evaluation = convkit.batch_norm_backward(grad_y, x, None, mean, invstd, training=False).grad_x
    assert np.abs(evaluation.sum(axis=(0, 2))).min() > 0.1  # no rounding


def test_statistics_that_the_forward_pass_returned_are_those_found_anew():
    x, grad_y, weight = reals(5, 3, 4), reals(5, 3, 4, seed=1), reals(3, seed=2)
    _, mean, invstd = convkit.batch_norm_forward(x)
    for got, want in zip(
        convkit.batch_norm_backward(grad_y, x, weight, mean, invstd),
        convkit.batch_norm_backward(grad_y, x, weight),
        strict=True,
    ):
        assert_bits(got, want)
    with pytest.raises(ValueError, match="both or neither"):
        convkit.batch_norm_backward(grad_y, x, weight, mean)


# --- numerics ------------------------------------------------------------------------------


def test_rule_20_mean_1000_and_deviation_a_tenth_in_float32():
    """E[x^2] - E[x]^2 gives variance 0 here; the truth is 0.01."""
    x = (1000 + 0.1 * np.random.default_rng(0).standard_normal((4096, 1))).astype(np.float32)
    naive = np.square(x).mean() - x.mean() ** 2
    truth = x.astype(np.float64).var()
    assert abs(naive - truth) > 0.5 * truth
    _, _, invstd = convkit.batch_norm_forward(x, eps=0.0)
    assert abs(1 / invstd[0] ** 2 - truth) <= 1e-4 * truth


@pytest.mark.parametrize("algorithm", convkit.algorithms("normalize"))
@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-20, -1e30, 16777217.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rule_20_a_constant_channel_has_variance_zero_exactly(value, dtype, algorithm):
    x = np.full((7, 2, 11), value, dtype)
    mean, var = np.zeros(2, dtype), np.ones(2, dtype)
    y = convkit.batch_norm(x, mean, var, training=True, momentum=1.0, algorithm=algorithm)
    assert_equal(var, np.zeros(2, dtype))
    assert_equal(mean, np.full(2, value, dtype))
    assert_equal(y, np.zeros_like(x))


def hard_to_add_up(kind, shape):
    """Return float32 numbers for one channel, which sums in float32 lanes could get wrong."""
    x = np.random.default_rng(7).standard_normal(shape)
    cells = x.reshape(-1)
    match kind:
        case "mean 1000":
            x = 1000 + 0.1 * x
        case "an outlier in front":
            cells[0] = 1e6
        case "outliers wherever c is taken from":  # the first run is unlike all others
            x[:1] += 1e4
        case "a step":
            cells[cells.size // 3 :] += 100
        case "far from the first values":
            cells[16:] = 1e4 + 1e-2 * cells[16:]
        case "small":  # whose squares underflow
            x = 1e-25 * x
        case "partly small":
            cells[: cells.size // 2] *= 1e-25
        case "large":  # whose squares overflow
            x = 1e25 * x
    return x.astype(np.float32)


@pytest.mark.parametrize(
    "shape", [(8, 1, 49), (40, 1, 50), (3, 1, 3136), (2, 1, 40_000), (9, 1, 196), (60, 1, 9)]
)
@pytest.mark.parametrize(
    "kind",
    [
        "mean 1000",
        "an outlier in front",
        "outliers wherever c is taken from",
        "a step",
        "far from the first values",
        "small",
        "partly small",
        "large",
    ],
)
def test_rule_20_the_variance_of_float32_is_right_whatever_the_data(kind, shape):
    """Within 1e-4 of itself, the bound of float32 lanes; where they are of no use doubles take over."""
    x = hard_to_add_up(kind, shape)
    _, mean, invstd = convkit.batch_norm_forward(x, eps=0.0)
    wide = x.astype(np.float64)
    truth = wide.var()
    assert abs(1 / invstd[0] ** 2 - truth) <= 1e-4 * truth
    assert abs(mean[0] - wide.mean()) <= 2e-5 * np.sqrt(truth)


def test_values_of_1e30_do_not_overflow_in_float32():
    x = integers(16, 2, dtype="float32") * np.float32(1e30)
    y = convkit.batch_norm(x, None, None, training=True)
    want = convkit.batch_norm(integers(16, 2), None, None, training=True, eps=0.0)
    # x itself is rounded, and 1e-5 is nothing beside variances of 1e60
    assert_close(y.astype("float64"), want, 4 * np.finfo("float32").eps * np.abs(want).max())


def test_rule_33_a_nan_spoils_its_channel_alone():
    x = reals(4, 3, 5)
    x[1, 2, 3] = np.nan
    y = convkit.batch_norm(x, None, None, training=True)
    assert np.isnan(y[:, 2]).all()
    assert_bits(y[:, :2].copy(), convkit.batch_norm(x[:, :2].copy(), None, None, training=True))


def test_what_gamma_and_beta_do():
    """Beta is the output's mean and |gamma| its deviation; gamma = sd with beta = mean is the identity."""
    x = reals(1000, 2)
    y = convkit.batch_norm(
        x, None, None, np.array([-3.0, 0.5]), np.array([7.0, -1.0]), training=True, eps=0.0
    )
    assert_close(y.mean(axis=0), np.array([7.0, -1.0]), 1000 * EPS)
    assert_close(y.std(axis=0), np.array([3.0, 0.5]), 1000 * EPS)
    same = convkit.batch_norm(x, None, None, x.std(axis=0), x.mean(axis=0), training=True, eps=0.0)
    assert_close(same, x, 10 * EPS * np.abs(x).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("place", [0, 5, 40_000, 59_999])
def test_rule_33_an_infinity_spoils_its_channels_statistics(place, dtype):
    """Wherever it stands: first, inside or last, in the first chunk or in another."""
    x = np.random.default_rng(2).standard_normal((2, 2, 30_000)).astype(dtype)
    x[:, 0].flat[place] = np.inf
    y, mean, invstd = convkit.batch_norm_forward(x)
    assert not np.isfinite(mean[0])
    assert np.isnan(invstd[0])
    assert np.isnan(y[:, 0]).all()
    for others in (mean[1], invstd[1], y[:, 1]):
        assert np.isfinite(others).all()
