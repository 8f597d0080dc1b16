"""im2col and col2im: windows as the columns of a matrix, and the sum of such columns as an image.

    cols[n, c, kh, kw, oh, ow] = x[n, c, ih, iw]                  ih = ih_of[oh*SH + kh*DH], iw likewise
    x[n, c, ih, iw] = sum of the cols that were read from it      nothing is read where an index is -1

Bound by memory: KH*KW cells of cols for each cell of x, which stays in the cache. At stride 1 a
tap (kh, kw) is a shifted image. Where the output is as wide as the image ("same" padding) it is even one
shifted block of memory, copied whole, of which the ends of rows are then mended: three times as fast
at 7x7 as copying rows. Otherwise rows are copied run by run.

col2im at stride 1 without repeated cells *gathers*: all taps that reach a vector of cells are added
in a register, and x is written once. Elsewhere it scatters, a plane a thread, with the plane in the
cache. Sums are in the arrays' precision: KH*KW roundings, or more where padding repeats cells.
"""

cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from convkit._ext cimport contract
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.runs cimport copy_run, longest_run
from convkit._ext.threads cimport threads_for
from convkit._ext.planes_in_lanes cimport element
from convkit._ext.vec cimport at, inlined, lanes, load, store, vd, vec, vf, zero
from convkit._ext.vec_order cimport keep, prefetch

cnp.import_array()

cdef enum:
    CLOSE = 16384  # cells of cols that stay in the L2 cache while several channels take turns at a tap
    AHEAD = 2048   # bytes between what is added and what is prefetched
    FROM_MEMORY = 1 << 22  # bytes of columns beyond which that pays
    MASKS = 4096   # elements of the masks by which small planes are folded: 16 KiB of float32

cdef struct Axis:
    Py_ssize_t start, stop  # the entries start..stop-1 of the index table name cells one after another
    Py_ssize_t cell         # the first of them
    bint once               # and no other entry names a cell


cdef inline Axis axis_of(const Py_ssize_t *table, Py_ssize_t n) noexcept nogil:
    cdef Axis axis
    cdef Py_ssize_t i, cells = 0
    longest_run(table, n, &axis.start, &axis.stop)
    for i in range(n):
        cells += table[i] >= 0
    axis.cell = table[axis.start]
    axis.once = cells == axis.stop - axis.start
    return axis


