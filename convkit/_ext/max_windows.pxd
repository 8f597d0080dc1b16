"""Maxima of any windows: downwards in a buffer on the stack, then along the row.

Where wide windows overlap, the maxima along the row are *running* maxima: three comparisons an output,
whatever the width. Cut the row into blocks as wide as the window. A window is then the end of one
block and the beginning of the next, and both are known for every column after one pass from the right
and one from the left::

    columns     a b c d | e f g h | i j k l       blocks of K = 4
    window          c d   e f                     larger(larger of c d, larger of e f)

A NaN travels through both passes, and no further than the windows that it is in.
"""

from cython cimport floating

from convkit._ext.windows cimport ROW, START, STOP, THIRD

cdef enum:
    SPAN = 512   # columns taken downwards at a time: at most 4 KiB
    RUNNING = 8  # overlapping windows at least as wide get running maxima


cdef inline floating larger_of(floating a, floating b) noexcept nogil:
    """b if it is greater or NaN; by `|`, since `or` would branch, and half of the guesses would be wrong."""
    return b if (b > a) | (b != b) else a


cdef inline void max_down(
    floating *best, const floating *x, const Py_ssize_t *h, Py_ssize_t columns, Py_ssize_t IW
) noexcept nogil:
    cdef Py_ssize_t ih = h[START], i
    cdef floating v
    for i in range(columns):
        best[i] = x[ih*IW + i]
    ih += h[THIRD]
    while ih < h[STOP]:
        for i in range(columns):
            v = x[ih*IW + i]
            best[i] = v if (v > best[i]) | (v != v) else best[i]
        ih += h[THIRD]


cdef inline floating max_along(const floating *best, Py_ssize_t K, Py_ssize_t step) noexcept nogil:
    cdef floating most = best[0]
    cdef Py_ssize_t i = step
    while i < K:
        most = larger_of(most, best[i])
        i += step
    return most


cdef inline void max_blocks(
    floating *ends, floating *begins, const floating *best, Py_ssize_t n, Py_ssize_t K
) noexcept nogil:
    """In every block of K: maxima from each column to the block's end, and from its beginning to each."""
    cdef Py_ssize_t start = 0, stop, i
    while start < n:
        stop = min(start + K, n)
        begins[start] = best[start]
        for i in range(start + 1, stop):
            begins[i] = larger_of(begins[i - 1], best[i])
        ends[stop - 1] = best[stop - 1]
        for i in range(stop - 2, start - 1, -1):
            ends[i] = larger_of(ends[i + 1], best[i])
        start = stop


cdef inline floating wide_window(
    const floating *x, const Py_ssize_t *h, const Py_ssize_t *w, Py_ssize_t IW
) noexcept nogil:
    """The maximum of a window that is wider than the buffer, piece by piece."""
    cdef Py_ssize_t i = w[START], columns, step = w[THIRD]
    cdef Py_ssize_t piece = max(step, SPAN//step*step)
    cdef floating[SPAN] best
    cdef floating most = x[h[START]*IW + i]
    while i < w[STOP]:
        columns = min(min(piece, SPAN), w[STOP] - i)
        max_down(best, x + i, h, columns, IW)
        most = larger_of(most, max_along(best, columns, step))
        i += piece
    return most


cdef inline void any_row(
    floating *y, const floating *x, const Py_ssize_t *h, const Py_ssize_t *w_windows,
    Py_ssize_t IW, Py_ssize_t OW
) noexcept nogil:
    """A row of outputs, in groups whose columns fit the buffer."""
    cdef floating[SPAN] best, ends, begins
    cdef const Py_ssize_t *w
    cdef Py_ssize_t ow = 0, group, low, high, K, a
    cdef bint running
    while ow < OW:
        w = w_windows + ow*ROW
        low, high = w[START], w[STOP]
        K = high - low
        if K > SPAN:
            y[ow] = wide_window(x, h, w, IW)
            ow += 1
            continue
        group = ow
        while ow < OW and max(high, w[STOP]) - min(low, w[START]) <= SPAN:
            low, high = min(low, w[START]), max(high, w[STOP])
            ow += 1
            w += ROW
        max_down(best, x + low, h, high - low, IW)
        w = w_windows + (group + ow)//2*ROW  # in the middle, where the edge clips none
        K = w[STOP] - w[START]
        running = K >= RUNNING and w[THIRD] == 1 and high - low < (ow - group)*K//2
        if running:
            max_blocks(ends, begins, best, high - low, K)
        for group in range(group, ow):
            w = w_windows + group*ROW
            a = w[START] - low
            if running and w[STOP] - w[START] == K and w[THIRD] == 1:
                y[group] = larger_of(ends[a], begins[a + K - 1])
            else:
                y[group] = max_along(best + a, w[STOP] - w[START], w[THIRD])
