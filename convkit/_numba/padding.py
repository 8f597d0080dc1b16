"""Padding: an output cell is the input cell that two index tables name, or a constant.

Bound by memory: each cell is read once and written once. Whatever the padding mode, the middle
of a row is one unbroken run of the input's row; it is found once a call, in the column table, and
copied whole, so that only the borders are looked up cell by cell. Planes are shared among threads.
"""

from __future__ import annotations

from numba import prange
from numpy import uintp

from .compile import inner, kernel
from .memory import copy_run


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
        y[uintp(to + ow)] = x[uintp(of + iw_of[ow])] if iw_of[ow] >= 0 else value


@kernel
def pad2d(y, x, ih_of, iw_of, value):
    """Fill y (P, OH, OW) from x (P, IH, IW), and with `value` where a table says -1."""
    (P, OH, OW), (_, IH, IW) = y.shape, x.shape
    y, x, value = y.reshape(y.size), x.reshape(x.size), y.dtype.type(value)
    start, stop = longest_run(iw_of)
    for p in prange(P):
        for oh in range(OH):
            to, of = (p * OH + oh) * OW, (p * IH + ih_of[oh]) * IW
            if ih_of[oh] < 0:
                for ow in range(OW):
                    y[uintp(to + ow)] = value
            else:
                pad_cells(y, to, x, of, iw_of, 0, start, value)
                copy_run(y, to + start, x, of + iw_of[start], stop - start)
                pad_cells(y, to, x, of, iw_of, stop, OW, value)


@inner
def add_cells(dx, to, dy, of, iw_of, first, end):
    for ow in range(first, end):
        if iw_of[ow] >= 0:
            dx[uintp(to + iw_of[ow])] += dy[uintp(of + ow)]


@kernel
def pad2d_backward(dx, dy, ih_of, iw_of):
    """Sum dy (P, OH, OW) into the cells of dx (P, IH, IW) that it was copied from."""
    (P, OH, OW), (_, IH, IW) = dy.shape, dx.shape
    dy, dx = dy.reshape(dy.size), dx.reshape(dx.size)
    start, stop = longest_run(iw_of)
    for p in prange(P):
        for i in range(IH * IW):
            dx[uintp(p * IH * IW + i)] = 0
        for oh in range(OH):
            to, of = (p * IH + ih_of[oh]) * IW, (p * OH + oh) * OW
            if ih_of[oh] >= 0:
                add_cells(dx, to, dy, of, iw_of, 0, start)
                for i in range(stop - start):
                    dx[uintp(to + iw_of[start] + i)] += dy[uintp(of + start + i)]
                add_cells(dx, to, dy, of, iw_of, stop, OW)
