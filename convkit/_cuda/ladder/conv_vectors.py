"""conv2d, vectors of 16 bytes and two buffers.

What limited the register tile: for 64 multiply-adds a thread loads 16 numbers from shared memory one by
one, a quarter as many loads as multiply-adds, and the load units have a quarter of the arithmetic's
rate: at best both would always be busy. It is worse, for the pixels of neighbouring threads lie eight apart,
in four of the 32 banks (banks.py), and each load of theirs takes four cycles. And twice a step all threads
wait, first for memory, then for the slowest reader.

The change has three parts. Numbers that a thread needs next to each other lie next to each other in shared
memory, at addresses that 16 divides, so that four floats (or two doubles) come in one load. A thread's eight
channels and pixels are two such vectors, far apart, and its neighbour's are the next ones, so that the
threads of a warp meet in no bank. And there are two buffers: while a thread multiplies out of one,
the numbers of the next step are on their way from memory into its registers, and then go into the other
one. That leaves one barrier a step. Filters are laid out beforehand, tile by tile, so that neighbouring
threads copy neighbouring numbers; between memory and registers, numbers still travel one by one.

Expect a step's loads to fall from 16 to 4 a thread, and the arithmetic units to become the limit.
docs/ladders/gpu_convolution.md counts the cycles.

The kernel knows nothing of strides or of padding: it multiplies filters by the cells that tables name, and
so computes the gradient for x as well (:mod:`convkit._cuda.reads`).
"""

from functools import cache

import numpy as np

from ..reads import Reads, forward
from ..scalars import larger
from ..target import ALIGNS, cuda, flat, jit, launch, launch_each, table, workspace
from ..tiles import QUAD, Tile, tile_for

__all__ = ["conv2d", "gather_gemm", "kernel_for", "pack"]


