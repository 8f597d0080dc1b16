"""Calls compiled kernels as C code would: by cimport, on raw addresses, without the GIL.

Every function takes a capsule that holds the kernel to call, or None for the one that kernels.pxd
names, then the kernel's own arguments, pointers as integers.
"""

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer

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
