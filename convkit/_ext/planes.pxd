"""Planes: copies of a block of the image in which every tap of the window is one offset.

The outputs of a block are numbered row by row, ``oh*pitch + ow``. In a plane, the cell that a tap
reads for output i lies at i plus an offset, the same for all of them. One plane a channel can serve
all taps: its rows are padded rows of the image, so the pitch is a little more than a row of outputs,
and the outputs numbered between two rows, whose windows run across the row's end, are worthless
("flat"). Or each tap of an axis gets a plane of its own, shifted in advance; then no output is
worthless ("own"). With a stride, cells that neighbouring outputs read must become neighbours: one plane
for each phase of the stride that taps have. Padding is in the tables, so it costs nothing extra. Taps with a
stride of 2 nearly always get planes of their own: flat ones, a third fewer, made 3x3 layers 7 to 30 % slower.
"""

from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.vec cimport (
    MAX_LANES, at, clear, copy, evens, first_lanes, inlined, lanes, load, move, separate, store, vd, vec, vf
)


cdef enum:
    MAX_PLANES = 16  # along one axis: strides and kernels beyond it are rare


cdef struct axis:
    Py_ssize_t S, D    # stride and dilation
    Py_ssize_t planes  # that this axis multiplies the number of planes by
    Py_ssize_t extra   # cells of a plane beyond those of the outputs
    bint own           # whether each tap has planes of its own


cdef struct layout:
    axis v, h               # down and across
    Py_ssize_t rows, cols   # outputs of a block
    Py_ssize_t pitch        # cells from one row of a plane to the next
    Py_ssize_t plane        # cells from one plane to the next
    Py_ssize_t channel      # cells from the planes of one channel to the next
    bint in_place           # whether x itself serves as planes
    bint possible           # whether planes are few enough


cdef inline axis make_axis(Py_ssize_t taps, Py_ssize_t S, Py_ssize_t D, bint own) noexcept nogil:
    cdef axis a
    a.S, a.D, a.own = S, D, own
    a.planes = 1
    while a.planes < taps and (own or a.planes*D % S != 0):
        a.planes += 1
    a.extra = 0 if own else (taps - 1)*D // S
    return a


# Tap t of an axis reads plane `t % planes`, `shift` cells further than the output's number says; cell
# i of plane p is the table's entry `i*S + first`.

cdef inline Py_ssize_t shift(const axis *a, Py_ssize_t t) noexcept nogil:
    return 0 if a.own else t*a.D // a.S


cdef inline Py_ssize_t first(const axis *a, Py_ssize_t p) noexcept nogil:
    return p*a.D if a.own else p*a.D % a.S


