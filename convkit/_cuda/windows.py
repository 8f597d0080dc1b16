"""What a window's cells come to: device functions for a plane in the device's memory or in shared memory.

`cells` is a vector in which the plane's cell (ih, iw) is number ``first + ih*IW + iw``; a window is a row of
a table, ``(start, stop, divisor)`` or ``(start, stop, step)`` for each axis.

Loops over a window are ``while`` loops. A ``range`` counts its turns beside its index and, if its step is not
a constant, begins with a division for their number, some 40 instructions. An index
that may be negative counts from the end, in Python and in Numba; where an unsigned one says that it is
not, each access is five instructions shorter.
"""

from __future__ import annotations

from .scalars import takes_over
from .target import jit, uint64

__all__ = ["average", "largest", "largest_at", "total"]


@jit(device=True)
def total(cells, first, IW, h0, h1, w0, w1):
    """Return the sum of the cells in rows h0 to h1 and columns w0 to w1, row by row."""
    acc = cells.dtype.type(0)
    row, bottom = first + h0 * IW, first + h1 * IW
    while row < bottom:
        at = row + w0
        while at < row + w1:
            acc += cells[uint64(at)]
            at += 1
        row += IW
    return acc


@jit(device=True)
def average(cells, first, IW, h0, h1, h_divisor, w0, w1, w_divisor):
    """Return the average of a window. A product with the reciprocal would misround one in ten."""
    return total(cells, first, IW, h0, h1, w0, w1) / cells.dtype.type(h_divisor * w_divisor)


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
