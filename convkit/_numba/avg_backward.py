"""The gradient of average pooling: every cell gets, from each window that it is in, an equal share.

    dx[p, h0:h1, w0:w1] += dy[p, oh, ow] / (h_divisor * w_divisor)

Separable like the sum itself: a row of shares is first spread along a row of cells, in a buffer, and that
row is added to the KH rows of its windows. KW + KH/SH additions a cell, not their product. Planes stay in
the cache while their windows overlap, so memory sees dy once and dx once. A plane is one thread's.

A cell's sum has one rounding for each share, and the shares of its row one each for their sum.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy import uintp

from .compile import inner, kernel
from .windows import START, STOP, THIRD

SPAN = 4096  # columns done at a time: 16 or 32 KiB
TASK = 1 << 14  # cells that a thread does at a time, so that making the buffer costs nothing


@inner
def spread(cells, dy, of, h_divisor, w_windows, left, right):
    """Spread a row of shares over columns left..right - 1."""
    for i in range(right - left):
        cells[uintp(i)] = 0
    for ow in range(len(w_windows)):
        first, stop = max(w_windows[ow, START], left), min(w_windows[ow, STOP], right)
        if first < stop:
            share = dy[uintp(of + ow)] / cells.dtype.type(float(h_divisor) * w_windows[ow, THIRD])
            for i in range(first - left, stop - left):
                cells[uintp(i)] += share


@inner
def plane(dx, to, dy, of, cells, h_windows, w_windows, IH, IW):
    """Blocks of columns; in each, a row of outputs at a time."""
    OW = len(w_windows)
    for i in range(IH * IW):
        dx[uintp(to + i)] = 0
    for left in range(0, IW, SPAN):
        right = min(left + SPAN, IW)
        for oh in range(len(h_windows)):
            spread(cells, dy, of + oh * OW, h_windows[oh, THIRD], w_windows, left, right)
            for ih in range(h_windows[oh, START], h_windows[oh, STOP]):
                row = to + ih * IW + left
                for i in range(right - left):
                    dx[uintp(row + i)] += cells[uintp(i)]


@kernel
def avg_pool2d_backward(dx, dy, h_windows, w_windows):
    """Add to every cell of dx (P, IH, IW) its share of each dy (P, OH, OW) whose window it is in."""
    (P, IH, IW), (_, OH, OW) = dx.shape, dy.shape
    dx, dy = dx.reshape(dx.size), dy.reshape(dy.size)
    count = TASK // (IH * IW) + 1
    for task in prange((P - 1) // count + 1):
        cells = np.empty(SPAN, dx.dtype)
        for p in range(task * count, min(P, (task + 1) * count)):
            plane(dx, p * IH * IW, dy, p * OH * OW, cells, h_windows, w_windows, IH, IW)
