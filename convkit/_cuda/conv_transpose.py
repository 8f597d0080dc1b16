"""The gradient of conv2d for x, which is also the transposed convolution.

    y[n, ic, ih, iw] = b[ic] + sum over oc, kh, kw of  w[oc, ic, kh, kw] * x[n, oc, oh, ow]

over the outputs (oh, ow) whose tap (kh, kw) reads the cell (ih, iw). A scatter, as the formula is often
written, would need atomic additions, whose order differs from run to run. Here each cell gathers: its
tables say which outputs it went into, and it is the matrix product of the forward pass once more.
"""

from .depthwise import gather, is_thin
from .ladder.conv_vectors import gather_gemm
from .reads import backward

__all__ = ["conv_transpose2d"]


def conv_transpose2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Send x (N, OC, OH, OW) back through w (OC, IC/G, KH, KW) into y (N, IC, IH, IW); b (IC,)."""
    _, IC, IH, IW = y.shape
    _, OC, OH, OW = x.shape
    _, ICG, KH, KW = w.shape
    G = IC // ICG
    compute = gather if is_thin(ICG) else gather_gemm
    w_steps = (OC // G * ICG * KH * KW, KH * KW, ICG * KH * KW)
    for rows in backward(ih_of, KH, OH, IH, SH, DH):
        for cols in backward(iw_of, KW, OW, IW, SW, DW):
            compute(y, x, w, b, rows, cols, w_steps)
