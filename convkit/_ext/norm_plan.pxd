"""How a normalisation is cut into pieces of work: by its shape alone, never by the threads.

An array (N, G, P, S) holds, for each statistic g, N *runs* of L = P*S neighbouring elements. A
*chunk* is what one pair of sums is taken over: several short runs, or a piece of a long one. The
chunks of a statistic are combined in order, whoever computed them, so that every number of threads
gives the same bits. A *strip* is a few neighbouring statistics that are worked on together: short
runs then make up a longer stretch of memory, and all reading and writing goes through the L2 cache.
"""

from convkit._ext.lane_sums cimport real
from convkit._ext.planes_in_lanes cimport WIDEST

cdef extern from *:
    """
    #ifndef CONVKIT_NORM_PLAN
    #define CONVKIT_NORM_PLAN
    struct convkit_norm {
        Py_ssize_t N, G, P, S, W;       /* x (N, G, P, S), weight and bias (W, P)            */
        Py_ssize_t L;                   /* a run: P*S elements                               */
        Py_ssize_t rows, cells, pieces; /* a chunk: `rows` runs, or one of the `pieces` of
                                           `cells` elements that a run is cut into           */
        Py_ssize_t chunks;              /* of one statistic                                  */
        Py_ssize_t width;               /* statistics in a strip                             */
    };
    /* Cells l0 to l1 - 1, where cell p*S + s is element (p, s), of runs n0 to n1 - 1 of g0 to g1 - 1. */
    struct convkit_block { Py_ssize_t g0, g1, n0, n1, l0, l1; };
    #endif
    """
    struct norm "convkit_norm":
        Py_ssize_t N, G, P, S, W, L, rows, cells, pieces, chunks, width
    struct block "convkit_block":
        Py_ssize_t g0, g1, n0, n1, l0, l1

cdef enum:
    # Runs of fewer elements are worked on as columns: a vector would not be full.
    SHORT = 8
    # Statistics in a strip, at most: their sums lie on the stack, 16 KiB in L1. Each stretch of memory that a
    # strip of short runs makes up begins with lines that come late: in evaluation,
    # twice as long ones are a few percent faster.
    WIDTH = 128
    # Columns in a strip of short runs, at most, for the same reason.
    COLUMNS = 256
    # Bytes of one array in a strip: with a second array it fits the L2 cache of 1 MiB.
    STRIP = 384*1024
    # The same where runs are long, and neighbours no help: most of the L1 cache of 48 KiB.
    L1 = 32*1024
    # Elements in a chunk, at least, so that combining chunks costs nothing to speak of ...
    CHUNK = 16384
    # ... and chunks of a statistic, about: enough to share one large statistic among threads.
    CHUNKS = 64


cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return (a + b - 1)//b


cdef inline bint alone_in_lanes(const norm *s) noexcept nogil:
    """Whether short runs, each with a statistic to itself, are transposed, a run to a lane.

    Such are those of layer norm over a short axis. Down columns (N, G*L) all that is done once a column would
    be done for each element. One or two cells are too few for a transposition to pay. Not so a batch norm's
    planes (S > 1): a single image is to get the bits that it gets in a batch.
    """
    return s.N == 1 and s.S == 1 and 3 <= s.L < SHORT


cdef inline void copy_runs(real *to, const real *x, Py_ssize_t n, Py_ssize_t cells) noexcept nogil:
    """Copy n elements, and set to zero what follows them, up to so many cells."""
    cdef Py_ssize_t i
    for i in range(n):
        to[i] = x[i]
    for i in range(n, cells):
        to[i] = 0


cdef inline norm plan(
    Py_ssize_t N, Py_ssize_t G, Py_ssize_t P, Py_ssize_t S, Py_ssize_t W, Py_ssize_t itemsize
) noexcept nogil:
    cdef norm s
    cdef Py_ssize_t M = N*P*S, chunk = max(<Py_ssize_t> CHUNK, M//CHUNKS), strip
    s.N, s.G, s.P, s.S, s.W, s.L = N, G, P, S, W, P*S
    s.rows = min(N, max(<Py_ssize_t> 1, chunk//s.L))
    s.pieces = ceil_div(s.L, chunk)
    s.cells = ceil_div(s.L, s.pieces)
    # No piece then begins with less than the vectors need to look back to.
    s.cells = min(s.L, ceil_div(s.cells, 64)*64)
    s.pieces = ceil_div(s.L, s.cells)
    s.chunks = ceil_div(N, s.rows)*s.pieces
    strip = L1 if s.L >= 1024 else STRIP
    s.width = min(<Py_ssize_t> WIDTH, min(strip//(M*itemsize), G//8))
    if alone_in_lanes(&s):  # whole vectors, and no more columns than a gradient has room for
        s.width = min(COLUMNS//s.L//WIDEST, ceil_div(G//8, WIDEST))*WIDEST
    elif s.L < SHORT:
        s.width = min(<Py_ssize_t> COLUMNS, 64 + G*s.L//16)//s.L
    s.width = max(<Py_ssize_t> 1, s.width)
    return s


cdef inline block chunk_of(const norm *s, Py_ssize_t g0, Py_ssize_t g1, Py_ssize_t k) noexcept nogil:
    """Return chunk k of the statistics g0 to g1 - 1."""
    cdef block b
    b.g0, b.g1 = g0, g1
    b.n0 = k//s.pieces*s.rows
    b.n1 = min(s.N, b.n0 + s.rows)
    b.l0 = k % s.pieces*s.cells
    b.l1 = min(s.L, b.l0 + s.cells)
    return b


cdef inline Py_ssize_t backwards(const norm *s, Py_ssize_t i) noexcept nogil:
    """Return the i-th chunk where runs come last to first, the pieces of a run in the order of memory.

    What was read last is then used first, while it may be in the cache, and the CPU, which foresees
    rising addresses best, still sees long stretches of these.
    """
    return s.chunks - s.pieces - i//s.pieces*s.pieces + i % s.pieces
