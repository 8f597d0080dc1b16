"""The two sums that a gradient needs of a chunk, in one pass.

    sum(dz)      sum(dz*(x - mean))      dz = dy*weight

Lanes keep the elements' precision for some 2,000 elements at a time, and are then added up in double:
no lane adds more than 512 numbers (128 where a vector holds 16), so that the sums have all but the last
few of their 24 bits.
Tried and rejected: double lanes throughout, as for the variance. Nothing cancels here, and with two
arrays to convert arithmetic, not memory, is the limit (half the speed inside the L2 cache).

Without weights, runs of one statistic are a few at a time, so that the sums stay in registers and are
joined once for all of them: 8 % of a gradient's time on 32 images of 56x56, 1 % on one, 3 % on 7x7. Fewer
runs at a time are slower there: two, instead of eight, by a sixth.

x - mean is taken as (x - m) - (mean - m) with m the mean in the elements' precision; the second
difference is the same for all, and comes in at the end.
"""

from libc.math cimport isfinite

from convkit._ext.lane_sums cimport last, real, total
from convkit._ext.norm_apply cimport residue
from convkit._ext.norm_plan cimport COLUMNS, SHORT, WIDTH, block, norm
from convkit._ext.vec cimport at, inlined, lanes, load, splat, vd, vec, vf, zero

cdef enum:
    EXACT = 2048  # elements that lanes add up in their own precision
    LANES = 16    # of the widest vector
    ROWS = 8      # short runs at once: streams of memory that the CPU can follow


cdef inline inlined add_vectors(
    const vec *dy, const vec *x, Py_ssize_t n, const vec *mean, const vec *weight, bint each,
    vec *sum_z, vec *sum_zd
) noexcept nogil:
    """Add a run of at least a vector, whose weight is weight[0] or, if `each`, weight[i]."""
    cdef vec m = splat(mean, 0), w = splat(weight, 0), z, d
    cdef vec a0 = sum_z[0], a1 = zero(x), b0 = sum_zd[0], b1 = zero(x), b2 = zero(x), b3 = zero(x)
    cdef Py_ssize_t i = 0, V = lanes(x)
    if n >= 4*V:
        while i + 4*V <= n:
            z = load(dy, i)*(load(weight, i) if each else w)
            a0 += z
            b0 += z*(load(x, i) - m)
            z = load(dy, i + V)*(load(weight, i + V) if each else w)
            a1 += z
            b1 += z*(load(x, i + V) - m)
            z = load(dy, i + 2*V)*(load(weight, i + 2*V) if each else w)
            a0 += z
            b2 += z*(load(x, i + 2*V) - m)
            z = load(dy, i + 3*V)*(load(weight, i + 3*V) if each else w)
            a1 += z
            b3 += z*(load(x, i + 3*V) - m)
            i += 4*V
        a0 += a1
        b0 = (b0 + b1) + (b2 + b3)
    while i + V <= n:
        z = load(dy, i)*(load(weight, i) if each else w)
        a0 += z
        b0 += z*(load(x, i) - m)
        i += V
    if i < n:  # the last vector reaches back over elements that were added
        z = load(dy, n - V)*(load(weight, n - V) if each else w)
        d = z*(load(x, n - V) - m)
        a0 += last(z, n - i)
        b0 += last(d, n - i)
    sum_z[0] = a0
    sum_zd[0] = b0


cdef inline inlined add_products(
    const real *dy, const real *x, Py_ssize_t n, real m, const real *weight, bint each,
    real *sum_z, real *sum_zd
) noexcept nogil:
    """The same for a run of any length; each sum is a vector."""
    cdef Py_ssize_t i
    cdef real z
    if n*sizeof(real) < sizeof(vf):
        for i in range(n):
            z = dy[i]*weight[i if each else 0]
            sum_z[i] += z  # lane i: a chain of one lane would be as long as all lanes together
            sum_zd[i] += z*(x[i] - m)
    elif real is float:
        add_vectors(<const vf *> dy, <const vf *> x, n, <const vf *> &m, <const vf *> weight, each,
                    <vf *> sum_z, <vf *> sum_zd)
    else:
        add_vectors(<const vd *> dy, <const vd *> x, n, <const vd *> &m, <const vd *> weight, each,
                    <vd *> sum_z, <vd *> sum_zd)


