"""Sizes and index tables for compiled code: :mod:`convkit.geometry` once more, as Numba can compile it.

``convkit.geometry`` remembers its tables and explains itself when a number is wrong; in compiled code there
are neither dictionaries of plans nor formatted messages. What is left is a few lines of integers, which
the tests compare with those, case by case.
"""

from __future__ import annotations

import numba
import numpy as np

compiled = numba.njit(nogil=True)


@compiled
def conv_output_size(n, k, s, d, p0, p1):
    """Return the outputs of a convolution along one axis."""
    if n < 1 or k < 1:
        raise ValueError("x and w must not be empty")
    if s < 1 or d < 1:
        raise ValueError("stride and dilation must be at least 1")
    if p0 < 0 or p1 < 0:
        raise ValueError("padding must be at least 0")
    o = (n + p0 + p1 - (d * (k - 1) + 1)) // s + 1
    if o < 1:
        raise ValueError("the window does not fit the padded input")
    return o


@compiled
def conv_transpose_output_size(n, k, s, d, p0, p1, extra):
    """Return the outputs of a transposed convolution along one axis."""
    if n < 1 or k < 1:
        raise ValueError("x and w must not be empty")
    if s < 1 or d < 1:
        raise ValueError("stride and dilation must be at least 1")
    if p0 < 0 or p1 < 0:
        raise ValueError("padding must be at least 0")
    if extra < 0 or extra >= max(s, d):
        raise ValueError("output_padding must be at least 0 and smaller than the stride or the dilation")
    o = s * (n - 1) + d * (k - 1) + 1 + extra - p0 - p1
    if o < 1:
        raise ValueError("no output is left")
    return o


@compiled
def pool_output_size(n, k, s, p, d, ceil_mode):
    """Return the outputs of a pooling window along one axis, padded by `p` on both sides."""
    if n < 1 or k < 1:
        raise ValueError("x and the window must not be empty")
    if s < 1 or d < 1:
        raise ValueError("stride and dilation must be at least 1")
    if p < 0 or p > k // 2:
        raise ValueError("padding must be at least 0 and at most half the window")
    reach = n + 2 * p - (d * (k - 1) + 1)
    o = reach // s + 1
    if ceil_mode:
        o = -(-reach // s) + 1
        if (o - 1) * s >= n + p:
            o -= 1
    if o < 1:
        raise ValueError("the window does not fit the padded input")
    return o


@compiled
def same_padding(n, k, s, d):
    """Return the padding (before, after) that gives ceil(n / s) outputs; an odd cell goes after."""
    total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
    return total // 2, total - total // 2


ZEROS, REFLECT, REPLICATE, CIRCULAR, SYMMETRIC = range(5)  # as in convkit.geometry.PADDING_MODES


@compiled
def mode_number(mode):
    """Return the number of a padding mode."""
    if mode == "zeros":
        return ZEROS
    if mode == "reflect":
        return REFLECT
    if mode == "replicate":
        return REPLICATE
    if mode == "circular":
        return CIRCULAR
    if mode == "symmetric":
        return SYMMETRIC
    raise ValueError("the padding mode must be zeros, reflect, replicate, circular or symmetric")


@compiled
def index_table(n, p0, p1, mode):
    """Return, for each padded cell of an axis, the input cell it shows, or -1; `mode` is a number."""
    length = p0 + n + p1
    if n < 1 or length < 1:
        raise ValueError("padding leaves nothing")
    if mode != ZEROS and min(p0, p1) < 0:
        raise ValueError("negative padding crops, which only constant padding can")
    if mode == REFLECT and n == 1 and length > 1:
        raise ValueError("reflect padding needs at least 2 cells: a single one has no reflection")
    table = np.empty(length, np.intp)
    for at in range(length):
        i = at - p0
        if mode == ZEROS:
            table[at] = i if 0 <= i < n else -1
        elif mode == REFLECT:
            bounce = i % max(2 * (n - 1), 1)
            table[at] = min(bounce, 2 * (n - 1) - bounce)
        elif mode == SYMMETRIC:
            bounce = i % (2 * n)
            table[at] = min(bounce, 2 * n - 1 - bounce)
        elif mode == REPLICATE:
            table[at] = min(max(i, 0), n - 1)
        else:
            table[at] = i % n
    return table


@compiled
def pool_windows(n, k, s, p, ceil_mode, count_include_pad):
    """Return (start, stop, divisor) of each window of an average pooling along one axis."""
    o = pool_output_size(n, k, s, p, 1, ceil_mode)
    table = np.empty((o, 3), np.intp)
    for i in range(o):
        start, stop = i * s - p, min(i * s - p + k, n + p)
        table[i, 0], table[i, 1] = max(start, 0), min(stop, n)
        table[i, 2] = stop - start if count_include_pad else table[i, 1] - table[i, 0]
    return table


@compiled
def max_pool_windows(n, k, s, p, d, ceil_mode):
    """Return (start, stop, step) of each window of a max pooling along one axis."""
    o = pool_output_size(n, k, s, p, d, ceil_mode)
    table = np.empty((o, 3), np.intp)
    for i in range(o):
        start = i * s - p
        table[i, 0] = start % d if start < 0 else start  # the first tap that is not padding
        table[i, 1] = min(start + d * (k - 1) + 1, n)
        table[i, 2] = min(d, n)
        if table[i, 0] >= table[i, 1]:
            raise ValueError("a window would hold padding alone")
    return table
