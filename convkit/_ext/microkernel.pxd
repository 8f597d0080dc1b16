"""The microkernel: a tile of output channels by pixels, all of whose sums stay in registers.

    out[r, p] = start[r] + sum over k of  w[r, k] * x[off[k] + p]

From rung three on, every convolution but the depthwise ones is calls of it. ``off`` is the offset table:
where, counted in elements from x, the tile's first pixel finds its factor for term k, which is one input
channel and one tap. A term costs 8 broadcasts and 3 loads for 8x3 multiply-adds of whole vectors. A
multiply-add takes 4 cycles and two start in each, so 8 sums would keep the core busy; 24 are plenty, and
none waits for the one before it. 11 loads in 12 cycles, of 24 that were possible, leave half of the load
ports' time free.

``tile`` has pixels in its vectors. ``tile_kept`` also copies them, for channels that are to follow: nothing
else is stored meanwhile. ``dots`` is the twin of ``tile`` for a few left-over pixels: there k runs along the
vectors, since a row of weights lies in one piece, and so does a pixel's column once gathered.
``tile`` and ``dots`` take any number of rows, up to MR, and ``tile_kept`` takes MR. w,
x and out need no more alignment than an element has.
"""

from convkit._ext.vec cimport (
    at, inlined, lanes, load, separate, splat, store, total_d, total_f, vd, vec, vf, zero
)

cdef extern from *:
    r"""
    #ifndef CONVKIT_MR
    #if defined(__AVX512F__) || defined(__aarch64__)  /* 32 registers: 8*3 sums, 3 loads, 1 broadcast */
    #define CONVKIT_MR 8
    #define CONVKIT_NV 3
    #elif defined(__AVX__)                             /* 16 registers: 4*3 sums, 3 loads, 1 broadcast */
    #define CONVKIT_MR 4
    #define CONVKIT_NV 3
    #else                                              /* 16 registers, of which each product takes one */
    #define CONVKIT_MR 4
    #define CONVKIT_NV 2
    #endif
    #define CONVKIT_NR_MAX (CONVKIT_NV*CONVKIT_VECTOR_BYTES/4)
    #endif
    """
    enum:
        MR "CONVKIT_MR"  # rows of a tile: output channels
        NV "CONVKIT_NV"  # vectors in a row of a tile; pixels of dots
        NR_MAX "CONVKIT_NR_MAX"  # elements in those vectors, at most


# --- pixels in the vectors -----------------------------------------------------------------

# Rows are written out, because GCC 12 keeps a sum in a register from beginning to end only if no
# loop variable chooses it: with loops the multiply-adds came out as good, but before and after them
# every sum took a turn through the stack.


cdef inline inlined add(
    int V, vec *sums, vec x0, vec x1, vec x2, const vec *w, Py_ssize_t ldw, int r
) noexcept nogil:
    """Add the products of row r's weight and the pixels."""
    cdef vec weight = splat(w, r*ldw)
    sums[3*r] = sums[3*r] + weight*x0
    if V > 1:
        sums[3*r + 1] = sums[3*r + 1] + weight*x1
    if V > 2:
        sums[3*r + 2] = sums[3*r + 2] + weight*x2


cdef inline inlined finish(
    int V, const vec *sums, vec *out, Py_ssize_t ldo, const vec *start, int r
) noexcept nogil:
    """Add row r's start to its sums or, without one, what out holds, and store them."""
    cdef Py_ssize_t L = lanes(out), o = r*ldo
    store(out, o, sums[3*r] + (splat(start, r) if start else load(out, o)))
    if V > 1:
        store(out, o + L, sums[3*r + 1] + (splat(start, r) if start else load(out, o + L)))
    if V > 2:
        store(out, o + 2*L, sums[3*r + 2] + (splat(start, r) if start else load(out, o + 2*L)))


