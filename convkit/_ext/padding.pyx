"""Padding: an output cell is the input cell that two index tables name, or a constant.

Bound by memory: each cell is read once and written once. Whatever the padding mode, the middle
of a row is one unbroken run of the input's row; it is found once a call, in the column table, and
copied whole, so that only the borders are looked up cell by cell. Rows of small planes are shuffled
in registers instead (:mod:`pad_rows`). Rows, or small planes, are shared among threads.

Rows of the result begin anywhere, so that most vectors lie across two lines of memory. The lines that will be
written are asked for in advance (streaming.pxd).
"""

cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange

from convkit._ext cimport contract
from convkit._ext.pad_rows cimport fits_registers, pad_planes
from convkit._ext.runs cimport copy_run, longest_run
from convkit._ext.streaming cimport AHEAD, prefetch_run
from convkit._ext.threads cimport threads_for
from convkit._ext.vec cimport lanes, vd, vf

cnp.import_array()


# --- the kernels ---------------------------------------------------------------------------


cdef inline void pad_row(
    floating *y, const floating *x, const Py_ssize_t *iw_of, Py_ssize_t OW,
    Py_ssize_t start, Py_ssize_t stop, floating value
) noexcept nogil:
    cdef Py_ssize_t ow
    for ow in range(start):
        y[ow] = x[iw_of[ow]] if iw_of[ow] >= 0 else value
    if stop > start:
        copy_run(y + start, x + iw_of[start], (stop - start)*sizeof(floating))
    for ow in range(stop, OW):
        y[ow] = x[iw_of[ow]] if iw_of[ow] >= 0 else value


cdef inline void fill_row(floating *y, Py_ssize_t OW, floating value) noexcept nogil:
    cdef Py_ssize_t ow
    for ow in range(OW):
        y[ow] = value


