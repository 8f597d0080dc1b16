"""Which algorithm suits a convolution: what some of them need, and what ``auto`` and ``fastest`` choose.

All rules are about a layer's numbers alone, so the same call always runs the same code. They were
fitted to float32 on one thread of a processor with AVX-512.

``auto`` picks among algorithms that only reorder the defining sum, so that small integers come out
exact: ``direct``, always. (The backend ``numpy`` has none, and takes ``im2col``.)

``fastest`` may also change the rounding. It picks

- ``winograd`` for 3x3 kernels at stride 1 and dilation 1, if a group has at least 16 channels on either
  side, since fewer do not pay for the transforms, and if there are at least 8 outputs for each tile of
  4x4, where tiles are counted by sixteens, the lanes of a vector;
- ``fft`` if the defining sum takes more multiply-adds than 400 for each cell transformed and 30 for each
  product of two: kernels of some 30x30, or 15x15 in larger batches;
- ``direct`` otherwise.

How far the results may be from the defining sum, with eps the spacing of the dtype's numbers at 1:

- ``direct``, ``im2col`` and all rungs: ``K * eps * sum|x||w|`` over the K = IC/G*KH*KW products of an
  output and its bias.
- ``winograd``: ``(16 + IC/16) * eps * sum over ic of max|x[ic]| * sum|w[ic]|``, for each output channel,
  IC being the channels of one group. That is ``c * eps * sum|x||w|`` with each pixel replaced by the
  largest of the 6x6 that its tile reads. For the pixels themselves there is no such c: all 36 enter each of
  the tile's 16 outputs, and those outside the output's window leave it by cancellation. Their rounding
  stays, even where the window is zero. One NaN or infinity spreads over the tiles that read it. Tiles are
  counted through the batch, so an image's bits may be others if it stands alone.
- the gradient of x, and ``conv_transpose2d``, by ``direct``: as ``direct``, but x is read with a border of
  zeros, and a weight that is NaN or infinite gives NaN there too, where the definition has no term.
- ``fft``: ``4 * eps * sum over ic of |x[ic]| * |w[ic]|``, Euclidean norms of padded images and filters. The
  same holds for the whole image, and one NaN fills it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["PREFERENCES", "Layer", "winograd_serves"]


class Layer(NamedTuple):
    """The numbers of a convolution of x (N, IC, IH, IW) by w (OC, IC/G, KH, KW) into y (N, OC, OH, OW)."""

    N: int
    IC: int
    OC: int
    G: int
    KH: int
    KW: int
    OH: int
    OW: int
    SH: int
    SW: int
    DH: int
    DW: int

    @classmethod
    def of(
        cls, y: tuple[int, ...], x: tuple[int, ...], w: tuple[int, ...], SH: int, SW: int, DH: int, DW: int
    ) -> Layer:
        """Return the layer of three shapes, strides and dilations."""
        (KH, KW), (OH, OW) = w[2:], y[2:]
        return cls(x[0], x[1], w[0], x[1] // w[1], KH, KW, OH, OW, SH, SW, DH, DW)

    def __str__(self) -> str:
        return (
            f"a {self.KH}x{self.KW} kernel, stride ({self.SH}, {self.SW}) and dilation ({self.DH}, {self.DW})"
        )


def winograd_serves(layer: Layer) -> bool:
    """Tell whether F(4x4, 3x3) can compute a layer."""
    return layer[4:6] == (3, 3) and layer[8:] == (1, 1, 1, 1)


def winograd_pays(layer: Layer) -> bool:
    """Tell whether it is faster than ``direct``."""
    tiles = layer.N * -(-layer.OH // 4) * -(-layer.OW // 4)
    outputs = layer.N * layer.OH * layer.OW
    least = min(layer.IC, layer.OC) // layer.G
    return winograd_serves(layer) and least >= 16 and outputs >= 8 * 16 * -(-tiles // 16)


def fft_pays(layer: Layer) -> bool:
    """Tell whether the Fourier transform is faster than ``direct``."""
    N, IC, OC, G, KH, KW, OH, OW, SH, SW, DH, DW = layer
    cells = ((OH - 1) * SH + (KH - 1) * DH + 1) * ((OW - 1) * SW + (KW - 1) * DW + 1)
    pairs = OC * (IC // G)
    transforms = N * IC + N * OC + pairs
    return N * pairs * KH * KW * OH * OW > cells * (400 * transforms + 30 * N * pairs)


def auto(layer: Layer | None) -> tuple[str, ...]:
    """Return the algorithms that ``auto`` stands for, the best one first."""
    return ("direct", "im2col")  # where a backend has no direct kernel


def fastest(layer: Layer | None) -> tuple[str, ...]:
    """Return the algorithms that ``fastest`` stands for, the best one first."""
    if layer is not None and layer.N:
        if winograd_pays(layer):
            return ("winograd", *auto(layer))
        if fft_pays(layer):
            return ("fft", *auto(layer))
    return auto(layer)


PREFERENCES: dict[str, Callable[[Layer | None], tuple[str, ...]]] = {"auto": auto, "fastest": fastest}
"""The algorithms that each of the two names stands for, given a layer, or None for other operations."""