@jit
def pack(packed, w, kh_of, kw_of, KW, C, M, g_step, m_step, c_step, K_padded, m_tiles, BM):
    """Lay filters out tile by tile, (G, m_tiles, K_padded, BM), with zeros beyond the edges.

    Row k = (kh, kw, c) and column m hold the weight by which channel c of the input goes into channel m
    of the output; the steps say where in w it is.
    """
    T = kw_of.size
    taps = kh_of.size * T
    for i in range(cuda.grid(1), packed.size, cuda.gridsize(1)):
        k = i // BM % K_padded
        tile = i // BM // K_padded
        m = tile % m_tiles * BM + i % BM
        value = packed.dtype.type(0)
        if k < taps * C and m < M:
            t = k // C
            tap = kh_of[t // T] * KW + kw_of[t % T]
            value = w[tile // m_tiles * g_step + m * m_step + k % C * c_step + tap]
        packed[i] = value


@cache
def kernel_for(dtype: np.dtype, tile: Tile):
    """Return the kernel of a dtype and a tile, which are constants in it."""
    number, threads = dtype.type, tile.threads
    BM, BN, BK, TM, TN = tile
    A_SIZE, B_SIZE = BK * BM, BK * BN
    BUFFER = A_SIZE + B_SIZE
    BOTH = 2 * BUFFER
    A_EACH, B_EACH = A_SIZE // threads, B_SIZE // threads
    DOWN, ACROSS = BM // TM, BN // TN  # threads below each other and side by side
    FOUR = np.uint64(QUAD)

    @jit
    def kernel(y, x, packed, b, rows_of, cols_of, row_at, col_at, N, G, C, M, XH, XW, YH, YW):
        if ALIGNS:
            memory = cuda.shared.array(BOTH, number, 16)
        else:
            memory = cuda.shared.array(BOTH, number)
        cells = cuda.shared.array(BN, np.int64)  # of y, in a plane, by the pixel of the tile
        a_next = cuda.local.array(A_EACH, number)
        b_next = cuda.local.array(B_EACH, number)
        a = cuda.local.array(TM, number)
        c = cuda.local.array(TN, number)
        acc = cuda.local.array((TM, TN), number)

        TH, R = rows_of.shape
        TW, S = cols_of.shape
        pixels, plane = N * R * S, XH * XW
        steps = (TH * TW * C + BK - 1) // BK
        m_tiles = (M + BM - 1) // BM

        thread = cuda.threadIdx.x
        column = thread % BN  # the pixel that it fetches, from k = k_first on
        k_first = thread // BN * B_EACH
        down, across = thread // ACROSS, thread % ACROSS

        block = cuda.blockIdx.x
        m_tile = block % m_tiles  # fastest: neighbouring blocks read the same pixels
        g = block // m_tiles % G
        first_pixel = block // m_tiles // G * BN
        filters = (g * m_tiles + m_tile) * steps * A_SIZE + thread

        # Where the fetched pixel lies, and which tap and channel of it come next.
        pixel = first_pixel + column
        ch, t = k_first % C, k_first // C
        th, tw = t // larger(TW, 1), t % larger(TW, 1)
        if pixel >= pixels:
            pixel, th = 0, TH  # there is no such tap, so it reads zeros
        q = pixel // S
        s, n = pixel - q * S, q // R
        r = q - n * R
        if k_first == 0:
            place = n * G * M * YH * YW + row_at[r] * YW + col_at[s]
            cells[column] = place if first_pixel + column < pixels else -1
        image = (n * G + g) * C * plane
        inside, cell = False, image
        if th < TH and TW > 0:  # a residue of the stride may meet no tap of the columns
            row, col = rows_of[th, r], cols_of[tw, s]
            inside = row >= 0 and col >= 0
            cell = image + ch * plane + row * XW + col

        for i in range(TM):
            for j in range(TN):
                acc[i, j] = 0

        for step in range(steps + 1):
            # 1. Ask memory for the numbers of this step.
            if step < steps:
                for i in range(A_EACH):
                    a_next[i] = packed[filters + step * A_SIZE + i * threads]
                for i in range(B_EACH + 1):
                    if i < B_EACH:
                        b_next[i] = x[cell] if inside else number(0)
                    passed = 1 if i < B_EACH else BK - B_EACH  # the last ones are other threads'
                    ch += passed
                    cell += passed * plane
                    while ch >= C:
                        ch -= C
                        tw += 1
                        if tw == TW:
                            tw = 0
                            th += 1
                        inside = False
                        if th < TH:
                            row, col = rows_of[th, r], cols_of[tw, s]
                            inside = row >= 0 and col >= 0
                            cell = image + ch * plane + row * XW + col
            # 2. Multiply those of the last one, while they come.
            if step > 0:
                used = (step - 1 & 1) * (BUFFER // QUAD)
                for k in range(BK):
                    # Counted in vectors, so that LLVM sees that four numbers are one; and unsigned, for
                    # a negative index would count from the end, and to ask costs more than to load.
                    a_row = np.uint64(used + k * (BM // QUAD) + down)
                    b_row = np.uint64(used + k * (BN // QUAD) + A_SIZE // QUAD + across)
                    for i in range(TM):
                        a[i] = memory[(a_row + np.uint64(i // QUAD * DOWN)) * FOUR + np.uint64(i % QUAD)]
                    for j in range(TN):
                        c[j] = memory[(b_row + np.uint64(j // QUAD * ACROSS)) * FOUR + np.uint64(j % QUAD)]
                    for i in range(TM):
                        for j in range(TN):
                            acc[i, j] += a[i] * c[j]
            # 3. Put them into the buffer that nobody reads: all have been through with it since the barrier.
            if step < steps:
                free = (step & 1) * BUFFER
                for i in range(A_EACH):
                    memory[free + thread + i * threads] = a_next[i]
                for i in range(B_EACH):
                    memory[free + A_SIZE + (k_first + i) * BN + column] = b_next[i]
            cuda.syncthreads()

        for j in range(TN):
            cell = cells[(j // QUAD * ACROSS + across) * QUAD + j % QUAD]
            if cell >= 0:
                for i in range(TM):
                    m = m_tile * BM + (i // QUAD * DOWN + down) * QUAD + i % QUAD
                    if m < M:
                        y[cell + (g * M + m) * YH * YW] = acc[i, j] + b[g * M + m]

    return kernel


def gather_gemm(y, x, w, b, rows: Reads, cols: Reads, w_steps: tuple[int, int, int]) -> None:
    """Compute the cells ``rows.at`` by ``cols.at`` of every plane of y, from x (N, G*C, XH, XW).

    y is (N, G*M, YH, YW). ``w_steps`` are the distances in w from one group to the next, from one
    channel of y to the next, and from one channel of x to the next.
    """
    N, GC, XH, XW = x.shape
    _, GM, YH, YW = y.shape
    g_step, m_step, c_step = w_steps
    G = w.size // g_step
    C, M, KW = GC // G, GM // G, w.shape[3]
    K, pixels = rows.taps.size * cols.taps.size * C, N * rows.at.size * cols.at.size
    tile = tile_for(x.dtype, M, pixels, G)
    K_padded, m_tiles = -(-K // tile.BK) * tile.BK, -(-M // tile.BM)
    packed = workspace(max(G * K_padded * m_tiles * tile.BM, 1), w.dtype)
    taps = table(rows.taps), table(cols.taps)
    sizes = KW, C, M, g_step, m_step, c_step, K_padded, m_tiles, tile.BM
    if K:
        launch_each(pack, packed.size, packed, flat(w), *taps, *sizes)
    blocks = m_tiles * -(-pixels // tile.BN) * G
    launch(
        kernel_for(np.dtype(x.dtype), tile), blocks, tile.threads,
        flat(y), flat(x), packed, b, table(rows.of), table(cols.of),
        table(rows.at), table(cols.at), N, G, C, M, XH, XW, YH, YW,
    )  # fmt: skip


def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Convolve x (N, IC, IH, IW) with w (OC, IC/G, KH, KW) and b (OC,) into y (N, OC, OH, OW)."""
    _, OC, OH, OW = y.shape
    _, ICG, KH, KW = w.shape
    G = x.shape[1] // ICG
    (rows,), (cols,) = forward(ih_of, KH, OH, SH, DH), forward(iw_of, KW, OW, SW, DW)
    gather_gemm(y, x, w, b, rows, cols, (OC // G * ICG * KH * KW, ICG * KH * KW, KH * KW))
