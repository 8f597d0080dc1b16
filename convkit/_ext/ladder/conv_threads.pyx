"""Rung nine, the top: share the work among threads. This is ``direct``.

What limited rung eight
-----------------------
One core: it does most of its 64 FLOPs a cycle, with planes and weights from its own L1 and L2. A
second core has as many FLOPs, and caches of its own.

The change
----------
The units (images, groups, blocks of rows) stand in one line, each as long as it has outputs, and the
line is cut into equal pieces. Where a cut falls into a unit, two threads share its output channels, and
each packs its planes for itself, which takes less time than to wait for the other. (Whole units alone
are too few to go round: 28 rows make blocks of 16 and of 12, and one thread of two would have a third
more to do.) A sum is never split, so its bits are the same at any number of threads.

What to expect
--------------
Nearly twice the speed on two cores; less where both pack the same planes, and in layers so small that
the threads take as long to wake up.
"""

cimport numpy as cnp
from cython.parallel cimport prange

from convkit._ext cimport conv_door
from convkit._ext.blocks cimport (
    allocate, bytes_of_thread, convolve_units, make_plan, outputs_of, plan, release, workspace
)
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.microkernel cimport MR
from convkit._ext.panels cimport conv2d_by_panels
from convkit._ext.threads cimport threads_for
from convkit._ext.vec cimport lanes, vd, vec, vf

cnp.import_array()


cdef enum:
    MULTIPLY_ADDS = 32  # that a core does in the time in which it moves an element, for `threads_for`


cdef struct boundary:
    Py_ssize_t unit, tile  # the units before it, and the tiles of the next one's output channels


cdef boundary boundary_of(
    const conv_shape *s, const plan *a, Py_ssize_t tiles, Py_ssize_t thread, Py_ssize_t threads
) noexcept nogil:
    """Where a thread's share begins, if each gets as many outputs as the others."""
    cdef boundary e
    cdef Py_ssize_t blocks = a.row_blocks*a.col_blocks, image = s.OH*s.OW*tiles
    cdef Py_ssize_t before = s.N*s.G*image*thread // threads, size = 1
    e.unit = before // image*blocks
    before -= before // image*image
    while before > 0:
        size = outputs_of(a, s, e.unit)
        if before < size*tiles:
            break
        before -= size*tiles
        e.unit += 1
    e.tile = (before + size//2) // size
    if e.tile == tiles:
        e.unit += 1
        e.tile = 0
    return e


cdef void share(
    vec *y, const vec *x, const vec *w, const vec *b, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const conv_shape *s, const plan *a, const workspace *t, Py_ssize_t thread, Py_ssize_t threads
) noexcept nogil:
    """Do the thread's share: whole units, and some output channels of the first and of the last one."""
    cdef Py_ssize_t OC = s.OC // s.G, tiles = (OC + MR - 1) // MR, m
    cdef boundary here = boundary_of(s, a, tiles, thread, threads)
    cdef boundary there = boundary_of(s, a, tiles, thread + 1, threads)
    if here.tile > 0:
        m = here.tile*MR
        here.tile = there.tile if here.unit == there.unit else tiles
        convolve_units(y, x, w, b, ih_of, iw_of, s, a, t, thread, here.unit, here.unit + 1,
                       m, min(OC, here.tile*MR) - m)
        here.unit += 1
    convolve_units(y, x, w, b, ih_of, iw_of, s, a, t, thread, here.unit, there.unit, 0, OC)
    if here.unit <= there.unit:
        convolve_units(y, x, w, b, ih_of, iw_of, s, a, t, thread, there.unit, there.unit + 1,
                       0, there.tile*MR)


cdef int threads_of(const conv_shape *s) noexcept nogil:
    return threads_for(s.N*s.OC*s.OH*s.OW*(s.IC // s.G)*s.KH*s.KW // MULTIPLY_ADDS)


cdef void conv2d_in_threads(
    vec *y, const vec *x, const vec *w, const vec *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cdef Py_ssize_t size = sizeof(vec)//lanes(y)
    cdef plan a = make_plan(s, ih_of, iw_of, lanes(y), size, True)
    cdef int thread, threads = threads_of(s)
    cdef workspace t
    if not a.possible or not allocate(&t, &a, size, threads):
        for thread in prange(threads, num_threads=threads, schedule="static", chunksize=1):
            conv2d_by_panels(y, x, w, b, ih_of, iw_of, s, thread, threads)
        return
    if threads == 1:
        share(y, x, w, b, ih_of, iw_of, s, &a, &t, 0, 1)
    else:
        for thread in prange(threads, num_threads=threads, schedule="static", chunksize=1):
            share(y, x, w, b, ih_of, iw_of, s, &a, &t, thread, threads)
    release(&t)


# --- from C --------------------------------------------------------------------------------


cdef api void conv2d_f32(
    float *y, const float *x, const float *w, const float *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    conv2d_in_threads(<vf *> y, <const vf *> x, <const vf *> w, <const vf *> b, ih_of, iw_of, s)


cdef api void conv2d_f64(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    conv2d_in_threads(<vd *> y, <const vd *> x, <const vd *> w, <const vd *> b, ih_of, iw_of, s)


# --- from Python ---------------------------------------------------------------------------


def conv2d(
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    conv_door.conv2d(conv2d_f32, conv2d_f64, 80, conv_door.TILE,
                     y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)


def workspace_bytes(
    layer, Py_ssize_t itemsize, cnp.ndarray ih_of, cnp.ndarray iw_of, Py_ssize_t IH, Py_ssize_t IW
):
    """Return how many bytes `conv2d` allocates: for each of its threads, never more than 2 MiB.

    Planned for the whole layer. A layer that takes long is done in parts (conv_door.pxd), each of them
    a smaller layer with a plan of its own within the same limit.
    """
    cdef conv_shape s
    cdef Py_ssize_t L = lanes(<vf *> NULL) if itemsize == sizeof(float) else lanes(<vd *> NULL)
    cdef plan a
    s.N, s.IC, s.OC, s.G, s.KH, s.KW, s.OH, s.OW, s.SH, s.SW, s.DH, s.DW = layer
    s.IH, s.IW = IH, IW
    a = make_plan(&s, <const Py_ssize_t *> ih_of.data, <const Py_ssize_t *> iw_of.data, L, itemsize, True)
    return bytes_of_thread(&a, itemsize)*threads_of(&s) if a.possible else 0
