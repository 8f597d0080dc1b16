"""Convolutions by the libraries under NumPy and SciPy: BLAS for matrix products, pocketfft for transforms.

Unlike the reference, which is float64 inside to be a specification, these kernels compute in the
arrays' own precision, as a program would that uses these libraries. Neither asks how many threads
convkit has: BLAS has its own setting.
"""

import importlib
from types import ModuleType

__all__ = ["load", "why_not"]


def why_not() -> str | None:
    """Return why this backend cannot run here: NumPy and SciPy always can, so None."""
    return None


def load(module: str) -> ModuleType:
    """Return a module of this backend's kernels."""
    return importlib.import_module(f"{__name__}.{module}")
