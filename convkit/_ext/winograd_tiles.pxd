"""Winograd's three transforms in two dimensions, between arrays and the planes that are multiplied.

The output is cut into tiles of 4x4, each made from 6x6 inputs that overlap its neighbours' by two.
Tiles are numbered row by row through all images; a block is a run of them. Both dimensions of a
transform are the same line transform, first down, then across, so that each of the 36 points (i, j)
has a plane of its own:

    V[i, j][ic, t]    inputs of tile t              out of x, by `transform_inputs`
    U[i, j][oc, ic]   filters, in blocks of both    out of w, by `transform_filters`
    M[i, j][oc, t]    = U[i, j] @ V[i, j]           into y, by `transform_outputs`

Lanes are tiles (of U: input channels). Strides between planes are never a power of two, since the 36
streams that are written side by side would evict one another from the cache.
"""

from convkit._ext.vec cimport (
    at, clear, copy, evens, lanes, load, move, odds, splat, store, vd, vec, vf, zero
)
from convkit._ext.winograd_lines cimport (
    filter_line, highs, input_line, lows, next_lane, output_line, split
)

cdef enum:
    ROWS = 16    # filters of one block of U and M
    TERMS = 256  # input channels of one block of U, at most: 600 KB, which fit L2
    APART = 16   # elements between planes, to keep their distance from being a power of two


cdef struct problem:
    Py_ssize_t IC, OC              # channels of one group
    Py_ssize_t x_image, y_image    # elements from one image to the next
    Py_ssize_t IH, IW, OH, OW
    Py_ssize_t TH, TW, T           # tiles down and across an image, and in all of them
    Py_ssize_t inside, outside     # columns inside..outside of padded rows lie side by side in x
    const Py_ssize_t *ih_of
    const Py_ssize_t *iw_of


cdef struct run:                   # neighbouring tiles of one row
    Py_ssize_t n, th, tw, t, tiles  # image, row and column of its first tile, its number; how many


cdef inline run first_run(const problem *q, Py_ssize_t t, Py_ssize_t stop) noexcept nogil:
    """The longest run that starts with tile t and ends before tile `stop`."""
    cdef run r
    r.n = t // (q.TH*q.TW)
    r.th = t // q.TW % q.TH
    r.tw = t % q.TW
    r.t = t
    r.tiles = min(q.TW - r.tw, stop - t)
    return r


cdef inline void next_run(run *r, const problem *q, Py_ssize_t stop) noexcept nogil:
    """The one after it, at the start of a row; without the divisions, which take as long as a run."""
    r.t += r.tiles
    r.tiles = min(q.TW, stop - r.t)
    r.tw = 0
    r.th += 1
    if r.th == q.TH:
        r.th = 0
        r.n += 1


cdef inline Py_ssize_t parts(Py_ssize_t n, Py_ssize_t size) noexcept nogil:
    """How many parts of that size it takes to hold n."""
    return (n + size - 1) // size


cdef inline Py_ssize_t up(Py_ssize_t n, Py_ssize_t multiple) noexcept nogil:
    return parts(n, multiple)*multiple


# --- sizes, in elements --------------------------------------------------------------------


cdef inline Py_ssize_t strip(const vec *p, Py_ssize_t tiles) noexcept nogil:
    """From one row of a strip to the next: pixels of a run, and what whole vectors reach beyond them."""
    return up(4*tiles + 6*lanes(p), lanes(p)) + APART


cdef inline Py_ssize_t input_scratch(const vec *p, Py_ssize_t tiles) noexcept nogil:
    """Six strips, six more for rows at the end of x, a row of zeros, and the 36 planes of a channel."""
    return 13*strip(p, tiles) + 36*(up(tiles, lanes(p)) + 2*lanes(p))


cdef inline Py_ssize_t output_scratch(const vec *p, Py_ssize_t tiles) noexcept nogil:
    """Four rows of pixels of all the tiles of a block."""
    return 16*up(tiles, lanes(p))


cdef inline Py_ssize_t V_plane(const vec *p, Py_ssize_t IC, Py_ssize_t tiles) noexcept nogil:
    return IC*up(tiles, lanes(p)) + APART


cdef inline Py_ssize_t U_row(const vec *p, Py_ssize_t IC) noexcept nogil:
    """Input channels of a block of U; whole vectors."""
    return up(parts(IC, parts(IC, TERMS)), lanes(p))


cdef inline Py_ssize_t U_plane(const vec *p, Py_ssize_t IC) noexcept nogil:
    """One of the 36 planes of a block of U."""
    return ROWS*U_row(p, IC) + APART


cdef inline Py_ssize_t U_filters(const vec *p, Py_ssize_t IC) noexcept nogil:
    """All blocks of one block of filters."""
    return parts(IC, U_row(p, IC))*36*U_plane(p, IC)


cdef inline Py_ssize_t M_plane(const vec *p, Py_ssize_t tiles) noexcept nogil:
    return ROWS*up(tiles, lanes(p)) + APART


# --- inputs --------------------------------------------------------------------------------


