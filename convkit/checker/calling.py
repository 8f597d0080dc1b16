"""Calls of a function that nothing is known about: it may raise, print, hang, or write into its arguments."""

from __future__ import annotations

import contextlib
import ctypes
import inspect
import io
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .convention import Convention
from .model import Case, Result

__all__ = ["THREAD", "Caller", "Observation", "TooSlow"]

THREAD = "convkit.check"  # name of the thread that makes a call
COMPILING = 60.0  # seconds that Numba may need to compile a function for one dtype


class TooSlow(Exception):
    """The function did not return in time."""


class _Stop(BaseException):
    """Raised inside a function that takes too long; not an Exception, which it might catch."""


@dataclass
class Observation:
    """What one call did.

    Attributes
    ----------
    result : dict
        Outputs by name, as arrays of numbers.
    raised : str
        The exception and where it was raised, or why the call could not be made sense of.
    error : BaseException or None
        The exception.
    unusable : str
        What was returned instead of numbers.
    changed : tuple of str
        Arguments that the call wrote into.
    notes : list of str
        What is worth saying and breaks no rule.
    single : bool
        True if the result is of float32.
    """

    result: Result = field(default_factory=dict)
    raised: str = ""
    error: BaseException | None = None
    unusable: str = ""
    changed: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    single: bool = False


class Caller:
    """Calls one function, with a limit to the time of all calls together."""

    def __init__(self, function: Callable[..., Any], convention: Convention, seconds: float) -> None:
        self.function, self.convention = function, convention
        self.left = self.seconds = seconds
        self.calls = 0
        self.printed = ""

    def __call__(self, case: Case) -> Observation:
        """Make one call and return what it did.

        Raises
        ------
        TooSlow
            If the time is up.
        """
        args, named, arrays = self.convention.arguments(case)
        before = {name: a.copy() for name, a in arrays.items()}
        value, error, printed = self._run(args, named)
        self.printed = self.printed or printed
        seen = Observation()
        if error is not None:
            seen.error, seen.raised = error, _where(error, self.function)
            return seen
        operation = self.convention.operation
        seen.changed = tuple(
            name
            for name, a in arrays.items()
            if name not in operation.in_place and not np.array_equal(a, before[name], equal_nan=True)
        )
        updated = {name: arrays[name] for name in operation.in_place if name in arrays}
        seen.result.update(updated)
        given = {a.dtype for a in arrays.values()}
        untouched = bool(updated) and all(np.array_equal(a, before[n]) for n, a in updated.items())
        self._read(
            value, self._outputs(case, untouched and _is_tuple(value, len(operation.outputs))), given, seen
        )
        if not seen.unusable:
            seen.result = self.convention.restored(seen.result)
        return seen

    def _outputs(self, case: Case, all_of_them: bool) -> list[str]:
        """Return what is expected to come back from a case; in-place outputs too if they all did."""
        operation = self.convention.operation
        unasked = [out for out, option in operation.only_with.items() if not case.call.get(option)]
        away = (*unasked, *(() if all_of_them else operation.in_place))
        return [name for name in operation.outputs if name not in away]

    def _read(self, value: Any, outputs: list[str], given: set[np.dtype], seen: Observation) -> None:
        """Make arrays of what was returned."""
        returned = [name for name in outputs if name in self.convention.operation.in_place]
        if returned:
            seen.notes.append(f"it returned {' and '.join(returned)} instead of updating them in place")
        if isinstance(value, dict) and set(outputs) <= set(value):
            value = tuple(value[name] for name in outputs)
        if len(outputs) == 1:
            if isinstance(value, tuple) and value and not isinstance(value[0], int | float):
                seen.notes.append(f"it returned {len(value)} things, of which the first was taken")
                value = value[0]
            values: tuple[Any, ...] = (value,)
        elif isinstance(value, tuple | list) and len(value) <= len(outputs):
            values = tuple(value)
        else:
            values = (value,)
        if len(values) < len(outputs):
            seen.notes.append(f"it returned no {' and no '.join(outputs[len(values) :])}")
        for name, item in zip(outputs, values, strict=False):
            if item is None and len(outputs) > 1 and any(v is not None for v in values):
                seen.notes.append(f"it returned None for {name}")
                continue
            seen.single |= getattr(item, "dtype", None) == np.float32
            whole = name in self.convention.operation.only_with
            array, problem = _as_array(item, given, seen.notes if not whole else [])
            if problem:
                seen.unusable = problem
                return
            seen.result[name] = array

    def _run(self, args: list[Any], named: dict[str, Any]) -> tuple[Any, BaseException | None, str]:
        """Run the function in a thread of its own, which can be given up where this one could not."""
        box: list[Any] = [None, None]
        printed = io.StringIO()

        def body() -> None:
            try:
                with np.errstate(all="ignore"):
                    box[0] = self.function(*args, **named)
            except BaseException as error:  # whatever it is, it is not ours
                box[1] = error

        thread = threading.Thread(target=body, daemon=True, name=THREAD)
        versions = _versions(self.function)
        allowed = max(self.left, 0.05) + (COMPILING if versions is not None else 0)
        start = time.perf_counter()
        with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
            warnings.simplefilter("ignore")
            thread.start()
            try:
                thread.join(allowed)
            finally:  # also if the user has no more patience
                late = thread.is_alive()
                if late:
                    _stop(thread)
        if late:
            raise TooSlow(f"{self.seconds:g} s")
        if inspect.iscoroutine(box[0]):
            box[0].close()  # it was never to run; Python would warn of that
        if _versions(self.function) == versions:  # else Numba compiled it in that time
            self.left -= time.perf_counter() - start
        if self.left < 0:
            raise TooSlow(f"{self.seconds:g} s")
        self.calls += 1
        return box[0], box[1], printed.getvalue()


