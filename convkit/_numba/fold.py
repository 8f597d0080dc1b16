"""col2im: the sum of im2col's columns as an image; its adjoint, not its inverse.

    x[n, c, ih, iw] = sum of the cols that im2col reads from that cell

Bound by memory: KH*KW cells of cols are read for each cell of x. At stride 1, if the index tables
show no cell twice, x is *gathered*: the taps that reach a vector of cells are added in a register, under
masks (taps.py), in one order for all cells, and x is written once. At stride 2 every other cell of a row, a
*phase* of it, is reached by the same taps, by outputs one after another; so two phases are gathered side by
side and then interleaved, which pays for rows longer than a register and windows that are not large. (A plane
of 56x56 took twice as long when its cols were scattered.) Elsewhere cols are scattered, a plane a thread,
with the plane in the cache. Sums are in the arrays' precision.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .compile import kernel, separate
from .memory import prefetch
from .pointers import at, pointer, release
from .taps import MASKS, begin, is_plain, is_small, put, run_of, set_masks, span
from .unfold import shape_of_columns
from .vec import lanes, load, load_where, zero

__all__ = ["col2im"]

AHEAD = 512  # columns between what is read and what is prefetched
TAPS = 16  # of a window at stride 2, at most, for gathering
SPAN = 256  # cells of each phase at a time
FROM_MEMORY = 1 << 20  # cells of columns that no longer stay in the L2 cache


@separate
def fold_small(x, cols, masks, shifts, s):
    """A small plane as one row."""
    L, cells, taps = lanes(x), s.IH * s.IW, s.KH * s.KW
    vectors = (cells + L - 1) // L
    for v in range(vectors):
        acc, first, i = zero(x), begin(v * L, cells, L), v
        for tap in range(taps):
            acc = acc + load_where(cols, first + tap * cells - shifts[tap], masks[i])
            i += vectors
        put(x, first, acc, cells)


@separate
def fold_plain(x, cols, h, w, s, far):
    """A plane at stride 1, row by row.

    `far` asks for prefetching: nine taps are nine streams, more than the hardware follows by itself.
    """
    L = lanes(x)
    for ih in range(s.IH):
        row, taps = at(x, ih * s.IW), s.KH
        if not 0 <= ih - h.cell < h.stop - h.start:
            taps = 0
        for v in range(0, s.IW, L):
            acc, iw = zero(x), begin(v, s.IW, L)
            first, stop = iw - w.cell + w.start, w.cell + w.stop - w.start
            inside = (s.KW - 1) * s.DW <= first <= s.OW - L and w.cell <= iw <= stop - L  # for all taps
            for kh in range(taps):
                oh = ih - h.cell + h.start - kh * s.DH
                if 0 <= oh < s.OH:
                    of = at(cols, (kh * s.KW * s.OH + oh) * s.OW)
                    for kw in range(s.KW):
                        ow, tap = first - kw * s.DW, kw * s.OH * s.OW
                        if far:
                            prefetch(of, tap + ow + AHEAD)
                            prefetch(of, tap + ow + AHEAD + L // 2)  # a vector may be two lines
                        if inside:
                            acc = acc + load(of, tap + ow)
                        else:
                            bits = span(max(-ow, w.cell - iw), min(s.OW - ow, stop - iw), L)
                            acc = acc + load_where(of, tap + ow, bits)
            put(row, iw, acc, s.IW)


@separate
def add_tap(sums, tap, n):
    """Add n numbers to as many sums."""
    for j in range(n):
        sums[j] += tap[j]


@separate
def gather_phase(sums, cols, q, r, first, end, s):
    """Cells first..end - 1 of phase r, padded columns r + 2*j, of the padded row q."""
    for j in range(end - first):
        sums[j] = 0
    for kh in range(s.KH):
        oh = q - kh * s.DH
        if oh < 0 or oh % s.SH or oh // s.SH >= s.OH:
            continue
        for kw in range(s.KW):
            if kw * s.DW < r or (kw * s.DW - r) % 2:
                continue
            shift = (kw * s.DW - r) // 2
            row = at(cols, ((kh * s.KW + kw) * s.OH + oh // s.SH) * s.OW)
            start, stop = max(first, shift), min(end, s.OW + shift)
            add_tap(at(sums, start - first), at(row, start - shift), stop - start)


@separate
def interleave(x, even, odd, n):
    """Write n columns, by turns from the two phases."""
    for j in range(n // 2):
        x[2 * j] = even[j]
        x[2 * j + 1] = odd[j]
    if n % 2:
        x[n - 1] = even[n // 2]


@separate
def fold_strided(x, cols, sums, h, w, s):
    """Stride 2 across, any stride down, each cell once in the tables: two phases of a row, side by side."""
    cells = (w.stop + 1) // 2
    even, odd = sums, at(sums, SPAN)
    for ih in range(s.IH):
        row, q = at(x, ih * s.IW), h.start + ih - h.cell
        if not h.start <= q < h.stop:
            for iw in range(s.IW):
                row[iw] = 0
            continue
        for iw in range(w.cell):
            row[iw] = 0
        for iw in range(w.cell + w.stop - w.start, s.IW):
            row[iw] = 0
        for first in range(w.start // 2, cells, SPAN):
            end = min(first + SPAN, cells)
            gather_phase(even, cols, q, 0, first, end, s)
            gather_phase(odd, cols, q, 1, first, end, s)
            start, stop = max(w.start, 2 * first), min(w.stop, 2 * end)
            to = at(row, w.cell - w.start + start)
            if start % 2:
                to[0] = odd[start // 2 - first]
                to, start = at(to, 1), start + 1
            interleave(to, at(even, start // 2 - first), at(odd, start // 2 - first), stop - start)


@separate
def fold_by_tables(x, cols, ih_of, iw_of, s):
    """Any tables and strides: add every column's cell to where it came from."""
    for i in range(s.IH * s.IW):
        x[i] = 0
    i = 0
    for kh in range(s.KH):
        for kw in range(s.KW):
            for oh in range(s.OH):
                ih = ih_of[oh * s.SH + kh * s.DH]
                if ih >= 0:
                    row, table, of = at(x, ih * s.IW), at(iw_of, kw * s.DW), at(cols, i)
                    for ow in range(s.OW):
                        iw = table[ow * s.SW]
                        if iw >= 0:
                            row[iw] += of[ow]
                i += s.OW


