"""Normalisation, with as many blocks as a statistic needs: two levels of statistics.

Before, a block had a whole statistic, and batch norm of 64 channels kept half of the device idle. The one
change: a statistic is cut into chunks, a block has one. A first kernel finds mean and squared deviations of
each chunk, in two passes over shared memory, which cost next to nothing there. A second kernel merges the
chunks by Chan's formula, every block again for itself, which is cheaper than one more launch, and
normalises.

So x is read twice and y written once: 12 bytes a float where there were 16. Chunks go to the second kernel in
reverse order, as what was read last may still be in the L2 cache. Merging is in a fixed
order on both levels. What is left: one read too many, for statistics that a block could hold.
"""

from math import sqrt

from ..chunks import BATCH, CELLS, SLOTS, chunks_of, feature_of, onward, share_of
from ..reduce import merge_block, sum_lanes
from ..scalars import merged, smaller
from ..target import THREADS, cuda, flat, float64, grid_for, jit, launch, uint64, workspace

__all__ = ["moments_of", "normalize", "scale_chunk", "stage"]


@jit(device=True)
def stage(cells, x, g, chunk, G, N, L, runs, columns, pieces):
    """Bring this thread's values of a chunk to its own cells, t + k*THREADS; return their number."""
    values = cuda.local.array(BATCH, x.dtype)
    count, n, first, stop, down = share_of(chunk, N, L, runs, columns, pieces)
    c = first
    for done in range(0, count, BATCH):
        for k in range(BATCH):
            if done + k < count:
                values[k] = x[uint64((n * G + g) * L + c)]
                n, c = onward(n, c, first, stop, down)
        for k in range(BATCH):
            if done + k < count:
                cells[cuda.threadIdx.x + (done + k) * THREADS] = values[k]
    return count


@jit(device=True)
def moments_of(cells, count, first, total, lanes):
    """Return mean and squared deviations of `lanes` threads' cells: `count` of this thread's, `total` in all.

    They are counted from `first`, one of them, so that equal values differ from their mean by exactly 0.
    """
    away = 0.0
    for k in range(count):
        away += cells[cuda.threadIdx.x + k * THREADS] - first
    mean = first + sum_lanes(away, 0.0, lanes)[0] / total
    m2, left = 0.0, 0.0
    for k in range(count):
        d = cells[cuda.threadIdx.x + k * THREADS] - mean
        m2 += d * d
        left += d
    m2, left = sum_lanes(m2, left, lanes)  # what the mean's rounding left over puts both right
    return mean + left / total, m2 - left * left / total


@jit
def chunk_moments(moments, x, N, L, runs, columns, pieces):
    """Set moments (chunks, 3, G) to count, mean and squared deviations of each chunk."""
    cells = cuda.shared.array(CELLS, x.dtype)
    chunks, _, G = moments.shape
    for item in range(cuda.blockIdx.x, chunks * G, cuda.gridDim.x):
        chunk, g = item // G, item % G  # neighbouring blocks on neighbouring runs
        count = stage(cells, x, g, chunk, G, N, L, runs, columns, pieces)
        n, c = chunk // pieces * runs, chunk % pieces * columns
        total = smaller(N - n, runs) * smaller(L - c, columns)
        mean, m2 = moments_of(cells, count, float64(x[(n * G + g) * L + c]), total, THREADS)
        if cuda.threadIdx.x == 0:
            moments[chunk, 0, g], moments[chunk, 1, g], moments[chunk, 2, g] = total, mean, m2


@jit(device=True)
def scale_chunk(y, x, mu, invstd, weight, bias, g, chunk, G, N, P, S, runs, columns, pieces):
    """Normalise this thread's values of a chunk."""
    values = cuda.local.array(SLOTS, x.dtype)
    L, row = P * S, g % (weight.size // P) * P
    count, n_first, first, stop, down = share_of(chunk, N, L, runs, columns, pieces)
    n, c = n_first, first
    for k in range(SLOTS):
        if k < count:
            values[k] = x[uint64((n * G + g) * L + c)]
            n, c = onward(n, c, first, stop, down)
    n, c = n_first, first
    for k in range(SLOTS):
        if k < count:
            p = row + feature_of(c, P, S)
            y[uint64((n * G + g) * L + c)] = (values[k] - mu) * invstd * weight[p] + bias[p]
            n, c = onward(n, c, first, stop, down)


@jit
def merge_and_scale(y, mean, var, moments, x, weight, bias, eps, N, P, S, runs, columns, pieces):
    """Merge the chunks of each statistic, and normalise one of them."""
    chunks, _, G = moments.shape
    for item in range(cuda.blockIdx.x, chunks * G, cuda.gridDim.x):
        chunk, g = chunks - 1 - item // G, G - 1 - item % G
        count, mu, m2 = 0.0, 0.0, 0.0
        i = cuda.threadIdx.x
        if i < chunks:
            count, mu, m2 = moments[i, 0, g], moments[i, 1, g], moments[i, 2, g]
            for i in range(cuda.threadIdx.x + THREADS, chunks, THREADS):
                count, mu, m2 = merged(count, mu, m2, moments[i, 0, g], moments[i, 1, g], moments[i, 2, g])
        count, mu, m2 = merge_block(count, mu, m2)
        if chunk == 0 and cuda.threadIdx.x == 0:
            mean[g], var[g] = mu, m2 / count
        invstd = 1.0 / float64(sqrt(m2 / count + eps))
        scale_chunk(y, x, mu, invstd, weight, bias, g, chunk, G, N, P, S, runs, columns, pieces)


def normalize(y, mean, var, x, weight, bias, eps):
    """Normalise x (N, G, P, S) by its own statistics, which go to mean and var (G,)."""
    N, G, P, S = x.shape
    *cut, chunks = chunks_of(N, G, P * S)
    moments = workspace(chunks * 3 * G, float).reshape(chunks, 3, G)
    grid = grid_for(chunks * G, 1)
    launch(chunk_moments, grid, THREADS, moments, flat(x), N, P * S, *cut)
    affine = flat(weight), flat(bias), float(eps)
    launch(merge_and_scale, grid, THREADS, flat(y), mean, var, moments, flat(x), *affine, N, P, S, *cut)
