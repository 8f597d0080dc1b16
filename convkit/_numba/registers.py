"""Vectors of one register, and their lanes compared and rearranged: what pooling asks beyond :mod:`vec`.

A :class:`Register` is a :class:`~convkit._numba.vec.Vector` of the length that the processor has, so that
short rows still fill one. As in :mod:`vec`, each function is there twice: in NumPy, and as the LLVM
instructions that take its place.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, register_model, type_callable

from .pointers import Pointer
from .vec import BYTES, Vector, _VectorModel

__all__ = [
    "Register",
    "chosen",
    "evens",
    "evens_odds",
    "every",
    "larger",
    "next_1",
    "next_2",
    "odds",
    "read",
    "third_0",
    "third_1",
    "third_2",
    "transpose",
    "wide",
    "widened",
    "width",
    "write",
    "zip_high",
    "zip_low",
]

REGISTER = min(BYTES, 64)
"""Bytes of a register."""


def width(a):
    """Return how many numbers of a's type a register holds."""
    return REGISTER // a.itemsize


@type_callable(width)
def _(context: Any) -> Any:
    return lambda a: types.intp if isinstance(a, types.Array | Pointer) else None


class Register(Vector):
    """The type of a register of `dtype`, a float type of Numba's."""

    def __init__(self, dtype: types.Float) -> None:
        super().__init__(dtype)
        self.lanes = 8 * REGISTER // dtype.bitwidth
        self.name = f"Register({dtype})"


register_model(Register)(_VectorModel)


def _of(a: Any) -> Register | None:
    """Return the type of registers of the elements of an array or a pointer."""
    is_row = isinstance(a, Pointer) or (isinstance(a, types.Array) and a.ndim == 1)
    return Register(a.dtype) if is_row and isinstance(a.dtype, types.Float) else None


def _emits(function: Callable[..., Any], *of: Any) -> Callable[..., Any]:
    """Register the instructions of `function`: ``emit(context, builder, signature, values)``."""

    def decorate(emit: Callable[..., Any]) -> Callable[..., Any]:
        @lower_builtin(function, *of)
        def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            result = emit(context, builder, signature, values)
            return context.get_dummy_value() if result is None else result

        return emit

    return decorate


# The size of an element is a number in the array as well, for all that LLVM knows at the beginning of a
# function that is not inlined: a loop by steps of it would begin with a division.
@_emits(width, types.Array)
@_emits(width, Pointer)
def _(context, builder, signature, values):
    return context.get_constant(types.intp, 8 * REGISTER // signature.args[0].dtype.bitwidth)


# --- from memory and back ------------------------------------------------------------------


def read(a, i):
    """Return the register that begins at ``a[i]``."""
    assert 0 <= i <= len(a) - width(a), "read beyond the array"
    return a[i : i + width(a)].copy()


@type_callable(read)
def _(context: Any) -> Any:
    return lambda a, i: _of(a)


def write(a, i, v):
    """Write a register to ``a[i]`` and the elements after it."""
    assert 0 <= i <= len(a) - width(a), "written beyond the array"
    a[i : i + width(a)] = v


@type_callable(write)
def _(context: Any) -> Any:
    return lambda a, i, v: types.void if _of(a) == v else None


def _place(context: Any, builder: Any, array: Any, value: Any, index: Any) -> Any:
    """Return the address of an element, as that of a register."""
    data = value if isinstance(array, Pointer) else context.make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [index]), context.get_value_type(_of(array)).as_pointer())


