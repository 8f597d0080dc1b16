"""The Numba backend around its kernels: compiling, the cache on disk, threads, forks, plain Python."""

import importlib
import logging
import mmap
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from comparator import assert_bits, assert_equal

import convkit
from convkit._numba import threads
from convkit.registry import KERNELS

numba = pytest.importorskip("numba")

LAYERS = "workqueue", "omp", "tbb"
SECONDS = float(os.environ.get("CONVKIT_BURST_SECONDS", "0.5"))  # ten, for a thorough run


def python(program, *arguments, **environment):
    """Run a program in a Python of its own, which has a minute and then is taken to hang."""
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=180 + 4 * SECONDS,
        env={**os.environ, **environment},
    )


def succeeded(done):
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def needs(layer, done):
    if "No threading layer could be loaded" in done.stderr or "not found" in done.stderr:
        pytest.skip(f"the threading layer {layer} is not installed")


# --- the column is complete ----------------------------------------------------------------


def test_no_operation_is_missing():
    ops = {k.op for k in KERNELS}
    assert {k.op for k in KERNELS if (k.backend, k.algorithm) == ("numba", "direct")} == ops


# --- compiling -----------------------------------------------------------------------------


@pytest.fixture
def as_imported(monkeypatch):
    """The sources have not changed since they were imported, even if somebody edits them meanwhile."""
    from convkit._numba import compile as compiling

    monkeypatch.setattr(compiling, "_loaded", float("inf"))


@pytest.fixture
def kernel(as_imported):
    """A kernel that nobody has compiled yet, in this process."""
    from convkit._numba import channels
    from convkit._numba.compile import Kernel

    made = channels.channel_mean_backward
    return Kernel(made.function, None, {})


def call(kernel, dtype="float64"):
    dx, dy = np.empty((1, 2, 3), dtype), np.ones((1, 3), dtype)
    kernel(dx, dy)
    assert_bits(dx, np.full_like(dx, 0.5))


def fresh_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))


def test_the_first_call_says_what_it_compiles(kernel, monkeypatch, tmp_path, caplog):
    fresh_cache(monkeypatch, tmp_path)
    with caplog.at_level(logging.INFO, "convkit"):
        call(kernel)
        call(kernel)
    first, second = (r.getMessage() for r in caplog.records)
    assert first == "compiling channel_mean_backward for float64"
    assert second.startswith("compiled channel_mean_backward for float64 in ")


def test_what_is_on_disk_is_not_compiled_again(kernel, monkeypatch, tmp_path, caplog):
    fresh_cache(monkeypatch, tmp_path)
    call(kernel)
    assert list(tmp_path.rglob("channels.channel_mean_backward_serial_*.nbc"))
    again = type(kernel)(kernel.function, None, {})
    with caplog.at_level(logging.INFO, "convkit"):
        call(again)
    assert not caplog.records


@pytest.mark.parametrize(
    ("module", "op", "edited"),
    [
        ("dropout", "dropout", "scalars.py"),
        ("avg_pooling", "avg_pool2d", "_numba/vec.py"),  # where `+` of two registers becomes an instruction
        ("avg_pooling", "avg_pool2d", "_numba/windows.py"),
        ("ladder.conv_threads", "conv2d", "_numba/pointers.py"),
    ],
)
def test_a_changed_source_is_compiled_again(module, op, edited, monkeypatch, as_imported):
    """Numba looks at the file of a function alone; a kernel also consists of what it calls."""
    from convkit._numba import compile as compiling

    function = getattr(importlib.import_module(f"convkit._numba.{module}"), op).function
    before = compiling._sources(function)
    source = Path(convkit.__file__).parent / edited
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (path == source))
    assert compiling._sources(function) != before


def test_what_was_edited_since_its_import_is_not_kept(kernel, monkeypatch, tmp_path, caplog):
    """Python still has the old source: under the new one's digest it would be a wrong kernel for good."""
    from convkit._numba import compile as compiling

    fresh_cache(monkeypatch, tmp_path)
    monkeypatch.setattr(compiling, "_loaded", 0.0)
    call(kernel)
    assert "could not be kept on disk: " in caplog.text
    assert "may have changed since it was imported" in caplog.text
    assert not list(tmp_path.rglob("*.nb?"))


