"""Average pooling: sums along the row that do not grow with the window.

What limited `separable`
------------------------
KW additions an output along the row.

The change
----------
Wide overlapping windows take running sums that never subtract, three additions an output whatever KW is:
``avg_windows`` has them. Narrow windows are left as they were: below 8 columns the two extra passes cost
more than they save.

What to expect
--------------
Nothing at 3x3 and 7x7, and a tenth at 31x31, where the sums downwards are most of what is left.

The production kernel, the next rung, shares strips among threads, and keeps common windows and small
planes in registers.
"""

from __future__ import annotations

from ..avg_windows import any_rows, buffer, rows_at_once
from ..compile import kernel


@kernel
def avg_pool2d(y, x, h_windows, w_windows):
    """Fill y (P, OH, OW) with the averages of the windows of x (P, IH, IW)."""
    (P, OH, _), (_, IH, IW) = y.shape, x.shape
    y, x, sums, rows = y.reshape(y.size), x.reshape(x.size), buffer(), rows_at_once(IW)
    for first in range(0, P * OH, rows):
        any_rows(y, x, sums, h_windows, w_windows, first, min(P * OH, first + rows), IH, IW)
