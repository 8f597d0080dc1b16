"""Calls compiled kernels as C code would: by cimport, on raw addresses, without the GIL.

Every function takes a capsule that holds the kernel to call, or None for the one that kernels.pxd
names, then the kernel's own arguments, pointers as integers.
"""

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from libc.stdint cimport int64_t, uint8_t, uint64_t

from convkit._ext cimport kernels
from convkit._ext.conv_shape cimport conv_shape


cdef void *inside(capsule) except NULL:
    return PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))


def conv2d_f32(capsule, size_t y, size_t x, size_t w, size_t b, size_t ih_of, size_t iw_of, *sizes):
    cdef conv_shape s = shape(sizes)
    cdef kernels.conv2d_f32_t kernel = kernels.conv2d_f32
    if capsule is not None:
        kernel = <kernels.conv2d_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> y, <const float *> x, <const float *> w, <const float *> b,
               <const Py_ssize_t *> ih_of, <const Py_ssize_t *> iw_of, &s)


def conv2d_f64(capsule, size_t y, size_t x, size_t w, size_t b, size_t ih_of, size_t iw_of, *sizes):
    cdef conv_shape s = shape(sizes)
    cdef kernels.conv2d_f64_t kernel = kernels.conv2d_f64
    if capsule is not None:
        kernel = <kernels.conv2d_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> y, <const double *> x, <const double *> w, <const double *> b,
               <const Py_ssize_t *> ih_of, <const Py_ssize_t *> iw_of, &s)


def conv_transpose2d_f32(capsule, size_t y, size_t x, size_t w, size_t b, size_t ih_of, size_t iw_of, *sizes):
    cdef conv_shape s = shape(sizes)
    cdef kernels.conv_transpose2d_f32_t kernel = kernels.conv_transpose2d_f32
    if capsule is not None:
        kernel = <kernels.conv_transpose2d_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> y, <const float *> x, <const float *> w, <const float *> b,
               <const Py_ssize_t *> ih_of, <const Py_ssize_t *> iw_of, &s)


def conv_transpose2d_f64(capsule, size_t y, size_t x, size_t w, size_t b, size_t ih_of, size_t iw_of, *sizes):
    cdef conv_shape s = shape(sizes)
    cdef kernels.conv_transpose2d_f64_t kernel = kernels.conv_transpose2d_f64
    if capsule is not None:
        kernel = <kernels.conv_transpose2d_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> y, <const double *> x, <const double *> w, <const double *> b,
               <const Py_ssize_t *> ih_of, <const Py_ssize_t *> iw_of, &s)


def conv2d_grad_w_f32(capsule, size_t dw, size_t dy, size_t x, size_t ih_of, size_t iw_of, *sizes):
    cdef conv_shape s = shape(sizes)
    cdef kernels.conv2d_grad_w_f32_t kernel = kernels.conv2d_grad_w_f32
    if capsule is not None:
        kernel = <kernels.conv2d_grad_w_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> dw, <const float *> dy, <const float *> x,
               <const Py_ssize_t *> ih_of, <const Py_ssize_t *> iw_of, &s)


def conv2d_grad_w_f64(capsule, size_t dw, size_t dy, size_t x, size_t ih_of, size_t iw_of, *sizes):
    cdef conv_shape s = shape(sizes)
    cdef kernels.conv2d_grad_w_f64_t kernel = kernels.conv2d_grad_w_f64
    if capsule is not None:
        kernel = <kernels.conv2d_grad_w_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> dw, <const double *> dy, <const double *> x,
               <const Py_ssize_t *> ih_of, <const Py_ssize_t *> iw_of, &s)


def conv2d_grad_b_f32(
    capsule, size_t db, size_t dy, Py_ssize_t N, Py_ssize_t OC, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.conv2d_grad_b_f32_t kernel = kernels.conv2d_grad_b_f32
    if capsule is not None:
        kernel = <kernels.conv2d_grad_b_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> db, <const float *> dy, N, OC, OH, OW)


def conv2d_grad_b_f64(
    capsule, size_t db, size_t dy, Py_ssize_t N, Py_ssize_t OC, Py_ssize_t OH, Py_ssize_t OW
):
    cdef kernels.conv2d_grad_b_f64_t kernel = kernels.conv2d_grad_b_f64
    if capsule is not None:
        kernel = <kernels.conv2d_grad_b_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> db, <const double *> dy, N, OC, OH, OW)


cdef conv_shape shape(tuple sizes) except *:
    cdef conv_shape s
    s.N, s.IC, s.IH, s.IW, s.OC, s.KH, s.KW, s.OH, s.OW, s.G, s.SH, s.SW, s.DH, s.DW = sizes
    return s


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


cdef conv_shape unfold_shape(tuple sizes) except *:
    cdef conv_shape s
    s.N, s.IC, s.IH, s.IW, s.KH, s.KW, s.OH, s.OW, s.SH, s.SW, s.DH, s.DW = sizes
    s.OC, s.G = 0, 1
    return s


def im2col_f32(capsule, size_t cols, size_t x, size_t ih_of, size_t iw_of, *sizes):
    cdef conv_shape s = unfold_shape(sizes)
    cdef kernels.im2col_f32_t kernel = kernels.im2col_f32
    if capsule is not None:
        kernel = <kernels.im2col_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> cols, <const float *> x, <const Py_ssize_t *> ih_of, <const Py_ssize_t *> iw_of,
               &s)


def im2col_f64(capsule, size_t cols, size_t x, size_t ih_of, size_t iw_of, *sizes):
    cdef conv_shape s = unfold_shape(sizes)
    cdef kernels.im2col_f64_t kernel = kernels.im2col_f64
    if capsule is not None:
        kernel = <kernels.im2col_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> cols, <const double *> x, <const Py_ssize_t *> ih_of, <const Py_ssize_t *> iw_of,
               &s)


def col2im_f32(capsule, size_t x, size_t cols, size_t ih_of, size_t iw_of, *sizes):
    cdef conv_shape s = unfold_shape(sizes)
    cdef kernels.col2im_f32_t kernel = kernels.col2im_f32
    if capsule is not None:
        kernel = <kernels.col2im_f32_t> inside(capsule)
    with nogil:
        kernel(<float *> x, <const float *> cols, <const Py_ssize_t *> ih_of, <const Py_ssize_t *> iw_of,
               &s)


def col2im_f64(capsule, size_t x, size_t cols, size_t ih_of, size_t iw_of, *sizes):
    cdef conv_shape s = unfold_shape(sizes)
    cdef kernels.col2im_f64_t kernel = kernels.col2im_f64
    if capsule is not None:
        kernel = <kernels.col2im_f64_t> inside(capsule)
    with nogil:
        kernel(<double *> x, <const double *> cols, <const Py_ssize_t *> ih_of, <const Py_ssize_t *> iw_of,
               &s)


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
