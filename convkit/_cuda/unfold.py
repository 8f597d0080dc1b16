"""Patches as columns, and the adjoint: gathers through tables, a thread for a piece of a column of cells.

    cols[n, c, kh, kw, oh, ow] = x[n, c, ih_of[oh*SH + kh*DH], iw_of[ow*SW + kw*DW]]
    x[n, c, ih, iw]            = sum of the cols that were read from there

Both move memory and do little else. im2col writes KH*KW cells for each that it reads from memory for
the first time; the other reads come from the cache. col2im adds in the order of its tables, so its sums
repeat bit for bit, without atomic additions.
"""

from .columns import BATCH, launch_columns
from .padding import inverse
from .reads import forward
from .scalars import smaller
from .target import THREADS, cuda, flat, jit, table

__all__ = ["col2im", "col2im_kernel", "im2col", "im2col_kernel"]


@jit
def im2col_kernel(cols, x, rows_of, cols_of, P, IH, IW, across, blocks, rows):
    KH, OH = rows_of.shape
    KW, OW = cols_of.shape
    cells = cuda.local.array(BATCH, x.dtype)
    for block in range(cuda.blockIdx.x, blocks, cuda.gridDim.x):
        column = block % across * THREADS + cuda.threadIdx.x
        if column < P * KH * KW * OW:
            q, ow = column // OW, column % OW  # q: plane of x, kh, kw
            plane, tap = q // (KH * KW), q % (KH * KW)
            kh = tap // KW
            iw = cols_of[tap % KW, ow]
            top = block // across * rows
            bottom = smaller(OH, top + rows)
            for first in range(top, bottom, BATCH):
                for k in range(BATCH):
                    cells[k] = 0
                    if first + k < bottom and iw >= 0:
                        ih = rows_of[kh, first + k]
                        if ih >= 0:
                            cells[k] = x[(plane * IH + ih) * IW + iw]
                for k in range(BATCH):
                    if first + k < bottom:
                        cols[(q * OH + first + k) * OW + ow] = cells[k]


@jit
def col2im_kernel(x, cols, row_starts, row_list, col_starts, col_list, P, patch, across, blocks, rows):
    IH, IW = row_starts.size - 1, col_starts.size - 1
    for block in range(cuda.blockIdx.x, blocks, cuda.gridDim.x):
        column = block % across * THREADS + cuda.threadIdx.x
        if column < P * IW:
            plane, iw = column // IW, column % IW
            top = block // across * rows
            for ih in range(top, smaller(IH, top + rows)):
                acc = x.dtype.type(0)
                for i in range(row_starts[ih], row_starts[ih + 1]):
                    for j in range(col_starts[iw], col_starts[iw + 1]):
                        acc += cols[plane * patch + row_list[i] + col_list[j]]
                x[(plane * IH + ih) * IW + iw] = acc


def im2col(cols, x, ih_of, iw_of, SH, SW, DH, DW):
    """Unfold x (N, IC, IH, IW) into cols (N, IC, KH, KW, OH, OW)."""
    N, IC, IH, IW = x.shape
    KH, KW, OH, OW = cols.shape[2:]
    (h,), (w,) = forward(ih_of, KH, OH, SH, DH), forward(iw_of, KW, OW, SW, DW)
    planes = N * IC * KH * KW, OH, OW
    launch_columns(im2col_kernel, planes, flat(cols), flat(x), table(h.of), table(w.of), N * IC, IH, IW)


def col2im(x, cols, ih_of, iw_of, SH, SW, DH, DW):
    """Fold cols (N, IC, KH, KW, OH, OW) into x (N, IC, IH, IW), summing where windows overlap."""
    N, IC, IH, IW = x.shape
    KH, KW, OH, OW = cols.shape[2:]
    (h,), (w,) = forward(ih_of, KH, OH, SH, DH), forward(iw_of, KW, OW, SW, DW)
    row_starts, shown_rows = inverse(h.of.tobytes(), IH)  # numbers kh*OH + oh
    col_starts, shown_cols = inverse(w.of.tobytes(), IW)  # numbers kw*OW + ow
    row_list = shown_rows // OH * KW * OH * OW + shown_rows % OH * OW
    col_list = shown_cols // OW * OH * OW + shown_cols % OW
    tables = map(table, (row_starts, row_list, col_starts, col_list))
    launch_columns(col2im_kernel, (N * IC, IH, IW), flat(x), flat(cols), *tables, N * IC, KH * KW * OH * OW)
