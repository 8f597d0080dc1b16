"""The gradient of average pooling: every cell gets, from each window that it is in, an equal share.

    dx[p, h0:h1, w0:w1] += dy[p, oh, ow] / (h_divisor * w_divisor)

Separable like the sum itself: a row of shares is first spread along a row of cells, in a buffer on
the stack, and that row is added to the KH rows of its windows. KW + KH/SH additions a cell, and no
multiplication of the two. Planes stay in the cache while their windows overlap, so memory sees
dy once and dx once. A plane is one thread's.
"""

cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange
from libc.string cimport memset

from convkit._ext cimport contract
from convkit._ext.threads cimport threads_for
from convkit._ext.windows cimport ROW, START, STOP, THIRD, check

cnp.import_array()

cdef enum:
    SPAN = 512  # cells in the buffer: 2 or 4 KiB


cdef inline void spread(
    floating *cells, const floating *dy, double h_divisor, const Py_ssize_t *w, Py_ssize_t count, Py_ssize_t low
) noexcept nogil:
    """Add the shares of `count` outputs to a row of cells that begins with column `low`."""
    cdef Py_ssize_t ow, i
    cdef floating share
    for ow in range(count):
        share = dy[ow] / <floating> (h_divisor*w[THIRD])
        for i in range(w[START] - low, w[STOP] - low):
            cells[i] += share
        w += ROW


cdef inline void add_to_rows(
    floating *dx, const floating *cells, Py_ssize_t columns, Py_ssize_t KH, Py_ssize_t IW
) noexcept nogil:
    cdef Py_ssize_t kh, i
    for kh in range(KH):
        for i in range(columns):
            dx[kh*IW + i] += cells[i]


cdef inline void wide_window(
    floating *dx, floating share, Py_ssize_t K, Py_ssize_t KH, Py_ssize_t IW
) noexcept nogil:
    cdef Py_ssize_t kh, i
    for kh in range(KH):
        for i in range(K):
            dx[kh*IW + i] += share


cdef void plane(
    floating *dx, const floating *dy, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    """A row of outputs at a time, in groups whose columns fit the buffer."""
    cdef floating[SPAN] cells
    cdef const Py_ssize_t *h
    cdef const Py_ssize_t *w
    cdef Py_ssize_t oh, ow, group, low, high
    memset(dx, 0, IH*IW*sizeof(floating))
    for oh in range(OH):
        h = h_windows + oh*ROW
        ow = 0
        while ow < OW:
            w = w_windows + ow*ROW
            low, high = w[START], w[STOP]
            if high - low > SPAN:
                wide_window(dx + h[START]*IW + low, dy[oh*OW + ow] / <floating> (<double> h[THIRD]*w[THIRD]),
                            high - low, h[STOP] - h[START], IW)
                ow += 1
                continue
            group = ow
            while ow < OW and max(high, w[STOP]) - min(low, w[START]) <= SPAN:
                low, high = min(low, w[START]), max(high, w[STOP])
                ow += 1
                w += ROW
            memset(cells, 0, (high - low)*sizeof(floating))
            spread(cells, dy + oh*OW + group, h[THIRD], w_windows + group*ROW, ow - group, low)
            add_to_rows(dx + h[START]*IW + low, cells, high - low, h[STOP] - h[START], IW)


cdef inline void backward(
    floating *dx, const floating *dy, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    cdef Py_ssize_t p
    for p in prange(P, schedule="static", num_threads=threads_for(P*(IH*IW + OH*OW))):
        plane(dx + p*IH*IW, dy + p*OH*OW, h_windows, w_windows, IH, IW, OH, OW)


# --- from C --------------------------------------------------------------------------------


cdef api void avg_pool2d_backward_f32(
    float *dx, const float *dy, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    backward(dx, dy, h_windows, w_windows, P, IH, IW, OH, OW)


cdef api void avg_pool2d_backward_f64(
    double *dx, const double *dy, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    backward(dx, dy, h_windows, w_windows, P, IH, IW, OH, OW)


# --- from Python ---------------------------------------------------------------------------


def avg_pool2d_backward(cnp.ndarray dx, cnp.ndarray dy, cnp.ndarray h_windows, cnp.ndarray w_windows):
    """Fill dx (P, IH, IW) with the shares of dy (P, OH, OW)."""
    cdef int typenum = contract.output(dx, "dx", 3)
    contract.array(dy, "dy", 3, typenum)
    cdef Py_ssize_t P = dx.shape[0], IH = dx.shape[1], IW = dx.shape[2], OH = dy.shape[1], OW = dy.shape[2]
    contract.extent("planes of dy", dy.shape[0], P)
    check(h_windows, "h_windows", IH, OH, "divisor")
    check(w_windows, "w_windows", IW, OW, "divisor")

    cdef const Py_ssize_t *h = <const Py_ssize_t *> h_windows.data
    cdef const Py_ssize_t *w = <const Py_ssize_t *> w_windows.data
    cdef Py_ssize_t p, count, at_once = contract.blocks_at_once(IH*IW + OH*OW)
    for p in range(0, P, at_once):
        count = min(at_once, P - p)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                avg_pool2d_backward_f32(<float *> dx.data + p*IH*IW, <const float *> dy.data + p*OH*OW, h, w,
                                        count, IH, IW, OH, OW)
            else:
                avg_pool2d_backward_f64(<double *> dx.data + p*IH*IW, <const double *> dy.data + p*OH*OW,
                                        h, w, count, IH, IW, OH, OW)
        contract.signals()
