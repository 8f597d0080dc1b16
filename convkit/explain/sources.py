"""Which input cell a padded cell shows, and in what sense: the index tables in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..geometry import index_table
from .ledger import Ref, Source

__all__ = ["SHOWN", "Axis", "axis", "source"]

SHOWN = {"reflect": "mirrored", "symmetric": "mirrored", "replicate": "repeated", "circular": "wrapped"}
"""What a padding mode does with the cells that it shows a second time."""


class Axis(NamedTuple):
    """One padded axis: its index table, the padding before it, its own cells, and the mode."""

    table: Sequence[int]
    before: int
    n: int
    mode: str


def axis(n: int, before: int, after: int, mode: str) -> Axis:
    """Return an axis of `n` cells with padding.

    >>> axis(3, 1, 0, "reflect").table
    [1, 0, 1, 2]
    """
    return Axis(index_table(n, before, after, mode).tolist(), before, n, mode)


def source(name: str, leading: tuple[int, ...], axes: Sequence[Axis], padded: Sequence[int]) -> Source:
    """Return where the cell at `padded` coordinates came from.

    Parameters
    ----------
    name : str
        The input's name.
    leading : tuple of int
        Its index before the padded axes.
    axes : sequence of Axis
        The padded axes.
    padded : sequence of int
        Coordinates, one an axis, counted from the first cell of padding.

    Examples
    --------
    >>> row = [axis(3, 2, 0, "circular")]
    >>> [str(source("x", (0,), row, [p])) for p in (1, 2)]
    ['wrapped from x[0, 2]', 'x[0, 0]']
    """
    cells = tuple(a.table[p] for a, p in zip(axes, padded, strict=True))
    if min(cells) < 0:
        return Source("zero padding")
    outside = any(not a.before <= p < a.before + a.n for a, p in zip(axes, padded, strict=True))
    return Source(SHOWN[axes[0].mode] if outside else "real", Ref(name, (*leading, *cells)))
