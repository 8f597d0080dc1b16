"""Normalisation, a block a statistic, its threads side by side.

Before, a statistic was one thread with one value on its way. The one change: a block has it, neighbouring
threads read neighbouring values, and what they have summed is put together in shared memory by a tree,
whose order is fixed (see reduce.py).

What is left: memory is read three times and written once, 16 bytes a float where 8 would do; and batch
norm of 64 channels is 64 blocks, which leave half of an H200's 132 multiprocessors without work and the
other half with one block, which cannot keep enough loads on their way.
"""

from math import sqrt

from ..reduce import sum_block
from ..target import THREADS, cuda, flat, float64, grid_for, jit, launch

__all__ = ["normalize"]


@jit
def norm_coalesced(y, mean, var, x, weight, bias, eps, N, P, S):
    G, L = mean.size, P * S
    W, M = weight.size // P, N * L
    for g in range(cuda.blockIdx.x, G, cuda.gridDim.x):
        first = float64(x[g * L])
        total = 0.0
        for i in range(cuda.threadIdx.x, M, THREADS):
            total += x[(i // L * G + g) * L + i % L] - first
        mu = first + sum_block(total, 0.0)[0] / M

        total = 0.0
        for i in range(cuda.threadIdx.x, M, THREADS):
            d = x[(i // L * G + g) * L + i % L] - mu
            total += d * d
        sigma2 = sum_block(total, 0.0)[0] / M
        if cuda.threadIdx.x == 0:
            mean[g], var[g] = mu, sigma2

        invstd = 1.0 / float64(sqrt(sigma2 + eps))
        for i in range(cuda.threadIdx.x, M, THREADS):
            cell = (i // L * G + g) * L + i % L
            p = g % W * P + i % L // S
            y[cell] = (x[cell] - mu) * invstd * weight[p] + bias[p]


def normalize(y, mean, var, x, weight, bias, eps):
    """Normalise x (N, G, P, S) by its own statistics, which go to mean and var (G,)."""
    N, G, P, S = x.shape
    tensors = flat(y), mean, var, flat(x), flat(weight), flat(bias)
    launch(norm_coalesced, grid_for(G, 1), THREADS, *tensors, float(eps), N, P, S)
