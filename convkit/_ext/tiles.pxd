"""From planes to outputs: the microkernel, tile by tile, over all output channels of a group.

``flat_tiles`` serves any planes. Its tiles run across row ends, so they go to a scratch tile first, from
which the rows are copied without the worthless outputs between them. ``contiguous_tiles`` is for planes
whose pitch is the length of a row of y: no output is worthless, and tiles go straight to y. So they do
in ``row_tiles``, where a row is whole vectors: tiles end with the rows, and leave the worthless out.

`y` is the block's first output and `start` its channels' first values, or NULL to add to what y holds.
"""

from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.microkernel cimport MR, NV, dots, tile, tile_kept
from convkit._ext.planes cimport layout
from convkit._ext.vec cimport at, copy, lanes, move, vd, vec, vf


cdef inline void rows_of_tile(
    vec *y, vec *scratch, Py_ssize_t output, Py_ssize_t n, const layout *p, Py_ssize_t OW, bint to_y
) noexcept nogil:
    """Copy n outputs of one channel, some of them worthless, from a row of the scratch tile, or to it."""
    cdef Py_ssize_t i = 0, row = output // p.pitch, col = output % p.pitch, count
    while i < n:
        count = min(n - i, p.cols - col)
        if count > 0 and to_y:
            copy(at(y, row*OW + col), at(scratch, i), count)
        elif count > 0:
            copy(at(scratch, i), at(y, row*OW + col), count)
        i += p.pitch - col
        col = 0
        row += 1


cdef inline void flat_tiles(
    vec *y, const vec *planes, const Py_ssize_t *off, const vec *w, Py_ssize_t ldw, Py_ssize_t K,
    const vec *start, Py_ssize_t M, const layout *p, const conv_shape *s
) noexcept nogil:
    cdef vec scratch[MR*NV]
    cdef Py_ssize_t L = lanes(y), NR = NV*L, OHW = s.OH*s.OW
    cdef Py_ssize_t outputs = (p.rows - 1)*p.pitch + p.cols, tiles = (outputs + NR - 1) // NR
    cdef Py_ssize_t i, j, m, n, r, rows, first
    for i in range((M + MR - 1) // MR):
        m = i*MR
        rows = min(MR, M - m)
        for j in range(tiles):
            first = j*NR
            n = min(NR, outputs - first)
            if not start:
                for r in range(rows):
                    rows_of_tile(at(y, (m + r)*OHW), at(scratch, r*NR), first, n, p, s.OW, False)
            tile(rows, (n + L - 1) // L, scratch, NR, at(planes, first), off, at(w, m*ldw), ldw, K,
                 at(start, m) if start else NULL)
            for r in range(rows):
                rows_of_tile(at(y, (m + r)*OHW), at(scratch, r*NR), first, n, p, s.OW, True)


cdef inline Py_ssize_t next_vectors(Py_ssize_t left) noexcept nogil:
    """How many of so many vectors the next tile takes: 2 + 2 are faster than 3 + 1."""
    return 2 if left == 4 else min(<Py_ssize_t> NV, left)


cdef inline void row_tiles(
    vec *y, const vec *planes, const Py_ssize_t *off, const vec *w, Py_ssize_t ldw, Py_ssize_t K,
    const vec *start, Py_ssize_t M, const layout *p, const conv_shape *s
) noexcept nogil:
    cdef Py_ssize_t L = lanes(y), OHW = s.OH*s.OW, i, m, rows, oh, v, V
    for i in range((M + MR - 1) // MR):
        m = i*MR
        rows = min(MR, M - m)
        for oh in range(p.rows):
            v = 0
            while v < p.cols // L:
                V = next_vectors(p.cols // L - v)
                tile(rows, V, at(y, m*OHW + oh*s.OW + v*L), OHW, at(planes, oh*p.pitch + v*L), off,
                     at(w, m*ldw), ldw, K, at(start, m) if start else NULL)
                v += V


cdef inline bint is_contiguous(const layout *p, const conv_shape *s) noexcept nogil:
    """Whether outputs that are neighbours in the planes' numbering are neighbours in y."""
    return p.rows == 1 or p.pitch == s.OW


cdef inline void gather_columns(
    vec *columns, const vec *planes, const Py_ssize_t *off, Py_ssize_t K, Py_ssize_t first, Py_ssize_t n
) noexcept nogil:
    """Copy the cells of each of n outputs, its column of the im2col matrix, one after another."""
    cdef Py_ssize_t j, k
    for j in range(n):
        for k in range(K):
            move(columns, j*K + k, planes, off[k] + first + j)


cdef inline Py_ssize_t kept_cells(Py_ssize_t outputs, Py_ssize_t L) noexcept nogil:
    """How many cells `contiguous_tiles` keeps for each term: whole tiles of whole vectors."""
    return (outputs//L + NV - 1)//NV*NV*L


cdef inline void contiguous_tiles(
    vec *y, vec *columns, const vec *planes, const Py_ssize_t *off, const vec *w, Py_ssize_t ldw,
    Py_ssize_t K, const vec *start, Py_ssize_t M, const layout *p, const conv_shape *s,
    vec *kept, Py_ssize_t *kept_off
) noexcept nogil:
    """Whole vectors by tiles; what is left over, less than a vector, by dot products.

    Unless `kept` is NULL, the tiles of the first MR channels copy their pixels there, one panel a tile,
    and those of all other channels read the panels, whose offset table is the same for each.
    """
    cdef Py_ssize_t L = lanes(y), OHW = s.OH*s.OW, outputs = p.rows*p.cols, whole = outputs - outputs % L
    cdef Py_ssize_t i, k, m, rows, o, V
    cdef const vec *first
    cdef vec *panel
    gather_columns(columns, planes, off, K, whole, outputs - whole)
    for k in range(K if kept else 0):
        kept_off[k] = k*NV*L
    for i in range((M + MR - 1) // MR):
        m = i*MR
        rows = min(MR, M - m)
        first = at(start, m) if start else NULL
        panel = kept
        o = 0
        while o < whole:
            V = next_vectors((whole - o) // L)
            if not kept:
                tile(rows, V, at(y, m*OHW + o), OHW, at(planes, o), off, at(w, m*ldw), ldw, K, first)
            elif i == 0:
                tile_kept(V, at(y, o), OHW, at(planes, o), off, w, ldw, K, first, panel)
            else:
                tile(rows, V, at(y, m*OHW + o), OHW, panel, kept_off, at(w, m*ldw), ldw, K, first)
            panel = at(panel, K*NV*L)
            o += V*L
        while o < outputs:
            V = min(<Py_ssize_t> NV, outputs - o)
            dots(rows, V, at(y, m*OHW + o), OHW, at(columns, (o - whole)*K), K, at(w, m*ldw), ldw, K, first)
            o += V
