"""Rung three: keep a tile of 8 channels by 48 pixels in registers, read through an offset table.

What limited rung two
---------------------
Short rows: to begin and to end a row took about as long whether it had 14 outputs or 56. And, if rows
were endless, memory traffic: for each multiply-add of a vector, two vectors were loaded and one stored,
12 bytes for 2 FLOPs. The 64 FLOPs that a core with AVX-512 does in a cycle would take 256 bytes loaded,
where it can load 128: half its speed at best.

The change
----------
A tile of sums stays in registers while terms are added to it (microkernel.pxd), on this rung 64 at a
time, as many as a panel holds. Each vector that is loaded, a cell for each of 16 pixels, serves 8
output channels, and each weight three vectors: 11 loads for 24 multiply-adds, 0.6 bytes for 2 FLOPs, and the
tile is loaded and stored once for 64 terms. The microkernel finds the cells of term k at off[k]. Here they
come from a panel into which they were copied just before: 64 rows by 48 columns of the im2col matrix, in
which they are neighbours whatever stride, dilation and padding say.

What to expect
--------------
The multiply-adds run at the speed of the processor; the copying does not. It looks up each cell in
the tables, which takes some 5 cycles, and the copy serves 64 output channels in 2 cycles: that is
so for a 1x1 window already, and others copy each cell KH*KW times, once for every tap that reads it.

To read on: microkernel.pxd down to ``tile``, which all rungs above use as it is, then panels.pxd.
"""

cimport numpy as cnp

from convkit._ext cimport conv_door
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.panels cimport conv2d_by_panels
from convkit._ext.vec cimport vd, vf

cnp.import_array()


cdef api void conv2d_f32(
    float *y, const float *x, const float *w, const float *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    conv2d_by_panels(<vf *> y, <const vf *> x, <const vf *> w, <const vf *> b, ih_of, iw_of, s, 0, 1)


cdef api void conv2d_f64(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    conv2d_by_panels(<vd *> y, <const vd *> x, <const vd *> w, <const vd *> b, ih_of, iw_of, s, 0, 1)


def conv2d(
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    conv_door.conv2d(conv2d_f32, conv2d_f64, 40, conv_door.TILE,
                     y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
