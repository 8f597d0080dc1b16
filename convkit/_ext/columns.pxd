"""One column of the im2col matrix at a time: what one weight is multiplied with, pixel after pixel.

    column[p] = x[ic, ih, iw]    with ih = ih_of[oh*SH + kh*DH], iw = iw_of[ow*SW + kw*DW], p = oh*OW + ow

Inside the image, a row of outputs reads its cells SW apart, which is found once a column in the index
table (``run``) and then copied without looking it up; only the borders are read cell by cell.
"""

from cython cimport floating
from libc.string cimport memcpy

from convkit._ext.conv_shape cimport conv_shape


cdef struct column:
    const Py_ssize_t *ih  # from here on every SH-th entry is an output row's
    const Py_ssize_t *iw  # and every SW-th an output pixel's
    Py_ssize_t ic         # the channel, counted in its group
    Py_ssize_t start, stop  # outputs of a row between which iw only counts on


cdef inline column column_of(
    Py_ssize_t j, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    """Column j = (ic*KH + kh)*KW + kw."""
    cdef column c
    cdef Py_ssize_t ow, first = 0
    c.ic = j // (s.KH*s.KW)
    c.ih = ih_of + j // s.KW % s.KH * s.DH
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


cdef inline void copy_run(floating *to, const floating *x, Py_ssize_t count, Py_ssize_t step) noexcept nogil:
    cdef Py_ssize_t i
    if step == 1:
        memcpy(to, x, count*sizeof(floating))
    elif step == 2:  # a constant, with which the compiler finds vectors
        for i in range(count):
            to[i] = x[2*i]
    else:
        for i in range(count):
            to[i] = x[step*i]


cdef inline void fill_row(
    floating *to, const floating *x, const column *c, Py_ssize_t SW, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """Outputs begin to end of one row, from the row x of the image."""
    cdef Py_ssize_t ow, start = min(max(c.start, begin), end), stop = max(min(c.stop, end), start)
    for ow in range(begin, start):
        to[ow - begin] = x[c.iw[ow*SW]] if c.iw[ow*SW] >= 0 else 0
    if stop > start:
        copy_run(to + start - begin, x + c.iw[start*SW], stop - start, SW)
    for ow in range(stop, end):
        to[ow - begin] = x[c.iw[ow*SW]] if c.iw[ow*SW] >= 0 else 0


cdef inline void fill_column(
    floating *to, const floating *x, const column *c, const conv_shape *s, Py_ssize_t p, Py_ssize_t stop
) noexcept nogil:
    """Pixels p to stop of a column, from the channels x of its image and group."""
    cdef const floating *plane = x + c.ic*s.IH*s.IW
    cdef Py_ssize_t i, ih, oh = p // s.OW, ow = p % s.OW, end
    while p < stop:
        end = min(s.OW, ow + stop - p)
        ih = c.ih[oh*s.SH]
        if ih < 0:
            for i in range(end - ow):
                to[i] = 0
        else:
            fill_row(to, plane + ih*s.IW, c, s.SW, ow, end)
        to += end - ow
        p += end - ow
        oh += 1
        ow = 0


cdef inline bint reads_planes(
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    """Whether each column is a plane of x as it stands: a 1x1 kernel, without stride or padding."""
    cdef Py_ssize_t i
    if s.KH*s.KW != 1 or s.OH != s.IH or s.OW != s.IW or s.SH != 1 and s.OH > 1 or s.SW != 1 and s.OW > 1:
        return False
    for i in range(s.OH):
        if ih_of[i] != i:
            return False
    for i in range(s.OW):
        if iw_of[i] != i:
            return False
    return True
