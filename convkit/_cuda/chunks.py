"""How blocks share a statistic's values, and how threads share a block's.

Of x (N, G, P, S), a statistic g has N runs of L = P*S neighbours. A *chunk* is a rectangle: some runs, or,
where they are long, a piece of one. Threads lie along the runs, as many rows of them as fit, so that
neighbours read neighbours; each takes up to :data:`SLOTS` values, a row of threads apart.

    cell c of run n of statistic g   is   x[(n*G + g)*L + c]

All arithmetic is in double. In a cycle an H200 moves two floats in and out for each multiprocessor (4.3 TB/s,
1.98 GHz, 132 of them), which can do 64 operations in double precision meanwhile. A normalisation does ten
with each float: two for the mean, four for the squared deviations and what the mean's rounding left over,
four for the result; multiply and add, where they follow each other, are one instruction but two of the ten.
On a GPU that does two operations a cycle, as a GeForce does, they are the limit, and memory waits.
"""

from __future__ import annotations

from typing import NamedTuple

from .scalars import smaller
from .target import SIMULATED, THREADS, cuda, jit

__all__ = ["BATCH", "CELLS", "Chunks", "chunks_of", "feature_of", "onward", "share_of"]

SLOTS = 16
"""Values of a thread in one chunk."""

CELLS = SLOTS * THREADS
"""Values of a block: in shared memory 16 KiB in float32, 32 KiB in float64."""

BATCH = 8
"""Values that a thread loads before it uses the first, so that these loads do not wait for one another."""

BLOCKS = 2 if SIMULATED else 1024
"""Chunks to cut x into, if there is enough of it: no fewer blocks than an H200 holds at a time."""


class Chunks(NamedTuple):
    """The chunks of one statistic."""

    runs: int  # of a chunk
    columns: int  # cells of each run
    pieces: int  # chunks that share a run
    number: int


def chunks_of(N: int, G: int, L: int, fewest: bool = False, slots: int = SLOTS) -> Chunks:
    """Cut N runs of L cells into chunks of at most `slots` values a thread.

    Unless `fewest`, they are smaller than need be where G statistics would make too few blocks.

    >>> chunks_of(32, 64, 49).runs * 49 <= CELLS
    True
    """
    while True:
        pieces = -(-L // (slots * THREADS))
        columns = -(-L // pieces)
        turns = -(-columns // THREADS)  # of a thread along its run
        runs = min(N, THREADS // min(columns, THREADS) * (slots // turns))
        runs = -(-N // -(-N // runs))  # as equal as can be
        count = -(-N // runs) * pieces
        if fewest or slots <= 4 or G * count >= BLOCKS:
            return Chunks(runs, columns, pieces, count)
        slots //= 2


@jit(device=True)
def share_of(chunk, N, L, runs, columns, pieces):
    """Return this thread's share of a chunk: (count, n, c, stop, down).

    It has `count` values, of which the first is cell c of run n; a run's cells end before `stop`, and its
    runs are `down` apart.
    """
    n0, c0 = chunk // pieces * runs, chunk % pieces * columns
    n1, c1 = smaller(N, n0 + runs), smaller(L, c0 + columns)
    across = smaller(columns, THREADS)
    down = THREADS // across
    row = cuda.threadIdx.x // across
    n, c = n0 + row, c0 + cuda.threadIdx.x % across
    count = 0
    if row < down and n < n1 and c < c1:
        count = ((n1 - n + down - 1) // down) * ((c1 - c + THREADS - 1) // THREADS)
    return count, n, c, c1, down


@jit(device=True)
def onward(n, c, first, stop, down):
    """Return the run and cell after (n, c), for a thread whose runs begin with cell `first`."""
    c += THREADS
    if c >= stop:
        return n + down, first
    return n, c


@jit(device=True)
def feature_of(c, P, S):
    """Return the p of cell c, without the division where there is nothing to divide."""
    if P == 1:
        return 0
    return c if S == 1 else c // S
