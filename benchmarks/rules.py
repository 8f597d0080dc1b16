"""Check that ``auto`` and ``fastest`` choose well: time what they choose against all they may choose.

    python benchmarks/rules.py [--suite resnet50|vgg16|mobilenetv2] [--threads N] [--cpu-time] [--json FILE]

A loss is the time of the algorithm that was chosen over the best one's, from calls that alternate in one
run. It ends with an error if a choice costs more than a tenth (``--most``). ``--cpu-time`` is for one
thread on a busy machine; BLAS must keep to one thread too, as with ``OPENBLAS_NUM_THREADS=1``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time
from typing import Any

import numpy as np
from compare import machine
from contenders import ConvCase
from suites import CONV_SUITES, Layer

import convkit
from convkit.meter import take_turns
from convkit.meter.turns import seconds_of

MAY_CHOOSE = {"auto": ("direct", "im2col"), "fastest": ("direct", "im2col", "winograd", "fft")}
"""What each name may stand for: `auto` must not change the rounding of exact sums."""

HOPELESS = 3  # an algorithm so many times as slow in two calls is not timed by turns


def calls_of(layer: Layer, algorithms: tuple[str, ...]) -> dict[str, Callable[[], Any]]:
    """Return a call of each algorithm that can do the layer."""
    x, w, y = ConvCase(layer).arrays()
    out = np.empty_like(y)
    options = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups, "out": out}
    calls = {}
    for name in algorithms:
        calls[name] = lambda name=name: convkit.conv2d(x, w, **options, algorithm=name)
        try:
            calls[name]()
        except ValueError:  # an algorithm says what it needs
            del calls[name]
    return calls


def check(rule: str, layer: Layer, turns: int, clock: Callable[[], float] = perf_counter) -> dict[str, Any]:
    """Return the algorithm that a rule chooses, the best one, and the loss."""
    calls = calls_of(layer, (rule, *MAY_CHOOSE[rule]))
    calls[rule]()
    call = convkit.last_call()
    assert call is not None
    losses = {call.algorithm: 1.0}
    chosen = calls[call.algorithm]
    least = min(seconds_of(chosen, 1, clock) for _ in range(2))
    for name, other in calls.items():
        if name in (rule, call.algorithm):
            continue
        if min(seconds_of(other, 1, clock) for _ in range(2)) > HOPELESS * least:
            continue
        seconds = take_turns(
            lambda n: seconds_of(chosen, n, clock), lambda n, f=other: seconds_of(f, n, clock), turns
        )
        losses[name] = median(a / b for a, b in zip(seconds.a, seconds.b, strict=True))
    best = max(losses, key=lambda name: losses[name])
    return {"layer": layer.name, "rule": rule, "chosen": call.algorithm, "best": best, "loss": losses[best]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--suite", choices=list(CONV_SUITES), action="append", help="which layers (all)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=9, help="measurements of each (9)")
    parser.add_argument("--most", type=float, default=1.1, help="loss that is an error (1.1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--cpu-time", action="store_true", help="one thread, on a busy machine")
    args = parser.parse_args()
    if args.cpu_time and args.threads > 1:
        parser.error("--cpu-time is for one thread: with more, threads also wait for one another")
    clock = thread_time if args.cpu_time else perf_counter
    convkit.set_num_threads(args.threads)
    rows = []
    print(f"{'layer':<24} {'rule':<8} {'chosen':<10} {'best':<10} {'loss':>5}")
    for suite in args.suite or CONV_SUITES:
        for layer in CONV_SUITES[suite]:
            for rule in MAY_CHOOSE:
                rows.append(check(rule, layer, args.turns, clock))
                print(
                    "{layer:<24} {rule:<8} {chosen:<10} {best:<10} {loss:>5.2f}".format(**rows[-1]),
                    flush=True,
                )
    worst = max(rows, key=lambda row: row["loss"])
    print("\nworst: {rule} on {layer} chooses {chosen}, {loss:.2f} times {best}'s time".format(**worst))
    if args.json:
        figures = {"machine": machine(), "threads": args.threads, "cpu_time": args.cpu_time, "rows": rows}
        args.json.write_text(json.dumps(figures, indent=1) + "\n")
    return int(worst["loss"] > args.most)


if __name__ == "__main__":
    sys.exit(main())
