"""One process that checks and times CUDA kernels, until all is done or the GPU answers it no longer."""

from __future__ import annotations

import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from comparator import assert_close
from cuda_cases import BEYOND
from device import affordable, is_tensor
from gpu_cases import Timed, convolutions, ladder_layers, rng_block
from gpu_clock import Clock
from gpu_journal import BROKEN, Journal, line_of
from gpu_samples import assert_right, expected
from gpu_streaming import streaming
from kernel_cases import CASES, Case

from convkit import dispatch
from convkit._cuda import border, target
from convkit.registry import KERNELS, Kernel

__all__ = ["Run"]

COPIED = 2**30  # bytes of the array that is copied

FIRST = 6
"""Cases of each kernel that are checked before any is checked on all: there may be time for no more."""


class Run:
    """What one process does of a run."""

    def __init__(self, journal: Journal, minutes: float, simulate: bool) -> None:
        self.journal, self.seconds, self.simulate = journal, 60 * minutes, simulate
        self.torch = None if simulate else import_torch()

    def spent(self, share: float) -> bool:
        """Tell whether a share of the time is over."""
        return time.time() - self.journal.started > share * self.seconds

    def attempt(self, what: str, action: Callable[[], Any]) -> bool:
        """Do something that may fail, unless it has failed before; the run notes the failure and goes on."""
        if what in self.journal.failed:
            return False
        self.journal.write(begin=what)
        try:
            action()
        except Exception:
            answers = self.answers()
            self.journal.write(failed=what, how=traceback.format_exc(limit=-3), fatal=not answers)
            print(f"FAILED {what}: {sys.exception()!r}", flush=True)
            if not answers:
                sys.exit(BROKEN)  # another process must go on
            return False
        self.journal.write(end=what)
        return True

    def answers(self) -> bool:
        """Tell whether the GPU still takes calls from this process: after an illegal address it does not."""
        try:
            target.cuda.synchronize()
        except Exception:
            return False
        return True

    def all(self) -> None:
        """Do what is not done yet."""
        name = target.cuda.get_current_device().name if not self.simulate else "Numba's simulator"
        self.journal.write(
            device=name.decode() if isinstance(name, bytes) else name,
            python=platform.python_version(),
            numba=__import__("numba").__version__,
            torch=self.torch.__version__ if self.torch else None,
        )
        for part, action in self.parts():
            if part not in self.journal.done:
                self.attempt(part, action)  # there may be no room for its arrays
                self.journal.write(done=part)

    def parts(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield what there is to do, in the order of its worth."""
        for part, some in (("first", slice(FIRST)), ("all", slice(FIRST, None))):
            if part == "first" or not self.simulate:
                for kernel in lines():
                    yield f"check {name_of(kernel)}, {part}", partial(check_cases, self, kernel, some)
        yield "clock", partial(copy_bandwidth, self)
        for section, cases in (
            ("streaming", streaming(self.simulate)),
            ("ladder", ladder_layers(self.simulate)),
            ("layers", convolutions(self.simulate)),
        ):
            for timed in cases:
                what = f"{section}: {timed.name} {timed.case.op}"
                yield what, partial(measure, self, timed, section, what)


def import_torch() -> Any:
    """Return torch, if it is there and has a GPU."""
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


def lines(op: str | None = None) -> Iterator[Kernel]:
    """Yield the registry's CUDA lines, of one operation or of all."""
    yield from (k for k in KERNELS if k.backend == "cuda" and op in (None, k.op))


def name_of(kernel: Kernel) -> str:
    return f"{kernel.op} {kernel.algorithm}"


def sent(arguments: list[Any]) -> list[Any]:
    """Return arguments with tensors on the device."""
    return [target.to_device(a) if isinstance(a, np.ndarray) and is_tensor(a) else a for a in arguments]


# --- correct first -----------------------------------------------------------------------------


def check(kernel: Kernel, case: Case, dtype: str, kind: str) -> None:
    """Compare a kernel's outputs with the reference's."""
    arguments = case.arguments(dtype, kind)
    outputs = sent([np.full_like(a, 77) for a in arguments.outputs])
    dispatch.load(kernel).kernel(*outputs, *sent(arguments.inputs))
    for got, right, bound in zip(outputs, expected(case.op, arguments), arguments.bounds, strict=True):
        assert_close(target.to_host(got), right, bound)


def check_cases(run: Run, kernel: Kernel, some: slice) -> None:
    """Compare a kernel with the reference, on some of the contract's cases and of those beyond."""
    name, passed, late = name_of(kernel), 0, 0
    cases = [c for c in (*CASES, *BEYOND) if c.op == kernel.op and affordable(c)]
    cases = [*cases[:: -(-len(cases) // FIRST)], *cases][: 2 if run.simulate else None][some]
    for case in cases:
        for dtype, kind in (("float32", "integers"), ("float64", "reals"), ("float32", "reals")):
            what = f"check {name}: {case.name} {dtype} {kind}"
            if kernel.algorithm == "naive" and kind == "reals" and case in BEYOND:
                continue  # bounds are for small cases: a sum of so many terms in a row rounds more
            if run.spent(0.45) or run.journal.is_fatal(name):
                late += 1
            else:
                passed += run.attempt(what, partial(check, kernel, case, dtype, kind))
    run.journal.write(checked=name, passed=passed)
    if late:
        run.journal.write(**{"left out": f"{late} of {3 * len(cases)} checks of {name}"})
    print(f"{name}: {passed} checks passed", flush=True)


# --- then timed --------------------------------------------------------------------------------


def clock_of(run: Run) -> Clock:
    return Clock(*((2, 0.0) if run.simulate else ()))


def copy_bandwidth(run: Run) -> None:
    """Note the bytes a second, read and written, of a copy on the device."""

    def copy() -> None:
        n = 2**10 if run.simulate else COPIED // 4
        source = target.to_device(rng_block((n,)))
        goal = target.device_array(n, np.float32)
        (times,) = clock_of(run).take(lambda: goal.copy_to_device(source))
        run.journal.write(bandwidth=2 * 4 * n / times.median)

    run.attempt("copy bandwidth", copy)


def measure(run: Run, timed: Timed, section: str, what: str) -> None:
    """Time all lines that compute a case, by turns with PyTorch; what was not found right is left out."""
    if run.spent(0.95):
        run.journal.write(**{"left out": f"{what}, for want of time"})
        return
    like, inputs = timed.case.build(rng_block)
    hosts = [np.empty(o.shape, np.float32 if o.dtype == "float" else o.dtype) for o in like]
    there, given = sent(hosts), sent(inputs)
    calls: dict[str, Callable[[], Any]] = {}
    for kernel in lines(timed.case.op):
        if section == "layers" and kernel.algorithm != "direct":
            continue
        if not run.journal.may_be_timed(name_of(kernel)):
            run.journal.write(**{"left out": f"{what} {kernel.algorithm}, which did not pass its checks"})
            continue
        call = partial(dispatch.load(kernel).kernel, *there, *given)

        def verify(call: Callable[[], Any] = call) -> None:
            for array in there:
                border.fill(array, 77)  # or what the last kernel left there would do
            call()
            assert_right(timed.case, like, [target.to_host(a) for a in there], inputs)

        if run.attempt(f"{what} {kernel.algorithm}", verify):
            calls[kernel.algorithm] = call
    peers = peers_of(run, timed, given, what)
    nbytes = sum(a.nbytes for a in (*hosts, *inputs) if isinstance(a, np.ndarray))
    run.attempt(f"{what}, timed", partial(take_times, run, timed, section, calls, peers, nbytes))


def take_times(
    run: Run,
    timed: Timed,
    section: str,
    calls: dict[str, Callable[[], Any]],
    peers: dict[str, Callable[[], Any]],
    nbytes: int,
) -> None:
    """Time calls by turns, and note a row for each of ours."""
    taken = clock_of(run).take(*calls.values(), *peers.values())
    times = dict(zip([*calls, *peers], taken, strict=True))
    bandwidth = next((line["bandwidth"] for line in run.journal.all("bandwidth")), None)
    for algorithm in calls:
        seconds = times[algorithm]
        speed = nbytes / seconds.median
        row = {
            "section": section,
            "case": timed.name,
            "op": timed.case.op,
            "algorithm": algorithm,
            "seconds": list(seconds),
            "GB/s": speed / 1e9,
            "share of copy bandwidth": speed / bandwidth if bandwidth else None,
        }
        if timed.flops:
            row["TFLOP/s"] = timed.flops / seconds.median / 1e12
        row |= {f"{peer} / convkit": times[peer].median / seconds.median for peer in peers}
        run.journal.write(row=row)
        print(line_of(row), flush=True)


def peers_of(run: Run, timed: Timed, given: list[Any], what: str) -> dict[str, Callable[[], Any]]:
    """Return PyTorch's ways to do the same, checked to run; convolutions with TF32 off and on."""
    if run.torch is None or timed.peer is None:
        return {}
    torch, peers = run.torch, {}

    def prepare() -> None:
        tensors = [torch.as_tensor(a, device="cuda") if hasattr(a, "copy_to_host") else a for a in given]
        call = timed.peer(torch, tensors)
        for name, allowed in (("torch", False), ("torch TF32", True)):
            if not allowed or timed.flops:

                def with_tf32(allowed: bool = allowed) -> Any:
                    torch.backends.cudnn.allow_tf32 = allowed
                    return call()

                with_tf32()
                peers[name] = with_tf32

    return peers if run.attempt(f"{what}, by PyTorch", prepare) else {}
