"""Mean and variance of a chunk: one pass over differences from its first element, or from one near the mean.

    d = x - x_first        mean = x_first + sum(d)/M        M*var = sum(d^2) - sum(d)^2/M

This is not E[x^2] - E[x]^2, which loses everything when the mean is large. x_first is one of the M
elements, so (x_first - mean)^2 is at most M*var, sum(d^2) at most (1 + M)*M*var, and the subtraction
costs at most log2(1 + M) bits of 53, whatever the data: with the thousands of elements that a chunk
has some 40 bits stay in the worst case (all elements close together but the first), and 52 in the usual
one. (A chunk is a 64th of a statistic of more than a million elements.)
Of a constant, every d is 0, and so is the variance, exactly.

Chunks are combined by Chan, Golub and LeVeque's formula ("Updating formulae and a pairwise
algorithm for computing sample variances", 1979).

Float32 elements are first added up in float lanes, from another number than x_first: see
norm_float_moments.pxd, which also says when that will not do. Then, for float64 elements and in runs of less
than a vector, lanes are doubles. With the output after them, statistics in float lanes save a tenth
of the time where memory is the limit, and up to a sixth in the caches.

What limits it: memory, and below the L2 cache the bandwidth of the last-level one. Where runs are short, what
is done once a statistic is as much as the sums.
"""

from libc.string cimport memset

from convkit._ext.lane_sums cimport DOUBLES, last_d, real, widen
from convkit._ext.norm_float_moments cimport EXACT, ROWS, add_rows, good_enough, near_mean
from convkit._ext.norm_plan cimport COLUMNS, SHORT, WIDTH, alone_in_lanes, block, chunk_of, copy_runs, norm
from convkit._ext.planes_in_lanes cimport WIDEST, to_lanes
from convkit._ext.streaming cimport prefetch
from convkit._ext.vec cimport splat_d, store, total_d, vd, vf

cdef struct moments:
    double count, mean, m2  # m2: the sum of squared differences from the mean


cdef inline moments combined(moments a, moments b) noexcept nogil:
    """Return the moments of the union of a and b."""
    cdef double delta = b.mean - a.mean, count = a.count + b.count
    a.mean += delta*(b.count/count)
    a.m2 += b.m2 + delta*delta*(a.count*b.count/count)
    a.count = count
    return a


cdef inline moments from_sums(double first, double sum_d, double sum_dd, double count) noexcept nogil:
    cdef moments m
    m.count = count
    m.mean = first + sum_d/count
    m.m2 = sum_dd - sum_d*sum_d/count
    if m.m2 < 0:  # by rounding; a NaN stays
        m.m2 = 0
    return m


cdef inline void add_run(
    const real *x, Py_ssize_t n, double first, vd *sum_d, vd *sum_dd, const real *ahead
) noexcept nogil:
    """Add a run of n elements to the lanes of two sums; ask for memory at `ahead` meanwhile."""
    cdef vd c = splat_d(first), d0, d1, d2, d3
    cdef vd s0 = sum_d[0], s1 = splat_d(0), q0 = sum_dd[0], q1 = splat_d(0), q2 = splat_d(0), q3 = splat_d(0)
    cdef Py_ssize_t i = 0
    while i + 4*DOUBLES <= n:
        prefetch(ahead + i)
        prefetch(ahead + i + 2*DOUBLES)
        d0 = widen(x + i) - c
        d1 = widen(x + i + DOUBLES) - c
        d2 = widen(x + i + 2*DOUBLES) - c
        d3 = widen(x + i + 3*DOUBLES) - c
        s0 += d0 + d1
        s1 += d2 + d3
        q0 += d0*d0
        q1 += d1*d1
        q2 += d2*d2
        q3 += d3*d3
        i += 4*DOUBLES
    while i + DOUBLES <= n:
        d0 = widen(x + i) - c
        s0 += d0
        q1 += d0*d0
        i += DOUBLES
    if i < n and n >= DOUBLES:  # the last vector again reaches back over elements that were added
        d0 = last_d(widen(x + n - DOUBLES) - c, n - i)
        s1 += d0
        q2 += d0*d0
        i = n
    while i < n:  # a run shorter than a vector
        d0 = last_d(splat_d(<double> x[i]) - c, 1)
        s1 += d0
        q2 += d0*d0
        i += 1
    sum_d[0] = s0 + s1
    sum_dd[0] = (q0 + q1) + (q2 + q3)


