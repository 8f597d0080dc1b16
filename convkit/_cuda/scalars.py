"""The arithmetic of :mod:`convkit.scalars`, compiled for the device: the same functions as on the CPU.

And two that kernels must take from here: of the two CUDA targets, the one inside Numba cannot compile the
built-in ``min`` and ``max`` of whole numbers.
"""

from __future__ import annotations

from ..scalars import compiled_by
from .target import jit

__all__ = ["larger", "merged", "philox4x32", "smaller", "takes_over", "unit_bits"]

_compiled = compiled_by(jit(device=True))

merged = _compiled["merged"]
philox4x32 = _compiled["philox4x32"]
takes_over = _compiled["takes_over"]
unit_bits = _compiled["unit_bits"]


@jit(device=True)
def smaller(a, b):
    """Return ``min(a, b)``."""
    return a if a < b else b


@jit(device=True)
def larger(a, b):
    """Return ``max(a, b)``."""
    return a if a > b else b
