"""Rung one: the definition of a convolution, seven loops deep.

    y[n, oc, oh, ow] = b[oc] + sum over ic, kh, kw of w[oc, ic, kh, kw] * x[n, ic, ih, iw]

where ih = ih_of[oh*SH + kh*DH] and iw = iw_of[ow*SW + kw*DW], and x is 0 where either is -1.

What limits it
--------------
The additions to one total wait for one another: 2 FLOPs in the 4 cycles that a fused multiply-add
takes. A core that starts two of them a cycle, on 16 lanes each, could do 256 FLOPs in that time.
Memory is no limit yet, though each multiply-add loads its two factors (8 bytes for 2 FLOPs), nearly
always from the L1 cache. A 1x1 window is slower still: it begins and ends two loops for each
multiply-add. Sums are kept in the arrays' own precision.

Figures here and on all rungs above are for float32 and a core with AVX-512: 16 numbers in a vector,
two fused multiply-adds of vectors in a cycle, 64 FLOPs.
"""

cimport numpy as cnp
from cython cimport floating

from convkit._ext cimport conv_door
from convkit._ext.conv_shape cimport conv_shape

cnp.import_array()


cdef void seven_loops(
    floating *y, const floating *x, const floating *w, const floating *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cdef Py_ssize_t n, oc, oh, ow, ic, kh, kw, ih, iw
    cdef Py_ssize_t IC = s.IC // s.G, OC = s.OC // s.G  # of one group
    cdef const floating *plane
    cdef floating total, cell
    for n in range(s.N):
        for oc in range(s.OC):
            for oh in range(s.OH):
                for ow in range(s.OW):
                    total = b[oc]
                    for ic in range(IC):
                        plane = x + (n*s.IC + oc // OC * IC + ic)*s.IH*s.IW
                        for kh in range(s.KH):
                            ih = ih_of[oh*s.SH + kh*s.DH]
                            for kw in range(s.KW):
                                iw = iw_of[ow*s.SW + kw*s.DW]
                                cell = plane[ih*s.IW + iw] if ih >= 0 and iw >= 0 else 0
                                total += w[((oc*IC + ic)*s.KH + kh)*s.KW + kw]*cell
                    y[((n*s.OC + oc)*s.OH + oh)*s.OW + ow] = total


# --- from C --------------------------------------------------------------------------------


cdef api void conv2d_f32(
    float *y, const float *x, const float *w, const float *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    seven_loops(y, x, w, b, ih_of, iw_of, s)


cdef api void conv2d_f64(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    seven_loops(y, x, w, b, ih_of, iw_of, s)


# --- from Python ---------------------------------------------------------------------------


def conv2d(
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    conv_door.conv2d(conv2d_f32, conv2d_f64, 1, 1,
                     y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
