"""Winograd's convolution F(4x4, 3x3): a quarter of the multiplications, paid for in additions.

    y = A^T [ sum over ic of (G g G^T) * (B^T d B) ] A        of each tile of 4x4 outputs

g is a filter of 3x3 weights, d the 6x6 inputs of a tile; winograd_lines.pxd has the matrices A, B and G,
and winograd_tiles.pxd lays out what comes of them: U of the filters, V of the inputs, and M, their
products. (A tile is 4x4 outputs here, as in the literature, and stands in one lane of the microkernel's.)

What limited the direct kernel: it runs near the multiply-add peak, 2*9*IC FLOPs an output. Here an
output costs 36/16 multiply-adds an input channel instead of 9, on the same microkernel, whose offset
table now steps from one channel's tiles to the next; the 36 planes are 36 small matrix products. The
transforms cost about 9 operations for each input, and their traffic: V is 2.25 times as large as x,
and U 4 times as large as w. With 64 to 256 channels the products, at the peak, would be 40 to 60 % of the
time; the rest is transforms, and what small products lose.

Few tiles: V of all of them is made first, and each block of filters is transformed when its turn
comes, since U would be larger than the caches and is used once. Where one or two tiles would have a vector
to themselves, as one of 49 does, their products are dot products. Many tiles: U is made first, then a
block of tiles at a time goes all the way. Threads share the blocks of filters, or of tiles.

F(2x2, 3x3), with 2.25 times fewer multiplications in place of 4, has no layer of its own. Nearly everywhere
F(4x4) beats `direct`. At 3x3 512>512 @7 it does not: 4 tiles in 16 lanes take 2.0 times as long as `direct`,
and 1.5 times with dot products for them. F(2x2) makes 16 tiles there, one vector for each of 16 products,
whose tiles do 175 GFLOP/s: these products alone take 0.8 of direct's 970 us, and to transform the 262,144
filters, some 270 us in F(4x4), takes the rest.

Rounding differs from the defining sum's: convkit/rules.py states the bound. One NaN in x spreads over
the tiles that read it.
"""

cimport numpy as cnp
from cython.parallel cimport parallel, prange, threadid
from libc.stdlib cimport free

from convkit._ext cimport contract
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.microkernel cimport MR, dots, tile
from convkit._ext.panels cimport conv2d_by_panels
from convkit._ext.tiles cimport next_vectors
from convkit._ext.vec cimport at, clear, lanes, move, vd, vec, vf
from convkit._ext.winograd_plan cimport SPEED, TILES, block_start, make_plan, plan, workspace
from convkit._ext.winograd_tiles cimport (
    M_plane, ROWS, U_filters, U_plane, U_row, V_plane, input_scratch, parts, problem,
    transform_filters, transform_inputs, transform_outputs, up
)
from convkit._ext.workspace_memory cimport workspace_memory

cnp.import_array()

import numpy as np

# --- the parts -----------------------------------------------------------------------------


cdef void multiply(
    vec *M, const vec *U, const vec *V, const Py_ssize_t *off, const plan *p,
    Py_ssize_t filters, Py_ssize_t first, Py_ssize_t tiles
) noexcept nogil:
    """M[point] += U[point] @ V[point] for all 36 points and a block of channels, `first` of them on.

    The rest of the tiles are dot products of U's rows and their columns of V, which `one_input` keeps.
    """
    cdef Py_ssize_t L = lanes(U), vectors = parts(tiles - p.rest, L), point, r, v, n
    cdef const vec *columns = at(V, 36*V_plane(V, p.q.IC, p.tiles) + first)
    cdef Py_ssize_t U_stride = U_plane(U, p.q.IC), ldw = U_row(U, p.q.IC), K = min(ldw, p.q.IC - first)
    cdef Py_ssize_t V_stride = V_plane(V, p.q.IC, p.tiles), M_stride = M_plane(M, p.tiles)
    cdef vec zeros[ROWS]
    clear(zeros, ROWS)
    for point in range(36):
        v = 0
        while v < vectors:
            n = next_vectors(vectors - v)
            for r in range(parts(filters, MR)):
                tile(<int> min(<Py_ssize_t> MR, filters - r*MR), <int> n,
                     at(M, point*M_stride + r*MR*p.tiles + v*L), p.tiles,
                     at(V, point*V_stride + first*p.tiles + v*L), off,
                     at(U, point*U_stride + r*MR*ldw), ldw, K, zeros if first == 0 else NULL)
            v += n
        for r in range(parts(filters, MR) if p.rest else 0):
            dots(<int> min(<Py_ssize_t> MR, filters - r*MR), <int> p.rest,
                 at(M, point*M_stride + r*MR*p.tiles + v*L), p.tiles,
                 at(columns, point*p.rest*p.q.IC), p.q.IC,
                 at(U, point*U_stride + r*MR*ldw), ldw, K, zeros if first == 0 else NULL)


