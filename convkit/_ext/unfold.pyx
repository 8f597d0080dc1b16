"""im2col: every window of an image as a column of a matrix.

    cols[n, c, kh, kw, oh, ow] = x[n, c, ih_of[oh*SH + kh*DH], iw_of[ow*SW + kw*DW]]   or 0 for -1

Bound by memory: KH*KW cells of cols are written for each cell of x, which stays in the cache. At
stride 1 a tap is a shifted image. Where the output is as wide as the image it is even one shifted block
of memory, copied whole, of which the ends of rows are then mended; small planes are shifted in
vectors and masked. Both beat the copying of rows, at 7x7 more than twice. At stride 2 every second
cell is picked by shuffles (:mod:`paired_rows`). Planes of a few vectors, and short rows, are shuffled
whatever the strides (:mod:`short_rows`). Several channels take turns at a tap, so that where it falls is
found once for all of them.
"""

cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange

from convkit._ext cimport contract
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.paired_rows cimport every_second
from convkit._ext.runs cimport copy_run
from convkit._ext.short_rows cimport ACROSS, is_few, is_short, safe_end, unfold_few, unfold_short
from convkit._ext.short_rows cimport set_plane_lanes, set_unfold_lanes
from convkit._ext.taps cimport MASKS, Axis, accept, axis_of, inside, is_small, set_masks
from convkit._ext.threads cimport threads_for
from convkit._ext.vec cimport at, lanes, load, store, vd, vec, vf
from convkit._ext.vec_order cimport keep

cnp.import_array()

cdef enum:
    CLOSE = 16384  # cells of cols that stay in the L2 cache while several channels take turns at a tap

cdef inline void by_table(
    floating *cols, const floating *x, const Py_ssize_t *iw_of, Py_ssize_t S, Py_ssize_t first, Py_ssize_t end
) noexcept nogil:
    cdef Py_ssize_t ow, iw
    for ow in range(first, end):
        iw = iw_of[ow*S]
        cols[ow] = x[iw] if iw >= 0 else 0


cdef inline void by_stride(
    floating *cols, const floating *x, Py_ssize_t S, Py_ssize_t count
) noexcept nogil:
    cdef Py_ssize_t ow
    if S == 1:
        copy_run(cols, x, count*sizeof(floating))
    else:
        for ow in range(count):
            cols[ow] = x[S*ow]


cdef inline void mend_columns(
    floating *cols, const floating *x, const Py_ssize_t *iw_of, Py_ssize_t first, Py_ssize_t end,
    Py_ssize_t rows, Py_ssize_t step, const conv_shape *s
) noexcept nogil:
    """Columns of a tap whose rows show rows of x that are `step` cells apart."""
    cdef Py_ssize_t oh, ow, iw
    for ow in range(first, end):
        iw = iw_of[ow*s.SW]
        for oh in range(rows):
            cols[oh*s.OW + ow] = x[oh*step + iw] if iw >= 0 else 0


cdef inline void unfold_block(
    floating *cols, const floating *x, const Py_ssize_t *iw_of, Py_ssize_t rows, Py_ssize_t left,
    Py_ssize_t right, const conv_shape *s
) noexcept nogil:
    """Rows of an output as wide as the image: one block, which runs over the ends of rows."""
    copy_run(cols + left, x + iw_of[left], ((rows - 1)*s.OW + right - left)*sizeof(floating))
    mend_columns(cols, x, iw_of, 0, left, rows, s.IW, s)
    mend_columns(cols, x, iw_of, right, s.OW, rows, s.IW, s)


cdef inline void unfold_pairs(
    floating *cols, const floating *x, const Py_ssize_t *iw_of, Py_ssize_t rows, Py_ssize_t left,
    Py_ssize_t right, const conv_shape *s
) noexcept nogil:
    """Rows of every second cell."""
    cdef Py_ssize_t oh, OW = s.OW, step = s.SH*s.IW, n = right - left
    cdef floating *to = cols + left
    cdef const floating *of = x + iw_of[2*left]
    for oh in range(rows):
        if floating is float:
            every_second(<vf *> (to + oh*OW), <const vf *> (of + oh*step), n)
        else:
            every_second(<vd *> (to + oh*OW), <const vd *> (of + oh*step), n)
    mend_columns(cols, x, iw_of, 0, left, rows, step, s)
    mend_columns(cols, x, iw_of, right, OW, rows, step, s)


cdef inline void unfold_row(
    floating *cols, const floating *x, Py_ssize_t ih, const Py_ssize_t *iw_of,
    Py_ssize_t left, Py_ssize_t right, const conv_shape *s
) noexcept nogil:
    cdef Py_ssize_t ow
    if ih < 0:
        for ow in range(s.OW):
            cols[ow] = 0
        return
    x += ih*s.IW
    by_table(cols, x, iw_of, s.SW, 0, left)
    if right > left:
        by_stride(cols + left, x + iw_of[left*s.SW], s.SW, right - left)
    by_table(cols, x, iw_of, s.SW, right, s.OW)


