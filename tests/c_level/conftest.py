"""The test extension module, compiled once a run."""

import fcntl
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def driver():
    """Return the compiled driver.pyx; one worker builds it, the others wait."""
    folder = HERE.parent.parent / "build" / "c_level"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, str(HERE / "build_driver.py"), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob(f"convkit_c_level_driver*{sys.implementation.cache_tag}*")
    spec = importlib.util.spec_from_file_location("convkit_c_level_driver", built)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
