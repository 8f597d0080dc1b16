"""Small planes side by side: lane l of every vector belongs to plane l.

A plane of 7x7 cells has no rows worth a vector. But W planes, transposed, are 49 vectors on which the
operation of one cell runs for W planes at once, whatever the windows are: no edges, no tails.
The price is the transposition, log2(W) shuffles for each vector of input and of output.
"""

from libc.string cimport memcpy

from convkit._ext.vec cimport at, copy, held, inlined, lanes, load, store, vec, vf
from convkit._ext.vec_order cimport choose, high, low, ramp

cdef enum:
    WIDEST = 16  # lanes of the widest vector
    CELLS = 256  # vectors in a buffer: 16 KiB at 64 bytes, so that two of them fit the L1 cache


cdef inline inlined transpose(vec *t) noexcept nogil:
    """Swap vectors and lanes of W vectors, in log2(W) perfect shuffles."""
    cdef Py_ssize_t W = lanes(t), done = 1, i
    cdef vec[WIDEST] u
    while done < W:
        for i in range(W//2):
            u[2*i] = low(t[i], t[i + W//2])
            u[2*i + 1] = high(t[i], t[i + W//2])
        for i in range(W):
            t[i] = u[i]
        done *= 2


cdef inline size_t element(const vec *p) noexcept nogil:
    return sizeof(float) if vec is vf else sizeof(double)


cdef inline void to_lanes(vec *cells, const vec *x, Py_ssize_t n) noexcept nogil:
    """Set lane l of ``cells[c]`` to cell c of plane l, for W planes of n cells."""
    cdef Py_ssize_t W = lanes(x), c = 0, i, size = min(n, W)
    cdef vec[WIDEST] t
    cdef vec last
    while c < n:
        if n - c < 3:  # a transposition would cost more
            for i in range(W):
                memcpy(<char *> cells + (c*W + i)*element(x), <const char *> x + (i*n + c)*element(x),
                       element(x))
            c += 1
            continue
        if n < W:
            last = load(x, W*n - W)  # nothing lies behind the last plane
            for i in range(W):
                if i*n + W <= W*n:
                    t[i] = load(x, i*n)
                else:
                    t[i] = choose(last, last, ramp(x, i*n + W - W*n, 1))
        else:
            c = min(c, n - W)
            for i in range(W):
                t[i] = load(x, i*n + c)
        transpose(t)
        for i in range(size):
            cells[c + i] = held(t[i])  # one by one: a copy of memory begins too slowly for so few
        c += size


cdef inline void from_lanes(vec *y, const vec *cells, Py_ssize_t n) noexcept nogil:
    """The way back, into W planes of n cells."""
    cdef Py_ssize_t W = lanes(y), c = 0, i
    cdef vec[WIDEST] t
    if n == 1:
        store(y, 0, cells[0])
        return
    while True:
        for i in range(W):
            t[i] = cells[min(c + i, n - 1)]
        transpose(t)
        for i in range(W):
            if i*n + c + W <= W*n:  # what is too much is overwritten by the planes that follow
                store(y, i*n + c, t[i])
            else:
                copy(at(y, i*n), &t[i], n)
        if c + W >= n:
            break
        c = min(c + W, n - W)
