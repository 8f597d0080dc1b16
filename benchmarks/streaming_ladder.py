"""The rungs of pooling and of normalisation, by turns, as shares of what copying takes here."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import numpy as np

import convkit
from convkit.meter import copy_bandwidth
from convkit.meter.turns import seconds_of

EPS = float(np.finfo(np.float32).eps)
LEAST = 2e-3  # seconds of a turn
PLANES = (1, 64, 56, 56)  # 0.8 MB: arithmetic shows, since the caches hold them
WINDOWS = [(3, 2, 1), (3, 1, 1), (7, 1, 3), (31, 1, 15)]  # window, stride, padding
BATCHES = [PLANES, (32, 64, 56, 56), (8, 512, 7, 7)]

Check = Callable[[str, list[np.ndarray], list[np.ndarray], float], None]


class Problem(NamedTuple):
    """What every rung of a ladder computes: ``call(algorithm=..., backend=...)`` returns its result."""

    op: str
    case: str
    call: Callable[..., np.ndarray]
    moved: int  # bytes: each input read once, each output written once
    tolerance: float  # relative to the largest number of the result


def problems() -> Iterator[Problem]:
    """Yield the cases of each ladder."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(PLANES).astype(np.float32)
    for op, tolerance in (("avg_pool2d", 32 * EPS), ("max_pool2d", 0.0)):
        for k, s, p in WINDOWS:
            pool = partial(getattr(convkit, op), x, k, s, p)
            y = np.empty_like(pool())
            yield Problem(op, f"{k}x{k}/{s} @56", partial(pool, out=y), x.nbytes + y.nbytes, tolerance)
    for shape in BATCHES:
        x = rng.standard_normal(shape).astype(np.float32)
        weight, bias = rng.uniform(0.5, 1.5, (2, shape[1])).astype(np.float32)
        # Without running statistics, so that every call computes the same.
        norm = partial(convkit.batch_norm, x, None, None, weight, bias, True, out=np.empty_like(x))
        yield Problem("batch_norm", "x".join(map(str, shape)), norm, 2 * x.nbytes, 32 * EPS)


def compare_streaming_ladder(args: argparse.Namespace, check: Check) -> dict[str, Any]:
    """Time the rungs of each ladder; print a table for each, rungs down and cases across."""
    convkit.set_num_threads(args.threads)
    rows: list[dict[str, Any]] = []
    for problem in problems():
        if args.only in problem.op:
            rows += rungs_of(problem, args, check)
    print(f"share of the bandwidth of a copy, on {args.threads} thread(s)")
    for op in dict.fromkeys(row["op"] for row in rows):
        ours = [row for row in rows if row["op"] == op]
        cases, names = (list(dict.fromkeys(row[key] for row in ours)) for key in ("case", "algorithm"))
        print(f"\n{op:<14}" + "".join(f"{case:>16}" for case in cases))
        for name in names:
            shares = (
                row["share"]
                for case in cases
                for row in ours
                if (row["algorithm"], row["case"]) == (name, case)
            )
            print(f"{name:<14}" + "".join(f"{share:>16.1%}" for share in shares))
    return {"rows": rows}


def rungs_of(problem: Problem, args: argparse.Namespace, check: Check) -> list[dict[str, Any]]:
    """Check every rung against the reference, then time them by turns, each turn beside its own copy."""
    want = problem.call(algorithm="direct", backend="reference").copy()
    names: Sequence[str] = convkit.algorithms(problem.op, args.backend)
    calls = {n: partial(problem.call, algorithm=n, backend=args.backend) for n in names}
    repeats = {}
    for name, call in calls.items():
        check(f"{problem.op} {problem.case} by {name}", [call()], [want], problem.tolerance)
        repeats[name] = max(1, round(LEAST / seconds_of(call, 1)))
    seconds: dict[str, list[float]] = {name: [] for name in names}
    copies = []
    for _ in range(args.turns):
        copies.append(problem.moved / copy_bandwidth(problem.moved // 2, samples=3))
        for name, call in calls.items():
            seconds[name].append(seconds_of(call, repeats[name]))
    return [
        {
            "op": problem.op,
            "case": problem.case,
            "algorithm": name,
            "us": median(times) * 1e6,
            "gbs": problem.moved / median(times) / 1e9,
            "share": median(copy / t for copy, t in zip(copies, times, strict=True)),
        }
        for name, times in seconds.items()
    ]
