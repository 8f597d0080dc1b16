"""Batch, instance, group and layer normalisation: statistics of each g, and the pass that uses them.

    mean = sum(x)/M      var = sum((x - mean)^2)/M      y = (x - mean)/sqrt(var + eps)*weight + bias

over arrays (N, G, P, S) with M = N*P*S; convkit/dispatch.py says which axes are which in the four.

Bound by memory. x is needed twice, for the statistics and for y, and is to come from memory once: so a
thread takes one statistic after another, and writes its output while x lies in the cache. Where there are
too few statistics for that (a batch of RGB images), threads share the chunks of all of them instead, first
to sum and then to write.

The pass that writes is one fused multiply-add an element:

    y = (x - m)*a + b      m = the mean, rounded to the elements' type      a = invstd*weight
                           b = bias - (mean - m)*a, what rounding the mean left out included

Subtracting first is what keeps the digits: x*a + b' with b' = bias - mean*a loses them all where the
mean is large.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy import uintp

from .compile import FUSE, inner, kernel
from .norm_sums import chunk_moments, chunk_of, merged, plan
from .registers import every, read, width, write

FEW = 16  # statistics; fewer are shared among threads chunk by chunk


# --- the pass that writes ------------------------------------------------------------------


@inner
def residue(mean, rounded):
    """Return what rounding the mean left out; nothing where it is infinite or NaN."""
    rest = mean - rounded
    return rest if rest == rest else 0.0


@inner
def is_short(x, n):
    """Tell whether a run is written by single registers, the last of which overlaps the one before it.

    A longer run is left to LLVM, which takes four registers at a time, and then some elements one by one.
    """
    return width(x) <= n < 16 * width(x)


@inner
def weights_of(l0, l1, P, S):
    """Return (p0, p1): the weights of elements l0..l1 - 1 of a run are p0..p1 - 1."""
    return (0, 1) if P == 1 else (l0 // S, (l1 - 1) // S + 1)


@inner(fastmath=FUSE)
def scale_run(y, x, of, n, m, a, b):
    W = width(x)
    if not is_short(x, n):
        for i in range(of, of + n):
            y[uintp(i)] = (x[uintp(i)] - m) * a + b
        return
    mean, slope, shift = every(x, m), every(x, a), every(x, b)
    i, last = of, of + n - W
    while True:
        write(y, i, (read(x, i) - mean) * slope + shift)
        if i == last:
            break
        i = min(i + W, last)


@inner(fastmath=FUSE)
def scale_run_by_weights(y, x, of, n, m, a, c, weight, bias, w):
    """The same for S = 1, where neighbours have weights of their own."""
    for i in range(n):
        z = (x[uintp(of + i)] - m) * a + c
        y[uintp(of + i)] = z * weight[uintp(w + i)] + bias[uintp(w + i)]


@inner
def scale_chunk(y, x, g, shape, chunk, mean, invstd, weight, bias):
    """Write a chunk of statistic g, its runs from the last to the first: that was read last."""
    _, G, P, S, W = shape
    n0, n1, l0, l1 = chunk
    real, w = x.dtype.type, (g % W if g >= W else g) * P
    m = real(mean)
    rest = residue(mean, np.float64(m))
    for n in range(n1 - 1, n0 - 1, -1):
        of = (n * G + g) * P * S
        if S == 1 and P > 1:
            a, c = real(invstd), real(-rest * invstd)
            scale_run_by_weights(y, x, of + l0, l1 - l0, m, a, c, weight, bias, w + l0)
            continue
        p0, p1 = weights_of(l0, l1, P, S)
        for p in range(p0, p1):
            slope = invstd * np.float64(weight[uintp(w + p)])
            start, stop = max(l0, p * S), min(l1, (p + 1) * S)
            b = real(np.float64(bias[uintp(w + p)]) - rest * slope)
            scale_run(y, x, of + start, stop - start, m, real(slope), b)


# --- the kernels ---------------------------------------------------------------------------


@kernel
def normalize(y, mean, var, x, weight, bias, eps):
    """Normalise x (N, G, P, S) by its own statistics, which go to mean and var (G,)."""
    (N, G, P, S), W = x.shape, weight.shape[0]
    shape, L = (N, G, P, S, W), P * S
    y, x, weight, bias = y.reshape(y.size), x.reshape(x.size), weight.reshape(W * P), bias.reshape(W * P)
    cut = plan(N, L)
    chunks = cut[3]
    if G >= FEW:
        for g in prange(G):
            moments = chunk_moments(x, g, G, L, chunk_of(0, cut, N, L))
            for k in range(1, chunks):
                more = chunk_moments(x, g, G, L, chunk_of(k, cut, N, L))
                moments = merged(*moments, *more)
            mean[g], var[g] = moments[1], moments[2] / moments[0]
            invstd = 1.0 / math.sqrt(var[g] + eps)
            for k in range(chunks - 1, -1, -1):
                scale_chunk(y, x, g, shape, chunk_of(k, cut, N, L), mean[g], invstd, weight, bias)
    else:
        table = np.empty((G * chunks, 3))
        for i in prange(G * chunks):
            table[i] = chunk_moments(x, i // chunks, G, L, chunk_of(i % chunks, cut, N, L))
        for g in range(G):
            i = g * chunks
            moments = table[i, 0], table[i, 1], table[i, 2]
            for k in range(i + 1, i + chunks):
                moments = merged(*moments, table[k, 0], table[k, 1], table[k, 2])
            mean[g], var[g] = moments[1], moments[2] / moments[0]
        for i in prange(G * chunks):
            g = i // chunks
            invstd = 1.0 / math.sqrt(var[g] + eps)
            scale_chunk(y, x, g, shape, chunk_of(i % chunks, cut, N, L), mean[g], invstd, weight, bias)


@kernel
def normalize_given(y, x, mean, invstd, weight, bias):
    """Normalise x (N, G, P, S) by a mean and 1/sqrt(var + eps) (G,) that are given."""
    (N, G, P, S), W = x.shape, weight.shape[0]
    shape, L = (N, G, P, S, W), P * S
    y, x, weight, bias = y.reshape(y.size), x.reshape(x.size), weight.reshape(W * P), bias.reshape(W * P)
    for run in prange(N * G):  # in the order of memory
        n, g = run // G, run % G
        scale_chunk(y, x, g, shape, (n, n + 1, 0, L), mean[g], invstd[g], weight, bias)
