"""The public functions on arrays in a GPU's memory: the same kind comes out, and the same numbers.

Numba's simulator can stand in for a GPU. Its memory is main memory, so the arrays of other libraries are
small classes here, which describe some of it by the protocol that is tested.
"""

import sys
import types

import numpy as np
import pytest
from api_calls import CALLS
from comparator import assert_bits, assert_close, assert_equal
from device import SIMULATED

import convkit
from convkit import dispatch

if dispatch.why_not("cuda"):
    pytest.skip(f"cuda: {dispatch.why_not('cuda')}", allow_module_level=True)

RNG = np.random.default_rng(5)
X = RNG.standard_normal((2, 3, 5, 6)).astype(np.float32)
W = RNG.standard_normal((4, 3, 3, 2)).astype(np.float32)
SEEDED = "dropout", "dropout2d", "dropout_rows"


def sent(value):
    return convkit.cuda.to_device(value) if isinstance(value, np.ndarray) else value


def brought(value):
    """Return NumPy arrays for the device arrays of a result, and check that it has no others."""
    if isinstance(value, tuple):
        return [brought(v) for v in value]
    return None if value is None else convkit.cuda.to_host(value)


def both(name, *args, **kwargs):
    """Call a function on the host and on the device; return both results as NumPy arrays."""
    function = getattr(convkit, name)
    want = function(*args, **kwargs)
    got = function(*map(sent, args), **{k: sent(v) for k, v in kwargs.items()})
    return brought(got), list(want) if isinstance(want, tuple) else want


def assert_near(got, want):
    """Check results that differ in the order of some hundred additions of numbers of about 1."""
    if isinstance(want, list):
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            assert_near(g, w)
    elif want is None:
        assert got is None
    elif want.dtype.kind == "f":
        assert_close(got, want, 1000 * np.finfo(want.dtype).eps * (1 + np.abs(want).max(initial=0)))
    else:
        assert_equal(got, want)


def arguments(name, dtype):
    """Return the arguments of a call with numbers in them; variances stay 1."""
    call = {}
    for key, value in CALLS[name].items():
        if isinstance(value, np.ndarray):
            value = np.ones(value.shape) if "var" in key else RNG.standard_normal(value.shape)
            value = value.astype(dtype)
        call[key] = value
    return call | ({"seed": 3} if name in SEEDED else {})


ON_FILTERS = "convolution_operator", "fold_batch_norm", "prepare_conv2d"  # they work in main memory


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [n for n in CALLS if n not in ON_FILTERS])
def test_every_function_runs_on_the_device(name, dtype):
    got, want = both(name, **arguments(name, dtype))
    assert convkit.last_call().backend == "cuda"
    assert_near(got, want)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("conv2d", {"x": X, "w": W[:, :1], "b": W[:, 0, 0, 0], "stride": 2, "padding": 1, "groups": 3}),
        ("conv2d", {"x": X, "w": W, "padding": (2, 1), "padding_mode": "reflect", "flip": True}),
        ("conv2d", {"x": X[0], "w": W, "padding": "same"}),
        (
            "conv2d_backward",
            {"grad_y": X[:, :1].repeat(4, 1), "x": X, "w": W, "padding": "same", "flip": True},
        ),
        ("conv2d_backward", {"grad_y": X[:0, :1, :3, :5].repeat(4, 1), "x": X[:0], "w": W}),
        (
            "conv2d_backward",
            {"grad_y": np.zeros((2, 4, 3, 5), "f"), "x": (2, 3, 5, 6), "w": W, "needs": (1, 0, 1)},
        ),
        ("batch_norm", {"x": X[:0], "running_mean": None, "running_var": None, "training": True}),
        ("batch_norm_backward", {"grad_y": X, "x": X[::-1].copy()}),
        ("max_pool2d", {"x": X, "kernel_size": 2, "return_indices": True}),
        ("dropout", {"x": X, "p": 0.0, "seed": 1, "return_mask": True}),
        ("dropout2d", {"x": X, "p": 1.0, "seed": 1, "return_mask": True}),
        ("dropout_backward", {"grad_y": X, "mask": X > 0, "p": 0.25}),
        ("dropout2d_backward", {"grad_y": X, "mask": X[..., :1, :1] > 0}),
        ("pad", {"x": X.reshape(-1), "padding": (2, 3), "mode": "circular"}),
    ],
)
def test_options_and_layouts(name, options):
    if "groups" in options:
        options = options | {"w": options["w"][:3], "b": options["b"][:3]}
    assert_near(*both(name, **options))


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_running_statistics_are_moved_in_place_on_the_device(name, momentum):
    extra = {"training": True} if name == "batch_norm" else {}
    if momentum is None:
        extra |= {"momentum": None, "num_batches_tracked": 3}
    if name == "instance_norm" and momentum is None:
        pytest.skip("instance_norm counts no batches")
    host = [np.full(3, 0.5, np.float32), np.full(3, 2.0, np.float32)]
    device = list(map(sent, host))
    want = getattr(convkit, name)(X, *host, **extra)
    got = getattr(convkit, name)(sent(X), *device, **extra)
    assert_near(brought((got, *device)), [want, *host])
    assert np.all(host[0] != 0.5)


