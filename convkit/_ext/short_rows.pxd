"""Short rows of im2col and col2im in registers, whatever the strides and the padding.

    cols[kh, kw, oh] = lanes of x[ih_of[oh*SH + kh*DH]], as iw_of numbers them for the tap kw, or zeros
    x[ih] = sum over the taps of lanes of cols[kh, kw, oh], of the row oh that shows ih to the tap kh

A row that is shorter than a vector costs as much cell by cell as many vectors. One load brings it, and more
that is not looked at; a shuffle by a table of lanes, made once a call, puts each cell where it belongs, and
zeros where none does; one store writes the row. What that writes beyond the row is overwritten by the
next one. Of a longer row, up to two vectors, the second vector ends with it.

A plane of up to four vectors needs no rows: im2col picks all of its columns, in the order in which they are
stored, from the plane in registers, and col2im moves the outputs of each tap to where they belong. At 7x7
and stride 2 that is four times as fast as row by row, which stores each line of memory four times.

Nothing may be read behind the last plane, nor written behind the last plane of a thread: `safe_end` tells
which planes are left to go another way.
"""

from libc.stdint cimport int32_t, int64_t

from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.taps cimport MASKS, Axis, row_that_shows
from convkit._ext.vec cimport inlined, lanes, load, store, vd, vec, vf, zero
from convkit._ext.vec_order cimport choose, keep

cdef extern from *:
    r"""
    #ifndef CONVKIT_SHORT_ROWS
    #define CONVKIT_SHORT_ROWS
    /* Lanes of a, b, c and d in a row, as `lane` numbers them; zero where it is negative. Of a number of
       lanes, the bit log2(2*W) says which of two pairs of vectors a lane is in. */
    #define CONVKIT_ONE_OF_FOUR(s, V, I, PAIR) \
        static inline V convkit_one_of_four_##s(V a, V b, V c, V d, V lane) { \
            I i = (I) lane, later = (i & PAIR) != 0, none = i < 0; \
            V in_pair = (V) (i & (PAIR - 1)); \
            I first = (I) convkit_choose_##s(a, b, in_pair), second = (I) convkit_choose_##s(c, d, in_pair); \
            return (V) (((first & ~later) | (second & later)) & ~none); }
    CONVKIT_ONE_OF_FOUR(f, convkit_vf, convkit_vi, 2*convkit_w_f)
    CONVKIT_ONE_OF_FOUR(d, convkit_vd, convkit_vl, 2*convkit_w_d)
    #endif
    """
    vf one_of_four_f "convkit_one_of_four_f"(vf a, vf b, vf c, vf d, vf lane) noexcept nogil
    vd one_of_four_d "convkit_one_of_four_d"(vd a, vd b, vd c, vd d, vd lane) noexcept nogil

cdef enum:
    ACROSS = 11  # taps across, at most


cdef inline bint is_short(Py_ssize_t W, const conv_shape *s) noexcept nogil:
    """Whether rows fit; vectors of less than 8 lanes have no shuffle by a table."""
    return W >= 8 and s.OW <= W and s.IW <= 2*W and s.KW <= ACROSS


