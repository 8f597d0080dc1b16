"""``convkit coverage``, ``field`` and ``dialects``: what windows see, and what others call them."""

from __future__ import annotations

import argparse
import json
import re
from typing import Any

from .inputs import add_window, failing, index, pair, show, window

__all__ = ["add"]


def add(commands: Any) -> None:
    """Describe the three commands to argparse."""
    coverage = commands.add_parser(
        "coverage",
        help="count how many outputs use each pixel",
        description="Count how many outputs use each pixel, and how much of each output is padding.",
    )
    _add_geometry(coverage)
    coverage.set_defaults(run=_coverage)

    field = commands.add_parser(
        "field",
        help="follow the receptive field through layers",
        description="Follow the receptive field through layers: convkit field 7s2p3 3s2p1 3 3 --size 224",
    )
    field.add_argument(
        "layers", metavar="LAYER", nargs="+", type=layer,
        help="a window, with stride, padding and dilation after s, p and d: 3, 7s2p3, 3x5d2",
    )  # fmt: skip
    field.add_argument("--size", metavar="HxW", type=pair, help="rows and columns of the image")
    field.add_argument("--at", metavar="OH,OW", type=index, help="tell which pixels this output sees")
    field.set_defaults(run=_field)

    dialects = commands.add_parser(
        "dialects",
        help="say one geometry as PyTorch, TensorFlow, ONNX, oneDNN, SciPy and OpenCV do",
        description="Say one geometry as other systems do, and where equal shapes hide different values.",
    )
    _add_geometry(dialects)
    dialects.set_defaults(run=_dialects)


def _add_geometry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("size", metavar="SIZE", type=pair, help="rows and columns of the image: 28, or 28x32")
    parser.add_argument(
        "kernel", metavar="KERNEL", type=pair, help="rows and columns of the kernel: 3, or 3x5"
    )
    add_window(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def _coverage(arguments: argparse.Namespace) -> int:
    from .. import explain

    with failing():
        found = explain.coverage(arguments.size, arguments.kernel, **window(arguments))
    _tell(found, arguments.json)
    return 0


def _dialects(arguments: argparse.Namespace) -> int:
    from .. import explain

    with failing():
        found = explain.dialects(arguments.size, arguments.kernel, **window(arguments))
    _tell(found, arguments.json)
    return 0


def _tell(found: Any, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        show(found)


# --- field ---------------------------------------------------------------------------------

LAYER = re.compile(r"(\d+(?:x\d+)?)((?:[spd]\d+(?:x\d+)?)*)")
NAMES = {"s": "stride", "p": "padding", "d": "dilation"}


def layer(text: str) -> dict[str, Any]:
    """Read a window such as ``7s2p3``.

    >>> layer("7x1s2p3")
    {'kernel_size': (7, 1), 'stride': (2, 2), 'padding': (3, 3)}
    """
    match = LAYER.fullmatch(text)
    if not match:
        raise argparse.ArgumentTypeError(f"must be a window such as 3, 7s2p3 or 3x5d2, got {text!r}")
    options = {NAMES[letter]: pair(value) for letter, value in re.findall(r"([spd])(\d+(?:x\d+)?)", match[2])}
    return {"kernel_size": pair(match[1]), **options}


def _field(arguments: argparse.Namespace) -> int:
    from .. import explain

    with failing():
        field = explain.receptive_field(arguments.layers, arguments.size)
        seen = None
        if arguments.at is not None:
            if len(arguments.at) != 2:
                raise ValueError(f"--at must be a row and a column of the output, got {arguments.at}")
            seen = field.cells(*arguments.at)
    print(field)
    if seen is not None:
        rows, columns = (f"{cells.start} to {cells.stop - 1}" for cells in seen)
        print(f"\noutput {arguments.at} sees rows {rows} and columns {columns}")
    return 0
