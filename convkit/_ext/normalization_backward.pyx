"""Gradients of the four normalisations, for statistics that depend on x and for ones that do not.

    dweight = sum(dy*xhat)    dbias = sum(dy)    dx = invstd*(dz - mean(dz) - xhat*mean(dz*xhat))

with dz = dy*weight and xhat = (x - mean)*invstd; for given statistics dx = invstd*dz. The means
are over a statistic's M elements, the sums over the elements that share a weight.

What limits it
--------------
Memory. As in normalization.pyx the work goes strip by strip: both sums of a few channels, then their
dx, so that dy and x come from memory once. In batch norm those two sums are dweight and dbias as
well; where statistics share weights, :mod:`norm_shared` adds theirs up on the way.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.stdlib cimport free, malloc

from convkit._ext cimport contract
from convkit._ext.lane_sums cimport real
from convkit._ext.norm_gradient cimport gradient_block, gradient_given
from convkit._ext.norm_plan cimport COLUMNS, SHORT, backwards, block, ceil_div, chunk_of, norm, plan
from convkit._ext.norm_products cimport chunk_products, chunk_products_of_columns
from convkit._ext.norm_shared cimport (
    chunk_products_shared, close_parts, first_strip, no_parts, on_whole_planes, open_parts, part_of, parts,
    shares_weights, sums_of_part,
)
from convkit._ext.streaming cimport stream_end, worth_streaming
from convkit._ext.threads cimport threads_for

cnp.import_array()

# --- a chunk -------------------------------------------------------------------------------
# sums[i] and sums[width + i] are those of dz and dz*(x - mean) for the strip's statistic i.


cdef void products_of_chunk(
    double *sums, double *shared, const real *dy, const real *x, const double *mean, const double *invstd,
    const real *weight, const norm *s, block b
) noexcept nogil:
    """Fill sums; a statistic's only weight is left out. A part's sums are `shared`, or NULL."""
    if shared != NULL:
        chunk_products_shared(sums, sums + b.g1 - b.g0, shared, shared + s.W*s.P, dy, x, mean, invstd,
                              weight, s, b)
    elif s.L < SHORT:
        chunk_products_of_columns(sums, sums + b.g1 - b.g0, dy, x, mean, weight, s, b)
    else:
        chunk_products(sums, sums + b.g1 - b.g0, dy, x, mean, weight, s, b)


cdef void use_sums(
    double *sums, real *dweight, real *dbias, const real *weight, const double *invstd, const norm *s,
    Py_ssize_t g0, Py_ssize_t g1
) noexcept nogil:
    """Turn the sums of a strip into means, and into dweight and dbias if no weight is shared."""
    cdef Py_ssize_t g, width = g1 - g0
    cdef double share
    for g in range(g0, g1):
        if not shares_weights(s):
            dbias[g] = <real> sums[g - g0]
            dweight[g] = <real> (sums[width + g - g0]*invstd[g])
        share = (weight[g % s.W] if s.P == 1 else <real> 1)/<double> (s.N*s.L)
        sums[g - g0] *= share
        sums[width + g - g0] *= share


cdef void gradient_of_chunk(
    real *dx, const real *dy, const real *x, const double *mean, const double *invstd,
    const real *weight, const double *means, const norm *s, block b, bint given, bint streaming
) noexcept nogil:
    if given:
        gradient_given(dx, dy, invstd, weight, s, b)
    else:
        gradient_block(dx, dy, x, mean, invstd, weight, means, s, b, streaming)
    if streaming:
        stream_end()


# --- strips, by threads --------------------------------------------------------------------


cdef void backward_strip(
    real *dx, real *dweight, real *dbias, double *shared, const real *dy, const real *x, const real *weight,
    const double *mean, const double *invstd, const norm *s, Py_ssize_t strip, bint given, bint streaming
) noexcept nogil:
    cdef double sums[2*COLUMNS]
    cdef double more[2*COLUMNS]
    cdef Py_ssize_t k, i, g0 = strip*s.width, g1 = min(s.G, g0 + s.width)
    products_of_chunk(sums, shared, dy, x, mean, invstd, weight, s, chunk_of(s, g0, g1, 0))
    for k in range(1, s.chunks):
        products_of_chunk(more, shared, dy, x, mean, invstd, weight, s, chunk_of(s, g0, g1, k))
        for i in range(2*(g1 - g0)):
            sums[i] += more[i]
    use_sums(sums, dweight, dbias, weight, invstd, s, g0, g1)
    for k in range(s.chunks):
        gradient_of_chunk(
            dx, dy, x, mean, invstd, weight, sums, s, chunk_of(s, g0, g1, backwards(s, k)), given, streaming)


cdef void backward_chunks(
    double *sums, real *dx, real *dweight, real *dbias, double *shared, const real *dy, const real *x,
    const real *weight, const double *mean, const double *invstd, const norm *s, Py_ssize_t strip,
    bint given, bint streaming, int threads
) noexcept nogil:
    """One strip by all threads, for which sums has room for `chunks` rows of two for each statistic.

    Chunks that are pieces of runs have weights of their own; chunks of several runs do not.
    """
    cdef Py_ssize_t k, i, g0 = strip*s.width, g1 = min(s.G, g0 + s.width), row = 2*(g1 - g0)
    cdef int sharing = threads if shared == NULL or s.chunks == s.pieces else 1
    for k in prange(s.chunks, schedule="static", num_threads=sharing):
        products_of_chunk(
            sums + k*row, shared, dy, x, mean, invstd, weight, s, chunk_of(s, g0, g1, k))
    for k in range(1, s.chunks):
        for i in range(row):
            sums[i] += sums[k*row + i]
    use_sums(sums, dweight, dbias, weight, invstd, s, g0, g1)
    for k in prange(s.chunks, schedule="static", num_threads=threads):
        gradient_of_chunk(
            dx, dy, x, mean, invstd, weight, sums, s, chunk_of(s, g0, g1, backwards(s, k)), given, streaming)


cdef void backward_part(
    real *dx, real *dweight, real *dbias, parts *t, Py_ssize_t part, const real *dy, const real *x,
    const real *weight, const double *mean, const double *invstd, const norm *s, Py_ssize_t first,
    Py_ssize_t stop, bint given, bint streaming
) noexcept nogil:
    """The strips of a part that lie between first and stop - 1."""
    cdef Py_ssize_t i
    for i in range(max(first, first_strip(t, part)), min(stop, first_strip(t, part + 1))):
        backward_strip(dx, dweight, dbias, sums_of_part(t, part), dy, x, weight, mean, invstd, s, i, given,
                       streaming)


cdef void backward_some(
    real *dx, real *dweight, real *dbias, parts *t, const real *dy, const real *x, const real *weight,
    const double *mean, const double *invstd, const norm *s, Py_ssize_t first, Py_ssize_t stop, bint given
) noexcept nogil:
    """dx of strips first to stop - 1; without shared weights t is NULL."""
    cdef bint streaming = worth_streaming(3*s.N*s.G*s.L*sizeof(real), s.S*sizeof(real))
    cdef Py_ssize_t i, strips = stop - first
    cdef int threads = threads_for(s.N*min(s.G, strips*s.width)*s.L)
    cdef double *sums = NULL
    if threads > 1 and strips < 4*threads and s.chunks > 1:
        sums = <double *> malloc(2*s.chunks*s.width*sizeof(double))
    if sums != NULL:
        for i in range(first, stop):
            backward_chunks(sums, dx, dweight, dbias, sums_of_part(t, part_of(t, i)) if t != NULL else NULL,
                            dy, x, weight, mean, invstd, s, i, given, streaming, threads)
        free(sums)
    elif t != NULL and threads == 1:
        for i in range(t.count):
            backward_part(dx, dweight, dbias, t, i, dy, x, weight, mean, invstd, s, first, stop, given,
                          streaming)
    elif t != NULL:
        for i in prange(t.count, schedule="static", num_threads=threads):
            backward_part(dx, dweight, dbias, t, i, dy, x, weight, mean, invstd, s, first, stop, given,
                          streaming)
    elif threads == 1:
        for i in range(first, stop):
            backward_strip(dx, dweight, dbias, NULL, dy, x, weight, mean, invstd, s, i, given, streaming)
    else:
        for i in prange(first, stop, schedule="static", num_threads=threads):
            backward_strip(dx, dweight, dbias, NULL, dy, x, weight, mean, invstd, s, i, given, streaming)


cdef norm plan_backward(
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W, Py_ssize_t itemsize
) noexcept nogil:
    """Two arrays pass through the cache side by side, so strips have half as many statistics."""
    cdef norm s = plan(N, G, P, S, W, 2*itemsize)
    if shares_weights(&s):
        on_whole_planes(&s)
    return s


cdef void backward(
    real *dx, real *dweight, real *dbias, const real *dy, const real *x, const real *weight,
    const double *mean, const double *invstd, const norm *s, bint given
) noexcept nogil:
    cdef parts t
    cdef Py_ssize_t strips = ceil_div(s.G, s.width)
    if not shares_weights(s):
        backward_some(dx, dweight, dbias, NULL, dy, x, weight, mean, invstd, s, 0, strips, given)
    elif open_parts(&t, s):
        backward_some(dx, dweight, dbias, &t, dy, x, weight, mean, invstd, s, 0, strips, given)
        close_parts(dweight, dbias, &t)
    else:
        no_parts(dweight, dbias, s)


# --- from C --------------------------------------------------------------------------------


cdef api void normalize_backward_f32(
    float *dx, float *dweight, float *dbias, const float *dy, const float *x, const float *weight,
    const double *mean, const double *invstd,
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    cdef norm s = plan_backward(N, G, P, S, W, sizeof(float))
    backward(dx, dweight, dbias, dy, x, weight, mean, invstd, &s, False)


cdef api void normalize_backward_f64(
    double *dx, double *dweight, double *dbias, const double *dy, const double *x, const double *weight,
    const double *mean, const double *invstd,
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    cdef norm s = plan_backward(N, G, P, S, W, sizeof(double))
    backward(dx, dweight, dbias, dy, x, weight, mean, invstd, &s, False)


cdef api void normalize_given_backward_f32(
    float *dx, float *dweight, float *dbias, const float *dy, const float *x, const float *weight,
    const double *mean, const double *invstd,
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    cdef norm s = plan_backward(N, G, P, S, W, sizeof(float))
    backward(dx, dweight, dbias, dy, x, weight, mean, invstd, &s, True)


cdef api void normalize_given_backward_f64(
    double *dx, double *dweight, double *dbias, const double *dy, const double *x, const double *weight,
    const double *mean, const double *invstd,
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    cdef norm s = plan_backward(N, G, P, S, W, sizeof(double))
    backward(dx, dweight, dbias, dy, x, weight, mean, invstd, &s, True)


# --- from Python ---------------------------------------------------------------------------


cdef int run(
    cnp.ndarray dx, cnp.ndarray dweight, cnp.ndarray dbias, cnp.ndarray dy, cnp.ndarray x,
    cnp.ndarray weight, cnp.ndarray mean, cnp.ndarray invstd, bint given
) except -1:
    cdef int typenum = contract.normalize_backward(dx, dweight, dbias, dy, x, weight, mean, invstd)
    cdef norm s = plan_backward(
        x.shape[0], x.shape[1], x.shape[2], x.shape[3], weight.shape[0], x.itemsize)
    cdef Py_ssize_t i, stop, strips = ceil_div(s.G, s.width)
    cdef Py_ssize_t at_once = ceil_div(contract.blocks_at_once(s.N*s.L), s.width)
    cdef parts t
    cdef parts *shared = NULL
    if shares_weights(&s):
        if not open_parts(&t, &s):
            raise MemoryError(f"no memory for the sums of {s.W*s.P} weights")
        shared = &t
    try:
        i = 0
        while i < strips:
            stop = min(strips, i + at_once)
            with nogil:
                if typenum == cnp.NPY_FLOAT32:
                    backward_some(<float *> dx.data, <float *> dweight.data, <float *> dbias.data, shared,
                                  <const float *> dy.data, <const float *> x.data,
                                  <const float *> weight.data, <const double *> mean.data,
                                  <const double *> invstd.data, &s, i, stop, given)
                else:
                    backward_some(<double *> dx.data, <double *> dweight.data, <double *> dbias.data, shared,
                                  <const double *> dy.data, <const double *> x.data,
                                  <const double *> weight.data, <const double *> mean.data,
                                  <const double *> invstd.data, &s, i, stop, given)
            contract.signals()
            i += at_once
    finally:
        if shared != NULL and typenum == cnp.NPY_FLOAT32:
            close_parts(<float *> dweight.data, <float *> dbias.data, shared)
        elif shared != NULL:
            close_parts(<double *> dweight.data, <double *> dbias.data, shared)
    return 0


def normalize_backward(
    cnp.ndarray dx, cnp.ndarray dweight, cnp.ndarray dbias, cnp.ndarray dy, cnp.ndarray x,
    cnp.ndarray weight, cnp.ndarray mean, cnp.ndarray invstd
):
    """Gradients of a normalisation of x (N, G, P, S) whose mean and invstd (G,) are x's own."""
    run(dx, dweight, dbias, dy, x, weight, mean, invstd, False)


def normalize_given_backward(
    cnp.ndarray dx, cnp.ndarray dweight, cnp.ndarray dbias, cnp.ndarray dy, cnp.ndarray x,
    cnp.ndarray weight, cnp.ndarray mean, cnp.ndarray invstd
):
    """The same for a mean and invstd that were given, and do not depend on x."""
    run(dx, dweight, dbias, dy, x, weight, mean, invstd, True)
