"""Rung seven: work in blocks, so that what is used again is still in a cache.

What limited rung six
---------------------
Memory traffic, where planes exceed the L2 cache: every 8 output channels read all of them again. With each
cell that is read so, a 1x1 window does 16 FLOPs, 4 for each byte; at 64 FLOPs a cycle that is
16 bytes a cycle from beyond L2, which is more than came. (A 3x3 window does 36 FLOPs for each byte, and
asks for 1.8 bytes a cycle.) And the weights of 8 channels, which each tile reads again, exceed L1 when
there are many terms.

The change
----------
Loops over blocks (blocks.pxd) around the same tiles: some rows of outputs, then some input channels,
whose planes fit L2 and, in float32, whose weights fit L1. All but the first block of terms add to what
y holds.

What to expect
--------------
About four fifths of what the core can multiply and add, and more where a cell serves many taps; layers
with a stride, which copy more cells for each multiply-add, somewhat less. Workspace no longer grows with
the layer.

To read on: ``make_plan`` and ``dense_unit`` in blocks.pxd. Depthwise convolutions, in which no other
channel uses a cell again, are bound by loads and stores and get kernels of their own from this rung on:
depthwise.pxd and then depthwise_rows.pxd.
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
    cdef plan a = make_plan(s, ih_of, iw_of, lanes(y), size, False)
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
    conv_door.conv2d(conv2d_f32, conv2d_f64, 80, conv_door.TILE,
                     y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
