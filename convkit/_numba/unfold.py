"""im2col: every window of an image as a column of a matrix.

    cols[n, c, kh, kw, oh, ow] = x[n, c, ih_of[oh*SH + kh*DH], iw_of[ow*SW + kw*DW]]   or 0 for -1

Bound by memory: KH*KW cells of cols are written for each cell of x, which stays in the cache. At
stride 1 a tap is a shifted image, read in vectors under masks (taps.py) that say what of it lies inside.
Small planes are one row, so that short rows fill vectors too. With a stride, or where the tables show cells
twice, most outputs of a tap still read cells that lie a stride apart; which ones, is found once a call.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .compile import inner, kernel, separate
from .planes import longest_run
from .pointers import at, pointer, release
from .registers import evens_odds, read, width, write
from .shape import Shape
from .taps import MASKS, begin, is_plain, is_small, put, run_of, set_masks, span
from .vec import lanes, load, load_where

__all__ = ["im2col", "shape_of_columns"]


@separate
def unfold_small(cols, x, masks, shifts, s):
    """All taps of a small plane, as one row each."""
    L, cells, i = lanes(cols), s.IH * s.IW, 0
    everywhere = span(0, L, L)
    for tap in range(s.KH * s.KW):
        to = at(cols, tap * cells)
        for v in range(0, cells, L):
            first = begin(v, cells, L)
            if masks[i] == everywhere:  # faster without a mask
                put(to, first, load(x, first + shifts[tap]), cells)
            else:
                put(to, first, load_where(x, first + shifts[tap], masks[i]), cells)
            i += 1


@separate
def unfold_plain(cols, x, h, w, s):
    """All taps of a plane at stride 1, row by row."""
    L = lanes(cols)
    for tap in range(s.KH * s.KW):
        down, across = tap // s.KW * s.DH - h.start, tap % s.KW * s.DW - w.start
        for oh in range(s.OH):
            to = at(cols, (tap * s.OH + oh) * s.OW)
            there = 0 <= oh + down < h.stop - h.start
            shift = (oh + down + h.cell) * s.IW + across + w.cell
            for v in range(0, s.OW, L):
                ow = begin(v, s.OW, L)
                bits = span(-across - ow, w.stop - w.start - across - ow, L) if there else 0
                put(to, ow, load_where(x, shift + ow, bits), s.OW)


@inner
def by_table(cols, x, iw_of, S, first, end):
    for ow in range(first, end):
        iw = iw_of[ow * S]
        if iw >= 0:
            cols[ow] = x[iw]
        else:
            cols[ow] = 0


@inner
def by_stride(cols, x, S, n):
    """Copy n cells, S apart. At stride 2, two registers that end with the last cell hold those of one."""
    W = width(cols)
    if S != 2 or n < W:
        for i in range(n):
            cols[i] = x[S * i]
        return
    i = 0
    while True:
        write(cols, i, evens_odds(read(x, 2 * i), read(x, 2 * i + W - 1)))
        if i + W == n:
            break
        i = min(i + W, n - W)  # the last register overlaps the one before it


@separate
def find_runs(runs, iw_of, s):
    """Write, for each tap across, the outputs whose cells lie a stride apart, and the first one's cell."""
    for kw in range(s.KW):
        entry = kw * s.DW
        start, stop, source, _, _ = longest_run(at(iw_of, entry), entry, s, s.OW)
        runs[3 * kw], runs[3 * kw + 1], runs[3 * kw + 2] = start, stop, source


@separate
def unfold_by_tables(cols, x, ih_of, iw_of, runs, s):
    """All taps of a plane, whatever the tables say."""
    for kh in range(s.KH):
        for kw in range(s.KW):
            start, stop, source = runs[3 * kw], runs[3 * kw + 1], runs[3 * kw + 2]
            table, tap = at(iw_of, kw * s.DW), kh * s.KW + kw
            for oh in range(s.OH):
                to, ih = at(cols, (tap * s.OH + oh) * s.OW), ih_of[oh * s.SH + kh * s.DH]
                if ih < 0:
                    for ow in range(s.OW):
                        to[ow] = 0
                else:
                    row = at(x, ih * s.IW)
                    by_table(to, row, table, s.SW, 0, start)
                    by_stride(at(to, start), at(row, source), s.SW, stop - start)
                    by_table(to, row, table, s.SW, stop, s.OW)


@separate
def shape_of_columns(x, cols, SH, SW, DH, DW):
    """Return the sizes of the convolution whose windows the columns are; it has no filters."""
    N, IC, IH, IW = x.shape
    KH, KW, OH, OW = cols.shape[2:]
    return Shape(N, IC, IH, IW, 0, KH, KW, OH, OW, 1, SH, SW, DH, DW)


@separate
def share(cols, x, ih_of, iw_of, SH, SW, DH, DW, thread, threads):
    """Do the thread's share of the planes."""
    s, L = shape_of_columns(x, cols, SH, SW, DH, DW), lanes(cols)
    h = run_of(pointer(ih_of), (s.OH - 1) * SH + (s.KH - 1) * DH + 1)
    w = run_of(pointer(iw_of), (s.OW - 1) * SW + (s.KW - 1) * DW + 1)
    small, P = is_small(h, w, L, s), s.N * s.IC
    table, of_taps = np.empty(2 * MASKS if small else 0, np.int64), np.empty(3 * s.KW, np.int64)
    masks, shifts, runs = pointer(table), at(pointer(table), MASKS), pointer(of_taps)
    find_runs(runs, pointer(iw_of), s)
    if small:
        set_masks(masks, shifts, h, w, 1, L, s)
    for p in range(P * thread // threads, P * (thread + 1) // threads):
        to = at(pointer(cols), p * s.KH * s.KW * s.OH * s.OW)
        plane = at(pointer(x), p * s.IH * s.IW)
        if small:
            unfold_small(to, plane, masks, shifts, s)
        elif is_plain(h, w, s):
            unfold_plain(to, plane, h, w, s)
        else:
            unfold_by_tables(to, plane, pointer(ih_of), pointer(iw_of), runs, s)
    release(table)
    release(of_taps)


@kernel
def im2col(cols, x, ih_of, iw_of, SH, SW, DH, DW, threads):
    """Fill cols (N, IC, KH, KW, OH, OW) with the windows of x (N, IC, IH, IW)."""
    for thread in prange(threads):
        share(cols, x, ih_of, iw_of, SH, SW, DH, DW, thread, threads)