cdef inline Py_ssize_t safe_end(
    Py_ssize_t first, Py_ssize_t end, Py_ssize_t W, const conv_shape *s
) noexcept nogil:
    """The first of the planes first..end-1 of which a vector might reach behind the last of them."""
    return max(first, end - 1 - W//min(s.IH*s.IW, s.KH*s.KW*s.OH*s.OW))


cdef inline void put_lane(vec *table, Py_ssize_t i, Py_ssize_t lane) noexcept nogil:
    if vec is vf:
        (<int32_t *> table)[i] = <int32_t> lane
    else:
        (<int64_t *> table)[i] = lane


# --- im2col --------------------------------------------------------------------------------


cdef inline void set_unfold_lanes(vec *table, const Py_ssize_t *iw_of, const conv_shape *s) noexcept nogil:
    """For each tap across a vector of lanes and a mask of what is not zero."""
    cdef Py_ssize_t W = lanes(table), kw, ow, iw
    for kw in range(s.KW):
        for ow in range(W):
            iw = iw_of[ow*s.SW + kw*s.DW] if ow < s.OW else -1
            put_lane(table, 2*kw*W + ow, W if iw < 0 else iw if iw < W else iw + 2*W - s.IW)
            put_lane(table, 2*kw*W + W + ow, -(iw >= 0))


cdef inline inlined unfold_short(
    vec *cols, const vec *x, const Py_ssize_t *ih_of, const vec *table, bint two, const conv_shape *s
) noexcept nogil:
    """A plane of x, whose rows are two vectors or one."""
    cdef Py_ssize_t W = lanes(x), kh, kw, oh, row, at = 0
    cdef vec which, mask, none = zero(x)
    for kh in range(s.KH):
        for kw in range(s.KW):
            which, mask = table[2*kw], table[2*kw + 1]
            for oh in range(s.OH):
                row = ih_of[oh*s.SH + kh*s.DH]*s.IW
                if row < 0:
                    store(cols, at, none)
                elif two:
                    store(cols, at, keep(choose(load(x, row), load(x, row + s.IW - W), which), mask))
                else:
                    store(cols, at, choose(load(x, row), none, which))
                at += s.OW


# --- im2col of a plane of a few vectors --------------------------------------------------------


cdef inline bint is_few(Py_ssize_t W, const conv_shape *s) noexcept nogil:
    """Whether a plane is at least one vector and at most four, and its columns no more than a table has."""
    cdef Py_ssize_t columns = s.KH*s.KW*s.OH*s.OW
    return W >= 8 and W <= s.IH*s.IW <= 4*W and W <= columns <= MASKS


cdef inline void set_plane_lanes(
    vec *table, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    """For each column's cell its lane in the plane's four vectors, of which the last ends with it, or -1."""
    cdef Py_ssize_t W = lanes(table), image = s.IH*s.IW, kh, kw, oh, ow, ih, iw, cell, i = 0
    for kh in range(s.KH):
        for kw in range(s.KW):
            for oh in range(s.OH):
                ih = ih_of[oh*s.SH + kh*s.DH]
                for ow in range(s.OW):
                    iw = iw_of[ow*s.SW + kw*s.DW]
                    cell = ih*s.IW + iw
                    if ih < 0 or iw < 0:
                        cell = -1
                    elif cell//W == (image - 1)//W:  # in the last vector
                        cell += 4*W - image
                    put_lane(table, i, cell)
                    i += 1


cdef inline inlined unfold_few(vec *cols, const vec *x, const vec *table, const conv_shape *s) noexcept nogil:
    """All columns of a plane as one row: each a lane of the plane, or zero."""
    cdef Py_ssize_t W = lanes(x), image = s.IH*s.IW, columns = s.KH*s.KW*s.OH*s.OW, i = 0
    cdef vec which, a = load(x, 0), b = load(x, min(W, image - W))
    cdef vec c = load(x, min(2*W, image - W)), d = load(x, image - W)
    while True:
        which = load(table, i)
        if vec is vf:
            store(cols, i, one_of_four_f(a, b, c, d, which))
        else:
            store(cols, i, one_of_four_d(a, b, c, d, which))
        if i + W >= columns:
            break
        i = min(i + W, columns - W)


# --- col2im --------------------------------------------------------------------------------


cdef inline void set_fold_lanes(vec *table, const Py_ssize_t *iw_of, const conv_shape *s) noexcept nogil:
    """For each tap across the lanes of a row's first vector and of its last, which may be the same."""
    cdef Py_ssize_t W = lanes(table), last = max(s.IW - W, 0), kw, ow, i, iw
    for i in range(2*W*s.KW):
        put_lane(table, i, W)
    for kw in range(s.KW):
        for ow in range(s.OW):
            iw = iw_of[ow*s.SW + kw*s.DW]
            if 0 <= iw < W:
                put_lane(table, 2*kw*W + iw, ow)
            if iw >= last:
                put_lane(table, 2*kw*W + W + iw - last, ow)


cdef inline inlined fold_short(
    vec *x, const vec *cols, const Axis *h, const vec *table, bint two, const conv_shape *s
) noexcept nogil:
    """A plane of x, whose rows are two vectors or one; tables that show each cell once."""
    cdef Py_ssize_t W = lanes(x), ih, kh, kw, oh, at
    cdef vec row, left, right, none = zero(x)
    for ih in range(s.IH):
        left = right = none
        for kh in range(s.KH):
            oh = row_that_shows(h, ih, kh*s.DH, s.SH, s.OH)
            if oh >= 0:
                at = (kh*s.KW*s.OH + oh)*s.OW
                for kw in range(s.KW):
                    row = load(cols, at)
                    left = left + choose(row, none, table[2*kw])
                    if two:
                        right = right + choose(row, none, table[2*kw + 1])
                    at += s.OH*s.OW
        store(x, ih*s.IW, left)
        if two:
            store(x, ih*s.IW + s.IW - W, right)


# --- col2im to a plane of a few vectors ----------------------------------------------------


cdef inline bint are_few(Py_ssize_t W, const conv_shape *s) noexcept nogil:
    """Whether a plane of x is at least one vector and at most four, and one tap's outputs at most one."""
    cdef Py_ssize_t taps = s.KH*s.KW, outputs = s.OH*s.OW
    return W >= 8 and W <= s.IH*s.IW <= 4*W and outputs <= W <= taps*outputs and 4*W*taps <= MASKS


cdef inline void set_tap_lanes(
    vec *table, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    """For each tap the lanes of its outputs in the plane's four vectors, of which the last ends with it."""
    cdef Py_ssize_t W = lanes(table), image = s.IH*s.IW, outputs = s.OH*s.OW, kh, kw, oh, ow, ih, iw, cell
    cdef Py_ssize_t last = s.KH*s.KW*outputs - W, tap = 0, i, v
    for i in range(4*W*s.KH*s.KW):
        put_lane(table, i, W)
    for kh in range(s.KH):
        for kw in range(s.KW):
            for oh in range(s.OH):
                ih = ih_of[oh*s.SH + kh*s.DH]
                for ow in range(s.OW):
                    iw = iw_of[ow*s.SW + kw*s.DW]
                    for v in range(4 if ih >= 0 and iw >= 0 else 0):
                        cell = ih*s.IW + iw - min(v*W, image - W)
                        if 0 <= cell < W:
                            put_lane(table, (4*tap + v)*W + cell,
                                     oh*s.OW + ow + max(0, tap*outputs - last))
            tap += 1


cdef inline inlined fold_few(vec *x, const vec *cols, const vec *table, const conv_shape *s) noexcept nogil:
    """A plane, from tables that show each cell once: the outputs of each tap, moved to where they belong."""
    cdef Py_ssize_t W = lanes(x), image = s.IH*s.IW, outputs = s.OH*s.OW, tap, taps = s.KH*s.KW
    cdef vec one, none = zero(x), a = none, b = none, c = none, d = none
    for tap in range(taps):
        one = load(cols, min(tap*outputs, taps*outputs - W))
        a = a + choose(one, none, table[4*tap])
        b = b + choose(one, none, table[4*tap + 1])
        c = c + choose(one, none, table[4*tap + 2])
        d = d + choose(one, none, table[4*tap + 3])
    store(x, 0, a)
    store(x, min(W, image - W), b)
    store(x, min(2*W, image - W), c)
    store(x, image - W, d)
