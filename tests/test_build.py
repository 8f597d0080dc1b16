"""What the build promises: instruction sets, threads, fork, Ctrl-C, subnormals, a light import.

Most of it is decided at import, so each test asks a Python of its own.
"""

import os
import shutil
import subprocess
import sys
import threading
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np
import pytest
from comparator import assert_bits

import convkit
from convkit import _ext
from convkit.geometry import index_table

compiled = pytest.mark.skipif(_ext.why_not() is not None, reason=str(_ext.why_not()))
PACKAGE = Path(convkit.__file__).parent
ISAS = _ext.config()["isa_available"]


def python(program: str, path: Path = PACKAGE.parent, **environment: str) -> subprocess.CompletedProcess:
    """Run a program in another Python that imports convkit from `path`; a minute is a hang."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=os.environ | {"PYTHONPATH": str(path)} | environment,
        capture_output=True,
        text=True,
        cwd=path,  # which comes before PYTHONPATH
        timeout=60,
        check=False,
    )


def answer(program: str, **environment: str) -> str:
    done = python(program, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- instruction sets ----------------------------------------------------------------------


@compiled
@pytest.mark.parametrize("isa", ISAS)
def test_convkit_isa_chooses(isa):
    program = """
import numpy as np, convkit
y = convkit.pad(np.ones((1, 2, 2)), (1, 1, 1, 1), backend="cython")
print(convkit.show_config()["isa"], convkit.last_call().where, y.sum())
"""
    assert answer(program, CONVKIT_ISA=isa) == f"{isa} convkit._ext.{isa}.padding 4.0"


@compiled
def test_the_best_instruction_set_is_the_default():
    assert answer("import convkit; print(convkit.show_config()['isa'])", CONVKIT_ISA="") == ISAS[0]


@compiled
def test_an_instruction_set_that_is_not_there_is_a_clear_error():
    done = python("import convkit", CONVKIT_ISA="v9")
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last == (
        f"ImportError: CONVKIT_ISA='v9': this CPU and this build of convkit have {', '.join(ISAS)}"
    )


def test_an_instruction_set_of_the_build_that_the_cpu_lacks():
    assert _ext._choose("", ("v3", "v2")) == "v3"
    with pytest.raises(ImportError, match="CONVKIT_ISA='v4': this CPU and this build of convkit have v3, v2"):
        _ext._choose("v4", ("v3", "v2"))
    with pytest.raises(ImportError, match="have none"):
        _ext._choose("v2", ())


@compiled
def test_every_instruction_set_has_every_module():
    first, *others = (
        {p.relative_to(folder) for p in folder.rglob(f"*{EXTENSION_SUFFIXES[0]}")}
        for folder in (PACKAGE / "_ext" / isa for isa in ISAS)
    )
    assert first
    assert all(modules == first for modules in others)


def test_a_source_tree_that_is_not_compiled_says_so(tmp_path):
    skip = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "convkit", ignore=skip)
    program = """
import numpy as np, convkit
x = np.ones((1, 4, 4))
assert convkit.pad(x, (1, 1, 1, 1)).sum() == 16
print(convkit.last_call().backend, convkit.show_config()["isa"])
convkit.set_num_threads(2)
convkit.pad(x, (1, 1, 1, 1), backend="cython")
"""
    done = python(program, path=tmp_path)
    assert done.stdout.strip() == "numba None"  # the next backend that can run
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .endswith("BackendUnavailable: cython: not compiled: run `pip install .`")
    )
    done = python("from convkit.cli import main; raise SystemExit(main(['tour']))", path=tmp_path)
    assert done.returncode == 2
    assert "the kernels of this source tree are not compiled: run `pip install .`" in done.stderr
    assert done.stderr.count("\n") == 1


# --- threads -------------------------------------------------------------------------------


def padded(threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Pad, and the gradient of that, on enough elements that threads are used."""
    rng = np.random.default_rng(3)
    x, dy = rng.standard_normal((7, 100, 101)), rng.standard_normal((7, 140, 131))
    ih_of, iw_of = index_table(100, 20, 20, "reflect"), index_table(101, 15, 15, "reflect")
    y, dx = np.full_like(dy, np.nan), np.full_like(x, np.nan)
    kernels = _ext.load("padding")
    with convkit.num_threads(threads):
        kernels.pad2d(y, x, ih_of, iw_of, 0.0)
        kernels.pad2d_backward(dx, dy, ih_of, iw_of)
    return y, dx


