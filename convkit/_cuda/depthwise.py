"""Convolutions of few channels a group, depthwise ones above all, and their gradients for x.

A matrix product of one row and one column a group would leave nearly all of a tile empty. But such a
layer has few multiply-adds for each cell anyway (a depthwise 3x3: nine), so memory is its limit, and a
thread an output is enough: neighbouring threads take neighbouring cells of a row, and what their
windows share comes from the cache.

As the matrix product does, it goes by tables alone, and serves the gradient as well as the convolution.
"""

from .reads import Reads
from .target import cuda, flat, jit, launch_each, table

__all__ = ["gather", "gather_kernel", "is_thin"]

THIN = 8


def is_thin(M: int) -> bool:
    """Tell whether M channels of a group's result would leave a tile of a matrix product mostly empty."""
    return M < THIN


@jit
def gather_kernel(y, x, w, b, rows_of, cols_of, kh_of, kw_of, row_at, col_at, N, G, C, M, KW, steps, XW, YW):
    g_step, m_step, c_step, x_plane, y_plane = steps
    TH, R = rows_of.shape
    TW, S = cols_of.shape
    for i in range(cuda.grid(1), N * G * M * R * S, cuda.gridsize(1)):
        s = i % S
        r = i // S % R
        plane = i // S // R  # of y: n, g, m
        m, group = plane % M, plane // M
        g = group % G
        acc = b[g * M + m]
        for c in range(C):
            image = (group * C + c) * x_plane
            filters = g * g_step + m * m_step + c * c_step
            for th in range(TH):
                row = rows_of[th, r]
                for tw in range(TW):
                    col = cols_of[tw, s]
                    value = x.dtype.type(0)
                    if row >= 0 and col >= 0:
                        value = x[image + row * XW + col]
                    acc += w[filters + kh_of[th] * KW + kw_of[tw]] * value
        y[plane * y_plane + row_at[r] * YW + col_at[s]] = acc


def gather(y, x, w, b, rows: Reads, cols: Reads, w_steps: tuple[int, int, int]) -> None:
    """Do what :func:`convkit._cuda.ladder.conv_vectors.gather_gemm` does, a thread an output."""
    N, GC, XH, XW = x.shape
    _, GM, YH, YW = y.shape
    G = w.size // w_steps[0]
    cells = N * GM * rows.at.size * cols.at.size
    tables = map(table, (rows.of, cols.of, rows.taps, cols.taps, rows.at, cols.at))
    steps = (*w_steps, XH * XW, YH * YW)
    sizes = N, G, GC // G, GM // G, w.shape[3], steps, XW, YW
    launch_each(gather_kernel, cells, flat(y), flat(x), flat(w), b, *tables, *sizes)
