"""Average pooling: separable sums of windows, then one true division.

    y[p, oh, ow] = sum of x[p, h0:h1, w0:w1] / (h_divisor * w_divisor)

Bound by memory where windows are small and the array exceeds the caches, inside them by shuffles and
edges: each input is read once, each output written once, and the separable sum needs, at stride 1,
(KH - 1) + (KW - 1) additions an output and not KH*KW. Four ways:

- in registers, for the interior of rows with common windows (:mod:`pool_registers`), where sums
  are in the arrays' precision, with the error bound given there; edge outputs are added one by one;
- windows that are the whole plane, as one run of cells (:mod:`avg_planes`);
- small planes side by side in the lanes of vectors (:mod:`planes_in_lanes`), any windows;
- everything else downwards and then along the rows, in double (:mod:`avg_windows`).

Dividing is exact where the sum is and the quotient exists; multiplying by the reciprocal would
misround one in ten of the averages of nine integers. A product of divisors beyond 2^24 is rounded.

Input that comes from memory is prefetched a few KiB ahead, since the hardware starts anew at every row.
"""

cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange
from libc.string cimport memcpy

from convkit._ext cimport contract
from convkit._ext.avg_planes cimport average_planes
from convkit._ext.avg_windows cimport any_row
from convkit._ext.planes_in_lanes cimport CELLS, element, from_lanes, to_lanes
from convkit._ext.pool_planes cimport AT_ONCE, pack, packing, pool_planes
from convkit._ext.pool_registers cimport FROM_MEMORY, in_registers, pool_rows, rows_at_end, rows_at_start
from convkit._ext.threads cimport threads_for
from convkit._ext.vec cimport lanes, splat, vd, vec, vf
from convkit._ext.windows cimport ROW, START, STOP, THIRD, Run, check, find_run, with_clipped

cnp.import_array()

cdef enum:
    STRIP = 64  # rows of outputs that one thread does at a time


# --- rows with common windows --------------------------------------------------------------


cdef inline void edge(
    floating *y, const floating *x, const Py_ssize_t *h, const Py_ssize_t *w_windows,
    Py_ssize_t IW, Py_ssize_t first, Py_ssize_t end
) noexcept nogil:
    """Outputs of a row one by one, by additions in the same order as in registers."""
    cdef Py_ssize_t ow, kh, iw
    cdef const Py_ssize_t *w
    cdef floating total, column
    x += h[START]*IW
    for ow in range(first, end):
        w = w_windows + ow*ROW
        total = 0
        for iw in range(w[START], w[STOP]):
            column = x[iw]
            for kh in range(1, h[STOP] - h[START]):
                column += x[kh*IW + iw]
            total += column
        y[ow] = total / <floating> (<double> h[THIRD]*<double> w[THIRD])


cdef inline void common_rows(
    floating *y, const floating *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows, Py_ssize_t IH,
    Py_ssize_t IW, Py_ssize_t OW, const Run *run, Py_ssize_t column, bint at_start, bint at_end, bint far,
    Py_ssize_t first, Py_ssize_t end
) noexcept nogil:
    cdef Py_ssize_t oh, top = first, bottom = end
    if at_start:
        top += rows_at_start(h_windows, first, end, column)
    if at_end:
        bottom -= rows_at_end(h_windows, top, end, run, column, IH, IW)
    if floating is float:
        pool_rows(<vf *> y, <const vf *> x, h_windows, run, column, IW, OW, top, bottom, far, False)
    else:
        pool_rows(<vd *> y, <const vd *> x, h_windows, run, column, IW, OW, top, bottom, far, False)
    if bottom - top == end - first and run.end - run.first == OW:
        return
    for oh in range(first, end):
        if oh < top or oh >= bottom:
            edge(y + oh*OW, x, h_windows + oh*ROW, w_windows, IW, 0, OW)
        else:
            edge(y + oh*OW, x, h_windows + oh*ROW, w_windows, IW, 0, run.first)
            edge(y + oh*OW, x, h_windows + oh*ROW, w_windows, IW, run.end, OW)


# --- small planes --------------------------------------------------------------------------