@compiled
@pytest.mark.parametrize("threads", [2, 3, 8])
def test_rule_32_the_same_bits_at_any_thread_count(threads):
    for one, many in zip(padded(1), padded(threads), strict=True):
        assert_bits(many, one)


@compiled
def test_first_calls_race():
    program = """
import threading
import numpy as np, convkit
x = np.random.default_rng(0).standard_normal((4, 200, 200))
want = np.pad(x, ((0, 0), (3, 3), (3, 3)), "reflect")
start, right = threading.Barrier(4), []
def call():
    start.wait()
    right.append(np.array_equal(convkit.pad(x, (3, 3, 3, 3), "reflect", backend="cython"), want))
callers = [threading.Thread(target=call) for _ in range(4)]
[t.start() for t in callers]
[t.join() for t in callers]
print(right)
"""
    assert answer(program) == "[True, True, True, True]"


@compiled
@pytest.mark.skipif(not _ext.config()["openmp"], reason="built without OpenMP")
def test_threads_run():
    """The threads that OpenMP keeps are threads of the process, which Linux lists."""
    if not Path("/proc/self/task").exists():
        pytest.skip("no /proc/self/task here")
    program = """
import os
import numpy as np, convkit
convkit.set_num_threads(3)
before = len(os.listdir("/proc/self/task"))
convkit.pad(np.ones((4, 200, 200)), (3, 3, 3, 3), backend="cython")
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert answer(program) == "2"


@compiled
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_works_on_one_thread():
    program = """
import os, warnings
import numpy as np, convkit
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork beside threads
convkit.set_num_threads(2)
x = np.ones((8, 200, 200))
convkit.pad(x, (1, 1, 1, 1), backend="cython")
child = os.fork()
if not child:
    right = convkit.pad(x, (1, 1, 1, 1), backend="cython").sum() == x.sum()
    os._exit(0 if right and convkit.get_num_threads() == 1 else 3)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), convkit.get_num_threads())
"""
    assert answer(program) == "0 2"


@compiled
def test_ctrl_c_stops_a_long_call():
    """A convolution of some six seconds ends between two images, soon after the alarm rings."""
    program = """
import signal, time
import numpy as np
from convkit import _ext
from convkit.geometry import index_table
x, w, b = np.ones((100, 8, 64, 64), np.float32), np.ones((32, 8, 9, 9), np.float32), np.zeros(32, np.float32)
y, table = np.empty((100, 32, 56, 56), np.float32), index_table(64, 0, 0)
signal.signal(signal.SIGALRM, signal.default_int_handler)
start = time.perf_counter()
signal.setitimer(signal.ITIMER_REAL, 0.1)
try:
    _ext.load("ladder.conv_seven_loops").conv2d(y, x, w, b, table, table, 1, 1, 1, 1)
except KeyboardInterrupt:
    print("stopped", time.perf_counter() - start)
"""
    word, seconds = answer(program).split()
    assert word == "stopped"
    assert float(seconds) < 2


# --- the process that imports convkit --------------------------------------------------------


def test_import_is_light():
    heavy = ("numba", "scipy", "matplotlib", "PIL", "rich")
    program = f"import sys, convkit; print([m for m in {heavy!r} if m in sys.modules])"
    assert answer(program) == "[]"


def test_subnormal_numbers_survive_the_import():
    """-ffast-math at link time would flush them to zero in the whole process."""
    program = """
import numpy as np, convkit
convkit.pad(np.ones((1, 2, 2), np.float32), (1, 1, 1, 1))
print(np.float32(1e-40)*np.float32(2) > 0, 5e-324*1.0 > 0)
"""
    assert answer(program) == "True True"


def test_threads_of_python_have_their_own_number():
    seen = []
    with convkit.num_threads(3):
        caller = threading.Thread(target=lambda: seen.append(convkit.get_num_threads()))
        caller.start()
        caller.join()
        assert convkit.get_num_threads() == 3
    assert seen == [convkit.get_num_threads()]
