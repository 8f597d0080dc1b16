"""What the public functions ask of arrays and do to small ones, for arrays on a device.

The names are those of :mod:`convkit.arrays` and :mod:`convkit.border`, whose place this module takes
while a call works on a GPU. No value is brought back to look at: a negative variance gives NaN here, where
NumPy's arrays get an error.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .target import cuda, flat, float64, jit, launch_each, table
from .views import Interface, as_array, pointer

__all__ = [
    "constant",
    "copied",
    "copy",
    "current",
    "doubles",
    "empty",
    "flipped",
    "full",
    "given_statistics",
    "indices",
    "invstd_of",
    "is_array",
    "mean_of_rows",
    "move",
    "operand",
    "output",
    "overlap",
    "writeable",
]

FLOATS = frozenset({np.dtype(np.float32), np.dtype(np.float64)})
AXES = 5  # of an array at most


class _Current(threading.local):
    visit: Any


current = _Current()


# --- kernels on cells --------------------------------------------------------------------------


@jit
def _copy(y, x):
    """Copy five axes, of any strides."""
    A, B, C, D, E = x.shape
    for i in range(cuda.grid(1), A * B * C * D * E, cuda.gridsize(1)):
        e = i % E
        d = i // E % D
        c = i // E // D % C
        b = i // E // D // C % B
        a = i // E // D // C // B
        y[a, b, c, d, e] = x[a, b, c, d, e]


@jit
def _fill(y, value):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = value


@jit
def _turn(y, x, taps):
    """Reverse each run of `taps` neighbours."""
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = x[i // taps * taps + taps - 1 - i % taps]


@jit
def _invstd(y, var, eps):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        square = float64(var[i]) + eps
        y[i] = 1 / math.sqrt(square) if square != 0 else math.inf


@jit
def _move(running, batch, factor, scale):
    for i in range(cuda.grid(1), running.size, cuda.gridsize(1)):
        running[i] = (1 - factor) * float64(running[i]) + factor * (batch[i] * scale)


@jit
def _mean_of_rows(y, x):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        acc = x[0, i]
        for row in range(1, x.shape[0]):
            acc += x[row, i]
        y[i] = acc / x.shape[0]


# --- questions ---------------------------------------------------------------------------------


def is_array(x: Any) -> bool:
    """Tell whether x is a device array."""
    return bool(getattr(x, "__cuda_ndarray__", False))


def operand(x: Any, name: str) -> Any:
    """Return `x` as a C-contiguous device array of float32 or float64, itself where it is one."""
    if not is_array(x):
        raise TypeError(f"{name} must be an array of float32 or float64, got {type(x).__name__}")
    if x.dtype not in FLOATS or not x.dtype.isnative:
        raise TypeError(f"{name} must be float32 or float64, got {x.dtype}; nothing is cast in silence")
    return x if x.is_c_contiguous() else copied(x)


def indices(x: Any) -> Any:
    """Return an array, of int64 or bool, as a contiguous one."""
    return x if x.is_c_contiguous() else copied(x)


def writeable(x: Any) -> bool:
    """Tell whether the caller's array may be written."""
    described = getattr(x.convkit_owner, "__cuda_array_interface__", None)
    return described is None or not described["data"][1]


def _reach(x: Any) -> tuple[int, int]:
    """Return the addresses from which and up to which an array has cells."""
    low = high = pointer(x)
    for n, stride in zip(x.shape, x.strides, strict=True):
        low, high = low + min(0, (n - 1) * stride), high + max(0, (n - 1) * stride)
    return low, high + x.dtype.itemsize


def overlap(a: Any, b: Any) -> bool:
    """Tell whether the stretches of memory that two arrays reach over have a cell in common."""
    if not (is_array(a) and is_array(b) and a.size and b.size):
        return False
    (a0, a1), (b0, b1) = _reach(a), _reach(b)
    return a0 < b1 and b0 < a1