cdef inline void chunk_moments(moments *m, const real *x, const norm *s, block b) noexcept nogil:
    """Fill m[g - g0] from the block's elements, run after run in the order of memory."""
    cdef vd sum_d[WIDTH]
    cdef vd sum_dd[WIDTH]
    cdef double first[WIDTH]
    cdef Py_ssize_t n, g, width = b.g1 - b.g0, length = b.l1 - b.l0
    cdef const real *row = x + (b.n0*s.G + b.g0)*s.L + b.l0
    cdef double count = <double> (b.n1 - b.n0)*length
    for g in range(width):
        first[g] = row[g*s.L]
        sum_d[g] = sum_dd[g] = splat_d(0)
    for n in range(b.n0, b.n1):
        for g in range(width):
            add_run(row + g*s.L, length, first[g], &sum_d[g], &sum_dd[g], row + g*s.L + next_run(s, b, n))
        row += s.G*s.L
    for g in range(width):
        m[g] = from_sums(first[g], total_d(sum_d[g]), total_d(sum_dd[g]), count)


cdef inline Py_ssize_t next_run(const norm *s, block b, Py_ssize_t n) noexcept nogil:
    """How far ahead the next run lies, if it is not one that the CPU will ask for by itself."""
    return s.G*s.L if b.l1 - b.l0 >= 1024 and s.pieces == 1 and n + 1 < s.N else 0


