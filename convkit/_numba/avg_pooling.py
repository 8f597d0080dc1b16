"""Average pooling: separable sums of windows, then one true division.

    y[p, oh, ow] = sum of x[p, h0:h1, w0:w1] / (h_divisor * w_divisor)

Bound by memory where windows are small and the array exceeds the caches, inside them by shuffles and
edges: each input is read once, each output written once, and the separable sum needs, at stride 1,
(KH - 1) + (KW - 1) additions an output and not KH*KW. Five ways:

- in registers, for the interior of rows with common windows (``pool_registers``), where sums are in the
  arrays' precision, with the error bound given there; edge outputs are added one by one;
- small planes as one row in a few registers, if their windows are all alike (``pool_planes``);
- small planes side by side in the lanes of registers (``planes_in_lanes``), any windows;
- planes that are one window, from their first cell to their last (``avg_planes``), in double;
- anything else by strips of rows, downwards first and then along, in double (``avg_windows``).
"""

from __future__ import annotations

from numba import prange
from numpy import uintp

from .avg_planes import WHOLE, average_planes, is_whole
from .avg_windows import any_rows, buffer, rows_at_once
from .compile import inner, kernel
from .planes_in_lanes import are_small, groups_of, pool_group_by
from .pool_planes import PLANES, fits_planes, pool_planes_by
from .pool_registers import FROM_MEMORY, in_registers, pool_rows_by
from .registers import width
from .windows import START, STOP, THIRD, find_run

pool_rows, pool_group = pool_rows_by(maximum=False), pool_group_by(maximum=False)
pool_planes = pool_planes_by(maximum=False)

STRIP = 64  # rows of outputs with common windows that one thread does at a time


# --- rows with common windows --------------------------------------------------------------


@inner
def edge(y, to, x, of, h_windows, w_windows, ow, first, end, IW):
    """Rows first..end - 1 of a column beside the regular ones, whose windows the edge has clipped."""
    start, stop, divisor = w_windows[ow, START], w_windows[ow, STOP], float(w_windows[ow, THIRD])
    for oh in range(first, end):
        h_start, h_stop, h_divisor = h_windows[oh, START], h_windows[oh, STOP], h_windows[oh, THIRD]
        total = x.dtype.type(0)
        for ih in range(h_start, h_stop):
            for iw in range(start, stop):
                total += x[uintp(of + ih * IW + iw)]
        y[uintp(to + oh * len(w_windows) + ow)] = total / x.dtype.type(h_divisor * divisor)


@inner
def common_rows(y, to, x, of, h_windows, w_windows, run, IW, first, end, far):
    """Rows first..end - 1 of the plane that begins at y[to] and x[of]."""
    start, stop, OW = run[0], run[1], len(w_windows)
    column = of + w_windows[start, START]
    pool_rows(y, to + start, x, column, h_windows, w_windows, run, (IW, OW), first, end, far)
    for ow in range(OW - (stop - start)):
        edge(y, to, x, of, h_windows, w_windows, ow if ow < start else ow + stop - start, first, end, IW)


# --- all planes ----------------------------------------------------------------------------


@kernel
def avg_pool2d(y, x, h_windows, w_windows):
    """Fill y (P, OH, OW) with the averages of the windows of x (P, IH, IW)."""
    (P, OH, OW), (_, IH, IW) = y.shape, x.shape
    y, x = y.reshape(y.size), x.reshape(x.size)
    run = find_run(w_windows)
    start, stop, K, S = run
    if is_whole(h_windows, IH) and is_whole(w_windows, IW):
        divisor = float(h_windows[0, THIRD]) * float(w_windows[0, THIRD])
        count = WHOLE // (IH * IW) + 1
        for task in prange((P - 1) // count + 1):
            average_planes(y, x, task * count, min(P, (task + 1) * count), IH * IW, divisor)
    elif in_registers(S, K) and stop - start >= width(x):
        strips = (OH - 1) // STRIP + 1
        far = x.size > FROM_MEMORY
        for task in prange(P * strips):
            p, oh = task // strips, task % strips * STRIP
            end = min(oh + STRIP, OH)
            common_rows(y, p * OH * OW, x, p * IH * IW, h_windows, w_windows, run, IW, oh, end, far)
    elif fits_planes(x, h_windows, w_windows, IH, IW, False):
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
            any_rows(y, x, buffer(), h_windows, w_windows, first, last, IH, IW)
