"""Depthwise 3x3 windows at stride 1 or 2, straight from the image, without planes.

A strip is a vector of outputs wide and goes down the image. Each row is loaded once for each column of
the window and added to all the outputs that it is a part of, two or three; what they have so far stays
in registers. Masks clear the cells to the left and right of the image, and a row of zeros stands for
those above and below. A vector also reads beyond the row, and beyond the image; where the array ends
there, the image is copied first.
"""

from libc.stdint cimport int32_t, int64_t

from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.vec cimport (
    at, clear, copy, evens, held, inlined, lanes, load, odds, separate, splat, store, vd, vec, vf
)
from convkit._ext.vec_order cimport keep


cdef struct strips:
    bint possible
    Py_ssize_t pad    # column j of the padded image is column j - pad of the image, or zero
    Py_ssize_t count
    Py_ssize_t reach  # elements of the array from the image's first on that are read
    Py_ssize_t zeros, masks, copied  # elements of the three parts of the workspace


cdef inline strips make_strips(const conv_shape *s, const Py_ssize_t *iw_of, Py_ssize_t L) noexcept nogil:
    """Find out whether the tables and sizes permit strips; L is the lanes of a vector."""
    cdef strips a
    cdef Py_ssize_t j
    a.pad = 3  # until a column of the image is found
    a.possible = (s.KH == 3 and s.KW == 3 and s.DH == 1 and s.DW == 1 and s.SH == s.SW and s.SH <= 2
                  and s.IH > 0 and s.OH > 0 and s.OW > 0)
    if a.possible:
        for j in range((s.OW - 1)*s.SW + 3):
            if iw_of[j] >= 0:
                a.pad = j - iw_of[j] if a.pad == 3 else a.pad
                a.possible = a.possible and a.pad == j - iw_of[j] and 0 <= a.pad <= 2
    a.possible = a.possible and a.pad <= 2
    a.count = (s.OW + L - 1)//L
    a.reach = (s.IH - 1)*s.IW + max(<Py_ssize_t> 0, s.OW - L)*s.SW - a.pad + 2 + s.SW*L
    a.zeros = s.SW*L + 2
    a.masks = 4*L*a.count
    a.copied = a.pad + max(a.reach, s.IH*s.IW)
    return a


cdef inline void fill_masks(
    vec *workspace, const strips *a, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    """Write the row of zeros and, for each strip, four masks: which lanes have cells in each of the three
    columns of the window, and which have outputs that no strip before has."""
    cdef Py_ssize_t strip, kw, lane, L = lanes(workspace), ow, i = 0
    cdef vec *masks = at(workspace, a.zeros)
    cdef bint there
    clear(workspace, a.zeros)
    for strip in range(a.count):
        for kw in range(4):
            for lane in range(L):
                ow = max(<Py_ssize_t> 0, min(strip*L, s.OW - L)) + lane
                there = ow < s.OW and (iw_of[ow*s.SW + kw] >= 0 if kw < 3 else ow >= strip*L)
                if vec is vf:
                    (<int32_t *> masks)[i] = -there
                else:
                    (<int64_t *> masks)[i] = -there
                i += 1


cdef inline inlined load_row(
    int S, vec *cells, const vec *x, Py_ssize_t IW, Py_ssize_t ih, const vec *zeros, const vec *masks
) noexcept nogil:
    """Load the cells that a strip's outputs read in row ih, a vector for each column of the window."""
    cdef Py_ssize_t L = lanes(x)
    cdef vec a, b
    x = at(x, ih*IW) if ih >= 0 else zeros
    if S == 1:
        cells[0] = held(keep(load(x, 0), masks[0]))
        cells[1] = held(keep(load(x, 1), masks[1]))
        cells[2] = held(keep(load(x, 2), masks[2]))
    else:
        a = held(load(x, 0))
        b = held(load(x, L))
        cells[0] = held(keep(evens(a, b), masks[0]))
        cells[1] = held(keep(odds(a, b), masks[1]))
        cells[2] = held(keep(evens(load(x, 2), load(x, L + 2)), masks[2]))


cdef inline vec add_row(vec total, const vec *cells, const vec *w) noexcept nogil:
    return total + w[0]*cells[0] + w[1]*cells[1] + w[2]*cells[2]


cdef inline inlined strip(
    int S, vec *y, Py_ssize_t cols, Py_ssize_t whole, const vec *x, const vec *zeros, const vec *mask,
    const Py_ssize_t *ih_of, const vec *weights, const vec *start, const conv_shape *s
) noexcept nogil:
    """Compute a strip; `whole` rows of it may be stored as whole vectors, of the others `cols` outputs."""
    cdef vec w[9]
    cdef vec masks[3]
    cdef vec cells[3]
    cdef vec this, below, total, first = splat(start, 0)
    cdef Py_ssize_t i, oh, L = lanes(y)
    for i in range(9):
        w[i] = splat(weights, i)
    for i in range(3):
        masks[i] = load(mask, i*L)
    load_row(S, cells, x, s.IW, ih_of[0], zeros, masks)
    this = add_row(first, cells, w)
    below = first
    if S == 1:
        load_row(S, cells, x, s.IW, ih_of[1], zeros, masks)
        this = add_row(this, cells, &w[3])
        below = add_row(first, cells, w)
    for oh in range(s.OH):
        if S == 2:
            load_row(S, cells, x, s.IW, ih_of[2*oh + 1], zeros, masks)
            this = add_row(this, cells, &w[3])
        load_row(S, cells, x, s.IW, ih_of[S*oh + 2], zeros, masks)
        total = add_row(this, cells, &w[6])
        if S == 1:
            this = add_row(below, cells, &w[3])
            below = add_row(first, cells, w)
        else:
            this = add_row(first, cells, w)
        if oh < whole:
            store(y, oh*s.OW, total)
        else:
            copy(at(y, oh*s.OW), &total, cols)


cdef inline separate depthwise_image(
    vec *y, Py_ssize_t y_room, const vec *x, Py_ssize_t before, Py_ssize_t x_room, const vec *w, const vec *b,
    Py_ssize_t M, vec *workspace, const strips *a, const Py_ssize_t *ih_of, const conv_shape *s
) noexcept nogil:
    """Compute the M output channels of one input channel.

    x lies `before` elements behind the array's beginning and `x_room` before its end. Up to y_room,
    what a vector writes beyond its row and its channel is overwritten later.
    """
    cdef Py_ssize_t i, m, ow, whole, L = lanes(y), OHW = s.OH*s.OW, cols = min(s.OW, L)
    cdef const vec *masks = at(workspace, a.zeros)
    cdef const vec *source = x
    if before < a.pad or x_room < a.reach:
        copy(at(workspace, a.zeros + a.masks + a.pad), x, s.IH*s.IW)
        source = at(workspace, a.zeros + a.masks + a.pad)
    for m in range(M):
        whole = s.OH
        if s.OW < L:
            whole = max(<Py_ssize_t> 0, min(s.OH, (y_room - m*OHW - L + s.OW)//s.OW))
        for i in range(a.count):
            ow = max(<Py_ssize_t> 0, min(i*L, s.OW - L))
            if s.SW == 1:
                strip(1, at(y, m*OHW + ow), cols, whole, at(source, ow - a.pad), workspace,
                      at(masks, 4*i*L), ih_of, at(w, 9*m), at(b, m), s)
            else:
                strip(2, at(y, m*OHW + ow), cols, whole, at(source, 2*ow - a.pad), workspace,
                      at(masks, 4*i*L), ih_of, at(w, 9*m), at(b, m), s)
