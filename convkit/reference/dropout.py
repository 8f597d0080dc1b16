"""Dropout by a counter-based generator: each unit's random bits are a function of (seed, unit).

    y[u, i] = x[u, i] * scale   where bits(seed, u) >= threshold,   else 0

There is no state to share or to advance, so every backend draws the same mask in any order. The
generator is Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
1, 2, 3" (SC 2011): ten rounds of multiplying and mixing turn a counter of four 32-bit words into
four random words, under a key of two.
"""

from __future__ import annotations

import numpy as np

from . import quiet

MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85  # of the golden ratio and of sqrt(3): the key's walk between rounds
LOW = np.uint64(0xFFFFFFFF)
HIGH = np.uint64(32)


def philox4x32(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Return the four random words of each counter: uint64 arrays (4, ...) of 32-bit values."""
    c0, c1, c2, c3 = counter.astype(np.uint64)
    k0, k1 = key
    m0, m1 = map(np.uint64, MULTIPLIERS)
    for _ in range(10):
        product0, product1 = m0 * c0, m1 * c2  # 64 bits, of which both halves are used
        c0, c1, c2, c3 = (
            (product1 >> HIGH) ^ c1 ^ np.uint64(k0),
            product1 & LOW,
            (product0 >> HIGH) ^ c3 ^ np.uint64(k1),
            product0 & LOW,
        )
        k0, k1 = (k0 + KEY_STEPS[0]) & 0xFFFFFFFF, (k1 + KEY_STEPS[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3])


def random_bits(seed: int, U: int) -> np.ndarray:
    """Return the 32 random bits of units 0 to U - 1, as uint64.

    A block of 64 units is served by 16 counters: unit u takes word (u // 16) % 4 of counter
    (u // 64)*16 + u % 16.
    """
    blocks = -(-U // 64)
    low = np.arange(blocks * 16, dtype=np.uint64)
    zero = np.zeros_like(low)
    words = philox4x32(np.stack([low & LOW, low >> HIGH, zero, zero]), (seed & 0xFFFFFFFF, seed >> 32))
    return words.reshape(4, blocks, 16).swapaxes(0, 1).ravel()[:U]


@quiet
def dropout(y, x, seed, threshold, scale):
    """Keep or drop whole units, the rows of x (U, B), and scale those kept.

    A dropped value is zero even if it was infinite or NaN: it is left out, not multiplied by 0.
    """
    dropout_given(y, x, random_bits(seed, len(x)) >= np.uint64(threshold), scale)


def dropout_mask(y, mask, x, seed, threshold, scale):
    """The same, and set mask (U,) to True where a unit is kept."""
    mask[...] = random_bits(seed, len(x)) >= np.uint64(threshold)
    dropout_given(y, x, mask, scale)


@quiet
def dropout_given(y, x, mask, scale):
    """Keep, scaled, the rows of x (U, B) whose mask is True, and set the others to zero."""
    y[...] = np.where(mask[:, None], x.astype(np.float64) * scale, 0.0)
