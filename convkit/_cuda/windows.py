"""What a window's cells come to: device functions for a plane in the device's memory or in shared memory.

`cells` is a vector in which the plane's cell (ih, iw) is number ``first + ih*IW + iw``; a window is a row of
a table, ``(start, stop, divisor)`` or ``(start, stop, step)`` for each axis.

Loops over a window are ``while`` loops. A ``range`` counts its turns beside its index and, if its step is not
a constant, begins with a division for their number, some 40 instructions. An index
that may be negative counts from the end, in Python and in Numba; where an unsigned one says that it is
not, each access is five instructions shorter.

Sums of up to :data:`NARROW` cells are of the cells' dtype, as most pooling's are: each of so few additions
rounds once, and multiprocessors of many GPUs do 64 times as many in float32 as in float64. In larger windows
these roundings would add up, until the sum of ever more ones stops growing at 2^24; they are summed in
double, whatever they cost.
"""

from __future__ import annotations

import numpy as np

from .scalars import takes_over
from .target import float64, jit, uint64

__all__ = ["are_wide", "average", "largest", "largest_at", "total", "wide_average", "wide_total"]

NARROW = 64
"""Cells of a window that are added up in their own dtype."""


def are_wide(h_windows: np.ndarray, w_windows: np.ndarray) -> bool:
    """Tell whether windows (start, stop, ...) have more than :data:`NARROW` cells.

    >>> are_wide(np.array([[0, 8]]), np.array([[0, 8], [8, 17]]))
    True
    """
    heights, widths = (windows[:, 1] - windows[:, 0] for windows in (h_windows, w_windows))
    return bool(heights.max(initial=0) * widths.max(initial=0) > NARROW)


@jit(device=True)
def _add(acc, cells, first, IW, h0, h1, w0, w1):
    """Add the cells in rows h0 to h1 and columns w0 to w1, row by row."""
    row, bottom = first + h0 * IW, first + h1 * IW
    while row < bottom:
        at = row + w0
        while at < row + w1:
            acc += cells[uint64(at)]
            at += 1
        row += IW
    return acc


@jit(device=True)
def total(cells, first, IW, h0, h1, w0, w1):
    """Return the sum of the cells in rows h0 to h1 and columns w0 to w1, in their dtype."""
    return _add(cells.dtype.type(0), cells, first, IW, h0, h1, w0, w1)


@jit(device=True)
def wide_total(cells, first, IW, h0, h1, w0, w1):
    """Return that sum in double."""
    return _add(float64(0), cells, first, IW, h0, h1, w0, w1)


@jit(device=True)
def average(cells, first, IW, h0, h1, h_divisor, w0, w1, w_divisor):
    """Return the average of a window. A product with the reciprocal would misround one in ten."""
    return total(cells, first, IW, h0, h1, w0, w1) / cells.dtype.type(h_divisor * w_divisor)


@jit(device=True)
def wide_average(cells, first, IW, h0, h1, h_divisor, w0, w1, w_divisor):
    """Return the average of a window, in double."""
    return wide_total(cells, first, IW, h0, h1, w0, w1) / (h_divisor * w_divisor)


@jit(device=True)
def largest_at(cells, first, IW, h0, h1, h_step, w0, w1, w_step):
    """Return the largest value of a window, and which cell of the plane it is."""
    where = h0 * IW + w0
    best = cells[first + where]
    ih = h0
    while ih < h1:
        iw = w0
        while iw < w1:
            value = cells[uint64(first + ih * IW + iw)]
            if takes_over(value, best):
                best, where = value, ih * IW + iw
            iw += w_step
        ih += h_step
    return best, where


@jit(device=True)
def largest(cells, first, IW, h0, h1, h_step, w0, w1, w_step):
    """Return the largest value of a window."""
    return largest_at(cells, first, IW, h0, h1, h_step, w0, w1, w_step)[0]
