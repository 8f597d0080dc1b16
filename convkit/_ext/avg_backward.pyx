"""The gradient of average pooling: every cell gets, from each window that it is in, an equal share.

    dx[p, h0:h1, w0:w1] += dy[p, oh, ow] / (h_divisor * w_divisor)

Separable like the sum itself: a row of shares is first spread along a row of cells, in a buffer on
the stack, and that row is added to the KH rows of its windows; a row that no window has reached
before is written instead. KW + KH/SH additions a cell, not their product. Planes stay in the
cache while their windows overlap, so memory sees dy once and dx once. A plane is one thread's.

Where common windows are one or two columns apart, cell S*j + r collects the shares j, j - 1... of the
windows that reach it, which is a sum of shifted vectors; two such sums are then interleaved. Small planes
go side by side in the lanes of vectors, whatever their windows are.

A cell's sum has one rounding for each share, and the shares of its row one each for their sum.
"""

cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange
from libc.string cimport memcpy, memset

from convkit._ext cimport contract
from convkit._ext.planes_in_lanes cimport CELLS, element, from_lanes, to_lanes
from convkit._ext.threads cimport threads_for
from convkit._ext.vec cimport inlined, lanes, load, splat_d, splat_f, store, vd, vec, vf, zero
from convkit._ext.vec_order cimport high, low
from convkit._ext.windows cimport ROW, START, STOP, THIRD, Run, check, find_run

cnp.import_array()

cdef enum:
    SPAN = 512   # columns done at a time: 2 or 4 KiB
    MARGIN = 64  # cells of room on either side of a buffer, for whole vectors


# --- along a row ---------------------------------------------------------------------------


cdef inline void spread_each(
    floating *cells, const floating *dy, double h_divisor, const Py_ssize_t *w_windows,
    Py_ssize_t first, Py_ssize_t end, Py_ssize_t left, Py_ssize_t right
) noexcept nogil:
    """Add the shares of outputs first..end-1 to the columns left..right-1 of a row."""
    cdef const Py_ssize_t *w
    cdef Py_ssize_t ow, i
    cdef floating share
    for ow in range(first, end):
        w = w_windows + ow*ROW
        share = dy[ow] / <floating> (h_divisor*w[THIRD])
        for i in range(max(w[START], left), min(w[STOP], right)):
            cells[i - left] += share


