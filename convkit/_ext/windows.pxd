"""Window tables: a row ``(start, stop, divisor)``, or ``(start, stop, step)``, for each output of an axis.

Windows without steps never start before the one in front of them. (With steps they may: of cells -1, 1 the
edge leaves 1, and the next window begins at 0.) Nearly all outputs of a pooling have windows of one
size at one distance; only the first and the last ones are clipped by the edge. `find_run` finds that
regular stretch, for which kernels have a faster way.
"""

cimport numpy as cnp

from convkit._ext cimport contract

cdef enum:
    START = 0
    STOP = 1
    THIRD = 2   # the divisor of an average, the step of a maximum
    ROW = 3     # entries of a table for each output

cdef struct Run:
    Py_ssize_t first, end   # outputs first..end-1 have equal windows
    Py_ssize_t K, S, third  # of K cells each, S cells apart


cdef inline void find_run(const Py_ssize_t *windows, Py_ssize_t O, Run *best) noexcept nogil:
    """Find the longest stretch of outputs whose windows differ by nothing but a constant distance."""
    cdef const Py_ssize_t *a = windows
    cdef const Py_ssize_t *b
    cdef Py_ssize_t first = 0, S = 0, o
    best.first, best.end, best.K, best.S, best.third = 0, 1, a[STOP] - a[START], 1, a[THIRD]
    for o in range(1, O):
        a = windows + (o - 1)*ROW
        b = windows + o*ROW
        if b[STOP] - b[START] != a[STOP] - a[START] or b[THIRD] != a[THIRD]:
            first = o
            continue
        if o == first + 1 or b[START] - a[START] != S:
            first = o - 1
            S = b[START] - a[START]
        if o + 1 - first > best.end - best.first:
            best.first, best.end, best.K, best.S, best.third = first, o + 1, b[STOP] - b[START], S, b[THIRD]


cdef inline Py_ssize_t with_clipped(
    Run *run, const Py_ssize_t *windows, Py_ssize_t n, Py_ssize_t O
) noexcept nogil:
    """Extend a run over neighbours whose windows would be as regular, were the axis 0..n-1 longer.

    Return where the first window would start, were it whole: before 0, perhaps.
    """
    cdef Py_ssize_t start = windows[run.first*ROW + START], stop = windows[(run.end - 1)*ROW + STOP]
    while run.first > 0 and is_clipped(windows + (run.first - 1)*ROW, run, start - run.S, n):
        run.first -= 1
        start -= run.S
    while run.end < O and is_clipped(windows + run.end*ROW, run, stop + run.S - run.K, n):
        run.end += 1
        stop += run.S
    return start


cdef inline bint is_clipped(
    const Py_ssize_t *w, const Run *run, Py_ssize_t start, Py_ssize_t n
) noexcept nogil:
    """Tell whether a window is what 0..n-1 leave of the run's at `start`."""
    return w[START] == max(start, 0) and w[STOP] == min(start + run.K, n) and w[THIRD] == run.third


cdef inline int check(
    cnp.ndarray out, cnp.ndarray a, str name, Py_ssize_t n, Py_ssize_t O, str third
) except -1:
    """Accept a table, apart from the output, of O windows, each of at least one of the cells 0..n-1."""
    cdef const cnp.npy_intp *w
    cdef Py_ssize_t o
    cdef bint stepped
    contract.array(a, name, 2, cnp.NPY_INTP)
    contract.apart(out, a, name)
    if a.shape[0] != O or a.shape[1] != ROW:
        raise ValueError(f"{name} must have shape ({O}, {ROW}), got {(<object> a).shape}")
    w = <const cnp.npy_intp *> cnp.PyArray_DATA(a)
    for o in range(O):
        if w[START] < 0 or w[START] >= w[STOP] or w[STOP] > n:
            raise ValueError(f"{name}[{o}] must hold cells from 0 to {n - 1}, got {w[START]} to {w[STOP]}")
        if w[THIRD] == 0 or (w[THIRD] < 0 and third == "step"):
            raise ValueError(f"{name}[{o}] has the {third} {w[THIRD]}")
        stepped = third == "step" and w[THIRD] > 1
        if o > 0 and w[START] < w[START - ROW] and not stepped:
            raise ValueError(f"{name}[{o}] must not start before {name}[{o - 1}], got {w[START]} after "
                             f"{w[START - ROW]}")
        w += ROW
    return 0
