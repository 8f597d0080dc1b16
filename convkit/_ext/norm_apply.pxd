"""The pass that writes: y = (x - mean)*(invstd*weight) + bias, one fused multiply-add an element.

    y = (x - m)*a + b      m = the mean, rounded to the elements' type      a = invstd*weight
                           b = bias - (mean - m)*a, what rounding the mean left out included

All three numbers are computed in double. Subtracting first is what keeps the digits: x*a + b' with
b' = bias - mean*a loses them all where the mean is large.

Bound by memory: one read, one write. Whether a run is one of a batch norm's (one weight), of a layer
norm's (a weight for each element) or of a group norm's (a weight for each plane) is decided outside
the loops over elements.
"""

from convkit._ext.lane_sums cimport real
from convkit._ext.norm_plan cimport COLUMNS, SHORT, WIDTH, alone_in_lanes, block, copy_runs, norm
from convkit._ext.planes_in_lanes cimport WIDEST, from_lanes, to_lanes
from convkit._ext.streaming cimport AHEAD, LINE, prefetch_l2, prefetch_run, stream_line, to_aligned, to_line
from convkit._ext.vec cimport lanes, load, splat, store, vd, vec, vf


cdef inline double residue(double mean, real rounded) noexcept nogil:
    """What rounding the mean left out; nothing where it is infinite or NaN."""
    return mean - rounded if mean - rounded == mean - rounded else 0


cdef inline void coefficients(
    real *m, real *a, real *b, double mean, double slope, double bias
) noexcept nogil:
    m[0] = <real> mean
    a[0] = <real> slope
    b[0] = <real> (bias - residue(mean, m[0])*slope)


cdef enum:
    # Vectors in a run from which on it pays to align those that are written: in shorter runs the
    # number of steps would depend on the address, and be guessed wrongly. The lines that these write are
    # asked for in advance (see streaming.pxd): a quarter of the time on planes of 7x7.
    LONG = 8


# --- runs ----------------------------------------------------------------------------------


cdef inline vec scaled(vec x, vec m, vec a, vec b) noexcept nogil:
    return (x - m)*a + b


