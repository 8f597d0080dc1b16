"""From what a function did on every case to the rules that it breaks.

A rule *explains* results if a function that breaks it would have returned them, all of them, the right
ones included. One rule is looked for first, then one for each output, then two at a time, and then those
that show in some kinds of calls only: see :mod:`convkit.checker.parts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from .explaining import Broken, each_matters, explains, findings, telling_first
from .model import Rule, Wrong
from .observing import forgive
from .parts import in_parts
from .record import Finding, Record
from .unexplained import crash, multiplied, other_axes, unexplained

__all__ = ["diagnose"]


def diagnose(record: Record) -> list[Finding]:
    """Return the broken rules that explain the results of a record, each with its smallest case."""
    forgive(record)
    crashed = [i for i in record.made() if (seen := record.observations[i]) and seen.raised]
    failing = {name: cases for name in record.operation.outputs if (cases := record.failing(name))}
    if crashed and (broken := _explanation(record, tuple(failing), 1, crashed)):
        return findings(record, broken, [*failing.values(), crashed])
    found: list[Finding] = []
    foreseen = False
    for count in (1, 2):
        for names in (tuple(failing), *((name,) for name in failing)):
            if names and set(names) <= set(failing) and (broken := _explanation(record, names, count)):
                found += findings(record, broken, [failing.pop(name) for name in names])
                wrongs = [wrong for _, wrong in broken]
                foreseen |= all(record.operation.predicted(i, *wrongs) is None for i in crashed)
    for name, cases in failing.items():
        alike = other_axes(record, name, cases) or multiplied(record, name, cases)
        found += alike or in_parts(record, name) or [unexplained(record, name, cases)]
    if crashed and not foreseen:
        found.append(crash(record, crashed))
    return list({finding.rule.name: finding for finding in reversed(found)}.values())[::-1]


def _explanation(record: Record, names: Sequence[str], count: int, crashed: Sequence[int] = ()) -> Broken:
    """Return `count` rules that explain the named outputs, and how they are broken; none if none do.

    Calls that raised are left out, or, where `crashed` names them, have to be those about which
    the broken rule says nothing.
    """
    failing = {i for name in names for i in record.failing(name)}
    made = [i for i in record.made() if crashed or not _raised(record, i)]
    order = telling_first(made, failing)
    for broken in permutations(record.operation.wrongs, count):  # which of two comes first can matter
        rules: tuple[Rule, ...]
        wrongs: tuple[Wrong, ...]
        rules, wrongs = zip(*broken, strict=True)
        if len(set(rules)) < count or not explains(record, wrongs, names, order, failing):
            continue
        if count == 1 or each_matters(record, wrongs, sorted(failing)):
            return broken
    return ()


def _raised(record: Record, i: int) -> bool:
    seen = record.observations[i]
    return seen is not None and bool(seen.raised)
