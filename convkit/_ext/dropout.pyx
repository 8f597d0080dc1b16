"""Dropout: 64 units at a time, their random bits made in registers, used at once, and forgotten.

    y[u, i] = x[u, i]*scale   where bits(seed, u) >= threshold,   else 0

Units are served in groups of 64, by 16 counters of four words each (see convkit/dispatch.py), so
that a group's bits depend on nothing but its number: threads share the units in any way. A *task* is
a group of single elements, or some longer units of one group, or a piece of a very long one.

What limits it: the ten rounds of Philox, 20 multiplications for four units; reading and writing a
float32 takes less time. So much arithmetic between two reads keeps the processor from looking ahead in
memory by itself; it is told what it will need, and is more than twice as fast beyond the caches for
it. Tried and rejected: Philox in plain C loops (three quarters of the speed); 16-bit thresholds (1.6
times as fast, but p is then a multiple of 1/65536).

By a mask that is there already, nothing has to be drawn, and memory is the limit.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from convkit._ext cimport contract
from convkit._ext.lane_sums cimport real
from convkit._ext.philox cimport philox_64
from convkit._ext.streaming cimport LINE, prefetch
from convkit._ext.threads cimport threads_for

cnp.import_array()

cdef enum:
    GROUP = 64
    AHEAD = 4096   # bytes; more or less is the same, none is far slower
    SPAN = 16384   # elements of a task: long enough that drawing a group anew for it costs nothing


# --- units of one element ------------------------------------------------------------------
# What is dropped is left out, not multiplied by 0: it may be infinite.


cdef inline void drop_elements(
    real *y, const real *x, Py_ssize_t n, const uint32_t *bits, uint32_t threshold, real scale
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = x[i]*scale if bits[i] >= threshold else 0


cdef inline void keep_elements(
    real *y, const real *x, Py_ssize_t n, const uint8_t *mask, real scale
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = x[i]*scale if mask[i] else 0


cdef inline void prefetch_group(const real *x) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(GROUP*<Py_ssize_t> sizeof(real)//LINE):
        prefetch(<const char *> x + AHEAD + i*LINE)


cdef inline void mask_of(
    uint8_t *mask, Py_ssize_t n, const uint32_t *bits, uint32_t threshold
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        mask[i] = bits[i] >= threshold


cdef inline void drop_group(
    real *y, uint8_t *mask, const real *x, Py_ssize_t g, uint64_t seed, uint32_t threshold, real scale,
    Py_ssize_t U
) noexcept nogil:
    """64 units of one element. Unless `mask` is NULL, it is filled by the way."""
    cdef uint32_t bits[GROUP]
    cdef Py_ssize_t u = g*GROUP, n = min(<Py_ssize_t> GROUP, U - u)
    philox_64(bits, 16*g, seed)
    prefetch_group(x + u)
    if n == GROUP:  # a constant, for the compiler
        drop_elements(y + u, x + u, GROUP, bits, threshold, scale)
    else:
        drop_elements(y + u, x + u, n, bits, threshold, scale)
    if mask is not NULL:
        if n == GROUP:
            mask_of(mask + u, GROUP, bits, threshold)
        else:
            mask_of(mask + u, n, bits, threshold)


cdef inline void keep_group(
    real *y, const real *x, const uint8_t *mask, Py_ssize_t g, real scale, Py_ssize_t U
) noexcept nogil:
    """The same by a mask."""
    cdef Py_ssize_t u = g*GROUP, n = min(<Py_ssize_t> GROUP, U - u)
    prefetch_group(x + u)
    if n == GROUP:
        keep_elements(y + u, x + u, GROUP, mask + u, scale)
    else:
        keep_elements(y + u, x + u, n, mask + u, scale)


# --- longer units: rows, or feature maps ---------------------------------------------------


cdef inline Py_ssize_t units_at_once(Py_ssize_t B) noexcept nogil:
    """How many units a task has: a power of two, so that they are of one group; 64 for single elements."""
    cdef Py_ssize_t some = GROUP
    while some > 1 and some*B > SPAN:
        some //= 2
    return some


cdef inline Py_ssize_t tasks_for(Py_ssize_t U, Py_ssize_t B) noexcept nogil:
    return ((U - 1)//units_at_once(B) + 1)*((B - 1)//SPAN + 1)


cdef inline void keep_units(
    real *y, const real *x, const uint8_t *kept, Py_ssize_t n, Py_ssize_t B, Py_ssize_t width, real scale
) noexcept nogil:
    """The first `width` elements of n units of B."""
    cdef Py_ssize_t u, i
    for u in range(n):
        if kept[u]:
            for i in range(width):
                y[u*B + i] = x[u*B + i]*scale
        else:
            memset(y + u*B, 0, width*sizeof(real))


cdef void keep_task(
    real *y, const real *x, const uint8_t *mask, Py_ssize_t task, real scale, Py_ssize_t U, Py_ssize_t B
) noexcept nogil:
    cdef Py_ssize_t some = units_at_once(B), pieces = (B - 1)//SPAN + 1
    cdef Py_ssize_t u = task//pieces*some, i = task % pieces*SPAN
    keep_units(y + u*B + i, x + u*B + i, mask + u, min(some, U - u), B, min(<Py_ssize_t> SPAN, B - i), scale)


cdef void drop_task(
    real *y, const real *x, Py_ssize_t task, uint64_t seed, uint32_t threshold, real scale,
    Py_ssize_t U, Py_ssize_t B
) noexcept nogil:
    """The same, by the bits of the units' group."""
    cdef uint8_t kept[GROUP]
    cdef Py_ssize_t some = units_at_once(B), pieces = (B - 1)//SPAN + 1
    cdef Py_ssize_t u = task//pieces*some, i = task % pieces*SPAN
    draw_group(kept, u//GROUP, seed, threshold, GROUP)
    keep_units(y + u*B + i, x + u*B + i, kept + u % GROUP, min(some, U - u), B, min(<Py_ssize_t> SPAN, B - i),
               scale)


cdef inline void draw_group(
    uint8_t *mask, Py_ssize_t g, uint64_t seed, uint32_t threshold, Py_ssize_t n
) noexcept nogil:
    """The first n units of a group."""
    cdef uint32_t bits[GROUP]
    philox_64(bits, 16*g, seed)
    mask_of(mask, n, bits, threshold)


# --- some tasks: all, or those that Python asks for between two looks at Ctrl-C -----------------
# A threshold of 2**32, which no 32 bits reach, drops everything.


cdef inline void any_task(
    real *y, const real *x, Py_ssize_t task, uint64_t seed, uint32_t threshold, real scale,
    Py_ssize_t U, Py_ssize_t B
) noexcept nogil:
    if B == 1:
        drop_group(y, NULL, x, task, seed, threshold, scale, U)
    else:
        drop_task(y, x, task, seed, threshold, scale, U, B)


cdef void drop(
    real *y, const real *x, uint64_t seed, uint64_t threshold, double scale, Py_ssize_t U, Py_ssize_t B,
    Py_ssize_t first, Py_ssize_t stop
) noexcept nogil:
    cdef Py_ssize_t task
    cdef int threads = threads_for((stop - first)*min(units_at_once(B)*B, <Py_ssize_t> SPAN))
    if threshold >> 32:
        if first == 0:
            memset(y, 0, U*B*sizeof(real))
        return
    if threads == 1:
        for task in range(first, stop):
            any_task(y, x, task, seed, <uint32_t> threshold, <real> scale, U, B)
        return
    for task in prange(first, stop, schedule="static", num_threads=threads):
        any_task(y, x, task, seed, <uint32_t> threshold, <real> scale, U, B)


cdef inline void kept_task(
    real *y, const real *x, const uint8_t *mask, Py_ssize_t task, real scale, Py_ssize_t U, Py_ssize_t B
) noexcept nogil:
    if B == 1:
        keep_group(y, x, mask, task, scale, U)
    else:
        keep_task(y, x, mask, task, scale, U, B)


cdef void keep(
    real *y, const real *x, const uint8_t *mask, double scale, Py_ssize_t U, Py_ssize_t B
) noexcept nogil:
    cdef Py_ssize_t task
    cdef int threads = threads_for(U*B)
    if threads == 1:
        for task in range(tasks_for(U, B)):
            kept_task(y, x, mask, task, <real> scale, U, B)
        return
    for task in prange(tasks_for(U, B), schedule="static", num_threads=threads):
        kept_task(y, x, mask, task, <real> scale, U, B)


cdef void drop_and_tell(
    real *y, uint8_t *mask, const real *x, uint64_t seed, uint64_t threshold, double scale,
    Py_ssize_t U, Py_ssize_t B, Py_ssize_t first, Py_ssize_t stop
) noexcept nogil:
    """Groups first..stop-1: the mask of longer units comes first, and all else by it."""
    cdef Py_ssize_t g, u = first*GROUP, count = min(U, stop*GROUP) - u
    cdef int threads = threads_for(count)
    if threshold >> 32:
        memset(mask + u, 0, count)
        memset(y + u*B, 0, count*B*sizeof(real))
        return
    if B > 1:
        for g in range(first, stop):
            draw_group(mask + g*GROUP, g, seed, <uint32_t> threshold, min(<Py_ssize_t> GROUP, U - g*GROUP))
        keep(y + u*B, x + u*B, mask + u, scale, count, B)
    elif threads == 1:
        for g in range(first, stop):
            drop_group(y, mask, x, g, seed, <uint32_t> threshold, <real> scale, U)
    else:
        for g in prange(first, stop, schedule="static", num_threads=threads):
            drop_group(y, mask, x, g, seed, <uint32_t> threshold, <real> scale, U)


cdef inline Py_ssize_t groups(Py_ssize_t U) noexcept nogil:
    return (U - 1)//GROUP + 1


# --- from C --------------------------------------------------------------------------------


cdef api void dropout_f32(
    float *y, const float *x, uint64_t seed, uint64_t threshold, double scale, Py_ssize_t U, Py_ssize_t B
) noexcept nogil:
    drop(y, x, seed, threshold, scale, U, B, 0, tasks_for(U, B))


cdef api void dropout_f64(
    double *y, const double *x, uint64_t seed, uint64_t threshold, double scale, Py_ssize_t U, Py_ssize_t B
) noexcept nogil:
    drop(y, x, seed, threshold, scale, U, B, 0, tasks_for(U, B))


cdef api void dropout_mask_f32(
    float *y, uint8_t *mask, const float *x, uint64_t seed, uint64_t threshold, double scale,
    Py_ssize_t U, Py_ssize_t B
) noexcept nogil:
    drop_and_tell(y, mask, x, seed, threshold, scale, U, B, 0, groups(U))


cdef api void dropout_mask_f64(
    double *y, uint8_t *mask, const double *x, uint64_t seed, uint64_t threshold, double scale,
    Py_ssize_t U, Py_ssize_t B
) noexcept nogil:
    drop_and_tell(y, mask, x, seed, threshold, scale, U, B, 0, groups(U))


cdef api void dropout_given_f32(
    float *y, const float *x, const uint8_t *mask, double scale, Py_ssize_t U, Py_ssize_t B
) noexcept nogil:
    keep(y, x, mask, scale, U, B)


cdef api void dropout_given_f64(
    double *y, const double *x, const uint8_t *mask, double scale, Py_ssize_t U, Py_ssize_t B
) noexcept nogil:
    keep(y, x, mask, scale, U, B)


# --- from Python ---------------------------------------------------------------------------


cdef int check_threshold(uint64_t threshold) except -1:
    if threshold > <uint64_t> 1 << 32:
        raise ValueError(f"threshold must be at most 2**32, got {threshold}")
    return 0


cdef int check_units(cnp.ndarray y, cnp.ndarray x) except -1:
    """Accept x and y (U, B) and return their type."""
    cdef int typenum = contract.output(y, "y", 2)
    contract.array(x, "x", 2, typenum)
    contract.apart(y, x, "x")
    contract.extent("units of x", x.shape[0], y.shape[0])
    contract.extent("elements of a unit of x", x.shape[1], y.shape[1])
    return typenum


def dropout(cnp.ndarray y, cnp.ndarray x, uint64_t seed, uint64_t threshold, double scale):
    """Keep, scaled, or set to zero whole units: the rows of x (U, B)."""
    cdef int typenum = check_units(y, x)
    check_threshold(threshold)
    cdef Py_ssize_t U = x.shape[0], B = x.shape[1], task = 0, stop, tasks = tasks_for(U, B)
    cdef Py_ssize_t at_once = contract.blocks_at_once(GROUP if B == 1 else SPAN)
    while task < tasks:
        stop = min(tasks, task + at_once)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                drop(<float *> y.data, <const float *> x.data, seed, threshold, scale, U, B, task, stop)
            else:
                drop(<double *> y.data, <const double *> x.data, seed, threshold, scale, U, B, task, stop)
        contract.signals()
        task = stop


def dropout_mask(
    cnp.ndarray y, cnp.ndarray mask, cnp.ndarray x, uint64_t seed, uint64_t threshold, double scale
):
    """The same, and set mask (U,) to True where a unit is kept."""
    cdef int typenum = check_units(y, x)
    contract.array(mask, "mask", 1, cnp.NPY_BOOL)
    if not cnp.PyArray_ISWRITEABLE(mask):
        raise ValueError("mask is written to and must not be read-only")
    contract.apart(y, mask, "mask")
    contract.apart(mask, x, "x")
    contract.extent("length of mask", mask.shape[0], x.shape[0])
    check_threshold(threshold)
    cdef uint8_t *kept = <uint8_t *> mask.data
    cdef Py_ssize_t U = x.shape[0], B = x.shape[1], g = 0, stop
    cdef Py_ssize_t at_once = contract.blocks_at_once(GROUP*B)
    while g < groups(U):
        stop = min(groups(U), g + at_once)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                drop_and_tell(<float *> y.data, kept, <const float *> x.data, seed, threshold, scale,
                              U, B, g, stop)
            else:
                drop_and_tell(<double *> y.data, kept, <const double *> x.data, seed, threshold, scale,
                              U, B, g, stop)
        contract.signals()
        g = stop


def dropout_given(cnp.ndarray y, cnp.ndarray x, cnp.ndarray mask, double scale):
    """Keep, scaled, the rows of x (U, B) whose mask (U,) is True, and set the others to zero."""
    cdef int typenum = check_units(y, x)
    contract.array(mask, "mask", 1, cnp.NPY_BOOL)
    contract.apart(y, mask, "mask")
    contract.extent("length of mask", mask.shape[0], x.shape[0])
    cdef const uint8_t *kept = <const uint8_t *> mask.data
    cdef Py_ssize_t U = x.shape[0], B = x.shape[1], u = 0, count, at_once = contract.blocks_at_once(B)
    while u < U:
        count = min(at_once, U - u)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                dropout_given_f32(<float *> y.data + u*B, <const float *> x.data + u*B, kept + u,
                                  scale, count, B)
            else:
                dropout_given_f64(<double *> y.data + u*B, <const double *> x.data + u*B, kept + u,
                                  scale, count, B)
        contract.signals()
        u += count