cdef void small_planes(
    vec *y, const vec *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t count, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    """Up to W planes in the lanes of vectors: sums along the rows, then down the columns."""
    cdef vec[CELLS] cells, rows
    cdef Py_ssize_t W = lanes(x)
    cdef const Py_ssize_t *h
    cdef const Py_ssize_t *w
    cdef Py_ssize_t ih, oh, ow, i
    cdef vec total
    cdef float divisor_f
    cdef double divisor
    if count == W:
        to_lanes(cells, x, IH*IW)
    else:  # the lanes of planes that are not there hold anything
        memcpy(rows, x, count*IH*IW*element(x))
        to_lanes(cells, rows, IH*IW)
    for ih in range(IH):
        for ow in range(OW):
            w = w_windows + ow*ROW
            total = cells[ih*IW + w[START]]
            for i in range(w[START] + 1, w[STOP]):
                total += cells[ih*IW + i]
            rows[ih*OW + ow] = total
    for oh in range(OH):
        h = h_windows + oh*ROW
        for ow in range(OW):
            total = rows[h[START]*OW + ow]
            for i in range(h[START] + 1, h[STOP]):
                total += rows[i*OW + ow]
            divisor = <double> h[THIRD]*<double> w_windows[ow*ROW + THIRD]
            if vec is vf:
                divisor_f = <float> divisor
                cells[oh*OW + ow] = total / splat(<const vf *> &divisor_f, 0)
            else:
                cells[oh*OW + ow] = total / splat(<const vd *> &divisor, 0)
    if count == W:
        from_lanes(y, cells, OH*OW)
    else:
        from_lanes(rows, cells, OH*OW)
        memcpy(y, rows, count*OH*OW*element(y))


# --- whole planes --------------------------------------------------------------------------


cdef inline bint is_whole(const Py_ssize_t *w, Py_ssize_t n) noexcept nogil:
    return w[START] == 0 and w[STOP] == n


cdef inline void whole_planes(
    floating *y, const floating *x, Py_ssize_t P, Py_ssize_t cells, double divisor, int threads
) noexcept nogil:
    cdef Py_ssize_t i, some = (P + threads - 1)//threads
    if threads == 1:
        average_planes(y, x, 0, P, cells, divisor)
        return
    for i in prange(threads, schedule="static", num_threads=threads):
        average_planes(y, x, i*some, min(P, (i + 1)*some), cells, divisor)


# --- all planes ----------------------------------------------------------------------------


cdef inline void strip(
    floating *y, const floating *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW, const Run *run,
    Py_ssize_t column, bint common, bint far, Py_ssize_t p, Py_ssize_t first, Py_ssize_t end
) noexcept nogil:
    """Rows first..end-1 of plane p of the outputs."""
    cdef const Py_ssize_t *h
    cdef Py_ssize_t oh
    y += p*OH*OW
    x += p*IH*IW
    if common:
        common_rows(y, x, h_windows, w_windows, IH, IW, OW, run, column, p == 0, p == P - 1, far, first, end)
        return
    for oh in range(first, end):
        h = h_windows + oh*ROW
        any_row(y + oh*OW, x + h[START]*IW, h[STOP] - h[START], h[THIRD], w_windows, IW, OW)


cdef inline void planes_from(
    Py_ssize_t p, floating *y, const floating *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    """Planes p, p + 1 ... side by side, as many as a vector has lanes."""
    if floating is float:
        small_planes(<vf *> (y + p*OH*OW), <const vf *> (x + p*IH*IW), h_windows, w_windows,
                     min(lanes(<const vf *> NULL), P - p), IH, IW, OH, OW)
    else:
        small_planes(<vd *> (y + p*OH*OW), <const vd *> (x + p*IH*IW), h_windows, w_windows,
                     min(lanes(<const vd *> NULL), P - p), IH, IW, OH, OW)


cdef inline bint packed(
    packing *k, const floating *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows, const Run *h,
    const Run *w, Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    if floating is float:
        return pack(k, <const vf *> x, h_windows, w_windows, h, w, P, IH, IW, OH, OW)
    else:
        return pack(k, <const vd *> x, h_windows, w_windows, h, w, P, IH, IW, OH, OW)


cdef inline void packed_planes(floating *y, const floating *x, const packing *k, Py_ssize_t p) noexcept nogil:
    if floating is float:
        pool_planes(<vf *> y, <const vf *> x, k, p, False)
    else:
        pool_planes(<vd *> y, <const vd *> x, k, p, False)


cdef void average(
    floating *y, const floating *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    cdef int threads = threads_for(P*(IH*IW + OH*OW))
    cdef Py_ssize_t W = lanes(<const vf *> NULL) if floating is float else lanes(<const vd *> NULL)
    cdef Py_ssize_t strips = (OH + STRIP - 1)//STRIP, i, p, oh, column
    cdef bint far = P*IH*IW*<Py_ssize_t> sizeof(floating) > FROM_MEMORY, common
    cdef Run across, down, run
    cdef packing k
    if OH == 1 and OW == 1 and is_whole(h_windows, IH) and is_whole(w_windows, IW):
        whole_planes(y, x, P, IH*IW, <double> h_windows[THIRD]*<double> w_windows[THIRD], threads)
        return
    find_run(w_windows, OW, &across)
    find_run(h_windows, OH, &down)
    run = across
    column = with_clipped(&run, w_windows, IW, OW)
    common = in_registers(run.S, run.K) and run.end - run.first >= W
    if not common and packed(&k, x, h_windows, w_windows, &down, &across, P, IH, IW, OH, OW):
        if threads == 1:
            for i in range((P + AT_ONCE - 1)//AT_ONCE):
                packed_planes(y, x, &k, i*AT_ONCE)
            return
        for i in prange((P + AT_ONCE - 1)//AT_ONCE, schedule="static", num_threads=threads):
            packed_planes(y, x, &k, i*AT_ONCE)
        return
    if not common and P >= W and max(IH, OH)*max(IW, OW) <= CELLS:
        if threads == 1:
            for i in range((P + W - 1)//W):
                planes_from(i*W, y, x, h_windows, w_windows, P, IH, IW, OH, OW)
            return
        for i in prange((P + W - 1)//W, schedule="static", num_threads=threads):
            planes_from(i*W, y, x, h_windows, w_windows, P, IH, IW, OH, OW)
        return
    if threads == 1:
        for p in range(P):
            strip(y, x, h_windows, w_windows, P, IH, IW, OH, OW, &run, column, common, far, p, 0, OH)
        return
    for i in prange(P*strips, schedule="static", num_threads=threads):
        p = i//strips
        oh = i % strips*STRIP
        strip(y, x, h_windows, w_windows, P, IH, IW, OH, OW, &run, column, common, far, p, oh,
              min(oh + STRIP, OH))


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
