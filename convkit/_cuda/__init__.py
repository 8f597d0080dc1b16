"""The Numba CUDA backend for NVIDIA GPUs: the file names and signatures of ``convkit.reference``.

A kernel is a file here and a line in :data:`convkit.registry.KERNELS`. Kernels are written to the
interface that the ``numba-cuda`` package and Numba's own, older CUDA target share.
"""

import importlib
import importlib.util
from types import ModuleType

__all__ = ["load", "why_not"]


def why_not() -> str | None:
    """Return why CUDA kernels cannot run here, or None if they can.

    Numba's simulator (``NUMBA_ENABLE_CUDASIM=1``) counts as a device.
    """
    try:
        from .target import cuda
    except ImportError as error:
        return f"Numba's CUDA target cannot be imported ({error}); install convkit[cuda]"
    if cuda.is_available():
        return None
    package = "" if importlib.util.find_spec("numba_cuda") else "; should there be one, install convkit[cuda]"
    return f"no CUDA device that Numba can use{package}"


def load(module: str) -> ModuleType:
    """Return a module of this backend's kernels."""
    return importlib.import_module(f"{__name__}.{module}")
