"""Blocks: how much of a convolution is done at a time, so that caches hold what is used again.

A unit is a block of output rows (for very long rows, of columns of one row) of one group of one image.
Its terms are added block by block: input channels whose planes fit the L2 cache together, and so few
that the weights of a row of tiles, which every tile reads again, stay in an L1 cache of 48 KiB. In
float64 they are twice as large and come from L2, as the pixels do.

Where x serves as planes, the pixels that a tile reads for one term are an image away from those for the next,
and begin anywhere in a cache line. A plan that *keeps* them has the tiles of the first channels copy
what they read, and those of the others read the copies (see conv_kept_pixels.pyx).

Blocks depend on the sizes alone, never on the threads, so neither do the bits of a sum.

Tried on the layers of ResNet-50, and slower: so few terms at a time that a tile's pixels stay in L1 for all
output channels (3 % with 192 terms, 1 % with 384: y is visited too often), and asking for the next tile's
pixels ahead of time (6 %, and 22 % in 1x1 512>128 @28: the loads of L2 that a tile does are enough for it).
"""

from libc.stdlib cimport free

from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.depthwise cimport depthwise_channels
from convkit._ext.depthwise_rows cimport depthwise_image, fill_masks, make_strips, strips
from convkit._ext.microkernel cimport MR, NR_MAX, NV
from convkit._ext.planes cimport block, fill_offsets, layout, make_block, make_layout, pack, set_block
from convkit._ext.tiles cimport contiguous_tiles, flat_tiles, is_contiguous, kept_cells, row_tiles
from convkit._ext.vec cimport at, lanes, vd, vec, vf
from convkit._ext.workspace_memory cimport workspace_memory

cdef enum:
    PLANES_BYTES = 800_000  # planes of a block: most of an L2 cache of 1 or 2 MiB
    # 36 KiB of weights for 8 channels in float32, most of L1; 72 KiB in float64. Fewer terms would mean
    # more passes over y.
    TERMS = 1152
    L1_BYTES = 24_000       # planes of depthwise channels that are packed together: half of L1
    MOST_TAPS = 4096        # of a window; workspace grows with them


cdef struct plan:
    layout p                         # of a full block
    strips d                         # of depthwise channels that need no planes
    Py_ssize_t channels              # of a block of terms
    Py_ssize_t row_blocks, col_blocks
    Py_ssize_t units                 # N * G * row_blocks * col_blocks
    Py_ssize_t cells, columns        # elements of the workspace that are packed, and gathered before them
    Py_ssize_t terms                 # of a block: channels * taps
    Py_ssize_t tables                # entries of its offset tables
    bint keep                        # whether pixels that are read in place are kept
    bint possible                    # whether a block fits the workspace at all


cdef struct workspace:
    char *memory
    Py_ssize_t bytes  # of one thread


cdef inline Py_ssize_t blocks_of(Py_ssize_t n, Py_ssize_t size) noexcept nogil:
    return (n + size - 1) // size


cdef inline bint is_depthwise(const conv_shape *s) noexcept nogil:
    """Whether groups have one input channel, and too few output channels for a tile."""
    return s.IC == s.G and s.OC // s.G < MR


