"""From planes to outputs: the microkernel, tile by tile, over some output channels of a group."""

from __future__ import annotations

from .compile import separate
from .microkernel import MR, tile
from .pointers import at
from .vec import lanes, load, load_first, store_first

__all__ = ["tiles"]


@separate
def tiles(y, scratch, planes, q, off, w, ldw, rows, K, start, fresh, M, p, s):
    """Compute M output channels of a block or, if not `fresh`, add to what y holds.

    y is the block's first output, planes[q] the cell of its number, w[m*ldw] the first weight of channel
    m, rows[r] is r*ldw, and `start` has the channels' first values.
    Where outputs that are neighbours in the planes' numbering are neighbours in y, whole vectors go
    there; other tiles go to `scratch` first, from which the rows are copied without the worthless
    outputs between them. The last tile begins earlier, as far as there are
    cells before, so that it reads less beyond the planes.
    """
    L, OHW = lanes(y), s.OH * s.OW
    outputs = (p.rows - 1) * p.pitch + p.cols
    straight = p.rows == 1 or p.pitch == s.OW
    for m in range(0, M, MR):
        R = min(MR, M - m)
        for first in range(0, outputs, L):
            n = min(L, outputs - first)
            whole = straight and n == L
            skip = min(L - n, q + first)  # lanes that have been computed already
            out, ldo = (at(y, m * OHW + first), OHW) if whole else (scratch, L)
            if not (whole or fresh):
                for r in range(R):
                    exchange_rows(at(y, (m + r) * OHW), at(scratch, r * L + skip), first, n, p, s.OW, False)
            tile(
                R,
                out,
                ldo,
                at(planes, q + first - skip),
                off,
                at(w, m * ldw),
                rows,
                1,
                K,
                at(start, m),
                fresh,
            )
            if not whole:
                for r in range(R):
                    exchange_rows(at(y, (m + r) * OHW), at(scratch, r * L + skip), first, n, p, s.OW, True)


@separate
def exchange_rows(y, scratch, output, n, p, OW, to_y):
    """Copy n outputs of one channel, some of them worthless, from a row of the scratch tile, or to it."""
    row, col, i = output // p.pitch, output % p.pitch, 0
    while i < n:
        count = min(n - i, p.cols - col)
        if count > 0 and to_y:
            store_first(y, row * OW + col, load(scratch, i), count)
        elif count > 0:
            store_first(scratch, i, load_first(y, row * OW + col, count), count)
        i += p.pitch - col
        col = 0
        row += 1
