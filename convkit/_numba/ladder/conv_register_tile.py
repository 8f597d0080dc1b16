"""Rung four: keep a tile of 8 channels by a vector of pixels in registers, read through an offset table.

What limited rung three
-----------------------
Short rows, again: each pass over a row of 56 or 14 outputs had to begin and to end. And the totals were read
from the L1 cache and written back for every four terms, and only four output channels shared what was
loaded.

The change
----------
A tile of sums stays in registers while all terms are added to it (microkernel.py). LLVM does not find
that by itself: to a loop over an array, sums in the array are memory. So the sums are variables, one for each
output channel, and each of them is a vector (vec.py). Each vector of pixels that is loaded serves 8
output channels, and there is no store until the end. The microkernel finds the pixels of term k at
off[k]. Here they come from a panel into which they were copied just before, so that there they are
neighbours whatever stride, dilation and padding say.

What to expect
--------------
The multiply-adds run at the speed of the processor; the copying does not. It looks up each cell in
the tables, and it copies each cell KH*KW times, once for every tap that reads it. With few output
channels that takes longer than all else, and the rung below, which finds the image's row once for a
row of outputs, may be faster.

To read on: microkernel.py, then panels.py.
"""

from __future__ import annotations

from ..compile import kernel
from ..panels import conv2d_by_panels
from ..shape import shape_of


@kernel
def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    conv2d_by_panels(y, x, w, b, ih_of, iw_of, shape_of(y, x, w, SH, SW, DH, DW), 0, 1)
