"""What kernels tell the memory: to copy a run of cells, and to fetch what will be needed soon.

Numba has neither, so each is an LLVM instruction here, with the Python function beside it that says
what it does and runs in its stead when nothing is compiled.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from .pointers import Pointer

__all__ = ["copy_run", "prefetch"]


def copy_run(y, i, x, j, n):
    """Set y[i:i + n] to x[j:j + n], of two contiguous vectors."""
    y[i : i + n] = x[j : j + n]


def prefetch(x, i):
    """Ask for the memory around x[i], which need not exist: to Python it is a comment."""


@overload(copy_run)
def _compiled_copy_run(y, i, x, j, n):
    return lambda y, i, x, j, n: _memcpy(y, i, x, j, n)  # type: ignore[call-arg]


@overload(prefetch)
def _compiled_prefetch(x, i):
    return lambda x, i: _prefetch(x, i)  # type: ignore[call-arg]


def _address(context, builder, kind, value, index):
    """Return the address of an element of an array or a pointer."""
    data = value if isinstance(kind, Pointer) else context.make_array(kind)(context, builder, value).data
    return builder.gep(data, [index])


@intrinsic
def _memcpy(typingctx, y, i, x, j, n):
    def codegen(context, builder, signature, arguments):
        y, i, x, j, n = arguments
        to = _address(context, builder, signature.args[0], y, i)
        of = _address(context, builder, signature.args[2], x, j)
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        cgutils.raw_memcpy(builder, to, of, n, size)
        return context.get_dummy_value()

    return types.void(y, types.intp, x, types.intp, types.intp), codegen


@intrinsic
def _prefetch(typingctx, x, i):
    def codegen(context, builder, signature, arguments):
        x, i = arguments
        at = _address(context, builder, signature.args[0], x, i)
        at = builder.bitcast(at, cgutils.voidptr_t)
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [at.type, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", (at.type,), kind)
        builder.call(function, [at, word(0), word(3), word(1)])  # to read, into all caches, data
        return context.get_dummy_value()

    return types.void(x, types.intp), codegen
