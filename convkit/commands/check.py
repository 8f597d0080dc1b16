"""``convkit check FILE.py:function --like conv2d``: which rule a function of one's own breaks."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import Failure

if TYPE_CHECKING:
    from ..checker.text import Line

__all__ = ["add", "gave_up"]


def add(commands: Any) -> None:
    """Describe the command to argparse."""
    parser = commands.add_parser(
        "check",
        help="check a function of your own, and name the rule that it breaks",
        description="Call a function of yours on small cases and name the rule that it breaks.",
        epilog="Exit codes: 0 every rule holds, 1 a rule is broken, 2 the function cannot be checked.",
    )
    parser.add_argument("target", metavar="FILE.py:FUNCTION", nargs="?", help="the function to check")
    parser.add_argument(
        "--like", metavar="OPERATION", help="what it is like, such as conv2d; default: its own name"
    )
    parser.add_argument(
        "--names",
        metavar="OURS=YOURS,...",
        default="",
        help="what your function calls an argument, such as padding=border,stride=step",
    )
    parser.add_argument(
        "--layout", metavar="LAYOUT", default="NCHW", help="its images: NCHW (default), CHW, HW, or NC"
    )
    parser.add_argument(
        "--seconds", metavar="S", type=float, default=10.0, help="time for all calls (default: %(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--rules", action="store_true", help="list the rules, of one operation with --like")
    parser.add_argument("--explain", metavar="RULE", help="explain a rule by an example")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says and return the exit code."""
    chosen = [bool(arguments.target), arguments.rules, bool(arguments.explain)]
    if sum(chosen) != 1:
        raise Failure("give a function to check as FILE.py:FUNCTION, or --rules, or --explain RULE")
    try:
        if arguments.rules:
            return _list_rules(arguments)
        if arguments.explain:
            from ..checker.lessons import lesson_lines

            _show(lesson_lines(arguments.explain))
            return 0
        return _check(arguments)
    except ValueError as error:
        raise Failure(str(error)) from error


def _check(arguments: argparse.Namespace) -> int:
    from ..checker import check

    function = load(arguments.target)
    report = check(
        function,
        arguments.like,
        names=_names(arguments.names),
        layout=arguments.layout,
        seconds=arguments.seconds,
    )
    if arguments.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        from ..checker.text import report_lines

        _show(report_lines(report))
    return 0 if report else 1


def gave_up() -> bool:
    """Tell whether a call that took too long is still being made."""
    if threading.active_count() == 1:
        return False
    from ..checker.calling import THREAD

    return any(thread.name == THREAD for thread in threading.enumerate())


def _list_rules(arguments: argparse.Namespace) -> int:
    from ..checker.operations import all_rules, operation

    table = all_rules()
    if arguments.like is not None:
        operation(arguments.like)
        table = {arguments.like: table[arguments.like], "every operation": table["every operation"]}
    if arguments.json:
        print(
            json.dumps({like: {r.name: r.says for r in of.values()} for like, of in table.items()}, indent=2)
        )
        return 0
    from ..checker.text import rules_lines

    _show(rules_lines(table))
    return 0


def _show(lines: list[Line]) -> None:
    """Print lines, in colours on a terminal."""
    from ..checker.text import coloured, plain

    if not sys.stdout.isatty():
        print(plain(lines))
        return
    from rich.console import Console

    Console(highlight=False).print(coloured(lines), soft_wrap=True)


def _names(text: str) -> dict[str, str]:
    names = {}
    for part in filter(None, text.split(",")):
        ours, equals, theirs = (piece.strip() for piece in part.partition("="))
        if not (ours and equals and theirs):
            raise Failure(f"--names must be OURS=YOURS, such as padding=border; got {part!r}")
        names[ours] = theirs
    return names


def load(target: str) -> Callable[..., Any]:
    """Return the function that ``FILE.py:FUNCTION`` names.

    Raises
    ------
    Failure
        If there is no such file or function, or the file cannot be run.
    """
    file, colon, name = target.rpartition(":")
    if not colon or not file or not name:
        raise Failure(f"{target!r} does not say FILE.py:FUNCTION")
    path = Path(file)
    if not path.is_file():
        raise Failure(f"there is no file {file}")
    function: Any = _module(path)
    for part in name.split("."):
        if not hasattr(function, part):
            known = [n for n, v in vars(function).items() if callable(v) and not n.startswith("_")]
            raise Failure(f"{file} has no {name}; it has {', '.join(known) or 'no function'}")
        function = getattr(function, part)
    if not callable(function):
        raise Failure(f"{name} in {file} is not a function but {type(function).__name__}")
    return function


def _module(path: Path) -> Any:
    """Run a file as a module, with its neighbours within reach."""
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise Failure(f"{path} is not a Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules.setdefault(path.stem, module)  # where dataclasses and pickles look for it
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit included: the file is not ours
        raise Failure(f"{path} cannot be run: {_first_line(error, path)}") from error
    finally:
        sys.path.pop(0)
    return module


def _first_line(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}" if error.lineno else error.msg
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.resolve()]
    where = f"line {frames[-1].lineno}: " if frames else ""
    return f"{where}{type(error).__name__}: {error}"
