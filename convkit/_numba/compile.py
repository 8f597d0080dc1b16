"""How a kernel is compiled: at its first call, once for each float type, and kept on disk.

A kernel is a plain Python function under the decorator :func:`kernel`; what it calls are functions
under :func:`inner`. All of them run without the GIL and raise nothing. Loops written with
``numba.prange`` are compiled twice, as they are needed: in order, for one thread, and in parallel.

Two habits of these kernels look odd until they are measured:

- Arrays are flattened first and cells found by arithmetic. A row as a view of its own, ``x[p, ih]``, costs
  two atomic additions to a reference count: 10 ns, the time in which 40 cells are copied.
- Indices are ``uintp(to + i)``. A signed one may be negative and mean a cell from the end, as in
  Python; that test at each access keeps a loop from using vectors.

With ``NUMBA_DISABLE_JIT=1`` in the environment none of this happens: every kernel is the Python
function that is written down, to be stepped through in a debugger.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import logging
import os
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
import numpy as np
from numba.core import cgutils, event
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic

from .signatures import ARRAYS_OF_IMAGES, signature
from .threads import run_shared, several, threads_for

__all__ = ["DIGEST", "FUSE", "REORDER", "Kernel", "inner", "kernel", "separate"]

REORDER = {"reassoc", "contract"}
"""The ``fastmath`` flags with which sums use vectors: they may change a sum's order and fuse its
multiplications, and nothing else. NaNs, infinities and exact divisions stay what they are, which
plain ``fastmath=True`` does not promise."""

FUSE = {"contract"}
"""With this flag a product and a sum may become one operation, and sums keep their order."""

NAMES = {"f": "float32", "d": "float64"}
"""What NumPy calls its types; to ask a dtype takes three microseconds."""

MUCH = 1 << 16
"""Elements of a result, of which calls with fewer are never cut, where elements are the work."""
LONG = 1 << 25
"""Elements or multiply-adds of a piece of a long call, as `kernel` counts work: some 20 milliseconds."""

_log = logging.getLogger("convkit")

# Numba compiles one function at a time, under this lock. So do kernels: with a lock of their own, a thread
# that compiles a kernel would wait for one that compiles a user's function, and that one, when it comes to
# the kernel which that function calls, for the first.
_compiling = global_compiler_lock

if hasattr(os, "register_at_fork"):  # a child in which it is held by a thread that is not there would hang
    os.register_at_fork(
        before=_compiling.acquire, after_in_parent=_compiling.release, after_in_child=_compiling.release
    )

# Only loops marked by prange become parallel; what Numba would find by itself takes time to look for.
PARALLEL = dict.fromkeys(
    ("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion"), False
)


def inner(function: Any = None, **options: Any) -> Any:
    """Compile a function that kernels call, with or without options: ``@inner(fastmath=REORDER)``.

    It becomes a part of its caller: a loop around a call that is left as one gets no vectors. Nor does it
    count references to its arrays, which takes longer than many a loop: so it may neither make nor return
    any, unless it asks for the counting by ``_nrt=True``.
    """
    decorate = numba.njit(
        **{"nogil": True, "error_model": "numpy", "forceinline": True, "_nrt": False, **options}
    )
    return decorate if function is None else decorate(function)


def separate(function: Any = None, **options: Any) -> Any:
    """Compile a function that kernels call and that stays a function of its own.

    For those that do much: copied into each of their callers, they would be optimised again and again.
    """
    return inner(function, forceinline=False, _nrt=True, **options)


def kernel(function: Any = None, *, work: Callable[..., int] | None = None, **options: Any) -> Any:
    """Make a kernel of the function named after its operation.

    Parameters
    ----------
    function : callable
        What to compile; its name says which line of ``signatures.SIGNATURES`` it keeps to. If its last
        parameter is ``threads``, it is told how many there are.
    work : callable, optional
        Tells, from the kernel's arguments, how much there is to do, in elements or multiply-adds:
        little work stays on one thread. By default, the elements of the largest array.
    **options
        For ``numba.njit``; ``fastmath=REORDER`` above all.
    """
    if function is None:
        return lambda f: Kernel(f, work, options)
    return Kernel(function, work, options)


class Kernel:
    """A kernel of the registry, compiled for a float type when it first meets it.

    Attributes
    ----------
    op : str
        Its operation.
    function : callable
        The Python function.
    parallel : bool
        Whether it has loops that threads can share.
    """

    def __init__(self, function: FunctionType, work: Callable[..., int] | None, options: dict[str, Any]):
        self.op = function.__name__
        self.function = function
        self.parallel = "prange" in function.__code__.co_names
        self._told = function.__code__.co_varnames[function.__code__.co_argcount - 1] == "threads"
        self._work = work or _largest
        self._options = {"nogil": True, "error_model": "numpy", **options}
        self._compiled: dict[tuple[str, bool], Any] = {}
        self.__name__, self.__doc__, self.__module__ = self.op, function.__doc__, function.__module__

    def __repr__(self) -> str:
        return f"<Numba kernel {self.__module__}.{self.op}>"

    def __call__(self, *arguments: Any) -> None:
        if self.op not in ARRAYS_OF_IMAGES or (self._work is _largest and arguments[0].size < MUCH):
            self._run(*arguments)
            return
        for piece in self.pieces(*arguments):
            self._run(*piece)

    def pieces(self, *arguments: Any) -> Iterator[tuple[Any, ...]]:
        """Cut a call into calls that take a fraction of a second each, by images.

        Between two of them Python looks for Ctrl-C. Where they are cut depends on the sizes alone.
        """
        arrays, N = ARRAYS_OF_IMAGES[self.op], len(arguments[0])
        some = max(1, N // (self._work(*arguments) // LONG + 1))
        for n in range(0, N, some):
            yield *(a[n : n + some] for a in arguments[:arrays]), *arguments[arrays:]

    def _run(self, *arguments: Any) -> None:
        one, dtype = (1,) * self._told, NAMES[arguments[0].dtype.char]
        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
            with np.errstate(all="ignore"):  # as silent as when it is compiled
                self.function(*arguments, *one)
            return
        threads = threads_for(self._work(*arguments)) if self.parallel and several() else 1
        all_of_them = (threads,) * self._told
        if threads == 1 or not run_shared(self.compiled(dtype, True), (*arguments, *all_of_them), threads):
            self.compiled(dtype, False)(*arguments, *one)

    def compiled(self, dtype: str, parallel: bool) -> Any:
        """Return Numba's dispatcher of it, compiled for a float type, for one thread or several."""
        found = self._compiled.get((dtype, parallel))
        if found is not None:
            return found
        with _compiling:
            if (dtype, parallel) not in self._compiled:
                self._compiled[dtype, parallel] = self._compile(dtype, parallel)
            return self._compiled[dtype, parallel]

    @cached_property
    def nopython(self) -> Any:
        """The kernel as compiled code calls it, on one thread."""
        return self.function if numba.config.DISABLE_JIT else _by_address(self)  # type: ignore[attr-defined]

    def _compile(self, dtype: str, parallel: bool) -> Any:
        options = {**self._options, "parallel": dict(PARALLEL) if parallel else False}
        # The file that Numba keeps is found by the function's name alone, so what else went into it
        # must be in the name: whether it is parallel, and the sources of all that it calls.
        name = f"{self.op}_{'parallel' if parallel else 'serial'}"
        try:
            name = f"{name}_{_sources(self.function)}"
            return self._compile_as(name, dtype, {**options, "cache": True})
        except Exception as error:  # anything at all: the cache is a convenience, its files may be damaged
            compiled = self._compile_as(name, dtype, options)  # and what is no fault of its comes again
            self._not_kept(error)
            return compiled

    def _compile_as(self, name: str, dtype: str, options: dict[str, Any]) -> Any:
        dispatcher = numba.njit(**options)(_renamed(self.function, name))
        what = f"{self.op} for {dtype}" + (", in parallel" if options["parallel"] else "")
        with _announced(dispatcher, what):
            try:
                dispatcher.compile(signature(self.op, dtype, self._told))
            except Exception as error:
                if not dispatcher.overloads:
                    raise
                self._not_kept(error)  # compiled it is: only saving it failed
        dispatcher.disable_compile()  # so that arrays that may be written go where they need not be
        return dispatcher

    def _not_kept(self, error: Exception) -> None:
        _log.warning("%s was compiled but could not be kept on disk: %s", self.op, error)


