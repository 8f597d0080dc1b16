"""Compiling Numba's kernels: what is said, what is kept on disk, and what may not be taken from there."""

import importlib
import logging
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from comparator import assert_bits
from programs import python, succeeded

import convkit

numba = pytest.importorskip("numba")


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

faulthandler.dump_traceback_later(150, exit=True)  # compiling takes half a minute of a core that is free
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
