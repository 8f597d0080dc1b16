"""The benchmarks time everything that the registry has, and nothing that is wrong."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import convkit
from convkit import _ext, dispatch

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))

import rules
from realistic import PAIRS, SIZES, runs_on
from suites import Layer
from verified import verified_call

ROOT = Path(__file__).parent.parent


def test_every_kernel_is_timed():
    """CUDA kernels by benchmarks/gpu.py, which test_cuda.py runs."""
    assert {k for _, k in PAIRS} == {k for k in dispatch.KERNELS if k.backend != "cuda"}


def test_every_operation_is_timed_on_a_tiny_case_and_on_a_layer():
    for op in {k.op for k in dispatch.KERNELS}:
        assert {"tiny", "layer"} <= {t.size for t, _ in PAIRS if t.case.op == op}, op


def test_make_bench_is_a_command_that_pytest_accepts():
    command = re.search(r"pytest (benchmarks (?:.*\\\n)*.*)", (ROOT / "Makefile").read_text())[1]
    arguments = command.replace("\\\n", " ").split()
    assert "--benchmark-only" in arguments
    # A worker's variables would tell pytest-benchmark that tests run side by side, and switch it off.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "--collect-only", "-q", "-p", "no:xdist"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "test_kernels.py::" in run.stdout


@pytest.mark.skipif(_ext.why_not() is not None, reason=str(_ext.why_not()))
@pytest.mark.parametrize("rule", rules.MAY_CHOOSE)
def test_the_rules_are_held_against_all_that_they_may_choose(rule, monkeypatch):
    """A choice that is slow shows as a loss, beside the algorithm that would have been better."""
    delays = {"direct": 0.02, "im2col": 0.01, "winograd": 0.03, "fft": 0.03}
    conv2d = convkit.conv2d

    def delayed(*args, algorithm, **options):
        y = conv2d(*args, algorithm=algorithm, **options)
        time.sleep(delays.get(algorithm, 0))
        return y

    monkeypatch.setattr(convkit, "conv2d", delayed)
    row = rules.check(rule, Layer(2, 2, 8, 3), 3)
    assert (row["chosen"], row["best"]) == ("direct", "im2col")
    assert row["loss"] > 1.5


def test_groups_tell_cases_apart():
    cases = {id(t.case): t.group for t, _ in PAIRS}
    assert len(set(cases.values())) == len(cases)


def test_interpreted_loops_run_on_tiny_cases_alone():
    name = ("avg_pool2d", "reference", "window_loops")
    (loops,) = (k for k in dispatch.KERNELS if (k.op, k.backend, k.algorithm) == name)
    assert [size for size in SIZES if runs_on(loops, size)] == ["tiny"]


@pytest.mark.parametrize("fault", ["nan", "one element", "nothing written"])
def test_a_wrong_kernel_is_not_timed(fault):
    timed, line = next((t, k) for t, k in PAIRS if t.group == "conv2d tiny 3x3" and k.algorithm == "im2col")
    right = dispatch.load(line).kernel

    def wrong(y, *inputs):
        if fault == "nothing written":
            return
        right(y, *inputs)
        y.flat[-1] = np.nan if fault == "nan" else y.flat[-1] + 1e-3

    with pytest.raises(AssertionError, match="elements are wrong"):
        verified_call(timed.case, wrong)
    verified_call(timed.case, right)()