cdef inline inlined add_vector_rows(
    const vec *dy, const vec *x, Py_ssize_t rows, Py_ssize_t step, Py_ssize_t n, const vec *mean,
    double *sum_z, double *sum_zd
) noexcept nogil:
    """Add so many runs of n elements, at least a vector and EXACT in all, that begin `step` apart."""
    cdef vec m = splat(mean, 0), z, d
    cdef vec a0 = zero(x), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0
    cdef Py_ssize_t _row, i, rest, V = lanes(x)
    for _row in range(rows):
        i = 0
        while i + 4*V <= n:
            z = load(dy, i)
            a0 += z
            b0 += z*(load(x, i) - m)
            z = load(dy, i + V)
            a1 += z
            b1 += z*(load(x, i + V) - m)
            z = load(dy, i + 2*V)
            a2 += z
            b2 += z*(load(x, i + 2*V) - m)
            z = load(dy, i + 3*V)
            a3 += z
            b3 += z*(load(x, i + 3*V) - m)
            i += 4*V
        if i + V <= n:
            z = load(dy, i)
            a0 += z
            b0 += z*(load(x, i) - m)
        if i + 2*V <= n:
            z = load(dy, i + V)
            a1 += z
            b1 += z*(load(x, i + V) - m)
        if i + 3*V <= n:
            z = load(dy, i + 2*V)
            a2 += z
            b2 += z*(load(x, i + 2*V) - m)
        rest = (n - i) % V
        if rest:  # the last vector reaches back over elements that were added
            z = load(dy, n - V)
            d = z*(load(x, n - V) - m)
            a3 += last(z, rest)
            b3 += last(d, rest)
        dy = at(dy, step)
        x = at(x, step)
    a0 = (a0 + a1) + (a2 + a3)
    b0 = (b0 + b1) + (b2 + b3)
    sum_z[0] += total(&a0)
    sum_zd[0] += total(&b0)


cdef inline void add_rows(
    const real *dy, const real *x, Py_ssize_t rows, Py_ssize_t step, Py_ssize_t n, real m,
    double *sum_z, double *sum_zd
) noexcept nogil:
    """The same for elements of either type."""
    if real is float:
        add_vector_rows(<const vf *> dy, <const vf *> x, rows, step, n, <const vf *> &m, sum_z, sum_zd)
    else:
        add_vector_rows(<const vd *> dy, <const vd *> x, rows, step, n, <const vd *> &m, sum_z, sum_zd)


cdef inline double taken(real *sums) noexcept nogil:
    """Empty a vector of sums."""
    cdef double t
    cdef Py_ssize_t i
    if real is float:
        t = total(<vf *> sums)
    else:
        t = total(<vd *> sums)
    for i in range(LANES):
        sums[i] = 0
    return t


