"""Max pooling that tells where each maximum was.

    y[p, oh, ow]       = max of x[p, h0:h1:step, w0:w1:step]
    indices[p, oh, ow] = ih*IW + iw of it: the first of equals, the last NaN

A window is walked row by row, so the maxima *along* the rows come first and are then compared
downwards: each step prefers what it met earlier, as the walk does. Downwards first would need the
row numbers compared as well wherever values tie. A strip of a plane is done at a time: all of its rows are
reduced into a buffer, values and columns, each once, whatever the number of windows it is in; then the
outputs are folded from it. A place is kept as a float beside its value, so that both go through the
same registers; none is far enough from the strip's first cell for a float not to count it.

Small planes go side by side in the lanes of registers, as in ``planes_in_lanes``.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy import uintp

from ..scalars import compiled_by
from .compile import inner, kernel, separate
from .planes_in_lanes import CELLS as LANES_CELLS
from .planes_in_lanes import GROUPS, are_small, from_lanes, groups_of, numbers_from_lanes, to_lanes
from .pool_registers import in_registers
from .registers import (
    chosen,
    evens,
    every,
    larger,
    next_1,
    next_2,
    odds,
    read,
    third_0,
    third_1,
    third_2,
    width,
    write,
)
from .windows import START, STOP, THIRD, block_of, find_run

takes_over = compiled_by(inner)["takes_over"]

CELLS = 4096  # of a buffer: 16 or 32 KiB
TASK = 1 << 15  # cells that a thread does at a time, so that making the buffers costs nothing
EXACT = 1 << 24  # float32 counts as far as that


# --- along a row ---------------------------------------------------------------------------


@inner
def scan(x, of, w_windows, ow):
    """Return the maximum of a window in one row, and its column."""
    first, stop, step = w_windows[ow, START], w_windows[ow, STOP], w_windows[ow, THIRD]
    best, where = x[uintp(of + first)], first
    iw = first + step
    while iw < stop:
        value = x[uintp(of + iw)]
        if takes_over(value, best):
            best, where = value, iw
        iw += step
    return best, where


@inner
def along_any(values, columns, at, x, of, w_windows, first, end):
    """Reduce a row for outputs first..end - 1; that of output 0 goes to values[at]."""
    for ow in range(first, end):
        best, where = scan(x, of, w_windows, ow)
        values[uintp(at + ow)] = best
        columns[uintp(at + ow)] = where


def along_with(S, K):
    """Return a function for windows of K columns, S apart, which are constants in it."""

    @inner
    def along(values, columns, at, x, of, column, count, ramp):
        """Reduce a row for `count` windows, of which the first begins at x[of + column]."""
        W = width(x)
        last = S * (W - 1) + K - W
        one = every(x, 1.0)
        i = 0
        while True:
            first = column + S * i
            a = read(x, of + first)
            b = read(x, of + first + W) if S > 1 else a
            c = read(x, of + first + 2 * W) if S > 2 else a
            d = read(x, of + first + last) if K > S else a
            best = a if S == 1 else evens(a, b) if S == 2 else third_0(a, b, c)
            j = where = ramp + every(x, float(first))
            for k in range(1, K):
                if S == 1:
                    tap = read(x, of + first + k)
                elif S == 2:
                    tap = odds(a, b) if k == 1 else next_1(evens(a, b), d)
                elif k < S:
                    tap = third_1(a, b, c) if k == 1 else third_2(a, b, c)
                else:
                    tap = next_2(third_0(a, b, c), d) if k == 3 else next_1(third_1(a, b, c), d)
                j = j + one
                where = chosen(best, tap, where, j)
                best = larger(best, tap)
            write(values, at + i, best)
            write(columns, at + i, where)
            if i + W >= count:
                break
            i = min(i + W, count - W)

    return along


along_1_2, along_1_3, along_2_2 = along_with(1, 2), along_with(1, 3), along_with(2, 2)
along_2_3, along_3_3, along_3_5 = along_with(2, 3), along_with(3, 3), along_with(3, 5)


@inner
def along_common(values, columns, at, x, of, column, count, S, K, ramp):
    if S == 1 and K == 2:
        along_1_2(values, columns, at, x, of, column, count, ramp)
    elif S == 1:
        along_1_3(values, columns, at, x, of, column, count, ramp)
    elif S == 2 and K == 2:
        along_2_2(values, columns, at, x, of, column, count, ramp)
    elif S == 2:
        along_2_3(values, columns, at, x, of, column, count, ramp)
    elif K == 3:
        along_3_3(values, columns, at, x, of, column, count, ramp)
    else:
        along_3_5(values, columns, at, x, of, column, count, ramp)


# --- down the rows -------------------------------------------------------------------------


@inner
def fold(y, to, values, columns, at, rows, pitch, apart, OW):
    """Compare `rows` reduced rows downwards, of OW cells, at least a register.

    They begin at values[at], `pitch` cells apart. Cells of x in neighbouring ones are `apart` from one
    another; where the maxima are, counted from the first one's row, goes to the end of `columns`.
    """
    W, end = width(values), len(columns) - OW
    ow = 0
    while True:
        best, where = read(values, at + ow), read(columns, at + ow)
        for r in range(1, rows):
            value = read(values, at + r * pitch + ow)
            j = read(columns, at + r * pitch + ow) + every(values, float(r * apart))
            where = chosen(best, value, where, j)
            best = larger(best, value)
        write(y, to + ow, best)
        write(columns, end + ow, where)
        if ow + W >= OW:
            break
        ow = min(ow + W, OW - W)


@inner
def fold_short(y, to, values, columns, at, rows, pitch, apart, OW):
    """The same for fewer cells than a register has."""
    end = len(columns) - OW
    for ow in range(OW):
        best, where = values[uintp(at + ow)], columns[uintp(at + ow)]
        for r in range(1, rows):
            value = values[uintp(at + r * pitch + ow)]
            if takes_over(value, best):
                best, where = value, columns[uintp(at + r * pitch + ow)] + r * apart
        y[uintp(to + ow)] = best
        columns[uintp(end + ow)] = where


@separate
def strip(y, indices, to, values, columns, x, of, h_windows, w_windows, run, first, end, low, high, IW):
    """Rows first..end - 1 of a plane, whose windows are in rows low..high - 1 of x."""
    start, stop, K, S = run
    OW, W, column = len(w_windows), width(x), w_windows[start, START]
    common = w_windows[start, THIRD] == 1 and in_registers(S, K) and stop - start >= W
    for lane in range(W):
        columns[lane] = S * lane
    ramp = read(columns, 0)  # 0, S, 2*S...
    for ih in range(low, high):
        at, row = (ih - low) * OW, of + ih * IW
        if common:
            along_common(values, columns, at + start, x, row, column, stop - start, S, K, ramp)
            if start > 0:  # even for nothing the call takes 20 ns, as long as ten registers
                along_any(values, columns, at, x, row, w_windows, 0, start)
            if stop < OW:
                along_any(values, columns, at, x, row, w_windows, stop, OW)
        else:
            along_any(values, columns, at, x, row, w_windows, 0, OW)
    for oh in range(first, end):
        ih, step = h_windows[oh, START], h_windows[oh, THIRD]
        rows, at, row = (h_windows[oh, STOP] - 1 - ih) // step + 1, (ih - low) * OW, to + oh * OW
        if OW < W:
            fold_short(y, row, values, columns, at, rows, step * OW, step * IW, OW)
        elif rows == 3:  # a constant, which saves the loop over the rows
            fold(y, row, values, columns, at, 3, step * OW, step * IW, OW)
        else:
            fold(y, row, values, columns, at, rows, step * OW, step * IW, OW)
        for ow in range(OW):
            indices[uintp(row + ow)] = ih * IW + np.int64(columns[uintp(len(columns) - OW + ow)])


@separate
def window_by_window(y, indices, to, x, of, h_windows, w_windows, first, end, IW):
    """Rows first..end - 1 of a plane without a buffer, which none of their windows fits."""
    OW = len(w_windows)
    for oh in range(first, end):
        top, stop, step = h_windows[oh, START], h_windows[oh, STOP], h_windows[oh, THIRD]
        for ow in range(OW):
            best, where = scan(x, of + top * IW, w_windows, ow)
            where += top * IW
            for ih in range(top + step, stop, step):
                value, iw = scan(x, of + ih * IW, w_windows, ow)
                if takes_over(value, best):
                    best, where = value, ih * IW + iw
            y[uintp(to + oh * OW + ow)] = best
            indices[uintp(to + oh * OW + ow)] = where


# --- small planes --------------------------------------------------------------------------


@inner
def reduced(cells, numbers, at, pitch, first, stop, step):
    """Return the maximum of the cells first, first + step... of a line, and its number."""
    best, where = read(cells, at + first * pitch), read(numbers, at + first * pitch)
    i = first + step
    while i < stop:
        value = read(cells, at + i * pitch)
        where = chosen(best, value, where, read(numbers, at + i * pitch))
        best = larger(best, value)
        i += step
    return best, where


@separate
def small_planes(task, y, indices, x, h_windows, w_windows, P, IH, IW):
    """The planes of one task, W at a time: along the rows, then down the columns."""
    OH, OW, W = len(h_windows), len(w_windows), width(x)
    cells, rows = np.zeros(LANES_CELLS * W, x.dtype), np.empty(LANES_CELLS * W, x.dtype)
    numbers, wheres = np.empty(LANES_CELLS * W, x.dtype), np.empty(LANES_CELLS * W, x.dtype)
    found = np.empty(LANES_CELLS * W, x.dtype)
    for c in range(IH * IW):
        write(numbers, c * W, every(x, float(c)))
    _, low, high = block_of(h_windows, 0, IH)  # the rows that windows are in
    for p in range(task * GROUPS * W, min(P, (task + 1) * GROUPS * W), W):
        planes = min(W, P - p)
        to_lanes(cells, x, p * IH * IW, planes, IH * IW)
        for ih in range(low, high):
            for ow in range(OW):
                first, stop, step = w_windows[ow, START], w_windows[ow, STOP], w_windows[ow, THIRD]
                best, where = reduced(cells, numbers, ih * IW * W, W, first, stop, step)
                write(rows, (ih * OW + ow) * W, best)
                write(wheres, (ih * OW + ow) * W, where)
        for oh in range(OH):
            first, stop, step = h_windows[oh, START], h_windows[oh, STOP], h_windows[oh, THIRD]
            for ow in range(OW):
                best, where = reduced(rows, wheres, ow * W, OW * W, first, stop, step)
                write(cells, (oh * OW + ow) * W, best)
                write(found, (oh * OW + ow) * W, where)
        from_lanes(y, p * OH * OW, cells, planes, OH * OW)
        numbers_from_lanes(indices, p * OH * OW, wheres, found, planes, OH * OW)


# --- all planes ----------------------------------------------------------------------------


@separate
def planes(first, end, y, indices, x, h_windows, w_windows, run, IH, IW):
    """Planes first..end - 1, strip by strip."""
    OH, OW = len(h_windows), len(w_windows)
    values, columns = np.empty(CELLS, x.dtype), np.empty(2 * CELLS, x.dtype)
    for p in range(first, end):
        to, of, oh = p * OH * OW, p * IH * IW, 0
        while oh < OH:
            stop, low, high = block_of(h_windows, oh, CELLS // OW)
            if (high - low) * OW <= CELLS and (high - low) * IW < EXACT:
                strip(
                    y, indices, to, values, columns, x, of, h_windows, w_windows, run, oh, stop, low, high, IW
                )
            else:
                window_by_window(y, indices, to, x, of, h_windows, w_windows, oh, stop, IW)
            oh = stop


@kernel
def max_pool2d_indices(y, indices, x, h_windows, w_windows):
    """Fill y (P, OH, OW) with the maxima of the windows of x (P, IH, IW), and indices with where."""
    (P, OH, OW), (_, IH, IW) = y.shape, x.shape
    y, indices, x = y.reshape(y.size), indices.reshape(indices.size), x.reshape(x.size)
    run = find_run(w_windows)
    if run[1] - run[0] < width(x) and are_small(x, P, IH, IW, OH, OW):
        for task in prange(groups_of(x, P)):
            small_planes(task, y, indices, x, h_windows, w_windows, P, IH, IW)
    else:
        count = TASK // (IH * IW) + 1
        for task in prange((P - 1) // count + 1):
            first, end = task * count, min(P, (task + 1) * count)
            planes(first, end, y, indices, x, h_windows, w_windows, run, IH, IW)
