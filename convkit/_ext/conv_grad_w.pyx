"""The gradient of a convolution for its weights: dy times the transposed im2col matrix, in pieces.

    dw[oc, j] = sum over n and pixels p of dy[n, oc, p] * column j [n, p],    j = (ic*KH + kh)*KW + kw

It is the microkernel's product once more, with the pixels as the terms of the sums. dy's rows take the
place of the weights, just as they lie in memory. What stands in the vectors is up to 3 vectors of
columns, and this needs the im2col matrix pixel by pixel: a *panel* of 512 pixels by 48 columns is
gathered, column after column, and transposed in registers. It fits the L2 cache and serves all output
channels, so an element costs about half a cycle once, and then one multiply-add a channel, of which a
core does 32 in a cycle. The sums of a panel's columns stay in a small buffer until all images are
done; weights are written once.

With fewer than 3 output channels a group (depthwise) there would be nothing to share a panel among:
there the columns are not transposed, and `dots` takes the products along the pixels.

Threads share out the panels and blocks of output channels. Each sum is taken by one thread in the
order of its images and pixels.
"""

cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange, threadid
from libc.stdlib cimport free
from libc.string cimport memset

from convkit._ext cimport contract
from convkit._ext.columns cimport column, column_of, fill_column, reads_planes
from convkit._ext.conv_gradient_loops cimport gather_loops
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.microkernel cimport MR, NR_MAX, NV, dots, tile
from convkit._ext.threads cimport threads_for
from convkit._ext.transpose cimport LANES_MAX, transpose
from convkit._ext.vec cimport at, lanes, vd, vec, vf

cnp.import_array()

cdef extern from "stdlib.h" nogil:
    int posix_memalign(void **memory, size_t alignment, size_t size)

cdef enum:
    KC = 512   # pixels of a panel: 96 KiB of it, and 16 KiB of dy in the L1 cache for 8 output channels
    MC = 512   # output channels a task: 96 KiB of sums
    PITCH = KC + 16  # of gathered columns; not a power of two, or all would meet in a few cache sets
    SPEED = 32  # multiply-adds that are done in a nanosecond, at least
    FEW = 3    # output channels below which a panel does not pay


# --- one task: some columns of one group, and some of its output channels ---------------------


cdef struct task:
    Py_ssize_t g, oc, OC  # the group; the first output channel in it, and how many
    Py_ssize_t j, J       # the first column in the group, and how many


cdef struct workspace:
    column columns[NR_MAX]
    Py_ssize_t offsets[KC]          # where the panel has pixel k
    char rows[LANES_MAX*PITCH*4]    # columns as gathered
    char panel[KC*NR_MAX*4]         # and transposed
    char sums[MC*NR_MAX*4]          # [output channel][column]


cdef inline void gather(
    vec *to, Py_ssize_t count, const column *columns, const vec *x, const conv_shape *s,
    Py_ssize_t p, Py_ssize_t stop
) noexcept nogil:
    """Fill rows of pixels p to stop from as many columns."""
    cdef Py_ssize_t i
    for i in range(count):
        if vec is vf:
            fill_column(<float *> at(to, i*PITCH), <const float *> x, columns + i, s, p, stop)
        else:
            fill_column(<double *> at(to, i*PITCH), <const double *> x, columns + i, s, p, stop)


