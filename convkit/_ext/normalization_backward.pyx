"""Gradients of the four normalisations, for statistics that depend on x and for ones that do not.

    dweight = sum(dy*xhat)    dbias = sum(dy)    dx = invstd*(dz - mean(dz) - xhat*mean(dz*xhat))

with dz = dy*weight and xhat = (x - mean)*invstd; for given statistics dx = invstd*dz. The means
are over a statistic's M elements, the sums over the elements that share a weight.

What limits it
--------------
Memory. As in normalization.pyx the work goes strip by strip: both sums of a few channels, then their
dx, so that dy and x come from memory once. In batch norm those two sums are dweight and dbias as
well; in the others, which share a weight among several statistics, a second pass adds them up.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.stdlib cimport free, malloc

from convkit._ext cimport contract
from convkit._ext.lane_sums cimport real
from convkit._ext.norm_apply cimport residue
from convkit._ext.norm_gradient cimport gradient_block, gradient_given
from convkit._ext.norm_plan cimport COLUMNS, SHORT, block, ceil_div, chunk_of, norm, plan
from convkit._ext.norm_products cimport chunk_products, chunk_products_of_columns
from convkit._ext.streaming cimport stream_end, worth_streaming
from convkit._ext.threads cimport threads_for

cnp.import_array()

cdef enum:
    NEIGHBOURS = 128  # columns at once: their sums stay in L1, and there are enough of them for threads
    ROWS = 64        # that they add up in the elements' precision


# --- a chunk -------------------------------------------------------------------------------
# sums[i] and sums[width + i] are those of dz and dz*(x - mean) for the strip's statistic i.


cdef void products_of_chunk(
    double *sums, const real *dy, const real *x, const double *mean, const real *weight, const norm *s,
    block b
) noexcept nogil:
    """Fill sums; a statistic's only weight is left out."""
    if s.L < SHORT:
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
        if has_weights_of_its_own(s):
            dbias[g] = <real> sums[g - g0]
            dweight[g] = <real> (sums[width + g - g0]*invstd[g])
        share = (weight[g % s.W] if s.P == 1 else <real> 1)/<double> (s.N*s.L)
        sums[g - g0] *= share
        sums[width + g - g0] *= share


cdef inline bint has_weights_of_its_own(const norm *s) noexcept nogil:
    """Return whether each statistic has a weight, and none else has it: batch norm."""
    return s.P == 1 and s.W == s.G


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
    real *dx, real *dweight, real *dbias, const real *dy, const real *x, const real *weight,
    const double *mean, const double *invstd, const norm *s, Py_ssize_t g0, Py_ssize_t g1, bint given,
    bint streaming
) noexcept nogil:
    cdef double sums[2*COLUMNS]
    cdef double more[2*COLUMNS]
    cdef Py_ssize_t k, i
    if not given or has_weights_of_its_own(s):
        products_of_chunk(sums, dy, x, mean, weight, s, chunk_of(s, g0, g1, 0))
        for k in range(1, s.chunks):
            products_of_chunk(more, dy, x, mean, weight, s, chunk_of(s, g0, g1, k))
            for i in range(2*(g1 - g0)):
                sums[i] += more[i]
        use_sums(sums, dweight, dbias, weight, invstd, s, g0, g1)
    for k in range(s.chunks - 1, -1, -1):  # what was read last may still be in the cache
        gradient_of_chunk(
            dx, dy, x, mean, invstd, weight, sums, s, chunk_of(s, g0, g1, k), given, streaming)


cdef void backward_chunks(
    double *sums, real *dx, real *dweight, real *dbias, const real *dy, const real *x,
    const real *weight, const double *mean, const double *invstd, const norm *s, Py_ssize_t g0,
    Py_ssize_t g1, bint given, bint streaming, int threads
) noexcept nogil:
    """One strip by all threads, for which sums has room for `chunks` rows of 2*(g1 - g0)."""
    cdef Py_ssize_t k, i, row = 2*(g1 - g0)
    if not given or has_weights_of_its_own(s):
        for k in prange(s.chunks, schedule="static", num_threads=threads):
            products_of_chunk(sums + k*row, dy, x, mean, weight, s, chunk_of(s, g0, g1, k))
        for k in range(1, s.chunks):
            for i in range(row):
                sums[i] += sums[k*row + i]
        use_sums(sums, dweight, dbias, weight, invstd, s, g0, g1)
    for k in prange(s.chunks, schedule="static", num_threads=threads):
        gradient_of_chunk(
            dx, dy, x, mean, invstd, weight, sums, s, chunk_of(s, g0, g1, k), given, streaming)


