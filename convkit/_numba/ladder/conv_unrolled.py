"""Rung three: several output channels and several terms in one statement.

What limited rung two
---------------------
Short rows: to begin and to end a row took longer than its multiply-adds. And memory traffic: for each
multiply-add of a vector, two vectors were loaded and one stored, 12 bytes for 2 FLOPs, where a core that
does 64 FLOPs a cycle can load 128 bytes and store 64.

The change
----------
The cells that a few outputs need are first laid out in rows, one row a term, so that they are neighbours
whatever stride, dilation and padding say. Then one pass over a row of outputs adds four terms to four output
channels: 16 multiply-adds for 8 loads and 4 stores, 3 bytes for 2 FLOPs. The 16 weights are variables, and
stay in registers; the sums do not, they pass through.

What to expect
--------------
LLVM makes vectors of the pass: it sees a loop without any sum that waits for another. A pass now does
sixteen times as much between its beginning and its end. But of 56 outputs only 48 are whole vectors, and
the 8 left over take longer than one more vector would. And the sums still move for every four terms.
"""

from __future__ import annotations

import numpy as np

from ..compile import inner, kernel, separate
from ..pointers import at, pointer, release
from ..shape import shape_of

TERMS, OUTPUTS = 64, 128
"""Rows and columns of the cells: 32 KiB of float32, most of an L1 cache."""
PITCH = OUTPUTS + 16
"""From one row of cells to the next: a cache line more, or all rows would want the same places in a cache."""


@separate
def lay_out(cells, x, s, ih_of, iw_of, first_term, terms, oh, ow, outputs, zero):
    """Fill a row for each term with what the outputs from (oh, ow) on need, up to four rows with zeros."""
    for k in range((terms + 3) // 4 * 4):
        c, tap = (first_term + k) // (s.KH * s.KW), (first_term + k) % (s.KH * s.KW)
        kh, kw = tap // s.KW, tap % s.KW
        ih = ih_of[oh * s.SH + kh * s.DH] if k < terms else -1
        row, of, to = at(iw_of, ow * s.SW + kw * s.DW), (c * s.IH + ih) * s.IW, k * PITCH
        for i in range(outputs):
            iw = row[i * s.SW]
            cells[to + i] = x[of + iw] if ih >= 0 and iw >= 0 else zero


@inner
def four_weights(w, k, K, zero):
    """Return the weights of four terms, zeros of their own type for those that are missing."""
    w1 = w[k + 1] if k + 1 < K else zero
    w2 = w[k + 2] if k + 2 < K else zero
    return w[k], w1, w2, w[k + 3] if k + 3 < K else zero


@separate(fastmath={"contract"})
def add_terms(sums, cells, n, u, v, w, z):
    """Add four terms to four rows of sums; u, v, w and z are the rows' weights."""
    u0, u1, u2, u3 = u
    v0, v1, v2, v3 = v
    w0, w1, w2, w3 = w
    z0, z1, z2, z3 = z
    for i in range(n):
        c0, c1, c2, c3 = cells[i], cells[PITCH + i], cells[2 * PITCH + i], cells[3 * PITCH + i]
        sums[i] = sums[i] + u0 * c0 + u1 * c1 + u2 * c2 + u3 * c3
        sums[PITCH + i] = sums[PITCH + i] + v0 * c0 + v1 * c1 + v2 * c2 + v3 * c3
        sums[2 * PITCH + i] = sums[2 * PITCH + i] + w0 * c0 + w1 * c1 + w2 * c2 + w3 * c3
        sums[3 * PITCH + i] = sums[3 * PITCH + i] + z0 * c0 + z1 * c1 + z2 * c2 + z3 * c3


@separate
def convolve_row(y, ldy, sums, cells, w, ldw, b, M, K, n, fresh, zero):
    """Add K terms to n outputs of M output channels, four terms and four channels at a time.

    ``y[m*ldy]`` is the first output of channel m and ``w[m*ldw]`` its first weight.
    """
    for m in range(0, M, 4):
        rows = min(4, M - m)
        for r in range(rows):
            for i in range(n):
                sums[r * PITCH + i] = b[m + r] if fresh else y[(m + r) * ldy + i]
        for k in range(0, K, 4):
            u = four_weights(at(w, m * ldw), k, K, zero)
            v = four_weights(at(w, min(m + 1, M - 1) * ldw), k, K, zero)
            t = four_weights(at(w, min(m + 2, M - 1) * ldw), k, K, zero)
            z = four_weights(at(w, min(m + 3, M - 1) * ldw), k, K, zero)
            add_terms(sums, at(cells, k * PITCH), n, u, v, t, z)
        for r in range(rows):
            for i in range(n):
                y[(m + r) * ldy + i] = sums[r * PITCH + i]


@kernel
def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    s = shape_of(y, x, w, SH, SW, DH, DW)
    IC, OC, OHW, K = s.IC // s.G, s.OC // s.G, s.OH * s.OW, s.IC // s.G * s.KH * s.KW
    rows, four = np.empty(TERMS * PITCH, y.dtype), np.zeros(4 * PITCH, y.dtype)
    cells, sums, zero = pointer(rows), pointer(four), y.dtype.type(0)
    for image in range(s.N * s.G):
        g = image % s.G
        of, to = at(pointer(x), image * IC * s.IH * s.IW), at(pointer(y), image * OC * OHW)
        for oh in range(s.OH):
            for ow in range(0, s.OW, OUTPUTS):
                n = min(OUTPUTS, s.OW - ow)
                for k in range(0, K, TERMS):
                    terms = min(TERMS, K - k)
                    lay_out(cells, of, s, pointer(ih_of), pointer(iw_of), k, terms, oh, ow, n, zero)
                    here, weights = at(to, oh * s.OW + ow), at(pointer(w), g * OC * K + k)
                    start = at(pointer(b), g * OC)
                    convolve_row(here, OHW, sums, cells, weights, K, start, OC, terms, n, k == 0, zero)
    release(rows)
    release(four)