def test_a_file_that_is_copied_with_its_old_time_counts_as_edited(monkeypatch, tmp_path):
    """`cp -p` and `tar` keep the time of the last change, but not that of the copy."""
    from convkit._numba import compile as compiling

    file = tmp_path / "source.py"
    file.write_text("")
    before = file.stat().st_ctime - 100
    os.utime(file, (before, before))
    monkeypatch.setattr(compiling, "_loaded", before + 50)
    with pytest.raises(RuntimeError, match=r"source\.py may have changed"):
        compiling._source(file)


DROPPED = """
import logging, sys
import numpy as np, convkit
from convkit._numba import compile as compiling
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
y = convkit.dropout(np.ones(64, np.float32), seed=1, backend="numba")
print(compiling.__file__, y.astype(int).tolist())
"""


def test_a_copy_with_other_sources_does_not_take_the_kernels_along(tmp_path):
    """What changes is a constant in another file, frozen into a function that the kernel calls."""
    copies, printed = [tmp_path / name for name in ("first", "second")], []
    package = Path(convkit.__file__).parent
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}  # beside the source
    for source, copy in zip((package.parent, copies[0]), copies, strict=True):
        shutil.copytree(source / "convkit", copy / "convkit", ignore=None if printed else leave_out)
        scalars = copy / "convkit/scalars.py"
        if printed:
            scalars.write_text(scalars.read_text().replace("0xD2511F53", "0xD2511F55"))
        done = [
            subprocess.run(
                [sys.executable, "-c", DROPPED],
                cwd=copy,
                env={**environment, "PYTHONPATH": str(copy), **more},
                capture_output=True,
                text=True,
                timeout=180,
                check=False,
            )
            for more in ({}, {"NUMBA_DISABLE_JIT": "1"})
        ]
        (*said, compiled), plain = succeeded(done[0]).splitlines(), succeeded(done[1]).strip()
        assert said[0] == "compiling dropout for float32"
        assert compiled == plain
        assert compiled.startswith(str(copy))
        printed.append(compiled.partition(" ")[2])
    assert len(list((copies[1] / "convkit/_numba/__pycache__").glob("dropout.dropout_serial_*.nbi"))) == 2
    assert printed[0] != printed[1]


def leave_out(folder, names):
    """What a copy can do without: kernels compiled before, and the Cython ones."""
    large = {"v2", "v3", "v4"} if folder.endswith("_ext") else set()
    return [name for name in names if name in large or name.endswith((".nbi", ".nbc"))]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names processors of Intel's")
def test_another_processor_s_kernels_are_not_loaded(tmp_path):
    """A cache folder may be on a disk that machines share, and one may not run what another compiled."""
    program = DROPPED.replace("compiling.__file__", "'bits'")
    environment = {"NUMBA_CACHE_DIR": str(tmp_path)}
    first = succeeded(python(program, **environment)).splitlines()
    old = {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "+sse4.2"}
    second = succeeded(python(program, **environment, **old)).splitlines()
    third = succeeded(python(program, **environment)).splitlines()
    assert first[0] == second[0] == "compiling dropout for float32"
    assert first[-1] == second[-1]
    assert third == first[-1:]


def test_missing_weights_have_the_type_of_the_others():
    """A plain 0 for them made float64 of the statement that adds four terms of float32."""
    from convkit._numba.ladder.conv_unrolled import four_weights

    w = np.arange(1, 4, dtype=np.float32)
    assert four_weights(w, 0, 3, np.float32(0)) == (1, 2, 3, 0)
    assert four_weights(w, 2, 3, np.float32(0)) == (3, 0, 0, 0)
    # Kernels of other tests in this process may have compiled it for float64 or for other layouts too.
    returned = {(s.args[0].dtype, s.return_type) for s in four_weights.nopython_signatures}
    assert (numba.float32, numba.types.UniTuple(numba.float32, 4)) in returned
    assert all(type_ == numba.types.UniTuple(weights, 4) for weights, type_ in returned)


