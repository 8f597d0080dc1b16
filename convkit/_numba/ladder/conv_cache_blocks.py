"""Rung six: work in blocks, so that what is used again is still in a cache.

What limited rung five
----------------------
Memory traffic, where planes exceed the L2 cache: every 8 output channels read all of them again, and a
1x1 window does 16 FLOPs with each cell that it reads so, 4 for each byte. (A 3x3 window does 36 for each
byte.) For a 1x1 window each cell was copied, too, to be used for a single tap. And the weights
of 8 channels, which each tile reads again, exceed L1 when there are many terms.

The change
----------
Loops over blocks (blocks.py) around the same tiles: some rows of outputs, then some input channels,
whose planes fit L2 and, in float32, whose weights fit L1. All but the first block of terms add to what
y holds. A 1x1 window with stride 1 needs no copy at all: x itself is planes already.

What to expect
--------------
About four fifths of what the core can multiply and add, whatever the size. The last vector of an image is
partly computed in vain. Workspace no longer grows with the layer.

To read on: ``make_plan`` and ``convolve_units`` in blocks.py.
"""

from __future__ import annotations

from ..blocks import convolve, make_plan, straightened
from ..compile import kernel
from ..panels import conv2d_by_panels
from ..shape import shape_of
from ..vec import lanes


@kernel
def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    s, ih_of, iw_of = straightened(shape_of(y, x, w, SH, SW, DH, DW), ih_of, iw_of)
    a = make_plan(s, lanes(y), y.itemsize)
    if a.possible:
        convolve(y, x, w, b, ih_of, iw_of, s, a, 0, a.units, 0, s.OC // s.G)
    else:
        conv2d_by_panels(y, x, w, b, ih_of, iw_of, s, 0, 1)
