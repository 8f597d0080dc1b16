"""Rung one of the gradients: their definitions, seven loops deep.

    dx[n, ic, ih, iw]  = sum over oc, kh, kw, oh, ow of  w[oc, ic, kh, kw] * dy[n, oc, oh, ow]
    dw[oc, ic, kh, kw] = sum over n, oh, ow of           dy[n, oc, oh, ow] * x[n, ic, ih, iw]

where ih = ih_of[oh*SH + kh*DH] and iw = iw_of[ow*SW + kw*DW]. The first is the transposed convolution.

What limits them
----------------
They do as many multiply-adds as the convolution itself, one at a time. The gradient for x scatters: it
goes through the cells of dy and adds to KH*KW cells of dx for each, that is 2 loads and a store for 2
FLOPs, all in the L1 cache. The gradient for w gathers: one sum, whose additions wait for one another.
"""

cimport numpy as cnp

from convkit._ext cimport contract
from convkit._ext.conv_gradient_loops cimport gather_loops, scatter_loops
from convkit._ext.conv_shape cimport conv_shape

cnp.import_array()


# --- from C --------------------------------------------------------------------------------


cdef api void conv_transpose2d_f32(
    float *y, const float *x, const float *w, const float *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    scatter_loops(y, x, w, b, ih_of, iw_of, s)


cdef api void conv_transpose2d_f64(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    scatter_loops(y, x, w, b, ih_of, iw_of, s)


cdef api void conv2d_grad_w_f32(
    float *dw, const float *dy, const float *x,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    gather_loops(dw, dy, x, ih_of, iw_of, s)


cdef api void conv2d_grad_w_f64(
    double *dw, const double *dy, const double *x,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    gather_loops(dw, dy, x, ih_of, iw_of, s)


# --- from Python ---------------------------------------------------------------------------


def conv_transpose2d(
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
):
    """Fill y (N, IC, IH, IW) from x (N, OC, OH, OW), w (OC, IC/G, KH, KW) and b (IC,)."""
    cdef conv_shape s
    cdef int typenum = contract.conv_transpose2d(&s, y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
    cdef Py_ssize_t n, N = s.N, x_image = s.OC*s.OH*s.OW, y_image = s.IC*s.IH*s.IW
    cdef const Py_ssize_t *ih = <const Py_ssize_t *> ih_of.data
    cdef const Py_ssize_t *iw = <const Py_ssize_t *> iw_of.data
    s.N = contract.blocks_at_once(x_image*(s.IC // s.G)*s.KH*s.KW)
    for n in range(0, N, s.N):
        s.N = min(s.N, N - n)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                conv_transpose2d_f32(<float *> y.data + n*y_image, <const float *> x.data + n*x_image,
                                     <const float *> w.data, <const float *> b.data, ih, iw, &s)
            else:
                conv_transpose2d_f64(<double *> y.data + n*y_image, <const double *> x.data + n*x_image,
                                     <const double *> w.data, <const double *> b.data, ih, iw, &s)
        contract.signals()


def conv2d_grad_w(
    cnp.ndarray dw, cnp.ndarray dy, cnp.ndarray x, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
):
    """Fill dw (OC, IC/G, KH, KW) from dy (N, OC, OH, OW) and x (N, IC, IH, IW)."""
    cdef conv_shape s
    cdef int typenum = contract.conv2d_grad_w(&s, dw, dy, x, ih_of, iw_of, SH, SW, DH, DW)
    with nogil:
        if typenum == cnp.NPY_FLOAT32:
            conv2d_grad_w_f32(<float *> dw.data, <const float *> dy.data, <const float *> x.data,
                              <const Py_ssize_t *> ih_of.data, <const Py_ssize_t *> iw_of.data, &s)
        else:
            conv2d_grad_w_f64(<double *> dw.data, <const double *> dy.data, <const double *> x.data,
                              <const Py_ssize_t *> ih_of.data, <const Py_ssize_t *> iw_of.data, &s)
