"""The sizes on which kernels are timed: layers of known networks, and small ones for slow kernels.

A case's name begins with its size. Kernels that are slow by intention, such as the loops in bare
Python, run on the small ones alone (:data:`LARGEST`), where others are timed too, for comparison.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kernel_cases import (
    Case,
    avg_pool_cases,
    channel_mean_cases,
    conv_cases,
    dropout_cases,
    grad_b_case,
    max_pool_cases,
    normalize_cases,
    pad_cases,
    serves,
)
from kernel_geometries import SAME, TWO, Convolution

from convkit.geometry import max_pool_windows, pool_windows
from convkit.registry import KERNELS, Kernel

SIZES = ("tiny", "small", "layer")
LARGEST = {"loops": "tiny", "matrix": "small"}
"""The largest size of reference modules that would take seconds, or all memory, on the next one."""

CONVOLUTIONS = [
    ("tiny", Convolution("3x3", (1, 3, 8, 8), 4, (3, 3), padding=SAME)),
    ("small", Convolution("3x3", (1, 16, 28, 28), 16, (3, 3), padding=SAME)),
    ("layer", Convolution("3x3", (1, 64, 56, 56), 64, (3, 3), padding=SAME)),  # ResNet
    ("layer", Convolution("1x1", (1, 256, 28, 28), 128, (1, 1))),
    ("layer", Convolution("7x7-stride-2", (1, 3, 112, 112), 64, (7, 7), TWO, padding=((3, 3), (3, 3)))),
    ("layer", Convolution("depthwise-3x3", (1, 144, 28, 28), 144, (3, 3), padding=SAME, groups=144)),
]
POOLS = [  # planes, pixels a side, window, stride, padding
    ("tiny", 3, 8, 2, 2, 0),
    ("layer", 64, 56, 2, 2, 0),
    ("layer", 64, 112, 3, 2, 1),
    ("layer", 64, 28, 3, 1, 1),
]
NORMS = [  # N, G, P, S, W: see convkit.dispatch
    ("tiny", "batch-norm", (2, 3, 1, 64, 3)),
    ("layer", "batch-norm", (8, 64, 1, 56 * 56, 64)),
    ("layer", "layer-norm", (1, 512, 768, 1, 1)),
]


class Timed(NamedTuple):
    """A case to time, its size, and its name in the tables."""

    size: str
    case: Case

    @property
    def group(self) -> str:
        return f"{self.case.op} {self.size} {self.case.name}"


def timed() -> Iterator[Timed]:
    """Yield every case of every operation."""
    for size, c in CONVOLUTIONS:
        for case in conv_cases(c):
            yield Timed(size, case)
    for size, y in (("tiny", (1, 4, 8, 8)), ("layer", (8, 64, 56, 56))):
        yield Timed(size, grad_b_case(*y))
    for size, P, n in (("tiny", 3, 8), ("layer", 64, 56)):
        for mode in ("zeros", "reflect", "circular"):
            for case in pad_cases(P, (n, n), (SAME[0], SAME[1]), mode, 0.0):
                yield Timed(size, case)
    for size, P, n, k, s, p in POOLS:
        name = f"{k}x{k}-stride-{s}"
        for case in avg_pool_cases(name, P, 2 * [pool_windows(n, k, s, p)], (n, n)):
            yield Timed(size, case)
        for case in max_pool_cases(name, P, 2 * [max_pool_windows(n, k, s, p)], (n, n)):
            yield Timed(size, case)
    for size, shape in (("tiny", (2, 3, 64)), ("layer", (8, 512, 11 * 11))):
        for case in channel_mean_cases(*shape):
            yield Timed(size, case)
    for size, name, shape in NORMS:
        for case in normalize_cases(name, *shape):
            yield Timed(size, case)
    for size, units, unit in (("tiny", 256, 1), ("layer", 64 * 56 * 56, 1), ("layer", 512, 28 * 28)):
        for case in dropout_cases(units, unit, 1, 2**31, 2.0):
            yield Timed(size, case)


def runs_on(kernel: Kernel, size: str) -> bool:
    """Tell whether a kernel is fast enough for a size."""
    module = kernel.place.partition(":")[0]
    largest = LARGEST.get(module, SIZES[-1]) if kernel.backend == "reference" else SIZES[-1]
    return SIZES.index(size) <= SIZES.index(largest)


PAIRS = [
    (t, k)
    for t in timed()
    for k in KERNELS
    if k.op == t.case.op and k.backend != "cuda" and runs_on(k, t.size) and serves(k, t.case)
]
"""What is timed, in an order in which the kernels of one case follow one another."""