@_emits(read, types.Array, types.Integer)
@_emits(read, Pointer, types.Integer)
def _(context, builder, signature, values):
    array = signature.args[0]
    return builder.load(_place(context, builder, array, *values), align=array.dtype.bitwidth // 8)


@_emits(write, types.Array, types.Integer, Register)
@_emits(write, Pointer, types.Integer, Register)
def _(context, builder, signature, values):
    array = signature.args[0]
    place = _place(context, builder, array, *values[:2])
    builder.store(values[2], place, align=array.dtype.bitwidth // 8)


def every(a, number):
    """Return a register with `number` in every lane, of a's type."""
    return np.full(width(a), number, a.dtype)


@type_callable(every)
def _(context: Any) -> Any:
    return lambda a, number: _of(a)


def wide(number):
    """Return a register of doubles with `number` in every lane."""
    return np.full(REGISTER // 8, number, np.float64)


@type_callable(wide)
def _(context: Any) -> Any:
    return lambda number: Register(types.float64)


@_emits(every, types.Array, types.Float)
def _(context, builder, signature, values):
    return _splat(context, builder, signature, values[1], signature.args[1])


@_emits(wide, types.Float)
def _(context, builder, signature, values):
    return _splat(context, builder, signature, values[0], signature.args[0])


def _splat(context: Any, builder: Any, signature: Any, number: Any, of: Any) -> Any:
    number = context.cast(builder, number, of, signature.return_type.dtype)
    vector = context.get_value_type(signature.return_type)
    nothing = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.IntType(32)(0))
    return builder.shuffle_vector(
        first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    )


def widened(a, i):
    """Return the register of doubles that begins at ``a[i]``, whatever floats a holds."""
    n = REGISTER // 8
    assert 0 <= i <= len(a) - n, "read beyond the array"
    return a[i : i + n].astype(np.float64)


@type_callable(widened)
def _(context: Any) -> Any:
    return lambda a, i: None if _of(a) is None else Register(types.float64)


@_emits(widened, types.Array, types.Integer)
def _(context, builder, signature, values):
    array, doubles = signature.args[0], context.get_value_type(signature.return_type)
    data = context.make_array(array)(context, builder, values[0]).data
    floats = ir.VectorType(context.get_value_type(array.dtype), doubles.count)
    place = builder.bitcast(builder.gep(data, [values[1]]), floats.as_pointer())
    v = builder.load(place, align=array.dtype.bitwidth // 8)
    return v if floats.element == doubles.element else builder.fpext(v, doubles)


# --- compared and combined -----------------------------------------------------------------


def larger(v, w):
    """Return w where it is greater than v, or NaN; else v."""
    return np.where((w > v) | (w != w), w, v)


@type_callable(larger)
@type_callable(operator.sub)
@type_callable(operator.truediv)
def _(context: Any) -> Any:
    return lambda v, w: v if isinstance(v, Register) and v == w else None


@_emits(larger, Register, Register)
def _(context, builder, signature, values):
    # A maximum of the hardware, which forgets NaNs, and a masked move. Without "nsz" LLVM would also see to
    # it that 0 is greater than -0. Two comparisons, as they are written above, are half as fast.
    vector = context.get_value_type(signature.return_type)
    kind = ir.FunctionType(vector, [vector, vector])
    name = f"llvm.maximum.v{vector.count}f{signature.return_type.dtype.bitwidth}"
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, values, fastmath=("nsz",))


def chosen(v, w, a, b):
    """Return b where `larger` returns w, else a."""
    return np.where((w > v) | (w != w), b, a)


@type_callable(chosen)
def _(context: Any) -> Any:
    return lambda v, w, a, b: a if isinstance(a, Register) and v == w and a == b else None


@_emits(chosen, Register, Register, Register, Register)
def _(context, builder, signature, values):
    v, w, a, b = values
    over = builder.or_(builder.fcmp_ordered(">", w, v), builder.fcmp_unordered("uno", w, w))
    return builder.select(over, b, a)


@_emits(operator.sub, Register, Register)
def _(context, builder, signature, values):
    return builder.fsub(*values)


@_emits(operator.truediv, Register, Register)
def _(context, builder, signature, values):
    return builder.fdiv(*values)


# --- rearranged ----------------------------------------------------------------------------


def _rearranges(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let LLVM do what a function of two or three registers does to their lanes: it is tried once."""
    count = function.__code__.co_argcount

    @type_callable(function)
    def _(context: Any) -> Any:
        if count == 2:
            return lambda v, w: v if isinstance(v, Register) and v == w else None
        return lambda a, b, c: a if isinstance(a, Register) and a == b == c else None

    @lower_builtin(function, *[Register] * count)
    def _(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        W = signature.args[0].lanes
        lanes = function(*np.arange(count * W).reshape(count, W))
        from_two = [lane if lane < 2 * W else 0 for lane in lanes]
        v = builder.shuffle_vector(*values[:2], _mask(from_two))
        if count == 2:
            return v
        third = [lane - W if lane >= 2 * W else i for i, lane in enumerate(lanes)]
        return builder.shuffle_vector(v, values[2], _mask(third))

    return function


def _mask(lanes: Any) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), [int(lane) for lane in lanes])


@_rearranges
def evens(v, w):
    """Return lanes 0, 2, 4... of v, and then those of w."""
    return np.concatenate([v, w])[::2]


@_rearranges
def evens_odds(v, w):
    """Return lanes 0, 2, 4... of v, and then lanes 1, 3, 5... of w."""
    return np.append(v[::2], w[1::2])


@_rearranges
def odds(v, w):
    """Return lanes 1, 3, 5... of v, and then those of w."""
    return np.concatenate([v, w])[1::2]


@_rearranges
def zip_low(v, w):
    """Return the first halves of v and w, lane by lane: v0 w0 v1 w1..."""
    return np.stack([v, w], axis=1).ravel()[: len(v)]


@_rearranges
def zip_high(v, w):
    """Return the second halves of v and w, lane by lane."""
    return np.stack([v, w], axis=1).ravel()[len(v) :]


@_rearranges
def next_1(v, w):
    """Return lanes 1, 2... of v, and then the last of w."""
    return np.append(v[1:], w[-1])


@_rearranges
def next_2(v, w):
    """Return lanes 1, 2... of v, and then the last but one of w."""
    return np.append(v[1:], w[-2])


@_rearranges
def third_0(a, b, c):
    """Return lanes 0, 3, 6... of a followed by b and c."""
    return np.concatenate([a, b, c])[::3]


@_rearranges
def third_1(a, b, c):
    """Return lanes 1, 4, 7... of a followed by b and c."""
    return np.concatenate([a, b, c])[1::3]


@_rearranges
def third_2(a, b, c):
    """Return lanes 2, 5, 8... of a followed by b and c."""
    return np.concatenate([a, b, c])[2::3]


def transpose(to, t, pitch_to, a, i, pitch):
    """Turn a square: lane c of the register at a[i + r*pitch] is lane r of that at to[t + c*pitch_to]."""
    square = np.stack([read(a, i + r * pitch) for r in range(width(a))])
    for c in range(width(a)):
        write(to, t + c * pitch_to, square[:, c])


@type_callable(transpose)
def _(context: Any) -> Any:
    return lambda to, t, pitch_to, a, i, pitch: types.void if _of(to) == _of(a) else None


@_emits(transpose, types.Array, types.Integer, types.Integer, types.Array, types.Integer, types.Integer)
def _(context, builder, signature, values):
    (of_to, _, _, of_a, _, _), (to, t, pitch_to, a, i, pitch) = signature.args, values
    W, align = Register(of_a.dtype).lanes, of_a.dtype.bitwidth // 8

    def place(of, array, start, r, apart):
        return _place(context, builder, of, array, builder.add(start, builder.mul(apart, apart.type(r))))

    v = [builder.load(place(of_a, a, i, r, pitch), align=align) for r in range(W)]
    low, high = (_mask(half(*np.arange(2 * W).reshape(2, W))) for half in (zip_low, zip_high))
    for _ in range(W.bit_length() - 1):  # log2(W) perfect shuffles of the rows
        pairs = zip(v[: W // 2], v[W // 2 :], strict=True)
        v = [builder.shuffle_vector(*pair, half) for pair in pairs for half in (low, high)]
    for r in range(W):
        builder.store(v[r], place(of_to, to, t, r, pitch_to), align=align)
