"""The two sums that a gradient needs of a chunk, in one pass, in double lanes.

    sum(dz)      sum(dz*(x - mean))      dz = dy*weight

Two arrays are read for some four operations an element, so memory limits this nearly everywhere.
"""

from convkit._ext.double_sums cimport DOUBLES, last, real, widen
from convkit._ext.norm_plan cimport COLUMNS, SHORT, WIDTH, block, norm
from convkit._ext.streaming cimport prefetch
from convkit._ext.vec cimport inlined, splat_d, total_d, vd


cdef inline inlined add_products(
    const real *dy, const real *x, Py_ssize_t n, double mean, const real *weight, bint each,
    vd *sum_z, vd *sum_zd, Py_ssize_t ahead
) noexcept nogil:
    """Add a run, whose weight is weight[0] or, if `each`, weight[i]; ask for what lies `ahead`."""
    cdef vd c = splat_d(mean), w0 = splat_d(weight[0]), w1 = w0, z0, z1
    cdef vd a0 = sum_z[0], a1 = splat_d(0), b0 = sum_zd[0], b1 = splat_d(0)
    cdef Py_ssize_t i = 0
    while i + 2*DOUBLES <= n:
        prefetch(dy + i + ahead)
        prefetch(x + i + ahead)
        if each:
            w0 = widen(weight + i)
            w1 = widen(weight + i + DOUBLES)
        z0 = widen(dy + i)*w0
        z1 = widen(dy + i + DOUBLES)*w1
        a0 += z0
        a1 += z1
        b0 += z0*(widen(x + i) - c)
        b1 += z1*(widen(x + i + DOUBLES) - c)
        i += 2*DOUBLES
    while i < n:
        if n >= DOUBLES:  # the last vector reaches back over elements that were added
            z0 = widen(dy + min(i, n - DOUBLES))*(widen(weight + min(i, n - DOUBLES)) if each else w0)
            z1 = z0*(widen(x + min(i, n - DOUBLES)) - c)
            a0 += last(z0, n - i)
            b0 += last(z1, n - i)
            i += DOUBLES
        else:
            z0 = splat_d(dy[i]*<double> weight[i if each else 0])
            z1 = z0*(splat_d(x[i]) - c)
            a0 += last(z0, 1)
            b0 += last(z1, 1)
            i += 1
    sum_z[0] = a0 + a1
    sum_zd[0] = b0 + b1


cdef inline void run_products(
    const real *dy, const real *x, const real *weight, Py_ssize_t start, Py_ssize_t stop, double mean,
    const norm *s, vd *sum_z, vd *sum_zd, Py_ssize_t ahead
) noexcept nogil:
    """Add elements start <= l < stop of a run; weight is that of its statistic, of P values."""
    cdef Py_ssize_t p, l, end
    if s.S == 1:
        add_products(dy + start, x + start, stop - start, mean, weight + start, True, sum_z, sum_zd, ahead)
        return
    for p in range(start//s.S, (stop - 1)//s.S + 1):
        l = max(start, p*s.S)
        end = min(stop, (p + 1)*s.S)
        add_products(dy + l, x + l, end - l, mean, weight + p, False, sum_z, sum_zd, ahead)


cdef inline void chunk_products(
    double *sum_z, double *sum_zd, const real *dy, const real *x, const double *mean,
    const real *weight, const norm *s, block b
) noexcept nogil:
    """Fill sum_z[g - b.g0] and sum_zd[g - b.g0] from the block's elements."""
    cdef vd a[WIDTH]
    cdef vd c[WIDTH]
    cdef Py_ssize_t n, g, run, width = b.g1 - b.g0, ahead = s.G*s.L
    if b.l1 - b.l0 < 1024 or s.pieces > 1:  # the CPU sees by itself what will be read
        ahead = 0
    for g in range(width):
        a[g] = c[g] = splat_d(0)
    for n in range(b.n0, b.n1):
        if n == s.N - 1:
            ahead = 0
        for g in range(width):
            run = (n*s.G + b.g0 + g)*s.L
            run_products(dy + run, x + run, weight + (b.g0 + g) % s.W*s.P, b.l0, b.l1, mean[b.g0 + g],
                         s, a + g, c + g, ahead)
    for g in range(width):
        sum_z[g] = total_d(a[g])
        sum_zd[g] = total_d(c[g])


cdef inline void chunk_products_of_columns(
    double *sum_z, double *sum_zd, const real *dy, const real *x, const double *mean,
    const real *weight, const norm *s, block b
) noexcept nogil:
    """The same where runs are shorter than a vector: down each column of the matrix (N, G*L)."""
    cdef double a[COLUMNS]
    cdef double c[COLUMNS]
    cdef double m[COLUMNS]
    cdef double z
    cdef Py_ssize_t n, g, l, i, first, C = (b.g1 - b.g0)*s.L
    for i in range(C):
        a[i] = c[i] = 0
        m[i] = mean[b.g0 + i//s.L]
    for n in range(b.n0, b.n1):
        first = (n*s.G + b.g0)*s.L
        for i in range(C):
            a[i] += dy[first + i]
            c[i] += dy[first + i]*(x[first + i] - m[i])
    for g in range(b.g1 - b.g0):
        sum_z[g] = sum_zd[g] = 0
        for l in range(s.L):
            z = weight[(b.g0 + g) % s.W*s.P + l//s.S]
            sum_z[g] += a[g*s.L + l]*z
            sum_zd[g] += c[g*s.L + l]*z