cdef inline inlined tile_of(
    int R, int V, vec *out, Py_ssize_t ldo, const vec *x, const Py_ssize_t *off,
    const vec *w, Py_ssize_t ldw, Py_ssize_t K, const vec *start, vec *kept
) noexcept nogil:
    """A tile of R rows and V vectors, both of them constants; `kept` may be NULL."""
    cdef vec sums[3*8]
    cdef vec x0, x1, x2
    cdef const vec *here
    cdef Py_ssize_t k, L = lanes(x)
    sums[3*0] = sums[3*0 + 1] = sums[3*0 + 2] = zero(x)
    if R > 1:
        sums[3*1] = sums[3*1 + 1] = sums[3*1 + 2] = zero(x)
    if R > 2:
        sums[3*2] = sums[3*2 + 1] = sums[3*2 + 2] = zero(x)
    if R > 3:
        sums[3*3] = sums[3*3 + 1] = sums[3*3 + 2] = zero(x)
    if R > 4:
        sums[3*4] = sums[3*4 + 1] = sums[3*4 + 2] = zero(x)
    if R > 5:
        sums[3*5] = sums[3*5 + 1] = sums[3*5 + 2] = zero(x)
    if R > 6:
        sums[3*6] = sums[3*6 + 1] = sums[3*6 + 2] = zero(x)
    if R > 7:
        sums[3*7] = sums[3*7 + 1] = sums[3*7 + 2] = zero(x)
    for k in range(K):
        here = at(x, off[k])
        x0 = load(here, 0)
        x1 = load(here, L) if V > 1 else x0
        x2 = load(here, 2*L) if V > 2 else x0
        if kept:
            store(kept, k*NV*L, x0)
            if V > 1:
                store(kept, k*NV*L + L, x1)
            if V > 2:
                store(kept, k*NV*L + 2*L, x2)
        add(V, sums, x0, x1, x2, at(w, k), ldw, 0)
        if R > 1:
            add(V, sums, x0, x1, x2, at(w, k), ldw, 1)
        if R > 2:
            add(V, sums, x0, x1, x2, at(w, k), ldw, 2)
        if R > 3:
            add(V, sums, x0, x1, x2, at(w, k), ldw, 3)
        if R > 4:
            add(V, sums, x0, x1, x2, at(w, k), ldw, 4)
        if R > 5:
            add(V, sums, x0, x1, x2, at(w, k), ldw, 5)
        if R > 6:
            add(V, sums, x0, x1, x2, at(w, k), ldw, 6)
        if R > 7:
            add(V, sums, x0, x1, x2, at(w, k), ldw, 7)
    finish(V, sums, out, ldo, start, 0)
    if R > 1:
        finish(V, sums, out, ldo, start, 1)
    if R > 2:
        finish(V, sums, out, ldo, start, 2)
    if R > 3:
        finish(V, sums, out, ldo, start, 3)
    if R > 4:
        finish(V, sums, out, ldo, start, 4)
    if R > 5:
        finish(V, sums, out, ldo, start, 5)
    if R > 6:
        finish(V, sums, out, ldo, start, 6)
    if R > 7:
        finish(V, sums, out, ldo, start, 7)


cdef inline inlined tile_rows(
    int V, int R, vec *out, Py_ssize_t ldo, const vec *x, const Py_ssize_t *off,
    const vec *w, Py_ssize_t ldw, Py_ssize_t K, const vec *start
) noexcept nogil:
    """A tile of V vectors, a constant, and any number of rows: as sums of 8, 4, 2 and 1."""
    cdef int r = 0
    if MR == 8 and R == 8:
        tile_of(8, V, out, ldo, x, off, w, ldw, K, start, NULL)
        return
    if R & 4:
        tile_of(4, V, out, ldo, x, off, w, ldw, K, start, NULL)
        r = 4
    if R & 2:
        tile_of(2, V, at(out, r*ldo), ldo, x, off, at(w, r*ldw), ldw, K,
                at(start, r) if start else NULL, NULL)
        r += 2
    if R & 1:
        tile_of(1, V, at(out, r*ldo), ldo, x, off, at(w, r*ldw), ldw, K,
                at(start, r) if start else NULL, NULL)


cdef inline separate tile_1(
    int R, vec *out, Py_ssize_t ldo, const vec *x, const Py_ssize_t *off,
    const vec *w, Py_ssize_t ldw, Py_ssize_t K, const vec *start
) noexcept nogil:
    tile_rows(1, R, out, ldo, x, off, w, ldw, K, start)


cdef inline separate tile_2(
    int R, vec *out, Py_ssize_t ldo, const vec *x, const Py_ssize_t *off,
    const vec *w, Py_ssize_t ldw, Py_ssize_t K, const vec *start
) noexcept nogil:
    tile_rows(2, R, out, ldo, x, off, w, ldw, K, start)


cdef inline separate tile_3(
    int R, vec *out, Py_ssize_t ldo, const vec *x, const Py_ssize_t *off,
    const vec *w, Py_ssize_t ldw, Py_ssize_t K, const vec *start
) noexcept nogil:
    tile_rows(3, R, out, ldo, x, off, w, ldw, K, start)


