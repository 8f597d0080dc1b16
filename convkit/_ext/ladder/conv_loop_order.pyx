"""Rung two: order the loops so that neighbouring outputs are summed side by side.

What limited rung one
---------------------
Each addition to a total waited for the one before it, 4 cycles for 2 FLOPs.

The change
----------
The loop over ow becomes the innermost one. A weight is taken once and a row of the image times that
weight is added to a row of outputs. These additions are independent of one another, and what they
read and write are neighbours (with a stride of 1), so the compiler makes vectors of them. The totals live
in y meanwhile.

What to expect
--------------
For each multiply-add, load a cell and a total and store the total: 12 bytes for 2 FLOPs. Every tap
sweeps over a plane of x and one of y. Two of 56x56, 12.5 KB each, stay in an L1 cache of 48 KiB; larger
ones come from L2. (A 1x1 window sweeps over a plane of x once for each output channel, and finds it in L2
only if all planes fit there together.)
Loads and stores, not multiplications, are what the core does now: at best half of its multiply-adds,
were rows endless. On short rows it does far less: a row of 56 needs 56/32 cycles for its multiply-adds
and some fifteen times as many to begin and to end. With a stride, the cells that a vector needs lie
apart, and it is put together from several loads.
"""

cimport numpy as cnp
from cython cimport floating

from convkit._ext cimport conv_door
from convkit._ext.conv_shape cimport conv_shape

cnp.import_array()


cdef void longest_run(
    const Py_ssize_t *iw_of, Py_ssize_t S, Py_ssize_t OW, Py_ssize_t *start, Py_ssize_t *stop
) noexcept nogil:
    """Find the longest stretch of outputs that read every S-th cell of a row, one after another."""
    cdef Py_ssize_t ow, begin = 0
    start[0] = stop[0] = 0
    for ow in range(OW):
        if iw_of[ow*S] < 0:
            begin = ow + 1
            continue
        if ow > begin and iw_of[ow*S] != iw_of[(ow - 1)*S] + S:
            begin = ow
        if ow + 1 - begin > stop[0] - start[0]:
            start[0] = begin
            stop[0] = ow + 1


cdef inline void add_cells(
    floating *y, const floating *x, const Py_ssize_t *iw_of, Py_ssize_t S, floating weight,
    Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    """Add to outputs start to stop one by one, as the table says; a zero is a cell like any other."""
    cdef Py_ssize_t ow
    for ow in range(start, stop):
        y[ow] += weight*(x[iw_of[ow*S]] if x and iw_of[ow*S] >= 0 else 0)


cdef inline void add_row(
    floating *y, const floating *x, const Py_ssize_t *iw_of, Py_ssize_t S, floating weight,
    Py_ssize_t OW, Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    """Add a row of x times a weight to a row of y; x is NULL for a row of padding."""
    cdef Py_ssize_t ow
    cdef const floating *run
    if not x:
        add_cells(y, x, iw_of, S, weight, 0, OW)
        return
    add_cells(y, x, iw_of, S, weight, 0, start)
    if stop > start:
        run = x + iw_of[start*S]
        if S == 1:
            for ow in range(stop - start):
                y[start + ow] += weight*run[ow]
        else:
            for ow in range(stop - start):
                y[start + ow] += weight*run[ow*S]
    add_cells(y, x, iw_of, S, weight, stop, OW)


cdef void loop_order(
    floating *y, const floating *x, const floating *w, const floating *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cdef Py_ssize_t n, oc, oh, ow, ic, kh, kw, ih, start, stop
    cdef Py_ssize_t IC = s.IC // s.G, OC = s.OC // s.G  # of one group
    cdef const floating *plane
    cdef floating *rows
    for n in range(s.N):
        for oc in range(s.OC):
            rows = y + (n*s.OC + oc)*s.OH*s.OW
            for ow in range(s.OH*s.OW):
                rows[ow] = b[oc]
            for ic in range(IC):
                plane = x + (n*s.IC + oc // OC * IC + ic)*s.IH*s.IW
                for kw in range(s.KW):
                    longest_run(iw_of + kw*s.DW, s.SW, s.OW, &start, &stop)
                    for kh in range(s.KH):
                        for oh in range(s.OH):
                            ih = ih_of[oh*s.SH + kh*s.DH]
                            add_row(rows + oh*s.OW, plane + ih*s.IW if ih >= 0 else NULL, iw_of + kw*s.DW,
                                    s.SW, w[((oc*IC + ic)*s.KH + kh)*s.KW + kw], s.OW, start, stop)


# --- from C --------------------------------------------------------------------------------


cdef api void conv2d_f32(
    float *y, const float *x, const float *w, const float *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    loop_order(y, x, w, b, ih_of, iw_of, s)


cdef api void conv2d_f64(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    loop_order(y, x, w, b, ih_of, iw_of, s)


# --- from Python ---------------------------------------------------------------------------


def conv2d(
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    conv_door.conv2d(conv2d_f32, conv2d_f64, 2, 1,
                     y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
