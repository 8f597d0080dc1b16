"""The examples run, and what they assert is true."""

import subprocess
import sys
from pathlib import Path

import pytest

from convkit import dispatch

EXPERIMENTS = "training", "digits", "batchnorm"  # test_experiments.py runs these
EXAMPLES = [
    path
    for path in sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
    if path.stem not in EXPERIMENTS
]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path):
    if "cython" in path.stem and (reason := dispatch.why_not("cython")):
        pytest.skip(reason)
    done = subprocess.run([sys.executable, "-W", "error", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") >= 2
    assert done.stderr == ""
