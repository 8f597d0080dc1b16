"""One check from beginning to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .calling import Caller
from .convention import Convention
from .diagnosis import diagnose
from .model import Operation
from .observing import observe
from .operations import OPERATIONS, operation
from .record import Record
from .report import Report

__all__ = ["run"]


def run(
    function: Callable[..., Any],
    like: str | None,
    names: Mapping[str, str] | None,
    layout: str,
    seconds: float,
) -> Report:
    """Do what :func:`convkit.check` says."""
    if not callable(function):
        raise TypeError(f"function must be callable, got {function!r}")
    own_name = getattr(function, "__name__", type(function).__name__)
    if like is None and own_name not in OPERATIONS:
        raise ValueError(f"say which operation {own_name} is like: one of {', '.join(OPERATIONS)}")
    chosen = operation(own_name if like is None else like)
    if names is not None and not isinstance(names, Mapping):
        raise TypeError(f"names must map arguments to parameters, got {names!r}")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 86_400:
        raise ValueError(f"seconds must be a number above 0 and at most a day, got {seconds!r}")
    convention = Convention(function, chosen, dict(names or {}), layout)
    caller = Caller(function, convention, float(seconds))
    record = _record(caller, chosen)
    shown = own_name if own_name.isidentifier() else "your_function"
    return Report(record, shown, caller)


def _record(caller: Caller, chosen: Operation) -> Record:
    if chosen.examine is not None:
        return chosen.examine(caller)
    record = observe(caller, chosen)
    if not any(seen is not None for seen in record.observations) and not record.findings:
        reasons = "; ".join(record.skipped)
        raise ValueError(f"the function can be asked no case of {chosen.name}: {reasons}")
    final = {"nothing_returned", "too_slow", chosen.unrepeatable}
    if not final & {finding.rule.name for finding in record.findings}:
        with np.errstate(all="ignore"):
            record.findings = [*diagnose(record), *record.findings]
    return record
