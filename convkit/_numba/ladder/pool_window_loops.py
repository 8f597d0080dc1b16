"""Average pooling, the definition: every window is added up cell by cell, and divided.

    y[p, oh, ow] = sum of x[p, h0:h1, w0:w1] / (h_divisor * w_divisor)

What limits it
--------------
Arithmetic. A cell is read and added once for each window that it is in: KH*KW additions an output, 9
for a 3x3 window and 225 for 15x15, and each waits for the one before, 3 or 4 cycles. Memory is idle:
4 bytes an output and, at stride S, 4*S*S bytes of input could be moved in a cycle or two.
The sum is in the arrays' precision, with KH*KW - 1 roundings.
"""

from __future__ import annotations

from ..compile import kernel
from ..windows import START, STOP, THIRD


@kernel
def avg_pool2d(y, x, h_windows, w_windows):
    """Fill y (P, OH, OW) with the averages of the windows of x (P, IH, IW)."""
    P, OH, OW = y.shape
    real = x.dtype.type
    for p in range(P):
        for oh in range(OH):
            for ow in range(OW):
                total = real(0)
                for ih in range(h_windows[oh, START], h_windows[oh, STOP]):
                    for iw in range(w_windows[ow, START], w_windows[ow, STOP]):
                        total += x[p, ih, iw]
                y[p, oh, ow] = total / real(float(h_windows[oh, THIRD]) * float(w_windows[ow, THIRD]))
