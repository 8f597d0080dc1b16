"""Loads for sums in double precision, as many side by side as a register holds.

A sum is a chain: each addition waits for the one before. Lanes are independent chains, so that one
instruction advances all of them; which lane an element falls into depends on its place alone, and
so does the order of all additions. float32 elements become doubles as they are loaded, which
leaves 29 spare bits: their squares cannot overflow, and a million roundings stay out of sight.
"""

from convkit._ext.vec cimport vd

cdef extern from *:
    """
    #ifndef CONVKIT_DOUBLE_SUMS
    #define CONVKIT_DOUBLE_SUMS
    #if defined(__AVX512F__)
    #include <immintrin.h>
    #endif
    enum { CONVKIT_DOUBLES = CONVKIT_VECTOR_BYTES/8 };
    typedef float convkit_half_vf __attribute__((vector_size(CONVKIT_VECTOR_BYTES/2), aligned(4), may_alias));

    /* GCC 12 makes two halves of the conversion and joins them, at half the speed. */
    static inline convkit_vd convkit_widen_f(const float *p) {
    #if defined(__AVX512F__)
        return _mm512_cvtps_pd(_mm256_loadu_ps(p));
    #else
        return __builtin_convertvector(*(const convkit_half_vf *) p, convkit_vd);
    #endif
    }
    static inline convkit_vd convkit_widen_d(const double *p) { return *(const convkit_vd *) p; }

    /* v with zeros in place of all but the last n lanes, whatever they hold, a NaN included. */
    static inline convkit_vd convkit_last(convkit_vd v, Py_ssize_t n) {
        convkit_vl from_end;
        for (int l = 0; l < CONVKIT_DOUBLES; l++) from_end[l] = CONVKIT_DOUBLES - l;
        return (convkit_vd) ((convkit_vl) v & (from_end <= (convkit_vl) {0} + n));
    }
    #endif
    """
    enum:
        DOUBLES "CONVKIT_DOUBLES"  # in a vector
    vd widen_f "convkit_widen_f"(const float *p) noexcept nogil
    vd widen_d "convkit_widen_d"(const double *p) noexcept nogil
    vd last "convkit_last"(vd v, Py_ssize_t n) noexcept nogil

ctypedef fused real:
    float
    double


cdef inline vd widen(const real *p) noexcept nogil:
    """A vector of the doubles that start there."""
    if real is float:
        return widen_f(p)
    else:
        return widen_d(p)
