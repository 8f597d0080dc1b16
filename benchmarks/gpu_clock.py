"""How long a GPU takes for what it is given: by CUDA events, and without the time that Python takes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from convkit._cuda.target import SIMULATED, cuda, jit, launch, to_device

__all__ = ["Clock", "Times"]

Call = Callable[[], Any]


class Times(NamedTuple):
    """Seconds of one call: the median of the samples, the smallest and the largest."""

    median: float
    least: float
    most: float


@jit
def _spin(out, turns):
    """Keep the GPU busy with one thread: each turn waits for the one before."""
    number = out[0]
    for _ in range(turns):
        number = number * 0.999 + 1.0
    out[0] = number


class Clock:
    """Times calls that start kernels.

    A call from Python takes tens of microseconds, many kernels less. So the GPU is held up by a kernel that
    spins until enough calls are waiting, which then run one after the other; events before the first and
    after the last tell the time of the GPU alone.
    """

    def __init__(self, samples: int = 7, least: float = 4e-3) -> None:
        import numpy as np

        self.samples, self.least = samples, least
        self._cell = to_device(np.ones(1))
        self._turn = 0.0
        if not SIMULATED:
            self._seconds(lambda: launch(_spin, 1, 1, self._cell, 10), 1)  # compiles it
            self._turn = self._seconds(lambda: launch(_spin, 1, 1, self._cell, 10**6), 1) / 10**6

    def take(self, *calls: Call) -> list[Times]:
        """Time calls by turns, each warm; short ones are repeated within a sample."""
        repeats, holds = [], []
        for call in calls:
            call()  # compiles, and allocates workspace
            cuda.synchronize()
            start = perf_counter()
            call()
            waiting = perf_counter() - start
            repeats.append(max(1, min(200, round(self.least / max(self._seconds(call, 1), 1e-6)))))
            holds.append(1.5 * waiting * repeats[-1] + 1e-4)
        samples: list[list[float]] = [[] for _ in calls]
        for _ in range(self.samples):
            for call, n, hold, seconds in zip(calls, repeats, holds, samples, strict=True):
                seconds.append(self._seconds(call, n, hold))
        return [Times(median(s), min(s), max(s)) for s in samples]

    def _seconds(self, call: Call, repeats: int, hold: float = 0.0) -> float:
        """Return the seconds of one call on the GPU, over `repeats` in a row."""
        if SIMULATED:
            start = perf_counter()
            for _ in range(repeats):
                call()
            return (perf_counter() - start) / repeats
        before, after = cuda.event(), cuda.event()
        if hold:
            launch(_spin, 1, 1, self._cell, int(hold / self._turn))
        before.record()
        for _ in range(repeats):
            call()
        after.record()
        after.synchronize()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return cuda.event_elapsed_time(before, after) / 1e3 / repeats
