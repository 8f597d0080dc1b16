"""col2im: the sum of im2col's columns as an image; its adjoint, not its inverse.

    x[n, c, ih, iw] = sum of the cols that im2col reads from that cell

Bound by memory: KH*KW cells of cols are read for each cell of x. At stride 1, if the index tables
show no cell twice, x is *gathered*: the taps that reach a vector of cells are added in a register, in
one order for all cells, and x is written once. Every tap is then a stream of its own, and they are
prefetched. At stride 2 rows longer than a vector are gathered in two phases (:mod:`paired_rows`), unless
large windows come from memory in more streams than the hardware follows; shorter rows are shuffled,
whatever the strides, and planes of a few vectors wholly (:mod:`short_rows`). Elsewhere cols are
scattered. A plane is one thread's, and stays in the cache.
Sums are in the arrays' precision: KH*KW - 1 roundings, or more where padding repeats cells.
"""

cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange
from libc.string cimport memset

from convkit._ext cimport contract
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.paired_rows cimport AHEAD, gather_strided, pairs_serve
from convkit._ext.short_rows cimport ACROSS, are_few, fold_few, fold_short, is_short, safe_end
from convkit._ext.short_rows cimport set_fold_lanes, set_tap_lanes
from convkit._ext.taps cimport MASKS, Axis, accept, axis_of, is_small, set_masks
from convkit._ext.threads cimport threads_for
from convkit._ext.vec cimport at, inlined, lanes, load, store, vd, vec, vf, zero
from convkit._ext.vec_order cimport keep, prefetch

cnp.import_array()

cdef enum:
    FROM_MEMORY = 1 << 22  # bytes of columns beyond which it pays to prefetch

