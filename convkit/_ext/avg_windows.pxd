"""Averages of any windows: sums downwards in a buffer on the stack, then along the row, in double.

Where wide windows overlap, the sums along the row are *running* sums: three additions an output,
whatever the width. Cut the row into blocks as wide as the window. A window is then the end of one
block and the beginning of the next, and both are known for every column after one pass from the right
and one from the left::

    columns     a b c d | e f g h | i j k l       blocks of K = 4
    window          c d   e f                     (c + d) + (e + f)

Nothing is ever subtracted. The running sum that takes off what leaves the window is one addition
shorter, and wrong: behind a cell of 1e30 all windows of the row have lost their small cells, and
behind an infinity or a NaN they are all NaN. Here each sum is one of the window's own KH*KW cells, with
at most KH + KW - 1 roundings, each of 2**-53 of the sum of their absolute values; for float32
that is far below the final rounding of the quotient.
"""

from cython cimport floating

from convkit._ext.windows cimport ROW, START, STOP, THIRD

cdef enum:
    SPAN = 512   # columns summed downwards at a time: 4 KiB of doubles, a part of the L1 cache
    RUNNING = 8  # overlapping windows at least as wide get running sums


cdef inline void add_down(
    double *sums, const floating *x, Py_ssize_t KH, Py_ssize_t columns, Py_ssize_t IW
) noexcept nogil:
    cdef Py_ssize_t kh, i
    for i in range(columns):
        sums[i] = x[i]
    for kh in range(1, KH):
        for i in range(columns):
            sums[i] += x[kh*IW + i]


cdef inline double add_along(const double *sums, Py_ssize_t K) noexcept nogil:
    cdef Py_ssize_t i
    cdef double total = 0
    for i in range(K):
        total += sums[i]
    return total


cdef inline void add_blocks(
    double *ends, double *begins, const double *sums, Py_ssize_t n, Py_ssize_t K
) noexcept nogil:
    """In every block of K: sums from each column to the block's end, and from its beginning to each."""
    cdef Py_ssize_t start = 0, stop, i
    cdef double total
    while start < n:
        stop = min(start + K, n)
        total = 0
        for i in range(start, stop):
            total += sums[i]
            begins[i] = total
        total = 0
        for i in range(stop - 1, start - 1, -1):
            total += sums[i]
            ends[i] = total
        start = stop


cdef inline double wide_window(const floating *x, Py_ssize_t KH, Py_ssize_t K, Py_ssize_t IW) noexcept nogil:
    """The sum of a window that is wider than the buffer, piece by piece."""
    cdef Py_ssize_t i = 0, columns
    cdef double[SPAN] sums
    cdef double total = 0
    while i < K:
        columns = min(SPAN, K - i)
        add_down(sums, x + i, KH, columns, IW)
        total += add_along(sums, columns)
        i += columns
    return total


cdef inline void any_row(
    floating *y, const floating *x, Py_ssize_t KH, double h_divisor, const Py_ssize_t *w_windows,
    Py_ssize_t IW, Py_ssize_t OW
) noexcept nogil:
    """A row of outputs, in groups whose columns fit the buffer."""
    cdef double[SPAN] sums, ends, begins
    cdef const Py_ssize_t *w
    cdef Py_ssize_t ow = 0, group, low, high, K, a
    cdef double total
    cdef bint running
    while ow < OW:
        w = w_windows + ow*ROW
        low, high = w[START], w[STOP]
        K = high - low
        if K > SPAN:
            y[ow] = <floating> (wide_window(x + low, KH, K, IW) / (h_divisor*w[THIRD]))
            ow += 1
            continue
        group = ow
        while ow < OW and max(high, w[STOP]) - min(low, w[START]) <= SPAN:
            low, high = min(low, w[START]), max(high, w[STOP])
            ow += 1
            w += ROW
        add_down(sums, x + low, KH, high - low, IW)
        w = w_windows + (group + ow)//2*ROW  # in the middle, where the edge clips none
        K = w[STOP] - w[START]
        running = K >= RUNNING and high - low < (ow - group)*K//2
        if running:
            add_blocks(ends, begins, sums, high - low, K)
        for group in range(group, ow):
            w = w_windows + group*ROW
            a = w[START] - low
            if not running or w[STOP] - w[START] != K:
                total = add_along(sums + a, w[STOP] - w[START])
            elif a % K == 0:
                total = ends[a]
            else:
                total = ends[a] + begins[a + K - 1]
            y[group] = <floating> (total / (h_divisor*w[THIRD]))
