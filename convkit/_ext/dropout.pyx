"""Dropout: 64 units at a time, their random bits made in registers, used at once, and forgotten.

    y[u, i] = x[u, i]*scale   where bits(seed, u) >= threshold,   else 0

Units are served in groups of 64, by 16 counters of four words each (see convkit/dispatch.py), so
that a group's bits depend on nothing but its number: threads share the groups in any way.

What limits it: the ten rounds of Philox, 20 multiplications for four units, some 4,000 million units a
second with AVX-512; in float32 that is 32 GB/s of reading and writing. So much arithmetic between
two reads keeps the processor from looking ahead in memory by itself; it is told what it will need, and
runs 2.5 times as fast beyond the caches for it. Tried and rejected: Philox in plain C loops (three
quarters of the speed); 16-bit thresholds (1.6 times as fast, but p is then a multiple of 1/65536).
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
    AHEAD = 4096  # bytes; more or less is the same, none is 2.5 times as slow


# --- one group -----------------------------------------------------------------------------


cdef inline void drop_elements(
    real *y, const real *x, Py_ssize_t n, const uint32_t *bits, uint32_t threshold, real scale
) noexcept nogil:
    """Units of one element. What is dropped is left out, not multiplied by 0: it may be infinite."""
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = x[i]*scale if bits[i] >= threshold else 0


cdef inline void drop_blocks(
    real *y, const real *x, Py_ssize_t n, Py_ssize_t B, const uint32_t *bits, uint32_t threshold, real scale
) noexcept nogil:
    """Units of B elements: rows, or feature maps."""
    cdef Py_ssize_t u, i
    for u in range(n):
        if bits[u] >= threshold:
            for i in range(B):
                y[u*B + i] = x[u*B + i]*scale
        else:
            memset(y + u*B, 0, B*sizeof(real))


cdef void drop_group(
    real *y, const real *x, Py_ssize_t g, uint64_t seed, uint32_t threshold, real scale,
    Py_ssize_t U, Py_ssize_t B
) noexcept nogil:
    cdef uint32_t bits[GROUP]
    cdef Py_ssize_t i, u = g*GROUP, n = min(<Py_ssize_t> GROUP, U - u)
    philox_64(bits, 16*g, seed)
    if B > 1:
        drop_blocks(y + u*B, x + u*B, n, B, bits, threshold, scale)
        return
    for i in range(GROUP*sizeof(real)//LINE):
        prefetch(<const char *> (x + u) + AHEAD + i*LINE)
    if n == GROUP:  # a constant, for the compiler
        drop_elements(y + u, x + u, GROUP, bits, threshold, scale)
    else:
        drop_elements(y + u, x + u, n, bits, threshold, scale)


cdef void mask_group(
    uint8_t *mask, Py_ssize_t g, uint64_t seed, uint32_t threshold, Py_ssize_t U
) noexcept nogil:
    cdef uint32_t bits[GROUP]
    cdef Py_ssize_t i, u = g*GROUP
    philox_64(bits, 16*g, seed)
    for i in range(min(<Py_ssize_t> GROUP, U - u)):
        mask[u + i] = bits[i] >= threshold


# --- all of them, or those of which Python asks between two looks at Ctrl-C ----------------
# A threshold of 2**32, which no 32 bits reach, drops everything.


cdef void drop(
    real *y, const real *x, uint64_t seed, uint64_t threshold, double scale, Py_ssize_t U, Py_ssize_t B,
    Py_ssize_t first, Py_ssize_t stop
) noexcept nogil:
    cdef int threads = threads_for((stop - first)*GROUP*B)
    cdef Py_ssize_t g
    if threshold >> 32:
        memset(y + first*GROUP*B, 0, (min(U, stop*GROUP) - first*GROUP)*B*sizeof(real))
        return
    if threads == 1:
        for g in range(first, stop):
            drop_group(y, x, g, seed, <uint32_t> threshold, <real> scale, U, B)
        return
    for g in prange(first, stop, schedule="static", num_threads=threads):
        drop_group(y, x, g, seed, <uint32_t> threshold, <real> scale, U, B)


cdef void draw_mask(
    uint8_t *mask, uint64_t seed, uint64_t threshold, Py_ssize_t U, Py_ssize_t first, Py_ssize_t stop
) noexcept nogil:
    cdef int threads = threads_for((stop - first)*GROUP)
    cdef Py_ssize_t g
    if threshold >> 32:
        memset(mask + first*GROUP, 0, min(U, stop*GROUP) - first*GROUP)
        return
    if threads == 1:
        for g in range(first, stop):
            mask_group(mask, g, seed, <uint32_t> threshold, U)
        return
    for g in prange(first, stop, schedule="static", num_threads=threads):
        mask_group(mask, g, seed, <uint32_t> threshold, U)


cdef inline Py_ssize_t groups(Py_ssize_t U) noexcept nogil:
    return (U - 1)//GROUP + 1


# --- from C --------------------------------------------------------------------------------


cdef api void dropout_f32(
    float *y, const float *x, uint64_t seed, uint64_t threshold, double scale, Py_ssize_t U, Py_ssize_t B
) noexcept nogil:
    drop(y, x, seed, threshold, scale, U, B, 0, groups(U))


cdef api void dropout_f64(
    double *y, const double *x, uint64_t seed, uint64_t threshold, double scale, Py_ssize_t U, Py_ssize_t B
) noexcept nogil:
    drop(y, x, seed, threshold, scale, U, B, 0, groups(U))


# A mask is the same for elements of either type.
cdef api void dropout_mask_f32(uint8_t *mask, uint64_t seed, uint64_t threshold, Py_ssize_t U) noexcept nogil:
    draw_mask(mask, seed, threshold, U, 0, groups(U))


cdef api void dropout_mask_f64(uint8_t *mask, uint64_t seed, uint64_t threshold, Py_ssize_t U) noexcept nogil:
    draw_mask(mask, seed, threshold, U, 0, groups(U))


# --- from Python ---------------------------------------------------------------------------


cdef int check_threshold(uint64_t threshold) except -1:
    if threshold > <uint64_t> 1 << 32:
        raise ValueError(f"threshold must be at most 2**32, got {threshold}")
    return 0


def dropout(cnp.ndarray y, cnp.ndarray x, uint64_t seed, uint64_t threshold, double scale):
    """Keep, scaled, or set to zero whole units: the rows of x (U, B)."""
    cdef int typenum = contract.output(y, "y", 2)
    contract.array(x, "x", 2, typenum)
    contract.apart(y, x, "x")
    contract.extent("units of x", x.shape[0], y.shape[0])
    contract.extent("elements of a unit of x", x.shape[1], y.shape[1])
    check_threshold(threshold)
    cdef Py_ssize_t U = x.shape[0], B = x.shape[1], g, at_once = contract.blocks_at_once(GROUP*B)
    g = 0
    while g < groups(U):
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                drop(<float *> y.data, <const float *> x.data, seed, threshold, scale, U, B,
                     g, min(groups(U), g + at_once))
            else:
                drop(<double *> y.data, <const double *> x.data, seed, threshold, scale, U, B,
                     g, min(groups(U), g + at_once))
        contract.signals()
        g += at_once


def dropout_mask(cnp.ndarray mask, uint64_t seed, uint64_t threshold):
    """Set mask (U,) to True where a unit is kept."""
    contract.array(mask, "mask", 1, cnp.NPY_BOOL)
    if not cnp.PyArray_ISWRITEABLE(mask):
        raise ValueError("mask is written to and must not be read-only")
    check_threshold(threshold)
    cdef Py_ssize_t U = mask.shape[0], g, at_once = contract.blocks_at_once(GROUP)
    g = 0
    while g < groups(U):
        with nogil:
            draw_mask(<uint8_t *> mask.data, seed, threshold, U, g, min(groups(U), g + at_once))
        contract.signals()
        g += at_once