cdef inline inlined spread_of(
    vec *cells, vec *shares, const vec *dy, vec divisor, Py_ssize_t count, int S, Py_ssize_t K
) noexcept nogil:
    """Write the cells of `count` windows, and zeros up to a whole vector; shares[-K:0] are 0."""
    cdef Py_ssize_t W = lanes(dy), j = 0, q
    cdef vec even, odd
    while j + W <= count:
        store(shares, j, load(dy, j) / divisor)
        j += W
    for j in range(j, count):
        if vec is vf:
            (<float *> shares)[j] = (<const float *> dy)[j] / (<float *> &divisor)[0]
        else:
            (<double *> shares)[j] = (<const double *> dy)[j] / (<double *> &divisor)[0]
    memset(<char *> shares + count*element(dy), 0, (K + 2*W)*element(dy))
    j = 0
    while S*j < S*(count - 1) + K:
        even = load(shares, j)
        for q in range(1, (K - 1)//S + 1):
            even = load(shares, j - q) + even
        if S == 1:
            store(cells, j, even)
        else:
            odd = load(shares, j) if K > 1 else zero(dy)
            for q in range(1, (K - 2)//S + 1):
                odd = load(shares, j - q) + odd
            store(cells, S*j, low(even, odd))
            store(cells, S*j + W, high(even, odd))
        j += W


cdef inline void spread(
    floating *cells, const floating *dy, double h_divisor, const Py_ssize_t *w_windows, const Run *run,
    Py_ssize_t OW, Py_ssize_t left, Py_ssize_t right
) noexcept nogil:
    """A row of shares as a row of cells, columns left..right-1."""
    cdef floating[SPAN + 2*MARGIN] shares
    cdef Py_ssize_t start = w_windows[run.first*ROW + START], count = run.end - run.first
    cdef floating divisor = <floating> (h_divisor*run.third)
    memset(cells, 0, (right - left)*sizeof(floating))
    if left > 0 or start + (count - 1)*run.S + run.K > right or not 1 <= run.S <= 2 or run.K > MARGIN//2:
        spread_each(cells, dy, h_divisor, w_windows, 0, OW, left, right)
        return
    memset(shares, 0, MARGIN*sizeof(floating))
    if floating is float:
        if run.S == 1:
            spread_of(<vf *> (cells + start), <vf *> (shares + MARGIN), <const vf *> (dy + run.first),
                      splat_f(divisor), count, 1, run.K)
        else:
            spread_of(<vf *> (cells + start), <vf *> (shares + MARGIN), <const vf *> (dy + run.first),
                      splat_f(divisor), count, 2, run.K)
    elif run.S == 1:
        spread_of(<vd *> (cells + start), <vd *> (shares + MARGIN), <const vd *> (dy + run.first),
                  splat_d(divisor), count, 1, run.K)
    else:
        spread_of(<vd *> (cells + start), <vd *> (shares + MARGIN), <const vd *> (dy + run.first),
                  splat_d(divisor), count, 2, run.K)
    spread_each(cells, dy, h_divisor, w_windows, 0, run.first, left, right)
    spread_each(cells, dy, h_divisor, w_windows, run.end, OW, left, right)


# --- down the rows -------------------------------------------------------------------------


cdef inline void add_row(floating *dx, const floating *cells, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(columns):
        dx[i] += cells[i]


cdef void plane(
    floating *dx, const floating *dy, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    const Run *run, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    """Blocks of columns; in each, a row of outputs at a time. Rows before `fresh` have been written."""
    cdef floating[SPAN + 2*MARGIN] cells
    cdef const Py_ssize_t *h
    cdef Py_ssize_t oh, ih, fresh, left = 0, right
    while left < IW:
        right = min(left + SPAN, IW)
        fresh = 0
        for oh in range(OH):
            h = h_windows + oh*ROW
            spread(cells, dy + oh*OW, h[THIRD], w_windows, run, OW, left, right)
            while fresh < h[START]:
                memset(dx + fresh*IW + left, 0, (right - left)*sizeof(floating))
                fresh += 1
            for ih in range(h[START], h[STOP]):
                if ih < fresh:
                    add_row(dx + ih*IW + left, cells, right - left)
                else:
                    memcpy(dx + ih*IW + left, cells, (right - left)*sizeof(floating))
            fresh = max(fresh, h[STOP])
        while fresh < IH:
            memset(dx + fresh*IW + left, 0, (right - left)*sizeof(floating))
            fresh += 1
        left = right


# --- small planes --------------------------------------------------------------------------


cdef void small_planes(
    vec *dx, const vec *dy, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t count, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    """Up to W planes in the lanes of vectors: along the rows, then down the columns."""
    cdef vec[CELLS] cells, rows
    cdef const Py_ssize_t *h
    cdef const Py_ssize_t *w
    cdef Py_ssize_t W = lanes(dx), oh, ow, ih, iw
    cdef double divisor
    cdef vec share
    if count == W:
        to_lanes(cells, dy, OH*OW)
    else:  # the lanes of planes that are not there hold anything
        memcpy(rows, dy, count*OH*OW*element(dy))
        to_lanes(cells, rows, OH*OW)
    memset(rows, 0, OH*IW*sizeof(vec))
    for oh in range(OH):
        h = h_windows + oh*ROW
        for ow in range(OW):
            w = w_windows + ow*ROW
            divisor = <double> h[THIRD]*<double> w[THIRD]
            if vec is vf:
                share = cells[oh*OW + ow] / splat_f(<float> divisor)
            else:
                share = cells[oh*OW + ow] / splat_d(divisor)
            for iw in range(w[START], w[STOP]):
                rows[oh*IW + iw] = rows[oh*IW + iw] + share
    memset(cells, 0, IH*IW*sizeof(vec))
    for oh in range(OH):
        h = h_windows + oh*ROW
        for ih in range(h[START], h[STOP]):
            for iw in range(IW):
                cells[ih*IW + iw] = cells[ih*IW + iw] + rows[oh*IW + iw]
    if count == W:
        from_lanes(dx, cells, IH*IW)
    else:
        from_lanes(rows, cells, IH*IW)
        memcpy(dx, rows, count*IH*IW*element(dx))


# --- all planes ----------------------------------------------------------------------------


cdef inline void planes_from(
    Py_ssize_t p, floating *dx, const floating *dy, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    """Planes p, p + 1 ... side by side, as many as a vector has lanes."""
    if floating is float:
        small_planes(<vf *> (dx + p*IH*IW), <const vf *> (dy + p*OH*OW), h_windows, w_windows,
                     min(lanes(<const vf *> NULL), P - p), IH, IW, OH, OW)
    else:
        small_planes(<vd *> (dx + p*IH*IW), <const vd *> (dy + p*OH*OW), h_windows, w_windows,
                     min(lanes(<const vd *> NULL), P - p), IH, IW, OH, OW)


cdef inline void backward(
    floating *dx, const floating *dy, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    cdef int threads = threads_for(P*(IH*IW + OH*OW))
    cdef Py_ssize_t W = lanes(<const vf *> NULL) if floating is float else lanes(<const vd *> NULL), i, p
    cdef Run run
    find_run(w_windows, OW, &run)
    if IW < 2*W and P >= W and max(IH, OH)*max(IW, OW) <= CELLS:
        if threads == 1:
            for i in range((P + W - 1)//W):
                planes_from(i*W, dx, dy, h_windows, w_windows, P, IH, IW, OH, OW)
            return
        for i in prange((P + W - 1)//W, schedule="static", num_threads=threads):
            planes_from(i*W, dx, dy, h_windows, w_windows, P, IH, IW, OH, OW)
        return
    if threads == 1:
        for p in range(P):
            plane(dx + p*IH*IW, dy + p*OH*OW, h_windows, w_windows, &run, IH, IW, OH, OW)
        return
    for p in prange(P, schedule="static", num_threads=threads):
        plane(dx + p*IH*IW, dy + p*OH*OW, h_windows, w_windows, &run, IH, IW, OH, OW)


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
    contract.apart(dx, dy, "dy")
    cdef Py_ssize_t P = dx.shape[0], IH = dx.shape[1], IW = dx.shape[2], OH = dy.shape[1], OW = dy.shape[2]
    contract.extent("planes of dy", dy.shape[0], P)
    check(dx, h_windows, "h_windows", IH, OH, "divisor")
    check(dx, w_windows, "w_windows", IW, OW, "divisor")

    cdef const Py_ssize_t *h = <const Py_ssize_t *> h_windows.data
    cdef const Py_ssize_t *w = <const Py_ssize_t *> w_windows.data
    cdef Py_ssize_t p, count, at_once = contract.blocks_at_once(IH*IW + OH*OW)
    p = 0
    while p < P:
        count = min(at_once, P - p)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                avg_pool2d_backward_f32(<float *> dx.data + p*IH*IW, <const float *> dy.data + p*OH*OW, h, w,
                                        count, IH, IW, OH, OW)
            else:
                avg_pool2d_backward_f64(<double *> dx.data + p*IH*IW, <const double *> dy.data + p*OH*OW,
                                        h, w, count, IH, IW, OH, OW)
        contract.signals()
        p += at_once
