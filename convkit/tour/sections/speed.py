"""Section: every backend and algorithm on one layer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from html import escape
from statistics import median

import numpy as np

import convkit

from ...dispatch import why_not
from ...registry import BACKENDS, KERNELS, Kernel
from ..checks import Check, rounding_bound
from ..page import Section, plural

RUNS = 7  # of which the median counts


@dataclass(frozen=True)
class Problem:
    """A 3x3 convolution of C channels into C, on S x S pixels padded by 1, with its true output.

    Attributes
    ----------
    x, w, b : ndarray of float32
        What goes in.
    truth : ndarray of float64
        What has to come out.
    bound : float
        How far an output in float32 may be from it, whatever the order of the sum.
    """

    C: int
    S: int
    x: np.ndarray
    w: np.ndarray
    b: np.ndarray
    truth: np.ndarray
    bound: float

    @classmethod
    def random(cls, C: int, S: int) -> Problem:
        """Draw the inputs, always the same, and compute the output in float64."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((1, C, S, S), dtype=np.float32)
        w = rng.standard_normal((C, C, 3, 3), dtype=np.float32)
        b = rng.standard_normal(C, dtype=np.float32)
        x64, w64, b64 = (a.astype(np.float64) for a in (x, w, b))
        truth = convkit.conv2d(x64, w64, b64, padding=1, backend="reference")
        sizes = convkit.conv2d(np.abs(x64), np.abs(w64), np.abs(b64), padding=1, backend="reference")
        return cls(C, S, x, w, b, truth, rounding_bound(9 * C + 1, float(sizes.max())))

    @property
    def flop(self) -> int:
        """Two for each multiply-add, those with padding counted too."""
        return 2 * self.C * self.C * 9 * self.S * self.S

    def solve(self, kernel: Kernel) -> np.ndarray:
        """Compute it by `kernel`."""
        return convkit.conv2d(
            self.x, self.w, self.b, padding=1, backend=kernel.backend, algorithm=kernel.algorithm
        )

    def __str__(self) -> str:
        return f"{self.C} → {self.C}, {self.S} × {self.S}"


SIZES = ((32, 56), (8, 28), (4, 8))
"""(C, S) from the layer that counts to the one that even interpreted loops finish at once."""


def speed(seconds: float) -> Section:
    """Time every convolution kernel for about `seconds` each, after comparing it with float64."""
    s = Section("speed", "Every backend and algorithm on one layer")
    problems = [Problem.random(*size) for size in SIZES]
    full = problems[0]
    s.text(
        f"The same layer, 3 × 3, {full.C} channels into {full.C}, {full.S} × {full.S} pixels, {full.flop / 1e6:.1f} million floating-point operations in float32, by "
        f"every kernel of the library, on {plural(convkit.get_num_threads(), 'thread')}. Each is first compared "
        f"with a float64 reference; only then is it timed: the median of up to {RUNS} runs. Times on a shared "
        "machine come and go; compare them within one table."
    )
    rows, shares, smaller = [], [], False
    for kernel in _kernels():
        problem = _affordable(kernel, problems, seconds)
        smaller |= problem is not full
        name = f"{kernel.backend} {kernel.algorithm} is right"
        error = Check.of(name, problem.solve(kernel), problem.truth, problem.bound).difference
        shares.append(error / problem.bound)
        rows.append(_row(kernel, problem, error, _measure(partial(problem.solve, kernel), seconds)))
    s.table(
        (
            "backend",
            "algorithm",
            "median",
            "fastest to slowest",
            "GFLOP/s",
            "error ÷ largest output",
            "layer",
        ),
        rows,
    )
    s.check(
        f"All {len(shares)} kernels that ran are right: their largest error, as a share of what rounding in "
        "float32 can do.",
        max(shares),
        0,
        bound=1,
    )
    if absent := _absent():
        s.text(absent)
    if smaller:
        s.note(
            "Kernels too slow for the layer were measured on a smaller one, named in the last column. For "
            "those compare GFLOP/s, not times."
        )
    _support(s)
    return s


def _kernels() -> list[Kernel]:
    """List conv2d's kernels that can run here, in the order in which the backends are tried."""
    order = list(BACKENDS)
    here = [k for k in KERNELS if k.op == "conv2d" and not why_not(k.backend)]
    return sorted(here, key=lambda k: order.index(k.backend))


def _absent() -> str:
    """Say which backends are not in the table, and why."""
    having = {k.backend for k in KERNELS if k.op == "conv2d"}
    reasons = {b: why_not(b) or ("" if b in having else "no kernels yet") for b in BACKENDS}
    missing = [f"<code>{b}</code> ({escape(reason)})" for b, reason in reasons.items() if reason]
    return f"Not in the table: {'; '.join(missing)}." if missing else ""


def _affordable(kernel: Kernel, problems: list[Problem], seconds: float) -> Problem:
    """Return the largest problem of which one run fits the time, judged by runs of the smallest."""
    smallest = problems[-1]
    smallest.solve(kernel)  # imports, compiles and plans
    cost = min(_measure(partial(smallest.solve, kernel), seconds / 10)) / smallest.flop
    return next((p for p in problems if cost * p.flop <= seconds), smallest)


def _measure(call: Callable[[], object], seconds: float) -> list[float]:
    """Time `call` up to RUNS times, and no longer than about `seconds` in all."""
    times: list[float] = []
    while len(times) < RUNS and (not times or sum(times) < seconds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def _row(kernel: Kernel, problem: Problem, error: float, times: list[float]) -> tuple[str, ...]:
    middle = median(times)
    return (
        f"<code>{kernel.backend}</code>",
        f"<code>{kernel.algorithm}</code>",
        _duration(middle),
        f"<small>{_duration(min(times))} to {_duration(max(times))}</small>",
        f"{problem.flop / middle / 1e9:.3g}",
        f"{error / np.abs(problem.truth).max():.1e}",
        f"<small>{problem}</small>",
    )


def _duration(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _support(s: Section) -> None:
    """Add the table of all operations, folded."""
    s.text("Nothing is chosen in silence: <code>convkit.last_call()</code> tells which kernel ran.")
    rows = [
        (
            f"<code>{op}</code>",
            *(", ".join(of.get(backend, ())).replace("_", " ") or "–" for backend in BACKENDS),
        )
        for op, of in convkit.backends().items()
    ]
    s.blocks.append("<details><summary>Every operation, and each backend’s algorithms for it</summary>")
    s.table(("operation", *BACKENDS), rows)
    s.blocks.append("</details>")
    s.code(
        "w = np.ones((1, 3, 3, 3), dtype=np.float32)\n"
        'y = convkit.conv2d(x, w, padding=1, backend="reference", algorithm="im2col")\n'
        "print(convkit.last_call())\n"
        "print(convkit.backends())"
    )
