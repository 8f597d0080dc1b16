"""Batch, instance, group and layer normalisation: statistics of each g, and the pass that uses them.

    mean = sum(x)/M      var = sum((x - mean)^2)/M      y = (x - mean)/sqrt(var + eps)*weight + bias

over arrays (N, G, P, S) with M = N*P*S; convkit/dispatch.py says which axes are which in the four.

What limits it
--------------
Memory: 7 operations for 8 bytes of float32. x is needed twice, for the statistics and for y, and is to
come from memory once. So the work goes strip by strip (see norm_plan.pxd): the statistics of a few
channels, then their output, while x lies in the L2 cache. Threads share the strips; where there are
too few of them (a batch of RGB images), threads share the chunks of each statistic instead. Where a
statistic is of a few cells (layer norm over a short axis), W of them lie in the lanes of a vector.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdlib cimport free, malloc

from convkit._ext cimport contract
from convkit._ext.lane_sums cimport real
from convkit._ext.norm_apply cimport scale_block
from convkit._ext.norm_moments cimport block_moments, combined, moments, strip_moments
from convkit._ext.norm_plan cimport COLUMNS, SHORT, WIDTH, backwards, block, ceil_div, chunk_of, norm, plan
from convkit._ext.streaming cimport stream_end, worth_streaming
from convkit._ext.threads cimport threads_for

cnp.import_array()


# --- statistics ----------------------------------------------------------------------------


cdef void finish(
    double *mean, double *var, double *invstd, const moments *m, Py_ssize_t width, double eps
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(width):
        mean[i] = m[i].mean
        var[i] = m[i].m2/m[i].count
        invstd[i] = 1/sqrt(var[i] + eps)


# --- the pass that writes ------------------------------------------------------------------


cdef void scale_chunk(
    real *y, const real *x, const double *mean, const double *invstd, const real *weight,
    const real *bias, const norm *s, block b, bint streaming
) noexcept nogil:
    """Write one block; mean and invstd begin with those of b.g0."""
    scale_block(y, x, mean, invstd, weight, bias, s, b, streaming)
    if streaming:
        stream_end()


# --- strips, by threads --------------------------------------------------------------------


cdef void normalize_strip(
    real *y, double *mean, double *var, const real *x, const real *weight, const real *bias,
    double eps, const norm *s, Py_ssize_t g0, Py_ssize_t g1, bint streaming
) noexcept nogil:
    cdef moments m[COLUMNS]
    cdef double invstd[COLUMNS]
    cdef Py_ssize_t k
    strip_moments(m, x, s, g0, g1)
    finish(mean + g0, var + g0, invstd, m, g1 - g0, eps)
    for k in range(s.chunks):  # from the last run back: what was read last may still be in the cache
        scale_chunk(y, x, mean + g0, invstd, weight, bias, s, chunk_of(s, g0, g1, backwards(s, k)), streaming)


cdef void normalize_chunks(
    moments *m, real *y, double *mean, double *var, const real *x, const real *weight,
    const real *bias, double eps, const norm *s, Py_ssize_t g0, Py_ssize_t g1, bint streaming, int threads
) noexcept nogil:
    """One strip by all threads, for which m has room for `chunks` rows of g1 - g0."""
    cdef double invstd[COLUMNS]
    cdef Py_ssize_t k, i, width = g1 - g0
    for k in prange(s.chunks, schedule="static", num_threads=threads):
        block_moments(m + k*width, x, s, chunk_of(s, g0, g1, k))
    for k in range(1, s.chunks):
        for i in range(width):
            m[i] = combined(m[i], m[k*width + i])
    finish(mean + g0, var + g0, invstd, m, width, eps)
    for k in prange(s.chunks, schedule="static", num_threads=threads):
        scale_chunk(y, x, mean + g0, invstd, weight, bias, s, chunk_of(s, g0, g1, backwards(s, k)), streaming)


cdef void normalize_some(
    real *y, double *mean, double *var, const real *x, const real *weight, const real *bias,
    double eps, const norm *s, Py_ssize_t g0, Py_ssize_t g1
) noexcept nogil:
    """The statistics from g0, a multiple of the strip's width, to g1 - 1."""
    cdef bint streaming = worth_streaming(2*s.N*s.G*s.L*sizeof(real), s.S*sizeof(real))
    cdef int threads = threads_for(s.N*(g1 - g0)*s.L)
    cdef Py_ssize_t i, width = s.width, strips = ceil_div(g1 - g0, width)
    cdef moments *m = NULL
    if threads > 1 and strips < 4*threads and s.chunks > 1:
        m = <moments *> malloc(s.chunks*width*sizeof(moments))
    if m != NULL:
        for i in range(strips):
            normalize_chunks(m, y, mean, var, x, weight, bias, eps, s, g0 + i*width,
                             min(g1, g0 + (i + 1)*width), streaming, threads)
        free(m)
        return
    if threads == 1:
        for i in range(strips):
            normalize_strip(y, mean, var, x, weight, bias, eps, s, g0 + i*width,
                            min(g1, g0 + (i + 1)*width), streaming)
        return
    for i in prange(strips, schedule="static", num_threads=threads):
        normalize_strip(y, mean, var, x, weight, bias, eps, s, g0 + i*width,
                        min(g1, g0 + (i + 1)*width), streaming)


cdef inline Py_ssize_t blocks(const norm *s) noexcept nogil:
    """Return how many blocks there are: one for each chunk of each strip."""
    return s.chunks*ceil_div(s.G, s.width)


