"""The Python door that the convolution kernels share: check, then call, a few images at a time."""

cimport numpy as cnp

from convkit._ext cimport contract
from convkit._ext.conv_shape cimport conv_shape

ctypedef void (*f32_t)(
    float *y, const float *x, const float *w, const float *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil
ctypedef void (*f64_t)(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil


cdef inline int conv2d(
    f32_t f32, f64_t f64, Py_ssize_t speed,
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
) except -1:
    """Call the kernel of the arrays' type, and let Ctrl-C in between images.

    `speed` is how many multiply-adds it does in a nanosecond, roughly.
    """
    cdef conv_shape s
    cdef int typenum = contract.conv2d(&s, y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
    cdef Py_ssize_t n, N = s.N, x_image = s.IC*s.IH*s.IW, y_image = s.OC*s.OH*s.OW
    cdef const Py_ssize_t *ih = <const Py_ssize_t *> ih_of.data
    cdef const Py_ssize_t *iw = <const Py_ssize_t *> iw_of.data
    cdef Py_ssize_t at_once = contract.blocks_at_once(y_image*(s.IC // s.G)*s.KH*s.KW // speed + 1)
    n = 0
    while n < N:
        s.N = min(at_once, N - n)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                f32(<float *> y.data + n*y_image, <const float *> x.data + n*x_image,
                    <const float *> w.data, <const float *> b.data, ih, iw, &s)
            else:
                f64(<double *> y.data + n*y_image, <const double *> x.data + n*x_image,
                    <const double *> w.data, <const double *> b.data, ih, iw, &s)
        contract.signals()
        n += at_once
    return 0


cdef inline int conv_transpose2d(
    f32_t f32, f64_t f64, Py_ssize_t speed,
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
) except -1:
    """The same for transposed convolutions."""
    cdef conv_shape s
    cdef int typenum = contract.conv_transpose2d(&s, y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
    cdef Py_ssize_t n, N = s.N, x_image = s.OC*s.OH*s.OW, y_image = s.IC*s.IH*s.IW
    cdef const Py_ssize_t *ih = <const Py_ssize_t *> ih_of.data
    cdef const Py_ssize_t *iw = <const Py_ssize_t *> iw_of.data
    cdef Py_ssize_t at_once = contract.blocks_at_once(x_image*(s.IC // s.G)*s.KH*s.KW // speed + 1)
    n = 0
    while n < N:
        s.N = min(at_once, N - n)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                f32(<float *> y.data + n*y_image, <const float *> x.data + n*x_image,
                    <const float *> w.data, <const float *> b.data, ih, iw, &s)
            else:
                f64(<double *> y.data + n*y_image, <const double *> x.data + n*x_image,
                    <const double *> w.data, <const double *> b.data, ih, iw, &s)
        contract.signals()
        n += at_once
    return 0
