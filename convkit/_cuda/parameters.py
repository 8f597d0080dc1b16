"""The sums for weight and bias (W, P): over all (n, g, p, s) with g % W == w.

    dbias[w, p] = sum of dy          dweight[w, p] = sum of dy*(x - mean[g])*invstd[g]

Where a statistic has one weight (P = 1), its chunks have been summed already, and W statistics of a kind
remain to be added. Else, as in group and layer norm, dy and x are read once more. There are two ways: a block
for each (w, p), its threads along S; or, where S is short, as in layer norm with its S = 1, a thread for
each (w, p), its neighbours beside it, and many blocks that share the rows. Both add in a fixed order.
"""

from __future__ import annotations

from .reduce import sum_block
from .scalars import smaller
from .target import SIMULATED, THREADS, cuda, flat, float64, grid_for, jit, launch, uint64, workspace

__all__ = ["sum_channels", "sum_features"]

SHORT = 4 if SIMULATED else 32
"""From this S on, a block goes along it: a warp is 32 neighbours."""

BLOCKS = 4 if SIMULATED else 528
"""Blocks among which short rows are cut: four for each multiprocessor of an H200."""


@jit
def _add_chunks(dweight, dbias, sums):
    chunks, _, G = sums.shape
    W = dweight.size
    for w in range(cuda.blockIdx.x, W, cuda.gridDim.x):
        shift, slope = 0.0, 0.0
        for i in range(cuda.threadIdx.x, G // W * chunks, THREADS):
            g = i // chunks * W + w
            shift += sums[i % chunks, 0, g]
            slope += sums[i % chunks, 1, g]
        shift, slope = sum_block(shift, slope)
        if cuda.threadIdx.x == 0:
            dweight[w], dbias[w] = slope, shift


def sum_channels(dweight, dbias, sums):
    """Fill dweight and dbias (W, 1) from the sums (chunks, 2, G) of each chunk, of dy and of dy*xhat."""
    launch(_add_chunks, grid_for(dweight.size, 1), THREADS, flat(dweight), flat(dbias), sums)


# --- along S -------------------------------------------------------------------------------


@jit
def _along(dweight, dbias, dy, x, mean, invstd, N, P, S):
    G, W = mean.size, dweight.size // P
    for q in range(cuda.blockIdx.x, W * P, cuda.gridDim.x):
        w, p = q // P, q % P
        shift, slope = 0.0, 0.0
        for row in range(N * (G // W)):
            n, g = row // (G // W), row % (G // W) * W + w
            first = ((n * G + g) * P + p) * S
            for s in range(cuda.threadIdx.x, S, THREADS):
                value = float64(dy[uint64(first + s)])
                shift += value
                slope += value * ((x[uint64(first + s)] - mean[g]) * invstd[g])
        shift, slope = sum_block(shift, slope)
        if cuda.threadIdx.x == 0:
            dweight[q], dbias[q] = slope, shift


# --- along the rows ------------------------------------------------------------------------


@jit
def _down(sums, dy, x, mean, invstd, N, P, S, rows):
    """Set sums (parts, 2, W*P) to the sums over `rows` rows each, a thread a column."""
    parts, _, columns = sums.shape
    G, W = mean.size, columns // P
    across = (columns + THREADS - 1) // THREADS
    for block in range(cuda.blockIdx.x, across * parts, cuda.gridDim.x):
        q, part = block % across * THREADS + cuda.threadIdx.x, block // across
        if q < columns:
            w, p = q // P, q % P
            shift, slope = 0.0, 0.0
            for row in range(part * rows, smaller(N * (G // W), (part + 1) * rows)):
                n, g = row // (G // W), row % (G // W) * W + w
                first = ((n * G + g) * P + p) * S
                for s in range(S):
                    value = float64(dy[uint64(first + s)])
                    shift += value
                    slope += value * ((x[uint64(first + s)] - mean[g]) * invstd[g])
            sums[part, 0, q], sums[part, 1, q] = shift, slope


@jit
def _add_parts(dweight, dbias, sums):
    for q in range(cuda.grid(1), dweight.size, cuda.gridsize(1)):
        shift, slope = 0.0, 0.0
        for part in range(sums.shape[0]):
            shift += sums[part, 0, q]
            slope += sums[part, 1, q]
        dweight[q], dbias[q] = slope, shift


def sum_features(dweight, dbias, dy, x, mean, invstd):
    """Fill dweight and dbias (W, P), from dy and x (N, G, P, S)."""
    N, G, P, S = x.shape
    W = len(dweight)
    columns, rows = W * P, N * G // W
    results, tensors = (flat(dweight), flat(dbias)), (flat(dy), flat(x), mean, invstd)
    if S >= SHORT:
        launch(_along, grid_for(columns, 1), THREADS, *results, *tensors, N, P, S)
        return
    across = -(-columns // THREADS)
    of_each = -(-rows // max(1, BLOCKS // across))
    parts = -(-rows // of_each)
    sums = workspace(parts * 2 * columns, float).reshape(parts, 2, columns)
    launch(_down, grid_for(across * parts, 1), THREADS, sums, *tensors, N, P, S, of_each)
    launch(_add_parts, grid_for(columns), THREADS, *results, sums)
