"""Panels of the transposed im2col matrix, and the products of dy with them.

A panel holds, for each pixel of a block, one row of up to 3 vectors of columns. There are two ways to
come by it:

- gathered: the next columns j = (ic*KH + kh)*KW + kw, whatever their channels and taps;
- shared: channels are transposed alone, with the padding around them. What tap (kh, kw) needs for
  pixel (r, c) is then the row of cell (r*SH + kh*DH, c*SW + kw*DW), so one panel of cells and one offset
  table serve all taps, each of them from another cell on.

A shared panel of a 3x3 kernel spares eight of nine transpositions, which take a fifth of the time with 64
output channels, and a tenth with 128: 3x3 64>64 @56 went from 215 to 245 GFLOP/s on one core, and 128>128
@28 from 228 to 243. What it costs is that sums come out tap by tap, and are put to their places one by one:
with 256 channels @14 that took more than was spared, and with stride 2, where a panel has four cells for
each pixel, neither won.
"""

from convkit._ext.columns cimport block, column, column_of, gather_all
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.microkernel cimport MR, NR_MAX, NV, dots, tile
from convkit._ext.transpose cimport transpose_rows
from convkit._ext.vec cimport at, lanes, vd, vec, vf

cdef enum:
    # Pixels of a gathered panel: 72 KiB of it, and 12 KiB of dy in L1 for 8 output channels. With 512, 1x1
    # 128>512 @28 took 8 % longer on an Emerald Rapids; with 192 it was as with 384.
    KC = 384
    CELLS = 1024  # of a shared panel, which has a frame of cells around its pixels
    MC = 1024     # output channels of all panels of a task: 192 KiB of sums
    PANELS = 16   # of a task, at most
    FEW = 3       # output channels below which a panel does not pay


cdef struct task:
    Py_ssize_t oc, M  # the first output channel, and how many
    bint shared       # whether panels are shared by the taps
    Py_ssize_t first, panels
    Py_ssize_t j, J   # gathered: the first column in the group, and how many
    Py_ssize_t groups  # that are done one after the other, with the same columns
    Py_ssize_t ldj    # from one output channel's weights to the next
    bint planes       # whether each column is a plane of x as it stands
    const Py_ssize_t *ih_of
    const Py_ssize_t *iw_of


cdef struct workspace:
    column columns[PANELS*NR_MAX]
    Py_ssize_t places[NR_MAX]          # of a panel's columns, as gathered
    Py_ssize_t offsets[CELLS]          # of a panel's pixels, once transposed
    float gathered[NR_MAX*(CELLS + 1)]  # floats, or half as many doubles in rows of half the length
    float panel[NR_MAX*CELLS]
    float sums[NR_MAX*MC]              # [panel][output channel][column]