def test_prepared_filters_stay_on_the_device():
    prepared = convkit.prepare_conv2d(sent(W), sent(W[:, 0, 0, 0]), flip=True)
    assert_near(brought(prepared(sent(X))), convkit.conv2d(X, W, W[:, 0, 0, 0], flip=True))


def test_indices_lead_back():
    y, indices = convkit.max_pool2d(sent(X), 2, return_indices=True)
    got = convkit.max_pool2d_backward(y, sent(X), 2, indices=indices)
    want = convkit.max_pool2d_backward(convkit.max_pool2d(X, 2), X, 2)
    assert_equal(brought(got), want)


def test_out_is_filled_whatever_its_strides_and_overlaps():
    want = convkit.conv2d(X, W)
    for out in (sent(np.empty_like(want)), sent(np.empty((4, 4, 3, 5), np.float32))[::2]):
        assert convkit.conv2d(sent(X), sent(W), out=out) is out
        assert_near(brought(out), want)
    x = sent(np.ascontiguousarray(X))
    want = convkit.pad(X, (0, 0), mode="reflect")
    convkit.pad(x, (0, 0), mode="reflect", out=x)  # its input
    assert_equal(brought(x), want)


def test_operands_may_have_any_strides():
    x = np.ascontiguousarray(X.transpose(0, 2, 3, 1))
    got = convkit.conv2d(sent(x).transpose((0, 3, 1, 2)), sent(W))
    assert_near(brought(got), convkit.conv2d(X, W))


def test_to_the_device_and_back():
    for array in (X, X.astype(np.float64), X > 0, np.arange(7), X[:, ::2], np.empty((0, 3))):
        assert_bits(brought(sent(array)), np.ascontiguousarray(array))
    with pytest.raises(TypeError, match="array must be a NumPy array, got list"):
        convkit.cuda.to_device([1.0])
    with pytest.raises(TypeError, match=r"array must be on a GPU, got numpy\.ndarray"):
        convkit.cuda.to_host(X)


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "pattern", "call"),
    [
        (TypeError, r"x on a GPU and w in main memory: .*convkit.cuda.to_device\(w\)", lambda: (sent(X), W)),
        (TypeError, r"w on a GPU and x in main memory", lambda: (X, sent(W))),
        (
            TypeError,
            "x must be float32 or float64, got int64",
            lambda: (sent(np.ones((1, 3, 5, 6), int)), sent(W)),
        ),
        (TypeError, "one dtype is needed", lambda: (sent(X), sent(W.astype(np.float64)))),
        (TypeError, "w must be an array of float32 or float64, got list", lambda: (sent(X), [1.0])),
        (ValueError, r"w must have 3 / 1 = 3 input channels", lambda: (sent(X), sent(W[:, :2]))),
        (
            ValueError,
            r"b must have shape \(4,\), got \(3,\)",
            lambda: (sent(X), sent(W), sent(W[0, :, 0, 0])),
        ),
    ],
)
def test_bad_operands(error, pattern, call):
    with pytest.raises(error, match=pattern):
        convkit.conv2d(*call())


