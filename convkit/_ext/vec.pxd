"""Vectors as wide as the processor's registers, without intrinsics: GCC's and Clang's own types.

A ``vf`` is a vector of floats and a ``vd`` one of half as many doubles. ``+ - *`` work lane by lane,
and the compiler contracts ``a*b + c`` to one fused multiply-add where the processor has it. Cython
takes a vector for the number in one of its lanes. Functions of the fused type ``vec`` serve both.

A ``vec *`` may point at any element: loads and stores need no more alignment than one element has.
Distances count elements, not vectors, so ``p[i]`` and ``p + i`` are not for these pointers; use
``at(p, i)``, ``load(p, i)``, ``store(p, i, v)`` and ``splat(p, i)``.
"""

from libc.string cimport memcpy

cdef extern from *:
    r"""
    #ifndef CONVKIT_VEC
    #define CONVKIT_VEC
    #if defined(__AVX512F__)
    #define CONVKIT_VECTOR_BYTES 64
    #elif defined(__AVX__)
    #define CONVKIT_VECTOR_BYTES 32
    #else
    #define CONVKIT_VECTOR_BYTES 16  /* SSE, NEON */
    #endif

    typedef float convkit_vf __attribute__((vector_size(CONVKIT_VECTOR_BYTES), aligned(4), may_alias));
    typedef double convkit_vd __attribute__((vector_size(CONVKIT_VECTOR_BYTES), aligned(8), may_alias));
    typedef int convkit_vi __attribute__((vector_size(CONVKIT_VECTOR_BYTES)));
    typedef long long convkit_vl __attribute__((vector_size(CONVKIT_VECTOR_BYTES)));

    /* Return types that say how a function is compiled: Cython has no other place for it. */
    #pragma GCC diagnostic ignored "-Wattributes"  /* what Cython marks inline may be noinline here */
    #define convkit_inlined void __attribute__((always_inline))
    #if defined(__GNUC__) && !defined(__clang__)
    #define convkit_separate void __attribute__((noipa))
    #else
    #define convkit_separate void __attribute__((noinline))
    #endif

    /* GCC shuffles by a vector of indices, which is a constant once the loop is unrolled; Clang
       finds the shuffle in a loop over the lanes by itself. */
    #if defined(__GNUC__) && !defined(__clang__)
    #define CONVKIT_SHUFFLE(V, I, a, b, source) { \
        I i; for (int l = 0; l < (int) (sizeof i/sizeof i[0]); l++) i[l] = (source); \
        return __builtin_shuffle(a, b, i); }
    #else
    #define CONVKIT_SHUFFLE(V, I, a, b, source) { \
        V v; int L = sizeof v/sizeof v[0]; \
        for (int l = 0; l < L; l++) v[l] = (source) < L ? a[(source)] : b[(source) - L]; \
        return v; }
    #endif
    #if defined(__AVX512F__)
    #define CONVKIT_REGISTER "+v"
    #elif defined(__x86_64__)
    #define CONVKIT_REGISTER "+x"
    #elif defined(__aarch64__)
    #define CONVKIT_REGISTER "+w"
    #else
    #define CONVKIT_REGISTER "+m"
    #endif
    #define CONVKIT_LANES(s, V, I, E) \
        static inline V convkit_held_##s(V v) { __asm__("" : CONVKIT_REGISTER(v)); return v; } \
        /* x - 0 is x, of -0.0 and NaN too; the compiler makes it a broadcast. */ \
        static inline V convkit_splat_##s(E x) { return x - (V) {0}; } \
        static inline V convkit_first_##s(V v, int n) { \
            I lane; for (int l = 0; l < (int) (sizeof lane/sizeof lane[0]); l++) lane[l] = l; \
            return (V) ((I) v & (lane < n)); } \
        static inline V convkit_evens_##s(V a, V b) CONVKIT_SHUFFLE(V, I, a, b, 2*l) \
        static inline V convkit_swap_##s(V a, int h) CONVKIT_SHUFFLE(V, I, a, a, l ^ h) \
        static inline E convkit_total_##s(V v) { \
            if (sizeof v/sizeof v[0] > 8) v += convkit_swap_##s(v, 8); \
            if (sizeof v/sizeof v[0] > 4) v += convkit_swap_##s(v, 4); \
            if (sizeof v/sizeof v[0] > 2) v += convkit_swap_##s(v, 2); \
            return v[0] + v[1]; }
    CONVKIT_LANES(f, convkit_vf, convkit_vi, float)
    CONVKIT_LANES(d, convkit_vd, convkit_vl, double)
    #endif
    """
    enum:
        MAX_LANES "CONVKIT_VECTOR_BYTES/4"  # of floats, which are the smaller elements

    ctypedef float vf "convkit_vf"
    ctypedef double vd "convkit_vd"
    ctypedef void inlined "convkit_inlined"    # always into its caller, where its arguments may be constants
    ctypedef void separate "convkit_separate"  # a function of its own, whoever calls it

    vf splat_f "convkit_splat_f"(float x) noexcept nogil
    vd splat_d "convkit_splat_d"(double x) noexcept nogil
    vf held_f "convkit_held_f"(vf v) noexcept nogil
    vd held_d "convkit_held_d"(vd v) noexcept nogil
    vf first_f "convkit_first_f"(vf v, int n) noexcept nogil
    vd first_d "convkit_first_d"(vd v, int n) noexcept nogil
    vf evens_f "convkit_evens_f"(vf a, vf b) noexcept nogil
    vd evens_d "convkit_evens_d"(vd a, vd b) noexcept nogil
    float total_f "convkit_total_f"(vf v) noexcept nogil
    double total_d "convkit_total_d"(vd v) noexcept nogil

