"""What the command line says of arrays, sizes and padding, and how results reach the terminal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from . import Failure

__all__ = [
    "add_window",
    "array",
    "at_index",
    "counting",
    "failing",
    "index",
    "padding",
    "pair",
    "show",
    "window",
]


def pair(text: str) -> tuple[int, int]:
    """Read ``3`` or ``3x4``.

    >>> pair("3"), pair("3x4")
    ((3, 3), (3, 4))
    """
    parts = text.lower().replace(",", "x").split("x")
    try:
        numbers = [int(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise argparse.ArgumentTypeError(f"must be one whole number or two, such as 3 or 3x4, got {text!r}")
    return numbers[0], numbers[-1]


def padding(text: str) -> Any:
    """Read ``1``, ``1x2`` (rows, columns), ``1,2,0,3`` (top, bottom, left, right), ``same`` or ``valid``.

    >>> padding("1"), padding("1x2"), padding("1,2,0,3"), padding("same")
    ((1, 1), (1, 2), ((1, 2), (0, 3)), 'same')
    """
    if text in ("same", "valid"):
        return text
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 4:
        return tuple(numbers[:2]), tuple(numbers[2:])
    try:
        return pair(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"must be 1, 1x2 (rows, columns), 1,2,0,3 (top, bottom, left, right), same or valid, got {text!r}"
        ) from None


def index(text: str) -> tuple[int, ...]:
    """Read an output's place, such as ``0,1,2``."""
    try:
        return tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be whole numbers with commas between, such as 0,1,2, got {text!r}"
        ) from None


def array(text: str) -> np.ndarray:
    """Read numbers typed as rows, ``1 2; 3 4``, or a file of them: .npy, or text with rows as lines.

    >>> array("1 2; 3 4.5")
    array([[1. , 2. ],
           [3. , 4.5]])
    """
    path = Path(text)
    try:
        if path.suffix == ".npy":
            found = np.load(path, allow_pickle=False)
        elif path.is_file():
            separator = "," if "," in path.read_text(encoding="utf-8") else None
            found = np.loadtxt(path, delimiter=separator, ndmin=2)
        else:
            found = np.array([[float(n) for n in row.replace(",", " ").split()] for row in text.split(";")])
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read {text}: {error.strerror or error}") from None
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'must be a file of numbers, or rows of them such as "1 2; 3 4", got {text!r}'
        ) from None
    if found.dtype.kind not in "iufb" or not found.size:
        raise argparse.ArgumentTypeError(f"{text} holds no numbers: {found.size} of {found.dtype}")
    return found if found.dtype in (np.float32, np.float64) else found.astype(np.float64)


def counting(shape: tuple[int, ...], first: int = 0) -> np.ndarray:
    """Return whole numbers that count up, for those who give no array."""
    return np.arange(first, first + np.prod(shape), dtype=np.float64).reshape(shape)


def at_index(given: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Complete an index from the left with zeros: ``1,2`` of channels, rows, columns is ``0,1,2``."""
    return (*(0,) * (len(shape) - len(given)), *given)


def add_window(parser: argparse.ArgumentParser, *, modes: bool = True) -> None:
    """Describe stride, padding, dilation and padding mode to argparse."""
    parser.add_argument("--stride", metavar="S", type=pair, default=(1, 1), help="1, or 1x2: rows, columns")
    parser.add_argument(
        "--padding", metavar="P", type=padding, default=(0, 0),
        help="1, 1x2, or 1,2,0,3: top, bottom, left, right; same; valid",
    )  # fmt: skip
    parser.add_argument("--dilation", metavar="D", type=pair, default=(1, 1), help="1 means none")
    if modes:
        parser.add_argument(
            "--mode", metavar="MODE", default="zeros",
            help="what padding shows: zeros, reflect, replicate, circular or symmetric",
        )  # fmt: skip


def window(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what :func:`add_window` read, by the names of :func:`convkit.conv2d`."""
    found = {name: getattr(arguments, name) for name in ("stride", "padding", "dilation")}
    return found | {"padding_mode": arguments.mode}


class failing:  # noqa: N801  # reads as a statement: with failing():
    """Turn what an operation refuses into one line on standard error."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ValueError | TypeError | IndexError | MemoryError):
            raise Failure(" ".join(str(error).split())) from error


def show(result: Any) -> None:
    """Print something that rich can colour: in colour on a terminal, as plain text elsewhere."""
    if not sys.stdout.isatty():
        print(result)
        return
    from rich.console import Console

    console = Console()
    longest = max(map(len, str(result).splitlines()), default=0)
    console.width = max(console.width, longest + 4)  # the terminal wraps what is longer; nothing is cut off
    console.print(result)
