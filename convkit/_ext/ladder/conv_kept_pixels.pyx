"""Rung eight: keep the pixels that the first channels read, side by side for the others.

What limited rung seven
-----------------------
How pixels lie where x itself serves as planes, under 1x1 windows. A tile's pixels for one term are 192
bytes of a row of x, and those for the next term are a whole image of one channel further on. Where they
begin inside a cache line (NumPy's large arrays do, 16 bytes after its beginning, and with them every channel
of 56x56 or 28x28), 192 bytes are parts of four lines, not three, and every vector lies across two; and no
two terms are neighbours, so a processor that loads ahead what follows has nothing to go by. For 12 cycles
of multiply-adds a term that is four lines from the L2 cache, 21 bytes a cycle.

The change
----------
The tiles of the first 8 channels store the vectors that they load (``tile_kept`` in microkernel.pxd):
three stores in 12 cycles in which nothing else was stored. A tile's vectors become one panel, term after
term, which begins with a cache line. All other channels read the panel, three whole lines a term, in the
order of memory: another offset table, and the same microkernel.

What to expect
--------------
Under 1x1 windows a tenth, or a fifth where x does not begin with a cache line and terms are many, on a
processor that moves lines slowly from L2, such as Intel's Emerald Rapids; little where 20 bytes a cycle are
no trouble, or where a channel is as short as a tile's row and its neighbour follows at once (7x7). Nothing
else changes: planes of larger windows were packed as it is, and their taps read a line many times. Panels
for these too were slower, by up to a quarter.

Tried besides, on that processor: to ask for the next tile's pixels in the tiles of the first channels
(nothing gained: the last-level cache gives 6 bytes a cycle, and they ask for 16), and for the next
block's, a line for every second term in all later tiles (up to 5 % on layers with few channels, for one
more kind of tile).

To read on: ``contiguous_tiles`` in tiles.pxd.
"""

cimport numpy as cnp

from convkit._ext cimport conv_door
from convkit._ext.blocks cimport allocate, convolve_units, make_plan, plan, release, workspace
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.panels cimport conv2d_by_panels
from convkit._ext.vec cimport lanes, vd, vec, vf

cnp.import_array()


cdef void kept_pixels(
    vec *y, const vec *x, const vec *w, const vec *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cdef Py_ssize_t size = sizeof(vec)//lanes(y)
    cdef plan a = make_plan(s, ih_of, iw_of, lanes(y), size, True)
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
    kept_pixels(<vf *> y, <const vf *> x, <const vf *> w, <const vf *> b, ih_of, iw_of, s)


cdef api void conv2d_f64(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    kept_pixels(<vd *> y, <const vd *> x, <const vd *> w, <const vd *> b, ih_of, iw_of, s)


# --- from Python ---------------------------------------------------------------------------


def conv2d(
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    conv_door.conv2d(conv2d_f32, conv2d_f64, 80, conv_door.TILE,
                     y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
