"""What the public functions ask of small arrays before and after every call, at the speed of C.

NumPy takes half a microsecond for one operation on three channels, and a small batch norm needs
twenty of them. `convkit/border.py` has the same in NumPy, for when nothing is compiled.
"""

cimport numpy as cnp
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from libc.math cimport sqrt

import numpy as np

cnp.import_array()

cdef enum:
    MANY = 1024


cpdef bint is_operand(x):
    """Tell whether x is a plain array that kernels can take: float32 or float64, contiguous and native."""
    if type(x) is not np.ndarray:
        return False
    cdef cnp.ndarray a = x
    cdef int typenum = cnp.PyArray_TYPE(a)
    return (
        (typenum == cnp.NPY_FLOAT32 or typenum == cnp.NPY_FLOAT64)
        and cnp.PyArray_CHKFLAGS(a, cnp.NPY_ARRAY_CARRAY_RO)
        and cnp.PyArray_ISNOTSWAPPED(a)
    )


cpdef bint is_vector(x, Py_ssize_t length, cnp.dtype dtype):
    """Tell whether x is an operand of shape ``(length,)`` and of a float dtype."""
    if not is_operand(x):
        return False
    cdef cnp.ndarray a = x
    return cnp.PyArray_NDIM(a) == 1 and a.shape[0] == length and cnp.PyArray_TYPE(a) == dtype.num


def vector_seen(v, tuple shape, cnp.dtype dtype):
    """Return an operand with one number for each cell of (rows, columns) in that shape, else None."""
    return seen(v, shape) if is_vector(v, <Py_ssize_t> shape[0]*<Py_ssize_t> shape[1], dtype) else None


cpdef seen(a, tuple shape):
    """Return a contiguous array, of any place, in another shape of at most four axes, as its reshape does."""
    if not isinstance(a, np.ndarray):
        return a.reshape(shape)
    cdef cnp.npy_intp[4] extents
    cdef cnp.PyArray_Dims dims
    cdef int axis
    if len(shape) > 4:
        raise ValueError(f"shape must have at most 4 axes, got {shape}")
    dims.ptr = extents
    dims.len = len(shape)
    for axis in range(dims.len):
        extents[axis] = shape[axis]
    return cnp.PyArray_Newshape(a, &dims, cnp.NPY_CORDER)


def is_key(value):
    """Tell whether an option is None, an int or a tuple of ints, and as good as any to look up a plan by."""
    if value is None or type(value) is int:
        return True
    if type(value) is not tuple or not value:
        return False
    for v in <tuple> value:
        if type(v) is not int:
            return False
    return True


cdef bint is_plain(value):
    """Tell whether a value, or each in a tuple of any kind, is of a type that cannot change."""
    if isinstance(value, tuple):
        for v in <tuple> value:
            if not is_plain(v):
                return False
        return True
    return value is None or type(value) in (int, bool, float, str)


cdef bint same_types(tuple a, tuple b):
    """Tell whether equal tuples hold values of the same types: 1, 1.0 and True are equal."""
    cdef Py_ssize_t i
    for i in range(len(a)):
        if type(a[i]) is not type(b[i]):
            return False
        if isinstance(a[i], tuple) and not same_types(<tuple> a[i], <tuple> b[i]):
            return False
    return True


cdef class Recalled:
    """A function of positional arguments, whose results are recalled where all arguments are as before.

    Arguments of other types than numbers, strings and tuples of these are handed on: an array has no
    hash, and other things may change. Once there are MANY results, none of which is large, all are
    forgotten.
    """

    cdef object make, worth_keeping
    cdef dict kept

    def __init__(self, worth_keeping, make):
        self.make, self.worth_keeping, self.kept = make, worth_keeping, {}

    def __call__(self, *args):
        cdef PyObject *found = NULL
        try:
            found = PyDict_GetItemWithError(self.kept, args)
        except TypeError:  # no hash
            pass
        if found != NULL:
            as_before = <tuple> found
            if same_types(args, <tuple> as_before[0]):
                return as_before[1]
        result = self.make(*args)
        if found == NULL and is_plain(args) and self.worth_keeping(result):  # the first of equals is kept
            if len(self.kept) >= MANY:
                self.kept.clear()
            self.kept[args] = (args, result)
        return result

    def cache_clear(self):
        """Forget all results."""
        self.kept.clear()


cpdef overlap(a, b):
    """Tell whether two arrays have a cell in common (two columns of one table have none), or may have one.

    To be certain can take exponential time, where they are not contiguous; hence the limit.
    """
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        return np.may_share_memory(a, b, max_work=10_000)
    cdef cnp.ndarray p = a, q = b
    if not (cnp.PyArray_IS_C_CONTIGUOUS(p) and cnp.PyArray_IS_C_CONTIGUOUS(q)):
        return np.may_share_memory(a, b, max_work=10_000)
    cdef size_t i = <size_t> cnp.PyArray_DATA(p), j = <size_t> cnp.PyArray_DATA(q)
    return i < j + cnp.PyArray_NBYTES(q) and j < i + cnp.PyArray_NBYTES(p)


