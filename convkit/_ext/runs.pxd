"""Runs of consecutive cells: finding them in an index table, and copying them."""

from libc.string cimport memcpy


cdef inline void longest_run(
    const Py_ssize_t *table, Py_ssize_t n, Py_ssize_t *start, Py_ssize_t *stop
) noexcept nogil:
    """Find the longest stretch of a table that names cells one after another."""
    cdef Py_ssize_t i, first = 0
    start[0] = stop[0] = 0
    for i in range(n):
        if table[i] < 0:
            first = i + 1
            continue
        if i > first and table[i] != table[i - 1] + 1:
            first = i
        if i + 1 - first > stop[0] - start[0]:
            start[0] = first
            stop[0] = i + 1


cdef inline void copy_run(void *y, const void *x, Py_ssize_t n) noexcept nogil:
    """Copy n bytes, a multiple of 4, by moves of which the last two overlap, and without a call."""
    cdef char *to = <char *> y
    cdef const char *of = <const char *> x
    cdef Py_ssize_t i
    if n >= 64:
        for i in range(0, n - 64, 64):
            memcpy(to + i, of + i, 64)
        memcpy(to + n - 64, of + n - 64, 64)
    elif n >= 32:
        memcpy(to, of, 32)
        memcpy(to + n - 32, of + n - 32, 32)
    elif n >= 16:
        memcpy(to, of, 16)
        memcpy(to + n - 16, of + n - 16, 16)
    elif n >= 8:
        memcpy(to, of, 8)
        memcpy(to + n - 8, of + n - 8, 8)
    elif n == 4:
        memcpy(to, of, 4)
