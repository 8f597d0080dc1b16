"""Sums in lanes: as many side by side as a register holds, in the elements' precision or in double.

A sum is a chain: each addition waits for the one before. Lanes are independent chains, so that one
instruction advances all of them; which lane an element falls into depends on its place alone, and
so does the order of all additions.

float32 elements can become doubles as they are loaded, which leaves 29 spare bits: their squares cannot
overflow, and a million roundings stay out of sight. It costs the conversion and half of the lanes.
"""

from convkit._ext.vec cimport at, lanes, total_d, vd, vec, vf

cdef extern from *:
    """
    #ifndef CONVKIT_LANE_SUMS
    #define CONVKIT_LANE_SUMS
    #if defined(__x86_64__)
    #include <immintrin.h>
    #endif
    enum { CONVKIT_DOUBLES = CONVKIT_VECTOR_BYTES/8 };
    typedef float convkit_half_vf __attribute__((vector_size(CONVKIT_VECTOR_BYTES/2), aligned(4), may_alias));

    /* GCC 12 makes two halves of the conversion and joins them, at half the speed. */
    static inline convkit_vd convkit_widen_f(const float *p) {
    #if defined(__AVX512F__)
        return _mm512_cvtps_pd(_mm256_loadu_ps(p));
    #elif defined(__AVX__)
        return _mm256_cvtps_pd(_mm_loadu_ps(p));
    #else
        return __builtin_convertvector(*(const convkit_half_vf *) p, convkit_vd);
    #endif
    }
    static inline convkit_vd convkit_widen_d(const double *p) { return *(const convkit_vd *) p; }

    /* v with zeros in place of all but the last n lanes, whatever they hold, a NaN included. */
    #define CONVKIT_LAST(s, V, I) \\
        static inline V convkit_last_##s(V v, Py_ssize_t n) { \\
            I from_end; \\
            for (int l = 0; l < (int) (sizeof v/sizeof v[0]); l++) from_end[l] = sizeof v/sizeof v[0] - l; \\
            return (V) ((I) v & (from_end <= (I) {0} + (int) n)); }
    CONVKIT_LAST(f, convkit_vf, convkit_vi)
    CONVKIT_LAST(d, convkit_vd, convkit_vl)
    #endif
    """
    enum:
        DOUBLES "CONVKIT_DOUBLES"  # in a vector
    vd widen_f "convkit_widen_f"(const float *p) noexcept nogil
    vd widen_d "convkit_widen_d"(const double *p) noexcept nogil
    vf last_f "convkit_last_f"(vf v, Py_ssize_t n) noexcept nogil
    vd last_d "convkit_last_d"(vd v, Py_ssize_t n) noexcept nogil

ctypedef fused real:
    float
    double


cdef inline vd widen(const real *p) noexcept nogil:
    """A vector of the doubles that start there."""
    if real is float:
        return widen_f(p)
    else:
        return widen_d(p)


cdef inline vec last(vec v, Py_ssize_t n) noexcept nogil:
    """v with zeros in place of all but its last n lanes."""
    if vec is vf:
        return last_f(v, n)
    else:
        return last_d(v, n)


cdef inline double total(vec *v) noexcept nogil:
    """The sum of the lanes, in double."""
    if vec is vf:
        return total_d(widen_f(<float *> v) + widen_f(<float *> v + DOUBLES))
    else:
        return total_d(v[0])
