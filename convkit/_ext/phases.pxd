"""A transposed convolution is a few plain ones of stride 1, which write interleaved outputs.

With stride S and dilation D, cell p of the padded output axis receives x[o] through tap k where
p = o*S + k*D. So cells q*S + phase, for q = 0, 1, 2..., all receive through the taps that have
k*D % S == phase, and through no others. These taps are a constant step apart, and from one to the next
the cell of x that it reads is D/gcd(S, D) cells further up: turned round, that is a convolution

    cell[q*S + phase] = sum over i of  w[last - i*step] * x[q + i*dilation - shift]

with x counting as zero beyond its ends, as an index table says. Without a stride there is one phase.
"""

from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.transpose cimport LANES_MAX, transpose_rows, zip_high, zip_low
from convkit._ext.vec cimport at, first_lanes, inlined, lanes, load, move, separate, store, vd, vec, vf, zero

cdef extern from *:
    r"""
    #ifndef CONVKIT_PICK
    #define CONVKIT_PICK
    #include <string.h>
    /* Lane l of the result is lane index[l] of v; the index is an array of numbers as wide as v's. */
    #if defined(__GNUC__) && !defined(__clang__)
    #define CONVKIT_SELECT(V, I) I i; memcpy(&i, index, sizeof i); return __builtin_shuffle(v, i);
    #else
    #define CONVKIT_SELECT(V, I) I i; memcpy(&i, index, sizeof i); \
        V r; for (int l = 0; l < (int) (sizeof r/sizeof r[0]); l++) r[l] = v[i[l]]; return r;
    #endif
    static inline convkit_vf convkit_pick_f(convkit_vf v, const void *index) {
        CONVKIT_SELECT(convkit_vf, convkit_vi) }
    static inline convkit_vd convkit_pick_d(convkit_vd v, const void *index) {
        CONVKIT_SELECT(convkit_vd, convkit_vl) }
    #endif
    """
    vf pick_f "convkit_pick_f"(vf v, const void *index) noexcept nogil
    vd pick_d "convkit_pick_d"(vd v, const void *index) noexcept nogil

cdef enum:
    TURNED_TOGETHER = 16  # channels of x whose weights are turned together


cdef struct taps:
    Py_ssize_t first, step, count  # of the kernel
    Py_ssize_t dilation            # of the phase's convolution


cdef struct phase:
    taps k
    const Py_ssize_t *of    # from here on every S-th entry says which cell of the output is meant
    Py_ssize_t S
    Py_ssize_t Q            # how many of them there are
    Py_ssize_t shift        # x's cell 0, as the phase's convolution counts
    Py_ssize_t start, stop  # cells between which `of` counts on in steps of S


cdef inline Py_ssize_t phases_of(Py_ssize_t K, Py_ssize_t S, Py_ssize_t D) noexcept nogil:
    """How many phases have taps at all: as many as taps until one meets the phase of tap 0."""
    cdef Py_ssize_t k = 1
    while k < K and k*D % S:
        k += 1
    return k


