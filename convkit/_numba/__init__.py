"""The Numba backend for the CPU: the file names of ``convkit._ext``, the signatures of every backend.

A kernel is a function under the decorator of ``compile.py`` and a line in
:data:`convkit.registry.KERNELS`. Numba takes half a second to import, so nothing here does before a
kernel is loaded.
"""

import importlib
import importlib.util
from types import ModuleType

from .threads import set_threads

__all__ = ["load", "set_threads", "why_not"]


def why_not() -> str | None:
    """Return why Numba kernels cannot run here, or None if they can."""
    return None if importlib.util.find_spec("numba") else "Numba is missing: run `pip install numba`"


def load(module: str) -> ModuleType:
    """Return a module of this backend's kernels."""
    return importlib.import_module(f"{__name__}.{module}")