cdef inline void tile(
    int R, int V, vec *out, Py_ssize_t ldo, const vec *x, const Py_ssize_t *off,
    const vec *w, Py_ssize_t ldw, Py_ssize_t K, const vec *start
) noexcept nogil:
    """Compute R <= MR output channels of V <= NV whole vectors of pixels.

    out[r*ldo + p], w[r*ldw + k], start[r]; where start is NULL, sums go on from what out holds.
    """
    if NV > 2 and V == 3:
        tile_3(R, out, ldo, x, off, w, ldw, K, start)
    elif V == 2:
        tile_2(R, out, ldo, x, off, w, ldw, K, start)
    else:
        tile_1(R, out, ldo, x, off, w, ldw, K, start)


cdef inline separate tile_kept_1(
    vec *out, Py_ssize_t ldo, const vec *x, const Py_ssize_t *off,
    const vec *w, Py_ssize_t ldw, Py_ssize_t K, const vec *start, vec *kept
) noexcept nogil:
    tile_of(MR, 1, out, ldo, x, off, w, ldw, K, start, kept)


cdef inline separate tile_kept_2(
    vec *out, Py_ssize_t ldo, const vec *x, const Py_ssize_t *off,
    const vec *w, Py_ssize_t ldw, Py_ssize_t K, const vec *start, vec *kept
) noexcept nogil:
    tile_of(MR, 2, out, ldo, x, off, w, ldw, K, start, kept)


cdef inline separate tile_kept_3(
    vec *out, Py_ssize_t ldo, const vec *x, const Py_ssize_t *off,
    const vec *w, Py_ssize_t ldw, Py_ssize_t K, const vec *start, vec *kept
) noexcept nogil:
    tile_of(MR, 3, out, ldo, x, off, w, ldw, K, start, kept)


cdef inline void tile_kept(
    int V, vec *out, Py_ssize_t ldo, const vec *x, const Py_ssize_t *off,
    const vec *w, Py_ssize_t ldw, Py_ssize_t K, const vec *start, vec *kept
) noexcept nogil:
    """The same for MR output channels; copies the pixels of term k to kept[k*NV*L] and behind it."""
    if NV > 2 and V == 3:
        tile_kept_3(out, ldo, x, off, w, ldw, K, start, kept)
    elif V == 2:
        tile_kept_2(out, ldo, x, off, w, ldw, K, start, kept)
    else:
        tile_kept_1(out, ldo, x, off, w, ldw, K, start, kept)


# --- terms in the vectors ------------------------------------------------------------------


cdef inline inlined add_terms(
    int V, vec *sums, vec x0, vec x1, vec x2, const vec *w, Py_ssize_t ldw, int r
) noexcept nogil:
    """Add the products of row r's weights for one vector of terms and the same terms of the pixels."""
    cdef vec weights = load(w, r*ldw)
    sums[3*r] = sums[3*r] + weights*x0
    if V > 1:
        sums[3*r + 1] = sums[3*r + 1] + weights*x1
    if V > 2:
        sums[3*r + 2] = sums[3*r + 2] + weights*x2


cdef inline inlined keep(int V, vec *kept, const vec *sums, int r) noexcept nogil:
    """Put row r's sums where a loop can find them."""
    cdef Py_ssize_t L = lanes(sums)
    store(kept, 0, sums[3*r])
    if V > 1:
        store(kept, L, sums[3*r + 1])
    if V > 2:
        store(kept, 2*L, sums[3*r + 2])


cdef inline inlined finish_dot(
    const vec *sums, vec *out, const vec *x, const vec *w, Py_ssize_t K, const vec *start
) noexcept nogil:
    """Add up the lanes, the K terms that filled no vector, and the start; store the one pixel."""
    cdef Py_ssize_t k
    cdef float rest_f
    cdef double rest_d
    if vec is vf:
        rest_f = total_f(sums[0])
        for k in range(K):
            rest_f += (<const float *> w)[k]*(<const float *> x)[k]
        (<float *> out)[0] = rest_f + ((<const float *> start)[0] if start else (<float *> out)[0])
    else:
        rest_d = total_d(sums[0])
        for k in range(K):
            rest_d += (<const double *> w)[k]*(<const double *> x)[k]
        (<double *> out)[0] = rest_d + ((<const double *> start)[0] if start else (<double *> out)[0])


