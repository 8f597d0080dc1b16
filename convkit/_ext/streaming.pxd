"""Stores that go past the caches, and requests for memory that is needed soon.

A plain store reads the line that it is going to overwrite; a streaming one does not, and leaves the
caches to data that is read again. It pays only for results that no cache would hold until they are
read (beyond 28 MiB in all; a quarter slower to three times as slow below 8 MiB) and for whole
lines: a line that is written in two halves goes to memory twice.

Stores leave the CPU one after another, and one whose line is not in the L1 cache holds up the rest. Where
vectors lie across two lines, as they do in rows that begin anywhere, it helps to ask in advance for the lines
that will be written (`prefetch_run`): padding 64 planes of 56x56, in the L2 cache of
an Emerald Rapids, takes 34 us and not 55.
"""

from convkit._ext.vec cimport lanes, vec

cdef extern from *:
    """
    #ifndef CONVKIT_STREAMING
    #define CONVKIT_STREAMING
    #include <stdint.h>
    #include <string.h>
    #if defined(__x86_64__)
    #include <immintrin.h>
    #endif

    /* Copy the 64 bytes of a line to an aligned address, past the caches where the CPU can. */
    static inline void convkit_stream_line(void *to, const void *line) {
    #if defined(__AVX512F__)
        _mm512_stream_si512((__m512i *) to, _mm512_loadu_si512(line));
    #elif defined(__AVX__)
        for (int i = 0; i < 2; i++)
            _mm256_stream_si256((__m256i *) to + i, _mm256_loadu_si256((const __m256i *) line + i));
    #elif defined(__x86_64__)
        for (int i = 0; i < 4; i++)
            _mm_stream_si128((__m128i *) to + i, _mm_loadu_si128((const __m128i *) line + i));
    #else
        memcpy(to, line, 64);
    #endif
    }
    /* Streamed lines are seen by other threads only after this. */
    static inline void convkit_stream_end(void) {
    #if defined(__x86_64__)
        _mm_sfence();
    #endif
    }
    static inline Py_ssize_t convkit_to_line(const void *p) { return -(uintptr_t) p % 64; }
    #define convkit_prefetch(p) __builtin_prefetch(p, 0, 3)
    #define convkit_prefetch_l2(p) __builtin_prefetch(p, 0, 2)
    #endif
    """
    void stream_line "convkit_stream_line"(void *to, const void *line) noexcept nogil
    void stream_end "convkit_stream_end"() noexcept nogil
    # Bytes from p to the next line.
    Py_ssize_t to_line "convkit_to_line"(const void *p) noexcept nogil
    # An address may be anything: a prefetch of nothing does nothing.
    void prefetch "convkit_prefetch"(const void *p) noexcept nogil
    void prefetch_l2 "convkit_prefetch_l2"(const void *p) noexcept nogil

cdef enum:
    LINE = 64
    # Bytes from what is written to what is asked for meanwhile: from 256 to 4096 all are as good.
    AHEAD = 1024

cdef inline void prefetch_run(const void *p, Py_ssize_t n) noexcept nogil:
    """Ask for the lines of n bytes, to read them or to write them."""
    cdef Py_ssize_t line
    for line in range(n//LINE + 1):
        prefetch(<const char *> p + LINE*line)

cdef inline Py_ssize_t to_aligned(const vec *p) noexcept nogil:
    """Elements, less than a vector, from p to where a vector does not lie across two lines.

    Most arrays of NumPy begin in the middle of one, and every vector then costs two accesses. With a
    first vector at p, and all others from there on, only that one does.
    """
    return to_line(p)//<Py_ssize_t> (sizeof(vec)//lanes(p)) % lanes(p)


# Return whether results should go past the caches, by the bytes that a kernel reads and writes and those of
# a run of neighbours: it must be long, for its ends do not.
cdef bint worth_streaming(Py_ssize_t bytes_in_and_out, Py_ssize_t bytes_in_a_run) noexcept nogil