cdef inline Py_ssize_t row_of(const problem *q, Py_ssize_t row) noexcept nogil:
    """The row of x that a row of the padded image shows, or -1; the last tile may reach beyond it."""
    return q.ih_of[row] if row < q.OH + 2 else -1


cdef inline Py_ssize_t column_of(const problem *q, Py_ssize_t column) noexcept nogil:
    return q.iw_of[column] if column < q.OW + 2 else -1


cdef inline void down_middle(
    vec *strips, Py_ssize_t pitch, const vec *x, const vec *x_end, vec *spare,
    const problem *q, const run *r, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """Transform columns first..last of the padded image downwards, straight out of x.

    Whole vectors may read into the next row, but not beyond x: rows at its end are copied.
    """
    cdef const vec *d[6]
    cdef Py_ssize_t i, c, ih, L = lanes(x), vectors = parts(last - first, L)
    for i in range(6):
        ih = row_of(q, 4*r.th + i)
        if ih < 0:
            d[i] = at(spare, 6*pitch)
            continue
        d[i] = at(x, ih*q.IW + q.iw_of[first])
        if <size_t> at(d[i], vectors*L) > <size_t> x_end:
            copy(at(spare, i*pitch), d[i], last - first)
            d[i] = at(spare, i*pitch)
    for i in range(vectors):
        c = i*L
        input_line(at(strips, c), pitch, load(d[0], c), load(d[1], c), load(d[2], c),
                   load(d[3], c), load(d[4], c), load(d[5], c))


cdef inline void down_edge(
    vec *strips, Py_ssize_t pitch, const vec *x, vec *spare, const problem *q, const run *r,
    Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """The same by table, one column at a time, where padding makes neighbours strangers."""
    cdef Py_ssize_t i, c, ih, iw, L = lanes(x)
    for c in range(last - first):
        iw = column_of(q, first + c)
        if iw < 0:
            for i in range(6):
                clear(at(strips, i*pitch + c), 1)
            continue
        for i in range(6):
            ih = row_of(q, 4*r.th + i)
            store(spare, i*L, splat(x, ih*q.IW + iw) if ih >= 0 else zero(x))
        input_line(spare, L, load(spare, 0), load(spare, L), load(spare, 2*L),
                   load(spare, 3*L), load(spare, 4*L), load(spare, 5*L))
        for i in range(6):
            move(strips, i*pitch + c, spare, i*L)


cdef inline void by_columns(
    vec *planes, Py_ssize_t plane, const vec *strips, Py_ssize_t pitch, Py_ssize_t tiles
) noexcept nogil:
    """Sort each strip's pixels by their column in the tile.

    Columns 4 and 5 are the next tile's 0 and 1, one lane further. The last lane has no next one, so
    each vector of tiles overlaps the one before by a lane.
    """
    cdef Py_ssize_t i, t, v, L = lanes(planes)
    cdef vec a, b, c, d, ab, cd, column
    for v in range(parts(tiles, L - 1)):
        t = v*(L - 1)
        for i in range(6):
            a = load(strips, i*pitch + 4*t)
            b = load(strips, i*pitch + 4*t + L)
            c = load(strips, i*pitch + 4*t + 2*L)
            d = load(strips, i*pitch + 4*t + 3*L)
            ab = evens(a, b)
            cd = evens(c, d)
            column = evens(ab, cd)
            store(planes, 6*i*plane + t, column)
            store(planes, (6*i + 4)*plane + t, next_lane(column))
            store(planes, (6*i + 2)*plane + t, odds(ab, cd))
            ab = odds(a, b)
            cd = odds(c, d)
            column = evens(ab, cd)
            store(planes, (6*i + 1)*plane + t, column)
            store(planes, (6*i + 5)*plane + t, next_lane(column))
            store(planes, (6*i + 3)*plane + t, odds(ab, cd))


cdef inline void transform_inputs(
    vec *V, Py_ssize_t V_stride, const vec *x, const vec *x_end, vec *scratch, const problem *q,
    Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    """Transform tiles start..stop of one channel, whose plane in the first image is x."""
    cdef Py_ssize_t L = lanes(x), tiles = stop - start, t, i, v
    cdef Py_ssize_t pitch = strip(x, tiles), plane = up(tiles, L) + 2*L
    cdef Py_ssize_t first, last, inside, outside
    cdef vec *spare = at(scratch, 6*pitch)
    cdef vec *planes = at(scratch, 13*pitch)
    cdef const vec *image
    cdef run r = first_run(q, start, stop)
    for i in range(pitch // L):
        store(spare, 6*pitch + i*L, zero(x))
    while r.tiles > 0:
        image = at(x, r.n*q.x_image)
        first, last = 4*r.tw, 4*(r.tw + r.tiles) + 2
        inside = max(first, q.inside)
        outside = max(min(last, q.outside), inside)
        if outside > inside:
            down_middle(at(scratch, inside - first), pitch, image, x_end, spare, q, &r, inside, outside)
        else:
            inside = outside = last
        down_edge(scratch, pitch, image, spare, q, &r, first, inside)
        down_edge(at(scratch, outside - first), pitch, image, spare, q, &r, outside, last)
        by_columns(at(planes, r.t - start), plane, scratch, pitch, r.tiles)
        next_run(&r, q, stop)
    for v in range(parts(tiles, L)):
        t = v*L
        for i in range(6):
            input_line(
                at(V, 6*i*V_stride + t), V_stride, load(planes, 6*i*plane + t),
                load(planes, (6*i + 1)*plane + t), load(planes, (6*i + 2)*plane + t),
                load(planes, (6*i + 3)*plane + t), load(planes, (6*i + 4)*plane + t),
                load(planes, (6*i + 5)*plane + t))


# --- filters -------------------------------------------------------------------------------


cdef inline void filters_of(vec *U, Py_ssize_t U_stride, const vec *w) noexcept nogil:
    """Transform the filters of as many input channels as a vector has lanes, 9 taps each."""
    cdef Py_ssize_t L = lanes(w), i
    cdef vec columns[9]  # columns[3*part + kw]: that column of all rows of a third of the channels
    cdef vec taps[9]     # taps[3*kw + kh] of all the channels
    cdef vec lines[18]
    for i in range(3):
        split(at(columns, 3*i*L), load(w, 3*i*L), load(w, (3*i + 1)*L), load(w, (3*i + 2)*L))
    for i in range(3):
        split(at(taps, 3*i*L), columns[i], columns[3 + i], columns[6 + i])
    for i in range(3):
        filter_line(at(lines, i*L), 3*L, taps[3*i], taps[3*i + 1], taps[3*i + 2])
    for i in range(6):
        filter_line(at(U, 6*i*U_stride), U_stride, lines[3*i], lines[3*i + 1], lines[3*i + 2])


cdef inline void transform_filters(
    vec *U, const vec *w, Py_ssize_t filters, Py_ssize_t IC, Py_ssize_t first
) noexcept nogil:
    """Transform a block of U: up to ROWS filters (IC, 3, 3) from channel `first` on."""
    cdef Py_ssize_t L = lanes(w), channels = min(U_row(w, IC), IC - first), row, ic, i
    cdef vec rest[9]
    for row in range(filters):
        for i in range(channels // L):
            filters_of(at(U, row*U_row(w, IC) + i*L), U_plane(w, IC), at(w, (row*IC + first + i*L)*9))
        if channels % L:
            ic = channels - channels % L
            clear(at(rest, 0), 9*L)
            copy(at(rest, 0), at(w, (row*IC + first + ic)*9), 9*(channels - ic))
            filters_of(at(U, row*U_row(w, IC) + ic), U_plane(w, IC), at(rest, 0))


# --- outputs -------------------------------------------------------------------------------


cdef inline void outputs_of(
    vec *pixels, Py_ssize_t pitch, const vec *M, Py_ssize_t M_stride, vec bias
) noexcept nogil:
    """Transform as many tiles as a vector has lanes, into four rows of pixels."""
    cdef Py_ssize_t L = lanes(M), i
    cdef int j
    cdef vec lines[24]
    cdef vec columns[4]
    cdef vec even, odd
    for j in range(6):
        output_line(at(lines, j*L), 6*L, load(M, j*M_stride), load(M, (6 + j)*M_stride),
                    load(M, (12 + j)*M_stride), load(M, (18 + j)*M_stride),
                    load(M, (24 + j)*M_stride), load(M, (30 + j)*M_stride))
    for i in range(4):
        output_line(at(columns, 0), L, lines[6*i], lines[6*i + 1], lines[6*i + 2],
                    lines[6*i + 3], lines[6*i + 4], lines[6*i + 5])
        even = lows(columns[0], columns[2]) + bias
        odd = lows(columns[1], columns[3]) + bias
        store(pixels, i*pitch, lows(even, odd))
        store(pixels, i*pitch + L, highs(even, odd))
        even = highs(columns[0], columns[2]) + bias
        odd = highs(columns[1], columns[3]) + bias
        store(pixels, i*pitch + 2*L, lows(even, odd))
        store(pixels, i*pitch + 3*L, highs(even, odd))


cdef inline void transform_outputs(
    vec *y, const vec *M, Py_ssize_t M_stride, const vec *b, vec *pixels, const problem *q,
    Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    """Finish tiles start..stop of one channel, whose plane in the first image is y."""
    cdef Py_ssize_t L = lanes(M), pitch = 4*up(stop - start, L), i
    cdef run r = first_run(q, start, stop)
    for i in range(parts(stop - start, L)):
        outputs_of(at(pixels, 4*i*L), pitch, at(M, i*L), M_stride, splat(b, 0))
    while r.tiles > 0:
        for i in range(min(4, q.OH - 4*r.th)):
            copy(at(y, r.n*q.y_image + (4*r.th + i)*q.OW + 4*r.tw), at(pixels, i*pitch + 4*(r.t - start)),
                 min(4*r.tiles, q.OW - 4*r.tw))
        next_run(&r, q, stop)
