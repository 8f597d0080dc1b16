"""Compare convkit with PyTorch, layer by layer, by turns, correct before timed.

    python benchmarks/compare.py conv [--suite resnet50|vgg16|mobilenetv2] [--backward] [--batch N]
    python benchmarks/compare.py ladder
    python benchmarks/compare.py ladder_streaming --backend cython|numba
    python benchmarks/compare.py streaming
    python benchmarks/compare.py overhead

The peer is PyTorch, or a backend of convkit's own: ``--backend numba --peer cython``. Two rungs are
compared by ``conv --algorithm planes --peer cython:register_tile``. What a second thread brings is
``conv --peer cython --peer-threads 1 --threads 2``. ``streaming --peer channels_last`` is PyTorch with
a pixel's channels side by side in memory, which its pooling is faster on.
Ratios are the peer's time over convkit's, from calls that alternate in one run: above 1, convkit is
faster. A share is of what this machine can do at most, measured in the same run. Every result is
compared with the float64 reference before anything is timed; a wrong one ends the run.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from contenders import POOLS, ConvCase, StreamCase
from sides import both_sides
from streaming_ladder import compare_streaming_ladder
from suites import CONV_SUITES, LADDER, STREAMING_SHAPES, Layer

import convkit
from convkit.meter import conv_work, copy_bandwidth, geometric_mean, multiply_add_peak, take_turns
from convkit.meter.turns import seconds_of
from convkit.registry import BACKENDS

EPS = np.finfo(np.float32).eps
# |error| <= C * eps * sum |x||w|. The largest error of a million sums in some other order was 3;
# Winograd's transforms add and subtract numbers larger than the products they replace: 6.
REORDERED, WINOGRAD = 8, 32

STREAMING_OPS = [
    *(f"{op} {v}" for op in ("avg_pool2d", "max_pool2d", "max_pool2d_indices") for v in POOLS),
    *(f"batch_norm {v}" for v in ("training", "backward", "evaluation")),
    *(f"pad {v}" for v in ("constant", "reflect", "replicate", "circular")),
    "dropout",
    "im2col",
    "col2im",
]
# What else the streaming operations are; `streaming` runs these too, `overhead` does not.
MORE_OPS = [
    *(f"pool_backward {kind} {v}" for kind in ("avg", "max") for v in POOLS),
    *(f"adaptive_avg_pool2d {size}" for size in (1, 7)),
    "channel_mean",
    *("instance_norm", "group_norm", "layer_norm"),
    *(f"pad_backward {v}" for v in ("constant", "reflect", "replicate")),
    *("dropout mask", "dropout2d", "dropout_rows", "dropout_backward"),
    *("im2col /2", "col2im /2"),
]

# Seconds of a turn, at one thread and at more, where the calls must outlast the scheduler's moves.
LEAST = (2e-3, 10e-3)

CONV_ROW = (
    "{layer:<22} {peer_us:>8.0f}us {convkit_us:>8.0f}us {ratio:>6.2f} {ratio_min:>6.2f} {ratio_max:>6.2f} "
    "{gflops:>8.0f} {share:>8.0%} {error:>6.2f}  {kernel}"
)


class WrongResult(Exception):
    """A contender's result is not what the float64 reference says."""


# --- correct before timed ------------------------------------------------------------------


