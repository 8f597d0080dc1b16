"""col2im: the sum of im2col's columns as an image; its adjoint, not its inverse.

    x[n, c, ih, iw] = sum of the cols that im2col reads from that cell

Bound by memory: KH*KW cells of cols are read for each cell of x. At stride 1, if the index tables
show no cell twice, x is *gathered*: the taps that reach a vector of cells are added in a register, under
masks (taps.py), in one order for all cells, and x is written once. Elsewhere cols are scattered, a plane
a thread, with the plane in the cache. Sums are in the arrays' precision.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .compile import kernel, separate
from .conv_transpose import add_columns
from .pointers import at, pointer, release
from .taps import MASKS, is_plain, is_small, run_of, set_masks, span
from .unfold import shape_of_columns
from .vec import lanes, load_where, store_first, zero

__all__ = ["col2im"]


@separate
def fold_small(x, cols, masks, h, w, s):
    """A small plane as one row."""
    L, cells = lanes(x), s.IH * s.IW
    vectors = (cells + L - 1) // L
    for v in range(vectors):
        acc = zero(x)
        for tap in range(s.KH * s.KW):
            shift = (tap // s.KW * s.DH - h.start + h.cell) * s.IW + tap % s.KW * s.DW - w.start + w.cell
            acc = acc + load_where(cols, tap * cells + v * L - shift, masks[tap * vectors + v])
        store_first(x, v * L, acc, cells - v * L)


@separate
def fold_plain(x, cols, h, w, s):
    """A plane at stride 1, row by row."""
    L = lanes(x)
    for ih in range(s.IH):
        for iw in range(0, s.IW, L):
            acc = zero(x)
            for tap in range(s.KH * s.KW):
                oh = ih - h.cell + h.start - tap // s.KW * s.DH
                ow = iw - w.cell + w.start - tap % s.KW * s.DW
                if 0 <= oh < s.OH and 0 <= ih - h.cell < h.stop - h.start:
                    first = max(-ow, w.cell - iw)
                    bits = span(first, min(s.OW - ow, w.cell + w.stop - w.start - iw), L)
                    acc = acc + load_where(cols, (tap * s.OH + oh) * s.OW + ow, bits)
            store_first(x, ih * s.IW + iw, acc, s.IW - iw)


@separate
def fold_by_tables(x, cols, ih_of, iw_of, s):
    """Any tables and strides: add every column's cell to where it came from."""
    for i in range(0, s.IH * s.IW, lanes(x)):
        store_first(x, i, zero(x), s.IH * s.IW - i)
    plane = s.OH * s.OW
    add_columns(x, cols, plane, ih_of, iw_of, s, 1, 0, plane)


@separate
def share(x, cols, ih_of, iw_of, SH, SW, DH, DW, thread, threads):
    """Do the thread's share of the planes."""
    s, L = shape_of_columns(x, cols, SH, SW, DH, DW), lanes(x)
    h = run_of(pointer(ih_of), (s.OH - 1) * SH + (s.KH - 1) * DH + 1)
    w = run_of(pointer(iw_of), (s.OW - 1) * SW + (s.KW - 1) * DW + 1)
    small, P = is_small(h, w, L, s), s.N * s.IC
    table = np.empty(MASKS if small else 0, np.int64)
    masks = pointer(table)
    if small:
        set_masks(masks, h, w, -1, L, s)
    for p in range(P * thread // threads, P * (thread + 1) // threads):
        of = at(pointer(cols), p * s.KH * s.KW * s.OH * s.OW)
        plane = at(pointer(x), p * s.IH * s.IW)
        if small:
            fold_small(plane, of, masks, h, w, s)
        elif is_plain(h, w, s):
            fold_plain(plane, of, h, w, s)
        else:
            fold_by_tables(plane, of, pointer(ih_of), pointer(iw_of), s)
    release(table)


@kernel
def col2im(x, cols, ih_of, iw_of, SH, SW, DH, DW, threads):
    """Fill x (N, IC, IH, IW) with the sums of cols (N, IC, KH, KW, OH, OW), cell by cell."""
    for thread in prange(threads):
        share(x, cols, ih_of, iw_of, SH, SW, DH, DW, thread, threads)
