"""Compiling ahead: every kernel that a first call would have to wait for."""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from .compile import DIGEST
from .threads import threads_for

__all__ = ["Warm", "clean", "warm_up"]

PLENTY = 1 << 62  # so much work that it is shared among all threads that there are


class Warm(NamedTuple):
    """A kernel that is ready: whether it had to be compiled, and where it is kept, if anywhere.

    The name is what its files in the folder begin with: the module, the operation and the digest of the
    sources that it was compiled from.
    """

    op: str
    anew: bool
    folder: str | None
    name: str


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
        compiled = kernel.compiled(dtype, parallel)
        module, stats = kernel.__module__.rpartition(".")[2], compiled.stats
        name = f"{module}.{compiled.py_func.__qualname__}"
        done.append(Warm(kernel.op, not stats.cache_hits, stats.cache_path, name))
    return done


# module.operation_way_digest-line.python[.number].nbi or .nbc: how Numba names the files of a kernel of ours
FILE = re.compile(
    r"(?P<kernel>\w+\.\w+_(?:serial|parallel)_)(?P<digest>[0-9a-f]{12})-\d+\.py\w+(?:\.\d+)?\.nb[ci]"
)


def clean(done: Iterable[Warm]) -> int:
    """Delete what was compiled of these kernels and would not be used here now; return how many files.

    Their sources have changed since, or they were compiled for another processor, or with checks of bounds.
    Numba never deletes a file, and looks for none of an old name.
    """
    current: dict[str, set[str]] = {}
    for kernel in done:
        if kernel.folder:
            current.setdefault(kernel.folder, set()).add(kernel.name)
    deleted = 0
    for folder, names in current.items():
        kernels = {name[:-DIGEST] for name in names}
        for file in Path(folder).iterdir():
            match = FILE.fullmatch(file.name)
            if match and match["kernel"] in kernels and match["kernel"] + match["digest"] not in names:
                with contextlib.suppress(OSError):  # another program's, or no file at all
                    file.unlink()
                    deleted += 1
    return deleted
