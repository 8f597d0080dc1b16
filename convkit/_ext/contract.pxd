"""The checks at a kernel's Python door: whatever could make it touch memory that is not its own.

They are not the user's checks, which the public functions make and word; they keep a mistake in
those, or a direct call from a test, from becoming a crash.
"""

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.string cimport memset

from convkit._ext.conv_shape cimport conv_shape

cdef extern from *:
    const bint CONVKIT_DEBUG  # set by setup.py


cdef inline int array(cnp.ndarray a, str name, int ndim, int typenum) except -1:
    """Accept a non-empty C-contiguous, aligned, native array of `ndim` axes and one type."""
    if a is None:
        raise TypeError(f"{name} must be an array, got None")
    if cnp.PyArray_TYPE(a) != typenum:
        raise TypeError(f"{name} must be {cnp.PyArray_DescrFromType(typenum)}, got {a.dtype}")
    if cnp.PyArray_NDIM(a) != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {(<object> a).shape}")
    if not (cnp.PyArray_CHKFLAGS(a, cnp.NPY_ARRAY_CARRAY_RO) and cnp.PyArray_ISNOTSWAPPED(a)):
        raise ValueError(f"{name} must be C-contiguous, aligned and of native byte order")
    if cnp.PyArray_SIZE(a) == 0:
        raise ValueError(f"{name} must not be empty, got shape {(<object> a).shape}")
    return 0


cdef inline int output(cnp.ndarray a, str name, int ndim) except -1:
    """Accept a writable float array; return its type, which the inputs must share.

    A debug build fills it with NaN: a kernel must overwrite an output wholly and never read it.
    """
    cdef int typenum = cnp.NPY_FLOAT64
    if a is not None and cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT32:
        typenum = cnp.NPY_FLOAT32
    array(a, name, ndim, typenum)
    if not cnp.PyArray_ISWRITEABLE(a):
        raise ValueError(f"{name} is written to and must not be read-only")
    if CONVKIT_DEBUG:
        memset(cnp.PyArray_DATA(a), 0xFF, cnp.PyArray_NBYTES(a))
    return typenum


cdef inline int apart(cnp.ndarray out, cnp.ndarray a, str name) except -1:
    """Accept an array that shares no memory with an output; both are contiguous."""
    cdef size_t start = <size_t> cnp.PyArray_DATA(out), other = <size_t> cnp.PyArray_DATA(a)
    if start < other + cnp.PyArray_NBYTES(a) and other < start + cnp.PyArray_NBYTES(out):
        raise ValueError(f"{name} shares memory with the output")
    return 0


cdef inline int extent(str name, Py_ssize_t got, Py_ssize_t expected) except -1:
    """Accept two extents that are one and the same in the kernel."""
    if got != expected:
        raise ValueError(f"{name} must be {expected}, got {got}")
    return 0


cdef inline int table(
    cnp.ndarray out, cnp.ndarray a, str name,
    Py_ssize_t n, Py_ssize_t O, Py_ssize_t S, Py_ssize_t K, Py_ssize_t D
) except -1:
    """Accept an index table that serves ``table[o*S + k*D]`` and names only cells of 0..n-1, or -1.

    It must lie apart from the output: overwritten by the kernel, it would name any cell at all.
    """
    cdef Py_ssize_t last, i
    cdef const cnp.npy_intp *cell
    array(a, name, 1, cnp.NPY_INTP)
    apart(out, a, name)
    last = cnp.PyArray_DIM(a, 0) - 1
    # Written with divisions, because the products might overflow.
    if S < 1 or D < 1 or O - 1 > last // S or K - 1 > (last - (O - 1)*S) // D:
        raise ValueError(f"{name} has {last + 1} entries, too few for {O} outputs by {S}, {K} taps by {D}")
    cell = <const cnp.npy_intp *> cnp.PyArray_DATA(a)
    for i in range(last + 1):
        if cell[i] < -1 or cell[i] >= n:
            raise ValueError(f"{name}[{i}] must be from -1 to {n - 1}, got {cell[i]}")
    return 0


cdef inline int sizes(
    conv_shape *s, cnp.ndarray out, cnp.ndarray x, cnp.ndarray w, cnp.ndarray y, str name_of_y,
    cnp.ndarray ih_of, cnp.ndarray iw_of, Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
) except -1:
    """Accept arrays of 4 axes that have the shapes of a convolution's x, w and y; fill in its shape."""
    s.N, s.IC, s.IH, s.IW = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    s.OC, s.KH, s.KW = w.shape[0], w.shape[2], w.shape[3]
    s.OH, s.OW = y.shape[2], y.shape[3]
    s.SH, s.SW, s.DH, s.DW = SH, SW, DH, DW
    s.G = s.IC // w.shape[1]
    if y.shape[0] != s.N or y.shape[1] != s.OC:  # words are put together only for an error
        extent(f"images of {name_of_y}", y.shape[0], s.N)
        extent(f"channels of {name_of_y}", y.shape[1], s.OC)
    if s.G * w.shape[1] != s.IC or s.G == 0 or s.OC % s.G:
        raise ValueError(f"{s.IC} input and {s.OC} output channels have no groups of {w.shape[1]} inputs")
    table(out, ih_of, "ih_of", s.IH, s.OH, SH, s.KH, DH)
    table(out, iw_of, "iw_of", s.IW, s.OW, SW, s.KW, DW)
    return 0


cdef inline int conv2d(
    conv_shape *s, cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b,
    cnp.ndarray ih_of, cnp.ndarray iw_of, Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
) except -1:
    """Accept the arguments of a convolution, fill in its shape and return its type."""
    cdef int typenum = output(y, "y", 4)
    operands(y, x, w, b, typenum)
    sizes(s, y, x, w, y, "y", ih_of, iw_of, SH, SW, DH, DW)
    extent("length of b", b.shape[0], s.OC)
    return typenum


