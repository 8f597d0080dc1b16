"""Correct first: what a kernel computes is compared with the reference before it is timed."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from comparator import assert_close
from kernel_cases import Arguments, Case

from convkit.dispatch import load
from convkit.registry import KERNELS


@lru_cache(maxsize=1)
def problem(case: Case, spread: str | None) -> tuple[Arguments, list[np.ndarray]]:
    """Return a case's float32 arguments, and what the reference (float64 inside) makes of them."""
    arguments = case.arguments("float32", "reals", spread)
    (line,) = (k for k in KERNELS if (k.op, k.backend, k.algorithm) == (case.op, "reference", "direct"))
    want = [np.empty_like(a) for a in arguments.outputs]
    load(line).kernel(*want, *arguments.inputs)
    return arguments, want


def verified_call(case: Case, kernel: Callable[..., None], spread: str | None = None) -> Callable[[], Any]:
    """Return a call without arguments that runs `kernel` on `case`, found to be right.

    `spread` names the bound of a kernel that does more than reorder sums.

    Raises
    ------
    AssertionError
        If an output is further from the reference than its rounding can be; NaN is never near.
    """
    arguments, want = problem(case, spread)
    outputs = [np.full_like(a, np.nan if a.dtype.kind == "f" else 0) for a in arguments.outputs]
    kernel(*outputs, *arguments.inputs)
    for number, (got, right, bound) in enumerate(zip(outputs, want, arguments.bounds, strict=True)):
        assert_close(got, right, bound, f"output {number} of {case}")
    return lambda: kernel(*outputs, *arguments.inputs)
