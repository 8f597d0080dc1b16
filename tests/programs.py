"""Programs that a test runs in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import convkit


def run(program):
    environment = os.environ | {"PYTHONPATH": str(Path(convkit.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
