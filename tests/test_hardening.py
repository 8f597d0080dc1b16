"""How kernels of this kind fail, class by class, and that these do not.

A class is covered by a test whose docstring names it after ``hardening:``, here or in another
file; the last test of this file checks that each has one.
"""

import re
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from comparator import assert_bits, assert_equal
from geometries import reals
from programs import run

import convkit
from convkit import geometry

X, W = reals(1, 1, 4, 4), reals(1, 1, 3, 3)
HUGE, WIDE = 2**62, 1_879_048_192  # the second is a kernel size that once overflowed an im2col
BIG = 2**40  # more cells than any machine's memory
LONG = 2**24  # a table of it would fit the memory; an image of such rows and columns would not


# --- sizes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda: convkit.conv2d(X, W, padding=HUGE),
        lambda: convkit.conv2d(X, W, padding=BIG, padding_mode="circular"),
        lambda: convkit.conv2d(X, W, padding=WIDE),
        lambda: convkit.conv2d(X, W, padding=LONG),
        lambda: convkit.conv2d(X, W, dilation=HUGE, padding=HUGE),
        lambda: convkit.conv2d(X, W, stride=HUGE, padding=BIG),
        lambda: convkit.conv1d(X[0], W[0], padding=[(0, BIG)]),
        lambda: convkit.conv_transpose2d(X, W, stride=HUGE),
        lambda: convkit.conv_transpose2d(X, W, stride=2**33),
        lambda: convkit.conv_transpose2d(X, W, stride=LONG),
        lambda: convkit.conv_transpose2d(X, W, dilation=HUGE),
        lambda: convkit.im2col(X, WIDE),
        lambda: convkit.im2col(X, WIDE, padding=WIDE),
        lambda: convkit.im2col(X, 3, padding=HUGE),
        lambda: convkit.im2col(X, 3, padding=LONG),
        lambda: convkit.col2im(np.ones((9, 1)), HUGE, 3),
        lambda: convkit.col2im(np.ones((1, 1)), LONG, 1, stride=LONG),
        lambda: convkit.pad(X, (HUGE, HUGE, HUGE, HUGE)),
        lambda: convkit.pad(X, (BIG, 0), "reflect"),
        lambda: convkit.pad(X, (LONG, 0, LONG, 0)),
        lambda: convkit.avg_pool2d(X, WIDE, padding=WIDE // 2 + 1),
        lambda: convkit.avg_pool2d(X, HUGE, padding=HUGE),
        lambda: convkit.max_pool2d(X, WIDE, dilation=HUGE),
        lambda: convkit.adaptive_avg_pool2d(X, HUGE),
        lambda: convkit.adaptive_avg_pool2d(X, BIG),
        lambda: convkit.pad_backward(X, (1, 1, HUGE, HUGE), (1, 1)),
        lambda: convkit.avg_pool2d_backward(X, (1, 1, BIG, BIG), 2),
        lambda: convkit.avg_pool2d_backward(X, (BIG, BIG, 4, 4), 1),
        lambda: convkit.conv2d_backward(X, (BIG, 1, BIG, 6), W, needs=(True, False, False)),
        lambda: geometry.index_table(4, HUGE, HUGE, "symmetric"),
        lambda: geometry.index_table(4, BIG, 0),
        lambda: geometry.pool_windows(BIG, 1, 1),
        lambda: geometry.adaptive_windows(BIG, 2**33),
    ],
)
def test_rule_29_sizes_that_cannot_be_are_refused_at_once(call):
    """hardening: size arithmetic overflows; huge output or workspace."""
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises((ValueError, MemoryError), match=r"\d"):
            call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10**6  # NumPy's own allocations are traced too
    assert time.perf_counter() - start < 1


