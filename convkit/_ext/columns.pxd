"""Columns of the im2col matrix: what one weight is multiplied with, for a block of outputs.

    column[r*cols + c] = x[ic, ih, iw]

with ih = ih_of[(oh + r)*SH + kh*DH] and iw = iw_of[(ow + c)*SW + kw*DW].

Two ideas make gathering them cheap. Inside the image, neighbouring outputs read cells SW apart: this
run is found once a column, in the index table, and copied without looking it up again. And the tap
below reads what this one reads some rows further down: with stride and dilation 1, column kh + 1 is
column kh, one row later. So a column that only goes on with another one is not gathered again.
"""

from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.vec cimport at, clear, evens, lanes, load, move, store, vd, vec, vf


cdef struct column:
    const Py_ssize_t *ih  # from here on every SH-th entry is an output row's
    const Py_ssize_t *iw  # and every SW-th an output's
    Py_ssize_t ic, kh       # the channel, counted in its group, and the row of the kernel
    Py_ssize_t start, stop  # outputs of a row between which iw counts on in steps of SW


cdef struct block:
    Py_ssize_t oh, rows, ow, cols  # the first output and the extent


cdef inline column column_of(
    Py_ssize_t j, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    """Describe column j = (ic*KH + kh)*KW + kw."""
    cdef column c
    cdef Py_ssize_t ow, first = 0
    c.ic = j // (s.KH*s.KW)
    c.kh = j // s.KW % s.KH
    c.ih = ih_of + c.kh*s.DH
    c.iw = iw_of + j % s.KW * s.DW
    c.start = c.stop = 0
    for ow in range(s.OW):
        if c.iw[ow*s.SW] < 0:
            first = ow + 1
            continue
        if ow > first and c.iw[ow*s.SW] != c.iw[(ow - 1)*s.SW] + s.SW:
            first = ow
        if ow + 1 - first > c.stop - c.start:
            c.start = first
            c.stop = ow + 1
    return c


cdef inline void copy_run(
    vec *to, const vec *x, Py_ssize_t n, Py_ssize_t step, const vec *end
) noexcept nogil:
    """Copy every step-th element of x, n of them. Unless x ends there, whole vectors are copied, and
    up to a vector too much is written."""
    cdef Py_ssize_t i = 0, L = lanes(to)
    if step == 1:
        while i < n and at(x, i + L) <= end:
            store(to, i, load(x, i))
            i += L
    elif step == 2:
        while i < n and at(x, 2*i + 2*L) <= end:
            store(to, i, evens(load(x, 2*i), load(x, 2*i + L)))
            i += L
    while i < n:
        move(to, i, x, i*step)
        i += 1


cdef inline void look_up(
    vec *to, const vec *x, const column *c, Py_ssize_t SW, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """Outputs begin to end of a row, cell by cell."""
    cdef Py_ssize_t i, iw
    for i in range(end - begin):
        iw = c.iw[(begin + i)*SW]
        if iw >= 0:
            move(to, i, x, iw)
        else:
            clear(at(to, i), 1)


cdef inline void gather(
    vec *to, const vec *x, const vec *end, const column *c, const conv_shape *s, block b
) noexcept nogil:
    """Fill a block's column from the group's channels x; after `end`, no memory may be read.

    There must be room for a vector more.
    """
    cdef const vec *row
    cdef Py_ssize_t r, ih, stop = b.ow + b.cols
    cdef Py_ssize_t run = min(max(c.start, b.ow), stop), rest = max(min(c.stop, stop), run)
    for r in range(b.rows):
        ih = c.ih[(b.oh + r)*s.SH]
        if ih < 0:
            clear(to, b.cols)
        else:
            row = at(x, (c.ic*s.IH + ih)*s.IW)
            look_up(to, row, c, s.SW, b.ow, run)
            if rest > run:
                copy_run(at(to, run - b.ow), at(row, c.iw[run*s.SW]), rest - run, s.SW, end)
            look_up(at(to, rest - b.ow), row, c, s.SW, rest, stop)
        to = at(to, b.cols)


cdef inline Py_ssize_t gather_all(
    vec *to, Py_ssize_t *places, const vec *x, const vec *end, const column *columns, Py_ssize_t count,
    const conv_shape *s, block b
) noexcept nogil:
    """Gather a block's columns, of consecutive numbers; note where each begins, counted from `to`.

    Column (ic, kh + taps, kw) is column (ic, kh, kw) so many `rows` later. Room is needed for
    all columns, plus a vector.
    """
    cdef Py_ssize_t taps = 1, rows, j, k, place = 0
    cdef block longer = b
    while taps < s.KH and taps*s.DH % s.SH:
        taps += 1
    rows = taps*s.DH//s.SH
    for j in range(count):
        k = j - taps*s.KW
        if rows <= b.rows and columns[j].kh >= taps and k >= 0:
            places[j] = places[k] + rows*b.cols
            continue
        longer.rows = b.rows
        k = j + taps*s.KW
        while rows <= b.rows and k < count and columns[k].ic == columns[j].ic:
            longer.rows += rows
            k += taps*s.KW
        gather(at(to, place), x, end, columns + j, s, longer)
        places[j] = place
        place += longer.rows*b.cols
    return place
