"""Philox 4x32-10, a vector of counters at a time: random words as a function of (key, counter).

Ten rounds of

    (c0, c1, c2, c3) <- (high(M1*c2) ^ c1 ^ k0, low(M1*c2), high(M0*c0) ^ c3 ^ k1, low(M0*c0))

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). What costs
is the multiplication of 32 by 32 bits to 64, which processors have for one number in 64 bits of
a register. So each word has 64 bits for itself here, and half of each vector is idle: its upper 32
bits are left as they come, since a multiplication looks at the lower ones alone.
"""

from libc.stdint cimport uint32_t, uint64_t

from convkit._ext.vec cimport vd  # for its header

cdef extern from *:
    """
    #ifndef CONVKIT_PHILOX
    #define CONVKIT_PHILOX
    #include <stdint.h>
    #if defined(__x86_64__)
    #include <immintrin.h>
    #endif
    enum { CONVKIT_WORDS = CONVKIT_VECTOR_BYTES/8 };
    typedef uint64_t convkit_words __attribute__((vector_size(CONVKIT_VECTOR_BYTES)));

    /* The products of the lower 32 bits of each lane. */
    static inline convkit_words convkit_multiply(convkit_words a, convkit_words b) {
    #if defined(__AVX512F__)
        return (convkit_words) _mm512_mul_epu32((__m512i) a, (__m512i) b);
    #elif defined(__AVX2__)
        return (convkit_words) _mm256_mul_epu32((__m256i) a, (__m256i) b);
    #elif defined(__SSE2__) && !defined(__AVX__)
        return (convkit_words) _mm_mul_epu32((__m128i) a, (__m128i) b);
    #else
        return (a & 0xffffffff)*(b & 0xffffffff);
    #endif
    }

    /* One set of counters (low, high words given) through ten rounds; words in the lower halves. */
    static inline __attribute__((always_inline))
    void convkit_philox(convkit_words c[4], uint64_t seed) {
        const convkit_words zero = {0}, M0 = zero + 0xD2511F53u, M1 = zero + 0xCD9E8D57u;
        uint32_t k0 = (uint32_t) seed, k1 = (uint32_t) (seed >> 32);
        for (int round = 0; round < 10; round++) {
            convkit_words p0 = convkit_multiply(M0, c[0]), p1 = convkit_multiply(M1, c[2]);
            c[0] = (p1 >> 32) ^ c[1] ^ (zero + k0);
            c[1] = p1;
            c[2] = (p0 >> 32) ^ c[3] ^ (zero + k1);
            c[3] = p0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
    }

    /* bits[16*w + i] = word w of counter first + i, for 0 <= i < 16. */
    static inline void convkit_philox_64(uint32_t bits[64], uint64_t first, uint64_t seed) {
        const convkit_words zero = {0};
        convkit_words lane, even[4], odd[4];
        for (int l = 0; l < CONVKIT_WORDS; l++) lane[l] = 2*l;
        for (int i = 0; i < 16; i += 2*CONVKIT_WORDS) {
            even[0] = lane + (first + i);        odd[0] = lane + (first + i + 1);
            even[1] = even[0] >> 32;             odd[1] = odd[0] >> 32;
            even[2] = even[3] = odd[2] = odd[3] = zero;
            convkit_philox(even, seed);
            convkit_philox(odd, seed);
            for (int w = 0; w < 4; w++) {
                convkit_words both = (even[w] & 0xffffffff) | (odd[w] << 32);
                memcpy(bits + 16*w + i, &both, sizeof both);
            }
        }
    }
    #endif
    """
    void philox_64 "convkit_philox_64"(uint32_t *bits, uint64_t first, uint64_t seed) noexcept nogil
