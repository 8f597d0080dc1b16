"""What shared memory charges for an access of a warp.

Shared memory is 32 *banks* side by side, each four bytes wide: word number a lies in bank ``a % 32``. In a
cycle a bank hands out one word, to all the lanes that ask for it. So the 32 lanes of a warp are served in one
cycle if their words lie in different banks or are the same; where some banks are asked for several words,
these come one after the other. That is a *bank conflict*, and a cycle of it a *wavefront*.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["BANKS", "wavefronts"]

BANKS = 32


def wavefronts(words: Sequence[int] | np.ndarray) -> int:
    """Return in how many cycles shared memory serves lanes that ask for these words at the same time.

    >>> lane = np.arange(32)
    >>> wavefronts(lane), wavefronts(0 * lane)  # neighbours; the same word for all
    (1, 1)
    >>> wavefronts(2 * lane), wavefronts(33 * lane), wavefronts(32 * lane)
    (2, 1, 32)
    """
    asked = np.unique(words)
    return int(np.bincount(asked % BANKS, minlength=BANKS).max())
