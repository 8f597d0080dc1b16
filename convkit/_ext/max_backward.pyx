"""The gradient of max pooling: all of it goes to the cells whose maxima were taken.

    dx[p].flat[indices[p, oh, ow]] += dy[p, oh, ow]

A scatter, bound by the latency of the cache, where windows overlap and a maximum is taken twice: the
second addition waits for the first one's store. The plane is in the cache by then, since it has just been
set to zero. A plane is one thread's, because indices of one plane may meet.
"""

cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange
from libc.stdint cimport int64_t
from libc.string cimport memset

from convkit._ext cimport contract
from convkit._ext.threads cimport threads_for

cnp.import_array()

cdef enum:
    CHECKED = 1 << 17  # indices between two checks of them: 1 MiB


cdef inline void scatter_plane(
    floating *dx, const floating *dy, const int64_t *indices, Py_ssize_t cells, Py_ssize_t outputs
) noexcept nogil:
    cdef Py_ssize_t i
    memset(dx, 0, cells*sizeof(floating))
    for i in range(outputs):
        dx[indices[i]] += dy[i]


cdef inline void scatter(
    floating *dx, const floating *dy, const int64_t *indices,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    cdef Py_ssize_t p
    cdef int threads = threads_for(P*(IH*IW + OH*OW))
    if threads == 1:
        for p in range(P):
            scatter_plane(dx + p*IH*IW, dy + p*OH*OW, indices + p*OH*OW, IH*IW, OH*OW)
        return
    for p in prange(P, schedule="static", num_threads=threads):
        scatter_plane(dx + p*IH*IW, dy + p*OH*OW, indices + p*OH*OW, IH*IW, OH*OW)


cdef inline bint outside(const int64_t *indices, Py_ssize_t n, int64_t cells) noexcept nogil:
    """Whether any of the indices names no cell."""
    cdef Py_ssize_t i
    cdef int64_t low = 0, high = 0
    for i in range(n):
        low = min(low, indices[i])
        high = max(high, indices[i])
    return low < 0 or high >= cells


cdef int any_outside(const int64_t *indices, Py_ssize_t P, Py_ssize_t outputs, int64_t cells) noexcept nogil:
    cdef Py_ssize_t p
    cdef int count = 0
    cdef int threads = threads_for(P*outputs)
    if threads == 1:
        return outside(indices, P*outputs, cells)
    for p in prange(P, schedule="static", num_threads=threads):
        count += outside(indices + p*outputs, outputs, cells)
    return count


# --- from C --------------------------------------------------------------------------------


cdef api void max_pool2d_backward_f32(
    float *dx, const float *dy, const int64_t *indices,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    scatter(dx, dy, indices, P, IH, IW, OH, OW)


cdef api void max_pool2d_backward_f64(
    double *dx, const double *dy, const int64_t *indices,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    scatter(dx, dy, indices, P, IH, IW, OH, OW)


# --- from Python ---------------------------------------------------------------------------


def max_pool2d_backward(cnp.ndarray dx, cnp.ndarray dy, cnp.ndarray indices):
    """Add dy (P, OH, OW) to the cells of dx (P, IH, IW) that the indices name."""
    cdef int typenum = contract.output(dx, "dx", 3)
    contract.array(dy, "dy", 3, typenum)
    contract.array(indices, "indices", 3, cnp.NPY_INT64)
    contract.apart(dx, dy, "dy")
    contract.apart(dx, indices, "indices")
    cdef Py_ssize_t P = dx.shape[0], IH = dx.shape[1], IW = dx.shape[2], OH = dy.shape[1], OW = dy.shape[2]
    contract.extent("planes of dy", dy.shape[0], P)
    contract.extent("planes of indices", indices.shape[0], P)
    contract.extent("rows of indices", indices.shape[1], OH)
    contract.extent("columns of indices", indices.shape[2], OW)

    cdef const int64_t *where = <const int64_t *> indices.data
    # So few planes that the indices are still in the cache after they were checked.
    cdef Py_ssize_t p, count, at_once = max(1, CHECKED//(OH*OW))
    cdef int wrong
    p = 0
    while p < P:
        count = min(at_once, P - p)
        with nogil:
            wrong = any_outside(where + p*OH*OW, count, OH*OW, IH*IW)
            if wrong:
                pass
            elif typenum == cnp.NPY_FLOAT32:
                max_pool2d_backward_f32(<float *> dx.data + p*IH*IW, <const float *> dy.data + p*OH*OW,
                                        where + p*OH*OW, count, IH, IW, OH, OW)
            else:
                max_pool2d_backward_f64(<double *> dx.data + p*IH*IW, <const double *> dy.data + p*OH*OW,
                                        where + p*OH*OW, count, IH, IW, OH, OW)
        if wrong:
            raise ValueError(f"indices must be from 0 to {IH*IW - 1}")
        contract.signals()
        p += at_once