cdef inline taps taps_of(Py_ssize_t first, Py_ssize_t K, Py_ssize_t S, Py_ssize_t D) noexcept nogil:
    """The taps of the phase of tap `first`, which is below `phases_of`."""
    cdef taps k
    k.first = first
    k.step = phases_of(K, S, D)
    k.count = (K - first + k.step - 1)//k.step
    k.dilation = max(k.step*D//S, 1)
    return k


cdef inline phase phase_of(
    Py_ssize_t first, const Py_ssize_t *of, Py_ssize_t K, Py_ssize_t S, Py_ssize_t D, Py_ssize_t O
) noexcept nogil:
    """Describe the phase of a tap; O is the length of x, `of` the output's index table."""
    cdef phase f
    f.k = taps_of(first, K, S, D)
    f.S = S
    f.shift = (f.k.count - 1)*f.k.dilation
    f.Q = f.shift + O  # cells that receive anything
    f.of = of + first*D
    while f.Q > 0 and f.of[0] < 0:  # padding at both ends receives in vain
        f.of += S
        f.shift -= 1
        f.Q -= 1
    while f.Q > 0 and f.of[(f.Q - 1)*S] < 0:
        f.Q -= 1
    find_run(&f)
    return f


cdef inline void find_run(phase *f) noexcept nogil:
    cdef Py_ssize_t q, begin = 0
    f.start = f.stop = 0
    for q in range(f.Q):
        if f.of[q*f.S] < 0:
            begin = q + 1
            continue
        if q > begin and f.of[q*f.S] != f.of[(q - 1)*f.S] + f.S:
            begin = q
        if q + 1 - begin > f.stop - f.start:
            f.start, f.stop = begin, q + 1


cdef inline void fill_table(Py_ssize_t *table, const phase *f, Py_ssize_t O) noexcept nogil:
    """Write the index table of the phase's convolution: Q - 1 + (taps - 1)*dilation + 1 entries."""
    cdef Py_ssize_t i
    for i in range(f.Q + (f.k.count - 1)*f.k.dilation):
        table[i] = i - f.shift if 0 <= i - f.shift < O else -1


cdef inline bint is_whole(const phase *f, Py_ssize_t I) noexcept nogil:
    """Whether the phase fills the output in its own order."""
    cdef Py_ssize_t i
    if f.S != 1 or f.Q != I:
        return False
    for i in range(I):
        if f.of[i] != i:
            return False
    return True


# --- weights -------------------------------------------------------------------------------


cdef inline void turn_taps(
    vec *to, Py_ssize_t ldt, Py_ssize_t room, const vec *w, Py_ssize_t ldw, const vec *end,
    Py_ssize_t OC, Py_ssize_t M, Py_ssize_t KH, Py_ssize_t KW, const taps *v, const taps *h
) noexcept nogil:
    """Fill to[m*ldt + oc*T + tap] with the T taps that the phase has of w[oc*ldw + m*KH*KW], the last first.

    Where all taps of a kernel fit a vector, one shuffle puts them in order. It is stored whole where
    `room` permits, the elements of a row of `to`: the next kernel overwrites what is too much.
    After `end` no weight may be read.
    """
    cdef Py_ssize_t index[LANES_MAX]
    cdef Py_ssize_t T = v.count*h.count, L = lanes(w), oc, m, i, j, last
    cdef const vec *source
    cdef vec *target
    last = ((v.count - 1)*v.step + v.first)*KW + (h.count - 1)*h.step + h.first
    for i in range(L):
        j = last - i//h.count*v.step*KW - i % h.count*h.step if i < T else 0
        if vec is vf:
            (<int *> index)[i] = <int> j
        else:
            index[i] = j
    for m in range(M):
        for oc in range(OC):
            source = at(w, oc*ldw + m*KH*KW)
            target = at(to, m*ldt + oc*T)
            if KH*KW <= L and room - oc*T >= L and at(source, L) <= end:
                if vec is vf:
                    store(target, 0, pick_f(load(source, 0), index))
                else:
                    store(target, 0, pick_d(load(source, 0), index))
                continue
            for i in range(v.count):
                for j in range(h.count):
                    move(target, i*h.count + j, source, last - i*v.step*KW - j*h.step)


cdef inline separate turn_all(
    vec *to, Py_ssize_t g, Py_ssize_t G, const vec *w, const vec *end, Py_ssize_t OC, Py_ssize_t ldw,
    Py_ssize_t M, const conv_shape *s
) noexcept nogil:
    """Fill the part of group g in to[phase][G, m, oc, tap] from w[oc, m], whose oc are ldw apart.

    A few oc at a time, which together fill whole cache lines of `to`: its rows often lie a power of two
    apart, and lines that are left half full would push one another out of the cache.
    """
    cdef Py_ssize_t block, oc, count, i, T, V = phases_of(s.KH, s.SH, s.DH), H = phases_of(s.KW, s.SW, s.DW)
    cdef taps v, h
    cdef vec *of_phase
    for block in range((OC + TURNED_TOGETHER - 1)//TURNED_TOGETHER):
        oc = block*TURNED_TOGETHER
        count = min(<Py_ssize_t> TURNED_TOGETHER, OC - oc)
        of_phase = to
        for i in range(V*H):
            v = taps_of(i//H, s.KH, s.SH, s.DH)
            h = taps_of(i % H, s.KW, s.SW, s.DW)
            T = v.count*h.count
            turn_taps(at(of_phase, (g*M*OC + oc)*T), OC*T, (OC - oc)*T, at(w, oc*ldw), ldw, end,
                      count, M, s.KH, s.KW, &v, &h)
            of_phase = at(of_phase, G*M*OC*T)


cdef inline void exchange_channels(
    vec *to, Py_ssize_t ldt, const vec *w, Py_ssize_t OC, Py_ssize_t ldw, Py_ssize_t M
) noexcept nogil:
    """The same for 1x1 kernels, of which there are at least L each way: to[m, oc] = w[oc, m]."""
    cdef Py_ssize_t rows[LANES_MAX]
    cdef Py_ssize_t i, oc, L = lanes(w)
    for i in range(L):
        rows[i] = i*ldw
    for i in range((OC + L - 1)//L):
        oc = min(i*L, OC - L)
        transpose_rows(at(to, oc), ldt, at(w, oc*ldw), rows, M)


# --- outputs -------------------------------------------------------------------------------


cdef inline void add_cell(vec *y, Py_ssize_t i, const vec *sums, Py_ssize_t q) noexcept nogil:
    if vec is vf:
        (<float *> y)[i] += (<const float *> sums)[q]
    else:
        (<double *> y)[i] += (<const double *> sums)[q]


cdef inline inlined add_run(
    vec *y, Py_ssize_t room, const vec *sums, Py_ssize_t n, Py_ssize_t S
) noexcept nogil:
    """Add n sums to every S-th cell of y; S may be a constant. A vector may be read at any sum.

    The cells between and, within `room` elements, those behind get zeros added, which leave them as they
    are: no cell ever holds -0.0.
    """
    cdef Py_ssize_t i = 0, L = lanes(y)
    cdef vec some
    if S == 1:
        while i < n and i + L <= room:
            some = load(sums, i)
            store(y, i, load(y, i) + (some if i + L <= n else first_lanes(some, n - i)))
            i += L
    elif S == 2:
        while i < n and 2*i + 2*L <= room:
            some = load(sums, i)
            if i + L > n:
                some = first_lanes(some, n - i)
            store(y, 2*i, load(y, 2*i) + zip_low(some, zero(y)))
            if 2*i + L < 2*n:
                store(y, 2*i + L, load(y, 2*i + L) + zip_high(some, zero(y)))
            i += L
    while i < n:
        add_cell(y, i*S, sums, i)
        i += 1


cdef inline inlined add_rows(
    vec *y, Py_ssize_t IH, Py_ssize_t IW,
    const vec *sums, Py_ssize_t channels, Py_ssize_t rows, Py_ssize_t cols,
    const phase *v, Py_ssize_t row, const phase *h, Py_ssize_t col, Py_ssize_t S
) noexcept nogil:
    cdef Py_ssize_t c, r, q, cell, start = min(max(h.start - col, 0), cols)
    cdef Py_ssize_t stop = max(min(h.stop - col, cols), start)
    cdef Py_ssize_t first = h.of[(col + start)*S] if stop > start else 0
    cdef const Py_ssize_t *iw_of = h.of + col*S
    for c in range(channels):
        for r in range(rows):
            if v.of[(row + r)*v.S] >= 0:
                cell = (c*IH + v.of[(row + r)*v.S])*IW
                for q in range(start):
                    if iw_of[q*S] >= 0:
                        add_cell(y, cell + iw_of[q*S], sums, q)
                add_run(at(y, cell + first), channels*IH*IW - cell - first, at(sums, start), stop - start,
                        S)
                for q in range(stop, cols):
                    if iw_of[q*S] >= 0:
                        add_cell(y, cell + iw_of[q*S], sums, q)
            sums = at(sums, cols)


cdef inline separate add_block(
    vec *y, Py_ssize_t IH, Py_ssize_t IW,
    const vec *sums, Py_ssize_t channels, Py_ssize_t rows, Py_ssize_t cols,
    const phase *v, Py_ssize_t row, const phase *h, Py_ssize_t col
) noexcept nogil:
    """Add sums[channels, rows, cols], from the phases' cells (row, col) on, to their places in y.

    Behind the sums there must be a vector more to read.
    """
    if h.S == 1:
        add_rows(y, IH, IW, sums, channels, rows, cols, v, row, h, col, 1)
    elif h.S == 2:
        add_rows(y, IH, IW, sums, channels, rows, cols, v, row, h, col, 2)
    else:
        add_rows(y, IH, IW, sums, channels, rows, cols, v, row, h, col, h.S)
