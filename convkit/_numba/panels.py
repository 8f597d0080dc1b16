"""Convolution through small panels: works for every case, with little workspace.

A panel holds, for a vector of neighbouring outputs, the cells that TERMS terms of their sums need: one
row a term. To the microkernel it is planes whose offset table just counts rows.
"""

from __future__ import annotations

import numpy as np

from .compile import separate
from .microkernel import MR, tile
from .pointers import at, pointer, release
from .vec import lanes, load, load_first, store_first

__all__ = ["conv2d_by_panels"]

TERMS = 64
"""Rows of a panel: 8 KiB of float32 at most, with the weights of 8 rows, 2 KiB, well inside the L1 cache."""


@separate
def pack_panel(panel, x, s, ih_of, iw_of, first_term, terms, first_output, outputs):
    """Look up each cell in the tables; columns without an output get zeros."""
    L = lanes(panel)
    for k in range(terms):
        c, tap = (first_term + k) // (s.KH * s.KW), (first_term + k) % (s.KH * s.KW)
        kh, kw = tap // s.KW, tap % s.KW
        oh, ow = first_output // s.OW, first_output % s.OW
        for p in range(L):
            ih = iw = -1
            if p < outputs:
                ih, iw = ih_of[oh * s.SH + kh * s.DH], iw_of[ow * s.SW + kw * s.DW]
            if ih >= 0 and iw >= 0:
                panel[k * L + p] = x[(c * s.IH + ih) * s.IW + iw]
            else:
                panel[k * L + p] = 0
            ow += 1
            if ow == s.OW:
                ow = 0
                oh += 1


@separate
def rows_through_panel(y, outputs, scratch, panel, off, w, ldw, rows, terms, start, fresh, s):
    """Add the panel's terms to the outputs of every output channel of the group."""
    L, M, OHW = lanes(y), s.OC // s.G, s.OH * s.OW
    for m in range(0, M, MR):
        R = min(MR, M - m)
        for r in range(R):
            if not fresh:
                store_first(scratch, r * L, load_first(y, (m + r) * OHW, outputs), outputs)
        tile(R, scratch, L, panel, off, at(w, m * ldw), rows, 1, terms, at(start, m), fresh)
        for r in range(R):
            store_first(y, (m + r) * OHW, load(scratch, r * L), outputs)


@separate
def conv2d_by_panels(y, x, w, b, ih_of, iw_of, s, thread, threads):
    """For each of the thread's vectors of outputs, and each block of terms: pack the panel, use it."""
    L, OHW, K = lanes(y), s.OH * s.OW, s.IC // s.G * s.KH * s.KW
    cells, tile_of_y = np.empty(TERMS * L, y.dtype), np.empty(MR * L, y.dtype)
    offsets, places = np.arange(TERMS) * L, np.arange(MR) * K
    panel, scratch, off, rows = pointer(cells), pointer(tile_of_y), pointer(offsets), pointer(places)
    ih, iw = pointer(ih_of), pointer(iw_of)
    vectors = (OHW + L - 1) // L
    all_of_them = s.N * s.G * vectors
    for i in range(all_of_them * thread // threads, all_of_them * (thread + 1) // threads):
        image, p = i // vectors, i % vectors * L
        g, outputs = image % s.G, min(L, OHW - p)
        of = at(pointer(x), image * (s.IC // s.G) * s.IH * s.IW)
        to = at(pointer(y), image * (s.OC // s.G) * OHW + p)
        for k in range(0, K, TERMS):
            terms = min(TERMS, K - k)
            pack_panel(panel, of, s, ih, iw, k, terms, p, outputs)
            weights, start = at(pointer(w), g * (s.OC // s.G) * K + k), at(pointer(b), g * (s.OC // s.G))
            rows_through_panel(to, outputs, scratch, panel, off, weights, K, rows, terms, start, k == 0, s)
    release(cells)
    release(tile_of_y)
    release(offsets)
    release(places)
