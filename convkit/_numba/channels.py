"""The mean over the channels, and its gradient.

    y[n, s] = sum over c of x[n, c, s] / C          dx[n, c, s] = dy[n, s] / C

Bound by memory. Channels are S cells apart, so a run of pixels is kept in a buffer while all channels
are added to it, in double: the result is rounded twice, whatever C is. Backward divides once a pixel
and copies the quotients. Images and runs of pixels are shared among threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy import uintp

from .compile import inner, kernel
from .memory import copy_run, prefetch

SPAN = 2048  # pixels done at a time: 16 KiB of doubles, and 8 KiB of one channel in float32
LINE = 8  # cells at most in a cache line


@inner
def mean_of(y, to, x, of, sums, C, S, pixels):
    for s in range(pixels):
        sums[s] = x[uintp(of + s)]
    for c in range(1, C):
        for s in range(0, pixels, LINE):  # at every channel the processor would have to start anew
            prefetch(x, of + (c + 1) * S + s)
        for s in range(pixels):
            sums[s] += x[uintp(of + c * S + s)]
    for s in range(pixels):
        y[uintp(to + s)] = sums[s] / C


@kernel
def channel_mean(y, x):
    """Average x (N, C, S) over its channels into y (N, S)."""
    N, C, S = x.shape
    x, y = x.reshape(x.size), y.reshape(y.size)
    runs = (S + SPAN - 1) // SPAN
    for i in prange(N * runs):
        n, first = i // runs, i % runs * SPAN
        sums = np.empty(SPAN)
        mean_of(y, n * S + first, x, n * C * S + first, sums, C, S, min(SPAN, S - first))


@kernel
def channel_mean_backward(dx, dy):
    """Hand every channel of dx (N, C, S) its equal share of dy (N, S)."""
    N, C, S = dx.shape
    dx, dy = dx.reshape(dx.size), dy.reshape(dy.size)
    runs = (S + SPAN - 1) // SPAN
    for i in prange(N * runs):
        n, first = i // runs, i % runs * SPAN
        to, pixels = n * C * S + first, min(SPAN, S - first)
        for s in range(pixels):
            dx[uintp(to + s)] = dy[uintp(n * S + first + s)] / float(C)
        for c in range(1, C):
            copy_run(dx, to + c * S, dx, to, pixels)
