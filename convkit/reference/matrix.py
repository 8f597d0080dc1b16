"""Convolution as the matrix that it is: sparse, with the same few weights again and again.

    y = A x + b          row (oc, oh, ow), column (ic, ih, iw)

A has one non-zero for every quadruple (output cell, channel, tap) that reads a real cell. Equal
taps carry the same weight wherever they fall: they are *tied*. Where padding reflects or repeats,
two taps of one window can read the same cell, and their weights add up in one entry of A.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import quiet

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def ties(x_shape, w_shape, ih_of, iw_of, OH, OW, SH, SW, DH, DW):
    """List the non-zeros of the matrix of one image.

    Parameters
    ----------
    x_shape : (IC, IH, IW)
    w_shape : (OC, IC/G, KH, KW)
    ih_of, iw_of : index tables
    OH, OW, SH, SW, DH, DW : int

    Returns
    -------
    row, column, tie : ndarray of intp, one dimension
        Entry ``A[row, column]`` contains ``w.ravel()[tie]``: `row` is the flat index of
        ``y[oc, oh, ow]``, `column` that of ``x[ic, ih, iw]``. Taps on padding with zeros are left
        out, even where their weight is infinite and 0 times it no number; a pair (row, column) that comes
        up twice means the sum of both weights.
    """
    IC, IH, IW = x_shape
    OC, ICG, KH, KW = w_shape
    OCG = OC * ICG // IC
    oc, c, kh, kw, oh, ow = np.ogrid[:OC, :ICG, :KH, :KW, :OH, :OW]
    ic = oc // OCG * ICG + c
    ih, iw = ih_of[oh * SH + kh * DH], iw_of[ow * SW + kw * DW]
    row = (oc * OH + oh) * OW + ow
    column = (ic * IH + ih) * IW + iw
    tie = ((oc * ICG + c) * KH + kh) * KW + kw
    row, column, tie, real = np.broadcast_arrays(row, column, tie, (ih >= 0) & (iw >= 0))
    return row[real], column[real], tie[real]


def operator(x_shape, w, ih_of, iw_of, OH, OW, SH, SW, DH, DW) -> csr_array:
    """Return A (OC*OH*OW, IC*IH*IW) of one image as a sparse array in float64."""
    from scipy.sparse import coo_array

    row, column, tie = ties(x_shape, w.shape, ih_of, iw_of, OH, OW, SH, SW, DH, DW)
    shape = (w.shape[0] * OH * OW, int(np.prod(x_shape)))
    entries = w.ravel()[tie].astype(np.float64)
    return coo_array((entries, (row, column)), shape=shape).tocsr()  # adds up what falls on one entry


@quiet
def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Convolution as A @ x, a product with one column for each image."""
    N, _, OH, OW = y.shape
    A = operator(x.shape[1:], w, ih_of, iw_of, OH, OW, SH, SW, DH, DW)
    products = (A @ x.reshape(N, -1).T.astype(np.float64)).T
    y[...] = products.reshape(y.shape) + b.astype(np.float64)[:, None, None]
