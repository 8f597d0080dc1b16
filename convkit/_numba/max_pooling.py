"""Max pooling: the largest number of each window, and NaN where there is one.

    y[p, oh, ow] = max of x[p, h0:h1:step, w0:w1:step]

Bound by memory where windows are small; (KH - 1) + (KW - 1) comparisons an output, since a maximum is
separable. The three ways are those of average pooling: in registers, small planes in lanes, and
anything else by strips, downwards first. Maxima do not round: results are exact.

NaN costs a comparison and a masked move beside each hardware maximum, which forgets NaNs.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy import uintp

from ..scalars import compiled_by
from .compile import inner, kernel, separate
from .planes_in_lanes import are_small, groups_of, pool_group_by
from .pool_registers import FROM_MEMORY, in_registers, pool_rows_by
from .registers import width
from .windows import START, STOP, THIRD, block_of, find_run

takes_over = compiled_by(inner)["takes_over"]

pool_rows, pool_group = pool_rows_by(maximum=True), pool_group_by(maximum=True)

CELLS = 4096  # of a buffer: 16 or 32 KiB
STRIP = 64  # rows of outputs with common windows that one thread does at a time


# --- any windows ---------------------------------------------------------------------------


@inner
def max_down(best, at, x, of, h_windows, oh, IW, n):
    """Take the maxima of n columns of the rows of a window."""
    first, stop, step = h_windows[oh, START], h_windows[oh, STOP], h_windows[oh, THIRD]
    for i in range(n):
        best[uintp(at + i)] = x[uintp(of + first * IW + i)]
    for ih in range(first + step, stop, step):
        for i in range(n):
            value, most = x[uintp(of + ih * IW + i)], best[uintp(at + i)]
            best[uintp(at + i)] = value if takes_over(value, most) else most


@inner
def max_along(best, at, w_windows, ow):
    """Return the maximum of a window; column 0 would be best[at]."""
    first, stop, step = w_windows[ow, START], w_windows[ow, STOP], w_windows[ow, THIRD]
    most = best[uintp(at + first)]
    for i in range(first + step, stop, step):
        value = best[uintp(at + i)]
        most = value if takes_over(value, most) else most
    return most


@inner
def window(x, of, h_windows, oh, w_windows, ow, IW):
    """Return the maximum of a single window, without a buffer."""
    first, stop, step = h_windows[oh, START], h_windows[oh, STOP], h_windows[oh, THIRD]
    most = max_along(x, of + first * IW, w_windows, ow)
    for ih in range(first + step, stop, step):
        value = max_along(x, of + ih * IW, w_windows, ow)
        most = value if takes_over(value, most) else most
    return most


@separate
def any_rows(y, x, best, h_windows, w_windows, first, last, IH, IW):
    """Rows first..last - 1, counted through all planes, by blocks of columns that fit the buffer."""
    OH, OW = len(h_windows), len(w_windows)
    ow = 0
    while ow < OW:
        end, low, high = block_of(w_windows, ow, CELLS)
        n = high - low
        if n > CELLS:
            for row in range(first, last):
                of, oh = row // OH * IH * IW, row % OH
                y[uintp(row * OW + ow)] = window(x, of, h_windows, oh, w_windows, ow, IW)
        else:
            for row in range(first, last):
                max_down(best, (row - first) * n, x, row // OH * IH * IW + low, h_windows, row % OH, IW, n)
            for row in range(first, last):
                for i in range(ow, end):
                    y[uintp(row * OW + i)] = max_along(best, (row - first) * n - low, w_windows, i)
        ow = end


# --- rows with common windows --------------------------------------------------------------


@inner
def common_rows(y, to, x, of, h_windows, w_windows, run, IW, first, end, far):
    """Rows first..end - 1 of the plane that begins at y[to] and x[of]; the edge has clipped some windows."""
    start, stop, OW = run[0], run[1], len(w_windows)
    column = of + w_windows[start, START]
    pool_rows(y, to + start, x, column, h_windows, w_windows, run, (IW, OW), first, end, far)
    for oh in range(first, end):
        for ow in range(start):
            y[uintp(to + oh * OW + ow)] = window(x, of, h_windows, oh, w_windows, ow, IW)
        for ow in range(stop, OW):
            y[uintp(to + oh * OW + ow)] = window(x, of, h_windows, oh, w_windows, ow, IW)


# --- all planes ----------------------------------------------------------------------------


@kernel
def max_pool2d(y, x, h_windows, w_windows):
    """Fill y (P, OH, OW) with the maxima of the windows of x (P, IH, IW)."""
    (P, OH, OW), (_, IH, IW) = y.shape, x.shape
    y, x = y.reshape(y.size), x.reshape(x.size)
    run = find_run(w_windows)
    start, stop, K, S = run
    if w_windows[start, THIRD] == 1 and in_registers(S, K) and stop - start >= width(x):
        strips = (OH - 1) // STRIP + 1
        far = x.size > FROM_MEMORY
        for task in prange(P * strips):
            p, oh = task // strips, task % strips * STRIP
            end = min(oh + STRIP, OH)
            common_rows(y, p * OH * OW, x, p * IH * IW, h_windows, w_windows, run, IW, oh, end, far)
    elif are_small(x, P, IH, IW, OH, OW):
        for task in prange(groups_of(x, P)):
            pool_group(task, y, x, h_windows, w_windows, P, IH, IW)
    else:
        rows = max(1, CELLS // IW)
        for task in prange((P * OH - 1) // rows + 1):
            best = np.empty(CELLS, x.dtype)
            first, last = task * rows, min(P * OH, (task + 1) * rows)
            any_rows(y, x, best, h_windows, w_windows, first, last, IH, IW)
