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
from numba.extending import lower_builtin, type_callable

from .compile import inner
from .registers import Register, width
from .vec import _features

__all__ = ["choose", "following", "has_lookup"]

FEATURES = _features()
LOOKUP = "avx512f" in FEATURES or "avx2" in FEATURES


@inner
def has_lookup(a):
    """Tell whether a register of a's type is shuffled by a table in an instruction or two, and 8 lanes long."""
    return LOOKUP and width(a) >= 8


def choose(v, w, table, i):
    """Return lanes table[i], table[i + 1]... of v followed by w; the table holds 32-bit numbers."""
    assert 0 <= i <= len(table) - len(v), "read beyond the table"
    return np.append(v, w)[table[i : i + len(v)]]


def following(v, w):
    """Return lanes 1, 2... of v, and then the first of w."""
    return np.append(v[1:], w[0])


@type_callable(choose)
def _(context: Any) -> Any:
    def typer(v: Any, w: Any, table: Any, i: Any) -> Any:
        is_table = isinstance(table, types.Array) and table.dtype == types.int32
        return v if isinstance(v, Register) and v == w and is_table else None

    return typer


@lower_builtin(choose, Register, Register, types.Array, types.Integer)
def _(context, builder, signature, values):
    (of, _, table, _), (v, w, rows, i) = signature.args, values
    W, word = of.lanes, ir.IntType(32)
    index = ir.VectorType(word, W)
    data = context.make_array(table)(context, builder, rows).data
    lanes = builder.load(builder.bitcast(builder.gep(data, [i]), index.as_pointer()), align=4)
    single, vector = of.dtype == types.float32, v.type

    def call(name: str, *arguments: Any) -> Any:
        kind = ir.FunctionType(vector, [a.type for a in arguments])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)

    if "avx512f" in FEATURES:
        if not single:
            lanes = builder.zext(lanes, ir.VectorType(ir.IntType(64), W))
        return call(f"llvm.x86.avx512.vpermi2var.p{'s' if single else 'd'}.512", v, lanes, w)
    if single and LOOKUP:
        first, second = (call("llvm.x86.avx2.permps", a, lanes) for a in (v, w))
        return builder.select(
            builder.icmp_signed("<", lanes, ir.Constant(index, [W] * W)), first, second
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
