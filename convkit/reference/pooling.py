"""Pooling replaces each window of a plane by one number; the channel mean, each stack of planes.

    average   y[p, i, j] = sum of x[p, h0:h1, w0:w1] / (h_divisor * w_divisor)
    maximum   y[p, i, j] = max of x[p, h0:h1:step, w0:w1:step]

``h_windows[i]`` is ``(h0, h1, h_divisor)`` or ``(h0, h1, step)``, and `w_windows` likewise. They hold
real cells only: padding counts in a divisor, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from . import quiet


@quiet
def avg_pool2d(y, x, h_windows, w_windows):
    """Average x (P, IH, IW) into y (P, OH, OW): sum the rows of each window, then its columns."""
    rows = np.stack([x[:, a:b].sum(axis=1, dtype=np.float64) for a, b, _ in h_windows], axis=1)
    sums = np.stack([rows[:, :, a:b].sum(axis=2) for a, b, _ in w_windows], axis=2)
    y[...] = sums / _divisors(h_windows, w_windows)


@quiet
def avg_pool2d_backward(dx, dy, h_windows, w_windows):
    """Hand every cell of a window its equal share of dy (P, OH, OW), into dx (P, IH, IW)."""
    P, IH, IW = dx.shape
    shares = dy / _divisors(h_windows, w_windows)
    rows = np.zeros((P, IH, len(w_windows)))
    for i, (a, b, _) in enumerate(h_windows):
        rows[:, a:b] += shares[:, i : i + 1]
    cells = np.zeros((P, IH, IW))
    for j, (a, b, _) in enumerate(w_windows):
        cells[:, :, a:b] += rows[:, :, j : j + 1]
    dx[...] = cells


def _divisors(h_windows: np.ndarray, w_windows: np.ndarray) -> np.ndarray:
    """Number to divide by, per output, as float64 (OH, OW)."""
    return h_windows[:, 2, None].astype(np.float64) * w_windows[:, 2]


@quiet
def max_pool2d_indices(y, indices, x, h_windows, w_windows):
    """Maxima y (P, OH, OW) of x (P, IH, IW), and where they are: indices (P, OH, OW) = ih*IW + iw.

    All windows walk their cells together, row by row. A cell takes over where it is greater, or NaN:
    so the first of equals wins, and a NaN always. Starting from the first cell, not from -infinity,
    makes the index a cell of the window even where every cell is -infinity.
    """
    IW = x.shape[2]
    ih, iw = h_windows[:, :1], w_windows[None, :, 0]
    index = ih * IW + iw
    best, where = x[:, ih, iw], np.broadcast_to(index, y.shape).copy()
    for ih in _cells(h_windows):
        for iw in _cells(w_windows):
            cell = x[:, ih[:, None], iw]
            better = (cell > best) | np.isnan(cell)
            best = np.where(better, cell, best)
            where = np.where(better, ih[:, None] * IW + iw, where)
    y[...] = best
    indices[...] = where


def _cells(windows: np.ndarray) -> Iterator[np.ndarray]:
    """For each step of the walk, the cell (O,) where each window stands.

    A window that has come to its end stays there: to look at its last cell again changes nothing.
    """
    start, stop, step = windows.T
    last_step = (stop - 1 - start) // step
    for i in range(last_step.max() + 1):
        yield start + np.minimum(i, last_step) * step


@quiet
def max_pool2d(y, x, h_windows, w_windows):
    """Maxima y (P, OH, OW) of the windows of x (P, IH, IW)."""
    max_pool2d_indices(y, np.empty(y.shape, dtype=np.int64), x, h_windows, w_windows)


@quiet
def max_pool2d_backward(dx, dy, indices):
    """Add dy (P, OH, OW) to the cells of dx (P, IH, IW) whose maximum went into y."""
    P = len(dx)
    cells = np.zeros((P, dx[0].size))
    np.add.at(cells, (np.arange(P)[:, None], indices.reshape(P, -1)), dy.reshape(P, -1))
    dx[...] = cells.reshape(dx.shape)


@quiet
def channel_mean(y, x):
    """Average x (N, C, S) over its channels into y (N, S)."""
    y[...] = x.mean(axis=1, dtype=np.float64)


@quiet
def channel_mean_backward(dx, dy):
    """Hand every channel of dx (N, C, S) its equal share of dy (N, S)."""
    dx[...] = dy[:, None, :].astype(np.float64) / dx.shape[1]
