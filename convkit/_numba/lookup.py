"""Lanes looked up in a table: a shuffle that is not known before the call.

Shuffles of :mod:`registers` are constants, which LLVM turns into instructions. Padded rows and the
outputs of small planes depend on sizes and modes, so their lanes stand in a table, made once a call. AVX-512
and AVX2 have an instruction for that, which LLVM has no word for of its own; elsewhere lanes are moved one
by one, so kernels ask :func:`has_lookup` first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, models, register_model, type_callable

from .compile import inner
from .registers import Register, width
from .vec import _features

__all__ = ["choose", "following", "has_lookup", "lanes_at"]

FEATURES = _features()
LOOKUP = "avx512f" in FEATURES or "avx2" in FEATURES


@inner
def has_lookup(a):
    """Tell whether registers of a's type have 8 lanes or more, and are shuffled by a table at once."""
    return LOOKUP and width(a) >= 8


class Lanes(types.Type):
    """The type of as many numbers of lanes as a register of `dtype` has."""

    def __init__(self, dtype: types.Float) -> None:
        self.of = Register(dtype)
        super().__init__(f"Lanes({dtype})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, ir.VectorType(ir.IntType(lanes.of.dtype.bitwidth), lanes.of.lanes))


def lanes_at(a, table, i):
    """Return numbers table[i], table[i + 1]..., 32 bits each, for a shuffle of registers of a's type."""
    assert 0 <= i <= len(table) - width(a), "read beyond the table"
    return table[i : i + width(a)]


def choose(v, w, lanes):
    """Return those lanes of v followed by w."""
    return np.append(v, w)[lanes]


def following(v, w):
    """Return lanes 1, 2... of v, and then the first of w."""
    return np.append(v[1:], w[0])


@type_callable(lanes_at)
def _(context: Any) -> Any:
    def typer(a: Any, table: Any, i: Any) -> Any:
        is_table = isinstance(table, types.Array) and table.dtype == types.int32
        return Lanes(a.dtype) if is_table and isinstance(a, types.Array) else None

    return typer


@lower_builtin(lanes_at, types.Array, types.Array, types.Integer)
def _(context, builder, signature, values):
    data = context.make_array(signature.args[1])(context, builder, values[1]).data
    lanes = context.get_value_type(signature.return_type)
    numbers = ir.VectorType(ir.IntType(32), lanes.count)
    v = builder.load(builder.bitcast(builder.gep(data, [values[2]]), numbers.as_pointer()), align=4)
    return v if numbers == lanes else builder.zext(v, lanes)


@type_callable(choose)
def _(context: Any) -> Any:
    return lambda v, w, lanes: v if isinstance(lanes, Lanes) and v == w == lanes.of else None


@lower_builtin(choose, Register, Register, Lanes)
def _(context, builder, signature, values):
    v, w, lanes = values
    W, single, vector, word = v.type.count, signature.args[0].dtype == types.float32, v.type, ir.IntType(32)

    def call(name: str, *arguments: Any) -> Any:
        kind = ir.FunctionType(vector, [a.type for a in arguments])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)

    if "avx512f" in FEATURES:
        return call(f"llvm.x86.avx512.vpermi2var.p{'s' if single else 'd'}.512", v, lanes, w)
    if single and LOOKUP:
        first, second = (call("llvm.x86.avx2.permps", a, lanes) for a in (v, w))
        return builder.select(
            builder.icmp_signed("<", lanes, ir.Constant(lanes.type, [W] * W)), first, second
        )
    both = builder.shuffle_vector(v, w, ir.Constant(ir.VectorType(word, 2 * W), list(range(2 * W))))
    result = ir.Constant(vector, ir.Undefined)
    for lane in range(W):
        element = builder.extract_element(both, builder.extract_element(lanes, word(lane)))
        result = builder.insert_element(result, element, word(lane))
    return result


@type_callable(following)
def _(context: Any) -> Any:
    return lambda v, w: v if isinstance(v, Register) and v == w else None


@lower_builtin(following, Register, Register)
def _(context, builder, signature, values):
    W = signature.args[0].lanes
    return builder.shuffle_vector(
        *values, ir.Constant(ir.VectorType(ir.IntType(32), W), list(range(1, W + 1)))
    )
