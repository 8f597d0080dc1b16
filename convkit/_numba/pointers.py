"""Pointers: where some elements begin, and nothing else.

An array brings along its shape, its strides and a count of who uses it, seven numbers that every call
passes on and two atomic additions wherever Numba cannot prove that it needs none: 10 ns each, while a tile
of a convolution takes 100. It also asks of each index whether it is negative. The inner functions of
the kernels have pointers instead, as their twins in Cython do. In plain Python a pointer is a view of
the rest of the array in one dimension, so that what lies beyond it is still found out.

Numba frees an array after its last use, and a pointer is no use: :func:`release` is the last one.
"""

from __future__ import annotations

import operator
from typing import Any

from numba import types
from numba.core.typing import signature
from numba.extending import lower_builtin, models, register_model, type_callable

__all__ = ["Pointer", "at", "pointer", "release"]


class Pointer(types.Type):
    """The type of a pointer to numbers of `dtype`, one of Numba's."""

    def __init__(self, dtype: types.Number) -> None:
        self.dtype = dtype
        super().__init__(f"Pointer({dtype})")


@register_model(Pointer)
class _PointerModel(models.PrimitiveModel):
    def __init__(self, manager: Any, of: Pointer) -> None:
        super().__init__(manager, of, manager.lookup(of.dtype).get_data_type().as_pointer())


def pointer(a):
    """Return a pointer to the first element of a C-contiguous array."""
    return a.reshape(-1)


@type_callable(pointer)
def _(context: Any) -> Any:
    return lambda a: Pointer(a.dtype) if isinstance(a, types.Array) and a.layout == "C" else None


@lower_builtin(pointer, types.Array)
def _(context: Any, builder: Any, sig: Any, values: Any) -> Any:
    return context.make_array(sig.args[0])(context, builder, values[0]).data


def at(p, i):
    """Return the pointer to the i-th element from p on."""
    return p[i:]


@type_callable(at)
def _(context: Any) -> Any:
    return lambda p, i: p if isinstance(p, Pointer) else None


@lower_builtin(at, Pointer, types.Integer)
def _(context: Any, builder: Any, sig: Any, values: Any) -> Any:
    return builder.gep(values[0], [values[1]])


def release(a):
    """Do nothing: until here the array is used, by pointers into it."""


@type_callable(release)
def _(context: Any) -> Any:
    return lambda a: types.none if isinstance(a, types.Array) else None


@lower_builtin(release, types.Array)
def _(context: Any, builder: Any, sig: Any, values: Any) -> Any:
    return context.get_dummy_value()


# p[i] and p[i] = value


@type_callable(operator.getitem)
def _(context: Any) -> Any:
    return lambda p, i: p.dtype if isinstance(p, Pointer) and isinstance(i, types.Integer) else None


@lower_builtin(operator.getitem, Pointer, types.Integer)
def _(context: Any, builder: Any, sig: Any, values: Any) -> Any:
    return builder.load(builder.gep(values[0], [values[1]]))


@type_callable(operator.setitem)
def _(context: Any) -> Any:
    def typer(p: Any, i: Any, value: Any) -> Any:
        if isinstance(p, Pointer) and isinstance(i, types.Integer) and isinstance(value, types.Number):
            return signature(types.none, p, i, p.dtype)
        return None

    return typer


@lower_builtin(operator.setitem, Pointer, types.Integer, types.Number)
def _(context: Any, builder: Any, sig: Any, values: Any) -> Any:
    p, i, value = values
    builder.store(value, builder.gep(p, [i]))
    return context.get_dummy_value()
