"""Memory for a kernel's workspace. It begins with a cache line, so that vectors in it need not cross one."""

cdef extern from "stdlib.h" nogil:
    int posix_memalign(void **memory, size_t alignment, size_t size)


cdef inline void *workspace_memory(Py_ssize_t size) noexcept nogil:
    """So many bytes, to be given back to `free`; NULL if there is no memory."""
    cdef void *memory = NULL
    if posix_memalign(&memory, 64, size):
        return NULL
    return memory