def conv_truth(case: ConvCase) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return, for each result, its float64 value and sum |a||b| over the products that make it."""
    x, w, dy = (a.astype(np.float64) for a in case.arrays())
    layer = case.layer
    options: dict[str, Any] = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}
    options["backend"] = "reference"
    if not case.backward:
        return [(convkit.conv2d(x, w, **options), convkit.conv2d(abs(x), abs(w), **options))]
    values = convkit.conv2d_backward(dy, x, w, **options)
    scales = convkit.conv2d_backward(abs(dy), abs(x), abs(w), **options)
    return list(zip(values, scales, strict=True))  # type: ignore[arg-type]


def check_conv(
    name: str, got: list[np.ndarray], truth: list[tuple[np.ndarray, np.ndarray]], c: float
) -> float:
    """Return the largest error as a multiple of eps * sum |a||b|.

    Raises
    ------
    WrongResult
        If a shape or dtype is another, or an error is above `c` of these, or is no number.
    """
    worst = 0.0
    for value, (expected, scale) in zip(got, truth, strict=True):
        if value.shape != expected.shape or value.dtype != np.float32:
            raise WrongResult(f"{name}: got {value.dtype} {value.shape}, expected float32 {expected.shape}")
        error = float(np.max(np.abs(value - expected) / (EPS * scale + np.finfo(np.float32).tiny)))
        if not error <= c:
            raise WrongResult(f"{name}: error of {error:.3g} eps * sum |a||b|, at most {c} is allowed")
        worst = max(worst, error)
    return worst


def check_equal(name: str, ours: list[np.ndarray], theirs: list[np.ndarray], tolerance: float) -> None:
    """Compare two streaming results; `tolerance` is relative to the largest number of the result."""
    for a, b in zip(ours, theirs, strict=True):
        limit = tolerance * float(np.max(np.abs(b))) if tolerance else 0.0
        near = a.shape == b.shape and np.max(np.abs(np.subtract(a, b, dtype=float)), initial=0.0) <= limit
        if not near:
            raise WrongResult(f"{name}: convkit and its reference disagree by more than {limit:.3g}")


# --- the tables ----------------------------------------------------------------------------


def compare_conv(args: argparse.Namespace) -> dict[str, Any]:
    how = {"algorithm": args.algorithm, "backend": args.backend}
    peak = multiply_add_peak() * args.threads
    print(f"multiply-add peak: {peak / 1e9:.0f} GFLOP/s on {args.threads} thread(s)")
    print(f"ratios are {args.peer} / convkit\n")
    head = ("layer", args.peer, "convkit", "ratio", "min", "max", "GFLOP/s", "of peak", "error", "kernel")
    print("{:<22} {:>10} {:>10} {:>6} {:>6} {:>6} {:>8} {:>8} {:>6}  {}".format(*head))
    rows = []
    with both_sides(args.peer, args.threads, how, args.cpu_time, args.peer_threads) as (peer, ours):
        for layer in CONV_SUITES[args.suite]:
            case = ConvCase(layer, args.batch, args.backward)
            rows.append(conv_row(case, peer, ours, peak, args))
    return {"peak_gflops": peak / 1e9, "rows": rows, **summary(rows)}


def conv_row(case: ConvCase, peer: Any, ours: Any, peak: float, args: argparse.Namespace) -> dict[str, Any]:
    truth = conv_truth(case)
    bound = REORDERED if args.algorithm == "auto" or case.backward else WINOGRAD
    error = check_conv(f"convkit, {case.layer.name}", ours.load(case), truth, bound)
    check_conv(f"{args.peer}, {case.layer.name}", peer.load(case), truth, WINOGRAD)
    alone = max(args.threads, args.peer_threads or 1) == 1
    turns = take_turns(peer.time, ours.time, args.turns, least=LEAST[not alone])
    x, w, dy = case.arrays()
    flops = conv_work(x.shape, w.shape, dy.shape).flops * (2 if case.backward else 1)
    speed = flops / median(turns.b)
    row = {
        "layer": case.layer.name,
        "peer_us": median(turns.a) * 1e6,
        "convkit_us": median(turns.b) * 1e6,
        "ratio": turns.ratio,
        "ratio_min": turns.spread[0],
        "ratio_max": turns.spread[1],
        "gflops": speed / 1e9,
        "share": speed / peak,
        "error": error,
        "kernel": ours.which(),
    }
    print(CONV_ROW.format(**row), flush=True)
    return row


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Print and return the geometric mean and the worst row."""
    worst = min(rows, key=lambda row: row["ratio"])
    name = worst.get("layer", worst.get("case"))
    mean = geometric_mean(row["ratio"] for row in rows)
    print(f"\ngeometric mean {mean:.2f}, worst {worst['ratio']:.2f} ({name})")
    return {"geometric_mean": mean, "worst": worst["ratio"], "worst_case": name}


def compare_ladder(args: argparse.Namespace) -> dict[str, Any]:
    """Time every algorithm of conv2d that the backend has, layer by layer."""
    convkit.set_num_threads(args.threads)
    algorithms = convkit.algorithms("conv2d", args.backend)
    names = sorted(algorithms, key=lambda name: name == "direct")  # the top, last
    rows = [row for layer in LADDER for row in ladder_rows(layer, names, args)]
    peak = median(row["gflops"] / row["share"] for row in rows)
    print(f"share of the multiply-add peak, {peak:.0f} GFLOP/s on {args.threads} thread(s)\n")
    print(f"{'algorithm':<20}" + "".join(f"{layer.name:>20}" for layer in LADDER))
    shares = {(row["algorithm"], row["layer"]): f"{row['share']:.1%}" for row in rows}
    for name in names:
        print(f"{name:<20}" + "".join(f"{shares.get((name, layer.name), '-'):>20}" for layer in LADDER))
    return {"peak_gflops": peak, "rows": rows}


