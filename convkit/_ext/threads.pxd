# The number of threads for a loop over so many elements.
#
# Kernels write the loop for one thread a second time, as a plain `range`: GCC's OpenMP makes and
# unmakes a team of one anew each time, which takes 0.7 us, as long as all else of a small call.
cdef int threads_for(Py_ssize_t elements) noexcept nogil
