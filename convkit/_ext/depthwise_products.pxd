"""The gradient of a depthwise 3x3 convolution for its weights, in the strips of depthwise_rows.pxd.

For each vector of dy, the nine vectors of cells that its outputs read are in registers, and so are the
sums of the nine products. Each row of the image is loaded once a strip; with it come three vectors of
cells, and the others stay. A strip's sums are added up on their own, so that few terms are in one chain.
"""

from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.depthwise_rows cimport load_row, strips
from convkit._ext.vec cimport (
    at, copy, held, inlined, lanes, load, separate, total_d, total_f, vd, vec, vf, zero
)
from convkit._ext.vec_order cimport keep


cdef inline inlined add_products(vec *sums, vec dy, const vec *cells) noexcept nogil:
    sums[0] = held(sums[0] + dy*cells[0])
    sums[1] = held(sums[1] + dy*cells[1])
    sums[2] = held(sums[2] + dy*cells[2])


cdef inline inlined strip_products(
    int S, vec *totals, const vec *dy, Py_ssize_t whole, Py_ssize_t cols, const vec *x, const vec *zeros,
    const vec *mask, const Py_ssize_t *ih_of, const conv_shape *s
) noexcept nogil:
    """Add a strip's products; `whole` rows of dy can be loaded as vectors, of the others `cols` outputs.

    The last mask tells which outputs are new: the last strip may repeat some of the one before.
    """
    cdef vec sums[9]
    cdef vec masks[3]
    cdef vec top[3]
    cdef vec middle[3]
    cdef vec bottom[3]
    cdef vec row, new = load(mask, 3*lanes(x))
    cdef Py_ssize_t i, oh
    for i in range(9):
        sums[i] = zero(x)
    for i in range(3):
        masks[i] = keep(load(mask, i*lanes(x)), new)
    load_row(S, bottom, x, s.IW, ih_of[0], zeros, masks)
    if S == 1:
        for i in range(3):
            middle[i] = bottom[i]
        load_row(S, bottom, x, s.IW, ih_of[1], zeros, masks)
    for oh in range(s.OH):
        for i in range(3):
            top[i] = middle[i] if S == 1 else bottom[i]
            middle[i] = bottom[i]
        if S == 2:
            load_row(S, middle, x, s.IW, ih_of[2*oh + 1], zeros, masks)
        load_row(S, bottom, x, s.IW, ih_of[S*oh + 2], zeros, masks)
        if oh < whole:
            row = load(dy, oh*s.OW)
        else:
            row = zero(x)
            copy(&row, at(dy, oh*s.OW), cols)
        row = held(keep(row, new))
        add_products(&sums[0], row, top)
        add_products(&sums[3], row, middle)
        add_products(&sums[6], row, bottom)
    for i in range(9):
        totals[i] = totals[i] + sums[i]


cdef inline separate depthwise_products(
    vec *dw, const vec *dy, Py_ssize_t dy_room, const vec *x, Py_ssize_t before, Py_ssize_t x_room,
    vec *workspace, const strips *a, const Py_ssize_t *ih_of, const conv_shape *s, bint add
) noexcept nogil:
    """Fill nine weights, or add to them, from one channel of all images; `before` and the `room`s say
    how far the arrays reach to both sides of the first image's channel."""
    cdef vec totals[9]
    cdef const vec *image
    cdef const vec *masks = at(workspace, a.zeros)
    cdef Py_ssize_t n, i, ow, whole, L = lanes(x), cols = min(s.OW, L), skip
    for i in range(9):
        totals[i] = zero(x)
    for n in range(s.N):
        skip = n*s.IC*s.IH*s.IW
        image = at(x, skip)
        if before + skip < a.pad or x_room - skip < a.reach:
            copy(at(workspace, a.zeros + a.masks + a.pad), image, s.IH*s.IW)
            image = at(workspace, a.zeros + a.masks + a.pad)
        skip = n*s.OC*s.OH*s.OW
        whole = s.OH
        if s.OW < L:
            whole = max(<Py_ssize_t> 0, min(s.OH, (dy_room - skip - L + s.OW)//s.OW))
        for i in range(a.count):
            ow = max(<Py_ssize_t> 0, min(i*L, s.OW - L))
            if s.SW == 1:
                strip_products(1, totals, at(dy, skip + ow), whole, cols, at(image, ow - a.pad), workspace,
                               at(masks, 4*i*L), ih_of, s)
            else:
                strip_products(2, totals, at(dy, skip + ow), whole, cols, at(image, 2*ow - a.pad), workspace,
                               at(masks, 4*i*L), ih_of, s)
    for i in range(9):
        if vec is vf:
            (<float *> dw)[i] = total_f(totals[i]) + ((<float *> dw)[i] if add else 0)
        else:
            (<double *> dw)[i] = total_d(totals[i]) + ((<double *> dw)[i] if add else 0)
