"""Max pooling: rows are compared downwards first, then the maxima of columns along the row.

What limited `window_loops`: KH*KW comparisons an output, one after the other.

The one change: a window's maximum is the maximum of its columns' maxima, and windows beside each other
share columns. The rows of the windows are compared into one row of maxima, W columns at a time in a
vector, and each output compares KW of those: (KH - 1)*S + (KW - 1) comparisons an output, and the first
part has no chain of dependences. Expect nearly three times the speed for 3x3 windows, seven times for
7x7. The row of maxima is cut into pieces that stay in the L1 cache.

What limits it now: KW comparisons an output along the row, which still wait for one another.
"""

cimport numpy as cnp
from cython cimport floating

from convkit._ext cimport contract
from convkit._ext.max_windows cimport SPAN, max_along, max_down, wide_window
from convkit._ext.windows cimport ROW, START, STOP, THIRD, check

cnp.import_array()


cdef void separable_row(
    floating *y, const floating *x, const Py_ssize_t *h, const Py_ssize_t *w_windows,
    Py_ssize_t IW, Py_ssize_t OW
) noexcept nogil:
    """A row of outputs, in groups whose columns fit the buffer."""
    cdef floating[SPAN] best
    cdef const Py_ssize_t *w
    cdef Py_ssize_t ow = 0, group, low, high
    while ow < OW:
        w = w_windows + ow*ROW
        low, high = w[START], w[STOP]
        if high - low > SPAN:
            y[ow] = wide_window(x, h, w, IW)
            ow += 1
            continue
        group = ow
        while ow < OW and max(high, w[STOP]) - min(low, w[START]) <= SPAN:
            low, high = min(low, w[START]), max(high, w[STOP])
            ow += 1
            w += ROW
        max_down(best, x + low, h, high - low, IW)
        for group in range(group, ow):
            w = w_windows + group*ROW
            y[group] = max_along(best + w[START] - low, w[STOP] - w[START], w[THIRD])


cdef void maximum(
    floating *y, const floating *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    cdef Py_ssize_t p, oh
    for p in range(P):
        for oh in range(OH):
            separable_row(y + (p*OH + oh)*OW, x + p*IH*IW, h_windows + oh*ROW, w_windows, IW, OW)


# --- from C --------------------------------------------------------------------------------


cdef api void max_pool2d_f32(
    float *y, const float *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    maximum(y, x, h_windows, w_windows, P, IH, IW, OH, OW)


cdef api void max_pool2d_f64(
    double *y, const double *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    maximum(y, x, h_windows, w_windows, P, IH, IW, OH, OW)


# --- from Python ---------------------------------------------------------------------------


def max_pool2d(cnp.ndarray y, cnp.ndarray x, cnp.ndarray h_windows, cnp.ndarray w_windows):
    """Fill y (P, OH, OW) with the maxima of the windows of x (P, IH, IW)."""
    cdef int typenum = contract.output(y, "y", 3)
    contract.array(x, "x", 3, typenum)
    contract.apart(y, x, "x")
    cdef Py_ssize_t P = y.shape[0], OH = y.shape[1], OW = y.shape[2], IH = x.shape[1], IW = x.shape[2]
    contract.extent("planes of x", x.shape[0], P)
    check(y, h_windows, "h_windows", IH, OH, "step")
    check(y, w_windows, "w_windows", IW, OW, "step")

    cdef const Py_ssize_t *h = <const Py_ssize_t *> h_windows.data
    cdef const Py_ssize_t *w = <const Py_ssize_t *> w_windows.data
    cdef Py_ssize_t p, count, at_once = contract.blocks_at_once(IH*IW + OH*OW)
    p = 0
    while p < P:
        count = min(at_once, P - p)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                max_pool2d_f32(<float *> y.data + p*OH*OW, <const float *> x.data + p*IH*IW, h, w,
                               count, IH, IW, OH, OW)
            else:
                max_pool2d_f64(<double *> y.data + p*OH*OW, <const double *> x.data + p*IH*IW, h, w,
                               count, IH, IW, OH, OW)
        contract.signals()
        p += at_once
