"""What was seen of a function on every case, what was found out about it, and when two results agree."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from .calling import Observation
from .model import Case, Operation, Result, Rule

__all__ = ["Finding", "Record", "agree", "differing", "found_at"]


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
    layout: str = "NCHW"

    def failing(self, output: str) -> list[int]:
        """Return the cases whose output is wrong."""
        return [i for i in range(len(self.observations)) if output in self.wrong_outputs(i)]

    def wrong_outputs(self, i: int) -> list[str]:
        """Return which outputs of a case are wrong."""
        seen, truth = self.observations[i], self.operation.truths[i]
        tolerance = self.operation.cases[i].tolerance
        if seen is None:
            return []
        return [n for n in truth if n in seen.result and not agree(seen.result[n], truth[n], tolerance)]

    def made(self, output: str = "") -> list[int]:
        """Return the cases that were asked for; of an output, those that returned it."""
        seen = enumerate(self.observations)
        return [i for i, s in seen if s is not None and (not output or output in s.result)]


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


def found_at(record: Record, rule: Rule, i: int, hint: str = "", outputs: Collection[str] = ()) -> Finding:
    """Return a finding that shows a case: an output that is wrong there, one of `outputs` if it can be."""
    case, truth, seen = record.operation.cases[i], record.operation.truths[i], record.observations[i]
    assert seen is not None
    if seen.raised:
        return Finding(rule, case, truth, seen.raised, hint=hint)
    wrong = sorted(record.wrong_outputs(i), key=lambda name: name not in outputs)
    return Finding(rule, case, truth, seen.result, wrong[0] if wrong else next(iter(truth)), hint)
