"""The work of an operation: floating-point operations, and bytes that must move at least once."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

__all__ = ["Work", "conv_work", "streaming_work"]


class Work(NamedTuple):
    """What an operation costs before anybody has written it.

    Attributes
    ----------
    flops : int
        Floating-point operations; a multiply-add counts as two.
    bytes : int
        Every input read once and every output written once.
    """

    flops: int
    bytes: int

    @property
    def intensity(self) -> float:
        """FLOPs a byte: below the machine's balance, memory is the limit."""
        return self.flops / self.bytes


def conv_work(
    x: tuple[int, int, int, int],
    w: tuple[int, int, int, int],
    y: tuple[int, int, int, int],
    itemsize: int = 4,
) -> Work:
    """Return the work of a convolution: one multiply-add a tap, taps on padding counted too.

    Parameters
    ----------
    x, w, y : tuple of int
        Shapes (N, IC, IH, IW), (OC, IC / groups, KH, KW) and (N, OC, OH, OW).
    itemsize : int
        Bytes a number.

    Examples
    --------
    >>> work = conv_work((1, 64, 56, 56), (64, 64, 3, 3), (1, 64, 56, 56))
    >>> work.flops
    231211008
    >>> round(work.intensity)
    132
    """
    return Work(2 * prod(y) * prod(w[1:]), itemsize * (prod(x) + prod(w) + prod(y)))


def streaming_work(read: int, written: int, itemsize: int = 4) -> Work:
    """Return the work of an operation that only moves numbers: `read` and `written` of them.

    Examples
    --------
    >>> streaming_work(100, 25).bytes
    500
    """
    return Work(0, itemsize * (read + written))
