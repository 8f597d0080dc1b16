"""Kernels among threads, processes, signals and exceptions: more of what test_hardening.py lists."""

import multiprocessing
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from comparator import assert_equal
from geometries import integers, reals
from programs import run

import convkit

# --- several callers -----------------------------------------------------------------------


def test_several_threads_call_at_once():
    """hardening: several callers at once; results depend on threads. Each thread plans anew, too."""
    rng = np.random.default_rng(0)
    images = [rng.standard_normal((2, 3, 8 + i % 5, 9)) for i in range(40)]
    w, wrong, start = reals(4, 3, 3, 3), [], threading.Barrier(4)
    want = [convkit.conv2d(x, w, padding=1) for x in images]

    def work():
        start.wait()
        for x, y in zip(images, want, strict=True):
            got = convkit.conv2d(x, w, padding=1)
            back = convkit.pad(convkit.pad(x, (2, 2, 1, 1), "reflect"), (-2, -2, -1, -1))
            if not (np.array_equal(got, y) and np.array_equal(back, x)):
                wrong.append(x.shape)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_several_threads_make_the_first_call_of_each_operation():
    """hardening: several callers at once. Kernels are imported and plans are made by the first call."""
    program = """
import threading
import numpy as np, convkit
x, w = np.arange(150.0).reshape(2, 3, 5, 5), np.ones((2, 3, 3, 3))
start, results = threading.Barrier(4), [None] * 4
def work(i):
    start.wait()
    y = convkit.conv2d(x, w, padding=1)
    results[i] = [
        y, *convkit.conv2d_backward(y, x, w, padding=1), convkit.avg_pool2d(x, 2), convkit.max_pool2d(x, 2),
        convkit.batch_norm(x, None, None, training=True), convkit.dropout(x, seed=1), convkit.im2col(x, 2),
    ]
threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(all(np.array_equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True)))
"""
    done = run(program)
    assert done.stdout == "True\n", done.stderr


def forked(seed):
    x = integers(2, 3, 128, 128, seed=seed)  # large enough for threads
    convkit.set_num_threads(3)
    with convkit.num_threads(2):
        return convkit.pad(x, (1, 1, 1, 1)).sum() == x.sum(), convkit.get_num_threads()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings(
    "ignore:.*fork.*:DeprecationWarning"
)  # Python 3.12 warns of any fork beside threads
def test_a_pool_of_forked_workers():
    """hardening: fork after use. A child works on one thread, whatever it asks for; it must not hang."""
    before = convkit.get_num_threads()
    assert forked(0) == (True, 2)
    convkit.set_num_threads(before)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(forked, range(4)).get(timeout=30) == [(True, 1)] * 4


def test_leaving_while_a_thread_is_inside_a_call():
    """hardening: exit."""
    program = """
import threading, time
import numpy as np, convkit
x, w = np.ones((4, 16, 200, 200), np.float32), np.ones((16, 16, 3, 3), np.float32)
def work():
    while True:
        convkit.conv2d(x, w)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
print("leaving")
"""
    done = run(program)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "leaving\n"


@pytest.mark.parametrize("shape", [(400, 4, 100, 100), (1, 4, 2000, 2000)], ids=["images", "image"])
def test_control_c_ends_a_long_call(shape):
    """hardening: Ctrl-C. It is looked for between images, or parts of one, some 50 ms of work apart."""
    program = f"""
import os, signal, threading, time
import numpy as np, convkit
signal.signal(signal.SIGINT, signal.default_int_handler)
x, w = np.ones({shape}, np.float32), np.ones((64, 4, 3, 3), np.float32)
start = time.process_time()
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    convkit.conv2d(x, w, algorithm="seven_loops", backend="cython")
except KeyboardInterrupt:
    print(time.process_time() - start)
"""
    done = run(program)
    assert done.stdout, done.stderr
    assert float(done.stdout) < 1.5  # seconds of the processor; the whole takes about ten


@pytest.mark.parametrize("groups", [1, 4])
def test_an_image_done_in_parts(groups):
    """hardening: Ctrl-C. The parts are the whole: they give what the halves of the filters give."""
    x = integers(2, 20 * groups, 400, 400, dtype="float32")
    w = integers(64, 20, 7, 7, dtype="float32")
    y = convkit.conv2d(x, w, groups=groups)
    assert y[0].size * w[0].size / 80 > 100_000_000  # nanoseconds: two parts at least
    each = [
        convkit.conv2d(part, w[i * 64 // groups :][: 64 // groups])
        for i, part in enumerate(np.split(x, groups, axis=1))
    ]
    assert_equal(y, np.concatenate(each, axis=1))
    grad = integers(*y.shape, dtype="float32")
    got = convkit.conv2d_backward(grad, x, w, groups=groups, needs=(False, True, False)).grad_w
    assert abs(got).max() < 2**24  # so that all sums were exact
    for m in range(0, 64, 24):
        one = np.ascontiguousarray(grad[:, m : m + 1])
        g = m * groups // 64
        part = np.ascontiguousarray(np.split(x, groups, axis=1)[g])
        alone = convkit.conv2d_backward(one, part, w[m : m + 1], needs=(False, True, False)).grad_w
        assert_equal(got[m : m + 1], alone)


# --- what a kernel may not do --------------------------------------------------------------


def test_kernels_beside_other_libraries_threads():
    """hardening: nested parallelism. Threads of Python's, of BLAS and of kernels work at the same time."""
    program = """
import threading
import numpy as np, convkit
from threadpoolctl import threadpool_info
convkit.set_num_threads(2)
x, w, square = np.ones((2, 8, 64, 64)), np.ones((8, 8, 3, 3)), np.ones((300, 300))
results = []
def work():
    for _ in range(5):
        y = convkit.conv2d(x, w)
        results.append(bool((y == 72).all() and (square @ square == 300).all()))
        results.append(np.array_equal(convkit.conv2d(x, w, algorithm="im2col", backend="numpy"), y))
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
seen = {pool["user_api"] for pool in threadpool_info()}
print(len(results), all(results), "openmp" in seen)
"""
    pytest.importorskip("threadpoolctl")
    if not convkit.show_config()["openmp"]:
        pytest.skip("no compiled kernels with OpenMP")
    done = run(program)
    assert done.stdout == "40 True True\n", done.stderr


def test_compiled_kernels_call_no_blas():
    """hardening: nested parallelism. A product by BLAS, inside threads, would start threads of its own."""
    for module in Path(convkit.__file__).parent.glob("_ext/**/*.so"):
        assert not re.search(rb"[a-z_]*gemm_?\0", module.read_bytes()), module


def test_nothing_raises_where_an_exception_would_be_lost():
    """hardening: exception in C code. What cannot hand on an exception has no GIL, so nothing raises there:
    Cython compiles no other operation without it.
    """
    sources = [p for s in ("*.pyx", "*.pxd") for p in Path(convkit.__file__).parent.glob(f"_ext/**/{s}")]
    lost = re.compile(r"\bnoexcept\b(?! nogil)|\bwith gil\b")
    assert len(sources) > 50
    assert [p.name for p in sources if lost.search(p.read_text())] == []
