"""How a transposed convolution is cut up: chunks of channels, shares of the batch, workspace."""

from convkit._ext.blocks cimport PLANES_BYTES, TERMS, workspace
from convkit._ext.conv_shape cimport conv_shape
from convkit._ext.microkernel cimport MR, NR_MAX
from convkit._ext.phases cimport is_whole, phase, phase_of
from convkit._ext.transpose cimport LANES_MAX

cdef enum:
    WEIGHTS_BYTES = 800_000  # turned weights of a chunk
    SUMS_BYTES = 190_000     # of one phase, on their way to y
    CHANNELS = 1024          # of a chunk, at most
    TERMS_LEAST = 256        # of a sum between its visits to y, if weights are many


cdef struct work_plan:
    bint straight         # whether sums go to y directly: no stride, and no padding shows cells again
    Py_ssize_t groups     # of a chunk
    Py_ssize_t parts      # chunks of a group; 1, if chunks have several groups
    Py_ssize_t terms      # output channels of the convolution, x's channels, that are added at a time
    Py_ssize_t chunks, images  # tasks are chunks * images; images counts shares of the batch
    Py_ssize_t weights, sums, table, conv_bytes, bytes  # elements and bytes of a thread's workspace
    bint possible


cdef struct room:
    char *weights
    char *sums
    char *zeros
    Py_ssize_t *ih_of
    Py_ssize_t *iw_of
    workspace conv


cdef inline Py_ssize_t parts_of(Py_ssize_t n, Py_ssize_t size) noexcept nogil:
    return (n + size - 1)//size


cdef inline work_plan make_work_plan(
    const conv_shape *s, const Py_ssize_t *ih_of, const Py_ssize_t *iw_of, Py_ssize_t size, Py_ssize_t shares
) noexcept nogil:
    """Choose tasks of elements of so many bytes, so that `shares` of them, or a multiple, are much alike."""
    cdef work_plan a
    cdef Py_ssize_t IC = s.IC//s.G, OC = s.OC//s.G, taps = s.KH*s.KW, tiles = parts_of(IC, MR)
    cdef Py_ssize_t channels, terms
    cdef Py_ssize_t kernels = WEIGHTS_BYTES//size//taps
    cdef phase v = phase_of(0, ih_of, s.KH, s.SH, s.DH, s.OH), h = phase_of(0, iw_of, s.KW, s.SW, s.DW, s.OW)
    a.possible = kernels >= MR
    a.straight = is_whole(&v, s.IH) and is_whole(&h, s.IW)
    channels = CHANNELS
    if not a.straight:
        # All sums of a phase at once, or tile by tile: pieces must not depend on the threads. Phases other
        # than the first may have one cell more.
        channels = min(channels, max(SUMS_BYTES//size//((v.Q + 1)*(h.Q + 1)), MR))
    # Many channels of y, so that x is packed for many, but not at the price of too many visits to y,
    # which take longer where a stride spreads the sums. For kernels of 1x1, x need not be packed.
    terms = TERMS_LEAST if a.straight else 8*TERMS_LEAST if taps == 1 else 2*TERMS_LEAST
    channels = min(channels, kernels//max(min(OC, terms//taps), 1))
    channels = max(channels - channels % MR, MR)
    a.groups = a.parts = 1
    a.terms = OC
    if channels >= 2*IC and kernels >= 2*IC*OC:
        a.groups = min(min(channels//IC, kernels//(IC*OC)), parts_of(s.G, shares))
        if not a.straight:  # groups whose sums do not fit together would be cut otherwise than one alone
            a.groups = max(1, min(a.groups, SUMS_BYTES//size//((v.Q + 1)*(h.Q + 1)*IC)))
    else:
        a.parts = parts_of(tiles, channels//MR)
        a.terms = parts_of(OC, parts_of(OC, min(OC, max(kernels//(parts_of(tiles, a.parts)*MR), 1))))
    if s.G == 1 and s.N % shares == 0 and IC*taps < s.N*s.OH*s.OW:
        # All weights are turned for each share of the images, but x is packed once: that is more to do.
        a.images = shares
        a.chunks = a.parts
    else:
        if s.G == 1:
            a.parts = min(parts_of(a.parts, shares)*shares, tiles)
        a.chunks = parts_of(s.G, a.groups)*a.parts
        a.images = 1 if a.chunks >= shares else min(s.N, parts_of(shares, a.chunks))
    a.weights = WEIGHTS_BYTES//size
    a.sums = SUMS_BYTES//size + 2*NR_MAX
    a.table = s.OH + s.OW + 2*((s.KH - 1)*s.DH + (s.KW - 1)*s.DW)
    a.conv_bytes = PLANES_BYTES + 4*NR_MAX*size
    a.conv_bytes += max(<Py_ssize_t> TERMS, taps)*(LANES_MAX*4 + 2*sizeof(Py_ssize_t))
    a.bytes = (a.weights + a.sums + CHANNELS)*size + a.table*sizeof(Py_ssize_t) + a.conv_bytes
    a.bytes += 256 - a.bytes % 128
    return a


cdef inline room room_of(
    char *memory, const work_plan *a, Py_ssize_t size, const conv_shape *s, Py_ssize_t thread
) noexcept nogil:
    """The thread's part of the memory."""
    cdef room t
    t.weights = memory + thread*a.bytes
    t.sums = t.weights + a.weights*size
    t.zeros = t.sums + a.sums*size
    t.ih_of = <Py_ssize_t *> (t.zeros + CHANNELS*size)
    t.iw_of = t.ih_of + s.OH + 2*(s.KH - 1)*s.DH
    t.conv.memory = <char *> (t.ih_of + a.table)
    t.conv.memory += (64 - <size_t> t.conv.memory % 64) % 64  # a cache line, for which a.bytes has room
    t.conv.bytes = a.conv_bytes
    return t


cdef struct task:
    Py_ssize_t g, G    # the first group, and how many
    Py_ssize_t m, M    # the first channel of y in each of them, and how many
    Py_ssize_t oc, OC  # the first channel of x in each of them, and how many
    Py_ssize_t n, stop  # images


cdef inline task make_task(Py_ssize_t i, const work_plan *a, const conv_shape *s) noexcept nogil:
    cdef task t
    cdef Py_ssize_t IC = s.IC//s.G, tiles = parts_of(IC, MR), chunk = i//a.images, part = chunk % a.parts
    t.g = chunk//a.parts*a.groups
    t.G = min(a.groups, s.G - t.g)
    t.m = part*tiles//a.parts*MR
    t.M = min((part + 1)*tiles//a.parts*MR, IC) - t.m
    t.oc, t.OC = 0, s.OC//s.G
    t.n = i % a.images*s.N//a.images
    t.stop = (i % a.images + 1)*s.N//a.images
    return t
