"""Pooling, in one pass through shared memory.

Before, each thread fetched its window's cells one after the other, most of them again and again from
the L1 cache. The one change: a block first copies all rows that its outputs read into shared memory (see
bands.py), eight loads of each thread on their way at a time, and makes its windows of what lies there.
A cell comes from memory once, along with its neighbours, whatever the windows' size and stride.

What to expect: memory's speed where windows are as far apart as they are wide. An H200 has time for 7.8
instructions while a byte travels; the 20 bytes an output of 2x2, stride 2, leave time for 150. For 3x3,
stride 1, there are 8 bytes and time for 62, with nine cells to look at and 64-bit addresses to work out:
arithmetic is the limit there.

Two cases are left to others. Where the rows that one output row reads hold more than the 6,144 cells that
shared memory is given, as 3x3 does on planes wider than 2,048, the rung below does it. And where a plane has
but a few windows, of hundreds of cells each, there would be less outputs than threads: of averages, a block
takes a window (see large_windows.py).
"""

from .. import large_windows
from ..bands import CELLS, bands_of, launch_bands, stage
from ..scalars import smaller
from ..target import THREADS, cuda, flat, jit, table
from ..windows import are_wide, average, largest, largest_at, wide_average
from . import pool_coalesced

__all__ = ["avg_pool2d", "max_pool2d", "max_pool2d_indices"]


def _rung(of_window):
    """Return the kernel that makes one number of each window."""

    @jit
    def pool_shared(y, x, h_windows, w_windows, reach, planes, rows, P, IH, IW):
        OH, OW = h_windows.shape[0], w_windows.shape[0]
        cells = cuda.shared.array(CELLS, x.dtype)
        across = smaller(OW, THREADS)  # threads beside one another on a row
        down = THREADS // across  # and rows at a time
        row0, ow0 = cuda.threadIdx.x // across, cuda.threadIdx.x % across
        for item in range(cuda.blockIdx.x, (P + planes - 1) // planes * reach.shape[0], cuda.gridDim.x):
            p0, band = item // reach.shape[0] * planes, item % reach.shape[0]
            ih0, oh0 = reach[band, 0], band * rows
            count, height = smaller(planes, P - p0), smaller(rows, OH - oh0)
            stage(cells, x, (p0 * IH + ih0) * IW, ((count - 1) * IH + reach[band, 1] - ih0) * IW)
            cuda.syncthreads()
            for ow in range(ow0, OW, THREADS):
                w0, w1, w2 = w_windows[ow, 0], w_windows[ow, 1], w_windows[ow, 2]
                row = row0
                while row < count * height and row0 < down:
                    p = row // height if count > 1 else 0
                    oh = oh0 + row - p * height
                    h0, h1, h2 = h_windows[oh, 0], h_windows[oh, 1], h_windows[oh, 2]
                    value = of_window(cells, (p * IH - ih0) * IW, IW, h0, h1, h2, w0, w1, w2)
                    y[((p0 + p) * OH + oh) * OW + ow] = value
                    row += down
            cuda.syncthreads()  # before the next band overwrites this one

    return pool_shared


_average, _wide_average, _largest = _rung(average), _rung(wide_average), _rung(largest)


@jit
def _largest_at(y, indices, x, h_windows, w_windows, reach, planes, rows, P, IH, IW):
    """The same, for two results."""
    OH, OW = h_windows.shape[0], w_windows.shape[0]
    cells = cuda.shared.array(CELLS, x.dtype)
    across = smaller(OW, THREADS)
    down = THREADS // across
    row0, ow0 = cuda.threadIdx.x // across, cuda.threadIdx.x % across
    for item in range(cuda.blockIdx.x, (P + planes - 1) // planes * reach.shape[0], cuda.gridDim.x):
        p0, band = item // reach.shape[0] * planes, item % reach.shape[0]
        ih0, oh0 = reach[band, 0], band * rows
        count, height = smaller(planes, P - p0), smaller(rows, OH - oh0)
        stage(cells, x, (p0 * IH + ih0) * IW, ((count - 1) * IH + reach[band, 1] - ih0) * IW)
        cuda.syncthreads()
        for ow in range(ow0, OW, THREADS):
            w0, w1, w2 = w_windows[ow, 0], w_windows[ow, 1], w_windows[ow, 2]
            row = row0
            while row < count * height and row0 < down:
                p = row // height if count > 1 else 0
                oh = oh0 + row - p * height
                h0, h1, h2 = h_windows[oh, 0], h_windows[oh, 1], h_windows[oh, 2]
                value, where = largest_at(cells, (p * IH - ih0) * IW, IW, h0, h1, h2, w0, w1, w2)
                at = ((p0 + p) * OH + oh) * OW + ow
                y[at], indices[at] = value, where
                row += down
        cuda.syncthreads()


def _pool(kernel, outputs, x, h_windows, w_windows):
    """Launch a kernel and return True, or return False if a window does not fit into shared memory."""
    P, IH, IW = x.shape
    bands = bands_of(P, h_windows[:, :2], IH, IW, len(w_windows))
    if bands is None:
        return False
    tables = table(h_windows), table(w_windows), table(bands.reach)
    launch_bands(kernel, P, bands, *map(flat, outputs), flat(x), *tables, bands.planes, bands.rows, P, IH, IW)
    return True


def avg_pool2d(y, x, h_windows, w_windows):
    """Average the windows of x (P, IH, IW) into y (P, OH, OW)."""
    if large_windows.are_few(h_windows, w_windows):
        large_windows.avg_pool2d(y, x, h_windows, w_windows)
        return
    kernel = _wide_average if are_wide(h_windows, w_windows) else _average
    if not _pool(kernel, [y], x, h_windows, w_windows):
        pool_coalesced.avg_pool2d(y, x, h_windows, w_windows)


def max_pool2d(y, x, h_windows, w_windows):
    """Maxima y (P, OH, OW) of the windows of x (P, IH, IW)."""
    if not _pool(_largest, [y], x, h_windows, w_windows):
        pool_coalesced.max_pool2d(y, x, h_windows, w_windows)


def max_pool2d_indices(y, indices, x, h_windows, w_windows):
    """Maxima y (P, OH, OW) of the windows of x (P, IH, IW), and their indices in the plane."""
    if not _pool(_largest_at, [y, indices], x, h_windows, w_windows):
        pool_coalesced.max_pool2d_indices(y, indices, x, h_windows, w_windows)
