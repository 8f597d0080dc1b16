"""What no rule explains: it is said by example, and by what the calls have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from .conduct import conduct
from .model import Case, Operation
from .record import Finding, Record, agree, found_at

__all__ = ["SEVERAL", "crash", "multiplied", "other_axes", "unexplained"]


SEVERAL = {"N": "more than one image", "C": "more than one channel", "O": "more than one filter"}


def unexplained(
    record: Record, output: str, wrong: Sequence[int], hint: str = "", clear: Sequence[int] = ()
) -> Finding:
    """Say that an output is wrong on some cases, by the smallest: of another shape, if there is one.

    A clear case, with nothing else wrong, is shown rather than others.
    """
    truths = record.operation.truths
    reshaped = [
        i
        for i in clear or wrong
        if (seen := record.observations[i]) is not None
        and seen.result[output].shape != truths[i][output].shape
    ]
    hint = f"{hint} {_pattern(record, wrong, 'differs')}".lstrip()
    first, forms = record.operation.arrays[0], record.operation.forms
    if forms and all(record.operation.cases[i].call[first].ndim == max(forms) for i in wrong):
        hint += " For a function of (N, C) alone say layout='NC'."
    rule, shown = ("wrong_shape", reshaped[0]) if reshaped else ("wrong_values", (clear or wrong)[0])
    return found_at(record, conduct(rule), shown, hint, (output,))


def other_axes(record: Record, output: str, wrong: Sequence[int]) -> list[Finding]:
    """Return a finding if an output holds the right numbers, and only axes of length 1 differ."""
    more = fewer = 0
    for i in wrong:
        seen, truth = record.observations[i], record.operation.truths[i][output]
        assert seen is not None
        got = seen.result[output]
        if not agree(np.squeeze(got), np.squeeze(truth), record.operation.cases[i].tolerance):
            return []
        more += got.ndim > truth.ndim
        fewer += got.ndim < truth.ndim
    if len(wrong) not in (more, fewer):
        return []
    rule = conduct("axes_added" if more else "axes_lost")
    return [found_at(record, rule, wrong[0], _pattern(record, wrong, "differs"), (output,))]


def multiplied(record: Record, output: str, wrong: Sequence[int]) -> list[Finding]:
    """Return a finding if an output is everywhere the right one times the same number."""
    factor = 0.0
    for i in [*wrong, *record.made(output)]:  # what is wrong says which number it is
        seen, truth = record.observations[i], record.operation.truths[i][output]
        assert seen is not None
        got = seen.result[output]
        if got.shape != truth.shape:
            return []
        known = np.where(np.isfinite(truth), np.abs(truth), 0.0)
        if not factor and known.any():
            at = np.unravel_index(known.argmax(), known.shape)
            factor = float(got[at] / truth[at])
        if not agree(got, factor * truth, record.operation.cases[i].tolerance):
            return []
    if len(wrong) < 2 or not factor:
        return []
    hint = f"Every number of {output} is {factor:.6g} times what it should be."
    return [found_at(record, conduct("all_multiplied"), wrong[0], hint, (output,))]


def crash(record: Record, crashed: Sequence[int]) -> Finding:
    """Say that valid calls raise, by the smallest."""
    hint = _pattern(record, crashed, "raises")
    everywhere = all(seen is None or seen.raised for seen in record.observations)
    if record.operation.axes and everywhere and record.layout == "NCHW":
        hint += (
            " Images come with the axes (N, C, H, W): for one image or one plane, say layout='CHW' or 'HW'."
        )
    return found_at(record, conduct("crashes"), crashed[0], hint)


def _pattern(record: Record, wrong: Sequence[int], verb: str) -> str:
    """Say what all the wrong cases, and the fewest of the right ones, have in common."""
    operation = record.operation
    made = record.made()
    having: dict[str, set[int]] = {}
    for i in made:
        for trait in _traits(operation, operation.cases[i]):
            having.setdefault(trait, set()).add(i)
    alone = [((trait,), calls) for trait, calls in having.items()]
    either = [((a, b), having[a] | having[b]) for a, b in combinations(having, 2)]
    text = f"It {verb} on {len(wrong)} of {len(made)} calls"
    for choice in (alone, either):
        covering = [(names, calls) for names, calls in choice if set(wrong) <= calls]
        if covering:
            names, calls = min(covering, key=lambda item: len(item[1]))
            if len(calls) <= 2 * len(wrong) and len(calls) < len(made):
                more = len(calls) - len(wrong)
                others = "no others" if not more else "one other" if more == 1 else f"{more} others"
                return f"{text}. All of these, and {others}, have {' or '.join(names)}: look there."
    return f"{text}."


def _traits(operation: Operation, case: Case) -> Iterator[str]:
    """Name what a case has that a simpler one has not."""
    for name, value in case.call.items():
        if not isinstance(value, np.ndarray):
            yield f"`{name}`"
            yield f"`{name}={value!r}`"
            if isinstance(value, tuple) and name not in operation.arrays:
                yield f"a pair for `{name}`"
            if isinstance(value, tuple) and len(set(value)) > 1:
                yield f"`{name}` that is not the same for rows and columns"
            continue
        if name == operation.arrays[0] and value.ndim in operation.forms:
            yield f"`{name}` {operation.forms[value.ndim]}"
        elif name not in operation.arrays:
            yield f"`{name}`"
        elif value.ndim == 4 and value.shape[2] != value.shape[3]:
            yield f"`{name}` that is not square"
        for axis, letter in enumerate(operation.axes.get(name, "")):
            if value.shape[axis] > 1:
                yield SEVERAL[letter]
        if (value < 0).any():
            yield f"negative numbers in `{name}`"
        if not np.isfinite(value).all():
            yield f"NaN or infinity in `{name}`"
