"""Normalisation: a run's constants in three numbers, and the output while x is in the cache.

What limited `lanes`: the pass that writes, with its conversions to double and back, and with x coming
from memory again.

The one change: that pass comes while x is in the cache, and stays in x's own precision, since all that a
run has in common is computed before,

    y = (x - m)*a + b: one subtraction and one fused multiply-add in place of four operations

norm_apply.pxd says how m, a and b keep the digits. A few statistics at a time are finished, output
and all, before the next are begun, so that x comes from memory once: seven operations an element (four
for the sums, three for the output), and 8 bytes of float32 instead of 12. Expect half as much speed again.

What limits it
--------------
One core. The top rung, normalization.pyx, is this loop over strips shared among threads.
"""

cimport numpy as cnp
from libc.math cimport sqrt

from convkit._ext cimport contract
from convkit._ext.lane_sums cimport real
from convkit._ext.norm_apply cimport scale_block
from convkit._ext.norm_moments cimport moments, strip_moments
from convkit._ext.norm_plan cimport COLUMNS, chunk_of, norm, plan

cnp.import_array()


cdef void fused(
    real *y, double *mean, double *var, const real *x, const real *weight, const real *bias,
    double eps, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    cdef norm s = plan(N, G, P, S, W, sizeof(real))
    cdef moments m[COLUMNS]
    cdef double invstd[COLUMNS]
    cdef Py_ssize_t g, i, k, stop
    g = 0
    while g < G:
        stop = min(G, g + s.width)
        strip_moments(m, x, &s, g, stop)
        for i in range(stop - g):
            mean[g + i] = m[i].mean
            var[g + i] = m[i].m2/m[i].count
            invstd[i] = 1/sqrt(var[g + i] + eps)
        for k in range(s.chunks):
            scale_block(y, x, mean + g, invstd, weight, bias, &s, chunk_of(&s, g, stop, k), False)
        g = stop


# --- from C --------------------------------------------------------------------------------


cdef api void normalize_f32(
    float *y, double *mean, double *var, const float *x, const float *weight, const float *bias,
    double eps, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    fused(y, mean, var, x, weight, bias, eps, N, G, P, S, W)


cdef api void normalize_f64(
    double *y, double *mean, double *var, const double *x, const double *weight, const double *bias,
    double eps, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    fused(y, mean, var, x, weight, bias, eps, N, G, P, S, W)


# --- from Python ---------------------------------------------------------------------------


def normalize(
    cnp.ndarray y, cnp.ndarray mean, cnp.ndarray var, cnp.ndarray x, cnp.ndarray weight,
    cnp.ndarray bias, double eps
):
    """Normalise x (N, G, P, S) by its own statistics, which go to mean and var (G,)."""
    cdef int typenum = contract.normalize(y, mean, var, x, weight, bias)
    cdef Py_ssize_t N = x.shape[0], G = x.shape[1], P = x.shape[2], S = x.shape[3], W = weight.shape[0]
    with nogil:
        if typenum == cnp.NPY_FLOAT32:
            normalize_f32(<float *> y.data, <double *> mean.data, <double *> var.data,
                          <const float *> x.data, <const float *> weight.data,
                          <const float *> bias.data, eps, N, G, P, S, W)
        else:
            normalize_f64(<double *> y.data, <double *> mean.data, <double *> var.data,
                          <const double *> x.data, <const double *> weight.data,
                          <const double *> bias.data, eps, N, G, P, S, W)
