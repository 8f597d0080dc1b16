"""Averages of windows so large that one thread would take too long over one: a block shares a window.

A global average of 4 images of 3 channels has twelve windows. A thread for each would leave a GPU idle but
for twelve threads; a block for each is twelve blocks of 256, whose threads read neighbouring cells and whose
sums, in double, are added by a tree, in the same order each time.
"""

from __future__ import annotations

import numpy as np

from .reduce import sum_block
from .scalars import larger
from .target import THREADS, cuda, flat, float64, grid_for, jit, launch, table, uint64

__all__ = ["are_few", "avg_pool2d"]

WARP = 32


def are_few(h_windows: np.ndarray, w_windows: np.ndarray) -> bool:
    """Tell whether windows have a cell for each thread of a block, and planes but a few of them.

    >>> whole = np.array([[0, 56, 56]])
    >>> are_few(whole, whole)
    True
    """
    cells = np.max(h_windows[:, 1] - h_windows[:, 0]) * np.max(w_windows[:, 1] - w_windows[:, 0])
    return bool(cells >= THREADS and len(h_windows) * len(w_windows) < WARP)


@jit
def average_of_block(y, x, h_windows, w_windows, IH, IW):
    OH, OW = h_windows.shape[0], w_windows.shape[0]
    t = cuda.threadIdx.x
    for item in range(cuda.blockIdx.x, y.size, cuda.gridDim.x):
        p, oh, ow = item // OW // OH, item // OW % OH, item % OW
        bottom, w0, w1 = h_windows[oh, 1], w_windows[ow, 0], w_windows[ow, 1]
        width = larger(w1 - w0, 1)
        # A thread's next cell is THREADS further on; its row follows without another division.
        rows, columns = THREADS // width, THREADS % width
        ih, iw = h_windows[oh, 0] + t // width, w0 + t % width
        acc = float64(0)
        while ih < bottom and iw < w1:
            acc += x[uint64((p * IH + ih) * IW + iw)]
            ih += rows
            iw += columns
            if iw >= w1:
                iw -= width
                ih += 1
        acc, _ = sum_block(acc, acc)
        if t == 0:
            y[item] = acc / (h_windows[oh, 2] * w_windows[ow, 2])


def avg_pool2d(y, x, h_windows, w_windows):
    """Average the windows of x (P, IH, IW) into y (P, OH, OW)."""
    tables = table(h_windows), table(w_windows)
    launch(average_of_block, grid_for(y.size, 1), THREADS, flat(y), flat(x), *tables, *x.shape[1:])