def test_rule_29_large_strides_and_dilations_that_do_fit():
    """hardening: size arithmetic overflows. A stride beyond 32 bits is one window, and correct."""
    stride = 2**40
    assert_equal(convkit.conv2d(X, W, stride=stride), convkit.conv2d(X, W)[..., :1, :1].copy())
    assert_equal(convkit.max_pool2d(X, 2, stride), X[..., :2, :2].max(axis=(2, 3), keepdims=True))
    assert_equal(convkit.conv2d(X, W[..., :1, :1].copy(), dilation=stride), X * W[0, 0, 0, 0])


# --- options that look alike ---------------------------------------------------------------


def test_plans_do_not_take_one_option_for_another():
    """1, [1] and numpy's 1 are one plan; True and 1.0 equal 1 and are refused, before and after."""
    want = convkit.conv2d(X, W, stride=1)
    for alike in ([1], (1,), (1, 1), np.int64(1), np.array([1, 1]), np.array(1)):
        assert_bits(convkit.conv2d(X, W, stride=alike), want)
        for unlike in (1.0, True, (1.0, 1), np.True_):
            with pytest.raises(TypeError, match="stride must be an int"):
                convkit.conv2d(X, W, stride=unlike)
    assert geometry.index_table(4, 1, 1).tolist() == [-1, 0, 1, 2, 3, -1]
    with pytest.raises(TypeError, match="p0 must be an int"):
        geometry.index_table(4, 1.0, 1)


def test_plans_of_many_lengths_do_not_fill_the_memory():
    """Signals of a hundred lengths leave nothing behind that grows with them."""
    w = np.ones((1, 1, 1))
    convkit.conv1d(np.ones((1, 1, 20_000)), w)
    tracemalloc.start()
    try:
        for n in range(20_000, 20_100):
            convkit.conv1d(np.ones((1, 1, n)), w)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2 * 10**6  # a hundred tables would be 16 MB


def test_constants_of_many_lengths_do_not_fill_the_memory():
    """Nor do the zeros and ones that stand for a bias or a weight which was left out."""
    tracemalloc.start()
    try:
        for n in range(20_000, 20_060):
            convkit.layer_norm(np.ones((1, n)), n)
            convkit.conv2d(np.ones((1, 1, 1, 1)), np.ones((n, 1, 1, 1)))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2 * 10**6  # sixty of each would be 29 MB


# --- empty, aliased and non-finite ---------------------------------------------------------


def test_an_empty_batch_reaches_no_kernel(monkeypatch):
    """hardening: empty arrays."""

    def refuse(*args):
        raise AssertionError("a kernel was called with nothing to do")

    for name in (
        "conv",
        "conv_transpose",
        "padding",
        "unfold",
        "pool_plan",
        "pooling",
        "max_pooling",
        "norm_plan",
    ):
        monkeypatch.setattr(f"convkit.{name}.pick", lambda *choice: refuse)
    x = np.empty((0, 2, 6, 6))
    w = np.ones((2, 2, 3, 3))
    assert convkit.conv2d(x, w).shape == (0, 2, 4, 4)
    assert convkit.conv_transpose2d(x, w).shape == (0, 2, 8, 8)
    assert convkit.pad(x, (1, 1)).shape == (0, 2, 6, 8)
    assert convkit.im2col(x, 3).shape == (0, 18, 16)
    assert convkit.avg_pool2d(x, 2).shape == convkit.max_pool2d(x, 2).shape == (0, 2, 3, 3)
    assert convkit.channel_mean(x).shape == (0, 6, 6)
    assert convkit.batch_norm(x, None, None, training=True).shape == x.shape
    assert convkit.conv2d_backward(np.empty((0, 2, 4, 4)), x, w, needs=(True, True, False)).grad_w.sum() == 0


