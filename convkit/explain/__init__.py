"""What an operation computes, shown number by number, and checked against the kernels.

``explain.conv2d(x, w)[n, oc, oh, ow]`` is one output number as a ledger of everything that went into it. The
other operations are explained in the same way.

Matplotlib is imported only when a picture is asked for: ``explain.pictures`` draws.
"""

from __future__ import annotations

import importlib
from typing import Any

from .convolution import conv1d, conv2d
from .coverage import Coverage, coverage
from .dialects import Clash, Dialects, dialects
from .dropout import dropout, dropout2d, dropout_rows
from .fields import ReceptiveField, receptive_field
from .ledger import Explanation, Ledger, Mismatch
from .normalization import batch_norm
from .padding import pad
from .pooling import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from .spreadsheet import Spreadsheet, to_xlsx
from .transposed import conv_transpose1d, conv_transpose2d

__all__ = [
    "Clash",
    "Coverage",
    "Dialects",
    "Explanation",
    "Ledger",
    "Mismatch",
    "ReceptiveField",
    "Spreadsheet",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "coverage",
    "dialects",
    "dropout",
    "dropout2d",
    "dropout_rows",
    "max_pool1d",
    "max_pool2d",
    "pad",
    "receptive_field",
    "to_xlsx",
]


def __getattr__(name: str) -> Any:
    """Import the pictures, and Matplotlib with them, when they are first asked for."""
    if name in ("pictures", "style"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