def test_bad_outputs():
    x, w = sent(X), sent(W)
    with pytest.raises(ValueError, match=r"out must have shape \(2, 4, 3, 5\)"):
        convkit.conv2d(x, w, out=x)
    with pytest.raises(TypeError, match="out must be float32, got float64"):
        convkit.conv2d(x, w, out=sent(np.empty((2, 4, 3, 5))))
    flat = sent(X[:, :, 0, 0])
    with pytest.raises(ValueError, match="running_mean shares memory with x"):
        convkit.batch_norm(flat, flat[0], sent(np.ones(3, np.float32)), training=True)
    with pytest.raises(ValueError, match="grad_y must have the output's shape"):
        convkit.conv2d_backward(x, x, w)


def test_arrays_and_backend_must_be_in_the_same_place():
    with pytest.raises(TypeError, match=r"backend 'cuda' works on arrays on a GPU: convkit.cuda.to_device"):
        convkit.conv2d(X, W, backend="cuda")
    with pytest.raises(TypeError, match=r"backend 'reference' works on arrays in main memory"):
        convkit.conv2d(sent(X), sent(W), backend="reference")
    with pytest.raises(ValueError, match="backend 'cuda' has no conv2d by algorithm 'winograd'"):
        convkit.conv2d(sent(X), sent(W), algorithm="winograd")
    with pytest.raises(TypeError, match=r"w must be in main memory"):
        convkit.convolution_operator(sent(W), (3, 6, 5))
    with pytest.raises(TypeError, match="filters are folded in main memory"):
        convkit.fold_batch_norm(sent(W), None, sent(X[0, :, 0, 0]), sent(X[0, :, 0, 0]))


# --- arrays of other libraries -----------------------------------------------------------------


class Described:
    """Memory that is described by ``__cuda_array_interface__``, as CuPy and PyTorch have it."""

    def __init__(self, array, read_only=False):
        self.array, self.read_only = array, read_only
        self.shape, self.device = array.shape, 0

    @property
    def __cuda_array_interface__(self):
        a = self.array
        data = (a.ctypes.data, self.read_only)
        strides = None if a.flags.c_contiguous else a.strides
        return {"shape": a.shape, "typestr": a.dtype.str, "data": data, "strides": strides, "version": 3}

    def reshape(self, shape):
        return type(self)(self.array.reshape(shape))

    def __array_namespace__(self):
        return LIBRARY


class Packed(Described):
    """Memory that comes in a DLPack capsule."""

    __cuda_array_interface__ = property()  # it has none

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, stream=None):
        assert stream == 1  # the default stream
        return self.array.__dlpack__()


LIBRARY = types.SimpleNamespace(float32=np.float32, float64=np.float64, int64=np.int64, bool=np.bool_)


@pytest.fixture(params=[Described, Packed])
def kind(request):
    if not SIMULATED:
        pytest.skip("memory of the host, which a GPU cannot read")
    LIBRARY.empty = lambda shape, dtype, device: request.param(np.empty(shape, dtype))
    return request.param


def test_the_same_kind_comes_out(kind):
    y = convkit.conv2d(kind(X), kind(W), padding=1)
    assert type(y) is kind
    assert_near(y.array, convkit.conv2d(X, W, padding=1))
    gradients = convkit.conv2d_backward(kind(y.array), kind(X), kind(W), padding=1)
    assert [type(g) for g in gradients] == [kind] * 3
    for got, want in zip(gradients, convkit.conv2d_backward(y.array, X, W, padding=1), strict=True):
        assert_near(got.array, want)
    assert_bits(convkit.cuda.to_host(kind(X)), X)