def test_a_cache_folder_that_cannot_be_written(tmp_path):
    """The installation, the user's folder and the cache that is asked for are all read-only."""
    program = """
import logging, sys
import numpy as np, convkit
from numba.core import caching
caching.CacheImpl._locator_classes = []  # none finds a folder, as where nothing can be written to
x = np.ones((1, 1, 2, 2), np.float32)
print(convkit.pad(x, (1, 1), backend="numba").sum())
"""
    done = python(program)
    assert succeeded(done) == "4.0\n"
    assert "pad2d was compiled but could not be kept on disk" in done.stderr


def test_a_disk_that_is_full(kernel, monkeypatch, tmp_path, caplog):
    from numba.core.caching import IndexDataCacheFile

    def full(*_):
        raise OSError(28, "No space left on device")

    fresh_cache(monkeypatch, tmp_path)
    monkeypatch.setattr(IndexDataCacheFile, "save", full)
    with caplog.at_level(logging.INFO, "convkit"):
        call(kernel)
    assert "could not be kept on disk: [Errno 28]" in caplog.text
    assert caplog.text.count("compiled channel_mean_backward for float64 in") == 1  # not once more without


def test_an_installation_without_sources(kernel, monkeypatch, caplog):
    def missing(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_bytes", missing)
    call(kernel)
    assert "compiled but could not be kept on disk" in caplog.text


RACE = """
import faulthandler, sys, threading
import numpy as np, numba, convkit
from convkit import njit as ck
from convkit._numba import compile as compiling

faulthandler.dump_traceback_later(60, exit=True)
x = np.ones((1, 1, 4, 4))
compiling_users, compiling_kernel = threading.Event(), threading.Event()

class Watch(numba.core.event.Listener):
    def on_start(self, event):
        if event.data["dispatcher"].py_func.__name__ == "mine":
            compiling_users.set()
            compiling_kernel.wait(1)  # the other thread is on its way, and must wait for us
    def on_end(self, event):
        pass

@numba.njit
def mine(x):
    return ck.global_avg_pool2d(ck.pad(x, (1, 1, 1, 1)))

def users():
    with numba.core.event.install_listener("numba:compile", Watch()):
        assert mine(x)[0, 0] == 16 / 36

def kernels():
    compiling_users.wait()
    compiling_kernel.set()
    assert convkit.channel_mean(x, backend="numba").shape == (1, 4, 4)

threads = [threading.Thread(target=f) for f in (users, kernels)]
for t in threads: t.start()
for t in threads: t.join()
print("done")
"""


def test_two_first_calls_at_once(tmp_path):
    """hardening: race the first call. One compiles a user's function that calls a kernel, one a kernel."""
    assert succeeded(python(RACE, NUMBA_CACHE_DIR=str(tmp_path))) == "done\n"


FORK_WHILE_COMPILING = """
import os, signal, threading, time, warnings
import numpy as np, numba, convkit
from numba.core.compiler_lock import global_compiler_lock
from convkit._numba import compile as compiling
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork beside threads

held = threading.Event()

def compile_something():
    with global_compiler_lock:
        held.set()
        time.sleep(0.5)

thread = threading.Thread(target=compile_something)
thread.start()
held.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)
    convkit.pad(np.ones((1, 1, 3, 3)), (1, 1, 1, 1), backend="numba")
    os._exit(0)
thread.join()
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_while_another_thread_compiles():
    """hardening: fork after use. The child would wait for a lock whose thread it does not have."""
    assert succeeded(python(FORK_WHILE_COMPILING)) == "0\n"


def test_numba_is_imported_only_when_it_is_needed():
    program = (
        "import sys, numpy, convkit; convkit.pad(numpy.ones((2, 2)), (1, 1)); print('numba' in sys.modules)"
    )
    assert succeeded(python(program)) == "False\n"


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
