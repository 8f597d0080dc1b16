"""Pieces of planes that fit into shared memory: which rows a block loads, and for which rows of its result.

A result row reads some rows of its source: those of its window, or, for a gradient, the outputs whose
windows hold it. A *band* is a few result rows and all the source rows that they read. Rows are whole, so a
band is one run of memory, and where planes are small a block takes several in one run.

Shared memory is as near as the L1 cache, but what lies there was asked for by the program: a block
fetches its run once, all lanes side by side, however often its windows overlap.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .target import SIMULATED, THREADS, cuda, grid_for, jit, launch, uint64

__all__ = ["CELLS", "Bands", "bands_of", "launch_bands", "stage"]

CELLS = 6144
"""Cells of shared memory: in float32 24 KiB, of which a multiprocessor has room for more blocks than its
registers have; in float64 the 48 KiB that a block may have."""

BLOCKS = 2 if SIMULATED else 2048
"""Blocks to cut a result into, if each still has work for all its threads: some for each of the 400 to
1000 places that an H200 has for them."""

BATCH = 8
"""Cells that a thread loads before it stores the first, so that these loads do not wait for one another."""


class Bands(NamedTuple):
    """How planes are cut."""

    planes: int  # whole planes that a block takes at once
    rows: int  # result rows of a band
    reach: np.ndarray  # (bands, 2): first source row of each, and the one after its last


def bands_of(P: int, reach: np.ndarray, H: int, W: int, width: int) -> Bands | None:
    """Cut P source planes (H, W), for results of `width` columns and rows that read rows `reach` (rows, 2).

    Returns None where what a single row reads is too large for shared memory.

    >>> reads = np.array([[0, 2], [2, 4], [4, 6]])
    >>> bands_of(1, reads, 6, 3000, 1500).reach
    array([[0, 2],
           [2, 4],
           [4, 6]])
    """
    return _bands_of(P, np.ascontiguousarray(reach, np.int64).tobytes(), H, W, width)


@lru_cache(maxsize=512)
def _bands_of(P: int, data: bytes, H: int, W: int, width: int) -> Bands | None:
    reach = np.frombuffer(data, np.int64).reshape(-1, 2)
    rows = len(reach)
    while True:
        starts = np.arange(0, len(reach), rows)
        first, end = np.minimum.reduceat(reach[:, 0], starts), np.maximum.reduceat(reach[:, 1], starts)
        fits = (end - first).max() * W <= CELLS
        if rows == 1 or (fits and (P * len(starts) >= BLOCKS or rows * width <= 2 * THREADS)):
            break
        rows = -(-rows // 2)
    if not fits:
        return None
    planes = 1
    if len(starts) == 1 and H * W <= CELLS:  # whole planes, to the padding's row that no window reads
        first[0], end[0] = 0, H
        planes = max(1, min(CELLS // (H * W), -(-P // BLOCKS)))
    return Bands(planes, rows, np.stack([first, end], axis=1))


def launch_bands(kernel: Any, P: int, bands: Bands, *arguments: Any) -> None:
    """Start a kernel with a block for each band of each `bands.planes` planes."""
    launch(kernel, grid_for(-(-P // bands.planes) * len(bands.reach), 1), THREADS, *arguments)


@jit(device=True)
def stage(cells, source, start, count):
    """Copy `count` neighbours of `source` to shared memory. The block must wait before it reads them."""
    values = cuda.local.array(BATCH, source.dtype)
    for first in range(cuda.threadIdx.x, count, BATCH * THREADS):
        for k in range(BATCH):
            if first + k * THREADS < count:
                values[k] = source[uint64(start + first + k * THREADS)]
        for k in range(BATCH):
            if first + k * THREADS < count:
                cells[first + k * THREADS] = values[k]