cdef inline Py_ssize_t first_of(Py_ssize_t i, Py_ssize_t pieces, Py_ssize_t J, Py_ssize_t L) noexcept nogil:
    """Where piece i of J columns or channels begins: pieces have whole vectors, as evenly many as can be."""
    return min(i*((J + L - 1)//L)//pieces*L, J)


cdef inline void turn(
    workspace *work, const vec *columns, Py_ssize_t J, Py_ssize_t K
) noexcept nogil:
    """Transpose J columns of K elements, whose places are known, into the panel."""
    cdef Py_ssize_t L = lanes(columns), i, v, V = (J + L - 1)//L
    for i in range(J, V*L):
        work.places[i] = work.places[J - 1]  # whatever: nobody reads the sums
    for v in range(V):
        transpose_rows(at(<vec *> work.panel, v*L), NV*L, columns, work.places + v*L, K)


cdef inline void multiply(
    const task *t, vec *sums, const vec *panel, const Py_ssize_t *offsets, Py_ssize_t J,
    const vec *dy, Py_ssize_t P, Py_ssize_t K
) noexcept nogil:
    """Add the products of dy's next K pixels with J columns of a panel to the sums."""
    cdef Py_ssize_t L = lanes(sums), NR = NV*L, i, m
    for i in range((t.M + MR - 1)//MR):
        m = i*MR
        tile(<int> min(MR, t.M - m), <int> ((J + L - 1)//L), at(sums, m*NR), NR, panel, offsets,
             at(dy, m*P), P, K, <const vec *> NULL)


# --- gathered -------------------------------------------------------------------------------


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


cdef inline void add_gathered(
    const task *t, workspace *work, Py_ssize_t panel, const vec *dy, const vec *x, const vec *end,
    const conv_shape *s, block b
) noexcept nogil:
    """Add a block's products to the sums of a panel; dy and x are its image's channels."""
    cdef Py_ssize_t L = lanes(x), NR = NV*L, P = s.OH*s.OW, K = b.rows*b.cols, i
    cdef Py_ssize_t j = first_of(panel, t.panels, t.J, L), J = first_of(panel + 1, t.panels, t.J, L) - j
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
    turn(work, columns, J, K)
    multiply(t, sums, <const vec *> work.panel, work.offsets, J, at(dy, b.oh*s.OW + b.ow), P, K)


# --- shared ---------------------------------------------------------------------------------


cdef inline block cells_of(const block *b, const conv_shape *s) noexcept nogil:
    """The cells of the padded image that a block's windows cover."""
    cdef block c
    c.oh, c.ow = b.oh*s.SH, b.ow*s.SW
    c.rows = (b.rows - 1)*s.SH + (s.KH - 1)*s.DH + 1
    c.cols = (b.cols - 1)*s.SW + (s.KW - 1)*s.DW + 1
    return c


cdef inline conv_shape shape_of_cells(const conv_shape *s) noexcept nogil:
    """The 1x1 convolution whose columns are the channels of the padded image."""
    cdef conv_shape c = s[0]
    cdef block b
    b.oh = b.ow = 0
    b.rows, b.cols = s.OH, s.OW
    b = cells_of(&b, s)
    c.OH, c.OW = b.rows, b.cols
    c.KH = c.KW = c.SH = c.SW = c.DH = c.DW = 1
    return c


cdef inline Py_ssize_t rows_in_cells(const conv_shape *s) noexcept nogil:
    """How many rows of outputs a shared panel has room for, at most; 0 or less if none."""
    return (CELLS//((s.OW - 1)*s.SW + (s.KW - 1)*s.DW + 1) - (s.KH - 1)*s.DH - 1 + s.SH)//s.SH


cdef inline bint shares_panels(const conv_shape *s, Py_ssize_t L) noexcept nogil:
    """Whether shared panels are possible, and spare more than they cost.

    To gather and transpose an element takes as long as some 20 multiply-adds, which the M output channels
    share. Channels that fill no vector leave lanes idle, in M multiply-adds for each pixel and tap. To put a
    sum to its place takes as long as some 40, and it is done once for all pixels.
    """
    cdef Py_ssize_t IC = s.IC//s.G, M = s.OC//s.G, idle = (L - IC % L) % L
    return (s.KH*s.KW > 1 and M >= FEW and rows_in_cells(s) > 0 and idle*M <= 20*IC
            and s.N*s.OH*s.OW >= 16*M)


cdef inline Py_ssize_t channel_blocks(Py_ssize_t IC, Py_ssize_t L) noexcept nogil:
    """How many shared panels a group's channels make, for each tap: all alike, if two vectors each do it."""
    cdef Py_ssize_t vectors = (IC + L - 1)//L, pieces = (vectors + NV - 1)//NV
    return vectors//2 if vectors % pieces != 0 and vectors % 2 == 0 else pieces


cdef inline void fill_offsets(
    Py_ssize_t *offsets, const conv_shape *s, block b, Py_ssize_t NR
) noexcept nogil:
    """Write the offset table: where each pixel of a block finds the cell for its first tap."""
    cdef Py_ssize_t r, c, cols = cells_of(&b, s).cols
    for r in range(b.rows):
        for c in range(b.cols):
            offsets[r*b.cols + c] = (r*s.SH*cols + c*s.SW)*NR


cdef inline void add_shared(
    const task *t, workspace *work, const vec *dy, const vec *x, const vec *end, const conv_shape *s, block b
) noexcept nogil:
    """Add a block's products to the sums of all panels."""
    cdef Py_ssize_t L = lanes(x), NR = NV*L, IC = s.IC//s.G, taps = s.KH*s.KW, pieces = channel_blocks(IC, L)
    cdef Py_ssize_t i, c, tap, J = 0, begin = first_of(t.first//taps, pieces, IC, L)
    cdef conv_shape cs = shape_of_cells(s)
    cdef block cells = cells_of(&b, s)
    fill_offsets(work.offsets, s, b, NR)
    for i in range(t.panels):
        c, tap = (t.first + i)//taps, (t.first + i) % taps
        if i == 0 or tap == 0:
            J = first_of(c + 1, pieces, IC, L) - first_of(c, pieces, IC, L)
            gather_all(<vec *> work.gathered, work.places, x, end,
                       work.columns + first_of(c, pieces, IC, L) - begin, J, &cs, cells)
            turn(work, <const vec *> work.gathered, J, cells.rows*cells.cols)
        multiply(t, at(<vec *> work.sums, i*t.M*NR),
                 at(<const vec *> work.panel, (tap//s.KW*s.DH*cells.cols + tap % s.KW*s.DW)*NR),
                 work.offsets, J, at(dy, b.oh*s.OW + b.ow), s.OH*s.OW, b.rows*b.cols)
