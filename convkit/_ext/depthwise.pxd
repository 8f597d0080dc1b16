"""Depthwise convolution: groups of one input channel, a sum of KH*KW terms and no more.

Each cell is used by no other channel, so a tile of channels has nothing to share. What can be shared
is a weight: it is broadcast once for four vectors of outputs. Where a row of outputs fills a vector,
these lie one below the other; else they run on across row ends, as flat tiles do. At 9 multiply-adds
an output, moving the data takes longer than computing.
"""

from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.planes cimport layout
from convkit._ext.tiles cimport rows_of_tile
from convkit._ext.vec cimport at, inlined, lanes, load, splat, store, vd, vec, vf


cdef inline inlined four_vectors(
    vec *out, Py_ssize_t ldo, const vec *x, Py_ssize_t ldx, const Py_ssize_t *off, const vec *w,
    Py_ssize_t taps, const vec *start
) noexcept nogil:
    """out[i] = start + the sum over t of w[t] * x[i + off[t]], for vectors ldo and ldx apart."""
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
    store(out, 0, sum0)
    store(out, ldo, sum1)
    store(out, 2*ldo, sum2)
    store(out, 3*ldo, sum3)


cdef inline void depthwise_channel(
    vec *y, const vec *planes, const Py_ssize_t *off, const vec *w, Py_ssize_t taps, const vec *start,
    const layout *p, Py_ssize_t OW
) noexcept nogil:
    """Compute one output channel of a block."""
    cdef vec scratch[4]
    cdef Py_ssize_t L = lanes(y), outputs = (p.rows - 1)*p.pitch + p.cols, i, j, oh, ow
    if p.rows >= 4 and p.cols >= L:
        # The last rows and the last vector of a row may repeat some of the ones before.
        for i in range((p.rows + 3) // 4):
            oh = min(4*i, p.rows - 4)
            for j in range((p.cols + L - 1) // L):
                ow = min(j*L, p.cols - L)
                four_vectors(at(y, oh*OW + ow), OW, at(planes, oh*p.pitch + ow), p.pitch, off, w, taps, start)
    else:
        for i in range((outputs + 4*L - 1) // (4*L)):
            j = i*4*L
            four_vectors(scratch, L, at(planes, j), L, off, w, taps, start)
            rows_of_tile(y, scratch, j, min(4*L, outputs - j), p, OW, True)


cdef inline void depthwise_tiles(
    vec *y, const vec *planes, const Py_ssize_t *off, const vec *w, Py_ssize_t taps, const vec *start,
    Py_ssize_t M, const layout *p, const conv_shape *s
) noexcept nogil:
    """Compute the output channels of one input channel, usually a single one."""
    cdef Py_ssize_t m
    for m in range(M):
        depthwise_channel(at(y, m*s.OH*s.OW), planes, off, at(w, m*taps), taps, at(start, m), p, s.OW)
