"""Padding: an output cell is the input cell that two index tables name, or a constant.

Bound by memory: each cell is read once and written once. Whatever the padding mode, the middle
of a row is one unbroken run of the input's row; it is found once a call, in the column table, and
copied whole, so that only the borders are looked up cell by cell. Rows of small planes are shuffled
in registers instead (``pad_rows``). Planes are shared among threads.

What a loop reads of a table stands before it: as far as LLVM knows, a cell that is written may be the
table's, and a loop that asks the table anew gets no vectors.
"""

from __future__ import annotations

from numba import prange
from numpy import uintp

from .compile import inner, kernel
from .memory import copy_run
from .pad_rows import fits_registers, pad_planes

TASK = 512  # small planes that a thread does at a time, at most
TASK_CELLS = 1 << 18  # of them, roughly


@inner
def longest_run(table):
    """Find the longest stretch of a table that names cells one after another."""
    start, stop, first = 0, 0, 0
    for i in range(len(table)):
        if table[i] < 0:
            first = i + 1
        else:
            if i > first and table[i] != table[i - 1] + 1:
                first = i
            if i + 1 - first > stop - start:
                start, stop = first, i + 1
    return start, stop


@inner
def pad_cells(y, to, x, of, iw_of, first, end, value):
    """Fill outputs first..end - 1 of a row, which begins at y[to]; its input row begins at x[of]."""
    for ow in range(first, end):
        iw = iw_of[ow]
        y[uintp(to + ow)] = x[uintp(of + iw)] if iw >= 0 else value


@kernel
def pad2d(y, x, ih_of, iw_of, value):
    """Fill y (P, OH, OW) from x (P, IH, IW), and with `value` where a table says -1."""
    (P, OH, OW), (_, IH, IW) = y.shape, x.shape
    y, x, value = y.reshape(y.size), x.reshape(x.size), y.dtype.type(value)
    if fits_registers(x, IW, OW):
        count = max(4, min(TASK, TASK_CELLS // (OH * OW)))
        for task in prange((P - 1) // count + 1):
            first, end = task * count, min(P, (task + 1) * count)
            pad_planes(first, end, y, x, ih_of, iw_of, value, P, IH, IW, OH, OW)
        return
    start, stop = longest_run(iw_of)
    for p in prange(P):
        for oh in range(OH):
            to, ih = (p * OH + oh) * OW, ih_of[oh]
            if ih < 0:
                for ow in range(OW):
                    y[uintp(to + ow)] = value
            else:
                of = (p * IH + ih) * IW
                pad_cells(y, to, x, of, iw_of, 0, start, value)
                copy_run(y, to + start, x, of + iw_of[start], stop - start)
                pad_cells(y, to, x, of, iw_of, stop, OW, value)


@inner
def add_cells(dx, to, dy, of, iw_of, first, end):
    for ow in range(first, end):
        iw = iw_of[ow]
        if iw >= 0:
            dx[uintp(to + iw)] += dy[uintp(of + ow)]


@kernel
def pad2d_backward(dx, dy, ih_of, iw_of):
    """Sum dy (P, OH, OW) into the cells of dx (P, IH, IW) that it was copied from."""
    (P, OH, OW), (_, IH, IW) = dy.shape, dx.shape
    dy, dx = dy.reshape(dy.size), dx.reshape(dx.size)
    start, stop = longest_run(iw_of)
    column, cells = iw_of[start], stop - start
    for p in prange(P):
        for i in range(IH * IW):
            dx[uintp(p * IH * IW + i)] = 0
        for oh in range(OH):
            ih, of = ih_of[oh], (p * OH + oh) * OW
            if ih >= 0:
                to = (p * IH + ih) * IW
                add_cells(dx, to, dy, of, iw_of, 0, start)
                for i in range(cells):
                    dx[uintp(to + column + i)] += dy[uintp(of + start + i)]
                add_cells(dx, to, dy, of, iw_of, stop, OW)
