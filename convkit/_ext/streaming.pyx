"""From which size on results go past the caches: see streaming.pxd."""

# More than the last-level cache would keep of them beside all else.
cdef Py_ssize_t large = 28*1024*1024
# A page: the lines at a run's ends, which it may share with others, are then few.
cdef enum:
    LONG = 4096


def set_large(Py_ssize_t nbytes):
    """Set above how many bytes, read and written, results go past the caches; return what it was.

    The tests set it to 0: no array of theirs is that large.
    """
    global large
    before, large = large, nbytes
    return before


cdef bint worth_streaming(Py_ssize_t bytes_in_and_out, Py_ssize_t bytes_in_a_run) noexcept nogil:
    return bytes_in_and_out > large and bytes_in_a_run >= LONG
