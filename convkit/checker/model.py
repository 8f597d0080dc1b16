"""What a checked operation is made of: cases to call a function on, and rules that it can break.

A broken rule is data as much as a kept one: each says what comes out where it is broken, and
mostly that is *the right operation, called with something else*. A kernel turned round is the right
convolution with ``w[..., ::-1, ::-1]``; a stride ignored is the right one with ``stride=1``. So the
library's own kernels compute what a wrong function would return, and a function whose results are
those, on every case, has been understood.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np

__all__ = [
    "NUMBERS",
    "TOLERANCE",
    "Call",
    "Case",
    "Garbage",
    "NotPredicted",
    "Operation",
    "Prediction",
    "Result",
    "Rounding",
    "Rule",
    "Wrong",
]

Call = dict[str, Any]  # arguments by name, as convkit's function names them
Result = dict[str, np.ndarray]  # outputs by name
Prediction = Result | None  # {}: whatever it likes; None: not the right result, but nobody knows what

TOLERANCE = 1e-5
"""Largest distance that counts as equal, in units of the largest number expected.

Float32 keeps 6e-8 of a number; the cases add up fewer than a hundred products, so arithmetic in float32
stays within 1e-5. Broken rules differ from the right results by ten times as much on some case, which the
tests check.
"""


class NotPredicted(Exception):
    """Raised by a :class:`Wrong` that does not say what would come out of a case."""


class Garbage(Exception):
    """Raised by a :class:`Wrong` where it lets come out anything, an exception too: nobody can know."""


class Rounding(Garbage):
    """Raised where what comes out are numbers, which rounding decides."""


NUMBERS: dict[str, np.ndarray] = {}
"""What :meth:`Operation.predicted` returns there."""


def same(call: Call) -> Call:
    return call


def unchanged(result: Result, call: Call) -> Result:
    return result


@dataclass(frozen=True)
class Wrong:
    """One way to break a rule, as a detour around the right operation.

    Attributes
    ----------
    change : callable
        From the arguments to those that the right operation is called with instead.
    after : callable
        From the right operation's result, and the arguments that it had, to what is returned instead.
    compute : callable, optional
        Computes the result where it is not the right operation that does.
    """

    change: Callable[[Call], Call] = same
    after: Callable[[Result, Call], Result] = unchanged
    compute: Callable[[Call], Result] | None = None


@dataclass(frozen=True)
class Rule:
    """A rule of an operation, and how it is broken.

    Attributes
    ----------
    name : str
        What is wrong where it is broken, in words joined by underscores.
    says : str
        The rule, in a sentence.
    instead : str
        What a function does that breaks it, in words that follow "your function".
    why : str
        Why it matters.
    wrong : tuple of Wrong
        The ways to break it that can be told from results.
    """

    name: str
    says: str
    instead: str
    why: str
    wrong: tuple[Wrong, ...] = ()

    @property
    def anchor(self) -> str:
        """The rule's place on the page of rules."""
        return self.name.replace("_", "-")

    @property
    def link(self) -> str:
        """The rule's address inside the documentation."""
        return f"check/rules.html#{self.anchor}"


@dataclass(frozen=True, eq=False)
class Case:
    """One call to make.

    Attributes
    ----------
    call : dict
        Arguments by name, without those left at their defaults.
    extras : frozenset of str
        Arguments that a function may lack and yet do this case.
    may_refuse : bool
        True where an exception is an answer too: convkit computes what others refuse.
    double : bool
        True where float32 cannot hold the numbers, so that a function which returns it is not asked.
    tolerance : float
        See :data:`TOLERANCE`.
    """

    call: Call
    extras: frozenset[str] = frozenset()
    may_refuse: bool = False
    double: bool = False
    tolerance: float = TOLERANCE

    @cached_property
    def cells(self) -> int:
        """How much there is to look at: numbers, and options, of which a pair is harder than a number."""
        arrays = sum(a.size for a in self.call.values() if isinstance(a, np.ndarray))
        options = [a for a in self.call.values() if not isinstance(a, np.ndarray)]
        return arrays + 2 * len(options) + sum(2 for a in options if isinstance(a, tuple))


@dataclass(frozen=True, eq=False)
class Operation:
    """All that is known of one operation that a function can be checked against.

    Attributes
    ----------
    name : str
        The function of convkit that it is like.
    arrays : tuple of str
        Arguments that every case has; they are passed first, in this order.
    outputs : tuple of str
        What comes back, in order; after that, arguments that are changed in place.
    compute : callable
        From a call to the right result.
    cases : tuple of Case
        In rising size.
    rules : tuple of Rule
        The specific before the general: of two that explain the same results, the first is named.
    defaults : mapping
        Values for arguments that a function insists on, or functions of the call that give them.
    in_place : tuple of str
        The outputs that are arguments.
    only_with : mapping
        Outputs that there are only where an option asks for them: output -> option.
    axes : mapping
        Leading axes of arrays: ``N`` batch, ``C`` and ``O`` channels, which a layout may lack.
    forms : mapping
        What the first array's axes are, by their number, where there is a choice.
    unrepeatable : str
        The rule that is broken where two equal calls return different results.
    examine : callable, optional
        Finds what is broken where results are random: a function of a callable and a list of findings.
    """

    name: str
    arrays: tuple[str, ...]
    outputs: tuple[str, ...]
    compute: Callable[[Call], Result]
    cases: tuple[Case, ...]
    rules: tuple[Rule, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    in_place: tuple[str, ...] = ()
    only_with: Mapping[str, str] = field(default_factory=dict)
    axes: Mapping[str, str] = field(default_factory=dict)
    forms: Mapping[int, str] = field(default_factory=dict)
    unrepeatable: str = "not_repeatable"
    examine: Callable[..., Any] | None = None

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """Names of all arguments that some case passes, the arrays first."""
        return tuple(dict.fromkeys([*self.arrays, *(name for case in self.cases for name in case.call)]))

    @cached_property
    def truths(self) -> tuple[Result, ...]:
        """The right result of each case."""
        return tuple(self.compute(dict(case.call)) for case in self.cases)

    @cached_property
    def wrongs(self) -> tuple[tuple[Rule, Wrong], ...]:
        """Each way to break each rule, those of conduct last."""
        from .conduct import CONDUCT

        return tuple((rule, wrong) for rule in (*self.rules, *CONDUCT) for wrong in rule.wrong)

    @cache  # noqa: B019 - operations live as long as the program
    def predicted(self, case: int, *wrongs: Wrong) -> Prediction:
        """Return what comes out of a case where rules are broken in these ways, all at once."""
        call = self.cases[case].call
        compute = self.compute
        try:
            with np.errstate(all="ignore"):
                for wrong in wrongs:
                    call = wrong.change(call)
                    compute = wrong.compute or compute
                result = compute(dict(call))
                for wrong in wrongs:
                    result = wrong.after(result, call)
        except Rounding:
            return NUMBERS
        except Garbage:
            return {}
        except (
            NotPredicted,
            ValueError,
            IndexError,
            TypeError,
        ):  # the last three: a detour that leads nowhere
            return None
        return result
