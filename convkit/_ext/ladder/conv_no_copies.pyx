"""Rung five: leave out what is copied for nobody. Tiles go straight to y, and 1x1 windows read x itself.

What limited rung four
----------------------
Copies at both ends of the arithmetic. Each tile was written to scratch memory, and its rows from there
to y, even where none of its outputs was worthless; and for a 1x1 window of stride 1 the planes were x,
cell by cell. Where channels are few, a tile has little to do in between: 64 input channels and a 1x1
window are 64 terms, 768 cycles for 384 outputs.

The change
----------
Whoever knows that a copy changes nothing leaves it out. Where the planes' pitch is the length of a row
of y, or a row is whole vectors, tiles are stored in y. Where x is its own plane, the microkernel reads
x; it is the same offset table. Both need whole vectors, here: the last one would read and write on
beyond its image. So images of 14x14 do as before, and so do rows of 56 outputs under a 3x3 window
with 64 filters, whose tiles hold worthless outputs.

What to expect
--------------
Layers with a 1x1 window gain most. What is left at small images is the rest of the last vector.

To read on: ``contiguous_tiles`` in tiles.pxd, without what it does about pixels that are left over, and
``row_tiles``.
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


cdef void no_copies(
    vec *y, const vec *x, const vec *w, const vec *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cdef block k
    cdef layout p = make_layout(s, ih_of, iw_of)
    cdef Py_ssize_t n, g, image, IC = s.IC // s.G, OC = s.OC // s.G, K = IC*s.KH*s.KW
    cdef Py_ssize_t cells = IC*p.channel + NR_MAX  # the last tile may read on beyond the last plane
    cdef bint whole = s.OH*s.OW % lanes(y) == 0    # whether the pixels of an image are whole vectors
    cdef vec *packed = <vec *> malloc(cells*(sizeof(vec)//lanes(y)))
    cdef const vec *planes = packed
    cdef Py_ssize_t *off = <Py_ssize_t *> malloc(K*sizeof(Py_ssize_t))
    if p.possible and packed and off:
        make_block(&k, &p, s, ih_of, iw_of, 0, 0, s.OH, s.OW)
        fill_offsets(off, &p, IC, s.KH, s.KW)
        for n in range(s.N):
            for g in range(s.G):
                image = (n*s.IC + g*IC)*s.IH*s.IW
                if p.in_place and whole:
                    planes = at(x, image)
                else:
                    pack(packed, at(x, image), IC, s.N*s.IC*s.IH*s.IW - image, &k, s, n + g == 0)
                if is_contiguous(&p, s) and whole:
                    contiguous_tiles(at(y, (n*s.OC + g*OC)*s.OH*s.OW), <vec *> NULL, planes, off,
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
    free(off)


# --- from C --------------------------------------------------------------------------------


cdef api void conv2d_f32(
    float *y, const float *x, const float *w, const float *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    no_copies(<vf *> y, <const vf *> x, <const vf *> w, <const vf *> b, ih_of, iw_of, s)


cdef api void conv2d_f64(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    no_copies(<vd *> y, <const vd *> x, <const vd *> w, <const vd *> b, ih_of, iw_of, s)


# --- from Python ---------------------------------------------------------------------------


def conv2d(
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    conv_door.conv2d(conv2d_f32, conv2d_f64, 50, conv_door.TILE,
                     y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