cdef void unfold_tap(
    floating *cols, const floating *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const Axis *h, const Axis *w, Py_ssize_t kh, Py_ssize_t kw, Py_ssize_t planes, const conv_shape *s
) noexcept nogil:
    """One tap of a few channels: OH rows of OW cells each."""
    cdef Py_ssize_t W = lanes(<const vf *> NULL) if floating is float else lanes(<const vd *> NULL)
    cdef Py_ssize_t OW = s.OW, oh, top, bottom, left, right, _p
    cdef bint block, pairs
    ih_of += kh*s.DH
    iw_of += kw*s.DW
    inside(h, kh*s.DH, s.SH, s.OH, &top, &bottom)
    inside(w, kw*s.DW, s.SW, OW, &left, &right)
    block = s.SH == 1 and s.SW == 1 and OW == s.IW and bottom > top and right > left
    pairs = s.SW == 2 and bottom > top and right - left >= W
    if not (block or pairs):
        bottom = top
    for _p in range(planes):
        if block:
            unfold_block(cols + top*OW, x + ih_of[top]*OW, iw_of, bottom - top, left, right, s)
        elif pairs:
            unfold_pairs(cols + top*OW, x + ih_of[top*s.SH]*s.IW, iw_of, bottom - top, left, right, s)
        for oh in range(top):
            unfold_row(cols + oh*OW, x, ih_of[oh*s.SH], iw_of, left, right, s)
        for oh in range(bottom, s.OH):
            unfold_row(cols + oh*OW, x, ih_of[oh*s.SH], iw_of, left, right, s)
        cols += s.KH*s.KW*s.OH*OW
        x += s.IH*s.IW


cdef void unfold_masked(
    vec *cols, const vec *x, const vec *masks, const Axis *h, const Axis *w, const conv_shape *s
) noexcept nogil:
    """All taps of a small plane, as one row each. Vectors reach into the planes beside this one."""
    cdef Py_ssize_t W = lanes(x), cells = s.IH*s.IW, kh, kw, i, shift, tap = 0
    for kh in range(s.KH):
        for kw in range(s.KW):
            shift = (kh*s.DH - h.start)*s.IW + kw*s.DW - w.start
            i = 0
            while True:
                store(cols, tap + i, keep(load(x, i + shift), load(masks, tap + i)))
                if i + W >= cells:
                    break
                i = min(i + W, cells - W)
            tap += cells


cdef inline void unfold_small(
    floating *cols, const floating *x, const floating *masks, const Axis *h, const Axis *w,
    const conv_shape *s
) noexcept nogil:
    if floating is float:
        unfold_masked(<vf *> cols, <const vf *> x, <const vf *> masks, h, w, s)
    else:
        unfold_masked(<vd *> cols, <const vd *> x, <const vd *> masks, h, w, s)


