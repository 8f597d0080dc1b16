"""Rung one: the definition of a convolution, seven loops deep.

    y[n, oc, oh, ow] = b[oc] + sum over ic, kh, kw of w[oc, ic, kh, kw] * x[n, ic, ih, iw]

where ih = ih_of[oh*SH + kh*DH] and iw = iw_of[ow*SW + kw*DW], and x is 0 where either is -1.

What limits it
--------------
The additions to one total wait for one another: 2 FLOPs in the 3 or 4 cycles that an addition takes. (It
is not fused with the multiplication, since LLVM does that only where ``fastmath`` says "contract".) A core
that starts two fused multiply-adds a cycle, on 16 lanes each, could do 256 FLOPs in 4.
Memory is no limit yet, though each multiply-add loads its two factors (8 bytes for 2 FLOPs), nearly
always from the L1 cache. A 1x1 window is slower still: it begins and ends two loops for each
multiply-add. Sums are kept in the arrays' own precision.

Figures here and on all rungs above are for float32 and a core with AVX-512: 16 numbers in a vector,
two fused multiply-adds of vectors in a cycle, 64 FLOPs.
"""

from __future__ import annotations

from ..compile import kernel


@kernel
def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    N, OC, OH, OW = y.shape
    OC, ICG, KH, KW = w.shape
    OCG, zero = OC * ICG // x.shape[1], x.dtype.type(0)
    for n in range(N):
        for oc in range(OC):
            first = oc // OCG * ICG  # the first input channel of this filter's group
            for oh in range(OH):
                for ow in range(OW):
                    total = b[oc]
                    for ic in range(ICG):
                        for kh in range(KH):
                            ih = ih_of[oh * SH + kh * DH]
                            for kw in range(KW):
                                iw = iw_of[ow * SW + kw * DW]
                                cell = x[n, first + ic, ih, iw] if ih >= 0 and iw >= 0 else zero
                                total += w[oc, ic, kh, kw] * cell
                    y[n, oc, oh, ow] = total
