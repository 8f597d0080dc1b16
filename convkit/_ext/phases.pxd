"""A transposed convolution is a few plain ones of stride 1, which write interleaved outputs.

With stride S and dilation D, cell p of the padded output axis receives x[o] through tap k where
p = o*S + k*D. So cells q*S + phase, for q = 0, 1, 2..., all receive through the taps that have
k*D % S == phase, and through no others. These taps are a constant step apart, and from one to the next
the cell of x that it reads is D/gcd(S, D) cells further up: turned round, that is a convolution

    cell[q*S + phase] = sum over i of  w[last - i*step] * x[q + i*dilation - shift]

with x counting as zero beyond its ends, as an index table says. Without a stride there is one phase.
"""

from convkit._ext.transpose cimport LANES_MAX, transpose_rows
from convkit._ext.vec cimport at, lanes, load, move, store, vd, vec, vf

cdef extern from *:
    r"""
    #ifndef CONVKIT_PICK
    #define CONVKIT_PICK
    /* Lane l of the result is lane index[l] of v; these are constants to no compiler. */
    #if defined(__GNUC__) && !defined(__clang__)
    static inline convkit_vf convkit_pick_f(convkit_vf v, const int *index) {
        convkit_vi i; for (int l = 0; l < (int) (sizeof i/sizeof i[0]); l++) i[l] = index[l];
        return __builtin_shuffle(v, i); }
    static inline convkit_vd convkit_pick_d(convkit_vd v, const int *index) {
        convkit_vl i; for (int l = 0; l < (int) (sizeof i/sizeof i[0]); l++) i[l] = index[l];
        return __builtin_shuffle(v, i); }
    #else
    static inline convkit_vf convkit_pick_f(convkit_vf v, const int *index) {
        convkit_vf r; for (int l = 0; l < (int) (sizeof r/sizeof r[0]); l++) r[l] = v[index[l]];
        return r; }
    static inline convkit_vd convkit_pick_d(convkit_vd v, const int *index) {
        convkit_vd r; for (int l = 0; l < (int) (sizeof r/sizeof r[0]); l++) r[l] = v[index[l]];
        return r; }
    #endif
    #endif
    """
    vf pick_f "convkit_pick_f"(vf v, const int *index) noexcept nogil
    vd pick_d "convkit_pick_d"(vd v, const int *index) noexcept nogil


cdef struct phase:
    const Py_ssize_t *of  # from here on every S-th entry says which cell of the output is meant
    Py_ssize_t S
    Py_ssize_t Q          # how many of them there are
    Py_ssize_t taps, first, step, dilation, shift
    Py_ssize_t start, stop  # cells between which `of` counts on in steps of S


cdef inline Py_ssize_t phases_of(Py_ssize_t K, Py_ssize_t S, Py_ssize_t D) noexcept nogil:
    """How many phases have taps at all: as many as taps until one meets the phase of tap 0."""
    cdef Py_ssize_t k = 1
    while k < K and k*D % S:
        k += 1
    return k


cdef inline phase phase_of(
    Py_ssize_t first, const Py_ssize_t *of, Py_ssize_t K, Py_ssize_t S, Py_ssize_t D, Py_ssize_t O
) noexcept nogil:
    """Describe the phase of a tap below `phases_of`; O is the length of x, `of` the output's index table."""
    cdef phase f
    f.S, f.first = S, first
    f.step = phases_of(K, S, D)
    f.taps = (K - first + f.step - 1)//f.step
    f.dilation = max(f.step*D//S, 1)
    f.Q = (f.taps - 1)*f.dilation + O  # cells that receive anything
    f.of = of + first*D
    f.shift = (f.taps - 1)*f.dilation
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
    for i in range(f.Q + (f.taps - 1)*f.dilation):
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
    vec *to, Py_ssize_t ldt, const vec *w, const vec *end, Py_ssize_t OC, Py_ssize_t ldw, Py_ssize_t M,
    Py_ssize_t KH, Py_ssize_t KW, const phase *v, const phase *h
) noexcept nogil:
    """Fill to[m, oc, :] with the phase's taps of w[oc, m], the last first; rows of `to` are ldt apart.

    Where all taps of a kernel fit a vector, one shuffle puts them in order. It is stored whole: what it
    holds beyond them is overwritten next. After `end` no weight may be read.
    """
    cdef int index[16]
    cdef Py_ssize_t T = v.taps*h.taps, L = lanes(w), oc, m, t, kh, kw
    cdef const vec *source
    cdef vec *target
    for t in range(16):
        kh = v.first + (v.taps - 1 - t//h.taps)*v.step
        kw = h.first + (h.taps - 1 - t % h.taps)*h.step
        index[t] = <int> (kh*KW + kw) if t < min(T, L) else 0
    for oc in range(OC):
        for m in range(M):
            source = at(w, oc*ldw + m*KH*KW)
            target = at(to, m*ldt + oc*T)
            if KH*KW <= L and (oc*T + L <= OC*T) and at(source, L) <= end:
                if vec is vf:
                    store(target, 0, pick_f(load(source, 0), index))
                else:
                    store(target, 0, pick_d(load(source, 0), index))
                continue
            for t in range(T):
                kh = v.first + (v.taps - 1 - t//h.taps)*v.step
                kw = h.first + (h.taps - 1 - t % h.taps)*h.step
                move(target, t, source, kh*KW + kw)


cdef inline void exchange_channels(
    vec *to, Py_ssize_t ldt, const vec *w, Py_ssize_t OC, Py_ssize_t ldw, Py_ssize_t M
) noexcept nogil:
    """The same for 1x1 kernels, of which there are at least L each way: to[m, oc] = w[oc, m]."""
    cdef Py_ssize_t rows[LANES_MAX]
    cdef Py_ssize_t i, l, oc, L = lanes(w)
    for l in range(L):
        rows[l] = l*ldw
    for i in range((OC + L - 1)//L):
        oc = min(i*L, OC - L)
        transpose_rows(at(to, oc), ldt, at(w, oc*ldw), rows, M)


# --- outputs -------------------------------------------------------------------------------


cdef inline void add_cell(vec *y, Py_ssize_t i, const vec *sums, Py_ssize_t q) noexcept nogil:
    if vec is vf:
        (<float *> y)[i] += (<const float *> sums)[q]
    else:
        (<double *> y)[i] += (<const double *> sums)[q]


cdef inline void add_cells(
    vec *y, const vec *sums, const phase *f, Py_ssize_t first, Py_ssize_t Q
) noexcept nogil:
    """Add Q sums to the cells of a row of y that they belong to, from the phase's cell `first` on."""
    cdef Py_ssize_t q, i, start = min(max(f.start, first), first + Q), stop = max(min(f.stop, first + Q), start)
    cdef vec *run
    for q in range(first, start):
        if f.of[q*f.S] >= 0:
            add_cell(y, f.of[q*f.S], sums, q - first)
    if stop > start:
        run = at(y, f.of[start*f.S])
        if f.S == 2:  # a constant spares the compiler the multiplications
            for i in range(stop - start):
                add_cell(run, 2*i, sums, start - first + i)
        else:
            for i in range(stop - start):
                add_cell(run, i*f.S, sums, start - first + i)
    for q in range(stop, first + Q):
        if f.of[q*f.S] >= 0:
            add_cell(y, f.of[q*f.S], sums, q - first)
