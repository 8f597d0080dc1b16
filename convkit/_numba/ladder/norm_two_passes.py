"""Normalisation: mean and variance in two passes, a third that writes, one number at a time.

    mean = sum(x)/M        var = sum((x - mean)^2)/M        y = (x - mean)/sqrt(var + eps)*weight + bias

What limits it
--------------
Nine operations an element (two, three and four in the three passes), one after the other. The two sums
are chains: each addition waits 2 to 4 cycles for the one before, in which the core could do 16 of
them side by side in as many lanes. Memory is read three times and written once, 16 bytes an element
in float32, and is idle most of the time. Values are counted from the first one, so that equal values
differ from their mean by exactly 0, and sums are doubles.
"""

from __future__ import annotations

import math

import numpy as np

from ..compile import kernel


@kernel
def normalize(y, mean, var, x, weight, bias, eps):
    """Normalise x (N, G, P, S) by its own statistics, which go to mean and var (G,)."""
    (N, G, P, S), W = x.shape, weight.shape[0]
    M = N * P * S
    for g in range(G):
        first, total = np.float64(x[0, g, 0, 0]), 0.0
        for n in range(N):
            for p in range(P):
                for s in range(S):
                    total += np.float64(x[n, g, p, s]) - first
        mean[g] = first + total / M

        total = 0.0
        for n in range(N):
            for p in range(P):
                for s in range(S):
                    d = np.float64(x[n, g, p, s]) - mean[g]
                    total += d * d
        var[g] = total / M

        invstd = 1.0 / math.sqrt(var[g] + eps)
        for n in range(N):
            for p in range(P):
                a, b = weight[g % W, p], bias[g % W, p]
                for s in range(S):
                    y[n, g, p, s] = (np.float64(x[n, g, p, s]) - mean[g]) * invstd * a + b
