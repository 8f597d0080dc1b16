"""Max pooling: the largest number of each window, and NaN where there is one.

    y[p, oh, ow] = max of x[p, h0:h1:step, w0:w1:step]

Bound by memory where windows are small; (KH - 1) + (KW - 1) comparisons an output, since a maximum is
separable. The three ways are those of average pooling: in registers, small planes in lanes, and
anything else through a buffer. There, wide windows without steps take three comparisons an output, two
to prepare and one to use: the maximum from the window's start to the end of a block as wide as the
window, and from the beginning of the next block to the window's end. Maxima do not round: results are
exact.

NaN costs a comparison and a masked move beside each hardware maximum, which forgets NaNs.
"""

cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange
from libc.string cimport memcpy

from convkit._ext cimport contract
from convkit._ext.planes_in_lanes cimport CELLS, element, from_lanes, to_lanes
from convkit._ext.pool_planes cimport AT_ONCE, pack, packing, pool_planes
from convkit._ext.pool_registers cimport FROM_MEMORY, in_registers, pool_rows, rows_at_end, rows_at_start
from convkit._ext.threads cimport threads_for
from convkit._ext.vec cimport lanes, vd, vec, vf
from convkit._ext.vec_order cimport larger
from convkit._ext.windows cimport ROW, START, STOP, THIRD, Run, check, find_run, with_clipped

cnp.import_array()

cdef enum:
    SPAN = 512   # columns taken downwards at a time: at most 4 KiB
    RUNNING = 8  # overlapping windows at least as wide get running maxima
    STRIP = 64   # rows of outputs that one thread does at a time


# --- any windows ---------------------------------------------------------------------------


cdef inline floating larger_of(floating a, floating b) noexcept nogil:
    return b if b > a or b != b else a


cdef inline void max_down(
    floating *best, const floating *x, const Py_ssize_t *h, Py_ssize_t columns, Py_ssize_t IW
) noexcept nogil:
    cdef Py_ssize_t ih = h[START], i
    cdef floating v
    for i in range(columns):
        best[i] = x[ih*IW + i]
    ih += h[THIRD]
    while ih < h[STOP]:
        for i in range(columns):
            v = x[ih*IW + i]
            best[i] = v if (v > best[i]) | (v != v) else best[i]
        ih += h[THIRD]


cdef inline floating max_along(const floating *best, Py_ssize_t K, Py_ssize_t step) noexcept nogil:
    cdef floating most = best[0]
    cdef Py_ssize_t i = step
    while i < K:
        most = larger_of(most, best[i])
        i += step
    return most


cdef inline void max_blocks(
    floating *ends, floating *begins, const floating *best, Py_ssize_t n, Py_ssize_t K
) noexcept nogil:
    """In every block of K: maxima from each column to the block's end, and from its beginning to each."""
    cdef Py_ssize_t start = 0, stop, i
    while start < n:
        stop = min(start + K, n)
        begins[start] = best[start]
        for i in range(start + 1, stop):
            begins[i] = larger_of(begins[i - 1], best[i])
        ends[stop - 1] = best[stop - 1]
        for i in range(stop - 2, start - 1, -1):
            ends[i] = larger_of(ends[i + 1], best[i])
        start = stop


