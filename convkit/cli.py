"""The command ``convkit``: a tour on a photograph, kernels compiled ahead, and what this machine runs.

Exit codes: 0 done; 1 a statement of the tour failed its test, or memory ran out; 2 bad usage, an
image that cannot be read or a file that cannot be written; 130 interrupted. Results go to standard
output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .commands import Failure, check, coverage, explain, xlsx

if TYPE_CHECKING:
    from .tour import Tour

__all__ = ["main"]

DEFAULT_OUTPUT = "convkit-tour.html"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, by default the process's own arguments, and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="surrogateescape")  # file names need not be text
    try:
        arguments = _parser().parse_args(argv)
        code = arguments.run(arguments)
        sys.stdout.flush()  # here, where a reader that has gone is still noticed
        if argv is None and check.gave_up():
            os._exit(code)  # a call that was given up may be in C, which does not survive the end of Python
        return code
    except Failure as failure:
        _say(f"error: {failure}")
        return failure.code
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except BrokenPipeError:
        # The reader of the output left, as `head` does. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _say(message: str) -> None:
    """Print one line on standard error, whatever a file name holds."""
    line = "".join(c if c.isprintable() or 0xDC80 <= ord(c) <= 0xDCFF else " " for c in message)
    print(f"convkit: {line}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="convkit", description="Convolution, pooling, BatchNorm and dropout, to be read and to be run."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    tour = commands.add_parser(
        "tour",
        help="show every operation on a photograph, as one HTML page",
        description="Run every operation on a photograph and write one self-contained HTML page.",
    )
    tour.add_argument(
        "image", metavar="IMAGE", nargs="?", help="a PNG or JPEG; default: one that ships with Matplotlib"
    )
    tour.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default=DEFAULT_OUTPUT,
        help="the page to write (default: %(default)s); - for standard output",
    )
    tour.add_argument("--open", action="store_true", help="open the page in a browser")
    tour.add_argument(
        "--json", action="store_true", help="print a summary as JSON instead of the page's path"
    )
    tour.add_argument(
        "--seconds",
        metavar="S",
        type=_seconds,
        default=0.5,
        help="time each kernel for about S seconds (default: %(default)s)",
    )
    tour.set_defaults(run=_tour)

    for module in (explain, coverage, check, xlsx):
        module.add(commands)

    warmup = commands.add_parser(
        "warmup",
        help="compile the Numba kernels ahead of their first call",
        description="Compile the Numba kernels for float32 and float64 and keep them on disk.",
    )
    warmup.add_argument(
        "--only", metavar="OP", action="append", help="compile this function's kernels alone; may be repeated"
    )
    warmup.add_argument(
        "--clean", action="store_true", help="delete what was compiled from sources that have changed since"
    )
    warmup.add_argument("--json", action="store_true", help="print what was done as JSON")
    warmup.set_defaults(run=_warmup)

    info = commands.add_parser(
        "info",
        help="show versions, instruction set, threads and kernels",
        description="Show what convkit runs on here.",
    )
    info.add_argument("--json", action="store_true", help="print it as JSON")
    info.set_defaults(run=_info)
    return parser


class _Version(argparse.Action):
    """``--version``, which need not import NumPy."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from . import __version__

        print(f"convkit {__version__}")
        parser.exit()


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 60:
        raise argparse.ArgumentTypeError(f"must be a number above 0 and at most 60, got {text!r}")
    return value


# --- tour ----------------------------------------------------------------------------------


def _tour(arguments: argparse.Namespace) -> int:
    start = time.perf_counter()
    for what, name in (("IMAGE", arguments.image), ("-o", arguments.output)):
        if name == "":
            raise Failure(f"{what} is an empty name: leave it away for the default, or name a file")
    to_stdout = arguments.output == "-"
    if to_stdout and (arguments.json or arguments.open):
        raise Failure("-o - writes the page to standard output, which excludes --json and --open")
    output = Path(os.path.realpath(arguments.output))
    if not to_stdout:
        _check_output(output, arguments)
    from . import show_config

    if show_config()["compiler"] is None:
        raise Failure(
            "the kernels of this source tree are not compiled: run `pip install .`, "
            "or start from another folder, if convkit is installed"
        )
    tour = _make(arguments)
    if to_stdout:
        _write_to_stdout(tour.html.encode("utf-8", "xmlcharrefreplace"))
        return 0
    size = _write(output, arguments.output, tour)
    if arguments.json:
        print(json.dumps(_summary(arguments.output, size, time.perf_counter() - start, tour), indent=2))
    else:
        print(arguments.output)
    if arguments.open:
        import webbrowser

        if not webbrowser.open(output.as_uri()):
            _say("no browser was found to open the page")
    return 0


