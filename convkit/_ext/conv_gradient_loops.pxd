"""The gradients of a convolution as their definitions have them: seven loops each, and no workspace."""

from cython cimport floating

from convkit._ext.conv_shape cimport conv_shape


cdef inline void scatter_loops(
    floating *y, const floating *x, const floating *w, const floating *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    """Transposed convolution: each cell of x adds its multiple of the kernel to the cells of y."""
    cdef Py_ssize_t n, oc, ic, kh, kw, oh, ow, ih, iw, i
    cdef Py_ssize_t IC = s.IC // s.G, OC = s.OC // s.G  # of one group
    cdef floating *plane
    cdef floating cell
    for n in range(s.N):
        for ic in range(s.IC):
            plane = y + (n*s.IC + ic)*s.IH*s.IW
            for i in range(s.IH*s.IW):
                plane[i] = b[ic]
            for oc in range(ic // IC * OC, (ic // IC + 1)*OC):
                for oh in range(s.OH):
                    for ow in range(s.OW):
                        cell = x[((n*s.OC + oc)*s.OH + oh)*s.OW + ow]
                        for kh in range(s.KH):
                            ih = ih_of[oh*s.SH + kh*s.DH]
                            for kw in range(s.KW):
                                iw = iw_of[ow*s.SW + kw*s.DW]
                                if ih >= 0 and iw >= 0:
                                    plane[ih*s.IW + iw] += w[((oc*IC + ic % IC)*s.KH + kh)*s.KW + kw]*cell


cdef inline void gather_loops(
    floating *dw, const floating *dy, const floating *x,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    """Gradient for w: one weight, that is a channel and a tap, then all pixels of all images."""
    cdef Py_ssize_t n, oc, ic, kh, kw, oh, ow, ih, iw
    cdef Py_ssize_t IC = s.IC // s.G, OC = s.OC // s.G  # of one group
    cdef const floating *plane
    cdef const floating *dy_plane
    cdef floating total, cell
    for oc in range(s.OC):
        for ic in range(IC):
            for kh in range(s.KH):
                for kw in range(s.KW):
                    total = 0
                    for n in range(s.N):
                        plane = x + (n*s.IC + oc // OC * IC + ic)*s.IH*s.IW
                        dy_plane = dy + (n*s.OC + oc)*s.OH*s.OW
                        for oh in range(s.OH):
                            ih = ih_of[oh*s.SH + kh*s.DH]
                            for ow in range(s.OW):
                                iw = iw_of[ow*s.SW + kw*s.DW]
                                cell = plane[ih*s.IW + iw] if ih >= 0 and iw >= 0 else 0
                                total += dy_plane[oh*s.OW + ow]*cell
                    dw[((oc*IC + ic)*s.KH + kh)*s.KW + kw] = total
