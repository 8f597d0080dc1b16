"""Maxima of any windows, by strips of rows: downwards in a buffer, then along its rows.

As in ``avg_windows``, a strip is done downwards first. Where wide windows overlap, the maxima along a row
are *running* maxima, of blocks as wide as the window: a window is the end of one block and the beginning of
the next. A maximum cannot be taken back when its cell leaves the window, and here none has to be.

A window with a step is walked by ``while``: a ``range`` whose step is a variable begins with a division, to
know how often, and that took as long as a window of 3x3 cells.
"""

from __future__ import annotations

import numpy as np
from numpy import uintp

from ..scalars import compiled_by
from .avg_windows import CELLS, rows_at_once
from .compile import inner, separate
from .windows import START, STOP, THIRD, block_of, running_width

__all__ = ["any_rows", "any_rows_by", "buffer", "rows_at_once", "takes_over", "window"]

takes_over = compiled_by(inner)["takes_over"]


@inner(_nrt=True)
def buffer(x):
    """Return room for the maxima of a strip, to blocks' ends and from blocks' beginnings, for `any_rows`."""
    return np.empty((3, CELLS), x.dtype)


@inner
def max_down(best, at, x, of, h_windows, oh, IW, n):
    """Take the maxima of n columns of the rows of a window."""
    first, stop, step = h_windows[oh, START], h_windows[oh, STOP], h_windows[oh, THIRD]
    for i in range(n):
        best[uintp(at + i)] = x[uintp(of + first * IW + i)]
    ih = first + step
    while ih < stop:
        for i in range(n):
            value, most = x[uintp(of + ih * IW + i)], best[uintp(at + i)]
            best[uintp(at + i)] = value if takes_over(value, most) else most
        ih += step


@inner
def max_along(best, at, w_windows, ow):
    """Return the maximum of a window; column 0 would be best[at]."""
    first, stop, step = w_windows[ow, START], w_windows[ow, STOP], w_windows[ow, THIRD]
    most = best[uintp(at + first)]
    i = first + step
    while i < stop:
        value = best[uintp(at + i)]
        most = value if takes_over(value, most) else most
        i += step
    return most


@inner
def max_blocks(ends, begins, best, at, n, K):
    """In every block of K: maxima from each column to the block's end, and from its beginning to each."""
    for start in range(0, n, K):
        stop = min(start + K, n)
        most = best[uintp(at + start)]
        for i in range(start, stop):
            value = best[uintp(at + i)]
            most = value if takes_over(value, most) else most
            begins[uintp(i)] = most
        most = best[uintp(at + stop - 1)]
        for i in range(stop - 1, start - 1, -1):
            value = best[uintp(at + i)]
            most = value if takes_over(value, most) else most
            ends[uintp(i)] = most


@inner
def is_running(w_windows, ow, K):
    """Tell whether an output is one of those for which running maxima over K columns will do."""
    return w_windows[ow, STOP] - w_windows[ow, START] == K and w_windows[ow, THIRD] == 1


@inner
def max_running(y, to, ends, begins, low, K, w_windows, first, end):
    """Write those of outputs first..end - 1 that running maxima will do for; column `low` is ends[0]."""
    for ow in range(first, end):
        i = w_windows[ow, START] - low
        if is_running(w_windows, ow, K):
            one, other = ends[uintp(i)], begins[uintp(i + K - 1)]
            y[uintp(to + ow)] = other if takes_over(other, one) else one


@inner
def window(x, of, h_windows, oh, w_windows, ow, IW):
    """Return the maximum of a single window, without a buffer."""
    first, stop, step = h_windows[oh, START], h_windows[oh, STOP], h_windows[oh, THIRD]
    most = max_along(x, of + first * IW, w_windows, ow)
    ih = first + step
    while ih < stop:
        value = max_along(x, of + ih * IW, w_windows, ow)
        most = value if takes_over(value, most) else most
        ih += step
    return most


def any_rows_by(running):
    """Return a function for the rows of a strip, by running maxima where they pay or without them."""

    @separate
    def any_rows(y, x, buffer, h_windows, w_windows, first, last, IH, IW):
        """Rows first..last - 1, counted through all planes, by blocks of columns that fit the buffer."""
        best, ends, begins = buffer[0], buffer[1], buffer[2]
        OH, OW = len(h_windows), len(w_windows)
        ow = 0
        while ow < OW:
            end, low, high = block_of(w_windows, ow, CELLS)
            n = high - low
            if n > CELLS:
                for row in range(first, last):
                    of, oh = row // OH * IH * IW, row % OH
                    y[uintp(row * OW + ow)] = window(x, of, h_windows, oh, w_windows, ow, IW)
                ow = end
                continue
            for row in range(first, last):
                of = row // OH * IH * IW + low
                max_down(best, (row - first) * n, x, of, h_windows, row % OH, IW, n)
            K = running_width(w_windows, ow, end, n) if running else 0
            if not is_running(w_windows, (ow + end) // 2, K):
                K = 0  # windows with a step leave columns out
            for row in range(first, last):
                at = (row - first) * n
                if K > 0:
                    max_blocks(ends, begins, best, at, n, K)
                    max_running(y, row * OW, ends, begins, low, K, w_windows, ow, end)
                for i in range(ow, end):
                    if not is_running(w_windows, i, K):
                        y[uintp(row * OW + i)] = max_along(best, at - low, w_windows, i)
            ow = end

    return any_rows


any_rows = any_rows_by(running=True)
