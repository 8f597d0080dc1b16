"""Windows in registers: as many outputs of a row as a register has lanes, without a buffer.

    rows of the window, added (or compared) downwards      S registers of consecutive columns
    every S-th column, from column 0, 1... S - 1           S shuffles
    the K - S columns that reach into the next window      a lane's shift, and one lane more
    sum (or maximum) of the K registers                    W outputs

W outputs depend on S*(W - 1) + K consecutive columns, and no other column is touched: what the last
window needs beyond S*W comes from one more register, loaded so that it ends with the last column.
Adding downwards first shares the additions of a column among the windows it is in.

The order of the terms is a column's from top to bottom, then columns by S; a sum has
(KH - 1) + (KW - 1) roundings behind it, which is its error bound in units of eps/2 times the sum of
the absolute values. A maximum has no order, but for the bits of a NaN.
"""

from __future__ import annotations

from .compile import inner, separate
from .memory import prefetch
from .registers import (
    evens,
    every,
    larger,
    next_1,
    next_2,
    odds,
    read,
    third_0,
    third_1,
    third_2,
    width,
    write,
)
from .windows import START, STOP, THIRD

AHEAD = 2048  # cells between what is read and what is prefetched
LINE = 8  # cells at most in a cache line
FROM_MEMORY = 1 << 18  # cells of input that no longer stay in the L2 cache


@inner
def in_registers(S, K):
    """Tell whether `pool_rows` knows such windows. Those that the edge clips on both sides lie 0 apart."""
    return (1 <= S <= 2 and 2 <= K <= 3) or (S == 3 and (K == 3 or K == 5))


def both_by(maximum):
    """Return what puts two registers of terms together: the larger ones, or the sums."""

    @inner
    def both(v, w):
        if maximum:
            return larger(v, w)
        return v + w

    return both


# The functions below are made once for each S, K and operation, which are constants in them. As arguments
# they would be constants only once LLVM has put all of it into the caller, and until then it would prepare
# for every value.


def windows_with(S, K, maximum):
    both = both_by(maximum)

    @inner
    def windows(x, i, KH, pitch):
        """Return the W windows whose first column is x[i]; rows are `pitch` cells apart."""
        W = width(x)
        last = S * (W - 1) + K - W
        a = read(x, i)
        b = read(x, i + W) if S > 1 else a
        c = read(x, i + 2 * W) if S > 2 else a
        d = read(x, i + last) if K > S else a
        for kh in range(1, KH):
            row = i + kh * pitch
            a = both(a, read(x, row))
            if S > 1:
                b = both(b, read(x, row + W))
            if S > 2:
                c = both(c, read(x, row + 2 * W))
            if K > S:
                d = both(d, read(x, row + last))

        if S == 1:
            return both(both(a, next_2(a, d)), d) if K == 3 else both(a, d)
        if S == 2:
            v = both(evens(a, b), odds(a, b))
            return both(v, next_1(evens(a, b), d)) if K == 3 else v
        v = both(both(third_0(a, b, c), third_1(a, b, c)), third_2(a, b, c))
        if K == 5:
            v = both(both(v, next_2(third_0(a, b, c), d)), next_1(third_1(a, b, c), d))
        return v

    return windows


def row_with(S, K, maximum):
    windows = windows_with(S, K, maximum)

    @inner
    def row(y, to, x, of, count, KH, pitch, divisor):
        W = width(x)
        ow = 0
        while True:
            v = windows(x, of + S * ow, KH, pitch)
            write(y, to + ow, v if maximum else v / divisor)
            if ow + W >= count:
                break
            ow = min(ow + W, count - W)  # the last register overlaps the one before it

    return row


def rows_with(S, K, maximum):
    row = row_with(S, K, maximum)

    @separate
    def rows(y, to, x, of, h_windows, w_third, count, pitches, first, end, far):
        IW, OW = pitches
        seen = h_windows[first, START]
        for oh in range(first, end):
            h = h_windows[oh, START]
            KH, step = h_windows[oh, STOP] - h, 1
            divisor = every(x, float(h_windows[oh, THIRD]) * float(w_third))
            if maximum:
                step = h_windows[oh, THIRD]
                KH = KH if step == 1 else (KH - 1) // step + 1
            if far:
                for i in range(seen * IW, h_windows[oh, STOP] * IW, LINE):
                    prefetch(x, of + AHEAD + i)
                seen = max(seen, h_windows[oh, STOP])
            if KH == K:  # a constant, which saves the loop over the rows
                row(y, to + oh * OW, x, of + h * IW, count, K, step * IW, divisor)
            else:
                row(y, to + oh * OW, x, of + h * IW, count, KH, step * IW, divisor)

    return rows


def pool_rows_by(maximum):
    """Return a function for the common windows of some rows, by maxima or by averages."""
    rows_1_2, rows_1_3 = rows_with(1, 2, maximum), rows_with(1, 3, maximum)
    rows_2_2, rows_2_3 = rows_with(2, 2, maximum), rows_with(2, 3, maximum)
    rows_3_3, rows_3_5 = rows_with(3, 3, maximum), rows_with(3, 5, maximum)

    @inner
    def pool_rows(y, to, x, of, h_windows, w_windows, run, pitches, first, end, far):
        """Do the common windows of rows first..end - 1 of a plane.

        The plane's first output of them is y[to], and its window's first column begins at x[of].
        `far` asks for prefetching.
        """
        start, stop, K, S = run
        third, count = w_windows[start, THIRD], stop - start
        if S == 1 and K == 2:
            rows_1_2(y, to, x, of, h_windows, third, count, pitches, first, end, far)
        elif S == 1:
            rows_1_3(y, to, x, of, h_windows, third, count, pitches, first, end, far)
        elif S == 2 and K == 2:
            rows_2_2(y, to, x, of, h_windows, third, count, pitches, first, end, far)
        elif S == 2:
            rows_2_3(y, to, x, of, h_windows, third, count, pitches, first, end, far)
        elif K == 3:
            rows_3_3(y, to, x, of, h_windows, third, count, pitches, first, end, far)
        else:
            rows_3_5(y, to, x, of, h_windows, third, count, pitches, first, end, far)

    return pool_rows
