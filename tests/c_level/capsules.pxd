"""Compiled kernels called as C code would call them: by cimport, on raw addresses, without the GIL.

Every function of call_*.pyx takes a capsule that holds the kernel to call, or None for the one that
kernels.pxd names, then the kernel's own arguments, pointers as integers.
"""

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer


cdef inline void *inside(capsule) except NULL:
    """Return the address that a capsule holds."""
    return PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))
