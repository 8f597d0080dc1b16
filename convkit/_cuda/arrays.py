"""CUDA arrays of any library: views for the kernels, and results of the caller's kind.

A view is a device array of Numba's over the caller's memory; nothing is copied. Results are allocated by
the caller's own library (PyTorch and CuPy keep freed memory for that, Numba asks the driver), and
kernels run on the stream that is current there. So a result may be used on that stream at once, as
with any function of that library. Where arguments come from several streams, that of the first one waits
for the others, on the device; where a library does not tell its stream, the host waits for the result.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from ..geometry.memory import room_of
from . import border
from .target import SIMULATED, allocated, cuda, device_array, device_memory, hold_back, on_stream
from .views import Interface, as_array, pointer

__all__ = ["Visit"]


# --- DLPack: what an exporter hands over is a C struct in a capsule ---------------------------


TYPE_LETTERS = {0: "i", 1: "u", 2: "f", 6: "b"}


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_number", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("type_code", ctypes.c_uint8),
        ("type_bits", ctypes.c_uint8),
        ("type_lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),  # in elements; NULL if C-contiguous
        ("byte_offset", ctypes.c_uint64),
    )


def _from_dlpack(owner: Any, stream: int) -> Interface:
    """Read a DLPack capsule; it is kept, unconsumed, and so frees its tensor when the view goes."""
    capsule = owner.__dlpack__(stream=stream or DEFAULT_STREAM)
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype, address.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    tensor = ctypes.cast(address(capsule, b"dltensor"), ctypes.POINTER(_Tensor)).contents
    itemsize, shape = tensor.type_bits // 8, tuple(tensor.shape[: tensor.ndim])
    strides = tuple(s * itemsize for s in tensor.strides[: tensor.ndim]) if tensor.strides else None
    description = {
        "shape": shape,
        "typestr": f"<{TYPE_LETTERS.get(tensor.type_code, 'V')}{itemsize}",
        "data": ((tensor.data or 0) + tensor.byte_offset, False),
        "strides": strides,
        "version": 3,
    }
    return Interface(description, (capsule, owner))


DEFAULT_STREAM = 1  # as both protocols call it, to tell it from no stream


# --- kinds of arrays ---------------------------------------------------------------------------


def _library(array: Any) -> str:
    """Return the name of an array's library, for arrays of a class that was derived from its own, too."""
    for name, kind in (("torch", "Tensor"), ("cupy", "ndarray")):
        if name in sys.modules and isinstance(array, getattr(sys.modules[name], kind, ())):
            return name
    return type(array).__module__.partition(".")[0]


def _of_numba(array: Any) -> bool:
    return bool(getattr(array, "__cuda_ndarray__", False))


def _device_of(array: Any) -> int:
    """Return the number of the GPU that an array is on."""
    if hasattr(type(array), "__dlpack_device__"):
        return int(array.__dlpack_device__()[1])
    if SIMULATED:
        return 0
    return (array.gpu_data.context if _of_numba(array) else cuda.current_context()).device.id


def _stream_of(array: Any, device: int) -> int | None:
    """Return the ``cudaStream_t`` that fills an array, 0 for the default one, None where nobody says."""
    library = sys.modules.get(_library(array))
    if _library(array) == "torch":
        return library.cuda.current_stream(device).cuda_stream  # type: ignore[union-attr]
    if _library(array) == "cupy":
        return library.cuda.get_current_stream().ptr  # type: ignore[union-attr]
    handle = getattr(array, "__cuda_array_interface__", {}).get("stream")
    if handle == DEFAULT_STREAM or (handle is None and _of_numba(array)):
        return 0
    return handle


