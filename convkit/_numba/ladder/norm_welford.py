"""Normalisation: mean and variance in one pass, by Welford's formula; output as in `two_passes`.

What limited `two_passes`
-------------------------
Sums that wait for one another, in two passes over memory.

The change
----------
Each number moves the mean of those before it, and what it adds to the sum of squares is its distance from the
old mean times its distance from the new one: ``with_value`` of convkit/scalars.py. x is read twice and not
three times, 12 bytes an element in float32, and no digits are lost, since every distance is from a mean. It
is the formula for numbers that come one by one and are not kept.

What to expect
--------------
A third of the speed, not more of it.

What limits it
--------------
One long chain. The next mean waits for a subtraction, a division and an addition, some 20 cycles an element
where each sum of `two_passes` waited for one addition. Memory, which this rung relieves, was not what
limited it. The production kernel, the next rung, adds in lanes and divides once a chunk, combines
chunks by Chan's formula, which is Welford's for two sets of numbers, and writes while the elements lie in
the cache.
"""

from __future__ import annotations

import math

import numpy as np

from ...scalars import compiled_by
from ..compile import inner, kernel

with_value = compiled_by(inner)["with_value"]


@kernel
def normalize(y, mean, var, x, weight, bias, eps):
    """Normalise x (N, G, P, S) by its own statistics, which go to mean and var (G,)."""
    (N, G, P, S), W = x.shape, weight.shape[0]
    for g in range(G):
        count, m, m2 = 0.0, 0.0, 0.0
        for n in range(N):
            for p in range(P):
                for s in range(S):
                    count, m, m2 = with_value(count, m, m2, np.float64(x[n, g, p, s]))
        mean[g], var[g] = m, m2 / count

        invstd = 1.0 / math.sqrt(var[g] + eps)
        for n in range(N):
            for p in range(P):
                a, b = weight[g % W, p], bias[g % W, p]
                for s in range(S):
                    y[n, g, p, s] = (np.float64(x[n, g, p, s]) - mean[g]) * invstd * a + b
