"""Vectors for Numba: a few numbers side by side, which LLVM keeps in the processor's registers.

Numba has no word for a vector. Its loops become vectors if LLVM can prove that they may, but a sum that
lives in a register from the beginning of a loop to its end cannot be asked for that way. So this file
teaches Numba a type, :class:`Vector`, and the handful of functions that kernels need: ``load``, ``store``,
``splat`` and so on. ``+`` and ``*`` work lane by lane, and ``a*b + c`` may be fused to one multiply-add.

Each function is written twice: as the Python function that is seen here, in which a vector is a small
NumPy array, and below it as the LLVM instructions that stand for it once it is compiled. With
``NUMBA_DISABLE_JIT=1`` only the first is used, so that kernels can be stepped through.

Functions that read or write take a pointer (pointers.py) or an array of one dimension. An index is not
checked: it counts elements from the start, never from the end. No more alignment is needed than an
element has.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.extending import lower_builtin, models, register_model, type_callable

from .pointers import Pointer

__all__ = [
    "BYTES",
    "evens",
    "lanes",
    "load",
    "load_first",
    "load_where",
    "splat",
    "store",
    "store_first",
    "total",
    "zero",
]


def _features() -> set[str]:
    """Return what the processor can do for which Numba compiles, which environment variables may change."""
    asked = numba.config.CPU_FEATURES  # type: ignore[attr-defined]
    if asked is None:
        asked = get_host_cpu_features()  # Numba's, which leaves out AVX where it is slow
    return {name[1:] for name in asked.split(",") if name.startswith("+")}


def _bytes() -> int:
    """Choose the size of a vector so that 8 sums, a weight and the pixels fit the registers."""
    features = _features()
    if "avx512f" in features:
        return 2 * 64  # of 32 registers, 16 for the sums
    if "avx" in features:
        return 32  # of 16 registers, 8
    return 2 * 16 if "neon" in features else 16  # of 32; of SSE's 16


BYTES: int = _bytes()
"""Size of a vector: one or two registers."""


# --- the type ------------------------------------------------------------------------------


class Vector(types.Type):
    """The type of a vector of `dtype`, a float type of Numba's."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype, self.lanes = dtype, 8 * BYTES // dtype.bitwidth
        super().__init__(f"Vector({dtype})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, of: Vector) -> None:
        element = ir.FloatType() if of.dtype == types.float32 else ir.DoubleType()
        super().__init__(manager, of, ir.VectorType(element, of.lanes))


def _vector_of(a: Any) -> Vector | None:
    """Return the type of vectors of the elements of an array or a pointer."""
    is_row = isinstance(a, Pointer) or (isinstance(a, types.Array) and a.ndim == 1)
    return Vector(a.dtype) if is_row and isinstance(a.dtype, types.Float) else None


def _lowered(function: Callable[..., Any], *of: Any) -> Callable[..., Any]:
    """Register the instructions of `function` for these types: ``emit(builder, context, types, values)``."""

    def decorate(emit: Callable[..., Any]) -> Callable[..., Any]:
        @lower_builtin(function, *of)
        def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            result = emit(builder, context, sig.args, values)
            return context.get_dummy_value() if result is None else result

        return emit

    return decorate


def _element(builder: Any, context: Any, of: Any, value: Any, index: Any) -> Any:
    """Return the address of an element."""
    data = value if isinstance(of, Pointer) else context.make_array(of)(context, builder, value).data
    return builder.gep(data, [index])


def _place(builder: Any, context: Any, of: Any, value: Any, index: Any) -> Any:
    """Return the address of an element, as that of a vector."""
    return builder.bitcast(_element(builder, context, of, value, index), _llvm(context, of).as_pointer())


def _llvm(context: Any, array: Any) -> Any:
    return context.get_value_type(_vector_of(array))


def _in_every_lane(builder: Any, vector: Any, number: Any) -> Any:
    nothing = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.IntType(32)(0))
    return builder.shuffle_vector(
        first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    )