def output(shape: Sequence[int], dtype: np.dtype, out: Any, inputs: Sequence[Any], name: str = "out") -> Any:
    """Return the array that a kernel may write: see :func:`convkit.arrays.output`."""
    if out is None:
        return empty(shape, dtype)
    if not is_array(out):
        raise TypeError(f"{name} must be an array on the GPU as x is, got {type(out).__name__}")
    if out.shape != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {out.shape}")
    if out.dtype != dtype:
        raise TypeError(f"{name} must be {dtype}, got {out.dtype}")
    if not writeable(out):
        raise ValueError(f"{name} is read-only")
    usable = out.is_c_contiguous() and not any(overlap(out, x) for x in inputs)
    return out if usable else empty(shape, dtype)


# --- arrays ------------------------------------------------------------------------------------


def empty(shape: Sequence[int], dtype: Any) -> Any:
    """Return a new array of the caller's kind."""
    return current.visit.empty(shape, dtype)


def full(shape: Sequence[int], value: float, dtype: Any) -> Any:
    """Return a new array of one value."""
    y = empty(shape, dtype)
    fill(y, value)
    return y


def fill(y: Any, value: float) -> None:
    """Put a value into every cell."""
    if y.size:
        launch_each(_fill, y.size, flat(y), np.dtype(y.dtype).type(value))


def constant(host: np.ndarray) -> Any:
    """Return a NumPy array of constants as a device array that is sent over only once."""
    return table(host)


def _five_axes(x: Any) -> Any:
    """Return a view with axes of length 1 in front."""
    if x.ndim == AXES:
        return x
    if x.is_c_contiguous():
        return x.reshape((1,) * (AXES - x.ndim) + tuple(x.shape))
    return _lifted(x)


def _lifted(x: Any) -> Any:
    missing = AXES - x.ndim
    description = {
        "shape": (1,) * missing + tuple(x.shape),
        "strides": (0,) * missing + tuple(x.strides),
        "typestr": x.dtype.str,
        "data": (pointer(x), False),
        "version": 3,
    }
    return as_array(Interface(description, x))


def copy(y: Any, x: Any) -> None:
    """Copy x into y, of the same shape and any strides."""
    if x.size:
        launch_each(_copy, x.size, _five_axes(y), _five_axes(x))


def copied(x: Any) -> Any:
    """Return a contiguous copy."""
    y = empty(x.shape, x.dtype)
    copy(y, x)
    return y


def flipped(w: Any) -> Any:
    """Return filters turned by 180 degrees: their last axes, after the first two, reversed."""
    turned = empty(w.shape, w.dtype)
    launch_each(_turn, w.size, flat(turned), flat(w), prod(w.shape[2:]))
    return turned


# --- small vectors -----------------------------------------------------------------------------


def doubles(v: Any) -> Any:
    """Return a vector in float64, in memory of its own."""
    wide = empty(v.shape, np.float64)
    copy(wide, v)
    return wide


def invstd_of(var: Any, eps: float) -> Any:
    """Return 1/sqrt(var + eps) in float64."""
    invstd = empty(var.shape, np.float64)
    if var.size:
        launch_each(_invstd, var.size, invstd, var, eps)
    return invstd


def given_statistics(mean: Any, var: Any, eps: float) -> tuple[Any, Any]:
    """Return mean and 1/sqrt(var + eps) in float64."""
    return doubles(mean), invstd_of(var, eps)


def move(running: Any, batch: Any, factor: float, scale: float) -> None:
    """Move a running statistic, in place, towards a batch's, of float64 and times `scale`."""
    launch_each(_move, batch.size, running, batch, factor, scale)


def mean_of_rows(x: Any) -> Any:
    """Return the mean of each column of a matrix of float64."""
    means = empty(x.shape[1:], np.float64)
    launch_each(_mean_of_rows, means.size, means, x)
    return means