def _check_output(output: Path, arguments: argparse.Namespace) -> None:
    """Refuse an impossible output before the work, not after it."""
    reason = None
    if output.is_dir():
        reason = "it is a directory"
    elif not output.parent.is_dir():
        reason = "its folder does not exist"
    elif not os.access(output if output.exists() else output.parent, os.W_OK):
        reason = "permission denied"
    elif arguments.image is not None and output.exists() and _same_file(output, arguments.image):
        reason = "it is the image itself"
    if reason:
        raise Failure(f"cannot write {arguments.output}: {reason}")


def _same_file(output: Path, image: str) -> bool:
    return os.path.exists(image) and output.samefile(image)


def _make(arguments: argparse.Namespace) -> Tour:
    from .tour import BadImage, StatementFailed, make_tour

    try:
        with _progress() as progress:
            return make_tour(arguments.image, seconds=arguments.seconds, progress=progress)
    except BadImage as error:
        raise Failure(str(error)) from error
    except StatementFailed as error:
        raise Failure(f"a statement of the page failed its test, so there is no page: {error}", 1) from error
    except MemoryError as error:
        raise Failure(f"not enough memory {error}".rstrip(), 1) from error


def _write_to_stdout(data: bytes) -> None:
    """Write all of `data`; an unbuffered standard output (``python -u``) may take a part at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[sys.stdout.buffer.write(rest) :]


def _write(output: Path, name: str, tour: Tour) -> int:
    from .tour import write_atomically

    try:
        return write_atomically(output, tour.html)
    except OSError as error:
        raise Failure(f"cannot write {name}: {error.strerror or error}") from error


@contextmanager
def _progress(first: str = "photograph") -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows progress on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda name, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(first, total=None)
        yield lambda name, done, total: bar.update(task, description=name, completed=done, total=total)


def _summary(output: str, size: int, seconds: float, tour: Tour) -> dict[str, object]:
    height, width = tour.photo.shape
    return {
        "file": output,
        "bytes": size,
        "seconds": round(seconds, 3),
        "image": {
            "name": tour.photo.name,
            "width": tour.photo.width,
            "height": tour.photo.height,
            "used_width": width,
            "used_height": height,
        },
        "checks": len(tour.checks),
        "sections": [
            {
                "id": section.slug,
                "title": section.title,
                "checks": [
                    {"statement": c.plain, "difference": c.difference, "bound": c.bound}
                    for c in section.checks
                ],
            }
            for section in tour.sections
        ],
    }


# --- warmup --------------------------------------------------------------------------------


def _warmup(arguments: argparse.Namespace) -> int:
    from .dispatch import why_not
    from .registry import KERNELS, kernels_of

    if reason := why_not("numba"):
        raise Failure(f"numba: {reason}")
    places = {k.op: k.place for k in KERNELS if (k.backend, k.algorithm) == ("numba", "direct")}
    try:
        ops = dict.fromkeys(op for name in arguments.only or places for op in kernels_of(name))
    except ValueError as error:
        raise Failure(f"--only: {error}") from None
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        raise Failure("NUMBA_DISABLE_JIT is set, so nothing would be compiled")
    from ._numba.warmup import clean, warm_up

    start = time.perf_counter()
    with _progress("compiler") as progress:
        done = warm_up([places[op] for op in ops], progress)
    seconds, anew = time.perf_counter() - start, sum(kernel.anew for kernel in done)
    folders = sorted({kernel.folder for kernel in done if kernel.folder})
    deleted = clean(done) if arguments.clean else None
    if arguments.json:
        report = {"compiled": anew, "found": len(done) - anew, "seconds": round(seconds, 3)}
        if deleted is not None:
            report["deleted"] = deleted
        print(json.dumps({**report, "folders": folders}, indent=2))
        return 0
    print(f"{anew} kernels were compiled in {seconds:.1f} s, {len(done) - anew} were found on disk")
    for folder in folders:
        print(f"kept in {folder}")
    if deleted is not None:
        print(f"{deleted} files of other sources were deleted there")
    if not folders:
        _say("none of them is kept: there is no folder that Numba can write to")
    return 0


# --- info ----------------------------------------------------------------------------------


def _info(arguments: argparse.Namespace) -> int:
    from . import backends, show_config

    config, support = show_config(), backends()
    if arguments.json:
        print(json.dumps({**config, "operations": support}, indent=2))
        return 0
    width = max(map(len, config))
    for name, value in config.items():
        if isinstance(value, dict):
            value = f"\n{' ' * width}  ".join(f"{key}: {state}" for key, state in value.items())
        elif isinstance(value, tuple):
            value = ", ".join(value)
        elif isinstance(value, bool):
            value = "yes" if value else "no"
        print(f"{name:<{width}}  {value}")
    print(f"\n{support!r}")
    return 0
