"""Windows in registers: as many outputs of a row as a vector has lanes, without a buffer.

    rows of the window, added (or compared) downwards      S vectors of consecutive columns
    every S-th column, from column 0, 1... S - 1           S shuffles
    the K - S columns that reach into the next window      a lane's shift, and one lane more
    sum (or maximum) of the K vectors                      W outputs

W outputs depend on S*(W - 1) + K consecutive columns, and no other column is touched: what the last
window needs beyond S*W comes from one more vector, loaded so that it ends with the last column.
For 3x3 windows at stride 2 that is 9 loads, 8 additions and 3 shuffles for 16 outputs of 9 terms
each. Adding downwards first shares the additions of a column among the windows it is in, and
leaves one horizontal step a row of outputs instead of one a row of inputs.

The order of the terms is a column's from top to bottom, then columns by S; a sum has
(KH - 1) + (KW - 1) roundings behind it, which is its error bound in units of eps/2 times the sum of
the absolute values. A maximum has no order, but for the bits of a NaN.

Windows that the edge has clipped are among them. Beyond a row lies another one, or another plane; what was
read of it is replaced, in the first and the last vector of a row, by what adds nothing: 0 or -infinity.
Only before the array and behind it there is nothing to read, so there those windows go one by one.

A buffer of sums downwards, read back at other offsets, was slower: a load that straddles two recent
stores has to wait until both have reached the cache.
"""

from libc.math cimport INFINITY

from convkit._ext.vec cimport at, evens, inlined, lanes, load, odds, splat_d, splat_f, store, vec, vf, zero
from convkit._ext.vec_order cimport between, larger, next, prefetch, third
from convkit._ext.windows cimport ROW, START, STOP, THIRD, Run

cdef enum:
    AHEAD = 8192           # bytes between what is read and what is prefetched
    FROM_MEMORY = 1 << 20  # bytes of input that no longer stay in the L2 cache


cdef inline bint in_registers(Py_ssize_t S, Py_ssize_t K) noexcept nogil:
    """Whether `pool_rows` knows such windows."""
    return (S == 1 and 2 <= K <= 3) or (S == 2 and 2 <= K <= 3) or (S == 3 and (K == 3 or K == 5))


cdef inline bint ends_behind(const Run *run, Py_ssize_t column, Py_ssize_t IW) noexcept nogil:
    """Whether the last window of a run, the first of which begins at `column`, is cut off by the edge."""
    return column + (run.end - run.first - 1)*run.S + run.K > IW


cdef inline Py_ssize_t rows_at_start(
    const Py_ssize_t *h_windows, Py_ssize_t first, Py_ssize_t end, Py_ssize_t column
) noexcept nogil:
    """How many of rows first..end-1 would be read from before the array, if the plane is its first."""
    cdef Py_ssize_t oh = first
    while column < 0 and oh < end and h_windows[oh*ROW + START] == 0:
        oh += 1
    return oh - first


cdef inline Py_ssize_t rows_at_end(
    const Py_ssize_t *h_windows, Py_ssize_t first, Py_ssize_t end, const Run *run, Py_ssize_t column,
    Py_ssize_t IH, Py_ssize_t IW
) noexcept nogil:
    """How many of rows first..end-1 would be read to behind the array, if the plane is its last."""
    cdef Py_ssize_t oh = end
    if ends_behind(run, column, IW):
        while oh > first and h_windows[(oh - 1)*ROW + STOP] == IH:
            oh -= 1
    return end - oh


cdef inline void prefetch_rows(const vec *x, Py_ssize_t elements) noexcept nogil:
    """Fetch what is as far ahead of these elements as AHEAD says; to pass the end does no harm."""
    cdef const char *p = <const char *> x + AHEAD
    cdef const char *end = <const char *> at(x, elements) + AHEAD
    while p < end:
        prefetch(p)
        p += 64


cdef inline vec both(vec a, vec b, bint maximum) noexcept nogil:
    if maximum:
        return larger(a, b)
    else:
        return a + b


cdef inline vec in_row(vec v, Py_ssize_t column, Py_ssize_t IW, bint maximum) noexcept nogil:
    """v, which begins at that column, with what adds nothing in place of cells beyond the row."""
    cdef Py_ssize_t W = lanes(&v)
    cdef int first = max(<Py_ssize_t> 0, -column), end = max(<Py_ssize_t> 0, min(W, IW - column))
    if vec is vf:
        return between(v, first, end, splat_f(-INFINITY if maximum else 0))
    else:
        return between(v, first, end, splat_d(-INFINITY if maximum else 0))


