"""Averages of any windows, by strips of rows: sums downwards in a buffer, then along its rows, in double.

First the sums downwards of a whole strip, which LLVM makes vectors of, then the sums along its rows. (One row
at a time is half as fast: the loads of the second step meet stores that have not reached the cache yet.)

Where wide windows overlap, the sums along a row are *running* sums: three additions an output, whatever
the width. Cut the row into blocks as wide as the window. A window is then the end of one block and the
beginning of the next, and both are known for every column after one pass from the right and one from
the left::

    columns     a b c d | e f g h | i j k l       blocks of K = 4
    window          c d   e f                     (c + d) + (e + f)

Nothing is ever subtracted. The running sum that takes off what leaves the window is one addition
shorter, and wrong: behind a cell of 1e30 all windows of the row have lost their small cells, and behind
an infinity or a NaN they are all NaN.
"""

from __future__ import annotations

import numpy as np
from numpy import uintp

from .compile import inner, separate
from .windows import START, STOP, THIRD, block_of, running_width

CELLS = 4096  # of a row of a buffer: 32 KiB


@inner(_nrt=True)
def buffer():
    """Return room for the sums of a strip, to blocks' ends and from blocks' beginnings, for `any_rows`."""
    return np.empty((3, CELLS))


@inner
def rows_at_once(IW):
    """Return how many rows of outputs make a strip."""
    return max(1, CELLS // IW)


@inner
def add_down(sums, at, x, of, KH, IW, n):
    """Add up n columns of KH rows."""
    for i in range(n):
        sums[uintp(at + i)] = x[uintp(of + i)]
    for kh in range(1, KH):
        for i in range(n):
            sums[uintp(at + i)] += x[uintp(of + kh * IW + i)]


@inner
def add_along(y, to, sums, at, K, h_divisor, w_windows, first, end):
    """Average those of outputs first..end - 1 that have not K columns; column 0 would be sums[at]."""
    for ow in range(first, end):
        w0, w1 = w_windows[ow, START], w_windows[ow, STOP]
        if w1 - w0 != K:
            total = 0.0
            for i in range(w0, w1):
                total += sums[uintp(at + i)]
            y[uintp(to + ow)] = total / (float(h_divisor) * w_windows[ow, THIRD])


@inner
def add_blocks(ends, begins, sums, at, n, K):
    """In every block of K: sums from each column to the block's end, and from its beginning to each."""
    for start in range(0, n, K):
        stop = min(start + K, n)
        total = 0.0
        for i in range(start, stop):
            total += sums[uintp(at + i)]
            begins[uintp(i)] = total
        total = 0.0
        for i in range(stop - 1, start - 1, -1):
            total += sums[uintp(at + i)]
            ends[uintp(i)] = total


@inner
def add_running(y, to, ends, begins, low, K, h_divisor, w_windows, first, end):
    """Average those of outputs first..end - 1 whose windows have K columns; column `low` is ends[0]."""
    for ow in range(first, end):
        i = w_windows[ow, START] - low
        if w_windows[ow, STOP] - w_windows[ow, START] == K:
            total = ends[uintp(i)]
            if i % K:
                total += begins[uintp(i + K - 1)]
            y[uintp(to + ow)] = total / (float(h_divisor) * w_windows[ow, THIRD])


@inner
def wide_window(x, of, h_windows, oh, w_windows, ow, IW):
    """Add up a window that is wider than the buffer."""
    total = 0.0
    for ih in range(h_windows[oh, START], h_windows[oh, STOP]):
        for iw in range(w_windows[ow, START], w_windows[ow, STOP]):
            total += x[uintp(of + ih * IW + iw)]
    return total


def any_rows_by(running):
    """Return a function for the rows of a strip, by running sums where they pay or without them."""

    @separate
    def any_rows(y, x, buffer, h_windows, w_windows, first, last, IH, IW):
        """Rows first..last - 1, counted through all planes, by blocks of columns that fit the buffer."""
        sums, ends, begins = buffer[0], buffer[1], buffer[2]
        OH, OW = len(h_windows), len(w_windows)
        ow = 0
        while ow < OW:
            end, low, high = block_of(w_windows, ow, CELLS)
            n = high - low
            if n > CELLS:
                for row in range(first, last):
                    of, oh = row // OH * IH * IW, row % OH
                    total = wide_window(x, of, h_windows, oh, w_windows, ow, IW)
                    y[uintp(row * OW + ow)] = total / (float(h_windows[oh, THIRD]) * w_windows[ow, THIRD])
                ow = end
                continue
            for row in range(first, last):
                h0, h1 = h_windows[row % OH, START], h_windows[row % OH, STOP]
                add_down(sums, (row - first) * n, x, (row // OH * IH + h0) * IW + low, h1 - h0, IW, n)
            K = running_width(w_windows, ow, end, n) if running else 0
            for row in range(first, last):
                h_divisor, at = h_windows[row % OH, THIRD], (row - first) * n
                if K > 0:
                    add_blocks(ends, begins, sums, at, n, K)
                    add_running(y, row * OW, ends, begins, low, K, h_divisor, w_windows, ow, end)
                add_along(y, row * OW, sums, at - low, K, h_divisor, w_windows, ow, end)
            ow = end

    return any_rows


any_rows = any_rows_by(running=True)