ctypedef fused vec:
    vf
    vd


cdef inline Py_ssize_t lanes(const vec *p) noexcept nogil:
    """How many elements a vector has."""
    if vec is vf:
        return sizeof(vf)//sizeof(float)
    else:
        return sizeof(vd)//sizeof(double)


cdef inline vec *at(const vec *p, Py_ssize_t i) noexcept nogil:
    """The address of the element that is i elements after p."""
    if vec is vf:
        return <vf *> (<float *> p + i)
    else:
        return <vd *> (<double *> p + i)


cdef inline vec load(const vec *p, Py_ssize_t i) noexcept nogil:
    """The vector that starts there."""
    return at(p, i)[0]


cdef inline void store(vec *p, Py_ssize_t i, vec v) noexcept nogil:
    at(p, i)[0] = v


cdef inline vec splat(const vec *p, Py_ssize_t i) noexcept nogil:
    """A vector with that element in every lane."""
    if vec is vf:
        return splat_f((<const float *> p)[i])
    else:
        return splat_d((<const double *> p)[i])


cdef inline vec zero(const vec *p) noexcept nogil:
    if vec is vf:
        return splat_f(0)
    else:
        return splat_d(0)


cdef inline vec held(vec v) noexcept nogil:
    """v itself, in a register: GCC would rather load it again for each use."""
    if vec is vf:
        return held_f(v)
    else:
        return held_d(v)


cdef inline vec first_lanes(vec v, Py_ssize_t n) noexcept nogil:
    """The first n lanes of v, and zeros."""
    if vec is vf:
        return first_f(v, n)
    else:
        return first_d(v, n)


cdef inline vec evens(vec a, vec b) noexcept nogil:
    """Lanes 0, 2, 4... of a followed by b."""
    if vec is vf:
        return evens_f(a, b)
    else:
        return evens_d(a, b)


cdef inline void copy(vec *to, const vec *source, Py_ssize_t n) noexcept nogil:
    """Copy n elements by as long pieces as fit; the last piece may overlap the one before."""
    cdef Py_ssize_t i, L = lanes(to), size = sizeof(vec)//L
    if n >= L:
        for i in range(n // L):
            store(to, i*L, load(source, i*L))
        store(to, n - L, load(source, n - L))
    elif n >= 8:
        memcpy(to, source, 8*size)
        memcpy(at(to, n - 8), at(source, n - 8), 8*size)
    elif n >= 4:
        memcpy(to, source, 4*size)
        memcpy(at(to, n - 4), at(source, n - 4), 4*size)
    else:
        for i in range(n):
            move(to, i, source, i)


cdef inline void move(vec *to, Py_ssize_t i, const vec *source, Py_ssize_t j) noexcept nogil:
    """Copy one element."""
    if vec is vf:
        (<float *> to)[i] = (<const float *> source)[j]
    else:
        (<double *> to)[i] = (<const double *> source)[j]


cdef inline void clear(vec *to, Py_ssize_t n) noexcept nogil:
    """Set n elements to zero."""
    cdef Py_ssize_t i
    for i in range(n):
        if vec is vf:
            (<float *> to)[i] = 0
        else:
            (<double *> to)[i] = 0
