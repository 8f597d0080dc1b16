"""convkit.njit: the operations inside compiled functions, against those called from Python."""

import doctest
import itertools

import numpy as np
import pytest
from comparator import assert_bits, assert_equal

import convkit
from convkit import geometry
from convkit import njit as ck

numba = pytest.importorskip("numba")
from numba.core.errors import TypingError  # noqa: E402 - Numba may be missing

from convkit._numba import geometry as compiled  # noqa: E402


def integers(*shape, dtype="float32"):
    return np.random.default_rng(len(shape)).choice([-2.0, -1.0, 1.0, 2.0], shape).astype(dtype)


# --- geometry ------------------------------------------------------------------------------


def outcome(function, *arguments):
    """Return what a function returns, or that it refuses."""
    try:
        value = function(*arguments)
    except ValueError:
        return "refused"
    return value.tolist() if isinstance(value, np.ndarray) else value


SIZES = 1, 2, 3, 7, 8


@pytest.mark.parametrize("n", SIZES)
def test_sizes_are_those_of_geometry(n):
    for k, s, d, p0, p1 in itertools.product((1, 2, 3, 5), (1, 2, 3), (1, 2), (0, 1, 2), (0, 2)):
        same = geometry.conv_output_size, compiled.conv_output_size
        assert outcome(same[0], n, k, s, d, p0, p1) == outcome(same[1], n, k, s, d, p0, p1)
        assert outcome(geometry.same_padding, n, k, s, d) == outcome(compiled.same_padding, n, k, s, d)
        for extra in (0, 1, 2):
            a = n, k, s, d, p0, p1, extra
            assert outcome(geometry.conv_transpose_output_size, *a) == outcome(
                compiled.conv_transpose_output_size, *a
            )
        for ceil_mode in (False, True):
            a = n, k, s, p0, d, ceil_mode
            assert outcome(geometry.pool_output_size, *a) == outcome(compiled.pool_output_size, *a)


@pytest.mark.parametrize("mode", geometry.PADDING_MODES)
def test_index_tables_are_those_of_geometry(mode):
    number = compiled.mode_number(mode)
    for n, p0, p1 in itertools.product(SIZES, (-1, 0, 1, 3, 9), (-2, 0, 2, 10)):
        want = outcome(geometry.index_table, n, p0, p1, mode)
        assert outcome(compiled.index_table, n, p0, p1, number) == want, (n, p0, p1)


@pytest.mark.parametrize("n", SIZES)
def test_windows_are_those_of_geometry(n):
    for k, s, p, ceil_mode in itertools.product((1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (False, True)):
        for count_include_pad in (False, True):
            a = n, k, s, p, ceil_mode, count_include_pad
            assert outcome(geometry.pool_windows, *a) == outcome(compiled.pool_windows, *a)
        for d in (1, 2):
            a = n, k, s, p, d, ceil_mode
            assert outcome(geometry.max_pool_windows, *a) == outcome(compiled.max_pool_windows, *a)


# --- operations ----------------------------------------------------------------------------

X, W, B = integers(2, 4, 9, 11), integers(6, 2, 3, 3), integers(6)


@numba.njit
def convolutions(x, w, b):
    return (
        ck.conv2d(x, w, b, stride=(2, 1), padding=((1, 0), (2, 1)), groups=2),
        ck.conv2d(x, w, None, 1, "same", 1, 2, "reflect"),
        ck.conv2d(x, w, b, 2, 1, 2, 2),
        ck.conv2d(x, w, groups=2, padding="valid"),
    )


def test_convolutions():
    want = (
        convkit.conv2d(X, W, B, (2, 1), ((1, 0), (2, 1)), groups=2),
        convkit.conv2d(X, W, None, 1, "same", 1, 2, padding_mode="reflect"),
        convkit.conv2d(X, W, B, 2, 1, 2, 2),
        convkit.conv2d(X, W, groups=2),
    )
    for got, expected in zip(convolutions(X, W, B), want, strict=True):
        assert_equal(got, expected)


@numba.njit
def others(x, w):
    return (
        ck.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1, groups=2),
        ck.pad(x, (1, 2, 3, 0), "circular"),
        ck.pad(x, (1, -2, 0, 0), value=7.0),
        ck.avg_pool2d(x, 3, 2, 1, True, False),
        ck.avg_pool2d(x, (3, 2), divisor_override=5),
        ck.global_avg_pool2d(x),
        ck.max_pool2d(x, 3, 2, 1),
        ck.max_pool2d(x, (2, 3), dilation=2, ceil_mode=True),
    )