cdef void scatter_plane(
    floating *x, const floating *cols, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    """Any tables and strides: add every column's cell to where it came from."""
    cdef Py_ssize_t kh, kw, oh, ow, ih, iw
    memset(x, 0, s.IH*s.IW*sizeof(floating))
    for kh in range(s.KH):
        for kw in range(s.KW):
            for oh in range(s.OH):
                ih = ih_of[oh*s.SH + kh*s.DH]
                if ih >= 0:
                    for ow in range(s.OW):
                        iw = iw_of[ow*s.SW + kw*s.DW]
                        if iw >= 0:
                            x[ih*s.IW + iw] += cols[ow]
                cols += s.OW


cdef inline void gather_cells(
    floating *x, const floating *cols, Py_ssize_t taps_h, Py_ssize_t pitch_h, Py_ssize_t q,
    Py_ssize_t count, const conv_shape *s
) noexcept nogil:
    """Cells of a row, one by one, from the padded column q on; some taps may not reach them."""
    cdef Py_ssize_t i, kh, kw, first, end, plane = s.OH*s.OW
    cdef floating total
    for i in range(q, q + count):
        first = max(0, (i - s.OW)//s.DW + 1) if i >= s.OW else 0
        end = min(s.KW, i//s.DW + 1)
        total = 0
        for kh in range(taps_h):
            for kw in range(first, end):
                total += cols[kh*pitch_h + kw*(plane - s.DW) + i]
        x[i - q] = total


cdef inline inlined gather_vectors(
    vec *x, const vec *cols, Py_ssize_t taps_h, Py_ssize_t pitch_h, Py_ssize_t KW, Py_ssize_t pitch_w,
    Py_ssize_t count, bint far
) noexcept nogil:
    """count >= W cells that every tap of the row reaches."""
    cdef Py_ssize_t W = lanes(x), i = 0, kh, kw
    cdef vec total
    while True:
        if far:  # every tap is a stream of its own, more than the hardware follows
            for kh in range(taps_h):
                for kw in range(KW):
                    prefetch(<const char *> at(cols, i + kh*pitch_h + kw*pitch_w) + AHEAD)
        total = load(cols, i)
        for kw in range(1, KW):
            total = total + load(cols, i + kw*pitch_w)
        for kh in range(1, taps_h):
            for kw in range(KW):
                total = total + load(cols, i + kh*pitch_h + kw*pitch_w)
        store(x, i, total)
        if i + W >= count:
            break
        i = min(i + W, count - W)


cdef inline void gather_row(
    floating *x, const floating *cols, Py_ssize_t taps_h, Py_ssize_t pitch_h, const Axis *w,
    Py_ssize_t left, Py_ssize_t right, bint far, const conv_shape *s
) noexcept nogil:
    """A row of x; every tap reaches the padded columns left..right-1."""
    cdef Py_ssize_t W = lanes(<const vf *> NULL) if floating is float else lanes(<const vd *> NULL)
    cdef Py_ssize_t pitch_w = s.OH*s.OW - s.DW
    if right - left < W:
        gather_cells(x, cols, taps_h, pitch_h, w.start, w.stop - w.start, s)
        return
    gather_cells(x, cols, taps_h, pitch_h, w.start, left - w.start, s)
    if floating is float:
        gather_vectors(<vf *> (x + left - w.start), <const vf *> (cols + left), taps_h, pitch_h, s.KW,
                       pitch_w, right - left, far)
    else:
        gather_vectors(<vd *> (x + left - w.start), <const vd *> (cols + left), taps_h, pitch_h, s.KW,
                       pitch_w, right - left, far)
    gather_cells(x + right - w.start, cols, taps_h, pitch_h, right, w.stop - right, s)


cdef void gather_plane(
    floating *x, const floating *cols, const Axis *h, const Axis *w, bint far, const conv_shape *s
) noexcept nogil:
    """Stride 1, each cell once in the tables: cell q of the padded axis is output q - k*D of tap k."""
    cdef Py_ssize_t ih, q, first, end, plane = s.OH*s.OW
    cdef Py_ssize_t pitch_h = s.KW*plane - s.DH*s.OW
    cdef Py_ssize_t left = max(w.start, (s.KW - 1)*s.DW), right = min(w.stop, s.OW)
    for ih in range(s.IH):
        q = h.start + ih - h.cell
        first = (q - s.OH)//s.DH + 1 if q >= s.OH else 0
        end = min(s.KH, q//s.DH + 1)
        if q < h.start or q >= h.stop or first >= end:
            memset(x, 0, s.IW*sizeof(floating))
        else:
            memset(x, 0, w.cell*sizeof(floating))
            gather_row(x + w.cell, cols + first*pitch_h + q*s.OW, end - first, pitch_h, w,
                       left, right, far, s)
            memset(x + w.cell + w.stop - w.start, 0, (s.IW - w.cell - w.stop + w.start)*sizeof(floating))
        x += s.IW


cdef void fold_masked(
    vec *x, const vec *cols, const vec *masks, const Axis *h, const Axis *w, const conv_shape *s
) noexcept nogil:
    """A small plane as one row. Vectors reach beyond the taps, into those of the planes beside this one."""
    cdef Py_ssize_t W = lanes(x), cells = s.IH*s.IW, i = 0, kh, _kw, at_tap, tap
    cdef Py_ssize_t origin = h.start*s.IW + w.start
    cdef vec total
    while True:
        total = zero(x)
        tap = 0
        for kh in range(s.KH):
            at_tap = i + origin + kh*(s.KW*cells - s.DH*s.IW)
            for _kw in range(s.KW):
                total = total + keep(load(cols, at_tap), load(masks, tap + i))
                at_tap += cells - s.DW
                tap += cells
        store(x, i, total)
        if i + W >= cells:
            break
        i = min(i + W, cells - W)


cdef inline void fold_plane(
    floating *x, const floating *cols, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const floating *masks, const Axis *h, const Axis *w, bint plain, bint masked, bint far,
    const conv_shape *s
) noexcept nogil:
    if masked:
        if floating is float:
            fold_masked(<vf *> x, <const vf *> cols, <const vf *> masks, h, w, s)
        else:
            fold_masked(<vd *> x, <const vd *> cols, <const vd *> masks, h, w, s)
    elif plain and s.SW == 1:
        gather_plane(x, cols, h, w, far, s)
    elif plain:
        gather_strided(x, cols, h, w, far, s)
    else:
        scatter_plane(x, cols, ih_of, iw_of, s)


cdef void fold_some(
    vec *x, const vec *cols, const Axis *h, const vec *table, Py_ssize_t count, const conv_shape *s
) noexcept nogil:
    """So many planes of short rows."""
    cdef Py_ssize_t image = s.IH*s.IW, columns = s.KH*s.KW*s.OH*s.OW, p
    if s.IW > lanes(x):
        for p in range(count):
            fold_short(at(x, p*image), at(cols, p*columns), h, table, True, s)
    else:
        for p in range(count):
            fold_short(at(x, p*image), at(cols, p*columns), h, table, False, s)


cdef inline void fold_short_planes(
    floating *x, const floating *cols, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const vf *table,
    const Axis *h, Py_ssize_t first, Py_ssize_t end, Py_ssize_t W, const conv_shape *s
) noexcept nogil:
    """Planes first..end-1, one thread's."""
    cdef Py_ssize_t image = s.IH*s.IW, columns = s.KH*s.KW*s.OH*s.OW, p, last = safe_end(first, end, W, s)
    if floating is float:
        fold_some(<vf *> (x + first*image), <const vf *> (cols + first*columns), h, table, last - first, s)
    else:
        fold_some(<vd *> (x + first*image), <const vd *> (cols + first*columns), h, <const vd *> table,
                  last - first, s)
    for p in range(last, end):
        scatter_plane(x + p*image, cols + p*columns, ih_of, iw_of, s)


cdef inline void fold_few_vectors(
    floating *x, const floating *cols, const floating *table, const conv_shape *s
) noexcept nogil:
    if floating is float:
        fold_few(<vf *> x, <const vf *> cols, <const vf *> table, s)
    else:
        fold_few(<vd *> x, <const vd *> cols, <const vd *> table, s)


cdef inline void fold(
    floating *x, const floating *cols, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cdef Py_ssize_t image = s.IH*s.IW, columns = s.KH*s.KW*s.OH*s.OW, p, some, P = s.N*s.IC
    cdef Py_ssize_t W = lanes(<const vf *> NULL) if floating is float else lanes(<const vd *> NULL)
    cdef Axis h = axis_of(ih_of, (s.OH - 1)*s.SH + (s.KH - 1)*s.DH + 1)
    cdef Axis w = axis_of(iw_of, (s.OW - 1)*s.SW + (s.KW - 1)*s.DW + 1)
    cdef bint small = is_small(&h, &w, W, s)
    cdef bint once = h.once and w.once and h.stop > h.start and w.stop > w.start
    cdef bint plain = once and (s.SH == 1 and s.SW == 1 or s.SW == 2 and pairs_serve(&w, W, s))
    cdef bint far = P*columns*<Py_ssize_t> sizeof(floating) > FROM_MEMORY
    cdef int threads = threads_for(P*columns)
    cdef floating[MASKS] masks
    cdef vf[2*ACROSS] table
    if once and are_few(W, s):
        if floating is float:
            set_tap_lanes(<vf *> masks, ih_of, iw_of, s)
        else:
            set_tap_lanes(<vd *> masks, ih_of, iw_of, s)
        if threads == 1:
            for p in range(P):
                fold_few_vectors(x + p*image, cols + p*columns, masks, s)
            return
        for p in prange(P, schedule="static", num_threads=threads):
            fold_few_vectors(x + p*image, cols + p*columns, masks, s)
        return
    if once and not small and is_short(W, s):
        if floating is float:
            set_fold_lanes(<vf *> table, iw_of, s)
        else:
            set_fold_lanes(<vd *> table, iw_of, s)
        some = (P + threads - 1)//threads
        if threads == 1:
            fold_short_planes(x, cols, ih_of, iw_of, table, &h, 0, P, W, s)
            return
        for p in prange(threads, schedule="static", num_threads=threads):
            fold_short_planes(x, cols, ih_of, iw_of, table, &h, p*some, min(P, (p + 1)*some), W, s)
        return
    if small:
        if floating is float:
            set_masks(<vf *> masks, &h, &w, -1, s)
        else:
            set_masks(<vd *> masks, &h, &w, -1, s)
    if threads == 1:
        for p in range(P):
            fold_plane(x + p*image, cols + p*columns, ih_of, iw_of, masks, &h, &w, plain,
                       small and 0 < p < P - 1, far, s)
        return
    for p in prange(P, schedule="static", num_threads=threads):
        fold_plane(x + p*image, cols + p*columns, ih_of, iw_of, masks, &h, &w, plain,
                   small and 0 < p < P - 1, far, s)


# --- from C --------------------------------------------------------------------------------


cdef api void col2im_f32(
    float *x, const float *cols, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    fold(x, cols, ih_of, iw_of, s)


cdef api void col2im_f64(
    double *x, const double *cols, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    fold(x, cols, ih_of, iw_of, s)


# --- from Python ---------------------------------------------------------------------------


def col2im(
    cnp.ndarray x, cnp.ndarray cols, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
):
    """Fill x (N, IC, IH, IW) with the sums of cols (N, IC, KH, KW, OH, OW), cell by cell."""
    cdef conv_shape s
    cdef int typenum = accept(&s, x, x, cols, ih_of, iw_of, SH, SW, DH, DW)
    cdef Py_ssize_t n, N = s.N, image = s.IC*s.IH*s.IW, columns = s.IC*s.KH*s.KW*s.OH*s.OW
    cdef const Py_ssize_t *ih = <const Py_ssize_t *> ih_of.data
    cdef const Py_ssize_t *iw = <const Py_ssize_t *> iw_of.data
    cdef Py_ssize_t at_once = contract.blocks_at_once(columns)
    n = 0
    while n < N:
        s.N = min(at_once, N - n)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                col2im_f32(<float *> x.data + n*image, <const float *> cols.data + n*columns, ih, iw, &s)
            else:
                col2im_f64(<double *> x.data + n*image, <const double *> cols.data + n*columns, ih, iw, &s)
        contract.signals()
        n += at_once
