"""The Numba backend around its kernels: calls in pieces, Ctrl-C, threads, forks."""

import mmap
import os

import numpy as np
import pytest
from comparator import assert_equal
from programs import SECONDS, python, succeeded

import convkit
from convkit._numba import threads
from convkit.registry import KERNELS

numba = pytest.importorskip("numba")

LAYERS = "workqueue", "omp", "tbb"


def needs(layer, done):
    if "No threading layer could be loaded" in done.stderr or "not found" in done.stderr:
        pytest.skip(f"the threading layer {layer} is not installed")


# --- the column is complete ----------------------------------------------------------------


def test_no_operation_is_missing():
    ops = {k.op for k in KERNELS}
    assert {k.op for k in KERNELS if (k.backend, k.algorithm) == ("numba", "direct")} == ops


# --- many small planes ---------------------------------------------------------------------

SMALL_PLANES = """
import ctypes, mmap, sys
import numpy as np, convkit

PAGE = mmap.PAGESIZE
mprotect = ctypes.CDLL(None, use_errno=True).mprotect
rooms = []

def fenced(shape, dtype):
    # an array that ends where a page begins that may be neither read nor written
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    pages = -(-size // PAGE)
    room = mmap.mmap(-1, (pages + 1) * PAGE)
    rooms.append(room)
    start = ctypes.addressof(ctypes.c_char.from_buffer(room))
    assert mprotect(ctypes.c_void_p(start + pages * PAGE), PAGE, 0) == 0
    return np.frombuffer(room, dtype, int(np.prod(shape)), pages * PAGE - size).reshape(shape)

def check(function, x, **options):
    want = function(x, backend="reference", **options)
    out = fenced(want.shape, x.dtype)
    out[...] = np.nan
    function(x, backend="numba", out=out, **options)
    assert np.array_equal(out, want), (function.__name__, x.shape, options)

WINDOWS = (2, 2, 0), (3, 2, 0), (3, 1, 0), (3, 2, 1), (3, 1, 1), (5, 3, 0), (4, 1, 0), (2, 1, 0)
rng = np.random.default_rng(0)
for dtype in sys.argv[1:]:
    for P, size in ((1, 7), (40, 7), (600, 7), (530, 5), (530, 4), (70, 8), (100, 13)):
        x = fenced((P, 1, size, size), dtype)
        x[...] = rng.integers(-3, 4, x.shape) * 3600  # shares of all windows are whole numbers
        for K, S, p in WINDOWS:
            if K > size:
                continue
            check(convkit.avg_pool2d, x, kernel_size=K, stride=S, padding=p)
            check(convkit.max_pool2d, x, kernel_size=K, stride=S, padding=p)
            y = convkit.avg_pool2d(x, K, S, p)
            dy = fenced(y.shape, dtype)
            dy[...] = rng.integers(-3, 4, dy.shape) * 3600
            check(lambda g, **o: convkit.avg_pool2d_backward(g, x.shape, K, S, p, **o), dy)
        for mode in ("constant", "reflect", "circular"):
            check(convkit.pad, x, padding=(1, 2, 3, 0), mode=mode, value=5.0 if mode == "constant" else 0.0)
        check(convkit.adaptive_avg_pool2d, x, output_size=1)
        check(convkit.im2col, x, kernel_size=3, stride=2, padding=1)
print("right")
"""


@pytest.mark.skipif(not hasattr(mmap, "PROT_READ"), reason="no pages to forbid")
@pytest.mark.parametrize("features", [None, "+avx,+avx2,+fma"])
def test_many_small_planes(features):
    """Registers reach beyond a plane into the next, and may not where there is none."""
    if features is None:
        assert succeeded(python(SMALL_PLANES, "float32", "float64")) == "right\n"
        return
    from convkit._numba.vec import _features

    if not {f[1:] for f in features.split(",")} <= _features():
        pytest.skip(f"no {features} here")
    older = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": features}
    assert succeeded(python(SMALL_PLANES, "float32", **older)) == "right\n"


