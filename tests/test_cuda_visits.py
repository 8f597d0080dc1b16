"""A call's stay on a device: which stream waits for which, which array is which, how much room there is."""

import sys
import types
import warnings

import numpy as np
import pytest

import convkit
from convkit import dispatch

if dispatch.why_not("cuda"):
    pytest.skip(f"cuda: {dispatch.why_not('cuda')}", allow_module_level=True)

from convkit._cuda import arrays, border, columns, target

if not target.SIMULATED:
    pytest.skip("streams and memory that a GPU does not have", allow_module_level=True)

X = np.arange(2.0 * 3 * 5 * 6, dtype=np.float32).reshape(2, 3, 5, 6)
W = np.ones((4, 3, 3, 2), np.float32)


class Array:
    """An array of a library that follows the array API and puts a stream into its descriptions."""

    device = 0

    def __init__(self, array, stream=None):
        self.array, self.stream, self.shape = array, stream, array.shape

    @property
    def __cuda_array_interface__(self):
        a = self.array
        strides = None if a.flags.c_contiguous else a.strides
        described = {"shape": a.shape, "typestr": a.dtype.str, "data": (a.ctypes.data, False), "version": 3}
        return described | {"strides": strides, "stream": self.stream}

    def reshape(self, shape):
        return Array(self.array.reshape(shape), self.stream)

    def __array_namespace__(self):
        names = "float32", "float64", "int64", "bool"
        dtypes = {name: np.dtype(name).type for name in names}
        return types.SimpleNamespace(
            empty=lambda shape, dtype, device: Array(np.empty(shape, dtype)), **dtypes
        )


@pytest.fixture
def order(monkeypatch):
    """The order in which streams are told to wait and kernels are launched."""
    events, launch = [], columns.launch
    monkeypatch.setattr(arrays, "hold_back", lambda waiting, other: events.append((waiting, other)))
    monkeypatch.setattr(columns, "launch", lambda *a: (events.append(target.current.handle), launch(*a)))
    waits = types.SimpleNamespace(gpus=target.cuda.gpus, synchronize=lambda: events.append("the host waits"))
    monkeypatch.setattr(arrays, "cuda", waits)
    return events


# --- streams -----------------------------------------------------------------------------------


def test_the_first_stream_waits_for_the_others_and_they_for_it(order):
    x, out = Array(X, stream=7), Array(np.empty((2, 3, 7, 8), np.float32), stream=9)
    convkit.pad(x, (1, 1, 1, 1), out=out)
    assert order == [(7, 9), 7, (9, 7)]


def test_one_stream_waits_for_nobody(order):
    convkit.pad(Array(X, stream=7), (1, 1), out=Array(np.empty((2, 3, 5, 8), np.float32), stream=7))
    assert order == [7]


def test_the_default_stream_has_two_names(order):
    convkit.pad(Array(X, stream=1), (1, 1), out=Array(np.empty((2, 3, 5, 8), np.float32), stream=9))
    assert order == [(0, 9), 0, (9, 0)]


def test_where_nobody_tells_a_stream_the_host_waits(order):
    convkit.pad(Array(X), (1, 1))
    assert order[-1] == "the host waits"
    order.clear()
    convkit.pad(convkit.cuda.to_device(X), (1, 1))  # Numba's, on the default one
    assert "the host waits" not in order


def test_derived_classes_belong_to_the_library_of_their_base(monkeypatch):
    for name, kind in (("torch", "Tensor"), ("cupy", "ndarray")):
        base = type(kind, (Array,), {"__module__": name})
        stream = types.SimpleNamespace(cuda_stream=0x5EED, ptr=0x5EED)
        library = types.ModuleType(name)
        library.cuda = types.SimpleNamespace(
            current_stream=lambda device, s=stream: s, get_current_stream=lambda s=stream: s
        )
        setattr(library, kind, base)
        monkeypatch.setitem(sys.modules, name, library)
        assert arrays.Visit(type("Parameter", (base,), {"__module__": "fastai"})(X)).stream == 0x5EED
        monkeypatch.delitem(sys.modules, name)


def test_an_array_of_numba_tells_its_gpu(monkeypatch):
    context = types.SimpleNamespace(device=types.SimpleNamespace(id=1))
    array = types.SimpleNamespace(__cuda_ndarray__=True, gpu_data=types.SimpleNamespace(context=context))
    monkeypatch.setattr(arrays, "SIMULATED", False)
    assert arrays._device_of(array) == 1


def test_numba_warns_of_small_grids_but_not_of_ours():
    class Kernel:
        def __getitem__(self, configuration):
            warnings.warn("Grid size 1 will likely result in GPU under-utilization", stacklevel=1)
            return configuration

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert target._configured(Kernel(), 1, 32, 0) == (1, 32, 0)
        assert not seen
        Kernel()[1, 32, 0]
        assert len(seen) == 1


# --- which array is which ----------------------------------------------------------------------


@pytest.fixture
def no_addresses(monkeypatch):
    """Empty arrays at address 0, as Numba and PyTorch have them."""
    for module in (arrays, border):
        there = module.pointer
        monkeypatch.setattr(module, "pointer", lambda a, there=there: there(a) if a.size else 0)


def test_empty_results_are_told_apart(no_addresses):
    def to_host(result):
        return [convkit.cuda.to_host(a) for a in result]

    x = convkit.cuda.to_device(X[:0])
    for got, want in (
        (convkit.max_pool2d(x, 2, return_indices=True), convkit.max_pool2d(X[:0], 2, return_indices=True)),
        (convkit.dropout(x, seed=1, return_mask=True), convkit.dropout(X[:0], seed=1, return_mask=True)),
        (convkit.dropout2d(x, seed=1, return_mask=True), convkit.dropout2d(X[:0], seed=1, return_mask=True)),
    ):
        assert got[0] is not got[1]
        for g, w in zip(to_host(got), want, strict=True):
            assert (g.shape, g.dtype) == (w.shape, w.dtype)


# --- how much room there is --------------------------------------------------------------------


def test_arrays_are_measured_against_the_device_they_are_on(monkeypatch):
    monkeypatch.setattr(arrays, "device_memory", lambda number: 2**20)
    with pytest.raises(MemoryError, match=r"needs 0\.0 GiB, and there are 0\.0 GiB"):
        convkit.pad(convkit.cuda.to_device(X), (0, 2**17))
    convkit.pad(X, (0, 2**17))  # in main memory there is room
    monkeypatch.setattr(arrays, "device_memory", lambda number: 2**60)
    x = convkit.cuda.to_device(X)
    monkeypatch.setattr(target.cuda, "device_array", no_room, raising=False)
    with pytest.raises(MemoryError, match="no room on the GPU"):  # is found out by the attempt
        convkit.pad(x, (0, 2**17 + 1))


def no_room(shape, dtype, stream=0):
    raise RuntimeError("Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")


def test_other_errors_of_an_allocator_stay_what_they_are():
    def broken(shape, dtype):
        raise RuntimeError("an illegal memory access")

    with pytest.raises(RuntimeError, match="illegal"):
        target.allocated(broken, (2,), np.float32)
