"""Where the call of a thread works: on NumPy arrays in main memory, or on arrays in a GPU's.

The public functions are written for NumPy arrays. Where a caller's arrays are on a GPU,
:func:`convkit.arrays.any_array` calls them with views of those while :data:`here` names the module that
stands in for NumPy: :mod:`convkit._cuda.border`.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["cuda_arrays", "here", "on_device"]


class _Here(threading.local):
    device: Any = None
    """None in main memory, else what does for device arrays what NumPy does for its own."""


here = _Here()


def cuda_arrays() -> Any:
    """Import what looks at CUDA arrays of other libraries."""
    return importlib.import_module("convkit._cuda.arrays")


@contextmanager
def on_device(device: Any) -> Iterator[None]:
    """Let this thread's calls inside ``with`` work on device arrays."""
    before = here.device
    here.device = device
    try:
        yield
    finally:
        here.device = before
