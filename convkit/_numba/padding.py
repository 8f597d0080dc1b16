"""Padding as a gather through index tables, and its adjoint."""

from __future__ import annotations

from numba import prange

from .compile import inner, kernel


@kernel
def pad2d(y, x, ih_of, iw_of, value):
    """Fill y (P, OH, OW) with the cells of x (P, IH, IW) that the tables name, or with `value`."""
    for p in prange(y.shape[0]):
        for oh in range(y.shape[1]):
            pad_row(y[p, oh], x[p], ih_of[oh], iw_of, value)


@inner
def pad_row(y, x, ih, iw_of, value):
    for ow in range(len(y)):
        iw = iw_of[ow]
        y[ow] = x[ih, iw] if ih >= 0 and iw >= 0 else value