def takes(out, shape, cnp.dtype dtype, inputs):
    """Tell whether kernels may write `out`: an operand of that shape and dtype, apart from all inputs."""
    cdef cnp.ndarray y
    cdef int axis
    if not is_operand(out):
        return False
    y = out
    if cnp.PyArray_NDIM(y) != len(shape) or cnp.PyArray_TYPE(y) != dtype.num:
        return False
    if not cnp.PyArray_ISWRITEABLE(y):
        return False
    for axis in range(cnp.PyArray_NDIM(y)):
        if y.shape[axis] != shape[axis]:
            return False
    for x in inputs:
        if overlap(y, x):
            return False
    return True


cpdef small(shape, cnp.dtype dtype, Py_ssize_t most):
    """Return a new array, or None if it would have more than `most` elements."""
    cdef cnp.npy_intp[4] extents
    cdef Py_ssize_t elements = 1
    cdef int axis, axes
    if type(shape) is not tuple or len(shape) > 4:
        return None
    axes = len(shape)
    for axis in range(axes):
        extents[axis] = shape[axis]
        if extents[axis] < 1 or extents[axis] > most//elements:
            return None
        elements *= extents[axis]
    return cnp.PyArray_EMPTY(axes, extents, dtype.num, 0)


def filled(kernel, x, plan, tuple last, Py_ssize_t most, cnp.dtype second=None):
    """Return what `kernel` makes of x by a plan, in a new array, or None if that is empty or not small.

    None for arrays on a GPU too: a launch takes as long as the Python around it. With the dtype of a `second`
    output, of the same shape, a pair of arrays is returned.

    A plan begins with x's shape and the result's as kernels see them, two tables, and the shape to
    return; `last` are the arguments that follow the tables.
    """
    p = <tuple> plan  # or a named one
    if not is_operand(x):
        return None
    y = small(p[4], (<cnp.ndarray> x).descr, most)
    if y is None:
        return None
    if second is not None:
        pair = y, small(p[4], second, most)
        kernel(seen(y, p[1]), seen(pair[1], p[1]), seen(x, p[0]), p[2], p[3], *last)
        return pair
    if last:
        kernel(seen(y, p[1]), seen(x, p[0]), p[2], p[3], *last)
    else:
        kernel(seen(y, p[1]), seen(x, p[0]), p[2], p[3])
    return y


cdef cnp.ndarray doubles(cnp.ndarray v):
    """Return a vector, one that `is_operand` accepts, as a new array of float64."""
    cdef cnp.npy_intp n = v.shape[0]
    cdef cnp.ndarray d = cnp.PyArray_EMPTY(1, &n, cnp.NPY_FLOAT64, 0)
    cdef bint single = cnp.PyArray_TYPE(v) == cnp.NPY_FLOAT32
    cdef Py_ssize_t c
    for c in range(n):
        (<double *> d.data)[c] = (<float *> v.data)[c] if single else (<double *> v.data)[c]
    return d


def invstd_of(cnp.ndarray var, double eps):
    """Return 1/sqrt(var + eps) of a vector that `is_operand` accepts, in float64."""
    cdef cnp.ndarray invstd = doubles(var)
    cdef double *r = <double *> invstd.data
    cdef Py_ssize_t c
    for c in range(invstd.shape[0]):
        r[c] = 1/sqrt(r[c] + eps)
    return invstd


def given_statistics(cnp.ndarray mean, cnp.ndarray var, double eps):
    """Return mean and 1/sqrt(var + eps) of two vectors that `is_operand` accepts, in float64."""
    cdef cnp.ndarray v = doubles(var)
    cdef Py_ssize_t c
    cdef double least = 0
    for c in range(v.shape[0]):
        least = min(least, (<double *> v.data)[c])  # NaN is not less than anything, and stays what it is
    if least < 0:
        raise ValueError(f"running_var must be at least 0, got {least}")
    return doubles(mean), invstd_of(v, eps)


cdef void move_in_type(char *running, const double *batch, Py_ssize_t n, Py_ssize_t step, bint single,
                       double factor, double scale) noexcept nogil:
    cdef Py_ssize_t c
    for c in range(n):
        if single:
            (<float *> running)[0] = <float> ((1 - factor)*(<float *> running)[0] + factor*(batch[c]*scale))
        else:
            (<double *> running)[0] = (1 - factor)*(<double *> running)[0] + factor*(batch[c]*scale)
        running += step


def move(cnp.ndarray running, cnp.ndarray batch, double factor, double scale):
    """Move a running statistic, in place, towards a batch's, of float64 and times `scale`."""
    if running.shape[0] != batch.shape[0]:
        raise ValueError(f"the running statistic has {running.shape[0]} channels, the batch {batch.shape[0]}")
    if not cnp.PyArray_ISBEHAVED(running):
        running[...] = (1 - factor)*running.astype(np.float64) + factor*(batch*scale)
        return
    move_in_type(<char *> running.data, <const double *> batch.data, batch.shape[0], running.strides[0],
                 cnp.PyArray_TYPE(running) == cnp.NPY_FLOAT32, factor, scale)