@separate
def share(x, cols, ih_of, iw_of, SH, SW, DH, DW, thread, threads):
    """Do the thread's share of the planes."""
    s, L = shape_of_columns(x, cols, SH, SW, DH, DW), lanes(x)
    h = run_of(pointer(ih_of), (s.OH - 1) * SH + (s.KH - 1) * DH + 1)
    w = run_of(pointer(iw_of), (s.OW - 1) * SW + (s.KW - 1) * DW + 1)
    small, P = is_small(h, w, L, s), s.N * s.IC
    by_phase = SW == 2 and s.OW >= L // 2 and s.KH * s.KW <= TAPS and h.once and w.once
    table, phases = np.empty(2 * MASKS if small else 0, np.int64), np.empty(2 * SPAN, x.dtype)
    masks, shifts, sums = pointer(table), at(pointer(table), MASKS), pointer(phases)
    if small:
        set_masks(masks, shifts, h, w, -1, L, s)
    for p in range(P * thread // threads, P * (thread + 1) // threads):
        of = at(pointer(cols), p * s.KH * s.KW * s.OH * s.OW)
        plane = at(pointer(x), p * s.IH * s.IW)
        if small:
            fold_small(plane, of, masks, shifts, s)
        elif is_plain(h, w, s):
            fold_plain(plane, of, h, w, s, cols.size > FROM_MEMORY)
        elif by_phase:
            fold_strided(plane, of, sums, h, w, s)
        else:
            fold_by_tables(plane, of, pointer(ih_of), pointer(iw_of), s)
    release(table)
    release(phases)


@kernel
def col2im(x, cols, ih_of, iw_of, SH, SW, DH, DW, threads):
    """Fill x (N, IC, IH, IW) with the sums of cols (N, IC, KH, KW, OH, OW), cell by cell."""
    for thread in prange(threads):
        share(x, cols, ih_of, iw_of, SH, SW, DH, DW, thread, threads)
