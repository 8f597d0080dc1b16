"""Several faults in one function, each looked for where it shows alone.

Faults hide one another where they meet: the results of a turned kernel whose last window is lost and whose
bias is added twice are those of no single rule, nor of two. But calls come in kinds: without options, with
a stride, with more than one channel. So kinds are gone through from the simplest, and the rules that explain
one are kept for the next. There they explain that as well, or one rule more does, or another in place
of one of them; or else the kind is unexplained, and so are all that contain it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, permutations

import numpy as np

from .explaining import Broken, as_foretold, each_matters, explains, findings, telling_first
from .model import Case, Operation, Wrong
from .record import Finding, Record
from .unexplained import SEVERAL, unexplained

__all__ = ["in_parts"]

Kind = frozenset[str]  # what the calls have that simpler ones have not, in words

CHANCE = 2
"""How many wrong results a rule has to explain in a kind to be named: one may be right by chance."""

NUMBERS = {2: "Two", 3: "Three", 4: "Four", 5: "Five"}


@dataclass
class _Told:
    """The rules found so far, and what they explain."""

    broken: Broken = ()
    cases: list[int] = field(default_factory=list)
    traits: set[str] = field(default_factory=set)
    where: dict[str, Kind] = field(default_factory=dict)  # rule -> what brought it to light


def in_parts(record: Record, output: str) -> list[Finding]:
    """Return rules that explain an output in some kinds of calls, and what they leave; nothing if none do."""
    failing = set(record.failing(output))
    told = _Told()
    unknown: list[Kind] = []
    for kind, cases in _kinds(record, output):
        if any(simpler <= kind for simpler in unknown):
            continue
        broken = _extended(record, output, told, cases, failing)
        if broken is None:
            unknown.append(kind)
            continue
        new = [rule.name for rule, _ in broken if rule.name not in told.where]
        gone = set(told.where) - {rule.name for rule, _ in broken}
        for name in new:
            told.where[name] = told.where.pop(gone.pop()) if gone else (kind - told.traits or kind)
        told.broken = broken
        told.cases += cases
        told.traits |= kind
    return _said(record, output, told, failing) if told.broken else []


def _kinds(record: Record, output: str) -> list[tuple[Kind, list[int]]]:
    """Return the cases that returned an output by their kinds, the simplest first."""
    operation = record.operation
    kinds = {i: frozenset(_traits(operation, operation.cases[i])) for i in record.made(output)}
    every = frozenset.intersection(*kinds.values())
    grouped: dict[Kind, list[int]] = {}
    for i, kind in kinds.items():
        grouped.setdefault(kind - every, []).append(i)
    return sorted(grouped.items(), key=lambda item: (len(item[0]), item[1][0]))


def _traits(operation: Operation, case: Case) -> Iterator[str]:
    for name, value in case.call.items():
        if name not in operation.arrays:
            yield f"`{name}={value!r}`" if isinstance(value, bool | str) else f"`{name}`"
            if isinstance(value, tuple):
                yield f"a pair for `{name}`"
        elif name == operation.arrays[0] and value.ndim in operation.forms:
            yield f"`{name}` {operation.forms[value.ndim]}"
        if isinstance(value, np.ndarray):
            axes = zip(operation.axes.get(name, ""), value.shape, strict=False)
            yield from (SEVERAL[letter] for letter, size in axes if size > 1)


def _extended(
    record: Record, output: str, told: _Told, cases: Sequence[int], failing: set[int]
) -> Broken | None:
    """Return rules that explain further cases together with those explained so far, or None."""
    wrong = [i for i in cases if i in failing]

    def fits(broken: Broken) -> bool:
        wrongs = tuple(wrong for _, wrong in broken)
        if len({rule.name for rule, _ in broken}) < len(broken):
            return False
        for part in (cases, told.cases):
            if not explains(record, wrongs, [output], telling_first(part, failing), failing & set(part)):
                return False
        return len(broken) < 2 or each_matters(record, wrongs, sorted(failing & {*cases, *told.cases}))

    if fits(told.broken):
        return told.broken
    if len(wrong) < CHANCE:
        return None
    every = record.operation.wrongs
    for at in range(len(told.broken)):
        for one in every:
            if fits(broken := (*told.broken[:at], one, *told.broken[at + 1 :])):
                return broken
    counts = (1,) if told.broken else (1, 2)
    for more in chain.from_iterable(permutations(every, count) for count in counts):
        for broken in ((*told.broken, *more), (*more, *told.broken)) if told.broken else (more,):
            if fits(broken):
                return broken
    return None


def _said(record: Record, output: str, told: _Told, failing: set[int]) -> list[Finding]:
    """Return a finding for each rule, and one for what they do not explain."""
    wrongs = tuple(wrong for _, wrong in told.broken)
    left = [i for i in sorted(failing) if not _foretold(record, output, i, wrongs)]
    things = len(told.broken) + bool(left)
    start = f"{NUMBERS.get(things, 'Many')} things differ. " if things > 1 else ""
    hints = [f"{start}This one shows {_where(told.where[rule.name])}." for rule, _ in told.broken]
    found = findings(record, told.broken, [[i for i in told.cases if i in failing]], hints)
    if left:
        alone = [i for i in left if _no_difference(record, output, i, wrongs)]
        hint = f"{start}This one is left when those above are mended."
        found.append(unexplained(record, output, left, hint, alone))
    return found


def _foretold(record: Record, output: str, i: int, wrongs: tuple[Wrong, ...]) -> bool:
    """Tell whether broken rules give the output that was seen in a case."""
    foretold, seen = record.operation.predicted(i, *wrongs), record.observations[i]
    assert seen is not None
    if not foretold or output not in foretold:
        return False
    return as_foretold(seen.result[output], foretold[output], record.operation.cases[i].tolerance)


def _no_difference(record: Record, output: str, i: int, wrongs: tuple[Wrong, ...]) -> bool:
    """Tell whether broken rules leave the right output in a case."""
    foretold, case = record.operation.predicted(i, *wrongs), record.operation.cases[i]
    truth = record.operation.truths[i][output]
    return foretold is not None and as_foretold(foretold.get(output, truth), truth, case.tolerance)


def _where(kind: Kind) -> str:
    return f"in calls with {' and '.join(sorted(kind))}" if kind else "in the simplest calls"
