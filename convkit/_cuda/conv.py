"""Convolution: the top of the ladder, and a kernel of its own for groups that do not fill its tiles."""

from .depthwise import gather, is_thin
from .ladder.conv_vectors import gather_gemm
from .reads import forward

__all__ = ["conv2d"]


def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Convolve x (N, IC, IH, IW) with w (OC, IC/G, KH, KW) and b (OC,) into y (N, OC, OH, OW)."""
    _, OC, OH, OW = y.shape
    _, ICG, KH, KW = w.shape
    OCG = OC // (x.shape[1] // ICG)
    (rows,), (cols,) = forward(ih_of, KH, OH, SH, DH), forward(iw_of, KW, OW, SW, DW)
    compute = gather if is_thin(OCG) else gather_gemm
    compute(y, x, w, b, rows, cols, (OCG * ICG * KH * KW, ICG * KH * KW, KH * KW))
