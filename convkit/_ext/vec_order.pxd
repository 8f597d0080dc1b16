"""Lanes compared and rearranged: what pooling asks of :mod:`vec` beyond sums and products.

A maximum takes the NaN rule with it: a later number wins where it is greater, or NaN, so the first of
equals wins, and the last NaN. Where a maximum was found is an integer; it travels as the *bits* of a
``vec``, so that a kernel needs one vector type, and is read back by `put_bits`.
"""

from libc.stdint cimport int32_t, int64_t

from convkit._ext.vec cimport vd, vec, vf

cdef extern from *:
    r"""
    #ifndef CONVKIT_VEC_ORDER
    #define CONVKIT_VEC_ORDER
    #define CONVKIT_REARRANGE(s, V, I) \
        static inline V convkit_low_##s(V a, V b) CONVKIT_SHUFFLE(V, I, a, b, l/2 + l%2*convkit_w_##s) \
        static inline V convkit_high_##s(V a, V b) \
            CONVKIT_SHUFFLE(V, I, a, b, (convkit_w_##s + l)/2 + l%2*convkit_w_##s) \
        static inline V convkit_next_##s(V a, V b, int from_end) \
            CONVKIT_SHUFFLE(V, I, a, b, l + 1 < convkit_w_##s ? l + 1 : 2*convkit_w_##s - from_end) \
        static inline V convkit_choose_##s(V a, V b, V lane) CONVKIT_SHUFFLE(V, I, a, b, ((I) lane)[l]) \
        /* Two steps, since a shuffle takes two vectors: the lanes from a and b, then those from c. */ \
        static inline V convkit_third_ab_##s(V a, V b, int r) \
            CONVKIT_SHUFFLE(V, I, a, b, 3*l + r < 2*convkit_w_##s ? 3*l + r : 0) \
        static inline V convkit_third_c_##s(V ab, V c, int r) \
            CONVKIT_SHUFFLE(V, I, ab, c, 3*l + r < 2*convkit_w_##s ? l : 3*l + r - convkit_w_##s)
    enum { convkit_w_f = sizeof(convkit_vf)/4, convkit_w_d = sizeof(convkit_vd)/8 };
    CONVKIT_REARRANGE(f, convkit_vf, convkit_vi)
    CONVKIT_REARRANGE(d, convkit_vd, convkit_vl)

    /* Without AVX-512, selection is by bits: ordinary vector types have no other. With it, a maximum
       and a masked move do; the hardware's maximum answers with its second argument if either is
       NaN, so that only a NaN of b is left to be put in. */
    #if defined(__AVX512F__)
    #include <immintrin.h>
    #define CONVKIT_ORDER(s, V, I, P, M) \
        static inline V convkit_larger_##s(V a, V b) { \
            M nan = _mm512_cmp_##P##_mask(b, b, _CMP_UNORD_Q); \
            return _mm512_mask_mov_##P(_mm512_max_##P(b, a), nan, b); } \
        static inline void convkit_take_##s(V *a, V *i, V b, V j) { \
            M k = _mm512_cmp_##P##_mask(b, *a, _CMP_GT_OQ) | _mm512_cmp_##P##_mask(b, b, _CMP_UNORD_Q); \
            *a = _mm512_mask_mov_##P(*a, k, b); \
            *i = _mm512_mask_mov_##P(*i, k, j); }
    CONVKIT_ORDER(f, convkit_vf, convkit_vi, ps, __mmask16)
    CONVKIT_ORDER(d, convkit_vd, convkit_vl, pd, __mmask8)
    #else
    #define CONVKIT_ORDER(s, V, I) \
        static inline V convkit_larger_##s(V a, V b) { \
            I k = (I) (b > a) | (I) (b != b); \
            return (V) (((I) b & k) | ((I) a & ~k)); } \
        static inline void convkit_take_##s(V *a, V *i, V b, V j) { \
            I k = (I) (b > *a) | (I) (b != b); \
            *a = (V) (((I) b & k) | ((I) *a & ~k)); \
            *i = (V) (((I) j & k) | ((I) *i & ~k)); }
    CONVKIT_ORDER(f, convkit_vf, convkit_vi)
    CONVKIT_ORDER(d, convkit_vd, convkit_vl)
    #endif

    #define CONVKIT_INTEGERS(s, V, I) \
        static inline V convkit_ramp_##s(Py_ssize_t first, int step) { \
            I v; for (int l = 0; l < convkit_w_##s; l++) v[l] = l; \
            v = v*step + (__typeof__(v[0])) first; return (V) v; } \
        static inline V convkit_add_bits_##s(V i, V j) { return (V) ((I) i + (I) j); } \
        static inline V convkit_keep_##s(V v, V mask) { return (V) ((I) v & (I) mask); } \
        static inline V convkit_between_##s(V v, int first, int end, V other) { \
            I l; for (int i = 0; i < convkit_w_##s; i++) l[i] = i; \
            I k = (l >= (I) {0} + first) & (l < (I) {0} + end); \
            return (V) (((I) v & k) | ((I) other & ~k)); }
    CONVKIT_INTEGERS(f, convkit_vf, convkit_vi)
    CONVKIT_INTEGERS(d, convkit_vd, convkit_vl)
    #endif
    """
    vf low_f "convkit_low_f"(vf a, vf b) noexcept nogil
    vd low_d "convkit_low_d"(vd a, vd b) noexcept nogil
    vf high_f "convkit_high_f"(vf a, vf b) noexcept nogil
    vd high_d "convkit_high_d"(vd a, vd b) noexcept nogil
    vf next_f "convkit_next_f"(vf a, vf b, int from_end) noexcept nogil
    vd next_d "convkit_next_d"(vd a, vd b, int from_end) noexcept nogil
    vf choose_f "convkit_choose_f"(vf a, vf b, vf lane) noexcept nogil
    vd choose_d "convkit_choose_d"(vd a, vd b, vd lane) noexcept nogil
    vf third_ab_f "convkit_third_ab_f"(vf a, vf b, int r) noexcept nogil
    vd third_ab_d "convkit_third_ab_d"(vd a, vd b, int r) noexcept nogil
    vf third_c_f "convkit_third_c_f"(vf ab, vf c, int r) noexcept nogil
    vd third_c_d "convkit_third_c_d"(vd ab, vd c, int r) noexcept nogil
    vf larger_f "convkit_larger_f"(vf a, vf b) noexcept nogil
    vd larger_d "convkit_larger_d"(vd a, vd b) noexcept nogil
    void take_f "convkit_take_f"(vf *a, vf *i, vf b, vf j) noexcept nogil
    void take_d "convkit_take_d"(vd *a, vd *i, vd b, vd j) noexcept nogil
    vf ramp_f "convkit_ramp_f"(Py_ssize_t first, int step) noexcept nogil
    vd ramp_d "convkit_ramp_d"(Py_ssize_t first, int step) noexcept nogil
    vf add_bits_f "convkit_add_bits_f"(vf i, vf j) noexcept nogil
    vd add_bits_d "convkit_add_bits_d"(vd i, vd j) noexcept nogil
    vf keep_f "convkit_keep_f"(vf v, vf mask) noexcept nogil
    vd keep_d "convkit_keep_d"(vd v, vd mask) noexcept nogil
    vf between_f "convkit_between_f"(vf v, int first, int end, vf other) noexcept nogil
    vd between_d "convkit_between_d"(vd v, int first, int end, vd other) noexcept nogil
    void prefetch "__builtin_prefetch"(const void *p) noexcept nogil


