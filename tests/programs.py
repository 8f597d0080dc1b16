"""Programs that a test runs in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import convkit

SECONDS = float(os.environ.get("CONVKIT_BURST_SECONDS", "0.5"))  # of bursts of calls: ten, for a thorough run


def python(program, *arguments, **environment):
    """Run a program in a Python of its own, which has three minutes and then is taken to hang."""
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=180 + 4 * SECONDS,
        env={**os.environ, **environment},
    )


def run(program):
    """Run a program with this convkit, wherever it is installed."""
    return python(program, PYTHONPATH=str(Path(convkit.__file__).parents[1]))


def succeeded(done):
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
