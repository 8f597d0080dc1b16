"""Gradients of the four normalisations, for statistics that depend on x and for ones that do not.

    dweight = sum(dy*xhat)    dbias = sum(dy)    dx = invstd*(dz - mean(dz) - xhat*mean(dz*xhat))

with dz = dy*weight and xhat = (x - mean)*invstd; for given statistics dx = invstd*dz. The means
are over a statistic's M elements, the sums over the elements that share a weight.

Bound by memory: as in ``normalization`` a thread takes one statistic after another, both sums of it and
then its dx. In batch norm those two sums are dweight and dbias as well; in the others, which share a weight
among several statistics, a second pass adds them up.

    dx = a*dy - (t*k + e)          t = (x - m)*invstd          m = the mean, rounded to the elements' type
    a = weight*invstd              k = invstd*mean(dz*xhat)    e = invstd*mean(dz) - (mean - m)*invstd*k

a, k and e are computed in double; without the last term, which is what rounding the mean left out, dx
would not sum to zero.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy import uintp

from .compile import FUSE, inner, kernel
from .norm_sums import chunk_of, chunk_products, plan, run_products
from .normalization import FEW, is_short, residue, weights_of
from .registers import every, read, width, write

NEIGHBOURS = 128  # weights at once, where neighbours have their own


# --- the gradient for x --------------------------------------------------------------------


@inner(fastmath=FUSE)
def gradient_run(dx, dy, x, of, n, m, r, a, k, e):
    W = width(x)
    if not is_short(x, n):
        for i in range(of, of + n):
            dx[uintp(i)] = dy[uintp(i)] * a - ((x[uintp(i)] - m) * r * k + e)
        return
    mean, invstd, slope, factor, shift = every(x, m), every(x, r), every(x, a), every(x, k), every(x, e)
    i, last = of, of + n - W
    while True:
        t = (read(x, i) - mean) * invstd
        write(dx, i, read(dy, i) * slope - (t * factor + shift))
        if i == last:
            break
        i = min(i + W, last)


@inner(fastmath=FUSE)
def gradient_run_by_weights(dx, dy, x, of, n, m, r, weight, w, k, e):
    """The same for S = 1, where neighbours have weights of their own."""
    for i in range(n):
        t = (x[uintp(of + i)] - m) * r
        dx[uintp(of + i)] = dy[uintp(of + i)] * (weight[uintp(w + i)] * r) - (t * k + e)


@inner
def gradient_chunk(dx, dy, x, g, shape, chunk, mean, invstd, weight, mean_z, mean_zd):
    """Write a chunk of statistic g; mean_z and mean_zd are those of dz and dz*(x - mean)."""
    _, G, P, S, W = shape
    n0, n1, l0, l1 = chunk
    real, w = x.dtype.type, g % W * P
    m, r = real(mean), real(invstd)
    slope = invstd * invstd * mean_zd
    k, e = real(slope), real(invstd * mean_z - residue(mean, np.float64(m)) * invstd * slope)
    for n in range(n1 - 1, n0 - 1, -1):
        of = (n * G + g) * P * S
        if S == 1 and P > 1:
            gradient_run_by_weights(dx, dy, x, of + l0, l1 - l0, m, r, weight, w + l0, k, e)
            continue
        p0, p1 = weights_of(l0, l1, P, S)
        for p in range(p0, p1):
            start, stop = max(l0, p * S), min(l1, (p + 1) * S)
            a = real(np.float64(weight[uintp(w + p)]) * invstd)
            gradient_run(dx, dy, x, of + start, stop - start, m, r, a, k, e)


@inner
def given_run(dx, dy, g, of, shape, invstd, weight):
    _, _, P, S, W = shape
    w = g % W * P
    for p in range(P):
        a = dx.dtype.type(np.float64(weight[uintp(w + p)]) * invstd)
        for i in range(of + p * S, of + (p + 1) * S):
            dx[uintp(i)] = dy[uintp(i)] * a


# --- the gradients for weight and bias -----------------------------------------------------


@inner
def sum_for_weights(dweight, dbias, dy, x, mean, invstd, shape, first, end, sums):
    """Fill weights first..end - 1, counted w*P + p and all of one w, row after row."""
    N, G, P, S, W = shape
    w, p0, count = first // P, first % P, end - first
    for i in range(count):
        sums[i], sums[NEIGHBOURS + i] = 0.0, 0.0
    for n in range(N):
        for g in range(w, G, W):
            of = ((n * G + g) * P + p0) * S
            if S == 1:
                for i in range(count):
                    z = np.float64(dy[uintp(of + i)])
                    sums[i] += z
                    sums[NEIGHBOURS + i] += z * ((np.float64(x[uintp(of + i)]) - mean[g]) * invstd[g])
                continue
            for i in range(count):
                z, zd = run_products(dy, x, of + i * S, S, mean[g])
                sums[i] += z
                sums[NEIGHBOURS + i] += zd * invstd[g]
    for i in range(count):
        dbias[first + i], dweight[first + i] = sums[i], sums[NEIGHBOURS + i]


@kernel
def normalize_backward(dx, dweight, dbias, dy, x, weight, mean, invstd):
    """Fill dx (N, G, P, S), dweight and dbias (W, P) for statistics that were x's own."""
    (N, G, P, S), W = x.shape, weight.shape[0]
    shape, L, own = (N, G, P, S, W), P * S, P == 1 and W == G
    dx, dy, x = dx.reshape(dx.size), dy.reshape(dy.size), x.reshape(x.size)
    weight, dweight, dbias = weight.reshape(W * P), dweight.reshape(W * P), dbias.reshape(W * P)
    cut = plan(N, L)
    chunks = cut[3]
    if G >= FEW:
        for g in prange(G):
            sum_z, sum_zd, w = 0.0, 0.0, g % W * P
            for k in range(chunks):
                chunk = chunk_of(k, cut, N, L)
                z, zd = chunk_products(dy, x, g, G, P, S, chunk, mean[g], weight, w)
                sum_z, sum_zd = sum_z + z, sum_zd + zd
            if own:
                dbias[g], dweight[g] = sum_z, sum_zd * invstd[g]
            share = (np.float64(weight[uintp(w)]) if P == 1 else 1.0) / (N * L)
            for k in range(chunks - 1, -1, -1):
                chunk = chunk_of(k, cut, N, L)
                gradient_chunk(
                    dx, dy, x, g, shape, chunk, mean[g], invstd[g], weight, sum_z * share, sum_zd * share
                )
    else:
        table = np.empty((G * chunks, 2))
        for i in prange(G * chunks):
            g, chunk = i // chunks, chunk_of(i % chunks, cut, N, L)
            table[i] = chunk_products(dy, x, g, G, P, S, chunk, mean[g], weight, g % W * P)
        for g in range(G):
            for k in range(g * chunks + 1, (g + 1) * chunks):
                table[g * chunks, 0] += table[k, 0]
                table[g * chunks, 1] += table[k, 1]
            if own:
                dbias[g], dweight[g] = table[g * chunks, 0], table[g * chunks, 1] * invstd[g]
        for i in prange(G * chunks):
            g, chunk = i // chunks, chunk_of(i % chunks, cut, N, L)
            share = (np.float64(weight[uintp(g % W)]) if P == 1 else 1.0) / (N * L)
            mean_z, mean_zd = table[g * chunks, 0] * share, table[g * chunks, 1] * share
            gradient_chunk(dx, dy, x, g, shape, chunk, mean[g], invstd[g], weight, mean_z, mean_zd)
    if not own:
        blocks = (P - 1) // NEIGHBOURS + 1
        for i in prange(W * blocks):
            first = i // blocks * P + i % blocks * NEIGHBOURS
            end = min(i // blocks * P + P, first + NEIGHBOURS)
            sums = np.empty(2 * NEIGHBOURS)
            sum_for_weights(dweight, dbias, dy, x, mean, invstd, shape, first, end, sums)


@kernel
def normalize_given_backward(dx, dweight, dbias, dy, x, weight, mean, invstd):
    """The same for statistics that were given: they are constants, and dx is a multiple of dy."""
    (N, G, P, S), W = x.shape, weight.shape[0]
    shape = (N, G, P, S, W)
    dx, dy, x = dx.reshape(dx.size), dy.reshape(dy.size), x.reshape(x.size)
    weight, dweight, dbias = weight.reshape(W * P), dweight.reshape(W * P), dbias.reshape(W * P)
    for run in prange(N * G):
        given_run(dx, dy, run % G, run * P * S, shape, invstd[run % G], weight)
    blocks = (P - 1) // NEIGHBOURS + 1
    for i in prange(W * blocks):
        first = i // blocks * P + i % blocks * NEIGHBOURS
        end = min(i // blocks * P + P, first + NEIGHBOURS)
        sums = np.empty(2 * NEIGHBOURS)
        sum_for_weights(dweight, dbias, dy, x, mean, invstd, shape, first, end, sums)
