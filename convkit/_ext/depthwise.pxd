"""Depthwise convolution: groups of one input channel, a sum of KH*KW terms and no more.

No other channel uses a cell again, so there are no tiles of channels. Instead four vectors of outputs
that lie one below the other share what they can: each weight is broadcast once for the four, and with
a 3x3 window each vector of cells is loaded once for all the rows of outputs that read it. At 9
multiply-adds an output, loads and stores take longer than these.
"""

from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.planes cimport layout
from convkit._ext.vec cimport at, copy, held, inlined, lanes, load, splat, store, vd, vec, vf


cdef inline inlined any_window(
    vec *sums, const vec *x, Py_ssize_t ldx, const Py_ssize_t *off, const vec *w, Py_ssize_t taps,
    const vec *start
) noexcept nogil:
    """Four vectors of outputs, of cells that are ldx apart: start + the sum over t of w[t] * x[off[t]]."""
    cdef vec sum0 = splat(start, 0), sum1 = sum0, sum2 = sum0, sum3 = sum0, weight
    cdef const vec *here
    cdef Py_ssize_t t
    for t in range(taps):
        weight = splat(w, t)
        here = at(x, off[t])
        sum0 = sum0 + weight*load(here, 0)
        sum1 = sum1 + weight*load(here, ldx)
        sum2 = sum2 + weight*load(here, 2*ldx)
        sum3 = sum3 + weight*load(here, 3*ldx)
    sums[0], sums[1], sums[2], sums[3] = sum0, sum1, sum2, sum3


cdef inline inlined window_3x3(
    int S, vec *sums, const vec *x, Py_ssize_t ldx, const Py_ssize_t *off, const vec *w, const vec *start
) noexcept nogil:
    """The same for 3x3 taps and the vertical stride S, 1 or 2: a column of the window at a time."""
    cdef vec sum0 = splat(start, 0), sum1 = sum0, sum2 = sum0, sum3 = sum0, w0, w1, w2, cells
    cdef const vec *here
    cdef int kw
    for kw in range(3):
        w0 = splat(w, kw)
        w1 = splat(w, 3 + kw)
        w2 = splat(w, 6 + kw)
        # Row 0 of cells, and so on; with stride 2 these are the even rows, row 1 + off[3] the odd ones.
        here = at(x, off[kw])
        sum0 = sum0 + w0*load(here, 0)
        cells = held(load(here, ldx))
        sum0 = sum0 + (w1 if S == 1 else w2)*cells
        sum1 = sum1 + w0*cells
        cells = held(load(here, 2*ldx))
        if S == 1:
            sum0 = sum0 + w2*cells
        sum1 = sum1 + (w1 if S == 1 else w2)*cells
        sum2 = sum2 + w0*cells
        cells = held(load(here, 3*ldx))
        if S == 1:
            sum1 = sum1 + w2*cells
        sum2 = sum2 + (w1 if S == 1 else w2)*cells
        sum3 = sum3 + w0*cells
        cells = held(load(here, 4*ldx))
        if S == 1:
            sum2 = sum2 + w2*cells
            sum3 = sum3 + w1*cells
            sum3 = sum3 + w2*load(here, 5*ldx)
        else:
            sum3 = sum3 + w2*cells
            here = at(x, off[3 + kw])
            sum0 = sum0 + w1*load(here, 0)
            sum1 = sum1 + w1*load(here, ldx)
            sum2 = sum2 + w1*load(here, 2*ldx)
            sum3 = sum3 + w1*load(here, 3*ldx)
    sums[0], sums[1], sums[2], sums[3] = sum0, sum1, sum2, sum3


cdef inline inlined four_rows(
    int window, vec *y, const vec *planes, const Py_ssize_t *off, const vec *w, Py_ssize_t taps,
    const vec *start, const layout *p, Py_ssize_t OW
) noexcept nogil:
    """Compute a block of at least four rows; `window` is a constant, a stride of 3x3 or 0 for any.

    The last four rows and the last vector of a row may repeat some outputs. Where a vector is longer
    than a row, what it writes beyond is overwritten by later rows, if there are any.
    """
    cdef vec sums[4]
    cdef Py_ssize_t L = lanes(y), i, j, r, oh, ow
    for i in range((p.rows + 3) // 4):
        oh = min(4*i, p.rows - 4)
        for j in range((p.cols + L - 1) // L):
            ow = max(<Py_ssize_t> 0, min(j*L, p.cols - L))
            if window:
                window_3x3(window, sums, at(planes, oh*p.pitch + ow), p.pitch, off, w, start)
            else:
                any_window(sums, at(planes, oh*p.pitch + ow), p.pitch, off, w, taps, start)
            for r in range(4):
                if ow + L <= p.cols or (oh + r)*OW + L <= p.rows*OW:
                    store(y, (oh + r)*OW + ow, sums[r])
                else:
                    copy(at(y, (oh + r)*OW), &sums[r], p.cols)


cdef inline void one_row(
    vec *y, const vec *planes, const Py_ssize_t *off, const vec *w, Py_ssize_t taps, const vec *start,
    Py_ssize_t cols
) noexcept nogil:
    """Compute a row of a block that has fewer than four: here the four vectors lie side by side."""
    cdef vec sums[4]
    cdef Py_ssize_t L = lanes(y), i
    for i in range((cols + 4*L - 1) // (4*L)):
        i = i*4*L
        any_window(sums, at(planes, i), L, off, w, taps, start)
        copy(at(y, i), sums, min(4*L, cols - i))


cdef inline void depthwise_channels(
    vec *y, const vec *planes, const Py_ssize_t *off, const vec *w, Py_ssize_t taps, const vec *start,
    Py_ssize_t M, const layout *p, const conv_shape *s
) noexcept nogil:
    """Compute the output channels of one input channel, usually a single one."""
    cdef Py_ssize_t _m, oh
    cdef bint small = s.KH == 3 and s.KW == 3 and s.DH == 1 and s.SH <= 2 and not p.v.own
    for _m in range(M):
        if p.rows < 4:
            for oh in range(p.rows):
                one_row(at(y, oh*s.OW), at(planes, oh*p.pitch), off, w, taps, start, p.cols)
        elif small and s.SH == 1:
            four_rows(1, y, planes, off, w, taps, start, p, s.OW)
        elif small:
            four_rows(2, y, planes, off, w, taps, start, p, s.OW)
        else:
            four_rows(0, y, planes, off, w, taps, start, p, s.OW)
        y, w, start = at(y, s.OH*s.OW), at(w, taps), at(start, 1)