cdef inline int conv_transpose2d(
    conv_shape *s, cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b,
    cnp.ndarray ih_of, cnp.ndarray iw_of, Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
) except -1:
    """Accept the arguments of a transposed convolution; the shape is the convolution's from y to x."""
    cdef int typenum = output(y, "y", 4)
    operands(y, x, w, b, typenum)
    sizes(s, y, y, w, x, "x", ih_of, iw_of, SH, SW, DH, DW)
    extent("length of b", b.shape[0], s.IC)
    return typenum


cdef inline int operands(cnp.ndarray y, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, int typenum) except -1:
    array(x, "x", 4, typenum)
    array(w, "w", 4, typenum)
    array(b, "b", 1, typenum)
    apart(y, x, "x")
    apart(y, w, "w")
    apart(y, b, "b")
    return 0


cdef inline int conv2d_grad_w(
    conv_shape *s, cnp.ndarray dw, cnp.ndarray dy, cnp.ndarray x,
    cnp.ndarray ih_of, cnp.ndarray iw_of, Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t DH, Py_ssize_t DW
) except -1:
    """Accept the arguments of a convolution's gradient for w, fill in its shape and return its type."""
    cdef int typenum = output(dw, "dw", 4)
    array(dy, "dy", 4, typenum)
    array(x, "x", 4, typenum)
    apart(dw, dy, "dy")
    apart(dw, x, "x")
    sizes(s, dw, x, dw, dy, "dy", ih_of, iw_of, SH, SW, DH, DW)
    return typenum


cdef inline int normalize_given(
    cnp.ndarray y, cnp.ndarray x, cnp.ndarray mean, cnp.ndarray invstd, cnp.ndarray weight, cnp.ndarray bias
) except -1:
    """Accept the arguments of a normalisation and return its type."""
    cdef int axis, typenum = output(y, "y", 4)
    array(x, "x", 4, typenum)
    array(weight, "weight", 2, typenum)
    array(bias, "bias", 2, typenum)
    array(mean, "mean", 1, cnp.NPY_FLOAT64)
    array(invstd, "invstd", 1, cnp.NPY_FLOAT64)
    apart(y, x, "x")
    apart(y, weight, "weight")
    apart(y, bias, "bias")
    apart(y, mean, "mean")
    apart(y, invstd, "invstd")
    for axis in range(4):
        extent("an extent of y", y.shape[axis], x.shape[axis])
    extent("length of mean", mean.shape[0], x.shape[1])
    extent("length of invstd", invstd.shape[0], x.shape[1])
    extent("length of weight", weight.shape[1], x.shape[2])
    extent("statistics left over by the rows of weight", x.shape[1] % weight.shape[0], 0)
    extent("rows of bias", bias.shape[0], weight.shape[0])
    extent("length of bias", bias.shape[1], weight.shape[1])
    return typenum


cdef inline int normalize(
    cnp.ndarray y, cnp.ndarray mean, cnp.ndarray var, cnp.ndarray x, cnp.ndarray weight, cnp.ndarray bias
) except -1:
    """The same, where mean and variance are outputs."""
    output(mean, "mean", 1)
    output(var, "var", 1)
    cdef cnp.ndarray out
    cdef int typenum = normalize_given(y, x, mean, var, weight, bias)
    apart(var, mean, "mean")
    for out in (mean, var):
        apart(out, x, "x")
        apart(out, weight, "weight")
        apart(out, bias, "bias")
    return typenum


cdef inline int normalize_backward(
    cnp.ndarray dx, cnp.ndarray dweight, cnp.ndarray dbias, cnp.ndarray dy, cnp.ndarray x,
    cnp.ndarray weight, cnp.ndarray mean, cnp.ndarray invstd
) except -1:
    """Accept the arguments of a normalisation's gradient and return its type."""
    cdef cnp.ndarray out
    cdef int axis, typenum = normalize_given(dx, x, mean, invstd, weight, weight)
    array(dy, "dy", 4, typenum)
    output(dweight, "dweight", 2)
    output(dbias, "dbias", 2)
    array(dweight, "dweight", 2, typenum)
    array(dbias, "dbias", 2, typenum)
    apart(dx, dy, "dy")
    apart(dx, dweight, "dweight")
    apart(dx, dbias, "dbias")
    apart(dweight, dbias, "dbias")
    for out in (dweight, dbias):
        apart(out, dy, "dy")
        apart(out, x, "x")
        apart(out, weight, "weight")
        apart(out, mean, "mean")
        apart(out, invstd, "invstd")
    for axis in range(4):
        extent("an extent of dy", dy.shape[axis], x.shape[axis])
    for axis in range(2):
        extent("an extent of dweight", dweight.shape[axis], weight.shape[axis])
        extent("an extent of dbias", dbias.shape[axis], weight.shape[axis])
    return typenum


# --- Ctrl-C --------------------------------------------------------------------------------

cdef enum:
    # Work between two looks at pending signals: some 50 ms at one operation a nanosecond.
    BETWEEN_SIGNALS = 50_000_000


cdef inline Py_ssize_t blocks_at_once(Py_ssize_t work_per_block) noexcept nogil:
    """How many blocks (images, planes) to hand to a kernel between two calls of `signals`."""
    return max(1, BETWEEN_SIGNALS // work_per_block)


cdef inline int signals() except -1:
    """Let Ctrl-C stop a long call; needs the GIL."""
    return PyErr_CheckSignals()
