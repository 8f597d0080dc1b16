"""Check every CUDA kernel on this GPU, then time it: against its memory, its ladder, and PyTorch.

    python benchmarks/gpu.py --out DIR
    python benchmarks/gpu.py --out DIR --simulate      # tiny sizes in Numba's simulator

It needs this repository, NumPy, Numba and numba-cuda, and PyTorch if there are to be peers. It writes
``DIR/gpu.json`` and ``DIR/gpu.md``, goes on past kernels that fail, which it reports, and stops starting
new measurements after ``--minutes``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

if "--simulate" in sys.argv:
    os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # Numba reads it when it is imported

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import gpu_samples  # noqa: E402
import numpy as np  # noqa: E402
from comparator import assert_close  # noqa: E402
from device import affordable, is_tensor  # noqa: E402
from gpu_cases import Timed, convolutions, ladder_layers, rng_block, streaming  # noqa: E402
from gpu_clock import Clock  # noqa: E402
from kernel_cases import CASES, Arguments, Case  # noqa: E402

from convkit import dispatch  # noqa: E402
from convkit.registry import KERNELS, Kernel  # noqa: E402

COPIED = 2**30  # bytes of the array that is copied


class Run:
    """One run of the script: what was found, and how long there is."""

    def __init__(self, minutes: float, simulate: bool) -> None:
        self.start, self.seconds, self.simulate = time.monotonic(), 60 * minutes, simulate
        self.checks: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self.left_out: list[str] = []
        self.clock = Clock(*((2, 0.0) if simulate else ()))
        self.torch = None if simulate else import_torch()

    def spent(self, share: float) -> bool:
        """Tell whether a share of the time is over."""
        return time.monotonic() - self.start > share * self.seconds

    def attempt(self, what: str, action: Callable[[], None]) -> bool:
        """Do something that may fail; the failure is noted, and the run goes on."""
        try:
            action()
        except Exception:
            self.failures.append(f"{what}: {traceback.format_exc(limit=-3)}")
            print(f"FAILED {what}: {sys.exception()!r}", flush=True)
            return False
        return True


def import_torch() -> Any:
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


# --- correct first -----------------------------------------------------------------------------


def lines(op: str | None = None) -> Iterator[Kernel]:
    """Yield the registry's CUDA lines, of one operation or of all."""
    yield from (k for k in KERNELS if k.backend == "cuda" and op in (None, k.op))


def sent(arguments: list[Any]) -> list[Any]:
    from convkit._cuda import target

    return [target.to_device(a) if isinstance(a, np.ndarray) and is_tensor(a) else a for a in arguments]


def expected(case: Case, arguments: Arguments) -> list[np.ndarray]:
    (line,) = (k for k in KERNELS if (k.op, k.backend, k.algorithm) == (case.op, "reference", "direct"))
    want = [np.empty_like(a) for a in arguments.outputs]
    dispatch.load(line).kernel(*want, *arguments.inputs)
    return want


def check(kernel: Kernel, arguments: Arguments, want: list[np.ndarray]) -> None:
    """Compare a kernel's outputs with those that are wanted."""
    from convkit._cuda import target

    outputs = sent([np.full_like(a, 77) for a in arguments.outputs])
    dispatch.load(kernel).kernel(*outputs, *sent(arguments.inputs))
    for got, right, bound in zip(outputs, want, arguments.bounds, strict=True):
        assert_close(target.to_host(got), right, bound)


def check_all(run: Run) -> None:
    """Compare every line with the reference, on the contract's cases."""
    for kernel in lines():
        name, done = f"{kernel.op} {kernel.algorithm}", 0
        cases = [c for c in CASES if c.op == kernel.op and affordable(c)]
        for case in cases[:2] if run.simulate else cases:
            for dtype, kind in (("float32", "integers"), ("float64", "reals"), ("float32", "reals")):
                if run.spent(0.45):
                    break

                arguments = case.arguments(dtype, kind)
                action = partial(check, kernel, arguments, expected(case, arguments))
                done += run.attempt(f"check {name} {case.name} {dtype} {kind}", action)
        run.checks[name] = done
        print(f"{name}: {done} checks passed", flush=True)


