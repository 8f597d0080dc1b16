"""The gradient of max pooling: all of it goes to the cells whose maxima were taken.

    dx[p].flat[indices[p, oh, ow]] += dy[p, oh, ow]

A scatter, bound by the latency of the cache, where windows overlap and a maximum is taken twice: the
second addition waits for the first one's store. A plane is one thread's, because indices of one
plane may meet.
"""

from __future__ import annotations

from numba import prange
from numpy import uintp

from .compile import kernel


@kernel
def max_pool2d_backward(dx, dy, indices):
    """Add dy (P, OH, OW) to the cells of dx (P, IH, IW) that the indices name."""
    (P, IH, IW), (_, OH, OW) = dx.shape, dy.shape
    dx, dy, indices = dx.reshape(dx.size), dy.reshape(dy.size), indices.reshape(indices.size)
    cells, outputs = IH * IW, OH * OW
    for p in prange(P):
        for i in range(cells):
            dx[uintp(p * cells + i)] = 0
        for i in range(p * outputs, (p + 1) * outputs):
            dx[uintp(p * cells + indices[uintp(i)])] += dy[uintp(i)]
