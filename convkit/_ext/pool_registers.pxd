"""Windows in registers: as many outputs of a row as a vector has lanes, without a buffer.

    rows of the window, added (or compared) downwards      S vectors of consecutive columns
    every S-th column, from column 0, 1... S - 1           S shuffles
    the K - S columns that reach into the next window      a lane's shift, and one lane more
    sum (or maximum) of the K vectors                      W outputs

W outputs depend on S*(W - 1) + K consecutive columns, and no other column is touched: what the last
window needs beyond S*W comes from one more vector, loaded so that it ends with the last column.
For 3x3 windows at stride 2 that is 9 loads, 10 additions and 3 shuffles for 16 outputs of 9 terms
each. Adding downwards first shares the additions of a column among the windows it is in, and
leaves one horizontal step a row of outputs instead of one a row of inputs.

The order of the terms is a column's from top to bottom, then columns by S; a sum has
(KH - 1) + (KW - 1) roundings behind it, which is its error bound in units of eps/2 times the sum of
the absolute values. A maximum has no order, but for the bits of a NaN.

A buffer of sums downwards, read back at other offsets, was slower: a load that straddles two recent
stores has to wait until both have reached the cache.
"""

from convkit._ext.vec cimport at, evens, inlined, lanes, load, odds, splat_d, splat_f, store, vec, vf, zero
from convkit._ext.vec_order cimport larger, next, prefetch, third
from convkit._ext.windows cimport ROW, START, STOP, THIRD, Run

cdef enum:
    AHEAD = 8192           # bytes between what is read and what is prefetched
    FROM_MEMORY = 1 << 20  # bytes of input that no longer stay in the L2 cache


cdef inline bint in_registers(Py_ssize_t S, Py_ssize_t K) noexcept nogil:
    """Whether `pool_rows` knows such windows."""
    return (S == 1 and 2 <= K <= 3) or (S == 2 and 2 <= K <= 3) or (S == 3 and (K == 3 or K == 5))


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


cdef inline inlined windows(
    vec *v, const vec *x, Py_ssize_t i, Py_ssize_t KH, Py_ssize_t pitch, int S, int K, bint maximum
) noexcept nogil:
    """The W windows whose first column is element i of x; rows are `pitch` elements apart."""
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
    bint maximum, vec divisor
) noexcept nogil:
    cdef Py_ssize_t W = lanes(x), ow = 0
    cdef vec v
    while True:
        windows(&v, x, S*ow, KH, pitch, S, K, maximum)
        store(y, ow, v if maximum else v / divisor)
        if ow + W >= OW:
            break
        ow = min(ow + W, OW - W)  # the last vector overlaps the one before it


cdef inline inlined rows_of(
    vec *y, const vec *x, const Py_ssize_t *h_windows, const Run *run, Py_ssize_t IW, Py_ssize_t OW,
    Py_ssize_t first, Py_ssize_t end, bint far, int S, int K, bint maximum
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
            row_of(at(y, oh*OW), at(x, h[START]*IW), run.end - run.first, K, step*IW, S, K, maximum, divisor)
        else:
            row_of(at(y, oh*OW), at(x, h[START]*IW), run.end - run.first, KH, step*IW, S, K, maximum, divisor)


cdef inline inlined pool_rows(
    vec *y, const vec *x, const Py_ssize_t *h_windows, const Run *run, Py_ssize_t IW, Py_ssize_t OW,
    Py_ssize_t first, Py_ssize_t end, bint far, bint maximum
) noexcept nogil:
    """The common windows of rows first..end-1 of a plane.

    y and x are the plane's first output and its window's first column. `far` asks for prefetching.
    """
    if run.S == 1 and run.K == 2:
        rows_of(y, x, h_windows, run, IW, OW, first, end, far, 1, 2, maximum)
    elif run.S == 1:
        rows_of(y, x, h_windows, run, IW, OW, first, end, far, 1, 3, maximum)
    elif run.S == 2 and run.K == 2:
        rows_of(y, x, h_windows, run, IW, OW, first, end, far, 2, 2, maximum)
    elif run.S == 2:
        rows_of(y, x, h_windows, run, IW, OW, first, end, far, 2, 3, maximum)
    elif run.K == 3:
        rows_of(y, x, h_windows, run, IW, OW, first, end, far, 3, 3, maximum)
    else:
        rows_of(y, x, h_windows, run, IW, OW, first, end, far, 3, 5, maximum)
