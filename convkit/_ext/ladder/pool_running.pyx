"""Average pooling: sums along the row that do not grow with the window.

What limited `separable`: KW additions an output along the row.

The one change: wide overlapping windows take running sums that never subtract, three additions
an output whatever KW is; :mod:`avg_windows` has them, with their error bound. Narrow windows are left as they
were: below 8 columns the two extra passes cost more than they save. Expect nothing at 3x3, and half as
much speed again at 31x31, where the sums downwards are most of what is left.

What limits it now: for common windows, the buffer between the two steps, since a load that straddles two
recent stores has to wait for them; see `registers`. Where windows are wide there is little left to gain
but threads, which the top has.
"""

cimport numpy as cnp
from cython cimport floating

from convkit._ext cimport contract
from convkit._ext.avg_windows cimport any_row
from convkit._ext.windows cimport ROW, START, STOP, THIRD, check

cnp.import_array()


cdef void average(
    floating *y, const floating *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    cdef Py_ssize_t p, oh
    cdef const Py_ssize_t *h
    for p in range(P):
        for oh in range(OH):
            h = h_windows + oh*ROW
            any_row(y + (p*OH + oh)*OW, x + (p*IH + h[START])*IW, h[STOP] - h[START], h[THIRD],
                    w_windows, IW, OW)


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