def test_strides_and_out_of_other_libraries(kind):
    x = np.ascontiguousarray(X.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    out = kind(np.empty((2, 4, 3, 5), np.float32))
    assert convkit.conv2d(kind(x), kind(W), out=out) is out
    assert_near(out.array, convkit.conv2d(X, W))


def test_what_is_read_only_is_not_written(kind):
    if kind is Described:
        with pytest.raises(ValueError, match="out is read-only"):
            convkit.conv2d(kind(X), kind(W), out=kind(np.empty((2, 4, 3, 5), np.float32), read_only=True))


def test_a_library_that_makes_no_arrays_is_refused(kind, monkeypatch):
    monkeypatch.delattr(Described, "__array_namespace__")
    with pytest.raises(TypeError, match=r"it is not known how the library of .*test_cuda_arrays"):
        convkit.conv2d(kind(X), kind(W))


def test_torch_and_cupy_are_asked_for_their_streams(monkeypatch):
    from convkit._cuda import arrays

    class Stream:
        cuda_stream = ptr = 0x5EED

    for name in ("torch", "cupy"):
        library = types.ModuleType(name)
        library.cuda = types.SimpleNamespace(
            current_stream=lambda device: Stream, get_current_stream=lambda: Stream
        )
        library.empty = lambda shape, dtype, device=None: Described(np.empty(shape, dtype))
        library.float32 = np.float32
        monkeypatch.setitem(sys.modules, name, library)
        array = type("Tensor", (Described,), {"__module__": name})(X)
        visit = arrays.Visit(array)
        assert visit.stream == 0x5EED
        if SIMULATED:
            assert visit.empty((2, 3), np.float32).shape == (2, 3)


def test_tensors_of_pytorch(monkeypatch):
    """Tensors in main memory that say that they are on a GPU: all of PyTorch but its GPU is the real one."""
    torch = pytest.importorskip("torch")
    if not SIMULATED:
        pytest.skip("memory of the host, which a GPU cannot read")

    class Tensor(torch.Tensor):
        def __dlpack_device__(self):
            return 2, 0

        @property
        def __cuda_array_interface__(self):
            if self.requires_grad:
                raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad")
            strides = tuple(s * self.element_size() for s in self.stride())
            host = torch.empty(0, dtype=self.dtype).as_subclass(torch.Tensor).numpy()
            data = self.data_ptr(), False
            return {"shape": tuple(self.shape), "typestr": host.dtype.str, "data": data, "strides": strides}

    def there(array):
        return torch.from_numpy(array).as_subclass(Tensor)

    def here(tensor):
        assert type(tensor) is Tensor
        return tensor.as_subclass(torch.Tensor).numpy()

    empty, stream = torch.empty, types.SimpleNamespace(cuda_stream=0)
    monkeypatch.setattr(torch, "empty", lambda *a, **k: empty(*a, **k).as_subclass(Tensor))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    x, w = there(X), there(W)
    assert_near(here(convkit.conv2d(x, w, padding=1)), convkit.conv2d(X, W, padding=1))
    turned = np.ascontiguousarray(X.swapaxes(2, 3))
    assert_near(here(convkit.conv2d(x.transpose(2, 3), w)), convkit.conv2d(turned, W))
    y, indices = convkit.max_pool2d(x, 2, return_indices=True)
    assert_bits(here(indices), convkit.max_pool2d(X, 2, return_indices=True)[1])
    assert convkit.max_pool2d(x, 2, out=y) is y
    assert here(convkit.conv2d(x[:0], w)).shape == (0, 4, 3, 5)
    with pytest.raises(TypeError, match="requires grad"):
        convkit.conv2d(x.clone().requires_grad_(), w)


def test_work_goes_to_the_stream_of_the_arrays(monkeypatch):
    from convkit._cuda import columns, target

    if not SIMULATED:
        pytest.skip("a GPU has no stream 7")
    seen, launch = [], columns.launch
    monkeypatch.setattr(columns, "launch", lambda *a: (seen.append(target.current.handle), launch(*a)))
    x = sent(X)
    monkeypatch.setattr(type(x), "__cuda_array_interface__", {"stream": 7}, raising=False)
    convkit.pad(x, (1, 1))
    assert seen == [7]
    assert target.current.handle == 0
