"""What fits the machine's memory, and what is worth keeping there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache, wraps
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .options import LARGEST

R = TypeVar("R")


class _TooLarge(Exception):
    """Carries a result past the cache: what is raised is not kept."""


def remembered(make: Callable[..., R]) -> Callable[..., R]:
    """Remember what `make` returns for its arguments, unless it holds large tables.

    A small call must not pay for its geometry twice. A large one takes far longer than its tables
    do, and to keep those of every length that a signal ever had would fill the memory.
    """

    @lru_cache(maxsize=1024, typed=True)  # 1, 1.0 and True are equal, and not the same
    def kept(*args: Any, **named: Any) -> R:
        result = make(*args, **named)
        if not worth_keeping(result):
            raise _TooLarge(result)
        return result

    @wraps(make)
    def recall(*args: Any, **named: Any) -> R:
        try:
            return kept(*args, **named)
        except _TooLarge as large:
            return large.args[0]
        except TypeError:
            pass
        return make(*args, **named)  # refused, or impossible to look up, as an array is: `make` says why

    recall.cache_clear = kept.cache_clear  # type: ignore[attr-defined]
    return recall


def worth_keeping(plan: object) -> bool:
    """Tell whether a plan is small enough to be remembered, by the tables in it."""
    return _table_bytes(plan) <= 2**16


def _table_bytes(plan: object) -> int:
    if isinstance(plan, tuple):
        return sum(map(_table_bytes, plan))
    return plan.nbytes if isinstance(plan, np.ndarray) else 0


def check_allocation(shape: Sequence[int], itemsize: int, name: str = "output") -> tuple[int, ...]:
    """Return `shape`, once it is known that such an array can exist on this machine.

    Sizes are Python integers here, so nothing overflows before it is compared.

    Raises
    ------
    ValueError
        If the array's size in bytes does not fit 64 bits.
    MemoryError
        If it is larger than the machine's memory or, inside ``room_of``, than that.

    Examples
    --------
    >>> check_allocation((2, 3), itemsize=4)
    (2, 3)
    """
    size = prod(shape) * itemsize
    if size > LARGEST or any(extent > LARGEST for extent in shape):
        raise ValueError(f"{name} of shape {tuple(shape)} has a size that overflows 64 bits")
    memory = _room.get() or _memory()
    if size > memory:
        raise MemoryError(
            f"{name} of shape {tuple(shape)} needs {size / 2**30:.1f} GiB, "
            f"and there are {memory / 2**30:.1f} GiB"
        )
    return tuple(shape)


_room: ContextVar[int | None] = ContextVar("convkit room", default=None)


@contextmanager
def room_of(nbytes: int | None) -> Iterator[None]:
    """Let arrays be as large as a memory of that many bytes inside ``with``; None is the machine's own.

    >>> with room_of(2**30):
    ...     check_allocation((2**28,), itemsize=8)
    Traceback (most recent call last):
    MemoryError: output of shape (268435456,) needs 2.0 GiB, and there are 1.0 GiB
    """
    token = _room.set(nbytes)
    try:
        yield
    finally:
        _room.reset(token)


@cache
def _memory() -> int:
    """Bytes of memory that this process may have, or the largest size where the system does not tell."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        memory = LARGEST
    try:  # a container may have less than its machine
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        limit = "max"
    return min(memory, int(limit)) if limit.isdigit() else memory


def check_table(*shape: int) -> None:
    """Raise, as :func:`check_allocation`, unless there is room to compute such a table of integers.

    NumPy makes one in several steps, each with an array of its own; four live at once. They are in
    main memory wherever the arrays are.
    """
    with room_of(None):
        check_allocation((*shape, 4), 8, "table of (..., 4)")
