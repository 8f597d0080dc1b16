"""The microkernel: a tile of rows by lanes, all of whose sums stay in registers.

    out[r, lane] = start[r] + sum over k of  w[rows[r] + k*ldw] * x[off[k] + lane]

Every convolution here and both of its gradients are calls of it; only the tables differ. In a
convolution a row is an output channel and a lane is a pixel: ``off`` is the offset table, which says where
the tile's first pixel finds its factor for term k, one input channel and one tap. A term costs one load
of a vector (vec.py) and 8 numbers that are copied to all lanes, for 8 multiply-adds of a vector.
"""

from __future__ import annotations

from .compile import separate
from .pointers import at
from .vec import load, splat, store

__all__ = ["MR", "tile"]

MR = 8
"""Rows of a tile."""


@separate
def tile(R, out, ldo, x, off, w, rows, ldw, K, start, fresh):
    """Compute R <= MR rows of a vector each, of K terms.

    Row r goes to ``out[r*ldo]`` and beyond. Its sums begin with ``start[r]`` or, if not `fresh`, go on from
    what `out` holds. Where there are fewer than MR rows, the last one is computed several times.
    """
    r1, r2, r3, r4 = min(1, R - 1), min(2, R - 1), min(3, R - 1), min(4, R - 1)
    r5, r6, r7 = min(5, R - 1), min(6, R - 1), R - 1
    out1, out2, out3, out4 = at(out, r1 * ldo), at(out, r2 * ldo), at(out, r3 * ldo), at(out, r4 * ldo)
    out5, out6, out7 = at(out, r5 * ldo), at(out, r6 * ldo), at(out, r7 * ldo)
    w0, w1, w2, w3 = at(w, rows[0]), at(w, rows[r1]), at(w, rows[r2]), at(w, rows[r3])
    w4, w5, w6, w7 = at(w, rows[r4]), at(w, rows[r5]), at(w, rows[r6]), at(w, rows[r7])
    if fresh:
        s0, s1, s2, s3 = splat(start, 0), splat(start, r1), splat(start, r2), splat(start, r3)
        s4, s5, s6, s7 = splat(start, r4), splat(start, r5), splat(start, r6), splat(start, r7)
    else:
        s0, s1, s2, s3 = load(out, 0), load(out1, 0), load(out2, 0), load(out3, 0)
        s4, s5, s6, s7 = load(out4, 0), load(out5, 0), load(out6, 0), load(out7, 0)
    for k in range(K):
        these, i = load(x, off[k]), k * ldw
        s0 = s0 + splat(w0, i) * these
        s1 = s1 + splat(w1, i) * these
        s2 = s2 + splat(w2, i) * these
        s3 = s3 + splat(w3, i) * these
        s4 = s4 + splat(w4, i) * these
        s5 = s5 + splat(w5, i) * these
        s6 = s6 + splat(w6, i) * these
        s7 = s7 + splat(w7, i) * these
    store(out, 0, s0)
    store(out1, 0, s1)
    store(out2, 0, s2)
    store(out3, 0, s3)
    store(out4, 0, s4)
    store(out5, 0, s5)
    store(out6, 0, s6)
    store(out7, 0, s7)
