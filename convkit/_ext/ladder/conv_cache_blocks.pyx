"""Rung six: work in blocks, so that what is used again is still in a cache.

What limited rung five
----------------------
Memory traffic, where planes exceed the L2 cache: every 8 output channels read all of them again, and a
1x1 window does 16 FLOPs with each cell that it reads so, 4 for each byte. (A 3x3 window does 36 for each
byte.) For a 1x1 window each cell was copied, too, to be used for a single tap. And the weights
of 8 channels, which each tile reads again, exceed L1 when there are many terms.

The change
----------
Loops over blocks (blocks.pxd) around the same tiles: some rows of outputs, then some input channels,
whose planes fit L2 and, in float32, whose weights fit L1. All but the first block of terms add to what
y holds. A 1x1 window with stride 1 needs no copy at all: x itself is planes already. Depthwise
convolutions, in which no other channel uses a cell again, get short kernels of their own.

What to expect
--------------
More than four fifths of what the core can multiply and add, whatever the size. Workspace no longer
grows with the layer.

To read on: ``make_plan`` and ``dense_unit`` in blocks.pxd; for depthwise layers, depthwise.pxd and then
depthwise_rows.pxd.
"""

cimport numpy as cnp

from convkit._ext cimport conv_door
from convkit._ext.blocks cimport allocate, convolve_units, make_plan, plan, release, workspace
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.panels cimport conv2d_by_panels
from convkit._ext.vec cimport lanes, vd, vec, vf

cnp.import_array()


cdef void cache_blocks(
    vec *y, const vec *x, const vec *w, const vec *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cdef Py_ssize_t size = sizeof(vec)//lanes(y)
    cdef plan a = make_plan(s, ih_of, iw_of, lanes(y), size)
    cdef workspace t
    if not a.possible or not allocate(&t, &a, size, 1):
        conv2d_by_panels(y, x, w, b, ih_of, iw_of, s, 0, 1)
        return
    convolve_units(y, x, w, b, ih_of, iw_of, s, &a, &t, 0, 0, a.units, 0, s.OC // s.G)
    release(&t)


# --- from C --------------------------------------------------------------------------------


cdef api void conv2d_f32(
    float *y, const float *x, const float *w, const float *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cache_blocks(<vf *> y, <const vf *> x, <const vf *> w, <const vf *> b, ih_of, iw_of, s)


cdef api void conv2d_f64(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cache_blocks(<vd *> y, <const vd *> x, <const vd *> w, <const vd *> b, ih_of, iw_of, s)


# --- from Python ---------------------------------------------------------------------------


def conv2d(
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    conv_door.conv2d(conv2d_f32, conv2d_f64, 80, y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
