"""The compiled kernels for C: what other Cython code may cimport.

    from convkit._ext.kernels cimport pad2d_f32

Each name is a pointer to the kernel as built for the instruction set that convkit chose. A kernel
needs no GIL, checks nothing and never fails: the caller keeps the contract of convkit/dispatch.py.
Arguments come in the order given there; the extents, which a pointer does not carry, come last.
Pointers need the alignment of their elements and no more.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t

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

ctypedef void (*im2col_f32_t)(
    float *cols, const float *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil
ctypedef void (*im2col_f64_t)(
    double *cols, const double *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil

ctypedef void (*col2im_f32_t)(
    float *x, const float *cols, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil
ctypedef void (*col2im_f64_t)(
    double *x, const double *cols, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil

ctypedef void (*avg_pool2d_f32_t)(
    float *y, const float *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil
ctypedef void (*avg_pool2d_f64_t)(
    double *y, const double *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil

ctypedef void (*avg_pool2d_backward_f32_t)(
    float *dx, const float *dy, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil
ctypedef void (*avg_pool2d_backward_f64_t)(
    double *dx, const double *dy, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil

ctypedef void (*max_pool2d_f32_t)(
    float *y, const float *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil
ctypedef void (*max_pool2d_f64_t)(
    double *y, const double *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil

ctypedef void (*max_pool2d_indices_f32_t)(
    float *y, int64_t *indices, const float *x,
    const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil
ctypedef void (*max_pool2d_indices_f64_t)(
    double *y, int64_t *indices, const double *x,
    const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil

ctypedef void (*max_pool2d_backward_f32_t)(
    float *dx, const float *dy, const int64_t *indices,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil
ctypedef void (*max_pool2d_backward_f64_t)(
    double *dx, const double *dy, const int64_t *indices,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil

ctypedef void (*channel_mean_f32_t)(
    float *y, const float *x, Py_ssize_t N, Py_ssize_t C, Py_ssize_t S
) noexcept nogil
ctypedef void (*channel_mean_f64_t)(
    double *y, const double *x, Py_ssize_t N, Py_ssize_t C, Py_ssize_t S
) noexcept nogil

ctypedef void (*channel_mean_backward_f32_t)(
    float *dx, const float *dy, Py_ssize_t N, Py_ssize_t C, Py_ssize_t S
) noexcept nogil
ctypedef void (*channel_mean_backward_f64_t)(
    double *dx, const double *dy, Py_ssize_t N, Py_ssize_t C, Py_ssize_t S
) noexcept nogil

ctypedef void (*normalize_f32_t)(
    float *y, double *mean, double *var, const float *x, const float *weight, const float *bias,
    double eps, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil
ctypedef void (*normalize_f64_t)(
    double *y, double *mean, double *var, const double *x, const double *weight, const double *bias,
    double eps, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil

ctypedef void (*normalize_given_f32_t)(
    float *y, const float *x, const double *mean, const double *invstd, const float *weight,
    const float *bias, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil
ctypedef void (*normalize_given_f64_t)(
    double *y, const double *x, const double *mean, const double *invstd, const double *weight,
    const double *bias, Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil

ctypedef void (*normalize_backward_f32_t)(
    float *dx, float *dweight, float *dbias, const float *dy, const float *x, const float *weight,
    const double *mean, const double *invstd,
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil
ctypedef void (*normalize_backward_f64_t)(
    double *dx, double *dweight, double *dbias, const double *dy, const double *x, const double *weight,
    const double *mean, const double *invstd,
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil

ctypedef void (*normalize_given_backward_f32_t)(
    float *dx, float *dweight, float *dbias, const float *dy, const float *x, const float *weight,
    const double *mean, const double *invstd,
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil
ctypedef void (*normalize_given_backward_f64_t)(
    double *dx, double *dweight, double *dbias, const double *dy, const double *x, const double *weight,
    const double *mean, const double *invstd,
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W
) noexcept nogil

ctypedef void (*dropout_f32_t)(
    float *y, const float *x, uint64_t seed, uint64_t threshold, double scale, Py_ssize_t U, Py_ssize_t B
) noexcept nogil
ctypedef void (*dropout_f64_t)(
    double *y, const double *x, uint64_t seed, uint64_t threshold, double scale, Py_ssize_t U, Py_ssize_t B
) noexcept nogil

ctypedef void (*dropout_mask_f32_t)(
    float *y, uint8_t *mask, const float *x, uint64_t seed, uint64_t threshold, double scale,
    Py_ssize_t U, Py_ssize_t B
) noexcept nogil
ctypedef void (*dropout_mask_f64_t)(
    double *y, uint8_t *mask, const double *x, uint64_t seed, uint64_t threshold, double scale,
    Py_ssize_t U, Py_ssize_t B
) noexcept nogil

ctypedef void (*dropout_given_f32_t)(
    float *y, const float *x, const uint8_t *mask, double scale, Py_ssize_t U, Py_ssize_t B
) noexcept nogil
ctypedef void (*dropout_given_f64_t)(
    double *y, const double *x, const uint8_t *mask, double scale, Py_ssize_t U, Py_ssize_t B
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
cdef im2col_f32_t im2col_f32
cdef im2col_f64_t im2col_f64
cdef col2im_f32_t col2im_f32
cdef col2im_f64_t col2im_f64
cdef avg_pool2d_f32_t avg_pool2d_f32
cdef avg_pool2d_f64_t avg_pool2d_f64
cdef avg_pool2d_backward_f32_t avg_pool2d_backward_f32
cdef avg_pool2d_backward_f64_t avg_pool2d_backward_f64
cdef max_pool2d_f32_t max_pool2d_f32
cdef max_pool2d_f64_t max_pool2d_f64
cdef max_pool2d_indices_f32_t max_pool2d_indices_f32
cdef max_pool2d_indices_f64_t max_pool2d_indices_f64
cdef max_pool2d_backward_f32_t max_pool2d_backward_f32
cdef max_pool2d_backward_f64_t max_pool2d_backward_f64
cdef channel_mean_f32_t channel_mean_f32
cdef channel_mean_f64_t channel_mean_f64
cdef channel_mean_backward_f32_t channel_mean_backward_f32
cdef channel_mean_backward_f64_t channel_mean_backward_f64
cdef normalize_f32_t normalize_f32
cdef normalize_f64_t normalize_f64
cdef normalize_given_f32_t normalize_given_f32
cdef normalize_given_f64_t normalize_given_f64
cdef normalize_backward_f32_t normalize_backward_f32
cdef normalize_backward_f64_t normalize_backward_f64
cdef normalize_given_backward_f32_t normalize_given_backward_f32
cdef normalize_given_backward_f64_t normalize_given_backward_f64
cdef dropout_f32_t dropout_f32
cdef dropout_f64_t dropout_f64
cdef dropout_mask_f32_t dropout_mask_f32
cdef dropout_mask_f64_t dropout_mask_f64
cdef dropout_given_f32_t dropout_given_f32
cdef dropout_given_f64_t dropout_given_f64
