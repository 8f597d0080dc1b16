"""Normalisation by statistics that are given, and the gradients of both kinds.

    y  = weight*xhat + bias                                     xhat = (x - mean)*invstd
    dx = invstd*(dz - mean(dz) - xhat*mean(dz*xhat))            dz   = dy*weight
    dx = invstd*dz                                              where the statistics are constants
    dweight = sum of dy*xhat, dbias = sum of dy                 over all that share an element of weight

Chunks and threads are as in chunks.py, sums in double and in a fixed order. Where a block's threads have
registers for a whole statistic, the gradient reads dy and x once, and moves the 12 bytes a float that are
necessary. Else it reads them twice, once to sum and once to write, 20 bytes; the second kernel reads
first what the first one read last, part of which may still be in the L2 cache.

The forward kernels are the ladder's: see ladder/norm_one_pass.py. The sums for weight and bias, where
they are not those of the statistics, are in parameters.py.
"""

from __future__ import annotations

from . import small_statistics
from .chunks import BATCH, chunks_of, feature_of, onward, share_of
from .ladder.norm_two_levels import scale_chunk
from .parameters import sum_channels, sum_features
from .reduce import sum_block
from .target import THREADS, cuda, flat, float64, grid_for, jit, launch, uint64, workspace

__all__ = ["normalize_backward", "normalize_given", "normalize_given_backward"]


# --- forward, by given statistics ----------------------------------------------------------


@jit
def _scale(y, x, mean, invstd, weight, bias, N, P, S, runs, columns, pieces, chunks):
    G = mean.size
    for item in range(cuda.blockIdx.x, chunks * G, cuda.gridDim.x):
        chunk, g = item // G, item % G
        scale_chunk(y, x, mean[g], invstd[g], weight, bias, g, chunk, G, N, P, S, runs, columns, pieces)


def normalize_given(y, x, mean, invstd, weight, bias):
    """Normalise x (N, G, P, S) by a mean and 1/sqrt(var + eps) (G,) that are given."""
    N, G, P, S = x.shape
    cut = chunks_of(N, G, P * S)
    tensors = flat(y), flat(x), mean, invstd, flat(weight), flat(bias)
    launch(_scale, grid_for(cut.number * G, 1), THREADS, *tensors, N, P, S, *cut)


# --- backward: what is summed --------------------------------------------------------------
# With P = 1, as in batch and instance norm, a statistic has one weight: it is left out of the sums, which
# are then those of dbias and dweight too.


@jit
def _chunk_sums(sums, dx, dy, x, weight, mean, invstd, N, P, S, runs, columns, pieces, constants):
    """Set sums (chunks, 2, G) to each chunk's sums of dz and of dz*xhat; with `constants`, fill dx too."""
    dy_values = cuda.local.array(BATCH, x.dtype)
    x_values = cuda.local.array(BATCH, x.dtype)
    chunks, _, G = sums.shape
    L, W = P * S, weight.size // P
    for item in range(cuda.blockIdx.x, chunks * G, cuda.gridDim.x):
        chunk, g = item // G, item % G
        mu, scale, row = mean[g], invstd[g], g % W * P
        count, n, first, stop, down = share_of(chunk, N, L, runs, columns, pieces)
        c = first
        shift, slope = 0.0, 0.0
        for done in range(0, count, BATCH):
            n_before, c_before = n, c
            for k in range(BATCH):
                if done + k < count:
                    at = uint64((n * G + g) * L + c)
                    dy_values[k], x_values[k] = dy[at], x[at]
                    n, c = onward(n, c, first, stop, down)
            n, c = n_before, c_before
            for k in range(BATCH):
                if done + k < count:
                    w = float64(weight[row + feature_of(c, P, S)])
                    dz = float64(dy_values[k]) if P == 1 else dy_values[k] * w
                    shift += dz
                    slope += dz * ((x_values[k] - mu) * scale)
                    if constants:
                        dx[uint64((n * G + g) * L + c)] = dy_values[k] * w * scale
                    n, c = onward(n, c, first, stop, down)
        shift, slope = sum_block(shift, slope)
        if cuda.threadIdx.x == 0:
            sums[chunk, 0, g], sums[chunk, 1, g] = shift, slope


