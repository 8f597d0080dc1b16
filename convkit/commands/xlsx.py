"""``convkit xlsx FILE``: a convolution as a spreadsheet whose formulas are live."""

from __future__ import annotations

import argparse
from typing import Any

from . import Failure
from .explain import bias, filters
from .inputs import add_window, array, counting, failing, pair, window

__all__ = ["add"]


def add(commands: Any) -> None:
    """Describe the command to argparse."""
    parser = commands.add_parser(
        "xlsx",
        help="write a convolution and a batch norm as a spreadsheet with live formulas",
        description="Write a convolution and a batch norm as a spreadsheet: change a pixel, and see.",
    )
    parser.add_argument(
        "output", metavar="FILE", nargs="?", default="convkit.xlsx", help="default: %(default)s"
    )
    parser.add_argument(
        "-x", metavar="X", type=array,
        help='the image: rows such as "1 2; 3 4", or a file (.npy, .csv); default: it counts from 0',
    )  # fmt: skip
    parser.add_argument("--size", metavar="HxW", type=pair, default=(6, 6), help="size of that default (6x6)")
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
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the file, print its name and return the exit code."""
    from .. import explain

    if not arguments.output.lower().endswith(".xlsx"):  # it may be the numbers that somebody meant to read
        raise Failure(f"FILE must end in .xlsx, got {arguments.output}")
    if min(arguments.size) < 1:
        raise Failure(f"--size must be at least 1, got {arguments.size}")
    x = counting((1, *arguments.size)) if arguments.x is None else arguments.x
    x = x[None] if x.ndim == 2 else x
    w = filters(arguments, x.shape[-3] if x.ndim > 2 else 1)
    try:
        with failing():
            explain.to_xlsx(
                arguments.output, x, w.astype(x.dtype), bias(arguments, x.dtype), **window(arguments),
                groups=arguments.groups, flip=arguments.flip,
            )  # fmt: skip
    except OSError as error:
        raise Failure(f"cannot write {arguments.output}: {error.strerror or error}") from error
    print(arguments.output)
    return 0
