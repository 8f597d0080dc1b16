"""How many threads a kernel may use: one number for everybody, one for the calling thread."""

cdef extern from *:
    """
    static int convkit_everywhere = 1;
    static __thread int convkit_here = 0;  /* 0: as everywhere */
    """
    int convkit_everywhere
    int convkit_here

# Below this many elements a loop takes less time than the waking of its threads: some 10 us, in
# which one core moves about 50,000 elements.
cdef Py_ssize_t small = 50_000


def set_threads(int everywhere, int here):
    """Set the number of threads in the whole process and, unless it is 0, in the calling thread."""
    global convkit_everywhere, convkit_here
    convkit_everywhere = everywhere
    convkit_here = here


def set_small(Py_ssize_t elements):
    """Set below how many elements a loop stays on one thread; return what it was.

    The tests set it to 0, so that cases small enough to be checked are shared among threads too.
    """
    global small
    before, small = small, elements
    return before


cdef int threads_for(Py_ssize_t elements) noexcept nogil:
    if elements < small:
        return 1
    return convkit_here if convkit_here > 0 else convkit_everywhere