def test_transposed_convolution_padding_and_pooling():
    w = integers(4, 3, 3, 3)
    want = (
        convkit.conv_transpose2d(X, w, None, 2, 1, 1, 2),
        convkit.pad(X, (1, 2, 3, 0), "circular"),
        convkit.pad(X, (1, -2, 0, 0), value=7.0),
        convkit.avg_pool2d(X, 3, 2, 1, True, False),
        convkit.avg_pool2d(X, (3, 2), divisor_override=5),
        convkit.global_avg_pool2d(X),
        convkit.max_pool2d(X, 3, 2, 1),
        convkit.max_pool2d(X, (2, 3), dilation=2, ceil_mode=True),
    )
    for got, expected in zip(others(X, w), want, strict=True):
        assert_equal(got, expected)


@numba.njit
def columns(x):
    return ck.im2col(x, 3, padding=1, stride=2)


def test_im2col():
    assert_equal(columns(X), convkit.im2col(X, 3, padding=1, stride=2))


@numba.njit
def norms(x, mean, var, weight):
    return ck.batch_norm(x, mean, var, weight, training=True), ck.batch_norm(x, mean, var)


def test_batch_norm_moves_the_running_statistics():
    x = np.random.default_rng(3).standard_normal((3, 4, 5, 7)).astype(np.float32)
    weight = integers(4)
    ours, theirs = ([np.zeros(4, np.float32), np.ones(4, np.float32)] for _ in range(2))
    got = norms(x, *ours, weight)
    options = {"backend": "numba"}
    want = convkit.batch_norm(x, *theirs, weight, training=True, **options), None
    want = want[0], convkit.batch_norm(x, *theirs, **options)
    for a, b in zip((*got, *ours), (*want, *theirs), strict=True):
        # The statistics are updated in the arrays' precision, in some order of three roundings.
        np.testing.assert_allclose(a, b, rtol=4 * np.finfo(np.float32).eps, atol=1e-6)


def test_arrays_that_are_read_only_strided_or_empty():
    x = integers(2, 4, 9, 22)[..., ::2]
    x.flags.writeable = False
    assert_equal(convolutions(x, W, B)[0], convkit.conv2d(x, W, B, (2, 1), ((1, 0), (2, 1)), groups=2))
    assert convolutions(X[:0], W, B)[0].shape == (0, 6, 4, 12)


def test_what_cannot_be_is_refused():
    @numba.njit
    def two_dtypes(x, w):
        return ck.conv2d(x, w)

    with pytest.raises(TypingError, match="one float type"):
        two_dtypes(X, W.astype(np.float64))
    with pytest.raises(TypingError, match="4 axes"):
        two_dtypes(X[0], W)
    with pytest.raises(ValueError, match="divided by groups"):
        two_dtypes(X, W)
    with pytest.raises(ValueError, match="does not fit"):
        two_dtypes(X[:, :2, :2], W)


NUMBERS = np.zeros(4, np.float32), np.ones(4, np.float32)
NOTHING = np.empty((1, 0, 4, 4), np.float32)

REFUSED = {
    "no divisor": (lambda x, a, b: ck.avg_pool2d(x, 2, divisor_override=0), "divisor_override must not be 0"),
    "momentum": (lambda x, a, b: ck.batch_norm(x, a, b, training=True, momentum=7.0), r"in \[0, 1\]"),
    "momentum, NaN": (lambda x, a, b: ck.batch_norm(x, a, b, training=True, momentum=np.nan), "momentum"),
    "eps": (lambda x, a, b: ck.batch_norm(x, a, b, eps=-5.0), "eps must be finite"),
    "eps, infinite": (
        lambda x, a, b: ck.batch_norm(x, a, b, training=True, eps=np.inf),
        "eps must be finite",
    ),
    "variance": (lambda x, a, b: ck.batch_norm(x, a, -b), "running_var must be at least 0"),
    "no statistics": (lambda x, a, b: ck.batch_norm(x, None, None), "evaluation needs running statistics"),
    "one statistic": (lambda x, a, b: ck.batch_norm(x, a, None, training=True), "both or neither"),
    "short statistic": (lambda x, a, b: ck.batch_norm(x, a, b[1:]), "another length"),
    "mode of conv2d": (lambda x, a, b: ck.conv2d(x, x, padding_mode="constant"), "zeros, reflect"),
    "mode of im2col": (lambda x, a, b: ck.im2col(x, 1, padding_mode="constant"), "zeros, reflect"),
    "mode of pad": (lambda x, a, b: ck.pad(x, (1, 1, 1, 1), "zeros"), "constant, reflect"),
}


