"""Dropout: a thread makes the random words of one counter and uses all four, for four units.

    y[u, i] = x[u, i]*scale   where bits(seed, u) >= threshold,   else 0

Units come in groups of 64, served by 16 counters (see convkit/dispatch.py): thread i of 16 makes
counter i of its group, whose words belong to units i, i + 16, i + 32 and i + 48. So the 16 threads of a
group read and write 16 neighbours at a time, and ten rounds of Philox, some 80 instructions, are
shared by four units: 20 for the 8 bytes that a unit of one float32 moves. An H200 has time for 60 while
they travel.

Where a unit is a row of B elements, a block draws a group's bits once, for all to see, and its
threads then run along the rows.
"""

from __future__ import annotations

import numpy as np

from .scalars import philox4x32, smaller, unit_bits
from .target import THREADS, cuda, flat, grid_for, jit, launch, launch_each, uint64

__all__ = ["dropout", "dropout_given", "dropout_mask"]

GROUP = 64
LANES = 16
WORDS = 4
COLUMNS = 4096
"""Elements of each row that a block serves: rows that are longer are shared among blocks."""

LOW, HIGH, ZERO = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(0)


@jit
def _elements(y, x, seed, threshold, scale):
    counters = (x.size + GROUP - 1) // GROUP * LANES
    values = cuda.local.array(WORDS, x.dtype)
    for i in range(cuda.grid(1), counters, cuda.gridsize(1)):
        first = i // LANES * GROUP + i % LANES
        for k in range(WORDS):  # on their way while the words are made
            u = first + k * LANES
            values[k] = x[u] if u < x.size else scale
        counter = uint64(i)
        words = philox4x32(counter & LOW, counter >> HIGH, ZERO, ZERO, seed & LOW, seed >> HIGH)
        for k in range(WORDS):
            u = first + k * LANES
            if u < x.size:
                if words[k] >= threshold:
                    y[u] = values[k] * scale
                else:  # left out, not multiplied by 0: it may be infinite
                    y[u] = 0


@jit
def _rows(y, x, seed, threshold, scale, pieces):
    U, B = x.shape
    kept = cuda.shared.array(GROUP, np.bool_)
    t = cuda.threadIdx.x
    for item in range(cuda.blockIdx.x, (U + GROUP - 1) // GROUP * pieces, cuda.gridDim.x):
        u0, b0 = item // pieces * GROUP, item % pieces * COLUMNS
        for k in range(t, GROUP, THREADS):
            kept[k] = unit_bits(seed, uint64(u0 + k)) >= threshold
        cuda.syncthreads()
        width = smaller(THREADS, smaller(B - b0, COLUMNS))
        for k in range(t // width, smaller(GROUP, U - u0), THREADS // width):
            if t < THREADS // width * width:
                for b in range(b0 + t % width, smaller(B, b0 + COLUMNS), width):
                    if kept[k]:
                        y[u0 + k, b] = x[u0 + k, b] * scale
                    else:
                        y[u0 + k, b] = 0
        cuda.syncthreads()  # before the next group's bits come into the same array


@jit
def _mask(mask, seed, threshold):
    for u in range(cuda.grid(1), mask.size, cuda.gridsize(1)):
        mask[u] = unit_bits(seed, uint64(u)) >= threshold


@jit
def _given(y, x, mask, scale, B):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        if mask[i // B]:
            y[i] = x[i] * scale
        else:  # left out, as above
            y[i] = 0


def _factor(scale, x):
    """Return the scale in the type of x; beyond float32 it is infinite, as in every backend."""
    with np.errstate(over="ignore"):
        return x.dtype.type(scale)


def dropout(y, x, seed, threshold, scale):
    """Keep, scaled, or set to zero whole units: the rows of x (U, B)."""
    U, B = x.shape
    numbers = np.uint64(seed), np.uint64(threshold), _factor(scale, x)
    if B == 1:
        launch_each(_elements, -(-U // GROUP) * LANES, flat(y), flat(x), *numbers)
    else:
        pieces = -(-B // COLUMNS)
        launch(_rows, grid_for(-(-U // GROUP) * pieces, 1), THREADS, y, x, *numbers, pieces)


def dropout_mask(y, mask, x, seed, threshold, scale):
    """The same, and set mask (U,) to True where a unit is kept."""
    launch_each(_mask, mask.size, mask, np.uint64(seed), np.uint64(threshold))
    dropout_given(y, x, mask, scale)


def dropout_given(y, x, mask, scale):
    """Keep, scaled, the rows of x (U, B) whose mask is True, and set the others to zero."""
    launch_each(_given, x.size, flat(y), flat(x), mask, _factor(scale, x), x.shape[1])
