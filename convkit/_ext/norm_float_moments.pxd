"""Sums for mean and variance of float32 elements, in float lanes, and the test that they are good enough.

    d = x - c        mean = c + sum(d)/M        M*var = sum(d^2) - sum(d)^2/M

Twice the lanes of doubles, and nothing to convert. Three things keep the digits.

c lies near the mean: it is the mean of a few vectors from all over the first run. Were it the first element,
one outlier would spoil the chunk. Of equal elements it is exactly one of them, and all d are 0.

Lanes keep float32 for EXACT elements, and are then added up in double. A lane adds at most k numbers,
with four sums side by side and V lanes in each: k = EXACT/(4*V) + ROWS + 2, 42 to 138. With u = 2^-24,
sum(d^2) errs by less than (k + 3)*u of itself, and sum(d) by less than (k + 1)*u*sum|d|.

The sums are used only where sum(d^2) <= 4*M*var, so that c is within 1.8 standard deviations of the mean:

    |error of var| <= 11*(k + 2)*u*var        |error of mean| <= 2*(k + 1)*u*sqrt(var)

(of the first, 4*(k + 3) come from sum(d^2), and 2*sqrt(3)*2*(k + 1) from the square of sum(d)), which is
2.9e-5 of a chunk's variance with 16 lanes and 9.2e-5 with 4, whatever the data. All else (c far from the
mean, NaN, infinity, squares that overflow or underflow, and constants, whose squares are 0) is left to the
double lanes of norm_moments.pxd, at half the speed.

Runs of one statistic are a few at a time, so that the sums stay in registers: a run of 49 is three vectors
and a part of a fourth. Tried and rejected: prefetching the next strip while this one is written (a tenth
slower inside the last-level cache, whose bandwidth is the limit there).
"""

from libc.math cimport INFINITY

from convkit._ext.lane_sums cimport DOUBLES, last_f, widen
from convkit._ext.streaming cimport prefetch
from convkit._ext.vec cimport at, inlined, lanes, load, splat, splat_f, total_f, vd, vf

cdef enum:
    EXACT = 2048  # elements that lanes add up in float32
    ROWS = 8      # short runs at once: streams of memory that the CPU can follow


cdef inline float near_mean(const float *x, Py_ssize_t n) noexcept nogil:
    """Return the mean of four vectors, spread over a run of at least one."""
    cdef const vf *v = <const vf *> x
    cdef Py_ssize_t rest = n - lanes(v)
    cdef vf first = splat(v, 0)
    cdef vf d = (load(v, 0) - first) + (load(v, rest//3) - first)
    d += (load(v, 2*rest//3) - first) + (load(v, rest) - first)
    return x[0] + total_f(d)/(4*lanes(v))


cdef inline inlined add_rows(
    const vf *x, Py_ssize_t rows, Py_ssize_t step, Py_ssize_t n, const vf *c, vd *sum_d, vd *sum_dd,
    Py_ssize_t ahead
) noexcept nogil:
    """Add so many runs of n elements, at least a vector and EXACT in all, that begin `step` elements apart.

    Ask for memory `ahead` elements further on meanwhile.
    """
    cdef vf vc = splat(c, 0), d0, d1, d2, d3
    cdef vf s0 = splat_f(0), s1 = s0, s2 = s0, s3 = s0, q0 = s0, q1 = s0, q2 = s0, q3 = s0
    cdef Py_ssize_t _row, i, rest, V = lanes(x)
    for _row in range(rows):
        i = 0
        while i + 4*V <= n:
            prefetch(at(x, i + ahead))
            prefetch(at(x, i + ahead + V))
            prefetch(at(x, i + ahead + 2*V))
            prefetch(at(x, i + ahead + 3*V))
            d0 = load(x, i) - vc
            d1 = load(x, i + V) - vc
            d2 = load(x, i + 2*V) - vc
            d3 = load(x, i + 3*V) - vc
            s0 += d0
            s1 += d1
            s2 += d2
            s3 += d3
            q0 += d0*d0
            q1 += d1*d1
            q2 += d2*d2
            q3 += d3*d3
            i += 4*V
        if i + V <= n:
            d0 = load(x, i) - vc
            s0 += d0
            q0 += d0*d0
        if i + 2*V <= n:
            d1 = load(x, i + V) - vc
            s1 += d1
            q1 += d1*d1
        if i + 3*V <= n:
            d2 = load(x, i + 2*V) - vc
            s2 += d2
            q2 += d2*d2
        rest = (n - i) % V
        if rest:  # the last vector reaches back over elements that were added
            d3 = last_f(load(x, n - V) - vc, rest)
            s3 += d3
            q3 += d3*d3
        x = at(x, step)
    s0 = (s0 + s1) + (s2 + s3)
    q0 = (q0 + q1) + (q2 + q3)
    sum_d[0] += widen(<float *> &s0) + widen(<float *> &s0 + DOUBLES)
    sum_dd[0] += widen(<float *> &q0) + widen(<float *> &q0 + DOUBLES)


cdef inline bint good_enough(double sum_dd, double m2, double count) noexcept nogil:
    # Squares below 2^-126 lose digits, at most 2^-150 each: nothing beside a mean of 1e-30.
    return count*1e-30 <= sum_dd and sum_dd <= 4*m2 and sum_dd < INFINITY
