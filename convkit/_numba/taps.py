"""The taps of im2col and col2im: where they fall into the image, as masks for vectors.

At stride 1 a tap (kh, kw) is the image, shifted. Along an axis, the outputs whose tap falls into the
run of the index table are neighbours, and so are the cells that they read: vectors are read there under a
mask, so that nothing beyond is touched. A small plane of a "same" convolution (outputs as many as cells)
is shifted as a whole, as one row; its masks are made once for all planes.
"""

from __future__ import annotations

from typing import NamedTuple

from .compile import inner, separate
from .vec import lanes, store, store_first

__all__ = ["MASKS", "Run", "begin", "is_plain", "is_small", "put", "run_of", "set_masks", "span"]

MASKS = 4096
"""Masks of a small plane, at most: 32 KiB."""


class Run(NamedTuple):
    """The entries ``start`` to ``stop - 1`` of an index table, which name cells one after another."""

    start: int
    stop: int
    cell: int  # the first of them
    once: bool  # and no other entry names a cell


@separate
def run_of(table, n):
    """Return the longest run of a table of n entries."""
    start = stop = begin = cells = 0
    for i in range(n):
        if table[i] < 0:
            begin = i + 1
            continue
        cells += 1
        if i > begin and table[i] != table[i - 1] + 1:
            begin = i
        if i + 1 - begin > stop - start:
            start, stop = begin, i + 1
    cell = table[start] if stop > start else 0
    return Run(start, stop, cell, cells == stop - start)


@inner
def is_plain(h, w, s):
    """Whether every cell of an output lies a constant number of cells behind the one that it reads."""
    return s.SH == 1 and s.SW == 1 and h.once and w.once


@inner
def is_small(h, w, L, s):
    """Whether a tap is the plane shifted in memory, short enough for masks."""
    vectors = (s.IH * s.IW + L - 1) // L
    return is_plain(h, w, s) and s.OH == s.IH and s.OW == s.IW and s.KH * s.KW * vectors <= MASKS


@inner
def span(first, stop, L):
    """Return a mask of L lanes, of which those from `first` to `stop` - 1 are set, if there are any."""
    first, stop = min(max(first, 0), L), min(stop, L)
    return (1 << stop) - (1 << first) if stop > first else 0


@inner
def begin(i, n, L):
    """Return where the vector begins that holds elements i and beyond of n: the last one is whole, too."""
    return max(0, min(i, n - L))


@inner
def put(to, i, v, n):
    """Write a vector to row `to` of n elements, which may be fewer: storing under a mask is slow."""
    if n < lanes(to):
        store_first(to, i, v, n)
    else:
        store(to, i, v)


@separate
def set_masks(masks, shifts, h, w, sign, L, s):
    """Write a mask for each tap and vector of a small plane, and for each tap how far it is shifted.

    With `sign` 1, bit l says whether the tap of output l reads a cell, with -1, whether cell l is
    read by an output.
    """
    cells, i = s.IH * s.IW, 0
    for tap in range(s.KH * s.KW):
        down, across = tap // s.KW * s.DH - h.start + h.cell, tap % s.KW * s.DW - w.start + w.cell
        shifts[tap] = down * s.IW + across
        for v in range(0, cells, L):
            first = begin(v, cells, L)
            masks[i] = 0
            for lane in range(min(L, cells - first)):
                row, col = (first + lane) // s.IW, (first + lane) % s.IW
                if sign < 0:  # the output, to start from there
                    row, col = row - down, col - across
                ih, iw = row + down, col + across
                inside = 0 <= row < s.OH and 0 <= col < s.OW
                inside = (
                    inside and 0 <= ih - h.cell < h.stop - h.start and 0 <= iw - w.cell < w.stop - w.start
                )
                masks[i] |= int(inside) << lane
            i += 1