def _first(builder: Any, count: int, n: Any) -> Any:
    """Return a mask of `count` lanes, of which the first n are set: all of them for a larger n."""
    least, most = n.type(0), n.type(count)
    n = builder.select(builder.icmp_signed("<", n, least), least, n)
    n = builder.trunc(builder.select(builder.icmp_signed(">", n, most), most, n), ir.IntType(32))
    vector = ir.VectorType(ir.IntType(32), count)
    return builder.icmp_signed(
        "<", ir.Constant(vector, list(range(count))), _in_every_lane(builder, vector, n)
    )


def _call(builder: Any, name: str, result: Any, arguments: list[Any], fastmath: tuple[str, ...] = ()) -> Any:
    """Call one of LLVM's own functions."""
    kind = ir.FunctionType(result, [a.type for a in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, arguments, fastmath=fastmath)


def _suffix(vector: Any) -> str:
    """Return how LLVM spells a vector type in the names of functions."""
    return f"v{vector.count}f{32 if isinstance(vector.element, ir.FloatType) else 64}"


# --- from memory and back ------------------------------------------------------------------


def lanes(a):
    """Return how many numbers of a's type a vector has."""
    return BYTES // a.itemsize


@type_callable(lanes)
def _(context: Any) -> Any:
    return lambda a: types.intp if isinstance(a, types.Array | Pointer) else None


@_lowered(lanes, Pointer)
@_lowered(lanes, types.Array)
def _(builder, context, of, values):
    return context.get_constant(types.intp, 8 * BYTES // of[0].dtype.bitwidth)


def zero(a):
    """Return a vector of zeros, of a's type."""
    return np.zeros(lanes(a), a.dtype)


@type_callable(zero)
def _(context: Any) -> Any:
    return lambda a: _vector_of(a)


@_lowered(zero, Pointer)
@_lowered(zero, types.Array)
def _(builder, context, of, values):
    return ir.Constant(_llvm(context, of[0]), None)


def splat(a, i):
    """Return a vector with ``a[i]`` in every lane."""
    return np.full(lanes(a), a[i])


@type_callable(splat)
def _(context: Any) -> Any:
    return lambda a, i: _vector_of(a)


@_lowered(splat, Pointer, types.Integer)
@_lowered(splat, types.Array, types.Integer)
def _(builder, context, of, values):
    number = builder.load(_element(builder, context, of[0], *values))
    return _in_every_lane(builder, _llvm(context, of[0]), number)


def load(a, i):
    """Return the vector that begins at ``a[i]``."""
    assert 0 <= i <= len(a) - lanes(a), "read beyond the array"
    return a[i : i + lanes(a)].copy()


@type_callable(load)
def _(context: Any) -> Any:
    return lambda a, i: _vector_of(a)


@_lowered(load, Pointer, types.Integer)
@_lowered(load, types.Array, types.Integer)
def _(builder, context, of, values):
    return builder.load(_place(builder, context, of[0], *values), align=of[0].dtype.bitwidth // 8)


def store(a, i, v):
    """Write a vector to ``a[i]`` and the elements after it."""
    assert 0 <= i <= len(a) - lanes(a), "written beyond the array"
    a[i : i + lanes(a)] = v


@type_callable(store)
def _(context: Any) -> Any:
    return lambda a, i, v: types.void if _vector_of(a) == v else None


@_lowered(store, Pointer, types.Integer, Vector)
@_lowered(store, types.Array, types.Integer, Vector)
def _(builder, context, of, values):
    array, index, vector = values
    builder.store(vector, _place(builder, context, of[0], array, index), align=of[0].dtype.bitwidth // 8)


def load_first(a, i, n):
    """Return a vector whose first n lanes are read from ``a[i]`` on; the others are 0 and not read at all."""
    n = min(max(n, 0), lanes(a))
    assert n == 0 or 0 <= i <= len(a) - n, "read beyond the array"
    v = zero(a)
    v[:n] = a[i : i + n]
    return v


@type_callable(load_first)
def _(context: Any) -> Any:
    return lambda a, i, n: _vector_of(a)


@_lowered(load_first, Pointer, types.Integer, types.Integer)
@_lowered(load_first, types.Array, types.Integer, types.Integer)
def _(builder, context, of, values):
    vector = _llvm(context, of[0])
    place = _place(builder, context, of[0], *values[:2])
    align = ir.IntType(32)(of[0].dtype.bitwidth // 8)
    arguments = [place, align, _first(builder, vector.count, values[2]), ir.Constant(vector, None)]
    return _call(builder, f"llvm.masked.load.{_suffix(vector)}.p0", vector, arguments)


def load_where(a, i, bits):
    """Return a vector whose lane l is ``a[i + l]`` if bit l is set, else 0, without reading that."""
    v = zero(a)
    for lane in range(len(v)):
        if bits >> lane & 1:
            assert 0 <= i + lane < len(a), "read beyond the array"
            v[lane] = a[i + lane]
    return v


@type_callable(load_where)
def _(context: Any) -> Any:
    return lambda a, i, bits: _vector_of(a)


@_lowered(load_where, Pointer, types.Integer, types.Integer)
@_lowered(load_where, types.Array, types.Integer, types.Integer)
def _(builder, context, of, values):
    vector = _llvm(context, of[0])
    place = _place(builder, context, of[0], *values[:2])
    align = ir.IntType(32)(of[0].dtype.bitwidth // 8)
    bits = builder.trunc(values[2], ir.IntType(vector.count))
    mask = builder.bitcast(bits, ir.VectorType(ir.IntType(1), vector.count))
    arguments = [place, align, mask, ir.Constant(vector, None)]
    return _call(builder, f"llvm.masked.load.{_suffix(vector)}.p0", vector, arguments)


def store_first(a, i, v, n):
    """Write the first n lanes of a vector to ``a[i]`` and the elements after it."""
    n = min(max(n, 0), lanes(a))
    assert n == 0 or 0 <= i <= len(a) - n, "written beyond the array"
    a[i : i + n] = v[:n]


@type_callable(store_first)
def _(context: Any) -> Any:
    return lambda a, i, v, n: types.void if _vector_of(a) == v else None


@_lowered(store_first, Pointer, types.Integer, Vector, types.Integer)
@_lowered(store_first, types.Array, types.Integer, Vector, types.Integer)
def _(builder, context, of, values):
    array, index, v, n = values
    place = _place(builder, context, of[0], array, index)
    align = ir.IntType(32)(of[0].dtype.bitwidth // 8)
    arguments = [v, place, align, _first(builder, v.type.count, n)]
    _call(builder, f"llvm.masked.store.{_suffix(v.type)}.p0", ir.VoidType(), arguments)


# --- among lanes ---------------------------------------------------------------------------


def evens(v, w):
    """Return lanes 0, 2, 4... of v, and then those of w."""
    return np.concatenate([v[::2], w[::2]])


@type_callable(evens)
def _(context: Any) -> Any:
    return lambda v, w: v if isinstance(v, Vector) and v == w else None


@_lowered(evens, Vector, Vector)
def _(builder, context, of, values):
    count = of[0].lanes
    mask = ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(0, 2 * count, 2)))
    return builder.shuffle_vector(*values, mask)


def total(v):
    """Return the sum of the lanes, taken by halves."""
    while len(v) > 1:
        v = v[: len(v) // 2] + v[len(v) // 2 :]
    return v[0]


@type_callable(total)
def _(context: Any) -> Any:
    return lambda v: v.dtype if isinstance(v, Vector) else None


@_lowered(total, Vector)
def _(builder, context, of, values):
    v, half = values[0], of[0].lanes // 2
    while half:
        of_half = ir.VectorType(ir.IntType(32), half)
        low, high = ir.Constant(of_half, list(range(half))), ir.Constant(of_half, list(range(half, 2 * half)))
        v, half = (
            builder.fadd(builder.shuffle_vector(v, v, low), builder.shuffle_vector(v, v, high)),
            half // 2,
        )
    return builder.extract_element(v, ir.IntType(32)(0))


# --- arithmetic ----------------------------------------------------------------------------

# "contract" lets LLVM fuse a product and a sum, as the Cython kernels do. Nothing else may change.


@type_callable(operator.add)
@type_callable(operator.mul)
def _(context: Any) -> Any:
    return lambda v, w: v if isinstance(v, Vector) and v == w else None


@_lowered(operator.add, Vector, Vector)
def _(builder, context, of, values):
    return builder.fadd(*values, flags=("contract",))


@_lowered(operator.mul, Vector, Vector)
def _(builder, context, of, values):
    return builder.fmul(*values, flags=("contract",))
