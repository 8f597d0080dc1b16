"""Average pooling: golden values, cell-by-cell brute force, and the adjoint identity."""

import brute_force
import numpy as np
import pytest
from comparator import assert_bits, assert_close, assert_equal
from every_backend import on_every_backend
from geometries import inner, integers, quick, reals
from hypothesis import assume, given
from hypothesis import strategies as st

import convkit

pytestmark = on_every_backend("avg_pool2d", "avg_pool2d_backward", "channel_mean", "channel_mean_backward")

EPS = np.finfo(np.float64).eps
GOLDEN = [
    # arange(1..16) as 4x4, k3 s2 p1 ceil
    (np.arange(1.0, 17).reshape(4, 4), (3, 2, 1), [[14 / 9, 10 / 3, 2], [19 / 3, 11, 6], [4.5, 7.5, 4]]),
    # arange(49) as 7x7, k2 s3 ceil
    (np.arange(49.0).reshape(7, 7), (2, 3, 0), [[4, 7, 9.5], [25, 28, 30.5], [42.5, 45.5, 48]]),
]


@pytest.mark.parametrize(("x", "options", "want"), GOLDEN)
def test_rule_13_golden_values(x, options, want):
    y = convkit.avg_pool2d(x[None], *options, ceil_mode=True)
    # sums of small integers are exact, so there is the rounding of one division
    assert_close(y[0], np.array(want, dtype=np.float64), EPS * np.abs(want))


def test_rule_13_golden_values_of_one_axis():
    x = np.arange(1.0, 6)[None]
    assert_equal(convkit.avg_pool1d(x, 2, 2, ceil_mode=True), np.array([[1.5, 3.5, 5.0]]))
    assert_equal(convkit.avg_pool1d(x, 2, 2), np.array([[1.5, 3.5]]))


def test_rule_13_what_counts_in_the_divisor():
    """A window of a padding cell, a real one and an overhanging one: three ways to divide."""
    x = np.array([[6.0]])
    options = {"kernel_size": 3, "stride": 1, "padding": 1}
    assert_equal(convkit.avg_pool1d(x, **options), np.array([[2.0]]))  # both paddings are explicit
    assert_equal(convkit.avg_pool1d(x, **options, count_include_pad=False), np.array([[6.0]]))
    two = np.array([[6.0, 9.0, 12.0]])
    overhang = {"kernel_size": 2, "stride": 2, "ceil_mode": True}
    assert_equal(convkit.avg_pool1d(two, **overhang), np.array([[7.5, 12.0]]))


@pytest.mark.parametrize("divisor", [1, 5, -2, np.int64(3)])
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_rule_13_divisor_override_replaces_both(divisor, count_include_pad):
    x = integers(2, 4, 5)
    sums = convkit.avg_pool2d(x, 3, 2, 1, True, divisor_override=1)
    got = convkit.avg_pool2d(x, 3, 2, 1, True, count_include_pad, divisor)
    assert_equal(got, sums / divisor)
    grad_y = integers(*got.shape, seed=1)
    whole = convkit.avg_pool2d_backward(grad_y, x, 3, 2, 1, True, divisor_override=1)
    back = convkit.avg_pool2d_backward(grad_y, x, 3, 2, 1, True, count_include_pad, divisor)
    assert_close(back, whole / divisor, 10 * EPS * np.abs(whole).max())  # nine windows at most share a pixel


axis = st.tuples(st.integers(1, 8), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2))


