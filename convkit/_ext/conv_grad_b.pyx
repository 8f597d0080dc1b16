"""The gradient of a convolution for its bias: the sum of dy over images and pixels, per channel.

Bound by memory: one addition an element, read once. It is done in float64, which costs nothing then, so
that a channel's millions of small numbers do not drown. Sixteen sums run side by side, or else each
addition would wait for the one before. Channels are shared among threads.
"""

cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange

from convkit._ext cimport contract
from convkit._ext.threads cimport threads_for

cnp.import_array()

cdef enum:
    LANES = 16


cdef inline double plane_sum(const floating *dy, Py_ssize_t S) noexcept nogil:
    """The sum of S elements in a fixed order: lane 0 adds up the elements 0, 16, 32..."""
    cdef double sums[LANES]
    cdef double total = 0
    cdef Py_ssize_t i, whole = S - S % LANES
    cdef int lane
    for lane in range(LANES):
        sums[lane] = 0
    for i in range(S//LANES):
        for lane in range(LANES):
            sums[lane] += dy[i*LANES + lane]
    for i in range(whole, S):
        total += dy[i]
    for lane in range(LANES):
        total += sums[lane]
    return total


cdef inline void channel_sum(
    floating *db, const floating *dy, Py_ssize_t N, Py_ssize_t OC, Py_ssize_t S
) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t n
    for n in range(N):
        total += plane_sum(dy + n*OC*S, S)
    db[0] = <floating> total


cdef void grad_b(floating *db, const floating *dy, Py_ssize_t N, Py_ssize_t OC, Py_ssize_t S) noexcept nogil:
    cdef int threads = threads_for(N*OC*S)
    cdef Py_ssize_t oc
    if threads == 1:
        for oc in range(OC):
            channel_sum(db + oc, dy + oc*S, N, OC, S)
        return
    for oc in prange(OC, schedule="static", num_threads=threads):
        channel_sum(db + oc, dy + oc*S, N, OC, S)


# --- from C --------------------------------------------------------------------------------


cdef api void conv2d_grad_b_f32(
    float *db, const float *dy, Py_ssize_t N, Py_ssize_t OC, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    grad_b(db, dy, N, OC, OH*OW)


cdef api void conv2d_grad_b_f64(
    double *db, const double *dy, Py_ssize_t N, Py_ssize_t OC, Py_ssize_t OH, Py_ssize_t OW
) noexcept nogil:
    grad_b(db, dy, N, OC, OH*OW)


# --- from Python ---------------------------------------------------------------------------


def conv2d_grad_b(cnp.ndarray db, cnp.ndarray dy):
    """Fill db (OC,) with the sums of dy (N, OC, OH, OW)."""
    cdef int typenum = contract.output(db, "db", 1)
    contract.array(dy, "dy", 4, typenum)
    contract.apart(db, dy, "dy")
    cdef Py_ssize_t N = dy.shape[0], OC = dy.shape[1], OH = dy.shape[2], OW = dy.shape[3]
    contract.extent("channels of dy", OC, db.shape[0])
    with nogil:
        if typenum == cnp.NPY_FLOAT32:
            conv2d_grad_b_f32(<float *> db.data, <const float *> dy.data, N, OC, OH, OW)
        else:
            conv2d_grad_b_f64(<double *> db.data, <const double *> dy.data, N, OC, OH, OW)
