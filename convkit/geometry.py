"""Where every output comes from: sizes, padding and index tables, all in integers.

This is the only place in convkit that does shape arithmetic. An operation asks it once per
shape; what comes back are output sizes and small integer tables, and the kernels only gather,
multiply and add. Every function works on **one axis**; two-dimensional operations call it twice.

Symbols, per axis::

    n        input size                     k   kernel size
    p0, p1   padding before and after       s   stride
    o        output size                    d   dilation (1 means none)

    e = d*(k - 1) + 1                       effective kernel: the cells that a window spans

A convolution reads, for output ``i`` and tap ``j``, the padded cell ``i*s + j*d``; the
*index table* of the axis says which input cell that is, or -1 where there is only a zero::

    source = table[i*s + j*d]

The names of the padding modes appear in this file and in no kernel.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from math import prod
from operator import index
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

__all__ = [
    "PADDING_MODES",
    "Field",
    "adaptive_windows",
    "check_allocation",
    "conv_output_size",
    "conv_padding",
    "conv_transpose_output_size",
    "effective_kernel",
    "index_table",
    "max_pool_windows",
    "option",
    "per_axis",
    "pool_output_size",
    "pool_windows",
    "receptive_field",
    "remembered",
    "same_padding",
    "whole",
    "with_divisor",
]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")
"""Padding modes of convolutions; ``pad`` calls the first one ``"constant"``."""

LARGEST = 2**63 - 1  # what a Py_ssize_t holds; every size is compared with it as a Python int

R = TypeVar("R")


def remembered(make: Callable[..., R]) -> Callable[..., R]:
    """Remember what `make` returns for its arguments, unless it holds large tables.

    A small call must not pay for its geometry twice. A large one takes far longer than its tables
    do, and to keep those of every length that a signal ever had would fill the memory.
    """
    known: dict[tuple, R] = {}

    @wraps(make)
    def recall(*args: Any, **named: Any) -> R:
        values = (*args, *named.items()) if named else args
        key = (values, *map(type, values))  # 1, 1.0 and True are equal, and not the same
        try:
            return known[key]
        except KeyError:
            result = make(*args, **named)
        except TypeError:  # an argument that cannot be looked up, such as a list: `make` will refuse it
            return make(*args, **named)
        if _table_bytes(result) <= 2**16:
            if len(known) >= 1024:
                known.clear()
            known[key] = result
        return result

    return recall


def _table_bytes(plan: object) -> int:
    if isinstance(plan, tuple):
        return sum(map(_table_bytes, plan))
    return plan.nbytes if isinstance(plan, np.ndarray) else 0


# --- options -------------------------------------------------------------------------------


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


def _check_sizes(least: int, **sizes: int) -> None:
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
        raise TypeError(f"{name} must be an int or {rank} ints, got {value!r}")
    if len(items) == 1:
        items *= rank
    if len(items) != rank:
        raise ValueError(f"{name} must be an int or {rank} ints, got {value!r}")
    if min(items) < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")
    return items


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
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim):
        return tuple(option(v, name) for v in value)
    try:
        return whole(value, name)
    except TypeError:
        raise TypeError(f"{name} must be an int or a sequence of ints, got {value!r}") from None


def check_allocation(shape: Sequence[int], itemsize: int, name: str = "output") -> tuple[int, ...]:
    """Return `shape`, once it is known that such an array can exist on this machine.

    Sizes are Python integers here, so nothing overflows before it is compared.

    Raises
    ------
    ValueError
        If the array's size in bytes does not fit 64 bits.
    MemoryError
        If it is larger than the machine's memory.

    Examples
    --------
    >>> check_allocation((2, 3), itemsize=4)
    (2, 3)
    """
    size = prod(shape) * itemsize
    if size > LARGEST or any(extent > LARGEST for extent in shape):
        raise ValueError(f"{name} of shape {tuple(shape)} has a size that overflows 64 bits")
    if size > _memory():
        raise MemoryError(
            f"{name} of shape {tuple(shape)} needs {size / 2**30:.1f} GiB, "
            f"and there are {_memory() / 2**30:.1f} GiB"
        )
    return tuple(shape)


@cache
def _memory() -> int:
    """Bytes of memory that this process may have, or the largest size where the system does not tell."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        memory = LARGEST
    try:  # a container may have less than its machine
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        limit = "max"
    return min(memory, int(limit)) if limit.isdigit() else memory


