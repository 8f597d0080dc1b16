"""The gradient of a convolution for its weights: dy times the transposed im2col matrix, in pieces.

    dw[oc, j] = sum over n and pixels p of dy[n, oc, p] * column j [n, p],    j = (ic*KH + kh)*KW + kw

It is the microkernel's product once more, with the pixels as the terms of the sums. dy's rows take the
place of the weights, just as they lie in memory. What stands in the vectors is up to 3 vectors of
columns, and this needs the im2col matrix pixel by pixel: a *panel* of some 512 pixels by 48 columns is
gathered, column after column, and transposed in registers. It fits the L2 cache and serves all output
channels, so an element costs about half a cycle once, and then one multiply-add a channel, of which a
core does 32 in a cycle. The sums stay in a buffer in the L2 cache until all images are done, and a block
of dy stays there while all panels of a task use it.

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
from convkit._ext.columns cimport block, column, column_of, gather_all
from convkit._ext.conv_gradient_loops cimport gather_loops
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.depthwise_products cimport depthwise_products
from convkit._ext.depthwise_rows cimport fill_masks, make_strips, strips
from convkit._ext.microkernel cimport MR, NR_MAX, NV, dots, tile
from convkit._ext.planes cimport is_identity
from convkit._ext.threads cimport threads_for
from convkit._ext.transpose cimport transpose_rows
from convkit._ext.vec cimport at, lanes, vd, vec, vf
from convkit._ext.workspace_memory cimport workspace_memory

cnp.import_array()

cdef enum:
    KC = 512      # pixels of a panel: 96 KiB of it, and 16 KiB of dy in the L1 cache for 8 output channels
    MC = 1024     # output channels of all panels of a task: 192 KiB of sums
    PANELS = 16   # of a task, at most
    FEW = 3       # output channels below which a panel does not pay
    SPEED = 32    # multiply-adds that are done in a nanosecond, at least


cdef struct task:
    Py_ssize_t oc, M  # the first output channel, and how many
    Py_ssize_t j, J   # the first column in the group, and how many
    Py_ssize_t panels
    Py_ssize_t groups  # that are done one after the other, with the same columns
    Py_ssize_t ldj    # from one output channel's weights to the next
    bint planes       # whether each column is a plane of x as it stands
    const Py_ssize_t *ih_of
    const Py_ssize_t *iw_of


cdef struct workspace:
    column columns[PANELS*NR_MAX]
    Py_ssize_t places[NR_MAX]         # of a panel's columns, as gathered
    Py_ssize_t offsets[KC]            # of a panel's pixels, once transposed
    float gathered[NR_MAX*(KC + 1)]   # floats, or half as many doubles in rows of half the length
    float panel[NR_MAX*KC]
    float sums[NR_MAX*MC]             # [panel][output channel][column]


# --- one block of pixels --------------------------------------------------------------------


cdef inline Py_ssize_t first_column(const task *t, Py_ssize_t panel, Py_ssize_t L) noexcept nogil:
    """Panels have whole vectors, as evenly many as can be."""
    return min(panel*((t.J + L - 1)//L)//t.panels*L, t.J)


cdef void add_panel(
    const task *t, workspace *work, Py_ssize_t panel, const vec *dy, const vec *x, const vec *end,
    const conv_shape *s, block b
) noexcept nogil:
    """Add a block's products to the sums of a panel; dy and x are its image's channels."""
    cdef Py_ssize_t L = lanes(x), NR = NV*L, P = s.OH*s.OW, K = b.rows*b.cols, i, v, m
    cdef Py_ssize_t j = first_column(t, panel, L), J = first_column(t, panel + 1, L) - j
    cdef Py_ssize_t V = (J + L - 1)//L
    cdef const vec *columns = <const vec *> work.gathered
    cdef vec *sums = at(<vec *> work.sums, panel*t.M*NR)
    if t.planes and K >= L:
        columns = at(x, b.oh*s.OW + b.ow)
        for i in range(J):
            work.places[i] = (t.j + j + i)*P
    else:
        gather_all(<vec *> work.gathered, work.places, x, end, work.columns + j, J, s, b)
    if s.OC//s.G < FEW:
        few_dots(t.M, J, sums, columns, work.places, at(dy, b.oh*s.OW + b.ow), P, K)
        return
    for i in range(J, V*L):
        work.places[i] = work.places[J - 1]  # whatever: nobody reads the sums
    for v in range(V):
        transpose_rows(at(<vec *> work.panel, v*L), NR, columns, work.places + v*L, K)
    for i in range((t.M + MR - 1)//MR):
        m = i*MR
        tile(<int> min(MR, t.M - m), <int> V, at(sums, m*NR), NR, <const vec *> work.panel, work.offsets,
             at(dy, m*P + b.oh*s.OW + b.ow), P, K, <const vec *> NULL)


cdef inline void few_dots(
    Py_ssize_t M, Py_ssize_t J, vec *sums, const vec *columns, const Py_ssize_t *places,
    const vec *dy, Py_ssize_t P, Py_ssize_t K
) noexcept nogil:
    """Up to NV columns at a time, as far as they lie equally far apart."""
    cdef Py_ssize_t j = 0, V, apart
    while j < J:
        V = 1
        apart = places[j + 1] - places[j] if j + 1 < J else 0
        while V < NV and j + V < J and places[j + V] - places[j + V - 1] == apart:
            V += 1
        dots(<int> M, <int> V, at(sums, j), NV*lanes(dy), at(columns, places[j]), apart, dy, P, K,
             <const vec *> NULL)
        j += V


# --- one task: all pixels of all images, for some output channels and columns of a group ----------


cdef inline void put(
    floating *dw, const task *t, const floating *sums, Py_ssize_t NR, Py_ssize_t j, Py_ssize_t J, bint add
) noexcept nogil:
    cdef Py_ssize_t m, i
    for m in range(t.M):
        for i in range(J):
            dw[m*t.ldj + j + i] = sums[m*NR + i] + (dw[m*t.ldj + j + i] if add else 0)


cdef void add_image(
    const task *t, workspace *work, const vec *dy, const vec *x, const vec *end, const conv_shape *s
) noexcept nogil:
    """Add an image's products, in blocks of whole rows of outputs or, if they are long, of parts of one."""
    cdef Py_ssize_t pieces = (s.OW + KC - 1)//KC, rows = max(KC//s.OW, 1), bands = (s.OH + rows - 1)//rows
    cdef Py_ssize_t i, k, panel
    cdef block b
    for i in range(bands):
        b.oh = i*s.OH//bands
        b.rows = (i + 1)*s.OH//bands - b.oh
        for k in range(pieces):
            b.ow = k*s.OW//pieces
            b.cols = (k + 1)*s.OW//pieces - b.ow
            for panel in range(t.panels):
                add_panel(t, work, panel, dy, x, end, s, b)


