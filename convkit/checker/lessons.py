"""A rule explained: what it says, and the smallest example of it broken."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import takewhile

import numpy as np

from .model import Operation, Result, Rule
from .operations import OPERATIONS, all_rules, operation
from .record import Finding, agree
from .report import Counterexample, counterexample
from .text import LARGEST, Line, example_lines, ledger_lines, rule_lines

__all__ = ["example_of", "lesson_lines", "operations_of"]


def operations_of(name: str) -> dict[str, Rule]:
    """Return the operations that have a rule of that name, each with its form of the rule.

    Raises
    ------
    ValueError
        If there is none.
    """
    table = all_rules()
    found = {like: of[name] for like, of in table.items() if name in of}
    if not found:
        near = get_close_matches(str(name), [n for of in table.values() for n in of], 3, 0.5)
        hint = f"; did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""
        raise ValueError(f"there is no rule {name!r}{hint}")
    return found


def example_of(of: Operation, rule: Rule) -> Counterexample | None:
    """Return the smallest call that tells a function that breaks a rule from a right one.

    What it would return is computed by the rule itself; None where the rule has no way to. Preferred is a
    call on which none of the rules before it, broken, would return the same; after that, one with numbers
    that differ, and that are few enough to be written out.
    """
    plainest: Finding | None = None
    smallest: Finding | None = None
    for i, case in enumerate(of.cases):
        for wrong in rule.wrong:
            foretold = of.predicted(i, wrong)
            for output, got in (foretold or {}).items():
                expected = of.truths[i][output]
                if foretold is None or agree(got, expected, case.tolerance):
                    continue
                found = Finding(rule, case, of.truths[i], foretold, output)
                smallest = smallest or found
                if _shows(got, expected):
                    plainest = plainest or found
                    if not _looks_like_one_before(of, rule, i, foretold):
                        return counterexample(found, of.name)
    shown = plainest or smallest
    return None if shown is None else counterexample(shown, of.name)


def _shows(got: np.ndarray, expected: np.ndarray) -> bool:
    """Tell whether there is something to see: not axes alone, and no numbers that are left out."""
    reshaped = got.ndim != expected.ndim and np.array_equal(got.ravel(), expected.ravel())
    return not reshaped and max(got.size, expected.size) <= LARGEST


def _looks_like_one_before(of: Operation, rule: Rule, i: int, result: Result) -> bool:
    """Tell whether one of the rules before it, broken, gives the same on a case."""
    before = takewhile(lambda other: other.name != rule.name, of.rules)
    return any(
        foretold is not None
        and foretold.keys() == result.keys()
        and all(agree(foretold[name], result[name], of.cases[i].tolerance) for name in result)
        for foretold in (of.predicted(i, wrong) for other in before for wrong in other.wrong)
    )


def lesson_lines(name: str) -> list[Line]:
    """Write a rule with an example of it broken."""
    found = operations_of(name)
    lines = rule_lines(next(iter(found.values())), ", ".join(found))
    for like, rule in found.items():
        if (example := _example(like, rule)) is not None:
            lines += [[], [("The smallest call that shows it:", "head")], [], *example_lines(example)]
            lines += ledger_lines(like, example)
            break
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _example(like: str, rule: Rule) -> Counterexample | None:
    """Return an example; a rule of conduct takes the first operation's."""
    return example_of(operation(like if like in OPERATIONS else OPERATIONS[0]), rule)
