"""conv2d, a tile of outputs in each thread's registers.

What limited the shared tile: for every multiply-add a thread loads two numbers from shared memory. A
multiprocessor does 128 multiply-adds a cycle, and loads 32 numbers from there: an eighth of the speed.

The change: a thread computes TM channels of TN pixels instead of one output. For each k it loads
TM + TN numbers into registers and does TM*TN multiply-adds, with 8 by 8 a load for four of
them. The block's tile grows with it, to 128 by 128, so each number from memory serves 128 multiply-adds.
It is thinner in k, BK = 8: four numbers of each matrix for each of the block's 256 threads to fetch. More
would save barriers, and cost registers, of which there are none to spare. The rest is as before.

Expect several times the speed. The next limits are the shared loads, each of which still brings a single
number and waits for its bank, and that all arithmetic waits while the next tile is fetched: the sums take so
many registers that a multiprocessor has no second block to compute with meanwhile.
"""

from functools import cache

import numpy as np

from ..reads import patch
from ..target import cuda, flat, jit, launch, table
from ..tiles import Tile, tile_for

__all__ = ["conv2d", "kernel_for"]


@cache
def kernel_for(dtype: np.dtype, tile: Tile):
    """Return the kernel of a dtype and a tile, which are constants in it."""
    number, threads = dtype.type, tile.threads
    BM, BN, BK, TM, TN = tile
    ACROSS = BN // TN  # threads side by side

    @jit
    def kernel(y, x, w, b, taps, ih_of, iw_of, SH, SW, G, OH, OW):
        N, IC, _, _ = x.shape
        OC, K, pixels = b.size, taps.shape[1], N * OH * OW
        M, ICG = OC // G, IC // G
        a_tile = cuda.shared.array((BK, BM), number)  # filters: k, channel
        c_tile = cuda.shared.array((BK, BN), number)  # patches: k, pixel
        cells = cuda.shared.array(BN, np.int64)  # where in y each pixel of the tile goes, for channel 0
        a = cuda.local.array(TM, number)
        c = cuda.local.array(TN, number)
        acc = cuda.local.array((TM, TN), number)
        thread = cuda.threadIdx.x
        down, across = thread // ACROSS * TM, thread % ACROSS * TN

        m_tiles = (M + BM - 1) // BM
        m0 = cuda.blockIdx.x % m_tiles * BM
        g = cuda.blockIdx.x // m_tiles % G
        column = thread % BN  # a thread fetches for the same pixel every time
        pixel = cuda.blockIdx.x // m_tiles // G * BN + column
        ow = pixel % OW
        oh = pixel // OW % OH
        n = pixel // OW // OH
        if thread < BN:
            cells[column] = (n * OC * OH + oh) * OW + ow if pixel < pixels else -1

        for i in range(TM):
            for j in range(TN):
                acc[i, j] = 0
        for k0 in range(0, K, BK):
            for i in range(thread, BM * BK, threads):
                m, k = m0 + i // BK, k0 + i % BK
                a_tile[i % BK, i // BK] = 0
                if m < M and k < K:
                    a_tile[i % BK, i // BK] = w[(g * M + m) * K + k]
            for row in range(thread // BN, BK, threads // BN):
                k = k0 + row
                c_tile[row, column] = 0
                if pixel < pixels and k < K:
                    ih = ih_of[oh * SH + taps[1, k]]
                    iw = iw_of[ow * SW + taps[2, k]]
                    if ih >= 0 and iw >= 0:
                        c_tile[row, column] = x[n, g * ICG + taps[0, k], ih, iw]
            cuda.syncthreads()  # all of the tile is there
            for k in range(BK):
                for i in range(TM):
                    a[i] = a_tile[k, down + i]
                for j in range(TN):
                    c[j] = c_tile[k, across + j]
                for i in range(TM):
                    for j in range(TN):
                        acc[i, j] += a[i] * c[j]
            cuda.syncthreads()  # nobody needs it any more

        for j in range(TN):
            cell = cells[across + j]
            if cell >= 0:
                for i in range(TM):
                    if m0 + down + i < M:
                        oc = g * M + m0 + down + i
                        y[cell + oc * OH * OW] = acc[i, j] + b[oc]

    return kernel


def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Convolve x (N, IC, IH, IW) with w (OC, IC/G, KH, KW) and b (OC,) into y (N, OC, OH, OW)."""
    N, OC, OH, OW = y.shape
    _, ICG, KH, KW = w.shape
    G = x.shape[1] // ICG
    M, pixels = OC // G, N * OH * OW
    tile = tile_for(x.dtype, M, pixels, G)
    blocks = -(-M // tile.BM) * G * -(-pixels // tile.BN)
    tables = table(patch(ICG, KH, KW, DH, DW)), table(ih_of), table(iw_of)
    kernel = kernel_for(np.dtype(x.dtype), tile)
    launch(kernel, blocks, tile.threads, flat(y), x, flat(w), b, *tables, SH, SW, G, OH, OW)
