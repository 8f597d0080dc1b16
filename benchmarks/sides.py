"""Where the two sides run: in this process at one thread, in a process each at more.

Two OpenMP runtimes in one process disturb one another, so at more than one thread each side gets
a process of its own and is asked by turns. A turn begins when the other side's threads, which spin
for about a millisecond in the hope of more work, have gone to sleep, and with calls that are not timed:
Linux wakes a sleeping thread on the core of the one that wakes it, where both run at half their speed
until the scheduler moves one, some milliseconds later. A turn of a few milliseconds would measure that.
(``OMP_WAIT_POLICY=passive`` has every call pay for the waking: 50 to 100 us, and more while they share.)
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, sleep, thread_time
from typing import Any

import numpy as np
from contenders import Case, Contender, ours, results_of, torch_peer

from convkit.meter.turns import seconds_of
from convkit.registry import BACKENDS


def contender(side: str, case: Case, threads: int, how: dict[str, str]) -> Contender:
    """Return a side's call: ``convkit``, a backend of it (``cython:planes``), or PyTorch, in three ways."""
    if side == "convkit":
        return ours(case, threads, **how)
    backend, _, algorithm = side.partition(":")
    if backend in BACKENDS:
        return ours(case, threads, backend=backend, algorithm=algorithm or "auto")
    return torch_peer(case, threads, onednn=side == "onednn", channels_last=side == "channels_last")


SPREAD_OUT = 0.03  # seconds of calls until the threads of a side run on cores of their own


class Here:
    """A side in this process."""

    def __init__(
        self, side: str, threads: int, how: dict[str, str], cpu_time: bool = False, alone: bool = True
    ) -> None:
        self.side, self.threads, self.how, self.alone = side, threads, how, alone
        self.clock = thread_time if cpu_time else perf_counter
        self.call: Contender = lambda: None

    def load(self, case: Case) -> list[np.ndarray]:
        """Make the case's arrays, run it once and return its results."""
        self.call = contender(self.side, case, self.threads, self.how)
        return results_of(self.call())

    def time(self, repeats: int) -> float:
        """Return the seconds of one call."""
        if not self.alone:
            sleep(0.005)
            awake = perf_counter() + SPREAD_OUT
            while perf_counter() < awake:
                self.call()
        return seconds_of(self.call, repeats, self.clock)

    def which(self) -> str:
        """Return the kernel that convkit chose in the last call."""
        import convkit

        call = convkit.last_call()
        return f"{call.backend} {call.algorithm}" if self.side == "convkit" and call else self.side


class There:
    """A side in a process of its own, with the same methods."""

    def __init__(self, side: str, threads: int, how: dict[str, str]) -> None:
        self.pipe, other = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=_serve, args=(other, side, threads, how), daemon=True)
        self.process.start()
        other.close()

    def ask(self, *message: Any) -> Any:
        self.pipe.send(message)
        answer = self.pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def load(self, case: Case) -> list[np.ndarray]:
        return self.ask("load", case)

    def time(self, repeats: int) -> float:
        return self.ask("time", repeats)

    def which(self) -> str:
        return self.ask("which")

    def close(self) -> None:
        self.pipe.send(None)
        self.process.join()


def _serve(pipe: Any, side: str, threads: int, how: dict[str, str]) -> None:
    """Answer one request after another, until there is none."""
    here = Here(side, threads, how, alone=False)
    while (message := pipe.recv()) is not None:
        method, *arguments = message
        try:
            pipe.send(getattr(here, method)(*arguments))
        except Exception as error:  # handed to the asking process, which raises it
            pipe.send(error)


@contextmanager
def both_sides(
    peer: str, threads: int, how: dict[str, str], cpu_time: bool = False, peer_threads: int | None = None
) -> Iterator[tuple[Any, Any]]:
    """Yield (peer, convkit), ready to take turns; the peer has as many threads unless told otherwise."""
    peer_threads = peer_threads or threads
    if max(threads, peer_threads) == 1:
        yield Here(peer, 1, how, cpu_time), Here("convkit", 1, how, cpu_time)
        return
    sides = There(peer, peer_threads, how), There("convkit", threads, how)
    try:
        yield sides
    finally:
        for side in sides:
            side.close()