@pytest.mark.parametrize("algorithm", convkit.algorithms("avg_pool2d"))
@quick
@given(axis, axis, st.booleans(), st.booleans(), st.sampled_from([(3,), (2, 2), (1, 1)]))
def test_every_window_by_brute_force_and_the_gradient_by_the_adjoint(
    algorithm, rows, columns, ceil, count, leading
):
    n, k, s, p = zip(rows, columns, strict=True)
    for a in (0, 1):
        assume(p[a] <= k[a] // 2 and n[a] + 2 * p[a] >= k[a])
    x = integers(*leading, *n)
    y = convkit.avg_pool2d(x, k, s, p, ceil, count, algorithm=algorithm)
    want = brute_force.avg_pool2d(x.reshape(-1, *n), k, s, p, ceil, count)
    assert_close(y.reshape(want.shape), want, EPS * np.abs(want))
    grad_y = integers(*y.shape, seed=1)
    grad_x = convkit.avg_pool2d_backward(grad_y, x.shape, k, s, p, ceil, count)
    terms = inner(np.abs(y), np.abs(grad_y)) + inner(np.abs(x), np.abs(grad_x))
    # shares of at most 16 windows meet in a pixel, each rounded twice
    assert abs(inner(y, grad_y) - inner(x, grad_x)) <= 64 * EPS * max(
        terms, np.abs(x).sum() * np.abs(grad_y).max()
    )


def test_one_axis_is_two_axes_of_height_one():
    x = integers(2, 3, 9)
    options = (3, 2, 1, True, False)
    y = convkit.avg_pool1d(x, *options)
    two = ((1, 3), (1, 2), (0, 1), True, False)
    assert_equal(y, convkit.avg_pool2d(x[:, :, None], *two)[:, :, 0])
    back = convkit.avg_pool2d_backward(y[:, :, None], x[:, :, None], *two)
    assert_equal(convkit.avg_pool1d_backward(y, x, *options), back[:, :, 0])


@pytest.mark.parametrize("size", [1, 2, (3, 5), (7, 8), (9, 1)])
def test_adaptive_windows_run_from_floor_to_ceil(size):
    x = integers(2, 3, 7, 8)
    OH, OW = (size, size) if isinstance(size, int) else size
    y = convkit.adaptive_avg_pool2d(x, size)
    for i, j in np.ndindex(OH, OW):
        window = x[:, :, i * 7 // OH : -(-(i + 1) * 7 // OH), j * 8 // OW : -(-(j + 1) * 8 // OW)]
        want = window.sum(axis=(2, 3)) / window[0, 0].size
        assert_close(y[:, :, i, j], want, EPS * np.abs(want))
    grad_y = integers(*y.shape, seed=1)
    grad_x = convkit.adaptive_avg_pool2d_backward(grad_y, x, size)
    terms = np.abs(x).sum() * np.abs(grad_y).max()
    assert abs(inner(y, grad_y) - inner(x, grad_x)) <= 64 * EPS * terms


def test_global_pooling_keeps_the_channels_and_the_channel_mean_the_pixels():
    """A 512 x 11 x 11 activation gives 512 numbers by the one and an 11 x 11 map by the other."""
    x = integers(2, 512, 11, 11)
    pooled, heat = convkit.global_avg_pool2d(x), convkit.channel_mean(x)
    assert_equal(pooled, x.sum(axis=(2, 3)) / 121)
    assert_equal(heat, x.sum(axis=1) / 512)
    grad = integers(2, 512, seed=1)
    assert_equal(
        convkit.global_avg_pool2d_backward(grad, x),
        np.broadcast_to(grad[..., None, None] / 121, x.shape).copy(),
    )
    grad = integers(2, 11, 11, seed=1)
    assert_equal(
        convkit.channel_mean_backward(grad, x.shape), np.broadcast_to(grad[:, None] / 512, x.shape).copy()
    )


def test_rule_28_an_empty_batch():
    x = np.empty((0, 3, 4, 4))
    assert_equal(convkit.avg_pool2d(x, 2), np.empty((0, 3, 2, 2)))
    assert_equal(convkit.avg_pool2d_backward(np.empty((0, 3, 2, 2)), x, 2), x)
    assert_equal(convkit.adaptive_avg_pool2d(x, 3), np.empty((0, 3, 3, 3)))
    assert_equal(convkit.global_avg_pool2d(x), np.empty((0, 3)))
    assert_equal(convkit.global_avg_pool2d_backward(np.empty((0, 3)), x), x)
    assert_equal(convkit.channel_mean(x), np.empty((0, 4, 4)))
    assert_equal(convkit.channel_mean_backward(np.empty((0, 4, 4)), x), x)


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        (convkit.avg_pool2d, (2,)),
        (convkit.adaptive_avg_pool2d, (3,)),
        (convkit.global_avg_pool2d, ()),
        (convkit.channel_mean, ()),
    ],
)
def test_rule_34_without_the_batch_axis(op, arguments):
    x = reals(3, 6, 6)
    assert_equal(op(x, *arguments), op(x[None], *arguments)[0])


def test_rule_33_nan_and_infinity_stay_in_their_windows():
    x = np.ones((1, 1, 8))
    x[..., 0], x[..., 2], x[..., 4:6] = np.nan, np.inf, (np.inf, -np.inf)
    assert_equal(convkit.avg_pool2d(x, (1, 2)), np.array([[[np.nan, np.inf, np.nan, 1.0]]]))


