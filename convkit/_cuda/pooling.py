"""Gradients of pooling, and the mean over channels.

    average   dx[p, ih, iw] = sum of dy[p, oh, ow] / divisor over the windows that hold (ih, iw)
    maximum   dx[p, ih, iw] = sum of dy[p, oh, ow] over the windows whose index is (ih, iw)

Both are written as scatters in a textbook: each output hands its gradient to cells. Where windows
overlap, that needs atomic additions, whose order changes from run to run. Here each cell gathers from the
outputs that may have something for it, in their order: the same bits each time.

The forward kernels are the ladder's: see ladder/pool_shared.py.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .bands import CELLS, bands_of, launch_bands, stage
from .columns import BATCH, launch_columns
from .scalars import larger, smaller
from .target import THREADS, cuda, flat, float64, grid_for, jit, launch, table, uint64, workspace
from .windows import are_wide, total, wide_total

__all__ = ["avg_pool2d_backward", "channel_mean", "channel_mean_backward", "max_pool2d_backward"]


# --- averages ------------------------------------------------------------------------------


def _spread_by(sum_of):
    """The forward kernel the other way round: an input cell's window are the outputs that it went into."""

    @jit
    def spread(dx, dy, h_windows, w_windows, oh_range, ow_range, reach, planes, rows, P, OH, OW):
        IH, IW = oh_range.shape[0], ow_range.shape[0]
        shares = cuda.shared.array(CELLS, dy.dtype)
        t = cuda.threadIdx.x
        for item in range(cuda.blockIdx.x, (P + planes - 1) // planes * reach.shape[0], cuda.gridDim.x):
            p0, band = item // reach.shape[0] * planes, item % reach.shape[0]
            oh0, ih0 = reach[band, 0], band * rows
            count, height = smaller(planes, P - p0), smaller(rows, IH - ih0)
            lines = (count - 1) * OH + reach[band, 1] - oh0
            stage(shares, dy, (p0 * OH + oh0) * OW, lines * OW)
            cuda.syncthreads()
            across = smaller(OW, THREADS)
            down = THREADS // across
            for ow in range(t % across, OW, THREADS):
                line = t // across
                while line < lines and t < across * down:
                    oh = (oh0 + line) % OH if count > 1 else oh0 + line
                    shares[line * OW + ow] /= dy.dtype.type(h_windows[oh, 2] * w_windows[ow, 2])
                    line += down
            cuda.syncthreads()
            across = smaller(IW, THREADS)
            down = THREADS // across
            for iw in range(t % across, IW, THREADS):
                w0, w1 = ow_range[iw, 0], ow_range[iw, 1]
                row = t // across
                while row < count * height and t < across * down:
                    p = row // height if count > 1 else 0
                    ih = ih0 + row - p * height
                    h0, h1 = oh_range[ih, 0], oh_range[ih, 1]
                    value = sum_of(shares, (p * OH - oh0) * OW, OW, h0, h1, w0, w1)
                    dx[((p0 + p) * IH + ih) * IW + iw] = value
                    row += down
            cuda.syncthreads()  # before the next band overwrites this one

    return spread


_spread, _wide_spread = _spread_by(total), _spread_by(wide_total)


@jit
def _gather_shares(dx, dy, h_windows, w_windows, oh_range, ow_range, P, OH, OW, across, blocks, rows):
    """For gradients of which one row of cells needs more than shared memory holds."""
    IH, IW = oh_range.shape[0], ow_range.shape[0]
    for block in range(cuda.blockIdx.x, blocks, cuda.gridDim.x):
        column = block % across * THREADS + cuda.threadIdx.x
        if column < P * IW:
            p, iw = column // IW, column % IW
            top = block // across * rows
            for ih in range(top, smaller(IH, top + rows)):
                acc = float64(0)
                for oh in range(oh_range[ih, 0], oh_range[ih, 1]):
                    for ow in range(ow_range[iw, 0], ow_range[iw, 1]):
                        divisor = dy.dtype.type(h_windows[oh, 2] * w_windows[ow, 2])
                        acc += dy[(p * OH + oh) * OW + ow] / divisor
                dx[(p * IH + ih) * IW + iw] = acc


def avg_pool2d_backward(dx, dy, h_windows, w_windows):
    """Hand every cell of a window its equal share of dy (P, OH, OW), into dx (P, IH, IW)."""
    (P, IH, IW), (_, OH, OW) = dx.shape, dy.shape
    oh_range, ow_range = holders(h_windows.tobytes(), IH), holders(w_windows.tobytes(), IW)
    tables = table(h_windows), table(w_windows), table(oh_range), table(ow_range)
    bands = bands_of(P, oh_range, OH, OW, IW)
    if bands is None:
        launch_columns(_gather_shares, dx.shape, flat(dx), flat(dy), *tables, P, OH, OW)
        return
    cut = table(bands.reach), bands.planes, bands.rows
    kernel = _wide_spread if are_wide(oh_range, ow_range) else _spread
    launch_bands(kernel, P, bands, flat(dx), flat(dy), *tables, *cut, P, OH, OW)


@lru_cache(maxsize=512)
def holders(windows: bytes, n: int) -> np.ndarray:
    """Return (first, stop) of the windows that hold each of n cells; they lie side by side.

    >>> holders(np.array([[0, 2, 2], [1, 4, 3]]).tobytes(), 5).tolist()
    [[0, 1], [0, 2], [1, 2], [1, 2], [2, 2]]
    """
    start, stop, _ = np.frombuffer(windows, np.intp).reshape(-1, 3).T
    cells = np.arange(n)
    first = np.searchsorted(stop, cells, side="right")
    return np.stack([first, np.maximum(first, np.searchsorted(start, cells, side="right"))], axis=1)


# --- maxima --------------------------------------------------------------------------------
# Which windows may hold a cell is not said, but the indices tell. Were an output exactly as far down its
# plane as its maximum is, then ih*OH == oh*IH. How far the two differ, over all outputs, is two numbers
# for each axis; outputs outside of that range cannot have a cell's index. It is as narrow as the
# windows are small, and for arbitrary indices it is the whole plane: slow, but right.


@jit(device=True)
def _extremes(h_least, h_most, w_least, w_most):
    """Return the least, greatest, least and greatest of all threads' numbers."""
    found = cuda.shared.array((4, THREADS), np.int64)
    t, width = cuda.threadIdx.x, THREADS
    found[0, t], found[1, t], found[2, t], found[3, t] = h_least, h_most, w_least, w_most
    cuda.syncthreads()
    while width > 1:
        width //= 2
        if t < width:  # reads its own column and one that nobody writes now
            for k in range(0, 4, 2):
                found[k, t] = smaller(found[k, t], found[k, t + width])
                found[k + 1, t] = larger(found[k + 1, t], found[k + 1, t + width])
        cuda.syncthreads()
    return found[0, 0], found[1, 0], found[2, 0], found[3, 0]


@jit
def _slants(slants, indices, IH, IW, P, OH, OW, across, blocks, rows):
    """Least and greatest ih*OH - oh*IH and iw*OW - ow*IW that each block finds: slants (4, blocks)."""
    where = cuda.local.array(BATCH, np.int64)
    h_least, h_most, w_least, w_most = IH * OH, -IH * OH, IW * OW, -IW * OW
    for block in range(cuda.blockIdx.x, blocks, cuda.gridDim.x):
        column = block % across * THREADS + cuda.threadIdx.x
        if column < P * OW:
            p, ow = column // OW, column % OW
            top = block // across * rows
            bottom = smaller(OH, top + rows)
            for first in range(top, bottom, BATCH):
                for k in range(BATCH):
                    if first + k < bottom:
                        where[k] = indices[(p * OH + first + k) * OW + ow]
                for k in range(BATCH):
                    # No cell has an index outside of the plane, and products with one may overflow.
                    if first + k < bottom and 0 <= where[k] < IH * IW:
                        ih = where[k] // IW
                        h = ih * OH - (first + k) * IH
                        w = (where[k] - ih * IW) * OW - ow * IW
                        h_least, h_most = smaller(h_least, h), larger(h_most, h)
                        w_least, w_most = smaller(w_least, w), larger(w_most, w)
    h_least, h_most, w_least, w_most = _extremes(h_least, h_most, w_least, w_most)
    if cuda.threadIdx.x == 0:
        b = cuda.blockIdx.x
        slants[0, b], slants[1, b], slants[2, b], slants[3, b] = h_least, h_most, w_least, w_most


@jit
def _ranges(ranges, slants, IH, IW, OH, OW):
    """The outputs that may have a cell's index: (first, stop) for each row, then for each column.

    One block, with a thread for each block of `_slants`.
    """
    t = smaller(cuda.threadIdx.x, slants.shape[1] - 1)
    h_least, h_most, w_least, w_most = _extremes(slants[0, t], slants[1, t], slants[2, t], slants[3, t])
    for ih in range(cuda.threadIdx.x, IH, THREADS):  # ih*OH - oh*IH lies between the two
        ranges[ih, 0] = larger(0, (ih * OH - h_most + IH - 1) // IH)
        ranges[ih, 1] = smaller(OH, (ih * OH - h_least) // IH + 1)
    for iw in range(cuda.threadIdx.x, IW, THREADS):
        ranges[IH + iw, 0] = larger(0, (iw * OW - w_most + IW - 1) // IW)
        ranges[IH + iw, 1] = smaller(OW, (iw * OW - w_least) // IW + 1)


@jit
def _collect(dx, dy, indices, ranges, IH, IW, P, OH, OW, across, blocks, rows):
    for block in range(cuda.blockIdx.x, blocks, cuda.gridDim.x):
        column = block % across * THREADS + cuda.threadIdx.x
        if column < P * IW:
            p, iw = column // IW, column % IW
            w0, w1 = ranges[IH + iw, 0], ranges[IH + iw, 1]
            top = block // across * rows
            for ih in range(top, smaller(IH, top + rows)):
                cell = ih * IW + iw
                acc = dy.dtype.type(0)
                row, bottom = (p * OH + ranges[ih, 0]) * OW, (p * OH + ranges[ih, 1]) * OW
                while row < bottom:
                    at = row + w0
                    while at < row + w1:
                        if indices[uint64(at)] == cell:
                            acc += dy[uint64(at)]
                        at += 1
                    row += OW
                dx[p * IH * IW + cell] = acc


def reach_of(dx, dy, indices):
    """Return which outputs may have a cell's index: (first, stop) of each row, then of each column of dx."""
    (P, IH, IW), (_, OH, OW) = dx.shape, dy.shape
    across, pieces = -(-P * OW // THREADS), -(-OH // BATCH)
    parts = min(grid_for(across * pieces, 1), THREADS)
    memory = workspace(4 * parts + 2 * (IH + IW), np.int64)
    slants = memory[: 4 * parts].reshape(4, parts)
    ranges = memory[4 * parts :].reshape(IH + IW, 2)
    cut = across, across * pieces, BATCH
    launch(_slants, parts, THREADS, slants, flat(indices), IH, IW, P, OH, OW, *cut)
    launch(_ranges, 1, THREADS, ranges, slants, IH, IW, OH, OW)
    return ranges


def max_pool2d_backward(dx, dy, indices):
    """Add dy (P, OH, OW) to the cells of dx (P, IH, IW) whose maximum went into y."""
    ranges = reach_of(dx, dy, indices)
    shapes = *dx.shape[1:], *dy.shape
    launch_columns(_collect, dx.shape, flat(dx), flat(dy), flat(indices), ranges, *shapes)


# --- means over channels -------------------------------------------------------------------

LANES = min(32, THREADS // 4)
"""Neighbouring cells of a plane that a block serves; its other threads share the channels."""
DEPTH = THREADS // LANES


@jit
def _means(y, x, N, C, S):
    sums = cuda.shared.array((DEPTH, LANES), float64)
    lane, depth = cuda.threadIdx.x % LANES, cuda.threadIdx.x // LANES
    tiles = (S + LANES - 1) // LANES
    for item in range(cuda.blockIdx.x, N * tiles, cuda.gridDim.x):
        n, s = item // tiles, item % tiles * LANES + lane
        acc = float64(0)
        if s < S:
            for c in range(depth, C, DEPTH):
                acc += x[uint64((n * C + c) * S + s)]
        sums[depth, lane] = acc
        cuda.syncthreads()
        if depth == 0 and s < S:
            for other in range(1, DEPTH):
                acc += sums[other, lane]
            y[n * S + s] = acc / C
        cuda.syncthreads()


@jit
def _mean_shares(dx, dy, N, C, S, across, blocks, rows):
    for block in range(cuda.blockIdx.x, blocks, cuda.gridDim.x):
        column = block % across * THREADS + cuda.threadIdx.x
        if column < N * S:
            n, s = column // S, column % S
            share = dy[column] / dy.dtype.type(C)
            top = block // across * rows
            for c in range(top, smaller(C, top + rows)):
                dx[(n * C + c) * S + s] = share


def channel_mean(y, x):
    """Average x (N, C, S) over its channels into y (N, S)."""
    N, C, S = x.shape
    launch(_means, grid_for(N * -(-S // LANES), 1), THREADS, flat(y), flat(x), N, C, S)


def channel_mean_backward(dx, dy):
    """Hand every channel of dx (N, C, S) its equal share of dy (N, S)."""
    launch_columns(_mean_shares, dx.shape, flat(dx), flat(dy), *dx.shape)
