"""A small plane in a few registers, pooled as one row of cells; its true outputs are then picked out.

    down[i]      cells i, i + IW ... i + (KH-1)*IW, added (or compared)
    along[i]     down[i] to down[i + KW-1], added (or compared)
    y[oh, ow]    along[oh*SH*IW + ow*SW]

A row of 7 cells does not fill a register, but the plane of 49 is three of them and a cell, on which all
windows begin at once. Most of those lie across the end of a row, or between the ones that a stride asks for;
a shuffle with a table of lanes, made once a task, leaves them out. All windows must have one size and lie
at one distance; sums have the roundings of ``pool_registers``.

What the last register writes behind a plane is overwritten by the next plane's outputs. The last planes of
a task, and those behind which nothing may be read, go through buffers. Sums are divided behind that, many
planes at a time: a division for each register of a plane took as long as all the rest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import uintp

from .compile import inner, separate
from .lookup import choose, following, has_lookup, lanes_at
from .memory import copy_run
from .pool_registers import both_by
from .registers import every, read, width, write
from .windows import START, THIRD, find_run

__all__ = ["PLANES", "fits_planes", "pool_planes_by"]

REGISTERS = 4  # of a plane, at most: with the sums downwards and along that is half of those that there are
TERMS = 10  # down and along, at most: more are faster in the lanes
CELLS = 12  # registers of a plane with all its cells, at most
PLANES = 512  # that a thread does at a time
AT_ONCE = 64  # of them that are divided together


class Windows(NamedTuple):
    """The windows of an axis, if they are all alike: K cells, S apart, from `start` on; else K is 0."""

    start: int
    K: int
    S: int
    third: int


@separate
def alike(windows):
    first, end, K, S = find_run(windows)
    if end - first < len(windows) or S < 0:
        return Windows(0, 0, 0, 0)
    return Windows(windows[0, START], K, S, windows[0, THIRD])


@separate
def fits_planes(x, h_windows, w_windows, IH, IW, maximum):
    """Tell whether `pool_planes` serves such planes and windows."""
    W, OH, OW = width(x), len(h_windows), len(w_windows)
    if not has_lookup(x) or IH * IW > CELLS * W or OH * OW > REGISTERS * W:
        return False
    h, w = alike(h_windows), alike(w_windows)
    dilated = maximum and (h.third != 1 or w.third != 1)
    # All windows of a plane begin in so many cells, and what is added along a row comes from there.
    cells = (OH - 1) * h.S * IW + (OW - 1) * w.S + w.K
    return h.K > 0 and w.K > 0 and h.K + w.K <= TERMS and not dilated and cells <= REGISTERS * W


@inner
def set_lanes(lanes, which, h, w, OH, OW, IW, W):
    """Fill the tables: for each output the lane of its two registers, and which of the two pairs."""
    for i in range(len(lanes)):
        o = min(i, OH * OW - 1)
        cell = o // OW * h.S * IW + o % OW * w.S
        lanes[i] = cell % (2 * W)
        which[i] = i % W + (W if cell >= 2 * W else 0)


def plane_with(C, maximum):
    """Return a function for planes whose windows begin in C registers, a constant in it."""
    both = both_by(maximum)

    @inner
    def down(x, i, KH, IW):
        v = read(x, i)
        for kh in range(1, KH):
            v = both(v, read(x, i + kh * IW))
        return v

    @inner
    def plane(y, to, x, of, lanes, which, KH, KW, IW, outputs):
        W = width(x)
        a = down(x, of, KH, IW)
        b = down(x, of + W, KH, IW) if C > 1 else a
        c = down(x, of + 2 * W, KH, IW) if C > 2 else a
        d = down(x, of + 3 * W, KH, IW) if C > 3 else a
        along_a, along_b, along_c, along_d = a, b, c, d
        for _ in range(1, KW):  # no window that is kept looks at what comes in behind the last register
            a = following(a, b)
            along_a = both(along_a, a)
            if C > 1:
                b = following(b, c)
                along_b = both(along_b, b)
            if C > 2:
                c = following(c, d)
                along_c = both(along_c, c)
            if C > 3:
                d = following(d, d)
                along_d = both(along_d, d)
        for i in range(0, outputs, W):
            lane = lanes_at(x, lanes, i)
            v = choose(along_a, along_b, lane)
            if C > 2:
                v = choose(v, choose(along_c, along_d, lane), lanes_at(x, which, i))
            write(y, to + i, v)

    return plane


def planes_with(C, K, maximum):
    """Return a function for n planes of `cells` cells; windows of K x K cells, or any if K is 0."""
    plane = plane_with(C, maximum)

    @separate
    def planes(y, to, x, of, n, lanes, which, KH, KW, cells, IW, outputs):
        for p in range(n):
            i, j = to + p * outputs, of + p * cells
            plane(y, i, x, j, lanes, which, K if K else KH, K if K else KW, IW, outputs)

    return planes


@inner
def divide(y, first, end, divisor):
    by, W = every(y, divisor), width(y)
    for i in range(first, end - W + 1, W):
        write(y, i, read(y, i) / by)
    for i in range(end - (end - first) % W, end):
        y[uintp(i)] /= y.dtype.type(divisor)


def pool_planes_by(maximum):
    """Return a function for the small planes of one task, by maxima or by averages."""
    any_planes = planes_with(REGISTERS, 0, maximum)
    # Constants for the usual windows on 7x7 cells, in registers of 16 lanes.
    planes_2, planes_3, planes_5 = (planes_with(*c, maximum) for c in ((3, 2), (3, 3), (1, 5)))

    @separate
    def pool_planes(y, x, h_windows, w_windows, first, end, IH, IW):
        """Planes first..end - 1."""
        W, OH, OW, cells = width(x), len(h_windows), len(w_windows), IH * IW
        h, w, outputs = alike(h_windows), alike(w_windows), OH * OW
        begin, divisor = h.start * IW + w.start, float(h.third) * float(w.third)
        lanes, which = np.empty(REGISTERS * W, np.int32), np.empty(REGISTERS * W, np.int32)
        set_lanes(lanes, which, h, w, OH, OW, IW, W)

        # Whole registers are read up to `reach` cells from where a plane begins, and written.
        reach = begin + (h.K - 1) * IW + REGISTERS * W
        written = (outputs + W - 1) // W * W
        n = max(0, min(end - first, (x.size - reach) // cells + 1 - first))
        n = min(n, max(0, (end - first) - (written - 1) // outputs))
        C = ((OH - 1) * h.S * IW + (OW - 1) * w.S + w.K + W - 1) // W
        for p in range(first, first + n, AT_ONCE):
            some, to, of = min(AT_ONCE, first + n - p), p * outputs, p * cells + begin
            if C <= 3 and h.K == 2 and w.K == 2:
                planes_2(y, to, x, of, some, lanes, which, 2, 2, cells, IW, outputs)
            elif C <= 3 and h.K == 3 and w.K == 3:
                planes_3(y, to, x, of, some, lanes, which, 3, 3, cells, IW, outputs)
            elif C == 1 and h.K == 5 and w.K == 5:
                planes_5(y, to, x, of, some, lanes, which, 5, 5, cells, IW, outputs)
            else:
                any_planes(y, to, x, of, some, lanes, which, h.K, w.K, cells, IW, outputs)
            if not maximum:
                divide(y, to, to + some * outputs, divisor)
        source, result = np.zeros(cells + reach, x.dtype), np.empty(written, x.dtype)
        for p in range(first + n, end):
            copy_run(source, 0, x, p * cells, cells)
            any_planes(result, 0, source, begin, 1, lanes, which, h.K, w.K, cells, IW, outputs)
            copy_run(y, p * outputs, result, 0, outputs)
        if not maximum:
            divide(y, (first + n) * outputs, end * outputs, divisor)

    return pool_planes
