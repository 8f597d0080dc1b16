"""Short rows in registers: a padded row is a shuffle of a row, whatever the padding mode.

    y[p, oh] = lanes of (x[p, ih_of[oh]] followed by the constant), as iw_of numbers them

A row of 7 cells is less than a vector, and its border, cell by cell, costs more than all the rest. One
load brings the row, and more that is not looked at; a shuffle by a table of lanes, made once a call, puts
each cell where the mode shows it, and the constant where it shows none; one store writes it. What that
writes beyond the row is overwritten by the next one. If a padded row is longer than a vector, a second
one ends with it. The lines to be written are asked for in advance (see streaming.pxd): 4096 planes of 7x7
then take 61 us and not 103, on an Emerald Rapids.

Nothing may be read behind the last plane of x, nor written behind the last plane of a thread: there rows
are copied to and from a vector on the stack.

Tried and rejected: the lanes of a whole plane, from four vectors to six, as :mod:`pool_planes` picks its
outputs (twice as many shuffles, and planes no larger than 7x7).
"""

from libc.stdint cimport int32_t, int64_t

from convkit._ext.streaming cimport AHEAD, prefetch_run
from convkit._ext.vec cimport at, copy, inlined, lanes, load, splat, store, vec, vf
from convkit._ext.vec_order cimport choose


cdef inline bint fits_registers(Py_ssize_t IW, Py_ssize_t OW, Py_ssize_t W) noexcept nogil:
    """Whether `pad_planes` serves such rows; vectors of less than 8 lanes have no shuffle by a table."""
    return W >= 8 and IW <= W and OW <= 2*W


cdef inline void set_lanes(vec *table, const Py_ssize_t *iw_of, Py_ssize_t OW) noexcept nogil:
    """Fill the tables of the first vector of a padded row and of the last one, which may be the same."""
    cdef Py_ssize_t W = lanes(table), i, ow
    for i in range(2*W):
        ow = min(i, OW - 1) if i < W else max(OW - W, 0) + i - W
        ow = min(ow, OW - 1)
        if vec is vf:
            (<int32_t *> table)[i] = <int32_t> (iw_of[ow] if iw_of[ow] >= 0 else W)
        else:
            (<int64_t *> table)[i] = iw_of[ow] if iw_of[ow] >= 0 else W


cdef inline inlined pad_plane_by(
    vec *y, const vec *x, const Py_ssize_t *ih_of, const vec *table, vec constant,
    Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW, bint two
) noexcept nogil:
    cdef Py_ssize_t W = lanes(x), oh
    cdef vec row, left = table[0], right = table[1]
    for oh in range(OH):
        row = load(x, ih_of[oh]*IW) if ih_of[oh] >= 0 else constant
        store(y, oh*OW, choose(row, constant, left))
        if two:
            store(y, oh*OW + OW - W, choose(row, constant, right))


cdef inline void pad_at_end(
    vec *y, const vec *x, const Py_ssize_t *ih_of, const vec *table, vec constant, Py_ssize_t IW,
    Py_ssize_t OH, Py_ssize_t OW, Py_ssize_t x_cells, Py_ssize_t y_cells
) noexcept nogil:
    """The same, where from the plane on only so many cells may be read, and written."""
    cdef Py_ssize_t W = lanes(x), oh
    cdef vec row, padded
    for oh in range(OH):
        row = constant
        if ih_of[oh]*IW + W <= x_cells and ih_of[oh] >= 0:
            row = load(x, ih_of[oh]*IW)
        elif ih_of[oh] >= 0:
            copy(&row, at(x, ih_of[oh]*IW), IW)
        padded = choose(row, constant, table[0])
        if oh*OW + W <= y_cells:
            store(y, oh*OW, padded)
        else:
            copy(at(y, oh*OW), &padded, OW)
        if OW > W:
            store(y, oh*OW + OW - W, choose(row, constant, table[1]))


cdef inline void pad_planes(
    vec *y, const vec *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const vec *value, Py_ssize_t P,
    Py_ssize_t first, Py_ssize_t end, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    """Planes first..end-1 of P; `value` points at the constant, one element."""
    cdef vec[2] table
    cdef vec constant = splat(value, 0)
    # A vector reaches less than W cells behind its plane.
    cdef Py_ssize_t p, last = max(first, end - 1 - lanes(x)//min(IH*IW, OH*OW))
    cdef Py_ssize_t bytes = OH*OW*<Py_ssize_t> sizeof(vec)//lanes(x)
    set_lanes(table, iw_of, OW)
    if OW > lanes(x):
        for p in range(first, last):
            prefetch_run(<char *> at(y, p*OH*OW) + AHEAD, bytes)
            pad_plane_by(at(y, p*OH*OW), at(x, p*IH*IW), ih_of, table, constant, IW, OH, OW, True)
    else:
        for p in range(first, last):
            prefetch_run(<char *> at(y, p*OH*OW) + AHEAD, bytes)
            pad_plane_by(at(y, p*OH*OW), at(x, p*IH*IW), ih_of, table, constant, IW, OH, OW, False)
    for p in range(last, end):
        pad_at_end(at(y, p*OH*OW), at(x, p*IH*IW), ih_of, table, constant, IW, OH, OW,
                   (P - p)*IH*IW, (end - p)*OH*OW)
