"""When broken rules explain what was seen, and which case shows each of them best."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from .model import NUMBERS, Operation, Rule, Wrong
from .record import Finding, Record, agree, found_at

__all__ = ["Broken", "as_foretold", "changed", "each_matters", "explains", "findings", "telling_first"]

Broken = tuple[tuple[Rule, Wrong], ...]  # rules and how each is broken

SILENCE = 4
"""How many wrong results may go without a word for each one that a rule foretells."""

PATIENCE = 3
"""How many results of several broken rules together are waited for: most pairs lead nowhere in every case."""

SPREAD = 7
"""One case in so many is looked at first."""


def telling_first(cases: Sequence[int], failing: Collection[int]) -> list[int]:
    """Return cases, those first that are likely to say no: wrong ones, of all sizes, the largest first.

    In a large case more of what can be wrong shows; and a few cases of all kinds are soon gone through.
    """
    return sorted(cases, key=lambda i: (i not in failing, i % SPREAD, -i))


def explains(
    record: Record,
    wrongs: tuple[Wrong, ...],
    names: Sequence[str],
    order: Sequence[int],
    failing: Collection[int],
) -> bool:
    """Tell whether rules broken in these ways would have given all that was seen in some cases.

    A case of which they foretell nothing may raise, or return anything but the right result; but there
    must not be many more of these than of wrong results that were foretold. Where they let come out
    any numbers, one that raises proves nothing. Nor does an empty result, unless it has the shape that was
    foretold, or, where several rules are broken, that one of them lets come out anything; and they are
    given up where the first few cases leave them without a word.

    Parameters
    ----------
    record : Record
        What was seen.
    wrongs : tuple of Wrong
        How rules are broken, all at once.
    names : sequence of str
        The outputs to look at; all if there are none.
    order : sequence of int
        The cases, best those first that are likely to say no.
    failing : collection of int
        Those of which one of these outputs is wrong.
    """
    operation = record.operation
    foretold = garbage = silent = unforeseen = 0
    for i in order:
        seen, tolerance = record.observations[i], operation.cases[i].tolerance
        expected = operation.predicted(i, *wrongs)
        assert seen is not None
        if not expected:
            if expected is None and not seen.raised and i not in failing:
                return False
            garbage += expected == {} and i in failing
            unforeseen += bool(seen.raised) and expected is NUMBERS
            silent += expected is None and not seen.raised
        elif seen.raised:
            return False
        else:
            shown = [n for n in (names or expected) if n in seen.result and n in expected]
            if not all(as_foretold(seen.result[n], expected[n], tolerance) for n in shown):
                return False
            proofs = (expected[n].size or expected[n].shape == seen.result[n].shape for n in shown)
            foretold += i in failing and any(proofs)
            silent += i in failing and not shown
        if len(wrongs) > 1 and silent > SILENCE * (foretold + PATIENCE):
            return False
    if len(wrongs) > 1 and garbage > foretold:
        return False
    foretold += garbage
    return SILENCE * foretold >= silent and (foretold > 0 or not (failing or unforeseen))


def as_foretold(got: np.ndarray, foretold: np.ndarray, tolerance: float) -> bool:
    """Tell whether a result is what a broken rule gives.

    Nested lists of no windows make an array of shape (0,), loops over a preallocated array one of shape
    (1, 1, 0, 3): where nothing is left, nothing differs.
    """
    return got.size == foretold.size == 0 or agree(got, foretold, tolerance)


def changed(operation: Operation, i: int, wrong: Wrong) -> list[str]:
    """Return the outputs that a broken rule changes in a case; all of them where nobody knows."""
    foretold, truth = operation.predicted(i, wrong), operation.truths[i]
    if not foretold:
        return list(truth)
    tolerance = operation.cases[i].tolerance
    return [n for n, a in foretold.items() if not agree(a, truth[n], tolerance)]


def findings(
    record: Record, broken: Broken, failing: Sequence[Sequence[int]], hints: Sequence[str] = ()
) -> list[Finding]:
    """Return a finding for each broken rule, with the smallest case that shows it.

    That is one where the rule changes an output that is wrong; if it can be, one where no other of the broken
    rules does, or else one where the output would be another without it.
    """
    operation, found = record.operation, []
    wrongs = tuple(wrong for _, wrong in broken)
    cases = sorted({i for cases in failing for i in cases})
    for number, (rule, wrong) in enumerate(broken):
        others = tuple((r, w) for r, w in broken if w is not wrong)
        showing = [i for i in cases if _shown(record, i, wrong)]
        alone = [i for i in showing if not any(changed(operation, i, w) for _, w in others)]
        telling = [] if alone else [i for i in showing if _matters(operation, i, wrongs, wrong)]
        i = (alone or telling or showing or cases)[0]
        hint = hints[number] if hints else ""
        if besides := [r.name for r, w in others if not alone and changed(operation, i, w)]:
            hint = f"{hint} The example shows {' and '.join(besides)} as well.".lstrip()
        found.append(found_at(record, rule, i, hint, changed(operation, i, wrong)))
    return found


def each_matters(record: Record, wrongs: tuple[Wrong, ...], cases: Sequence[int]) -> bool:
    """Tell whether each of several broken rules shows in one of the cases at least."""
    return all(any(_matters(record.operation, i, wrongs, wrong) for i in cases) for wrong in wrongs)


def _matters(operation: Operation, i: int, wrongs: tuple[Wrong, ...], wrong: Wrong) -> bool:
    """Tell whether a case would come out otherwise if a rule were kept and only the others broken."""
    both = operation.predicted(i, *wrongs)
    without = operation.predicted(i, *(other for other in wrongs if other is not wrong))
    if not both or not without:
        return both == {} and bool(without)
    tolerance = operation.cases[i].tolerance
    return not all(as_foretold(both[n], without[n], tolerance) for n in both if n in without)


def _shown(record: Record, i: int, wrong: Wrong) -> bool:
    seen, outputs = record.observations[i], changed(record.operation, i, wrong)
    assert seen is not None
    return bool(outputs) if seen.raised else bool(set(outputs) & set(record.wrong_outputs(i)))
