"""The sums that normalisation and its gradients take, in registers of doubles, and in what order.

An array (N, G, P, S) holds, for each statistic g, N *runs* of L = P*S neighbouring elements. A
*chunk* is what one pair of sums is taken over: several short runs, or a piece of a long one. The
chunks of a statistic are combined in order, whoever computed them, so that every number of threads
gives the same bits.

Doubles leave 29 spare bits: squares of float32 cannot overflow, and a million roundings stay out of sight.
It costs the conversion and half of the lanes.
"""

from __future__ import annotations

import numpy as np
from numpy import uintp

from ..scalars import compiled_by
from .compile import inner
from .memory import prefetch
from .registers import REGISTER, wide, widened
from .vec import total

merged = compiled_by(inner)["merged"]

CHUNK = 16384  # elements in a chunk, at least, so that combining chunks costs nothing to speak of
CHUNKS = 64  # of a statistic, about: enough to share one large statistic among threads
LANES = REGISTER // 8
FAR = 1024  # elements of a run; of shorter ones the processor sees by itself what will be read
LINE = 16  # cells of a cache line, at most


@inner
def plan(N, L):
    """Return (rows, cells, pieces, chunks): a chunk is `rows` runs, or `cells` elements of one."""
    chunk = max(CHUNK, N * L // CHUNKS)
    rows, pieces = min(N, max(1, chunk // L)), (L - 1) // chunk + 1
    cells = ((L - 1) // pieces // LINE + 1) * LINE  # pieces begin where cache lines do
    pieces = (L - 1) // cells + 1
    return rows, cells, pieces, ((N - 1) // rows + 1) * pieces


@inner
def chunk_of(k, cut, N, L):
    """Return (n0, n1, l0, l1): chunk k is elements l0..l1 - 1 of runs n0..n1 - 1."""
    rows, cells, pieces, _ = cut
    n0, l0 = k * rows, 0
    if pieces > 1:  # two divisions take as long as the sums of a plane of 7x7
        n0, l0 = k // pieces * rows, k % pieces * cells
    return n0, min(N, n0 + rows), l0, min(L, l0 + cells)


@inner
def chunk_moments(x, g, G, L, chunk):
    """Return count, mean and sum of squared deviations of a chunk, by differences from its first element.

    This is not E[x^2] - E[x]^2, which loses everything when the mean is large: the first element is one
    of those that are summed, so its distance from the mean is at most a few of theirs. Of a constant, every
    difference is 0, and so is the variance, exactly. Sums stay in registers from run to run; the same cells
    of the next run are fetched meanwhile.
    """
    n0, n1, l0, l1 = chunk
    first = np.float64(x[uintp((n0 * G + g) * L + l0)])
    c, s0, s1 = wide(first), wide(0.0), wide(0.0)
    q0, q1, q2, q3 = wide(0.0), wide(0.0), wide(0.0), wide(0.0)
    sum_d, sum_dd = 0.0, 0.0
    for n in range(n0, n1):
        i, end = (n * G + g) * L + l0, (n * G + g) * L + l1
        far = n + 1 < n1 and end - i >= FAR
        while i + 4 * LANES <= end:
            if far:
                prefetch(x, i + G * L)
                prefetch(x, i + G * L + 2 * LANES)
            d0, d1 = widened(x, i) - c, widened(x, i + LANES) - c
            d2, d3 = widened(x, i + 2 * LANES) - c, widened(x, i + 3 * LANES) - c
            s0, s1 = s0 + (d0 + d1), s1 + (d2 + d3)
            q0, q1 = d0 * d0 + q0, d1 * d1 + q1
            q2, q3 = d2 * d2 + q2, d3 * d3 + q3
            i += 4 * LANES
        while i + LANES <= end:
            d0 = widened(x, i) - c
            s0, q0 = s0 + d0, d0 * d0 + q0
            i += LANES
        while i < end:
            d = np.float64(x[uintp(i)]) - first
            sum_d, sum_dd = sum_d + d, sum_dd + d * d
            i += 1
    sum_d, sum_dd = sum_d + total(s0 + s1), sum_dd + total((q0 + q1) + (q2 + q3))
    count = float((n1 - n0) * (l1 - l0))
    m2 = sum_dd - sum_d * sum_d / count
    return count, first + sum_d / count, 0.0 if m2 < 0 else m2  # below 0 by rounding; a NaN stays


@inner
def run_products(dy, x, of, n, mean):
    """Return the sums of dy and dy*(x - mean) over n elements."""
    m, s0, s1, q0, q1 = wide(mean), wide(0.0), wide(0.0), wide(0.0), wide(0.0)
    i = 0
    while i + 2 * LANES <= n:
        z0, z1 = widened(dy, of + i), widened(dy, of + i + LANES)
        s0, s1 = s0 + z0, s1 + z1
        q0 = z0 * (widened(x, of + i) - m) + q0
        q1 = z1 * (widened(x, of + i + LANES) - m) + q1
        i += 2 * LANES
    sum_z, sum_zd = total(s0 + s1), total(q0 + q1)
    while i < n:
        z = np.float64(dy[uintp(of + i)])
        sum_z, sum_zd = sum_z + z, sum_zd + z * (np.float64(x[uintp(of + i)]) - mean)
        i += 1
    return sum_z, sum_zd


@inner
def weighted_products(dy, x, of, n, mean, weight, w):
    """Return the sums of dz and dz*(x - mean), where dz = dy*weight has a weight for each element."""
    m, s, q = wide(mean), wide(0.0), wide(0.0)
    i = 0
    while i + LANES <= n:
        z = widened(dy, of + i) * widened(weight, w + i)
        s, q = s + z, z * (widened(x, of + i) - m) + q
        i += LANES
    sum_z, sum_zd = total(s), total(q)
    while i < n:
        z = np.float64(dy[uintp(of + i)]) * np.float64(weight[uintp(w + i)])
        sum_z, sum_zd = sum_z + z, sum_zd + z * (np.float64(x[uintp(of + i)]) - mean)
        i += 1
    return sum_z, sum_zd


@inner
def chunk_products(dy, x, g, G, P, S, chunk, mean, weight, w):
    """Return the sums of dz and dz*(x - mean) over a chunk.

    The weights of statistic g begin at weight[w]; its only weight (P = 1) is left out.
    """
    n0, n1, l0, l1 = chunk
    sum_z, sum_zd = 0.0, 0.0
    for n in range(n0, n1):
        of = (n * G + g) * P * S
        if P == 1:
            z, zd = run_products(dy, x, of + l0, l1 - l0, mean)
            sum_z, sum_zd = sum_z + z, sum_zd + zd
        elif S == 1:
            z, zd = weighted_products(dy, x, of + l0, l1 - l0, mean, weight, w + l0)
            sum_z, sum_zd = sum_z + z, sum_zd + zd
        else:
            for p in range(l0 // S, (l1 - 1) // S + 1):
                start, stop = max(l0, p * S), min(l1, (p + 1) * S)
                z, zd = run_products(dy, x, of + start, stop - start, mean)
                factor = np.float64(weight[uintp(w + p)])
                sum_z, sum_zd = sum_z + factor * z, sum_zd + factor * zd
    return sum_z, sum_zd
