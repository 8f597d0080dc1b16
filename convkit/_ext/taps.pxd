"""The taps of im2col and col2im: where they fall into the image, and what is kept of a small plane.

At stride 1 a tap (kh, kw) is the image, shifted. Along an axis, the outputs whose tap falls into the
run of the index table are found once for many rows. A small plane of a "same" convolution (outputs as
many as cells) is shifted as a whole, as one row; masks then clear what came in from the row beside
and from the planes beside.
"""

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t

from convkit._ext cimport contract
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.runs cimport longest_run
from convkit._ext.vec cimport vec, vf

cdef enum:
    MASKS = 4096  # elements of the masks: 16 KiB of float32

cdef struct Axis:
    Py_ssize_t start, stop  # the entries start..stop-1 of the index table name cells one after another
    Py_ssize_t cell         # the first of them
    bint once               # and no other entry names a cell


cdef inline Axis axis_of(const Py_ssize_t *table, Py_ssize_t n) noexcept nogil:
    cdef Axis axis
    cdef Py_ssize_t i, cells = 0
    longest_run(table, n, &axis.start, &axis.stop)
    for i in range(n):
        cells += table[i] >= 0
    axis.cell = table[axis.start]
    axis.once = cells == axis.stop - axis.start
    return axis


cdef inline void inside(
    const Axis *axis, Py_ssize_t tap, Py_ssize_t S, Py_ssize_t O, Py_ssize_t *first, Py_ssize_t *end
) noexcept nogil:
    """The outputs whose tap, an offset into the table, falls into the run."""
    first[0] = min(max(0, axis.start - tap + S - 1)//S, O)
    end[0] = max(min(max(0, axis.stop - tap + S - 1)//S, O), first[0])


cdef inline Py_ssize_t row_that_shows(
    const Axis *axis, Py_ssize_t cell, Py_ssize_t tap, Py_ssize_t S, Py_ssize_t O
) noexcept nogil:
    """The output whose tap, an offset into the table, shows a cell of the run; -1 if there is none."""
    cdef Py_ssize_t q = axis.start + cell - axis.cell - tap
    if not axis.start <= q + tap < axis.stop or q < 0:
        return -1
    if S == 2:  # the common one, without a division
        return q//2 if q % 2 == 0 and q//2 < O else -1
    return q//S if q % S == 0 and q//S < O else -1


cdef inline bint is_small(const Axis *h, const Axis *w, Py_ssize_t W, const conv_shape *s) noexcept nogil:
    """Whether a tap is a plane shifted in memory, short enough for masks that say what to keep of it."""
    cdef Py_ssize_t reach = (s.KH*s.DH + s.IH)*s.IW + s.KW*s.DW + W  # generously
    return (s.SH == 1 and s.SW == 1 and s.OH == s.IH and s.OW == s.IW and h.once and w.once
            and h.stop - h.start == s.IH and w.stop - w.start == s.IW
            and s.IH*s.IW >= W and s.KH*s.KW*s.IH*s.IW <= MASKS and reach <= s.KH*s.KW*s.IH*s.IW)


cdef inline void set_masks(
    vec *masks, const Axis *h, const Axis *w, Py_ssize_t sign, const conv_shape *s
) noexcept nogil:
    """For each tap and cell, all bits if the cell that is shifted there lies inside the plane."""
    cdef Py_ssize_t kh, kw, i, j, a, b, at = 0
    for kh in range(s.KH):
        for kw in range(s.KW):
            for i in range(s.IH):
                a = i + sign*(kh*s.DH - h.start)
                for j in range(s.IW):
                    b = j + sign*(kw*s.DW - w.start)
                    if vec is vf:
                        (<int32_t *> masks)[at] = -(0 <= a < s.IH and 0 <= b < s.IW)
                    else:
                        (<int64_t *> masks)[at] = -(0 <= a < s.IH and 0 <= b < s.IW)
                    at += 1


cdef inline int accept(
    conv_shape *s, cnp.ndarray out, cnp.ndarray x, cnp.ndarray cols, cnp.ndarray ih_of, cnp.ndarray iw_of,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
) except -1:
    """Check x (N, IC, IH, IW) and cols (N, IC, KH, KW, OH, OW), one of which is written; fill in s."""
    cdef int typenum = contract.output(out, "x" if out is x else "cols", 4 if out is x else 6)
    contract.array(x, "x", 4, typenum)
    contract.array(cols, "cols", 6, typenum)
    contract.apart(out, cols if out is x else x, "cols" if out is x else "x")
    s.N, s.IC, s.IH, s.IW = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    s.KH, s.KW, s.OH, s.OW = cols.shape[2], cols.shape[3], cols.shape[4], cols.shape[5]
    s.OC, s.G, s.SH, s.SW, s.DH, s.DW = 0, 1, SH, SW, DH, DW
    contract.extent("images of cols", cols.shape[0], s.N)
    contract.extent("channels of cols", cols.shape[1], s.IC)
    contract.table(out, ih_of, "ih_of", s.IH, s.OH, SH, s.KH, DH)
    contract.table(out, iw_of, "iw_of", s.IW, s.OW, SW, s.KW, DW)
    return typenum
