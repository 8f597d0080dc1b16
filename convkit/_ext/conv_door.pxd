"""The Python door that the convolution kernels share: check, then call, a few images at a time.

An image that takes long is done in parts, of which each has some of the output channels, so that Ctrl-C
need not wait for all of it. One with fewer channels than a tile is not parted: there Ctrl-C waits
for the whole image.
"""

cimport numpy as cnp

from convkit._ext cimport contract
from convkit._ext.conv_shape cimport conv_shape

cdef enum:
    TILE = 8  # output channels of the widest microkernel's tiles

ctypedef void (*f32_t)(
    float *y, const float *x, const float *w, const float *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil
ctypedef void (*f64_t)(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil


cdef struct part:
    conv_shape s          # of the part, a convolution of its own
    Py_ssize_t x, y, oc   # elements of x and of y before it, and output channels


cdef inline Py_ssize_t parts_of_image(
    const conv_shape *s, Py_ssize_t nanoseconds, Py_ssize_t tile
) noexcept nogil:
    """In how many parts to do an image that takes so long: whole groups, or if there is one, whole tiles."""
    return max(1, min(s.G if s.G > 1 else s.OC // tile, nanoseconds // contract.BETWEEN_SIGNALS))


cdef inline part make_part(
    const conv_shape *s, Py_ssize_t i, Py_ssize_t parts, Py_ssize_t tile
) noexcept nogil:
    cdef part p
    cdef Py_ssize_t first = i*s.G // parts, last = (i + 1)*s.G // parts
    p.s = s[0]
    if s.G > 1:
        p.s.G = last - first
        p.s.IC, p.s.OC = s.IC // s.G*p.s.G, s.OC // s.G*p.s.G
        p.x, p.oc = first*(s.IC // s.G)*s.IH*s.IW, first*(s.OC // s.G)
    else:
        p.x, p.oc = 0, i*(s.OC // tile) // parts*tile
        p.s.OC = (s.OC if i + 1 == parts else (i + 1)*(s.OC // tile) // parts*tile) - p.oc
    p.y = p.oc*s.OH*s.OW
    return p


cdef inline int conv2d(
    f32_t f32, f64_t f64, Py_ssize_t speed, Py_ssize_t tile,
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
) except -1:
    """Call the kernel of the arrays' type, and let Ctrl-C in between images, or their parts.

    `speed` is how many multiply-adds the kernel does in a nanosecond, roughly: it tells how long an image
    will take. `tile` is how many output channels it computes together, 1 or TILE: parts are whole tiles.
    """
    cdef conv_shape s
    cdef part p
    cdef int typenum = contract.conv2d(&s, y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
    cdef Py_ssize_t n, N = s.N, x_image = s.IC*s.IH*s.IW, y_image = s.OC*s.OH*s.OW
    cdef const Py_ssize_t *ih = <const Py_ssize_t *> ih_of.data
    cdef const Py_ssize_t *iw = <const Py_ssize_t *> iw_of.data
    cdef Py_ssize_t K = (s.IC // s.G)*s.KH*s.KW, time = y_image*K // speed + 1, i
    cdef Py_ssize_t at_once = contract.blocks_at_once(time)
    cdef Py_ssize_t parts = parts_of_image(&s, time, tile)
    n = 0
    while n < N:
        s.N = min(at_once, N - n)
        for i in range(parts):
            p = make_part(&s, i, parts, tile)
            with nogil:
                if typenum == cnp.NPY_FLOAT32:
                    f32(<float *> y.data + n*y_image + p.y, <const float *> x.data + n*x_image + p.x,
                        <const float *> w.data + p.oc*K, <const float *> b.data + p.oc, ih, iw, &p.s)
                else:
                    f64(<double *> y.data + n*y_image + p.y, <const double *> x.data + n*x_image + p.x,
                        <const double *> w.data + p.oc*K, <const double *> b.data + p.oc, ih, iw, &p.s)
            contract.signals()
        n += at_once
    return 0
