"""The pass that writes the gradient for x, two fused multiply-adds an element.

    dx = invstd*(dz - mean(dz) - xhat*mean(dz*xhat))        dz = dy*weight   xhat = (x - mean)*invstd
       = a*dy - (t*k + e)

    t = (x - m)*invstd             m = the mean, rounded to the elements' type
    a = weight*invstd              k = invstd*mean(dz*xhat)
    e = invstd*mean(dz) - (mean - m)*invstd*k

a, k and e are computed in double; without the last term, which is what rounding the mean left out, dx
would not sum to zero. With statistics that were given, k and e are no part of it: dx = a*dy.
"""

from convkit._ext.lane_sums cimport real
from convkit._ext.norm_apply cimport LONG, residue
from convkit._ext.norm_plan cimport COLUMNS, SHORT, WIDTH, block, norm
from convkit._ext.streaming cimport AHEAD, LINE, prefetch_run, stream_line, to_aligned, to_line
from convkit._ext.vec cimport lanes, load, splat, store, vd, vec, vf


cdef inline vec gradient(vec dy, vec x, vec m, vec r, vec a, vec k, vec e) noexcept nogil:
    return dy*a - ((x - m)*r*k + e)


cdef inline void gradient_vectors(
    vec *dx, const vec *dy, const vec *x, Py_ssize_t n, const vec *mean, const vec *invstd, const vec *slope,
    const vec *kappa, const vec *shift
) noexcept nogil:
    """Of n elements, at least a vector; the last one overlaps its neighbour, in long runs the first too."""
    cdef vec m = splat(mean, 0), r = splat(invstd, 0), a = splat(slope, 0), k = splat(kappa, 0)
    cdef vec e = splat(shift, 0)
    cdef Py_ssize_t i = 0, V = lanes(x)
    if n >= LONG*V:
        store(dx, 0, gradient(load(dy, 0), load(x, 0), m, r, a, k, e))
        i = to_aligned(dx)
    else:
        prefetch_run(<char *> dx + AHEAD, n*<Py_ssize_t> sizeof(vec)//V)
    while i + V <= n:
        store(dx, i, gradient(load(dy, i), load(x, i), m, r, a, k, e))
        i += V
    if i < n:
        store(dx, n - V, gradient(load(dy, n - V), load(x, n - V), m, r, a, k, e))


cdef inline void gradient_run(
    real *dx, const real *dy, const real *x, Py_ssize_t n, real m, real r, real a, real k, real e
) noexcept nogil:
    cdef Py_ssize_t i
    if n*sizeof(real) < sizeof(vf):
        for i in range(n):
            dx[i] = dy[i]*a - ((x[i] - m)*r*k + e)
    elif real is float:
        gradient_vectors(<vf *> dx, <const vf *> dy, <const vf *> x, n, <const vf *> &m, <const vf *> &r,
                         <const vf *> &a, <const vf *> &k, <const vf *> &e)
    else:
        gradient_vectors(<vd *> dx, <const vd *> dy, <const vd *> x, n, <const vd *> &m, <const vd *> &r,
                         <const vd *> &a, <const vd *> &k, <const vd *> &e)


cdef inline void gradient_run_streaming(
    real *dx, const real *dy, const real *x, Py_ssize_t n, real m, real r, real a, real k, real e
) noexcept nogil:
    """The same by whole lines past the caches."""
    cdef real line[16]
    cdef Py_ssize_t i = to_line(dx)//<Py_ssize_t> sizeof(real), j
    gradient_run(dx, dy, x, i, m, r, a, k, e)
    while i + LINE//<Py_ssize_t> sizeof(real) <= n:
        for j in range(LINE//sizeof(real)):
            line[j] = dy[i + j]*a - ((x[i + j] - m)*r*k + e)
        stream_line(dx + i, line)
        i += LINE//sizeof(real)
    gradient_run(dx + i, dy + i, x + i, n - i, m, r, a, k, e)


cdef inline void gradient_run_by_weights(
    real *dx, const real *dy, const real *x, Py_ssize_t n, real m, real r, const real *weight, real k, real e
) noexcept nogil:
    """The same for S = 1, where neighbours have weights of their own."""
    cdef Py_ssize_t i
    for i in range(n):
        dx[i] = dy[i]*(weight[i]*r) - ((x[i] - m)*r*k + e)


# --- blocks --------------------------------------------------------------------------------
# means are those of dz, and from width on those of dz*(x - mean), of the statistics from b.g0 on.


cdef inline void coefficients(
    real *m, real *r, real *k, real *e, double mean, double invstd, double mean_z, double mean_zd
) noexcept nogil:
    cdef double slope = invstd*invstd*mean_zd
    m[0] = <real> mean
    r[0] = <real> invstd
    k[0] = <real> slope
    e[0] = <real> (invstd*mean_z - residue(mean, m[0])*invstd*slope)


cdef inline void gradient_block(
    real *dx, const real *dy, const real *x, const double *mean, const double *invstd,
    const real *weight, const double *means, const norm *s, block b, bint streaming
) noexcept nogil:
    if s.L < SHORT:
        gradient_columns(dx, dy, x, mean, invstd, weight, means, s, b)
    elif s.P == 1:
        gradient_planes(dx, dy, x, mean, invstd, weight, means, s, b, streaming)
    else:
        gradient_groups(dx, dy, x, mean, invstd, weight, means, s, b, streaming)


cdef inline void gradient_planes(
    real *dx, const real *dy, const real *x, const double *mean, const double *invstd,
    const real *weight, const double *means, const norm *s, block b, bint streaming
) noexcept nogil:
    """Batch and instance norm: one weight a run."""
    cdef real m[WIDTH]
    cdef real r[WIDTH]
    cdef real a[WIDTH]
    cdef real k[WIDTH]
    cdef real e[WIDTH]
    cdef Py_ssize_t n, g, i, first, width = b.g1 - b.g0, length = b.l1 - b.l0
    for i in range(width):
        g = b.g0 + i
        coefficients(m + i, r + i, k + i, e + i, mean[g], invstd[g], means[i], means[width + i])
        a[i] = <real> (invstd[g]*weight[g % s.W])
    for n in range(b.n1 - 1, b.n0 - 1, -1):
        first = (n*s.G + b.g0)*s.L + b.l0
        for i in range(width):
            if streaming:
                gradient_run_streaming(
                    dx + first, dy + first, x + first, length, m[i], r[i], a[i], k[i], e[i])
            else:
                gradient_run(dx + first, dy + first, x + first, length, m[i], r[i], a[i], k[i], e[i])
            first += s.L


cdef inline void gradient_groups(
    real *dx, const real *dy, const real *x, const double *mean, const double *invstd,
    const real *weight, const double *means, const norm *s, block b, bint streaming
) noexcept nogil:
    """Group and layer norm: P planes in a run, or P elements, each with a weight of its own."""
    cdef Py_ssize_t n, g, p, cell, end, run
    cdef const real *w
    cdef real m, r, a, k, e
    for n in range(b.n0, b.n1):
        for g in range(b.g0, b.g1):
            run = (n*s.G + g)*s.L
            w = weight + g % s.W*s.P
            coefficients(&m, &r, &k, &e, mean[g], invstd[g], means[g - b.g0], means[b.g1 - 2*b.g0 + g])
            if s.S == 1:
                cell = run + b.l0
                gradient_run_by_weights(dx + cell, dy + cell, x + cell, b.l1 - b.l0, m, r, w + b.l0, k, e)
                continue
            for p in range(b.l0//s.S, (b.l1 - 1)//s.S + 1):
                cell = run + max(b.l0, p*s.S)
                end = run + min(b.l1, (p + 1)*s.S)
                a = <real> (invstd[g]*w[p])
                if streaming:
                    gradient_run_streaming(dx + cell, dy + cell, x + cell, end - cell, m, r, a, k, e)
                else:
                    gradient_run(dx + cell, dy + cell, x + cell, end - cell, m, r, a, k, e)


cdef inline void gradient_columns(
    real *dx, const real *dy, const real *x, const double *mean, const double *invstd,
    const real *weight, const double *means, const norm *s, block b
) noexcept nogil:
    """Runs shorter than a vector: each column of the matrix (N, G*L) has numbers of its own."""
    cdef real m[COLUMNS]
    cdef real r[COLUMNS]
    cdef real a[COLUMNS]
    cdef real k[COLUMNS]
    cdef real e[COLUMNS]
    cdef Py_ssize_t n, g, i, first, width = b.g1 - b.g0
    for i in range(width*s.L):
        g = b.g0 + i//s.L
        coefficients(m + i, r + i, k + i, e + i, mean[g], invstd[g], means[g - b.g0],
                     means[width + g - b.g0])
        a[i] = <real> (invstd[g]*weight[g % s.W*s.P + i % s.L//s.S])
    for n in range(b.n0, b.n1):
        first = (n*s.G + b.g0)*s.L
        for i in range(width*s.L):
            dx[first + i] = dy[first + i]*a[i] - ((x[first + i] - m[i])*r[i]*k[i] + e[i])


cdef inline void times_run(real *y, const real *x, Py_ssize_t n, real a) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = x[i]*a


cdef inline void times_weights(
    real *y, const real *x, Py_ssize_t n, const real *weight, double invstd
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = x[i]*<real> (weight[i]*invstd)


cdef inline void gradient_given(
    real *dx, const real *dy, const double *invstd, const real *weight, const norm *s, block b
) noexcept nogil:
    """dx = a*dy, of a block whose statistics do not depend on x."""
    cdef Py_ssize_t n, g, p, cell, run
    for n in range(b.n1 - 1, b.n0 - 1, -1):
        for g in range(b.g0, b.g1):
            run = (n*s.G + g)*s.L
            if s.S == 1:
                times_weights(dx + run + b.l0, dy + run + b.l0, b.l1 - b.l0, weight + g % s.W*s.P + b.l0,
                              invstd[g])
                continue
            for p in range(b.l0//s.S, (b.l1 - 1)//s.S + 1):
                cell = run + max(b.l0, p*s.S)
                times_run(dx + cell, dy + cell, run + min(b.l1, (p + 1)*s.S) - cell,
                          <real> (invstd[g]*weight[g % s.W*s.P + p]))
