"""conv2d as a matrix product, by tiles in shared memory (implicit GEMM).

What limited the coalesced kernel: each multiply-add (2 FLOPs) loads 8 bytes, if only from a cache, and a
multiprocessor's cache hands out 128 bytes a cycle where its arithmetic units could use 1,024.

The change: outputs are taken as a matrix, channels by pixels of all images, which is the product of the
filters (OC, K) and of the patches (K, pixels), K = IC*KH*KW. The patches are never written down: what
stands in row k of a pixel is looked up in the tables when it is needed. A block of T*T threads
computes T channels of T pixels. It fetches T columns of the filters and T rows of the patches into shared
memory, a number of each a thread, waits until all are there, and multiplies.

A number that is fetched now serves T multiply-adds instead of one, so memory is asked for 1/T as much.
Expect shared memory to be the next limit: it still hands out two numbers for each multiply-add.
"""

from ..reads import patch
from ..target import SIMULATED, cuda, flat, jit, launch, table

__all__ = ["T", "conv2d", "kernel"]

T = 4 if SIMULATED else 16  # T*T threads: 32*32 would leave room for one block only


@jit
def kernel(y, x, w, b, taps, ih_of, iw_of, SH, SW, G):
    N, OC, OH, OW = y.shape
    M, K, pixels, ICG = OC // G, taps.shape[1], N * OH * OW, x.shape[1] // G
    a = cuda.shared.array((T, T), w.dtype)  # filters: channel, k
    c = cuda.shared.array((T, T), x.dtype)  # patches: k, pixel
    across, down = cuda.threadIdx.x, cuda.threadIdx.y

    # A block for each tile of channels, group and tile of pixels.
    m_tiles = (M + T - 1) // T
    m = cuda.blockIdx.x % m_tiles * T + down
    g = cuda.blockIdx.x // m_tiles % G
    pixel = cuda.blockIdx.x // m_tiles // G * T + across
    ow = pixel % OW
    oh = pixel // OW % OH
    n = pixel // OW // OH

    acc = y.dtype.type(0)
    for k0 in range(0, K, T):
        k = k0 + across
        a[down, across] = 0
        if m < M and k < K:
            a[down, across] = w[(g * M + m) * K + k]
        k = k0 + down
        c[down, across] = 0
        if pixel < pixels and k < K:
            ih = ih_of[oh * SH + taps[1, k]]
            iw = iw_of[ow * SW + taps[2, k]]
            if ih >= 0 and iw >= 0:
                c[down, across] = x[n, g * ICG + taps[0, k], ih, iw]
        cuda.syncthreads()  # all of the tile is there
        for k in range(T):
            acc += a[down, k] * c[k, across]
        cuda.syncthreads()  # nobody needs it any more
    if m < M and pixel < pixels:
        y[n, g * M + m, oh, ow] = acc + b[g * M + m]


def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Convolve x (N, IC, IH, IW) with w (OC, IC/G, KH, KW) and b (OC,) into y (N, OC, OH, OW)."""
    N, OC, OH, OW = y.shape
    _, ICG, KH, KW = w.shape
    G = x.shape[1] // ICG
    blocks = -(-OC // G // T) * G * -(-N * OH * OW // T)
    tables = table(patch(ICG, KH, KW, DH, DW)), table(ih_of), table(iw_of)
    launch(kernel, blocks, (T, T), y, x, flat(w), b, *tables, SH, SW, G)
