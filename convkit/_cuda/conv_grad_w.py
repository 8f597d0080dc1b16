"""The gradient of conv2d for its filters: a matrix product over the pixels of all images.

    dw[oc, k] = sum over p of  dy[oc, p] * patch[p, k],      k = (ic, kh, kw),  p = (n, oh, ow)

It has few results and long sums (64 by 576 of 100,000 terms), too few tiles to fill a GPU. So the sums are
cut into chunks of pixels, a block each; every chunk leaves a matrix of its own, and a second kernel
adds those up in their order: the same bits each time, as atomic additions would not give.

The tiles are those of the forward pass, and so are the vectors that they are read by. Here both operands
are fetched along the pixels, as they lie in memory, and there is one buffer: while a block waits for
memory, another one on its multiprocessor computes. (In float32 on an H200. In float64, and as compiled for
an A100, the kernel takes more registers than two blocks may have.)

Where a group's channels are too few to fill a tile, each weight gets a block, whose threads share the sum.
"""

from functools import cache

import numpy as np

from .conv_grad_b import sum_chunks
from .depthwise import is_thin
from .reads import patch
from .reduce import sum_block
from .scalars import smaller
from .target import ALIGNS, THREADS, cuda, flat, float64, grid_for, jit, launch, launch_each, table, workspace
from .tiles import BUSY, QUAD, Tile, tiles

__all__ = ["conv2d_grad_w", "kernel_for", "weight_kernel"]

LEAST = 128  # pixels of a chunk: shorter ones would cost more to add up than to compute


