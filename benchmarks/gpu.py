"""Check every CUDA kernel on this GPU, then time it: against its memory, its ladder, and PyTorch.

    python benchmarks/gpu.py --out DIR
    python benchmarks/gpu.py --out DIR --simulate      # tiny sizes in Numba's simulator

It needs this repository, NumPy, Numba and numba-cuda, and PyTorch if there are to be peers. It writes
``DIR/gpu.json`` and ``DIR/gpu.md`` while it works, goes on past kernels that fail, though one should hang or
end the process that runs it, and stops starting new measurements after ``--minutes``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

if "--simulate" in sys.argv:
    os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # Numba reads it when it is imported

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from gpu_journal import BROKEN, Journal, table_of  # noqa: E402

NO_GPU = 2  # exit status
OVERTIME = 45  # seconds that a measurement may go on after the last one was started
PATIENCE = 90  # seconds without a line from the worker, after which a kernel is taken to hang


def write_report(out: Path, journal: Journal) -> None:
    """Write what is known so far."""
    report = journal.report()
    (out / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
    (out / "gpu.md").write_text(table_of(report))


def time_is_up(journal: Journal, minutes: float) -> bool:
    return time.time() - journal.started > 60 * minutes + OVERTIME


def watched(command: list[str], out: Path, journal: Journal, minutes: float) -> int | None:
    """Run a process that works to its end, and return its exit status, or None if it took too long."""
    worker, heard = subprocess.Popen(command), time.monotonic()
    while True:
        try:
            return worker.wait(timeout=min(5, PATIENCE))
        except subprocess.TimeoutExpired:
            known = len(journal.lines)
            journal.read()
            write_report(out, journal)
        if len(journal.lines) > known:
            heard = time.monotonic()
        if time_is_up(journal, minutes) or time.monotonic() - heard > PATIENCE:
            worker.kill()
            worker.wait()
            return None


def supervise(command: list[str], out: Path, minutes: float) -> int:
    """Start processes until one has come to the end of the work; return this one's exit status."""
    journal, ended = Journal(out / "gpu.jsonl", anew=True), None
    while ended != 0:
        known = len(journal.failed)
        ended = watched(command, out, journal, minutes)
        journal.read()
        if ended == NO_GPU:
            return NO_GPU
        if ended is None:
            how = "it took too long and was ended"
            journal.write(failed=journal.underway or "the run", how=how, fatal=True)
        elif ended not in (0, BROKEN):
            journal.write(failed=journal.underway or "the run", how=f"ended its process: {ended}", fatal=True)
        write_report(out, journal)
        if time_is_up(journal, minutes) or len(journal.failed) == known or "the run" in journal.failed:
            break  # another one would come no further
    print(f"{len(journal.failed)} failures; {out / 'gpu.md'} has the table")
    return 1 if journal.failed else 0


def work(out: Path, minutes: float, simulate: bool) -> int:
    """Do what is not done yet, in this process."""
    from convkit import dispatch

    if reason := dispatch.why_not("cuda"):
        print(f"cuda: {reason}", file=sys.stderr)
        return NO_GPU
    from gpu_run import Run

    Run(Journal(out / "gpu.jsonl"), minutes, simulate).all()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Check and time every CUDA kernel on this machine's GPU.")
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.json and gpu.md")
    parser.add_argument("--minutes", type=float, default=7.0, help="when to stop starting measurements")
    parser.add_argument("--simulate", action="store_true", help="tiny sizes in Numba's simulator")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)  # in this very process
    options = parser.parse_args()
    if options.work:
        return work(options.out, options.minutes, options.simulate)
    options.out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *(f"-W{w}" for w in sys.warnoptions), __file__, *sys.argv[1:], "--work"]
    return supervise(command, options.out, options.minutes)


if __name__ == "__main__":
    sys.exit(main())
