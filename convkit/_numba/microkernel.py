"""The microkernel: a tile of output channels by pixels, all of whose sums stay in registers.

    out[r, p] = start[r] + sum over k of  w[r, k] * x[off[k] + p]

Every convolution here is calls of it. ``off`` is the offset table: where, counted in elements, the tile's
first pixel finds its factor for term k, which is one input channel and one tap. Pixels stand in the lanes
of a vector (vec.py). A term costs one load of them and 8 weights that are copied to all lanes, for 8
multiply-adds of a vector.
"""

from __future__ import annotations

from .compile import inner
from .vec import load, splat, store

__all__ = ["MR", "tile"]

MR = 8
"""Rows of a tile: output channels."""


@inner
def tile(R, out, o, ldo, x, p, off, w, i, ldw, K, start, s, fresh):
    """Compute R <= MR output channels of a vector of pixels.

    ``out[o + r*ldo]`` is the first pixel of row r, ``w[i + r*ldw]`` its first weight and
    ``start[s + r]`` what its sums begin with; if not `fresh`, they go on from what `out` holds.
    ``x[p + off[k]]`` is what the first pixel reads for term k. Where there are fewer than MR rows, the last one
    is computed several times.
    """
    r1, r2, r3, r4, r5, r6, r7 = (
        min(1, R - 1),
        min(2, R - 1),
        min(3, R - 1),
        min(4, R - 1),
        min(5, R - 1),
        min(6, R - 1),
        R - 1,
    )
    if fresh:
        s0 = splat(start, s)
        s1 = splat(start, s + r1)
        s2 = splat(start, s + r2)
        s3 = splat(start, s + r3)
        s4 = splat(start, s + r4)
        s5 = splat(start, s + r5)
        s6 = splat(start, s + r6)
        s7 = splat(start, s + r7)
    else:
        s0 = load(out, o)
        s1 = load(out, o + r1 * ldo)
        s2 = load(out, o + r2 * ldo)
        s3 = load(out, o + r3 * ldo)
        s4 = load(out, o + r4 * ldo)
        s5 = load(out, o + r5 * ldo)
        s6 = load(out, o + r6 * ldo)
        s7 = load(out, o + r7 * ldo)
    w0, w1, w2, w3 = i, i + r1 * ldw, i + r2 * ldw, i + r3 * ldw
    w4, w5, w6, w7 = i + r4 * ldw, i + r5 * ldw, i + r6 * ldw, i + r7 * ldw
    for k in range(K):
        pixels = load(x, p + off[k])
        s0 = s0 + splat(w, w0 + k) * pixels
        s1 = s1 + splat(w, w1 + k) * pixels
        s2 = s2 + splat(w, w2 + k) * pixels
        s3 = s3 + splat(w, w3 + k) * pixels
        s4 = s4 + splat(w, w4 + k) * pixels
        s5 = s5 + splat(w, w5 + k) * pixels
        s6 = s6 + splat(w, w6 + k) * pixels
        s7 = s7 + splat(w, w7 + k) * pixels
    store(out, o, s0)
    store(out, o + r1 * ldo, s1)
    store(out, o + r2 * ldo, s2)
    store(out, o + r3 * ldo, s3)
    store(out, o + r4 * ldo, s4)
    store(out, o + r5 * ldo, s5)
    store(out, o + r6 * ldo, s6)
    store(out, o + r7 * ldo, s7)