cdef void given_some(
    real *y, const real *x, const double *mean, const double *invstd, const real *weight,
    const real *bias, const norm *s, Py_ssize_t first, Py_ssize_t stop
) noexcept nogil:
    """Blocks first to stop - 1, which follow one another in memory."""
    cdef bint streaming = worth_streaming(2*s.N*s.G*s.L*sizeof(real), s.S*sizeof(real))
    cdef int threads = threads_for(s.N*s.G*s.L)
    cdef Py_ssize_t i
    if threads == 1:
        for i in range(first, stop):
            given_block(y, x, mean, invstd, weight, bias, s, i, streaming)
        return
    for i in prange(first, stop, schedule="static", num_threads=threads):
        given_block(y, x, mean, invstd, weight, bias, s, i, streaming)


cdef void given_block(
    real *y, const real *x, const double *mean, const double *invstd, const real *weight,
    const real *bias, const norm *s, Py_ssize_t i, bint streaming
) noexcept nogil:
    """Block i, where those of one strip are pieces of a run, then come the next strip and the next runs."""
    cdef Py_ssize_t strips = ceil_div(s.G, s.width), g0 = i//s.pieces % strips*s.width
    cdef Py_ssize_t k = i//(strips*s.pieces)*s.pieces + i % s.pieces
    scale_chunk(y, x, mean + g0, invstd + g0, weight, bias, s,
                chunk_of(s, g0, min(s.G, g0 + s.width), k), streaming)


cdef norm plan_given(
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W, Py_ssize_t itemsize
) noexcept nogil:
    """With nothing to sum, long runs are chunks of their own, to follow memory from run to run.

    Of short runs more lie side by side, for the same reason: the first lines of each stretch come late.
    """
    cdef norm s = plan(N, G, P, S, W, itemsize)
    if s.L >= 1024:
        s.rows = 1
        s.chunks = N*s.pieces
    elif s.L >= SHORT:
        s.width = max(s.width, min(<Py_ssize_t> WIDTH, G//4))
    return s


# --- from C --------------------------------------------------------------------------------


cdef api void normalize_f32(
    float *y, double *mean, double *var, const float *x, const float *weight, const float *bias,
    double eps, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    cdef norm s = plan(N, G, P, S, W, sizeof(float))
    normalize_some(y, mean, var, x, weight, bias, eps, &s, 0, G)


cdef api void normalize_f64(
    double *y, double *mean, double *var, const double *x, const double *weight, const double *bias,
    double eps, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    cdef norm s = plan(N, G, P, S, W, sizeof(double))
    normalize_some(y, mean, var, x, weight, bias, eps, &s, 0, G)


cdef api void normalize_given_f32(
    float *y, const float *x, const double *mean, const double *invstd, const float *weight,
    const float *bias, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    cdef norm s = plan_given(N, G, P, S, W, sizeof(float))
    given_some(y, x, mean, invstd, weight, bias, &s, 0, blocks(&s))


cdef api void normalize_given_f64(
    double *y, const double *x, const double *mean, const double *invstd, const double *weight,
    const double *bias, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    cdef norm s = plan_given(N, G, P, S, W, sizeof(double))
    given_some(y, x, mean, invstd, weight, bias, &s, 0, blocks(&s))


# --- from Python ---------------------------------------------------------------------------


def normalize(
    cnp.ndarray y, cnp.ndarray mean, cnp.ndarray var, cnp.ndarray x, cnp.ndarray weight,
    cnp.ndarray bias, double eps
):
    """Normalise x (N, G, P, S) by its own statistics, which go to mean and var (G,)."""
    cdef int typenum = contract.normalize(y, mean, var, x, weight, bias)
    cdef Py_ssize_t G = x.shape[1], g, at_once
    cdef norm s = plan(x.shape[0], G, x.shape[2], x.shape[3], weight.shape[0], x.itemsize)
    at_once = ceil_div(contract.blocks_at_once(s.N*s.L), s.width)*s.width
    g = 0
    while g < G:
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                normalize_some(<float *> y.data, <double *> mean.data, <double *> var.data,
                               <const float *> x.data, <const float *> weight.data,
                               <const float *> bias.data, eps, &s, g, min(G, g + at_once))
            else:
                normalize_some(<double *> y.data, <double *> mean.data, <double *> var.data,
                               <const double *> x.data, <const double *> weight.data,
                               <const double *> bias.data, eps, &s, g, min(G, g + at_once))
        contract.signals()
        g += at_once


def normalize_given(
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray mean, cnp.ndarray invstd, cnp.ndarray weight, cnp.ndarray bias
):
    """Normalise x (N, G, P, S) by a mean and 1/sqrt(var + eps) (G,) that are given."""
    cdef int typenum = contract.normalize_given(y, x, mean, invstd, weight, bias)
    cdef norm s = plan_given(x.shape[0], x.shape[1], x.shape[2], x.shape[3], weight.shape[0], x.itemsize)
    cdef Py_ssize_t i = 0, at_once = contract.blocks_at_once(s.rows*s.cells*s.width)
    while i < blocks(&s):
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                given_some(<float *> y.data, <const float *> x.data, <const double *> mean.data,
                           <const double *> invstd.data, <const float *> weight.data,
                           <const float *> bias.data, &s, i, min(blocks(&s), i + at_once))
            else:
                given_some(<double *> y.data, <const double *> x.data, <const double *> mean.data,
                           <const double *> invstd.data, <const double *> weight.data,
                           <const double *> bias.data, &s, i, min(blocks(&s), i + at_once))
        contract.signals()
        i += at_once
