"""Padding is a gather, and its gradient a scatter, through one index table per axis.

    y[p, i, j]              = x[p, ih_of[i], iw_of[j]]       or `value` where an index is -1
    dx[p, ih_of[i], iw_of[j]] += dy[p, i, j]                 nothing     where an index is -1

Which padding mode made the table is of no concern here.
"""

from __future__ import annotations

import numpy as np

from . import quiet


def gather(x: np.ndarray, ih_of: np.ndarray, iw_of: np.ndarray, value: float = 0.0) -> np.ndarray:
    """Return the padded planes of `x`, in float64: (..., IH, IW) to (..., len(ih_of), len(iw_of))."""
    ih, iw = ih_of[:, None], iw_of[None, :]
    planes = x[..., ih, iw].astype(np.float64)  # -1 picks the last cell here, and is replaced next
    planes[..., (ih < 0) | (iw < 0)] = value
    return planes


def scatter(planes: np.ndarray, ih_of: np.ndarray, iw_of: np.ndarray, IH: int, IW: int) -> np.ndarray:
    """Add padded planes back into (..., IH, IW): the adjoint of :func:`gather`.

    A cell that padding showed several times, as reflection does, collects all of its copies.
    """
    rows = np.zeros((*planes.shape[:-2], IH, planes.shape[-1]))
    for i, ih in enumerate(ih_of):
        if ih >= 0:
            rows[..., ih, :] += planes[..., i, :]
    cells = np.zeros((*planes.shape[:-2], IH, IW))
    for j, iw in enumerate(iw_of):
        if iw >= 0:
            cells[..., iw] += rows[..., j]
    return cells


@quiet
def pad2d(y, x, ih_of, iw_of, value):
    """Pad planes x (P, IH, IW) to y (P, OH, OW), where OH, OW are the tables' lengths."""
    y[...] = gather(x, ih_of, iw_of, value)


@quiet
def pad2d_backward(dx, dy, ih_of, iw_of):
    """Gradient of :func:`pad2d` for x: dx (P, IH, IW) from dy (P, OH, OW)."""
    dx[...] = scatter(dy, ih_of, iw_of, *dx.shape[-2:])
