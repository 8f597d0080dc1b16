"""Calls a function on every case, and finds out which cases it was not made for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from .calling import Caller, Observation, TooSlow
from .conduct import CONDUCT, conduct
from .model import Case, Operation, Result
from .record import Finding, Record

__all__ = ["forgive", "observe"]

TWICE = 12
"""How many cases are called a second time, to see whether the same call returns the same."""


def observe(caller: Caller, operation: Operation) -> Record:
    """Call the function on every case that it can be asked to do; note breaches of conduct."""
    record, twice = Record(operation, layout=caller.convention.layout), 0
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


def forgive(record: Record) -> None:
    """Leave out whole kinds of cases that the function does not do: pairs for an option, some rank.

    A function of images need not raise on every vector: `mean[:, None, None]` makes another rank of it
    without a word. So what comes back with too many or too few axes counts as not done, if others raise.
    """
    cases, observations = record.operation.cases, record.observations
    first = record.operation.arrays[0]
    ranks = sorted({case.call[first].ndim for case in cases})
    kinds: dict[str, partial[bool]] = {
        f"your function takes a number for {option}, but no pair": partial(_has_pair, option)
        for option in record.operation.arguments
        if any(isinstance(case.call.get(option), int) for case in cases)
    }
    for rank in ranks if len(ranks) > 1 else ():
        form = record.operation.forms.get(rank, f"of {rank} {'axis' if rank == 1 else 'axes'}")
        kinds[f"your function takes no {first} {form}"] = partial(_has_rank, first, rank)
    for reason, is_one in kinds.items():
        made = record.made()
        those = {i for i in made if is_one(cases[i])}
        raised = {i for i in made if (seen := observations[i]) is not None and seen.raised}
        refused = raised | {i for i in those if is_one.func is _has_rank and _of_another_rank(record, i)}
        if those & raised and those <= refused and set(made) - refused:
            record.skipped[reason] = len(those)
            for i in those:
                observations[i] = None


def _of_another_rank(record: Record, i: int) -> bool:
    """Tell whether the first output has not as many axes as it should."""
    seen, name = record.observations[i], record.operation.outputs[0]
    assert seen is not None
    return name in seen.result and seen.result[name].ndim != record.operation.truths[i][name].ndim


def _has_pair(option: str, case: Case) -> bool:
    return isinstance(case.call.get(option), tuple)


def _has_rank(name: str, rank: int, case: Case) -> bool:
    return case.call[name].ndim == rank