def _by_address(kernel: Kernel) -> Any:
    """Return a function for compiled code that calls a kernel where it lies in memory.

    By itself, Numba would make the kernel a part of every function that calls it and optimise it there once
    more, which takes longer than to compile it.
    """

    @intrinsic
    def call(typing: Any, *arguments: Any) -> Any:
        ((types_of, compiled),) = kernel.compiled(arguments[0].dtype.name, False).overloads.items()

        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            of, result = compiled.fndesc.argtypes, compiled.fndesc.restype
            address = compiled.library.get_pointer_to_function(compiled.fndesc.mangled_name)
            pointer = context.add_dynamic_addr(builder, address, info=kernel.op)
            kind = context.call_conv.get_function_type(result, of).as_pointer()
            function = builder.bitcast(pointer, kind)
            arguments = cgutils.unpack_tuple(builder, values[0])
            status, _ = context.call_conv.call_function(builder, function, result, of, arguments)
            with cgutils.if_unlikely(builder, status.is_error):  # with NUMBA_BOUNDSCHECK=1
                context.call_conv.return_status_propagate(builder, status)
            return context.get_dummy_value()

        return numba.void(numba.types.BaseTuple.from_types(types_of)), emit

    return call


def _largest(*arguments: Any) -> int:
    return max(a.size for a in arguments if isinstance(a, np.ndarray))