cdef void filters_times_tiles(
    vec *y, const vec *w, const vec *b, const vec *U, vec *U_block, const vec *V, const Py_ssize_t *off,
    vec *M, const plan *p, Py_ssize_t block, Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    """Multiply one block of filters by tiles start..stop, and finish the outputs.

    Where there is no U, filters are transformed just before they are used.
    """
    cdef Py_ssize_t r, k, oc = block*ROWS, filters = min(<Py_ssize_t> ROWS, p.q.OC - oc)
    cdef Py_ssize_t terms = U_row(V, p.q.IC)
    cdef vec *pixels = at(M, 36*M_plane(M, p.tiles))
    for k in range(parts(p.q.IC, terms)):
        if U == NULL:
            transform_filters(U_block, at(w, oc*p.q.IC*9), filters, p.q.IC, k*terms)
            multiply(M, U_block, V, off, p, filters, k*terms, stop - start)
        else:
            multiply(M, at(U, k*36*U_plane(V, p.q.IC)), V, off, p, filters, k*terms, stop - start)
    for r in range(filters):
        transform_outputs(at(y, (oc + r)*p.q.OH*p.q.OW), at(M, r*p.tiles), M_plane(M, p.tiles),
                          at(b, oc + r), pixels, &p.q, start, stop)


cdef void filters_of_all_channels(
    vec *U, const vec *w, const problem *q, Py_ssize_t block
) noexcept nogil:
    """Transform one block of filters."""
    cdef Py_ssize_t k, oc = block*ROWS, terms = U_row(w, q.IC)
    for k in range(parts(q.IC, terms)):
        transform_filters(at(U, block*U_filters(w, q.IC) + k*36*U_plane(w, q.IC)), at(w, oc*q.IC*9),
                          min(<Py_ssize_t> ROWS, q.OC - oc), q.IC, k*terms)


cdef void one_input(
    vec *V, const vec *x, const vec *x_end, vec *scratch, const plan *p,
    Py_ssize_t ic, Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    """Fill one channel of V[point][ic][tile] and, behind V, of columns[point][tile of the rest][ic]."""
    cdef Py_ssize_t V_stride = V_plane(x, p.q.IC, p.tiles), point, t
    cdef vec *columns = at(V, 36*V_stride + ic)
    transform_inputs(at(V, ic*p.tiles), V_stride, at(x, ic*p.q.IH*p.q.IW), x_end, scratch, &p.q, start, stop)
    for point in range(36):
        for t in range(p.rest):
            move(columns, (point*p.rest + t)*p.q.IC, V, point*V_stride + ic*p.tiles + stop - p.rest + t)


# --- both orders ---------------------------------------------------------------------------


cdef inline vec *own(vec *shared, const plan *p) noexcept nogil:
    """This thread's workspace."""
    return at(shared, p.shared + threadid()*p.own)


cdef void few_tiles(
    vec *y, const vec *x, const vec *x_end, const vec *w, const vec *b, const Py_ssize_t *off,
    vec *V, const plan *p
) noexcept nogil:
    cdef Py_ssize_t ic, block, M = 36*U_plane(x, p.q.IC)
    with nogil, parallel(num_threads=p.threads):
        for ic in prange(p.q.IC, schedule="static"):
            one_input(V, x, x_end, own(V, p), p, ic, 0, p.q.T)
        for block in prange(p.filters, schedule="static"):
            filters_times_tiles(y, w, b, NULL, own(V, p), V, off, at(own(V, p), M), p, block, 0, p.q.T)


cdef void many_tiles(
    vec *y, const vec *x, const vec *x_end, const vec *w, const vec *b, const Py_ssize_t *off,
    const vec *ready, vec *shared, const plan *p, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """Blocks first..last; the filters are transformed along with block 0, unless they are ready."""
    cdef Py_ssize_t block
    cdef const vec *U = ready
    if not p.ready:
        U = shared
    with nogil, parallel(num_threads=p.threads):
        if first == 0 and not p.ready:
            for block in prange(p.filters, schedule="static"):
                filters_of_all_channels(shared, w, &p.q, block)
        for block in prange(first, last, schedule="static"):
            all_filters(y, x, x_end, b, off, U, own(shared, p), p, block_start(x, p, block),
                        block_start(x, p, block + 1))


cdef void all_filters(
    vec *y, const vec *x, const vec *x_end, const vec *b, const Py_ssize_t *off, const vec *U, vec *mine,
    const plan *p, Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    """Tiles start..stop, through all channels and filters."""
    cdef Py_ssize_t ic, block
    cdef vec *V = at(mine, input_scratch(x, p.tiles))
    cdef vec *M = at(V, 36*V_plane(x, p.q.IC, p.tiles))
    for ic in range(p.q.IC):
        one_input(V, x, x_end, mine, p, ic, start, stop)
    for block in range(p.filters):
        filters_times_tiles(y, NULL, b, at(U, block*U_filters(x, p.q.IC)), NULL, V, off, M, p,
                            block, start, stop)


# --- the whole -----------------------------------------------------------------------------


cdef Py_ssize_t convolve(
    vec *y, const vec *x, const vec *w, const vec *b, const vec *U, const conv_shape *s, const plan *p,
    void *memory, Py_ssize_t done, Py_ssize_t at_once
) noexcept nogil:
    """Do the next blocks of tiles, of all groups' in a row, and return how many are done then."""
    cdef Py_ssize_t *off = <Py_ssize_t *> memory
    cdef vec *shared = <vec *> (off + up(U_row(x, p.q.IC), 8))
    cdef const vec *x_end = at(x, s.N*p.q.x_image)
    cdef Py_ssize_t g = done // p.blocks, first = done % p.blocks, last = min(p.blocks, first + at_once), ic
    y = at(y, g*p.q.OC*p.q.OH*p.q.OW)
    x = at(x, g*p.q.IC*p.q.IH*p.q.IW)
    w = at(w, g*p.q.OC*p.q.IC*9)
    b = at(b, g*p.q.OC)
    for ic in range(U_row(x, p.q.IC)):
        off[ic] = ic*p.tiles
    if p.few:
        few_tiles(y, x, x_end, w, b, off, shared, p)
    else:
        many_tiles(y, x, x_end, w, b, off, at(U, g*p.filters*U_filters(x, p.q.IC)), shared, p, first, last)
    return done + last - first


cdef void winograd(
    vec *y, const vec *x, const vec *w, const vec *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    cdef plan p = make_plan(x, ih_of, iw_of, s, False)
    cdef void *memory = workspace_memory(workspace(x, &p))
    cdef Py_ssize_t done = 0
    if memory == NULL:
        conv2d_by_panels(y, x, w, b, ih_of, iw_of, s, 0, 1)
        return
    while done < s.G*p.blocks:  # no U was made before: x stands in its place and is not read
        done = convolve(y, x, w, b, x, s, &p, memory, done, p.blocks)
    free(memory)


cdef int from_python(
    vec *y, const vec *x, const vec *w, const vec *b, const vec *U, bint ready,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) except -1:
    """The same with an error where memory is short, and looking for Ctrl-C between blocks."""
    cdef plan p = make_plan(x, ih_of, iw_of, s, ready)
    cdef Py_ssize_t done = 0, size = workspace(x, &p)
    cdef Py_ssize_t at_once = contract.blocks_at_once(p.tiles*16*9*p.q.OC*p.q.IC // SPEED + 1)
    cdef void *memory = workspace_memory(size)
    if memory == NULL:
        raise MemoryError(f"winograd needs {size:,} bytes of workspace; algorithm='direct' needs less")
    try:
        while done < s.G*p.blocks:
            with nogil:
                done = convolve(y, x, w, b, U, s, &p, memory, done, at_once)
            contract.signals()
    finally:
        free(memory)
    return 0


# --- from C --------------------------------------------------------------------------------


cdef api void conv2d_f32(
    float *y, const float *x, const float *w, const float *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    winograd(<vf *> y, <const vf *> x, <const vf *> w, <const vf *> b, ih_of, iw_of, s)


cdef api void conv2d_f64(
    double *y, const double *x, const double *w, const double *b,
    const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s
) noexcept nogil:
    winograd(<vd *> y, <const vd *> x, <const vd *> w, <const vd *> b, ih_of, iw_of, s)


# --- from Python ---------------------------------------------------------------------------


cdef int served(const conv_shape *s) except -1:
    if s.KH != 3 or s.KW != 3 or s.SH != 1 or s.SW != 1 or s.DH != 1 or s.DW != 1:
        raise ValueError("winograd needs a 3x3 kernel, stride 1 and dilation 1")
    return 0


cdef Py_ssize_t ready_size(const vec *like, Py_ssize_t G, Py_ssize_t OC, Py_ssize_t IC) noexcept nogil:
    return G*parts(OC // G, ROWS)*U_filters(like, IC)


cdef void make_ready(vec *U, const vec *w, Py_ssize_t G, Py_ssize_t OC, Py_ssize_t IC) noexcept nogil:
    cdef Py_ssize_t g, block
    cdef problem q
    q.OC, q.IC = OC // G, IC
    for g in range(G):
        for block in range(parts(q.OC, ROWS)):
            filters_of_all_channels(at(U, g*parts(q.OC, ROWS)*U_filters(w, IC)), at(w, g*q.OC*IC*9), &q,
                                    block)


def conv2d(
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW, cnp.ndarray U=None
):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, 3, 3), b (OC,) and what `ready` gave."""
    cdef conv_shape s
    cdef int typenum = contract.conv2d(&s, y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
    served(&s)
    cdef const Py_ssize_t *ih = <const Py_ssize_t *> ih_of.data
    cdef const Py_ssize_t *iw = <const Py_ssize_t *> iw_of.data
    cdef bint is_ready = U is not None
    cdef Py_ssize_t size
    cdef void *u = y.data
    if is_ready:
        contract.array(U, "U", 1, typenum)
        contract.apart(y, U, "U")
        size = ready_size(<const vf *> x.data, s.G, s.OC, s.IC // s.G)
        if typenum == cnp.NPY_FLOAT64:
            size = ready_size(<const vd *> x.data, s.G, s.OC, s.IC // s.G)
        contract.extent("length of U", U.shape[0], size)
        u = U.data
    if typenum == cnp.NPY_FLOAT32:
        from_python(<vf *> y.data, <const vf *> x.data, <const vf *> w.data, <const vf *> b.data,
                    <const vf *> u, is_ready, ih, iw, &s)
    else:
        from_python(<vd *> y.data, <const vd *> x.data, <const vd *> w.data, <const vd *> b.data,
                    <const vd *> u, is_ready, ih, iw, &s)


def ready(cnp.ndarray w, layer):
    """Return U, the filters w (OC, IC/G, 3, 3) transformed for `conv2d`; None if they are better not."""
    cdef int typenum = cnp.NPY_FLOAT64
    if w is not None and cnp.PyArray_TYPE(w) == cnp.NPY_FLOAT32:
        typenum = cnp.NPY_FLOAT32
    contract.array(w, "w", 4, typenum)
    cdef Py_ssize_t OC = w.shape[0], IC = w.shape[1], G = layer.G
    if layer.N*parts(layer.OH, 4)*parts(layer.OW, 4) < 2*TILES:
        return None
    contract.extent("rows of the kernel", w.shape[2], 3)
    contract.extent("columns of the kernel", w.shape[3], 3)
    if G < 1 or OC % G:
        raise ValueError(f"{OC} output channels have no {G} groups")
    cdef Py_ssize_t size = ready_size(<const vf *> w.data, G, OC, IC)
    if typenum == cnp.NPY_FLOAT64:
        size = ready_size(<const vd *> w.data, G, OC, IC)
    cdef cnp.ndarray U = np.zeros(size, w.dtype)
    with nogil:
        if typenum == cnp.NPY_FLOAT32:
            make_ready(<vf *> U.data, <const vf *> w.data, G, OC, IC)
        else:
            make_ready(<vd *> U.data, <const vd *> w.data, G, OC, IC)
    return U


def workspace_bytes(layer, Py_ssize_t itemsize, *geometry):
    """Return how many bytes `conv2d` allocates."""
    cdef conv_shape s
    cdef plan p
    s.N, s.IC, s.OC, s.G, s.OH, s.OW = layer.N, layer.IC, layer.OC, layer.G, layer.OH, layer.OW
    s.IH = s.IW = 1
    if itemsize == sizeof(float):
        p = make_plan(<const vf *> &s, NULL, NULL, &s, False)
        return workspace(<const vf *> &s, &p)
    p = make_plan(<const vd *> &s, NULL, NULL, &s, False)
    return workspace(<const vd *> &s, &p)