cdef inline void scale_vectors(
    vec *y, const vec *x, Py_ssize_t n, const vec *m, const vec *a, const vec *b
) noexcept nogil:
    """Of n elements, at least a vector; the last one overlaps its neighbour, in long runs the first too."""
    cdef vec vm = splat(m, 0), va = splat(a, 0), vb = splat(b, 0)
    cdef Py_ssize_t i = 0, V = lanes(x)
    if n >= LONG*V:
        store(y, 0, scaled(load(x, 0), vm, va, vb))
        i = to_aligned(y)
    else:
        prefetch_run(<char *> y + AHEAD, n*<Py_ssize_t> sizeof(vec)//V)
    while i + V <= n:
        store(y, i, scaled(load(x, i), vm, va, vb))
        i += V
    if i < n:
        store(y, n - V, scaled(load(x, n - V), vm, va, vb))


cdef inline void scale_run(real *y, const real *x, Py_ssize_t n, real m, real a, real b) noexcept nogil:
    cdef Py_ssize_t i
    if n*sizeof(real) < sizeof(vf):
        for i in range(n):
            y[i] = (x[i] - m)*a + b
    elif real is float:
        scale_vectors(<vf *> y, <const vf *> x, n, <const vf *> &m, <const vf *> &a, <const vf *> &b)
    else:
        scale_vectors(<vd *> y, <const vd *> x, n, <const vd *> &m, <const vd *> &a, <const vd *> &b)


cdef inline void scale_run_streaming(
    real *y, const real *x, Py_ssize_t n, real m, real a, real b, const real *ahead
) noexcept nogil:
    """The same by whole lines past the caches; asks for memory at `ahead` meanwhile."""
    cdef real line[16]
    cdef Py_ssize_t i = to_line(y)//<Py_ssize_t> sizeof(real), j
    scale_run(y, x, i, m, a, b)
    while i + LINE//<Py_ssize_t> sizeof(real) <= n:
        prefetch_l2(ahead + i)
        for j in range(LINE//sizeof(real)):
            line[j] = (x[i + j] - m)*a + b
        stream_line(y + i, line)
        i += LINE//sizeof(real)
    scale_run(y + i, x + i, n - i, m, a, b)


cdef inline void scale_run_by_weights(
    real *y, const real *x, Py_ssize_t n, real m, real a, real c, const real *weight, const real *bias
) noexcept nogil:
    """The same for S = 1, where neighbours have weights of their own."""
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = ((x[i] - m)*a + c)*weight[i] + bias[i]


# --- blocks --------------------------------------------------------------------------------
# mean and invstd begin with those of b.g0.


cdef inline void scale_block(
    real *y, const real *x, const double *mean, const double *invstd, const real *weight,
    const real *bias, const norm *s, block b, bint streaming
) noexcept nogil:
    if alone_in_lanes(s):
        scale_in_lanes(y, x, mean, invstd, weight, bias, s, b)
    elif s.L < SHORT:
        scale_columns(y, x, mean, invstd, weight, bias, s, b)
    elif s.P == 1:
        scale_planes(y, x, mean, invstd, weight, bias, s, b, streaming)
    elif s.S == 1:
        scale_rows(y, x, mean, invstd, weight, bias, s, b)
    else:
        scale_groups(y, x, mean, invstd, weight, bias, s, b, streaming)


cdef inline void scale_planes(
    real *y, const real *x, const double *mean, const double *invstd, const real *weight,
    const real *bias, const norm *s, block b, bint streaming
) noexcept nogil:
    """Batch and instance norm: one weight a run."""
    cdef real m[WIDTH]
    cdef real a[WIDTH]
    cdef real c[WIDTH]
    cdef Py_ssize_t n, i, w = b.g0 % s.W, width = b.g1 - b.g0, first
    for i in range(width):
        coefficients(m + i, a + i, c + i, mean[i], invstd[i]*weight[w], bias[w])
        w = w + 1 if w + 1 < s.W else 0
    for n in range(b.n1 - 1, b.n0 - 1, -1):
        first = (n*s.G + b.g0)*s.L + b.l0
        for i in range(width):
            if streaming:
                scale_run_streaming(
                    y + first, x + first, b.l1 - b.l0, m[i], a[i], c[i], x + first + width*s.L)
            else:
                scale_run(y + first, x + first, b.l1 - b.l0, m[i], a[i], c[i])
            first += s.L


cdef inline void scale_rows(
    real *y, const real *x, const double *mean, const double *invstd, const real *weight,
    const real *bias, const norm *s, block b
) noexcept nogil:
    """Layer norm: a weight for each element of a run."""
    cdef real m
    cdef Py_ssize_t n, g, run, w
    for n in range(b.n0, b.n1):
        for g in range(b.g0, b.g1):
            run = (n*s.G + g)*s.L + b.l0
            w = g % s.W*s.L + b.l0
            m = <real> mean[g - b.g0]
            scale_run_by_weights(
                y + run, x + run, b.l1 - b.l0, m, <real> invstd[g - b.g0],
                <real> (-residue(mean[g - b.g0], m)*invstd[g - b.g0]), weight + w, bias + w)


cdef inline void scale_groups(
    real *y, const real *x, const double *mean, const double *invstd, const real *weight,
    const real *bias, const norm *s, block b, bint streaming
) noexcept nogil:
    """Group norm: a weight for each of the P planes of a run, of which the first and the last may be cut."""
    cdef real m, a, c
    cdef Py_ssize_t n, g, p, w, start, stop, run
    for n in range(b.n0, b.n1):
        for g in range(b.g0, b.g1):
            run = (n*s.G + g)*s.L
            for p in range(b.l0//s.S, (b.l1 - 1)//s.S + 1):
                start = max(b.l0, p*s.S)
                stop = min(b.l1, (p + 1)*s.S)
                w = g % s.W*s.P + p
                coefficients(&m, &a, &c, mean[g - b.g0], invstd[g - b.g0]*weight[w], bias[w])
                if streaming:
                    scale_run_streaming(y + run + start, x + run + start, stop - start, m, a, c,
                                        x + run + start + (b.g1 - b.g0)*s.L)
                else:
                    scale_run(y + run + start, x + run + start, stop - start, m, a, c)


cdef inline void scale_in_lanes(
    real *y, const real *x, const double *mean, const double *invstd, const real *weight,
    const real *bias, const norm *s, block b
) noexcept nogil:
    """Runs shorter than a vector, each with a statistic to itself: run i in lane i of every vector."""
    cdef real m[WIDTH]
    cdef real a[WIDTH]
    cdef real c[WIDTH]
    cdef real few[WIDEST*SHORT]  # runs, if there are fewer than lanes, and zeros
    cdef Py_ssize_t g, first, width = b.g1 - b.g0, W = sizeof(vf)//sizeof(real)
    for g in range(width):
        m[g] = <real> mean[g]
        a[g] = <real> invstd[g]
        c[g] = <real> (-residue(mean[g], m[g])*invstd[g])
    if width < W:
        copy_runs(few, x + b.g0*s.L, width*s.L, W*s.L)
        for g in range(width, W):
            m[g] = a[g] = c[g] = 0
        if real is float:
            scale_lanes(<vf *> few, <const vf *> few, <const vf *> m, <const vf *> a, <const vf *> c, weight,
                        bias, s, b.g0)
        else:
            scale_lanes(<vd *> few, <const vd *> few, <const vd *> m, <const vd *> a, <const vd *> c, weight,
                        bias, s, b.g0)
        copy_runs(y + b.g0*s.L, few, width*s.L, width*s.L)
        return
    g = 0
    while g < width:
        g = min(g, width - W)  # the last vectors' lanes may repeat some of those before
        first = (b.g0 + g)*s.L
        if real is float:
            scale_lanes(<vf *> (y + first), <const vf *> (x + first), <const vf *> (m + g),
                        <const vf *> (a + g), <const vf *> (c + g), weight, bias, s, b.g0 + g)
        else:
            scale_lanes(<vd *> (y + first), <const vd *> (x + first), <const vd *> (m + g),
                        <const vd *> (a + g), <const vd *> (c + g), weight, bias, s, b.g0 + g)
        g += W


cdef inline void scale_lanes(
    vec *y, const vec *x, const vec *m, const vec *a, const vec *c, const real *weight, const real *bias,
    const norm *s, Py_ssize_t g
) noexcept nogil:
    """Runs g, g + 1 ... as many as a vector has lanes; y and x begin with them."""
    cdef vec cells[SHORT]
    cdef vec w, v
    cdef Py_ssize_t cell
    to_lanes(cells, x, s.L)
    for cell in range(s.L):
        w, v = weights_in_lanes(x, weight, s, g, cell), weights_in_lanes(x, bias, s, g, cell)
        cells[cell] = scaled(cells[cell], m[0], a[0], c[0])*w + v
    from_lanes(y, cells, s.L)


cdef inline vec weights_in_lanes(
    const vec *x, const real *weight, const norm *s, Py_ssize_t g, Py_ssize_t p
) noexcept nogil:
    """Weight p of statistics g, g + 1 ...; x is there for its type."""
    cdef real lane[WIDEST]
    cdef Py_ssize_t i
    if s.W == 1:
        return splat(<const vec *> (weight + p), 0)
    for i in range(lanes(x)):
        lane[i] = weight[(g + i) % s.W*s.P + p]
    return load(<const vec *> lane, 0)


cdef inline void scale_columns(
    real *y, const real *x, const double *mean, const double *invstd, const real *weight,
    const real *bias, const norm *s, block b
) noexcept nogil:
    """Runs shorter than a vector: each column of the matrix (N, G*L) has numbers of its own."""
    cdef real m[COLUMNS]
    cdef real a[COLUMNS]
    cdef real c[COLUMNS]
    cdef Py_ssize_t n, g, cell, w, i = 0, first
    for g in range(b.g0, b.g1):
        for cell in range(s.L):
            w = g % s.W*s.P + cell//s.S
            coefficients(m + i, a + i, c + i, mean[g - b.g0], invstd[g - b.g0]*weight[w], bias[w])
            i += 1
    for n in range(b.n0, b.n1):
        first = (n*s.G + b.g0)*s.L
        for i in range((b.g1 - b.g0)*s.L):
            y[first + i] = (x[first + i] - m[i])*a[i] + c[i]
