"""Rung four: copy rows, not cells, into planes in which every tap of the window is one offset.

What limited rung three
-----------------------
Copying, cell by cell, each by looking it up in two tables. A copied cell served one tap of 64
channels, 2 cycles at 64 FLOPs a cycle, and took more than twice as long. For a 3x3 window it was copied
nine times.

The change
----------
Planes (planes.pxd) hold the whole padded image of a group, each cell once or, at most, once for each
tap across. Seen from the output's number, the cell for each tap is always equally far away, so one
offset table serves all tiles, and the microkernel reads the planes as it read the panel. Rows are
copied by vectors.

What to expect
--------------
Copying now takes a few percent for 3x3 windows, more for 1x1, whose cells serve one tap only. (Under a
1x1 window all that planes bring is that rows are copied by vectors.) Where
rows are long or output channels few, one plane serves all taps, and outputs at the ends of rows are
computed in vain, 2 of 58 for a 3x3 window on 56 pixels; elsewhere each tap across has a plane of its
own. The rest of the last vector is computed in vain too, 15 of 64 pixels at 7x7. And the planes of
large images exceed the caches: every block of 8 output channels reads all of them again.

To read on: planes.pxd down to ``fill_offsets``, then ``flat_tiles`` in tiles.pxd.
"""

cimport numpy as cnp
from libc.stdlib cimport free, malloc

from convkit._ext cimport conv_door
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.microkernel cimport NR_MAX
from convkit._ext.panels cimport conv2d_by_panels
from convkit._ext.planes cimport block, fill_offsets, layout, make_block, make_layout, pack
from convkit._ext.tiles cimport flat_tiles
from convkit._ext.vec cimport at, lanes, vd, vec, vf

cnp.import_array()


cdef void planes(
    vec *y, const vec *x, const vec *w, const vec *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cdef block k
    cdef layout p = make_layout(s, ih_of, iw_of)
    cdef Py_ssize_t n, g, image, IC = s.IC // s.G, OC = s.OC // s.G, K = IC*s.KH*s.KW
    cdef Py_ssize_t cells = IC*p.channel + NR_MAX  # the last tile may read on beyond the last plane
    cdef vec *packed = <vec *> malloc(cells*(sizeof(vec)//lanes(y)))
    cdef Py_ssize_t *off = <Py_ssize_t *> malloc(K*sizeof(Py_ssize_t))
    if p.possible and packed and off:
        make_block(&k, &p, s, ih_of, iw_of, 0, 0, s.OH, s.OW)
        fill_offsets(off, &p, IC, s.KH, s.KW)
        for n in range(s.N):
            for g in range(s.G):
                image = (n*s.IC + g*IC)*s.IH*s.IW
                pack(packed, at(x, image), IC, s.N*s.IC*s.IH*s.IW - image, &k, s, n + g == 0)
                flat_tiles(at(y, (n*s.OC + g*OC)*s.OH*s.OW), packed, off, at(w, g*OC*K), K, K,
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
    planes(<vf *> y, <const vf *> x, <const vf *> w, <const vf *> b, ih_of, iw_of, s)


cdef api void conv2d_f64(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    planes(<vd *> y, <const vd *> x, <const vd *> w, <const vd *> b, ih_of, iw_of, s)


# --- from Python ---------------------------------------------------------------------------


def conv2d(
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    conv_door.conv2d(conv2d_f32, conv2d_f64, 50, conv_door.TILE,
                     y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
