"""Depthwise convolution: groups of one input channel, a sum of KH*KW terms and no more.

No other channel uses a cell again, so there are no tiles of channels: outputs are computed a vector at
a time. At 9 multiply-adds an output, loads take longer than these. Rows shorter than a vector are
computed together, by their numbers in the planes, and then copied without the worthless outputs
between them.
"""

from __future__ import annotations

from .compile import separate
from .microkernel import MR
from .pointers import at
from .vec import lanes, load, splat, store_first

__all__ = ["depthwise_block"]


@separate
def depthwise_block(y, scratch, planes, off, w, taps, start, p, OW):
    """Compute a block of one output channel.

    y is its first output, `planes` the cell of that number, w its weights and `start` its bias.
    """
    L = lanes(y)
    straight = p.cols >= L or p.rows == 1
    rows = 1 if straight else (MR * L - p.cols) // p.pitch + 1  # as many as scratch holds
    for oh in range(0, p.rows, rows):
        count = min(rows, p.rows - oh)
        out = at(y, oh * OW) if straight else scratch
        row(out, at(planes, oh * p.pitch), off, w, taps, start, (count - 1) * p.pitch + p.cols)
        if not straight:
            for r in range(count):
                store_first(y, (oh + r) * OW, load(scratch, r * p.pitch), p.cols)


@separate
def row(y, x, off, w, taps, start, n):
    """Compute n outputs: start + the sum over t of w[t] * x[off[t]...]."""
    if taps == 9:
        nine_taps(y, x, off, w, start, n)
        return
    for ow in range(0, n, lanes(y)):
        acc = splat(start, 0)
        for t in range(taps):
            acc = acc + splat(w, t) * load(x, off[t] + ow)
        store_first(y, ow, acc, n - ow)


@separate
def nine_taps(y, x, off, w, start, n):
    """The same for nine taps, whose weights stay in registers."""
    w0, w1, w2 = splat(w, 0), splat(w, 1), splat(w, 2)
    w3, w4, w5 = splat(w, 3), splat(w, 4), splat(w, 5)
    w6, w7, w8 = splat(w, 6), splat(w, 7), splat(w, 8)
    x0, x1, x2 = at(x, off[0]), at(x, off[1]), at(x, off[2])
    x3, x4, x5 = at(x, off[3]), at(x, off[4]), at(x, off[5])
    x6, x7, x8 = at(x, off[6]), at(x, off[7]), at(x, off[8])
    bias = splat(start, 0)
    for i in range(0, n, lanes(y)):
        acc = bias + w0 * load(x0, i) + w1 * load(x1, i) + w2 * load(x2, i)
        acc = acc + w3 * load(x3, i) + w4 * load(x4, i) + w5 * load(x5, i)
        acc = acc + w6 * load(x6, i) + w7 * load(x7, i) + w8 * load(x8, i)
        store_first(y, i, acc, n - i)