cdef inline void run_products(
    const real *dy, const real *x, const real *weight, Py_ssize_t start, Py_ssize_t stop, real m,
    const norm *s, real *sum_z, real *sum_zd
) noexcept nogil:
    """Add elements start <= cell < stop of a run; weight is that of its statistic, of P values."""
    cdef Py_ssize_t p, cell, end
    if s.S == 1:
        add_products(dy + start, x + start, stop - start, m, weight + start, True, sum_z, sum_zd)
        return
    for p in range(start//s.S, (stop - 1)//s.S + 1):
        cell = max(start, p*s.S)
        end = min(stop, (p + 1)*s.S)
        add_products(dy + cell, x + cell, end - cell, m, weight + p, False, sum_z, sum_zd)


cdef inline void chunk_products(
    double *sum_z, double *sum_zd, const real *dy, const real *x, const double *mean,
    const real *weight, const norm *s, block b
) noexcept nogil:
    """Fill sum_z[g - b.g0] and sum_zd[g - b.g0] from the block's elements.

    A statistic's only weight (P = 1) is left out.
    """
    cdef Py_ssize_t g, width = b.g1 - b.g0
    for g in range(width):
        sum_z[g] = sum_zd[g] = 0
    if s.P == 1 and (b.l1 - b.l0)*sizeof(real) >= sizeof(vf):
        chunk_products_of_rows(sum_z, sum_zd, dy, x, mean, s, b)
    else:
        chunk_products_of_runs(sum_z, sum_zd, dy, x, mean, weight, s, b)
    for g in range(width):
        if isfinite(sum_z[g]):
            sum_zd[g] -= residue(mean[b.g0 + g], <real> mean[b.g0 + g])*sum_z[g]


cdef inline void chunk_products_of_rows(
    double *sum_z, double *sum_zd, const real *dy, const real *x, const double *mean, const norm *s, block b
) noexcept nogil:
    """Without weights: a few runs of one statistic, the same of the next, then those that follow."""
    cdef Py_ssize_t n = b.n0, g, cell, stop, rows, run, length = b.l1 - b.l0
    while n < b.n1:
        rows = min(b.n1 - n, max(<Py_ssize_t> 1, min(<Py_ssize_t> ROWS, EXACT//length)))
        cell = b.l0
        while cell < b.l1:
            stop = min(b.l1, cell + EXACT)
            for g in range(b.g1 - b.g0):
                run = (n*s.G + b.g0 + g)*s.L + cell
                add_rows(dy + run, x + run, rows, s.G*s.L, stop - cell, <real> mean[b.g0 + g],
                         sum_z + g, sum_zd + g)
            cell = stop
        n += rows


cdef inline void chunk_products_of_runs(
    double *sum_z, double *sum_zd, const real *dy, const real *x, const double *mean,
    const real *weight, const norm *s, block b
) noexcept nogil:
    """With weights, or where a run is shorter than a vector: run by run in the order of memory."""
    cdef real one = 1
    cdef real a[WIDTH*LANES]
    cdef real c[WIDTH*LANES]
    cdef Py_ssize_t n, g, cell, stop, run, width = b.g1 - b.g0, added = 0
    for g in range(width*LANES):
        a[g] = c[g] = 0
    for n in range(b.n0, b.n1):
        cell = b.l0
        while cell < b.l1:
            stop = min(b.l1, cell + EXACT)
            added += stop - cell
            for g in range(width):
                run = (n*s.G + b.g0 + g)*s.L
                if s.P == 1:
                    add_products(dy + run + cell, x + run + cell, stop - cell, <real> mean[b.g0 + g],
                                 &one, False, a + g*LANES, c + g*LANES)
                    continue
                run_products(dy + run, x + run, weight + (b.g0 + g) % s.W*s.P, cell, stop,
                             <real> mean[b.g0 + g], s, a + g*LANES, c + g*LANES)
            if added + min(b.l1 - b.l0, <Py_ssize_t> EXACT) > EXACT:
                empty(sum_z, sum_zd, a, c, width)
                added = 0
            cell = stop
    empty(sum_z, sum_zd, a, c, width)


cdef inline void empty(double *sum_z, double *sum_zd, real *a, real *c, Py_ssize_t width) noexcept nogil:
    """Move what the lanes hold to the sums."""
    cdef Py_ssize_t g
    for g in range(width):
        sum_z[g] += taken(a + g*LANES)
        sum_zd[g] += taken(c + g*LANES)


cdef inline void chunk_products_of_columns(
    double *sum_z, double *sum_zd, const real *dy, const real *x, const double *mean,
    const real *weight, const norm *s, block b
) noexcept nogil:
    """The same where runs are shorter than a vector: down each column of the matrix (N, G*L)."""
    cdef double w
    cdef double a[COLUMNS]
    cdef double c[COLUMNS]
    cdef double m[COLUMNS]
    cdef Py_ssize_t n, g, cell, i, first, C = (b.g1 - b.g0)*s.L
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
        for cell in range(s.L):
            w = weight[(b.g0 + g) % s.W*s.P + cell//s.S] if s.P > 1 else <real> 1
            sum_z[g] += a[g*s.L + cell]*w
            sum_zd[g] += c[g*s.L + cell]*w
