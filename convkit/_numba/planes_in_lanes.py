"""Small planes side by side: lane l of every register belongs to plane l.

A plane of 7x7 cells has no rows worth a register. But W planes, transposed, are 49 registers on which the
operation of one cell runs for W planes at once, whatever the windows are: no edges, no tails. The
transposition goes by squares of W registers, through a buffer in the L1 cache.
"""

from __future__ import annotations

import numpy as np
from numpy import uintp

from .compile import inner, separate
from .pool_registers import both_by
from .registers import every, read, transpose, width, write
from .windows import START, STOP, THIRD

CELLS = 256  # registers in a buffer: 16 KiB at 64 bytes, so that two of them fit the L1 cache
GROUPS = 8  # of W planes each that a thread does at a time


@separate
def to_lanes(cells, x, of, planes, n):
    """Set lane l of register c to cell c of plane l; lanes of planes that are not there stay."""
    W = width(x)
    if planes == W and n >= W:
        for start in range(0, n, W):
            c = min(start, n - W)  # the last square overlaps the one before it
            transpose(cells, c * W, W, x, of + c, n)
        return
    for p in range(planes):
        for c in range(n):
            cells[uintp(c * W + p)] = x[uintp(of + p * n + c)]


@separate
def from_lanes(y, to, cells, planes, n):
    """The way back, into planes of n cells."""
    W = width(cells)
    if planes == W and n == 1:
        write(y, to, read(cells, 0))
        return
    if planes == W and n >= W:
        for start in range(0, n, W):
            c = min(start, n - W)
            transpose(y, to + c, n, cells, c * W, W)
        return
    square, whole = W * W, 0  # behind the n registers there is room for W
    if planes == W:
        transpose(cells, square, W, cells, 0, W)
        whole = W - (W - 1) // n  # planes that a register can be written to: the next ones overwrite its rest
        for p in range(whole):
            write(y, to + p * n, read(cells, square + p * W))
    for p in range(whole, planes):
        for c in range(n):
            y[uintp(to + p * n + c)] = cells[uintp(c * W + p)]


@separate
def numbers_from_lanes(numbers, to, buffer, cells, planes, n):
    """The way back for whole numbers, which are of another type than the lanes that held them."""
    from_lanes(buffer, 0, cells, planes, n)
    for i in range(planes * n):  # where they lie in order, a vector of them is converted at a time
        numbers[uintp(to + i)] = np.int64(buffer[uintp(i)])


@inner
def are_small(x, P, IH, IW, OH, OW):
    """Tell whether there are enough planes, and whether each fits the buffers."""
    return width(x) <= P and max(IH, OH) * max(IW, OW) <= CELLS


@inner
def groups_of(x, P):
    """Return the number of tasks into which P small planes fall."""
    return (P - 1) // (GROUPS * width(x)) + 1


def pool_group_by(maximum):
    """Return a function for the small planes of one task, by maxima or by averages."""
    both = both_by(maximum)

    @inner
    def reduced(cells, at, pitch, first, stop, step):
        """Put the cells first, first + step... of a line together; cell 0 is cells[at]."""
        total = read(cells, at + first * pitch)
        i = first + step
        while i < stop:
            total = both(total, read(cells, at + i * pitch))
            i += step
        return total

    @inner
    def pool_planes(y, to, x, of, cells, rows, h_windows, w_windows, planes, IH, IW):
        """Up to W planes: along the rows, then down the columns."""
        OH, OW, W = len(h_windows), len(w_windows), width(x)
        to_lanes(cells, x, of, planes, IH * IW)
        for ih in range(IH):
            for ow in range(OW):
                w0, w1 = w_windows[ow, START], w_windows[ow, STOP]
                step = w_windows[ow, THIRD] if maximum else 1
                write(rows, (ih * OW + ow) * W, reduced(cells, ih * IW * W, W, w0, w1, step))
        for oh in range(OH):
            h0, h1 = h_windows[oh, START], h_windows[oh, STOP]
            step = h_windows[oh, THIRD] if maximum else 1
            for ow in range(OW):
                v = reduced(rows, ow * W, OW * W, h0, h1, step)
                if not maximum:
                    v = v / every(x, float(h_windows[oh, THIRD]) * float(w_windows[ow, THIRD]))
                write(cells, (oh * OW + ow) * W, v)
        from_lanes(y, to, cells, planes, OH * OW)

    @separate
    def pool_group(task, y, x, h_windows, w_windows, P, IH, IW):
        W, outputs = width(x), len(h_windows) * len(w_windows)
        cells, rows = np.empty(CELLS * W, x.dtype), np.empty(CELLS * W, x.dtype)
        for p in range(task * GROUPS * W, min(P, (task + 1) * GROUPS * W), W):
            planes = min(W, P - p)
            to, of = p * outputs, p * IH * IW
            pool_planes(y, to, x, of, cells, rows, h_windows, w_windows, planes, IH, IW)

    return pool_group
