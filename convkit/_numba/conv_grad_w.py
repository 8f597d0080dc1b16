"""The gradient of a convolution for its weights: dy times the transposed im2col matrix, in pieces.

    dw[oc, j] = sum over n and pixels p of  column j[n, p] * dy[n, oc, p],    j = (ic*KH + kh)*KW + kw

It is the microkernel's product once more, with the pixels as the terms of the sums. Columns take the
place of the weights: in planes (planes.py) with one plane for each tap across, they lie in memory as they
are. What stands in the vectors is output channels, and this needs dy pixel by pixel: a *panel* of some
hundred pixels by a vector of channels is transposed, and serves all columns of some input channels. The sums
stay in a buffer in the L2 cache until all images are done.

With fewer than 3 output channels a group (depthwise) a vector of them would be mostly empty: there the
products are taken along the pixels, and the lanes added up at the end.

Threads share out the tasks: a group, some input and some output channels, and where the window is very
large or much dilated, some of its rows, so that planes and sums stay within bounds. Each sum is taken by
one thread, in the order of images and pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from .blocks import blocks_of
from .compile import inner, kernel, separate
from .microkernel import MR, tile
from .planes import Layout, block_of, fill_offsets, lay_out, make_axis, pack
from .pointers import at, pointer, release
from .shape import SPEED, Shape, shape_of
from .vec import lanes, load_first, total, zero

__all__ = ["conv2d_grad_w"]

PIXELS = 320
"""Of a block, about: a panel of 40 KiB of float32."""
CELLS_BYTES = 300_000
"""Of a task's planes."""
SUMS_BYTES = 300_000
"""Of a task's sums."""
TAPS = 256
"""Of a task, at most, if a row of the window has not more."""
GROUP = 4
"""Vectors of output channels of a task, at most: their panels use the same planes."""
FEW = 3
"""Output channels of a group below which the products are taken along the pixels."""


class Tasks(NamedTuple):
    """How the work is cut up: into ``G * channel_parts * output_parts * tap_parts`` tasks."""

    p: Layout  # of a full block
    row_blocks: int
    col_blocks: int
    channels: int  # input channels of a task
    channel_parts: int
    outputs: int  # output channels of a task
    output_parts: int
    tap_rows: int  # rows of the window of a task
    tap_parts: int


