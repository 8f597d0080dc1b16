"""Rung two: order the loops so that neighbouring outputs are summed side by side.

What limited rung one
---------------------
Each addition to a total waited for the one before it, 3 or 4 cycles for 2 FLOPs.

The change
----------
The loop over ow becomes the innermost one. A weight is taken once and a row of the image times that
weight is added to a row of outputs. These additions are independent of one another, and what they
read and write are neighbours, so LLVM makes vectors of them. The totals live in y meanwhile.

What to expect
--------------
For each multiply-add, load a cell and a total and store the total: 12 bytes for 2 FLOPs. Every tap
sweeps over a plane of x and one of y. Two of 56x56, 12.5 KB each, stay in an L1 cache of 48 KiB; larger
ones come from L2. A 1x1 window sweeps over a plane of x once only, which comes from further away.
Loads and stores, not multiplications, are what the core does now: at best half of its multiply-adds,
were rows endless. On short rows it does far less: a row of 56 needs 56/32 cycles for its multiply-adds
and several times as many to begin and to end.
"""

from __future__ import annotations

from ..compile import inner, kernel, separate
from ..pointers import at, pointer


@inner
def longest_run(iw_of, S, OW):
    """Find the longest stretch of outputs that read every S-th cell of a row, one after another."""
    start = stop = begin = 0
    for ow in range(OW):
        if iw_of[ow * S] < 0:
            begin = ow + 1
            continue
        if ow > begin and iw_of[ow * S] != iw_of[(ow - 1) * S] + S:
            begin = ow
        if ow + 1 - begin > stop - start:
            start, stop = begin, ow + 1
    return start, stop


@inner
def add_cells(y, x, there, iw_of, S, weight, zero, start, stop):
    """Add to outputs start to stop one by one, as the table says; a zero is a cell like any other."""
    for ow in range(start, stop):
        iw = iw_of[ow * S]
        y[ow] += weight * (x[iw] if there and iw >= 0 else zero)


@separate
def add_row(y, x, there, iw_of, S, weight, zero, OW, start, stop):
    """Add a row of x times a weight to a row of y; it is a row of padding unless it is `there`."""
    if not there:
        stop = start
    add_cells(y, x, there, iw_of, S, weight, zero, 0, start)
    if stop > start:
        run, to = at(x, iw_of[start * S]), at(y, start)
        if S == 1:
            for ow in range(stop - start):
                to[ow] += weight * run[ow]
        else:
            for ow in range(stop - start):
                to[ow] += weight * run[ow * S]
    add_cells(y, x, there, iw_of, S, weight, zero, stop, OW)


@kernel(fastmath={"contract"})
def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    N, OC, OH, OW = y.shape
    OC, ICG, KH, KW = w.shape
    IC, IH, IW = x.shape[1:]
    OCG, zero = OC * ICG // IC, y.dtype.type(0)
    for n in range(N):
        for oc in range(OC):
            rows = at(pointer(y), (n * OC + oc) * OH * OW)
            for ow in range(OH * OW):
                rows[ow] = b[oc]
            for ic in range(ICG):
                plane = at(pointer(x), (n * IC + oc // OCG * ICG + ic) * IH * IW)
                for kw in range(KW):
                    table = at(pointer(iw_of), kw * DW)
                    start, stop = longest_run(table, SW, OW)
                    for kh in range(KH):
                        for oh in range(OH):
                            ih = ih_of[oh * SH + kh * DH]
                            row, weight = at(plane, max(ih, 0) * IW), w[oc, ic, kh, kw]
                            add_row(at(rows, oh * OW), row, ih >= 0, table, SW, weight, zero, OW, start, stop)