@jit
def _gradient(dx, sums, dy, x, weight, mean, invstd, N, P, S, runs, columns, pieces):
    """Sum the chunks of each statistic, and write the gradient of one of them."""
    dy_values = cuda.local.array(BATCH, x.dtype)
    x_values = cuda.local.array(BATCH, x.dtype)
    chunks, _, G = sums.shape
    L, W = P * S, weight.size // P
    for item in range(cuda.blockIdx.x, chunks * G, cuda.gridDim.x):
        chunk, g = chunks - 1 - item // G, G - 1 - item % G
        shift, slope = 0.0, 0.0
        for i in range(cuda.threadIdx.x, chunks, THREADS):
            shift += sums[i, 0, g]
            slope += sums[i, 1, g]
        shift, slope = sum_block(shift, slope)
        mu, scale, row = mean[g], invstd[g], g % W * P
        w = float64(weight[row]) if P == 1 else 1.0
        shift, slope = shift * w / (N * L), slope * w / (N * L)

        count, n, first, stop, down = share_of(chunk, N, L, runs, columns, pieces)
        c = first
        for done in range(0, count, BATCH):
            n_before, c_before = n, c
            for k in range(BATCH):
                if done + k < count:
                    at = uint64((n * G + g) * L + c)
                    dy_values[k], x_values[k] = dy[at], x[at]
                    n, c = onward(n, c, first, stop, down)
            n, c = n_before, c_before
            for k in range(BATCH):
                if done + k < count:
                    dz = dy_values[k] * float64(weight[row + feature_of(c, P, S)])
                    xhat = (x_values[k] - mu) * scale
                    dx[uint64((n * G + g) * L + c)] = scale * (dz - shift - xhat * slope)
                    n, c = onward(n, c, first, stop, down)


@jit
def _gradient_at_once(dx, sums, dy, x, weight, mean, invstd, N, P, S):
    """Sum a statistic, set its sums (1, 2, G), and write its gradient from the same registers."""
    dy_values = cuda.local.array(BATCH, x.dtype)
    x_values = cuda.local.array(BATCH, x.dtype)
    G, L, W = mean.size, P * S, weight.size // P
    for g in range(cuda.blockIdx.x, G, cuda.gridDim.x):
        mu, scale, row = mean[g], invstd[g], g % W * P
        count, n_first, first, stop, down = share_of(0, N, L, N, L, 1)
        n, c = n_first, first
        for k in range(BATCH):
            if k < count:
                at = uint64((n * G + g) * L + c)
                dy_values[k], x_values[k] = dy[at], x[at]
                n, c = onward(n, c, first, stop, down)
        n, c = n_first, first
        shift, slope = 0.0, 0.0
        for k in range(BATCH):
            if k < count:
                dz = float64(dy_values[k])
                if P > 1:
                    dz *= weight[row + feature_of(c, P, S)]
                shift += dz
                slope += dz * ((x_values[k] - mu) * scale)
                n, c = onward(n, c, first, stop, down)
        shift, slope = sum_block(shift, slope)
        if cuda.threadIdx.x == 0:
            sums[0, 0, g], sums[0, 1, g] = shift, slope
        w = float64(weight[row]) if P == 1 else 1.0
        shift, slope = shift * w / (N * L), slope * w / (N * L)
        n, c = n_first, first
        for k in range(BATCH):
            if k < count:
                dz = dy_values[k] * float64(weight[row + feature_of(c, P, S)])
                xhat = (x_values[k] - mu) * scale
                dx[uint64((n * G + g) * L + c)] = scale * (dz - shift - xhat * slope)
                n, c = onward(n, c, first, stop, down)


def _sums(dx, dweight, dbias, dy, x, weight, mean, invstd, constants):
    """Return the sums (chunks, 2, G) over each chunk, once dweight and dbias are on their way."""
    N, G, P, S = x.shape
    *cut, chunks = chunks_of(N, G, P * S)
    # With P > 1 and constants nobody needs the sums, but they are free: dx is the work.
    sums = workspace(chunks * 2 * G, float).reshape(chunks, 2, G)
    tensors = flat(dx), flat(dy), flat(x), flat(weight), mean, invstd
    launch(_chunk_sums, grid_for(chunks * G, 1), THREADS, sums, *tensors, N, P, S, *cut, constants)
    if P == 1:
        sum_channels(dweight, dbias, sums)
    return sums


def normalize_backward(dx, dweight, dbias, dy, x, weight, mean, invstd):
    """Gradients for x (N, G, P, S), weight and bias (W, P), where the statistics depend on x."""
    N, G, P, S = x.shape
    tensors = flat(dy), flat(x), flat(weight), mean, invstd
    if chunks_of(N, G, P * S, fewest=True, slots=BATCH).number == 1:
        sums = workspace(2 * G, float).reshape(1, 2, G)
        if small_statistics.are_small(N, P * S):
            small_statistics.normalize_backward(dx, sums, dy, x, weight, mean, invstd)
        else:
            launch(_gradient_at_once, grid_for(G, 1), THREADS, flat(dx), sums, *tensors, N, P, S)
        if P == 1:
            sum_channels(dweight, dbias, sums)
    else:
        *cut, chunks = chunks_of(N, G, P * S)
        sums = _sums(dx, dweight, dbias, dy, x, weight, mean, invstd, False)
        launch(_gradient, grid_for(chunks * G, 1), THREADS, flat(dx), sums, *tensors, N, P, S, *cut)
    if P > 1:
        sum_features(dweight, dbias, dy, x, mean, invstd)


def normalize_given_backward(dx, dweight, dbias, dy, x, weight, mean, invstd):
    """Gradients for x (N, G, P, S), weight and bias (W, P), where the statistics are constants."""
    _sums(dx, dweight, dbias, dy, x, weight, mean, invstd, True)
    if x.shape[2] > 1:
        sum_features(dweight, dbias, dy, x, mean, invstd)
