"""Calls convolutions, im2col and col2im as C code would; see capsules.pxd."""

from capsules cimport inside
from convkit._ext cimport kernels
from convkit._ext.conv_shape cimport conv_shape


cdef conv_shape shape(tuple sizes) except *:
    cdef conv_shape s
    s.N, s.IC, s.IH, s.IW, s.OC, s.KH, s.KW, s.OH, s.OW, s.G, s.SH, s.SW, s.DH, s.DW = sizes
    return s


cdef conv_shape unfold_shape(tuple sizes) except *:
    cdef conv_shape s
    s.N, s.IC, s.IH, s.IW, s.KH, s.KW, s.OH, s.OW, s.SH, s.SW, s.DH, s.DW = sizes
    s.OC, s.G = 0, 1
    return s


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
