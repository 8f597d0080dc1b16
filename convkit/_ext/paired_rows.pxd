"""Rows of im2col and col2im at stride 2, longer than a vector.

Every second cell of a row is picked from two vectors by one shuffle. Back, in col2im, cells of x at even
padded columns get sums through the taps kw with an even kw*DW, and those at odd ones through the others:
two *phases*, of which cell j is reached by output j - kw*DW//2. Both are summed in registers, tap by
tap, and the two vectors of sums interleaved into two vectors of x. Ends of rows are made cell by cell.

Tried and rejected: the offsets of all taps of a row in one list (a quarter slower: nothing is unrolled);
prefetching columns that fit the caches (a tenth slower).
"""

from cython cimport floating
from libc.string cimport memset

from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.taps cimport Axis, row_that_shows
from convkit._ext.vec cimport at, evens, inlined, lanes, load, store, vd, vec, vf, zero
from convkit._ext.vec_order cimport high, low, prefetch

cdef extern from *:
    r"""
    #ifndef CONVKIT_PAIRED_ROWS
    #define CONVKIT_PAIRED_ROWS
    /* Even lanes of a, then odd ones of b. */
    #define CONVKIT_OUTER(s, V, I) \
        static inline V convkit_outer_##s(V a, V b) \
            CONVKIT_SHUFFLE(V, I, a, b, 2*l < convkit_w_##s ? 2*l : 2*l + 1)
    CONVKIT_OUTER(f, convkit_vf, convkit_vi)
    CONVKIT_OUTER(d, convkit_vd, convkit_vl)
    #endif
    """
    vf outer_f "convkit_outer_f"(vf a, vf b) noexcept nogil
    vd outer_d "convkit_outer_d"(vd a, vd b) noexcept nogil

cdef enum:
    IN_PAIRS = 16  # taps of a window, at most: each is a stream that the hardware has to follow
    AHEAD = 2048   # bytes between what is added and what is prefetched


cdef inline inlined every_second(vec *y, const vec *x, Py_ssize_t n) noexcept nogil:
    """Copy x[0], x[2], x[4]..., at least a vector of them, and read nothing behind the last."""
    cdef Py_ssize_t W = lanes(x), i = 0
    cdef vec a, b
    while i + W < n:
        store(y, i, evens(load(x, 2*i), load(x, 2*i + W)))
        i += W
    a, b = load(x, 2*(n - W)), load(x, 2*n - 1 - W)
    if vec is vf:
        store(y, n - W, outer_f(a, b))
    else:
        store(y, n - W, outer_d(a, b))


cdef struct Pairs:
    Py_ssize_t taps[2]             # across, of each phase
    Py_ssize_t shift[2][IN_PAIRS]  # the first cell that the tap reaches
    Py_ssize_t at[2][IN_PAIRS]     # cell 0 of the phase, counted from the first tap's output
    Py_ssize_t start, stop         # cells of both phases that every tap reaches


cdef inline Pairs pairs_of(const Axis *w, const conv_shape *s) noexcept nogil:
    cdef Pairs k
    cdef Py_ssize_t kw, r, shift
    k.taps[0] = k.taps[1] = 0
    k.start, k.stop = (w.start + 1)//2, w.stop//2
    for kw in range(min(s.KW, <Py_ssize_t> IN_PAIRS)):
        r, shift = kw*s.DW % 2, kw*s.DW//2
        k.shift[r][k.taps[r]] = shift
        k.at[r][k.taps[r]] = kw*s.OH*s.OW - shift
        k.taps[r] += 1
        k.start, k.stop = max(k.start, shift), min(k.stop, s.OW + shift)
    return k


cdef inline bint pairs_serve(const Axis *w, Py_ssize_t W, const conv_shape *s) noexcept nogil:
    """Whether windows are small enough, and rows long enough."""
    cdef Pairs k
    if s.KH*s.KW > IN_PAIRS:
        return False
    k = pairs_of(w, s)
    return k.stop - k.start >= W


