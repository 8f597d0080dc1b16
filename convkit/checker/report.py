"""What a check found: a report that is true when every rule holds, and says which are broken when not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .calling import Caller
from .conduct import CONDUCT
from .convention import Convention
from .model import Result
from .record import Finding, Record, agree, differing

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["Counterexample", "Report", "counterexample"]


@dataclass(frozen=True, eq=False)
class Counterexample:
    """The smallest call on which a function broke a rule.

    Attributes
    ----------
    rule : str
        Name of the rule.
    function : str
        Name of the function that was called.
    arguments : dict
        What it was called with, by convkit's names, in the order of its parameters.
    names : dict
        What the function itself calls them.
    output : str
        Name of the result that is shown, such as ``"grad_x"``.
    expected, got : ndarray or str
        That result; in words where there is no array to show.
    where : tuple of int, or None
        Index of the first number that differs; None where the shapes do.
    wrong : ndarray of bool, or None
        Which numbers differ.
    everything : dict
        The arguments together with those that the function has no parameter for, and with all axes.
    bare : int
        How many arguments come first and without their names.
    """

    rule: str
    function: str
    arguments: dict[str, Any]
    names: dict[str, str]
    output: str
    expected: np.ndarray | str
    got: np.ndarray | str
    where: tuple[int, ...] | None
    wrong: np.ndarray | None
    everything: dict[str, Any]
    bare: int

    @property
    def call(self) -> str:
        """The call, as a line of Python in which arrays go by their names."""
        written = []
        for i, (name, value) in enumerate(self.arguments.items()):
            text = name if isinstance(value, np.ndarray) else repr(value)
            written.append(text if i < self.bare else f"{self.names[name]}={text}")
        return f"{self.function}({', '.join(written)})"

    @property
    def code(self) -> str:
        """Lines of Python that make the arrays and the call, to be pasted."""
        lines = [
            f"{name} = {_source(value)}"
            for name, value in self.arguments.items()
            if isinstance(value, np.ndarray)
        ]
        return "\n".join(["import numpy as np", "", *lines, self.call])


class Report:
    """What :func:`convkit.check` returns: true if every rule holds that could be checked.

    Attributes
    ----------
    operation : str
        What the function was compared with.
    function : str
        The function's name.
    broken : tuple of str
        Names of the rules that it breaks.
    counterexample : Counterexample or None
        The smallest call that shows the first of them.
    counterexamples : tuple of Counterexample
        One for each of `broken`.
    calls : int
        How often the function was called.
    held, unchecked : tuple of str
        Rules that hold, and rules that none of the calls which the function takes could tell from it.
    skipped : dict
        Why some calls were not made, and how many.
    notes : tuple of str
        What breaks no rule and is worth knowing.
    """

    def __init__(self, record: Record, function: str, caller: Caller) -> None:
        self._record, self._convention = record, caller.convention
        self.operation = record.operation.name
        self.function = function
        self.calls = caller.calls
        self.findings: tuple[Finding, ...] = tuple(record.findings)
        self.skipped = dict(record.skipped)
        notes = [note for seen in record.observations if seen is not None for note in seen.notes]
        if caller.printed:
            lines = caller.printed.splitlines()
            notes.append(f"it prints: {lines[0][:60]!r}" + (" and more" if len(lines) > 1 else ""))
        self.notes = tuple(dict.fromkeys(notes))

    def __bool__(self) -> bool:
        return not self.findings

    @property
    def broken(self) -> tuple[str, ...]:
        return tuple(finding.rule.name for finding in self.findings)

    @cached_property
    def counterexamples(self) -> tuple[Counterexample, ...]:
        return tuple(counterexample(finding, self.function, self._convention) for finding in self.findings)

    @property
    def counterexample(self) -> Counterexample | None:
        return self.counterexamples[0] if self.findings else None

    @cached_property
    def unchecked(self) -> tuple[str, ...]:
        if self._record.operation.examine is not None:
            return tuple(self._record.untold)
        made = [i for i, seen in enumerate(self._record.observations) if seen is not None and not seen.raised]
        names = [rule.name for rule in self._record.operation.rules if not self._told(rule, made)]
        return tuple(name for name in names if name not in self.broken)

    def _told(self, rule: Any, made: Sequence[int]) -> bool:
        """Tell whether some call that was made would have come out otherwise, had the rule been broken."""
        operation, observations = self._record.operation, self._record.observations
        if not rule.wrong:
            return True
        for wrong in rule.wrong:
            for i in made:
                seen, truth = observations[i], operation.truths[i]
                foretold = operation.predicted(i, wrong)
                if foretold is None or seen is None:
                    continue
                tolerance = operation.cases[i].tolerance
                shown = [n for n in foretold if n in seen.result]
                if not foretold or not all(agree(foretold[n], truth[n], tolerance) for n in shown):
                    return True
        return False

    @cached_property
    def held(self) -> tuple[str, ...]:
        if not self:
            return ()
        every = [*self._record.operation.rules, *CONDUCT]
        return tuple(dict.fromkeys(rule.name for rule in every if rule.name not in self.unchecked))

    def __str__(self) -> str:
        from .text import plain, report_lines

        return plain(report_lines(self))

    def __repr__(self) -> str:
        verdict = f"breaks {', '.join(self.broken)}" if self.broken else "every rule holds"
        return f"<{self.operation}: {self.function} {verdict}; {self.calls} calls>"

    def _repr_html_(self) -> str:
        """Return the report as a notebook shows it."""
        from .text import html, report_lines

        return html(report_lines(self))

    def __rich__(self) -> Text:
        from .text import coloured, report_lines

        return coloured(report_lines(self))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as what JSON can hold.

        Examples
        --------
        >>> import numpy as np, convkit
        >>> report = convkit.check(lambda x, p: x * (1 - p), like="dropout")
        >>> [broken["rule"] for broken in report.to_dict()["broken"]]
        ['nothing_dropped']
        """
        return {
            "operation": self.operation,
            "function": self.function,
            "holds": bool(self),
            "calls": self.calls,
            "broken": [
                {
                    "rule": finding.rule.name,
                    "says": finding.rule.says,
                    "instead": finding.rule.instead,
                    "link": finding.rule.link,
                    "call": example.call,
                    "arguments": {k: _listed(v) for k, v in example.arguments.items()},
                    "output": example.output,
                    "expected": _listed(example.expected),
                    "got": _listed(example.got),
                }
                for finding, example in zip(self.findings, self.counterexamples, strict=True)
            ],
            "held": list(self.held),
            "unchecked": list(self.unchecked),
            "skipped": self.skipped,
            "notes": list(self.notes),
        }


