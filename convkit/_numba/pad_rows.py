"""Short rows in registers: a padded row is a shuffle of a row, whatever the padding mode.

    y[p, oh] = lanes of (x[p, ih_of[oh]] followed by the constant), as iw_of numbers them

A row of 7 cells is less than a register, and its border, cell by cell, costs more than all the rest. One
read brings the row, and more that is not looked at; a shuffle by a table of lanes, made once a call, puts
each cell where the mode shows it, and the constant where it shows none; one write stores it. What that
writes beyond the row is overwritten by the next one. If a padded row is longer than a register, a second
one ends with it.

Nothing may be read behind the last plane of x, nor written behind the last plane of a thread: there a row
goes through a buffer.
"""

from __future__ import annotations

import numpy as np
from numpy import uintp

from .compile import inner, separate
from .lookup import choose, has_lookup, lanes_at
from .registers import every, read, width, write

__all__ = ["fits_registers", "pad_planes"]


@inner
def fits_registers(x, IW, OW):
    """Tell whether `pad_planes` serves such rows."""
    return has_lookup(x) and width(x) >= IW and 2 * width(x) >= OW


@inner
def set_lanes(table, iw_of, OW, W):
    """Fill the table: the first register of a padded row, and the last one, which may be the same."""
    for i in range(2 * W):
        ow = i if i < W else max(OW - W, 0) + i - W
        iw = iw_of[min(ow, OW - 1)]
        table[i] = iw if iw >= 0 else W


@inner
def pad_plane(y, to, x, of, ih_of, left, right, constant, IW, OH, OW, two):
    W = width(x)
    for oh in range(OH):
        ih, start = ih_of[oh], to + oh * OW
        row = read(x, of + ih * IW) if ih >= 0 else constant
        write(y, start, choose(row, constant, left))
        if two:
            write(y, start + OW - W, choose(row, constant, right))


@inner
def pad_at_end(y, to, x, of, ih_of, left, right, constant, buffer, IW, OH, OW):
    """The same for one of the last planes: a row comes and goes through the buffer, two registers long."""
    W = width(x)
    for oh in range(OH):
        ih, start = ih_of[oh], to + oh * OW
        if ih >= 0:
            for iw in range(IW):
                buffer[uintp(iw)] = x[uintp(of + ih * IW + iw)]
        row = read(buffer, 0) if ih >= 0 else constant
        write(buffer, 0, choose(row, constant, left))
        if OW > W:
            write(buffer, OW - W, choose(row, constant, right))
        for ow in range(OW):
            y[uintp(start + ow)] = buffer[uintp(ow)]


@separate
def pad_planes(first, end, y, x, ih_of, iw_of, value, P, IH, IW, OH, OW):
    """Planes first..end - 1 of P."""
    W = width(x)
    table, buffer = np.empty(2 * W, np.int32), np.zeros(2 * W, x.dtype)
    set_lanes(table, iw_of, OW, W)
    constant, left, right = every(x, float(value)), lanes_at(x, table, 0), lanes_at(x, table, W)
    # A register reaches less than W cells behind its plane.
    last = max(first, end - 1 - W // min(IH * IW, OH * OW))
    if OW > W:
        for p in range(first, last):
            pad_plane(y, p * OH * OW, x, p * IH * IW, ih_of, left, right, constant, IW, OH, OW, True)
    else:
        for p in range(first, last):
            pad_plane(y, p * OH * OW, x, p * IH * IW, ih_of, left, right, constant, IW, OH, OW, False)
    for p in range(last, end):
        pad_at_end(y, p * OH * OW, x, p * IH * IW, ih_of, left, right, constant, buffer, IW, OH, OW)
