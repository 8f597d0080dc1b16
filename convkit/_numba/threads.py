"""How many threads a kernel runs on, and how calls keep out of one another's way.

Numba runs parallel loops by one of three threading layers, the first that it finds of ``tbb``,
``omp`` and ``workqueue``. Two things they cannot all do:

- ``workqueue`` ends the process when two Python threads enter it at once. So only one call at a time
  gets its threads; a second does all of its work in its own thread, with the same bits.
- ``omp`` ends a process that was forked from one that had used it. So in a forked child every call
  does its work in its own thread: :mod:`convkit.threads` sees to that by telling a number of 1.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["run_shared", "set_small", "set_threads", "several", "threads_for"]


class _Here(threading.local):
    count: int = 0  # 0: as everywhere


_here = _Here()
_everywhere = 1
_one_at_a_time = threading.Lock()

# Below this much work a loop takes less time than the handing out of its parts: some 20 us, in which
# one core moves about 100,000 elements.
_small = 100_000


def set_threads(everywhere: int, here: int) -> None:
    """Set the number of threads of the process and, unless it is 0, of the calling thread."""
    global _everywhere
    _everywhere, _here.count = everywhere, here


def set_small(elements: int) -> int:
    """Set below how much work a kernel stays on one thread; return what it was.

    The tests set it to 0, so that cases small enough to be checked are shared among threads too.
    """
    global _small
    before, _small = _small, elements
    return before


def several() -> bool:
    """Tell whether this thread's calls may use more threads than one, if there is enough to do."""
    return (_here.count or _everywhere) > 1


def threads_for(work: int) -> int:
    """Return how many threads a kernel may use for so many elements or multiply-adds."""
    return 1 if work < _small else _here.count or _everywhere


def run_shared(function: Callable[..., None], arguments: tuple[Any, ...], threads: int) -> bool:
    """Call a function with parallel loops on `threads` threads; False if they are busy elsewhere."""
    import numba

    before = numba.get_num_threads()  # starts the threading layer, too, so that it has a name
    alone = numba.threading_layer() == "workqueue"
    if alone and not _one_at_a_time.acquire(blocking=False):
        return False
    try:
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
        function(*arguments)
    finally:
        numba.set_num_threads(before)
        if alone:
            _one_at_a_time.release()
    return True


def _after_fork() -> None:
    """Give a forked child a lock that no thread of its parent holds."""
    global _one_at_a_time
    _one_at_a_time = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
