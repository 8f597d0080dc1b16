"""Normalisation: mean and variance in one pass, by Welford's formula; output as in `two_passes`.

What limited `two_passes`: sums that wait for one another, in two passes over memory.

The one change: each number moves the mean of those before it, and what it adds to the sum of squares is its
distance from the old mean times its distance from the new one (Welford, 1962)::

    delta = x - mean        mean += delta/count        M*var += delta*(x - mean)

x is read twice and not three times, 12 bytes an element in float32, and no digits are lost, since every
distance is from a mean. It is the formula for numbers that come one by one and are not kept. Expect
less than half of the speed, not more of it.

What limits it
--------------
One long chain. The next mean waits for a subtraction, a division and an addition, some 20 cycles an element
where each sum of `two_passes` waited for one addition. Memory, which this rung relieves, was not what
limited it.
"""

cimport numpy as cnp
from libc.math cimport sqrt

from convkit._ext cimport contract
from convkit._ext.lane_sums cimport real

cnp.import_array()


cdef void one_pass(
    real *y, double *mean, double *var, const real *x, const real *weight, const real *bias,
    double eps, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    cdef Py_ssize_t n, g, p, cell, i, row, L = P*S
    cdef const real *run
    cdef double count, m, m2, d, invstd
    for g in range(G):
        count = m = m2 = 0
        for n in range(N):
            run = x + (n*G + g)*L
            for cell in range(L):
                count += 1
                d = run[cell] - m
                m += d/count
                m2 += d*(run[cell] - m)
        mean[g] = m
        var[g] = m2/count

        invstd = 1/sqrt(var[g] + eps)
        for n in range(N):
            for p in range(P):
                i = ((n*G + g)*P + p)*S
                row = g % W*P + p
                for cell in range(S):
                    d = x[i + cell] - m
                    y[i + cell] = <real> (d*invstd*weight[row] + bias[row])


# --- from C --------------------------------------------------------------------------------


cdef api void normalize_f32(
    float *y, double *mean, double *var, const float *x, const float *weight, const float *bias,
    double eps, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    one_pass(y, mean, var, x, weight, bias, eps, N, G, P, S, W)


cdef api void normalize_f64(
    double *y, double *mean, double *var, const double *x, const double *weight, const double *bias,
    double eps, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil:
    one_pass(y, mean, var, x, weight, bias, eps, N, G, P, S, W)


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
