"""Transposed convolution, which is also the gradient of a convolution for its input.

    y[n, ic, ih, iw] = b[ic] + sum over oc, kh, kw, oh, ow of  w[oc, ic, kh, kw] * x[n, oc, oh, ow]

Without a stride that is a convolution of x with the kernels turned round and the channels of w
exchanged, so the weights are copied in that order and convolution's own blocks and tiles do the work.
With a stride, it is one such convolution for each phase of the stride (phases.pxd); 9 taps with stride
2 make four, of 4, 2, 2 and 1 taps, which share what they read of x (phase_planes.pxd) unless there are
groups. Their sums go to a small buffer and from there to their places, which the index tables name:
cells that padding showed several times collect all their copies. Depthwise kernels of 3x3 and stride 2
need none of this (depthwise_spread.pxd).

A task is a chunk of y's channels, for all images or some. Its weights, or if they are many those of
some of x's channels at a time, are turned once and stay in the L2 cache while all images use them.
Threads share out the tasks; each sum is taken by one of them, always in the same order.

Convolutions of x read a border of zeros around it, for which the definition has no terms: 0 times a weight
changes nothing, unless the weight is infinite or NaN; then there are more NaNs than the definition's.

The FLOPs are the convolution's, 2 for each weight and pixel of x. Turning a weight takes about a cycle,
once for all images of a call.
"""

cimport numpy as cnp
from cython.parallel cimport prange, threadid
from libc.stdlib cimport free

from convkit._ext cimport contract
from convkit._ext.blocks cimport TERMS, bytes_of_thread, convolve_units, make_plan, plan, workspace
from convkit._ext.conv_gradient_loops cimport scatter_loops
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.conv_transpose_plan cimport (
    CHANNELS, SUMS_BYTES, make_task, make_work_plan, parts_of, room, room_of, task, work_plan
)
from convkit._ext.depthwise_spread cimport depthwise_spread, make_spread, spread
from convkit._ext.panels cimport conv2d_by_panels
from convkit._ext.phase_planes cimport make_union_plan, phase_sums, turn_by_taps, union_plan
from convkit._ext.phases cimport (
    add_block, add_cell, exchange_channels, fill_table, phase, phase_of, phases_of, turn_all
)
from convkit._ext.planes cimport block, make_block, pack
from convkit._ext.threads cimport threads_for
from convkit._ext.vec cimport at, clear, lanes, splat, store, vd, vec, vf, zero
from convkit._ext.workspace_memory cimport workspace_memory

cnp.import_array()

cdef enum:
    SPEED = 32       # multiply-adds that are done in a nanosecond, at least
    FULL_SPEED = 80  # and roughly


# --- one task ------------------------------------------------------------------------------


cdef void turn_weights(
    vec *to, const vec *w, const vec *end, const task *t, const conv_shape *s
) noexcept nogil:
    """Fill `to` with an array [group, channel of y, channel of x, tap] for each phase."""
    cdef Py_ssize_t IC = s.IC//s.G, OC = s.OC//s.G, taps = s.KH*s.KW, g
    cdef const vec *of_group
    for g in range(t.G):
        of_group = at(w, (((t.g + g)*OC + t.oc)*IC + t.m)*taps)
        if taps == 1 and t.M >= lanes(w) and t.OC >= lanes(w):
            exchange_channels(at(to, g*t.M*t.OC), t.OC, of_group, t.OC, IC, t.M)
        else:
            turn_all(to, g, t.G, of_group, end, t.OC, IC*taps, t.M, s)


cdef void convolve(
    vec *y, const vec *x, const vec *w, const vec *b, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const conv_shape *c, Py_ssize_t M, const workspace *work
) noexcept nogil:
    """Convolve one image; without b, which only a convolution of one group may lack, add to y.

    Only the first M output channels of each group are computed, but all of them count for the plan: how
    many there are in a chunk depends on the threads, and the bits of the sums must not.
    """
    cdef conv_shape part = c[0]
    cdef Py_ssize_t size = sizeof(vec)//lanes(y)
    cdef plan a = make_plan(c, ih_of, iw_of, lanes(y), size, True)
    if a.possible and bytes_of_thread(&a, size) <= work.bytes:
        convolve_units(y, x, w, b, ih_of, iw_of, c, &a, work, 0, 0, a.units, 0, M)
    else:
        part.OC = M*c.G
        conv2d_by_panels(y, x, w, b, ih_of, iw_of, &part, 0, 1)