def _renamed(f: FunctionType, name: str) -> FunctionType:
    """Return a function with another qualified name, by which Numba finds it on the disk."""
    twin = FunctionType(f.__code__, f.__globals__, f.__name__, f.__defaults__, f.__closure__)
    twin.__module__, twin.__qualname__, twin.__doc__ = f.__module__, name, f.__doc__
    return twin


# They say how all is compiled, and what stands for a vector, a register or a pointer. Kernels reach the
# instructions by a type, `a + b`, where there is no name to follow.
ALWAYS_USED = "compile.py", "vec.py", "registers.py", "pointers.py", "memory.py", "signatures.py"


DIGEST = 12  # hexadecimal digits
_loaded = time.time()


def _source(path: Path) -> bytes:
    """Return what is in a file, if that is what Python has read: a program may run while it is edited."""
    stat = path.stat()
    if max(stat.st_mtime, stat.st_ctime) > _loaded:  # a copy may keep the first, but not the second
        raise RuntimeError(f"{path.name} may have changed since it was imported")
    return path.read_bytes()


def _sources(function: FunctionType) -> str:
    """Digest the files that a function and all that it calls stand in, and the constants they use."""
    used = {_source(Path(__file__).with_name(name)) for name in ALWAYS_USED}
    used.add(f"boundscheck={numba.config.BOUNDSCHECK}".encode())  # type: ignore[attr-defined]
    functions: list[FunctionType] = [function]
    seen: set[FunctionType] = set()
    while functions:
        f = functions.pop()
        if f in seen:
            continue
        seen.add(f)
        used.add(_source(Path(f.__code__.co_filename)))
        values = {name: f.__globals__.get(name) for name in f.__code__.co_names}
        values |= dict(
            zip(f.__code__.co_freevars, (c.cell_contents for c in f.__closure__ or ()), strict=True)
        )
        for name, value in values.items():
            value = getattr(value, "py_func", value)
            if isinstance(value, FunctionType) and value.__module__.startswith("convkit"):
                functions.append(value)
            elif isinstance(value, int | float | tuple | np.generic):
                used.add(f"{name}={value!r}".encode())
            elif isinstance(value, type) and value.__module__.startswith("convkit"):
                used.add(_source(Path(inspect.getfile(value))))  # what its fields are
    return hashlib.sha256(b"".join(sorted(used))).hexdigest()[:DIGEST]


@contextlib.contextmanager
def _announced(dispatcher: Any, what: str) -> Iterator[None]:
    """Say on the logger when `dispatcher` is really compiled, and not read from the disk."""

    class Announcer(event.Listener):
        start = 0.0

        def on_start(self, event: Any) -> None:
            if event.data["dispatcher"] is dispatcher:
                self.start = time.perf_counter()
                _log.info("compiling %s", what)

        def on_end(self, event: Any) -> None:
            if event.data["dispatcher"] is dispatcher:
                _log.info("compiled %s in %.1f s", what, time.perf_counter() - self.start)

    with event.install_listener("numba:compile", Announcer()):
        yield