@cache
def kernel_for(dtype: np.dtype, tile: Tile):
    """Return the kernel of a dtype and a tile, which are constants in it."""
    number, threads = dtype.type, tile.threads
    BM, BN, BK, TM, TN = tile
    DOWN, ACROSS = BM // TM, BN // TN
    A_ROW, B_ROW = (
        BM + QUAD,
        BN + QUAD,
    )  # so that the cells that a warp puts down in one go differ in their banks
    A_SIZE, SIZE = BK * A_ROW, BK * (A_ROW + B_ROW)
    FOUR = np.uint64(QUAD)

    @jit
    def kernel(partial, dy, x, taps, ih_of, iw_of, SH, SW, G, chunk, pixels, OC, OH, OW, IC, IH, IW):
        M, K = OC // G, taps.shape[1]
        if ALIGNS:
            memory = cuda.shared.array(SIZE, number, 16)
        else:
            memory = cuda.shared.array(SIZE, number)
        a = cuda.local.array(TM, number)
        c = cuda.local.array(TN, number)
        acc = cuda.local.array((TM, TN), number)
        thread = cuda.threadIdx.x
        down, across = thread // ACROSS, thread % ACROSS

        # A block for each tile of channels, tile of taps, group and chunk of pixels.
        m_tiles, k_tiles = (M + BM - 1) // BM, (K + BN - 1) // BN
        m0 = cuda.blockIdx.x % m_tiles * BM
        k0 = cuda.blockIdx.x // m_tiles % k_tiles * BN
        rest = cuda.blockIdx.x // m_tiles // k_tiles
        g, part = rest % G, rest // G
        row = thread % BK  # which of the BK pixels this thread fetches

        for i in range(TM):
            for j in range(TN):
                acc[i, j] = 0
        for first in range(part * chunk, smaller(pixels, (part + 1) * chunk), BK):
            pixel = first + row
            q = pixel // OW
            n = q // OH
            oh, ow = q - n * OH, pixel - q * OW
            real = pixel < pixels
            there = ((n * OC + g * M + m0) * OH + oh) * OW + ow  # in dy, for the first channel
            image = (n * IC + g * (IC // G)) * IH * IW
            for m in range(thread // BK, BM, threads // BK):
                value = number(0)
                if real and m0 + m < M:
                    value = dy[there + m * OH * OW]
                memory[row * A_ROW + m] = value
            for k in range(thread // BK, BN, threads // BK):
                value = number(0)
                if real and k0 + k < K:
                    ih = ih_of[oh * SH + taps[1, k0 + k]]
                    iw = iw_of[ow * SW + taps[2, k0 + k]]
                    if ih >= 0 and iw >= 0:
                        value = x[image + (taps[0, k0 + k] * IH + ih) * IW + iw]
                memory[A_SIZE + row * B_ROW + k] = value
            cuda.syncthreads()  # all of the tile is there
            for k in range(BK):
                a_row = np.uint64(k * (A_ROW // QUAD) + down)
                b_row = np.uint64(A_SIZE // QUAD + k * (B_ROW // QUAD) + across)
                for i in range(TM):
                    a[i] = memory[(a_row + np.uint64(i // QUAD * DOWN)) * FOUR + np.uint64(i % QUAD)]
                for j in range(TN):
                    c[j] = memory[(b_row + np.uint64(j // QUAD * ACROSS)) * FOUR + np.uint64(j % QUAD)]
                for i in range(TM):
                    for j in range(TN):
                        acc[i, j] += a[i] * c[j]
            cuda.syncthreads()  # nobody needs it any more

        for i in range(TM):
            m = m0 + (i // QUAD * DOWN + down) * QUAD + i % QUAD
            for j in range(TN):
                k = k0 + (j // QUAD * ACROSS + across) * QUAD + j % QUAD
                if m < M and k < K:
                    partial[(part * OC + g * M + m) * K + k] = acc[i, j]

    return kernel


@jit
def weight_kernel(dw, dy, x, taps, ih_of, iw_of, SH, SW, G):
    """Compute a weight a block: for groups of few channels."""
    N, OC, OH, OW = dy.shape
    M, K, ICG = OC // G, taps.shape[1], x.shape[1] // G
    for block in range(cuda.blockIdx.x, dw.size, cuda.gridDim.x):
        oc, k = block // K, block % K
        ic = oc // M * ICG + taps[0, k]
        acc = float64(0)
        # A thread's next cell is THREADS further on; its row and image follow without another division.
        rows, columns = THREADS // OW, THREADS % OW
        oh, ow = cuda.threadIdx.x // OW, cuda.threadIdx.x % OW
        n = oh // OH
        oh %= OH
        while n < N:
            ih, iw = ih_of[oh * SH + taps[1, k]], iw_of[ow * SW + taps[2, k]]
            value = x.dtype.type(0)
            if ih >= 0 and iw >= 0:
                value = x[n, ic, ih, iw]
            acc += dy[n, oc, oh, ow] * value
            oh += rows
            ow += columns
            if ow >= OW:
                ow -= OW
                oh += 1
            while oh >= OH:
                oh -= OH
                n += 1
        acc, _ = sum_block(acc, acc)
        if cuda.threadIdx.x == 0:
            dw[block] = acc


def conv2d_grad_w(dw, dy, x, ih_of, iw_of, SH, SW, DH, DW):
    """Gradient of conv2d for w: dw (OC, IC/G, KH, KW) from dy (N, OC, OH, OW) and x (N, IC, IH, IW)."""
    N, OC, OH, OW = dy.shape
    _, ICG, KH, KW = dw.shape
    G = x.shape[1] // ICG
    M, K, pixels = OC // G, ICG * KH * KW, N * OH * OW
    tables = table(patch(ICG, KH, KW, DH, DW)), table(ih_of), table(iw_of)
    if is_thin(M):
        launch(weight_kernel, grid_for(OC * K, 1), THREADS, flat(dw), dy, x, *tables, SH, SW, G)
        return
    tile = tiles(dw.dtype)[-1]  # the largest leaves registers for one block alone
    blocks = -(-M // tile.BM) * -(-K // tile.BN) * G
    most = max(1, pixels // LEAST)  # chunks
    chunk = -(-pixels // min(most, max(1, 2 * BUSY // blocks)))
    chunk = -(-chunk // tile.BK) * tile.BK
    chunks = -(-pixels // chunk)
    partial = flat(dw) if chunks == 1 else workspace(chunks * OC * K, dw.dtype)
    kernel = kernel_for(np.dtype(dw.dtype), tile)
    sizes = SH, SW, G, chunk, pixels, OC, OH, OW, *x.shape[1:]
    launch(kernel, blocks * chunks, tile.threads, partial, flat(dy), flat(x), *tables, *sizes)
    if chunks > 1:
        launch_each(sum_chunks, dw.size, flat(dw), partial, chunks)
