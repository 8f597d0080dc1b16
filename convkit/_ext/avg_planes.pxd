"""The average of a whole plane, as of global pooling: one run of cells, whatever its rows are.

    y[p] = sum of x[p] / divisor

Bound by memory where there is no window to start and no row to end: four vectors of doubles, each a
chain of additions of its own, take a plane from its first cell to its last. In double a sum has IH*IW - 1
roundings of 2**-53 at most, far below the final rounding of a float32 quotient.
"""

from convkit._ext.lane_sums cimport DOUBLES, last_d, real, widen
from convkit._ext.vec cimport splat_d, total_d, vd


cdef inline double sum_of(const real *x, Py_ssize_t n) noexcept nogil:
    cdef vd a = splat_d(0), b = a, c = a, d = a
    cdef Py_ssize_t i = 0
    cdef double total = 0
    if n < DOUBLES:
        for i in range(n):
            total += x[i]
        return total
    while i + 4*DOUBLES <= n:
        a += widen(x + i)
        b += widen(x + i + DOUBLES)
        c += widen(x + i + 2*DOUBLES)
        d += widen(x + i + 3*DOUBLES)
        i += 4*DOUBLES
    while i + DOUBLES <= n:
        a += widen(x + i)
        i += DOUBLES
    b += last_d(widen(x + n - DOUBLES), n - i)  # what that adds again is 0
    return total_d((a + b) + (c + d))


cdef inline void average_planes(
    real *y, const real *x, Py_ssize_t first, Py_ssize_t end, Py_ssize_t cells, double divisor
) noexcept nogil:
    cdef Py_ssize_t p
    for p in range(first, end):
        y[p] = <real> (sum_of(x + p*cells, cells)/divisor)
