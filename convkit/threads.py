"""How many threads the kernels may use: in the process, in one Python thread, in a forked child."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

from . import _ext, _numba
from .geometry import per_axis

__all__ = ["get_num_threads", "num_threads", "set_num_threads"]


class _Threads(threading.local):
    here: int | None = None  # num_threads() in this Python thread


_threads = _Threads()
_everywhere = 0  # set_num_threads(); 0 until it is called
_most = 1024  # a forked child may use but one


def _cores() -> int:
    """Cores that this process may use, or OMP_NUM_THREADS where the user set it."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def get_num_threads() -> int:
    """Return how many threads a kernel called from this Python thread may use."""
    return min(_threads.here or _everywhere or _cores(), _most)


def set_num_threads(n: int) -> None:
    """Set how many threads kernels may use, in every Python thread.

    The result does not depend on it: the same call gives the same bits at any number. A process
    that was forked keeps to one thread, for its parent's are not there.

    Raises
    ------
    ValueError
        If `n` is not at least 1.

    Examples
    --------
    >>> import convkit
    >>> before = convkit.get_num_threads()
    >>> convkit.set_num_threads(1)
    >>> convkit.get_num_threads()
    1
    >>> convkit.set_num_threads(before)
    """
    global _everywhere
    _everywhere = _thread_count(n)
    _tell_backends()


@contextlib.contextmanager
def num_threads(n: int) -> Iterator[None]:
    """Use `n` threads inside a ``with`` block, in this Python thread only.

    Examples
    --------
    >>> import convkit
    >>> with convkit.num_threads(1):
    ...     convkit.get_num_threads()
    1
    """
    before = _threads.here
    _threads.here = _thread_count(n)
    _tell_backends()
    try:
        yield
    finally:
        _threads.here = before
        _tell_backends()


def _thread_count(n: int) -> int:
    (count,) = per_axis(n, 1, "num_threads", least=1)
    if count > 1024:
        raise ValueError(f"num_threads must be at most 1024, got {n!r}")
    return count


def _tell_backends() -> None:
    """Hand the numbers to the compiled kernels, which read them without the GIL."""
    for backend in (_ext, _numba):
        backend.set_threads(min(_everywhere or _cores(), _most), min(_threads.here or 0, _most))


def _after_fork() -> None:
    """Leave a forked child one thread: it would wait for ever for its parent's OpenMP threads."""
    global _most
    _most = 1
    _tell_backends()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
_tell_backends()
