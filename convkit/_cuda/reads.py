"""What each cell of a result reads, as tables for an axis: the geometry of the matrix products.

A convolution and the gradient for its x are the same sum,

    y[n, m, r, c] = b[m] + sum over th, tw, ch of  w(m, ch, th, tw) * x[n, ch, rows[th, r], cols[tw, c]]

with x read as 0 where a table holds -1. They differ in the tables alone. An axis of a convolution is one
:class:`Reads`. An axis of the gradient, along which each input cell reads the outputs that it went into,
is one for each residue of the stride: with stride 2, an even cell never meets the taps that an odd
one meets, and to leave them out saves half of the work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

__all__ = ["Reads", "backward", "forward", "patch"]


class Reads(NamedTuple):
    """The part of an axis that one launch computes."""

    at: np.ndarray  # (R,): the cells of y
    taps: np.ndarray  # (T,): the taps of w that they have anything to do with
    of: np.ndarray  # (T, R): the cell of x that a cell of y reads at a tap, or -1


def _remembered(make: Callable[..., tuple[Reads, ...]]) -> Callable[..., tuple[Reads, ...]]:
    """Keep what was made from the same table and sizes."""

    @lru_cache(maxsize=512)
    def of_bytes(data: bytes, dtype: str, *sizes: int) -> tuple[Reads, ...]:
        return make(np.frombuffer(data, dtype), *sizes)

    def of_table(table: np.ndarray, *sizes: int) -> tuple[Reads, ...]:
        return of_bytes(table.tobytes(), table.dtype.str, *sizes)

    of_table.__doc__ = make.__doc__
    return of_table


@lru_cache(maxsize=512)
def patch(C: int, KH: int, KW: int, DH: int, DW: int) -> np.ndarray:
    """Return the channel, the row and the column, from a patch's first cell, of each of its numbers: (3, K).

    >>> patch(1, 2, 2, 1, 3)
    array([[0, 0, 0, 0],
           [0, 0, 1, 1],
           [0, 3, 0, 3]])
    """
    c, kh, kw = np.indices((C, KH, KW)).reshape(3, -1)
    return np.stack([c, kh * DH, kw * DW])


@_remembered
def forward(table: np.ndarray, K: int, O: int, S: int, D: int) -> tuple[Reads, ...]:  # noqa: E741
    """Return what the O outputs of an axis read at K taps.

    >>> (reads,) = forward(np.array([-1, 0, 1, 2]), 2, 3, 1, 1)
    >>> reads.of
    array([[-1,  0,  1],
           [ 0,  1,  2]])
    """
    return (Reads(np.arange(O), np.arange(K), _cells(table, K, O, S, D)),)


@_remembered
def backward(table: np.ndarray, K: int, O: int, I: int, S: int, D: int) -> tuple[Reads, ...]:  # noqa: E741
    """Return from which of O outputs each of I inputs of an axis collects, at K taps.

    A tap stands there as often as a cell meets it: more than once where padding shows cells again.

    >>> even, odd = backward(np.array([0, 1, 2, 3]), 2, 2, 4, 2, 1)  # windows (0, 1) and (2, 3)
    >>> even.at, even.taps, even.of
    (array([0, 2]), array([0]), array([[0, 1]]))
    """
    cells = _cells(table, K, O, S, D)
    rows, taps = [], []
    for tap in range(K):
        outputs = np.flatnonzero(cells[tap] >= 0)
        outputs = outputs[np.argsort(cells[tap, outputs], kind="stable")]
        inputs = cells[tap, outputs]
        again = np.arange(inputs.size) - np.searchsorted(inputs, inputs)  # 0 where it is met first
        for time in range(int(again.max(initial=-1)) + 1):
            row = np.full(I, -1)
            row[inputs[again == time]] = outputs[again == time]
            rows.append(row)
            taps.append(tap)
    collects = np.array(rows, np.intp).reshape(len(rows), I)
    parts = []
    for residue in range(min(S, I)):
        at = np.arange(residue, I, S)
        met = np.flatnonzero((collects[:, at] >= 0).any(axis=1))
        parts.append(Reads(at, np.array(taps, np.intp)[met], np.ascontiguousarray(collects[met][:, at])))
    return tuple(parts)


def _cells(table: np.ndarray, K: int, O: int, S: int, D: int) -> np.ndarray:  # noqa: E741
    """Return the input cell that output o reads at tap k, as an array (K, O)."""
    return table[np.arange(O) * S + np.arange(K)[:, None] * D]
