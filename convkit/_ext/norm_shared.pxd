"""Gradients for weights that statistics share, as layer, group and instance norm have them.

    dbias[w, p] = sum(dy)       dweight[w, p] = sum(dy*xhat)      over all n, s, and g with g % W = w

A strip of statistics is in the cache while its dx is computed, and that is the time to add up its share
of these sums: a second pass would read dy and x from memory again. Strips are dealt, in order, to a few
*parts*, by the shape alone; each part has sums of its own, in double, and the parts are added up in order at
the end. So threads can take a part each, and every number of threads gives the same bits.

For planes (S > 1) both sums of a plane come first; those of a statistic are the planes' sums times their
weights. For rows (S = 1) there is nothing to add up along a row but the statistic's own sums, and these
go down columns, in the elements' precision for some rows at a time.
"""

from libc.math cimport NAN, isfinite
from libc.stdlib cimport calloc, free

from convkit._ext.lane_sums cimport real
from convkit._ext.norm_apply cimport residue
from convkit._ext.norm_plan cimport SHORT, block, ceil_div, norm
from convkit._ext.norm_products cimport (
    EXACT, LANES, add_products, chunk_products, chunk_products_of_columns, taken,
)

cdef enum:
    PARTS = 16        # at most, of four strips or more; each has two sums for each weight, and a thread
    NEIGHBOURS = 128  # columns at once: their sums stay in L1
    ROWS = 64         # that they add up in the elements' precision

cdef struct parts:
    Py_ssize_t count, strips, weights
    double *sums  # (count, 2, weights): for dbias and dweight


cdef inline bint shares_weights(const norm *s) noexcept nogil:
    """Return whether statistics share weights: all but batch norm."""
    return s.P > 1 or s.W < s.G


cdef inline void on_whole_planes(norm *s) noexcept nogil:
    """Let no piece of a run end inside a plane, which is in the sums of one weight."""
    s.cells = min(s.L, ceil_div(s.cells, s.S)*s.S)
    s.pieces = ceil_div(s.L, s.cells)
    s.chunks = ceil_div(s.N, s.rows)*s.pieces


cdef inline bint open_parts(parts *t, const norm *s) noexcept nogil:
    """Get memory for the sums, 16 bytes a weight and part, and tell whether there was any."""
    t.strips, t.weights = ceil_div(s.G, s.width), s.W*s.P
    t.count = min(<Py_ssize_t> PARTS, ceil_div(t.strips, 4))
    t.sums = <double *> calloc(t.count*2*t.weights, sizeof(double))
    return t.sums != NULL


cdef inline Py_ssize_t first_strip(const parts *t, Py_ssize_t part) noexcept nogil:
    return part*t.strips//t.count


cdef inline double *sums_of_part(const parts *t, Py_ssize_t part) noexcept nogil:
    return t.sums + part*2*t.weights


cdef inline Py_ssize_t part_of(const parts *t, Py_ssize_t strip) noexcept nogil:
    cdef Py_ssize_t part = strip*t.count//t.strips
    while first_strip(t, part + 1) <= strip:
        part += 1
    return part


cdef inline void close_parts(real *dweight, real *dbias, parts *t) noexcept nogil:
    """Add up the parts in order, and give their memory back."""
    cdef Py_ssize_t i, part
    cdef double bias, slope
    for i in range(t.weights):
        bias, slope = 0, 0
        for part in range(t.count):
            bias += sums_of_part(t, part)[i]
            slope += sums_of_part(t, part)[t.weights + i]
        dbias[i], dweight[i] = <real> bias, <real> slope
    free(t.sums)


cdef inline void no_parts(real *dweight, real *dbias, const norm *s) noexcept nogil:
    """What C gets where memory is short: a result that nobody takes for one."""
    cdef Py_ssize_t i
    for i in range(s.W*s.P):
        dweight[i] = dbias[i] = <real> NAN


# --- a chunk -------------------------------------------------------------------------------
# sum_z and sum_zd begin with those of b.g0; bias and slope are a part's.


