"""Compiling ahead: every kernel that a first call would have to wait for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .threads import threads_for

__all__ = ["Warm", "warm_up"]

PLENTY = 1 << 62  # so much work that it is shared among all threads that there are


class Warm(NamedTuple):
    """A kernel that is ready: whether it had to be compiled, and the folder it is kept in, if any."""

    op: str
    anew: bool
    folder: str | None


def warm_up(places: Iterable[str], progress: Callable[[str, int, int], None]) -> list[Warm]:
    """Compile some kernels, for one thread and for several, for both float types.

    Parameters
    ----------
    places : iterable of str
        Where they are, as the registry says: ``"module:function"``.
    progress : callable
        Is told what is being compiled, how many kernels are done, and how many there are.
    """
    jobs: list[tuple[Any, str, bool]] = []
    for place in places:
        module, _, name = place.partition(":")
        kernel = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        ways = (False, True) if kernel.parallel and threads_for(PLENTY) > 1 else (False,)
        jobs += [(kernel, dtype, parallel) for dtype in ("float32", "float64") for parallel in ways]
    done = []
    for number, (kernel, dtype, parallel) in enumerate(jobs):
        progress(kernel.op, number, len(jobs))
        stats = kernel.compiled(dtype, parallel).stats
        done.append(Warm(kernel.op, not stats.cache_hits, stats.cache_path))
    return done