cdef inline inlined gather_vectors_of(
    vec *x, const vec *cols, const Py_ssize_t *rows, Py_ssize_t count, const Pairs *k, Py_ssize_t even_taps,
    Py_ssize_t odd_taps, bint far
) noexcept nogil:
    cdef Py_ssize_t W = lanes(x), j = k.start, i, tap
    cdef const vec *row
    cdef vec even, odd
    while True:
        even = odd = zero(x)
        for i in range(count):
            row = at(cols, rows[i] + j)
            if far:
                for tap in range(even_taps):
                    prefetch(<const char *> at(row, k.at[0][tap]) + AHEAD)
                for tap in range(odd_taps):
                    prefetch(<const char *> at(row, k.at[1][tap]) + AHEAD)
            for tap in range(even_taps):
                even = even + load(row, k.at[0][tap])
            for tap in range(odd_taps):
                odd = odd + load(row, k.at[1][tap])
        store(x, 2*(j - k.start), low(even, odd))
        store(x, 2*(j - k.start) + W, high(even, odd))
        if j + W >= k.stop:
            break
        j = min(j + W, k.stop - W)


cdef inline inlined gather_pairs(
    vec *x, const vec *cols, const Py_ssize_t *rows, Py_ssize_t count, const Pairs *k, bint far
) noexcept nogil:
    """The cells of a row of x from padded column 2*start to 2*stop - 1; x points at the first.

    `rows` are outputs of the first tap across, one for each tap down.
    """
    if k.taps[0] == 2 and k.taps[1] == 1:  # windows of 3: loops over taps are unrolled
        gather_vectors_of(x, cols, rows, count, k, 2, 1, far)
    else:
        gather_vectors_of(x, cols, rows, count, k, k.taps[0], k.taps[1], far)


cdef inline void pair_cells(
    floating *padded, const floating *cols, const Py_ssize_t *rows, Py_ssize_t count, const Pairs *k,
    Py_ssize_t first, Py_ssize_t end, Py_ssize_t OW
) noexcept nogil:
    """Padded columns first..end-1 one by one; some taps may not reach them."""
    cdef Py_ssize_t q, i, tap, r
    cdef floating total
    for q in range(first, end):
        r = q % 2
        total = 0
        for i in range(count):
            for tap in range(k.taps[r]):
                if k.shift[r][tap] <= q//2 < k.shift[r][tap] + OW:
                    total += cols[rows[i] + k.at[r][tap] + q//2]
        padded[q] = total


cdef inline void gather_strided(
    floating *x, const floating *cols, const Axis *h, const Axis *w, bint far, const conv_shape *s
) noexcept nogil:
    """Stride 2 across, any stride down, each cell once in the tables."""
    cdef Pairs k = pairs_of(w, s)
    cdef Py_ssize_t[IN_PAIRS] rows
    cdef Py_ssize_t ih, kh, oh, count
    cdef floating *padded = x + w.cell - w.start  # column 0 of the padded row
    for ih in range(s.IH):
        count = 0
        for kh in range(s.KH):
            oh = row_that_shows(h, ih, kh*s.DH, s.SH, s.OH)
            if oh >= 0:
                rows[count] = (kh*s.KW*s.OH + oh)*s.OW
                count += 1
        memset(padded + w.start - w.cell, 0, w.cell*sizeof(floating))
        pair_cells(padded, cols, rows, count, &k, w.start, 2*k.start, s.OW)
        if floating is float:
            gather_pairs(<vf *> (padded + 2*k.start), <const vf *> cols, rows, count, &k, far)
        else:
            gather_pairs(<vd *> (padded + 2*k.start), <const vd *> cols, rows, count, &k, far)
        pair_cells(padded, cols, rows, count, &k, 2*k.stop, w.stop, s.OW)
        memset(padded + w.stop, 0, (s.IW - w.cell - w.stop + w.start)*sizeof(floating))
        padded += s.IW
