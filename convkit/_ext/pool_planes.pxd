"""A small plane in a few registers, pooled as one row of cells; its true outputs are then picked out.

    down[i]      cells i, i + IW ... i + (KH-1)*IW, added (or compared)
    along[i]     down[i] to down[i + KW-1], added (or compared)
    y[oh, ow]    along[oh*SH*IW + ow*SW]

A row of 7 cells does not fill a vector, but the whole plane is three of them, on which all windows
begin at once. Most of those lie across the end of a row, or between the ones that a stride asks for;
a shuffle with a table of lanes, made once a call, leaves them out. For 3x3 windows on 7x7 cells
that is 9 loads, 12 additions and 12 shuffles for 25 outputs. All windows must have one size and lie at
one distance; sums have the roundings of :mod:`pool_registers`.

Tried and rejected: many planes as one long row through buffers, of which outputs are moved one by one
(as slow as planes in lanes).

The last vector reaches into the plane behind, and what it makes of that is overwritten by that plane's own
outputs. So some planes at a time go to a buffer, where their averages are divided as well.
"""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

from convkit._ext.planes_in_lanes cimport WIDEST, element
from convkit._ext.pool_registers cimport both
from convkit._ext.vec cimport at, copy, inlined, lanes, load, splat_d, splat_f, store, vec, vf
from convkit._ext.vec_order cimport choose, next
from convkit._ext.windows cimport ROW, START, Run

cdef enum:
    VECTORS = 4    # of a plane, at most: with the sums downwards and along that is half of the registers
    CELLS = 12     # of a plane with all its cells, at most: the last planes are copied to the stack
    AT_ONCE = 16   # planes in the buffer, each of VECTORS vectors at most: 4 KiB

cdef struct packing:
    Py_ssize_t P, IH, IW, OH, OW, KH, KW
    Py_ssize_t first                     # cell of a plane's first window
    Py_ssize_t vectors                   # that all windows of a plane begin in
    double divisor
    # For each output the lane of vectors 0 and 1, that of 2 and 3, and which of the two: 0 or W more
    # than the output's own lane.
    char[3][VECTORS*WIDEST*4] lanes