cdef void run_task(
    const task *t, workspace *work, vec *dw, const vec *dy, const vec *x, const vec *end,
    const conv_shape *s, bint add
) noexcept nogil:
    """dw is the task's first weight, dy and x are its channels of the first image."""
    cdef Py_ssize_t L = lanes(x), NR = NV*L, n, i, _, j, J
    cdef vec *sums = <vec *> work.sums
    for i in range(t.J):
        work.columns[i] = column_of(t.j + i, t.ih_of, t.iw_of, s)
    for i in range(KC):
        work.offsets[i] = i*NR
    for _ in range(t.groups):
        memset(work.sums, 0, t.panels*t.M*NV*sizeof(vec))
        for n in range(s.N):
            add_image(t, work, at(dy, n*s.OC*s.OH*s.OW), at(x, n*s.IC*s.IH*s.IW), end, s)
        for i in range(t.panels):
            j = first_column(t, i, L)
            J = first_column(t, i + 1, L) - j
            if vec is vf:
                put(<float *> dw, t, <float *> at(sums, i*t.M*NR), NR, j, J, add)
            else:
                put(<double *> dw, t, <double *> at(sums, i*t.M*NR), NR, j, J, add)
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
    cdef Py_ssize_t panels = (J + NV*L - 1)//(NV*L), tiles = (M + MR - 1)//MR
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
        one_of(i, groups, chunks, parts, dw, dy, x, ih_of, iw_of, s, work + threadid(), add)


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
    Py_ssize_t i, Py_ssize_t groups, Py_ssize_t chunks, Py_ssize_t parts,
    vec *dw, const vec *dy, const vec *x,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s, workspace *work, bint add
) noexcept nogil:
    """Run task i. Parts have whole tiles of output channels, chunks have whole vectors of columns."""
    cdef task t
    cdef Py_ssize_t IC = s.IC//s.G, M = s.OC//s.G, L = lanes(x), J = IC*s.KH*s.KW, vectors = (J + L - 1)//L
    cdef Py_ssize_t part = i % parts, chunk = i//parts % chunks, g = i//parts//chunks*groups
    cdef Py_ssize_t tiles = (M + MR - 1)//MR
    t.groups = min(groups, s.G - g)
    t.ldj = J
    t.oc = part*tiles//parts*MR
    t.M = min((part + 1)*tiles//parts*MR, M) - t.oc
    t.j = chunk*vectors//chunks*L
    t.J = min((chunk + 1)*vectors//chunks*L, J) - t.j
    t.panels = (t.J + NV*L - 1)//(NV*L)
    t.ih_of, t.iw_of = ih_of, iw_of
    t.planes = (s.KH*s.KW == 1 and s.OH == s.IH and s.OW == s.IW and (s.SH == 1 or s.OH == 1)
                and (s.SW == 1 or s.OW == 1) and is_identity(ih_of, s.OH) and is_identity(iw_of, s.OW))
    t.oc += g*M
    run_task(&t, work, at(dw, t.oc*J + t.j), at(dy, t.oc*s.OH*s.OW), at(x, g*IC*s.IH*s.IW),
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