cdef inline void chunk_products_shared(
    double *sum_z, double *sum_zd, double *bias, double *slope, const real *dy, const real *x,
    const double *mean, const double *invstd, const real *weight, const norm *s, block b
) noexcept nogil:
    """Fill the sums of a chunk's statistics, and add those of its weights to a part's."""
    if s.S > 1 or s.P == 1:
        planes_shared(sum_z, sum_zd, bias, slope, dy, x, mean, invstd, weight, s, b)
        return
    if s.L < SHORT:
        chunk_products_of_columns(sum_z, sum_zd, dy, x, mean, weight, s, b)
    else:
        chunk_products(sum_z, sum_zd, dy, x, mean, weight, s, b)
    columns_shared(bias, slope, dy, x, mean, invstd, s, b)


cdef inline void planes_shared(
    double *sum_z, double *sum_zd, double *bias, double *slope, const real *dy, const real *x,
    const double *mean, const double *invstd, const real *weight, const norm *s, block b
) noexcept nogil:
    cdef Py_ssize_t g, p, n, w, i, run
    cdef double z, zd, share
    for g in range(b.g0, b.g1):
        i = g - b.g0
        sum_z[i] = sum_zd[i] = 0
        for p in range(b.l0//s.S, b.l1//s.S):
            z = zd = 0
            for n in range(b.n0, b.n1):
                run = (n*s.G + g)*s.L + p*s.S
                add_plane(&z, &zd, dy + run, x + run, s.S, <real> mean[g])
            if isfinite(z):
                zd -= residue(mean[g], <real> mean[g])*z
            w = g % s.W*s.P + p
            bias[w] += z
            slope[w] += zd*invstd[g]
            share = weight[w] if s.P > 1 else <real> 1
            sum_z[i] += z*share
            sum_zd[i] += zd*share


cdef inline void add_plane(
    double *sum_z, double *sum_zd, const real *dy, const real *x, Py_ssize_t n, real m
) noexcept nogil:
    """Add dy and dy*(x - m) of n neighbours, in lanes for some elements at a time."""
    cdef real one = 1
    cdef real a[LANES]
    cdef real c[LANES]
    cdef Py_ssize_t i = 0, stop
    for stop in range(LANES):
        a[stop] = c[stop] = 0
    while i < n:
        stop = min(n, i + EXACT)
        add_products(dy + i, x + i, stop - i, m, &one, False, a, c)
        sum_z[0] += taken(a)
        sum_zd[0] += taken(c)
        i = stop


cdef inline void columns_shared(
    double *bias, double *slope, const real *dy, const real *x, const double *mean,
    const double *invstd, const norm *s, block b
) noexcept nogil:
    """The same for S = 1: down the columns of rows that have the same weights."""
    cdef real some_bias[NEIGHBOURS]
    cdef real some_slope[NEIGHBOURS]
    cdef Py_ssize_t w, first = b.l0, count, g, n, i, rows, cell
    while first < b.l1:
        count = min(b.l1 - first, <Py_ssize_t> NEIGHBOURS)
        for w in range(min(s.W, b.g1 - b.g0)):
            rows = 0
            cell = (b.g0 + w) % s.W*s.P + first
            for i in range(count):
                some_bias[i] = some_slope[i] = 0
            for n in range(b.n0, b.n1):
                g = b.g0 + w
                while g < b.g1:
                    i = (n*s.G + g)*s.L + first
                    add_row(some_bias, some_slope, dy + i, x + i, count, mean[g], invstd[g])
                    rows += 1
                    if rows % ROWS == 0:
                        empty_columns(bias + cell, slope + cell, some_bias, some_slope, count)
                    g += s.W
            empty_columns(bias + cell, slope + cell, some_bias, some_slope, count)
        first += NEIGHBOURS


cdef inline void add_row(
    real *bias, real *slope, const real *dy, const real *x, Py_ssize_t n, double mean, double invstd
) noexcept nogil:
    cdef real m = <real> mean, r = <real> invstd, c = <real> (-residue(mean, m)*invstd)
    cdef Py_ssize_t i
    for i in range(n):
        bias[i] += dy[i]
        slope[i] += dy[i]*((x[i] - m)*r + c)


cdef inline void empty_columns(
    double *bias, double *slope, real *some_bias, real *some_slope, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        bias[i] += some_bias[i]
        slope[i] += some_slope[i]
        some_bias[i] = some_slope[i] = 0