cdef inline bint pack(
    packing *k, const vec *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows, const Run *h,
    const Run *w, Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    """Fill k, and tell whether such planes and windows can be pooled by it; x is there for its type."""
    cdef Py_ssize_t W = lanes(x), last = (OH - 1)*h.S*IW + (OW - 1)*w.S, oh, ow, cell
    k.P, k.IH, k.IW, k.OH, k.OW, k.KH, k.KW = P, IH, IW, OH, OW, h.K, w.K
    k.first = h_windows[START]*IW + w_windows[START]
    k.divisor = <double> h.third*<double> w.third
    k.vectors = (last + w.K + W - 1)//W
    if h.end - h.first < OH or w.end - w.first < OW or h.S < 0 or w.S < 0:
        return False
    if IH*IW > CELLS*W or k.vectors > VECTORS or OH*OW > VECTORS*W:
        return False
    for oh in range(OH):
        for ow in range(OW):
            cell = oh*h.S*IW + ow*w.S
            put_lane(k.lanes[0], x, oh*OW + ow, cell % (2*W))
            put_lane(k.lanes[1], x, oh*OW + ow, cell % (2*W))
            put_lane(k.lanes[2], x, oh*OW + ow, (oh*OW + ow) % W + (W if cell >= 2*W else 0))
    return True


cdef inline void put_lane(void *table, const vec *x, Py_ssize_t i, Py_ssize_t lane) noexcept nogil:
    if vec is vf:
        (<int32_t *> table)[i] = <int32_t> lane
    else:
        (<int64_t *> table)[i] = lane


cdef inline inlined plane_of(
    vec *y, const vec *x, const packing *k, int C, Py_ssize_t KH, Py_ssize_t KW, bint maximum
) noexcept nogil:
    """All outputs of one plane whose windows begin in C vectors, and anything behind them."""
    cdef Py_ssize_t W = lanes(x), kh, _kw, i
    cdef int c
    cdef vec[VECTORS + 1] shifted
    cdef vec[VECTORS] along
    cdef vec a, b
    for c in range(C):
        shifted[c] = load(x, c*W)
        for kh in range(1, KH):
            shifted[c] = both(shifted[c], load(x, c*W + kh*k.IW), maximum)
        along[c] = shifted[c]
    for _kw in range(1, KW):
        shifted[C] = shifted[C - 1]  # no window that is kept looks at what that brings in
        for c in range(C):
            shifted[c] = next(shifted[c], shifted[c + 1], W)
            along[c] = both(along[c], shifted[c], maximum)
    i = 0
    while i < k.OH*k.OW:
        a = choose(along[0], along[1 if C > 1 else 0], load(<const vec *> k.lanes[0], i))
        if C > 2:
            b = choose(along[2], along[3 if C > 3 else 2], load(<const vec *> k.lanes[1], i))
            a = choose(a, b, load(<const vec *> k.lanes[2], i))
        store(y, i, a)
        i += W


cdef inline inlined planes_by(
    vec *y, const vec *x, const packing *k, Py_ssize_t n, int C, Py_ssize_t KH, Py_ssize_t KW, bint maximum
) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(n):
        plane_of(at(y, q*k.OH*k.OW), at(x, q*k.IH*k.IW), k, C, KH, KW, maximum)


cdef inline inlined planes(vec *y, const vec *x, const packing *k, Py_ssize_t n, bint maximum) noexcept nogil:
    """Constants save the usual windows on 7x7 planes their loops over the terms."""
    if k.vectors == 1:
        planes_by(y, x, k, n, 1, k.KH, k.KW, maximum)
    elif k.vectors == 2:
        planes_by(y, x, k, n, 2, k.KH, k.KW, maximum)
    elif k.vectors == 3 and k.KH == 2 and k.KW == 2:
        planes_by(y, x, k, n, 3, 2, 2, maximum)
    elif k.vectors == 3 and k.KH == 3 and k.KW == 3:
        planes_by(y, x, k, n, 3, 3, 3, maximum)
    elif k.vectors == 3:
        planes_by(y, x, k, n, 3, k.KH, k.KW, maximum)
    else:
        planes_by(y, x, k, n, 4, k.KH, k.KW, maximum)


cdef inline inlined pool_planes(
    vec *y, const vec *x, const packing *k, Py_ssize_t p, bint maximum
) noexcept nogil:
    """Planes p, p + 1 ... as many as the buffer takes."""
    cdef vec[(AT_ONCE + 1)*VECTORS] outputs
    cdef vec[CELLS + VECTORS] cells
    cdef Py_ssize_t W = lanes(x), IHW = k.IH*k.IW, OHW = k.OH*k.OW, n, i
    cdef Py_ssize_t reach = k.first + (k.KH - 1)*k.IW + k.vectors*W  # cells read, from a plane's first on
    cdef Py_ssize_t end = min(k.P, p + AT_ONCE), q = p
    cdef vec divisor
    while q < end and q*IHW + reach <= k.P*IHW:
        q += 1
    planes(outputs, at(x, p*IHW + k.first), k, q - p, maximum)
    for q in range(q, end):  # nothing lies behind the last planes
        memcpy(cells, at(x, q*IHW), IHW*element(x))
        plane_of(at(outputs, (q - p)*OHW), at(cells, k.first), k, 4, k.KH, k.KW, maximum)
    n = (end - p)*OHW
    y = at(y, p*OHW)
    if not maximum:
        if vec is vf:
            divisor = splat_f(<float> k.divisor)
        else:
            divisor = splat_d(k.divisor)
        i = 0
        while i < n:
            store(outputs, i, load(outputs, i)/divisor)
            i += W
    copy(y, outputs, n)