def _source(array: np.ndarray) -> str:
    """Return an array as an expression."""
    if array.size > 64 and np.array_equal(array.ravel(), np.arange(1, array.size + 1)):
        return f"np.arange(1.0, {array.size + 1}).reshape{array.shape}"
    numbers = repr(array.tolist()).replace("nan", "np.nan").replace("inf", "np.inf")
    return f"np.array({numbers}{', np.float32' if array.dtype == np.float32 else ''})"


def _listed(value: Any) -> Any:
    """Return arrays as nested lists, with NaN and infinities as words, which JSON does not know.

    Of an array too large to be looked at, only the shape is left.
    """
    if isinstance(value, np.ndarray) and value.size > 1000:
        return {"shape": list(value.shape)}
    if isinstance(value, np.ndarray):
        return [_listed(v) for v in value]
    if isinstance(value, np.floating | float):
        return float(value) if np.isfinite(value) else str(float(value))
    return value.item() if isinstance(value, np.generic) else value


def counterexample(finding: Finding, function: str, convention: Convention | None = None) -> Counterexample:
    """Make a counterexample of a finding; a convention says what was given, and by which names."""
    expected, got = (_shown(r, finding.output, convention) for r in (finding.expected, finding.got))
    where = wrong = None
    if isinstance(expected, np.ndarray) and isinstance(got, np.ndarray) and expected.shape == got.shape:
        wrong = differing(got, expected, finding.case.tolerance)
        if wrong.any():
            where = tuple(int(i) for i in np.argwhere(wrong)[0])
    everything = dict(finding.case.call)
    given, bare = convention.written(finding.case) if convention else (everything, 0)
    if convention is None:
        bare = next((i for i, a in enumerate(given.values()) if not isinstance(a, np.ndarray)), len(given))
    names = {k: convention.parameters.get(k, k) if convention else k for k in given}
    return Counterexample(
        rule=finding.rule.name,
        function=function,
        arguments=given,
        names=names,
        output=finding.output,
        expected=expected,
        got=got,
        where=where,
        wrong=wrong,
        everything=everything,
        bare=bare,
    )


def _shown(result: Result | str, output: str, convention: Convention | None) -> np.ndarray | str:
    if isinstance(result, str):
        return result
    name = output or next(iter(result))
    return convention.shown(name, result[name]) if convention else result[name]