# --- the gradient for the weights ----------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "options"), [((20, 20), {}), ((17, 16), {"dilation": 2, "stride": (2, 1)})]
)
def test_a_large_window_is_done_in_parts(window, options):
    """More taps than a task takes: their sums and planes would grow with the window."""
    from convkit._numba.conv_grad_w import TAPS

    assert window[0] * window[1] > TAPS
    x, w = integers(2, 4, 40, 40), integers(6, 2, *window)
    y = convkit.conv2d(x, w, groups=2, backend="reference", **options)
    got, want = (
        convkit.conv2d_backward(
            integers(*y.shape), x, w, groups=2, needs=(False, True, False), backend=backend, **options
        ).grad_w
        for backend in ("numba", "reference")
    )
    assert_equal(got, want)


def test_much_dilated_taps_are_done_in_parts():
    """A plane for three of their rows would be 600 rows higher than its outputs."""
    x, w = integers(1, 2, 640, 300), integers(2, 2, 3, 3)
    y = convkit.conv2d(x, w, dilation=(300, 1), backend="reference")
    got, want = (
        convkit.conv2d_backward(
            integers(*y.shape), x, w, dilation=(300, 1), needs=(False, True, False), backend=backend
        ).grad_w
        for backend in ("numba", "reference")
    )
    assert_equal(got, want)


# --- Ctrl-C --------------------------------------------------------------------------------


def integers(*shape):
    return np.random.default_rng(0).integers(-3, 4, shape).astype("float32")


CALLS_BY_IMAGES = {
    "conv2d": lambda b: convkit.conv2d(integers(5, 2, 9, 9), integers(3, 2, 3, 3), backend=b),
    "conv_transpose2d": lambda b: convkit.conv_transpose2d(
        integers(5, 2, 9, 9), integers(2, 3, 3, 3), backend=b
    ),
    "im2col": lambda b: convkit.im2col(integers(5, 2, 9, 9), 3, backend=b),
    "col2im": lambda b: convkit.col2im(integers(5, 18, 49), 9, 3, backend=b),
    "pad2d": lambda b: convkit.pad(integers(5, 2, 9, 9), (1, 2), backend=b),
    "pad2d_backward": lambda b: convkit.pad_backward(
        integers(5, 2, 9, 12), (5, 2, 9, 9), (1, 2), "reflect", backend=b
    ),
    "avg_pool2d": lambda b: convkit.avg_pool2d(integers(5, 2, 9, 9), 2, backend=b),
    "avg_pool2d_backward": lambda b: convkit.avg_pool2d_backward(
        integers(5, 2, 4, 4), (5, 2, 9, 9), 2, backend=b
    ),
    "max_pool2d": lambda b: convkit.max_pool2d(integers(5, 2, 9, 9), 2, backend=b),
    "max_pool2d_indices": lambda b: convkit.max_pool2d(
        integers(5, 2, 9, 9), 2, return_indices=True, backend=b
    )[1],
    "max_pool2d_backward": lambda b: convkit.max_pool2d_backward(
        integers(5, 2, 4, 4), integers(5, 2, 9, 9), 2, backend=b
    ),
    "channel_mean": lambda b: convkit.channel_mean(integers(5, 2, 9, 9), backend=b),
    "channel_mean_backward": lambda b: convkit.channel_mean_backward(
        integers(5, 9, 9), (5, 2, 9, 9), backend=b
    ),
    "normalize_given": lambda b: convkit.batch_norm(
        integers(5, 2, 9, 9), np.zeros(2, "float32"), np.full(2, 0.25, "float32"), eps=0, backend=b
    ),
    "dropout_given": lambda b: convkit.dropout_backward(
        integers(5, 2, 9, 9), 0.5, mask=integers(5, 2, 9, 9) > 0, backend=b
    ),
}


def test_every_operation_by_images_is_tried():
    from convkit._numba.signatures import ARRAYS_OF_IMAGES

    assert set(CALLS_BY_IMAGES) == set(ARRAYS_OF_IMAGES)


@pytest.mark.parametrize("op", CALLS_BY_IMAGES)
def test_a_long_call_is_done_in_pieces(op, monkeypatch):
    from convkit._numba import compile as compiling

    want = CALLS_BY_IMAGES[op]("reference")
    cut = []
    pieces = compiling.Kernel.pieces

    def counted(self, *arguments):
        cut.append([self.op, len(list(pieces(self, *arguments)))])
        return pieces(self, *arguments)

    monkeypatch.setattr(compiling, "MUCH", 0)
    monkeypatch.setattr(compiling, "LONG", 40)
    monkeypatch.setattr(compiling.Kernel, "pieces", counted)
    assert_equal(CALLS_BY_IMAGES[op]("numba"), want)
    assert op in [name for name, count in cut if count > 1]


