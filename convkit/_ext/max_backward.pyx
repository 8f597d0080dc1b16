"""The gradient of max pooling: all of it goes to the cells whose maxima were taken.

    dx[p].flat[indices[p, oh, ow]] += dy[p, oh, ow]

A scatter, bound by the latency of the cache, where windows overlap and a maximum is taken twice: the
second addition waits for the first one's store. The plane is in the cache by then, since it has just been
set to zero. A plane is one thread's, because indices of one plane may meet.

Indices come from outside, so each is compared with the plane's size just before it is used: one branch
that is never taken, cheaper than a pass over all indices in front, and nothing can change between.
"""

cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from convkit._ext cimport contract
from convkit._ext.threads cimport threads_for

cnp.import_array()

cdef inline bint scatter_plane(
    floating *dx, const floating *dy, const int64_t *indices, Py_ssize_t cells, Py_ssize_t outputs
) noexcept nogil:
    """Tell whether an index named no cell; what it was meant for is left out."""
    cdef Py_ssize_t i
    cdef bint wrong = False
    memset(dx, 0, cells*sizeof(floating))
    for i in range(outputs):
        if <uint64_t> indices[i] < <uint64_t> cells:  # a negative one is beyond them all
            dx[indices[i]] += dy[i]
        else:
            wrong = True
    return wrong


cdef inline int scatter(
    floating *dx, const floating *dy, const int64_t *indices,
    Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    """Return the number of planes with an index that names no cell."""
    cdef Py_ssize_t p
    cdef int wrong = 0
    cdef int threads = threads_for(P*(IH*IW + OH*OW))
    if threads == 1:
        for p in range(P):
            wrong += scatter_plane(dx + p*IH*IW, dy + p*OH*OW, indices + p*OH*OW, IH*IW, OH*OW)
        return wrong
    for p in prange(P, schedule="static", num_threads=threads):
        wrong += scatter_plane(dx + p*IH*IW, dy + p*OH*OW, indices + p*OH*OW, IH*IW, OH*OW)
    return wrong


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
    cdef Py_ssize_t p, count, i, at_once = contract.blocks_at_once(IH*IW + OH*OW)
    cdef int wrong
    p = 0
    while p < P:
        count = min(at_once, P - p)
        with nogil:
            if typenum == cnp.NPY_FLOAT32:
                wrong = scatter(<float *> dx.data + p*IH*IW, <const float *> dy.data + p*OH*OW,
                                where + p*OH*OW, count, IH, IW, OH, OW)
            else:
                wrong = scatter(<double *> dx.data + p*IH*IW, <const double *> dy.data + p*OH*OW,
                                where + p*OH*OW, count, IH, IW, OH, OW)
        if wrong:
            for i in range(p*OH*OW, (p + count)*OH*OW):
                if not 0 <= where[i] < IH*IW:
                    raise ValueError(f"indices must be at least 0 and below {IH*IW}, got {where[i]}")
            raise ValueError(f"indices must be below {IH*IW}, and changed while they were read")
        contract.signals()
        p += count
