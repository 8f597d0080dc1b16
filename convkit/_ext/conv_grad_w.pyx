"""The gradient of a convolution for its weights: dy times the transposed im2col matrix, in pieces.

    dw[oc, j] = sum over n and pixels p of dy[n, oc, p] * column j [n, p],    j = (ic*KH + kh)*KW + kw

It is the microkernel's product once more, with the pixels as the terms of the sums. dy's rows take the
place of the weights, just as they lie in memory. What stands in the vectors is up to 3 vectors of
columns, and this needs the im2col matrix pixel by pixel: a *panel* of some 400 pixels by 48 columns is
transposed in registers (grad_w_panels.pxd). It fits the L2 cache and serves all output channels, and, where
it holds whole channels with their padding, all taps of the kernel: an element costs about half a cycle once,
and then one multiply-add a channel, of which a core does 32 in a cycle. The sums stay in a buffer in
the L2 cache until all images are done, and a block of dy stays there while all panels of a task use it.

With fewer than 3 output channels a group (depthwise) there would be nothing to share a panel among:
there the columns are not transposed, and `dots` takes the products along the pixels, or, with 3x3
windows that move 1 or 2 cells, `depthwise_products`, which needs no columns.

Threads share out the tasks. Each sum is taken by one thread, in the order of images and pixels.
"""

cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange, threadid
from libc.stdlib cimport free
from libc.string cimport memset

from convkit._ext cimport contract, conv_door
from convkit._ext.columns cimport block, column_of
from convkit._ext.conv_gradient_loops cimport gather_loops
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.depthwise_products cimport depthwise_products
from convkit._ext.depthwise_rows cimport fill_masks, make_strips, strips
from convkit._ext.grad_w_panels cimport (
    FEW, KC, MC, PANELS, add_gathered, add_shared, channel_blocks, first_of, rows_in_cells,
    shape_of_cells, shares_panels, task, workspace
)
from convkit._ext.microkernel cimport MR, NV
from convkit._ext.planes cimport is_identity
from convkit._ext.threads cimport threads_for
from convkit._ext.vec cimport at, lanes, vd, vec, vf
from convkit._ext.workspace_memory cimport workspace_memory

cnp.import_array()

cdef enum:
    SPEED = 32    # multiply-adds that are done in a nanosecond, at least


# --- one task: all pixels of all images, for some output channels and columns of a group ----------


cdef inline void put(
    floating *dw, const task *t, const floating *sums, Py_ssize_t NR, Py_ssize_t J, Py_ssize_t step, bint add
) noexcept nogil:
    """Put the sums of a panel to their places: those of J columns lie `step` weights apart."""
    cdef Py_ssize_t m, i
    for m in range(t.M):
        for i in range(J):
            dw[m*t.ldj + i*step] = sums[m*NR + i] + (dw[m*t.ldj + i*step] if add else 0)


cdef inline void put_panel(
    vec *dw, const task *t, const workspace *work, Py_ssize_t panel, const conv_shape *s, bint add
) noexcept nogil:
    cdef Py_ssize_t L = lanes(dw), NR = NV*L, IC = s.IC//s.G, taps = s.KH*s.KW, step = 1, first, J
    cdef Py_ssize_t c = (t.first + panel)//taps
    if t.shared:
        step = taps
        first = first_of(c, channel_blocks(IC, L), IC, L)
        J = first_of(c + 1, channel_blocks(IC, L), IC, L) - first
        first = first*taps + (t.first + panel) % taps
    else:
        first = first_of(panel, t.panels, t.J, L)
        J = first_of(panel + 1, t.panels, t.J, L) - first
        first += t.j
    if vec is vf:
        put(<float *> at(dw, first), t, <const float *> work.sums + panel*t.M*NR, NR, J, step, add)
    else:
        put(<double *> at(dw, first), t, <const double *> work.sums + panel*t.M*NR, NR, J, step, add)


