"""Dropout: 64 units at a time, their random bits made in registers, used at once, and forgotten.

    y[u, i] = x[u, i]*scale   where bits(seed, u) >= threshold,   else 0

Units are served in groups of 64, by 16 counters of four words each (see convkit/dispatch.py), so
that a group's bits depend on nothing but its number: threads share the groups in any way. The loop
over the 16 counters is the one that uses vectors: LLVM unrolls the ten rounds inside it.

What limits it: those rounds, 20 multiplications for four units. So much arithmetic between two reads
keeps the processor from looking ahead in memory by itself; it is told what it will need.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy import uintp

from ..scalars import GROUP as UNITS_OF_A_GROUP
from ..scalars import HIGH, LOW, ZERO, compiled_by
from .compile import inner, kernel
from .memory import prefetch
from .registers import every, read, width, write

philox4x32 = compiled_by(inner)["philox4x32"]

GROUP, LANES = int(UNITS_OF_A_GROUP), 16
TASK = 64  # groups that a thread does at a time, so that making the buffer for the bits costs nothing
LONG = 16  # registers: from there on LLVM's own loop is faster, which takes four at a time
LINE = 8  # cells at most in a cache line
AHEAD = 1024  # cells


@inner
def draw(bits, g, seed):
    """Fill bits (64,) with those of group g."""
    for lane in range(LANES):
        counter = np.uint64(g * LANES + lane)
        words = philox4x32(counter & LOW, counter >> HIGH, ZERO, ZERO, seed & LOW, seed >> HIGH)
        bits[lane], bits[LANES + lane], bits[2 * LANES + lane], bits[3 * LANES + lane] = words


@inner
def keep_elements(y, x, u, n, bits, threshold, scale, zero):
    """Units of one element. What is dropped is left out, not multiplied by 0: it may be infinite."""
    for i in range(n):
        y[uintp(u + i)] = x[uintp(u + i)] * scale if bits[i] >= threshold else zero


@inner
def prefetch_group(x, u):
    for i in range(0, GROUP, LINE):
        prefetch(x, u + AHEAD + i)


@inner
def keep_block(y, x, first, B, kept, scale):
    """A unit of B elements: a row, or a feature map."""
    W = width(x)
    if B < W or B >= LONG * W:
        if kept:
            for i in range(first, first + B):
                y[uintp(i)] = x[uintp(i)] * scale
        else:
            for i in range(first, first + B):
                y[uintp(i)] = 0
        return
    i, last = first, first + B - W
    factor, nothing = every(x, float(scale)), every(x, 0.0)
    while True:
        write(y, i, read(x, i) * factor if kept else nothing)
        if i == last:
            break
        i = min(i + W, last)  # the last register overlaps the one before it


@inner
def keep_blocks(y, x, u, n, B, bits, threshold, scale):
    for k in range(n):
        keep_block(y, x, (u + k) * B, B, bits[k] >= threshold, scale)


@kernel
def dropout(y, x, seed, threshold, scale):
    """Keep, scaled, or set to zero whole units: the rows of x (U, B)."""
    U, B = x.shape
    x, y, real = x.reshape(x.size), y.reshape(y.size), x.dtype.type
    seed, threshold = np.uint64(seed), np.uint64(threshold)
    groups = (U - 1) // GROUP + 1
    for task in prange((groups - 1) // TASK + 1):
        bits = np.empty(GROUP, np.uint32)
        for g in range(task * TASK, min(groups, (task + 1) * TASK)):
            u = g * GROUP
            n = min(GROUP, U - u)
            draw(bits, g, seed)
            if B > 1:
                keep_blocks(y, x, u, n, B, bits, threshold, real(scale))
                continue
            prefetch_group(x, u)
            if n == GROUP:  # a constant, for the compiler
                keep_elements(y, x, u, GROUP, bits, threshold, real(scale), real(0))
            else:
                keep_elements(y, x, u, n, bits, threshold, real(scale), real(0))


@kernel
def dropout_mask(y, mask, x, seed, threshold, scale):
    """The same, and set mask (U,) to True where a unit is kept."""
    U, B = x.shape
    x, y, real = x.reshape(x.size), y.reshape(y.size), x.dtype.type
    seed, threshold = np.uint64(seed), np.uint64(threshold)
    groups = (U - 1) // GROUP + 1
    for task in prange((groups - 1) // TASK + 1):
        bits = np.empty(GROUP, np.uint32)
        for g in range(task * TASK, min(groups, (task + 1) * TASK)):
            u = g * GROUP
            n = min(GROUP, U - u)
            draw(bits, g, seed)
            for i in range(n):
                mask[uintp(u + i)] = bits[i] >= threshold
            if B > 1:
                keep_blocks(y, x, u, n, B, bits, threshold, real(scale))
                continue
            prefetch_group(x, u)
            if n == GROUP:
                keep_elements(y, x, u, GROUP, bits, threshold, real(scale), real(0))
            else:
                keep_elements(y, x, u, n, bits, threshold, real(scale), real(0))


@kernel
def dropout_given(y, x, mask, scale):
    """Keep, scaled, the rows of x (U, B) whose mask is True, and set the others to zero."""
    U, B = x.shape
    x, y, real = x.reshape(x.size), y.reshape(y.size), x.dtype.type
    scale, zero = real(scale), real(0)
    for task in prange((U - 1) // GROUP + 1):
        first, end = task * GROUP, min(U, (task + 1) * GROUP)
        if B > 1:
            for u in range(first, end):
                keep_block(y, x, u * B, B, mask[uintp(u)], scale)
        else:
            prefetch_group(x, first)
            for u in range(first, end):  # a choice and no jump, which would be guessed wrong half of the time
                scaled = x[uintp(u)] * scale
                y[uintp(u)] = scaled if mask[uintp(u)] else zero
