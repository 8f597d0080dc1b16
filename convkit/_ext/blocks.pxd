"""Blocks: how much of a convolution is done at a time, so that caches hold what is used again.

A unit is a block of output rows (for very long rows, of columns of one row) of one group of one image.
Its terms are added block by block: input channels whose planes fit the L2 cache together, so many that
the weights of a row of tiles fit L1 beside a tile's pixels. Blocks depend on the sizes alone, never on
the threads, so neither do the bits of a sum.
"""

from libc.stdlib cimport free, malloc

from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.microkernel cimport NR_MAX
from convkit._ext.planes cimport fill_offsets, layout, make_layout, pack, set_block
from convkit._ext.tiles cimport contiguous_tiles, flat_tiles, is_contiguous
from convkit._ext.vec cimport at, lanes, vd, vec, vf

cdef enum:
    PLANES_BYTES = 800_000  # planes of a block: most of an L2 cache of 1 or 2 MiB
    TERMS = 512            # 16 KiB of weights for 8 channels, and as much again of other things in L1
    MOST_TAPS = 4096        # of a window; workspace grows with them


cdef struct plan:
    layout p                         # of a full block
    Py_ssize_t channels              # of a block of terms
    Py_ssize_t row_blocks, col_blocks
    Py_ssize_t units                 # N * G * row_blocks * col_blocks
    Py_ssize_t cells, columns, terms  # elements of the workspace's three parts
    bint possible                    # whether a block fits the workspace at all


cdef struct workspace:
    void *planes
    void *columns
    Py_ssize_t *off


cdef inline Py_ssize_t blocks_of(Py_ssize_t n, Py_ssize_t size) noexcept nogil:
    return (n + size - 1) // size


cdef inline plan make_plan(
    const conv_shape *s, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, Py_ssize_t L, Py_ssize_t size
) noexcept nogil:
    """Choose the blocks; L is the lanes of a vector and `size` the bytes of an element."""
    cdef plan a
    cdef Py_ssize_t IC = s.IC // s.G, taps = s.KH*s.KW, cells = PLANES_BYTES // size, rows, cols
    a.p = make_layout(s, ih_of, iw_of)
    a.channels = max(1, min(IC, TERMS // taps))
    cells = cells // a.channels // (a.p.v.planes*a.p.h.planes)  # of one plane
    # One row of outputs, and then as many as fit.
    cols = min(s.OW, cells // (1 + a.p.v.extra) - a.p.h.extra)
    rows = 1
    if cols == s.OW:
        rows = min(s.OH, max(1, cells // (cols + a.p.h.extra) - a.p.v.extra))
    a.possible = a.p.possible and taps <= MOST_TAPS and (cols == s.OW or cols >= 8*L)
    a.row_blocks = blocks_of(s.OH, rows)
    a.col_blocks = blocks_of(s.OW, max(1, cols))
    set_block(&a.p, s, blocks_of(s.OH, a.row_blocks), blocks_of(s.OW, a.col_blocks))
    a.units = s.N*s.G*a.row_blocks*a.col_blocks
    a.terms = a.channels*taps
    a.columns = (L - 1)*a.terms
    a.cells = 0 if a.p.in_place else a.channels*a.p.channel + NR_MAX
    return a


cdef inline Py_ssize_t workspace_bytes(const plan *a, Py_ssize_t size) noexcept nogil:
    """What one thread needs."""
    return (a.cells + a.columns)*size + a.terms*<Py_ssize_t> sizeof(Py_ssize_t)


cdef inline bint allocate(workspace *t, const plan *a, Py_ssize_t size) noexcept nogil:
    """Get one thread's workspace, all of it or none."""
    t.off = <Py_ssize_t *> malloc(workspace_bytes(a, size))
    if not t.off:
        return False
    t.columns = <char *> t.off + a.terms*sizeof(Py_ssize_t)
    t.planes = <char *> t.columns + a.columns*size
    return True


cdef inline void release(workspace *t) noexcept nogil:
    free(t.off)


cdef inline void convolve_unit(
    vec *y, const vec *x, const vec *w, const vec *b, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const conv_shape *s, const plan *a, workspace *t, Py_ssize_t unit, Py_ssize_t m, Py_ssize_t M
) noexcept nogil:
    """Compute M output channels, from the group's channel m on, of one unit."""
    cdef Py_ssize_t IC = s.IC // s.G, OC = s.OC // s.G, taps = s.KH*s.KW, OHW = s.OH*s.OW, K = IC*taps
    cdef Py_ssize_t ow = unit % a.col_blocks*a.p.cols
    cdef Py_ssize_t oh = unit // a.col_blocks % a.row_blocks*a.p.rows
    cdef Py_ssize_t image = unit // (a.col_blocks*a.row_blocks)  # n*G + g
    cdef Py_ssize_t g = image % s.G, c, channels, source
    cdef layout p = a.p
    cdef vec *planes = <vec *> t.planes
    cdef const vec *start = at(b, g*OC + m)
    if oh >= s.OH or ow >= s.OW:
        return  # blocks were evened out, and the last ones may be empty
    set_block(&p, s, min(p.rows, s.OH - oh), min(p.cols, s.OW - ow))
    fill_offsets(t.off, &p, a.channels, s.KH, s.KW)
    y = at(y, (image*OC + m)*OHW + oh*s.OW + ow)
    w = at(w, (g*OC + m)*K)
    for c in range(blocks_of(IC, a.channels)):
        c = c*a.channels
        channels = min(a.channels, IC - c)
        source = (image*IC + c)*s.IH*s.IW
        if p.in_place:
            planes = at(<vec *> x, source + oh*s.IW + ow)
        else:
            pack(planes, at(x, source), channels, s.N*s.IC*s.IH*s.IW - source, &p, s, ih_of, iw_of, oh, ow)
        if is_contiguous(&p, s):
            contiguous_tiles(y, <vec *> t.columns, planes, t.off, at(w, c*taps), K, channels*taps,
                             start if c == 0 else NULL, M, &p, s)
        else:
            flat_tiles(y, planes, t.off, at(w, c*taps), K, channels*taps, start if c == 0 else NULL, M, &p, s)
