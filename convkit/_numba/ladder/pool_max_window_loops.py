"""Max pooling, the definition: every window is searched cell by cell.

    y[p, oh, ow] = max of x[p, h0:h1:step, w0:w1:step]

What limits it
--------------
Comparisons. A cell is read and compared once for each window that it is in: KH*KW comparisons an output,
9 for a 3x3 window and 225 for 15x15, each with the result of the one before, and each is two, since a
NaN is not greater than anything and must win nevertheless. Memory is idle: 4 bytes an output and, at
stride S, 4*S*S bytes of input could be moved in a cycle or two.
"""

from __future__ import annotations

from ..compile import kernel
from ..max_windows import takes_over
from ..windows import START, STOP, THIRD


@kernel
def max_pool2d(y, x, h_windows, w_windows):
    """Fill y (P, OH, OW) with the maxima of the windows of x (P, IH, IW)."""
    P, OH, OW = y.shape
    for p in range(P):
        for oh in range(OH):
            for ow in range(OW):
                most = x[p, h_windows[oh, START], w_windows[ow, START]]
                for ih in range(h_windows[oh, START], h_windows[oh, STOP], h_windows[oh, THIRD]):
                    for iw in range(w_windows[ow, START], w_windows[ow, STOP], w_windows[ow, THIRD]):
                        value = x[p, ih, iw]
                        if takes_over(value, most):
                            most = value
                y[p, oh, ow] = most
