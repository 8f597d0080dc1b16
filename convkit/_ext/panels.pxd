"""Convolution through small panels: works for every case, in a few KiB of stack.

A panel holds, for NR neighbouring outputs, the cells that TERMS terms of their sums need: one row a
term. To the microkernel it is planes whose offset table just counts rows.
"""

from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.microkernel cimport MR, NR_MAX, NV, tile
from convkit._ext.vec cimport at, clear, copy, lanes, move, vd, vec, vf

cdef enum:
    TERMS = 64  # 12 KiB of panel: with the weights of 8 rows, 2 KiB, well inside the L1 cache


cdef inline void pack_panel(
    vec *panel, const vec *x, const conv_shape *s, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    Py_ssize_t first_term, Py_ssize_t terms, Py_ssize_t first_output, Py_ssize_t outputs
) noexcept nogil:
    """Look up each cell in the tables; columns without an output get zeros."""
    cdef Py_ssize_t k, p, c, kh, kw, oh, ow, ih, iw, NR = NV*lanes(panel)
    for k in range(terms):
        c = (first_term + k) // (s.KH*s.KW)
        kh = (first_term + k) // s.KW % s.KH
        kw = (first_term + k) % s.KW
        oh = first_output // s.OW
        ow = first_output % s.OW
        clear(at(panel, k*NR + outputs), NR - outputs)
        for p in range(outputs):
            ih = ih_of[oh*s.SH + kh*s.DH]
            iw = iw_of[ow*s.SW + kw*s.DW]
            if ih >= 0 and iw >= 0:
                move(panel, k*NR + p, x, (c*s.IH + ih)*s.IW + iw)
            else:
                clear(at(panel, k*NR + p), 1)
            ow += 1
            if ow == s.OW:
                ow = 0
                oh += 1


cdef inline void rows_through_panel(
    vec *y, Py_ssize_t outputs, const vec *panel, const Py_ssize_t *off, const vec *w, Py_ssize_t ldw,
    Py_ssize_t terms, const vec *b, const conv_shape *s
) noexcept nogil:
    """Add the panel's terms to the outputs of every output channel of the group."""
    cdef vec tile_of_y[MR*NV]  # which may be wider than what is left of y
    cdef Py_ssize_t r, m, rows, M = s.OC // s.G, OHW = s.OH*s.OW, NR = NV*lanes(y)
    for m in range((M + MR - 1) // MR):
        m = m*MR
        rows = min(MR, M - m)
        if outputs == NR:
            tile(rows, NV, at(y, m*OHW), OHW, panel, off, at(w, m*ldw), ldw, terms, at(b, m) if b else NULL)
            continue
        for r in range(rows):
            copy(at(tile_of_y, r*NR), at(y, (m + r)*OHW), 0 if b else outputs)
        tile(rows, NV, tile_of_y, NR, panel, off, at(w, m*ldw), ldw, terms, at(b, m) if b else NULL)
        for r in range(rows):
            copy(at(y, (m + r)*OHW), at(tile_of_y, r*NR), outputs)


cdef inline void conv2d_by_panels(
    vec *y, const vec *x, const vec *w, const vec *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s,
    Py_ssize_t thread, Py_ssize_t threads
) noexcept nogil:
    """For each NR outputs in the thread's share, and each block of terms: pack the panel, then use it."""
    cdef vec panel[TERMS*NV]
    cdef Py_ssize_t off[TERMS]
    cdef Py_ssize_t i, image, g, p, k, block, IC = s.IC // s.G, OC = s.OC // s.G, OHW = s.OH*s.OW
    cdef Py_ssize_t K = IC*s.KH*s.KW, NR = NV*lanes(y), outputs, terms
    cdef Py_ssize_t panels = (OHW + NR - 1) // NR, total = s.N*s.G*panels
    for k in range(TERMS):
        off[k] = k*NR
    for i in range(total*thread // threads, total*(thread + 1) // threads):
        image = i // panels  # n*G + g
        g = image % s.G
        p = i % panels*NR
        outputs = min(NR, OHW - p)
        for block in range((K + TERMS - 1) // TERMS):
            k = block*TERMS
            terms = min(<Py_ssize_t> TERMS, K - k)
            pack_panel(panel, at(x, image*IC*s.IH*s.IW), s, ih_of, iw_of, k, terms, p, outputs)
            rows_through_panel(at(y, image*OC*OHW + p), outputs, panel, off, at(w, g*OC*K + k), K, terms,
                               at(b, g*OC) if block == 0 else NULL, s)