cdef inline floating wide_window(
    const floating *x, const Py_ssize_t *h, const Py_ssize_t *w, Py_ssize_t IW
) noexcept nogil:
    """The maximum of a window that is wider than the buffer, piece by piece."""
    cdef Py_ssize_t i = w[START], columns, step = w[THIRD]
    cdef Py_ssize_t piece = max(step, SPAN//step*step)
    cdef floating[SPAN] best
    cdef floating most = x[h[START]*IW + i]
    while i < w[STOP]:
        columns = min(min(piece, SPAN), w[STOP] - i)
        max_down(best, x + i, h, columns, IW)
        most = larger_of(most, max_along(best, columns, step))
        i += piece
    return most


cdef void any_row(
    floating *y, const floating *x, const Py_ssize_t *h, const Py_ssize_t *w_windows,
    Py_ssize_t IW, Py_ssize_t OW
) noexcept nogil:
    """A row of outputs, in groups whose columns fit the buffer."""
    cdef floating[SPAN] best, ends, begins
    cdef const Py_ssize_t *w
    cdef Py_ssize_t ow = 0, group, low, high, K, a
    cdef bint equal
    while ow < OW:
        w = w_windows + ow*ROW
        low, high = w[START], w[STOP]
        K = high - low
        if K > SPAN:
            y[ow] = wide_window(x, h, w, IW)
            ow += 1
            continue
        group, equal = ow, True
        while ow < OW and max(high, w[STOP]) - min(low, w[START]) <= SPAN:
            low, high = min(low, w[START]), max(high, w[STOP])
            equal = equal and w[STOP] - w[START] == K and w[THIRD] == 1
            ow += 1
            w += ROW
        max_down(best, x + low, h, high - low, IW)
        equal = equal and K >= RUNNING and high - low < (ow - group)*K//2
        if equal:
            max_blocks(ends, begins, best, high - low, K)
        for group in range(group, ow):
            w = w_windows + group*ROW
            a = w[START] - low
            if equal:
                y[group] = larger_of(ends[a], begins[a + K - 1])
            else:
                y[group] = max_along(best + a, w[STOP] - w[START], w[THIRD])


# --- rows with common windows --------------------------------------------------------------


cdef inline void edge(
    floating *y, const floating *x, const Py_ssize_t *h, const Py_ssize_t *w_windows,
    Py_ssize_t IW, Py_ssize_t first, Py_ssize_t end
) noexcept nogil:
    """Outputs beside the regular ones, whose windows the edge has clipped."""
    cdef Py_ssize_t ow, ih
    cdef const Py_ssize_t *w
    cdef floating most
    for ow in range(first, end):
        w = w_windows + ow*ROW
        ih = h[START]
        most = x[ih*IW + w[START]]
        while ih < h[STOP]:
            most = larger_of(most, max_along(x + ih*IW + w[START], w[STOP] - w[START], w[THIRD]))
            ih += h[THIRD]
        y[ow] = most


cdef inline void strip(
    floating *y, const floating *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW, const Run *run,
    Py_ssize_t column, bint common, bint far, Py_ssize_t p, Py_ssize_t first, Py_ssize_t end
) noexcept nogil:
    """Rows first..end-1 of plane p of the outputs."""
    cdef Py_ssize_t oh, top = first, bottom = end
    y += p*OH*OW
    x += p*IH*IW
    if not common:
        for oh in range(first, end):
            any_row(y + oh*OW, x, h_windows + oh*ROW, w_windows, IW, OW)
        return
    if p == 0:
        top += rows_at_start(h_windows, first, end, column)
    if p == P - 1:
        bottom -= rows_at_end(h_windows, top, end, run, column, IH, IW)
    if floating is float:
        pool_rows(<vf *> y, <const vf *> x, h_windows, run, column, IW, OW, top, bottom, far, True)
    else:
        pool_rows(<vd *> y, <const vd *> x, h_windows, run, column, IW, OW, top, bottom, far, True)
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
    """Up to W planes in the lanes of vectors: maxima along the rows, then down the columns."""
    cdef vec[CELLS] cells, rows
    cdef const Py_ssize_t *h
    cdef const Py_ssize_t *w
    cdef Py_ssize_t W = lanes(x), ih, oh, ow, i
    cdef vec most
    if count == W:
        to_lanes(cells, x, IH*IW)
    else:  # the lanes of planes that are not there hold anything
        memcpy(rows, x, count*IH*IW*element(x))
        to_lanes(cells, rows, IH*IW)
    for ih in range(IH):
        for ow in range(OW):
            w = w_windows + ow*ROW
            most = cells[ih*IW + w[START]]
            i = w[START] + w[THIRD]
            while i < w[STOP]:
                most = larger(most, cells[ih*IW + i])
                i += w[THIRD]
            rows[ih*OW + ow] = most
    for oh in range(OH):
        h = h_windows + oh*ROW
        for ow in range(OW):
            most = rows[h[START]*OW + ow]
            i = h[START] + h[THIRD]
            while i < h[STOP]:
                most = larger(most, rows[i*OW + ow])
                i += h[THIRD]
            cells[oh*OW + ow] = most
    if count == W:
        from_lanes(y, cells, OH*OW)
    else:
        from_lanes(rows, cells, OH*OW)
        memcpy(y, rows, count*OH*OW*element(y))


# --- all planes ----------------------------------------------------------------------------


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
        pool_planes(<vf *> y, <const vf *> x, k, p, True)
    else:
        pool_planes(<vd *> y, <const vd *> x, k, p, True)


cdef void maximum(
    floating *y, const floating *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    cdef int threads = threads_for(P*(IH*IW + OH*OW))
    cdef Py_ssize_t W = lanes(<const vf *> NULL) if floating is float else lanes(<const vd *> NULL)
    cdef Py_ssize_t strips = (OH + STRIP - 1)//STRIP, i, p, oh, column
    cdef bint far = P*IH*IW*<Py_ssize_t> sizeof(floating) > FROM_MEMORY, common
    cdef Run across, down, run
    cdef packing k
    find_run(w_windows, OW, &across)
    find_run(h_windows, OH, &down)
    run = across
    column = with_clipped(&run, w_windows, IW, OW)
    common = run.third == 1 and in_registers(run.S, run.K) and run.end - run.first >= W
    if not common and across.third == 1 and down.third == 1 and packed(
        &k, x, h_windows, w_windows, &down, &across, P, IH, IW, OH, OW
    ):
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
