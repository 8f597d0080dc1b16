"""Pooling, with neighbouring threads on neighbouring outputs.

Before, the 32 threads of a warp stood in 32 planes, and seven eighths of each 32-byte sector that memory
moved went unused. The one change: threads are numbered as y lies in memory, columns first. A warp now
writes 128 bytes in one piece, and what it reads is one piece for each row and column of the window.

What is left: windows that overlap, and every second cell at stride 2, come from the L1 cache: nine
loads an output for 3x3. Each is an instruction with an address to work out, and a thread waits for its
loads one after the other, with 4 bytes on their way.
"""

from ..target import cuda, flat, jit, launch_each, table
from ..windows import are_wide, average, largest, largest_at, wide_average

__all__ = ["avg_pool2d", "max_pool2d", "max_pool2d_indices"]


def _rung(of_window):
    """Return the kernel that makes one number of each window."""

    @jit
    def pool_coalesced(y, x, h_windows, w_windows, P, IH, IW):
        OH, OW = h_windows.shape[0], w_windows.shape[0]
        for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
            ow = i % OW
            oh = i // OW % OH
            p = i // OW // OH
            h0, h1, h2 = h_windows[oh, 0], h_windows[oh, 1], h_windows[oh, 2]
            w0, w1, w2 = w_windows[ow, 0], w_windows[ow, 1], w_windows[ow, 2]
            y[i] = of_window(x, p * IH * IW, IW, h0, h1, h2, w0, w1, w2)

    return pool_coalesced


_average, _wide_average, _largest = _rung(average), _rung(wide_average), _rung(largest)


@jit
def _largest_at(y, indices, x, h_windows, w_windows, P, IH, IW):
    OH, OW = h_windows.shape[0], w_windows.shape[0]
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        ow = i % OW
        oh = i // OW % OH
        p = i // OW // OH
        h0, h1, h2 = h_windows[oh, 0], h_windows[oh, 1], h_windows[oh, 2]
        w0, w1, w2 = w_windows[ow, 0], w_windows[ow, 1], w_windows[ow, 2]
        y[i], indices[i] = largest_at(x, p * IH * IW, IW, h0, h1, h2, w0, w1, w2)


def avg_pool2d(y, x, h_windows, w_windows):
    """Average the windows of x (P, IH, IW) into y (P, OH, OW)."""
    kernel = _wide_average if are_wide(h_windows, w_windows) else _average
    launch_each(kernel, y.size, flat(y), flat(x), table(h_windows), table(w_windows), *x.shape)


def max_pool2d(y, x, h_windows, w_windows):
    """Maxima y (P, OH, OW) of the windows of x (P, IH, IW)."""
    launch_each(_largest, y.size, flat(y), flat(x), table(h_windows), table(w_windows), *x.shape)


def max_pool2d_indices(y, indices, x, h_windows, w_windows):
    """Maxima y (P, OH, OW) of the windows of x (P, IH, IW), and their indices in the plane."""
    tables = table(h_windows), table(w_windows)
    launch_each(_largest_at, y.size, flat(y), flat(indices), flat(x), *tables, *x.shape)