def _allocator(array: Any) -> Callable[[Sequence[int], Any], Any]:
    """Return the function ``empty(shape, dtype)`` of an array's library, on the array's device."""
    name, library = _library(array), sys.modules.get(_library(array))
    if _of_numba(array):
        return device_array
    if name == "torch":
        return lambda shape, dtype: library.empty(  # type: ignore[union-attr]
            tuple(shape), dtype=getattr(library, np.dtype(dtype).name), device=array.device
        )
    if name == "cupy":
        return lambda shape, dtype: library.empty(tuple(shape), dtype)  # type: ignore[union-attr]
    if hasattr(array, "__array_namespace__"):
        xp = array.__array_namespace__()
        return lambda shape, dtype: xp.empty(
            tuple(shape), dtype=getattr(xp, np.dtype(dtype).name), device=array.device
        )
    raise TypeError(
        f"it is not known how the library of {type(array).__module__}.{type(array).__qualname__} makes "
        "arrays on a GPU; convkit takes those of PyTorch, CuPy, Numba and of the array API standard"
    )


class Visit:
    """One call's stay on a device: views of its arguments, and results in the caller's kind."""

    def __init__(self, first: Any) -> None:
        self.device = _device_of(first)
        stream = _stream_of(first, self.device)
        self.stream = stream or 0
        self._unknown = stream is None  # on what stream the caller will read the results
        self._others: set[int] = set()  # streams that other arguments are filled on
        self._empty = _allocator(first)
        self._views: dict[
            int, tuple[Any, Any]
        ] = {}  # by id, which stays a view's while it is kept: its owner
        self._made: dict[tuple[int, Any], Any] = {}  # by address and dtype: owners of reshaped views, too

    @contextmanager
    def open(self) -> Iterator[ModuleType]:
        """Work on the arrays' device and the caller's stream, with the module that stands in for NumPy."""
        before = getattr(border.current, "visit", None)
        border.current.visit = self
        try:
            with cuda.gpus[self.device], on_stream(self.stream), room_of(device_memory(self.device)):
                yield border
                for other in self._others:  # where `out` will be read, or an input overwritten
                    hold_back(other, self.stream)
                if self._unknown:
                    cuda.synchronize()
        finally:
            border.current.visit = before

    def view(self, owner: Any) -> Any:
        """Return a view of a caller's array."""
        if _device_of(owner) != self.device:
            raise ValueError(f"all arrays must be on one GPU, got {self.device} and {_device_of(owner)}")
        self._wait_for(owner)
        try:
            if hasattr(owner, "__cuda_array_interface__") or _of_numba(owner):
                source = owner
                if SIMULATED and not _of_numba(owner):
                    source = Interface(owner.__cuda_array_interface__, owner)
            else:
                source = _from_dlpack(owner, self.stream)
            view = as_array(source)
        except (BufferError, RuntimeError, TypeError, ValueError, NotImplementedError) as error:
            kind = f"{type(owner).__module__}.{type(owner).__qualname__}"
            raise TypeError(f"{kind} cannot be read as an array: {error}") from error
        self._views[id(view)] = view, owner
        view.convkit_owner = owner  # for `writeable`
        return view

    def _wait_for(self, owner: Any) -> None:
        """Let what is launched from now on wait for whatever fills an array."""
        stream = _stream_of(owner, self.device)
        if stream is not None and stream != self.stream and stream not in self._others:
            self._others.add(stream)
            hold_back(self.stream, stream)

    def empty(self, shape: Sequence[int], dtype: Any) -> Any:
        """Return a new array of the caller's kind, as the kernels see it."""
        owner = allocated(self._empty, shape, dtype)
        view = self.view(owner)
        self._made[pointer(view), view.dtype] = owner
        return view

    def back(self, result: Any) -> Any:
        """Return a result, or the arrays of a tuple of them, in the caller's kind."""
        if id(result) in self._views:
            return self._views[id(result)][1]
        if isinstance(result, tuple):
            items = [self.back(item) for item in result]
            return type(result)(*items) if hasattr(result, "_fields") else tuple(items)
        if _of_numba(result):  # empty ones may all be at one address
            owner = self._made[pointer(result), result.dtype]
            return owner if tuple(owner.shape) == result.shape else owner.reshape(result.shape)
        return result
