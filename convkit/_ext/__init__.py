"""The compiled backend: picks the build of the kernels for the best instruction set of this CPU.

On x86-64 every kernel module is there three times, as ``convkit._ext.v2.padding`` (SSE4.2),
``.v3.padding`` (AVX2, FMA) and ``.v4.padding`` (AVX-512); elsewhere once, as ``.base.padding``.
The environment variable ``CONVKIT_ISA`` overrides the choice. C code reaches the chosen kernels
through ``convkit/_ext/kernels.pxd``.
"""

from __future__ import annotations

import importlib
import os
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["compiled", "config", "load", "set_threads", "why_not"]


def compiled(module: str) -> ModuleType | None:
    """Import a module that is compiled once; None in a source tree where nothing was compiled."""
    try:
        return importlib.import_module(f"{__name__}.{module}")
    except ModuleNotFoundError:
        return None


def _built(isa: str) -> bool:
    """Return whether this Python has kernels for `isa`: one module, padding, stands for all."""
    folder = Path(__file__).parent / isa
    return any((folder / f"padding{suffix}").exists() for suffix in EXTENSION_SUFFIXES)


def _choose(asked: str, available: tuple[str, ...]) -> str | None:
    """Return the instruction set to use: the one asked for, else the best one, else None."""
    if not asked:
        return available[0] if available else None
    if asked not in available:
        raise ImportError(
            f"CONVKIT_ISA={asked!r}: this CPU and this build of convkit have {', '.join(available) or 'none'}"
        )
    return asked


_cpu, _threads = compiled("cpu"), compiled("threads")
_available: tuple[str, ...] = tuple(filter(_built, _cpu.instruction_sets())) if _cpu else ()
_isa = _choose(os.environ.get("CONVKIT_ISA", ""), _available)


def why_not() -> str | None:
    """Return why the compiled kernels cannot run here, or None if they can."""
    if _cpu is None:
        return "not compiled: run `pip install .`"
    if _isa is None:
        return "this CPU has none of the instruction sets that convkit was built for"
    return None


def load(module: str) -> ModuleType:
    """Return a module of kernels, as built for the chosen instruction set."""
    return importlib.import_module(f"{__name__}.{_isa}.{module}")


def config() -> dict[str, Any]:
    """Return the instruction set in use, those available, and how the kernels were compiled."""
    return {
        "isa": _isa,
        "isa_available": _available,
        "openmp": bool(_cpu and _cpu.OPENMP),
        "compiler": _cpu.COMPILER if _cpu else None,
        "debug": bool(_cpu and _cpu.DEBUG),
    }


def set_threads(everywhere: int, here: int) -> None:
    """Set the number of threads of the process and, unless it is 0, of the calling thread."""
    if _threads is not None:
        _threads.set_threads(everywhere, here)
