"""The one door to Numba's CUDA target: nothing else in this backend imports Numba.

There are two such targets, the ``numba-cuda`` package and the older one inside Numba; where the
first is installed, ``numba.cuda`` is it. What stands here is common to both and to Numba's simulator
(``NUMBA_ENABLE_CUDASIM=1``, set before Python starts), which runs each CUDA thread as a thread of Python.

A module of kernels has two kinds of functions. A **kernel**, under :func:`jit`, runs on the device; it
says ``cuda`` as imported from here (for the simulator it is another), and takes arrays and
64-bit sizes. A **host function** has the signature of the operation, works out how many blocks and
threads are needed, and launches::

    @jit
    def double(y, x):
        for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
            y[i] = 2*x[i]

    def doubled(y, x):
        launch_each(double, x.size, flat(y), flat(x))

Tensors come to a host function as device arrays (:func:`to_device` makes them), index tables as NumPy
arrays, to be sent over by :func:`table`. All work is put on :func:`stream`, the caller's.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from typing import Any

import numba
import numpy as np
from numba import cuda as _host

__all__ = [
    "ALIGNS",
    "SIMULATED",
    "THREADS",
    "allocated",
    "cuda",
    "current",
    "device_array",
    "device_memory",
    "device_number",
    "flat",
    "float32",
    "float64",
    "grid_for",
    "hold_back",
    "int32",
    "int64",
    "jit",
    "launch",
    "launch_each",
    "on_stream",
    "stream",
    "table",
    "to_device",
    "to_host",
    "uint32",
    "uint64",
    "workspace",
]

cuda: Any = _host
float32: Any = numba.float32
float64: Any = numba.float64
int32: Any = numba.int32
int64: Any = numba.int64
uint32: Any = numba.uint32
uint64: Any = numba.uint64

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")

if SIMULATED:
    from numba.cuda.simulator import kernel as _simulator
    from numba.np.numpy_support import as_dtype

    class _Shared:
        """Shared arrays as the simulator has them, told apart by the line that asks; but asked one by one.

        Of two threads that come first at the same time, the simulator can give each an array of its own.
        """

        lock = threading.Lock()

        def array(self, shape: Any, dtype: Any) -> np.ndarray:
            arrays = _simulator._get_kernel_context().shared._allocations
            caller = sys._getframe(1)
            line = caller.f_code.co_filename, caller.f_lineno
            if isinstance(dtype, numba.types.Type):
                dtype = as_dtype(dtype)
            with self.lock:
                if line not in arrays:
                    arrays[line] = np.empty(shape, dtype)
                return arrays[line]

    class _Inside:
        """The simulator's ``cuda`` for whoever asks: of the kernel that runs, else of the host.

        Left to itself, the simulator puts the former into a function's module for as long as a thread
        is in that function. Where device functions of another module meet at a barrier, the first
        thread to leave would take it away from the others.
        """

        shared = _Shared()

        def __getattr__(self, name: str) -> Any:
            inside = _simulator._get_kernel_context()
            return getattr(inside if hasattr(inside, name) else _host, name)

    cuda = _Inside()

ALIGNS = not SIMULATED and getattr(cuda, "implementation", "") == "NVIDIA"
"""Whether ``cuda.shared.array(size, dtype, 16)`` may ask for addresses that 16 divides: in ``numba-cuda``."""

THREADS = 32 if SIMULATED else 256
"""Threads of a block in which each works alone; a thread of the simulator is slow to start."""

MOST_BLOCKS = 2 if SIMULATED else 2**31 - 1
"""Blocks of a grid at most, along its first axis; from there on, each thread takes another element."""


def jit(function: Callable[..., Any] | None = None, *, device: bool = False) -> Any:
    """Compile a kernel, or, with ``device=True``, a function that kernels call."""
    if function is None:
        return lambda f: jit(f, device=device)
    if device and SIMULATED:
        return function  # to a thread of Python, a call like any other
    return cuda.jit(device=device)(function)


# --- launching -------------------------------------------------------------------------------


class _Current(threading.local):
    handle: int = 0


current = _Current()


def stream() -> Any:
    """Return the stream that this thread's work goes to; 0 is the default one."""
    return _stream_of(current.handle)


def _stream_of(handle: int) -> Any:
    return cuda.external_stream(handle) if handle and not SIMULATED else 0


def hold_back(waiting: int, for_what: int) -> None:
    """Let work that is put on one stream from now on wait for what is on another; the host goes on."""
    if not SIMULATED:
        done = cuda.event(timing=False)
        done.record(_stream_of(for_what))
        done.wait(_stream_of(waiting))


