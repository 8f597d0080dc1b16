"""From what a function did on every case to the rules that it breaks.

A rule *explains* results if a function that breaks it would have returned them, all of them, the right
ones included. One rule is looked for first, then one for each output, then two at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, permutations

import numpy as np

from .calling import Caller, Observation, TooSlow
from .conduct import CONDUCT, conduct
from .model import Case, Operation, Result, Rule, Wrong

__all__ = ["Finding", "agree", "diagnose", "observe"]

SILENCE = 4
"""How many wrong results may go without a word for each one that a rule foretells."""

TWICE = 12
"""How many cases are called a second time, to see whether the same call returns the same."""


@dataclass
class Finding:
    """A broken rule, and the smallest case that shows it."""

    rule: Rule
    case: Case
    expected: Result | str = ""
    got: Result | str = ""
    output: str = ""
    hint: str = ""


@dataclass
class Record:
    """All that was seen: an observation a case, None where it could not be asked for."""

    operation: Operation
    observations: list[Observation | None] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)  # rules about which nothing could be found out


def agree(got: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    """Tell whether two arrays are equal but for rounding; NaN equals NaN."""
    return got.shape == expected.shape and not bool(differing(got, expected, tolerance).any())


def differing(got: np.ndarray, expected: np.ndarray, tolerance: float) -> np.ndarray:
    """Return where two arrays of one shape differ by more than rounding."""
    finite = np.abs(expected[np.isfinite(expected)])
    bound = tolerance * finite.max(initial=1e-3)
    with np.errstate(invalid="ignore"):
        near = np.abs(got - expected) <= bound
    return ~(near | (got == expected) | (np.isnan(got) & np.isnan(expected)))


# --- calling -------------------------------------------------------------------------------


def observe(caller: Caller, operation: Operation) -> Record:
    """Call the function on every case that it can be asked to do; note breaches of conduct."""
    record, twice = Record(operation), 0
    for i, case in enumerate(operation.cases):
        if reason := caller.convention.lacks(case):
            record.skipped[reason] = record.skipped.get(reason, 0) + 1
            record.observations.append(None)
            continue
        try:
            seen = caller(case)
            again = caller(case) if twice < TWICE and not seen.raised and not seen.unusable else None
        except TooSlow as error:
            text = f"no answer within {error}, in call {caller.calls + 1}"
            record.findings.append(Finding(conduct("too_slow"), case, "an answer", text))
            return record
        record.observations.append(_withdrawn(seen, case, record))
        if seen.unusable:
            record.findings.append(
                Finding(conduct("nothing_returned"), case, operation.truths[i], seen.unusable)
            )
            return record
        if seen.changed and "input_overwritten" not in _names(record.findings):
            text = f"{' and '.join(seen.changed)} changed"
            record.findings.append(
                Finding(conduct("input_overwritten"), case, "arguments as they were", text)
            )
        if again is not None:
            twice += 1
            for name in seen.result:
                if not np.array_equal(seen.result[name], again.result.get(name, np.empty(0)), equal_nan=True):
                    record.findings.append(_unrepeatable(operation, case, seen, again, name))
                    return record
    return record


def _withdrawn(seen: Observation, case: Case, record: Record) -> Observation | None:
    """Return the observation, or None where the function may say that it does not do this case."""
    if isinstance(seen.error, NotImplementedError) or (seen.raised and case.may_refuse):
        said = seen.raised.splitlines()[0] if not case.may_refuse else type(seen.error).__name__
        reason = f"your function refuses it ({said})"
        record.skipped[reason] = record.skipped.get(reason, 0) + 1
        return None
    if seen.single and case.double:
        reason = "your function works in float32, which does not hold these numbers"
        record.skipped[reason] = record.skipped.get(reason, 0) + 1
        return None
    return seen


def _unrepeatable(
    operation: Operation, case: Case, seen: Observation, again: Observation, name: str
) -> Finding:
    every = {rule.name: rule for rule in (*operation.rules, *CONDUCT)}
    expected: Result | str = {name: seen.result[name]}
    got: Result | str = {name: again.result.get(name, np.empty(0))}
    hint = "expected: what the first call returned; got: what the second one did"
    return Finding(every[operation.unrepeatable], case, expected, got, name, hint)


def _names(findings: Iterable[Finding]) -> set[str]:
    return {finding.rule.name for finding in findings}


# --- explaining ----------------------------------------------------------------------------


def diagnose(record: Record) -> list[Finding]:
    """Return the broken rules that explain the results of a record, each with its smallest case."""
    _forgive(record)
    crashed = [i for i, seen in enumerate(record.observations) if seen is not None and seen.raised]
    failing = {name: cases for name in record.operation.outputs if (cases := _failing(record, name))}
    if crashed and (broken := _explanation(record, tuple(failing), 1, crashed)):
        return _findings(record, broken, [*failing.values(), crashed])
    found: list[Finding] = []
    foreseen = False
    for count in (1, 2):
        for names in (tuple(failing), *((name,) for name in failing)):
            if names and set(names) <= set(failing) and (broken := _explanation(record, names, count)):
                found += _findings(record, broken, [failing.pop(name) for name in names])
                wrongs = [wrong for _, wrong in broken]
                foreseen |= all(record.operation.predicted(i, *wrongs) is None for i in crashed)
    found += [_unexplained(record, name, cases) for name, cases in failing.items()]
    if crashed and not foreseen:
        found.append(_crash(record, crashed))
    return list({finding.rule.name: finding for finding in reversed(found)}.values())[::-1]


def _failing(record: Record, output: str) -> list[int]:
    """Return the cases whose output is wrong."""
    wrong = []
    for i, seen in enumerate(record.observations):
        if seen is not None and output in seen.result:
            expected = record.operation.truths[i][output]
            if not agree(seen.result[output], expected, record.operation.cases[i].tolerance):
                wrong.append(i)
    return wrong


def _explanation(
    record: Record, names: Sequence[str], count: int, crashed: Sequence[int] = ()
) -> tuple[tuple[Rule, Wrong], ...]:
    """Return `count` rules that explain the named outputs, and how they are broken; none if none do.

    Calls that raised are left out, or, where `crashed` names them, have to be those about which
    the broken rule says nothing.
    """
    operation = record.operation
    failing = {i for name in names for i in _failing(record, name)}
    made = [
        i for i, seen in enumerate(record.observations) if seen is not None and (crashed or not seen.raised)
    ]
    order = sorted(made, key=lambda i: (i not in failing, i))  # what is wrong decides soonest
    for broken in permutations(operation.wrongs, count):  # which of two comes first can matter
        rules, wrongs = zip(*broken, strict=True)
        if len(set(rules)) == count and _explains(record, wrongs, names, order, failing):
            return broken
    return ()


def _explains(
    record: Record, wrongs: tuple[Wrong, ...], names: Sequence[str], order: Sequence[int], failing: set[int]
) -> bool:
    """Tell whether rules broken in these ways would have given all that was seen.

    A case of which they foretell nothing may raise, or return anything but the right result; but there
    must not be many more of these than of wrong results that were foretold.
    """
    operation = record.operation
    foretold = silent = 0
    for i in order:
        seen, tolerance = record.observations[i], operation.cases[i].tolerance
        expected = operation.predicted(i, *wrongs)
        assert seen is not None
        if not expected:
            if expected is None and not seen.raised and i not in failing:
                return False
            foretold += expected == {} and i in failing
            silent += expected is None and not seen.raised
        elif seen.raised:
            return False
        else:
            shown = [n for n in (names or expected) if n in seen.result and n in expected]
            if not all(agree(seen.result[n], expected[n], tolerance) for n in shown):
                return False
            foretold += i in failing and bool(shown)
    return SILENCE * foretold >= silent and (foretold > 0 or not failing)


def _findings(
    record: Record, broken: Sequence[tuple[Rule, Wrong]], failing: Sequence[Sequence[int]]
) -> list[Finding]:
    """Return a finding for each broken rule, with the smallest case where it alone makes a difference."""
    operation, found = record.operation, []
    cases = sorted({i for cases in failing for i in cases})
    for rule, wrong in broken:
        i = next((i for i in cases if _matters(operation, i, wrong)), cases[0])
        found.append(_finding(record, rule, i))
    return found


def _matters(operation: Operation, i: int, wrong: Wrong) -> bool:
    foretold, truth = operation.predicted(i, wrong), operation.truths[i]
    tolerance = operation.cases[i].tolerance
    return not foretold or not all(agree(a, truth[n], tolerance) for n, a in foretold.items())


def _finding(record: Record, rule: Rule, i: int, hint: str = "") -> Finding:
    case, truth, seen = record.operation.cases[i], record.operation.truths[i], record.observations[i]
    assert seen is not None
    if seen.raised:
        return Finding(rule, case, truth, seen.raised, hint=hint)
    wrong = [n for n in truth if n in seen.result and not agree(seen.result[n], truth[n], case.tolerance)]
    return Finding(rule, case, truth, seen.result, wrong[0] if wrong else next(iter(truth)), hint)


def _forgive(record: Record) -> None:
    """Leave out whole kinds of cases that the function does not do: pairs for an option, some rank."""
    cases, observations = record.operation.cases, record.observations
    first = record.operation.arrays[0]
    ranks = sorted({case.call[first].ndim for case in cases})
    kinds: dict[str, Callable[[Case], bool]] = {
        f"your function takes a number for {option}, but no pair": partial(_has_pair, option)
        for option in record.operation.arguments
        if any(isinstance(case.call.get(option), int) for case in cases)
    }
    for rank in ranks if len(ranks) > 1 else ():
        kinds[f"your function takes no {first} with {rank} axes"] = partial(_has_rank, first, rank)
    for reason, is_one in kinds.items():
        made = [i for i, seen in enumerate(observations) if seen is not None]
        raised = {i for i in made if (seen := observations[i]) is not None and seen.raised}
        those = {i for i in made if is_one(cases[i])}
        if those and those <= raised and len(raised) < len(made):
            record.skipped[reason] = len(those)
            for i in those:
                observations[i] = None


def _has_pair(option: str, case: Case) -> bool:
    return isinstance(case.call.get(option), tuple)


def _has_rank(name: str, rank: int, case: Case) -> bool:
    return case.call[name].ndim == rank


# --- what no rule explains -----------------------------------------------------------------


def _unexplained(record: Record, name: str, wrong: Sequence[int]) -> Finding:
    i = wrong[0]
    seen = record.observations[i]
    assert seen is not None
    same_shape = all(
        s.result[name].shape == record.operation.truths[j][name].shape
        for j in wrong
        if (s := record.observations[j]) is not None
    )
    rule = conduct("wrong_values" if same_shape else "wrong_shape")
    finding = _finding(record, rule, i, _pattern(record, wrong, "differs"))
    finding.output = name
    return finding


def _crash(record: Record, crashed: Sequence[int]) -> Finding:
    hint = _pattern(record, crashed, "raises")
    if record.operation.axes and all(seen is None or seen.raised for seen in record.observations):
        hint += (
            " Images come with the axes (N, C, H, W): for one image or one plane, say layout='CHW' or 'HW'."
        )
    return _finding(record, conduct("crashes"), crashed[0], hint)


def _pattern(record: Record, wrong: Sequence[int], verb: str) -> str:
    """Say what all the wrong cases, and the fewest of the right ones, have in common."""
    operation = record.operation
    made = [i for i, seen in enumerate(record.observations) if seen is not None]
    having: dict[str, set[int]] = {}
    for i in made:
        for trait in _traits(operation, operation.cases[i]):
            having.setdefault(trait, set()).add(i)
    alone = [((trait,), calls) for trait, calls in having.items()]
    either = [((a, b), having[a] | having[b]) for a, b in combinations(having, 2)]
    text = f"It {verb} on {len(wrong)} of {len(made)} calls"
    for choice in (alone, either):
        covering = [(traits, calls) for traits, calls in choice if set(wrong) <= calls]
        if covering:
            traits, calls = min(covering, key=lambda item: len(item[1]))
            if len(calls) <= 2 * len(wrong) and len(calls) < len(made):
                others = (
                    f"and {len(calls) - len(wrong)} others" if len(calls) > len(wrong) else "and no others"
                )
                return f"{text}. All of these, {others}, have {' or '.join(traits)}: look there."
    return f"{text}."


def _traits(operation: Operation, case: Case) -> Iterator[str]:
    """Name what a case has that a simpler one has not."""
    letters = {"N": "more than one image", "C": "more than one channel", "O": "more than one filter"}
    for name, value in case.call.items():
        if not isinstance(value, np.ndarray):
            yield f"`{name}`"
            yield f"`{name}={value!r}`"
            if isinstance(value, tuple) and len(set(value)) > 1:
                yield f"`{name}` that is not the same for rows and columns"
            continue
        if name not in operation.arrays:
            yield f"`{name}`"
        elif value.ndim == 4 and value.shape[2] != value.shape[3]:
            yield f"`{name}` that is not square"
        for axis, letter in enumerate(operation.axes.get(name, "")):
            if value.shape[axis] > 1:
                yield letters[letter]
        if (value < 0).any():
            yield f"negative numbers in `{name}`"
        if not np.isfinite(value).all():
            yield f"NaN or infinity in `{name}`"
