"""Normalisation, in one pass through shared memory.

Before, x was read twice: by one kernel for the statistics, by another for the result. The one change: where a
statistic's values are one chunk, as in layer norm, in instance norm of small maps and in batch norm of
the last layers of a network, a block keeps them in shared memory and makes the result from there. x is
read once and y written once, 8 bytes a float: what a copy moves, and nobody can do with less.

Two cases are left to others. Larger statistics are the rung's below: one block cannot hold them, and several
would have to wait for each other inside a kernel. And where they are small and lie side by side, as in layer
norm, a block's threads would be idle: several share one (see small_statistics.py).
"""

from math import sqrt

from .. import small_statistics
from ..chunks import CELLS, chunks_of, feature_of, onward, share_of
from ..target import THREADS, cuda, flat, float64, grid_for, jit, launch, uint64
from . import norm_two_levels
from .norm_two_levels import moments_of, stage

__all__ = ["normalize"]


@jit
def norm_one_pass(y, mean, var, x, weight, bias, eps, N, P, S):
    cells = cuda.shared.array(CELLS, x.dtype)
    G, L, W = mean.size, P * S, weight.size // P
    for g in range(cuda.blockIdx.x, G, cuda.gridDim.x):
        count = stage(cells, x, g, 0, G, N, L, N, L, 1)
        mu, m2 = moments_of(cells, count, float64(x[g * L]), N * L, THREADS)
        sigma2 = m2 / (N * L)
        if cuda.threadIdx.x == 0:
            mean[g], var[g] = mu, sigma2
        invstd = 1.0 / float64(sqrt(sigma2 + eps))

        _, n, first, stop, down = share_of(0, N, L, N, L, 1)
        c = first
        for k in range(count):
            p = g % W * P + feature_of(c, P, S)
            value = cells[cuda.threadIdx.x + k * THREADS]
            y[uint64((n * G + g) * L + c)] = (value - mu) * invstd * weight[p] + bias[p]
            n, c = onward(n, c, first, stop, down)


def normalize(y, mean, var, x, weight, bias, eps):
    """Normalise x (N, G, P, S) by its own statistics, which go to mean and var (G,)."""
    N, G, P, S = x.shape
    if small_statistics.are_small(N, P * S):
        small_statistics.normalize(y, mean, var, x, weight, bias, eps)
        return
    if chunks_of(N, G, P * S, fewest=True).number > 1:
        norm_two_levels.normalize(y, mean, var, x, weight, bias, eps)
        return
    tensors = flat(y), mean, var, flat(x), flat(weight), flat(bias)
    launch(norm_one_pass, grid_for(G, 1), THREADS, *tensors, float(eps), N, P, S)
