"""Pooling, one thread an output.

The first thought on a GPU: outputs do not depend on each other, so each gets a thread, which runs over
its window. Threads are numbered through the planes first, as images are often thought of: a pixel with
its channels. But neighbours in a warp then read and write cells that lie a whole plane apart. Memory
moves in sectors of 32 bytes; of each, a warp uses 4. A window of 2x2 and stride 2 has 20 bytes to move for
each output and 4 additions: there is nothing but memory to wait for, and seven eighths of what memory
brings is thrown away, or must wait in a cache until other warps ask for it.
"""

from ..target import cuda, flat, jit, launch_each, table
from ..windows import are_wide, average, largest, wide_average

__all__ = ["avg_pool2d", "max_pool2d"]


def _rung(of_window):
    """Return the kernel that makes one number of each window."""

    @jit
    def pool_naive(y, x, h_windows, w_windows, P, IH, IW):
        OH, OW = h_windows.shape[0], w_windows.shape[0]
        for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
            p = i % P  # the fastest index, and the slowest to reach in memory
            ow = i // P % OW
            oh = i // P // OW
            h0, h1, h2 = h_windows[oh, 0], h_windows[oh, 1], h_windows[oh, 2]
            w0, w1, w2 = w_windows[ow, 0], w_windows[ow, 1], w_windows[ow, 2]
            y[(p * OH + oh) * OW + ow] = of_window(x, p * IH * IW, IW, h0, h1, h2, w0, w1, w2)

    return pool_naive


_average, _wide_average, _largest = _rung(average), _rung(wide_average), _rung(largest)


def avg_pool2d(y, x, h_windows, w_windows):
    """Average the windows of x (P, IH, IW) into y (P, OH, OW)."""
    kernel = _wide_average if are_wide(h_windows, w_windows) else _average
    launch_each(kernel, y.size, flat(y), flat(x), table(h_windows), table(w_windows), *x.shape)


def max_pool2d(y, x, h_windows, w_windows):
    """Maxima y (P, OH, OW) of the windows of x (P, IH, IW)."""
    launch_each(_largest, y.size, flat(y), flat(x), table(h_windows), table(w_windows), *x.shape)
