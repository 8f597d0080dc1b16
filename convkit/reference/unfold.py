"""The patches under a sliding window, laid out as columns, and the adjoint.

    cols[n, c, kh, kw, oh, ow] = x[n, c, ih_of[oh*SH + kh*DH], iw_of[ow*SW + kw*DW]]

One tap (kh, kw) reads, for all outputs at once, a strided slice of the padded planes. That slice,
:func:`tap`, is all the geometry that is left once the tables have been applied. This is the unfold
and fold of ``torch.nn.functional``; fold sums where windows overlap, so it is the adjoint of
unfold, not its inverse.
"""

from __future__ import annotations

import numpy as np

from . import quiet
from .padding import gather, scatter


def tap(
    planes: np.ndarray, kh: int, kw: int, OH: int, OW: int, SH: int, SW: int, DH: int, DW: int
) -> np.ndarray:
    """Return the view (..., OH, OW) of padded planes that tap (kh, kw) reads."""
    rows = slice(kh * DH, kh * DH + (OH - 1) * SH + 1, SH)
    columns = slice(kw * DW, kw * DW + (OW - 1) * SW + 1, SW)
    return planes[..., rows, columns]


@quiet
def im2col(cols, x, ih_of, iw_of, SH, SW, DH, DW):
    """Unfold x (N, C, IH, IW) into cols (N, C, KH, KW, OH, OW)."""
    KH, KW, OH, OW = cols.shape[2:]
    planes = gather(x, ih_of, iw_of)
    for kh, kw in np.ndindex(KH, KW):
        cols[:, :, kh, kw] = tap(planes, kh, kw, OH, OW, SH, SW, DH, DW)


@quiet
def col2im(x, cols, ih_of, iw_of, SH, SW, DH, DW):
    """Fold cols (N, C, KH, KW, OH, OW) into x (N, C, IH, IW), summing where windows overlap."""
    KH, KW, OH, OW = cols.shape[2:]
    planes = np.zeros((*x.shape[:2], len(ih_of), len(iw_of)))
    for kh, kw in np.ndindex(KH, KW):
        tap(planes, kh, kw, OH, OW, SH, SW, DH, DW)[...] += cols[:, :, kh, kw]
    x[...] = scatter(planes, ih_of, iw_of, *x.shape[2:])