def _check_table(*shape: int) -> None:
    """Raise, as :func:`check_allocation`, unless there is room to compute such a table of integers.

    NumPy makes one in several steps, each with an array of its own; four live at once.
    """
    check_allocation((*shape, 4), 8, "table of (..., 4)")


# --- output sizes --------------------------------------------------------------------------


def effective_kernel(k: int, d: int = 1) -> int:
    """Cells that a window of `k` taps spans at dilation `d`: ``d*(k - 1) + 1``.

    >>> effective_kernel(3, 1), effective_kernel(3, 2)
    (3, 5)
    """
    return d * (k - 1) + 1


def conv_output_size(n: int, k: int, s: int = 1, d: int = 1, p0: int = 0, p1: int = 0) -> int:
    """Outputs of a convolution along one axis: ``floor((n + p0 + p1 - e) / s) + 1``.

    Raises
    ------
    ValueError
        If no window fits: the padded input is shorter than the effective kernel.

    Examples
    --------
    >>> conv_output_size(28, 3)  # "the bits lost at the edge": exactly d*(k - 1)
    26
    >>> conv_output_size(224, 7, s=2, p0=3, p1=3)
    112
    """
    _check_sizes(1, n=n, k=k, s=s, d=d)
    _check_sizes(0, p0=p0, p1=p1)
    e = effective_kernel(k, d)
    if n + p0 + p1 + e > LARGEST:
        raise ValueError(f"input {n}, padding {p0} + {p1} and kernel {k} at dilation {d} overflow 64 bits")
    o = (n + p0 + p1 - e) // s + 1  # floored, so a negative numerator gives o < 1
    if o < 1:
        raise ValueError(
            f"the window does not fit: input {n} + padding {p0} + {p1} = {n + p0 + p1} cells, "
            f"kernel {k} at dilation {d} spans {e}"
        )
    return o


def conv_transpose_output_size(
    n: int, k: int, s: int = 1, d: int = 1, p0: int = 0, p1: int = 0, extra: int = 0
) -> int:
    """Outputs of a transposed convolution: ``s*(n - 1) + e + extra - p0 - p1``.

    `extra` (PyTorch's ``output_padding``) chooses among the ``s`` sizes that a convolution of
    stride ``s`` maps to the same `n`; it appends no zeros.

    Raises
    ------
    ValueError
        If `extra` is not smaller than the stride or the dilation, or no output is left.

    Examples
    --------
    >>> [conv_transpose_output_size(4, 3, s=2, extra=x) for x in (0, 1)]
    [9, 10]
    >>> [conv_output_size(n, 3, s=2) for n in (9, 10)]
    [4, 4]
    """
    _check_sizes(1, n=n, k=k, s=s, d=d)
    _check_sizes(0, p0=p0, p1=p1)
    if not 0 <= extra < max(s, d):
        raise ValueError(
            f"output_padding must be at least 0 and smaller than stride {s} or dilation {d}, got {extra}"
        )
    o = s * (n - 1) + effective_kernel(k, d) + extra - p0 - p1
    if o < 1:
        raise ValueError(
            f"no output is left: input {n}, kernel {k}, stride {s}, dilation {d}, "
            f"padding {p0} + {p1} give size {o}"
        )
    return o


