"""Planes of x that all phases of a transposed convolution read.

The convolutions that the phases are (phases.pxd) read nearly the same cells of x: where a kernel of 3x3
moves by 2, the one with 2x2 taps reads all that the others do. So x is packed once, for a window that
holds the taps of every phase, their `union`, and each phase is an offset table of its own into the
planes. Its sums are ordered by tap first and channel second, so that the turned weights of all phases
are rows of one matrix, and the turning a transposition.
"""

from convkit._ext.blocks cimport PLANES_BYTES, TERMS
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.phases cimport phase, phase_of, phases_of
from convkit._ext.planes cimport block, layout, make_layout, shift
from convkit._ext.tiles cimport contiguous_tiles, flat_tiles, is_contiguous
from convkit._ext.transpose cimport LANES_MAX, transpose_to
from convkit._ext.vec cimport at, lanes, move, vd, vec, vf

cdef enum:
    MAX_PHASES = 8   # along an axis
    MAX_TAPS = 128   # of a kernel


cdef struct axis_of_phases:
    phase of_tap[MAX_PHASES]
    Py_ssize_t skip[MAX_PHASES]  # taps of the union before the phase's first
    Py_ssize_t phases
    Py_ssize_t taps, dilation    # of the union
    Py_ssize_t Q                 # outputs of the phase that has most
    Py_ssize_t shift             # x's cell 0, as the union counts
    bint possible


cdef struct union_plan:
    axis_of_phases v, h
    conv_shape s          # the convolution of one image whose planes are packed
    layout p
    Py_ssize_t rows       # of outputs in a block
    Py_ssize_t terms      # channels of x in a block, at most
    Py_ssize_t first[MAX_PHASES*MAX_PHASES]  # each phase's first tap in a row of turned weights
    Py_ssize_t place[MAX_TAPS]               # each tap's place there
    bint possible


cdef inline axis_of_phases make_axis_of_phases(
    const Py_ssize_t *of, Py_ssize_t K, Py_ssize_t S, Py_ssize_t D, Py_ssize_t O
) noexcept nogil:
    cdef axis_of_phases a
    cdef Py_ssize_t i
    a.phases = phases_of(K, S, D)
    a.taps = a.Q = 0
    a.shift = -O
    a.dilation = 1
    a.possible = a.phases <= MAX_PHASES
    for i in range(a.phases if a.possible else 0):
        a.of_tap[i] = phase_of(i, of, K, S, D, O)
        a.dilation = a.of_tap[i].k.dilation
        if a.of_tap[i].Q > 0:
            a.Q = max(a.Q, a.of_tap[i].Q)
            a.shift = max(a.shift, a.of_tap[i].shift)
    for i in range(a.phases if a.Q > 0 and a.possible else 0):
        a.skip[i] = (a.shift - a.of_tap[i].shift)//a.dilation
        if a.of_tap[i].Q > 0:
            a.possible = a.possible and a.of_tap[i].shift + a.skip[i]*a.dilation == a.shift
            a.taps = max(a.taps, a.skip[i] + a.of_tap[i].k.count)
    a.possible = a.possible and a.Q > 0 and a.Q + (a.taps - 1)*a.dilation <= O + 2*(K - 1)*D
    return a


cdef inline void fill_union_table(Py_ssize_t *table, const axis_of_phases *a, Py_ssize_t O) noexcept nogil:
    """Write which cell of x each cell of the union's padded axis shows."""
    cdef Py_ssize_t i
    for i in range(a.Q + (a.taps - 1)*a.dilation):
        table[i] = i - a.shift if 0 <= i - a.shift < O else -1


cdef inline void order_taps(union_plan *u, const conv_shape *s) noexcept nogil:
    """Number the taps phase by phase, the last of each phase first."""
    cdef Py_ssize_t i, j, row, col, n = 0
    cdef phase v, h
    for i in range(u.v.phases):
        for j in range(u.h.phases):
            v, h = u.v.of_tap[i], u.h.of_tap[j]
            u.first[i*MAX_PHASES + j] = n
            for row in range(v.k.count):
                row = v.k.first + (v.k.count - 1 - row)*v.k.step
                for col in range(h.k.count):
                    col = h.k.first + (h.k.count - 1 - col)*h.k.step
                    u.place[row*s.KW + col] = n
                    n += 1


