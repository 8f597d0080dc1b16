"""Whole numbers as users write them, made plain Python ints before any arithmetic is done with them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

LARGEST = 2**63 - 1  # what a Py_ssize_t holds; every size is compared with it as a Python int
MOST = 16  # numbers in an option; what has more is data, in the wrong place of a call


def whole(value: Any, name: str, least: int | None = None) -> int:
    """Return `value` as a Python int, if it is a whole number of at least `least`.

    Booleans are refused: where a size is meant, they are a slip in the order of the arguments.

    >>> whole(np.int64(3), "stride", least=1)
    3
    """
    try:
        number = index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, got {value!r}")
    if least is not None and number < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")
    if abs(number) > LARGEST:
        raise ValueError(f"{name} must fit 64 bits, got {value!r}")
    return number


def check_sizes(least: int, **sizes: int) -> None:
    for name, value in sizes.items():
        whole(value, name, least)


def per_axis(value: int | Sequence[int], rank: int, name: str, least: int = 0) -> tuple[int, ...]:
    """Return `value` as one int per axis: ``3`` or ``(3,)`` or ``(3, 3)`` become ``(3, 3)``.

    Parameters
    ----------
    value : int or sequence of int
        An option as the user wrote it.
    rank : int
        Number of axes that the operation works on.
    name : str
        Name of the argument, for the error message.
    least : int, optional
        Smallest value allowed.

    Raises
    ------
    TypeError
        If `value` is not an integer or a sequence of integers.
    ValueError
        If it has the wrong length, or holds a number below `least` or beyond 64 bits.

    Examples
    --------
    >>> per_axis(3, 2, "stride")
    (3, 3)
    >>> per_axis((1, 0), 2, "stride", least=1)
    Traceback (most recent call last):
        ...
    ValueError: stride must be at least 1, got (1, 0)
    """
    value = option(value, name)
    items = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(v, int) for v in items):
        raise TypeError(f"{name} must be {_ints(rank)}, got {value!r}")
    if len(items) == 1:
        items *= rank
    if len(items) != rank:
        raise ValueError(f"{name} must be {_ints(rank)}, got {value!r}")
    if min(items) < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")
    return items


def _ints(rank: int) -> str:
    return "an int" if rank == 1 else f"an int or {rank} ints"


def option(value: Any, name: str) -> Any:
    """Return an option as plain ints, strings and tuples, by which a plan can be looked up.

    A list equals no tuple and 1.0 equals 1, so neither may become a key as it is.

    Raises
    ------
    TypeError
        If it is neither an integer, a string nor a sequence of such.
    ValueError
        If an integer does not fit 64 bits.

    Examples
    --------
    >>> option([1, np.int64(2)], "stride")
    (1, 2)
    """
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray) and value.size > MOST:
        raise TypeError(f"{name} must be an int or a sequence of ints, got an array of shape {value.shape}")
    if isinstance(value, list | tuple) and len(value) > MOST:
        kind = type(value).__name__
        raise TypeError(f"{name} must be an int or a sequence of ints, got a {kind} of {len(value)} items")
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim):
        return tuple(option(v, name) for v in value)
    try:
        return whole(value, name)
    except TypeError:
        raise TypeError(f"{name} must be an int or a sequence of ints, got {value!r}") from None
