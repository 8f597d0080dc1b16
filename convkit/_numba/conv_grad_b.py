"""The gradient of a convolution for its bias: the sum of dy over images and pixels, per channel.

Bound by memory: one addition an element, read once. It is done in float64, which costs nothing then, so
that a channel's millions of small numbers do not drown. Several sums run side by side, or else each
addition would wait for the one before. Channels are shared among threads.
"""

from __future__ import annotations

from numba import prange

from .compile import REORDER, inner, kernel
from .pointers import at, pointer

__all__ = ["conv2d_grad_b"]


@inner(fastmath=REORDER)
def plane_sum(dy, n):
    """Return the sum of n elements, which LLVM takes in several lanes, always in the same ones."""
    total = 0.0
    for i in range(n):
        total += dy[i]
    return total


@inner
def channel_sum(dy, oc):
    N, OC, OH, OW = dy.shape
    total = 0.0
    for n in range(N):
        total += plane_sum(at(pointer(dy), (n * OC + oc) * OH * OW), OH * OW)
    return total


@kernel
def conv2d_grad_b(db, dy):
    """Fill db (OC,) with the sums of dy (N, OC, OH, OW)."""
    for oc in prange(len(db)):
        db[oc] = channel_sum(dy, oc)
