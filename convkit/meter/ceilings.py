"""What this machine can do at most, measured: multiply-adds from registers, bytes by copying."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import numpy as np

from .. import dispatch

__all__ = ["copy_bandwidth", "multiply_add_peak"]


def multiply_add_peak(dtype: str = "float32", samples: int = 7) -> float:
    """Return the FLOPs a second of one core that does nothing but multiply-adds in registers.

    It runs the vectors of the instruction set that convkit chose, in as many independent chains as
    hide the latency of a multiply-add, for about a millisecond a sample.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        What to multiply.
    samples : int
        The best of so many.

    Raises
    ------
    convkit.BackendUnavailable
        If the compiled kernels are not there.
    """
    if reason := dispatch.why_not("cython"):
        raise dispatch.BackendUnavailable(f"cython: {reason}")
    from .. import _ext

    chains = _ext.load("peak").multiply_adds
    rounds = 20_000
    best = 0.0
    for _ in range(samples):
        start = perf_counter()
        flops, _ = chains(rounds, dtype == "float64")
        best = max(best, flops / (perf_counter() - start))
    return best


def copy_bandwidth(nbytes: int, samples: int = 9) -> float:
    """Return the bytes a second, read and written, of copying an array of `nbytes` (NumPy's copy).

    A small array is copied inside the caches, a large one from memory: measure at the size that
    an operation works on.
    """
    source = np.zeros(max(nbytes // 4, 1), np.float32)
    target = np.empty_like(source)
    repeats = max(1, 4_000_000 // source.nbytes)
    times = []
    for _ in range(samples):
        start = perf_counter()
        for _ in range(repeats):
            np.copyto(target, source)
        times.append((perf_counter() - start) / repeats)
    return 2 * source.nbytes / median(times)