cdef inline void pad_plane(
    floating *y, const floating *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, floating value,
    Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW, Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    cdef Py_ssize_t oh
    for oh in range(OH):
        prefetch_run(<char *> (y + oh*OW) + AHEAD, OW*sizeof(floating))
        if ih_of[oh] < 0:
            fill_row(y + oh*OW, OW, value)
        else:
            pad_row(y + oh*OW, x + ih_of[oh]*IW, iw_of, OW, start, stop, value)


cdef inline void pad_small_planes(
    floating *y, const floating *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, floating value,
    Py_ssize_t P, Py_ssize_t first, Py_ssize_t end, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    if floating is float:
        pad_planes(<vf *> y, <const vf *> x, ih_of, iw_of, <const vf *> &value, P, first, end, IH, IW, OH, OW)
    else:
        pad_planes(<vd *> y, <const vd *> x, ih_of, iw_of, <const vd *> &value, P, first, end, IH, IW, OH, OW)


cdef void pad(
    floating *y, const floating *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, floating value,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    cdef Py_ssize_t W = lanes(<const vf *> NULL) if floating is float else lanes(<const vd *> NULL)
    cdef Py_ssize_t row, p, oh, start, stop, some
    cdef int threads = threads_for(P*OH*OW)
    if fits_registers(IW, OW, W):
        if threads == 1:
            pad_small_planes(y, x, ih_of, iw_of, value, P, 0, P, IH, IW, OH, OW)
            return
        some = (P + threads - 1)//threads
        for p in prange(threads, schedule="static", num_threads=threads):
            pad_small_planes(y, x, ih_of, iw_of, value, P, p*some, min(P, (p + 1)*some), IH, IW, OH,
                             OW)
        return
    longest_run(iw_of, OW, &start, &stop)
    if threads == 1:
        for p in range(P):
            pad_plane(y + p*OH*OW, x + p*IH*IW, ih_of, iw_of, value, IW, OH, OW, start, stop)
        return
    for row in prange(P*OH, schedule="static", num_threads=threads):
        p = row // OH
        oh = row % OH
        pad_plane(y + row*OW, x + p*IH*IW, ih_of + oh, iw_of, value, IW, 1, OW, start, stop)


cdef inline void add_row(
    floating *dx, const floating *dy, const Py_ssize_t *iw_of, Py_ssize_t OW,
    Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    cdef Py_ssize_t ow
    cdef floating *run = dx + iw_of[start] if stop > start else dx
    for ow in range(start):
        if iw_of[ow] >= 0:
            dx[iw_of[ow]] += dy[ow]
    for ow in range(stop - start):
        run[ow] += dy[start + ow]
    for ow in range(stop, OW):
        if iw_of[ow] >= 0:
            dx[iw_of[ow]] += dy[ow]


cdef inline void pad_backward_plane(
    floating *dx, const floating *dy, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW, Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    cdef Py_ssize_t oh
    fill_row(dx, IH*IW, <floating> 0)
    for oh in range(OH):
        if ih_of[oh] >= 0:
            add_row(dx + ih_of[oh]*IW, dy + oh*OW, iw_of, OW, start, stop)


cdef void pad_backward(
    floating *dx, const floating *dy, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    """Add each output's gradient to the cell it came from, a plane a thread: rows may share a source."""
    cdef Py_ssize_t p, start, stop
    cdef int threads = threads_for(P*OH*OW)
    longest_run(iw_of, OW, &start, &stop)
    if threads == 1:
        for p in range(P):
            pad_backward_plane(dx + p*IH*IW, dy + p*OH*OW, ih_of, iw_of, IH, IW, OH, OW, start, stop)
        return
    for p in prange(P, schedule="static", num_threads=threads):
        pad_backward_plane(dx + p*IH*IW, dy + p*OH*OW, ih_of, iw_of, IH, IW, OH, OW, start, stop)


# --- from C --------------------------------------------------------------------------------


cdef api void pad2d_f32(
    float *y, const float *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, float value,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    pad(y, x, ih_of, iw_of, value, P, IH, IW, OH, OW)


cdef api void pad2d_f64(
    double *y, const double *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, double value,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    pad(y, x, ih_of, iw_of, value, P, IH, IW, OH, OW)


cdef api void pad2d_backward_f32(
    float *dx, const float *dy, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    pad_backward(dx, dy, ih_of, iw_of, P, IH, IW, OH, OW)


cdef api void pad2d_backward_f64(
    double *dx, const double *dy, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    pad_backward(dx, dy, ih_of, iw_of, P, IH, IW, OH, OW)


# --- from Python ---------------------------------------------------------------------------


def pad2d(cnp.ndarray y, cnp.ndarray x, cnp.ndarray ih_of, cnp.ndarray iw_of, double value):
    """Fill y (P, OH, OW) from x (P, IH, IW), and with `value` where a table says -1."""
    cdef int typenum = contract.output(y, "y", 3)
    contract.array(x, "x", 3, typenum)
    contract.apart(y, x, "x")
    cdef Py_ssize_t P = y.shape[0], OH = y.shape[1], OW = y.shape[2], IH = x.shape[1], IW = x.shape[2]
    contract.extent("planes of x", x.shape[0], P)
    contract.table(y, ih_of, "ih_of", IH, OH, 1, 1, 1)
    contract.table(y, iw_of, "iw_of", IW, OW, 1, 1, 1)

    cdef const Py_ssize_t *ih = <const Py_ssize_t *> ih_of.data
    cdef const Py_ssize_t *iw = <const Py_ssize_t *> iw_of.data
    cdef Py_ssize_t p, count, at_once = contract.blocks_at_once(OH*OW)
    p = 0
    while p < P:
        count = min(at_once, P - p)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                pad2d_f32(<float *> y.data + p*OH*OW, <const float *> x.data + p*IH*IW, ih, iw,
                          <float> value, count, IH, IW, OH, OW)
            else:
                pad2d_f64(<double *> y.data + p*OH*OW, <const double *> x.data + p*IH*IW, ih, iw,
                          value, count, IH, IW, OH, OW)
        contract.signals()
        p += at_once


def pad2d_backward(cnp.ndarray dx, cnp.ndarray dy, cnp.ndarray ih_of, cnp.ndarray iw_of):
    """Sum dy (P, OH, OW) into the cells of dx (P, IH, IW) that it was copied from."""
    cdef int typenum = contract.output(dx, "dx", 3)
    contract.array(dy, "dy", 3, typenum)
    contract.apart(dx, dy, "dy")
    cdef Py_ssize_t P = dx.shape[0], IH = dx.shape[1], IW = dx.shape[2], OH = dy.shape[1], OW = dy.shape[2]
    contract.extent("planes of dy", dy.shape[0], P)
    contract.table(dx, ih_of, "ih_of", IH, OH, 1, 1, 1)
    contract.table(dx, iw_of, "iw_of", IW, OW, 1, 1, 1)

    cdef const Py_ssize_t *ih = <const Py_ssize_t *> ih_of.data
    cdef const Py_ssize_t *iw = <const Py_ssize_t *> iw_of.data
    cdef Py_ssize_t p, count, at_once = contract.blocks_at_once(OH*OW)
    p = 0
    while p < P:
        count = min(at_once, P - p)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                pad2d_backward_f32(<float *> dx.data + p*IH*IW, <const float *> dy.data + p*OH*OW, ih, iw,
                                   count, IH, IW, OH, OW)
            else:
                pad2d_backward_f64(<double *> dx.data + p*IH*IW, <const double *> dy.data + p*OH*OW, ih, iw,
                                   count, IH, IW, OH, OW)
        contract.signals()
        p += at_once
