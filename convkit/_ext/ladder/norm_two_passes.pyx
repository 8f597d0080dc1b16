"""Normalisation: mean and variance in two passes, a third that writes, one number at a time.

    mean = sum(x)/M        var = sum((x - mean)^2)/M        y = (x - mean)/sqrt(var + eps)*weight + bias

What limits it
--------------
Nine operations an element (two, three and four in the three passes), one after the other. The two sums
are chains: each addition waits 2 to 4 cycles for the one before, in which the core could do 16 of
them side by side in as many lanes. Memory is read three times and written once, 16 bytes an element
in float32, and is idle most of the time. Values are counted from the first one, so that equal values
differ from their mean by exactly 0, and sums are doubles.
"""

cimport numpy as cnp
from libc.math cimport sqrt

from convkit._ext cimport contract
from convkit._ext.lane_sums cimport real

cnp.import_array()


cdef void two_passes(
    real *y, double *mean, double *var, const real *x, const real *weight, const real *bias,
    double eps, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    cdef Py_ssize_t n, g, p, cell, i, row, L = P*S
    cdef const real *run
    cdef double first, total, d, invstd
    for g in range(G):
        first = x[g*L]
        total = 0
        for n in range(N):
            run = x + (n*G + g)*L
            for cell in range(L):
                total += run[cell] - first
        mean[g] = first + total/(N*L)

        total = 0
        for n in range(N):
            run = x + (n*G + g)*L
            for cell in range(L):
                d = run[cell] - mean[g]
                total += d*d
        var[g] = total/(N*L)

        invstd = 1/sqrt(var[g] + eps)
        for n in range(N):
            for p in range(P):
                i = ((n*G + g)*P + p)*S
                row = g % W*P + p
                for cell in range(S):
                    d = x[i + cell] - mean[g]
                    y[i + cell] = <real> (d*invstd*weight[row] + bias[row])


# --- from C --------------------------------------------------------------------------------


cdef api void normalize_f32(
    float *y, double *mean, double *var, const float *x, const float *weight, const float *bias,
    double eps, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    two_passes(y, mean, var, x, weight, bias, eps, N, G, P, S, W)


cdef api void normalize_f64(
    double *y, double *mean, double *var, const double *x, const double *weight, const double *bias,
    double eps, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    two_passes(y, mean, var, x, weight, bias, eps, N, G, P, S, W)


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
