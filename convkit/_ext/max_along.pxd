"""A row of maxima and where they are, for the windows of a row of outputs: :mod:`max_indices`'s first step.

W outputs at a time: their first columns, then their second ones, and so on, each compared with the best so
far, so that the first of equals stays. The columns are S apart, and come by shuffles from S vectors.
What is not a regular stretch of at least W windows is done one by one.
"""

from cython cimport floating
from libc.stdint cimport int32_t, int64_t

from convkit._ext.vec cimport at, evens, inlined, lanes, load, odds, store, vec, vf
from convkit._ext.vec_order cimport add_bits, ramp, take, third
from convkit._ext.windows cimport ROW, START, STOP, THIRD, Run


cdef inline Py_ssize_t scan(
    floating *best, const floating *x, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t step
) noexcept nogil:
    """The column of the maximum, which goes to `best`."""
    cdef Py_ssize_t where = start, i = start + step
    best[0] = x[start]
    while i < stop:
        if x[i] > best[0] or x[i] != x[i]:
            best[0] = x[i]
            where = i
        i += step
    return where


cdef inline void scan_windows(
    vec *best, vec *where, const vec *row, Py_ssize_t index, const Py_ssize_t *w_windows,
    Py_ssize_t first, Py_ssize_t end, Py_ssize_t offset
) noexcept nogil:
    """Outputs first..end-1, one by one; the first cell of the row has that index."""
    cdef const Py_ssize_t *w
    cdef Py_ssize_t ow
    for ow in range(first, end):
        w = w_windows + ow*ROW
        if vec is vf:
            (<int32_t *> where)[ow - offset] = <int32_t> (index + scan(
                <float *> best + ow - offset, <const float *> row, w[START], w[STOP], w[THIRD]))
        else:
            (<int64_t *> where)[ow - offset] = index + scan(
                <double *> best + ow - offset, <const double *> row, w[START], w[STOP], w[THIRD])


cdef inline inlined every(vec *v, const vec *x, Py_ssize_t i, int S, int t) noexcept nogil:
    """Elements i + t, i + t + S... of x, from S vectors; none beyond the last one of the window."""
    cdef Py_ssize_t W = lanes(x)
    cdef int r = t if t < S else S - 1
    i += t - r
    if S == 1:
        v[0] = load(x, i)
    elif S == 2 and r == 0:
        v[0] = evens(load(x, i), load(x, i + W))
    elif S == 2:
        v[0] = odds(load(x, i), load(x, i + W))
    else:
        v[0] = third(load(x, i), load(x, i + W), load(x, i + 2*W), r)


cdef inline inlined along_of(
    vec *best, vec *where, const vec *x, Py_ssize_t index, Py_ssize_t count, int S, Py_ssize_t K
) noexcept nogil:
    """count >= W outputs with windows of K >= S columns, S apart; x[0] has that index."""
    cdef Py_ssize_t W = lanes(x), ow = 0, t
    cdef vec v, i, b, j, one = ramp(x, 1, 0)
    while True:
        every(&b, x, S*ow, S, 0)
        j = i = ramp(x, index + S*ow, S)
        for t in range(1, K):
            if t == 1:
                every(&v, x, S*ow, S, 1)
            else:
                every(&v, x, S*ow + t - 2, S, 2)
            i = add_bits(i, one)
            take(&b, &j, v, i)
        store(best, ow, b)
        store(where, ow, j)
        if ow + W >= count:
            break
        ow = min(ow + W, count - W)


cdef inline void along(
    vec *best, vec *where, const vec *row, Py_ssize_t index, const Py_ssize_t *w_windows, const Run *run,
    Py_ssize_t first, Py_ssize_t end
) noexcept nogil:
    """Reduce one row of x for outputs first..end-1: values and indices."""
    cdef Py_ssize_t a = max(first, run.first), b = min(end, run.end), start
    if b - a < lanes(row) or run.third != 1 or run.S > 3 or run.S < 1 or run.K < run.S:
        scan_windows(best, where, row, index, w_windows, first, end, first)
        return
    start = w_windows[a*ROW + START]
    scan_windows(best, where, row, index, w_windows, first, a, first)
    scan_windows(best, where, row, index, w_windows, b, end, first)
    best, where, row = at(best, a - first), at(where, a - first), at(row, start)
    index += start
    if run.S == 1 and run.K == 3:
        along_of(best, where, row, index, b - a, 1, 3)
    elif run.S == 2 and run.K == 2:
        along_of(best, where, row, index, b - a, 2, 2)
    elif run.S == 2 and run.K == 3:
        along_of(best, where, row, index, b - a, 2, 3)
    elif run.S == 3 and run.K == 5:
        along_of(best, where, row, index, b - a, 3, 5)
    elif run.S == 1:
        along_of(best, where, row, index, b - a, 1, run.K)
    elif run.S == 2:
        along_of(best, where, row, index, b - a, 2, run.K)
    else:
        along_of(best, where, row, index, b - a, 3, run.K)