cdef void add_image(
    const task *t, workspace *work, const vec *dy, const vec *x, const vec *end, const conv_shape *s
) noexcept nogil:
    """Add an image's products, in blocks of whole rows of outputs or, if they are long, of parts of one."""
    cdef Py_ssize_t rows = rows_in_cells(s) if t.shared else max(KC//s.OW, 1), bands = (s.OH + rows - 1)//rows
    cdef Py_ssize_t pieces = 1 if t.shared else (s.OW + KC - 1)//KC
    cdef Py_ssize_t i, k, panel
    cdef block b
    for i in range(bands):
        b.oh = i*s.OH//bands
        b.rows = (i + 1)*s.OH//bands - b.oh
        for k in range(pieces):
            b.ow = k*s.OW//pieces
            b.cols = (k + 1)*s.OW//pieces - b.ow
            if t.shared:
                add_shared(t, work, dy, x, end, s, b)
                continue
            for panel in range(t.panels):
                add_gathered(t, work, panel, dy, x, end, s, b)


cdef void run_task(
    const task *t, workspace *work, vec *dw, const vec *dy, const vec *x, const vec *end,
    const conv_shape *s, bint add
) noexcept nogil:
    """dw is the first weight of the task's first output channel, dy and x its channels of the first image."""
    cdef Py_ssize_t L = lanes(x), IC = s.IC//s.G, taps = s.KH*s.KW, n, i, _, first, last
    cdef conv_shape cells = shape_of_cells(s)
    if t.shared:
        first = first_of(t.first//taps, channel_blocks(IC, L), IC, L)
        last = first_of((t.first + t.panels - 1)//taps + 1, channel_blocks(IC, L), IC, L)
        for i in range(last - first):
            work.columns[i] = column_of(first + i, t.ih_of, t.iw_of, &cells)
    else:
        for i in range(t.J):
            work.columns[i] = column_of(t.j + i, t.ih_of, t.iw_of, s)
        for i in range(KC):
            work.offsets[i] = i*NV*L
    for _ in range(t.groups):
        memset(work.sums, 0, t.panels*t.M*NV*sizeof(vec))
        for n in range(s.N):
            add_image(t, work, at(dy, n*s.OC*s.OH*s.OW), at(x, n*s.IC*s.IH*s.IW), end, s)
        for i in range(t.panels):
            put_panel(dw, t, work, i, s, add)
        dw = at(dw, s.OC//s.G*t.ldj)
        dy = at(dy, s.OC//s.G*s.OH*s.OW)
        x = at(x, s.IC//s.G*s.IH*s.IW)


# --- all of them ---------------------------------------------------------------------------


cdef int threads_of(const conv_shape *s) noexcept nogil:
    return threads_for(s.N*s.OC*s.OH*s.OW*(s.IC//s.G)*s.KH*s.KW//SPEED)


cdef void grad_w(
    vec *dw, const vec *dy, const vec *x, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const conv_shape *s, workspace *work, int threads, bint add
) noexcept nogil:
    """Fill dw, or add to it; work has room for as many threads."""
    cdef Py_ssize_t IC = s.IC//s.G, M = s.OC//s.G, J = IC*s.KH*s.KW, L = lanes(x), i
    cdef bint shared = shares_panels(s, L)
    cdef Py_ssize_t panels = channel_blocks(IC, L)*s.KH*s.KW if shared else (J + NV*L - 1)//(NV*L)
    cdef Py_ssize_t tiles = (M + MR - 1)//MR
    cdef Py_ssize_t parts = (M + MC - 1)//MC, chunks, at_once, groups = 1
    cdef strips d = make_strips(s, iw_of, L)
    if (IC == 1 and M < FEW and d.possible
            and (d.zeros + d.masks + d.copied)*<Py_ssize_t> sizeof(vec)//L <= <Py_ssize_t> sizeof(work.sums)):
        for i in prange(threads, schedule="static", chunksize=1, num_threads=threads):
            depthwise_share(s.OC*i//threads, s.OC*(i + 1)//threads, dw, dy, x, ih_of, iw_of, s,
                            work + i, &d, add)
        return
    # A task has as many panels as its sums have room for, or several groups; but each thread gets some.
    at_once = min(<Py_ssize_t> PANELS, MC//((tiles + parts - 1)//parts*MR))
    chunks = (panels + at_once - 1)//at_once
    if s.G < threads:
        chunks = min((chunks + threads - 1)//threads*threads, panels)  # the same number for each
    if s.G*chunks*parts < threads:
        parts = min(<Py_ssize_t> threads, tiles)
    if chunks*parts == 1:
        groups = (s.G + 4*threads - 1)//(4*threads)
    for i in prange((s.G + groups - 1)//groups*chunks*parts, schedule="dynamic", num_threads=threads):
        one_of(i, shared, groups, chunks, parts, dw, dy, x, ih_of, iw_of, s, work + threadid(), add)


cdef void depthwise_share(
    Py_ssize_t first, Py_ssize_t last, vec *dw, const vec *dy, const vec *x, const Py_ssize_t *ih_of,
    const Py_ssize_t *iw_of, const conv_shape *s, workspace *work, const strips *d, bint add
) noexcept nogil:
    """Do output channels first to last - 1, whose groups have one input channel."""
    cdef Py_ssize_t oc, OHW = s.OH*s.OW, IHW = s.IH*s.IW, before
    fill_masks(<vec *> work.sums, d, iw_of, s)
    for oc in range(first, last):
        before = oc//(s.OC//s.G)*IHW
        depthwise_products(at(dw, 9*oc), at(dy, oc*OHW), (s.N*s.OC - oc)*OHW, at(x, before), before,
                           s.N*s.IC*IHW - before, <vec *> work.sums, d, ih_of, s, add)


cdef void one_of(
    Py_ssize_t i, bint shared, Py_ssize_t groups, Py_ssize_t chunks, Py_ssize_t parts,
    vec *dw, const vec *dy, const vec *x,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s, workspace *work, bint add
) noexcept nogil:
    """Run task i. Parts have whole tiles of output channels, chunks have whole vectors of columns."""
    cdef task t
    cdef Py_ssize_t IC = s.IC//s.G, M = s.OC//s.G, L = lanes(x), J = IC*s.KH*s.KW, vectors = (J + L - 1)//L
    cdef Py_ssize_t part = i % parts, chunk = i//parts % chunks, g = i//parts//chunks*groups
    cdef Py_ssize_t tiles = (M + MR - 1)//MR, panels = channel_blocks(IC, L)*s.KH*s.KW  # shared ones
    t.groups = min(groups, s.G - g)
    t.shared = shared
    t.ldj = J
    t.oc = part*tiles//parts*MR
    t.M = min((part + 1)*tiles//parts*MR, M) - t.oc
    t.j = chunk*vectors//chunks*L
    t.J = min((chunk + 1)*vectors//chunks*L, J) - t.j
    t.first, t.panels = 0, (t.J + NV*L - 1)//(NV*L)
    if shared:
        t.first = chunk*panels//chunks
        t.panels = (chunk + 1)*panels//chunks - t.first
    t.ih_of, t.iw_of = ih_of, iw_of
    t.planes = (s.KH*s.KW == 1 and s.OH == s.IH and s.OW == s.IW and (s.SH == 1 or s.OH == 1)
                and (s.SW == 1 or s.OW == 1) and is_identity(ih_of, s.OH) and is_identity(iw_of, s.OW))
    t.oc += g*M
    run_task(&t, work, at(dw, t.oc*J), at(dy, t.oc*s.OH*s.OW), at(x, g*IC*s.IH*s.IW),
             at(x, s.N*s.IC*s.IH*s.IW), s, add)


# --- from C --------------------------------------------------------------------------------


cdef workspace *room_for(int threads) noexcept nogil:
    """Memory for so many threads, or NULL."""
    return <workspace *> workspace_memory(threads*sizeof(workspace))


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
    cdef Py_ssize_t J = (s.IC // s.G)*s.KH*s.KW, time = y_image*J//SPEED + 1, i
    cdef Py_ssize_t at_once = contract.blocks_at_once(time), parts = conv_door.parts_of_image(&s, time, MR)
    cdef int threads = threads_of(&s)
    cdef conv_door.part p
    cdef workspace *work = room_for(threads)
    if not work:
        raise MemoryError(f"{threads*sizeof(workspace)} bytes of workspace")
    try:
        n = 0
        while n < N:
            s.N = min(at_once, N - n)
            for i in range(parts):
                p = conv_door.make_part(&s, i, parts, MR)
                with nogil:
                    if typenum == cnp.NPY_FLOAT32:
                        grad_w(
                            at(<vf *> dw.data, p.oc*J), at(<const vf *> dy.data, n*y_image + p.y),
                            at(<const vf *> x.data, n*x_image + p.x), ih, iw, &p.s, work, threads, n > 0
                        )
                    else:
                        grad_w(
                            at(<vd *> dw.data, p.oc*J), at(<const vd *> dy.data, n*y_image + p.y),
                            at(<const vd *> x.data, n*x_image + p.x), ih, iw, &p.s, work, threads, n > 0
                        )
                contract.signals()
            n += at_once
    finally:
        free(work)
