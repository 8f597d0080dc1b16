"""Padding is a gather through one index table per axis, and so is its gradient, through the inverse tables.

    y[p, oh, ow]  = x[p, ih_of[oh], iw_of[ow]]        or `value` where an index is -1
    dx[p, ih, iw] = sum of dy[p, oh, ow] over the oh with ih_of[oh] == ih and the ow with iw_of[ow] == iw

A thread goes down a column of the result: each cell is written once, most are read once, and memory is
the limit. A scatter, ``dx[p, ih_of[oh], iw_of[ow]] += dy``, would need atomic additions where reflection
shows a cell twice, in an order that nobody fixes. The gather adds in the order of the tables: the same
bits each time.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .columns import BATCH, launch_columns
from .scalars import smaller
from .target import THREADS, cuda, flat, jit, table

__all__ = ["pad2d", "pad2d_backward"]


@jit
def _gather(y, x, ih_of, iw_of, value, P, IH, IW, across, blocks, rows):
    OH, OW = ih_of.size, iw_of.size
    cells = cuda.local.array(BATCH, x.dtype)
    for block in range(cuda.blockIdx.x, blocks, cuda.gridDim.x):
        column = block % across * THREADS + cuda.threadIdx.x
        if column < P * OW:
            p, ow = column // OW, column % OW
            iw = iw_of[ow]
            top = block // across * rows
            bottom = smaller(OH, top + rows)
            for first in range(top, bottom, BATCH):
                for k in range(BATCH):
                    cells[k] = value
                    if first + k < bottom and iw >= 0:
                        ih = ih_of[first + k]
                        if ih >= 0:
                            cells[k] = x[(p * IH + ih) * IW + iw]
                for k in range(BATCH):
                    if first + k < bottom:
                        y[(p * OH + first + k) * OW + ow] = cells[k]


@jit
def _gather_sums(dx, dy, oh_starts, oh_list, ow_starts, ow_list, P, OH, OW, across, blocks, rows):
    IH, IW = oh_starts.size - 1, ow_starts.size - 1
    cells = cuda.local.array(BATCH, dy.dtype)
    for block in range(cuda.blockIdx.x, blocks, cuda.gridDim.x):
        column = block % across * THREADS + cuda.threadIdx.x
        if column < P * IW:
            p, iw = column // IW, column % IW
            j0, j1 = ow_starts[iw], ow_starts[iw + 1]
            top = block // across * rows
            bottom = smaller(IH, top + rows)
            for first in range(top, bottom, BATCH):
                for k in range(BATCH):  # most cells are shown once: these loads do not wait for one another
                    cells[k] = 0
                    if first + k < bottom and j0 < j1:
                        i0 = oh_starts[first + k]
                        if i0 < oh_starts[first + k + 1]:
                            cells[k] = dy[(p * OH + oh_list[i0]) * OW + ow_list[j0]]
                for k in range(BATCH):
                    ih = first + k
                    if ih < bottom:
                        i0, i1 = oh_starts[ih], oh_starts[ih + 1]
                        for copy in range(1, (i1 - i0) * (j1 - j0)):
                            i, j = i0 + copy // (j1 - j0), j0 + copy % (j1 - j0)
                            cells[k] += dy[(p * OH + oh_list[i]) * OW + ow_list[j]]
                        dx[(p * IH + ih) * IW + iw] = cells[k]


def pad2d(y, x, ih_of, iw_of, value):
    """Pad planes x (P, IH, IW) to y (P, OH, OW), where OH, OW are the tables' lengths."""
    with np.errstate(over="ignore"):  # beyond float32 it is infinite, as in every backend
        number = x.dtype.type(value)
    launch_columns(_gather, y.shape, flat(y), flat(x), table(ih_of), table(iw_of), number, *x.shape)


def pad2d_backward(dx, dy, ih_of, iw_of):
    """Gradient of :func:`pad2d` for x: dx (P, IH, IW) from dy (P, OH, OW)."""
    rows = (table(t) for t in inverse(ih_of.tobytes(), dx.shape[1]))
    columns = (table(t) for t in inverse(iw_of.tobytes(), dx.shape[2]))
    launch_columns(_gather_sums, dx.shape, flat(dx), flat(dy), *rows, *columns, *dy.shape)


@lru_cache(maxsize=512)
def inverse(index_table: bytes, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `starts` (n + 1,) and a list: ``list[starts[i]:starts[i + 1]]`` are the o that show cell i.

    >>> starts, shown = inverse(np.array([1, 0, 1, -1]).tobytes(), 2)
    >>> shown[starts[0] : starts[1]], shown[starts[1] : starts[2]]
    (array([1]), array([0, 2]))
    """
    indices = np.frombuffer(index_table, np.intp)
    order = np.argsort(indices, kind="stable")
    return np.searchsorted(indices[order], np.arange(n + 1)), order
