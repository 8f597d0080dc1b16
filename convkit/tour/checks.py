"""Statements that the page makes, each tested at the moment it is made.

A page is never written with a statement that did not hold: the first one that fails ends the tour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import Any

import numpy as np

__all__ = ["Check", "StatementFailed", "largest_difference", "rounding_bound"]


class StatementFailed(RuntimeError):
    """Something that the page was about to say is not so; the message has the numbers."""


@dataclass(frozen=True)
class Check:
    """A statement that held: the largest difference found, and the most that was allowed."""

    statement: str
    difference: float
    bound: float

    @property
    def plain(self) -> str:
        """The statement without its HTML."""
        return unescape(re.sub(r"<[^>]*>", "", self.statement))

    @classmethod
    def of(cls, statement: str, got: Any, expected: Any, bound: float = 0.0) -> Check:
        """Compare two arrays or numbers, and raise StatementFailed beyond `bound`."""
        difference = largest_difference(got, expected)
        if not difference <= bound:
            raise StatementFailed(f"{statement}: differs by {difference:.3g}, allowed {bound:.3g}")
        return cls(statement, difference, bound)


def largest_difference(got: Any, expected: Any) -> float:
    """Return the largest absolute difference of two arrays; infinity where one alone is not finite.

    Raises
    ------
    StatementFailed
        If their shapes differ: broadcasting would compare what nobody meant.

    Examples
    --------
    >>> largest_difference([1.0, 2.0], [1.0, 2.5])
    0.5
    >>> largest_difference([1.0, float("nan")], [1.0, 2.0])
    inf
    """
    a, b = np.asarray(got, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if a.shape != b.shape:
        raise StatementFailed(f"shapes {a.shape} and {b.shape} cannot be compared")
    if a.size == 0:
        raise StatementFailed("nothing to compare: both are empty")
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(a - b))
    return float(np.where(np.isnan(gap), np.inf, gap).max())


def rounding_bound(terms: int, magnitude: float, dtype: Any = np.float32) -> float:
    """Return how far two orders of summing `terms` products can differ, in floating point.

    Either sum is within ``gamma * magnitude`` of the exact one, where `magnitude` is the sum of the
    terms' absolute values, ``gamma = terms*u / (1 - terms*u)`` and ``u`` is half of the type's epsilon.
    """
    u = float(np.finfo(dtype).eps) / 2
    return 2 * terms * u / (1 - terms * u) * magnitude
