# The number of threads for a loop over so many elements.
cdef int threads_for(Py_ssize_t elements) noexcept nogil