cdef inline void inside(
    const Axis *axis, Py_ssize_t tap, Py_ssize_t S, Py_ssize_t O, Py_ssize_t *first, Py_ssize_t *end
) noexcept nogil:
    """The outputs whose tap, an offset into the table, falls into the run."""
    first[0] = min(max(0, axis.start - tap + S - 1)//S, O)
    end[0] = max(min(max(0, axis.stop - tap + S - 1)//S, O), first[0])


# --- im2col --------------------------------------------------------------------------------


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
    elif S == 2:
        for ow in range(count):
            cols[ow] = x[2*ow]
    else:
        for ow in range(count):
            cols[ow] = x[S*ow]


cdef inline void mend_column(
    floating *cols, const floating *x, Py_ssize_t OW, Py_ssize_t IW, Py_ssize_t iw, Py_ssize_t rows
) noexcept nogil:
    """One column of a tap whose rows show successive rows of x, or nothing."""
    cdef Py_ssize_t oh
    for oh in range(rows):
        cols[oh*OW] = x[oh*IW + iw] if iw >= 0 else 0


cdef inline void unfold_block(
    floating *cols, const floating *x, const Py_ssize_t *iw_of, Py_ssize_t rows, Py_ssize_t left,
    Py_ssize_t right, Py_ssize_t OW
) noexcept nogil:
    """Rows of an output as wide as the image: one block, which runs over the ends of rows."""
    cdef Py_ssize_t ow
    copy_run(cols + left, x + iw_of[left], ((rows - 1)*OW + right - left)*sizeof(floating))
    for ow in range(left):
        mend_column(cols + ow, x, OW, OW, iw_of[ow], rows)
    for ow in range(right, OW):
        mend_column(cols + ow, x, OW, OW, iw_of[ow], rows)


cdef inline void unfold_row(
    floating *cols, const floating *x, Py_ssize_t ih, const Py_ssize_t *iw_of, Py_ssize_t left, Py_ssize_t right,
    const conv_shape *s
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
    cdef Py_ssize_t OW = s.OW, oh, top, bottom, left, right, p
    ih_of += kh*s.DH
    iw_of += kw*s.DW
    inside(h, kh*s.DH, s.SH, s.OH, &top, &bottom)
    inside(w, kw*s.DW, s.SW, OW, &left, &right)
    if not (s.SH == 1 and s.SW == 1 and OW == s.IW and bottom > top and right > left):
        bottom = top
    for p in range(planes):
        if bottom > top:
            unfold_block(cols + top*OW, x + ih_of[top]*OW, iw_of, bottom - top, left, right, OW)
        for oh in range(top):
            unfold_row(cols + oh*OW, x, ih_of[oh*s.SH], iw_of, left, right, s)
        for oh in range(bottom, s.OH):
            unfold_row(cols + oh*OW, x, ih_of[oh*s.SH], iw_of, left, right, s)
        cols += s.KH*s.KW*s.OH*OW
        x += s.IH*s.IW


cdef inline void unfold(
    floating *cols, const floating *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cdef Py_ssize_t KK = s.KH*s.KW, P = s.N*s.IC, i, p, tap, image = s.IH*s.IW
    cdef Py_ssize_t some = max(1, min(16, CLOSE//(KK*s.OH*s.OW))), runs = (P + some - 1)//some
    cdef Axis h = axis_of(ih_of, (s.OH - 1)*s.SH + (s.KH - 1)*s.DH + 1)
    cdef Axis w = axis_of(iw_of, (s.OW - 1)*s.SW + (s.KW - 1)*s.DW + 1)
    for i in prange(runs*KK, schedule="static", num_threads=threads_for(P*KK*s.OH*s.OW)):
        p = i//KK*some
        tap = i%KK
        unfold_tap(cols + (p*KK + tap)*s.OH*s.OW, x + p*image, ih_of, iw_of, &h, &w, tap//s.KW, tap%s.KW,
                   min(some, P - p), s)


# --- col2im --------------------------------------------------------------------------------


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
            gather_row(x + w.cell, cols + first*pitch_h + q*s.OW, end - first, pitch_h, w, left, right, far, s)
            memset(x + w.cell + w.stop - w.start, 0, (s.IW - w.cell - w.stop + w.start)*sizeof(floating))
        x += s.IW


cdef inline void set_masks(vec *masks, Py_ssize_t room, const Axis *h, const Axis *w, const conv_shape *s) noexcept nogil:
    """For each tap and cell of x whether the tap reaches it; `room` elements a tap, all bits or none."""
    cdef Py_ssize_t kh, kw, ih, iw, oh, ow, i = 0
    cdef int32_t *single = <int32_t *> masks
    cdef int64_t *double_ = <int64_t *> masks
    memset(masks, 0, s.KH*s.KW*room*element(masks))
    for kh in range(s.KH):
        for kw in range(s.KW):
            for ih in range(s.IH):
                oh = h.start + ih - h.cell - kh*s.DH
                for iw in range(s.IW):
                    ow = w.start + iw - w.cell - kw*s.DW
                    if 0 <= oh < s.OH and 0 <= ow < s.OW:
                        if vec is vf:
                            single[i + ih*s.IW + iw] = -1
                        else:
                            double_[i + ih*s.IW + iw] = -1
            i += room


cdef void fold_masked(
    vec *x, const vec *cols, const vec *masks, Py_ssize_t room, const Axis *h, const Axis *w, const conv_shape *s
) noexcept nogil:
    """A small plane as one row. The vectors read beyond the taps, into the planes beside this one."""
    cdef Py_ssize_t W = lanes(x), cells = s.IH*s.IW, i = 0, kh, kw, at_tap, tap
    cdef Py_ssize_t origin = (h.start - h.cell)*s.IW + w.start - w.cell
    cdef vec total
    while True:
        total = zero(x)
        tap = 0
        for kh in range(s.KH):
            at_tap = i + origin + kh*(s.KW*cells - s.DH*s.IW)
            for kw in range(s.KW):
                total = total + keep(load(cols, at_tap), load(masks, tap + i))
                at_tap += cells - s.DW
                tap += room
        store(x, i, total)
        if i + W >= cells:
            break
        i = min(i + W, cells - W)


cdef inline void fold(
    floating *x, const floating *cols, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cdef Py_ssize_t image = s.IH*s.IW, columns = s.KH*s.KW*s.OH*s.OW, p, P = s.N*s.IC
    cdef Py_ssize_t W = lanes(<const vf *> NULL) if floating is float else lanes(<const vd *> NULL)
    cdef Py_ssize_t reach = (s.KH*s.DH + s.OH)*s.IW + s.KW*s.DW + W  # generously
    cdef Axis h = axis_of(ih_of, s.OH - 1 + (s.KH - 1)*s.DH + 1)
    cdef Axis w = axis_of(iw_of, s.OW - 1 + (s.KW - 1)*s.DW + 1)
    cdef bint plain = s.SH == 1 and s.SW == 1 and h.once and w.once and h.stop > h.start and w.stop > w.start
    cdef bint small = (plain and s.OW == s.IW and s.OH == s.IH and image >= W and s.KH*s.KW*image <= MASKS
                       and reach <= columns)
    cdef bint far = P*columns*<Py_ssize_t> sizeof(floating) > FROM_MEMORY
    cdef floating[MASKS] masks
    if small:
        if floating is float:
            set_masks(<vf *> masks, image, &h, &w, s)
        else:
            set_masks(<vd *> masks, image, &h, &w, s)
    for p in prange(P, schedule="static", num_threads=threads_for(P*columns)):
        if small and 0 < p < P - 1:
            if floating is float:
                fold_masked(<vf *> (x + p*image), <const vf *> (cols + p*columns), <const vf *> masks,
                            image, &h, &w, s)
            else:
                fold_masked(<vd *> (x + p*image), <const vd *> (cols + p*columns), <const vd *> masks,
                            image, &h, &w, s)
        elif plain:
            gather_plane(x + p*image, cols + p*columns, &h, &w, far, s)
        else:
            scatter_plane(x + p*image, cols + p*columns, ih_of, iw_of, s)


# --- from C --------------------------------------------------------------------------------


cdef api void im2col_f32(
    float *cols, const float *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    unfold(cols, x, ih_of, iw_of, s)


cdef api void im2col_f64(
    double *cols, const double *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    unfold(cols, x, ih_of, iw_of, s)


cdef api void col2im_f32(
    float *x, const float *cols, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    fold(x, cols, ih_of, iw_of, s)


cdef api void col2im_f64(
    double *x, const double *cols, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    fold(x, cols, ih_of, iw_of, s)


# --- from Python ---------------------------------------------------------------------------


cdef int accept(
    conv_shape *s, cnp.ndarray out, cnp.ndarray x, cnp.ndarray cols, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
) except -1:
    """Check x (N, IC, IH, IW) and cols (N, IC, KH, KW, OH, OW), one of which is written; fill in s."""
    cdef int typenum = contract.output(out, "cols" if out is cols else "x", 6 if out is cols else 4)
    contract.array(x, "x", 4, typenum)
    contract.array(cols, "cols", 6, typenum)
    s.N, s.IC, s.IH, s.IW = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    s.KH, s.KW, s.OH, s.OW = cols.shape[2], cols.shape[3], cols.shape[4], cols.shape[5]
    s.OC, s.G, s.SH, s.SW, s.DH, s.DW = 0, 1, SH, SW, DH, DW
    contract.extent("images of cols", cols.shape[0], s.N)
    contract.extent("channels of cols", cols.shape[1], s.IC)
    contract.table(ih_of, "ih_of", s.IH, s.OH, SH, s.KH, DH)
    contract.table(iw_of, "iw_of", s.IW, s.OW, SW, s.KW, DW)
    return typenum


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
    for n in range(0, N, at_once):
        s.N = min(at_once, N - n)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                im2col_f32(<float *> cols.data + n*columns, <const float *> x.data + n*image, ih, iw, &s)
            else:
                im2col_f64(<double *> cols.data + n*columns, <const double *> x.data + n*image, ih, iw, &s)
        contract.signals()


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
    for n in range(0, N, at_once):
        s.N = min(at_once, N - n)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                col2im_f32(<float *> x.data + n*image, <const float *> cols.data + n*columns, ih, iw, &s)
            else:
                col2im_f64(<double *> x.data + n*image, <const double *> cols.data + n*columns, ih, iw, &s)
        contract.signals()
