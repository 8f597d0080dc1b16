"""The three transforms of Winograd's convolution along one line, and the shuffles around them.

F(4, 3) computes 4 neighbouring outputs of a 3-tap filter from 6 inputs with 6 multiplications
instead of 12. Inputs d and filter g are taken for polynomials; both are evaluated at six points, the
values are multiplied, and the outputs are the coefficients of the product, transposed::

    y = A^T [ (G g) * (B^T d) ]

Any five numbers and infinity will do. The usual 0, 1, -1, 2, -2 lose 5 bits in float32; with
0, 3/4, -3/4, 3/2, -3/2 powers stay small on both sides, and the loss is 3 bits::

            |  81/64     0  -45/16      0   1  0 |           |   64/81       0      0 |
            |   0   -27/16   -9/4     3/4   1  0 |           | -128/243  -32/81  -8/27 |
    B^T  =  |   0    27/16   -9/4    -3/4   1  0 |     G  =  | -128/243   32/81  -8/27 |
            |   0   -27/32   -9/16    3/2   1  0 |           |   32/243   16/81   8/27 |
            |   0    27/32   -9/16   -3/2   1  0 |           |   32/243  -16/81   8/27 |
            |   0    81/64     0   -45/16   0  1 |           |    0        0       1   |

            |  1     1      1      1      1    0 |
    A^T  =  |  0    3/4   -3/4    3/2   -3/2   0 |
            |  0   9/16    9/16   9/4    9/4   0 |
            |  0  27/64  -27/64  27/8  -27/8   1 |

Rows for a and -a share all but a sign, so each pair is an even part plus and minus an odd part.

References: Winograd, "Arithmetic complexity of computations", 1980; Lavin and Gray, "Fast algorithms
for convolutional neural networks", 2016; Barabasz et al., "Error analysis and improving the accuracy
of Winograd convolution for deep neural networks", 2020, on the choice of points.
"""

from convkit._ext.vec cimport inlined, lanes, splat_d, splat_f, store, vd, vec, vf

cdef extern from *:
    r"""
    #ifndef CONVKIT_WINOGRAD_LINES
    #define CONVKIT_WINOGRAD_LINES
    #define CONVKIT_ORDER(s, V, I) \
        static inline V convkit_lows_##s(V a, V b) \
            CONVKIT_SHUFFLE(V, I, a, b, l/2 + l%2*(int) (sizeof a/sizeof a[0])) \
        static inline V convkit_highs_##s(V a, V b) \
            CONVKIT_SHUFFLE(V, I, a, b, (int) (sizeof a/sizeof a[0])/2 + l/2 \
                                        + l%2*(int) (sizeof a/sizeof a[0])) \
        static inline V convkit_next_##s(V a, V b) \
            CONVKIT_SHUFFLE(V, I, a, b, l + 1) \
        static inline V convkit_within_##s(V a, V b, int p) \
            CONVKIT_SHUFFLE(V, I, a, b, 3*l + p < 2*(int) (sizeof a/sizeof a[0]) ? 3*l + p : 0) \
        static inline V convkit_beyond_##s(V a, V b, int p) \
            CONVKIT_SHUFFLE(V, I, a, b, 3*l + p < 2*(int) (sizeof a/sizeof a[0]) \
                                        ? l : 3*l + p - (int) (sizeof a/sizeof a[0]))
    CONVKIT_ORDER(f, convkit_vf, convkit_vi)
    CONVKIT_ORDER(d, convkit_vd, convkit_vl)
    #endif
    """
    vf lows_f "convkit_lows_f"(vf a, vf b) noexcept nogil
    vd lows_d "convkit_lows_d"(vd a, vd b) noexcept nogil
    vf highs_f "convkit_highs_f"(vf a, vf b) noexcept nogil
    vd highs_d "convkit_highs_d"(vd a, vd b) noexcept nogil
    vf next_f "convkit_next_f"(vf a, vf b) noexcept nogil
    vd next_d "convkit_next_d"(vd a, vd b) noexcept nogil
    vf within_f "convkit_within_f"(vf a, vf b, int p) noexcept nogil
    vd within_d "convkit_within_d"(vd a, vd b, int p) noexcept nogil
    vf beyond_f "convkit_beyond_f"(vf a, vf b, int p) noexcept nogil
    vd beyond_d "convkit_beyond_d"(vd a, vd b, int p) noexcept nogil


