"""The mean over the channels, and its gradient.

    y[n, s] = sum over c of x[n, c, s] / C          dx[n, c, s] = dy[n, s] / C

Bound by memory. Channels are S cells apart, so a run of pixels is kept in a buffer while all channels
are added to it, in double: float32 results are rounded twice, whatever C is. Four channels are added at a
time, so the buffer is read and written a quarter as often. Where an image has few pixels, k channels lie
side by side as one longer run; the k sums of a pixel are added at the end. Backward divides once a pixel
and copies the quotients. Images and runs of pixels are shared among threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy import uintp

from .compile import inner, kernel
from .memory import copy_run, prefetch

SPAN = 2048  # pixels done at a time: 16 KiB of doubles, and 8 KiB of one channel in float32
SIDE_BY_SIDE = 512  # pixels of several channels: enough that a run's beginning and end are little
LINE = 8  # cells at most in a cache line


@inner
def add_four(sums, x, a, apart, n):
    """Add four runs of n cells, which begin `apart` from one another, the first at x[a]."""
    b, c, d = a + apart, a + 2 * apart, a + 3 * apart
    for i in range(0, n, LINE):  # at every channel the processor would have to start anew
        prefetch(x, d + apart + i)
        prefetch(x, d + 2 * apart + i)
    for i in range(n):
        one = np.float64(x[uintp(a + i)]) + np.float64(x[uintp(b + i)])
        sums[uintp(i)] += one + (np.float64(x[uintp(c + i)]) + np.float64(x[uintp(d + i)]))


@inner
def mean_of(y, to, x, of, sums, C, S, pixels):
    k = 1  # channels side by side
    while pixels == S and 2 * k * S <= SIDE_BY_SIDE and 2 * k <= C:
        k *= 2
    n, apart, c = k * pixels, k * S, 0
    for i in range(n):
        sums[uintp(i)] = 0
    while c + 4 * k <= C:
        add_four(sums, x, of + c * S, apart, n)
        c += 4 * k
    while c < C:
        some = min(k, C - c)
        for i in range(some * pixels):
            sums[uintp(i)] += x[uintp(of + c * S + i)]
        c += some
    while k > 1:  # by halves
        k //= 2
        for i in range(k * pixels):
            sums[uintp(i)] += sums[uintp(k * pixels + i)]
    for s in range(pixels):
        y[uintp(to + s)] = sums[uintp(s)] / C


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