cdef void backward_some(
    real *dx, real *dweight, real *dbias, const real *dy, const real *x, const real *weight,
    const double *mean, const double *invstd, const norm *s, Py_ssize_t g0, Py_ssize_t g1, bint given
) noexcept nogil:
    """dx of the statistics from g0, a multiple of the strip's width, to g1 - 1."""
    cdef bint streaming = worth_streaming(3*s.N*s.G*s.L*sizeof(real), s.S*sizeof(real))
    cdef int threads = threads_for(s.N*(g1 - g0)*s.L)
    cdef Py_ssize_t i, width = s.width, strips = ceil_div(g1 - g0, width)
    cdef double *sums = NULL
    if threads > 1 and strips < 4*threads and s.chunks > 1:
        sums = <double *> malloc(2*s.chunks*width*sizeof(double))
    if sums != NULL:
        for i in range(strips):
            backward_chunks(sums, dx, dweight, dbias, dy, x, weight, mean, invstd, s, g0 + i*width,
                            min(g1, g0 + (i + 1)*width), given, streaming, threads)
        free(sums)
        return
    if threads == 1:
        for i in range(strips):
            backward_strip(dx, dweight, dbias, dy, x, weight, mean, invstd, s, g0 + i*width,
                           min(g1, g0 + (i + 1)*width), given, streaming)
        return
    for i in prange(strips, schedule="static", num_threads=threads):
        backward_strip(dx, dweight, dbias, dy, x, weight, mean, invstd, s, g0 + i*width,
                       min(g1, g0 + (i + 1)*width), given, streaming)


# --- the gradients for shared weights ------------------------------------------------------