# --- then timed --------------------------------------------------------------------------------


def copy_bandwidth(run: Run) -> float:
    """Return the bytes a second, read and written, of a copy on the device."""
    from convkit._cuda import target

    n = 2**10 if run.simulate else COPIED // 4
    source = target.to_device(rng_block((n,)))
    goal = target.device_array(n, np.float32)
    (times,) = run.clock.take(lambda: goal.copy_to_device(source))
    return 2 * 4 * n / times.median


def measure(run: Run, timed: Timed, bandwidth: float, section: str) -> None:
    """Time all lines that compute a case, by turns with PyTorch."""
    outputs, inputs = timed.case.build(rng_block)
    hosts = [np.empty(o.shape, np.float32 if o.dtype == "float" else o.dtype) for o in outputs]
    there, given = sent(hosts), sent(inputs)
    nbytes = sum(a.nbytes for a in (*hosts, *inputs) if isinstance(a, np.ndarray))
    peers = peers_of(run, timed, given)
    calls = {}
    for kernel in lines(timed.case.op):
        if section != "layers" or kernel.algorithm == "direct":
            call = partial(dispatch.load(kernel).kernel, *there, *given)
            verify = partial(check_large, run, timed, call, there, inputs, peers)
            if run.attempt(f"{section}: {timed.name} {kernel.op} {kernel.algorithm}", verify):
                calls[kernel.algorithm] = call
    times = dict(zip([*calls, *peers], run.clock.take(*calls.values(), *peers.values()), strict=True))
    for algorithm in calls:
        seconds = times[algorithm]
        row = {
            "section": section,
            "case": timed.name,
            "op": timed.case.op,
            "algorithm": algorithm,
            "seconds": list(seconds),
            "GB/s": nbytes / seconds.median / 1e9,
            "share of copy bandwidth": nbytes / seconds.median / bandwidth,
        }
        if timed.flops:
            row["TFLOP/s"] = timed.flops / seconds.median / 1e12
        row |= {f"{peer} / convkit": times[peer].median / seconds.median for peer in peers}
        run.rows.append(row)
        print(line_of(row), flush=True)


def check_large(
    run: Run,
    timed: Timed,
    call: Callable[[], Any],
    there: list[Any],
    inputs: list[Any],
    peers: dict[str, Any],
) -> None:
    """Compare samples of a convolution with float64, and another operation's result with PyTorch's."""
    from convkit._cuda import target

    call()
    if timed.case.op in gpu_samples.OF:
        gpu_samples.assert_samples(timed.case.op, target.to_host(there[0]), inputs)
    elif "torch" in peers and timed.case.op != "dropout":  # which draws other random numbers
        theirs = peers["torch"]()
        theirs = theirs[0] if isinstance(theirs, tuple) else theirs
        ours = run.torch.as_tensor(there[0], device="cuda").view(theirs.shape)
        run.torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)  # both have rounded


def peers_of(run: Run, timed: Timed, given: list[Any]) -> dict[str, Callable[[], Any]]:
    """Return PyTorch's ways to do the same, checked to run; convolutions with TF32 off and on."""
    if run.torch is None or timed.peer is None:
        return {}
    torch = run.torch
    tensors = [torch.as_tensor(a, device="cuda") if hasattr(a, "copy_to_host") else a for a in given]
    call = timed.peer(torch, tensors)

    def with_tf32(allowed: bool) -> Callable[[], Any]:
        def run_it() -> Any:
            torch.backends.cudnn.allow_tf32 = allowed
            return call()

        return run_it

    peers = {"torch": with_tf32(False)}
    if timed.flops:
        peers["torch TF32"] = with_tf32(True)
    what = f"{timed.name} {timed.case.op}"
    return {name: peer for name, peer in peers.items() if run.attempt(f"{name} {what}", peer)}


