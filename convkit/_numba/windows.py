"""Window tables: a row ``(start, stop, divisor)``, or ``(start, stop, step)``, for each output of an axis.

Any table will do, but nearly all outputs of a pooling have windows of one size at one distance;
only the first and the last ones are clipped by the edge. :func:`find_run` finds that regular stretch,
for which kernels have a faster way.
"""

from __future__ import annotations

from .compile import inner

START, STOP, THIRD = 0, 1, 2  # the third is the divisor of an average, the step of a maximum
RUNNING = 8  # overlapping windows at least as wide get running sums or maxima


@inner
def find_run(windows):
    """Return (first, end, K, S): outputs first..end - 1 have windows of K cells, S cells apart.

    It is the longest stretch of outputs whose windows differ by nothing but a constant distance.
    """
    first, end, S = 0, 1, 1
    begin, step = 0, 0
    for o in range(1, len(windows)):
        size = windows[o, STOP] - windows[o, START]
        distance = windows[o, START] - windows[o - 1, START]
        if size != windows[o - 1, STOP] - windows[o - 1, START] or windows[o, THIRD] != windows[o - 1, THIRD]:
            begin = o
            continue
        if o == begin + 1 or distance != step:
            begin, step = o - 1, distance
        if o + 1 - begin > end - first:
            first, end, S = begin, o + 1, step
    return first, end, windows[first, STOP] - windows[first, START], S


@inner
def block_of(windows, first, cells):
    """Return (end, low, high): outputs first..end - 1 need cells low..high - 1, as many as fit."""
    end, low, high = first + 1, windows[first, START], windows[first, STOP]
    while end < len(windows):
        start, stop = min(low, windows[end, START]), max(high, windows[end, STOP])
        if stop - start > cells:
            break
        end, low, high = end + 1, start, stop
    return end, low, high


@inner
def running_width(windows, first, end, cells):
    """Return the width of the windows of outputs first..end - 1, which lie on `cells`, for running sums.

    It is the width of the one in the middle, where the edge clips none; 0 if running sums do not pay.
    """
    middle = (first + end) // 2
    K = windows[middle, STOP] - windows[middle, START]
    return K if K >= RUNNING and cells < (end - first) * K // 2 else 0
