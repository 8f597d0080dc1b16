"""How Winograd's convolution is cut up: blocks of tiles and of filters, threads, workspace."""

from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.threads cimport threads_for
from convkit._ext.vec cimport lanes, vd, vec, vf
from convkit._ext.winograd_tiles cimport (
    M_plane, ROWS, U_filters, U_plane, U_row, V_plane, input_scratch, output_scratch, parts, problem, up
)

cdef enum:
    TILES = 48  # of a block: as many as a tile of the microkernel has lanes; V of 256 channels is then 1.8 MB
    SPEED = 300  # multiply-adds of the defining sum in a nanosecond, roughly


cdef struct plan:
    problem q
    bint few               # few tiles: one block of them
    bint ready             # many tiles, and U was made before
    Py_ssize_t blocks      # of tiles
    Py_ssize_t tiles       # of the largest block: the distance between rows of V and M
    Py_ssize_t rest        # tiles, the last of few, for which a vector of their own would be too much
    Py_ssize_t filters     # blocks of filters
    int threads
    Py_ssize_t shared      # elements of workspace for all threads: V if there are few tiles, else U
    Py_ssize_t own         # and for each thread


cdef inline Py_ssize_t block_start(const vec *like, const plan *p, Py_ssize_t block) noexcept nogil:
    """The first tile of a block, which holds whole vectors unless it is the last."""
    cdef Py_ssize_t L = lanes(like)
    return min(p.q.T, up(p.q.T, L) // L*block // p.blocks*L)


cdef inline plan make_plan(
    const vec *like, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, const conv_shape *s, bint ready
) noexcept nogil:
    """Cut up the work; the filters are `ready` if U is there already."""
    cdef plan p
    cdef Py_ssize_t c, start = 0, L = lanes(like)
    p.q.IC, p.q.OC = s.IC // s.G, s.OC // s.G
    p.q.x_image, p.q.y_image = s.IC*s.IH*s.IW, s.OC*s.OH*s.OW
    p.q.IH, p.q.IW, p.q.OH, p.q.OW = s.IH, s.IW, s.OH, s.OW
    p.q.TH, p.q.TW = up(s.OH, 4) // 4, up(s.OW, 4) // 4
    p.q.T = s.N*p.q.TH*p.q.TW
    p.q.ih_of, p.q.iw_of = ih_of, iw_of
    p.q.inside = p.q.outside = 0
    for c in range(s.OW + 2 if iw_of else 0):
        if iw_of[c] < 0 or (c > start and iw_of[c] != iw_of[c - 1] + 1):
            start = c + (iw_of[c] < 0)
        if c + 1 - start > p.q.outside - p.q.inside:
            p.q.inside, p.q.outside = start, c + 1

    p.filters = up(p.q.OC, ROWS) // ROWS
    p.threads = threads_for(p.q.T*16*9*p.q.OC*p.q.IC // SPEED)
    p.blocks = max(1, p.q.T // TILES)
    p.few = p.blocks == 1
    p.rest = p.q.T % L if p.few and p.q.T > L and p.q.T % L <= L // 8 else 0
    if p.blocks > p.threads:
        p.blocks -= p.blocks % p.threads  # the same for each
    p.tiles = up(up(p.q.T, L) // L, p.blocks) // p.blocks*L
    cdef Py_ssize_t V = 36*V_plane(like, p.q.IC, p.tiles)
    p.ready = ready and not p.few
    p.shared = V + up(36*p.rest*p.q.IC, 16) if p.few else 0 if ready else p.filters*U_filters(like, p.q.IC)
    p.own = input_scratch(like, p.tiles) + 36*M_plane(like, p.tiles) + output_scratch(like, p.tiles)
    p.own += 36*U_plane(like, p.q.IC) if p.few else V
    return p


cdef inline Py_ssize_t workspace(const vec *like, const plan *p) noexcept nogil:
    """Bytes: an offset table, what threads share, and what each has."""
    cdef Py_ssize_t size = sizeof(float) if vec is vf else sizeof(double)
    return up(U_row(like, p.q.IC), 8)*sizeof(Py_ssize_t) + (p.shared + p.threads*p.own)*size
