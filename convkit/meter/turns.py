"""Timing by turns: two contenders alternate, so that a drifting machine wrongs neither."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import exp, log
from statistics import median
from time import perf_counter
from typing import NamedTuple

__all__ = ["Turns", "geometric_mean", "seconds_of", "take_turns"]

Timer = Callable[[int], float]


class Turns(NamedTuple):
    """Seconds a call of each contender, one number a turn.

    Examples
    --------
    >>> turns = Turns([2.0, 2.2, 1.9], [1.0, 1.1, 1.0])
    >>> turns.ratio  # the second is twice as fast as the first
    2.0
    """

    a: list[float]
    b: list[float]

    @property
    def ratio(self) -> float:
        """Median of a's time over b's, turn by turn."""
        return median(x / y for x, y in zip(self.a, self.b, strict=True))

    @property
    def spread(self) -> tuple[float, float]:
        """Smallest and largest ratio of a turn."""
        ratios = [x / y for x, y in zip(self.a, self.b, strict=True)]
        return min(ratios), max(ratios)


def seconds_of(call: Callable[[], object], repeats: int, clock: Callable[[], float] = perf_counter) -> float:
    """Return the seconds of one call, over `repeats` calls in a row.

    With `time.thread_time` for a clock they are the processor's: what others do meanwhile does not count.
    """
    start = clock()
    for _ in range(repeats):
        call()
    return (clock() - start) / repeats


def take_turns(a: Timer, b: Timer, turns: int = 9, least: float = 2e-3) -> Turns:
    """Time `a` and `b` by turns: a, b, a, b, ...

    Parameters
    ----------
    a, b : callable
        ``timer(repeats)`` returns the seconds of one call, over so many calls in a row.
    turns : int
        Measurements of each.
    least : float
        Seconds that a measurement should take: short calls are repeated.

    Returns
    -------
    Turns
    """
    repeats = [max(1, round(least / max(timer(1), timer(1), 1e-7))) for timer in (a, b)]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(turns):
        for timer, n, seconds in zip((a, b), repeats, times, strict=True):
            seconds.append(timer(n))
    return Turns(*times)


def geometric_mean(ratios: Iterable[float]) -> float:
    """Return the mean under which a ratio and its inverse cancel.

    >>> geometric_mean([0.5, 2.0])
    1.0
    """
    logs = [log(r) for r in ratios]
    return exp(sum(logs) / len(logs))
