"""The CUDA backend on a machine without a GPU: in Numba's simulator, and through NVIDIA's assembler.

The simulator replaces CUDA for a whole process, so its tests run in processes of their own, a group each. On
a machine with a GPU they run there too, and the same tests run on the GPU as part of this suite.
"""

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import convkit
from convkit import dispatch

TESTS = Path(__file__).parent
GROUPS = {
    "convolution": (["test_contract.py"], "cuda and conv2d-"),
    "gradients": (["test_contract.py"], "cuda and (conv2d_grad or conv_transpose2d or im2col or col2im)"),
    "pooling": (["test_contract.py"], "cuda and (pool2d or pad2d or channel_mean)"),
    "normalisation": (["test_contract.py"], "cuda and (normalize or dropout)"),
    "tiles": (["test_cuda_convolution.py"], ""),
    "streaming": (["test_cuda_streaming.py"], ""),
    "arrays": (["test_cuda_arrays.py", "test_cuda_visits.py"], ""),
}
IN_A_SIMULATOR = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")


def simulated(files, keywords):
    """Run test files in the simulator; return what pytest said."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["-W", "ignore::RuntimeWarning"]  # NaN and infinity meet in Python's arithmetic there
    command += [*(str(TESTS / f) for f in files), *(["-k", keywords] if keywords else [])]
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    return subprocess.run(command, cwd=TESTS.parent, env=environment, capture_output=True, text=True)


@pytest.mark.skipif(IN_A_SIMULATOR, reason="this is one")
@pytest.mark.parametrize("group", GROUPS)
def test_in_the_simulator(group):
    done = simulated(*GROUPS[group])
    said = done.stdout.splitlines()[-1] if done.stdout else done.stderr
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert int(said.split(" passed")[0].split()[-1]) >= 20, said


def caught(op):
    """Tell whether the keywords of a group select an operation's tests."""
    words = set(re.findall(r"[\w-]+", " ".join(keywords for _, keywords in GROUPS.values())))
    return any(word in f"{op}-cuda" for word in words - {"cuda", "and", "or"})


def test_every_kernel_is_in_a_group():
    """Keywords are a net with holes of its own: each line of the registry must be caught."""
    for op in {k.op for k in dispatch.KERNELS if k.backend == "cuda"}:
        assert caught(op), op
    assert not caught("brand_new_op")


def test_no_operation_is_missing():
    for op, having in convkit.backends().items():
        assert "direct" in having["cuda"], op


def test_without_a_device_every_call_says_so():
    if not (reason := dispatch.why_not("cuda")):
        pytest.skip("there is one")
    for call in (lambda: convkit.cuda.to_device(None), lambda: convkit.cuda.to_host(None)):
        with pytest.raises(convkit.BackendUnavailable) as caught:
            call()
        assert str(caught.value) == f"cuda: {reason}"
    assert convkit.show_config()["backends"]["cuda"] == reason


# --- compiled for GPUs that are not here -------------------------------------------------------


@pytest.mark.skipif(IN_A_SIMULATOR, reason="the simulator compiles nothing")
@pytest.mark.parametrize("cc", ["8.0", "9.0"])
def test_every_kernel_is_compiled(cc, tmp_path):
    """All in one, for it takes a minute to compile them: in a process of its own."""
    rows = compiled(tmp_path / "ptx.json", "--cc", cc)
    check_that_no_line_is_missing(rows)
    check_that_nothing_is_spilled_and_blocks_fit(rows)
    check_that_floats_stay_floats(rows)
    check_the_top_of_the_ladder(rows)
    check_that_the_docs_have_all(rows)


@pytest.mark.skipif(IN_A_SIMULATOR, reason="the simulator compiles nothing")
def test_every_kernel_is_compiled_by_the_target_inside_numba(tmp_path):
    rows = compiled(tmp_path / "ptx.json", "--cc", "9.0", "--built-in")
    check_that_no_line_is_missing(rows)
    check_that_nothing_is_spilled_and_blocks_fit(rows)


def compiled(file, *options):
    """Return the figures of all kernels."""
    sys.path.insert(0, str(TESTS.parent / "benchmarks"))
    if reason := import_module("ptx").why_not("--built-in" in options):
        pytest.skip(reason)
    command = [sys.executable, str(TESTS.parent / "benchmarks" / "ptx.py"), "--json", str(file), *options]
    done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(file.read_text())


def check_that_no_line_is_missing(rows):
    lines = {line for row in rows for line in row["lines"].split(", ")}
    assert {f"{k.op} {k.algorithm}" for k in dispatch.KERNELS if k.backend == "cuda"} <= lines


def check_that_nothing_is_spilled_and_blocks_fit(rows):
    for row in rows:
        assert row["spilled bytes"] == row["stack bytes"] == 0, row
        assert row["registers"] * row["threads"] <= 65536, row
        assert row["shared bytes"] <= 48 * 1024, row


IN_THEIR_OWN_DTYPE = "conv2d ", "conv_transpose2d ", "im2col ", "col2im ", "pad2d", "max_pool2d", "dropout"


def check_that_floats_stay_floats(rows):
    """A plain number beside a float32 makes a double of both, which results do not show."""
    single = [r for r in rows if r["types"] == ["float32"] and r["lines"].startswith(IN_THEIR_OWN_DTYPE)]
    assert len(single) >= 20
    for row in single:
        assert row["instructions in double"] == 0, row


def check_the_top_of_the_ladder(rows):
    """128 registers let a multiprocessor have 512 threads; the operands of a step come in vectors."""
    top = [r for r in rows if r["kernel"] == "ladder.conv_vectors:kernel"]
    assert len(top) == 4  # three tiles in float32, one in float64
    for row in top:
        assert row["registers"] <= 128
        assert row["vector loads from shared memory"] >= 4
    below = [r for r in rows if r["kernel"] == "ladder.conv_register_tile:kernel"]
    assert len(below) == 4
    assert all(r["vector loads from shared memory"] == 0 for r in below)


def check_that_the_docs_have_all(rows):
    kept = json.loads((TESTS.parent / "docs" / "ladders" / "ptx.json").read_text())

    def kernels(some):
        return sorted((r["kernel"], r["types"], r["threads"]) for r in some if r["cc"] == rows[0]["cc"])

    assert kernels(kept) == kernels(rows), "python benchmarks/ptx.py --json docs/ladders/ptx.json"