cdef inline vec low(vec a, vec b) noexcept nogil:
    """The first halves of a and b, lane by lane: a0 b0 a1 b1..."""
    if vec is vf:
        return low_f(a, b)
    else:
        return low_d(a, b)


cdef inline vec high(vec a, vec b) noexcept nogil:
    """The second halves of a and b, lane by lane."""
    if vec is vf:
        return high_f(a, b)
    else:
        return high_d(a, b)


cdef inline vec next(vec a, vec b, int from_end) noexcept nogil:
    """Lanes 1, 2... of a, and after them one of b, counted from its end."""
    if vec is vf:
        return next_f(a, b, from_end)
    else:
        return next_d(a, b, from_end)


cdef inline vec choose(vec a, vec b, vec lane) noexcept nogil:
    """Lanes of a followed by b, as the bits of `lane` number them."""
    if vec is vf:
        return choose_f(a, b, lane)
    else:
        return choose_d(a, b, lane)


cdef inline vec third(vec a, vec b, vec c, int r) noexcept nogil:
    """Lanes r, r + 3, r + 6... of a followed by b and c."""
    if vec is vf:
        return third_c_f(third_ab_f(a, b, r), c, r)
    else:
        return third_c_d(third_ab_d(a, b, r), c, r)


cdef inline vec larger(vec a, vec b) noexcept nogil:
    """b where it is greater than a, or NaN; else a."""
    if vec is vf:
        return larger_f(a, b)
    else:
        return larger_d(a, b)


cdef inline vec between(vec v, int first, int end, vec other) noexcept nogil:
    """v in the lanes from first to end - 1, `other` in those before and behind."""
    if vec is vf:
        return between_f(v, first, end, other)
    else:
        return between_d(v, first, end, other)


cdef inline void take(vec *a, vec *i, vec b, vec j) noexcept nogil:
    """Let b replace a, and j replace i, where b is greater than a, or NaN."""
    if vec is vf:
        take_f(a, i, b, j)
    else:
        take_d(a, i, b, j)


cdef inline vec ramp(const vec *p, Py_ssize_t first, int step) noexcept nogil:
    """The integers first, first + step... as bits; p is there for its type."""
    if vec is vf:
        return ramp_f(first, step)
    else:
        return ramp_d(first, step)


cdef inline vec add_bits(vec i, vec j) noexcept nogil:
    if vec is vf:
        return add_bits_f(i, j)
    else:
        return add_bits_d(i, j)


cdef inline void put_bits(int64_t *to, const vec *bits, Py_ssize_t n) noexcept nogil:
    """Read n integers back from the bits of vectors in memory."""
    cdef Py_ssize_t i
    for i in range(n):
        to[i] = (<const int32_t *> bits)[i] if vec is vf else (<const int64_t *> bits)[i]


cdef inline vec keep(vec v, vec mask) noexcept nogil:
    """v in the lanes whose mask has all bits set, 0 where it has none."""
    if vec is vf:
        return keep_f(v, mask)
    else:
        return keep_d(v, mask)