cdef inline void block_that_fits(
    const layout *p, const conv_shape *s, Py_ssize_t cells, Py_ssize_t *rows, Py_ssize_t *cols
) noexcept nogil:
    """Find the outputs whose planes, of one channel, fit so many cells: a row, and then as many as fit."""
    cells = cells // (p.v.planes*p.h.planes)
    rows[0] = 1
    cols[0] = min(s.OW, cells // (1 + p.v.extra) - p.h.extra)
    if cols[0] == s.OW:
        rows[0] = min(s.OH, max(1, cells // (s.OW + p.h.extra) - p.v.extra))


cdef inline plan make_plan(
    const conv_shape *s, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, Py_ssize_t L, Py_ssize_t size,
    bint keep
) noexcept nogil:
    """Choose the blocks; L is the lanes of a vector and `size` the bytes of an element.

    Pixels are kept if `keep` says so, and there are channels that would read them again.
    """
    cdef plan a
    cdef Py_ssize_t IC = s.IC // s.G, taps = s.KH*s.KW, cells = PLANES_BYTES // size, rows, cols, in_strips
    cdef Py_ssize_t even = 1, before
    a.p = make_layout(s, ih_of, iw_of)
    if is_depthwise(s):
        a.p.in_place = False  # depthwise reads whole vectors, also beyond the last channel's end
    a.keep = keep and a.p.in_place and s.OC // s.G > MR
    a.channels = max(1, min(IC, TERMS // taps))
    if a.keep:
        cells -= a.channels*(NV - 1)*L  # of a last tile that is not full
    block_that_fits(&a.p, s, cells // a.channels, &rows, &cols)
    # Rows that only the window's height asks for are packed for every block: where dilation makes them
    # many, fewer channels at a time make room for as many rows of outputs.
    while a.channels > 1 and (rows < min(s.OH, a.p.v.extra) or cols < min(s.OW, 8*L)):
        a.channels = (a.channels + 1) // 2
        block_that_fits(&a.p, s, cells // a.channels, &rows, &cols)
    a.possible = a.p.possible and taps <= MOST_TAPS and (cols == s.OW or cols >= 8*L)
    # Blocks that are much alike, and whole vectors if rows permit: left-over pixels take longer.
    while even < L and even*cols % L != 0:
        even *= 2
    if rows == s.OH or rows < even:
        even = 1
    rows -= rows % even
    rows = blocks_of(blocks_of(s.OH, blocks_of(s.OH, rows)), even)*even
    a.row_blocks = blocks_of(s.OH, rows)
    a.col_blocks = blocks_of(s.OW, max(1, cols))
    set_block(&a.p, s, rows, blocks_of(s.OW, a.col_blocks))
    a.units = s.N*s.G*a.row_blocks*a.col_blocks
    a.terms = a.channels*taps
    a.tables = 2*a.terms if a.keep else a.terms
    a.columns = (L - 1)*a.terms
    before = a.tables*<Py_ssize_t> sizeof(Py_ssize_t) + a.columns*size
    a.columns += (64 - before % 64) % 64 // size  # what is packed begins with a cache line
    if is_depthwise(s) and a.row_blocks*a.col_blocks == 1:
        a.channels = max(1, min(s.N*s.G, L1_BYTES // size // a.p.channel))
    if not a.p.in_place:
        a.cells = a.channels*a.p.channel + 2*NR_MAX
    else:
        a.cells = a.channels*kept_cells(a.p.rows*a.p.cols, L) if a.keep else 0
    a.d = make_strips(s, iw_of, L)
    in_strips = a.d.zeros + a.d.masks + a.d.copied
    a.d.possible = (a.d.possible and is_depthwise(s) and a.row_blocks*a.col_blocks == 1
                    and in_strips*size <= PLANES_BYTES)
    if a.d.possible:
        a.cells = in_strips
    return a


cdef inline Py_ssize_t bytes_of_thread(const plan *a, Py_ssize_t size) noexcept nogil:
    """Workspace for one thread, in whole cache lines."""
    cdef Py_ssize_t bytes = a.tables*<Py_ssize_t> sizeof(Py_ssize_t) + (a.cells + a.columns)*size
    return (bytes + 127) // 128*128


cdef inline bint allocate(
    workspace *t, const plan *a, Py_ssize_t size, Py_ssize_t threads
) noexcept nogil:
    """Get every thread's workspace, all of it or none."""
    t.bytes = bytes_of_thread(a, size)
    t.memory = <char *> workspace_memory(threads*t.bytes)
    return t.memory != NULL


cdef inline void release(workspace *t) noexcept nogil:
    free(t.memory)


cdef inline Py_ssize_t outputs_of(const plan *a, const conv_shape *s, Py_ssize_t unit) noexcept nogil:
    """How many outputs of a channel a unit has. The last ones may be smaller than the others."""
    cdef Py_ssize_t ow = unit % a.col_blocks*a.p.cols, oh = unit // a.col_blocks % a.row_blocks*a.p.rows
    return min(a.p.rows, s.OH - oh)*min(a.p.cols, s.OW - ow)


cdef inline void place_block(
    block *k, const plan *a, const conv_shape *s, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    Py_ssize_t unit
) noexcept nogil:
    """Prepare the block of outputs that a unit stands for. The last one may be smaller."""
    cdef Py_ssize_t ow = unit % a.col_blocks*a.p.cols, oh = unit // a.col_blocks % a.row_blocks*a.p.rows
    make_block(k, &a.p, s, ih_of, iw_of, oh, ow, min(a.p.rows, s.OH - oh), min(a.p.cols, s.OW - ow))


cdef inline void dense_unit(
    vec *y, const vec *x, const vec *w, const vec *b, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const conv_shape *s, const plan *a, const workspace *t, Py_ssize_t thread,
    Py_ssize_t unit, Py_ssize_t m, Py_ssize_t M
) noexcept nogil:
    """Compute M output channels of one unit, from the group's channel m on, one block of terms at a time."""
    cdef Py_ssize_t IC = s.IC // s.G, OC = s.OC // s.G, taps = s.KH*s.KW, OHW = s.OH*s.OW, K = IC*taps
    cdef Py_ssize_t image = unit // (a.col_blocks*a.row_blocks)  # n*G + g
    cdef Py_ssize_t g = image % s.G, c, channels, source
    cdef Py_ssize_t *off = <Py_ssize_t *> (t.memory + thread*t.bytes)
    cdef Py_ssize_t *kept_off = off + a.terms
    cdef vec *columns = <vec *> (off + a.tables)
    cdef vec *packed = at(columns, a.columns)
    cdef vec *kept = packed if a.keep and M > MR else NULL
    cdef const vec *planes = packed
    cdef const vec *start = at(b, g*OC + m)
    cdef block k
    place_block(&k, a, s, ih_of, iw_of, unit)
    fill_offsets(off, &k.p, a.channels, s.KH, s.KW)
    y = at(y, (image*OC + m)*OHW + k.oh*s.OW + k.ow)
    w = at(w, (g*OC + m)*K)
    for c in range(blocks_of(IC, a.channels)):
        c = c*a.channels
        channels = min(a.channels, IC - c)
        source = (image*IC + c)*s.IH*s.IW
        if k.p.in_place:
            planes = at(x, source + k.oh*s.IW + k.ow)
        else:
            pack(packed, at(x, source), channels, s.N*s.IC*s.IH*s.IW - source, &k, s, c == 0)
        if is_contiguous(&k.p, s):
            contiguous_tiles(y, columns, planes, off, at(w, c*taps), K, channels*taps,
                             start if c == 0 else NULL, M, &k.p, s, kept, kept_off)
        elif k.p.cols % lanes(y) == 0:
            row_tiles(y, planes, off, at(w, c*taps), K, channels*taps, start if c == 0 else NULL, M, &k.p, s)
        else:
            flat_tiles(y, planes, off, at(w, c*taps), K, channels*taps, start if c == 0 else NULL, M,
                       &k.p, s)


cdef inline void depthwise_images(
    vec *y, const vec *x, const vec *w, const vec *b, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const conv_shape *s, const plan *a, const workspace *t, Py_ssize_t thread,
    Py_ssize_t first, Py_ssize_t last, Py_ssize_t m, Py_ssize_t M
) noexcept nogil:
    """The same for units of one input channel each that need no planes."""
    cdef Py_ssize_t OC = s.OC // s.G, OHW = s.OH*s.OW, IHW = s.IH*s.IW, unit, c
    cdef vec *work = at(<vec *> (<Py_ssize_t *> (t.memory + thread*t.bytes) + a.tables), a.columns)
    fill_masks(work, &a.d, iw_of, s)
    for unit in range(first, last):
        c = unit % s.G*OC + m
        depthwise_image(at(y, (unit*OC + m)*OHW), (M if M < OC else (last - unit)*OC)*OHW,
                        at(x, unit*IHW), unit*IHW, (s.N*s.G - unit)*IHW,
                        at(w, 9*c), at(b, c), M, work, &a.d, ih_of, s)


cdef inline void depthwise_units(
    vec *y, const vec *x, const vec *w, const vec *b, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const conv_shape *s, const plan *a, const workspace *t, Py_ssize_t thread,
    Py_ssize_t first, Py_ssize_t last, Py_ssize_t m, Py_ssize_t M
) noexcept nogil:
    """The same for units of one input channel each.

    Some are packed together, if there is but one block, so that a processor has written the planes
    by the time that it reads them: a vector that lies across two unfinished stores makes it wait.
    """
    cdef Py_ssize_t OC = s.OC // s.G, taps = s.KH*s.KW, OHW = s.OH*s.OW, unit = first, i, g, image, count
    cdef Py_ssize_t blocks = a.col_blocks*a.row_blocks
    cdef Py_ssize_t *off = <Py_ssize_t *> (t.memory + thread*t.bytes)
    cdef vec *packed = at(<vec *> (off + a.tables), a.columns)
    cdef block k
    while unit < last:
        place_block(&k, a, s, ih_of, iw_of, unit)
        fill_offsets(off, &k.p, 1, s.KH, s.KW)
        image = unit // blocks
        count = min(a.channels, last - unit)
        pack(packed, at(x, image*s.IH*s.IW), count, (s.N*s.G - image)*s.IH*s.IW, &k, s,
             unit == first or blocks > 1)
        for i in range(count):
            g = (image + i) % s.G
            depthwise_channels(at(y, ((image + i)*OC + m)*OHW + k.oh*s.OW + k.ow), at(packed, i*k.p.channel),
                               off, at(w, (g*OC + m)*taps), taps, at(b, g*OC + m), M, &k.p, s)
        unit += count


cdef inline void convolve_units(
    vec *y, const vec *x, const vec *w, const vec *b, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    const conv_shape *s, const plan *a, const workspace *t, Py_ssize_t thread,
    Py_ssize_t first, Py_ssize_t last, Py_ssize_t m, Py_ssize_t M
) noexcept nogil:
    """Compute M output channels, from their group's channel m on, of the units from first to last - 1."""
    cdef Py_ssize_t unit
    if M <= 0:
        return
    if a.d.possible:
        depthwise_images(y, x, w, b, ih_of, iw_of, s, a, t, thread, first, last, m, M)
        return
    if is_depthwise(s):
        depthwise_units(y, x, w, b, ih_of, iw_of, s, a, t, thread, first, last, m, M)
        return
    for unit in range(first, last):
        dense_unit(y, x, w, b, ih_of, iw_of, s, a, t, thread, unit, m, M)