cdef void add_phase(
    vec *y, const vec *x, const vec *w, const room *r, const task *t, const conv_shape *s,
    const phase *v, const phase *h
) noexcept nogil:
    """Add a phase's sums to their cells of one image, block by block."""
    cdef Py_ssize_t size = sizeof(vec)//lanes(y), channels = t.G*t.M, cells = SUMS_BYTES//size//channels
    cdef Py_ssize_t rows, cols, i, j
    cdef conv_shape p = shape_of(t, s, v, h)
    cdef vec *sums = <vec *> r.sums
    cols = min(h.Q, cells)
    cols = parts_of(h.Q, parts_of(h.Q, cols))
    rows = min(v.Q, cells//cols)
    rows = parts_of(v.Q, parts_of(v.Q, rows))
    for i in range(parts_of(v.Q, rows)):
        p.OH = min(rows, v.Q - i*rows)
        for j in range(parts_of(h.Q, cols)):
            p.OW = min(cols, h.Q - j*cols)
            convolve(sums, x, w, <const vec *> r.zeros, r.ih_of + i*rows, r.iw_of + j*cols, &p, t.M, &r.conv)
            add_block(y, s.IH, s.IW, sums, channels, p.OH, p.OW, v, i*rows, h, j*cols)


cdef conv_shape shape_of(const task *t, const conv_shape *s, const phase *v, const phase *h) noexcept nogil:
    """The convolution of one image that a phase is."""
    cdef conv_shape p
    p.N, p.G = 1, t.G
    p.IC, p.IH, p.IW = t.G*t.OC, s.OH, s.OW
    p.OC, p.OH, p.OW = t.G*(s.IC//s.G), v.Q, h.Q
    p.KH, p.KW, p.DH, p.DW = v.k.count, h.k.count, v.k.dilation, h.k.dilation
    p.SH = p.SW = 1
    return p


cdef void add_together(
    vec *y, const vec *x, const vec *w, const room *r, const task *t, const conv_shape *s, const union_plan *u
) noexcept nogil:
    """Add the sums of all phases for some images, to channels of y from some channels of x."""
    cdef Py_ssize_t n, i, row, rows, source, OHW = s.OH*s.OW, taps = s.KH*s.KW
    cdef Py_ssize_t at_once = min(u.rows, SUMS_BYTES*lanes(y)//<Py_ssize_t> sizeof(vec)//(t.M*u.h.Q))
    at_once = parts_of(u.v.Q, parts_of(u.v.Q, at_once))
    cdef Py_ssize_t *off = <Py_ssize_t *> r.conv.memory
    cdef vec *columns = <vec *> (off + max(<Py_ssize_t> TERMS, taps))
    cdef vec *packed = at(columns, (lanes(y) - 1)*max(<Py_ssize_t> TERMS, taps))
    cdef const vec *planes = packed
    cdef phase v, h
    cdef block k
    turn_by_taps(<vec *> r.weights, at(w, (t.oc*s.IC + t.m)*taps), s.IC*taps, t.OC, t.M, taps, u.place)
    for n in range(t.n, t.stop):
        source = (n*s.OC + t.oc)*OHW
        for row in range(parts_of(u.v.Q, at_once)):
            row = row*at_once
            make_block(&k, &u.p, &u.s, r.ih_of, r.iw_of, row, 0, min(at_once, u.v.Q - row), u.h.Q)
            if k.p.in_place:
                planes = at(x, source + row*s.OW)
            else:
                pack(packed, at(x, source), t.OC, s.N*s.OC*OHW - source, &k, &u.s, True)
            for i in range(u.v.phases*u.h.phases):
                v, h = u.v.of_tap[i//u.h.phases], u.h.of_tap[i % u.h.phases]
                rows = min(at_once, v.Q - row)
                if rows > 0 and h.Q > 0:
                    phase_sums(<vec *> r.sums, planes, off, columns, <const vec *> r.weights, t.OC,
                               <const vec *> r.zeros, &k, u, taps, i//u.h.phases, i % u.h.phases, t.M, rows)
                    add_block(at(y, (n*s.IC + t.m)*s.IH*s.IW), s.IH, s.IW, <const vec *> r.sums, t.M,
                              rows, h.Q, &v, row, &h, 0)


cdef void fill_channels(vec *y, const vec *b, Py_ssize_t channels, Py_ssize_t cells) noexcept nogil:
    """Let sums begin with the bias; 0.0 in place of -0.0, so that it makes no difference to add zeros."""
    cdef Py_ssize_t c, i, L = lanes(y)
    for c in range(channels):
        for i in range(cells//L):
            store(y, i*L, splat(b, c) + zero(y))
        for i in range(cells - cells % L, cells):
            clear(at(y, i), 1)
            add_cell(y, i, b, c)
        y = at(y, cells)


cdef void run_task(
    vec *y, const vec *x, const vec *w, const vec *b, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const conv_shape *s, const work_plan *a, const room *r, task t
) noexcept nogil:
    """All phases, for a chunk of y's channels: turn all weights, then go through the images."""
    cdef Py_ssize_t IC = s.IC//s.G, OC = s.OC//s.G, first = t.g*IC + t.m, V, H, i, n
    cdef const vec *end = at(w, s.OC*IC*s.KH*s.KW)
    cdef vec *turned
    cdef vec *y_image
    cdef const vec *x_image
    cdef phase v, h
    cdef conv_shape p
    cdef union_plan u
    cdef Py_ssize_t terms = a.terms
    V = phases_of(s.KH, s.SH, s.DH)
    H = phases_of(s.KW, s.SW, s.DW)
    clear(<vec *> r.zeros, CHANNELS)
    u.possible = False
    if s.G == 1 and not a.straight:
        u = make_union_plan(s, ih_of, iw_of, sizeof(vec)//lanes(y), r.ih_of, r.iw_of)
        u.possible = u.possible and SUMS_BYTES*lanes(y)//<Py_ssize_t> sizeof(vec) >= t.M*u.h.Q
        terms = min(terms, u.terms) if u.possible else terms
    t.oc = 0
    while t.oc < OC:
        t.OC = min(terms, OC - t.oc)
        if u.possible:
            for n in range(t.n, t.stop if t.oc == 0 else t.n):
                fill_channels(at(y, (n*s.IC + first)*s.IH*s.IW), at(b, first), t.M, s.IH*s.IW)
            add_together(y, x, w, r, &t, s, &u)
            t.oc += t.OC
            continue
        turn_weights(<vec *> r.weights, w, end, &t, s)
        for n in range(t.n, t.stop):
            y_image = at(y, (n*s.IC + first)*s.IH*s.IW)
            x_image = at(x, (n*s.OC + t.g*OC + t.oc)*s.OH*s.OW)
            turned = <vec *> r.weights
            if t.oc == 0 and not a.straight:
                fill_channels(y_image, at(b, first), t.G*t.M, s.IH*s.IW)
            for i in range(V*H):
                v = phase_of(i//H, ih_of, s.KH, s.SH, s.DH, s.OH)
                h = phase_of(i % H, iw_of, s.KW, s.SW, s.DW, s.OW)
                fill_table(r.ih_of, &v, s.OH)
                fill_table(r.iw_of, &h, s.OW)
                if a.straight:
                    p = shape_of(&t, s, &v, &h)
                    convolve(y_image, x_image, turned, at(b, first) if t.oc == 0 else NULL, r.ih_of, r.iw_of,
                             &p, t.M, &r.conv)
                elif v.Q*h.Q > 0:
                    add_phase(y_image, x_image, turned, r, &t, s, &v, &h)
                turned = at(turned, t.G*t.M*t.OC*v.k.count*h.k.count)
        t.oc += t.OC


# --- all of them ---------------------------------------------------------------------------


cdef int threads_of(const conv_shape *s) noexcept nogil:
    return threads_for(s.N*s.OC*s.OH*s.OW*(s.IC//s.G)*s.KH*s.KW//SPEED)


cdef void transposed(
    vec *y, const vec *x, const vec *w, const vec *b, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const conv_shape *s, const work_plan *a, char *memory, int threads, Py_ssize_t part, Py_ssize_t parts
) noexcept nogil:
    """Do one of so many parts of the tasks."""
    cdef Py_ssize_t i, tasks = a.chunks*a.images, planes = s.N*s.IC, first, count
    cdef spread d = make_spread(s, ih_of, iw_of, lanes(y))
    if d.possible and d.work <= a.sums:
        first = planes*part//parts
        count = planes*(part + 1)//parts - first
        for i in prange(threads, schedule="static", chunksize=1, num_threads=threads):
            spread_planes(first + count*i//threads, first + count*(i + 1)//threads, y, x, w, b, s, &d, a,
                          memory, i)
        return
    first = tasks*part//parts
    count = tasks*(part + 1)//parts - first
    if threads == 1:
        for i in range(count):
            one_of(first + i, y, x, w, b, ih_of, iw_of, s, a, memory)
        return
    for i in prange(count, schedule="dynamic", num_threads=threads):
        one_of(first + i, y, x, w, b, ih_of, iw_of, s, a, memory)


cdef void spread_planes(
    Py_ssize_t first, Py_ssize_t last, vec *y, const vec *x, const vec *w, const vec *b, const conv_shape *s,
    const spread *d, const work_plan *a, char *memory, Py_ssize_t thread
) noexcept nogil:
    """Do some channels, counted through all images, of a depthwise convolution of stride 2."""
    cdef room r = room_of(memory, a, sizeof(vec)//lanes(y), s, thread)
    cdef Py_ssize_t i, c
    for i in range(first, last):
        c = i % s.IC
        depthwise_spread(at(y, i*s.IH*s.IW), at(x, i*s.OH*s.OW), at(w, 9*c), at(b, c), <vec *> r.sums, d, s)


cdef void one_of(
    Py_ssize_t i, vec *y, const vec *x, const vec *w, const vec *b, const Py_ssize_t *ih_of,
    const Py_ssize_t *iw_of, const conv_shape *s, const work_plan *a, char *memory
) noexcept nogil:
    cdef room r = room_of(memory, a, sizeof(vec)//lanes(y), s, threadid())
    run_task(y, x, w, b, ih_of, iw_of, s, a, &r, make_task(i, a, s))


# --- from C --------------------------------------------------------------------------------


cdef void loops(
    vec *y, const vec *x, const vec *w, const vec *b, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const conv_shape *s
) noexcept nogil:
    """Without memory for tasks, or where their planes do not fit it."""
    if vec is vf:
        scatter_loops(<float *> y, <const float *> x, <const float *> w, <const float *> b, ih_of, iw_of, s)
    else:
        scatter_loops(<double *> y, <const double *> x, <const double *> w, <const double *> b, ih_of, iw_of,
                      s)


cdef void conv_transpose(
    vec *y, const vec *x, const vec *w, const vec *b, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const conv_shape *s
) noexcept nogil:
    cdef int threads = threads_of(s)
    cdef work_plan a = make_work_plan(s, ih_of, iw_of, sizeof(vec)//lanes(y), threads)
    cdef char *memory = <char *> workspace_memory(threads*a.bytes) if a.possible else NULL
    if memory:
        transposed(y, x, w, b, ih_of, iw_of, s, &a, memory, threads, 0, 1)
    else:
        loops(y, x, w, b, ih_of, iw_of, s)
    free(memory)


cdef api void conv_transpose2d_f32(
    float *y, const float *x, const float *w, const float *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    conv_transpose(<vf *> y, <const vf *> x, <const vf *> w, <const vf *> b, ih_of, iw_of, s)


cdef api void conv_transpose2d_f64(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    conv_transpose(<vd *> y, <const vd *> x, <const vd *> w, <const vd *> b, ih_of, iw_of, s)


# --- from Python ---------------------------------------------------------------------------


cdef int from_python(
    vec *y, const vec *x, const vec *w, const vec *b, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const conv_shape *s
) except -1:
    """The same, looking for Ctrl-C between parts of the tasks."""
    cdef Py_ssize_t products = s.N*s.OC*s.OH*s.OW*(s.IC//s.G)*s.KH*s.KW
    cdef Py_ssize_t parts = 1 + products//FULL_SPEED//contract.BETWEEN_SIGNALS, i
    cdef int threads = threads_of(s)
    cdef work_plan a = make_work_plan(s, ih_of, iw_of, sizeof(vec)//lanes(y), threads*parts)
    cdef char *memory = <char *> workspace_memory(threads*a.bytes) if a.possible else NULL
    cdef conv_shape image = s[0]
    try:
        for i in range(parts if memory else 0):
            with nogil:
                transposed(y, x, w, b, ih_of, iw_of, s, &a, memory, threads, i, parts)
            contract.signals()
        image.N = 1
        for i in range(0 if memory else s.N):
            with nogil:
                loops(at(y, i*s.IC*s.IH*s.IW), at(x, i*s.OC*s.OH*s.OW), w, b, ih_of, iw_of, &image)
            contract.signals()
    finally:
        free(memory)
    return 0


def conv_transpose2d(
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
):
    """Fill y (N, IC, IH, IW) from x (N, OC, OH, OW), w (OC, IC/G, KH, KW) and b (IC,)."""
    cdef conv_shape s
    cdef int typenum = contract.conv_transpose2d(&s, y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
    cdef const Py_ssize_t *ih = <const Py_ssize_t *> ih_of.data
    cdef const Py_ssize_t *iw = <const Py_ssize_t *> iw_of.data
    if typenum == cnp.NPY_FLOAT32:
        from_python(<vf *> y.data, <const vf *> x.data, <const vf *> w.data, <const vf *> b.data, ih, iw, &s)
    else:
        from_python(<vd *> y.data, <const vd *> x.data, <const vd *> w.data, <const vd *> b.data, ih, iw, &s)
