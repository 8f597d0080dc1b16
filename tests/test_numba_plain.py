"""Numba's kernels as plain Python, which looks at every index: what a debugger steps through.

It is also where registers of other sizes than this processor's can be tried, since nothing is compiled.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from convkit.registry import KERNELS

pytest.importorskip("numba")

PLAIN = """
import json, sys
sys.path.insert(0, sys.argv[1])
from comparator import assert_close
from kernel_cases import CASES, spread
from convkit import dispatch
from convkit._numba.registers import REGISTER

# Besides the smallest: cases of convolution, dropout and normalisation that fill a register and leave a rest.
LONG = {"whole-vectors", "strided", "depthwise-wide", "tile-17x5", "batch", "group"}

tried = set()
for k in dispatch.KERNELS:
    if k.backend != "numba" or not k.op.startswith(sys.argv[2]):
        continue
    kernel = dispatch.load(k).kernel
    reference = dispatch.resolve(k.op, "reference", "direct").kernel
    cases = sorted((c for c in CASES if c.op == k.op), key=lambda c: c.arguments("float32").outputs[0].size)
    if "pool2d" not in k.op:  # pooling has the most ways, and its cases are small
        cases = [*cases[:4], *(c for c in cases[4:] if c.name in LONG or c.name.startswith("64x3"))]
    for case in cases:
        for dtype in ("float32", "float64"):
            got, want = (case.arguments(dtype, spread=spread(k)) for _ in range(2))
            kernel(*got.outputs, *got.inputs)
            reference(*want.outputs, *want.inputs)
            for g, w, bound in zip(got.outputs, want.outputs, want.bounds):
                assert_close(g, w, bound, f"{k.op} {k.algorithm} on {case}")
    tried.add(f"{k.op} {k.algorithm}")
print(json.dumps([REGISTER, sorted(tried)]))
"""


def plain(first_letters, **environment):
    """Try the kernels of some operations; return the bytes of a register and what was tried."""
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, str(Path(__file__).parent), first_letters],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", **environment},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_kernel_runs_as_plain_python():
    """With NUMBA_DISABLE_JIT=1 a kernel is the function that is written down."""
    assert plain("")[1] == sorted(f"{k.op} {k.algorithm}" for k in KERNELS if k.backend == "numba")


@pytest.mark.parametrize(
    ("features", "register"), [("+avx512f,+avx", 64), ("+avx,+avx2", 32), ("+sse4.2", 16)]
)
@pytest.mark.parametrize("first_letters", ["avg_pool2d", "max_pool2d"])
def test_pooling_in_registers_of_every_size(features, register, first_letters):
    """What a plane or a row leaves over depends on the lanes, and other machines have other registers."""
    got, tried = plain(first_letters, NUMBA_CPU_FEATURES=features)
    assert got == register
    assert tried


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
