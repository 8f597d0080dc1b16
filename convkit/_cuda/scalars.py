"""The arithmetic of :mod:`convkit.scalars`, compiled for the device: the same functions as on the CPU."""

from __future__ import annotations

from ..scalars import compiled_by
from .target import jit

__all__ = ["merged", "philox4x32", "takes_over", "unit_bits"]

_compiled = compiled_by(jit(device=True))

merged = _compiled["merged"]
philox4x32 = _compiled["philox4x32"]
takes_over = _compiled["takes_over"]
unit_bits = _compiled["unit_bits"]
