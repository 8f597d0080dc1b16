"""Rung six: compute left-over pixels as dot products.

What limited rung five
----------------------
Small images. 14x14 pixels are 12 vectors of 16 and 4 pixels more, 7x7 are 3 vectors and one pixel. They took
a vector more, of which 6 % and 23 % of all that was multiplied were of no use. And because that last
vector would write beyond its image, all tiles of such images went to scratch memory, and x was copied.

The change
----------
Exchange the roles. The cells that a left-over pixel needs, its column of the im2col matrix, are gathered
in memory, one after another; the weights of a channel lie so as they are. Now a vector holds 16 terms of
one output instead of one term of 16 outputs, and no lane is idle. Only at the end are the lanes added.
Whole vectors of pixels go straight to y, and x is read in place, at any size.

What to expect
--------------
Where planes have the pitch of y, which they get at 7x7 to 28x28 if there are channels enough, nothing is
computed in vain. Others, such as rows of 56 outputs under a 3x3 window with 64 filters, are done as
before. What matters next is whether planes and weights are in the caches: at 512 channels of 7x7, the
weights of 8 output channels alone are 147 KB.

To read on: ``contiguous_tiles`` in tiles.pxd, now all of it, then ``dots`` in microkernel.pxd.
"""

cimport numpy as cnp
from libc.stdlib cimport free, malloc

from convkit._ext cimport conv_door
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.microkernel cimport NR_MAX
from convkit._ext.panels cimport conv2d_by_panels
from convkit._ext.planes cimport block, fill_offsets, layout, make_block, make_layout, pack
from convkit._ext.tiles cimport contiguous_tiles, flat_tiles, is_contiguous, row_tiles
from convkit._ext.vec cimport at, lanes, vd, vec, vf

cnp.import_array()


cdef void tail_pixels(
    vec *y, const vec *x, const vec *w, const vec *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cdef block k
    cdef layout p = make_layout(s, ih_of, iw_of)
    cdef Py_ssize_t n, g, image, IC = s.IC // s.G, OC = s.OC // s.G, K = IC*s.KH*s.KW
    cdef Py_ssize_t cells = IC*p.channel + NR_MAX  # the last tile may read on beyond the last plane
    cdef vec *packed = <vec *> malloc(cells*(sizeof(vec)//lanes(y)))
    cdef const vec *planes = packed
    cdef vec *columns = <vec *> malloc(K*sizeof(vec))
    cdef Py_ssize_t *off = <Py_ssize_t *> malloc(K*sizeof(Py_ssize_t))
    if p.possible and packed and columns and off:
        make_block(&k, &p, s, ih_of, iw_of, 0, 0, s.OH, s.OW)
        fill_offsets(off, &p, IC, s.KH, s.KW)
        for n in range(s.N):
            for g in range(s.G):
                image = (n*s.IC + g*IC)*s.IH*s.IW
                if p.in_place:
                    planes = at(x, image)
                else:
                    pack(packed, at(x, image), IC, s.N*s.IC*s.IH*s.IW - image, &k, s, n + g == 0)
                if is_contiguous(&p, s):
                    contiguous_tiles(at(y, (n*s.OC + g*OC)*s.OH*s.OW), columns, planes, off,
                                     at(w, g*OC*K), K, K, at(b, g*OC), OC, &p, s, <vec *> NULL, NULL)
                elif s.OW % lanes(y) == 0:
                    row_tiles(at(y, (n*s.OC + g*OC)*s.OH*s.OW), planes, off, at(w, g*OC*K), K, K,
                              at(b, g*OC), OC, &p, s)
                else:
                    flat_tiles(at(y, (n*s.OC + g*OC)*s.OH*s.OW), planes, off, at(w, g*OC*K), K, K,
                               at(b, g*OC), OC, &p, s)
    else:  # too many planes, or no memory: then slowly
        conv2d_by_panels(y, x, w, b, ih_of, iw_of, s, 0, 1)
    free(packed)
    free(columns)
    free(off)


# --- from C --------------------------------------------------------------------------------


cdef api void conv2d_f32(
    float *y, const float *x, const float *w, const float *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    tail_pixels(<vf *> y, <const vf *> x, <const vf *> w, <const vf *> b, ih_of, iw_of, s)


cdef api void conv2d_f64(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    tail_pixels(<vd *> y, <const vd *> x, <const vd *> w, <const vd *> b, ih_of, iw_of, s)


# --- from Python ---------------------------------------------------------------------------


def conv2d(
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    conv_door.conv2d(conv2d_f32, conv2d_f64, 50, conv_door.TILE,
                     y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
