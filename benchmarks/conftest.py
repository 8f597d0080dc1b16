"""Lets the benchmarks use the tests' cases and comparator, and keeps the machine's name out of results."""

import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import_module("compare")  # the tests' comparator, and not the program of that name beside this file

collect_ignore_glob = ["[!t]*.py"]  # the other files are programs and what they import


def pytest_benchmark_update_machine_info(config, machine_info):
    """The processor matters to whoever reads a result; the name of the computer does not."""
    machine_info.pop("node", None)
