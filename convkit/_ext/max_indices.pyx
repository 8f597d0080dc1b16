"""Max pooling that tells where each maximum was.

    y[p, oh, ow]       = max of x[p, h0:h1:step, w0:w1:step]
    indices[p, oh, ow] = ih*IW + iw of it: the first of equals, the last NaN

A window is walked row by row, so the maxima *along* the rows come first and are then compared
downwards: each step prefers what it met earlier, as the walk does. Downwards first would need the
row numbers compared as well wherever values tie. A row of x is reduced once, whatever the number of
windows it is in: the last few reduced rows, values and indices, wait in a ring on the stack.

Bound by arithmetic: two comparisons and two masked moves for each value that is looked at, which
is (KW - 1)*SH + (KH - 1) an output: the cost grows with the window, as that of the maximum alone
(:mod:`max_windows`) does not. Indices are as wide as the values while they are compared, 32 bits
beside float32, and are widened when they are stored; planes beyond 2^31 cells go a slower way.
"""

cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from convkit._ext cimport contract
from convkit._ext.max_along cimport along, scan
from convkit._ext.planes_in_lanes cimport element, from_lanes, to_lanes
from convkit._ext.pool_registers cimport FROM_MEMORY, prefetch_rows
from convkit._ext.threads cimport threads_for
from convkit._ext.vec cimport at, inlined, lanes, load, store, vd, vec, vf
from convkit._ext.vec_order cimport put_bits, ramp, take
from convkit._ext.windows cimport ROW, START, STOP, THIRD, Run, check, find_run

cnp.import_array()

cdef enum:
    SPAN = 256   # outputs of a row that are done at a time
    RING = 8     # reduced rows kept: with SPAN values and indices each, 16 KiB in float32
    STRIP = 64   # rows of outputs that one thread does at a time
    CELLS = 128  # cells of a small plane: four buffers of as many vectors fit the L1 cache


# --- down the rows -------------------------------------------------------------------------


cdef inline inlined fold(
    vec *best, vec *where, vec **values, vec **indices, Py_ssize_t rows, Py_ssize_t count
) noexcept nogil:
    """Compare reduced rows downwards. The last vector overlaps the one before it, if there is one."""
    cdef Py_ssize_t W = lanes(best), ow = 0, r
    cdef vec b, j
    while True:
        b = load(values[0], ow)
        j = load(indices[0], ow)
        for r in range(1, rows):
            take(&b, &j, load(values[r], ow), load(indices[r], ow))
        store(best, ow, b)
        store(where, ow, j)
        if ow + W >= count:
            break
        ow = min(ow + W, count - W)