cdef inline bint is_identity(const Py_ssize_t *of, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if of[i] != i:
            return False
    return True


cdef inline layout make_layout(
    const conv_shape *s, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of
) noexcept nogil:
    """Choose how the planes of a whole image would lie."""
    cdef layout p
    cdef Py_ssize_t extra
    p.in_place = (s.KH == 1 and s.KW == 1 and s.SH == 1 and s.SW == 1 and s.OH == s.IH and s.OW == s.IW
                  and is_identity(ih_of, s.OH) and is_identity(iw_of, s.OW))
    p.v = make_axis(s.KH, s.SH, s.DH, False)
    p.h = make_axis(s.KW, s.SW, s.DW, False)
    # Of each row, `extra` outputs are worthless, and take OC*KH*KW multiply-adds for each channel. Planes of
    # their own mean that all cells of the row are copied KW - 1 times more; to copy one takes as long
    # as about 15 multiply-adds.
    extra = p.h.extra
    if s.OH > 1 and 15*(s.KW - 1)*s.OW < extra*s.OC//s.G*s.KH*s.KW and s.KW <= MAX_PLANES:
        p.h = make_axis(s.KW, s.SW, s.DW, True)
    # Down, no output is worthless either way, and the way with fewer rows to copy is taken: nearly always
    # shared planes, but one for each tap where the dilation exceeds the number of rows of outputs.
    if s.KH*s.OH < p.v.planes*(s.OH + p.v.extra) and s.KH <= MAX_PLANES:
        p.v = make_axis(s.KH, s.SH, s.DH, True)
    p.possible = p.v.planes <= MAX_PLANES and p.h.planes <= MAX_PLANES
    set_block(&p, s, s.OH, s.OW)
    return p


cdef inline void set_block(layout *p, const conv_shape *s, Py_ssize_t rows, Py_ssize_t cols) noexcept nogil:
    """Make the planes as large as a block of so many outputs needs them."""
    p.rows, p.cols = rows, cols
    if p.in_place:
        p.pitch, p.plane, p.channel = s.IW, s.IH*s.IW, s.IH*s.IW
    else:
        p.pitch = cols + p.h.extra
        p.plane = (rows + p.v.extra)*p.pitch + MAX_LANES  # see copy_steps
        p.channel = p.v.planes*p.h.planes*p.plane


cdef inline void fill_offsets(
    Py_ssize_t *off, const layout *p, Py_ssize_t channels, Py_ssize_t KH, Py_ssize_t KW
) noexcept nogil:
    """Write the offset table: one entry a channel and tap, in the order of the weights."""
    cdef Py_ssize_t c, kh, kw, row, taps = KH*KW
    for kh in range(KH):
        row = kh % p.v.planes*p.h.planes*p.plane + shift(&p.v, kh)*p.pitch
        for kw in range(KW):
            off[kh*KW + kw] = row + kw % p.h.planes*p.plane + shift(&p.h, kw)
    for c in range(1, channels):
        for kw in range(taps):
            off[c*taps + kw] = off[kw] + c*p.channel


# --- packing -------------------------------------------------------------------------------


# What is said of columns here holds for rows too.

cdef struct run:
    Py_ssize_t start, stop  # the columns of a plane that read the image's columns at a constant step
    Py_ssize_t end          # columns from here on are beyond the table, and no output needs them
    Py_ssize_t source       # the image's column that the run begins with
    bint zeros              # whether all columns outside the run are zeros
    const Py_ssize_t *of    # the table, from column 0 of the plane on


cdef inline run longest_run(
    const Py_ssize_t *of, Py_ssize_t entries, Py_ssize_t S, Py_ssize_t cols
) noexcept nogil:
    cdef run best
    cdef Py_ssize_t j, begin = 0
    best.of = of
    best.start = best.stop = best.source = 0
    best.end = max(<Py_ssize_t> 0, min(cols, (entries + S - 1) // S))
    for j in range(best.end):
        if of[j*S] < 0:
            begin = j + 1
            continue
        if j > begin and of[j*S] != of[(j - 1)*S] + S:
            begin = j
        if j + 1 - begin > best.stop - best.start:
            best.start, best.stop, best.source = begin, j + 1, of[begin*S]
    best.zeros = True
    for j in range(best.end):
        if of[j*S] >= 0 and not best.start <= j < best.stop:
            best.zeros = False
    return best


cdef inline void look_up(
    vec *to, const vec *x, const Py_ssize_t *iw_of, Py_ssize_t S, Py_ssize_t j, Py_ssize_t stop
) noexcept nogil:
    """Fill columns j to stop of a row cell by cell."""
    while j < stop:
        if iw_of[j*S] < 0:
            clear(at(to, j), 1)
        else:
            move(to, j, x, iw_of[j*S])
        j += 1


cdef struct block:
    layout p
    Py_ssize_t oh, ow        # its first output
    run down[MAX_PLANES]     # of each plane down
    run across[MAX_PLANES]   # of each plane across
    bint regular             # whether all that is not zeros is in the runs


cdef inline void make_block(
    block *k, const layout *p, const conv_shape *s, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of,
    Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t rows, Py_ssize_t cols
) noexcept nogil:
    """Prepare the packing of the block of so many rows and columns of outputs that begins at (oh, ow)."""
    cdef Py_ssize_t i, entry
    cdef Py_ssize_t h_entries = (s.OH - 1)*s.SH + (s.KH - 1)*s.DH + 1
    cdef Py_ssize_t w_entries = (s.OW - 1)*s.SW + (s.KW - 1)*s.DW + 1
    k.p = p[0]
    k.oh, k.ow = oh, ow
    k.regular = True
    set_block(&k.p, s, rows, cols)
    for i in range(p.v.planes):
        entry = oh*s.SH + first(&p.v, i)
        k.down[i] = longest_run(ih_of + entry, h_entries - entry, s.SH, rows + p.v.extra)
        k.regular = k.regular and k.down[i].zeros
    for i in range(p.h.planes):
        entry = ow*s.SW + first(&p.h, i)
        k.across[i] = longest_run(iw_of + entry, w_entries - entry, s.SW, k.p.pitch)
        k.regular = k.regular and k.across[i].zeros


cdef inline inlined copy_steps(
    vec *to, const vec *x, Py_ssize_t S, Py_ssize_t n, Py_ssize_t room
) noexcept nogil:
    """Copy every S-th element of x, n of them; x ends after `room` elements.

    A row shorter than a vector is stored as a whole one, zeros after it: these fall on padding, on
    cells that are to follow, or behind the plane.
    """
    cdef Py_ssize_t i, L = lanes(to)
    if S == 1 and n < L <= room:
        store(to, 0, first_lanes(load(x, 0), n))
    elif S == 2 and n < L and 2*L <= room:
        store(to, 0, first_lanes(evens(load(x, 0), load(x, L)), n))
    elif S == 1:
        copy(to, x, n)
    elif S == 2 and n >= L and 2*n <= room:
        for i in range(n // L):
            store(to, i*L, evens(load(x, 2*i*L), load(x, 2*i*L + L)))
        store(to, n - L, evens(load(x, 2*(n - L)), load(x, 2*n - L)))
    else:
        for i in range(n):
            move(to, i, x, i*S)


cdef inline inlined pack_row(
    vec *to, const vec *x, Py_ssize_t room, Py_ssize_t S, Py_ssize_t pitch, const run *r, bint blank
) noexcept nogil:
    """Fill a row of a plane from a row of the image."""
    if blank:
        clear(to, r.start)
        clear(at(to, r.stop), pitch - r.stop)
    copy_steps(at(to, r.start), at(x, r.source), S, r.stop - r.start, room - r.source)
    if not r.zeros:
        look_up(to, x, r.of, S, 0, r.start)
        look_up(to, x, r.of, S, r.stop, r.end)


cdef inline inlined pack_rows(
    vec *planes, const vec *x, Py_ssize_t room, Py_ssize_t SW, const block *k, const conv_shape *s, bint blank
) noexcept nogil:
    """Fill one channel's planes row by row, in the order of the image's rows; SW may be a constant."""
    cdef Py_ssize_t i, v, h, row, V = k.p.v.planes, H = k.p.h.planes, pitch = k.p.pitch, plane = k.p.plane
    for i in range(k.p.rows + k.p.v.extra):
        for v in range(V):
            row = k.down[v].of[i*s.SH]*s.IW if i < k.down[v].end else -1
            for h in range(H):
                if row >= 0:
                    pack_row(at(planes, (v*H + h)*plane + i*pitch), at(x, row), room - row, SW, pitch,
                             &k.across[h], blank)
                elif blank:
                    clear(at(planes, (v*H + h)*plane + i*pitch), pitch)


cdef inline inlined pack_runs(
    vec *plane, const vec *x, Py_ssize_t room, Py_ssize_t SW, const block *k, const conv_shape *s
) noexcept nogil:
    """The same for short rows, where the zeros are in place: nothing but the runs, plane by plane."""
    cdef Py_ssize_t i, v, h, from_row, n, count, whole, pitch = k.p.pitch, step = s.SH*s.IW, L = lanes(x)
    cdef const run *r
    cdef vec *to
    for v in range(k.p.v.planes):
        for h in range(k.p.h.planes):
            r = &k.across[h]
            n = r.stop - r.start
            from_row = k.down[v].source*s.IW + r.source
            to = at(plane, k.down[v].start*pitch + r.start)
            count = k.down[v].stop - k.down[v].start
            # Rows that a whole vector can be loaded from need no further look.
            whole = 0
            if n < L and room - from_row >= SW*L:
                whole = min(count, (room - from_row - SW*L)//step + 1)
            for i in range(whole):
                copy_steps(at(to, i*pitch), at(x, from_row + i*step), SW, n, SW*L)
            for i in range(whole, count):
                copy_steps(at(to, i*pitch), at(x, from_row + i*step), SW, n, room - from_row - i*step)
            plane = at(plane, k.p.plane)


cdef inline inlined pack_channel(
    vec *planes, const vec *x, Py_ssize_t room, Py_ssize_t SW, const block *k, const conv_shape *s, bint blank
) noexcept nogil:
    if k.regular and not blank and k.p.pitch <= 2*lanes(x):
        pack_runs(planes, x, room, SW, k, s)
    else:
        pack_rows(planes, x, room, SW, k, s, blank)


cdef inline separate pack(
    vec *planes, const vec *x, Py_ssize_t channels, Py_ssize_t room, const block *k, const conv_shape *s,
    bint blank
) noexcept nogil:
    """Fill the planes of so many channels for a block of outputs; zeros, where the tables have ended.

    x is the first channel's image, in an array that ends `room` elements further on. The zeros of
    padding stay where they are from one packing to the next, and are written only if `blank` says so.
    """
    cdef Py_ssize_t _c, image = s.IH*s.IW
    for _c in range(channels):
        if s.SW == 1:
            pack_channel(planes, x, room, 1, k, s, blank)
        elif s.SW == 2:
            pack_channel(planes, x, room, 2, k, s, blank)
        else:
            pack_channel(planes, x, room, s.SW, k, s, blank)
        planes = at(planes, k.p.channel)
        x = at(x, image)
        room -= image