cdef void shared_weight(
    real *dweight, real *dbias, const real *dy, const real *x, const double *mean,
    const double *invstd, const norm *s, Py_ssize_t i
) noexcept nogil:
    """dweight[i] and dbias[i], i = w*P + p: the sums of a plane, over all images and statistics."""
    cdef Py_ssize_t k, g
    cdef double sum_z, sum_zd, bias = 0, slope = 0
    cdef norm planes = s[0]  # each plane as a statistic
    cdef block b
    planes.G, planes.P, planes.L, planes.W, planes.pieces = s.G*s.P, 1, s.S, 1, 1
    b.n0, b.n1, b.l0, b.l1 = 0, s.N, 0, s.S
    for k in range(s.G//s.W):
        g = k*s.W + i//s.P
        b.g0 = g*s.P + i % s.P
        b.g1 = b.g0 + 1
        chunk_products(&sum_z, &sum_zd, dy, x, mean + (g - b.g0), NULL, &planes, b)
        bias += sum_z
        slope += sum_zd*invstd[g]
    dbias[i] = <real> bias
    dweight[i] = <real> slope


cdef void shared_weights_of_columns(
    real *dweight, real *dbias, const real *dy, const real *x, const double *mean,
    const double *invstd, const norm *s, Py_ssize_t first, Py_ssize_t stop
) noexcept nogil:
    """The same for S = 1, and for neighbours first <= i < stop of one row of weights: down columns.

    As in norm_products.pxd, sums keep the elements' precision for some rows at a time.
    """
    cdef real bias[NEIGHBOURS]
    cdef real slope[NEIGHBOURS]
    cdef double biases[NEIGHBOURS]
    cdef double slopes[NEIGHBOURS]
    cdef Py_ssize_t row, g, i, run, rows = s.N*(s.G//s.W)
    for i in range(NEIGHBOURS):
        bias[i] = slope[i] = 0
        biases[i] = slopes[i] = 0
    for row in range(rows):
        g = row//s.N*s.W + first//s.P
        run = (row % s.N*s.G + g)*s.P + first % s.P
        add_row(bias, slope, dy + run, x + run, stop - first, mean[g], invstd[g])
        if row % ROWS == ROWS - 1 or row == rows - 1:
            for i in range(NEIGHBOURS):
                biases[i] += bias[i]
                slopes[i] += slope[i]
                bias[i] = slope[i] = 0
    for i in range(stop - first):
        dbias[first + i] = <real> biases[i]
        dweight[first + i] = <real> slopes[i]


cdef inline void add_row(
    real *bias, real *slope, const real *dy, const real *x, Py_ssize_t n, double mean, double invstd
) noexcept nogil:
    cdef real m = <real> mean, r = <real> invstd, c = <real> (-residue(mean, m)*invstd)
    cdef Py_ssize_t i
    for i in range(n):
        bias[i] += dy[i]
        slope[i] += dy[i]*((x[i] - m)*r + c)


cdef void shared_weights(
    real *dweight, real *dbias, const real *dy, const real *x, const double *mean,
    const double *invstd, const norm *s, Py_ssize_t first, Py_ssize_t stop
) noexcept nogil:
    """dweight and dbias of w*P + p from first to stop - 1, where statistics share weights."""
    cdef int threads = threads_for((stop - first)*s.N*s.S*(s.G//s.W))
    cdef Py_ssize_t i, per_row = ceil_div(s.P, NEIGHBOURS)
    if s.S > 1 or s.P == 1:
        for i in prange(first, stop, schedule="static", num_threads=threads):
            shared_weight(dweight, dbias, dy, x, mean, invstd, s, i)
        return
    for i in prange(first//s.P*per_row, stop//s.P*per_row, schedule="static", num_threads=threads):
        shared_weights_of_columns(
            dweight, dbias, dy, x, mean, invstd, s, i//per_row*s.P + i % per_row*NEIGHBOURS,
            i//per_row*s.P + min(s.P, (i % per_row + 1)*NEIGHBOURS))


cdef void backward(
    real *dx, real *dweight, real *dbias, const real *dy, const real *x, const real *weight,
    const double *mean, const double *invstd, const norm *s, bint given
) noexcept nogil:
    backward_some(dx, dweight, dbias, dy, x, weight, mean, invstd, s, 0, s.G, given)
    if not has_weights_of_its_own(s):
        shared_weights(dweight, dbias, dy, x, mean, invstd, s, 0, s.W*s.P)


# --- from C --------------------------------------------------------------------------------
# Two arrays pass through the cache side by side, so strips have half as many statistics.


cdef api void normalize_backward_f32(
    float *dx, float *dweight, float *dbias, const float *dy, const float *x, const float *weight,
    const double *mean, const double *invstd,
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    cdef norm s = plan(N, G, P, S, W, 2*sizeof(float))
    backward(dx, dweight, dbias, dy, x, weight, mean, invstd, &s, False)


cdef api void normalize_backward_f64(
    double *dx, double *dweight, double *dbias, const double *dy, const double *x, const double *weight,
    const double *mean, const double *invstd,
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    cdef norm s = plan(N, G, P, S, W, 2*sizeof(double))
    backward(dx, dweight, dbias, dy, x, weight, mean, invstd, &s, False)


cdef api void normalize_given_backward_f32(
    float *dx, float *dweight, float *dbias, const float *dy, const float *x, const float *weight,
    const double *mean, const double *invstd,
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    cdef norm s = plan(N, G, P, S, W, 2*sizeof(float))
    backward(dx, dweight, dbias, dy, x, weight, mean, invstd, &s, True)


cdef api void normalize_given_backward_f64(
    double *dx, double *dweight, double *dbias, const double *dy, const double *x, const double *weight,
    const double *mean, const double *invstd,
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    cdef norm s = plan(N, G, P, S, W, 2*sizeof(double))
    backward(dx, dweight, dbias, dy, x, weight, mean, invstd, &s, True)


# --- from Python ---------------------------------------------------------------------------


cdef int run(
    cnp.ndarray dx, cnp.ndarray dweight, cnp.ndarray dbias, cnp.ndarray dy, cnp.ndarray x,
    cnp.ndarray weight, cnp.ndarray mean, cnp.ndarray invstd, bint given
) except -1:
    cdef int typenum = contract.normalize_backward(dx, dweight, dbias, dy, x, weight, mean, invstd)
    cdef norm s = plan(x.shape[0], x.shape[1], x.shape[2], x.shape[3], weight.shape[0], 2*x.itemsize)
    cdef Py_ssize_t i, stop, at_once = ceil_div(contract.blocks_at_once(s.N*s.L), s.width)*s.width
    i = 0
    while i < s.G:
        stop = min(s.G, i + at_once)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                backward_some(<float *> dx.data, <float *> dweight.data, <float *> dbias.data,
                              <const float *> dy.data, <const float *> x.data, <const float *> weight.data,
                              <const double *> mean.data, <const double *> invstd.data, &s, i, stop, given)
            else:
                backward_some(<double *> dx.data, <double *> dweight.data, <double *> dbias.data,
                              <const double *> dy.data, <const double *> x.data, <const double *> weight.data,
                              <const double *> mean.data, <const double *> invstd.data, &s, i, stop, given)
        contract.signals()
        i += at_once
    if has_weights_of_its_own(&s):
        return 0
    at_once = ceil_div(contract.blocks_at_once(s.N*s.S*(s.G//s.W)), s.P)*s.P
    i = 0
    while i < s.W*s.P:
        stop = min(s.W*s.P, i + at_once)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                shared_weights(<float *> dweight.data, <float *> dbias.data, <const float *> dy.data,
                               <const float *> x.data, <const double *> mean.data,
                               <const double *> invstd.data, &s, i, stop)
            else:
                shared_weights(<double *> dweight.data, <double *> dbias.data, <const double *> dy.data,
                               <const double *> x.data, <const double *> mean.data,
                               <const double *> invstd.data, &s, i, stop)
        contract.signals()
        i += at_once
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
