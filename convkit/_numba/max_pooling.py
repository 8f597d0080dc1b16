"""Max pooling: the largest number of each window, and NaN where there is one.

    y[p, oh, ow] = max of x[p, h0:h1:step, w0:w1:step]

Bound by memory where windows are small; (KH - 1) + (KW - 1) comparisons an output, since a maximum is
separable. The four ways are the first ones of average pooling: in registers, small planes in a few of them
or in their lanes, and anything else by strips, downwards first (``max_windows``). Maxima do not round:
results are exact.

NaN costs a comparison and a masked move beside each hardware maximum, which forgets NaNs.
"""

from __future__ import annotations

from numba import prange
from numpy import uintp

from .compile import inner, kernel
from .max_windows import any_rows, buffer, rows_at_once, takes_over
from .planes_in_lanes import are_small, groups_of, pool_group_by
from .pool_planes import PLANES, fits_planes, pool_planes_by
from .pool_registers import FROM_MEMORY, in_registers, pool_rows_by
from .registers import width
from .windows import START, STOP, THIRD, find_run

pool_rows, pool_group = pool_rows_by(maximum=True), pool_group_by(maximum=True)
pool_planes = pool_planes_by(maximum=True)

STRIP = 64  # rows of outputs with common windows that one thread does at a time


# --- rows with common windows --------------------------------------------------------------


@inner
def edge(y, to, x, of, h_windows, w_windows, ow, first, end, IW):
    """Rows first..end - 1 of a column beside the regular ones, whose windows the edge has clipped."""
    start, stop, step = w_windows[ow, START], w_windows[ow, STOP], w_windows[ow, THIRD]
    for oh in range(first, end):
        ih, h_stop, h_step = h_windows[oh, START], h_windows[oh, STOP], h_windows[oh, THIRD]
        most = x[uintp(of + ih * IW + start)]
        while ih < h_stop:
            iw = start
            while iw < stop:
                value = x[uintp(of + ih * IW + iw)]
                most = value if takes_over(value, most) else most
                iw += step
            ih += h_step
        y[uintp(to + oh * len(w_windows) + ow)] = most


@inner
def common_rows(y, to, x, of, h_windows, w_windows, run, IW, first, end, far):
    """Rows first..end - 1 of the plane that begins at y[to] and x[of]; the edge has clipped some windows."""
    start, stop, OW = run[0], run[1], len(w_windows)
    column = of + w_windows[start, START]
    pool_rows(y, to + start, x, column, h_windows, w_windows, run, (IW, OW), first, end, far)
    for i in range(OW - (stop - start)):
        ow = i if i < start else i + stop - start
        edge(y, to, x, of, h_windows, w_windows, ow, first, end, IW)


# --- all planes ----------------------------------------------------------------------------


@kernel
def max_pool2d(y, x, h_windows, w_windows):
    """Fill y (P, OH, OW) with the maxima of the windows of x (P, IH, IW)."""
    (P, OH, OW), (_, IH, IW) = y.shape, x.shape
    y, x = y.reshape(y.size), x.reshape(x.size)
    run = find_run(w_windows)
    start, stop, K, S = run
    if w_windows[start, THIRD] == 1 and in_registers(S, K) and stop - start >= width(x):
        strips = (OH - 1) // STRIP + 1
        far = x.size > FROM_MEMORY
        for task in prange(P * strips):
            p, oh = task // strips, task % strips * STRIP
            end = min(oh + STRIP, OH)
            common_rows(y, p * OH * OW, x, p * IH * IW, h_windows, w_windows, run, IW, oh, end, far)
    elif fits_planes(x, h_windows, w_windows, IH, IW, True):
        for task in prange((P - 1) // PLANES + 1):
            first, last = task * PLANES, min(P, (task + 1) * PLANES)
            pool_planes(y, x, h_windows, w_windows, first, last, IH, IW)
    elif are_small(x, P, IH, IW, OH, OW):
        for task in prange(groups_of(x, P)):
            pool_group(task, y, x, h_windows, w_windows, P, IH, IW)
    else:
        rows = rows_at_once(IW)
        for task in prange((P * OH - 1) // rows + 1):
            first, last = task * rows, min(P * OH, (task + 1) * rows)
            any_rows(y, x, buffer(x), h_windows, w_windows, first, last, IH, IW)
