"""Reductions over a block or a part of it: what its threads have found, put together in a fixed order.

The order is a tree: in each round the lower half of the threads that are left takes in the upper half.
It depends on nothing but the number of threads, so results repeat bit for bit, which atomic additions
do not promise. In a round a thread writes its own cell and reads one above all that are written; the
barrier after the round is for the next one. A last barrier lets the arrays be used again.
"""

from __future__ import annotations

from .scalars import merged
from .target import THREADS, cuda, float64, jit

__all__ = ["merge_block", "sum_block", "sum_lanes"]


@jit(device=True)
def sum_lanes(a, b, lanes):
    """Return the sums of a and b, in double, over each `lanes` neighbours, a power of two, to each of these.

    All threads of the block must come, for they wait at the same barriers.
    """
    a_sums = cuda.shared.array(THREADS, float64)
    b_sums = cuda.shared.array(THREADS, float64)
    t, width = cuda.threadIdx.x, lanes
    lane = t % lanes
    a_sums[t], b_sums[t] = a, b
    cuda.syncthreads()
    while width > 1:
        width //= 2
        if lane < width:
            a_sums[t] += a_sums[t + width]
            b_sums[t] += b_sums[t + width]
        cuda.syncthreads()
    a, b = a_sums[t - lane], b_sums[t - lane]
    cuda.syncthreads()
    return a, b


@jit(device=True)
def sum_block(a, b):
    """Return the sums of all threads' a and b, in double, to every thread."""
    return sum_lanes(a, b, THREADS)


@jit(device=True)
def merge_block(count, mean, m2):
    """Return count, mean and squared deviations of all threads' values together, to every thread.

    Threads that have no values must come after those that have some.
    """
    counts = cuda.shared.array(THREADS, float64)
    means = cuda.shared.array(THREADS, float64)
    m2s = cuda.shared.array(THREADS, float64)
    t, width = cuda.threadIdx.x, THREADS
    counts[t], means[t], m2s[t] = count, mean, m2
    cuda.syncthreads()
    while width > 1:
        width //= 2
        if t < width and counts[t + width] > 0:
            counts[t], means[t], m2s[t] = merged(
                counts[t], means[t], m2s[t], counts[t + width], means[t + width], m2s[t + width]
            )
        cuda.syncthreads()
    count, mean, m2 = counts[0], means[0], m2s[0]
    cuda.syncthreads()
    return count, mean, m2
