"""Transposed convolution, which is also the gradient of a convolution for its input.

    y[n, ic, ih, iw] = b[ic] + sum over oc, kh, kw, oh, ow of  w[oc, ic, kh, kw] * x[n, oc, oh, ow]

Two steps, block by block: a matrix product, and col2im. The microkernel multiplies the transposed weights
with x; that gives each pixel of x a column of numbers, one for each channel and tap of y. Each of them
is then added to the cell that the index tables name for it, so that stride, dilation and every
mode of padding need no code of their own. The columns of a few channels and some hundred pixels stay in
the L2 cache until they have been added.

The FLOPs are the convolution's, 2 for each weight and pixel of x, and one addition for each number of a
column, which takes a fraction of a cycle. Threads share out images and channels of y; each cell's sum is
taken by one thread, in the order of blocks, taps and pixels.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .compile import kernel, separate
from .microkernel import MR, tile
from .planes import copy
from .pointers import at, pointer, release
from .shape import multiply_adds, shape_of
from .vec import lanes, load, splat, store, store_first

__all__ = ["conv_transpose2d"]

PIXELS = 512
"""Of a block, at most."""
CELLS_BYTES = 400_000
"""Of the block's pixels in all channels of a group of x."""
COLUMNS_BYTES = 200_000
"""Of a block's columns, on their way to y."""
TERMS = 512
"""Channels of x whose products are added before the columns are visited again."""


# --- one block -----------------------------------------------------------------------------


@separate
def multiply(columns, pitch, cells, off, w, rows, J, OC, zeros, count, n):
    """Fill `count` rows of n columns: sums over OC channels of w[oc*J + row] * cells[off[oc] + column]."""
    for j in range(0, count, MR):
        R = min(MR, count - j)
        for k in range(0, OC, TERMS):
            terms = min(TERMS, OC - k)
            for p in range(0, n, lanes(columns)):
                out, weights = at(columns, j * pitch + p), at(w, k * J + j)
                tile(R, out, pitch, at(cells, p), at(off, k), weights, rows, J, terms, zeros, k == 0)


@separate
def add_columns(y, columns, pitch, ih_of, iw_of, s, channels, first, n):
    """Add the columns of so many channels of y to the cells that pixels first to first + n - 1 read."""
    for i in range(channels * s.KH * s.KW):
        c, kh, kw = i // (s.KH * s.KW), i // s.KW % s.KH, i % s.KW
        p = first
        while p < first + n:  # row by row
            oh, ow = p // s.OW, p % s.OW
            stop = min(s.OW, ow + first + n - p)
            ih = ih_of[oh * s.SH + kh * s.DH]
            if ih >= 0:
                row, table = at(y, (c * s.IH + ih) * s.IW), at(iw_of, (ow * s.SW + kw * s.DW))
                add_row(row, at(columns, i * pitch + p - first), table, s.SW, stop - ow)
            p += stop - ow


@separate
def add_row(y, columns, iw_of, S, n):
    """Add n numbers to the cells that the table names: those that follow one another together."""
    i = 0
    while i < n:
        iw = iw_of[i * S]
        stop = i + 1
        if iw >= 0:
            while stop < n and iw_of[stop * S] == iw + (stop - i) * S:
                stop += 1
            add_run(at(y, iw), at(columns, i), S, stop - i)
        i = stop


@separate
def add_run(y, columns, S, n):
    """Add n numbers to every S-th cell of y."""
    if S == 1:
        L = lanes(y)
        for i in range(0, n - L + 1, L):
            store(y, i, load(y, i) + load(columns, i))
        for i in range(n - n % L, n):
            y[i] += columns[i]
    else:
        for i in range(n):
            y[i * S] += columns[i]


# --- some channels of an image -------------------------------------------------------------


@separate
def add_channels(y, x, w, ih_of, iw_of, s, channels, off, rows, cells, columns, zeros, pixels, some):
    """Add to so many channels of y, `some` at a time, what the pixels of a group's channels x send them.

    w begins with the first weight of these channels; `cells` and `columns` have rows of `pixels` elements.
    """
    OC, taps, OHW = s.OC // s.G, s.KH * s.KW, s.OH * s.OW
    J = s.IC // s.G * taps
    for first in range(0, OHW, pixels):
        n = min(pixels, OHW - first)
        for oc in range(OC):
            copy(at(cells, oc * pixels), at(x, oc * OHW + first), 1, n)
        for c in range(0, channels, some):
            count = min(some, channels - c)
            multiply(columns, pixels, cells, off, at(w, c * taps), rows, J, OC, zeros, count * taps, n)
            add_columns(at(y, c * s.IH * s.IW), columns, pixels, ih_of, iw_of, s, count, first, n)


@separate
def share(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW, thread, threads):
    """Do the thread's share: some channels of y, counted through all images."""
    s = shape_of(x, y, w, SH, SW, DH, DW)
    IC, OC, taps, L = s.IC // s.G, s.OC // s.G, s.KH * s.KW, lanes(y)
    most = min(CELLS_BYTES // y.itemsize // OC, COLUMNS_BYTES // y.itemsize // taps)
    pixels = max(1, min(PIXELS, s.OH * s.OW, most)) + L - 1
    pixels -= pixels % L
    some = max(1, min(IC, COLUMNS_BYTES // y.itemsize // (pixels * taps)))
    places, numbers = np.arange(OC) * pixels, np.arange(MR)
    sources, products = np.zeros(OC * pixels, y.dtype), np.empty(some * taps * pixels, y.dtype)
    nothing = np.zeros(MR, y.dtype)
    i, last = s.N * s.IC * thread // threads, s.N * s.IC * (thread + 1) // threads
    while i < last:
        n, ic = i // s.IC, i % s.IC
        g, channels = ic // IC, min(last - i, IC - ic % IC)
        out = at(pointer(y), i * s.IH * s.IW)
        for c in range(channels):
            start, plane = splat(pointer(b), ic + c), at(out, c * s.IH * s.IW)
            for p in range(0, s.IH * s.IW, L):
                store_first(plane, p, start, s.IH * s.IW - p)
        of = at(pointer(x), (n * s.G + g) * OC * s.OH * s.OW)
        weights = at(pointer(w), (g * OC * IC + ic % IC) * taps)
        tables, room = (
            (pointer(ih_of), pointer(iw_of)),
            (pointer(sources), pointer(products), pointer(nothing)),
        )
        add_channels(
            out, of, weights, *tables, s, channels, pointer(places), pointer(numbers), *room, pixels, some
        )
        i += channels
    release(places)
    release(numbers)
    release(sources)
    release(products)
    release(nothing)


@kernel(work=lambda y, x, w, *_: multiply_adds(x, y, w))
def conv_transpose2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW, threads):
    """Fill y (N, IC, IH, IW) from x (N, OC, OH, OW), w (OC, IC/G, KH, KW) and b (IC,)."""
    for thread in prange(threads):
        share(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW, thread, threads)
