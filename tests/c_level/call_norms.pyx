"""Calls normalisation and dropout as C code would; see capsules.pxd."""

from libc.stdint cimport uint8_t, uint64_t

from capsules cimport inside
from convkit._ext cimport kernels


def normalize_f32(
    capsule, size_t y, size_t mean, size_t var, size_t x, size_t weight, size_t bias, double eps,
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
):
    cdef kernels.normalize_f32_t kernel = kernels.normalize_f32
    if capsule is not None:
        kernel = <kernels.normalize_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> y, <double *> mean, <double *> var, <const float *> x, <const float *> weight,
               <const float *> bias, eps, N, G, P, S, W)


def normalize_f64(
    capsule, size_t y, size_t mean, size_t var, size_t x, size_t weight, size_t bias, double eps,
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
):
    cdef kernels.normalize_f64_t kernel = kernels.normalize_f64
    if capsule is not None:
        kernel = <kernels.normalize_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> y, <double *> mean, <double *> var, <const double *> x, <const double *> weight,
               <const double *> bias, eps, N, G, P, S, W)


def normalize_given_f32(
    capsule, size_t y, size_t x, size_t mean, size_t invstd, size_t weight, size_t bias, Py_ssize_t N,
    Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
):
    cdef kernels.normalize_given_f32_t kernel = kernels.normalize_given_f32
    if capsule is not None:
        kernel = <kernels.normalize_given_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> y, <const float *> x, <const double *> mean, <const double *> invstd,
               <const float *> weight, <const float *> bias, N, G, P, S, W)


def normalize_given_f64(
    capsule, size_t y, size_t x, size_t mean, size_t invstd, size_t weight, size_t bias, Py_ssize_t N,
    Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
):
    cdef kernels.normalize_given_f64_t kernel = kernels.normalize_given_f64
    if capsule is not None:
        kernel = <kernels.normalize_given_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> y, <const double *> x, <const double *> mean, <const double *> invstd,
               <const double *> weight, <const double *> bias, N, G, P, S, W)


def normalize_backward_f32(
    capsule, size_t dx, size_t dweight, size_t dbias, size_t dy, size_t x, size_t weight, size_t mean,
    size_t invstd, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
):
    cdef kernels.normalize_backward_f32_t kernel = kernels.normalize_backward_f32
    if capsule is not None:
        kernel = <kernels.normalize_backward_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> dx, <float *> dweight, <float *> dbias, <const float *> dy, <const float *> x,
               <const float *> weight, <const double *> mean, <const double *> invstd, N, G, P, S, W)


def normalize_backward_f64(
    capsule, size_t dx, size_t dweight, size_t dbias, size_t dy, size_t x, size_t weight, size_t mean,
    size_t invstd, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
):
    cdef kernels.normalize_backward_f64_t kernel = kernels.normalize_backward_f64
    if capsule is not None:
        kernel = <kernels.normalize_backward_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> dx, <double *> dweight, <double *> dbias, <const double *> dy, <const double *> x,
               <const double *> weight, <const double *> mean, <const double *> invstd, N, G, P, S, W)


def normalize_given_backward_f32(
    capsule, size_t dx, size_t dweight, size_t dbias, size_t dy, size_t x, size_t weight, size_t mean,
    size_t invstd, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
):
    cdef kernels.normalize_given_backward_f32_t kernel = kernels.normalize_given_backward_f32
    if capsule is not None:
        kernel = <kernels.normalize_given_backward_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> dx, <float *> dweight, <float *> dbias, <const float *> dy, <const float *> x,
               <const float *> weight, <const double *> mean, <const double *> invstd, N, G, P, S, W)


def normalize_given_backward_f64(
    capsule, size_t dx, size_t dweight, size_t dbias, size_t dy, size_t x, size_t weight, size_t mean,
    size_t invstd, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
):
    cdef kernels.normalize_given_backward_f64_t kernel = kernels.normalize_given_backward_f64
    if capsule is not None:
        kernel = <kernels.normalize_given_backward_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> dx, <double *> dweight, <double *> dbias, <const double *> dy, <const double *> x,
               <const double *> weight, <const double *> mean, <const double *> invstd, N, G, P, S, W)


def dropout_f32(
    capsule, size_t y, size_t x, uint64_t seed, uint64_t threshold, double scale, Py_ssize_t U, Py_ssize_t B
):
    cdef kernels.dropout_f32_t kernel = kernels.dropout_f32
    if capsule is not None:
        kernel = <kernels.dropout_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> y, <const float *> x, seed, threshold, scale, U, B)


def dropout_f64(
    capsule, size_t y, size_t x, uint64_t seed, uint64_t threshold, double scale, Py_ssize_t U, Py_ssize_t B
):
    cdef kernels.dropout_f64_t kernel = kernels.dropout_f64
    if capsule is not None:
        kernel = <kernels.dropout_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> y, <const double *> x, seed, threshold, scale, U, B)


def dropout_mask_f32(
    capsule, size_t y, size_t mask, size_t x, uint64_t seed, uint64_t threshold, double scale,
    Py_ssize_t U, Py_ssize_t B
):
    cdef kernels.dropout_mask_f32_t kernel = kernels.dropout_mask_f32
    if capsule is not None:
        kernel = <kernels.dropout_mask_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> y, <uint8_t *> mask, <const float *> x, seed, threshold, scale, U, B)


def dropout_mask_f64(
    capsule, size_t y, size_t mask, size_t x, uint64_t seed, uint64_t threshold, double scale,
    Py_ssize_t U, Py_ssize_t B
):
    cdef kernels.dropout_mask_f64_t kernel = kernels.dropout_mask_f64
    if capsule is not None:
        kernel = <kernels.dropout_mask_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> y, <uint8_t *> mask, <const double *> x, seed, threshold, scale, U, B)


def dropout_given_f32(capsule, size_t y, size_t x, size_t mask, double scale, Py_ssize_t U, Py_ssize_t B):
    cdef kernels.dropout_given_f32_t kernel = kernels.dropout_given_f32
    if capsule is not None:
        kernel = <kernels.dropout_given_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> y, <const float *> x, <const uint8_t *> mask, scale, U, B)


def dropout_given_f64(capsule, size_t y, size_t x, size_t mask, double scale, Py_ssize_t U, Py_ssize_t B):
    cdef kernels.dropout_given_f64_t kernel = kernels.dropout_given_f64
    if capsule is not None:
        kernel = <kernels.dropout_given_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> y, <const double *> x, <const uint8_t *> mask, scale, U, B)
