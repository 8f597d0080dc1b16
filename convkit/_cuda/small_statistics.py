"""Statistics of few values that lie side by side, as layer norm's do: a block has several of them.

A block of 256 threads for a row of 112 values would leave more than half of its threads idle, and wait at
some twenty barriers for 896 bytes. Here it has eight such rows, a warp each, and the same barriers serve all
of them. A thread keeps its values, forward in shared memory and backward in registers: x is read once.

Of x (1, G, P, S), a statistic g has L = P*S neighbours. Of its `lanes` threads, one takes the values lane,
lane + lanes, and so on, so that neighbours read neighbours.
"""

from __future__ import annotations

from math import sqrt

from .chunks import BATCH, feature_of
from .ladder.norm_two_levels import moments_of
from .reduce import sum_lanes
from .target import SIMULATED, THREADS, cuda, flat, float64, grid_for, jit, launch, uint64

__all__ = ["MOST", "are_small", "normalize", "normalize_backward"]

LEAST = 4 if SIMULATED else 32
"""Threads of a statistic at least: a warp."""

CELLS = BATCH * THREADS
"""Values of a block."""

MOST = CELLS // 2
"""Values of a statistic at most: there would be no second one in a block."""


def are_small(N: int, L: int) -> bool:
    """Tell whether statistics of N runs of L values are such."""
    return N == 1 and L <= MOST


def lanes_for(L: int) -> int:
    """Return how many threads share a statistic, a power of two.

    >>> lanes_for(1) == LEAST, lanes_for(MOST) == THREADS // 2
    (True, True)
    """
    lanes = LEAST
    while lanes * BATCH < L:
        lanes *= 2
    return lanes


@jit(device=True)
def _share(g, G, L, lanes):
    """Return the number of this thread's first value in x, and how many it has."""
    lane = cuda.threadIdx.x % lanes
    return g * L + lane, (L - lane + lanes - 1) // lanes if g < G and lane < L else 0


@jit
def norm_small(y, mean, var, x, weight, bias, eps, lanes, P, S):
    """Set mean and var (G,), and normalise, `lanes` threads a statistic.

    A thread reads no cell but its own, t + k*THREADS. Threads beyond the last statistic have no values, but
    come to all barriers.
    """
    cells = cuda.shared.array(CELLS, x.dtype)
    values = cuda.local.array(BATCH, x.dtype)
    G, L, W = mean.size, P * S, weight.size // P
    t, lane, beside = cuda.threadIdx.x, cuda.threadIdx.x % lanes, THREADS // lanes
    for g0 in range(cuda.blockIdx.x * beside, G, cuda.gridDim.x * beside):
        g = g0 + t // lanes
        first, count = _share(g, G, L, lanes)
        for k in range(BATCH):  # on their way side by side
            if k < count:
                values[k] = x[uint64(first + k * lanes)]
        for k in range(BATCH):
            if k < count:
                cells[t + k * THREADS] = values[k]
        origin = float64(x[uint64(g * L)]) if g < G else 0.0
        mu, m2 = moments_of(cells, count, origin, L, lanes)
        sigma2 = m2 / L
        if lane == 0 and g < G:
            mean[g], var[g] = mu, sigma2
        invstd = 1.0 / float64(sqrt(sigma2 + eps))
        for k in range(count):
            p = g % W * P + feature_of(lane + k * lanes, P, S)
            y[uint64(first + k * lanes)] = (cells[t + k * THREADS] - mu) * invstd * weight[p] + bias[p]


@jit
def gradient_small(dx, sums, dy, x, weight, mean, invstd, lanes, P, S):
    """Set each statistic's sums (1, 2, G) of dz and of dz*xhat, and write its gradient.

    With P = 1 the one weight is left out of the sums, as in normalization.py.
    """
    dy_values = cuda.local.array(BATCH, x.dtype)
    x_values = cuda.local.array(BATCH, x.dtype)
    G, L, W = mean.size, P * S, weight.size // P
    lane, beside = cuda.threadIdx.x % lanes, THREADS // lanes
    for g0 in range(cuda.blockIdx.x * beside, G, cuda.gridDim.x * beside):
        g = g0 + cuda.threadIdx.x // lanes
        first, count = _share(g, G, L, lanes)
        for k in range(BATCH):
            if k < count:
                at = uint64(first + k * lanes)
                dy_values[k], x_values[k] = dy[at], x[at]
        row = g % W * P
        mu, scale, w = 0.0, 0.0, 1.0
        if g < G:
            mu, scale = mean[g], invstd[g]
            if P == 1:
                w = float64(weight[row])
        shift, slope = 0.0, 0.0
        for k in range(BATCH):
            if k < count:
                dz = float64(dy_values[k])
                if P > 1:
                    dz *= weight[row + feature_of(lane + k * lanes, P, S)]
                shift += dz
                slope += dz * ((x_values[k] - mu) * scale)
        shift, slope = sum_lanes(shift, slope, lanes)
        if lane == 0 and g < G:
            sums[0, 0, g], sums[0, 1, g] = shift, slope
        shift, slope = shift * w / L, slope * w / L
        for k in range(BATCH):
            if k < count:
                dz = dy_values[k] * float64(weight[row + feature_of(lane + k * lanes, P, S)])
                xhat = (x_values[k] - mu) * scale
                dx[uint64(first + k * lanes)] = scale * (dz - shift - xhat * slope)


def blocks_for(G: int, lanes: int) -> int:
    """Return how many blocks G statistics make."""
    return grid_for(-(-G // (THREADS // lanes)), 1)


def normalize(y, mean, var, x, weight, bias, eps):
    """Normalise x (1, G, P, S) by its own statistics, which go to mean and var (G,)."""
    _, G, P, S = x.shape
    lanes = lanes_for(P * S)
    tensors = flat(y), mean, var, flat(x), flat(weight), flat(bias)
    launch(norm_small, blocks_for(G, lanes), THREADS, *tensors, float(eps), lanes, P, S)


def normalize_backward(dx, sums, dy, x, weight, mean, invstd):
    """Gradient for x (1, G, P, S), and each statistic's sums (1, 2, G)."""
    _, G, P, S = x.shape
    lanes = lanes_for(P * S)
    tensors = flat(dx), sums, flat(dy), flat(x), flat(weight), mean, invstd
    launch(gradient_small, blocks_for(G, lanes), THREADS, *tensors, lanes, P, S)
