"""Philox4x32-10 against its published answers, and against itself written with plain integers."""

import numpy as np
import pytest
from comparator import assert_equal

from convkit.reference.dropout import dropout_mask, philox4x32, random_bits

ONES = 0xFFFFFFFF

# From the file kat_vectors of Random123, the library of Salmon et al. (2011): counter, key, answer.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES, ONES, ONES, ONES), (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def scalar_philox(counter, key):
    """Figure 2 of the paper: each half multiplies one word, and crosses over."""
    L0, R0, L1, R1 = counter
    k0, k1 = key
    for round_number in range(10):
        if round_number:
            k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
        high0, low0 = divmod(L0 * 0xD2511F53, 2**32)
        high1, low1 = divmod(L1 * 0xCD9E8D57, 2**32)
        L0, R0, L1, R1 = high1 ^ R0 ^ k0, low1, high0 ^ R1 ^ k1, low0
    return L0, R0, L1, R1


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_published_answers(counter, key, answer):
    assert scalar_philox(counter, key) == answer
    assert tuple(philox4x32(np.array(counter), key)) == answer


def test_many_counters_at_once():
    counters = np.random.default_rng(0).integers(0, 2**32, (4, 500), dtype=np.uint64)
    key = 0xDEADBEEF, 0x01234567
    want = np.array([scalar_philox(c, key) for c in counters.T.tolist()], dtype=np.uint64).T
    assert_equal(philox4x32(counters, key), want)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 0x0123456789ABCDEF, 2**64 - 1])
def test_which_bits_a_unit_gets(seed):
    """semantics.md, rule 23: a pure function of seed and unit, in the layout that dispatch.py states."""
    bits = random_bits(seed, 200)
    for u, got in enumerate(bits.tolist()):
        counter = (u // 64) * 16 + u % 16
        words = scalar_philox((counter, 0, 0, 0), (seed % 2**32, seed // 2**32))
        assert got == words[(u // 16) % 4]


def test_every_unit_has_bits_of_its_own():
    assert len(np.unique(random_bits(7, 10_000))) > 9_990  # of 2^32 values, 0.01 collisions are expected


def test_more_units_do_not_change_the_first():
    for U in (1, 15, 16, 17, 63, 64, 65, 129):
        assert_equal(random_bits(3, U), random_bits(3, 1000)[:U])


def test_the_threshold_is_the_first_value_kept():
    bits = random_bits(11, 50)
    for kept, threshold in ((True, int(bits[20])), (False, int(bits[20]) + 1)):
        y, mask = np.empty((50, 1)), np.empty(50, bool)
        dropout_mask(y, mask, np.ones((50, 1)), 11, threshold, 1.0)
        assert mask[20] == kept
        assert_equal(mask, np.array([b >= threshold for b in bits.tolist()]))