def time_all(run: Run, bandwidth: float) -> None:
    for section, cases in (
        ("streaming", streaming(run.simulate)),
        ("ladder", ladder_layers(run.simulate)),
        ("layers", convolutions(run.simulate)),
    ):
        for timed in cases:
            what = f"{section}: {timed.name} {timed.case.op}"
            if run.spent(0.95):
                run.left_out.append(what)
                continue
            run.attempt(what, partial(measure, run, timed, bandwidth, section))


# --- what is written ---------------------------------------------------------------------------


def line_of(row: dict[str, Any]) -> str:
    """Return a row as a line of the table."""
    figures = [
        f"{1e3 * row['seconds'][0]:.3f}",
        f"{row['TFLOP/s']:.2f}" if "TFLOP/s" in row else "",
        f"{row['GB/s']:.0f}",
        f"{100 * row['share of copy bandwidth']:.0f} %",
        *(f"{row[name]:.2f}" if name in row else "" for name in ("torch / convkit", "torch TF32 / convkit")),
    ]
    return f"| {row['case']} | {row['op']} | {row['algorithm']} | " + " | ".join(figures) + " |"


def table_of(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    head = "| case | operation | algorithm | ms | TFLOP/s | GB/s | of copy | PyTorch / convkit | with TF32 |"
    late = ["## Left out for want of time", "", *(f"- {what}" for what in report["left out"]), ""]
    failed = [f"- {f.splitlines()[0]} {f.splitlines()[-1]}" for f in report["failures"]] or ["none"]
    return "\n".join(
        [
            f"# convkit on {report['device']}",
            "",
            f"A copy moves {report['copy bandwidth'] / 1e9:.0f} GB/s. "
            f"PyTorch: {report['torch'] or 'not there'}. "
            f"{sum(report['checks'].values())} comparisons with the reference passed. "
            "A ratio above 1 means that convkit is faster.",
            "",
            head,
            "|---" * head.count(" | ") + "|---|",
            *map(line_of, report["rows"]),
            "",
            "## Failures",
            "",
            *failed,
            "",
            *(late if report["left out"] else []),
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Check and time every CUDA kernel on this machine's GPU.")
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.json and gpu.md")
    parser.add_argument("--minutes", type=float, default=7.0, help="when to stop starting measurements")
    parser.add_argument("--simulate", action="store_true", help="tiny sizes in Numba's simulator")
    options = parser.parse_args()
    if reason := dispatch.why_not("cuda"):
        parser.exit(2, f"cuda: {reason}\n")
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(options.minutes, options.simulate)
    check_all(run)
    found: list[float] = []
    run.attempt("copy bandwidth", lambda: found.append(copy_bandwidth(run)))
    bandwidth = found[0] if found else float("inf")
    time_all(run, bandwidth)
    report = {
        "device": device_name(options.simulate),
        "python": platform.python_version(),
        "numba": __import__("numba").__version__,
        "torch": run.torch.__version__ if run.torch else None,
        "copy bandwidth": bandwidth,
        "checks": run.checks,
        "rows": run.rows,
        "failures": run.failures,
        "left out": run.left_out,
        "minutes": (time.monotonic() - run.start) / 60,
    }
    (options.out / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
    (options.out / "gpu.md").write_text(table_of(report))
    print(f"{len(run.failures)} failures; {options.out / 'gpu.md'} has the table")
    return 1 if run.failures else 0


def device_name(simulate: bool) -> str:
    from convkit._cuda.target import cuda

    if simulate:
        return "Numba's simulator"
    name = cuda.get_current_device().name
    return name.decode() if isinstance(name, bytes) else name


if __name__ == "__main__":
    sys.exit(main())
