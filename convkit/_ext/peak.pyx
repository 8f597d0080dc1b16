"""The multiply-add ceiling of a core: vectors of sums that never leave their registers.

A multiply-add takes 4 cycles or 5 and a core starts two in each, so that 10 sums side by side keep it
busy; there are 12. The sums stay finite: each tends to b / (1 - a).
"""

from convkit._ext.vec cimport lanes, splat, vd, vec, vf

cdef enum:
    CHAINS = 12


cdef Py_ssize_t chains(vec *sums, const vec *a, const vec *b, Py_ssize_t rounds) noexcept nogil:
    """Do so many rounds of multiply-adds on all sums; return the FLOPs that it took."""
    cdef vec s[CHAINS]
    cdef vec factor = splat(a, 0), summand = splat(b, 0)
    cdef Py_ssize_t _
    cdef int i
    for i in range(CHAINS):
        s[i] = summand
    for _ in range(rounds):
        for i in range(CHAINS):
            s[i] = s[i]*factor + summand
    for i in range(CHAINS):
        sums[0] = sums[0] + s[i]
    return 2*CHAINS*lanes(sums)*rounds


def multiply_adds(Py_ssize_t rounds, bint doubles):
    """Run `rounds` of multiply-adds in float32 or float64; return their FLOPs and the sum of the sums."""
    cdef float a32 = 0.5, b32 = 1
    cdef double a64 = 0.5, b64 = 1
    cdef float[64] sums32
    cdef double[64] sums64
    cdef Py_ssize_t flops
    for i in range(64):
        sums32[i], sums64[i] = 0, 0
    with nogil:
        if doubles:
            flops = chains(<vd *> sums64, <const vd *> &a64, <const vd *> &b64, rounds)
        else:
            flops = chains(<vf *> sums32, <const vf *> &a32, <const vf *> &b32, rounds)
    return flops, sums64[0] if doubles else sums32[0]
