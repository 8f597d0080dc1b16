"""The mean over the channels, and its gradient.

    y[n, s] = sum over c of x[n, c, s] / C          dx[n, c, s] = dy[n, s] / C

Bound by memory. Channels are S cells apart, so a run of pixels is kept in a buffer on the stack
while all channels are added to it, in double: the result is rounded twice, whatever C is. Four channels
are added to the buffer at a time, which is then read and written a quarter as often. Where an image has
few pixels, k channels lie side by side as one longer run; the k sums of a pixel are added at the end, by
halves. The hardware starts anew at every channel, so that input from memory is prefetched.

A division of eight doubles takes 16 cycles, with three channels a third of the time. For float32 the sums are
multiplied by 1/C instead, still in double: the quotient is the same float, unless it lies within 2^-52 of
the middle between two.

Backward divides once a pixel and copies the quotients. Images and runs of pixels are shared among threads.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.string cimport memcpy

from convkit._ext cimport contract
from convkit._ext.lane_sums cimport DOUBLES, real, widen
from convkit._ext.streaming cimport prefetch_run
from convkit._ext.threads cimport threads_for
from convkit._ext.vec cimport load, store, vd

cnp.import_array()

cdef enum:
    # Pixels done at a time: 4 KiB of doubles. With four channels, and the four that are prefetched, they take
    # less than half of an L1 cache of 48 KiB in float32; four times as many fill it, and are a fifth slower.
    SPAN = 512
    SIDE_BY_SIDE = 512     # pixels of several channels: enough that a run's beginning and end are little
    FROM_MEMORY = 1 << 22  # bytes of input beyond which the channels to come are prefetched


cdef inline void begin_run(double *sums, const real *x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i + DOUBLES <= n:
        store(<vd *> sums, i, widen(x + i))
        i += DOUBLES
    for i in range(i, n):
        sums[i] = x[i]


cdef inline void add_run(double *sums, const real *x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i + DOUBLES <= n:
        store(<vd *> sums, i, load(<const vd *> sums, i) + widen(x + i))
        i += DOUBLES
    for i in range(i, n):
        sums[i] += x[i]


cdef inline void add_four_runs(double *sums, const real *x, Py_ssize_t apart, Py_ssize_t n) noexcept nogil:
    """Runs that are so many elements apart."""
    cdef Py_ssize_t i = 0
    cdef const real *a = x
    cdef const real *b = x + apart
    cdef const real *c = x + 2*apart
    cdef const real *d = x + 3*apart
    while i + DOUBLES <= n:
        store(<vd *> sums, i,
              load(<const vd *> sums, i) + ((widen(a + i) + widen(b + i)) + (widen(c + i) + widen(d + i))))
        i += DOUBLES
    for i in range(i, n):
        sums[i] += (<double> a[i] + b[i]) + (<double> c[i] + d[i])


cdef inline void mean_of(
    real *y, const real *x, Py_ssize_t C, Py_ssize_t S, Py_ssize_t pixels, bint far
) noexcept nogil:
    cdef double[SPAN] sums
    cdef double share = 1./C
    cdef Py_ssize_t c, s, k = 1, i
    while pixels == S and 2*k*S <= SIDE_BY_SIDE and 2*k <= C:
        k *= 2
    begin_run(sums, x, k*pixels)
    c = k
    while c + 4*k <= C:
        if far:
            for i in range(4, 8):
                prefetch_run(x + (c + i*k)*S, k*pixels*sizeof(real))
        add_four_runs(sums, x + c*S, k*S, k*pixels)
        c += 4*k
    while c < C:  # the last of them may be less than k channels
        if far:
            prefetch_run(x + (c + k)*S, k*pixels*sizeof(real))
        add_run(sums, x + c*S, min(k, C - c)*pixels)
        c += k
    while k > 1:
        k //= 2
        for s in range(k*pixels):
            sums[s] += sums[k*pixels + s]
    for s in range(pixels):
        if real is float:
            y[s] = <real> (sums[s]*share)
        else:
            y[s] = sums[s]/C


cdef inline void shares_of(
    real *dx, const real *dy, Py_ssize_t C, Py_ssize_t S, Py_ssize_t pixels
) noexcept nogil:
    cdef Py_ssize_t c, s
    for s in range(pixels):
        dx[s] = <real> (<double> dy[s] / C)
    for c in range(1, C):
        memcpy(dx + c*S, dx, pixels*sizeof(real))


cdef inline void mean(
    real *y, const real *x, Py_ssize_t N, Py_ssize_t C, Py_ssize_t S
) noexcept nogil:
    cdef Py_ssize_t runs = (S + SPAN - 1)//SPAN, i, n, s
    cdef bint far = N*C*S*<Py_ssize_t> sizeof(real) > FROM_MEMORY
    for i in prange(N*runs, schedule="static", num_threads=threads_for(N*C*S)):
        n = i//runs
        s = i % runs*SPAN
        mean_of(y + n*S + s, x + n*C*S + s, C, S, min(SPAN, S - s), far)


cdef inline void backward(
    real *dx, const real *dy, Py_ssize_t N, Py_ssize_t C, Py_ssize_t S
) noexcept nogil:
    cdef Py_ssize_t runs = (S + SPAN - 1)//SPAN, i, n, s
    for i in prange(N*runs, schedule="static", num_threads=threads_for(N*C*S)):
        n = i//runs
        s = i % runs*SPAN
        shares_of(dx + n*C*S + s, dy + n*S + s, C, S, min(SPAN, S - s))


# --- from C --------------------------------------------------------------------------------


cdef api void channel_mean_f32(
    float *y, const float *x, Py_ssize_t N, Py_ssize_t C, Py_ssize_t S
) noexcept nogil:
    mean(y, x, N, C, S)


cdef api void channel_mean_f64(
    double *y, const double *x, Py_ssize_t N, Py_ssize_t C, Py_ssize_t S
) noexcept nogil:
    mean(y, x, N, C, S)


cdef api void channel_mean_backward_f32(
    float *dx, const float *dy, Py_ssize_t N, Py_ssize_t C, Py_ssize_t S
) noexcept nogil:
    backward(dx, dy, N, C, S)


cdef api void channel_mean_backward_f64(
    double *dx, const double *dy, Py_ssize_t N, Py_ssize_t C, Py_ssize_t S
) noexcept nogil:
    backward(dx, dy, N, C, S)


# --- from Python ---------------------------------------------------------------------------


def channel_mean(cnp.ndarray y, cnp.ndarray x):
    """Fill y (N, S) with the means of x (N, C, S) over its channels."""
    cdef int typenum = contract.output(y, "y", 2)
    contract.array(x, "x", 3, typenum)
    contract.apart(y, x, "x")
    cdef Py_ssize_t N = x.shape[0], C = x.shape[1], S = x.shape[2]
    contract.extent("images of y", y.shape[0], N)
    contract.extent("pixels of y", y.shape[1], S)

    cdef Py_ssize_t n, count, at_once = contract.blocks_at_once(C*S)
    n = 0
    while n < N:
        count = min(at_once, N - n)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                channel_mean_f32(<float *> y.data + n*S, <const float *> x.data + n*C*S, count, C, S)
            else:
                channel_mean_f64(<double *> y.data + n*S, <const double *> x.data + n*C*S, count, C, S)
        contract.signals()
        n += at_once


def channel_mean_backward(cnp.ndarray dx, cnp.ndarray dy):
    """Fill every channel of dx (N, C, S) with its share of dy (N, S)."""
    cdef int typenum = contract.output(dx, "dx", 3)
    contract.array(dy, "dy", 2, typenum)
    contract.apart(dx, dy, "dy")
    cdef Py_ssize_t N = dx.shape[0], C = dx.shape[1], S = dx.shape[2]
    contract.extent("images of dy", dy.shape[0], N)
    contract.extent("pixels of dy", dy.shape[1], S)

    cdef Py_ssize_t n, count, at_once = contract.blocks_at_once(C*S)
    n = 0
    while n < N:
        count = min(at_once, N - n)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                channel_mean_backward_f32(<float *> dx.data + n*C*S, <const float *> dy.data + n*S,
                                          count, C, S)
            else:
                channel_mean_backward_f64(<double *> dx.data + n*C*S, <const double *> dy.data + n*S,
                                          count, C, S)
        contract.signals()
        n += at_once
