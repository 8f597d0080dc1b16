"""Average pooling, ``registers``: common windows without a buffer.

What limited `running`, for common windows: the buffer between the two steps. A vector that is loaded from
the row of sums at another offset than it was stored at has to wait until both stores that it straddles
have reached the cache, and the sums along the row are made one by one.

The one change: windows of 2, 3 and 5 columns at their usual strides never meet a buffer. As many as a
vector has lanes are added downwards in S + 1 vectors of columns, and then along the row by shuffles;
:mod:`pool_registers` has them. For 3x3 windows at stride 1 that is 6 loads and 6 additions for 16 outputs
in float32. Sums are in the arrays' precision again, which doubles the lanes; there are
(KH - 1) + (KW - 1) roundings. Expect three to four times the speed for 3x3 windows; wider windows, and
those that the edge clips, stay as they were.

What limits it now: one core, edges that are done one by one, and planes whose rows are shorter than a
vector. The production kernel, the next rung, sees to all three.
"""

cimport numpy as cnp
from cython cimport floating

from convkit._ext cimport contract
from convkit._ext.avg_windows cimport any_row
from convkit._ext.pool_registers cimport in_registers, pool_rows
from convkit._ext.vec cimport lanes, vd, vf
from convkit._ext.windows cimport ROW, START, STOP, THIRD, Run, check, find_run

cnp.import_array()


cdef void any_rows(
    floating *y, const floating *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW, Py_ssize_t first, Py_ssize_t end
) noexcept nogil:
    """Outputs first..end-1 of every row of a plane, by way of the buffer."""
    cdef Py_ssize_t oh
    cdef const Py_ssize_t *h
    for oh in range(OH):
        h = h_windows + oh*ROW
        any_row(y + oh*OW + first, x + h[START]*IW, h[STOP] - h[START], h[THIRD], w_windows + first*ROW, IW,
                end - first)


cdef void average(
    floating *y, const floating *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    cdef Py_ssize_t W = lanes(<const vf *> NULL) if floating is float else lanes(<const vd *> NULL)
    cdef Py_ssize_t _p, column
    cdef Run run
    find_run(w_windows, OW, &run)
    column = w_windows[run.first*ROW + START]
    if not in_registers(run.S, run.K) or run.end - run.first < W:
        run.first = run.end = 0  # none
    for _p in range(P):
        if run.end > run.first:
            if floating is float:
                pool_rows(<vf *> y, <const vf *> x, h_windows, &run, column, IW, OW, 0, OH, False, False)
            else:
                pool_rows(<vd *> y, <const vd *> x, h_windows, &run, column, IW, OW, 0, OH, False, False)
        any_rows(y, x, h_windows, w_windows, IW, OH, OW, 0, run.first)
        any_rows(y, x, h_windows, w_windows, IW, OH, OW, run.end, OW)
        y += OH*OW
        x += IH*IW


# --- from C --------------------------------------------------------------------------------


cdef api void avg_pool2d_f32(
    float *y, const float *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    average(y, x, h_windows, w_windows, P, IH, IW, OH, OW)


cdef api void avg_pool2d_f64(
    double *y, const double *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    average(y, x, h_windows, w_windows, P, IH, IW, OH, OW)


# --- from Python ---------------------------------------------------------------------------


def avg_pool2d(cnp.ndarray y, cnp.ndarray x, cnp.ndarray h_windows, cnp.ndarray w_windows):
    """Fill y (P, OH, OW) with the averages of the windows of x (P, IH, IW)."""
    cdef int typenum = contract.output(y, "y", 3)
    contract.array(x, "x", 3, typenum)
    contract.apart(y, x, "x")
    cdef Py_ssize_t P = y.shape[0], OH = y.shape[1], OW = y.shape[2], IH = x.shape[1], IW = x.shape[2]
    contract.extent("planes of x", x.shape[0], P)
    check(y, h_windows, "h_windows", IH, OH, "divisor")
    check(y, w_windows, "w_windows", IW, OW, "divisor")

    cdef const Py_ssize_t *h = <const Py_ssize_t *> h_windows.data
    cdef const Py_ssize_t *w = <const Py_ssize_t *> w_windows.data
    cdef Py_ssize_t p, count, at_once = contract.blocks_at_once(IH*IW + OH*OW)
    p = 0
    while p < P:
        count = min(at_once, P - p)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                avg_pool2d_f32(<float *> y.data + p*OH*OW, <const float *> x.data + p*IH*IW, h, w,
                               count, IH, IW, OH, OW)
            else:
                avg_pool2d_f64(<double *> y.data + p*OH*OW, <const double *> x.data + p*IH*IW, h, w,
                               count, IH, IW, OH, OW)
        contract.signals()
        p += at_once