def test_inputs_are_never_written():
    """hardening: read-only, byte order, strides, misaligned; aliasing."""
    x, w, b = reals(2, 3, 6, 6), reals(4, 3, 3, 3), reals(4)
    before = [a.copy() for a in (x, w, b)]
    for a in (x, w, b):
        a.flags.writeable = False
    y = convkit.conv2d(x, w, b, flip=True)
    convkit.conv2d_backward(y, x, w, flip=True)
    convkit.batch_norm(x, None, None, b[:3], b[1:], training=True)
    convkit.max_pool2d_backward(convkit.max_pool2d(x, 2), x, 2)
    for a, unchanged in zip((x, w, b), before, strict=True):
        assert_bits(a.copy(), unchanged)


def test_nothing_warns_of_infinities_and_nans():
    """hardening: NaN, infinity. Warnings are errors in these tests."""
    x = np.array([np.nan, np.inf, -np.inf, 1e308, 0.0, 5e-324] * 6).reshape(1, 1, 6, 6)
    w = np.full((1, 1, 3, 3), 1e308)
    for backend in ("auto", "reference"):
        convkit.conv2d_backward(convkit.conv2d(x, w, backend=backend), x, w, backend="reference")
    convkit.batch_norm_backward(x, x)
    convkit.batch_norm(x, np.full(1, np.inf), np.full(1, 0.0), eps=0.0)
    convkit.max_pool2d_backward(convkit.max_pool2d(x, 2), x, 2)
    convkit.avg_pool2d(x, 2)
    convkit.dropout_backward(x, 0.9, mask=np.ones(x.shape, bool))
    convkit.layer_norm(x, 6)


def test_cancellation_and_overflow_of_squares():
    """hardening: cancellation, overflow of squares."""
    x = np.array([[1e30], [-1e30]], np.float32) + np.float32(3e30)
    y = convkit.batch_norm(x, None, None, training=True, eps=0.0)
    assert_equal(np.sign(y), np.array([[1], [-1]], np.float32))
    assert abs(np.abs(y) - 1).max() <= 1e-6  # the inputs are rounded to 1.2e-7


def test_subnormal_numbers_are_computed_with():
    """hardening: subnormals."""
    x = np.full((1, 1, 3, 3), 1e-40, np.float32)
    y = convkit.conv2d(x, np.full((1, 1, 1, 1), 2, np.float32))
    assert_equal(y, np.full((1, 1, 3, 3), np.float32(1e-40) * np.float32(2)))
    assert y.all()


# --- the price of the import ---------------------------------------------------------------


def test_the_import_costs_a_fifth_of_a_second_at_most():
    """Beyond NumPy's, and without the heavy packages that only some functions need."""
    program = """
import sys, time
import numpy
start = time.process_time()
import convkit
print(time.process_time() - start, *{"numba", "scipy", "matplotlib", "rich"} & set(sys.modules))
"""
    runs = [run(program).stdout.split() for _ in range(5)]
    assert all(len(words) == 1 for words in runs), runs
    assert (
        min(float(seconds) for (seconds,) in runs) <= 0.2
    )  # the best of five, in CPU time: others use this machine too


# --- every class has a test ----------------------------------------------------------------

CLASSES = (
    "size arithmetic overflows",
    "huge output or workspace",
    "zero or negative stride, dilation, groups, window",
    "negative output, window wholly in padding",
    "option list of wrong length",
    "backward functions take their own shapes",
    "statistics of wrong length, or None",
    "empty arrays",
    "None or a wrong object",
    "read-only, byte order, strides, misaligned",
    "aliasing",
    "NaN, infinity",
    "subnormals",
    "cancellation, overflow of squares",
    "other dtypes",
    "several callers at once",
    "fork after use",
    "results depend on threads",
    "nested parallelism",
    "Ctrl-C",
    "exception in C code",
    "exit",
)


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_of_failure_has_a_test(name):
    texts = [p.read_text() for p in Path(__file__).parent.glob("test_*.py")]
    docstrings = [d for text in texts for d in re.findall(r'"""hardening: (.*?)"""', text, re.DOTALL)]
    assert any(name in d for d in docstrings)
