"""Average pooling as it is defined: every window is added up cell by cell, and divided.

    y[p, oh, ow] = sum of x[p, h0:h1, w0:w1] / (h_divisor * w_divisor)

What limits it
--------------
Arithmetic. A cell is read and added once for each window that it is in: KH*KW additions an output, 9
for a 3x3 window and 225 for 15x15, and each waits for the one before, 2 to 4 cycles. Memory is idle:
4 bytes an output and, at stride S, 4*S*S bytes of input could be moved in a cycle or two.
The sum is in the arrays' precision, with KH*KW - 1 roundings.
"""

cimport numpy as cnp
from cython cimport floating

from convkit._ext cimport contract
from convkit._ext.windows cimport ROW, START, STOP, THIRD, check

cnp.import_array()


cdef void average(
    floating *y, const floating *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    cdef Py_ssize_t p, oh, ow, ih, iw
    cdef const Py_ssize_t *h
    cdef const Py_ssize_t *w
    cdef floating total
    for p in range(P):
        for oh in range(OH):
            h = h_windows + oh*ROW
            for ow in range(OW):
                w = w_windows + ow*ROW
                total = 0
                for ih in range(h[START], h[STOP]):
                    for iw in range(w[START], w[STOP]):
                        total += x[(p*IH + ih)*IW + iw]
                y[(p*OH + oh)*OW + ow] = total / <floating> (<double> h[THIRD]*<double> w[THIRD])


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
