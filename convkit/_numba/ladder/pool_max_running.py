"""Max pooling: maxima along the row that do not grow with the window.

What limited `separable`
------------------------
KW comparisons an output along the row.

The change
----------
Wide overlapping windows without steps take running maxima, three comparisons an output whatever KW is:
``max_windows`` has them. Narrow windows are left as they were: below 8 columns the two extra passes cost
more than they save.

What to expect
--------------
Nothing at 3x3 and 7x7, and half as much speed again at 31x31.

The production kernel, the next rung, shares strips among threads, and keeps common windows and small
planes in registers.
"""

from __future__ import annotations

from ..compile import kernel
from ..max_windows import any_rows, buffer, rows_at_once


@kernel
def max_pool2d(y, x, h_windows, w_windows):
    """Fill y (P, OH, OW) with the maxima of the windows of x (P, IH, IW)."""
    (P, OH, _), (_, IH, IW) = y.shape, x.shape
    y, x, best, rows = y.reshape(y.size), x.reshape(x.size), buffer(x), rows_at_once(IW)
    for first in range(0, P * OH, rows):
        any_rows(y, x, best, h_windows, w_windows, first, min(P * OH, first + rows), IH, IW)
