"""Cases that lead the CUDA kernels where the contract's small ones do not: across blocks, chunks and bands.

How many threads a block has, and how large a piece of its work is, depends on the device; so sizes are
counted in those of the kernels, in Numba's simulator as on a GPU.
"""

from __future__ import annotations

from kernel_cases import (
    Case,
    avg_pool_cases,
    channel_mean_cases,
    conv_cases,
    dropout_cases,
    max_pool_cases,
    normalize_cases,
    pad_cases,
)
from kernel_geometries import SAME, TWO, Convolution

from convkit._cuda import bands, chunks, dropout, parameters, small_statistics, target
from convkit.geometry import max_pool_windows, pool_windows

CONVOLVED = [
    # Enough channels a group for the tiles of the matrix products, in all three directions.
    case
    for c in (
        Convolution("tile", (1, 9, 3, 4), 8, (2, 3)),
        Convolution("tile-pointwise-strided", (2, 8, 3, 4), 9, (1, 1), stride=TWO),
        Convolution("tile-column-strided", (1, 9, 4, 3), 8, (3, 1), stride=TWO),  # columns that meet no tap
        Convolution("tile-row-strided", (1, 8, 3, 4), 8, (1, 3), stride=TWO),  # and rows
        Convolution("tile-gaps", (1, 8, 5, 4), 8, (2, 1), stride=(3, 2)),
        Convolution("tile-groups", (1, 16, 3, 3), 18, (2, 2), stride=(1, 2), groups=2),
        Convolution("tile-dilated-strided", (1, 8, 5, 6), 8, (2, 2), stride=TWO, dilation=TWO),
        Convolution("tile-reflect", (1, 9, 3, 3), 8, (2, 2), stride=TWO, padding=SAME, mode="reflect"),
        Convolution("tile-nothing-read", (1, 8, 2, 2), 8, (1, 1), stride=(5, 5), padding=SAME),
    )
    for case in conv_cases(c)
    if case.op in ("conv2d", "conv_transpose2d", "conv2d_grad_w")
]

MANY = 3 * chunks.CELLS + 5  # values of a statistic that are some chunks
HIGH = chunks.CELLS // 7 + 1  # runs of 7 that are more than one
WIDE = target.THREADS + 3
TALL = bands.CELLS // WIDE + 2  # rows of which a plane is too large for shared memory

NORMALIZED = [
    case
    for cases in (
        normalize_cases("long-run", 1, 2, 1, MANY, 2),
        normalize_cases("more-chunks-than-threads", 1, 1, 1, target.THREADS * chunks.CELLS + 1, 1),
        normalize_cases("many-runs", 5 * HIGH, 2, 1, 7, 2),
        normalize_cases("long-and-many", 3, 1, 1, chunks.CELLS - 1, 1),
        normalize_cases("long-row", 1, 3, chunks.CELLS + 3, 1, 1),
        normalize_cases("wide-group", 1, 4, 5, chunks.CELLS // 2, 2),
        normalize_cases("many-statistics", 1, target.THREADS + 1, 1, 2, 1),
        normalize_cases("small-most", 1, 5, small_statistics.MOST, 1, 5),
        normalize_cases("small-side-by-side", 1, 2 * target.THREADS + 1, 2, 3, 1),
        normalize_cases("small-weights-in-turn", 1, 12, 1, small_statistics.MOST // 3, 4),
        normalize_cases("no-longer-small", 1, 3, small_statistics.MOST + 1, 1, 1),
        normalize_cases("many-rows", 1, 4 * parameters.BLOCKS + 3, 2, 1, 1),
    )
    for case in cases
]


def pools(
    P: int, size: tuple[int, int], k: tuple[int, int], s: tuple[int, int], p: tuple[int, int] = (0, 0)
) -> list[Case]:
    """Return pooling by windows of size `k`, steps of `s` and padding `p`."""
    name = f"{P}x{size}-{k}-{s}-{p}".replace(" ", "")
    average = [pool_windows(*axis) for axis in zip(size, k, s, p, strict=True)]
    maximum = [max_pool_windows(*axis) for axis in zip(size, k, s, p, strict=True)]
    return avg_pool_cases(name, P, average, size) + max_pool_cases(name, P, maximum, size)


POOLED = [
    # but not the gradient of any indices, for which each cell looks at all outputs
    *(c for c in pools(1, (TALL, WIDE), (3, 3), (2, 2), (1, 1)) if c.op != "max_pool2d_backward"),
    *pools(5, (9, WIDE), (2, 2), (2, 2)),
    *pools(67, (5, 7), (3, 2), (2, 1), (1, 0)),
    *pools(1, (17, 15), (9, 8), (1, 1)),  # windows, and gradients, of more cells than are added in float32
]

LARGE = pools(3, (9, WIDE), (9, WIDE), (1, 1)) + pools(2, (3, 3 * WIDE), (3, WIDE), (1, WIDE))
"""A few windows a plane, each for a block."""

TOO_LARGE = pools(1, (3, bands.CELLS // 2), (3, 2), (1, bands.CELLS // 16))
"""Windows, and rows of their gradient, that shared memory cannot hold."""

_row = (2, bands.CELLS + 1)
(TOO_WIDE,) = (
    case
    for case in avg_pool_cases("row", 1, [pool_windows(n, 1, 1) for n in _row], _row)
    if case.op == "avg_pool2d_backward"
)
"""A gradient of which a single row does not fit."""

OTHERS = [
    *pad_cases(3, (37, target.THREADS // 4), ((2, 3), (1, 4)), "reflect", 0.0),
    *pad_cases(5, (3, 4), ((9, 7), (6, 11)), "circular", 0.0),  # every cell shown several times
    *channel_mean_cases(3, 2 * target.THREADS + 1, target.THREADS + 1),
    *dropout_cases(130, dropout.COLUMNS + 3, 5, 2**31, 2.0),
    *dropout_cases(64 * target.THREADS + 1, 1, 2**63 + 7, 2**30, 1.25),
]

BEYOND = [*CONVOLVED, *NORMALIZED, *POOLED, *LARGE, *TOO_LARGE, TOO_WIDE, *OTHERS]