@inner
def make_tasks(s, L, itemsize):
    """Choose the tasks, by the sizes alone."""
    IC, OC = s.IC // s.G, s.OC // s.G
    tap_rows = max(1, min(s.KH, TAPS // s.KW))
    v, h = make_axis(tap_rows, s.SH, s.DH, False), make_axis(s.KW, s.SW, s.DW, True)
    col_blocks = blocks_of(s.OW, PIXELS)
    cols = blocks_of(s.OW, col_blocks)
    row_blocks = blocks_of(s.OH, max(1, PIXELS // cols))
    p = lay_out(v, h, blocks_of(s.OH, row_blocks), cols)
    while tap_rows > 1 and p.channel * itemsize > CELLS_BYTES:  # dilated taps are many rows apart
        tap_rows = (tap_rows + 1) // 2
        v = make_axis(tap_rows, s.SH, s.DH, False)
        p = lay_out(v, h, blocks_of(s.OH, row_blocks), cols)
    taps = tap_rows * s.KW
    outputs = min(OC, GROUP * L)
    if OC < FEW:
        outputs = OC
    fit = min(CELLS_BYTES // itemsize // p.channel, SUMS_BYTES // itemsize // (taps * (outputs + L)))
    channels = max(1, min(IC, fit))
    channel_parts, output_parts = blocks_of(IC, channels), blocks_of(OC, outputs)
    tap_parts = blocks_of(s.KH, tap_rows)
    return Tasks(
        p, row_blocks, col_blocks, channels, channel_parts, outputs, output_parts, tap_rows, tap_parts
    )


@inner
def with_taps(s, KH):
    """Return the sizes of the same convolution with so many rows of its window."""
    return Shape(s.N, s.IC, s.IH, s.IW, s.OC, KH, s.KW, s.OH, s.OW, s.G, s.SH, s.SW, s.DH, s.DW)


# --- one block of pixels ---------------------------------------------------------------------


@separate
def transpose(panel, dy, s, k, L, M):
    """Fill panel[pixel*L + lane] with the block's pixels of M <= L channels of dy."""
    p = k.p
    for m in range(M):
        for r in range(p.rows):
            of, to = at(dy, (m * s.OH + k.oh + r) * s.OW + k.ow), at(panel, r * p.cols * L + m)
            for i in range(p.cols):
                to[i * L] = of[i]


@separate
def add_tiles(sums, pitch, panel, off, planes, columns, J, K, start, fresh):
    """Add K pixels' products of J columns and a vector of output channels to sums[j*pitch...]."""
    for j in range(0, J, MR):
        tile(
            min(MR, J - j), at(sums, j * pitch), pitch, panel, off, planes, at(columns, j), 1, K, start, fresh
        )


@separate
def add_dots(sums, pitch, planes, columns, dy, J, M, s, k):
    """Add a block's products of J columns and M output channels, along the pixels, to sums[j*pitch + m]."""
    p, L = k.p, lanes(sums)
    for m in range(M):
        for j in range(J):
            acc = zero(sums)
            for r in range(p.rows):
                of = at(dy, (m * s.OH + k.oh + r) * s.OW + k.ow)
                cells = at(planes, columns[j] + r * p.pitch)
                for i in range(0, p.cols, L):
                    acc = acc + load_first(of, i, p.cols - i) * load_first(cells, i, p.cols - i)
            sums[j * pitch + m] += total(acc)


# --- one task ------------------------------------------------------------------------------


@separate
def run_task(dw, dy, x, ih_of, iw_of, s, a, KH, channels, M, off, columns, planes, panel, sums, start):
    """Take all sums of a task; dw is its first weight, dy and x are its channels of the first image.

    The window of the sizes s has the task's rows alone; KH is how many there are in dw.
    """
    L, taps, of_channel = lanes(dw), s.KH * s.KW, KH * s.KW
    J, ldj, pitch = channels * taps, s.IC // s.G * of_channel, blocks_of(M, L) * L
    blocks = a.row_blocks * a.col_blocks
    for i in range(J * pitch):
        sums[i] = 0
    for unit in range(s.N * blocks):
        n, oh, ow = (
            unit // blocks,
            unit // a.col_blocks % a.row_blocks * a.p.rows,
            unit % a.col_blocks * a.p.cols,
        )
        rows, cols = min(a.p.rows, s.OH - oh), min(a.p.cols, s.OW - ow)
        if rows <= 0 or cols <= 0:
            continue
        k = block_of(a.p, oh, ow, rows, cols)
        fill_offsets(columns, k.p, channels, s.KH, s.KW)
        pack(planes, at(x, n * s.IC * s.IH * s.IW), channels, s, k, ih_of, iw_of, unit == 0 or blocks > 1)
        of = at(dy, n * s.OC * s.OH * s.OW)
        if s.OC // s.G < FEW:
            add_dots(sums, pitch, planes, columns, of, J, M, s, k)
            continue
        for m in range(0, M, L):
            transpose(panel, at(of, m * s.OH * s.OW), s, k, L, min(L, M - m))
            add_tiles(at(sums, m), pitch, panel, off, planes, columns, J, rows * cols, start, False)
    for m in range(M):
        for c in range(channels):
            for t in range(taps):
                dw[m * ldj + c * of_channel + t] = sums[(c * taps + t) * pitch + m]


@separate
def share(dw, dy, x, ih_of, iw_of, SH, SW, DH, DW, thread, threads):
    """Do the thread's share of the tasks."""
    s = shape_of(dy, x, dw, SH, SW, DH, DW)
    IC, OC, L = s.IC // s.G, s.OC // s.G, lanes(dw)
    a = make_tasks(s, L, dw.itemsize)
    pixels, J = a.p.rows * a.p.cols, a.channels * a.tap_rows * s.KW
    places, numbers = np.empty(J, np.intp), np.arange(pixels) * L
    cells, rows = np.empty(a.channels * a.p.channel + L, dw.dtype), np.zeros(pixels * L, dw.dtype)
    products, nothing = np.empty(J * blocks_of(a.outputs, L) * L, dw.dtype), np.zeros(MR, dw.dtype)
    tasks = s.G * a.channel_parts * a.output_parts * a.tap_parts
    for i in range(tasks * thread // threads, tasks * (thread + 1) // threads):
        task, kh = i // a.tap_parts, i % a.tap_parts * a.tap_rows
        part = with_taps(s, min(a.tap_rows, s.KH - kh))
        g, c = (
            task // (a.channel_parts * a.output_parts),
            task // a.output_parts % a.channel_parts * a.channels,
        )
        m = task % a.output_parts * a.outputs
        channels, M = min(a.channels, IC - c), min(a.outputs, OC - m)
        weights = at(pointer(dw), (((g * OC + m) * IC + c) * s.KH + kh) * s.KW)
        of, image = at(pointer(dy), (g * OC + m) * s.OH * s.OW), at(pointer(x), (g * IC + c) * s.IH * s.IW)
        tables, sizes = (at(pointer(ih_of), kh * DH), pointer(iw_of)), (part, a, s.KH, channels, M)
        room = pointer(numbers), pointer(places), pointer(cells), pointer(rows), pointer(products)
        run_task(weights, of, image, *tables, *sizes, *room, pointer(nothing))
    release(places)
    release(numbers)
    release(cells)
    release(rows)
    release(products)
    release(nothing)


@kernel(work=lambda dw, dy, *_: dy.size * dw[0].size // SPEED)
def conv2d_grad_w(dw, dy, x, ih_of, iw_of, SH, SW, DH, DW, threads):
    """Fill dw (OC, IC/G, KH, KW) from dy (N, OC, OH, OW) and x (N, IC, IH, IW)."""
    for thread in prange(threads):
        share(dw, dy, x, ih_of, iw_of, SH, SW, DH, DW, thread, threads)
