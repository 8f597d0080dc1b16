"""Every kernel in plain NumPy: the readable specification that the other backends must agree with.

Inputs are widened to float64, all arithmetic is done there, and the one assignment ``y[...] = ...``
at the end of a kernel rounds to the output's dtype. Signatures and shapes are those of
:mod:`convkit.dispatch`. Infinities and NaNs travel as IEEE arithmetic says; like a compiled kernel,
and unlike NumPy when it is left alone, a kernel here warns of none (the decorator ``quiet``).
"""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np

quiet = np.errstate(all="ignore")


def why_not() -> str | None:
    """Return why this backend cannot run here: NumPy always can, so None."""
    return None


def load(name: str) -> ModuleType:
    """Return the module of kernels called `name`."""
    return importlib.import_module(f"{__name__}.{name}")