cdef inline inlined windows(
    vec *v, const vec *x, Py_ssize_t i, Py_ssize_t KH, Py_ssize_t pitch, int S, int K, bint maximum,
    bint clipped, Py_ssize_t column, Py_ssize_t IW
) noexcept nogil:
    """The W windows whose first column, which is `column` of IW, is element i of x.

    Rows are `pitch` elements apart. Unless `clipped`, all columns are in the row.
    """
    cdef Py_ssize_t W = lanes(x), last = S*(W - 1) + K - W, _kh
    cdef vec a, b, c, d
    a = load(x, i)
    b = load(x, i + W) if S > 1 else a
    c = load(x, i + 2*W) if S > 2 else a
    d = load(x, i + last) if K > S else a
    for _kh in range(1, KH):
        i += pitch
        a = both(a, load(x, i), maximum)
        if S > 1:
            b = both(b, load(x, i + W), maximum)
        if S > 2:
            c = both(c, load(x, i + 2*W), maximum)
        if K > S:
            d = both(d, load(x, i + last), maximum)
    if clipped and (column < 0 or column + W + last > IW):
        a = in_row(a, column, IW, maximum)
        if S > 1:
            b = in_row(b, column + W, IW, maximum)
        if S > 2:
            c = in_row(c, column + 2*W, IW, maximum)
        if K > S:
            d = in_row(d, column + last, IW, maximum)

    if S == 1 and K == 2:
        v[0] = both(a, d, maximum)
    elif S == 1:
        v[0] = both(both(a, next(a, d, 2), maximum), d, maximum)
    elif S == 2:
        v[0] = both(evens(a, b), odds(a, b), maximum)
        if K == 3:
            v[0] = both(v[0], next(evens(a, b), d, 1), maximum)
    else:
        v[0] = both(both(third(a, b, c, 0), third(a, b, c, 1), maximum), third(a, b, c, 2), maximum)
        if K == 5:
            v[0] = both(v[0], next(third(a, b, c, 0), d, 2), maximum)
            v[0] = both(v[0], next(third(a, b, c, 1), d, 1), maximum)


cdef inline inlined row_of(
    vec *y, const vec *x, Py_ssize_t OW, Py_ssize_t KH, Py_ssize_t pitch, int S, int K,
    bint maximum, vec divisor, bint clipped, Py_ssize_t column, Py_ssize_t IW
) noexcept nogil:
    cdef Py_ssize_t W = lanes(x), ow = 0
    cdef vec v
    while True:
        windows(&v, x, S*ow, KH, pitch, S, K, maximum, clipped, column + S*ow, IW)
        store(y, ow, v if maximum else v / divisor)
        if ow + W >= OW:
            break
        ow = min(ow + W, OW - W)  # the last vector overlaps the one before it


cdef inline inlined rows_of(
    vec *y, const vec *x, const Py_ssize_t *h_windows, const Run *run, Py_ssize_t IW, Py_ssize_t OW,
    Py_ssize_t first, Py_ssize_t end, bint far, int S, int K, bint maximum,
    bint clipped, Py_ssize_t column
) noexcept nogil:
    cdef const Py_ssize_t *h
    cdef Py_ssize_t oh, KH, step = 1, seen = h_windows[first*ROW + START]
    cdef vec divisor = zero(x)
    for oh in range(first, end):
        h = h_windows + oh*ROW
        KH = h[STOP] - h[START]
        if maximum:
            step = h[THIRD]
            KH = KH if step == 1 else (KH - 1)//step + 1
        elif vec is vf:
            divisor = splat_f(<float> (<double> h[THIRD]*<double> run.third))
        else:
            divisor = splat_d(<double> h[THIRD]*<double> run.third)
        if far:
            prefetch_rows(at(x, seen*IW), (h[STOP] - seen)*IW)
            seen = max(seen, h[STOP])
        if KH == K:  # a constant, which saves the loop over the rows
            row_of(at(y, oh*OW), at(x, h[START]*IW), run.end - run.first, K, step*IW, S, K, maximum, divisor,
                   clipped, column, IW)
        else:
            row_of(at(y, oh*OW), at(x, h[START]*IW), run.end - run.first, KH, step*IW, S, K, maximum, divisor,
                   clipped, column, IW)


cdef inline inlined rows_by(
    vec *y, const vec *x, const Py_ssize_t *h_windows, const Run *run, Py_ssize_t IW, Py_ssize_t OW,
    Py_ssize_t first, Py_ssize_t end, bint far, bint maximum, bint clipped, Py_ssize_t column
) noexcept nogil:
    """Constants for size and distance of the windows."""
    if run.S == 1 and run.K == 2:
        rows_of(y, x, h_windows, run, IW, OW, first, end, far, 1, 2, maximum, clipped, column)
    elif run.S == 1:
        rows_of(y, x, h_windows, run, IW, OW, first, end, far, 1, 3, maximum, clipped, column)
    elif run.S == 2 and run.K == 2:
        rows_of(y, x, h_windows, run, IW, OW, first, end, far, 2, 2, maximum, clipped, column)
    elif run.S == 2:
        rows_of(y, x, h_windows, run, IW, OW, first, end, far, 2, 3, maximum, clipped, column)
    elif run.K == 3:
        rows_of(y, x, h_windows, run, IW, OW, first, end, far, 3, 3, maximum, clipped, column)
    else:
        rows_of(y, x, h_windows, run, IW, OW, first, end, far, 3, 5, maximum, clipped, column)


cdef inline inlined pool_rows(
    vec *y, const vec *x, const Py_ssize_t *h_windows, const Run *run, Py_ssize_t column, Py_ssize_t IW,
    Py_ssize_t OW, Py_ssize_t first, Py_ssize_t end, bint far, bint maximum
) noexcept nogil:
    """The run's windows of rows first..end-1 of a plane, the first of which begins at `column`.

    y and x are the plane's first cells. `far` asks for prefetching.
    """
    y, x = at(y, run.first), at(x, column)
    if column < 0 or ends_behind(run, column, IW):
        rows_by(y, x, h_windows, run, IW, OW, first, end, far, maximum, True, column)
    else:
        rows_by(y, x, h_windows, run, IW, OW, first, end, far, maximum, False, column)