def _versions(function: Callable[..., Any]) -> int | None:
    """Return for how many signatures Numba has compiled a function; None if it is not Numba's."""
    return len(function.signatures) if hasattr(function, "py_func") else None  # type: ignore[attr-defined]


def _stop(thread: threading.Thread) -> None:
    """End a loop in Python code; a call that is stuck in C is left behind."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_Stop))
    thread.join(0.2)


def _where(error: BaseException, function: Callable[..., Any]) -> str:
    """Name an exception and the line of the function's own file that it came from."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    code = getattr(function, "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)[1:]
    own = [f for f in frames if code is not None and f.filename == code.co_filename]
    if not own:
        return text
    return f"{text}\nin line {own[-1].lineno}: {own[-1].line}" if own[-1].line else text


def _is_tuple(value: Any, length: int) -> bool:
    return isinstance(value, tuple) and len(value) == length


def _as_array(item: Any, given: set[np.dtype], notes: list[str]) -> tuple[np.ndarray, str]:
    """Return an output as a float64 array, or in words what it is instead."""
    nothing = np.empty(0)
    if item is None:
        return nothing, "None"
    try:
        array = np.asarray(item)
        if array.dtype.kind == "f" and given == {np.dtype(np.float32)} != {array.dtype}:
            notes.append(f"float32 came back as {array.dtype}; convkit keeps the dtype")
        if array.dtype.kind in "biu":
            notes.append(f"the result is an array of {array.dtype}, not of floating-point numbers")
        if array.dtype.kind == "c" and np.any(np.abs(array.imag) > 1e-6 * np.abs(array).max(initial=0)):
            return nothing, "complex numbers"
        if array.dtype.kind == "c":
            notes.append("the result is complex, with nothing in its imaginary part: take `.real`")
            array = array.real
        if array.dtype.kind not in "biuf" and not isinstance(item, list | tuple):
            return nothing, f"{_a(item)} of {array.dtype}"
        if not isinstance(item, np.ndarray):
            notes.append(f"the result is {_a(item)}, not an array")
        return array.astype(np.float64), ""
    except Exception as error:
        return nothing, f"{_a(item)} that is no array of numbers ({type(error).__name__}: {error})"


def _a(item: Any) -> str:
    name = type(item).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