cdef inline void chunk_moments_of_floats(moments *m, const float *x, const norm *s, block b) noexcept nogil:
    """The same in float lanes, but for statistics that need double ones."""
    cdef vd sum_d[WIDTH]
    cdef vd sum_dd[WIDTH]
    cdef float c[WIDTH]
    cdef Py_ssize_t n, g, cell, stop, rows, width = b.g1 - b.g0, length = b.l1 - b.l0, step = s.G*s.L
    cdef const float *row = x + (b.n0*s.G + b.g0)*s.L + b.l0
    cdef double count = <double> (b.n1 - b.n0)*length, sum_of_squares
    cdef block one = b
    for g in range(width):
        c[g] = near_mean(row + g*s.L, length)
        sum_d[g] = sum_dd[g] = splat_d(0)
    n = b.n0
    while n < b.n1:
        rows = min(b.n1 - n, max(<Py_ssize_t> 1, min(<Py_ssize_t> ROWS, EXACT//length)))
        cell = 0
        while cell < length:
            stop = min(length, cell + EXACT)
            for g in range(width):
                add_rows(<const vf *> (row + g*s.L + cell), rows, step, stop - cell, <const vf *> &c[g],
                         &sum_d[g], &sum_dd[g], next_run(s, b, n))
            cell = stop
        row += rows*step
        n += rows
    for g in range(width):
        sum_of_squares = total_d(sum_dd[g])
        m[g] = from_sums(c[g], total_d(sum_d[g]), sum_of_squares, count)
        if not good_enough(sum_of_squares, m[g].m2, count):
            one.g0, one.g1 = b.g0 + g, b.g0 + g + 1
            chunk_moments(m + g, x, s, one)


cdef inline void chunk_moments_of_columns(moments *m, const real *x, const norm *s, block b) noexcept nogil:
    """The same where runs are shorter than a vector: sums down each column of the matrix (N, G*L)."""
    cdef double first[COLUMNS]
    cdef double sum_d[COLUMNS]
    cdef double sum_dd[COLUMNS]
    cdef double d
    cdef Py_ssize_t _n, g, c, L = s.L, width = b.g1 - b.g0
    cdef const real *row = x + (b.n0*s.G + b.g0)*L
    for c in range(width*L):
        first[c] = row[c - c % L]
    memset(sum_d, 0, width*L*sizeof(double))
    memset(sum_dd, 0, width*L*sizeof(double))
    for _n in range(b.n0, b.n1):
        for c in range(width*L):
            d = row[c] - first[c]
            sum_d[c] += d
            sum_dd[c] += d*d
        row += s.G*L
    for g in range(width):
        for c in range(g*L + 1, (g + 1)*L):
            sum_d[g*L] += sum_d[c]
            sum_dd[g*L] += sum_dd[c]
        m[g] = from_sums(first[g*L], sum_d[g*L], sum_dd[g*L], <double> (b.n1 - b.n0)*L)


cdef inline void chunk_moments_in_lanes(moments *m, const real *x, const norm *s, block b) noexcept nogil:
    """The same where each statistic is of one such run: lane i of every vector belongs to run i."""
    cdef vf[SHORT] space  # for as many vectors of either type
    cdef real *cells = <real *> space
    cdef double sum_d[DOUBLES]
    cdef double sum_dd[DOUBLES]
    cdef vd first, d, s0, q0
    cdef real few[WIDEST*SHORT]  # runs, if there are fewer than lanes, and zeros
    cdef const real *runs
    cdef Py_ssize_t W = sizeof(vf)//sizeof(real), width = b.g1 - b.g0, g = 0, cell, half, i
    if width < W:
        copy_runs(few, x + b.g0*s.L, width*s.L, W*s.L)
    while g < width:
        g = max(<Py_ssize_t> 0, min(g, width - W))  # the last lanes may repeat some of those before
        runs = x + (b.g0 + g)*s.L
        if width < W:
            runs = few
        if real is float:
            to_lanes(<vf *> cells, <const vf *> runs, s.L)
        else:
            to_lanes(<vd *> cells, <const vd *> runs, s.L)
        half = 0
        while half < W:
            first = widen(cells + half)
            s0 = q0 = splat_d(0)
            for cell in range(1, s.L):
                d = widen(cells + cell*W + half) - first
                s0 += d
                q0 += d*d
            store(<vd *> sum_d, 0, s0)
            store(<vd *> sum_dd, 0, q0)
            for i in range(min(<Py_ssize_t> DOUBLES, width - g - half)):
                m[g + half + i] = from_sums(cells[half + i], sum_d[i], sum_dd[i], s.L)
            half += DOUBLES
        g += W


cdef inline void block_moments(moments *m, const real *x, const norm *s, block b) noexcept nogil:
    if s.L < SHORT:
        if alone_in_lanes(s):
            chunk_moments_in_lanes(m, x, s, b)
        else:
            chunk_moments_of_columns(m, x, s, b)
        return
    if real is float:
        if (b.l1 - b.l0)*sizeof(float) >= sizeof(vf):
            chunk_moments_of_floats(m, x, s, b)
        else:
            chunk_moments(m, x, s, b)
    else:
        chunk_moments(m, x, s, b)


cdef inline void strip_moments(
    moments *m, const real *x, const norm *s, Py_ssize_t g0, Py_ssize_t g1
) noexcept nogil:
    """Fill m[0] to m[g1 - g0 - 1], chunk by chunk in order."""
    cdef moments more[COLUMNS]
    cdef Py_ssize_t k, i
    block_moments(m, x, s, chunk_of(s, g0, g1, 0))
    for k in range(1, s.chunks):
        block_moments(more, x, s, chunk_of(s, g0, g1, k))
        for i in range(g1 - g0):
            m[i] = combined(m[i], more[i])
