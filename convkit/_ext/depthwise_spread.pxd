"""The gradient of a depthwise 3x3 convolution of stride 2 for its input, straight from dy.

Of the padded image, cell (2q, 2r) was read by the corners of four windows, cell (2q, 2r + 1) by the edges
of two above one another, cell (2q + 1, 2r) by those of two side by side, and cell (2q + 1, 2r + 1) by the
centre of one:

    even row, even column:  w00*dy[q, r] + w02*dy[q, r-1] + w20*dy[q-1, r] + w22*dy[q-1, r-1]
              odd column:   w01*dy[q, r] + w21*dy[q-1, r]
    odd row,  even column:  w10*dy[q, r] + w12*dy[q, r-1]
              odd column:   w11*dy[q, r]

So a vector of dy, and the same one place to the left, make two vectors in each of two rows: nine
multiply-adds for each element of dy. Rows of dy are copied between zeros first.
"""

from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.transpose cimport zip_high, zip_low
from convkit._ext.vec cimport at, clear, copy, inlined, lanes, load, separate, splat, store, vd, vec, vf


cdef struct spread:
    bint possible
    Py_ssize_t top, left  # rows and columns of padding
    Py_ssize_t row        # elements of a row of dy between its zeros
    Py_ssize_t work       # elements of the workspace: two of these, and two rows of the padded image


cdef inline Py_ssize_t padding_before(const Py_ssize_t *of, Py_ssize_t O, Py_ssize_t I) noexcept nogil:
    """How many cells of zeros the table shows before the image; 3 if it shows other than zeros around."""
    cdef Py_ssize_t i, pad = 0
    while pad < 3 and of[pad] < 0:
        pad += 1
    for i in range(2*O + 1):
        if of[i] != (i - pad if 0 <= i - pad < I else -1):
            return 3
    return pad


cdef inline spread make_spread(
    const conv_shape *s, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, Py_ssize_t L
) noexcept nogil:
    cdef spread a
    a.possible = (s.IC == s.G and s.OC == s.G and s.KH == 3 and s.KW == 3 and s.SH == 2 and s.SW == 2
                  and s.DH == 1 and s.DW == 1)
    a.top = a.left = 3
    if a.possible:
        a.top, a.left = padding_before(ih_of, s.OH, s.IH), padding_before(iw_of, s.OW, s.IW)
    a.possible = a.possible and a.top < 3 and a.left < 3
    a.row = (s.OW + L)//L*L + L
    a.work = 2*a.row + 4*a.row
    return a


cdef inline inlined spread_rows(
    vec *even, vec *odd, const vec *this, const vec *above, const vec *w, const vec *b, Py_ssize_t OW
) noexcept nogil:
    """Fill two rows of the padded image from two rows of dy."""
    cdef Py_ssize_t v, i, L = lanes(even)
    cdef vec bias = splat(b, 0), left, here, left_above, here_above, even_cells, odd_cells
    for v in range(OW//L + 1):
        i = v*L
        left, here = load(this, i), load(this, i + 1)
        left_above, here_above = load(above, i), load(above, i + 1)
        even_cells = bias + splat(w, 0)*here + splat(w, 2)*left
        even_cells = even_cells + splat(w, 6)*here_above + splat(w, 8)*left_above
        odd_cells = bias + splat(w, 1)*here + splat(w, 7)*here_above
        store(even, 2*i, zip_low(even_cells, odd_cells))
        store(even, 2*i + L, zip_high(even_cells, odd_cells))
        even_cells = bias + splat(w, 3)*here + splat(w, 5)*left
        odd_cells = bias + splat(w, 4)*here
        store(odd, 2*i, zip_low(even_cells, odd_cells))
        store(odd, 2*i + L, zip_high(even_cells, odd_cells))


cdef inline separate depthwise_spread(
    vec *y, const vec *dy, const vec *w, const vec *b, vec *workspace, const spread *a, const conv_shape *s
) noexcept nogil:
    """Fill one channel of one image."""
    cdef Py_ssize_t q, ih
    cdef vec *this = workspace
    cdef vec *above = at(workspace, a.row)
    cdef vec *even = at(workspace, 2*a.row)
    cdef vec *odd = at(workspace, 4*a.row)
    clear(workspace, 2*a.row)
    for q in range((s.IH + a.top + 1)//2):
        this, above = above, this
        if q < s.OH:
            copy(at(this, 1), at(dy, q*s.OW), s.OW)
        else:
            clear(this, a.row)
        spread_rows(even, odd, this, above, w, b, s.OW)
        ih = 2*q - a.top
        if 0 <= ih:
            copy(at(y, ih*s.IW), at(even, a.left), s.IW)
        if 0 <= ih + 1 < s.IH:
            copy(at(y, (ih + 1)*s.IW), at(odd, a.left), s.IW)
