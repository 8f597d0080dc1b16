"""The microkernel: a tile of output channels by pixels, all of whose sums stay in registers.

    out[r, p] = start[r] + sum over k of  w[r, k] * x[off[k] + p]

Every convolution here is calls of it. ``off`` is the offset table: where, counted in elements, the tile's
first pixel finds its factor for term k, which is one input channel and one tap. Pixels stand in the lanes
of a vector (vec.py). A term costs one load of them and 8 weights that are copied to all lanes, for 8
multiply-adds of a vector.
"""

from __future__ import annotations

from .compile import separate
from .pointers import at
from .vec import load, splat, store

__all__ = ["MR", "tile"]

MR = 8
"""Rows of a tile: output channels."""


@separate
def tile(R, out, ldo, x, off, w, ldw, K, start, fresh):
    """Compute R <= MR output channels of a vector of pixels.

    Row r of the tile goes to ``out[r*ldo]`` and beyond. Its weights are ``w[r*ldw + k]``, and its sums begin with
    ``start[r]`` or, if not `fresh`, go on from what `out` holds. ``x[off[k]]`` is what the first pixel reads
    for term k. Where there are fewer than MR rows, the last one is computed several times.
    """
    r1, r2, r3, r4 = min(1, R - 1), min(2, R - 1), min(3, R - 1), min(4, R - 1)
    r5, r6, r7 = min(5, R - 1), min(6, R - 1), R - 1
    out1, out2, out3, out4 = at(out, r1 * ldo), at(out, r2 * ldo), at(out, r3 * ldo), at(out, r4 * ldo)
    out5, out6, out7 = at(out, r5 * ldo), at(out, r6 * ldo), at(out, r7 * ldo)
    w1, w2, w3, w4 = at(w, r1 * ldw), at(w, r2 * ldw), at(w, r3 * ldw), at(w, r4 * ldw)
    w5, w6, w7 = at(w, r5 * ldw), at(w, r6 * ldw), at(w, r7 * ldw)
    if fresh:
        s0, s1, s2, s3 = splat(start, 0), splat(start, r1), splat(start, r2), splat(start, r3)
        s4, s5, s6, s7 = splat(start, r4), splat(start, r5), splat(start, r6), splat(start, r7)
    else:
        s0, s1, s2, s3 = load(out, 0), load(out1, 0), load(out2, 0), load(out3, 0)
        s4, s5, s6, s7 = load(out4, 0), load(out5, 0), load(out6, 0), load(out7, 0)
    for k in range(K):
        pixels = load(x, off[k])
        s0 = s0 + splat(w, k) * pixels
        s1 = s1 + splat(w1, k) * pixels
        s2 = s2 + splat(w2, k) * pixels
        s3 = s3 + splat(w3, k) * pixels
        s4 = s4 + splat(w4, k) * pixels
        s5 = s5 + splat(w5, k) * pixels
        s6 = s6 + splat(w6, k) * pixels
        s7 = s7 + splat(w7, k) * pixels
    store(out, 0, s0)
    store(out1, 0, s1)
    store(out2, 0, s2)
    store(out3, 0, s3)
    store(out4, 0, s4)
    store(out5, 0, s5)
    store(out6, 0, s6)
    store(out7, 0, s7)