cdef inline union_plan make_union_plan(
    const conv_shape *s, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, Py_ssize_t size,
    Py_ssize_t *ih_table, Py_ssize_t *iw_table
) noexcept nogil:
    """Find the planes of one group and image, and fill the tables that they are packed by.

    `size` is that of an element. The tables have room for OH + 2*(KH - 1)*DH and OW + 2*(KW - 1)*DW.
    """
    cdef union_plan u
    cdef Py_ssize_t cells, j
    u.v = make_axis_of_phases(ih_of, s.KH, s.SH, s.DH, s.OH)
    u.h = make_axis_of_phases(iw_of, s.KW, s.SW, s.DW, s.OW)
    u.possible = u.v.possible and u.h.possible and s.KH*s.KW <= MAX_TAPS
    if not u.possible:
        return u
    order_taps(&u, s)
    fill_union_table(ih_table, &u.v, s.OH)
    fill_union_table(iw_table, &u.h, s.OW)
    u.s.N = u.s.G = u.s.SH = u.s.SW = 1
    u.s.IC, u.s.IH, u.s.IW = s.OC//s.G, s.OH, s.OW
    u.s.OC, u.s.OH, u.s.OW = s.IC//s.G, u.v.Q, u.h.Q
    u.s.KH, u.s.KW, u.s.DH, u.s.DW = u.v.taps, u.h.taps, u.v.dilation, u.h.dilation
    u.p = make_layout(&u.s, ih_table, iw_table)
    for j in range(u.h.phases):
        # Tiles of a phase with shorter rows run across their ends, and read on behind the last; there
        # x may end.
        if 0 < u.h.of_tap[j].Q < u.h.Q:
            u.p.in_place = False
    u.terms = max(1, TERMS//(u.v.of_tap[0].k.count*u.h.of_tap[0].k.count))  # phase 0 has most taps
    cells = PLANES_BYTES//size//min(u.terms, u.s.IC)//(u.p.v.planes*u.p.h.planes)  # of one plane
    u.rows = min(u.v.Q, cells//(u.h.Q + u.p.h.extra) - u.p.v.extra)
    u.possible = u.p.possible and u.rows > 0
    return u


# --- weights -------------------------------------------------------------------------------


cdef inline void turn_by_taps(
    vec *to, const vec *w, Py_ssize_t ldw, Py_ssize_t OC, Py_ssize_t M, Py_ssize_t taps,
    const Py_ssize_t *place
) noexcept nogil:
    """Fill to[m, place[tap], oc] from w[oc*ldw + m*taps + tap]."""
    cdef Py_ssize_t rows[LANES_MAX]
    cdef Py_ssize_t places[LANES_MAX]
    cdef Py_ssize_t L = lanes(w), i, j, oc, m, tap, lane, columns = M*taps
    if OC < L or columns < L:
        for m in range(M):
            for tap in range(taps):
                for oc in range(OC):
                    move(to, (m*taps + place[tap])*OC + oc, w, oc*ldw + m*taps + tap)
        return
    for i in range((OC + L - 1)//L):
        oc = min(i*L, OC - L)
        for lane in range(L):
            rows[lane] = (oc + lane)*ldw
        for j in range((columns + L - 1)//L):
            j = min(j*L, columns - L)
            m, tap = j//taps, j % taps
            for lane in range(L):
                places[lane] = (m*taps + place[tap])*OC
                tap += 1
                if tap == taps:
                    m, tap = m + 1, 0
            transpose_to(at(to, oc), places, at(w, j), rows)


# --- outputs -------------------------------------------------------------------------------


cdef inline void fill_phase_offsets(
    Py_ssize_t *off, const union_plan *u, Py_ssize_t i, Py_ssize_t j, Py_ssize_t channels, const layout *p
) noexcept nogil:
    """Write the offset table of phase (i, j): for each of its taps, all channels."""
    cdef Py_ssize_t row, col, kh, kw, c, start
    for row in range(u.v.of_tap[i].k.count):
        kh = u.v.skip[i] + row
        for col in range(u.h.of_tap[j].k.count):
            kw = u.h.skip[j] + col
            start = (kh % p.v.planes*p.h.planes + kw % p.h.planes)*p.plane
            start += shift(&p.v, kh)*p.pitch + shift(&p.h, kw)
            for c in range(channels):
                off[0] = start + c*p.channel
                off += 1


cdef inline void phase_sums(
    vec *sums, const vec *planes, Py_ssize_t *off, vec *columns, const vec *turned, Py_ssize_t channels,
    const vec *zeros, const block *k, const union_plan *u, Py_ssize_t taps, Py_ssize_t i, Py_ssize_t j,
    Py_ssize_t M, Py_ssize_t rows
) noexcept nogil:
    """Compute sums[M, rows, Q] of phase (i, j) from a block's planes."""
    cdef Py_ssize_t count = u.v.of_tap[i].k.count*u.h.of_tap[j].k.count
    cdef layout p = k.p
    cdef conv_shape s = u.s
    p.rows, p.cols = rows, u.h.of_tap[j].Q
    s.OH, s.OW = p.rows, p.cols
    fill_phase_offsets(off, u, i, j, channels, &p)
    turned = at(turned, u.first[i*MAX_PHASES + j]*channels)
    if is_contiguous(&p, &s):
        contiguous_tiles(sums, columns, planes, off, turned, taps*channels, count*channels, zeros, M, &p, &s,
                         <vec *> NULL, NULL)
    else:
        flat_tiles(sums, planes, off, turned, taps*channels, count*channels, zeros, M, &p, &s)
