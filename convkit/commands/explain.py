"""``convkit explain OPERATION``: one output number as a ledger."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from . import Failure
from .inputs import add_window, array, at_index, counting, failing, index, pair, show, window

__all__ = ["add"]

FORMS = ("text", "latex", "html", "json")


def add(commands: Any) -> None:
    """Describe the command to argparse."""
    parser = commands.add_parser(
        "explain",
        help="show every number behind one output of an operation",
        description="Show every number behind one output of an operation, compared with the kernel's own.",
    )
    operations = parser.add_subparsers(title="operations", metavar="OPERATION", required=True)
    for name, (describe, make, says) in OPERATIONS.items():
        operation = operations.add_parser(name, help=says, description=f"Show one output: {says}.")
        operation.add_argument(
            "-x", metavar="X", type=array,
            help='the input: rows such as "1 2; 3 4", or a file (.npy, .csv); default: it counts from 0',
        )  # fmt: skip
        operation.add_argument(
            "--size", metavar="HxW", type=pair, default=(5, 5), help="rows and columns of that default (5x5)"
        )
        describe(operation)
        operation.add_argument(
            "--at", metavar="I", type=index, default=(0,),
            help="which output: 1,2 for row and column, 0,1,2 with the channel before (default: the first)",
        )  # fmt: skip
        operation.add_argument("--format", choices=FORMS, default="text", help="default: text")
        operation.add_argument("--rows", metavar="N", type=int, default=60, help="show at most N rows (60)")
        operation.set_defaults(run=run, make=make)


def run(arguments: argparse.Namespace) -> int:
    """Print the ledger and return the exit code."""
    if arguments.rows < 1:
        raise Failure(f"--rows must be at least 1, got {arguments.rows}")
    if arguments.x is None:
        arguments.x = counting((1, *arguments.size)) if min(arguments.size) > 0 else np.empty((1, 0, 0))
    with failing():
        explanation = arguments.make(arguments)
        ledger = explanation[at_index(arguments.at, explanation.shape)]
    if arguments.format == "text":
        show(_Shown(ledger, arguments.rows))
    elif arguments.format == "json":
        print(json.dumps(ledger.to_dict(), indent=2))
    else:
        print(getattr(ledger, f"to_{arguments.format}")(arguments.rows))
    return 0


class _Shown:
    """A ledger with the number of rows that was asked for."""

    def __init__(self, ledger: Any, rows: int) -> None:
        self.ledger, self.rows = ledger, rows

    def __str__(self) -> str:
        return self.ledger.to_text(self.rows)

    def __rich__(self) -> Any:
        from ..explain.rendering import coloured

        return coloured(self.ledger, self.rows)


# --- one pair of functions an operation: its options, and its explanation -------------------


def _planes(x: np.ndarray) -> np.ndarray:
    """Return rows and columns as one channel of them."""
    return x[None] if x.ndim == 2 else x


def _conv2d_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-w", metavar="W", type=array, help="the kernel, or filters of shape (OC, IC, KH, KW) in a file"
    )
    parser.add_argument(
        "--kernel",
        metavar="KHxKW",
        type=pair,
        default=(3, 3),
        help="size of a kernel that counts from 1 (3x3)",
    )
    parser.add_argument("-b", metavar="B", type=array, help="the bias")
    add_window(parser)
    parser.add_argument("--groups", metavar="G", type=int, default=1)
    parser.add_argument("--flip", action="store_true", help="turn the kernel round")
    parser.add_argument("--algorithm", metavar="NAME", default="auto", help="which kernel computes it")


def _conv2d(arguments: argparse.Namespace) -> Any:
    from .. import explain

    x = _planes(arguments.x)
    w = filters(arguments, x.shape[-3] if x.ndim > 2 else 1)
    return explain.conv2d(
        x, w.astype(x.dtype), bias(arguments, x.dtype), **window(arguments),
        groups=arguments.groups, flip=arguments.flip, algorithm=arguments.algorithm,
    )  # fmt: skip


def filters(arguments: argparse.Namespace, channels: int) -> np.ndarray:
    """Return the filters that were given, or one that counts from 1."""
    if arguments.w is None:
        if min(arguments.kernel) < 1:
            raise Failure(f"--kernel must be at least 1, got {arguments.kernel}")
        return counting((1, max(channels // max(arguments.groups, 1), 1), *arguments.kernel), first=1)
    w = arguments.w
    return w[None, None] if w.ndim == 2 else w


def bias(arguments: argparse.Namespace, dtype: Any) -> np.ndarray | None:
    """Return the bias that was given as a vector."""
    return None if arguments.b is None else arguments.b.astype(dtype).ravel()


def _pool_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kernel", metavar="KHxKW", type=pair, default=(2, 2), help="the window (2x2)")
    parser.add_argument("--stride", metavar="S", type=pair, help="default: the window's size")
    parser.add_argument("--padding", metavar="P", type=pair, default=(0, 0))
    parser.add_argument("--ceil", action="store_true", help="keep a last window that hangs over")


def _avg_pool2d_options(parser: argparse.ArgumentParser) -> None:
    _pool_options(parser)
    parser.add_argument(
        "--count-real", action="store_true", help="divide by real cells alone, not by padding"
    )
    parser.add_argument("--divisor", metavar="D", type=int, help="divide by this")


def _avg_pool2d(arguments: argparse.Namespace) -> Any:
    from .. import explain

    return explain.avg_pool2d(
        _planes(arguments.x), arguments.kernel, arguments.stride, arguments.padding, arguments.ceil,
        not arguments.count_real, arguments.divisor,
    )  # fmt: skip


def _max_pool2d_options(parser: argparse.ArgumentParser) -> None:
    _pool_options(parser)
    parser.add_argument("--dilation", metavar="D", type=pair, default=(1, 1), help="1 means none")


def _max_pool2d(arguments: argparse.Namespace) -> Any:
    from .. import explain

    return explain.max_pool2d(
        _planes(arguments.x), arguments.kernel, arguments.stride, arguments.padding, arguments.dilation,
        arguments.ceil,
    )  # fmt: skip


def _pad_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--padding", metavar="L,R[,T,B]", type=index, default=(1, 1, 1, 1),
        help="left, right, top, bottom: last axis first",
    )  # fmt: skip
    parser.add_argument(
        "--mode",
        metavar="MODE",
        default="constant",
        help="constant, reflect, replicate, circular or symmetric",
    )
    parser.add_argument("--value", metavar="V", type=float, default=0.0, help="what constant padding shows")


def _pad(arguments: argparse.Namespace) -> Any:
    from .. import explain

    return explain.pad(arguments.x, arguments.padding, arguments.mode, arguments.value)


def _batch_norm_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weight", metavar="G", type=array, help="gamma, one number a channel")
    parser.add_argument("--bias", metavar="B", type=array, help="beta, one number a channel")
    parser.add_argument(
        "--mean", metavar="M", type=array, help="running mean, one number a channel: evaluation"
    )
    parser.add_argument("--var", metavar="V", type=array, help="running variance, one number a channel")
    parser.add_argument("--eps", metavar="E", type=float, default=1e-5)


def _batch_norm(arguments: argparse.Namespace) -> Any:
    from .. import explain

    def vector(a: np.ndarray | None) -> np.ndarray | None:
        return None if a is None else a.astype(arguments.x.dtype).ravel()

    x = arguments.x[None] if arguments.x.ndim == 3 else arguments.x
    mean, var = vector(arguments.mean), vector(arguments.var)
    gamma, beta = vector(arguments.weight), vector(arguments.bias)
    training = mean is None and var is None
    return explain.batch_norm(x, mean, var, gamma, beta, training, eps=arguments.eps)


def _dropout_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-p", metavar="P", type=float, default=0.5, help="probability of dropping (0.5)")
    parser.add_argument("--seed", metavar="N", type=int, help="default: one is drawn")


def _dropout(arguments: argparse.Namespace) -> Any:
    from .. import explain

    return explain.dropout(arguments.x, arguments.p, seed=arguments.seed)


Describe = Callable[[argparse.ArgumentParser], None]
Make = Callable[[argparse.Namespace], Any]
OPERATIONS: dict[str, tuple[Describe, Make, str]] = {
    "conv2d": (_conv2d_options, _conv2d, "its products, where each pixel came from, and the bias"),
    "avg_pool2d": (_avg_pool2d_options, _avg_pool2d, "its cells, and what the sum is divided by"),
    "max_pool2d": (_max_pool2d_options, _max_pool2d, "its cells, and which of them won"),
    "pad": (_pad_options, _pad, "which cell it shows"),
    "batch_norm": (_batch_norm_options, _batch_norm, "mean, variance, and what they make of a number"),
    "dropout": (_dropout_options, _dropout, "the random number that decided"),
}