cdef void strip(
    vec *y, int64_t *indices, const vec *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    const Run *run, Py_ssize_t IW, Py_ssize_t OW, Py_ssize_t top, Py_ssize_t bottom,
    Py_ssize_t first, Py_ssize_t end, bint far
) noexcept nogil:
    """Outputs first..end-1 of rows top..bottom-1 of a plane."""
    cdef double[(RING + 1)*SPAN] room_v, room_i  # SPAN elements a row, of 4 or 8 bytes
    cdef vec *v = <vec *> room_v
    cdef vec *w = <vec *> room_i
    cdef vec *values[RING]
    cdef vec *wheres[RING]
    cdef Py_ssize_t held[RING]
    cdef vec *result
    cdef vec *best = at(v, RING*SPAN)
    cdef vec *where = at(w, RING*SPAN)
    cdef const Py_ssize_t *h
    cdef Py_ssize_t oh, ih, slot, n, count = end - first, seen = h_windows[top*ROW + START]
    for slot in range(RING):
        held[slot] = -1
    for oh in range(top, bottom):
        h = h_windows + oh*ROW
        if far:
            prefetch_rows(at(x, seen*IW), (h[STOP] - seen)*IW)
            seen = max(seen, h[STOP])
        n, ih = 0, h[START]
        while ih < h[STOP]:
            slot = (ih if h[THIRD] == 1 else ih//h[THIRD]) % RING
            if held[slot] != ih:
                held[slot] = ih
                along(at(v, slot*SPAN), at(w, slot*SPAN), at(x, ih*IW), ih*IW, w_windows, run,
                      first, end)
            values[n] = at(v, slot*SPAN)
            wheres[n] = at(w, slot*SPAN)
            n += 1
            ih += h[THIRD]
            if n == RING and ih < h[STOP]:  # what they come to is the first row of what follows
                fold(best, where, values, wheres, n, count)
                values[0], wheres[0], n = best, where, 1
        result = at(y, oh*OW + first) if count >= lanes(y) else best
        if n == 2:
            fold(result, where, values, wheres, 2, count)
        elif n == 3:
            fold(result, where, values, wheres, 3, count)
        else:
            fold(result, where, values, wheres, n, count)
        if result == best:
            memcpy(at(y, oh*OW + first), best, count*element(y))
        put_bits(indices + oh*OW + first, where, count)


# --- small planes --------------------------------------------------------------------------


cdef void small_planes(
    vec *y, int64_t *indices, const vec *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t count, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    """Up to W planes in the lanes of vectors."""
    cdef vec[CELLS] cells, rows, wheres, where
    cdef const Py_ssize_t *h
    cdef const Py_ssize_t *w
    cdef Py_ssize_t W = lanes(x), ih, oh, ow, i
    cdef vec b, j
    if count == W:
        to_lanes(cells, x, IH*IW)
    else:  # the lanes of planes that are not there hold anything
        memcpy(rows, x, count*IH*IW*element(x))
        to_lanes(cells, rows, IH*IW)
    for ih in range(IH):
        for ow in range(OW):
            w = w_windows + ow*ROW
            i = w[START]
            b, j = cells[ih*IW + i], ramp(x, ih*IW + i, 0)
            i += w[THIRD]
            while i < w[STOP]:
                take(&b, &j, cells[ih*IW + i], ramp(x, ih*IW + i, 0))
                i += w[THIRD]
            rows[ih*OW + ow], wheres[ih*OW + ow] = b, j
    for oh in range(OH):
        h = h_windows + oh*ROW
        for ow in range(OW):
            i = h[START]
            b, j = rows[i*OW + ow], wheres[i*OW + ow]
            i += h[THIRD]
            while i < h[STOP]:
                take(&b, &j, rows[i*OW + ow], wheres[i*OW + ow])
                i += h[THIRD]
            cells[oh*OW + ow], where[oh*OW + ow] = b, j
    from_lanes(rows, cells, OH*OW)
    memcpy(y, rows, count*OH*OW*element(y))
    from_lanes(wheres, where, OH*OW)
    put_bits(indices, wheres, count*OH*OW)


# --- all planes ----------------------------------------------------------------------------


cdef void window_loops(
    floating *y, int64_t *indices, const floating *x, const Py_ssize_t *h_windows,
    const Py_ssize_t *w_windows, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    """A plane with more cells than 31 bits can number."""
    cdef Py_ssize_t oh, ow, ih, i
    cdef const Py_ssize_t *h
    cdef const Py_ssize_t *w
    cdef floating v
    for oh in range(OH):
        h = h_windows + oh*ROW
        for ow in range(OW):
            w = w_windows + ow*ROW
            ih = h[START]
            indices[oh*OW + ow] = ih*IW + scan(y + oh*OW + ow, x + ih*IW, w[START], w[STOP], w[THIRD])
            ih += h[THIRD]
            while ih < h[STOP]:
                i = scan(&v, x + ih*IW, w[START], w[STOP], w[THIRD])
                if v > y[oh*OW + ow] or v != v:
                    y[oh*OW + ow], indices[oh*OW + ow] = v, ih*IW + i
                ih += h[THIRD]


cdef inline void planes_from(
    Py_ssize_t p, floating *y, int64_t *indices, const floating *x, const Py_ssize_t *h_windows,
    const Py_ssize_t *w_windows, Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    """Planes p, p + 1 ... side by side, as many as a vector has lanes."""
    if floating is float:
        small_planes(<vf *> (y + p*OH*OW), indices + p*OH*OW, <const vf *> (x + p*IH*IW),
                     h_windows, w_windows, min(lanes(<const vf *> NULL), P - p), IH, IW, OH, OW)
    else:
        small_planes(<vd *> (y + p*OH*OW), indices + p*OH*OW, <const vd *> (x + p*IH*IW),
                     h_windows, w_windows, min(lanes(<const vd *> NULL), P - p), IH, IW, OH, OW)


cdef inline void strip_of(
    Py_ssize_t i, floating *y, int64_t *indices, const floating *x, const Py_ssize_t *h_windows,
    const Py_ssize_t *w_windows, const Run *run, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW,
    bint far
) noexcept nogil:
    """Strip i, counted over all planes: some rows of some columns."""
    cdef Py_ssize_t across = (OW + SPAN - 1)//SPAN, strips = (OH + STRIP - 1)//STRIP*across
    cdef Py_ssize_t p = i//strips, oh = i % strips//across*STRIP, ow = i % across*SPAN
    if floating is float:
        strip(<vf *> (y + p*OH*OW), indices + p*OH*OW, <const vf *> (x + p*IH*IW), h_windows,
              w_windows, run, IW, OW, oh, min(oh + STRIP, OH), ow, min(ow + SPAN, OW), far)
    else:
        strip(<vd *> (y + p*OH*OW), indices + p*OH*OW, <const vd *> (x + p*IH*IW), h_windows,
              w_windows, run, IW, OW, oh, min(oh + STRIP, OH), ow, min(ow + SPAN, OW), far)


cdef inline void maximum(
    floating *y, int64_t *indices, const floating *x, const Py_ssize_t *h_windows,
    const Py_ssize_t *w_windows, Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    cdef int threads = threads_for(P*(IH*IW + OH*OW))
    cdef Py_ssize_t W = lanes(<const vf *> NULL) if floating is float else lanes(<const vd *> NULL)
    cdef Py_ssize_t strips = (OH + STRIP - 1)//STRIP*((OW + SPAN - 1)//SPAN)
    cdef Py_ssize_t i, p, most = <Py_ssize_t> 1 << 31
    cdef bint far = P*IH*IW*<Py_ssize_t> sizeof(floating) > FROM_MEMORY
    cdef Run run
    find_run(w_windows, OW, &run)
    if floating is float and IH > most//IW:
        for p in prange(P, schedule="static", num_threads=threads):
            window_loops(y + p*OH*OW, indices + p*OH*OW, x + p*IH*IW, h_windows, w_windows, IW, OH, OW)
    elif run.end - run.first < W and P >= W and max(IH, OH)*max(IW, OW) <= CELLS:
        if threads == 1:
            for i in range((P + W - 1)//W):
                planes_from(i*W, y, indices, x, h_windows, w_windows, P, IH, IW, OH, OW)
            return
        for i in prange((P + W - 1)//W, schedule="static", num_threads=threads):
            planes_from(i*W, y, indices, x, h_windows, w_windows, P, IH, IW, OH, OW)
    else:
        if threads == 1:
            for i in range(P*strips):
                strip_of(i, y, indices, x, h_windows, w_windows, &run, IH, IW, OH, OW, far)
            return
        for i in prange(P*strips, schedule="static", num_threads=threads):
            strip_of(i, y, indices, x, h_windows, w_windows, &run, IH, IW, OH, OW, far)


# --- from C --------------------------------------------------------------------------------


cdef api void max_pool2d_indices_f32(
    float *y, int64_t *indices, const float *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    maximum(y, indices, x, h_windows, w_windows, P, IH, IW, OH, OW)


cdef api void max_pool2d_indices_f64(
    double *y, int64_t *indices, const double *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    maximum(y, indices, x, h_windows, w_windows, P, IH, IW, OH, OW)


# --- from Python ---------------------------------------------------------------------------


def max_pool2d_indices(
    cnp.ndarray y, cnp.ndarray indices, cnp.ndarray x, cnp.ndarray h_windows, cnp.ndarray w_windows
):
    """Fill y and indices (P, OH, OW) with the maxima of the windows of x (P, IH, IW), and their places."""
    cdef int typenum = contract.output(y, "y", 3)
    contract.array(x, "x", 3, typenum)
    contract.apart(y, x, "x")
    contract.array(indices, "indices", 3, cnp.NPY_INT64)
    if not cnp.PyArray_ISWRITEABLE(indices):
        raise ValueError("indices is written to and must not be read-only")
    contract.apart(y, indices, "indices")
    contract.apart(indices, x, "x")
    cdef Py_ssize_t P = y.shape[0], OH = y.shape[1], OW = y.shape[2], IH = x.shape[1], IW = x.shape[2]
    contract.extent("planes of x", x.shape[0], P)
    contract.extent("planes of indices", indices.shape[0], P)
    contract.extent("rows of indices", indices.shape[1], OH)
    contract.extent("columns of indices", indices.shape[2], OW)
    check(y, h_windows, "h_windows", IH, OH, "step")
    check(y, w_windows, "w_windows", IW, OW, "step")
    contract.apart(indices, h_windows, "h_windows")
    contract.apart(indices, w_windows, "w_windows")

    cdef const Py_ssize_t *h = <const Py_ssize_t *> h_windows.data
    cdef const Py_ssize_t *w = <const Py_ssize_t *> w_windows.data
    cdef int64_t *where = <int64_t *> indices.data
    cdef Py_ssize_t p, count, at_once = contract.blocks_at_once(IH*IW + OH*OW)
    p = 0
    while p < P:
        count = min(at_once, P - p)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                max_pool2d_indices_f32(<float *> y.data + p*OH*OW, where + p*OH*OW,
                                       <const float *> x.data + p*IH*IW, h, w, count, IH, IW, OH, OW)
            else:
                max_pool2d_indices_f64(<double *> y.data + p*OH*OW, where + p*OH*OW,
                                       <const double *> x.data + p*IH*IW, h, w, count, IH, IW, OH, OW)
        contract.signals()
        p += at_once