cdef inline void unfold_plane(
    floating *cols, const floating *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const Axis *h,
    const Axis *w, const conv_shape *s
) noexcept nogil:
    cdef Py_ssize_t tap
    for tap in range(s.KH*s.KW):
        unfold_tap(cols + tap*s.OH*s.OW, x, ih_of, iw_of, h, w, tap//s.KW, tap % s.KW, 1, s)


cdef void unfold_some(
    vec *cols, const vec *x, const Py_ssize_t *ih_of, const vec *table, Py_ssize_t count, const conv_shape *s
) noexcept nogil:
    """So many planes of short rows."""
    cdef Py_ssize_t image = s.IH*s.IW, columns = s.KH*s.KW*s.OH*s.OW, p
    if s.IW > lanes(x):
        for p in range(count):
            unfold_short(at(cols, p*columns), at(x, p*image), ih_of, table, True, s)
    else:
        for p in range(count):
            unfold_short(at(cols, p*columns), at(x, p*image), ih_of, table, False, s)


cdef inline void unfold_short_planes(
    floating *cols, const floating *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const vf *table,
    const Axis *h, const Axis *w, Py_ssize_t first, Py_ssize_t end, Py_ssize_t W, const conv_shape *s
) noexcept nogil:
    """Planes first..end-1, one thread's."""
    cdef Py_ssize_t image = s.IH*s.IW, columns = s.KH*s.KW*s.OH*s.OW, p, last = safe_end(first, end, W, s)
    if floating is float:
        unfold_some(<vf *> (cols + first*columns), <const vf *> (x + first*image), ih_of, table,
                    last - first, s)
    else:
        unfold_some(<vd *> (cols + first*columns), <const vd *> (x + first*image), ih_of,
                    <const vd *> table, last - first, s)
    for p in range(last, end):
        unfold_plane(cols + p*columns, x + p*image, ih_of, iw_of, h, w, s)


cdef inline void unfold_few_vectors(
    floating *cols, const floating *x, const floating *table, const conv_shape *s
) noexcept nogil:
    if floating is float:
        unfold_few(<vf *> cols, <const vf *> x, <const vf *> table, s)
    else:
        unfold_few(<vd *> cols, <const vd *> x, <const vd *> table, s)


cdef inline void unfold(
    floating *cols, const floating *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cdef Py_ssize_t KK = s.KH*s.KW, P = s.N*s.IC, image = s.IH*s.IW, columns = KK*s.OH*s.OW, i, p, tap
    cdef Py_ssize_t W = lanes(<const vf *> NULL) if floating is float else lanes(<const vd *> NULL)
    cdef Py_ssize_t some = max(1, min(16, CLOSE//columns)), runs = (P + some - 1)//some, margin = P
    cdef int threads = threads_for(P*columns)
    cdef floating[MASKS] masks
    cdef vf[2*ACROSS] table
    cdef Axis h = axis_of(ih_of, (s.OH - 1)*s.SH + (s.KH - 1)*s.DH + 1)
    cdef Axis w = axis_of(iw_of, (s.OW - 1)*s.SW + (s.KW - 1)*s.DW + 1)
    if is_few(W, s):
        if floating is float:
            set_plane_lanes(<vf *> masks, ih_of, iw_of, s)
        else:
            set_plane_lanes(<vd *> masks, ih_of, iw_of, s)
        if threads == 1:
            for p in range(P):
                unfold_few_vectors(cols + p*columns, x + p*image, masks, s)
        else:
            for p in prange(P, schedule="static", num_threads=threads):
                unfold_few_vectors(cols + p*columns, x + p*image, masks, s)
        return
    if is_small(&h, &w, W, s):
        # Whatever a shift reads beside a plane must still be x: the outermost planes go the other way.
        margin = (max(h.start, (s.KH - 1)*s.DH)*s.IW + max(w.start, (s.KW - 1)*s.DW))//image + 1
        margin = min(margin, (P + 1)//2)
        if floating is float:
            set_masks(<vf *> masks, &h, &w, 1, s)
        else:
            set_masks(<vd *> masks, &h, &w, 1, s)
        if threads == 1:
            for p in range(margin, P - margin):
                unfold_small(cols + p*columns, x + p*image, masks, &h, &w, s)
        else:
            for p in prange(margin, P - margin, schedule="static", num_threads=threads):
                unfold_small(cols + p*columns, x + p*image, masks, &h, &w, s)
        for tap in range(KK):
            for i in range(2*margin if P > 2*margin else P):
                p = i if i < margin else P - 1 - (i - margin)
                unfold_tap(cols + (p*KK + tap)*image, x + p*image, ih_of, iw_of, &h, &w, tap//s.KW,
                           tap % s.KW, 1, s)
        return
    if is_short(W, s):
        if floating is float:
            set_unfold_lanes(<vf *> table, iw_of, s)
        else:
            set_unfold_lanes(<vd *> table, iw_of, s)
        some = (P + threads - 1)//threads
        if threads == 1:
            unfold_short_planes(cols, x, ih_of, iw_of, table, &h, &w, 0, P, W, s)
            return
        for i in prange(threads, schedule="static", num_threads=threads):
            unfold_short_planes(cols, x, ih_of, iw_of, table, &h, &w, i*some, min(P, (i + 1)*some), W, s)
        return
    if threads == 1:
        for i in range(runs):
            p = i*some
            for tap in range(KK):
                unfold_tap(cols + (p*KK + tap)*s.OH*s.OW, x + p*image, ih_of, iw_of, &h, &w, tap//s.KW,
                           tap % s.KW, min(some, P - p), s)
        return
    for i in prange(runs*KK, schedule="static", num_threads=threads):
        p = i//KK*some
        tap = i % KK
        unfold_tap(cols + (p*KK + tap)*s.OH*s.OW, x + p*image, ih_of, iw_of, &h, &w, tap//s.KW, tap % s.KW,
                   min(some, P - p), s)


# --- from C --------------------------------------------------------------------------------


cdef api void im2col_f32(
    float *cols, const float *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    unfold(cols, x, ih_of, iw_of, s)


cdef api void im2col_f64(
    double *cols, const double *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    unfold(cols, x, ih_of, iw_of, s)


# --- from Python ---------------------------------------------------------------------------


def im2col(
    cnp.ndarray cols, cnp.ndarray x, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
):
    """Fill cols (N, IC, KH, KW, OH, OW) with the windows of x (N, IC, IH, IW)."""
    cdef conv_shape s
    cdef int typenum = accept(&s, cols, x, cols, ih_of, iw_of, SH, SW, DH, DW)
    cdef Py_ssize_t n, N = s.N, image = s.IC*s.IH*s.IW, columns = s.IC*s.KH*s.KW*s.OH*s.OW
    cdef const Py_ssize_t *ih = <const Py_ssize_t *> ih_of.data
    cdef const Py_ssize_t *iw = <const Py_ssize_t *> iw_of.data
    cdef Py_ssize_t at_once = contract.blocks_at_once(columns)
    n = 0
    while n < N:
        s.N = min(at_once, N - n)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                im2col_f32(<float *> cols.data + n*columns, <const float *> x.data + n*image, ih, iw, &s)
            else:
                im2col_f64(<double *> cols.data + n*columns, <const double *> x.data + n*image, ih, iw, &s)
        contract.signals()
        n += at_once
