"""Turning rows into columns, a square of vectors at a time, in registers.

L vectors of L elements are L*L elements, element c of vector r at place r*L + c, whose binary digits
are those of r followed by those of c. Zipping the first half of the vectors with the second turns
these digits round by one place. After log2(L) zips those of c stand in front: the square is transposed.
"""

from convkit._ext.vec cimport at, inlined, lanes, load, separate, store, vd, vec, vf

cdef extern from *:
    r"""
    #ifndef CONVKIT_TRANSPOSE
    #define CONVKIT_TRANSPOSE
    #define CONVKIT_ZIPS(s, V, I) \
        static inline V convkit_zip_low_##s(V a, V b) { \
            enum {L = sizeof(V)/sizeof(a[0])}; \
            CONVKIT_SHUFFLE(V, I, a, b, (l & 1)*L + l/2) } \
        static inline V convkit_zip_high_##s(V a, V b) { \
            enum {L = sizeof(V)/sizeof(a[0])}; \
            CONVKIT_SHUFFLE(V, I, a, b, (l & 1)*L + L/2 + l/2) }
    CONVKIT_ZIPS(f, convkit_vf, convkit_vi)
    CONVKIT_ZIPS(d, convkit_vd, convkit_vl)
    #define CONVKIT_LANES_MAX (CONVKIT_VECTOR_BYTES/4)
    #endif
    """
    enum:
        LANES_MAX "CONVKIT_LANES_MAX"  # elements in a vector, at most
    vf zip_low_f "convkit_zip_low_f"(vf a, vf b) noexcept nogil
    vd zip_low_d "convkit_zip_low_d"(vd a, vd b) noexcept nogil
    vf zip_high_f "convkit_zip_high_f"(vf a, vf b) noexcept nogil
    vd zip_high_d "convkit_zip_high_d"(vd a, vd b) noexcept nogil


cdef inline vec zip_low(vec a, vec b) noexcept nogil:
    """Lane 0 of both, lane 1 of both, and so on, for the first half of their lanes."""
    if vec is vf:
        return zip_low_f(a, b)
    else:
        return zip_low_d(a, b)


cdef inline vec zip_high(vec a, vec b) noexcept nogil:
    """The same for the second half."""
    if vec is vf:
        return zip_high_f(a, b)
    else:
        return zip_high_d(a, b)


cdef inline inlined zip_halves(vec *to, const vec *a, int L) noexcept nogil:
    """Zip vector i with vector i + L/2, for each i."""
    cdef int i
    for i in range(L//2):
        to[2*i] = zip_low(a[i], a[i + L//2])
        to[2*i + 1] = zip_high(a[i], a[i + L//2])


cdef inline inlined transpose_square(vec *square, const vec *a, const Py_ssize_t *rows) noexcept nogil:
    """Put a[rows[r] + c], for all r below the lanes of a vector, into lane r of vector c of the square."""
    cdef vec u[LANES_MAX]
    cdef vec v[LANES_MAX]
    cdef int i, L = <int> lanes(a)
    for i in range(L):
        u[i] = load(a, rows[i])
    zip_halves(v, u, L)
    if L >= 4:
        zip_halves(u, v, L)
    if L >= 8:
        zip_halves(v, u, L)
    if L >= 16:
        zip_halves(u, v, L)
    for i in range(L):
        square[i] = v[i] if L == 2 or L == 8 else u[i]


cdef inline inlined transpose(
    vec *to, Py_ssize_t ldt, const vec *a, const Py_ssize_t *rows
) noexcept nogil:
    """Fill to[c*ldt + r] from a[rows[r] + c], for r and c below the lanes of a vector."""
    cdef vec square[LANES_MAX]
    cdef int i
    transpose_square(square, a, rows)
    for i in range(lanes(a)):
        store(to, i*ldt, square[i])


cdef inline separate transpose_to(
    vec *to, const Py_ssize_t *places, const vec *a, const Py_ssize_t *rows
) noexcept nogil:
    """Fill to[places[c] + r] in the same way."""
    cdef vec square[LANES_MAX]
    cdef int i
    transpose_square(square, a, rows)
    for i in range(lanes(a)):
        store(to, places[i], square[i])


cdef inline separate transpose_rows(
    vec *to, Py_ssize_t ldt, const vec *a, const Py_ssize_t *rows, Py_ssize_t count
) noexcept nogil:
    """The same for `count` columns, square by square. The last square ends with the last column, and
    repeats some of the one before; if there is but one, it goes on to the end of the vector."""
    cdef Py_ssize_t i, c, L = lanes(a)
    for i in range((count + L - 1)//L):
        c = max(min(i*L, count - L), 0)
        transpose(at(to, c*ldt), ldt, at(a, c), rows)
