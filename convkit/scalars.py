"""Arithmetic of single numbers that kernels for CPU and GPU share.

These are plain Python functions, of numbers and not of arrays. A backend compiles them for itself with
:func:`compiled_by`; undecorated they run as they are, in Python. The 64 bits of an unsigned number are
NumPy's ``uint64`` throughout: an ``int`` beside one would make a float of both in compiled code.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

__all__ = [
    "compiled_by",
    "merged",
    "philox4x32",
    "takes_over",
    "unit_bits",
    "with_value",
]

MULTIPLIER_0, MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
KEY_STEP_0, KEY_STEP_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)  # golden ratio, sqrt(3)
LOW = np.uint64(0xFFFFFFFF)
HIGH = np.uint64(32)
ZERO, LANES, GROUP = np.uint64(0), np.uint64(16), np.uint64(64)


# --- random bits ---------------------------------------------------------------------------


def philox4x32(c0, c1, c2, c3, k0, k1):
    """Return the four random 32-bit words of a counter of four under a key of two, all as uint64.

    Ten rounds of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011).

    >>> zero = np.uint64(0)
    >>> [hex(word) for word in philox4x32(zero, zero, zero, zero, zero, zero)]  # as they publish
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    for _ in range(10):
        product_0, product_1 = MULTIPLIER_0 * c0, MULTIPLIER_1 * c2  # 64 bits, both halves of use
        c0, c1 = (product_1 >> HIGH) ^ c1 ^ k0, product_1 & LOW
        c2, c3 = (product_0 >> HIGH) ^ c3 ^ k1, product_0 & LOW
        k0, k1 = (k0 + KEY_STEP_0) & LOW, (k1 + KEY_STEP_1) & LOW
    return c0, c1, c2, c3


def unit_bits(seed, u):
    """Return the 32 random bits of dropout's unit `u`; both are uint64, as is the result.

    A group of 64 units is served by 16 counters: see the signatures in :mod:`convkit.dispatch`.

    >>> hex(unit_bits(np.uint64(0), np.uint64(16)))  # the second word of counter 0
    '0xe169c58d'
    """
    counter = u // GROUP * LANES + u % LANES
    words = philox4x32(counter & LOW, counter >> HIGH, ZERO, ZERO, seed & LOW, seed >> HIGH)
    word = u // LANES % np.uint64(4)
    if word == ZERO:
        return words[0]
    if word == np.uint64(1):
        return words[1]
    if word == np.uint64(2):
        return words[2]
    return words[3]


# --- maxima --------------------------------------------------------------------------------


def takes_over(value, best):
    """Tell whether the next value of a window replaces its maximum so far: greater, or NaN.

    So the first of equals wins, and a NaN always.

    >>> takes_over(2.0, 2.0), takes_over(float("nan"), 2.0), takes_over(2.0, float("nan"))
    (False, True, False)
    """
    return (value > best) | (value != value)  # only NaN differs from itself


# --- statistics ----------------------------------------------------------------------------


def with_value(count, mean, m2, value):
    """Return count, mean and sum of squared deviations of some numbers and of one more (Welford, 1962).

    >>> with_value(1, 2.0, 0.0, 4.0)  # 2 and 4
    (2, 3.0, 2.0)
    """
    count = count + 1
    delta = value - mean
    mean = mean + delta / count
    return count, mean, m2 + delta * (value - mean)


def merged(count_a, mean_a, m2_a, count_b, mean_b, m2_b):
    """Return count, mean and sum of squared deviations of two sets of numbers together.

    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances" (1979). Neither set may be empty.

    >>> merged(2, 3.0, 2.0, 2, 5.0, 2.0)  # 2, 4 and 4, 6
    (4, 4.0, 8.0)
    """
    count = count_a + count_b
    delta = mean_b - mean_a
    mean = mean_a + delta * count_b / count
    return count, mean, m2_a + m2_b + delta * delta * count_a * count_b / count


# --- for a backend -------------------------------------------------------------------------


def compiled_by(jit: Callable[[Any], Any]) -> dict[str, Any]:
    """Return this module's functions, each compiled by `jit`, and each calling the compiled others.

    Parameters
    ----------
    jit : callable
        A decorator, such as ``numba.njit`` or ``numba.cuda.jit(device=True)``.

    Examples
    --------
    >>> compiled_by(lambda function: function)["with_value"](1, 2.0, 0.0, 4.0)
    (2, 3.0, 2.0)
    """
    names = {k: v for k, v in globals().items() if k == "__name__" or k.isupper() or k == "np"}
    for function in (philox4x32, unit_bits, takes_over, with_value, merged):
        name = function.__name__
        names[name] = jit(FunctionType(function.__code__, names, name))
    return {function: names[function] for function in names if function in __all__}