def test_float32_sums_are_wide():
    """2**24 + 1 ones: a running float32 sum would stop at 2**24, and channels of 16 megapixels exist."""
    x = np.ones((1, 1, 2**24 + 2**10), np.float32)
    assert convkit.global_avg_pool2d(x) == 1


# Windows in registers, planes in the lanes of vectors and in a few of them, sums in a buffer, running sums.
EVERY_WAY = [
    *(((2, 3, 41, 37), window) for window in [(2, 2), (3, 1, 1), (3, 2), (5, 3, 2), (7, 1, 3), (11, 2)]),
    *(((8, 8, n, n), window) for n in (7, 14) for window in [(2, 2), (3, 1, 1), (7, 1)]),
]


@pytest.mark.parametrize("algorithm", ["auto", *convkit.algorithms("avg_pool2d")])
def test_a_float32_average_is_exact_where_every_partial_sum_is(algorithm):
    """Cells so small that no sum of a window's, in whatever order, leaves the 24 bits of a float32."""
    for shape, window in EVERY_WAY:
        largest = 2**24 // window[0] ** 2
        x = np.random.default_rng(0).integers(0, largest + 1, shape).astype(np.float32)
        wide = x.astype(np.float64)
        sums = convkit.avg_pool2d(x, *window, divisor_override=1, algorithm=algorithm)
        exact = convkit.avg_pool2d(wide, *window, divisor_override=1, backend="reference")
        assert_equal(sums.astype(np.float64), exact, f"{shape} {window}")
        assert sums.max() > 2**23, "the sums need all of their bits"
        # The quotient of two such numbers, rounded to float64 first, still rounds to the nearest float32.
        means = convkit.avg_pool2d(x, *window, algorithm=algorithm)
        exact = convkit.avg_pool2d(wide, *window, backend="reference")
        assert_equal(means, exact.astype(np.float32), f"{shape} {window}")


@pytest.mark.parametrize("algorithm", ["auto", *convkit.algorithms("avg_pool2d")])
def test_the_error_of_a_float32_average_is_that_of_its_additions(algorithm):
    """2**24 + 1 - 2**24 is 0 in float32: large cells among small ones lose what the bound allows."""
    for shape, window in EVERY_WAY:
        x = np.random.default_rng(0).choice([2**24, -(2**24), 1, -1], shape).astype(np.float32)
        wide = x.astype(np.float64)
        exact = convkit.avg_pool2d(wide, *window, divisor_override=1, backend="reference")
        size = convkit.avg_pool2d(abs(wide), *window, divisor_override=1, backend="reference")
        sums = convkit.avg_pool2d(x, *window, divisor_override=1, algorithm=algorithm)
        if algorithm in ("separable", "running"):  # sums in float64, where all of these are exact
            assert_equal(sums, exact.astype(np.float32), f"{shape} {window}")
        roundings = window[0] ** 2 * np.finfo(np.float32).eps / 2  # one for each cell, at most
        bound = roundings / (1 - roundings) * size
        assert_close(sums.astype(np.float64), exact, bound, f"{shape} {window}")


@pytest.mark.parametrize("pool", [convkit.avg_pool2d, convkit.max_pool2d], ids=["avg", "max"])
@pytest.mark.parametrize(
    "window", [(3, 1, 1), (3, 2, 1), (2, 1, 1), (2, 2, 1), (3, 3, 1), (5, 3, 2), (5, 3, 1)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_image_is_pooled_alike_wherever_it_is_in_the_batch(pool, window, dtype):
    """Before the first image and behind the last one there is no memory to read, between them there is."""
    image = reals(1, 2, 53, 67, dtype=dtype)
    alone = pool(image, *window)
    together = pool(np.repeat(image, 3, axis=0), *window)
    for one in together:
        assert_bits(one[np.newaxis].copy(), alone)


@pytest.mark.parametrize("pool", [convkit.avg_pool2d, convkit.max_pool2d], ids=["avg", "max"])
@pytest.mark.parametrize("window", [(3, 1, 1), (3, 2, 1), (5, 3, 2)])
def test_rule_33_what_lies_beyond_a_row_does_not_matter(pool, window):
    """Not even a NaN in the last column, which in memory stands before the first one of the next row."""
    x = np.abs(reals(2, 2, 20, 40))
    want = pool(x, *window)
    x[..., -1] = np.nan
    got = pool(x, *window)
    assert np.isnan(got[..., -1]).all()
    assert_equal(got[..., :-2].copy(), want[..., :-2].copy())  # at stride 1 two windows see it
