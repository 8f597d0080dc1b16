"""The average of a whole plane, as of global pooling: one run of cells, whatever its rows are.

    y[p] = sum of x[p] / divisor

Bound by memory where there is no window to start and no row to end: four registers of doubles, each a
chain of additions of its own, take a plane from its first cell to its last. In double a sum has IH*IW - 1
roundings of 2**-53 at most, far below the final rounding of a float32 quotient.
"""

from __future__ import annotations

import numpy as np
from numpy import uintp

from .compile import inner, separate
from .norm_sums import LANES
from .registers import wide, widened
from .vec import total
from .windows import START, STOP

__all__ = ["WHOLE", "average_planes", "is_whole"]

WHOLE = 1 << 15  # cells that a thread does at a time, about


@inner
def is_whole(windows, n):
    """Tell whether an axis of n cells is one window."""
    return len(windows) == 1 and windows[0, START] == 0 and windows[0, STOP] == n


@inner
def sum_of(x, of, n):
    a, b, c, d = wide(0.0), wide(0.0), wide(0.0), wide(0.0)
    i = of
    while i + 4 * LANES <= of + n:
        a, b = a + widened(x, i), b + widened(x, i + LANES)
        c, d = c + widened(x, i + 2 * LANES), d + widened(x, i + 3 * LANES)
        i += 4 * LANES
    while i + LANES <= of + n:
        a = a + widened(x, i)
        i += LANES
    rest = 0.0
    while i < of + n:
        rest += np.float64(x[uintp(i)])
        i += 1
    return total((a + b) + (c + d)) + rest


@separate
def average_planes(y, x, first, end, cells, divisor):
    """Planes first..end - 1."""
    for p in range(first, end):
        y[uintp(p)] = sum_of(x, p * cells, cells) / divisor