INTERRUPTED = """
import os, signal, threading, time
import numpy as np, convkit
signal.signal(signal.SIGINT, signal.default_int_handler)
w = np.ones((64, 4, 3, 3), np.float32)
def call(N):
    convkit.conv2d(np.ones((N, 4, 100, 100), np.float32), w, algorithm="seven_loops", backend="numba")
call(1)  # compiles
start = time.process_time()
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    call(600)
except KeyboardInterrupt:
    print(time.process_time() - start)
"""


def test_ctrl_c_is_seen_between_pieces():
    """hardening: Ctrl-C."""
    assert float(succeeded(python(INTERRUPTED))) < 5  # seconds of the processor; the whole takes ten and more


# --- threads -------------------------------------------------------------------------------


def test_little_work_stays_on_one_thread(monkeypatch):
    with convkit.num_threads(7):
        assert threads.threads_for(10) == 1
        assert threads.threads_for(10**9) == 7
    monkeypatch.setattr(threads, "_small", 5)
    with convkit.num_threads(2):
        assert threads.threads_for(10) == 2


def test_the_user_s_own_number_of_threads_is_left_alone():
    x = np.ones((64, 64, 64), np.float32)
    before = numba.get_num_threads()
    with convkit.num_threads(before + 3):  # more than Numba has
        convkit.pad(x, (1, 1), backend="numba")
    assert numba.get_num_threads() == before


BURST = """
import sys, threading, time
import numpy as np, numba, convkit

seconds = float(sys.argv[1])
rng = np.random.default_rng(0)
x = rng.standard_normal((4, 16, 48, 48)).astype(np.float32)  # large enough to be shared
w = rng.standard_normal((16, 16, 3, 3)).astype(np.float32)
mean, var = np.zeros(16, np.float32), np.ones(16, np.float32)
calls = [
    lambda b: convkit.conv2d(x, w, padding=1, backend=b),
    lambda b: convkit.conv_transpose2d(x, w, backend=b),
    lambda b: convkit.avg_pool2d(x, 3, 1, backend=b),
    lambda b: convkit.max_pool2d(x, 3, 2, backend=b),
    lambda b: convkit.batch_norm(x, mean, var, backend=b),
    lambda b: convkit.batch_norm_forward(x, backend=b).y,
    lambda b: convkit.pad(x, (1, 2, 3, 4), "reflect", backend=b),
    lambda b: convkit.dropout(x, seed=1, backend=b),
]
convkit.set_num_threads(2)
with convkit.num_threads(1):
    want = [call("numba") for call in calls]
convkit.pad(x, (1, 1), backend="numba")  # starts the layer, so that it can be named
wrong, counts = [], [0] * len(calls)

def work(i):
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        if not np.array_equal(calls[i]("numba"), want[i], equal_nan=True):
            wrong.append(i)
        counts[i] += 1

threads = [threading.Thread(target=work, args=(i,)) for i in range(len(calls))]
for t in threads: t.start()
for t in threads: t.join()
assert not wrong, wrong
assert min(counts) > 0, counts
print(numba.threading_layer(), sum(counts))
"""


@pytest.mark.parametrize("layer", LAYERS)
def test_eight_threads_at_once(layer):
    """hardening: several callers at once, on every threading layer that there is."""
    done = python(BURST, SECONDS, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2")
    needs(layer, done)
    assert succeeded(done).split()[0] == layer


FORK = """
import multiprocessing, os, sys, warnings
import numpy as np, numba, convkit
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork beside threads

x = np.random.default_rng(0).standard_normal((4, 16, 48, 48)).astype(np.float32)
def call(_=None):
    return convkit.max_pool2d(x, 3, 2, backend="numba")

convkit.set_num_threads(2)
want = call()
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(call(), want) else 1)
assert os.waitpid(child, 0)[1] == 0
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert all(np.array_equal(y, want) for y in pool.map(call, range(4)))
assert np.array_equal(call(), want)
print(numba.threading_layer())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("layer", LAYERS)
def test_a_fork_after_a_parallel_call(layer):
    """hardening: fork after use. Numba's omp layer would end the child, libgomp would let it hang."""
    done = python(FORK, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2")
    needs(layer, done)
    assert succeeded(done) == f"{layer}\n"
