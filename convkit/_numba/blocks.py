"""Blocks: how much of a convolution is done at a time, so that caches hold what is used again.

A unit is a block of output rows (for very long rows, of columns of one row) of one group of one image.
Its terms are added block by block: input channels whose planes fit the L2 cache together, and so few
that the weights of a row of tiles, which every tile reads again, stay in an L1 cache of 48 KiB. In
float64 they are twice as large and come from L2, as the pixels do. Blocks depend on the sizes alone,
never on the threads, so neither do the bits of a sum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .compile import inner, separate
from .depthwise import depthwise_block
from .microkernel import MR
from .planes import Layout, block_of, fill_offsets, lay_out, make_layout, pack
from .pointers import at, pointer, release
from .shape import Shape, is_straight
from .tiles import tiles
from .vec import lanes

__all__ = ["Plan", "blocks_of", "convolve", "make_plan", "one_block", "straightened"]

PLANES_BYTES = 800_000
"""Planes of a block: most of an L2 cache of 1 or 2 MiB."""
TERMS = 1152
"""Terms added at a time: 36 KiB of weights for 8 channels in float32, most of L1. Fewer would mean more
passes over y."""
L1_BYTES = 24_000
"""Planes of depthwise channels that are packed together: half of L1."""
MOST_TAPS = 4096
"""Of a window; workspace grows with them."""
SCRATCH = MR + 1
"""Vectors of scratch: a tile, and one more because rows of it are read in whole vectors."""


class Plan(NamedTuple):
    """How a convolution is cut up, and what it needs beside its arrays."""

    p: Layout  # of a full block
    channels: int  # of a block of terms
    row_blocks: int
    col_blocks: int
    units: int  # N * G * row_blocks * col_blocks
    in_place: bool  # whether x itself serves as planes
    cells: int  # elements of the planes
    terms: int  # entries of the offset table
    possible: bool  # whether a block fits the workspace at all


@inner
def blocks_of(n, size):
    return (n + size - 1) // size


@inner
def is_depthwise(s):
    """Whether groups have one input channel, and too few output channels for a tile."""
    return s.IC == s.G and s.OC // s.G < MR


@inner
def block_that_fits(s, p, cells):
    """Return (rows, cols) of the outputs whose planes, of one channel, fit so many cells."""
    cells //= p.v.planes * p.h.planes
    # One row of outputs, and then as many as fit.
    cols = min(s.OW, cells // (1 + p.v.extra) - p.h.extra)
    if cols < s.OW:
        return 1, cols
    return min(s.OH, max(1, cells // (cols + p.h.extra) - p.v.extra)), cols


@separate
def make_plan(s, L, itemsize):
    """Choose the blocks; L is the lanes of a vector."""
    p = make_layout(s, is_depthwise(s))
    taps = s.KH * s.KW
    channels = max(1, min(s.IC // s.G, TERMS // taps))
    rows, cols = block_that_fits(s, p, PLANES_BYTES // itemsize // channels)
    # Rows that only the window's height asks for are packed for every block: where dilation makes them
    # many, fewer channels at a time make room for as many rows of outputs.
    while channels > 1 and (rows < min(s.OH, p.v.extra) or cols < min(s.OW, 4 * L)):
        channels = (channels + 1) // 2
        rows, cols = block_that_fits(s, p, PLANES_BYTES // itemsize // channels)
    possible = taps <= MOST_TAPS and (cols == s.OW or cols >= 4 * L)
    row_blocks, col_blocks = blocks_of(s.OH, rows), blocks_of(s.OW, max(1, cols))
    p = lay_out(p.v, p.h, blocks_of(s.OH, row_blocks), blocks_of(s.OW, col_blocks))
    in_place = is_straight(s) and s.OW >= L and not is_depthwise(s)
    if is_depthwise(s):
        one_block = row_blocks * col_blocks == 1
        channels = max(1, min(s.N * s.G, L1_BYTES // itemsize // p.channel)) if one_block else 1
    cells = 0 if in_place else channels * p.channel + L  # the last tile may read on beyond the last plane
    units = s.N * s.G * row_blocks * col_blocks
    return Plan(p, channels, row_blocks, col_blocks, units, in_place, cells, channels * taps, possible)


@inner
def one_block(s, L):
    """Return the plan of a whole image at a time, with all of its channels."""
    p = make_layout(s, False)
    channels = 1 if is_depthwise(s) else s.IC // s.G
    return Plan(p, channels, 1, 1, s.N * s.G, False, channels * p.channel + L, channels * s.KH * s.KW, True)


@inner
def place_block(a, s, unit):
    """Return the block of outputs that a unit stands for. The last one may be smaller."""
    ow, oh = unit % a.col_blocks * a.p.cols, unit // a.col_blocks % a.row_blocks * a.p.rows
    return block_of(a.p, oh, ow, min(a.p.rows, s.OH - oh), min(a.p.cols, s.OW - ow))


@separate
def convolve_units(y, x, w, b, ih_of, iw_of, s, a, off, rows, planes, scratch, first, last, m, M):
    """Compute M output channels, from their group's channel m on, of the units from first to last - 1.

    The terms of a unit are added one block of input channels at a time. `off`, `planes` and `scratch`
    have room for `a.terms` and `a.cells` elements and SCRATCH vectors; `rows` says how far the weights
    of MR output channels lie apart.
    """
    IC, OC, taps, blocks = s.IC // s.G, s.OC // s.G, s.KH * s.KW, a.col_blocks * a.row_blocks
    for unit in range(first, last):
        image = unit // blocks  # n*G + g
        of = image % s.G * OC + m
        k = place_block(a, s, unit)
        out = at(y, ((image * OC + m) * s.OH + k.oh) * s.OW + k.ow)
        if a.in_place:
            for c in range(a.terms):
                off[c] = c * s.IW
        else:
            fill_offsets(off, k.p, a.channels, s.KH, s.KW)
        for c in range(0, IC, a.channels):
            channels, source = min(a.channels, IC - c), (image * IC + c) * s.IH * s.IW
            cells, q = (x, source + k.ow) if a.in_place else (planes, 0)
            if not a.in_place:
                blank = c == 0 and (unit == first or blocks > 1)
                pack(planes, at(x, source), channels, s, k, ih_of, iw_of, blank)
            weights, K = at(w, (of * IC + c) * taps), channels * taps
            tiles(out, scratch, cells, q, off, weights, IC * taps, rows, K, at(b, of), c == 0, M, k.p, s)


@separate
def depthwise_units(y, x, w, b, ih_of, iw_of, s, a, off, planes, scratch, first, last, m, M):
    """The same for units of one input channel each; some are packed together, if there is but one block."""
    OC, taps, blocks = s.OC // s.G, s.KH * s.KW, a.col_blocks * a.row_blocks
    for unit in range(first, last, a.channels):
        image = unit // blocks
        count = min(a.channels, last - unit)
        k = place_block(a, s, unit)
        fill_offsets(off, k.p, a.channels, s.KH, s.KW)
        pack(planes, at(x, image * s.IH * s.IW), count, s, k, ih_of, iw_of, unit == first or blocks > 1)
        for i in range(count * M):
            c, r = i // M, m + i % M
            of = (image + c) % s.G * OC + r
            out = at(y, (((image + c) * OC + r) * s.OH + k.oh) * s.OW + k.ow)
            cells = at(planes, c * k.p.channel)
            depthwise_block(out, scratch, cells, off, at(w, of * taps), taps, at(b, of), k.p, s.OW)


@separate
def convolve(y, x, w, b, ih_of, iw_of, s, a, first, last, m, M):
    """Compute M output channels, from their group's channel m on, of the units from first to last - 1."""
    offsets, cells = np.empty(a.terms, np.intp), np.empty(a.cells, y.dtype)
    tile = np.empty(SCRATCH * lanes(y), y.dtype)
    arrays = pointer(y), pointer(x), pointer(w), pointer(b), pointer(ih_of), pointer(iw_of)
    places = np.arange(MR) * (s.IC // s.G * s.KH * s.KW)
    off, rows, planes, scratch = pointer(offsets), pointer(places), pointer(cells), pointer(tile)
    if is_depthwise(s):
        depthwise_units(*arrays, s, a, off, planes, scratch, first, last, m, M)
    else:
        convolve_units(*arrays, s, a, off, rows, planes, scratch, first, last, m, M)
    release(offsets)
    release(places)
    release(cells)
    release(tile)


@inner(_nrt=True)  # it returns arrays
def straightened(s, ih_of, iw_of):
    """Return sizes and tables of the same convolution, with the image as one row where it is 1x1.

    There every output reads the cell of its own number, so rows mean nothing.
    """
    pixels = (s.KH, s.KW, s.SH, s.SW, s.OH, s.OW) == (1, 1, 1, 1, s.IH, s.IW)
    if pixels and is_identity(ih_of, s.OH) and is_identity(iw_of, s.OW):
        S = s.IH * s.IW
        return Shape(s.N, s.IC, 1, S, s.OC, 1, 1, 1, S, s.G, 1, 1, 1, 1), np.arange(1), np.arange(S)
    return s, ih_of.copy(), iw_of.copy()


@inner
def is_identity(of, n):
    matches = 0
    for i in range(n):
        matches += of[i] == i
    return matches == n