def ladder_rows(layer: Layer, names: Sequence[str], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Check the algorithms that serve a layer, then time them by turns, each turn beside its own peak."""
    case = ConvCase(layer)
    x, w, dy = case.arrays()
    truth, flops = conv_truth(case), conv_work(x.shape, w.shape, dy.shape).flops
    options = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}
    calls = {}
    for name in names:
        out = np.empty_like(dy)
        call = partial(convkit.conv2d, x, w, **options, algorithm=name, backend=args.backend, out=out)
        try:
            check_conv(f"{name}, {layer.name}", [call()], truth, WINOGRAD)
        except ValueError:  # an algorithm says what it needs
            continue
        calls[name] = call
    least = LEAST[args.threads > 1]
    repeats = {name: max(1, round(least / seconds_of(call, 1))) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    peaks = []
    for _ in range(args.turns):
        peaks.append(multiply_add_peak() * args.threads)
        for name, call in calls.items():
            seconds[name].append(seconds_of(call, repeats[name]))
    return [
        {
            "algorithm": name,
            "layer": layer.name,
            "us": median(times) * 1e6,
            "gflops": flops / median(times) / 1e9,
            "share": median(flops / t / peak for t, peak in zip(times, peaks, strict=True)),
        }
        for name, times in seconds.items()
    ]


def compare_streaming(args: argparse.Namespace) -> dict[str, Any]:
    how = {"algorithm": args.algorithm, "backend": args.backend}
    print(f"ratios are {args.peer} / convkit on {args.threads} thread(s)\n")
    head = ("operation", "shape", args.peer, "convkit", "ratio", "min", "max", "GB/s", "of copy", "kernel")
    print("{:<24} {:>16} {:>9} {:>9} {:>6} {:>6} {:>6} {:>6} {:>8}  {}".format(*head))
    ops = [op for op in STREAMING_OPS + MORE_OPS if args.only in op]
    rows = []
    with both_sides(args.peer, args.threads, how) as (peer, ours):
        for op in ops:
            group = [stream_row(StreamCase(op, shape), peer, ours, args) for shape in STREAMING_SHAPES]
            mean = geometric_mean(row["ratio"] for row in group)
            print(
                f"{op:<24} geometric mean {mean:.2f}, worst {min(r['ratio'] for r in group):.2f}\n",
                flush=True,
            )
            rows += group
    return {"rows": rows, **summary(rows)}


def stream_row(case: StreamCase, peer: Any, ours: Any, args: argparse.Namespace) -> dict[str, Any]:
    mine, theirs = ours.load(case), peer.load(case)
    name = f"{case.op} on {case.shape}"
    op, _, variant = case.op.partition(" ")
    if op in ("dropout", "dropout2d", "dropout_rows"):  # another generator: ours is checked by its reference
        x, _ = case.arrays()
        drop = getattr(convkit, op)
        right = drop(x, 0.5, seed=1, return_mask=variant == "mask", backend="reference")
        check_equal(name, mine, list(right) if variant == "mask" else [right], 0)
    else:
        exact = op in ("max_pool2d", "max_pool2d_indices", "pad", "im2col", "dropout_backward")
        check_equal(name, mine, theirs, 0 if exact else 32 * float(EPS))
    turns = take_turns(peer.time, ours.time, args.turns, least=LEAST[args.threads > 1])
    x, _ = case.arrays()
    moved = bytes_moved(case, x, mine)
    speed = moved / median(turns.b)
    row = {
        "case": name,
        "peer_us": median(turns.a) * 1e6,
        "convkit_us": median(turns.b) * 1e6,
        "ratio": turns.ratio,
        "ratio_min": turns.spread[0],
        "ratio_max": turns.spread[1],
        "gbs": speed / 1e9,
        "share": speed / copy_bandwidth(moved // 2),
        "kernel": ours.which(),
    }
    shape = "x".join(map(str, case.shape))
    print(
        f"{case.op:<24} {shape:>16} "
        "{peer_us:>7.0f}us {convkit_us:>7.0f}us {ratio:>6.2f} {ratio_min:>6.2f} {ratio_max:>6.2f} "
        "{gbs:>6.1f} {share:>8.0%}  {kernel}".format(**row),
        flush=True,
    )
    return row


def bytes_moved(case: StreamCase, x: np.ndarray, results: list[np.ndarray]) -> int:
    """Return the bytes of each input read once and each output written once."""
    written = sum(a.nbytes for a in results)
    if case.op == "batch_norm backward":
        return 3 * x.nbytes  # two read, one written
    if case.op == "col2im":
        return 10 * x.nbytes  # nine columns a pixel
    if case.op == "col2im /2":
        return x.nbytes + 9 * x.nbytes // 4
    if case.op.startswith(("pool_backward", "pad_backward")):
        return written + gradient_bytes(case)
    if case.op == "dropout_backward":
        return x.nbytes + written + x.size  # and a byte of mask
    return x.nbytes + written


def gradient_bytes(case: StreamCase) -> int:
    """Return the bytes that a gradient of padding or pooling reads: dy, and the indices of maxima."""
    *planes, H, W = case.shape
    if case.op.startswith("pad"):
        return int(np.prod(planes)) * (H + 2) * (W + 2) * 4
    _, kind, variant = case.op.split(" ", 2)
    k, s, p = POOLS[variant]
    cells = int(np.prod(planes)) * ((H + 2 * p - k) // s + 1) * ((W + 2 * p - k) // s + 1)
    return cells * (12 if kind == "max" else 4)


def compare_overhead(args: argparse.Namespace) -> dict[str, Any]:
    """Time calls so small that only their overhead counts."""
    how = {"algorithm": args.algorithm, "backend": args.backend}
    small = (1, 3, 8, 8)
    cases: list[ConvCase | StreamCase] = [ConvCase(Layer(3, 4, 8, 3), reuse=False)]
    cases += [StreamCase(op, small, reuse=False) for op in STREAMING_OPS]
    print(f"{'operation at 1x3x8x8':<26} {args.peer:>9} {'convkit':>9} {'ratio':>6}")
    rows = []
    with both_sides(args.peer, 1, how) as (peer, ours):
        for case in cases:
            peer.load(case), ours.load(case)
            turns = take_turns(peer.time, ours.time, args.turns)
            name = "conv2d 3x3" if isinstance(case, ConvCase) else case.op
            row = {"case": name, "peer_us": median(turns.a) * 1e6, "convkit_us": median(turns.b) * 1e6}
            rows.append({**row, "ratio": turns.ratio})
            print(
                "{case:<26} {peer_us:>7.2f}us {convkit_us:>7.2f}us {ratio:>6.2f}".format(**rows[-1]),
                flush=True,
            )
    return {"rows": rows, **summary(rows)}


# --- command line --------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """Return what a figure depends on; the machine's name is not among it."""
    config = convkit.show_config()
    cpu = next((line for line in _cpuinfo() if line.startswith("model name")), platform.processor())
    return {
        "cpu": cpu.partition(":")[2].strip() or platform.machine(),
        "isa": config["isa"],
        "compiler": config["compiler"],
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "torch", "numba") if find_spec(name)},
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def peer_name(text: str) -> str:
    """Return a peer as it is named on the command line, if there is one of that name."""
    if text not in ("torch", "onednn", "channels_last") and text.partition(":")[0] not in BACKENDS:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a way to run PyTorch nor a backend")
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["conv", "ladder", "ladder_streaming", "streaming", "overhead"])
    parser.add_argument(
        "--peer",
        type=peer_name,
        default="torch",
        help=f"torch, onednn, channels_last, or a backend, {', '.join(BACKENDS)}, with or without :ALGORITHM",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of each side (1)")
    parser.add_argument(
        "--peer-threads", type=int, help="conv: threads of the peer, if others than convkit's"
    )
    parser.add_argument("--suite", choices=list(CONV_SUITES), default="resnet50")
    parser.add_argument("--batch", type=int, default=1, help="images in a batch (1)")
    parser.add_argument("--backward", action="store_true", help="all three gradients instead of the output")
    parser.add_argument(
        "--algorithm", default="auto", help="convkit's: auto, fastest or a rung's name (auto)"
    )
    parser.add_argument("--backend", default="auto", help="convkit's: cython, numba, ... (auto)")
    parser.add_argument("--only", default="", help="streaming operations whose name holds this")
    parser.add_argument("--turns", type=int, default=9, help="measurements of each side (9)")
    parser.add_argument(
        "--cpu-time", action="store_true", help="conv on one thread, on a machine that is busy"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    args = parser.parse_args()
    if args.peer == "channels_last" and args.what != "streaming":
        parser.error("--peer channels_last is for streaming")
    if args.peer_threads and args.what != "conv":
        parser.error("--peer-threads is for conv")
    if args.peer_threads is not None and args.peer_threads < 1:
        parser.error("--peer-threads must be at least 1")
    if args.cpu_time and (args.what != "conv" or max(args.threads, args.peer_threads or 1) > 1):
        parser.error("--cpu-time is for conv on one thread: with more, threads also wait for one another")
    tables = {
        "conv": compare_conv,
        "ladder": compare_ladder,
        "ladder_streaming": lambda args: compare_streaming_ladder(args, check_equal),
        "streaming": compare_streaming,
        "overhead": compare_overhead,
    }
    try:
        figures = tables[args.what](args)
    except WrongResult as error:
        print(f"wrong result, nothing is timed: {error}", file=sys.stderr)
        return 1
    if args.json:
        options = {k: v for k, v in vars(args).items() if k != "json"}
        args.json.write_text(
            json.dumps({"machine": machine(), "options": options, **figures}, indent=1) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
