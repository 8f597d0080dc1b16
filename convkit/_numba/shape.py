"""The sizes of one convolution, as every convolution kernel needs them."""

from __future__ import annotations

from typing import NamedTuple

from .compile import inner

__all__ = ["Shape", "is_straight", "multiply_adds", "shape_of"]


class Shape(NamedTuple):
    """x (N, IC, IH, IW), w (OC, IC/G, KH, KW), y (N, OC, OH, OW), strides and dilations."""

    N: int
    IC: int
    IH: int
    IW: int
    OC: int
    KH: int
    KW: int
    OH: int
    OW: int
    G: int
    SH: int
    SW: int
    DH: int
    DW: int


@inner
def shape_of(y, x, w, SH, SW, DH, DW):
    """Return the sizes of the convolution of x by w into y."""
    N, IC, IH, IW = x.shape
    OC, ICG, KH, KW = w.shape
    return Shape(N, IC, IH, IW, OC, KH, KW, y.shape[2], y.shape[3], IC // ICG, SH, SW, DH, DW)


@inner
def is_straight(s):
    """Whether the image is one row whose cells are multiplied by one weight each."""
    return s.KH * s.KW * s.SH * s.SW * s.IH * s.OH == 1 and s.OW == s.IW


SPEED = 32
"""Multiply-adds that a core does in the time in which it moves an element, at most."""


def multiply_adds(y, x, w, *_):
    """Return how much there is to do for a convolution of x by w into y, in elements moved."""
    return y.size * w[0].size // SPEED
