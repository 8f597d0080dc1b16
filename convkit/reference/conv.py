"""Convolution, as networks mean it (cross-correlation), and its gradients.

    y[n, oc, oh, ow]   = b[oc] + sum over ic, kh, kw of  w[oc, ic, kh, kw] * x[n, ic, ih, iw]

    dx[n, ic, ih, iw]  = sum over oc, kh, kw, oh, ow of  w[oc, ic, kh, kw] * dy[n, oc, oh, ow]
    dw[oc, ic, kh, kw] = sum over n, oh, ow of           dy[n, oc, oh, ow] * x[n, ic, ih, iw]
    db[oc]             = sum over n, oh, ow of           dy[n, oc, oh, ow]

    where ih = ih_of[oh*SH + kh*DH] and iw = iw_of[ow*SW + kw*DW], and x is 0 where either is -1.

All sums run over the same quadruples (output cell, input cell, tap), so every kernel here is one
loop over the taps around one product. In G groups, an output channel sees the IC/G input channels
of its own group only; the letter ``g`` of the products is the group, ``o`` and ``c`` are the output
and input channels inside it. One convolution costs 2 * N*OC*OH*OW * IC/G*KH*KW FLOPs.

The gradients follow Dumoulin and Visin, "A guide to convolution arithmetic for deep learning"
(2016), chapter 4: what is called a transposed convolution is the gradient for x.
"""

from __future__ import annotations

import numpy as np

from . import quiet
from .padding import gather, scatter
from .unfold import im2col, tap


@quiet
def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Convolve x (N, IC, IH, IW) with w (OC, IC/G, KH, KW) and b (OC,) into y (N, OC, OH, OW).

    Tap by tap: a convolution is a sum of KH*KW products of channels, each on a shifted image.
    """
    N, _, OH, OW = y.shape
    wg, xg = _grouped(w, gather(x, ih_of, iw_of))
    acc = np.zeros((N, *wg.shape[:2], OH, OW))
    for kh, kw in np.ndindex(w.shape[2:]):
        cells = tap(xg, kh, kw, OH, OW, SH, SW, DH, DW)
        acc += np.einsum("goc,ngchw->ngohw", wg[..., kh, kw], cells)
    y[...] = acc.reshape(y.shape) + b.astype(np.float64)[:, None, None]


@quiet
def conv2d_im2col(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """:func:`conv2d` as one matrix product a group: (OC/G, K) @ (K, OH*OW) with K = IC/G*KH*KW.

    The columns are KH*KW times as large as the input, the price for a plain matrix product.
    """
    N, OC, OH, OW = y.shape
    IC, (_, ICG, KH, KW) = x.shape[1], w.shape
    G, K = IC // ICG, ICG * KH * KW
    cols = np.empty((N, IC, KH, KW, OH, OW))
    im2col(cols, x, ih_of, iw_of, SH, SW, DH, DW)
    products = w.reshape(G, OC // G, K).astype(np.float64) @ cols.reshape(N, G, K, OH * OW)
    y[...] = products.reshape(y.shape) + b.astype(np.float64)[:, None, None]


@quiet
def conv_transpose2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Send x (N, OC, OH, OW) back through w (OC, IC/G, KH, KW) into y (N, IC, IH, IW); b (IC,).

    Every cell of x adds its multiple of the kernel to the cells that :func:`conv2d` reads for it.
    Cells that no window reads get the bias alone.
    """
    N, OC, OH, OW = x.shape
    G = y.shape[1] // w.shape[1]
    planes = np.zeros((N, G, w.shape[1], len(ih_of), len(iw_of)))
    wg = w.reshape(G, OC // G, *w.shape[1:]).astype(np.float64)
    xg = x.reshape(N, G, OC // G, OH, OW).astype(np.float64)
    for kh, kw in np.ndindex(w.shape[2:]):
        cells = tap(planes, kh, kw, OH, OW, SH, SW, DH, DW)
        cells += np.einsum("goc,ngohw->ngchw", wg[..., kh, kw], xg)
    sums = scatter(planes, ih_of, iw_of, *y.shape[2:])
    y[...] = sums.reshape(y.shape) + b.astype(np.float64)[:, None, None]


@quiet
def conv2d_grad_w(dw, dy, x, ih_of, iw_of, SH, SW, DH, DW):
    """Gradient of :func:`conv2d` for w: dw (OC, IC/G, KH, KW) from dy (N, OC, OH, OW) and x."""
    N, _, OH, OW = dy.shape
    dwg, xg = _grouped(np.zeros(dw.shape), gather(x, ih_of, iw_of))
    dyg = dy.reshape(N, *dwg.shape[:2], OH, OW).astype(np.float64)
    for kh, kw in np.ndindex(dw.shape[2:]):
        cells = tap(xg, kh, kw, OH, OW, SH, SW, DH, DW)
        dwg[..., kh, kw] = np.einsum("ngohw,ngchw->goc", dyg, cells)
    dw[...] = dwg.reshape(dw.shape)


@quiet
def conv2d_grad_b(db, dy):
    """Gradient of :func:`conv2d` for b: db (OC,) from dy (N, OC, OH, OW)."""
    db[...] = dy.sum(axis=(0, 2, 3), dtype=np.float64)


def _grouped(w: np.ndarray, planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split channels by group: w to (G, OC/G, IC/G, KH, KW), planes to (N, G, IC/G, H, W)."""
    OC, ICG, KH, KW = w.shape
    N, IC, H, W = planes.shape
    G = IC // ICG
    return w.reshape(G, OC // G, ICG, KH, KW).astype(np.float64), planes.reshape(N, G, ICG, H, W)
