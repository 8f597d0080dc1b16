"""Planes: copies of a block of the image in which every tap of the window is one offset.

The outputs of a block are numbered row by row, ``oh*pitch + ow``. In a plane, the cell that a tap
reads for output i lies at i plus an offset, the same for all of them. One plane a channel can serve
all taps: its rows are padded rows of the image, so the pitch is a little more than a row of outputs,
and the outputs numbered between two rows, whose windows run across the row's end, are worthless
("flat"). Or each tap across gets a plane of its own, shifted in advance; then no output is worthless
("own"). With a stride, cells that neighbouring outputs read must become neighbours: one plane for each
phase of the stride that taps have. Padding is in the tables, so it costs nothing extra.
"""

from __future__ import annotations

from typing import NamedTuple

from .compile import inner, separate
from .pointers import at
from .vec import evens, lanes, load, load_first, store, store_first, zero

__all__ = ["Axis", "Block", "Layout", "block_of", "copy", "fill_offsets", "make_axis", "make_layout", "pack"]


class Axis(NamedTuple):
    """How the taps of an axis share planes.

    Tap t reads plane ``t % planes``, `shift` cells further than the output's number says; cell i of
    plane p is the table's entry ``i*S + first``.
    """

    S: int
    D: int
    planes: int  # that this axis multiplies the number of planes by
    extra: int  # cells of a plane beyond those of the outputs
    own: bool  # whether each tap has planes of its own


class Layout(NamedTuple):
    """Where the planes of a block lie, in elements."""

    v: Axis  # down
    h: Axis  # across
    rows: int  # outputs of a block
    cols: int
    pitch: int  # from one row of a plane to the next
    plane: int  # from one plane to the next
    channel: int  # from the planes of one channel to the next


class Block(NamedTuple):
    """Outputs that are computed together: where they begin, and how their planes lie."""

    oh: int
    ow: int
    p: Layout


@inner
def make_axis(taps, S, D, own):
    planes = 1
    while planes < taps and (own or planes * D % S != 0):
        planes += 1
    return Axis(S, D, planes, 0 if own else (taps - 1) * D // S, own)


@inner
def shift(a, t):
    return 0 if a.own else t * a.D // a.S


@inner
def first(a, p):
    return p * a.D if a.own else p * a.D % a.S


@inner
def lay_out(v, h, rows, cols):
    """Make the planes as large as a block of so many outputs needs them."""
    pitch = cols + h.extra
    plane = (rows + v.extra) * pitch
    return Layout(v, h, rows, cols, pitch, plane, v.planes * h.planes * plane)


@separate
def make_layout(s, depthwise):
    """Choose how the planes of a whole image would lie."""
    v = make_axis(s.KH, s.SH, s.DH, False)
    h = make_axis(s.KW, s.SW, s.DW, False)
    # Worthless outputs are `extra` in each row; copies cost as much as about one output in ten, but
    # not if each plane is used for one channel only.
    if s.OH > 1 and 10 * h.extra > s.OW and not depthwise:
        h = make_axis(s.KW, s.SW, s.DW, True)
    return lay_out(v, h, s.OH, s.OW)


@inner
def block_of(p, oh, ow, rows, cols):
    """Return the block of so many outputs that begins at (oh, ow)."""
    return Block(oh, ow, lay_out(p.v, p.h, rows, cols))


@separate
def fill_offsets(off, p, channels, KH, KW):
    """Write the offset table: one entry a channel and tap, in the order of the weights.

    Each entry follows from an earlier one, except those of the first tap in each plane.
    """
    V, H, taps = p.v.planes, p.h.planes, KH * KW
    down, across = V * p.v.D // p.v.S * p.pitch, H * p.h.D // p.h.S  # to the next tap in a plane
    for t in range(channels * taps):
        kh, kw = t // KW, t % KW
        if t >= taps:
            off[t] = off[t - taps] + p.channel
        elif kw >= H:
            off[t] = off[t - H] + across
        elif kh >= V:
            off[t] = off[t - V * KW] + down
        else:
            off[t] = (kh * H + kw) * p.plane + shift(p.v, kh) * p.pitch + shift(p.h, kw)


# --- packing -------------------------------------------------------------------------------


@separate
def pack(planes, x, channels, s, k, ih_of, iw_of, blank):
    """Fill the planes of so many channels, of which x is the first, for a block of outputs.

    The zeros of padding stay where they are from one packing to the next, and are written only if
    `blank` says so.
    """
    p = k.p
    if blank:
        clear(planes, channels * p.channel)
    entries = (s.OH - 1) * s.SH + (s.KH - 1) * s.DH + 1
    for h in range(p.h.planes):
        table = at(iw_of, k.ow * s.SW + first(p.h, h))
        start, stop, source, others, end = longest_run(table, k.ow * s.SW + first(p.h, h), s, p.pitch)
        for c in range(channels):
            for v in range(p.v.planes):
                to = at(planes, c * p.channel + (v * p.h.planes + h) * p.plane)
                row = k.oh * s.SH + first(p.v, v)
                for i in range(p.rows + p.v.extra):
                    ih = ih_of[row] if row < entries else -1
                    if ih >= 0:
                        of = at(x, (c * s.IH + ih) * s.IW)
                        copy(at(to, i * p.pitch + start), at(of, source), s.SW, stop - start)
                        if others:
                            look_up(at(to, i * p.pitch), of, table, s.SW, start, stop, end)
                    row += s.SH


@separate
def longest_run(iw_of, entry, s, cols):
    """Find the columns of a plane that read the image's columns at a constant step.

    `iw_of` is the table from its number `entry` on. Return the first column of the run, where it stops,
    which of the image's columns the first one reads, whether others read any, and the column at which
    the table ends: no output needs those from there on.
    """
    entries = (s.OW - 1) * s.SW + (s.KW - 1) * s.DW + 1 - entry
    end = max(0, min(cols, (entries + s.SW - 1) // s.SW))
    start = stop = begin = cells = 0
    for j in range(end):
        if iw_of[j * s.SW] < 0:
            begin = j + 1
            continue
        cells += 1
        if j > begin and iw_of[j * s.SW] != iw_of[(j - 1) * s.SW] + s.SW:
            begin = j
        if j + 1 - begin > stop - start:
            start, stop = begin, j + 1
    source = iw_of[start * s.SW] if stop > start else 0
    return start, stop, source, cells > stop - start, end


@separate
def look_up(to, x, iw_of, S, start, stop, end):
    """Fill the columns of a row that are not in the run cell by cell, as far as they read any."""
    for j in range(end):
        iw = iw_of[j * S]
        if iw >= 0 and not start <= j < stop:
            to[j] = x[iw]


@separate
def copy(to, x, S, n):
    """Copy every S-th element of x, n of them."""
    L = lanes(to)
    if S == 1:
        for i in range(0, n - L + 1, L):
            store(to, i, load(x, i))
        i = n - n % L
        store_first(to, i, load_first(x, i, n - i), n - i)
    elif S == 2:
        for i in range(0, n - L, L):
            store(to, i, evens(load(x, 2 * i), load(x, 2 * i + L)))
        i = max(n - 1, 0) // L * L
        of = 2 * (n - i) - 1  # elements from the first to the last
        store_first(to, i, evens(load_first(x, 2 * i, of), load_first(x, 2 * i + L, of - L)), n - i)
    else:
        for i in range(n):
            to[i] = x[i * S]


@separate
def clear(to, n):
    """Write n zeros, or up to a vector more."""
    for i in range(0, n, lanes(to)):
        store(to, i, zero(to))
