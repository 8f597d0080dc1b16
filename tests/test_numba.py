"""The Numba backend around its kernels: compiling, the cache on disk, threads, forks, plain Python."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from comparator import assert_bits

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
def kernel():
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


def test_a_changed_source_is_compiled_again(tmp_path, monkeypatch):
    """Numba looks at the file of a function alone; a kernel also consists of what it calls."""
    from convkit._numba import compile as compiling
    from convkit._numba import dropout

    before = compiling._sources(dropout.dropout.function)
    scalars = Path(convkit.__file__).parent / "scalars.py"
    read = Path.read_bytes

    def edited(path):
        return read(path) + b"#" if path == scalars else read(path)

    monkeypatch.setattr(Path, "read_bytes", edited)
    assert compiling._sources(dropout.dropout.function) != before


def test_missing_weights_have_the_type_of_the_others():
    """A plain 0 for them made float64 of the statement that adds four terms of float32."""
    from convkit._numba.ladder.conv_unrolled import four_weights

    w = np.arange(1, 4, dtype=np.float32)
    assert four_weights(w, 0, 3, np.float32(0)) == (1, 2, 3, 0)
    assert four_weights(w, 2, 3, np.float32(0)) == (3, 0, 0, 0)
    (signature,) = four_weights.nopython_signatures
    assert signature.return_type == numba.types.UniTuple(numba.float32, 4)


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
    call(kernel)
    assert "could not be kept on disk: [Errno 28]" in caplog.text


def test_numba_is_imported_only_when_it_is_needed():
    program = (
        "import sys, numpy, convkit; convkit.pad(numpy.ones((2, 2)), (1, 1)); print('numba' in sys.modules)"
    )
    assert succeeded(python(program)) == "False\n"


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


# --- plain Python --------------------------------------------------------------------------

PLAIN = """
import json, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from comparator import assert_close
from kernel_cases import CASES
from convkit import dispatch

tried = set()
for k in dispatch.KERNELS:
    if k.backend != "numba":
        continue
    kernel = dispatch.load(k).kernel
    reference = dispatch.resolve(k.op, "reference", "direct").kernel
    small = sorted((c for c in CASES if c.op == k.op), key=lambda c: c.arguments("float32").outputs[0].size)
    for case in small[:4]:
        got, want = case.arguments("float32"), case.arguments("float32")
        kernel(*got.outputs, *got.inputs)
        reference(*want.outputs, *want.inputs)
        for g, w, bound in zip(got.outputs, want.outputs, want.bounds):
            assert_close(g, w, bound, f"{k.op} {k.algorithm} on {case}")
    tried.add(f"{k.op} {k.algorithm}")
print(json.dumps(sorted(tried)))
"""


def test_every_kernel_runs_as_plain_python():
    """With NUMBA_DISABLE_JIT=1 a kernel is the function that is written down."""
    done = python(PLAIN, Path(__file__).parent, NUMBA_DISABLE_JIT="1")
    assert json.loads(succeeded(done)) == sorted(
        f"{k.op} {k.algorithm}" for k in KERNELS if k.backend == "numba"
    )


def test_a_debugger_stops_inside_a_kernel():
    """What the documentation's page on it shows, with the debugger's commands on standard input."""
    program = """
import numpy as np, convkit
from convkit._numba.max_pooling import max_pool2d
import pdb; pdb.set_trace()
convkit.max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2, backend="numba")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input="break max_pool2d.function\ncontinue\nnext\np (P, OH, OW)\nclear 1\ncontinue\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
    )
    assert "(1, 2, 2)" in done.stdout, done.stdout + done.stderr
