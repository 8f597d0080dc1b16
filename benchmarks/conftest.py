"""Lets the benchmarks use the tests' cases and comparator, and keeps the machine's name out of results."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

collect_ignore_glob = ["[!t]*.py"]  # the other files are programs and what they import


def pytest_benchmark_update_machine_info(config, machine_info):
    """The processor matters to whoever reads a result; the name of the computer does not."""
    machine_info.pop("node", None)
