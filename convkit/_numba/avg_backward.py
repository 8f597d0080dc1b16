"""The gradient of average pooling: every cell gets, from each window that it is in, an equal share.

    dx[p, h0:h1, w0:w1] += dy[p, oh, ow] / (h_divisor * w_divisor)

Separable like the sum itself: a row of shares is first spread along a row of cells, in a buffer, and that
row is added to the KH rows of its windows; a row that no window has reached before is written instead.
KW + KH/SH additions a cell, not their product. Planes stay in the cache while their windows overlap, so
memory sees dy once and dx once. A plane is one thread's.

Where common windows are one or two columns apart, cell S*j + r collects the shares j, j - 1... of the
windows that reach it, which is a sum of shifted registers; two such sums are then interleaved. A loop over
the cells of each window, which LLVM cannot make vectors of, took three to five times as long. Small planes
go side by side in the lanes of registers, whatever their windows are.

A cell's sum has one rounding for each share, and the shares of its row one each for their sum.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy import uintp

from .compile import inner, kernel, separate
from .planes_in_lanes import CELLS, GROUPS, are_small, from_lanes, groups_of, to_lanes
from .registers import every, read, width, write, zip_high, zip_low
from .windows import START, STOP, THIRD, find_run

SPAN = 4096  # columns done at a time: 16 or 32 KiB
MARGIN = 64  # zeros on either side of the shares, and room behind the cells, for whole registers
TASK = 1 << 14  # cells that a thread does at a time, so that making the buffers costs nothing


# --- along a row ---------------------------------------------------------------------------


@inner
def clear(a, first, end):
    for i in range(first, end):
        a[uintp(i)] = 0


@inner
def spread_each(cells, dy, of, h_divisor, w_windows, first, end, left, right):
    """Add the shares of outputs first..end - 1 to the columns left..right - 1 of a row."""
    for ow in range(first, end):
        start, stop = max(w_windows[ow, START], left), min(w_windows[ow, STOP], right)
        if start < stop:
            share = dy[uintp(of + ow)] / cells.dtype.type(float(h_divisor) * w_windows[ow, THIRD])
            for i in range(start - left, stop - left):
                cells[uintp(i)] += share


@inner
def divide(shares, dy, of, count, divisor):
    """Set the shares from MARGIN on, `count` of them."""
    W, last = width(dy), MARGIN - of
    by = every(dy, divisor)
    for i in range(of, of + count - W + 1, W):
        write(shares, last + i, read(dy, i) / by)
    for i in range(of + count - count % W, of + count):
        shares[uintp(last + i)] = dy[uintp(i)] / dy.dtype.type(divisor)


@inner
def sum_of(shares, j, terms):
    """Return the sums of so many shares up to j, j + 1... in a register."""
    total = read(shares, MARGIN + j)
    for q in range(1, terms):
        total = read(shares, MARGIN + j - q) + total
    return total


@inner
def spread_common(cells, to, shares, count, S, K):
    """Write the cells of `count` windows, S columns apart, and zeros up to a whole register."""
    W = width(cells)
    for j in range(0, (S * (count - 1) + K - 1) // S + 1, W):
        even = sum_of(shares, j, (K - 1) // S + 1)
        if S == 1:
            write(cells, to + j, even)
        else:
            odd = sum_of(shares, j, (K - 2) // S + 1) if K > 1 else every(cells, 0.0)
            write(cells, to + 2 * j, zip_low(even, odd))
            write(cells, to + 2 * j + W, zip_high(even, odd))


@inner
def spread(cells, shares, dy, of, h_divisor, w_windows, run, left, right):
    """A row of shares as a row of cells, columns left..right - 1."""
    first, end, K, S = run
    count, OW = end - first, len(w_windows)
    start = w_windows[first, START]
    clear(cells, 0, right - left)
    if left > 0 or start + (count - 1) * S + K > right or not 1 <= S <= 2 or K > MARGIN // 2:
        spread_each(cells, dy, of, h_divisor, w_windows, 0, OW, left, right)
        return
    divide(shares, dy, of + first, count, float(h_divisor) * w_windows[first, THIRD])
    clear(shares, MARGIN + count, 2 * MARGIN + count)
    if S == 1 and K == 3:  # a constant saves the loop over the shares
        spread_common(cells, start, shares, count, 1, 3)
    elif S == 1:
        spread_common(cells, start, shares, count, 1, K)
    elif K == 2:
        spread_common(cells, start, shares, count, 2, 2)
    elif K == 3:
        spread_common(cells, start, shares, count, 2, 3)
    else:
        spread_common(cells, start, shares, count, 2, K)
    spread_each(cells, dy, of, h_divisor, w_windows, 0, first, left, right)
    spread_each(cells, dy, of, h_divisor, w_windows, end, OW, left, right)


# --- down the rows -------------------------------------------------------------------------


@inner
def plane(dx, to, dy, of, cells, shares, h_windows, w_windows, run, IH, IW):
    """Blocks of columns; in each, a row of outputs at a time. Rows before `fresh` have been written."""
    OW = len(w_windows)
    for left in range(0, IW, SPAN):
        columns, fresh = min(SPAN, IW - left), 0
        for oh in range(len(h_windows)):
            h_start, h_stop, h_divisor = h_windows[oh, START], h_windows[oh, STOP], h_windows[oh, THIRD]
            spread(cells, shares, dy, of + oh * OW, h_divisor, w_windows, run, left, left + columns)
            for ih in range(fresh, h_start):
                clear(dx, to + ih * IW + left, to + ih * IW + left + columns)
            for ih in range(h_start, h_stop):
                row = to + ih * IW + left
                if ih < fresh:
                    for i in range(columns):
                        dx[uintp(row + i)] += cells[uintp(i)]
                else:
                    for i in range(columns):
                        dx[uintp(row + i)] = cells[uintp(i)]
            fresh = max(fresh, h_start, h_stop)
        for ih in range(fresh, IH):
            clear(dx, to + ih * IW + left, to + ih * IW + left + columns)


@separate
def planes(first, end, dx, dy, h_windows, w_windows, run, IH, IW):
    """Planes first..end - 1."""
    OH, OW = len(h_windows), len(w_windows)
    cells = np.empty(min(SPAN, IW) + 2 * MARGIN, dx.dtype)
    shares = np.empty(min(SPAN, OW) + 3 * MARGIN, dx.dtype)
    clear(shares, 0, MARGIN)
    for p in range(first, end):
        plane(dx, p * IH * IW, dy, p * OH * OW, cells, shares, h_windows, w_windows, run, IH, IW)


# --- small planes --------------------------------------------------------------------------


@inner
def add(cells, at, v):
    write(cells, at, read(cells, at) + v)


@separate
def small_planes(task, dx, dy, h_windows, w_windows, P, IH, IW):
    """The planes of one task, W at a time in the lanes of registers: along rows, then down columns."""
    OH, OW, W = len(h_windows), len(w_windows), width(dx)
    cells, rows = np.empty(CELLS * W, dx.dtype), np.empty(CELLS * W, dx.dtype)
    for p in range(task * GROUPS * W, min(P, (task + 1) * GROUPS * W), W):
        count = min(W, P - p)
        to_lanes(cells, dy, p * OH * OW, count, OH * OW)
        clear(rows, 0, OH * IW * W)
        for oh in range(OH):
            for ow in range(OW):
                divisor = float(h_windows[oh, THIRD]) * float(w_windows[ow, THIRD])
                share = read(cells, (oh * OW + ow) * W) / every(dx, divisor)
                for iw in range(w_windows[ow, START], w_windows[ow, STOP]):
                    add(rows, (oh * IW + iw) * W, share)
        clear(cells, 0, IH * IW * W)
        for oh in range(OH):
            for ih in range(h_windows[oh, START], h_windows[oh, STOP]):
                for iw in range(IW):
                    add(cells, (ih * IW + iw) * W, read(rows, (oh * IW + iw) * W))
        from_lanes(dx, p * IH * IW, cells, count, IH * IW)


# --- all planes ----------------------------------------------------------------------------


@kernel
def avg_pool2d_backward(dx, dy, h_windows, w_windows):
    """Add to every cell of dx (P, IH, IW) its share of each dy (P, OH, OW) whose window it is in."""
    (P, IH, IW), (_, OH, OW) = dx.shape, dy.shape
    dx, dy = dx.reshape(dx.size), dy.reshape(dy.size)
    if 2 * width(dx) > IW and are_small(dx, P, IH, IW, OH, OW):
        for task in prange(groups_of(dx, P)):
            small_planes(task, dx, dy, h_windows, w_windows, P, IH, IW)
    else:
        run = find_run(w_windows)
        count = TASK // (IH * IW) + 1
        for task in prange((P - 1) // count + 1):
            planes(task * count, min(P, (task + 1) * count), dx, dy, h_windows, w_windows, run, IH, IW)