@contextmanager
def on_stream(handle: int) -> Iterator[None]:
    """Put the work that this thread starts inside ``with`` on the stream of that ``cudaStream_t``."""
    before = current.handle
    current.handle = handle
    try:
        yield
    finally:
        current.handle = before


def device_number() -> int:
    """Return the number of the device that this thread works on."""
    return 0 if SIMULATED else cuda.current_context().device.id


@cache
def device_memory(number: int) -> int | None:
    """Return the bytes of a device's memory; None for the simulator, whose memory is the host's."""
    if SIMULATED:
        return None
    with cuda.gpus[number]:
        return int(cuda.current_context().get_memory_info().total)


def grid_for(n: int, threads: int = THREADS) -> int:
    """Return how many blocks give each of `n` elements a thread, as far as a grid reaches."""
    return max(1, min(-(-n // threads), MOST_BLOCKS))


def launch(kernel: Any, grid: int | tuple[int, ...], block: int | tuple[int, ...], *arguments: Any) -> None:
    """Start a kernel on `grid` blocks of `block` threads, on the caller's stream."""
    if SIMULATED:
        with warnings.catch_warnings():
            # Its threads compute by NumPy, which warns of infinities as no device does.
            warnings.simplefilter("ignore", RuntimeWarning)
            kernel[grid, block](*arguments)
    else:
        _configured(kernel, grid, block, current.handle)(*arguments)


@lru_cache(maxsize=1024)
def _configured(kernel: Any, grid: int | tuple[int, ...], block: int | tuple[int, ...], handle: int) -> Any:
    """Return a kernel that knows its grid and stream.

    Numba warns of few blocks. Here they are no mistake, for small arrays are what a learner tries first; in
    kernels of the caller's own they may be one, and its warnings are left alone.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Grid size")
        return kernel[grid, block, _stream_of(handle)]


def launch_each(kernel: Any, n: int, *arguments: Any) -> None:
    """Start a kernel with a thread for each of `n` elements.

    It must loop ``for i in range(cuda.grid(1), n, cuda.gridsize(1))``: a grid has an end, and the
    simulator's comes early.
    """
    launch(kernel, grid_for(n), THREADS, *arguments)


# --- memory ----------------------------------------------------------------------------------


def to_device(array: np.ndarray) -> Any:
    """Return a copy of `array` in the device's memory."""
    return cuda.to_device(np.ascontiguousarray(array), stream=stream())


def to_host(array: Any) -> np.ndarray:
    """Return a copy of a device array in the host's memory, once the work on it is done."""
    host = array.copy_to_host(stream=stream())
    cuda.synchronize()
    return host


def device_array(shape: int | Sequence[int], dtype: Any) -> Any:
    """Return a new device array with anything in it."""
    return allocated(partial(cuda.device_array, stream=stream()), shape, dtype)


def allocated(make: Callable[..., Any], shape: int | Sequence[int], dtype: Any) -> Any:
    """Return ``make(shape, dtype)``; where the device has no room for it, that is a MemoryError."""
    try:
        return make(shape, dtype)
    except MemoryError:
        raise
    except Exception as error:  # each library has a class of its own for it
        if "out of memory" not in str(error).lower().replace("_", " "):
            raise
        raise MemoryError(f"no room on the GPU for an array of shape {shape}: {error}") from error


def flat(array: Any) -> Any:
    """Return a contiguous device array as a vector."""
    return array.reshape(array.size)


def table(host: np.ndarray) -> Any:
    """Return an index table in the device's memory; the same table is sent over only once."""
    return _sent(host.tobytes(), host.shape, host.dtype.str, device_number())


@lru_cache(maxsize=512)
def _sent(data: bytes, shape: tuple[int, ...], dtype: str, device: int) -> Any:
    copy = cuda.to_device(np.frombuffer(data, dtype).reshape(shape))
    cuda.synchronize()  # other streams may use it from now on
    return copy


class _Scratch(threading.local):
    def __init__(self) -> None:
        self.of: dict[tuple[int, int], Any] = {}  # of a device and a stream


_scratch = _Scratch()


def workspace(elements: int, dtype: Any) -> Any:
    """Return a vector of the device's memory for use inside one operation.

    Each call gives the same memory again: kernels on one stream run one after the other. So an
    operation that needs several vectors asks once and cuts what it gets.
    """
    dtype = np.dtype(dtype)
    place, size = (device_number(), current.handle), elements * dtype.itemsize
    if place not in _scratch.of or _scratch.of[place].size < size:
        _scratch.of[place] = device_array(-(-size // 256) * 256, np.uint8)
    return _scratch.of[place][:size].view(dtype)