cdef inline void transpose_rows(
    vec *to, Py_ssize_t ldt, const vec *rows, Py_ssize_t ldr, Py_ssize_t count
) noexcept nogil:
    """A vector of panel columns from L rows. The last square may repeat pixels of the one before."""
    cdef Py_ssize_t i, p, L = lanes(to)
    for i in range((count + L - 1)//L):
        p = max(min(i*L, count - L), 0)
        transpose(at(to, p*ldt), ldt, at(rows, p), ldr)


cdef void fill_panel(
    vec *panel, const task *t, workspace *work, const vec *x, const conv_shape *s, bint planes,
    Py_ssize_t p, Py_ssize_t stop
) noexcept nogil:
    cdef Py_ssize_t v, L = lanes(x), V = (t.J + L - 1)//L
    cdef vec *rows = <vec *> work.rows
    for v in range(V):
        if planes and (v + 1)*L <= t.J and stop - p >= L:
            transpose_rows(at(panel, v*L), V*L, at(x, (t.j + v*L)*s.IH*s.IW + p), s.IH*s.IW, stop - p)
        else:
            gather(rows, min(L, t.J - v*L), work.columns + v*L, x, s, p, stop)
            transpose_rows(at(panel, v*L), V*L, rows, PITCH, stop - p)


cdef void add_block(
    const task *t, workspace *work, const vec *dy, const vec *x, const conv_shape *s, bint planes,
    Py_ssize_t p, Py_ssize_t stop
) noexcept nogil:
    """Add the products of pixels p to stop of one image, whose channels of the group dy and x are."""
    cdef Py_ssize_t i, oc, L = lanes(x), V = (t.J + L - 1)//L, P = s.OH*s.OW
    cdef vec *panel = <vec *> work.panel
    cdef vec *sums = <vec *> work.sums
    fill_panel(panel, t, work, x, s, planes, p, stop)
    for i in range((t.OC + MR - 1)//MR):
        oc = i*MR
        tile(<int> min(MR, t.OC - oc), <int> V, at(sums, oc*V*L), V*L, panel, work.offsets,
             at(dy, oc*P + p), P, stop - p, <const vec *> NULL)


cdef void add_block_of_few(
    const task *t, workspace *work, const vec *dy, const vec *x, const conv_shape *s,
    Py_ssize_t p, Py_ssize_t stop
) noexcept nogil:
    """The same for a few output channels, without a panel."""
    cdef Py_ssize_t i, j, count, L = lanes(x), V = (t.J + L - 1)//L, P = s.OH*s.OW
    cdef vec *rows = <vec *> work.rows
    cdef vec *sums = <vec *> work.sums
    for i in range((t.J + NV - 1)//NV):
        j = i*NV
        count = min(NV, t.J - j)
        gather(rows, count, work.columns + j, x, s, p, stop)
        dots(<int> t.OC, <int> count, at(sums, j), V*L, rows, PITCH, at(dy, p), P, stop - p, <const vec *> NULL)


cdef inline void put(floating *dw, Py_ssize_t ldw, const floating *sums, Py_ssize_t lds,
                     const task *t, bint add) noexcept nogil:
    cdef Py_ssize_t oc, j
    for oc in range(t.OC):
        for j in range(t.J):
            dw[oc*ldw + j] = sums[oc*lds + j] + dw[oc*ldw + j] if add else sums[oc*lds + j]


cdef void run_task(
    const task *t, workspace *work, vec *dw, const vec *dy, const vec *x,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s, bint planes, bint add
) noexcept nogil:
    cdef Py_ssize_t IC = s.IC//s.G, OC = s.OC//s.G, J = IC*s.KH*s.KW, P = s.OH*s.OW, L = lanes(x)
    cdef Py_ssize_t V = (t.J + L - 1)//L, blocks = (P + KC - 1)//KC, i, n, b, first
    cdef const vec *dy_rows
    cdef const vec *channels
    for i in range(t.J):
        work.columns[i] = column_of(t.j + i, ih_of, iw_of, s)
    for i in range(KC):
        work.offsets[i] = i*V*L
    memset(work.sums, 0, t.OC*V*sizeof(vec))
    first = t.g*OC + t.oc
    for n in range(s.N):
        dy_rows = at(dy, (n*s.OC + first)*P)
        channels = at(x, (n*s.IC + t.g*IC)*s.IH*s.IW)
        for b in range(blocks):
            if OC < FEW:
                add_block_of_few(t, work, dy_rows, channels, s, b*P//blocks, (b + 1)*P//blocks)
            else:
                add_block(t, work, dy_rows, channels, s, planes, b*P//blocks, (b + 1)*P//blocks)
    if vec is vf:
        put(<float *> dw + first*J + t.j, J, <const float *> work.sums, V*L, t, add)
    else:
        put(<double *> dw + first*J + t.j, J, <const double *> work.sums, V*L, t, add)


# --- all of them ---------------------------------------------------------------------------


cdef int threads_of(const conv_shape *s) noexcept nogil:
    return threads_for(s.N*s.OC*s.OH*s.OW*(s.IC//s.G)*s.KH*s.KW//16)


cdef void grad_w(
    vec *dw, const vec *dy, const vec *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const conv_shape *s, workspace *work, int threads, bint add
) noexcept nogil:
    """Fill dw, or add to it; work has room for as many threads."""
    cdef Py_ssize_t OC = s.OC//s.G, J = s.IC//s.G*s.KH*s.KW, L = lanes(x), vectors = (J + L - 1)//L
    cdef Py_ssize_t panels = (vectors + NV - 1)//NV, parts = (OC + MC - 1)//MC, i
    cdef bint planes = reads_planes(ih_of, iw_of, s)
    if s.G*panels*parts < threads:
        parts = min(threads, (OC + MR - 1)//MR)
    for i in prange(s.G*panels*parts, schedule="dynamic", num_threads=threads):
        one_of(i, panels, parts, dw, dy, x, ih_of, iw_of, s, work + threadid(), planes, add)


cdef void one_of(
    Py_ssize_t i, Py_ssize_t panels, Py_ssize_t parts, vec *dw, const vec *dy, const vec *x,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s, workspace *work,
    bint planes, bint add
) noexcept nogil:
    """Run task i. Panels have whole vectors, as evenly many as can be; parts have whole tiles."""
    cdef task t
    cdef Py_ssize_t OC = s.OC//s.G, J = s.IC//s.G*s.KH*s.KW, L = lanes(x), vectors = (J + L - 1)//L
    cdef Py_ssize_t tiles = (OC + MR - 1)//MR, panel = i // parts % panels, part = i % parts
    t.g = i // (parts*panels)
    t.oc = part*tiles//parts*MR
    t.OC = min((part + 1)*tiles//parts*MR, OC) - t.oc
    t.j = panel*vectors//panels*L
    t.J = min((panel + 1)*vectors//panels*L, J) - t.j
    run_task(&t, work, dw, dy, x, ih_of, iw_of, s, planes, add)


# --- from C --------------------------------------------------------------------------------


cdef workspace *room_for(int threads) noexcept nogil:
    """Memory for so many threads, or NULL; lines of the caches begin where vectors do."""
    cdef void *work = NULL
    if posix_memalign(&work, 64, threads*sizeof(workspace)):
        return NULL
    return <workspace *> work


cdef api void conv2d_grad_w_f32(
    float *dw, const float *dy, const float *x,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cdef int threads = threads_of(s)
    cdef workspace *work = room_for(threads)
    if work:
        grad_w(<vf *> dw, <const vf *> dy, <const vf *> x, ih_of, iw_of, s, work, threads, False)
    else:
        gather_loops(dw, dy, x, ih_of, iw_of, s)
    free(work)


cdef api void conv2d_grad_w_f64(
    double *dw, const double *dy, const double *x,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cdef int threads = threads_of(s)
    cdef workspace *work = room_for(threads)
    if work:
        grad_w(<vd *> dw, <const vd *> dy, <const vd *> x, ih_of, iw_of, s, work, threads, False)
    else:
        gather_loops(dw, dy, x, ih_of, iw_of, s)
    free(work)


# --- from Python ---------------------------------------------------------------------------


def conv2d_grad_w(
    cnp.ndarray dw, cnp.ndarray dy, cnp.ndarray x, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
):
    """Fill dw (OC, IC/G, KH, KW) from dy (N, OC, OH, OW) and x (N, IC, IH, IW)."""
    cdef conv_shape s
    cdef int typenum = contract.conv2d_grad_w(&s, dw, dy, x, ih_of, iw_of, SH, SW, DH, DW)
    cdef Py_ssize_t n, N = s.N, x_image = s.IC*s.IH*s.IW, y_image = s.OC*s.OH*s.OW
    cdef const Py_ssize_t *ih = <const Py_ssize_t *> ih_of.data
    cdef const Py_ssize_t *iw = <const Py_ssize_t *> iw_of.data
    cdef Py_ssize_t at_once = contract.blocks_at_once(y_image*(s.IC // s.G)*s.KH*s.KW//SPEED + 1)
    cdef int threads = threads_of(&s)
    cdef workspace *work = room_for(threads)
    if not work:
        raise MemoryError(f"{threads*sizeof(workspace)} bytes of workspace")
    try:
        for n in range(0, N, at_once):
            s.N = min(at_once, N - n)
            with nogil:
                if typenum == cnp.NPY_FLOAT32:
                    grad_w(<vf *> dw.data, <const vf *> (<const float *> dy.data + n*y_image),
                           <const vf *> (<const float *> x.data + n*x_image), ih, iw, &s, work, threads, n > 0)
                else:
                    grad_w(<vd *> dw.data, <const vd *> (<const double *> dy.data + n*y_image),
                           <const vd *> (<const double *> x.data + n*x_image), ih, iw, &s, work, threads, n > 0)
            contract.signals()
    finally:
        free(work)