cdef inline inlined dots_of(
    int R, int V, vec *out, Py_ssize_t ldo, const vec *x, Py_ssize_t ldx,
    const vec *w, Py_ssize_t ldw, Py_ssize_t K, const vec *start
) noexcept nogil:
    """R rows and V pixels, both of them constants."""
    cdef vec sums[3*8]
    cdef vec kept[3*8]
    cdef vec x0, x1, x2
    cdef Py_ssize_t i, k, L = lanes(x), whole = K - K % L
    cdef int r, v
    sums[3*0] = sums[3*0 + 1] = sums[3*0 + 2] = zero(x)
    if R > 1:
        sums[3*1] = sums[3*1 + 1] = sums[3*1 + 2] = zero(x)
    if R > 2:
        sums[3*2] = sums[3*2 + 1] = sums[3*2 + 2] = zero(x)
    if R > 3:
        sums[3*3] = sums[3*3 + 1] = sums[3*3 + 2] = zero(x)
    if R > 4:
        sums[3*4] = sums[3*4 + 1] = sums[3*4 + 2] = zero(x)
    if R > 5:
        sums[3*5] = sums[3*5 + 1] = sums[3*5 + 2] = zero(x)
    if R > 6:
        sums[3*6] = sums[3*6 + 1] = sums[3*6 + 2] = zero(x)
    if R > 7:
        sums[3*7] = sums[3*7 + 1] = sums[3*7 + 2] = zero(x)
    for i in range(K // L):
        k = i*L
        x0 = load(x, k)
        x1 = load(x, k + ldx) if V > 1 else x0
        x2 = load(x, k + 2*ldx) if V > 2 else x0
        add_terms(V, sums, x0, x1, x2, at(w, k), ldw, 0)
        if R > 1:
            add_terms(V, sums, x0, x1, x2, at(w, k), ldw, 1)
        if R > 2:
            add_terms(V, sums, x0, x1, x2, at(w, k), ldw, 2)
        if R > 3:
            add_terms(V, sums, x0, x1, x2, at(w, k), ldw, 3)
        if R > 4:
            add_terms(V, sums, x0, x1, x2, at(w, k), ldw, 4)
        if R > 5:
            add_terms(V, sums, x0, x1, x2, at(w, k), ldw, 5)
        if R > 6:
            add_terms(V, sums, x0, x1, x2, at(w, k), ldw, 6)
        if R > 7:
            add_terms(V, sums, x0, x1, x2, at(w, k), ldw, 7)
    keep(V, at(kept, 3*0*L), sums, 0)
    if R > 1:
        keep(V, at(kept, 3*1*L), sums, 1)
    if R > 2:
        keep(V, at(kept, 3*2*L), sums, 2)
    if R > 3:
        keep(V, at(kept, 3*3*L), sums, 3)
    if R > 4:
        keep(V, at(kept, 3*4*L), sums, 4)
    if R > 5:
        keep(V, at(kept, 3*5*L), sums, 5)
    if R > 6:
        keep(V, at(kept, 3*6*L), sums, 6)
    if R > 7:
        keep(V, at(kept, 3*7*L), sums, 7)
    for r in range(R):
        for v in range(V):
            finish_dot(at(kept, (3*r + v)*L), at(out, r*ldo + v), at(x, v*ldx + whole), at(w, r*ldw + whole),
                       K - whole, at(start, r) if start else NULL)


cdef inline inlined dots_rows(
    int V, int R, vec *out, Py_ssize_t ldo, const vec *x, Py_ssize_t ldx,
    const vec *w, Py_ssize_t ldw, Py_ssize_t K, const vec *start
) noexcept nogil:
    cdef int r
    if R == MR:
        dots_of(MR, V, out, ldo, x, ldx, w, ldw, K, start)
        return
    for r in range(R):
        dots_of(1, V, at(out, r*ldo), ldo, x, ldx, at(w, r*ldw), ldw, K, at(start, r) if start else NULL)


cdef inline separate dots(
    int R, int V, vec *out, Py_ssize_t ldo, const vec *x, Py_ssize_t ldx,
    const vec *w, Py_ssize_t ldw, Py_ssize_t K, const vec *start
) noexcept nogil:
    """Compute R <= MR output channels of V <= NV pixels, whose columns x[p*ldx + k] were gathered.

    out[r*ldo + p], w[r*ldw + k], start[r]; where start is NULL, sums go on from what out holds.
    """
    if NV > 2 and V == 3:
        dots_rows(3, R, out, ldo, x, ldx, w, ldw, K, start)
    elif V == 2:
        dots_rows(2, R, out, ldo, x, ldx, w, ldw, K, start)
    else:
        dots_rows(1, R, out, ldo, x, ldx, w, ldw, K, start)