@pytest.mark.parametrize("call", REFUSED)
def test_options_that_convkit_refuses_are_refused(call):
    function, message = REFUSED[call]
    with pytest.raises(ValueError, match=message):
        numba.njit(function)(X, *NUMBERS)


def test_what_the_compiler_itself_refuses():
    with pytest.raises(TypingError, match=r"padding must be \(left, right, top, bottom\)"):
        numba.njit(lambda x: ck.pad(x, (1, 1)))(X)
    with pytest.raises(TypingError, match="running statistic must be a vector of float32"):
        numba.njit(lambda x, a: ck.batch_norm(x, a, a))(X, np.ones(4))
    with pytest.raises(TypingError, match=r"momentum must be a number in \[0, 1\]"):
        numba.njit(lambda x: ck.batch_norm(x, None, None, None, None, True, None))(X)
    for b in (np.ones((6, 2), np.float32), np.ones(6), 1.0, (1.0, 2.0)):
        for conv in (ck.conv2d, ck.conv_transpose2d):
            with pytest.raises(TypingError, match="weight and bias must be vectors of float32 or None"):
                numba.njit(lambda x, w, b, conv=conv: conv(x, w, b))(X, W, b)


EMPTY = {
    "conv2d": lambda x: ck.conv2d(x, np.ones((3, 0, 3, 3), x.dtype)),
    "conv2d, no filters": lambda x: ck.conv2d(np.ones((1, 2, 4, 4), x.dtype), np.ones((0, 2, 3, 3), x.dtype)),
    "conv_transpose2d": lambda x: ck.conv_transpose2d(x, np.ones((0, 2, 3, 3), x.dtype)),
    "im2col": lambda x: ck.im2col(x, 2),
    "pad": lambda x: ck.pad(x, (1, 1, 1, 1)),
    "avg_pool2d": lambda x: ck.avg_pool2d(x, 2),
    "global_avg_pool2d": lambda x: ck.global_avg_pool2d(x),
    "max_pool2d": lambda x: ck.max_pool2d(x, 2),
    "batch_norm": lambda x: ck.batch_norm(x, None, None, training=True),
}


@pytest.mark.parametrize("call", EMPTY)
def test_rule_28_only_the_batch_may_be_empty(call):
    with pytest.raises(ValueError, match="empty"):
        numba.njit(EMPTY[call])(NOTHING)


def test_training_without_running_statistics():
    got = numba.njit(lambda x: ck.batch_norm(x, None, None, training=True))(X)
    want = convkit.batch_norm(X, None, None, training=True, backend="numba")
    assert_bits(got, want)


@numba.njit(parallel=True)
def image_by_image(x, w, y):
    for n in numba.prange(len(x)):
        y[n] = ck.conv2d(x[n : n + 1], w, groups=2)[0]


def test_a_parallel_loop_of_ones_own():
    y = np.empty((2, 6, 7, 9), np.float32)
    image_by_image(X, W, y)
    assert_bits(y, convkit.conv2d(X, W, groups=2, backend="numba"))


def test_the_docstring_of_the_module_is_true():
    w1, w2 = integers(3, 4, 3, 3), integers(2, 3, 3, 3)

    @numba.njit
    def network(x, w1, b1, w2, b2):
        x = ck.max_pool2d(np.maximum(ck.conv2d(x, w1, b1, padding=1), 0), 2)
        return ck.conv2d(x, w2, b2, padding=1)

    b1, b2 = integers(3), integers(2)
    hidden = convkit.max_pool2d(np.maximum(convkit.conv2d(X, w1, b1, padding=1), 0), 2)
    assert_equal(network(X, w1, b1, w2, b2), convkit.conv2d(hidden, w2, b2, padding=1))


def test_the_example_of_a_docstring_is_true():
    """Doctests are looked for in functions, and these are Numba's dispatchers."""
    example = doctest.DocTestParser().get_doctest(ck.conv2d.__doc__, {}, "conv2d", None, None)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0