# --- transforms: six, four or three vectors in, each lane a line of its own ----------------


cdef inline vec times(double number, vec v) noexcept nogil:
    if vec is vf:
        return splat_f(<float> number)*v
    else:
        return splat_d(number)*v


cdef inline inlined input_line(
    vec *out, Py_ssize_t stride, vec d0, vec d1, vec d2, vec d3, vec d4, vec d5
) noexcept nogil:
    """B^T d."""
    cdef vec even, odd
    store(out, 0, d4 - times(45/16., d2) + times(81/64., d0))
    even = d4 - times(9/4., d2)
    odd = times(3/4., d3 - times(9/4., d1))
    store(out, stride, even + odd)
    store(out, 2*stride, even - odd)
    even = d4 - times(9/16., d2)
    odd = times(3/2., d3 - times(9/16., d1))
    store(out, 3*stride, even + odd)
    store(out, 4*stride, even - odd)
    store(out, 5*stride, d5 - times(45/16., d3) + times(81/64., d1))


cdef inline inlined filter_line(vec *out, Py_ssize_t stride, vec g0, vec g1, vec g2) noexcept nogil:
    """G g."""
    cdef vec even, odd
    store(out, 0, times(64/81., g0))
    even = times(-128/243., g0) - times(8/27., g2)
    odd = times(-32/81., g1)
    store(out, stride, even + odd)
    store(out, 2*stride, even - odd)
    even = times(32/243., g0) + times(8/27., g2)
    odd = times(16/81., g1)
    store(out, 3*stride, even + odd)
    store(out, 4*stride, even - odd)
    store(out, 5*stride, g2)


cdef inline inlined output_line(
    vec *out, Py_ssize_t stride, vec m0, vec m1, vec m2, vec m3, vec m4, vec m5
) noexcept nogil:
    """A^T m."""
    cdef vec even1 = m1 + m2, odd1 = m1 - m2, even3 = m3 + m4, odd3 = m3 - m4
    store(out, 0, m0 + even1 + even3)
    store(out, stride, times(3/4., odd1) + times(3/2., odd3))
    store(out, 2*stride, times(9/16., even1) + times(9/4., even3))
    store(out, 3*stride, times(27/64., odd1) + times(27/8., odd3) + m5)


# --- shuffles ------------------------------------------------------------------------------


cdef inline vec lows(vec a, vec b) noexcept nogil:
    """a[0], b[0], a[1], b[1]..., as many as one vector holds."""
    if vec is vf:
        return lows_f(a, b)
    else:
        return lows_d(a, b)


cdef inline vec highs(vec a, vec b) noexcept nogil:
    """The same of the upper halves."""
    if vec is vf:
        return highs_f(a, b)
    else:
        return highs_d(a, b)


cdef inline vec next_lane(vec a) noexcept nogil:
    """a[1], a[2]..., and a[0] last."""
    if vec is vf:
        return next_f(a, a)
    else:
        return next_d(a, a)


cdef inline inlined split(vec *out, vec a, vec b, vec c) noexcept nogil:
    """Of a, b and c in a row: elements 0, 3, 6..., elements 1, 4, 7..., and elements 2, 5, 8..."""
    cdef Py_ssize_t L = lanes(out)
    if vec is vf:
        store(out, 0, beyond_f(within_f(a, b, 0), c, 0))
        store(out, L, beyond_f(within_f(a, b, 1), c, 1))
        store(out, 2*L, beyond_f(within_f(a, b, 2), c, 2))
    else:
        store(out, 0, beyond_d(within_d(a, b, 0), c, 0))
        store(out, L, beyond_d(within_d(a, b, 1), c, 1))
        store(out, 2*L, beyond_d(within_d(a, b, 2), c, 2))
