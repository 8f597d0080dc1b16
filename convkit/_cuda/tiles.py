"""How large the tiles of the matrix products are: constants that kernels are compiled with.

A block computes BM channels of BN pixels, BK products of each at a time, a thread TM by TN of them.
What a tile must fit: TM*TN sums and TM + TN operands into a thread's registers, 255 at most and 128 for
512 threads on a multiprocessor; the operands of a step, BK*(BM + BN), twice into shared memory, 48 KiB.

The middle tile in float32 is for layers of 64 channels, as networks begin with: half of the largest would be
empty there. And it is for layers with outputs for too few of the largest. The smallest has twice the loads:
of the numbers that a thread loads, there is one for two multiply-adds with 4x4 sums, for four with 8x8.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .target import SIMULATED

__all__ = ["QUAD", "Tile", "tile_for", "tiles"]


QUAD = 2 if SIMULATED else 4
"""Neighbours that a thread computes; its next ones are as far away as all threads' neighbours reach."""


class Tile(NamedTuple):
    """Sizes of a block's tile and of a thread's."""

    BM: int
    BN: int
    BK: int
    TM: int
    TN: int

    @property
    def threads(self) -> int:
        """Return how many threads a block has."""
        return self.BM // self.TM * (self.BN // self.TN)


BUSY = 264
"""Blocks that keep a large GPU busy: two for each of the 132 multiprocessors of an H100 or H200.

Of the middle tile, whose blocks are of 128 threads instead of 256, four would fit.
"""


def tiles(dtype: np.dtype) -> tuple[Tile, ...]:
    """Return the tiles that kernels of a dtype are compiled for, the largest one first.

    The simulator's is small, for its threads are slow.
    """
    if SIMULATED:
        return (Tile(32, 8, 4, 4, 4),)
    if dtype.itemsize == 8:  # twice the registers for each number
        return (Tile(64, 64, 8, 4, 4),)
    return (Tile(128, 128, 8, 8, 8), Tile(64, 128, 8, 8, 8), Tile(64, 64, 8, 4, 4))


def tile_for(dtype: np.dtype, M: int, pixels: int, G: int) -> Tile:
    """Return the largest tile that M channels fill by more than half, in enough blocks, or the smallest."""
    of = tiles(dtype)
    for tile in of:
        if M > tile.BM // 2 and -(-M // tile.BM) * -(-pixels // tile.BN) * G >= BUSY:
            return tile
    return of[-1]
