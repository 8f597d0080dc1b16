"""Convolution as a matrix product: lay out every window as a column, then call BLAS.

    cols[ic, kh, kw, oh, ow] = x[ic, ih_of[oh*SH + kh*DH], iw_of[ow*SW + kw*DW]]
    y = w @ cols                        (OC, K) @ (K, OH*OW) with K = IC*KH*KW

This is the form of the lectures, and for long the form of every framework: the product is as fast as
BLAS, and its price is memory. Columns are KH*KW times as large as the image (at stride 1), are
written once and read once; a 3x3 kernel on 64 channels of 224x224 in float32 has 116 MB of them. They
are made one image at a time. Only where a window is one pixel do the columns stand in x already.
"""

from __future__ import annotations

import numpy as np

from ..geometry import check_allocation


def workspace_bytes(layer, itemsize, *geometry) -> int:
    """Return how many bytes the columns of one image take; 1x1 kernels at stride 1 need none of them."""
    if layer[4:6] == (1, 1) and layer[8:10] == (1, 1):
        return 0
    return layer.IC * layer.KH * layer.KW * layer.OH * layer.OW * itemsize


@np.errstate(all="ignore")
def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    (N, OC, OH, OW), IC = y.shape, x.shape[1]
    G, K = IC // w.shape[1], w[0].size
    cols = None
    if not _is_columns(x, y, w, ih_of, iw_of):
        cols = _allocate((IC, *w.shape[2:], OH, OW), x.dtype)
    wg = w.reshape(G, OC // G, K)
    for n in range(N):
        if cols is not None:
            im2col(cols, x[n], ih_of, iw_of, SH, SW, DH, DW)
        image = x[n] if cols is None else cols
        np.matmul(wg, image.reshape(G, K, OH * OW), out=y[n].reshape(G, OC // G, OH * OW))
        y[n] += b[:, None, None]


def im2col(cols, x, ih_of, iw_of, SH, SW, DH, DW):
    """Unfold one image x (IC, IH, IW): each tap is a strided slice of the padded planes."""
    KH, KW, OH, OW = cols.shape[1:]
    ih, iw = ih_of[:, None], iw_of[None, :]
    planes = x[:, ih, iw]
    planes[:, (ih < 0) | (iw < 0)] = 0
    for kh, kw in np.ndindex(KH, KW):
        rows = slice(kh * DH, kh * DH + (OH - 1) * SH + 1, SH)
        columns = slice(kw * DW, kw * DW + (OW - 1) * SW + 1, SW)
        cols[:, kh, kw] = planes[:, rows, columns]


def _is_columns(x, y, w, ih_of, iw_of) -> bool:
    """Tell whether x is its own columns: 1x1 windows at every cell and nowhere else."""
    if w.shape[2:] != (1, 1) or x.shape[2:] != y.shape[2:]:
        return False
    return all(np.array_equal(of, np.arange(n)) for of, n in zip((ih_of, iw_of), x.shape[2:], strict=True))


def _allocate(shape, dtype):
    try:
        return np.empty(check_allocation(shape, dtype.itemsize, "im2col: columns"), dtype)
    except MemoryError as error:
        raise MemoryError(f"{error}; algorithm='direct' needs none of it") from error
