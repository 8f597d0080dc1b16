"""Calls padding, pooling and channel means as C code would; see capsules.pxd."""

from libc.stdint cimport int64_t

from capsules cimport inside
from convkit._ext cimport kernels


def pad2d_f32(
    capsule, size_t y, size_t x, size_t ih_of, size_t iw_of, float value,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.pad2d_f32_t kernel = kernels.pad2d_f32
    if capsule is not None:
        kernel = <kernels.pad2d_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> y, <const float *> x, <const Py_ssize_t *> ih_of, <const Py_ssize_t *> iw_of,
               value, P, IH, IW, OH, OW)


def pad2d_f64(
    capsule, size_t y, size_t x, size_t ih_of, size_t iw_of, double value,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.pad2d_f64_t kernel = kernels.pad2d_f64
    if capsule is not None:
        kernel = <kernels.pad2d_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> y, <const double *> x, <const Py_ssize_t *> ih_of, <const Py_ssize_t *> iw_of,
               value, P, IH, IW, OH, OW)


def pad2d_backward_f32(
    capsule, size_t dx, size_t dy, size_t ih_of, size_t iw_of,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.pad2d_backward_f32_t kernel = kernels.pad2d_backward_f32
    if capsule is not None:
        kernel = <kernels.pad2d_backward_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> dx, <const float *> dy, <const Py_ssize_t *> ih_of, <const Py_ssize_t *> iw_of,
               P, IH, IW, OH, OW)


def pad2d_backward_f64(
    capsule, size_t dx, size_t dy, size_t ih_of, size_t iw_of,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.pad2d_backward_f64_t kernel = kernels.pad2d_backward_f64
    if capsule is not None:
        kernel = <kernels.pad2d_backward_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> dx, <const double *> dy, <const Py_ssize_t *> ih_of, <const Py_ssize_t *> iw_of,
               P, IH, IW, OH, OW)


def avg_pool2d_f32(
    capsule, size_t y, size_t x, size_t h_windows, size_t w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.avg_pool2d_f32_t kernel = kernels.avg_pool2d_f32
    if capsule is not None:
        kernel = <kernels.avg_pool2d_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> y, <const float *> x, <const Py_ssize_t *> h_windows, <const Py_ssize_t *> w_windows,
               P, IH, IW, OH, OW)


def avg_pool2d_f64(
    capsule, size_t y, size_t x, size_t h_windows, size_t w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.avg_pool2d_f64_t kernel = kernels.avg_pool2d_f64
    if capsule is not None:
        kernel = <kernels.avg_pool2d_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> y, <const double *> x,
               <const Py_ssize_t *> h_windows, <const Py_ssize_t *> w_windows,
               P, IH, IW, OH, OW)


def avg_pool2d_backward_f32(
    capsule, size_t dx, size_t dy, size_t h_windows, size_t w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.avg_pool2d_backward_f32_t kernel = kernels.avg_pool2d_backward_f32
    if capsule is not None:
        kernel = <kernels.avg_pool2d_backward_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> dx, <const float *> dy,
               <const Py_ssize_t *> h_windows, <const Py_ssize_t *> w_windows,
               P, IH, IW, OH, OW)


def avg_pool2d_backward_f64(
    capsule, size_t dx, size_t dy, size_t h_windows, size_t w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.avg_pool2d_backward_f64_t kernel = kernels.avg_pool2d_backward_f64
    if capsule is not None:
        kernel = <kernels.avg_pool2d_backward_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> dx, <const double *> dy,
               <const Py_ssize_t *> h_windows, <const Py_ssize_t *> w_windows,
               P, IH, IW, OH, OW)


def max_pool2d_f32(
    capsule, size_t y, size_t x, size_t h_windows, size_t w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.max_pool2d_f32_t kernel = kernels.max_pool2d_f32
    if capsule is not None:
        kernel = <kernels.max_pool2d_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> y, <const float *> x, <const Py_ssize_t *> h_windows, <const Py_ssize_t *> w_windows,
               P, IH, IW, OH, OW)


def max_pool2d_f64(
    capsule, size_t y, size_t x, size_t h_windows, size_t w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.max_pool2d_f64_t kernel = kernels.max_pool2d_f64
    if capsule is not None:
        kernel = <kernels.max_pool2d_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> y, <const double *> x,
               <const Py_ssize_t *> h_windows, <const Py_ssize_t *> w_windows,
               P, IH, IW, OH, OW)


def max_pool2d_indices_f32(
    capsule, size_t y, size_t indices, size_t x, size_t h_windows, size_t w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.max_pool2d_indices_f32_t kernel = kernels.max_pool2d_indices_f32
    if capsule is not None:
        kernel = <kernels.max_pool2d_indices_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> y, <int64_t *> indices, <const float *> x,
               <const Py_ssize_t *> h_windows, <const Py_ssize_t *> w_windows,
               P, IH, IW, OH, OW)


def max_pool2d_indices_f64(
    capsule, size_t y, size_t indices, size_t x, size_t h_windows, size_t w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.max_pool2d_indices_f64_t kernel = kernels.max_pool2d_indices_f64
    if capsule is not None:
        kernel = <kernels.max_pool2d_indices_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> y, <int64_t *> indices, <const double *> x,
               <const Py_ssize_t *> h_windows, <const Py_ssize_t *> w_windows,
               P, IH, IW, OH, OW)


def max_pool2d_backward_f32(
    capsule, size_t dx, size_t dy, size_t indices,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.max_pool2d_backward_f32_t kernel = kernels.max_pool2d_backward_f32
    if capsule is not None:
        kernel = <kernels.max_pool2d_backward_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> dx, <const float *> dy, <const int64_t *> indices,
               P, IH, IW, OH, OW)


def max_pool2d_backward_f64(
    capsule, size_t dx, size_t dy, size_t indices,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.max_pool2d_backward_f64_t kernel = kernels.max_pool2d_backward_f64
    if capsule is not None:
        kernel = <kernels.max_pool2d_backward_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> dx, <const double *> dy, <const int64_t *> indices,
               P, IH, IW, OH, OW)


def channel_mean_f32(
    capsule, size_t y, size_t x,
    Py_ssize_t N, Py_ssize_t C, Py_ssize_t S
):
    cdef kernels.channel_mean_f32_t kernel = kernels.channel_mean_f32
    if capsule is not None:
        kernel = <kernels.channel_mean_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> y, <const float *> x,
               N, C, S)


def channel_mean_f64(
    capsule, size_t y, size_t x,
    Py_ssize_t N, Py_ssize_t C, Py_ssize_t S
):
    cdef kernels.channel_mean_f64_t kernel = kernels.channel_mean_f64
    if capsule is not None:
        kernel = <kernels.channel_mean_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> y, <const double *> x,
               N, C, S)


def channel_mean_backward_f32(
    capsule, size_t dx, size_t dy,
    Py_ssize_t N, Py_ssize_t C, Py_ssize_t S
):
    cdef kernels.channel_mean_backward_f32_t kernel = kernels.channel_mean_backward_f32
    if capsule is not None:
        kernel = <kernels.channel_mean_backward_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> dx, <const float *> dy,
               N, C, S)


def channel_mean_backward_f64(
    capsule, size_t dx, size_t dy,
    Py_ssize_t N, Py_ssize_t C, Py_ssize_t S
):
    cdef kernels.channel_mean_backward_f64_t kernel = kernels.channel_mean_backward_f64
    if capsule is not None:
        kernel = <kernels.channel_mean_backward_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> dx, <const double *> dy,
               N, C, S)