def pool_output_size(n: int, k: int, s: int, p: int = 0, d: int = 1, ceil_mode: bool = False) -> int:
    """Outputs of a pooling window along one axis, padded by `p` on both sides.

    With `ceil_mode` the last, overhanging window counts too, if it starts inside the input or
    its left padding.

    Raises
    ------
    ValueError
        If `p` exceeds half the window (a window could then hold padding alone), or no window
        fits.

    Examples
    --------
    >>> pool_output_size(5, 2, 2), pool_output_size(5, 2, 2, ceil_mode=True)
    (2, 3)
    """
    _check_sizes(1, n=n, k=k, s=s, d=d)
    _check_sizes(0, p=p)
    if p > k // 2:
        raise ValueError(f"padding must be at most half the window, got padding {p} for window {k}")
    e = effective_kernel(k, d)
    if n + 2 * p + e > LARGEST:
        raise ValueError(f"input {n}, padding {p} and window {k} at dilation {d} overflow 64 bits")
    o = (n + 2 * p - e) // s + 1
    if ceil_mode:
        o = -(-(n + 2 * p - e) // s) + 1
        if (o - 1) * s >= n + p:
            o -= 1
    if o < 1:
        raise ValueError(
            f"the window does not fit: input {n} + padding {p} + {p} = {n + 2 * p} cells, "
            f"window {k} at dilation {d} spans {e}"
        )
    return o


def same_padding(n: int, k: int, s: int = 1, d: int = 1) -> tuple[int, int]:
    """Padding (before, after) that gives ``ceil(n / s)`` outputs; an odd cell goes after.

    With stride 1 this is PyTorch's ``padding="same"``; with a larger one, which PyTorch
    refuses, it is TensorFlow's rule ``SAME``, which is ONNX's ``SAME_UPPER``.

    Examples
    --------
    >>> same_padding(28, 3)
    (1, 1)
    >>> same_padding(224, 7, s=2)  # (3, 3) gives 112 outputs too, and other values
    (2, 3)
    """
    _check_sizes(1, n=n, k=k, s=s, d=d)
    total = max((-(-n // s) - 1) * s + effective_kernel(k, d) - n, 0)
    return total // 2, total - total // 2


def conv_padding(
    padding: str | int | Sequence, n: Sequence[int], k: Sequence[int], s: Sequence[int], d: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Return a convolution's `padding` as one (before, after) pair per axis.

    Parameters
    ----------
    padding : {"valid", "same"}, int, sequence of int, or sequence of (int, int)
        As the user wrote it: for all axes, one per axis, or a pair per axis.
    n, k, s, d : sequence of int
        Input size, kernel size, stride and dilation of each axis, which ``"same"`` needs.

    Examples
    --------
    >>> conv_padding(1, (8, 8), (3, 3), (1, 1), (1, 1))
    ((1, 1), (1, 1))
    >>> conv_padding([(0, 1), (2, 3)], (8, 8), (3, 3), (1, 1), (1, 1))
    ((0, 1), (2, 3))
    """
    rank = len(n)
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * rank
        if padding == "same":
            return tuple(same_padding(*axis) for axis in zip(n, k, s, d, strict=True))
        raise ValueError(f'padding must be "same", "valid", ints or pairs of ints, got {padding!r}')
    if isinstance(padding, Iterable):
        padding = tuple(padding)
        if any(isinstance(p, Iterable) for p in padding):
            if len(padding) != rank or not all(isinstance(p, Iterable) for p in padding):
                raise ValueError(f"padding must hold {rank} (before, after) pairs, got {padding!r}")
            return tuple(_pair(p, padding) for p in padding)
    return tuple((p, p) for p in per_axis(padding, rank, "padding"))


def _pair(p: Iterable, padding: object) -> tuple[int, int]:
    before_after = tuple(p)
    if len(before_after) != 2:
        raise ValueError(f"padding must hold (before, after) pairs, got {padding!r}")
    before, after = per_axis(before_after, 2, "padding")
    return before, after


# --- index tables --------------------------------------------------------------------------


@remembered
def index_table(n: int, p0: int, p1: int, mode: str = "zeros") -> np.ndarray:
    """Return, for each padded cell of an axis, the input cell it shows, or -1 for a constant.

    ============== =========================== ====================================
    mode           ``a b c d`` padded by 3, 3   also known as
    ============== =========================== ====================================
    ``zeros``      ``- - - a b c d - - -``      constant
    ``reflect``    ``d c b a b c d c b a``      SciPy's ``mirror``
    ``symmetric``  ``c b a a b c d d c b``      SciPy's ``reflect``
    ``replicate``  ``a a a a b c d d d d``      NumPy's ``edge``, SciPy's ``nearest``
    ``circular``   ``b c d a b c d a b c``      ``wrap``
    ============== =========================== ====================================

    Padding may exceed the input: the image keeps bouncing or wrapping, as in :func:`numpy.pad`.
    Negative padding crops, in mode ``zeros`` alone.

    Parameters
    ----------
    n : int
        Input cells.
    p0, p1 : int
        Cells of padding before and after.
    mode : str
        One of :data:`PADDING_MODES`.

    Returns
    -------
    ndarray of intp, shape (p0 + n + p1,)
        Read-only: it is cached and shared.

    Raises
    ------
    ValueError
        For an unknown mode, for ``reflect`` of a single cell (which has no reflection), and for
        negative padding that leaves nothing or is asked of another mode than ``zeros``.

    Examples
    --------
    >>> index_table(4, 2, 1)
    array([-1, -1,  0,  1,  2,  3, -1])
    >>> index_table(4, 2, 1, "reflect")
    array([2, 1, 0, 1, 2, 3, 2])
    """
    if mode not in PADDING_MODES:
        raise ValueError(f"padding_mode must be one of {', '.join(PADDING_MODES)}, got {mode!r}")
    _check_sizes(1, n=n)
    length = whole(p0, "p0") + n + whole(p1, "p1")
    if mode != "zeros" and min(p0, p1) < 0:
        raise ValueError(f"negative padding ({p0}, {p1}) crops, which only constant padding can")
    if length < 1:
        raise ValueError(f"padding ({p0}, {p1}) leaves nothing of {n} cells")
    if mode == "reflect" and n == 1 and length > 1:
        raise ValueError("reflect padding needs at least 2 cells: a single one has no reflection")
    _check_table(length)
    i = np.arange(-p0, n + p1, dtype=np.intp)
    if mode == "zeros":
        table = np.where((i >= 0) & (i < n), i, -1)
    elif mode == "reflect":
        bounce = i % max(2 * (n - 1), 1)  # there and back without repeating either end
        table = np.minimum(bounce, 2 * (n - 1) - bounce)
    elif mode == "symmetric":
        bounce = i % (2 * n)
        table = np.minimum(bounce, 2 * n - 1 - bounce)
    elif mode == "replicate":
        table = np.clip(i, 0, n - 1)
    else:
        table = i % n
    table.flags.writeable = False
    return table


# --- pooling windows -----------------------------------------------------------------------


@remembered
def pool_windows(
    n: int,
    k: int,
    s: int,
    p: int = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    """Return (start, stop, divisor) of each window of an average pooling along one axis.

    ``x[start:stop]`` are the input cells in the window; `divisor` is this axis's factor of the
    number to divide by: the window clipped to the explicit padding, or, without
    `count_include_pad`, to the input. The part of a ceil-mode window that hangs over never counts.

    Returns
    -------
    ndarray of intp, shape (o, 3)
        Read-only: it is cached and shared.

    Examples
    --------
    >>> pool_windows(4, 3, 2, p=1, ceil_mode=True)
    array([[0, 2, 3],
           [1, 4, 3],
           [3, 4, 2]])
    """
    o = pool_output_size(n, k, s, p, 1, ceil_mode)
    _check_table(o, 3)
    start = np.arange(o, dtype=np.intp) * s - p
    stop = np.minimum(start + k, n + p)
    real_start, real_stop = np.maximum(start, 0), np.minimum(stop, n)
    divisor = stop - start if count_include_pad else real_stop - real_start
    return _table(real_start, real_stop, divisor)


@remembered
def max_pool_windows(n: int, k: int, s: int, p: int = 0, d: int = 1, ceil_mode: bool = False) -> np.ndarray:
    """Return (start, stop, step) of each window of a max pooling along one axis.

    ``x[start:stop:step]`` are the input cells in the window; padding cells, which stand for
    -infinity, are left out, and every window keeps at least one cell.

    Returns
    -------
    ndarray of intp, shape (o, 3)
        Read-only: it is cached and shared.

    Raises
    ------
    ValueError
        As :func:`pool_output_size`, and if a dilated window would hold padding alone.

    Examples
    --------
    >>> max_pool_windows(5, 2, 2, p=1, d=2)
    array([[1, 2, 2],
           [1, 4, 2],
           [3, 5, 2]])
    """
    o = pool_output_size(n, k, s, p, d, ceil_mode)
    _check_table(o, 3)
    start = np.arange(o, dtype=np.intp) * s - p
    stop = np.minimum(start + effective_kernel(k, d), n)
    real_start = np.where(start < 0, start % d, start)  # the first tap that is not padding
    if np.any(real_start >= stop):
        i = int(np.argmax(real_start >= stop))
        raise ValueError(
            f"window {i} would hold padding alone: input {n}, window {k}, stride {s}, "
            f"padding {p}, dilation {d}"
        )
    return _table(real_start, stop, np.full(o, d, dtype=np.intp))


@remembered
def adaptive_windows(n: int, o: int) -> np.ndarray:
    """Return (start, stop, divisor) of `o` windows that cover `n` cells as evenly as can be.

    Window ``i`` runs from ``floor(i*n / o)`` to ``ceil((i + 1)*n / o)``; windows overlap where
    `o` does not divide `n`.

    Examples
    --------
    >>> adaptive_windows(5, 3)
    array([[0, 2, 2],
           [1, 4, 3],
           [3, 5, 2]])
    """
    _check_sizes(1, n=n, o=o)
    if n * o > LARGEST:
        raise ValueError(f"{o} windows over {n} cells overflow 64 bits")
    _check_table(o, 3)
    i = np.arange(o, dtype=np.intp)
    start, stop = i * n // o, -(-(i + 1) * n // o)
    return _table(start, stop, stop - start)


def with_divisor(windows: np.ndarray, divisor: int) -> np.ndarray:
    """Return average-pooling `windows` with every divisor replaced: ``divisor_override``.

    >>> with_divisor(pool_windows(4, 2, 2), 3)
    array([[0, 2, 3],
           [2, 4, 3]])
    """
    return _table(windows[:, 0], windows[:, 1], np.full(len(windows), divisor, dtype=np.intp))


def _table(*columns: np.ndarray) -> np.ndarray:
    table = np.stack(columns, axis=1).astype(np.intp)
    table.flags.writeable = False
    return table


# --- receptive fields ----------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """What one output cell of a stack of layers sees, along one axis.

    Attributes
    ----------
    outputs : int or None
        Number of outputs, where the input size was given.
    size : int
        Input cells that one output depends on: the receptive field.
    jump : int
        Input cells between the fields of neighbouring outputs: the product of the strides.
    start : int
        First input cell that output 0 sees; negative inside the padding.
    """

    size: int = 1
    jump: int = 1
    start: int = 0
    outputs: int | None = None

    def cells(self, i: int) -> range:
        """Input cells that output `i` sees, padding cells included.

        >>> Field(size=3, jump=2, start=-1).cells(0)
        range(-1, 2)
        """
        return range(self.start + i * self.jump, self.start + i * self.jump + self.size)


def receptive_field(layers: Iterable[dict[str, int]], n: int | None = None) -> list[Field]:
    """Follow the receptive field through `layers`, along one axis.

    Parameters
    ----------
    layers : iterable of dict
        One dict a layer, with ``kernel_size`` and optionally ``stride``, ``padding`` and
        ``dilation``, as ints. Convolutions and poolings are the same here.
    n : int, optional
        Input size; with it each field tells the number of outputs too.

    Returns
    -------
    list of Field
        The input's own field, then one after each layer.

    Examples
    --------
    >>> two = receptive_field([{"kernel_size": 3}, {"kernel_size": 3, "stride": 2}])[-1]
    >>> two.size, two.jump  # two 3x3 layers see what one 5x5 sees
    (5, 2)
    """
    fields = [Field(outputs=n)]
    for number, layer in enumerate(layers):
        known = {"kernel_size", "stride", "padding", "dilation"}
        if not isinstance(layer, dict) or not {"kernel_size"} <= layer.keys() <= known:
            raise ValueError(
                f"layer {number} must have kernel_size and may have stride, padding, dilation; got {layer!r}"
            )
        (k,) = per_axis(layer["kernel_size"], 1, "kernel_size", least=1)
        (s,) = per_axis(layer.get("stride", 1), 1, "stride", least=1)
        (p,) = per_axis(layer.get("padding", 0), 1, "padding")
        (d,) = per_axis(layer.get("dilation", 1), 1, "dilation", least=1)
        last = fields[-1]
        fields.append(
            Field(
                size=last.size + (effective_kernel(k, d) - 1) * last.jump,
                jump=last.jump * s,
                start=last.start - p * last.jump,
                outputs=None if last.outputs is None else conv_output_size(last.outputs, k, s, d, p, p),
            )
        )
    return fields
