"""Rung five: copy each cell once, into planes in which every tap of the window is one offset.

What limited rung four
----------------------
Copying. For 64 channels of a 3x3 convolution, a cell was copied nine times, each time by looking it up
in two tables: 36 bytes written for 2*9*64 FLOPs, of which a core does 64 in a cycle. It took longer
than they.

The change
----------
Planes (planes.py) hold the whole padded image of a group, one cell once. Seen from the output's
number, the cell for each tap is always equally far away, so one offset table serves all tiles, and
the microkernel reads the planes as it read the panel. Rows are copied by vectors.

What to expect
--------------
Copying now takes a few percent. Where rows are long, one plane serves all taps, and outputs at the ends
of rows are computed in vain, 2 of 58 for a 3x3 window on 56 pixels; where they are short, each tap across
has a plane of its own. And the planes of large images exceed the caches: every block of 8 output channels
reads all of them again.

To read on: planes.py down to ``fill_offsets``, then tiles.py.
"""

from __future__ import annotations

from ..blocks import convolve, one_block
from ..compile import kernel
from ..shape import shape_of
from ..vec import lanes


@kernel
def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    s = shape_of(y, x, w, SH, SW, DH, DW)
    a = one_block(s, lanes(y))
    convolve(y, x, w, b, ih_of, iw_of, s, a, 0, a.units, 0, s.OC // s.G)
