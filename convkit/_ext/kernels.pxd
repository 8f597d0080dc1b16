"""The compiled kernels for C: what other Cython code may cimport.

    from convkit._ext.kernels cimport pad2d_f32

Each name is a pointer to the kernel as built for the instruction set that convkit chose. A kernel
needs no GIL, checks nothing and never fails: the caller keeps the contract of convkit/dispatch.py.
Arguments come in the order given there; the extents, which a pointer does not carry, come last.
Pointers need the alignment of their elements and no more.
"""

from convkit._ext.conv_shape cimport conv_shape

ctypedef void (*conv2d_f32_t)(
    float *y, const float *x, const float *w, const float *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil
ctypedef void (*conv2d_f64_t)(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil

ctypedef void (*conv_transpose2d_f32_t)(
    float *y, const float *x, const float *w, const float *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil
ctypedef void (*conv_transpose2d_f64_t)(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil

ctypedef void (*conv2d_grad_w_f32_t)(
    float *dw, const float *dy, const float *x,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil
ctypedef void (*conv2d_grad_w_f64_t)(
    double *dw, const double *dy, const double *x,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil

ctypedef void (*conv2d_grad_b_f32_t)(
    float *db, const float *dy, Py_ssize_t N, Py_ssize_t OC, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil
ctypedef void (*conv2d_grad_b_f64_t)(
    double *db, const double *dy, Py_ssize_t N, Py_ssize_t OC, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil

ctypedef void (*pad2d_f32_t)(
    float *y, const float *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, float value,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil
ctypedef void (*pad2d_f64_t)(
    double *y, const double *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, double value,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil

ctypedef void (*pad2d_backward_f32_t)(
    float *dx, const float *dy, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil
ctypedef void (*pad2d_backward_f64_t)(
    double *dx, const double *dy, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil

cdef conv2d_f32_t conv2d_f32
cdef conv2d_f64_t conv2d_f64
cdef conv_transpose2d_f32_t conv_transpose2d_f32
cdef conv_transpose2d_f64_t conv_transpose2d_f64
cdef conv2d_grad_w_f32_t conv2d_grad_w_f32
cdef conv2d_grad_w_f64_t conv2d_grad_w_f64
cdef conv2d_grad_b_f32_t conv2d_grad_b_f32
cdef conv2d_grad_b_f64_t conv2d_grad_b_f64
cdef pad2d_f32_t pad2d_f32
cdef pad2d_f64_t pad2d_f64
cdef pad2d_backward_f32_t pad2d_backward_f32
cdef pad2d_backward_f64_t pad2d_backward_f64
